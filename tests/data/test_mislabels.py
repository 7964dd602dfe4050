"""Ranking of suspicious labels: planted label errors come first, clean labels give nothing."""

import numpy as np
import pytest

from overflight.data.formats.labels import PhotoLabels
from overflight.data.mislabels import Predicted, rank_disagreements

CLASSES = ("car", "boat")
PLACES = [(100.0 * step, 50.0, 100.0 * step + 40, 80.0) for step in range(10)]


def labels(items, ignored=None):
    return PhotoLabels(
        size_wh_px=(2000, 400),
        class_ids=np.array([index for index, _ in items], dtype=np.int64),
        xyxy_px=np.array([box for _, box in items], dtype=np.float64).reshape(-1, 4),
        numbers=np.arange(1, len(items) + 1),
        file="labels/a.txt",
        ignored=None if ignored is None else np.array(ignored),
    )


def predicted(items):
    return Predicted(
        np.array([index for index, _, _ in items], dtype=np.int64),
        np.array([box for _, box, _ in items], dtype=np.float64).reshape(-1, 4),
        np.array([score for _, _, score in items], dtype=np.float64),
    )


TRUTH = [(index % 2, box) for index, box in enumerate(PLACES)]
SEEN = [(index, box, 0.9) for index, box in TRUTH]


def rank(label_items, seen=SEEN, **more):
    return rank_disagreements({"a": labels(label_items, **more)}, {"a": predicted(seen)}, classes=CLASSES)


def shifted(box):
    return (box[0] + 22, box[1] + 5, box[2] + 22, box[3] + 5)


PLANTED = [
    pytest.param(TRUTH[:3] + TRUTH[4:], "no-label", None, "boat", id="an object without label"),
    pytest.param([*TRUTH, (0, (1500.0, 200.0, 1540.0, 230.0))], "no-object", 10, "", id="a label on nothing"),
    pytest.param([(1, TRUTH[0][1]), *TRUTH[1:]], "wrong-class", 0, "car", id="a wrong class"),
    pytest.param([(0, shifted(TRUTH[0][1])), *TRUTH[1:]], "badly-drawn", 0, "car", id="a badly drawn box"),
]


@pytest.mark.parametrize(("items", "kind", "box", "seen"), PLANTED)
def test_a_planted_label_error_is_found_and_named(items, kind, box, seen):
    (found,) = rank(items)
    assert (found.kind, found.box, found.predicted) == (kind, box, seen)
    assert 0.3 <= found.suspicion <= 1


def test_an_object_that_the_model_sees_twice_is_listed_once():
    again = [(1, shifted(PLACES[3]), 0.7), (0, shifted(PLACES[3]), 0.6)]
    (found,) = rank(TRUTH[:3] + TRUTH[4:], seen=[*SEEN, *again])
    assert (found.kind, found.score) == ("no-label", 0.9)


def test_clean_labels_give_nothing():
    assert rank(TRUTH) == []


def test_a_weak_model_does_not_accuse_labels_it_cannot_see():
    assert rank(TRUTH, seen=SEEN[:1]) == []


def test_what_lies_in_an_ignored_region_needs_no_label():
    region = (0, (290.0, 40.0, 360.0, 90.0))
    items = [*TRUTH[:3], *TRUTH[4:], region]
    assert rank(items, ignored=[False] * 9 + [True]) == []


def test_unsure_predictions_do_not_accuse():
    assert rank(TRUTH[:3] + TRUTH[4:], seen=[(index, box, 0.4) for index, box, _ in SEEN]) == []


def test_the_surer_model_comes_first_and_photos_without_prediction_are_left_out():
    seen = [(index, box, 0.95 if index == 0 else 0.6) for index, box, _ in SEEN]
    found = rank_disagreements(
        {"a": labels(TRUTH[2:]), "b": labels(TRUTH[2:])}, {"a": predicted(seen)}, classes=CLASSES
    )
    assert [(one.photo, one.predicted, one.score) for one in found] == [("a", "car", 0.95), ("a", "boat", 0.6)]
    assert found[0].as_dict()["xyxy_px"] == [0.0, 50.0, 40.0, 80.0]
