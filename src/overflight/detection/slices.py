"""Accuracy by class, flight and size of object, each with its bootstrap interval and its counts.

A slice says where a model is weak; without its interval it says less than it seems to, because slices are small. By
class: AP at IoU 0.50. By flight: mAP at IoU 0.50, photographs drawn within the flight. By size: the share of objects
found at IoU 0.50 by detections with the score that serving uses (precision has no size: a wrong detection belongs to no
object). Sizes are COCO's: the side of the square of equal area, in pixels of the photograph as it was taken. It does
not know models or files.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from overflight.detection.matching import Bools, ClassMatches, Floats, Matches, overlap_xywh
from overflight.detection.statistics import average_precision, interval, mean_average_precision, resample_unit

SIZE_EDGES_PX = (32.0, 96.0)  # COCO's small, medium and large
_IOU = 0.5

Figure = Callable[[Floats], Floats]
Slices = dict[str, dict[str, dict[str, float]]]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are made: number of resamples, confidence (0..1) and seed."""

    resamples: int
    confidence: float
    seed: int


def slices(
    matches: Matches,
    truth: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    *,
    bootstrap: Bootstrap,
    score: float,
    max_detections: int,
) -> Slices:
    """``class``, ``flight`` and ``size``, an entry per slice: photos, boxes, and where there are any value, low, high.

    Args:
        matches: Of ``predictions`` with ``truth``.
        truth: COCO document.
        predictions: COCO results.
        bootstrap: Of the intervals.
        score: Score from which on a detection counts by size.
        max_detections: Best detections kept per photograph and class.
    """
    found: Slices = {"class": {}, "flight": {}, "size": {}}
    for one in matches.classes:
        entry = {"photos": int((one.objects > 0).sum()), "boxes": int(one.objects.sum())}
        found["class"][one.name] = entry | _figure(_ap50_of(one), matches, bootstrap)
    for name in sorted(set(matches.flights)):
        part = _within(matches, np.array([flight == name for flight in matches.flights]))
        boxes = sum(int(one.objects.sum()) for one in part.classes)
        entry = {"photos": len(part.photo_ids), "boxes": boxes}
        found["flight"][name] = entry | _figure(_map50_of(part), part, bootstrap)
    objects, hits = _by_size(matches, truth, predictions, score=score, max_detections=max_detections)
    for row, name in enumerate(size_names()):
        entry = {"photos": int((objects[row] > 0).sum()), "boxes": int(objects[row].sum())}
        found["size"][name] = entry | _figure(_share(hits[row], objects[row]), matches, bootstrap)
    return found


def size_names() -> tuple[str, ...]:
    """Names of the bands of size, the smallest first."""
    low, high = SIZE_EDGES_PX
    return (f"small (< {low:g} px)", f"medium ({low:g} to {high:g} px)", f"large (> {high:g} px)")


def _figure(figure: Figure, matches: Matches, bootstrap: Bootstrap) -> dict[str, float]:
    value = float(figure(np.ones((1, len(matches.photo_ids))))[0])
    if not np.isfinite(value):
        return {}
    entry = {"value": value}
    if not resample_unit(matches):
        return entry
    bounds = interval(
        figure, matches, resamples=bootstrap.resamples, confidence=bootstrap.confidence, seed=bootstrap.seed
    )
    return entry if bounds is None else entry | {"low": bounds.low, "high": bounds.high}


def _ap50_of(one: ClassMatches) -> Figure:
    first = ClassMatches(
        one.name, one.scores, one.photo, one.hit[:, :1], one.objects, None if one.void is None else one.void[:, :1]
    )
    return lambda weights: average_precision(first, weights)[:, 0]


def _map50_of(matches: Matches) -> Figure:
    return lambda weights: mean_average_precision(matches, weights, thresholds=slice(0, 1))


def _share(hits: Floats, objects: Floats) -> Figure:
    def figure(weights: Floats) -> Floats:
        there = weights @ objects
        return np.asarray(np.divide(weights @ hits, there, out=np.full(len(weights), np.nan), where=there > 0))

    return figure


def _within(matches: Matches, photos: Bools) -> Matches:
    """The part of ``matches`` on the photographs (P,) chosen."""
    place = np.cumsum(photos) - 1
    classes = []
    for one in matches.classes:
        rows = photos[one.photo]
        void = None if one.void is None else one.void[rows]
        classes.append(
            ClassMatches(one.name, one.scores[rows], place[one.photo[rows]], one.hit[rows], one.objects[photos], void)
        )
    chosen = np.flatnonzero(photos).tolist()
    ids = tuple(matches.photo_ids[index] for index in chosen)
    return Matches(tuple(classes), ids, tuple(matches.flights[index] for index in chosen), matches.thresholds)


def _by_size(
    matches: Matches,
    truth: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    *,
    score: float,
    max_detections: int,
) -> tuple[Floats, Floats]:
    """Objects and found objects (S, P) by band of size and photograph."""
    index = {image_id: place for place, image_id in enumerate(matches.photo_ids)}
    groups: dict[tuple[int, int], tuple[list[Any], list[Any]]] = {}
    for annotation in truth["annotations"]:
        if not annotation.get("iscrowd"):
            key = index[int(annotation["image_id"])], int(annotation["category_id"])
            groups.setdefault(key, ([], []))[0].append(annotation["bbox"])
    for found in sorted(predictions, key=lambda one: -float(one["score"])):
        key = index[int(found["image_id"])], int(found["category_id"])
        if float(found["score"]) >= score and key in groups:
            groups[key][1].append(found["bbox"])
    objects = np.zeros((len(SIZE_EDGES_PX) + 1, len(matches.photo_ids)))
    hits = np.zeros_like(objects)
    for (photo, _), (there, shown) in groups.items():
        boxes = np.asarray(there, dtype=np.float64).reshape(-1, 4)
        band = np.digitize(np.sqrt(boxes[:, 2] * boxes[:, 3]), SIZE_EDGES_PX)
        taken = _taken(overlap_xywh(np.asarray(shown[:max_detections], dtype=np.float64).reshape(-1, 4), boxes))
        np.add.at(objects[:, photo], band, 1)
        np.add.at(hits[:, photo], band[taken], 1)
    return objects, hits


def _taken(overlap: Floats) -> Bools:
    """(G,) objects found by detections (D, G), best score first, by the rule of ``matching.greedy`` at IoU 0.50."""
    taken = np.zeros(overlap.shape[1], dtype=np.bool_)
    last = overlap.shape[1] - 1
    for row in overlap:
        free = np.where(taken, -1.0, row)
        best = last - int(free[::-1].argmax())
        if free[best] >= _IOU:
            taken[best] = True
    return taken
