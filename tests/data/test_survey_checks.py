"""Checks of a whole survey, and what is known to be wrong with real sets of labels."""

import csv
from pathlib import Path

import numpy as np
import pytest

from label_subjects import labels_of, limits, photo, subject_of
from overflight.data.checks.all import CHECKS
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import run_checks
from overflight.data.checks.subject import Subject
from overflight.data.files import find_files
from overflight.data.flights import FlightOf
from overflight.data.formats import coco, yolo
from overflight.imaging.header import read_header

SHARED = Path(__file__).parents[2].parent / "shared/data"
needs_labels = pytest.mark.skipif(not SHARED.exists(), reason="the real labels are not here")
CAR = (100, 100, 140, 120)


def whats(code, labels=None, *, flights=None, split_by="flight", **changed):
    subject = subject_of(labels_of(photo(CAR)) if labels is None else labels, flights=flights, split_by=split_by)
    return [hit.what for hit in CHECKS[code](subject, limits(code, **changed))]


def flights_of(*names, evidence="name"):
    return {f"{index}.jpg": FlightOf(name, evidence) for index, name in enumerate(names)}


def classes_of(*counts, names=("car", "truck", "bus")):
    class_ids = np.repeat(np.arange(len(counts)), counts).tolist()
    boxes = [(3 * index, 10, 3 * index + 2, 30) for index in range(len(class_ids))]
    return labels_of(photo(*boxes, classes=class_ids), classes=names[: len(counts)])


def test_a_survey_without_boxes():
    assert whats("no-boxes", labels_of(photo(), photo())) == ["holds no boxes at all"]
    assert whats("no-boxes", labels_of(photo(CAR, ignored=[True]))) == ["holds no boxes at all"]
    assert whats("no-boxes", labels_of(photo(), photo(CAR))) == []


def test_classes_of_few_boxes_and_classes_never_used():
    found = whats("few-boxes", classes_of(20, 19, 0))
    assert found == ["class 'truck' has 19 boxes", "class 'bus' is declared and never used"]
    assert whats("few-boxes", classes_of(20, 20)) == []
    assert whats("few-boxes", classes_of(20, 4), min_boxes=4) == []


@pytest.mark.parametrize(
    ("counts", "found"),
    [
        ((90, 10), ["class 'car' has 90% of all boxes (90 of 100; limit 80%)"]),
        ((5, 45), ["class 'truck' has 90% of all boxes (45 of 50; limit 80%)"]),
        ((80, 20), []),
        ((50,), []),
        ((0, 0), []),
    ],
    ids=["nine of ten", "the second class", "at the limit", "one class only", "no boxes"],
)
def test_one_class_that_has_almost_all_boxes(counts, found):
    assert whats("imbalance", classes_of(*counts)) == found


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (("car", "Car "), "classes 'car' (0) and 'Car ' (1) are one name in two spellings"),
        (("mini bus", "car", "mini-bus"), "classes 'mini bus' (0) and 'mini-bus' (2) are one name in two spellings"),
        (("car", " "), "class ' ' (1) has no name"),
        (("car", "cars", "bus"), None),
    ],
    ids=["case and space", "hyphen", "blank", "different names"],
)
def test_names_of_classes_in_two_spellings(names, found):
    assert whats("class-names", labels_of(photo(CAR), classes=names)) == ([] if found is None else [found])


def test_one_flight_cannot_be_split_by_flight():
    one = flights_of("DJI_1", "DJI_1")
    assert whats("one-flight", flights=one) == [
        "all photos belong to one flight (DJI_1), so no other flight can be held out"
    ]
    assert whats("one-flight", flights=one, split_by="time-gap") == []
    assert whats("one-flight", flights=flights_of("DJI_1", "DJI_2")) == []
    assert whats("one-flight", flights={}) == []


def test_two_flights_leave_val_without_one_of_its_own():
    two = flights_of("DJI_1", "DJI_2", "DJI_2")
    assert whats("two-flights", flights=two) == [
        "has two flights: one is held out, the other is cut in two for training and val"
    ]
    assert whats("two-flights", flights=two, split_by="time-gap") == []
    assert whats("two-flights", flights=flights_of("a", "b", "c")) == []


@pytest.mark.parametrize(
    ("flights", "found"),
    [
        (flights_of(*"abcdefgh", "z", "z"), "8 of 10 photos would be flights of their own"),
        (flights_of(*"abcdefgh", "z"), None),
        (flights_of(*"abcde", *"zzzzz"), None),
        (flights_of(*"abcdefghij", evidence="table"), None),
    ],
    ids=["most alone", "few photographs", "half alone", "named in a table"],
)
def test_names_that_do_not_tell_flights_apart(flights, found):
    what = whats("lone-photos", flights=flights)
    assert [sentence.partition(":")[0] for sentence in what] == ([] if found is None else [found])
    assert whats("lone-photos", flights=flights, split_by="time-gap") == []


# Real labels


def found_in(labels, flights=None, *, changes=(), train_scale=1.0):
    subject = Subject("real", Path(), {}, labels, flights or {}, train_scale=train_scale)
    return run_checks(subject, load_catalogue(changes), CHECKS)


def boxes_found(findings, code):
    return sum(len(finding.boxes) for finding in findings if finding.code == code)


def coco_labels(folder, key):
    return coco.read(find_files(SHARED / "formats" / folder), {}, labels=(key,))


@needs_labels
def test_what_is_known_of_the_visdrone_sample():
    labels = coco_labels("sahi_coco", "visdrone2019-det-train-first50image.json")
    assert (len(labels.photos), labels.boxes) == (50, 3326)
    findings = found_in(labels)
    assert len([finding for finding in findings if finding.code == "empty-labels"]) == 2
    assert boxes_found(findings, "sliver") == 44
    (pair,) = [finding for finding in findings if finding.code == "overlap-other"]
    assert "worst 0.86" in pair.what
    assert (len(pair.boxes), round(pair.score, 2)) == (2, 0.86)
    small = boxes_found(found_in(labels, changes=["tiny.min_side_px=16"]), "tiny")
    assert round(small / labels.boxes, 2) == 0.35


@needs_labels
def test_what_is_known_of_uavvaste():
    labels = coco_labels("uavvaste_coco", "annotations.json")
    assert (len(labels.photos), labels.boxes) == (772, 3718)
    assert boxes_found(found_in(labels), "odd-box-aspect") == 3


@needs_labels
def test_what_is_known_of_aerial_cars():
    root = SHARED / "aerial-cars"
    files = find_files(root)
    photos = [file for file in files.photos if file.key.startswith("images/")]
    headers = {file.key: read_header(files.read(file.key), where=file.key) for file in photos}
    sizes = {key: (header.width_px, header.height_px) for key, header in headers.items()}
    texts = tuple(key for key in files.others if key.startswith("labels/"))
    labels = yolo.read(files, sizes, labels=texts)
    with (root / "sequences.csv").open(encoding="utf-8") as table:
        rows = list(csv.DictReader(table))
    sequences = {Path(row["image"]).name: row["sequence"] for row in rows}
    flights = {file.key: FlightOf(sequences[Path(file.key).name], "table") for file in photos}
    findings = found_in(labels, flights)
    assert (len(labels.photos), labels.boxes) == (71, 1617)
    whole = {finding.what for finding in findings if not finding.photo}
    assert {"class 'truck' has 5 boxes", "class 'cyclist' is declared and never used"} <= whole
    assert "class 'car' has 90% of all boxes (1459 of 1617; limit 80%)" in whole
    assert not [finding for finding in findings if finding.severity == "error" and finding.photo]
