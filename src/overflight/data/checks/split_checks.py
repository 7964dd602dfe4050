"""Checks of the parts of a split: what they share and how they differ.

Without a split the flights stand for the parts in ``leak`` and ``near_duplicate``, because flights are what a split
hands out later. Pixels are judged by the facts that were read.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.subject import Hit, Limits, Subject
from overflight.data.duplicates import near_pairs_of_groups, same_files
from overflight.data.ground_overlap import footprint_of, ground_pairs
from overflight.imaging.geo import ground_sample_distance_m

_KS_FACTOR = 1.95  # sqrt(-ln(alpha / 2) / 2) for alpha = 0.001


def class_absent(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Classes that have boxes in one part and none in another."""
    del limits
    counts = {part: _boxes_per_class(subject, keys) for part, keys in subject.split.items() if keys}
    for index, name in enumerate(subject.labels.classes):
        shown = {part: int(found[index]) for part, found in counts.items()}
        present = sum(shown.values())
        for part, count in shown.items():
            if present and not count:
                yield Hit(f"class {name!r} has {present} boxes, none of them in {part}", where=part, score=present)


def leak(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Equal files in two parts of the split or, without a split, in two flights."""
    del limits
    of = _part_of(subject)
    for keys in same_files(subject.photos):
        firsts: dict[str, str] = {}
        for key in keys:
            if key in of:
                firsts.setdefault(of[key], key)
        (part, first), *others = firsts.items() if firsts else [("", "")]
        for other_part, other in others:
            what = f"the same file is in {part} ({first}) and in {other_part}"
            yield Hit(what, other, score=len(keys), beside=first)


def near_duplicate(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs almost equal to one of another part (or flight); equal files are left to ``leak``."""
    of = _part_of(subject)
    pairs = near_pairs_of_groups(
        list(_groups(of).values()),
        subject.photos,
        max_distance=int(limits["max_hash_distance"]),
        min_correlation=limits["min_correlation"],
    )
    for pair in pairs:
        if subject.photos[pair.a].sha256 != subject.photos[pair.b].sha256:
            what = f"is in {of[pair.b]} and shows almost the same as {pair.a} in {of[pair.a]}"
            what += f" (correlation {pair.correlation:.2f})"
            yield Hit(what, pair.b, score=pair.correlation, beside=pair.a)


def flight_torn(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Flights with photographs in two parts, unless the split cuts flights on purpose (by time gaps)."""
    del limits
    if subject.split_by == "time-gap":
        return
    parts: dict[str, dict[str, int]] = defaultdict(lambda: defaultdict(int))
    for part, keys in subject.split.items():
        for key in keys:
            if key in subject.flights:
                parts[subject.flights[key].flight][part] += 1
    for flight, counts in parts.items():
        if len(counts) > 1:
            shown = " and ".join(f"{count} photographs in {part}" for part, count in counts.items())
            yield Hit(f"flight {flight} has {shown}", where=flight, score=sum(counts.values()) - max(counts.values()))


def shift(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Parts whose box sides, altitudes or ground sample distances are distributed differently.

    The Kolmogorov-Smirnov distance must exceed ``max_ks`` and what chance gives once in a thousand for these numbers.
    """
    parts = {part: keys for part, keys in subject.split.items() if keys}
    for name, unit, values, least in (
        ("box sides", "px", {part: _box_sides_px(subject, keys) for part, keys in parts.items()}, "min_boxes"),
        ("altitudes", "m", {part: _altitudes_m(subject, keys) for part, keys in parts.items()}, "min_photos"),
        (
            "sizes of a pixel",
            "cm",
            {part: _pixel_sizes_cm(subject, keys) for part, keys in parts.items()},
            "min_photos",
        ),
    ):
        for (one, a), (other, b) in itertools.combinations(values.items(), 2):
            if min(len(a), len(b)) < limits[least]:
                continue
            distance = ks_distance(a, b)
            if distance > max(limits["max_ks"], _KS_FACTOR * np.sqrt((len(a) + len(b)) / (len(a) * len(b)))):
                what = f"{name} differ between {one} (median {np.median(a):.3g} {unit}) and {other} "
                what += f"(median {np.median(b):.3g} {unit}): distance {distance:.2f} (limit {limits['max_ks']:g})"
                yield Hit(what, where=f"{one}, {other}", score=distance)


def ground_overlap(subject: Subject, limits: Limits) -> Iterator[Hit]:
    """Photographs whose footprint shares at least ``min_share`` with one of another part; not without a split."""
    of = _part_of(subject) if subject.split else {}
    footprints = {key: found for key in of if (found := footprint_of(subject.photos[key])) is not None}
    for pair in ground_pairs(list(_groups(of).values()), footprints, min_share=limits["min_share"]):
        what = f"is in {of[pair.b]} and shares {pair.share:.0%} of its ground with {pair.a} in {of[pair.a]}"
        yield Hit(f"{what} (limit {limits['min_share']:.0%})", pair.b, score=pair.share, beside=pair.a)


def ks_distance(a: NDArray[np.float64], b: NDArray[np.float64]) -> float:
    """Largest difference of the two empirical distribution functions, 0..1 (Kolmogorov-Smirnov, two samples)."""
    a, b = np.sort(a), np.sort(b)
    both = np.concatenate([a, b])
    shares = [np.searchsorted(values, both, side="right") / len(values) for values in (a, b)]
    return float(np.abs(shares[0] - shares[1]).max())


def _part_of(subject: Subject) -> dict[str, str]:
    """Part by key, of a photograph in two parts the first; without a split, ``flight <name>``."""
    found: dict[str, str] = {}
    for part, keys in subject.split.items():
        for key in keys:
            if key in subject.photos:
                found.setdefault(key, part)
    if subject.split:
        return found
    return {key: f"flight {subject.flights[key].flight}" for key in subject.photos if key in subject.flights}


def _groups(part_of: Mapping[str, str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = defaultdict(list)
    for key, part in part_of.items():
        groups[part].append(key)
    return groups


def _boxes_per_class(subject: Subject, keys: Sequence[str]) -> NDArray[np.int64]:
    found = np.zeros(len(subject.labels.classes), dtype=np.int64)
    for key in keys:
        labels = subject.labels.photos.get(key)
        if labels is not None:
            used = labels.class_ids if labels.ignored is None else labels.class_ids[~labels.ignored]
            found += np.bincount(used, minlength=len(found))[: len(found)]
    return found


def _box_sides_px(subject: Subject, keys: Sequence[str]) -> NDArray[np.float64]:
    """Square roots of the areas of all boxes that have one."""
    areas = [np.zeros(0)]
    for key in keys:
        labels = subject.labels.photos.get(key)
        if labels is not None:
            sides = labels.xyxy_px[:, 2:4] - labels.xyxy_px[:, :2]
            used = (sides > 0).all(axis=1) & (True if labels.ignored is None else ~labels.ignored)
            areas.append(sides[used].prod(axis=1))
    return np.asarray(np.sqrt(np.concatenate(areas)), dtype=np.float64)


def _altitudes_m(subject: Subject, keys: Sequence[str]) -> NDArray[np.float64]:
    found = [subject.photos[key].metadata.altitude_agl_m for key in keys if key in subject.photos]
    return np.array([altitude for altitude in found if altitude is not None], dtype=np.float64)


def _pixel_sizes_cm(subject: Subject, keys: Sequence[str]) -> NDArray[np.float64]:
    found = []
    for key in keys:
        facts = subject.photos.get(key)
        if facts is None or facts.size_wh_px is None:
            continue
        altitude, focal = facts.metadata.altitude_agl_m, facts.metadata.focal_length_35mm_mm
        if altitude is not None and altitude > 0 and focal:
            width, height = facts.size_wh_px
            found.append(100 * ground_sample_distance_m(altitude, focal, width_px=width, height_px=height))
    return np.array(found, dtype=np.float64)
