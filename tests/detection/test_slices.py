"""Accuracy by slice: values that can be counted by hand, counts that add up, intervals that respect small numbers."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_evaluate import scene

from overflight.detection.evaluate import evaluate
from overflight.detection.slices import size_names

SMALL, MEDIUM, LARGE = size_names()


def document(boxes, found, *, flights=("a", "a", "b")):
    """Three photographs; ``boxes`` and ``found`` are (photo, class, side px, score) of squares at their own place."""
    truth = {
        "images": [{"id": i, "width": 2000, "height": 2000, "flight": f} for i, f in enumerate(flights)],
        "categories": [{"id": 0, "name": "car"}, {"id": 1, "name": "bus"}],
        "annotations": [
            {"id": n, "image_id": p, "category_id": c, "bbox": [x, 0, side, side], "area": side**2, "iscrowd": 0}
            for n, (p, c, side, x) in enumerate(boxes, start=1)
        ],
    }
    predictions = [
        {"image_id": p, "category_id": c, "bbox": [x, 0, side, side], "score": score} for p, c, side, x, score in found
    ]
    return evaluate(truth, predictions, resamples=50)["slices"]


def test_share_found_by_size_is_what_one_counts():
    boxes = [(0, 0, 10, 0), (0, 0, 20, 100), (1, 1, 50, 0), (2, 0, 200, 0)]
    found = [(0, 0, 10, 0, 0.9), (1, 0, 50, 0, 0.9), (2, 0, 200, 0, 0.1)]  # one of another class, one too unsure
    size = document(boxes, found)["size"]
    assert (size[SMALL]["value"], size[SMALL]["boxes"], size[SMALL]["photos"]) == (0.5, 2, 1)
    assert size[MEDIUM]["value"] == 0
    assert size[LARGE]["value"] == 0


def test_what_is_not_there_has_counts_and_no_value():
    found = document([(0, 0, 50, 0)], [(0, 0, 50, 0, 0.9)])
    assert found["class"]["bus"] == {"photos": 0, "boxes": 0}
    assert found["size"][SMALL] == {"photos": 0, "boxes": 0}
    assert found["flight"]["b"] == {"photos": 1, "boxes": 0}


def test_a_flight_of_one_photograph_has_no_interval():
    found = document([(0, 0, 50, 0), (1, 0, 50, 0), (2, 0, 50, 0)], [(p, 0, 50, 0, 0.9) for p in range(3)])
    assert found["flight"]["b"] == {"photos": 1, "boxes": 1, "value": pytest.approx(1.0)}
    assert {"low", "high"} <= found["flight"]["a"].keys()


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_slices_agree_with_the_whole(seed):
    truth, predictions = scene(seed, photos=6, classes=2, objects=5, extra=2, flights=3)
    whole = evaluate(truth, predictions, resamples=20)
    parts = whole["slices"]
    for kind in parts.values():
        assert sum(entry["boxes"] for entry in kind.values()) == whole["boxes"]
        for entry in kind.values():
            assert "low" not in entry or 0 <= entry["low"] <= entry["high"] <= 1
    for name, entry in whole["per_class"].items():
        assert parts["class"][name].get("value") == pytest.approx(entry.get("ap50"))
    for name, entry in whole["per_flight"].items():
        assert parts["flight"][name].get("value") == pytest.approx(entry.get("map50"))
    if "recall" in whole["metrics"]:
        hits = sum(entry["boxes"] * entry.get("value", 0) for entry in parts["size"].values())
        assert hits == pytest.approx(whole["metrics"]["recall"]["value"] * whole["boxes"])
