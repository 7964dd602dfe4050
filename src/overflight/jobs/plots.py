"""Plots of an evaluation: precision over recall per class, and the confusion matrix, each with its numbers as JSON.

matplotlib is imported when the first plot is drawn. Does not compute averages; those are in ``evaluation.json``.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.detection.matching import match
from overflight.files import write_json
from overflight.imaging.boxes import area, intersection, iou

IOU = 0.5
CURVE_POINTS = 500
_DPI = 110


def write_plots(
    truth: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    folder: Path,
    *,
    score_threshold: float,
    cache: Path,
) -> None:
    """Write ``curves.{json,png}`` and ``confusion.{json,png}``.

    Args:
        truth: COCO document.
        predictions: COCO results.
        folder: Where the files go.
        score_threshold: Lowest score (0..1) that counts in the confusion matrix.
        cache: Folder for matplotlib's font cache.
    """
    folder.mkdir(parents=True, exist_ok=True)
    curves = precision_recall_curves(truth, predictions)
    names = [str(one["name"]) for one in sorted(truth["categories"], key=lambda one: int(one["id"]))]
    matrix = confusion_matrix(truth, predictions, score_threshold=score_threshold)
    write_json(folder / "curves.json", {"schema": "overflight.curves/1", "iou": IOU, "curves": curves})
    write_json(
        folder / "confusion.json",
        {
            "schema": "overflight.confusion/1",
            "iou": IOU,
            "score_threshold": score_threshold,
            "rows_truth": [*names, "background"],
            "columns_found": [*names, "missed"],
            "counts": matrix.tolist(),
        },
    )
    os.environ.setdefault("MPLCONFIGDIR", str(cache / "matplotlib"))
    _draw_curves(curves, folder / "curves.png")
    _draw_confusion(matrix, names, folder / "confusion.png", score_threshold=score_threshold)


def precision_recall_curves(
    truth: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]]
) -> dict[str, dict[str, list[float]]]:
    """Per class with objects: ``recall``, ``precision`` and ``score``, best score first, at most ``CURVE_POINTS``."""
    result: dict[str, dict[str, list[float]]] = {}
    for one in match(truth, predictions).classes:
        objects = int(one.objects.sum())
        if not objects:
            continue
        counted = np.ones(len(one.scores), dtype=np.bool_) if one.void is None else ~one.void[:, 0]
        hits = np.cumsum(one.hit[counted, 0])
        points = np.unique(np.linspace(0, len(hits) - 1, min(CURVE_POINTS, len(hits))).astype(int))
        result[one.name] = {
            "recall": np.round(hits[points] / objects, 5).tolist(),
            "precision": np.round(hits[points] / (points + 1), 5).tolist(),
            "score": np.round(one.scores[counted][points], 5).tolist(),
        }
    return result


def confusion_matrix(
    truth: Mapping[str, Any], predictions: Sequence[Mapping[str, Any]], *, score_threshold: float
) -> NDArray[np.int64]:
    """Counts (C + 1, C + 1): row = class of the object (last: none), column = class found (last: missed).

    Within a photo detections take, best score first, the free object of any class that they overlap most, if the
    intersection over union reaches ``IOU``. Others that lie at least to ``IOU`` in a crowd region are left out.
    """
    ids = sorted(int(one["id"]) for one in truth["categories"])
    index = {category: position for position, category in enumerate(ids)}
    none = len(ids)
    matrix = np.zeros((none + 1, none + 1), dtype=np.int64)
    objects = _by_photo([one for one in truth["annotations"] if not one.get("iscrowd")])
    crowds = _by_photo([one for one in truth["annotations"] if one.get("iscrowd")])
    found = _by_photo(predictions)
    for photo in sorted(objects.keys() | found.keys()):
        there = objects[photo]
        shown = sorted(
            (one for one in found[photo] if one["score"] >= score_threshold), key=lambda one: -float(one["score"])
        )
        overlap = iou(_xyxy(shown), _xyxy(there))
        free = np.ones(len(there), dtype=bool)
        void = _in_crowd(_xyxy(shown), _xyxy(crowds[photo]))
        for row, one, in_crowd in zip(overlap, shown, void, strict=True):
            candidates = np.where(free, row, -1.0)
            best = int(candidates.argmax()) if len(there) else -1
            hit = best >= 0 and candidates[best] >= IOU
            if not hit and in_crowd:
                continue
            matrix[index[int(there[best]["category_id"])] if hit else none, index[int(one["category_id"])]] += 1
            if hit:
                free[best] = False
        for one in (there[position] for position in np.flatnonzero(free)):
            matrix[index[int(one["category_id"])], none] += 1
    return matrix


def _in_crowd(boxes: NDArray[np.float64], regions: NDArray[np.float64]) -> NDArray[np.bool_]:
    """(N,) a region covers at least ``IOU`` of the box; boxes (N, 4), regions (M, 4)."""
    covered = intersection(boxes, regions).max(axis=1, initial=0)
    return np.asarray((covered > 0) & (covered >= IOU * area(boxes)))


def _by_photo(boxes: Sequence[Mapping[str, Any]]) -> defaultdict[int, list[Mapping[str, Any]]]:
    result: defaultdict[int, list[Mapping[str, Any]]] = defaultdict(list)
    for one in boxes:
        result[int(one["image_id"])].append(one)
    return result


def _xyxy(boxes: Sequence[Mapping[str, Any]]) -> NDArray[np.float64]:
    xywh = np.array([one["bbox"] for one in boxes], dtype=np.float64).reshape(-1, 4)
    return np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)


def _draw_curves(curves: Mapping[str, Mapping[str, Sequence[float]]], path: Path) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    for name, curve in curves.items():
        axes.plot([0, *curve["recall"]], [1, *curve["precision"]], label=name, linewidth=1.6)
    axes.set(xlim=(0, 1), ylim=(0, 1.02), xlabel="recall", ylabel="precision", title=f"Held-out flights, IoU {IOU:g}")
    axes.grid(alpha=0.3)
    if curves:
        axes.legend(loc="lower left", fontsize=8)
    figure.savefig(path)


def _draw_confusion(matrix: NDArray[np.int64], names: Sequence[str], path: Path, *, score_threshold: float) -> None:
    from matplotlib.figure import Figure

    side = 2.5 + 0.6 * len(matrix)
    figure = Figure(figsize=(side + 0.5, side), dpi=_DPI, layout="constrained")
    axes = figure.add_subplot()
    shares = matrix / np.maximum(matrix.sum(axis=1, keepdims=True), 1)
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(matrix))
    axes.set_xticks(ticks, [*names, "missed"], rotation=45, ha="right")
    axes.set_yticks(ticks, [*names, "background"])
    axes.set(xlabel="found", ylabel="truth", title=f"Objects, score from {score_threshold:g}, IoU {IOU:g}")
    for (row, column), count in np.ndenumerate(matrix):
        if count:
            axes.text(column, row, str(count), ha="center", va="center", fontsize=8,
                      color="white" if shares[row, column] > 0.5 else "black")  # fmt: skip
    figure.savefig(path)
