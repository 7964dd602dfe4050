"""What boxes are like: sizes in pixels and centimetres, shape, place, crowding, distance to the border.

Crowding is the distance to the nearest other centre in units of the box's own side (1 means side by side; below 1 they
overlap) and whether another box shares a tenth of its area; after C. Clark and F. C. Evans, Distance to nearest
neighbour as a measure of spatial relationships, Ecology 35 (1954), with the box instead of the density as the unit,
because that is what a detector's non-maximum suppression sees. Sides are square roots of areas, as COCO's size classes
are. Centimetres are pixels times the ground sample distance at the photograph's centre: in oblique views too large near
the lower border and too small near the upper one.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.labels import PhotoLabels
from overflight.data.hash_search import blocks_of, expanded
from overflight.data.profile.tables import Column

BORDER_PX, NEAR_BORDER_SHARE = 2.0, 0.01
OVERLAP_SHARE = 0.1
MOST_COMPARED = 20_000
_FAR_PX = 1e9
_PAIRS_AT_ONCE = 200_000


def box_columns(
    labels: Sequence[PhotoLabels], photo_index: Sequence[int], gsd_cm: Sequence[float]
) -> dict[str, Column]:
    """Columns of ``BOX_COLUMNS`` for the boxes of some photographs; ignored regions are left out.

    Args:
        labels: Of each photograph.
        photo_index: Row of each photograph.
        gsd_cm: Side of a pixel on the ground of each, NaN when not known.
    """
    masks = [np.ones(len(one), dtype=np.bool_) if one.ignored is None else ~one.ignored for one in labels]
    counts = np.array([int(mask.sum()) for mask in masks], dtype=np.int64)
    of = np.repeat(np.arange(len(labels)), counts)
    rows = [one.xyxy_px[mask] for one, mask in zip(labels, masks, strict=True)]
    xyxy = np.clip(np.concatenate([*rows, np.zeros((0, 4))]), -_FAR_PX, _FAR_PX)
    sizes = np.array([one.size_wh_px for one in labels], dtype=np.float64).reshape(-1, 2)[of]
    wh = np.clip(xyxy[:, 2:] - xyxy[:, :2], 0, None)
    area = wh.prod(axis=1)
    side = np.sqrt(area)
    centre = (xyxy[:, :2] + xyxy[:, 2:]) / 2
    known = np.where(sizes > 0, sizes, np.nan)
    to_border = np.minimum(xyxy[:, :2], sizes - xyxy[:, 2:])
    near = (to_border <= NEAR_BORDER_SHARE * sizes).any(axis=1)
    neighbour, overlaps = crowding(xyxy, counts)
    cm = np.asarray(gsd_cm, dtype=np.float64)[of]
    empty: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)]
    found: dict[str, Column] = {
        "photo_index": np.asarray(photo_index, dtype=np.int64)[of],
        "box_index": np.concatenate(empty + [np.flatnonzero(mask) for mask in masks]),
        "class_id": np.concatenate(empty + [one.class_ids[mask] for one, mask in zip(labels, masks, strict=True)]),
        "x1_px": xyxy[:, 0],
        "y1_px": xyxy[:, 1],
        "x2_px": xyxy[:, 2],
        "y2_px": xyxy[:, 3],
        "box_width_px": wh[:, 0],
        "box_height_px": wh[:, 1],
        "box_side_px": side,
        "box_width_cm": wh[:, 0] * cm,
        "box_height_cm": wh[:, 1] * cm,
        "box_side_cm": side * cm,
        "area_share": area / known.prod(axis=1),
        "aspect": np.divide(wh[:, 0], wh[:, 1], out=np.full(len(wh), np.nan), where=(wh > 0).all(axis=1)),
        "centre_x": centre[:, 0] / known[:, 0],
        "centre_y": centre[:, 1] / known[:, 1],
        "neighbour_sides": neighbour,
        "overlaps": overlaps,
        "at_border": (to_border <= BORDER_PX).any(axis=1),
        "near_border": near,
    }
    return found


def crowding(xyxy_px: NDArray[np.float64], counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Distance (N,) to the nearest other centre / own side, and whether another box shares a tenth of the own area.

    NaN and False for a box alone, one without area, and in photographs with more than 20,000 boxes.

    Args:
        xyxy_px: (N, 4) boxes, photograph by photograph.
        counts: (P,) boxes of each photograph.
    """
    first = np.repeat(np.cumsum(counts) - counts, counts)
    others = np.repeat(np.where(counts > MOST_COMPARED, 0, counts), counts)
    wh = np.clip(xyxy_px[:, 2:] - xyxy_px[:, :2], 0, None)
    area = wh.prod(axis=1)
    centre = (xyxy_px[:, :2] + xyxy_px[:, 2:]) / 2
    neighbour = np.full(len(xyxy_px), np.nan)
    overlaps = np.zeros(len(xyxy_px), dtype=np.bool_)
    chosen = np.flatnonzero((others > 1) & (area > 0))
    for start, end in blocks_of(others[chosen], at_most=_PAIRS_AT_ONCE):
        i = chosen[start:end]
        j, k = expanded(first[i], others[i])
        rows, heads = i[k], np.cumsum(others[i]) - others[i]
        squared = ((centre[rows] - centre[j]) ** 2).sum(axis=1)
        squared[rows == j] = np.inf
        neighbour[i] = np.sqrt(np.minimum.reduceat(squared, heads) / area[i])
        inner = np.minimum(xyxy_px[rows, 2:], xyxy_px[j, 2:]) - np.maximum(xyxy_px[rows, :2], xyxy_px[j, :2])
        shared = np.clip(inner, 0, None).prod(axis=1)
        shared[rows == j] = 0
        overlaps[i] = np.maximum.reduceat(shared, heads) >= OVERLAP_SHARE * area[i]
    return neighbour, overlaps
