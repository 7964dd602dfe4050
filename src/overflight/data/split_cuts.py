"""Flights in the order taken, and cuts through them at long pauses or, with a guard of photographs, where none is.

It knows file names, times and counts of one flight, not pixels and not other flights.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import PurePosixPath

from overflight.data.flights import frame_number
from overflight.data.manifest import PhotoRecord
from overflight.errors import InputError

GUARD_SHARE = 0.05


@dataclass(frozen=True)
class Unit:
    """What stays together: a flight, or a piece of one (``name#1``, ``name#2`` ...), photographs in the order taken."""

    name: str
    photos: tuple[PhotoRecord, ...]


def flights_of(photos: Sequence[PhotoRecord]) -> list[Unit]:
    """A unit per flight, sorted by name, the photographs of each in the order taken."""
    groups: dict[str, list[PhotoRecord]] = {}
    for photo in photos:
        groups.setdefault(photo.flight, []).append(photo)
    return [_in_order(Unit(name, tuple(groups[name]))) for name in sorted(groups)]


def pieces_at_gaps(unit: Unit, *, gap_s: float) -> list[Unit]:
    """The flight cut where more than ``gap_s`` passed between two photographs; itself where times are not known."""
    times = _times_s(unit.photos)
    if times is None:
        return [unit]
    borders = [at for at in range(1, len(times)) if times[at] - times[at - 1] > gap_s]
    return _cut_at(unit, borders) if borders else [unit]


def cut_with_guard(unit: Unit, places: Sequence[float]) -> tuple[list[Unit], tuple[PhotoRecord, ...]]:
    """Cut at the widest gap near each of ``places`` (fractions of the length) and leave out photographs at the cuts.

    Raises:
        InputError: too few photographs.
    """
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


def _cut_at(unit: Unit, borders: Sequence[int]) -> list[Unit]:
    edges = [0, *borders, len(unit.photos)]
    return [
        Unit(f"{unit.name}#{number}", unit.photos[start:end])
        for number, (start, end) in enumerate(itertools.pairwise(edges), start=1)
    ]
