"""Which flights train, choose the epoch (val) and are held out (test): whole flights, never single photographs.

Neighbouring photographs of a flight show the same cars seconds apart; a split by photograph measures memory, not skill.
With three or more flights each one goes to one side as a whole. With two, one is the test, the other is cut in two for
training and val. One flight is refused. ``time-gap`` is the way out: a flight is cut where more than ten minutes passed
between two photographs; if that gives fewer than three pieces, the longest is cut in the order it was taken, at the
widest gap (of time, else of frame numbers) near the wanted share, and the photographs at the cut (the guard) are left
out. It knows file names, times and counts, not pixels: flights that overlap on the ground are not recognised.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overflight.data.flights import frame_number
from overflight.data.manifest import PhotoRecord
from overflight.errors import InputError

SplitBy = Literal["flight", "time-gap"]
PARTS = ("train", "val", "test")
SHARES = (0.6, 0.2, 0.2)
GAP_S = 600.0
GUARD_SHARE = 0.05

_CANDIDATES = 20_000
_NEAR_BEST = 0.05
_MISSING_CLASS_COST = (1.0, 0.1, 0.5)  # of a class that one of train, val, test does not show


@dataclass(frozen=True)
class Unit:
    """What stays together: a flight, or a piece of one (``name#1``, ``name#2`` ...), photographs in the order taken."""

    name: str
    photos: tuple[PhotoRecord, ...]


@dataclass(frozen=True)
class Split:
    """Units by part, and what was left out at cuts."""

    train: tuple[Unit, ...]
    val: tuple[Unit, ...]
    test: tuple[Unit, ...]
    left_out: tuple[PhotoRecord, ...] = ()
    notes: tuple[str, ...] = ()

    def parts(self) -> dict[str, tuple[Unit, ...]]:
        """``train``, ``val`` and ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}

    def photos(self, part: str) -> tuple[PhotoRecord, ...]:
        """Photographs of one part, sorted by path."""
        found = (photo for unit in self.parts()[part] for photo in unit.photos)
        return tuple(sorted(found, key=lambda photo: photo.path))

    def names(self) -> dict[str, list[str]]:
        """Names of the units by part, sorted."""
        return {part: sorted(unit.name for unit in units) for part, units in self.parts().items()}


def split_photos(
    photos: Sequence[PhotoRecord],
    class_counts: Mapping[str, NDArray[np.integer]],
    *,
    by: SplitBy = "flight",
    seed: int = 0,
    shares: tuple[float, float, float] = SHARES,
    gap_s: float = GAP_S,
) -> Split:
    """Divide photographs by flight.

    Args:
        photos: All photographs of the survey.
        class_counts: Boxes per class (C,) by photo path.
        by: ``flight``, or ``time-gap`` to cut flights into pieces.
        seed: Chooses among splits that are about equally good.
        shares: Wanted shares of train, val and test, of photos and of boxes.
        gap_s: ``time-gap``: a longer pause between two photographs ends a piece.

    Raises:
        InputError: too few flights (or, with ``time-gap``, photographs) to hold something out.
    """
    units = _flights(photos)
    if by == "flight" and len(units) == 1:
        raise InputError(
            f"all {len(photos)} photos belong to one flight ({units[0].name}): no other flight could be held out, "
            "and neighbouring photos of one flight are too alike for an honest test",
            where="split",
            cure="Add another flight, name the flights in flights.csv, or cut this one with --split-by time-gap",
        )
    if by == "time-gap":
        units = [piece for unit in units for piece in _pieces(unit, gap_s=gap_s)]
    if len(units) >= 3:
        return _assign(units, class_counts, seed=seed, shares=shares)
    if len(units) == 2:
        return _of_two(units)
    return _of_one(units[0], shares=shares)


def _flights(photos: Sequence[PhotoRecord]) -> list[Unit]:
    groups: dict[str, list[PhotoRecord]] = {}
    for photo in photos:
        groups.setdefault(photo.flight, []).append(photo)
    return [_in_order(Unit(name, tuple(groups[name]))) for name in sorted(groups)]


def _times_s(photos: Sequence[PhotoRecord]) -> list[float] | None:
    """Capture times as seconds, or None unless every photograph has one of the same kind (with or without zone)."""
    stamps = [None if photo.captured_at is None else datetime.fromisoformat(photo.captured_at) for photo in photos]
    known = [stamp for stamp in stamps if stamp is not None]
    if len(known) < len(photos) or len({stamp.tzinfo is None for stamp in known}) != 1:
        return None
    zero = min(known)
    return [(stamp - zero).total_seconds() for stamp in known]


def _in_order(unit: Unit) -> Unit:
    places = _places(unit)
    order = sorted(range(len(unit.photos)), key=lambda at: (places[at], unit.photos[at].path))
    return replace(unit, photos=tuple(unit.photos[at] for at in order))


def _places(unit: Unit) -> list[float]:
    """Position of each photograph on the flight's line: seconds, else frame numbers, else its rank by name."""
    times = _times_s(unit.photos)
    if times is not None and max(times) > 0:
        return times
    frames = [frame_number(PurePosixPath(photo.path).stem) for photo in unit.photos]
    numbers = [float(frame) for frame in frames if frame is not None]
    if len(numbers) == len(frames):
        return numbers
    rank = {path: at for at, path in enumerate(sorted(photo.path for photo in unit.photos))}
    return [float(rank[photo.path]) for photo in unit.photos]


def _pieces(unit: Unit, *, gap_s: float) -> list[Unit]:
    times = _times_s(unit.photos)
    if times is None:
        return [unit]
    borders = [at for at in range(1, len(times)) if times[at] - times[at - 1] > gap_s]
    return _cut_at(unit, borders) if borders else [unit]


def _cut_at(unit: Unit, borders: Sequence[int]) -> list[Unit]:
    edges = [0, *borders, len(unit.photos)]
    return [
        Unit(f"{unit.name}#{number}", unit.photos[start:end])
        for number, (start, end) in enumerate(itertools.pairwise(edges), start=1)
    ]


def _of_one(unit: Unit, *, shares: tuple[float, float, float]) -> Split:
    pieces, left_out = _cut_with_guard(unit, [shares[0], shares[0] + shares[1]])
    note = f"{unit.name} was cut into three pieces in the order taken; {len(left_out)} photos at the cuts are left out"
    return Split((pieces[0],), (pieces[1],), (pieces[2],), left_out, (note,))


def _of_two(units: Sequence[Unit]) -> Split:
    larger, smaller = sorted(units, key=lambda unit: (-len(unit.photos), unit.name))
    pieces, left_out = _cut_with_guard(larger, [SHARES[0] / (SHARES[0] + SHARES[1])])
    note = (
        f"only two flights: {smaller.name} is held out, {larger.name} was cut in two for training and val; "
        f"{len(left_out)} photos at the cut are left out"
    )
    return Split((pieces[0],), (pieces[1],), (smaller,), left_out, (note,))


def _cut_with_guard(unit: Unit, places: Sequence[float]) -> tuple[list[Unit], tuple[PhotoRecord, ...]]:
    """Cut at the widest gap near each of ``places`` (fractions of the length) and leave out photographs at the cuts."""
    count = len(unit.photos)
    guard = max(1, math.ceil(GUARD_SHARE * count))
    needed = len(places) + 1 + guard * len(places)
    if count < needed:
        raise InputError(
            f"the flight {unit.name} has {count} photos; to cut it into {len(places) + 1} pieces {needed} are needed",
            where="split",
            cure="Add another flight",
        )
    positions = _places(unit)
    kept: list[tuple[PhotoRecord, ...]] = []
    left_out: list[PhotoRecord] = []
    start = 0
    for number, place in enumerate(places):
        later = (len(places) - number - 1) * (guard + 1) + 1  # photographs that must remain behind this cut
        ideal = min(max(round(place * count), start + guard + 1), count - later)
        reach = count // 20
        borders = range(max(ideal - reach, start + guard + 1), min(ideal + reach, count - later) + 1)
        border = min(borders, key=lambda at: (positions[at - 1] - positions[at], abs(at - ideal), at))
        kept.append(unit.photos[start : border - guard])
        left_out += unit.photos[border - guard : border]
        start = border
    kept.append(unit.photos[start:])
    pieces = [Unit(f"{unit.name}#{number}", photos) for number, photos in enumerate(kept, start=1)]
    return pieces, tuple(left_out)


def _assign(
    units: Sequence[Unit],
    class_counts: Mapping[str, NDArray[np.integer]],
    *,
    seed: int,
    shares: tuple[float, float, float],
) -> Split:
    """The split closest to the wanted shares; classes missing in train or test cost most."""
    random = np.random.default_rng(seed)
    choices = _candidates(len(units), shares, random=random)
    photos = np.array([len(unit.photos) for unit in units], dtype=np.float64)
    classes = np.array([sum(class_counts[photo.path] for photo in unit.photos) for unit in units], dtype=np.float64)
    classes = classes.reshape(len(units), -1)[:, classes.reshape(len(units), -1).sum(axis=0) > 0]
    boxes = classes.sum(axis=1)
    cost = np.zeros(len(choices))
    for part, share in enumerate(shares):
        chosen = (choices == part).astype(np.float64)
        for amounts in (photos, boxes):
            if amounts.sum():
                cost += np.abs(chosen @ amounts / amounts.sum() - share)
        cost += _MISSING_CLASS_COST[part] * ((chosen @ classes) == 0).sum(axis=1)
    near_best = np.flatnonzero(cost <= cost.min() + _NEAR_BEST)
    best = choices[random.choice(near_best)]
    train, val, test = (tuple(unit for unit, at in zip(units, best, strict=True) if at == part) for part in range(3))
    return Split(train, val, test)


def _candidates(count: int, shares: tuple[float, float, float], *, random: np.random.Generator) -> NDArray[np.int8]:
    """Assignments (K, count) of units to parts 0, 1, 2, none of them empty: all of them when few, else a sample."""
    if 3**count <= _CANDIDATES:
        grid = np.indices((3,) * count).reshape(count, -1).T.astype(np.int8)
    else:
        rows = max(200, min(_CANDIDATES, 4_000_000 // count))
        grid = random.choice(3, size=(rows, count), p=np.array(shares) / sum(shares)).astype(np.int8)
        grid[:, :3] = np.where((np.arange(rows) % 5 == 0)[:, None], np.array([0, 1, 2], dtype=np.int8), grid[:, :3])
    filled = np.logical_and.reduce([(grid == part).any(axis=1) for part in range(3)])
    return np.unique(grid[filled], axis=0)
