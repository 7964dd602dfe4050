"""The demo's own survey: made once, and again from the beginning when the first attempt was interrupted."""

import pytest

from overflight.lifecycle import demo
from overflight.lifecycle.context import Context
from overflight.lifecycle.demo import DemoSettings, demo_source
from overflight.lifecycle.progress import Silent
from overflight.settings import Settings


def draw(_scene, target, **_options):
    """Stands for the synthesis: it takes new folders only."""
    (target / "images").mkdir(parents=True)
    (target / "images/whole.jpg").write_bytes(b"")


def interrupted(_scene, target, **_options):
    (target / "images").mkdir(parents=True)
    (target / "images/half.jpg").write_bytes(b"")
    raise KeyboardInterrupt


@pytest.fixture
def source(tmp_path, monkeypatch):
    """Ask for the demo's folder, with ``synthesis`` in place of the real one."""
    context = Context(Settings(home=tmp_path / ".overflight"))
    settings = DemoSettings(data=None, out=tmp_path / "out")

    def ask(synthesis):
        monkeypatch.setattr(demo, "synthesise", synthesis)
        return demo_source(context, settings, Silent())[0]

    return ask


def test_an_interrupted_demo_can_be_started_again(source):
    with pytest.raises(KeyboardInterrupt):
        source(interrupted)
    assert [path.name for path in source(draw).rglob("*.jpg")] == ["whole.jpg"]


def test_it_is_made_once(source):
    assert source(draw) == source(interrupted)
