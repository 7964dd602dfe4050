"""Boxes as float64 arrays of shape (N, 4): corners ``x1 y1 x2 y2`` in pixels unless a name says otherwise.

Pixel convention: a box covers the half-open area from its first corner to its second, so its width is ``x2 - x1`` (no
``+ 1``) and the whole photograph is ``0 0 width height``. Nothing here knows classes, scores or files.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

Boxes = NDArray[np.float64]


def as_boxes(values: ArrayLike) -> Boxes:
    """``values`` as a float64 array of shape (N, 4); an empty sequence becomes (0, 4).

    Raises:
        ValueError: the shape is not (N, 4).
    """
    array = np.asarray(values, dtype=np.float64)
    if array.size == 0:
        return np.zeros((0, 4))
    if array.ndim != 2 or array.shape[1] != 4:
        raise ValueError(f"boxes must have the shape (N, 4), not {array.shape}")
    return array


def xyxy_from_cxcywh(cxcywh: Boxes) -> Boxes:
    """Corners from centre and size; (N, 4) in any unit to (N, 4) in the same unit."""
    centre, half = cxcywh[:, :2], cxcywh[:, 2:4] / 2
    return np.concatenate([centre - half, centre + half], axis=1)


def cxcywh_from_xyxy(xyxy: Boxes) -> Boxes:
    """Centre and size from corners; (N, 4) in any unit to (N, 4) in the same unit."""
    first, second = xyxy[:, :2], xyxy[:, 2:4]
    return np.concatenate([(first + second) / 2, second - first], axis=1)


def area(xyxy: Boxes) -> NDArray[np.float64]:
    """Areas (N,) in square pixels; a box whose corners are out of order has the area 0."""
    size = np.clip(xyxy[:, 2:4] - xyxy[:, :2], 0, None)
    return np.asarray(size[:, 0] * size[:, 1])


def intersection(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Areas (N, M) common to each of ``a`` (N, 4) and each of ``b`` (M, 4)."""
    first = np.maximum(a[:, None, :2], b[None, :, :2])
    second = np.minimum(a[:, None, 2:4], b[None, :, 2:4])
    size = np.clip(second - first, 0, None)
    return np.asarray(size[..., 0] * size[..., 1])


def iou(a: Boxes, b: Boxes) -> NDArray[np.float64]:
    """Intersection over union (N, M) in 0..1; 0 where both boxes are empty."""
    common = intersection(a, b)
    union = area(a)[:, None] + area(b)[None, :] - common
    return np.divide(common, union, out=np.zeros_like(common), where=union > 0)


def clip(xyxy: Boxes, *, width_px: float, height_px: float) -> Boxes:
    """Corners moved into ``0..width_px`` and ``0..height_px``; a box outside becomes empty, it is not dropped."""
    return np.clip(xyxy, 0, np.array([width_px, height_px, width_px, height_px], dtype=np.float64))
