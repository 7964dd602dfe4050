"""The training job from the outside: a real training in its own process, with the network cut off."""

from __future__ import annotations

import csv
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest

from overflight.errors import InputError, UsageError
from overflight.jobs.contract import JobFolders
from overflight.jobs.train import run, settings_from

# First on the module path of the job: every look at the network or start of a program is written down and refused.
CUT_OFF = """
import os, socket, subprocess
def _refuse(kind):
    def refused(*args, **kwargs):
        with open(os.environ["ATTEMPTS"], "a") as handle:
            handle.write(f"{kind} {args[-1] if kind != 'program' else args[1:]}\\n")
        raise OSError(f"cut off: {kind}")
    return refused
for _name in ("connect", "connect_ex", "sendto"):
    setattr(socket.socket, _name, _refuse("network"))
for _name in ("getaddrinfo", "gethostbyname", "create_connection"):
    setattr(socket, _name, _refuse("network"))
subprocess.Popen.__init__ = _refuse("program")
os.system = _refuse("program")
"""

JOB = "import sys; from overflight.jobs.main import main; sys.exit(main(['train']))"


@dataclass(frozen=True)
class Finished:
    process: subprocess.CompletedProcess[str]
    root: Path
    attempts: str
    before: dict[str, str]
    after: dict[str, str]


def draw_dataset(root: Path, *, train: int, val: int, side_px: int = 96) -> None:
    """Tiles with rectangles in two colours; the label files are exact."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            pixels = rng.normal(110, 8, (side_px, side_px, 3)).clip(0, 255).astype(np.uint8)
            rows = []
            for class_id, colour in enumerate(((40, 40, 220), (220, 160, 40))):
                size = rng.integers(20, 36, 2)
                x, y = rng.integers(0, side_px - size)
                pixels[y : y + size[1], x : x + size[0]] = colour
                middle = (np.array([x, y]) + size / 2) / side_px
                rows.append(
                    f"{class_id} {middle[0]:.6f} {middle[1]:.6f} {size[0] / side_px:.6f} {size[1] / side_px:.6f}\n"
                )
            cv2.imwrite(str(root / "images" / split / f"t{number}.jpg"), pixels)
            (root / "labels" / split / f"t{number}.txt").write_text("".join(rows))
    document = {"schema": "overflight.dataset/1", "survey_digest": "5" * 64, "classes": ["car", "boat"]}
    document |= {"tile_px": side_px, "overlap_px": 32, "seed": 0, "digest": "d" * 64}
    (root / "dataset.json").write_text(json.dumps(document))


def prepare_job(root: Path, hyperparameters: dict[str, str], *, train: int = 8, val: int = 4) -> JobFolders:
    draw_dataset(root / "input" / "data" / "dataset", train=train, val=val)
    (root / "input" / "config").mkdir(parents=True)
    (root / "input" / "config" / "hyperparameters.json").write_text(json.dumps(hyperparameters))
    return JobFolders(root)


def contents(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


def environment(base: Path, root: Path) -> dict[str, str]:
    wall = base / "wall"
    wall.mkdir(exist_ok=True)
    (wall / "sitecustomize.py").write_text(CUT_OFF)
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(base / "home"),
        "PYTHONPATH": str(wall),
        "PYTHONDONTWRITEBYTECODE": "1",
        "ATTEMPTS": str(base / "attempts"),
        "OMP_NUM_THREADS": "1",
        "OVERFLIGHT_ML_ROOT": str(root),
    }


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """Two epochs on eight tiles, network and programs cut off, home and working folder watched."""
    base = tmp_path_factory.mktemp("job")
    root = base / "opt" / "ml"
    prepare_job(root, {"recipe": "demo", "model": "yolo11n", "imgsz": "64", "epochs": "2", "batch": "4", "seed": "3"})
    for name in ("home", "cwd"):
        (base / name).mkdir()
        (base / name / "mine").write_text("x")
    watched = [base / "home", base / "cwd", root / "input"]
    before = {str(folder): str(sorted(contents(folder).items())) for folder in watched}
    process = subprocess.run(
        [sys.executable, "-c", JOB],
        env=environment(base, root),
        cwd=base / "cwd",
        capture_output=True,
        text=True,
        check=False,
    )
    after = {str(folder): str(sorted(contents(folder).items())) for folder in watched}
    attempts = (base / "attempts").read_text() if (base / "attempts").exists() else ""
    return Finished(process, root, attempts, before, after)


class TestFinishedJob:
    def test_ends_well_and_says_so(self, finished):
        assert finished.process.returncode == 0, finished.process.stdout + finished.process.stderr
        assert not (finished.root / "output" / "failure").exists()
        message = (finished.root / "output" / "message").read_text()
        assert message.startswith("yolo11n at 64 px, 2 epochs: mAP50 ")

    def test_asked_neither_network_nor_programs(self, finished):
        assert finished.attempts == ""

    def test_left_home_working_folder_and_inputs_alone(self, finished):
        assert finished.after == finished.before

    def test_model_folder_is_complete_and_digests_fit(self, finished):
        folder = finished.root / "model"
        document = json.loads((folder / "model.json").read_text())
        assert {path.name for path in folder.iterdir()} == {
            "model.json", "model.onnx", "weights.pt", "results.csv", "args.yaml",
        }  # fmt: skip
        for name, facts in document["files"].items():
            assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == facts["sha256"]
        expected = {
            "schema": "overflight.model/1", "model": "yolo11n", "classes": ["car", "boat"], "imgsz_px": 64,
            "tile_px": 96, "overlap_px": 32, "dataset_digest": "d" * 64, "seed": 3, "epochs": 2,
        }  # fmt: skip
        assert {key: document[key] for key in expected} == expected
        assert 0 <= document["score_threshold"] <= 1
        assert document["weights_sha256"] == ""  # trained from scratch
        assert document["code"]["version"] == document["versions"]["overflight"]
        assert re.fullmatch("[0-9a-f]{64}", document["code"]["sha256"])
        assert (folder / "model.json").stat().st_mtime_ns == max(path.stat().st_mtime_ns for path in folder.iterdir())

    def test_serving_opens_the_model_folder(self, finished):
        from overflight.serving.predictor import Predictor

        rgb = np.zeros((200, 300, 3), dtype=np.uint8)
        assert Predictor(finished.root / "model").predict(rgb).width_px == 300

    def test_every_epoch_has_a_line_a_record_and_a_row(self, finished):
        lines = [line for line in finished.process.stdout.splitlines() if "epoch=" in line]
        assert [line.split("epoch=")[1].split(";")[0] for line in lines] == ["1", "2"]
        assert "box_loss=" in lines[0]
        assert "map50=" not in lines[0], "only the last epoch is validated in this recipe"
        assert "map50=" in lines[1]
        data = finished.root / "output" / "data"
        records = [json.loads(line) for line in (data / "epochs.jsonl").read_text().splitlines()]
        assert [record["epoch"] for record in records] == [1, 2]
        assert records[0]["metrics"] == {}
        rows = list(csv.DictReader((data / "results.csv").read_text().splitlines()))
        assert [row["metrics/mAP50(B)"] == "" for row in rows] == [True, False]
        assert float(rows[1]["metrics/mAP50(B)"]) == pytest.approx(records[1]["metrics"]["map50"])

    def test_log_holds_whole_lines_only(self, finished):
        assert "\r" not in finished.process.stdout + finished.process.stderr
        assert finished.process.stderr == ""

    def test_shows_what_the_network_was_shown(self, finished):
        picture = cv2.imread(str(finished.root / "output" / "data" / "train_batch.jpg"))
        assert picture.shape == (136, 136, 3)


def test_sigterm_ends_between_batches_without_a_model(tmp_path):
    root = tmp_path / "opt" / "ml"
    prepare_job(root, {"recipe": "demo", "model": "yolo11p", "imgsz": "64", "epochs": "5000", "batch": "4"})
    process = subprocess.Popen(
        [sys.executable, "-c", JOB], env=environment(tmp_path, root), stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "epoch=2;" in line:
            break
    process.send_signal(signal.SIGTERM)
    rest = process.communicate(timeout=60)[0]
    assert process.returncode == 128 + signal.SIGTERM, rest
    assert "was stopped in epoch" in (root / "output" / "failure").read_text()
    assert "Traceback" not in rest
    assert not (root / "model").exists()


@pytest.mark.slow
def test_same_seed_gives_the_same_network(tmp_path):
    digests = []
    for attempt in ("first", "second"):
        root = tmp_path / attempt / "opt" / "ml"
        prepare_job(
            root, {"recipe": "demo", "model": "yolo11p", "imgsz": "64", "epochs": "2", "batch": "4", "seed": "5"}
        )
        base = tmp_path / attempt
        subprocess.run([sys.executable, "-c", JOB], env=environment(base, root), check=True, capture_output=True)
        digests.append(json.loads((root / "model" / "model.json").read_text())["files"]["model.onnx"]["sha256"])
    assert digests[0] == digests[1]


class TestSettings:
    def test_strings_become_typed_and_unset_values_come_from_the_recipe(self):
        given = {
            "model": "yolo11s",
            "imgsz": "320",
            "epochs": "0",
            "batch": "",
            "seed": "7",
            "recipe": "demo",
            "weights": "",
        }
        settings = settings_from(given | {"sagemaker_program": "x", "_tuning_objective_metric": "y"})
        recipe = settings.resolve()
        assert (recipe.model, recipe.imgsz, settings.seed, settings.weights) == ("yolo11s", 320, 7, "")
        assert (recipe.epochs, recipe.batch) == tuple(
            getattr(settings_from({"recipe": "demo"}).resolve(), n) for n in ("epochs", "batch")
        )

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            pytest.param({"imgsz": "300"}, "imgsz='300'.*multiple of 32", id="not a multiple of 32"),
            pytest.param({"epochs": "-1"}, "epochs='-1'", id="negative epochs"),
            pytest.param({"epochs": "many"}, "epochs='many'.*integer", id="a word"),
            pytest.param({"lr": "0.1"}, "lr='0.1'.*Known hyperparameters", id="unknown name"),
        ],
    )
    def test_unusable_values_name_the_hyperparameter(self, given, says):
        with pytest.raises(UsageError, match=says):
            settings_from(given)

    @pytest.mark.parametrize("given", [{"model": "yolov5"}, {"recipe": "none"}], ids=["model", "recipe"])
    def test_unknown_names_are_refused(self, given):
        with pytest.raises(UsageError, match="unknown"):
            settings_from(given).resolve()


def test_weights_that_are_not_there_are_an_error_before_anything_is_loaded(tmp_path):
    folders = prepare_job(tmp_path / "ml", {"weights": "yolo11n.pt"}, train=1, val=1)
    with pytest.raises(InputError, match="not on this machine"):
        run(folders, {})
    assert not (tmp_path / "ml" / "work").exists()
