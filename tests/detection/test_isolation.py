"""Ultralytics is confined to one folder before it is imported; weights are never fetched."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from overflight.detection.isolation import isolate, local_weights, settings_document
from overflight.errors import InputError

LOOK = """
import json, os, sys
from pathlib import Path
from overflight.detection.isolation import isolate
isolate(Path(sys.argv[1]))
import ultralytics.utils as u
from ultralytics.utils.checks import check_font
from ultralytics.utils.events import events
print(json.dumps({
    "settings": dict(u.SETTINGS), "file": str(u.SETTINGS_FILE), "online": u.ONLINE, "autoinstall": u.AUTOINSTALL,
    "events": events.enabled, "threads": os.environ["OMP_NUM_THREADS"], "font": str(check_font("Arial.ttf")),
    "second": str(isolate(Path(sys.argv[1]) / "elsewhere")),
}))
"""


def test_nothing_of_ultralytics_reaches_outside(tmp_path):
    done = subprocess.run([sys.executable, "-c", LOOK, str(tmp_path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = json.loads(done.stdout)
    assert seen["settings"] == settings_document(tmp_path)
    assert seen["file"] == str(tmp_path / "Ultralytics" / "settings.json")
    assert seen["font"] == str(tmp_path / "Ultralytics" / "Arial.ttf")
    assert (seen["online"], seen["autoinstall"], seen["events"]) == (False, False, False)
    assert int(seen["threads"]) >= 1
    assert seen["second"] == str(tmp_path), "Ultralytics cannot be moved after its import"


def test_import_before_isolation_is_an_error():
    code = (
        "from pathlib import Path\nimport tempfile, os\n"
        "os.environ['YOLO_CONFIG_DIR'] = tempfile.mkdtemp()\nos.environ['YOLO_OFFLINE'] = 'true'\n"
        "import ultralytics.utils\nfrom overflight.detection.isolation import isolate\nisolate(Path('x'))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "imported before it was isolated" in done.stderr


def test_environment_is_a_parameter(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "ultralytics", raising=False)
    environ = {"OMP_NUM_THREADS": "7", "ULTRALYTICS_API_KEY": "x"}
    isolate(tmp_path, environ=environ, threads=3)
    assert environ["OMP_NUM_THREADS"] == "7", "the user's own choice stays"
    assert environ["YOLO_AUTOINSTALL"] == "false"
    assert "ULTRALYTICS_API_KEY" not in environ


class TestWeights:
    def test_empty_means_from_scratch(self):
        assert local_weights("") is None

    def test_found_in_a_folder_or_by_path(self, tmp_path):
        (tmp_path / "own.pt").write_bytes(b"x")
        assert local_weights("own.pt", folders=(tmp_path,)) == tmp_path / "own.pt"
        assert local_weights(str(tmp_path / "own.pt")) == tmp_path / "own.pt"

    @pytest.mark.parametrize("name", ["yolo11n.pt", "/nowhere/yolo11n.pt"])
    def test_missing_weights_are_an_error_with_the_cure(self, tmp_path, name):
        with pytest.raises(InputError, match=r"not on this machine.*nothing is downloaded.*train from scratch"):
            local_weights(name, folders=(tmp_path,))

    def test_other_formats_are_refused(self, tmp_path):
        (tmp_path / "own.onnx").write_bytes(b"x")
        with pytest.raises(InputError, match=r"must be an Ultralytics \.pt file"):
            local_weights("own.onnx", folders=(tmp_path,))
