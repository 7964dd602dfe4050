"""From pixels to the network's input and from its raw head back to boxes: pure arrays.

The input side repeats what Ultralytics does when it validates (scale the long side to the input, bilinear, centre, pad
with 114), so that the network sees in serving what it saw in training. It does not know tiles or models.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import clip, xyxy_from_cxcywh
from overflight.imaging.merge import nms
from overflight.serving.detections import FloatArray, IntArray

PAD_VALUE = 114
MAX_CANDIDATES = 1000
MAX_BOXES = 300


@dataclass(frozen=True)
class Placement:
    """Where an image lies on the square input: input = image * scale + offset, in pixels, per axis."""

    scale_x: float
    scale_y: float
    left_px: int
    top_px: int
    width_px: int
    height_px: int

    def to_image(self, boxes_xyxy_px: FloatArray) -> FloatArray:
        """Boxes (N, 4) in input pixels as boxes in image pixels, cut at the image's edges."""
        offset = np.array([self.left_px, self.top_px, self.left_px, self.top_px], dtype=np.float64)
        scale = np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y], dtype=np.float64)
        return clip((boxes_xyxy_px - offset) / scale, width_px=self.width_px, height_px=self.height_px)


def letterbox(rgb: NDArray[np.uint8], *, input_px: int, out: NDArray[np.float32]) -> Placement:
    """Scale ``rgb`` (H, W, 3) to fit a square input and write it, 0..1 and channels first, into ``out`` (3, S, S)."""
    height_px, width_px = rgb.shape[:2]
    ratio = input_px / max(height_px, width_px)
    new_width, new_height = (min(math.ceil(side_px * ratio), input_px) for side_px in (width_px, height_px))
    scaled = cv2.resize(rgb, (new_width, new_height), interpolation=cv2.INTER_LINEAR) if ratio != 1 else rgb
    left, top = round((input_px - new_width) / 2 - 0.1), round((input_px - new_height) / 2 - 0.1)
    out.fill(PAD_VALUE / 255)
    target = out[:, top : top + new_height, left : left + new_width]
    np.multiply(scaled.transpose(2, 0, 1), np.float32(1 / 255), out=target, casting="unsafe")
    return Placement(
        scale_x=new_width / width_px,
        scale_y=new_height / height_px,
        left_px=left,
        top_px=top,
        width_px=width_px,
        height_px=height_px,
    )


def decode_head(
    head: NDArray[np.float32], *, score_threshold: float, nms_iou: float
) -> tuple[FloatArray, FloatArray, IntArray]:
    """Boxes of one input: confidence filter first (cheap), then non-maximum suppression per class.

    Args:
        head: Float32 (4 + classes, anchors): cx, cy, w, h in input pixels, then class scores in 0..1.
        score_threshold: Anchors whose best class scores less are dropped; at most 1000 candidates go on.
        nms_iou: Overlap above which the weaker box of a class is dropped; at most 300 boxes stay (Ultralytics' limit).

    Returns:
        Boxes xyxy in input pixels (N, 4), scores (N,), class ids (N,), best score first.
    """
    class_scores = head[4:]
    best = class_scores.argmax(axis=0)
    scores = class_scores[best, np.arange(best.size)]
    chosen = np.flatnonzero(scores >= score_threshold)
    chosen = chosen[np.argsort(-scores[chosen], kind="stable")][:MAX_CANDIDATES]
    boxes = xyxy_from_cxcywh(head[:4, chosen].T.astype(np.float64))
    kept_scores, kept_classes = scores[chosen].astype(np.float64), best[chosen].astype(np.int64)
    kept = nms(boxes, kept_scores, kept_classes, iou=nms_iou)[:MAX_BOXES]
    return boxes[kept], kept_scores[kept], kept_classes[kept]
