"""Which detection finds which object: COCO's greedy matching, class by class and photograph by photograph.

The result keeps everything that average precision, its interval and per-flight figures need, so matching runs once.
Same rules as pycocotools 2.0 (``COCOeval.evaluateImg``, area range "all"): detections in order of score take the best
free object whose overlap reaches the threshold; one without an object that lies in a crowd region (``iscrowd``) counts
as neither right nor wrong. It does not know files or averages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.errors import InputError

THRESHOLDS = np.linspace(0.5, 0.95, 10)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class ClassMatches:
    """Detections of one class over all photographs, best score first, and the objects there are to find.

    Attributes:
        name: Class name.
        scores: (N,) in 0..1, descending.
        photo: (N,) index of the photograph.
        hit: (N, T) the detection found an object at each IoU threshold.
        objects: (P,) objects per photograph, crowd regions left out.
        void: (N, T) the detection found no object and lies in a crowd region: it does not count; None without crowds.
    """

    name: str
    scores: Floats
    photo: Ints
    hit: Bools
    objects: Ints
    void: Bools | None = None


@dataclass(frozen=True)
class Matches:
    """Matches of a whole evaluation.

    Attributes:
        classes: One entry per class of the truth, in the order of their ids.
        photo_ids: (P,) image ids, ascending.
        flights: (P,) flight of each photograph.
        thresholds: (T,) IoU thresholds.
    """

    classes: tuple[ClassMatches, ...]
    photo_ids: tuple[int, ...]
    flights: tuple[str, ...]
    thresholds: Floats


@dataclass(frozen=True)
class _Table:
    """Boxes as columns, sorted by photograph (stable): one row per box."""

    photo: Ints
    category: Ints
    xywh_px: Floats
    value: Floats  # score of a detection; 0 for an object, 1 for a crowd region

    def of(self, category: int) -> _Table:
        return self.where(self.category == category)

    def where(self, rows: Bools) -> _Table:
        return _Table(self.photo[rows], self.category[rows], self.xywh_px[rows], self.value[rows])


def match(
    truth: Mapping[str, Any],
    predictions: Sequence[Mapping[str, Any]],
    *,
    thresholds: Floats = THRESHOLDS,
    max_detections: int = 100,
) -> Matches:
    """Match ``predictions`` with ``truth``.

    Args:
        truth: COCO document: ``images`` (id, flight), ``annotations`` (image_id, category_id, bbox xywh px) and
            ``categories``.
        predictions: COCO results: image_id, category_id, bbox xywh px, score.
        thresholds: IoU thresholds (T,), ascending.
        max_detections: Best detections kept per photograph and class.

    Raises:
        InputError: a box refers to an unknown photograph or class, or is not made of finite numbers.
    """
    images = sorted(truth["images"], key=lambda image: int(image["id"]))
    ids = tuple(int(image["id"]) for image in images)
    index = {image_id: position for position, image_id in enumerate(ids)}
    if len(index) != len(ids):
        raise InputError("two photographs have the same id", where="truth", cure="Prepare the data again")
    categories = sorted(truth["categories"], key=lambda category: int(category["id"]))
    known = {int(category["id"]) for category in categories}
    objects = _table(truth["annotations"], index, known, what="truth", value="iscrowd", default=0.0)
    found = _table(predictions, index, known, what="predictions", value="score", default=None)
    classes = tuple(
        _match_class(
            str(category["name"]),
            found.of(int(category["id"])),
            objects.of(int(category["id"])),
            photos=len(ids),
            thresholds=thresholds,
            max_detections=max_detections,
        )
        for category in categories
    )
    return Matches(classes, ids, tuple(str(image.get("flight", "")) for image in images), thresholds)


def _table(
    rows: Sequence[Mapping[str, Any]],
    index: Mapping[int, int],
    known: set[int],
    *,
    what: str,
    value: str,
    default: float | None,
) -> _Table:
    cure = "Write the file again with the step that made it"
    try:
        photo = np.array([index[int(row["image_id"])] for row in rows], dtype=np.int64)
        category = np.array([int(row["category_id"]) for row in rows], dtype=np.int64)
        boxes = np.array([row["bbox"] for row in rows], dtype=np.float64).reshape(-1, 4)
        values = np.array(
            [row[value] if default is None else row.get(value, default) for row in rows], dtype=np.float64
        )
    except KeyError as error:
        raise InputError(
            f"a box has no {error}, or refers to a photograph that does not exist", where=what, cure=cure
        ) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"a box is not made of four numbers ({error})", where=what, cure=cure) from error
    unknown = set(category.tolist()) - known
    if unknown:
        raise InputError(f"unknown class id {min(unknown)}", where=what, cure=cure)
    if not (np.isfinite(boxes).all() and np.isfinite(values).all()):
        raise InputError("a box or score is not a finite number", where=what, cure=cure)
    order = np.argsort(photo, kind="stable")
    return _Table(photo[order], category[order], boxes[order], values[order])


def _match_class(
    name: str, found: _Table, objects: _Table, *, photos: int, thresholds: Floats, max_detections: int
) -> ClassMatches:
    crowds, objects = objects.where(objects.value > 0), objects.where(objects.value <= 0)
    found_start, object_start, crowd_start = (
        np.searchsorted(table.photo, np.arange(photos + 1)) for table in (found, objects, crowds)
    )
    scores: list[Floats] = [np.zeros(0)]
    photo: list[Ints] = [np.zeros(0, dtype=np.int64)]
    hits: list[Bools] = [np.zeros((0, len(thresholds)), dtype=np.bool_)]
    voids: list[Bools] = [np.zeros((0, len(thresholds)), dtype=np.bool_)]
    for position in range(photos):
        mine = slice(found_start[position], found_start[position + 1])
        theirs = slice(object_start[position], object_start[position + 1])
        order = np.argsort(-found.value[mine], kind="stable")[:max_detections]
        overlap = overlap_xywh(found.xywh_px[mine][order], objects.xywh_px[theirs])
        scores.append(found.value[mine][order])
        photo.append(np.full(len(order), position, dtype=np.int64))
        hits.append(greedy(overlap, thresholds))
        regions = crowds.xywh_px[crowd_start[position] : crowd_start[position + 1]]
        voids.append(_in_crowd(found.xywh_px[mine][order], regions, thresholds) & ~hits[-1])
    all_scores = np.concatenate(scores)
    order = np.argsort(-all_scores, kind="stable")
    return ClassMatches(
        name=name,
        scores=all_scores[order],
        photo=np.concatenate(photo)[order],
        hit=np.concatenate(hits)[order],
        objects=np.bincount(objects.photo, minlength=photos).astype(np.int64),
        void=np.concatenate(voids)[order] if len(crowds.photo) else None,
    )


def greedy(overlap: Floats, thresholds: Floats) -> Bools:
    """Hits (D, T) of the detections of one class in one photograph.

    Args:
        overlap: (D, G) intersection over union of detections, best score first, and objects.
        thresholds: (T,) ascending.
    """
    hit = np.zeros((len(overlap), len(thresholds)), dtype=np.bool_)
    if not overlap.size:
        return hit
    reach = np.minimum(thresholds, 1 - 1e-10)
    taken = np.zeros((len(thresholds), overlap.shape[1]), dtype=np.bool_)
    rows = np.arange(len(thresholds))
    last = overlap.shape[1] - 1
    for detection in np.flatnonzero(overlap.max(axis=1) >= reach[0]):
        free = np.where(taken, -1.0, overlap[detection])
        best = last - free[:, ::-1].argmax(axis=1)  # the last of equals, as in COCOeval
        found = free[rows, best] >= reach
        taken[rows[found], best[found]] = True
        hit[detection] = found
    return hit


def _in_crowd(boxes: Floats, regions: Floats, thresholds: Floats) -> Bools:
    """(D, T) whether a region covers at least each threshold's share of each box (D, 4)."""
    if not len(regions) or not len(boxes):
        return np.zeros((len(boxes), len(thresholds)), dtype=np.bool_)
    areas = (boxes[:, 2] * boxes[:, 3])[:, None]
    common = _common(boxes, regions)
    covered = np.divide(common, areas, out=np.zeros_like(common), where=areas > 0).max(axis=1)
    return np.asarray(covered[:, None] >= np.minimum(thresholds, 1 - 1e-10))


def overlap_xywh(a: Floats, b: Floats) -> Floats:
    """Intersection over union (N, M) of boxes (N, 4) and (M, 4) given as x, y, width, height; COCO's arithmetic."""
    common = _common(a, b)
    union = (a[:, 2] * a[:, 3])[:, None] + (b[:, 2] * b[:, 3])[None, :] - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def _common(a: Floats, b: Floats) -> Floats:
    """Areas (N, M) common to boxes (N, 4) and (M, 4)."""
    low = np.maximum(a[:, None, :2], b[None, :, :2])
    high = np.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
    sides = np.clip(high - low, 0, None)
    return np.asarray(sides[..., 0] * sides[..., 1])
