"""Held-out photos of painted squares, a detector that finds exactly those, and the files that come out."""

from __future__ import annotations

import io
import json
import tarfile
from pathlib import Path

import numpy as np
import pytest

from overflight.errors import InputError, UsageError
from overflight.files import write_json
from overflight.imaging.codecs import decode, encode_jpeg
from overflight.jobs.contract import JobFolders, check_seal, run_job, seal
from overflight.jobs.environ import settings_from
from overflight.jobs.evaluate import EvaluateSettings, decide, photo_records, run
from overflight.jobs.overlays import choose_photos
from overflight.jobs.plots import confusion_matrix, precision_recall_curves
from overflight.serving.detections import Detections
from overflight.tracking.events import read_events
from toy_model import CLASSES, painted_photo, write_model_folder

SQUARES = {
    "harbour/a.jpg": [(160, 160, 64, "red"), (320, 160, 64, "blue")],
    "harbour/b.jpg": [(160, 96, 64, "red")],
    "field/c.jpg": [(96, 160, 64, "blue"), (416, 160, 64, "red")],
    "field/d.jpg": [],
}


def write_dataset(folder: Path, *, squares=SQUARES, classes=CLASSES) -> Path:
    truth: dict[str, list[dict[str, object]]] = {
        "images": [],
        "annotations": [],
        "categories": [{"id": index, "name": name} for index, name in enumerate(classes)],
    }
    for number, (name, painted) in enumerate(squares.items()):
        path = folder / "test/photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode_jpeg(painted_photo(640, 480, painted)))
        image = {"id": number, "file_name": name, "width": 640, "height": 480, "flight": name.split("/")[0]}
        truth["images"].append(image)
        for x, y, side, kind in painted:
            box = {"id": len(truth["annotations"]) + 1, "image_id": number, "category_id": CLASSES.index(kind)}
            truth["annotations"].append(box | {"bbox": [x, y, side, side], "area": side**2, "iscrowd": 0})
    write_json(folder / "test/truth.json", truth)
    write_json(
        folder / "dataset.json",
        {
            "schema": "overflight.dataset/1",
            "survey_digest": "5" * 64,
            "digest": "d" * 64,
            "classes": list(classes),
            "photos": {"train": 8, "test": len(squares)},
            "split": {"test": ["field", "harbour"]},
        },
    )
    seal(folder)
    return folder


def write_archive(folder: Path, model: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, path.name)
    return folder / "model.tar.gz"


@pytest.fixture(scope="module")
def toy(tmp_path_factory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture
def job(tmp_path, toy) -> JobFolders:
    folders = JobFolders(tmp_path / "opt/ml")
    write_dataset(tmp_path / "opt/ml/processing/input/dataset")
    write_archive(tmp_path / "opt/ml/processing/input/model", toy)
    return folders


def start(folders: JobFolders, **environ: str) -> int:
    return run_job(run, {"OVERFLIGHT_ML_ROOT": str(folders.root), "OVERFLIGHT_RESAMPLES": "50", **environ})


def failure(folders: JobFolders) -> str:
    return (folders.root / "output/failure").read_text()


# --- what comes out -------------------------------------------------------------------------------------------------


def test_a_perfect_detector_gets_full_marks_and_every_file_is_there(job):
    assert start(job, OVERFLIGHT_MIN_MAP50="0.9") == 0
    output = job.output("evaluation")
    check_seal(output)
    evaluation = json.loads((output / "evaluation.json").read_text())
    assert evaluation["metrics"]["map50"]["value"] == pytest.approx(1)
    assert evaluation["photos"] == 4
    assert evaluation["per_flight"].keys() == {"field", "harbour"}
    assert (evaluation["dataset_digest"], len(evaluation["model_digest"])) == ("d" * 64, 64)
    decision = json.loads((output / "decision.json").read_text())
    assert decision["passed"] is True
    assert decision["reasons"] == ["mAP50 1.000 reaches the required 0.9"]
    assert (job.root / "output/message").read_text() == decision["reasons"][0]
    predictions = json.loads((output / "predictions.json").read_text())
    assert {record["file_name"] for record in predictions} >= {"harbour/a.jpg", "harbour/b.jpg", "field/c.jpg"}
    best = predictions[0]
    assert best["bbox"] == pytest.approx([160, 160, 64, 64], abs=2)
    assert {path.name for path in (output / "overlays").iterdir()} == {
        "harbour_a.jpg",
        "harbour_b.jpg",
        "field_c.jpg",
        "field_d.jpg",
    }
    assert decode((output / "overlays/harbour_a.jpg").read_bytes()).shape == (480, 640, 3)
    assert {path.name for path in (output / "plots").iterdir()} == {
        "confusion.json",
        "confusion.png",
        "curves.json",
        "curves.png",
    }
    counts = json.loads((output / "plots/confusion.json").read_text())["counts"]
    assert counts == [[3, 0, 0], [0, 2, 0], [0, 0, 0]]
    assert list((job.root / "work").glob("model-*")) == []


def test_the_same_job_twice_gives_the_same_files(job, tmp_path, toy):
    other = JobFolders(tmp_path / "again/opt/ml")
    write_dataset(other.root / "processing/input/dataset")
    write_archive(other.root / "processing/input/model", toy)
    assert (start(job), start(other)) == (0, 0)
    for name in ("predictions.json", "evaluation.json", "decision.json"):
        assert (job.output("evaluation") / name).read_bytes() == (other.output("evaluation") / name).read_bytes()


def test_progress_is_said_photo_by_photo(job, caplog):
    with caplog.at_level("INFO", "overflight"):
        start(job)
    assert [line for line in caplog.messages if line.startswith("photos")] == [
        "photos 1/4",
        "photos 2/4",
        "photos 3/4",
        "photos 4/4",
    ]


def test_the_facts_are_tracked(job):
    away = "http://127.0.0.1:9/"  # nobody listens there: the facts stay in the event log, the job succeeds
    assert start(job, MLFLOW_TRACKING_URI=away, OVERFLIGHT_EXECUTION_ID="exec1", OVERFLIGHT_STEP="Evaluate") == 0
    [path] = (job.root / "tracking").glob("events-*.jsonl")
    events = list(read_events(path))
    assert [event.kind for event in events][0 :: len(events) - 1] == ["open", "finish"]
    [dataset] = [event.body for event in events if event.kind == "dataset"]
    assert (dataset["context"], dataset["digest"], dataset["lineage"]) == ("test", "d" * 64, {"survey": "5" * 64})
    metrics = {
        name: value for event in events if event.kind == "metrics" for name, value in event.body["values"].items()
    }
    assert {"map50", "map50_low", "map50_high", "map50_95", "recall", "ap50/red", "map50/harbour"} <= metrics.keys()
    assert {Path(event.body["source"]).name for event in events if event.kind == "artifacts"} == {
        "evaluation.json",
        "decision.json",
        "predictions.json",
        "overlays",
        "plots",
    }


# --- decisions ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metrics", "passed", "reason"),
    [
        ({"map50": {"value": 0.5}}, True, "mAP50 0.500 reaches the required 0.5"),
        ({"map50": {"value": 0.4999}}, False, "mAP50 0.500 is below the required 0.5"),
        ({}, False, "mAP50 could not be computed: no held-out photo has a box"),
        ({"map50": {}}, False, "mAP50 could not be computed: no held-out photo has a box"),
        ({"map50": {"value": float("nan")}}, False, "mAP50 could not be computed: no held-out photo has a box"),
    ],
    ids=["just enough", "just not", "absent", "without a value", "not a number"],
)
def test_a_model_passes_only_with_a_figure_that_reaches_the_gate(metrics, passed, reason):
    decision = decide({"metrics": metrics}, min_map50=0.5)
    assert (decision["passed"], decision["reasons"]) == (passed, [reason])


def test_held_out_photos_without_a_box_give_no_figure_and_no_pass(tmp_path, toy):
    folders = JobFolders(tmp_path / "opt/ml")
    write_dataset(folders.root / "processing/input/dataset", squares={"a/1.jpg": [], "b/1.jpg": []})
    write_archive(folders.root / "processing/input/model", toy)
    assert start(folders) == 0
    assert "map50" not in json.loads((folders.output("evaluation") / "evaluation.json").read_text())["metrics"]
    assert json.loads((folders.output("evaluation") / "decision.json").read_text())["passed"] is False


# --- bad input ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("damage", ["not an archive", "cut off", "outside", "link out", "no archive"])
def test_a_bad_archive_is_refused_and_nothing_is_written_outside(job, tmp_path, damage):
    archive = job.root / "processing/input/model/model.tar.gz"
    content = archive.read_bytes()
    archive.unlink()
    if damage == "not an archive":
        archive.write_bytes(b"PK" * 100)
    elif damage == "cut off":
        archive.write_bytes(content[: len(content) // 2])
    elif damage == "no archive":
        archive.with_name("readme.txt").write_text("")
    else:
        with tarfile.open(archive, "w:gz") as tar:
            member = tarfile.TarInfo("../../../escaped.txt" if damage == "outside" else "model.json")
            member.size = 0
            if damage == "link out":
                member.type, member.linkname = tarfile.SYMTYPE, "/etc/passwd"
            tar.addfile(member, io.BytesIO())
    assert start(job) == InputError.exit_code
    assert "model" in failure(job)
    assert not list(tmp_path.rglob("escaped.txt"))


def test_a_model_whose_file_was_changed_is_refused(job, tmp_path, toy):
    changed = tmp_path / "changed"
    changed.mkdir()
    (changed / "model.json").write_bytes((toy / "model.json").read_bytes())
    (changed / "model.onnx").write_bytes((toy / "model.onnx").read_bytes() + b"0")
    write_archive(job.root / "processing/input/model", changed)
    assert start(job) == InputError.exit_code
    assert "does not match its digest" in failure(job)


def test_a_dataset_that_was_changed_after_its_seal_is_refused(job):
    (job.root / "processing/input/dataset/test/truth.json").write_text("{}")
    assert start(job) == InputError.exit_code
    assert "truth.json: does not match its digest" in failure(job)


def test_a_model_of_other_classes_is_refused(tmp_path, toy):
    folders = JobFolders(tmp_path / "opt/ml")
    write_dataset(folders.root / "processing/input/dataset", classes=("car", "boat"))
    write_archive(folders.root / "processing/input/model", toy)
    assert start(folders) == InputError.exit_code
    assert "the model knows the classes red, blue, the dataset has car, boat" in failure(folders)


@pytest.mark.parametrize(
    ("name", "value"), [("MIN_MAP50", "1.5"), ("MIN_MAP50", "much"), ("SEED", "-1")], ids=["range", "text", "negative"]
)
def test_a_setting_that_is_not_allowed_names_its_variable(name, value):
    with pytest.raises(UsageError, match=f"OVERFLIGHT_{name}"):
        settings_from({f"OVERFLIGHT_{name}": value}, EvaluateSettings)


# --- parts ----------------------------------------------------------------------------------------------------------


def test_only_the_best_boxes_of_a_class_are_kept():
    count = 130
    found = Detections(
        boxes_xyxy_px=np.tile([0.0, 0.0, 10.0, 10.0], (count, 1)),
        scores=np.linspace(1, 0.1, count),
        class_ids=np.arange(count) % 10 // 9,  # class 1 is every tenth
        classes=CLASSES,
        width_px=20,
        height_px=20,
    )
    records = photo_records({"id": 3, "file_name": "a.jpg"}, found)
    assert [sum(record["category_id"] == index for record in records) for index in (0, 1)] == [100, 13]
    assert records[0] == {"image_id": 3, "file_name": "a.jpg", "category_id": 0, "bbox": [0, 0, 10, 10], "score": 1}


@pytest.mark.parametrize(
    ("flights", "count", "chosen"),
    [
        ({"a": 10}, 2, {2, 7}),
        ({"a": 6, "b": 1, "c": 6}, 5, {1, 4, 6, 8, 11}),
        ({"a": 2, "b": 1}, 12, {0, 1, 2}),
        ({"a": 2}, 0, set()),
    ],
    ids=["evenly spaced", "all flights take turns", "all there are", "none"],
)
def test_pictures_come_from_all_flights(flights, count, chosen):
    names = [name for name, photos in flights.items() for _ in range(photos)]
    images = [{"id": number, "flight": name} for number, name in enumerate(names)]
    assert choose_photos(images, count) == chosen


TRUTH = {
    "images": [{"id": 0, "flight": "a"}, {"id": 1, "flight": "a"}],
    "categories": [{"id": 0, "name": "car"}, {"id": 1, "name": "boat"}],
    "annotations": [
        {"id": 1, "image_id": 0, "category_id": 0, "bbox": [0, 0, 10, 10]},
        {"id": 2, "image_id": 0, "category_id": 1, "bbox": [50, 50, 10, 10]},
        {"id": 3, "image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10]},
    ],
}


@pytest.mark.parametrize(
    ("predictions", "expected"),
    [
        ([], [[0, 0, 1], [0, 0, 2], [0, 0, 0]]),
        ([(0, 0, 0, 0.9), (0, 1, 50, 0.8)], [[1, 0, 0], [0, 1, 1], [0, 0, 0]]),
        ([(0, 1, 0, 0.9), (0, 0, 0, 0.8)], [[0, 1, 0], [0, 0, 2], [1, 0, 0]]),
        ([(1, 1, 0, 0.1)], [[0, 0, 1], [0, 0, 2], [0, 0, 0]]),
        ([(1, 0, 50, 0.9)], [[0, 0, 1], [0, 0, 2], [1, 0, 0]]),
    ],
    ids=["all missed", "two found", "the better one is taken for the other class", "too low a score", "out of nothing"],
)
def test_confusion_counts_each_object_once(predictions, expected):
    records = [
        {"image_id": photo, "category_id": category, "bbox": [at, at, 10, 10], "score": score}
        for photo, category, at, score in predictions
    ]
    assert confusion_matrix(TRUTH, records, score_threshold=0.25).tolist() == expected


def test_curves_go_from_the_best_score_to_the_worst():
    records = [
        {"image_id": 0, "category_id": 1, "bbox": [50, 50, 10, 10], "score": 0.9},
        {"image_id": 0, "category_id": 1, "bbox": [80, 80, 10, 10], "score": 0.8},
        {"image_id": 1, "category_id": 1, "bbox": [0, 0, 10, 10], "score": 0.7},
    ]
    curves = precision_recall_curves(TRUTH, records)
    assert curves["boat"] == {"recall": [0.5, 0.5, 1], "precision": [1, 0.5, 0.66667], "score": [0.9, 0.8, 0.7]}
    assert curves["car"] == {"recall": [], "precision": [], "score": []}
