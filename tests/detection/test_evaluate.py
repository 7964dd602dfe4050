"""COCO figures: equal to pycocotools, absent where there is nothing to compute, with intervals that respect flights."""

from __future__ import annotations

import contextlib
import io
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.detection.evaluate import evaluate, evaluate_files
from overflight.detection.matching import match
from overflight.detection.statistics import best_score, mean_average_precision
from overflight.errors import InputError


def scene(seed: int, *, photos: int, classes: int, objects: int, extra: int, flights: int = 2, ties: bool = False):
    """Random truth and predictions: most detections are shifted objects, some are wrong, scores may tie."""
    rng = np.random.default_rng(seed)
    truth: dict[str, Any] = {
        "images": [{"id": i, "width": 640, "height": 480, "flight": f"f{i % flights}"} for i in range(photos)],
        "categories": [{"id": c, "name": f"class{c}"} for c in range(classes)],
        "annotations": [],
    }
    predictions: list[dict[str, Any]] = []

    def score() -> float:
        return float(rng.integers(1, 5) / 5 if ties else rng.random())

    for photo in range(photos):
        for _ in range(rng.integers(0, objects + 1)):
            box = np.concatenate([rng.uniform(0, 400, 2), rng.uniform(4, 90, 2)])
            category = int(rng.integers(classes))
            truth["annotations"].append(
                {"id": len(truth["annotations"]) + 1, "image_id": photo, "category_id": category}
                | {"bbox": box.tolist(), "area": float(box[2] * box[3]), "iscrowd": 0}
            )
            for _ in range(rng.integers(0, 3)):
                moved = box + rng.normal(0, 4, 4)
                moved[2:] = np.maximum(moved[2:], 1)
                category = category if rng.random() < 0.9 else int(rng.integers(classes))
                predictions.append(
                    {"image_id": photo, "category_id": category, "bbox": moved.tolist(), "score": score()}
                )
        for _ in range(rng.integers(0, extra + 1)):
            box = np.concatenate([rng.uniform(0, 400, 2), rng.uniform(4, 90, 2)])
            predictions.append(
                {"image_id": photo, "category_id": int(rng.integers(classes)), "bbox": box.tolist(), "score": score()}
            )
    return truth, predictions


def by_pycocotools(truth, predictions, *, max_detections: int = 100) -> tuple[float, float]:
    """mAP50-95 and mAP50 of the reference implementation."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = json.loads(json.dumps(truth))
        coco.createIndex()
        run = COCOeval(coco, coco.loadRes(json.loads(json.dumps(predictions))), "bbox")
        run.params.maxDets = [max_detections] * 3
        run.evaluate()
        run.accumulate()
    precision = run.eval["precision"][:, :, :, 0, -1]
    return float(precision[precision > -1].mean()), float(precision[0][precision[0] > -1].mean())


class TestAgreesWithPycocotools:
    @given(seed=st.integers(0, 10**6), classes=st.integers(1, 3), objects=st.integers(1, 6), ties=st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_on_random_scenes(self, seed, classes, objects, ties):
        truth, predictions = scene(seed, photos=5, classes=classes, objects=objects, extra=3, ties=ties)
        if not truth["annotations"] or not predictions:
            return
        metrics = evaluate(truth, predictions, resamples=1)["metrics"]
        map50_95, map50 = by_pycocotools(truth, predictions)
        assert metrics["map50_95"]["value"] == pytest.approx(map50_95, abs=1e-6)
        assert metrics["map50"]["value"] == pytest.approx(map50, abs=1e-6)

    @pytest.mark.parametrize("limit", [1, 5, 500])
    def test_for_other_limits_of_detections(self, limit):
        truth, predictions = scene(3, photos=4, classes=2, objects=40, extra=40)
        metrics = evaluate(truth, predictions, resamples=1, max_detections=limit)["metrics"]
        map50_95, _ = by_pycocotools(truth, predictions, max_detections=limit)
        assert metrics["map50_95"]["value"] == pytest.approx(map50_95, abs=1e-6)

    @given(seed=st.integers(0, 10**6), share=st.sampled_from([0.2, 0.6]), limit=st.sampled_from([3, 100]))
    @settings(max_examples=40, deadline=None)
    def test_with_crowd_regions(self, seed, share, limit):
        """Detections in a crowd count as neither right nor wrong, objects go first, a crowd takes any number."""
        truth, predictions = scene(seed, photos=4, classes=2, objects=8, extra=4)
        draw = np.random.default_rng(seed)
        for annotation in truth["annotations"]:
            if draw.random() < share:
                annotation["iscrowd"] = 1
                annotation["bbox"][2:] = [side * 2 for side in annotation["bbox"][2:]]
                annotation["area"] *= 4
        if all(annotation["iscrowd"] for annotation in truth["annotations"]) or not predictions:
            return
        metrics = evaluate(truth, predictions, resamples=1, max_detections=limit)["metrics"]
        map50_95, map50 = by_pycocotools(truth, predictions, max_detections=limit)
        assert metrics["map50_95"]["value"] == pytest.approx(map50_95, abs=1e-6)
        assert metrics["map50"]["value"] == pytest.approx(map50, abs=1e-6)

    def test_when_a_photograph_counts_twice(self):
        truth, predictions = scene(5, photos=4, classes=2, objects=8, extra=6)
        twice = truth | {
            "images": truth["images"] + [truth["images"][1] | {"id": 99}],
            "annotations": truth["annotations"]
            + [a | {"image_id": 99, "id": a["id"] + 1000} for a in truth["annotations"] if a["image_id"] == 1],
        }
        more = predictions + [p | {"image_id": 99} for p in predictions if p["image_id"] == 1]
        weighted = mean_average_precision(match(truth, predictions), np.array([[1.0, 2.0, 1.0, 1.0]]))
        assert weighted[0] == pytest.approx(by_pycocotools(twice, more)[0], abs=1e-6)


class TestAbsence:
    def test_no_detections_give_zero_recall_and_no_precision(self):
        truth, _ = scene(1, photos=3, classes=2, objects=5, extra=0)
        metrics = evaluate(truth, [], resamples=10)["metrics"]
        assert metrics["map50"]["value"] == 0
        assert metrics["recall"]["value"] == 0
        assert "precision" not in metrics

    def test_no_objects_give_no_average_precision(self):
        truth, predictions = scene(1, photos=3, classes=2, objects=5, extra=2)
        document = evaluate(truth | {"annotations": []}, predictions, resamples=10)
        assert {"map50", "map50_95", "recall"}.isdisjoint(document["metrics"])
        assert all(entry == {"boxes": 0} for entry in document["per_class"].values())

    def test_class_without_objects_has_no_figure_and_does_not_count(self):
        truth, predictions = scene(2, photos=3, classes=1, objects=5, extra=2)
        document = evaluate(truth | {"categories": truth["categories"] + [{"id": 7, "name": "boat"}]}, predictions)
        assert document["per_class"]["boat"] == {"boxes": 0}
        assert document["metrics"]["map50"]["value"] == document["per_class"]["class0"]["ap50"]

    def test_document_is_json_without_nan(self):
        truth, predictions = scene(2, photos=3, classes=2, objects=5, extra=2)
        json.dumps(evaluate(truth | {"annotations": []}, predictions), allow_nan=False)


def test_precision_leaves_out_what_lies_in_a_crowd_region():
    truth, _ = scene(1, photos=1, classes=1, objects=0, extra=0)
    truth["annotations"] = [
        {"id": 1, "image_id": 0, "category_id": 0, "bbox": [0, 0, 10, 10], "area": 100, "iscrowd": 0},
        {"id": 2, "image_id": 0, "category_id": 0, "bbox": [100, 100, 200, 200], "area": 40000, "iscrowd": 1},
    ]
    boxes = [[0, 0, 10, 10], [110, 110, 20, 20], [150, 110, 20, 20], [400, 0, 10, 10]]
    predictions = [{"image_id": 0, "category_id": 0, "bbox": box, "score": 0.9} for box in boxes]
    document = evaluate(truth, predictions, resamples=1)
    assert document["metrics"]["precision"]["value"] == 0.5
    assert document["metrics"]["recall"]["value"] == 1
    assert document["boxes"] == 1


class TestInterval:
    def test_holds_the_value_and_repeats_with_the_seed(self):
        truth, predictions = scene(8, photos=24, classes=3, objects=8, extra=4, flights=6)
        first = evaluate(truth, predictions, resamples=300, seed=4)
        again = evaluate(truth, predictions, resamples=300, seed=4)
        other = evaluate(truth, predictions, resamples=300, seed=5)
        for entry in first["metrics"].values():
            assert entry["low"] <= entry["value"] <= entry["high"]
        assert first == again
        assert first["metrics"]["map50"]["low"] != other["metrics"]["map50"]["low"]
        assert first["bootstrap"] == {"resamples": 300, "unit": "flight, then photo", "seed": 4}

    def test_is_wider_when_flights_differ(self):
        truth, predictions = scene(8, photos=40, classes=1, objects=8, extra=2, flights=4)
        blind = [p for p in predictions if p["image_id"] % 4 != 0]  # one flight where nothing is found
        whole = truth | {"images": [image | {"flight": f"own{image['id']}"} for image in truth["images"]]}

        def width(document: dict[str, Any]) -> float:
            entry = document["metrics"]["map50"]
            return entry["high"] - entry["low"]

        assert width(evaluate(truth, blind, resamples=400)) > 1.5 * width(evaluate(whole, blind, resamples=400))

    def test_says_when_there_is_one_flight(self):
        truth, predictions = scene(8, photos=6, classes=1, objects=8, extra=2, flights=1)
        document = evaluate(truth, predictions, resamples=50)
        assert document["bootstrap"]["unit"] == "photo (there is only one flight)"
        assert document["metrics"]["map50"]["high"] > document["metrics"]["map50"]["low"]

    def test_is_absent_for_one_photograph(self):
        truth, predictions = scene(8, photos=1, classes=1, objects=8, extra=2, flights=1)
        document = evaluate(truth, predictions, resamples=50)
        assert "low" not in document["metrics"]["map50"]
        assert document["bootstrap"]["resamples"] == 0


class TestBreakdown:
    def test_flight_figure_equals_the_flight_alone(self):
        truth, predictions = scene(9, photos=8, classes=2, objects=8, extra=3, flights=2)
        document = evaluate(truth, predictions, resamples=1)
        own = {image["id"] for image in truth["images"] if image["flight"] == "f1"}
        alone = truth | {
            "images": [image for image in truth["images"] if image["id"] in own],
            "annotations": [a for a in truth["annotations"] if a["image_id"] in own],
        }
        expected = evaluate(alone, [p for p in predictions if p["image_id"] in own], resamples=1)
        assert document["per_flight"]["f1"]["map50"] == pytest.approx(expected["metrics"]["map50"]["value"])
        assert document["per_flight"]["f1"]["boxes"] == expected["boxes"]

    def test_best_score_is_where_f1_is_highest(self):
        truth, predictions = scene(9, photos=8, classes=2, objects=8, extra=3)
        matches = match(truth, predictions)

        def f1(score: float) -> float:
            metrics = evaluate(truth, predictions, resamples=1, score_threshold=score)["metrics"]
            p, r = (metrics.get(name, {"value": 0.0})["value"] for name in ("precision", "recall"))
            return 2 * p * r / (p + r) if p + r else 0.0

        best = best_score(matches, default=0.25)
        assert f1(best) == pytest.approx(max(f1(p["score"]) for p in predictions))
        assert best_score(match(truth, []), default=0.25) == 0.25


def _broken(**change: Any) -> list[dict[str, Any]]:
    return [{"image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4], "score": 0.5} | change]


@pytest.mark.parametrize(
    ("predictions", "says"),
    [
        pytest.param(_broken(image_id=77), "photograph", id="unknown photograph"),
        pytest.param(_broken(category_id=9), "unknown class id 9", id="unknown class"),
        pytest.param(_broken(bbox=[1, 2, 3]), "four numbers", id="three numbers"),
        pytest.param(_broken(bbox=[1, 2, float("nan"), 4]), "finite", id="NaN"),
        pytest.param([{"image_id": 0, "category_id": 0, "bbox": [1, 2, 3, 4]}], "score", id="no score"),
    ],
)
def test_unusable_predictions_are_refused(predictions, says):
    truth, _ = scene(1, photos=2, classes=1, objects=3, extra=0)
    with pytest.raises(InputError, match=says):
        evaluate(truth, predictions)


def test_files_that_cannot_be_read_say_which(tmp_path):
    (tmp_path / "truth.json").write_text("{")
    with pytest.raises(InputError, match="not valid JSON"):
        evaluate_files(tmp_path / "truth.json", tmp_path / "none.json")
    (tmp_path / "truth.json").write_text(json.dumps(scene(1, photos=1, classes=1, objects=1, extra=0)[0]))
    with pytest.raises(InputError, match=r"none\.json: there is no such file"):
        evaluate_files(tmp_path / "truth.json", tmp_path / "none.json")
