"""One box per object: suppression of duplicates in one picture, and merging of boxes found in overlapping tiles.

Both are deterministic: the result does not depend on the order of the boxes (ties are broken by class, then x, y).
Speed: one vectorised pass per kept box. It does not know thresholds on the score: filter before.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import Boxes, area
from overflight.imaging.tiles import Tile

EDGE_TOLERANCE_PX = 2.0
_PART_WEIGHT = 0.2


@dataclass(frozen=True)
class Detections:
    """Boxes of one photograph, best score first.

    Attributes:
        boxes_xyxy_px: (N, 4) float64 in the photograph's pixels.
        scores: (N,) float64 in 0..1.
        class_ids: (N,) int64.
    """

    boxes_xyxy_px: Boxes
    scores: NDArray[np.float64]
    class_ids: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.scores)


def nms(boxes: Boxes, scores: NDArray[np.floating], class_ids: NDArray[np.integer], *, iou: float) -> NDArray[np.int64]:
    """Indices of the boxes that remain after greedy non-maximum suppression per class, best score first.

    A box is dropped when a kept box of its class overlaps it with an intersection over union > ``iou``.

    Args:
        boxes: (N, 4) corners in pixels.
        scores: (N,).
        class_ids: (N,).
        iou: Threshold in 0..1.
    """
    order = _order(boxes, scores, class_ids)
    areas = area(boxes)
    kept: list[int] = []
    for class_id in np.unique(class_ids):
        rest = order[class_ids[order] == class_id]
        while len(rest):
            best, rest = rest[0], rest[1:]
            kept.append(int(best))
            common = _common(boxes[best], boxes[rest])
            rest = rest[common <= iou * (areas[best] + areas[rest] - common)]
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = np.arange(len(order))
    indices = np.array(kept, dtype=np.int64)
    return np.asarray(indices[np.argsort(rank[indices])], dtype=np.int64)


def merge_tiles(
    boxes_xyxy_px: Boxes,
    scores: NDArray[np.floating],
    class_ids: NDArray[np.integer],
    tile_index: NDArray[np.integer],
    tiles: Sequence[Tile],
    *,
    iou: float = 0.5,
) -> Detections:
    """Boxes of all tiles of one photograph, one per object.

    Per class. A box that touches an *inner* edge of its tile (one that is not the photograph's border) is cut: it may
    be a part of an object. Two boxes of different tiles of which at least one is cut are the same object when they
    agree where both tiles look: each clipped to the other's tile, their IoU is more than ``iou``. All other pairs are
    when their IoU is more than ``iou``. Matching parts become their common hull, which is how an object longer than
    the overlap gets its box back, over any number of tiles. A whole box goes before a part unless the part's score is
    more than five times as high; so what a threshold on the score leaves hardly depends on boxes far below it.

    Args:
        boxes_xyxy_px: (N, 4) in the photograph's pixels (see :meth:`Tile.to_photo`).
        scores: (N,).
        class_ids: (N,).
        tile_index: (N,) index into ``tiles`` of the tile a box was found in.
        tiles: All tiles of the photograph.
        iou: Threshold in 0..1.
    """
    cut = touches_inner_edge(boxes_xyxy_px, tile_index, tiles)
    views = np.array([(t.x0, t.y0, t.x1, t.y1) for t in tiles], dtype=np.float64).reshape(-1, 4)[tile_index]
    found = _Found(boxes_xyxy_px.astype(np.float64), views, cut, np.asarray(tile_index))
    order = _order(boxes_xyxy_px, np.where(cut, _PART_WEIGHT, 1.0) * scores, class_ids)
    merged, best_scores = found.boxes.copy(), scores.astype(np.float64)
    kept: list[int] = []
    for class_id in np.unique(class_ids):
        rest = order[class_ids[order] == class_id]
        while len(rest):
            best, rest = int(rest[0]), rest[1:]
            kept.append(best)
            waiting = [best]
            while waiting:
                matched = _same_object(waiting.pop(), rest, found, iou=iou)
                if not matched.any():
                    continue
                others, rest = rest[matched], rest[~matched]
                best_scores[best] = max(best_scores[best], scores[others].max())
                parts = others[cut[others]] if cut[best] else others[:0]
                if len(parts):
                    merged[best, :2] = np.minimum(merged[best, :2], found.boxes[parts, :2].min(axis=0))
                    merged[best, 2:] = np.maximum(merged[best, 2:], found.boxes[parts, 2:].max(axis=0))
                    waiting += parts.tolist()
    indices = np.array(kept, dtype=np.int64)
    ids = class_ids.astype(np.int64)
    indices = indices[_order(merged[indices], best_scores[indices], ids[indices])]
    return Detections(merged[indices], best_scores[indices], ids[indices])


@dataclass(frozen=True)
class _Found:
    """Boxes (N, 4), the tiles (N, 4) they were found in, whether they are cut, and the numbers of their tiles."""

    boxes: Boxes
    views: Boxes
    cut: NDArray[np.bool_]
    tile_index: NDArray[np.integer]


def touches_inner_edge(
    boxes_xyxy_px: Boxes,
    tile_index: NDArray[np.integer],
    tiles: Sequence[Tile],
    *,
    tolerance_px: float = EDGE_TOLERANCE_PX,
) -> NDArray[np.bool_]:
    """Which boxes (N,) end within ``tolerance_px`` of an edge of their tile that is not the photograph's border."""
    edges = np.array([(t.x0, t.y0, t.x1, t.y1) for t in tiles], dtype=np.float64).reshape(-1, 4)
    if not len(boxes_xyxy_px):
        return np.zeros(0, dtype=np.bool_)
    border = np.concatenate([edges[:, :2].min(axis=0), edges[:, 2:].max(axis=0)])
    own = edges[tile_index]
    first = (boxes_xyxy_px[:, :2] <= own[:, :2] + tolerance_px) & (own[:, :2] != border[:2])
    second = (boxes_xyxy_px[:, 2:] >= own[:, 2:] - tolerance_px) & (own[:, 2:] != border[2:])
    return np.asarray((first | second).any(axis=1))


def _same_object(one: int, others: NDArray[np.int64], found: _Found, *, iou: float) -> NDArray[np.bool_]:
    """Which of ``others`` show the object of box ``one``, see :func:`merge_tiles`."""
    seam = (found.cut[one] | found.cut[others]) & (found.tile_index[others] != found.tile_index[one])
    whole = _iou(np.broadcast_to(found.boxes[one], (len(others), 4)), found.boxes[others])
    seen_by_others = _clipped(np.broadcast_to(found.boxes[one], (len(others), 4)), found.views[others])
    seen_by_one = _clipped(found.boxes[others], np.broadcast_to(found.views[one], (len(others), 4)))
    return np.asarray(np.where(seam, _iou(seen_by_others, seen_by_one), whole) > iou)


def _clipped(boxes: Boxes, views: Boxes) -> Boxes:
    """Parts (N, 4) of boxes inside their views; without width or height where there is none."""
    low, high = np.maximum(boxes[:, :2], views[:, :2]), np.minimum(boxes[:, 2:], views[:, 2:])
    return np.concatenate([low, np.maximum(low, high)], axis=1)


def _iou(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union (N,) of pairs; 0 where both are empty."""
    size = np.minimum(first[:, 2:], second[:, 2:]) - np.maximum(first[:, :2], second[:, :2])
    common = np.clip(size, 0, None).prod(axis=1)
    union = area(first) + area(second) - common
    return np.asarray(np.divide(common, union, out=np.zeros_like(common), where=union > 0))


def _common(one: Boxes, many: Boxes) -> NDArray[np.float64]:
    size = np.clip(np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2]), 0, None)
    return np.asarray(size[:, 0] * size[:, 1])


def _order(boxes: Boxes, scores: NDArray[np.floating], class_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Indices by score (descending), class, x1, y1, x2, y2: a total order of different boxes."""
    keys = (boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], class_ids, -scores)
    return np.asarray(np.lexsort(keys), dtype=np.int64)
