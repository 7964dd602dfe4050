"""Accuracy from two files: what is in the photographs, and what a model found.

COCO's figures (AP at IoU 0.50 and 0.50:0.95, 101 points, at most 100 detections per photograph and class) with
bootstrap intervals, also by class, flight and size of object (``slices``). A figure that cannot be computed is absent.
It does not know models or pixels.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from overflight.detection.matching import Floats, Matches, match
from overflight.detection.slices import Bootstrap, slices
from overflight.detection.statistics import (
    average_precision,
    interval,
    mean_average_precision,
    precision_recall,
    resample_unit,
)
from overflight.errors import InputError

SCHEMA = "overflight.evaluation/1"


def evaluate_files(
    truth: Path,
    predictions: Path,
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    score_threshold: float = 0.25,
    max_detections: int = 100,
) -> dict[str, Any]:
    """Evaluation document (schema ``overflight.evaluation/1``) of a COCO truth file and a COCO results file.

    Args:
        truth: ``truth.json``: COCO with a ``flight`` per image.
        predictions: ``predictions.json``: COCO results.
        confidence: Of the intervals, 0..1.
        resamples: Of the bootstrap.
        seed: Of the bootstrap.
        score_threshold: Score from which on a detection counts for precision and recall.
        max_detections: Best detections kept per photograph and class.

    Raises:
        InputError: a file is missing, is not JSON, or holds boxes that cannot be used.
    """
    return evaluate(
        _read(truth),
        _read(predictions),
        confidence=confidence,
        resamples=resamples,
        seed=seed,
        score_threshold=score_threshold,
        max_detections=max_detections,
    )


def evaluate(
    truth: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    *,
    confidence: float = 0.95,
    resamples: int = 1000,
    seed: int = 0,
    score_threshold: float = 0.25,
    max_detections: int = 100,
) -> dict[str, Any]:
    """Evaluation document of a truth and predictions in memory; see :func:`evaluate_files`."""
    matches = match(truth, predictions, max_detections=max_detections)
    unit = resample_unit(matches)
    figures: dict[str, Callable[[Floats], Floats]] = {
        "map50": lambda weights: mean_average_precision(matches, weights, thresholds=slice(0, 1)),
        "map50_95": lambda weights: mean_average_precision(matches, weights),
        "precision": lambda weights: precision_recall(matches, weights, score=score_threshold)[0],
        "recall": lambda weights: precision_recall(matches, weights, score=score_threshold)[1],
    }
    metrics: dict[str, dict[str, float]] = {}
    for name, figure in figures.items():
        value = float(figure(np.ones((1, len(matches.photo_ids))))[0])
        if not np.isfinite(value):
            continue
        metrics[name] = {"value": value}
        bounds = interval(figure, matches, resamples=resamples, confidence=confidence, seed=seed)
        if bounds is not None:
            metrics[name] |= {"low": bounds.low, "high": bounds.high, "confidence": confidence}
    bootstrap = Bootstrap(resamples, confidence, seed)
    return {
        "schema": SCHEMA,
        "metrics": metrics,
        "slices": slices(
            matches,
            truth,
            predictions,
            bootstrap=bootstrap,
            score=score_threshold,
            max_detections=max_detections,
        ),
        "per_class": _per_class(matches),
        "per_flight": _per_flight(matches),
        "photos": len(matches.photo_ids),
        "boxes": sum(int(one.objects.sum()) for one in matches.classes),
        "score_threshold": score_threshold,
        "protocol": (
            f"COCO, 101-point AP over IoU 0.50:0.05:0.95, at most {max_detections} detections per photo and class; "
            f"precision and recall over all classes at IoU 0.50 of detections with a score >= {score_threshold:g}"
        ),
        "bootstrap": {"resamples": resamples if unit else 0, "unit": unit or "none (one photo)", "seed": seed},
    }


def _per_class(matches: Matches) -> dict[str, dict[str, float]]:
    everything = np.ones((1, len(matches.photo_ids)))
    result: dict[str, dict[str, float]] = {}
    for one in matches.classes:
        precision = average_precision(one, everything)[0]
        entry: dict[str, float] = {"boxes": int(one.objects.sum())}
        if np.isfinite(precision).all():
            entry |= {"ap50": float(precision[0]), "ap50_95": float(precision.mean())}
        result[one.name] = entry
    return result


def _per_flight(matches: Matches) -> dict[str, dict[str, float]]:
    flights = sorted(set(matches.flights))
    if not flights:
        return {}
    weights = np.array([[float(flight == name) for flight in matches.flights] for name in flights])
    values = mean_average_precision(matches, weights, thresholds=slice(0, 1))
    boxes = np.sum([weights @ one.objects for one in matches.classes], axis=0)
    result: dict[str, dict[str, float]] = {}
    for row, name in enumerate(flights):
        entry: dict[str, float] = {"photos": int(weights[row].sum()), "boxes": int(boxes[row])}
        if np.isfinite(values[row]):
            entry["map50"] = float(values[row])
        result[name] = entry
    return result


def _read(path: Path) -> Any:
    try:
        return json.loads(path.read_text())
    except FileNotFoundError as error:
        raise InputError("there is no such file", where=str(path), cure="Run the step that writes it") from error
    except ValueError as error:
        raise InputError(f"is not valid JSON ({error})", where=str(path), cure="Run the step that writes it") from error
