"""Looks: what failed is never shown as done, with or without a reason."""

import io

import pytest
from rich.console import Console

from overflight.cli.output import LiveProgress


@pytest.mark.parametrize(
    ("result", "mark"),
    [
        pytest.param("succeeded", "✓", id="succeeded"),
        pytest.param("from an earlier run", "✓", id="cached"),
        pytest.param("failed", "✗", id="failed"),
        pytest.param("failed: no box is left to train on", "✗", id="failed-with-reason"),
        pytest.param("stopped: StopPipelineExecution was called", "✗", id="stopped"),
    ],
)
def test_the_mark_of_a_finished_stage(result, mark):
    shown = io.StringIO()
    live = LiveProgress()
    live._console = Console(file=shown, width=200)
    live.begin("Train")
    live.end("Train", 1.5, result)
    assert shown.getvalue().startswith(mark)
    assert result in shown.getvalue()
