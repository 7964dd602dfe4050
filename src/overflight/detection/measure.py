"""Accuracy of a network on validation tiles during training.

Ultralytics' validator gives up on suppression after a time limit and then returns no boxes, so a slow machine would
measure a lower accuracy. Here suppression is :func:`overflight.imaging.merge.nms` and the figures are those of
:mod:`overflight.detection.evaluate`. It knows batches, not files. Importing this module imports torch.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from overflight.detection.matching import match
from overflight.detection.statistics import best_score, mean_average_precision, precision_recall
from overflight.imaging.boxes import xyxy_from_cxcywh
from overflight.imaging.merge import nms

MIN_SCORE = 0.005
MAX_CANDIDATES = 1500
MAX_DETECTIONS = 100


@dataclass(frozen=True)
class Measured:
    """Figures on the validation tiles.

    Attributes:
        metrics: map50, map50_95, precision, recall; those that could be computed.
        best_score: The score with the highest F1, as threshold for serving.
    """

    metrics: dict[str, float]
    best_score: float


@dataclass
class _Coco:
    images: list[dict[str, Any]] = field(default_factory=list)
    annotations: list[dict[str, Any]] = field(default_factory=list)
    predictions: list[dict[str, Any]] = field(default_factory=list)


def measure(
    network: Any,
    batches: Iterable[dict[str, Any]],
    *,
    classes: Sequence[str],
    nms_iou: float,
    score_threshold: float,
) -> Measured:
    """Run ``network`` over ``batches`` and compare with their boxes.

    Args:
        network: A ``DetectionModel``; its state is left as it was.
        batches: As Ultralytics' loader gives them: img (B, 3, H, W) in 0..1, cls, bboxes (cx cy w h in 0..1),
            batch_idx.
        classes: Class names.
        nms_iou: For suppression per class.
        score_threshold: For precision and recall; also the answer where no best score can be found.
    """
    coco = _Coco()
    was_training = network.training
    network.eval()
    try:
        with torch.no_grad():
            for batch in batches:
                outputs = network(batch["img"])[0].float().cpu().numpy()
                _collect(coco, outputs, batch, nms_iou=nms_iou)
    finally:
        network.train(was_training)
    categories = [{"id": index, "name": name} for index, name in enumerate(classes)]
    truth = {"images": coco.images, "annotations": coco.annotations, "categories": categories}
    matches = match(truth, coco.predictions, max_detections=MAX_DETECTIONS)
    everything = np.ones((1, len(coco.images)))
    precision, recall = precision_recall(matches, everything, score=score_threshold)
    figures = {
        "map50": mean_average_precision(matches, everything, thresholds=slice(0, 1)),
        "map50_95": mean_average_precision(matches, everything),
        "precision": precision,
        "recall": recall,
    }
    known = {name: round(float(value[0]), 6) for name, value in figures.items() if np.isfinite(value[0])}
    return Measured(known, best_score(matches, default=score_threshold))


def suppress(
    output: NDArray[np.floating], *, nms_iou: float, min_score: float = MIN_SCORE
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Boxes, scores and classes of one raw head output (4 + nc, A), best score first.

    Each anchor may speak for several classes; at most 1500 candidates go into suppression.

    Returns:
        (N, 4) xyxy in input pixels, (N,) scores, (N,) class ids.
    """
    scores = output[4:]
    class_ids, anchors = np.nonzero(scores >= min_score)
    values = scores[class_ids, anchors].astype(np.float64)
    best = np.argsort(-values, kind="stable")[:MAX_CANDIDATES]
    class_ids, anchors, values = class_ids[best], anchors[best], values[best]
    boxes = xyxy_from_cxcywh(output[:4, anchors].T.astype(np.float64))
    kept = nms(boxes, values, class_ids, iou=nms_iou)
    return boxes[kept], values[kept], class_ids[kept].astype(np.int64)


def _collect(coco: _Coco, outputs: NDArray[np.floating], batch: dict[str, Any], *, nms_iou: float) -> None:
    height, width = batch["img"].shape[2:]
    owner = batch["batch_idx"].cpu().numpy().astype(int)
    scale = np.array([width, height, width, height], dtype=np.float64)
    corners = xyxy_from_cxcywh(batch["bboxes"].cpu().numpy().astype(np.float64).reshape(-1, 4) * scale)
    labels = batch["cls"].cpu().numpy().astype(int).reshape(-1)
    first = len(coco.images)
    for row, output in enumerate(outputs):
        coco.images.append({"id": first + row, "flight": ""})
        boxes, scores, class_ids = suppress(output, nms_iou=nms_iou)
        sizes = np.concatenate([boxes[:, :2], boxes[:, 2:] - boxes[:, :2]], axis=1)
        coco.predictions += [
            {"image_id": first + row, "category_id": int(one), "bbox": box.tolist(), "score": float(score)}
            for one, box, score in zip(class_ids, sizes, scores, strict=True)
        ]
    for place, box, one in zip(owner, corners, labels, strict=True):
        size = [*box[:2], *(box[2:] - box[:2])]
        coco.annotations.append({"image_id": first + int(place), "category_id": int(one), "bbox": size})
