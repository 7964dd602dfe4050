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
    ios: float = 0.5,
) -> Detections:
    """Boxes of all tiles of one photograph, one per object.

    Per class. A box that touches an *inner* edge of its tile (one that is not the photograph's border) is cut: it may
    be a part of an object. Two boxes of different tiles of which at least one is cut are the same object when their
    intersection is more than ``ios`` of the *smaller* one; all other pairs when their IoU is more than ``iou``. Whole
    boxes go first, so a part never displaces the whole object, however sure the model was of the part. Two matching
    parts become their common hull with the higher score, which is how an object longer than the overlap gets its box
    back (up to three times the overlap at ``ios`` 0.5; a longer one stays in pieces).

    Args:
        boxes_xyxy_px: (N, 4) in the photograph's pixels (see :meth:`Tile.to_photo`).
        scores: (N,).
        class_ids: (N,).
        tile_index: (N,) index into ``tiles`` of the tile a box was found in.
        tiles: All tiles of the photograph.
        iou: Threshold in 0..1 for whole boxes.
        ios: Threshold in 0..1 for cut boxes.
    """
    cut = touches_inner_edge(boxes_xyxy_px, tile_index, tiles)
    order = _order(boxes_xyxy_px, scores, class_ids)
    order = order[np.argsort(cut[order], kind="stable")]
    boxes, best_scores = boxes_xyxy_px.astype(np.float64), scores.astype(np.float64)
    kept: list[int] = []
    for class_id in np.unique(class_ids):
        rest = order[class_ids[order] == class_id]
        while len(rest):
            best, rest = rest[0], rest[1:]
            kept.append(int(best))
            matched = _matches(best, rest, boxes, cut=cut, tile_index=tile_index, iou=iou, ios=ios)
            if cut[best] and matched.any():
                parts = boxes[rest[matched]]
                boxes[best, :2] = np.minimum(boxes[best, :2], parts[:, :2].min(axis=0))
                boxes[best, 2:] = np.maximum(boxes[best, 2:], parts[:, 2:].max(axis=0))
            best_scores[best] = max([best_scores[best], *best_scores[rest[matched]]])
            rest = rest[~matched]
    indices = np.array(kept, dtype=np.int64)
    ids = class_ids.astype(np.int64)
    indices = indices[_order(boxes[indices], best_scores[indices], ids[indices])]
    return Detections(boxes[indices], best_scores[indices], ids[indices])


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


def _matches(
    best: int,
    rest: NDArray[np.int64],
    boxes: Boxes,
    *,
    cut: NDArray[np.bool_],
    tile_index: NDArray[np.integer],
    iou: float,
    ios: float,
) -> NDArray[np.bool_]:
    common = _common(boxes[best], boxes[rest])
    areas = area(boxes[rest])
    own = float(area(boxes[best : best + 1])[0])
    by_iou = common > iou * (own + areas - common)
    by_ios = common > ios * np.minimum(own, areas)
    seam = (cut[best] | cut[rest]) & (tile_index[rest] != tile_index[best])
    return np.asarray(np.where(seam, by_ios, by_iou))


def _common(one: Boxes, many: Boxes) -> NDArray[np.float64]:
    size = np.clip(np.minimum(one[2:], many[:, 2:]) - np.maximum(one[:2], many[:, :2]), 0, None)
    return np.asarray(size[:, 0] * size[:, 1])


def _order(boxes: Boxes, scores: NDArray[np.floating], class_ids: NDArray[np.integer]) -> NDArray[np.int64]:
    """Indices by score (descending), class, x1, y1, x2, y2: a total order of different boxes."""
    keys = (boxes[:, 3], boxes[:, 2], boxes[:, 1], boxes[:, 0], class_ids, -scores)
    return np.asarray(np.lexsort(keys), dtype=np.int64)
