"""Copies beside a data set's training tiles: any number of workers, never from or into the held-out parts."""

import json

import numpy as np
import pytest

from factories import make_survey_source
from overflight.data.augment.dataset import AUGMENTED_FILE, Training, augment_dataset, read_donors
from overflight.data.augment.settings import load_settings, parse_settings
from overflight.data.dataset import DatasetRequest, build_dataset, read_labels
from overflight.data.manifest import load_manifest
from overflight.data.survey import read_survey, write_survey
from overflight.data.tile import TileRules
from overflight.detection.tiles import open_tiles
from overflight.errors import InputError
from overflight.files import sha256_file

RULES = TileRules(tile_px=160, overlap_px=32)
PASTING = parse_settings("base: nadir\ncopy_paste: {probability: 1.0, rare_below: 1.0}", where="")


@pytest.fixture(scope="module")
def survey(tmp_path_factory):
    folder = tmp_path_factory.mktemp("made")
    source = make_survey_source(folder / "source", flights=4, photos=3, classes=("car", "boat", "bus"))
    write_survey(read_survey(source, name="harbour"), folder / "survey")
    return folder / "survey"


def dataset(survey, target):
    request = DatasetRequest(rules=RULES, workers=1)
    document = build_dataset(survey, target, request=request)
    manifest = load_manifest(survey)
    records = {record.path: record for record in manifest.photos}
    return document, Training(target, survey, records, read_labels(survey, manifest))


def content(folder):
    return {path.relative_to(folder).as_posix(): sha256_file(path) for path in folder.rglob("*") if path.is_file()}


def augmented(training, **options):
    return augment_dataset(training, **({"settings": PASTING, "copies": 2, "seed": 3, "rules": RULES} | options))


def test_copies_lie_beside_the_tiles_and_say_where_they_come_from(survey, tmp_path):
    document, training = dataset(survey, tmp_path)
    before = content(tmp_path)
    report = augmented(training, workers=1)
    after = content(tmp_path)
    assert before.items() <= after.items()
    lines = [json.loads(line) for line in (tmp_path / AUGMENTED_FILE).read_text().splitlines()]
    assert report["tiles"] == len(lines) == 2 * document["tiles"]["train"]
    assert report["boxes"] == sum(line["boxes"] for line in lines)
    assert report["pasted"] > 0
    assert set(report["effects"]) <= {"pasted", "mirrored", "turned", "scale", "cloud", "sun", "haze", "blur", "JPEG"}
    train = {record.path for record in load_manifest(survey).photos if record.flight in document["split"]["train"]}
    for line in lines:
        assert line["photo"] in train
        assert after[line["tile"]] == line["sha256"]
        labels = (tmp_path / line["tile"].replace("images/", "labels/")).with_suffix(".txt")
        rows = np.array([row.split() for row in labels.read_text().splitlines()], float).reshape(-1, 5)
        assert len(rows) == line["boxes"]
        assert ((rows[:, 1:] >= 0) & (rows[:, 1:] <= 1)).all()
    tiles = open_tiles(tmp_path)
    assert len(tiles.images("train")) == 3 * document["tiles"]["train"]
    assert sum(len(tiles.labels(image)) for image in tiles.images("train")) > document["tile_boxes"]["train"]
    assert {
        path for path in after.keys() - before.keys() if not path.startswith(("images/train/", "labels/train/"))
    } == {AUGMENTED_FILE}


def test_any_number_of_workers_gives_the_same_bytes(survey, tmp_path):
    for workers in (1, 4):
        _, training = dataset(survey, tmp_path / str(workers))
        augmented(training, workers=workers)
    assert content(tmp_path / "1") == content(tmp_path / "4")


def test_a_second_run_replaces_the_first(survey, tmp_path):
    _, training = dataset(survey, tmp_path)
    clean = content(tmp_path)
    augmented(training)
    with_two = content(tmp_path)
    augmented(training, copies=1)
    with_one = content(tmp_path)
    assert clean.items() <= with_one.items()
    assert {
        name: digest for name, digest in with_two.items() if not name.endswith(("aug2.jpg", "aug2.txt", ".jsonl"))
    } == {name: digest for name, digest in with_one.items() if not name.endswith(".jsonl")}
    nothing = augmented(training, settings=load_settings("none"))
    assert (nothing["tiles"], nothing["copies"]) == (0, 0)
    assert content(tmp_path) == clean


def test_objects_to_paste_come_from_training_photographs_only(survey, tmp_path):
    document, training = dataset(survey, tmp_path)
    donors = read_donors(training, settings=PASTING, seed=0)
    assert donors
    assert {donor.origin.flight for donor in donors} <= set(document["split"]["train"])
    assert all(donor.pixels is not None for donor in donors)


def test_held_out_photographs_are_not_even_opened(survey, tmp_path):
    document, training = dataset(survey, tmp_path / "data")
    records = {path: record for path, record in training.records.items() if record.flight in document["split"]["train"]}
    labels = {path: training.labels[path] for path in records}
    only_train = Training(training.target, survey, records, labels)
    assert augmented(only_train)["tiles"] == 2 * document["tiles"]["train"]


def test_tiles_that_are_not_cut_yet_are_said(survey, tmp_path):
    manifest = load_manifest(survey)
    training = Training(tmp_path, survey, {record.path: record for record in manifest.photos}, {})
    with pytest.raises(InputError, match="the tiles are not cut yet"):
        augmented(training)


def test_a_photograph_that_disappeared_is_named(survey, tmp_path):
    _, training = dataset(survey, tmp_path)
    lost = Training(tmp_path, tmp_path / "nowhere", training.records, training.labels)
    with pytest.raises(InputError, match=r"nowhere/photos/.*cannot be read \(No such file"):
        augmented(lost)
