"""Job prepare: flights stay whole, tiles carry their labels, the same input gives the same bytes."""

import json
from collections import Counter
from pathlib import Path

import cv2
import numpy as np
import pytest
from pycocotools.coco import COCO

from factories import make_survey_source
from overflight.data.formats.yolo import read_labels
from overflight.data.manifest import load_manifest
from overflight.data.survey import read_survey, write_survey
from overflight.files import sha256_file
from overflight.imaging.codecs import decode
from overflight.jobs.contract import JobFolders, run_job
from overflight.jobs.prepare import PrepareSettings, prepare, run

SHARED = Path(__file__).parents[2].parent / "shared/data"
SMALL = {"OVERFLIGHT_TILE_PX": "128", "OVERFLIGHT_OVERLAP_PX": "32"}


@pytest.fixture
def survey(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=4, photos=3, size_wh=(320, 240))
    write_survey(read_survey(source, name="harbour"), tmp_path / "ml/processing/input/survey")
    return tmp_path / "ml/processing/input/survey"


def made(root, environ=SMALL):
    folders = JobFolders(root)
    message = run(folders, environ)
    output = root / "processing/output/dataset"
    return output, json.loads((output / "dataset.json").read_text()), message


def content(folder):
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def test_the_dataset_is_what_its_document_says(survey, tmp_path):
    output, dataset, message = made(tmp_path / "ml")
    stored = load_manifest(survey)
    assert dataset["schema"] == "overflight.dataset/1"
    assert dataset["survey_digest"] == stored.digest
    assert (dataset["tile_px"], dataset["overlap_px"], dataset["seed"], dataset["split_by"]) == (128, 32, 0, "flight")
    assert sum(dataset["photos"].values()) == 12
    assert sum(dataset["boxes"].values()) == stored.boxes
    assert sorted(name for names in dataset["split"].values() for name in names) == sorted(stored.flights)
    for part in ("train", "val"):
        tiles = sorted(path.stem for path in (output / "images" / part).iterdir())
        assert tiles == sorted(path.stem for path in (output / "labels" / part).iterdir())
        assert len(tiles) == dataset["tiles"][part]
    assert message.startswith(f"{dataset['tiles']['train']} train and {dataset['tiles']['val']} val tiles")


def test_every_tile_has_its_origin_and_readable_labels(survey, tmp_path):
    output, dataset, _ = made(tmp_path / "ml")
    stored = {photo.path: photo for photo in load_manifest(survey).photos}
    lines = [json.loads(line) for line in (output / "tiles.jsonl").read_text().splitlines()]
    assert Counter(line["part"] for line in lines) == Counter(dataset["tiles"])
    for line in lines:
        x0, y0, x1, y1 = line["xyxy_px"]
        tile = output / line["tile"]
        assert decode(tile.read_bytes()).shape == (y1 - y0, x1 - x0, 3)
        assert sha256_file(tile) == line["sha256"]
        assert stored[line["photo"]].sha256 == line["photo_sha256"]
        assert line["flight"] in dataset["split"][line["part"]]
        label = output / line["tile"].replace("images/", "labels/").replace(".jpg", ".txt")
        labels = read_labels(label.read_bytes(), classes=2, where="")
        assert labels.findings == ()
        assert len(labels.rows) == line["boxes"]
    empty = sum(1 for line in lines if line["boxes"] == 0)
    assert empty <= 0.2 * len(lines)


def test_held_out_photos_are_untouched_and_their_truth_is_coco(survey, tmp_path):
    output, dataset, _ = made(tmp_path / "ml")
    held_out = [p for p in load_manifest(survey).photos if p.flight in dataset["split"]["test"]]
    assert {sha256_file(path) for path in (output / "test/photos").rglob("*.jpg")} == {p.sha256 for p in held_out}
    truth = COCO(str(output / "test/truth.json"))
    assert [category["id"] for category in truth.loadCats(truth.getCatIds())] == [0, 1]
    assert len(truth.getAnnIds()) == dataset["boxes"]["test"] == sum(p.boxes for p in held_out)
    for image in truth.loadImgs(truth.getImgIds()):
        assert (output / "test/photos" / image["file_name"]).is_file()
        assert image["flight"] in dataset["split"]["test"]
        for annotation in truth.loadAnns(truth.getAnnIds(image["id"])):
            x, y, w, h = annotation["bbox"]
            assert 0 <= x < x + w <= image["width"]
            assert 0 <= y < y + h <= image["height"]
            assert annotation["area"] == pytest.approx(w * h, abs=0.01)


def test_the_same_survey_and_settings_give_the_same_bytes_for_any_number_of_workers(survey, tmp_path):
    for name, workers in (("one", 1), ("two", 2)):
        prepare(survey, tmp_path / name, settings=PrepareSettings(tile_px=128, overlap_px=32, workers=workers))
    assert content(tmp_path / "one") == content(tmp_path / "two")
    other = prepare(survey, tmp_path / "three", settings=PrepareSettings(tile_px=160, overlap_px=32))
    assert other.dataset["digest"] != json.loads((tmp_path / "one/dataset.json").read_text())["digest"]


def test_summary_for_tracking(survey, tmp_path):
    summary = prepare(survey, tmp_path / "out", settings=PrepareSettings())
    assert summary.params["dataset_digest"] == summary.dataset["digest"]
    assert summary.metrics["photos_test"] == summary.dataset["photos"]["test"]


def test_one_flight_is_refused_with_the_way_out_which_works(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=1, photos=10, size_wh=(60, 40))
    write_survey(read_survey(source, name="one"), tmp_path / "ml/processing/input/survey")
    assert run_job(run, {"OVERFLIGHT_ML_ROOT": str(tmp_path / "ml")}) == 3
    assert "--split-by time-gap" in (tmp_path / "ml/output/failure").read_text()
    _, dataset, _ = made(tmp_path / "ml", {"OVERFLIGHT_SPLIT_BY": "time-gap"})
    assert {name for names in dataset["split"].values() for name in names} == {
        "flight1#1",
        "flight1#2",
        "flight1#3",
    }
    assert sum(dataset["photos"].values()) + len(dataset["left_out"]) == 10
    assert "left out" in dataset["notes"][0]


def test_a_survey_without_boxes_is_refused(tmp_path):
    source = make_survey_source(tmp_path / "source", photos=1, size_wh=(60, 40))
    for label in (source / "labels").rglob("*.txt"):
        label.write_text("")
    write_survey(read_survey(source, name="bare"), tmp_path / "ml/processing/input/survey")
    assert run_job(run, {"OVERFLIGHT_ML_ROOT": str(tmp_path / "ml")}) == 3
    assert "no box is left to train on" in (tmp_path / "ml/output/failure").read_text()


@pytest.mark.parametrize(
    ("environ", "what"),
    [
        pytest.param({"OVERFLIGHT_TILE_PX": "big"}, "OVERFLIGHT_TILE_PX", id="not a number"),
        pytest.param({"OVERFLIGHT_TILE_PX": "128"}, "overlap of 128 px does not fit", id="overlap like the tile"),
        pytest.param({"OVERFLIGHT_SEED": "-1"}, "OVERFLIGHT_SEED", id="negative seed"),
    ],
)
def test_settings_that_make_no_sense_are_refused(survey, tmp_path, environ, what):
    assert run_job(run, {"OVERFLIGHT_ML_ROOT": str(tmp_path / "ml"), **environ}) == 2
    assert what in (tmp_path / "ml/output/failure").read_text()


def test_photos_of_one_name_in_two_folders_do_not_overwrite_each_other(tmp_path):
    source = make_survey_source(tmp_path / "source", flights=3, photos=2, size_wh=(60, 40))
    for kind in ("images", "labels"):
        for path in list((source / kind).rglob("*_000*")):
            path.rename(path.with_name(path.name.split("_")[1]))
    write_survey(read_survey(source, name="same"), tmp_path / "ml/processing/input/survey")
    output, dataset, _ = made(tmp_path / "ml", {})
    assert len(list((output / "images").rglob("*.jpg"))) == sum(dataset["tiles"].values()) == 4


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_aerial_cars_has_no_flight_in_two_parts(tmp_path):
    write_survey(read_survey(SHARED / "aerial-cars", name="cars"), tmp_path / "ml/processing/input/survey")
    output, dataset, _ = made(tmp_path / "ml", {})
    flights = [set(names) for names in dataset["split"].values()]
    assert sum(map(len, flights)) == len(set.union(*flights)) == 6
    lines = [json.loads(line) for line in (output / "tiles.jsonl").read_text().splitlines()]
    held_out = {path.name for path in (output / "test/photos").iterdir()}
    assert not held_out & {Path(line["photo"]).name for line in lines}
    assert sum(dataset["boxes"].values()) == 1617
    truth = json.loads((output / "test/truth.json").read_text())
    assert {annotation["category_id"] for annotation in truth["annotations"]} >= {0, 2, 3}


def test_the_profile_of_the_training_photographs_lies_beside_the_dataset(survey, tmp_path):
    output, dataset, _ = made(tmp_path / "ml")
    baseline = json.loads((output / "baseline.json").read_text())
    lines = [json.loads(line) for line in (output / "tiles.jsonl").read_text().splitlines()]
    training = {line["photo"] for line in lines if line["part"] == "train"}
    stored = {photo.path: photo for photo in load_manifest(survey).photos}
    assert sum(entry["boxes"] for entry in baseline["class_balance"]) == sum(stored[path].boxes for path in training)
    assert baseline["features"]["photos"]["mean_luma"]["count"] == len(training)
    assert dataset["photos"]["train"] >= len(training)


def test_what_the_parts_share_is_measured_with_pixels_and_can_refuse(survey, tmp_path):
    """Two flights, one with a photo of the other: one file in two flights stays together, near copies are seen."""
    _, dataset, message = made(tmp_path / "ml")
    assert set(dataset["leaks"]) == {"val of train", "test of train", "test of val"}
    assert dataset["leaks"]["test of train"]["score"] == 0
    assert message.endswith("0% of them leak")
    assert dataset["balance"]["photos"]["train"]["count"] == dataset["photos"]["train"]


def near_copies(tmp_path):
    """Three flights that show almost the same scene: whatever the split, the test leaks."""
    source = make_survey_source(tmp_path / "alike", flights=3, photos=2, size_wh=(320, 240))
    for number in (1, 2):
        scene = np.random.default_rng(number).integers(0, 255, (6, 8, 3), dtype=np.uint8)
        scene = cv2.resize(scene, (320, 240), interpolation=cv2.INTER_CUBIC)
        for flight in (1, 2, 3):
            cv2.imwrite(
                str(source / f"images/flight{flight}/flight{flight}_000{number}.jpg"), cv2.add(scene, 3.0 * flight)
            )
    draft = read_survey(source, name="alike")
    write_survey(draft, tmp_path / "alike-ml/processing/input/survey")
    return tmp_path / "alike-ml"


def test_flights_of_almost_the_same_pictures_cannot_be_told_apart_and_the_leak_is_said(tmp_path):
    root = near_copies(tmp_path)
    _, dataset, message = made(root)
    assert dataset["leaks"]["test of train"]["score"] == 1
    assert dataset["leaks"]["test of train"]["kinds"]["near-duplicate"]["leaking"] == dataset["photos"]["test"]
    assert any("not used" in note for note in dataset["notes"])
    assert message.endswith("100% of them leak")
    refused = {"OVERFLIGHT_ML_ROOT": str(root), "OVERFLIGHT_MAX_LEAK": "0.5", **SMALL}
    assert run_job(run, refused) == 3
    count = dataset["photos"]["test"]
    said = f"{count} of {count} test photographs share something with training (100.0%; at most 50.0% are allowed)"
    assert said in (root / "output/failure").read_text()


def test_copies_of_training_tiles_are_added_and_counted_and_change_the_digest(survey, tmp_path):
    output, plain, _ = made(tmp_path / "ml")
    kept = content(output)
    output, dataset, _ = made(tmp_path / "ml", SMALL | {"OVERFLIGHT_AUGMENT": "nadir", "OVERFLIGHT_COPIES": "2"})
    assert dataset["augmented"]["tiles"] == 2 * dataset["tiles"]["train"]
    assert len(list((output / "images/train").iterdir())) == 3 * dataset["tiles"]["train"]
    assert len(list((output / "labels/train").iterdir())) == 3 * dataset["tiles"]["train"]
    assert dataset["digest"] != plain["digest"]
    output, again, _ = made(tmp_path / "ml")
    assert (again["digest"], content(output)) == (plain["digest"], kept)
