"""Which boxes repeat or cover one another, found without comparing every box with every other.

Boxes are sorted and only neighbours in that order are compared, so 100,000 boxes in one photograph take about a second
and bounded memory. In a pile of more than ``PILE`` alike boxes on one spot each is compared with the next ``PILE``
only: the pile is found, not every pair in it. It knows neither photographs nor classes, only groups.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.labels import BoxTable, LabelSet, upright_corners
from overflight.imaging.boxes import Boxes

Index = NDArray[np.int64]

SPARSE, PILE = 24, 48
LEAST_IOU = 0.1
FAR_PX = 1e9  # beyond it boxes are nonsense, and their areas would overflow
_SLACK_PX = 1e-9


@dataclass(frozen=True)
class Pairs:
    """Pairs of boxes.

    Attributes:
        first: (M,) index of the box that comes first.
        second: (M,) index of the other, ``first < second``.
        iou: (M,) intersection over union, 0..1.
    """

    first: Index
    second: Index
    iou: NDArray[np.float64]

    def select(self, keep: NDArray[np.bool_]) -> Pairs:
        """Only the pairs that the mask names."""
        return Pairs(self.first[keep], self.second[keep], self.iou[keep])


def overlapping(groups: Index, xyxy_px: Boxes, min_iou: float) -> Pairs:
    """Pairs of boxes of one group with an IoU of at least ``min_iou``, sorted by first and second box.

    Two boxes with IoU >= t have an IoU >= t on each axis too, so their left edges differ by at most (1/t - 1) of the
    smaller width, and their top edges by as much of the smaller height: that is all that has to be compared.

    Args:
        groups: (N,) only boxes of the same group are compared.
        xyxy_px: (N, 4); boxes without area have no pairs.
        min_iou: Values below ``LEAST_IOU`` count as that.
    """
    min_iou = max(min_iou, LEAST_IOU)
    slack = min(1 / min_iou - 1, 1.0)
    boxes = np.clip(xyxy_px, -FAR_PX, FAR_PX)
    size = boxes[:, 2:4] - boxes[:, :2]
    usable = np.flatnonzero((size > 0).all(axis=1))
    boxes, group, size = boxes[usable], groups[usable], size[usable]
    reach = slack * size[:, 0] + _SLACK_PX
    first, second, crowded = _neighbours(group, boxes[:, 0], reach, at_most=SPARSE)
    pairs = _with_iou(boxes, first, second, min_iou)
    if len(crowded):
        dense = np.isin(group, crowded)
        rows = _rows(group, boxes, size[:, 1], np.flatnonzero(dense), slack=slack, step=max(2.0, 1 / min_iou))
        first, second, _ = _neighbours(rows.key, boxes[rows.box, 0], reach[rows.box], at_most=PILE)
        more = _with_iou(boxes, rows.box[first], rows.box[second], min_iou)
        sparse = pairs.select(~dense[pairs.first])
        pairs = Pairs(*(np.concatenate(both) for both in zip(_fields(sparse), _fields(more), strict=True)))
    low, high = usable[pairs.first], usable[pairs.second]
    low, high = np.minimum(low, high), np.maximum(low, high)
    _, once = np.unique(low * (len(groups) + 1) + high, return_index=True)
    return Pairs(low[once], high[once], pairs.iou[once])


def repeats(groups: Index, rows: NDArray[np.float64], distance: float) -> Index:
    """For each row the index of the earlier row that it repeats, -1 for those that repeat none.

    A row repeats an earlier one of its group that is itself no repetition when no value differs by more than
    ``distance``; so what is left has no repetitions.

    Args:
        groups: (N,) group of each row.
        rows: (N, D) finite values.
        distance: Largest difference of any value.
    """
    count = len(rows)
    found = np.full(count, -1, dtype=np.int64)
    if count < 2:
        return found
    weights = 0.7548776662466927 ** np.arange(rows.shape[1])  # any direction in which few rows coincide by chance
    line = np.clip(rows, -FAR_PX, FAR_PX) @ weights
    order = np.lexsort((line, groups))
    same = (groups[order[1:]] == groups[order[:-1]]) & (rows[order[1:]] == rows[order[:-1]]).all(axis=1)
    heads = np.concatenate([[True], ~same])
    head_of = order[np.maximum.accumulate(np.where(heads, np.arange(count), 0))]
    found[order[~heads]] = head_of[~heads]
    alone = np.sort(order[heads])
    reach = np.full(len(alone), (distance + _SLACK_PX) * weights.sum())
    first, second, _ = _neighbours(groups[alone], line[alone], reach, at_most=PILE)
    first, second = alone[first], alone[second]
    with np.errstate(over="ignore"):
        near = (np.abs(rows[first] - rows[second]) <= distance + _SLACK_PX).all(axis=1)
    low, high = np.minimum(first[near], second[near]), np.maximum(first[near], second[near])
    by_later = np.lexsort((low, high))
    for earlier, later in zip(low[by_later].tolist(), high[by_later].tolist(), strict=True):
        if found[earlier] < 0 and found[later] < 0:
            found[later] = earlier
    copied = np.flatnonzero(found >= 0)
    heads_found = found[found[copied]]
    found[copied] = np.where(heads_found >= 0, heads_found, found[copied])
    return found


def copies(labels: LabelSet, table: BoxTable, distance_px: float) -> Index:
    """For each box of the table the box that it repeats (same photograph, class and place), -1 for all others.

    Oriented boxes are the same when their corners are, wherever the list of corners starts. Ignored regions are left
    out.
    """
    kept = np.flatnonzero(~table.ignored)
    rows: NDArray[np.float64] = table.xyxy_px
    if any(found.corners_px is not None for found in labels.photos.values()):
        rows = np.concatenate([rows, _corner_rows(labels)], axis=1)
    found = np.full(len(rows), -1, dtype=np.int64)
    within = repeats(class_groups(table)[kept], rows[kept], distance_px)
    found[kept] = np.where(within >= 0, kept[within], -1)
    return found


def class_groups(table: BoxTable) -> Index:
    """(N,) one number per photograph and class."""
    span = int(table.class_ids.max(initial=0)) + 1
    return np.asarray(table.photo * span + table.class_ids, dtype=np.int64)


def _corner_rows(labels: LabelSet) -> NDArray[np.float64]:
    """(N, 8) corners of all boxes, each list starting at the corner nearest to the top left."""
    corners = np.concatenate(
        [upright_corners(one.xyxy_px) if one.corners_px is None else one.corners_px for one in labels.photos.values()]
    )
    start = np.argmin(corners @ np.array([1.0, 1.618]), axis=1)
    turned = np.take_along_axis(corners, ((start[:, None] + np.arange(4)) % 4)[:, :, None], axis=1)
    return np.asarray(turned.reshape(-1, 8))


@dataclass(frozen=True)
class _Rows:
    """Boxes entered into rows: (E,) number of the row, (E,) index of the box."""

    key: Index
    box: Index


def _rows(
    group: Index, boxes: Boxes, height: NDArray[np.float64], chosen: Index, *, slack: float, step: float
) -> _Rows:
    """The chosen boxes in horizontal rows as fine as their heights allow.

    Heights are sorted into levels, a factor ``step`` apart. Partners are at most one level apart, and their top edges
    at most one row of the lower level: so each box is entered twice at its own level and twice at the level below.
    """
    level = np.floor(np.log(height[chosen]) / np.log(step)).astype(np.int64)
    level -= level.min()
    base = height[chosen].min()
    entries = []
    for own in (0, -1):
        at = level + own
        tall = slack * base * step ** (at + 1.0)
        row = np.floor(boxes[chosen, 1] / tall).clip(-(2.0**52), 2.0**52).astype(np.int64)
        entries += [(at, row), (at, row + 1)]
    box = np.tile(chosen, len(entries))
    columns = np.stack(
        [group[box], np.concatenate([at for at, _ in entries]), np.concatenate([row for _, row in entries])]
    )
    order = np.lexsort(columns[::-1])
    changed = (np.diff(columns[:, order], axis=1) != 0).any(axis=0)
    key = np.empty(len(box), dtype=np.int64)
    key[order] = np.concatenate([[0], np.cumsum(changed)])
    return _Rows(key, box)


def _neighbours(
    group: Index, at: NDArray[np.float64], reach: NDArray[np.float64], *, at_most: int
) -> tuple[Index, Index, Index]:
    """Pairs of one group whose ``at`` differ by at most the ``reach`` of the lower one, and groups with too many.

    Each entry is compared with the next ``at_most``; a group where that was not enough for one is reported.
    """
    order = np.lexsort((at, group))
    group, at = group[order], at[order]
    limit = at + reach[order]
    active = np.arange(len(order) - 1)
    first, second = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)]
    for ahead in range(1, at_most + 2):
        active = active[active + ahead < len(order)]
        other = active + ahead
        active = active[(group[other] == group[active]) & (at[other] <= limit[active])]
        if not len(active) or ahead > at_most:
            break
        first.append(order[active])
        second.append(order[active + ahead])
    return np.concatenate(first), np.concatenate(second), np.unique(group[active])


def _with_iou(boxes: Boxes, first: Index, second: Index, min_iou: float) -> Pairs:
    a, b = boxes[first], boxes[second]
    size = np.minimum(a[:, 2:4], b[:, 2:4]) - np.maximum(a[:, :2], b[:, :2])
    common = np.clip(size, 0, None).prod(axis=1)
    union = (a[:, 2:4] - a[:, :2]).prod(axis=1) + (b[:, 2:4] - b[:, :2]).prod(axis=1) - common
    iou = common / union
    return Pairs(first, second, iou).select(iou >= min_iou)


def _fields(pairs: Pairs) -> tuple[Index, Index, NDArray[np.float64]]:
    return pairs.first, pairs.second, pairs.iou
