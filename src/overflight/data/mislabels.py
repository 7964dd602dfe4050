"""Which labels a model disagrees with most: a list for a person to look through, worst first.

Four kinds, after ObjectLab (Tkachenko, Thyagarajan and Mueller, arXiv:2309.00832): an object without a label, a label
on nothing, a wrong class, a badly drawn box. Suspicion is 0..1 and comparable between kinds only roughly. A label on
nothing counts as much as the model is reliable for that class (the share of its labels that it finds), because a weak
model misses most objects. A model that was trained on these labels has learned their errors: ask one that has not seen
the flight. It does not know models: predictions come in as boxes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.labels import PhotoLabels
from overflight.imaging.boxes import Boxes, iou

Kind = Literal["no-label", "no-object", "wrong-class", "badly-drawn"]
FOUND_IOU = 0.5
TOUCH_IOU = 0.1
MIN_SCORE = 0.5
MIN_SUSPICION = 0.3
_FEW = 5


@dataclass(frozen=True)
class Predicted:
    """Boxes of a model on one photograph: class ids (N,), corners (N, 4) in pixels, scores (N,) in 0..1."""

    class_ids: NDArray[np.int64]
    xyxy_px: Boxes
    scores: NDArray[np.float64]


@dataclass(frozen=True)
class Disagreement:
    """One place where label and model differ.

    Attributes:
        photo: Photo key.
        kind: See the module.
        suspicion: 0..1, larger first.
        box: Index of the label within its photograph, None for an object without a label.
        label: Class of the label, "" without one.
        predicted: Class that the model sees, "" when it sees nothing.
        score: Of the prediction, 0 without one.
        iou: Overlap of label and prediction, 0..1.
        xyxy_px: Where to look: the label's box, or the prediction's.
    """

    photo: str
    kind: Kind
    suspicion: float
    box: int | None
    label: str
    predicted: str
    score: float
    iou: float
    xyxy_px: tuple[float, float, float, float]

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {**self.__dict__, "xyxy_px": [round(value, 1) for value in self.xyxy_px]}


def rank_disagreements(
    labels: Mapping[str, PhotoLabels],
    predictions: Mapping[str, Predicted],
    *,
    classes: Sequence[str],
    min_score: float = MIN_SCORE,
    min_suspicion: float = MIN_SUSPICION,
) -> list[Disagreement]:
    """Disagreements of all photographs that have predictions, most suspicious first.

    Args:
        labels: By photo key; ignored regions hide what lies in them.
        predictions: By photo key, all boxes that the model gives, also unsure ones.
        classes: Names by index, of both.
        min_score: Predictions below it are not taken as a sign of a missing label or a wrong class.
        min_suspicion: Leave out what is below.
    """
    keys = [key for key in labels if key in predictions]
    reliability = _reliability([(labels[key], predictions[key]) for key in keys], classes=len(classes))
    found = [
        disagreement
        for key in keys
        for disagreement in _of_photo(
            key, labels[key], predictions[key], classes=classes, reliability=reliability, min_score=min_score
        )
        if disagreement.suspicion >= min_suspicion
    ]
    return sorted(found, key=lambda one: (-one.suspicion, one.photo, -1 if one.box is None else one.box))


def _reliability(pairs: Sequence[tuple[PhotoLabels, Predicted]], *, classes: int) -> NDArray[np.float64]:
    """Share of each class's labels (C,) that some prediction of the class covers; 0 for classes with few labels."""
    labelled, found = np.zeros(classes), np.zeros(classes)
    for label, predicted in pairs:
        kept = label if label.ignored is None else label.select(~label.ignored)
        same = kept.class_ids[:, None] == predicted.class_ids[None, :]
        hit = ((iou(kept.xyxy_px, predicted.xyxy_px) >= FOUND_IOU) & same).any(axis=1)
        labelled += np.bincount(kept.class_ids, minlength=classes)[:classes]
        found += np.bincount(kept.class_ids[hit], minlength=classes)[:classes]
    return np.where(labelled >= _FEW, found / np.maximum(labelled, 1), 0.0)


def _of_photo(
    key: str,
    labels: PhotoLabels,
    predicted: Predicted,
    *,
    classes: Sequence[str],
    reliability: NDArray[np.float64],
    min_score: float,
) -> Iterator[Disagreement]:
    overlap = iou(labels.xyxy_px, predicted.xyxy_px)
    ignored = np.zeros(len(labels), dtype=np.bool_) if labels.ignored is None else labels.ignored
    for index in np.flatnonzero(~ignored).tolist():
        found = _of_label(key, labels, index, predicted, overlap[index], classes=classes, reliability=reliability)
        if found is not None and (found.kind == "no-object" or found.score >= min_score):
            yield found
    touched = overlap.max(axis=0, initial=0.0) >= TOUCH_IOU
    hidden = _inside(predicted.xyxy_px, labels.xyxy_px[ignored])
    for index in _one_per_object(predicted, np.flatnonzero(~touched & ~hidden & (predicted.scores >= min_score))):
        score = float(predicted.scores[index])
        name = classes[int(predicted.class_ids[index])]
        place = _corners(predicted.xyxy_px[index])
        yield Disagreement(key, "no-label", score, None, "", name, score, 0.0, place)


def _of_label(
    key: str,
    labels: PhotoLabels,
    index: int,
    predicted: Predicted,
    overlap: NDArray[np.float64],
    *,
    classes: Sequence[str],
    reliability: NDArray[np.float64],
) -> Disagreement | None:
    class_id = int(labels.class_ids[index])
    same = predicted.class_ids == class_id
    place = _corners(labels.xyxy_px[index])
    name = classes[class_id]
    best_same = _best(overlap, predicted.scores, same & (overlap >= FOUND_IOU))
    other = _best(overlap, predicted.scores, ~same & (overlap >= FOUND_IOU))
    if other is not None and (best_same is None or predicted.scores[other] > predicted.scores[best_same]):
        score = float(predicted.scores[other])
        rival = 0.0 if best_same is None else float(predicted.scores[best_same])
        seen = classes[int(predicted.class_ids[other])]
        return Disagreement(
            key, "wrong-class", score * (1 - rival), index, name, seen, score, float(overlap[other]), place
        )
    if best_same is not None:
        return None
    near = _best(overlap, predicted.scores, same & (overlap >= TOUCH_IOU))
    if near is not None:
        score, share = float(predicted.scores[near]), float(overlap[near])
        return Disagreement(key, "badly-drawn", score * (1 - share), index, name, name, score, share, place)
    if (overlap >= TOUCH_IOU).any():
        return None  # something else is seen there, too unsure to name the fault
    return Disagreement(key, "no-object", float(reliability[class_id]), index, name, "", 0.0, 0.0, place)


def _one_per_object(predicted: Predicted, indices: NDArray[np.int64]) -> list[int]:
    """The surest of the predictions that touch each other: an object without a label is listed once."""
    kept: list[int] = []
    for index in indices[np.argsort(-predicted.scores[indices], kind="stable")].tolist():
        if not kept or iou(predicted.xyxy_px[[index]], predicted.xyxy_px[kept]).max() < TOUCH_IOU:
            kept.append(index)
    return kept


def _best(overlap: NDArray[np.float64], scores: NDArray[np.float64], allowed: NDArray[np.bool_]) -> int | None:
    """Index of the highest score among ``allowed``, ties by overlap; None when nothing is allowed."""
    found = np.flatnonzero(allowed)
    if not len(found):
        return None
    return int(found[np.lexsort((overlap[found], scores[found]))[-1]])


def _inside(boxes: Boxes, regions: Boxes) -> NDArray[np.bool_]:
    """(N,) whether the centre of each box lies in one of the regions (M, 4)."""
    if not len(regions) or not len(boxes):
        return np.zeros(len(boxes), dtype=np.bool_)
    centre = (boxes[:, :2] + boxes[:, 2:]) / 2
    inside = (centre[:, None] >= regions[None, :, :2]) & (centre[:, None] <= regions[None, :, 2:])
    within = np.all(inside, axis=2)
    return np.asarray(np.any(within, axis=1), dtype=np.bool_)


def _corners(box: NDArray[np.float64]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = box.tolist()
    return x1, y1, x2, y2
