"""Which boxes repeat or cover one another, found without comparing every box with every other.

Boxes are sorted and only neighbours in that order are compared, so 100,000 boxes in one photograph take about a second
and bounded memory. Where more than ``PILE`` boxes lie on one spot each is compared with the next ``PILE``, and only
until it has ``ENOUGH`` partners: the pile is found, not every pair in it. It knows neither photographs nor classes,
only groups.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.labels import BoxTable, LabelSet, upright_corners
from overflight.imaging.boxes import Boxes

Index = NDArray[np.int64]
Judge = Callable[[Index, Index], tuple[NDArray[np.bool_], NDArray[np.float64]]]

SPARSE, CROWD = 24, 1000
PILE, ENOUGH = 16, 4
LEAST_IOU = 0.1
FAR_PX = 1e9  # beyond it boxes are nonsense, and their areas would overflow
_SLACK_PX = 1e-3


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


def overlapping(groups: Index, xyxy_px: Boxes, min_iou: float, *, unlike: Index | None = None) -> Pairs:
    """Pairs of boxes of one group with an IoU of at least ``min_iou``, sorted by first and second box.

    Two boxes with IoU >= t have an IoU >= t on each axis too, so their left edges differ by at most (1/t - 1) of the
    smaller width (and by less than the width of the left one), and their top edges by as much of the smaller height:
    that is all that has to be compared.

    Args:
        groups: (N,) only boxes of the same group are compared.
        xyxy_px: (N, 4); boxes without area have no pairs.
        min_iou: Values below ``LEAST_IOU`` count as that.
        unlike: (N,) where given, only boxes that differ in it make a pair.
    """
    min_iou = max(min_iou, LEAST_IOU)
    slack = 1 / min_iou - 1
    boxes = np.clip(xyxy_px, -FAR_PX, FAR_PX)
    size = boxes[:, 2:4] - boxes[:, :2]
    usable = np.flatnonzero((size > 0).all(axis=1))
    boxes, group, size = boxes[usable], groups[usable], size[usable]
    kind = None if unlike is None else unlike[usable]
    area = size.prod(axis=1)

    def judge(first: Index, second: Index) -> tuple[NDArray[np.bool_], NDArray[np.float64]]:
        inner = np.minimum(boxes[first, 2:4], boxes[second, 2:4]) - np.maximum(boxes[first, :2], boxes[second, :2])
        common = np.clip(inner, 0, None).prod(axis=1)
        with np.errstate(invalid="ignore"):  # areas below the smallest number are 0; such boxes have no pair
            iou = common / (area[first] + area[second] - common)
        good = iou >= min_iou
        return (good if kind is None else good & (kind[first] != kind[second])), iou

    reach = min(slack, 1.0) * size[:, 0] + _SLACK_PX
    every = np.arange(len(boxes))
    _, inverse, members = np.unique(group, return_inverse=True, return_counts=True)
    many = members[inverse] > CROWD
    sparse, crowded = _sweep(group[~many], boxes[~many, 0], reach[~many], every[~many], judge, at_most=SPARSE)
    dense = many | np.isin(group, crowded)
    found = [sparse.select(~dense[sparse.first])]
    if dense.any():
        chosen = np.flatnonzero(dense)
        key, box = _rows(group, boxes, size[:, 1], chosen, slack=slack, step=max(2.0, 1 / min_iou))
        found.append(_sweep(key, boxes[box, 0], reach[box], box, judge, at_most=PILE, enough=ENOUGH)[0])
    first = usable[np.concatenate([pairs.first for pairs in found])]
    second = usable[np.concatenate([pairs.second for pairs in found])]
    low, high = np.minimum(first, second), np.maximum(first, second)
    _, once = np.unique(low * (len(groups) + 1) + high, return_index=True)
    return Pairs(low[once], high[once], np.concatenate([pairs.iou for pairs in found])[once])


def repeats(groups: Index, rows: NDArray[np.float64], distance: float) -> Index:
    """For each row the index of the earlier row that it repeats, -1 for those that repeat none.

    A row repeats an earlier one of its group that is itself no repetition when no value differs by more than
    ``distance``; so what is left has no repetitions.

    Args:
        groups: (N,) group of each row.
        rows: (N, D) finite values.
        distance: Largest difference of any value.
    """
    found = np.full(len(rows), -1, dtype=np.int64)
    weights = 0.7548776662466927 ** np.arange(rows.shape[1])  # any direction in which few rows coincide by chance
    line = np.clip(rows, -FAR_PX, FAR_PX) @ weights
    order = _order(groups, line)
    same = (groups[order[1:]] == groups[order[:-1]]) & (rows[order[1:]] == rows[order[:-1]]).all(axis=1)
    starts = np.concatenate([[True], ~same])[: len(order)]
    heads = np.minimum.reduceat(order, np.flatnonzero(starts)) if len(order) else order
    head_of = heads[np.cumsum(starts) - 1]
    reach = distance * float(weights.sum()) + _SLACK_PX
    close = (groups[heads[1:]] == groups[heads[:-1]]) & (np.abs(np.diff(line[heads])) <= reach)
    alone = np.ones(len(rows), dtype=np.bool_)
    alone[heads[1:][close]] = alone[heads[:-1][close]] = False
    near_by = np.flatnonzero(~alone)  # few: most rows have no neighbour on the line
    values = dict(zip(near_by.tolist(), rows[near_by].tolist(), strict=True))
    kept: dict[int, list[tuple[float, int]]] = {}  # by group, in the order of the line: rows that repeat none
    for index, row in values.items():
        place, there = float(line[index]), kept.setdefault(int(groups[index]), [])
        low, high = bisect_left(there, (place - reach, -1)), bisect_right(there, (place + reach, len(rows)))
        near = [other for _, other in there[low:high] if _alike(values[other], row, distance)]
        if near:
            found[index] = min(near)
        else:
            insort(there, (place, index))
    copied = order != head_of
    kept_of = found[head_of[copied]]
    found[order[copied]] = np.where(kept_of >= 0, kept_of, head_of[copied])
    return found


def _alike(first: Sequence[float], second: Sequence[float], distance: float) -> bool:
    """Whether no value differs by more than ``distance``."""
    if abs(first[0] - second[0]) > distance + 1e-9:  # decides most pairs
        return False
    return all(abs(a - b) <= distance + 1e-9 for a, b in zip(first, second, strict=True))


def copies(labels: LabelSet, table: BoxTable, distance_px: float, *, among: Index | None = None) -> Index:
    """For each box of the table the box that it repeats (same photograph, class and place), -1 for all others.

    Oriented boxes are the same when their corners are, wherever the list of corners starts. Ignored regions are left
    out, and where ``among`` is given all boxes that it does not name.
    """
    kept = np.flatnonzero(~table.ignored) if among is None else among[~table.ignored[among]]
    rows = table.xyxy_px
    if len(kept) and any(found.corners_px is not None for found in labels.photos.values()):
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


def _rows(
    group: Index, boxes: Boxes, height: NDArray[np.float64], chosen: Index, *, slack: float, step: float
) -> tuple[Index, Index]:
    """The chosen boxes entered into horizontal rows as fine as their heights allow: (E,) row, (E,) box.

    Heights are sorted into levels, a factor ``step`` apart. Partners are at most one level apart, and their top edges
    at most one row of the lower level: so each box is entered twice at its own level and twice at the level below.
    """
    level = np.floor(np.log(height[chosen]) / np.log(step)).astype(np.int64)
    level -= level.min()
    base = height[chosen].min()
    levels, rows = [], []
    for own in (0, -1):
        tall = slack * base * step ** (level + own + 1.0)
        row = np.floor(boxes[chosen, 1] / tall).clip(-(2.0**52), 2.0**52).astype(np.int64)
        levels += [level + own, level + own]
        rows += [row, row + 1]
    box = np.tile(chosen, len(rows))
    columns = np.stack([np.concatenate(rows), np.concatenate(levels), group[box]])
    order = np.lexsort(columns)
    changed = (np.diff(columns[:, order], axis=1) != 0).any(axis=0)
    key = np.empty(len(box), dtype=np.int64)
    key[order] = np.concatenate([[0], np.cumsum(changed)])
    return key, box


def _sweep(
    group: Index,
    at: NDArray[np.float64],
    reach: NDArray[np.float64],
    box: Index,
    judge: Judge,
    *,
    at_most: int,
    enough: int | None = None,
) -> tuple[Pairs, Index]:
    """Pairs of one group that ``judge`` accepts, and the groups that were too crowded to compare all.

    Entries are put in the order of ``at``; each is compared with those after it within its ``reach``, the next
    ``at_most`` of them. One step compares each entry with one other, so memory stays in proportion to the entries.

    Args:
        group: (E,).
        at: (E,) position.
        reach: (E,) how far a partner may be.
        box: (E,) what ``judge`` calls the entry.
        judge: From (M,) and (M,) boxes to (M,) accepted and (M,) the measure that was judged.
        at_most: Comparisons of an entry.
        enough: Accepted partners after which an entry is done, None to look for all.
    """
    order = _order(group, at)
    group, at, box = group[order], at[order], box[order]
    limit = at + reach[order]
    active = np.arange(len(order))
    partners = np.zeros(len(order), dtype=np.int64)
    first, second, measure = [np.zeros(0, dtype=np.int64)], [np.zeros(0, dtype=np.int64)], [np.zeros(0)]
    for ahead in range(1, at_most + 2):
        active = active[active + ahead < len(order)]
        active = active[(group[active + ahead] == group[active]) & (at[active + ahead] <= limit[active])]
        if not len(active) or ahead > at_most:
            break
        a, b = box[active], box[active + ahead]
        good, value = judge(a, b)
        first.append(a[good])
        second.append(b[good])
        measure.append(value[good])
        if enough is not None:
            partners[active[good]] += 1
            active = active[partners[active] < enough]
    return Pairs(np.concatenate(first), np.concatenate(second), np.concatenate(measure)), np.unique(group[active])


def _order(group: Index, at: NDArray[np.float64]) -> Index:
    """Order by group, then by position; positions closer than ``_SLACK_PX`` may change places."""
    if not len(at):
        return np.zeros(0, dtype=np.int64)
    low, span = at.min(), float(np.ptp(at)) + 1.0
    first = group.min()
    if float(group.max() - first + 1) * span < 1e11:  # one key with an error below 2e-5 px sorts several times faster
        return np.argsort((group - first) * span + (at - low))
    return np.lexsort((at, group))
