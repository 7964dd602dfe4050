"""The demo's own survey: made once, and again from the beginning when the first attempt was interrupted."""

import pytest

from overflight.lifecycle import demo
from overflight.lifecycle.context import Context
from overflight.lifecycle.demo import DemoSettings, demo_source
from overflight.lifecycle.progress import Silent
from overflight.settings import Settings


@pytest.fixture
def source(tmp_path):
    context = Context(Settings(home=tmp_path / ".overflight"))
    settings = DemoSettings(data=None, out=tmp_path / "out", flights=1, photos=1)
    return lambda: demo_source(context, settings, Silent())[0]


def test_an_interrupted_demo_can_be_started_again(source, monkeypatch):
    def interrupted(_scene, target, **_options):
        (target / "images").mkdir(parents=True)
        (target / "images/half.jpg").write_bytes(b"")
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(demo, "synthesise", interrupted)
        source()
    folder = source()
    assert [path.name for path in folder.rglob("*.jpg")] != ["half.jpg"]
    assert len(list(folder.rglob("*.jpg"))) == 1


def test_it_is_made_once(source, monkeypatch):
    first = source()
    monkeypatch.setattr(demo, "synthesise", None)
    assert source() == first
