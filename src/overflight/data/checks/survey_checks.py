"""Checks of a survey as a whole: classes, their numbers of boxes, and whether its flights can be split.

It looks at names and counts only, at no pixel and no single box.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterator

import numpy as np

from overflight.data.checks.subject import Hit, Limits, Subject
from overflight.data.formats.labels import UNLABELLED


def no_boxes(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """A survey without any box; that there are no labels at all has its own finding."""
    del limits
    if subject.labels.format != UNLABELLED and not sum(_boxes_per_class(subject)):
        yield Hit("holds no boxes at all")


def few_boxes(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Classes with fewer than ``min_boxes`` boxes, also those that are declared and never used."""
    for name, count in zip(subject.labels.classes, _boxes_per_class(subject), strict=True):
        if count < limits["min_boxes"]:
            what = f"class {name!r} has {count} boxes" if count else f"class {name!r} is declared and never used"
            yield Hit(what, score=limits["min_boxes"] - count)


def imbalance(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """One of several classes with more than ``max_share`` of all boxes."""
    counts = _boxes_per_class(subject)
    total = sum(counts)
    if len(counts) < 2 or not total:
        return
    share = max(counts) / total
    if share > limits["max_share"]:
        name = subject.labels.classes[counts.index(max(counts))]
        what = (
            f"class {name!r} has {share:.0%} of all boxes ({max(counts)} of {total}; limit {limits['max_share']:.0%})"
        )
        yield Hit(what, score=share)


def class_names(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Classes whose names are empty, or differ only by case, spaces, hyphens or underscores."""
    del limits
    alike: dict[str, list[int]] = defaultdict(list)
    for index, name in enumerate(subject.labels.classes):
        alike[re.sub(r"[\s_-]+", "", name.casefold())].append(index)
    for same, members in alike.items():
        shown = " and ".join(f"{subject.labels.classes[index]!r} ({index})" for index in members)
        if not same:
            yield Hit(f"class {shown} has no name")
        elif len(members) > 1:
            yield Hit(f"classes {shown} are one name in two spellings", score=len(members))


def one_flight(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """A survey of one flight that is to be split by flight."""
    del limits
    flights = _photos_per_flight(subject)
    if len(flights) == 1 and subject.split_by != "time-gap":
        yield Hit(f"all photos belong to one flight ({next(iter(flights))}), so no other flight can be held out")


def two_flights(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """A survey of two flights that is to be split by flight."""
    del limits
    if len(_photos_per_flight(subject)) == 2 and subject.split_by != "time-gap":
        yield Hit("has two flights: one is held out, the other is cut in two for training and val")


def lone_photos(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs that would be flights of their own, because names alone do not tell flights apart."""
    flights = _photos_per_flight(subject)
    named = [found for found in subject.flights.values() if found.evidence == "name"]
    alone = sum(1 for found in named if flights[found.flight] == 1)
    if (
        len(named) >= limits["min_photos"]
        and alone > limits["max_share"] * len(named)
        and subject.split_by != "time-gap"
    ):
        what = f"{alone} of {len(named)} photos would be flights of their own: their names do not tell flights apart"
        yield Hit(what, score=alone / len(named))


def _photos_per_flight(subject: Subject) -> Counter[str]:
    return Counter(found.flight for found in subject.flights.values())


def _boxes_per_class(subject: Subject) -> list[int]:
    """Boxes by class, ignored regions left out."""
    table = subject.table
    counts = np.bincount(table.class_ids[~table.ignored], minlength=len(subject.labels.classes))
    return [int(count) for count in counts[: len(subject.labels.classes)]]
