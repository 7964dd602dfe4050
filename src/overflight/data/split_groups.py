"""Which flights belong together because they show the same: groups that a split must not tear.

Two units (flights, or pieces of them) are joined by one pair of photographs that are the same file, almost the same
picture, the same ground, or neighbours in time on one camera (a memory card or a name was changed in the air). Joins
carry on: a, b and c are one group when a is joined with b and b with c. The same ground counts however much time lies
between: houses and parked cars stay. Photographs without GPS, height or direction have no footprint and join nothing
by ground; a clock that was never set joins nothing by time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from overflight.data.duplicates import MIN_CORRELATION, NearPair, Seen, near_pairs_of_groups
from overflight.data.flight_pieces import distance_m
from overflight.data.ground_overlap import ground_pairs
from overflight.data.leaks import MIN_SHARE, LeakPair, comparable_seconds, traits_of_record
from overflight.data.manifest import PhotoRecord
from overflight.data.split_cuts import Unit, flights_of

CARD_CHANGE_S = 120.0
CARD_CHANGE_M = 200.0

Groups = Sequence[Sequence[str]]
Search = Callable[[Groups], Iterable[LeakPair]]


@dataclass(frozen=True)
class Component:
    """Units that must stay together, and the pairs of photographs that say so."""

    units: tuple[Unit, ...]
    joins: tuple[LeakPair, ...] = ()

    @property
    def photos(self) -> tuple[PhotoRecord, ...]:
        """All photographs."""
        return tuple(photo for unit in self.units for photo in unit.photos)

    @property
    def name(self) -> str:
        """``flight1 + flight2``."""
        return " + ".join(unit.name for unit in self.units)


class Union:
    """Sets that are joined (union-find with path halving); the smallest member stands for a set."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def find(self, member: int) -> int:
        """The member that stands for the set of ``member``."""
        parents = self._parents
        while parents[member] != member:
            parents[member] = parents[parents[member]]
            member = parents[member]
        return member

    def join(self, one: int, other: int) -> bool:
        """Make one set of two; False when they are one already."""
        low, high = sorted((self.find(one), self.find(other)))
        self._parents[high] = low
        return low != high

    def sets(self) -> list[list[int]]:
        """Members of each set, ascending, in the order of their first."""
        found: dict[int, list[int]] = defaultdict(list)
        for member in range(len(self._parents)):
            found[self.find(member)].append(member)
        return list(found.values())


def groups(
    records: Sequence[PhotoRecord],
    *,
    near: Iterable[NearPair] = (),
    min_overlap: float | None = MIN_SHARE,
    gap_s: float = CARD_CHANGE_S,
    units: Sequence[Unit] | None = None,
) -> list[Component]:
    """Components of the survey, in the order of their first unit; whatever the order of ``records``.

    Args:
        records: All photographs.
        near: Photographs that are almost the same, by path: see :func:`near_across`.
        min_overlap: Least shared ground that joins, as a share of the smaller footprint; None: ground joins nothing.
        gap_s: Longest pause between neighbours of one camera that joins; 0: time joins nothing.
        units: What is joined; by default the flights of ``records``.
    """
    units = flights_of(records) if units is None else units
    places = {photo.path: index for index, unit in enumerate(units) for photo in unit.photos}
    union = Union(len(units))
    joins: list[LeakPair] = []

    def take(pairs: Iterable[LeakPair]) -> int:
        known = (pair for pair in pairs if pair.a in places and pair.b in places)
        new = [pair for pair in known if union.join(places[pair.a], places[pair.b])]
        joins.extend(new)
        return len(new)

    every = [photo for unit in units for photo in unit.photos]
    take(_same_files(every))
    given = (LeakPair(pair.a, pair.b, "near-duplicate", pair.correlation) for pair in near)
    take(sorted(given, key=lambda pair: (-pair.value, pair.a, pair.b)))
    if gap_s > 0:
        take(_card_changes(every, gap_s=gap_s))
    if min_overlap is not None:
        search = _ground_search(every, min_share=min_overlap)
        while take(search([[p.path for at in members for p in units[at].photos] for members in union.sets()])):
            pass
    found: dict[int, list[LeakPair]] = defaultdict(list)
    for pair in joins:
        found[union.find(places[pair.a])].append(pair)
    return [
        Component(tuple(units[at] for at in members), tuple(found[union.find(members[0])])) for members in union.sets()
    ]


def near_across(
    records: Sequence[PhotoRecord],
    seen: Mapping[str, Seen],
    *,
    units: Sequence[Unit] | None = None,
    min_correlation: float = MIN_CORRELATION,
) -> list[NearPair]:
    """Pairs of photographs of different units that are almost the same: enough of them to join all that belong.

    A search names one partner per photograph, so it is repeated with joined units as one until it finds no more.

    Args:
        records: All photographs.
        seen: Their pixels by path (``PhotoFacts`` read with ``decode=True``).
        units: What a split would keep whole (``split.units_of``); by default the flights of ``records``.
        min_correlation: Least correlation of the thumbs.
    """
    units = flights_of(records) if units is None else units
    places = {photo.path: index for index, unit in enumerate(units) for photo in unit.photos}
    union = Union(len(units))
    found: list[NearPair] = []
    while True:
        members = [[photo.path for at in one for photo in units[at].photos] for one in union.sets()]
        pairs = near_pairs_of_groups(members, seen, min_correlation=min_correlation)
        new = [pair for pair in pairs if union.join(places[pair.a], places[pair.b])]
        if not new:
            return found
        found += new


def _same_files(photos: Sequence[PhotoRecord]) -> Iterator[LeakPair]:
    firsts: dict[str, str] = {}
    for photo in photos:
        first = firsts.setdefault(photo.sha256, photo.path)
        if first != photo.path:
            yield LeakPair(first, photo.path, "same-file", 1.0)


def _card_changes(photos: Sequence[PhotoRecord], *, gap_s: float) -> Iterator[LeakPair]:
    """Neighbours in time of one camera (or of those that are not known) at one place, which must be known."""
    traits = {photo.path: traits_of_record(photo) for photo in photos}
    seconds = comparable_seconds([traits[photo.path].captured_at for photo in photos])
    by_camera: dict[str, list[int]] = defaultdict(list)
    for at in np.flatnonzero(~np.isnan(seconds)).tolist():
        by_camera[traits[photos[at].path].camera].append(at)
    for members in by_camera.values():
        members.sort(key=lambda at: (seconds[at], photos[at].path))
        for one, other in pairwise(members):
            pause_s = float(seconds[other] - seconds[one])
            first, second = traits[photos[one].path], traits[photos[other].path]
            if first.flight == second.flight or pause_s > gap_s or first.place is None or second.place is None:
                continue
            if distance_m(first.place, second.place) <= CARD_CHANGE_M:
                yield LeakPair(photos[one].path, photos[other].path, "same-minute", pause_s)


def _ground_search(photos: Sequence[PhotoRecord], *, min_share: float) -> Search:
    footprints = {
        photo.path: np.array(photo.footprint_lonlat, dtype=np.float64)
        for photo in photos
        if photo.footprint_lonlat is not None
    }

    def search(members: Groups) -> Iterator[LeakPair]:
        for pair in ground_pairs(members, footprints, min_share=min_share):
            yield LeakPair(pair.a, pair.b, "same-ground", pair.share)

    return search
