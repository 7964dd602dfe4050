"""Checks of boxes two by two: the same box twice, and two boxes on one object.

Boxes are compared within a photograph only. Ignored regions are left out: they lie over objects by intention. Oriented
boxes are compared by the upright boxes around them, except that a repetition must have the same corners. Whether two
boxes that cover one another are one object or two is for a person to say.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.label_checks import by_photo, count_of, indices, named
from overflight.data.checks.overlaps import Pairs, class_groups, copies, overlapping
from overflight.data.checks.subject import Hit, Limits, Subject

COPY_PX = 0.01


def duplicate_box(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Boxes that repeat an earlier one of their class, every corner within ``max_distance_px``."""
    table = subject.table
    found = copies(subject.labels, table, limits["max_distance_px"])
    for key, part in by_photo(table, np.flatnonzero(found >= 0)):
        labels, boxes = subject.labels.photos[key], indices(table, part)
        first = named(labels, indices(table, found[part[:1]]))
        what = f"{count_of(len(part), 'box')} written twice: {named(labels, boxes)} (the first repeats {first})"
        yield Hit(what, key, boxes, score=float(len(part)))


def overlap_same(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Pairs of boxes of one class with an IoU of at least ``min_iou``; repetitions are left to ``duplicate-box``."""
    table = subject.table
    kept = np.flatnonzero(~table.ignored)
    pairs = _of_table(overlapping(class_groups(table)[kept], table.xyxy_px[kept], limits["min_iou"]), kept)
    paired = np.unique(np.concatenate([pairs.first, pairs.second]))
    copied = copies(subject.labels, table, COPY_PX, among=paired) >= 0
    pairs = pairs.select(~copied[pairs.first] & ~copied[pairs.second])
    yield from _pair_hits(subject, pairs, "of one class", limits["min_iou"])


def overlap_other(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Pairs of boxes of two classes with an IoU of at least ``min_iou``."""
    table = subject.table
    kept = np.flatnonzero(~table.ignored)
    classes = table.class_ids[kept]
    pairs = overlapping(table.photo[kept], table.xyxy_px[kept], limits["min_iou"], unlike=classes)
    yield from _pair_hits(subject, _of_table(pairs, kept), "of two classes", limits["min_iou"])


def _of_table(pairs: Pairs, kept: NDArray[np.int64]) -> Pairs:
    return Pairs(kept[pairs.first], kept[pairs.second], pairs.iou)


def _pair_hits(subject: Subject, pairs: Pairs, kind: str, least: float) -> Iterator[Hit]:
    table, classes = subject.table, subject.labels.classes
    start = 0
    for key, first in by_photo(table, pairs.first):
        part = slice(start, start + len(first))
        start = part.stop
        second, iou = pairs.second[part], pairs.iou[part]
        worst = int(np.argmax(iou))
        kinds, often = np.unique(np.sort(table.class_ids[[first, second]], axis=0), axis=1, return_counts=True)
        usual = " and ".join(dict.fromkeys(classes[index] for index in kinds[:, np.argmax(often)].tolist()))
        most = np.array([first[worst], second[worst]])
        what = (
            f"{count_of(len(first), 'pair')} {kind} overlap by an IoU of {least:g} or more, mostly {usual} "
            f"(worst {iou[worst]:.2f}: {named(subject.labels.photos[key], indices(table, most))})"
        )
        both = np.unique(np.concatenate([first, second]))
        yield Hit(what, key, indices(table, both), score=float(iou[worst]))
