"""torchvision can be imported beside any torch: repaired where its operators do not fit, untouched where they do."""

from __future__ import annotations

import subprocess
import sys

import pytest

REPAIR = """
import sys
from pathlib import Path
from overflight.detection.isolation import isolate
isolate(Path(sys.argv[1]))
from overflight.detection import compat
{before}
repaired = compat.ensure_torchvision()
import torch, torchvision
boxes = torch.tensor([[0, 0, 10, 10.0], [1, 1, 10, 10], [20, 20, 30, 30], [1, 0, 10, 10]])
scores = torch.tensor([0.7, 0.9, 0.8, 0.1])
print(repaired, torchvision.ops.nms(boxes, scores, 0.5).tolist(), torchvision.ops.nms.__module__)
"""

# A torch whose torchvision operators are there: what a matching pair of wheels looks like.
OPERATORS_ARE_FINE = """
import torch
library = torch.library.Library("torchvision", "DEF")
library.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
library.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
compat._define_schemas = None
"""


def run(code: str, folder) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=False)


def _compiled_operators_load() -> bool:
    import torch

    from overflight.detection.compat import _operators_load

    return _operators_load() or hasattr(torch.ops.torchvision, "nms")


def test_operators_that_do_not_fit_are_repaired(tmp_path):
    if _compiled_operators_load():
        pytest.skip("torchvision and torch are of one build here")
    assert run("import torchvision", tmp_path).returncode != 0
    done = run(REPAIR.format(before=""), tmp_path)
    assert done.stdout == "True [1, 2] ultralytics.utils.nms\n", done.stderr


def test_operators_that_are_fine_are_left_alone(tmp_path):
    code = (
        REPAIR.format(before=OPERATORS_ARE_FINE).split("boxes =")[0] + "print(repaired, torchvision.ops.nms.__module__)"
    )
    done = run(code, tmp_path)
    assert done.stdout == "False torchvision.ops.boxes\n", done.stderr
