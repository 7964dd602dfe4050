"""How much a test knows of the training: photographs of one part that another part shows already, and the pairs.

Five kinds of evidence, each of which may be missing: the same file (digest), almost the same picture (correlation of
thumbs), the same flight, the same ground (footprints), the same minute at the same place (clocks and GPS of one memory
card or camera, whatever the flights are called). Each photograph of the second part is paired with the strongest one of
the first for every kind, so a thousand frames of one hover give a thousand pairs and not a million; nothing is compared
each with each beyond the small sets of ``overflight.data.duplicates``. It judges what it is given: a photograph without
GPS cannot leak ground as far as it knows, and the report says how many could be judged. Any split can be measured, also
a published one; to make one without leaks see ``overflight.data.split``.
"""

from __future__ import annotations

import math
from bisect import bisect_left
from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import combinations
from pathlib import PurePosixPath
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from overflight.data.duplicates import MIN_CORRELATION, Look, near_pairs
from overflight.data.facts import PhotoFacts
from overflight.data.flight_pieces import natural_key
from overflight.data.ground_overlap import footprint_of, ground_pairs
from overflight.data.hash_search import expanded
from overflight.data.records import PhotoRecord
from overflight.imaging.geo import Points

Kind = Literal["same-file", "near-duplicate", "same-ground", "same-minute", "same-flight"]
KINDS: tuple[Kind, ...] = get_args(Kind)
MIN_SHARE = 0.2
MINUTE_S = 60.0
NEAR_M = 500.0
FIRST_YEAR = 2006  # earlier dates are those of clocks that were never set
EARTH_RADIUS_M = 6_371_009.0

_NEIGHBOURS = 32


@dataclass(frozen=True)
class Traits:
    """What a leak is recognised by; empty or None where it is not known.

    Attributes:
        sha256: Digest of the file.
        flight: Name of the flight; equal names are one flight.
        captured_at: Time of the camera, with or without UTC offset.
        place: Latitude and longitude (degrees).
        camera: Serial number or model: what has one clock.
        footprint: Corners (4, 2) on the ground, longitude and latitude.
        pixels: Hash and thumb.
    """

    sha256: str = ""
    flight: str = ""
    captured_at: datetime | None = None
    place: tuple[float, float] | None = None
    camera: str = ""
    footprint: Points | None = field(default=None, compare=False)
    pixels: Look | None = field(default=None, compare=False)


@dataclass(frozen=True)
class Side:
    """One part of a split, or one of two collections: its name and its photographs by key."""

    name: str
    photos: Mapping[str, Traits]


@dataclass(frozen=True)
class LeakPair:
    """Two photographs that know each other.

    Attributes:
        a: Key in the first part.
        b: Key in the second part.
        kind: Which evidence.
        value: Correlation (``near-duplicate``), share of the smaller footprint (``same-ground``), seconds apart
            (``same-minute``), else 1.
    """

    a: str
    b: str
    kind: Kind
    value: float

    def __str__(self) -> str:
        """``b: near-duplicate of a (correlation 0.97)``."""
        said = {
            "near-duplicate": f" (correlation {self.value:.2f})",
            "same-ground": f" ({self.value:.0%} of it)",
            "same-minute": f" ({self.value:.0f} s apart)",
        }
        relation = "almost the same picture" if self.kind == "near-duplicate" else self.kind.replace("-", " ")
        return f"{self.b}: {relation} as {self.a}{said.get(self.kind, '')}"


@dataclass(frozen=True)
class LeakReport:
    """What the second part shares with the first.

    Attributes:
        a: Name of the first part (training).
        b: Name of the second part (test).
        photos: Number of photographs of a and b.
        pairs: At most one per photograph of b and kind, worst first.
        judged: Photographs of b and of a for which each kind of evidence is known.
    """

    a: str
    b: str
    photos: tuple[int, int]
    pairs: tuple[LeakPair, ...]
    judged: Mapping[Kind, tuple[int, int]]

    @property
    def leaking(self) -> int:
        """Photographs of b with at least one leak."""
        return len({pair.b for pair in self.pairs})

    @property
    def score(self) -> float:
        """Share of the photographs of b with at least one leak, 0..1."""
        return self.leaking / self.photos[1] if self.photos[1] else 0.0

    def only(self, kinds: Collection[Kind]) -> LeakReport:
        """The same with these kinds of evidence alone."""
        return replace(self, pairs=tuple(pair for pair in self.pairs if pair.kind in kinds))

    def counts(self) -> dict[Kind, int]:
        """Photographs of b that leak, by kind."""
        found = Counter(pair.kind for pair in self.pairs)
        return {kind: found[kind] for kind in KINDS}

    def rows(self) -> list[dict[str, Any]]:
        """A line per kind for people."""
        return [
            {
                "kind": kind,
                "leaking": count,
                "share": f"{count / max(1, self.photos[1]):.1%}",
                "could_be_judged": f"{self.judged[kind][0] if self.judged[kind][1] else 0} of {self.photos[1]}",
                "worst": str(next((pair for pair in self.pairs if pair.kind == kind), "")),
            }
            for kind, count in self.counts().items()
        ]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json`` and reports."""
        counts = self.counts()
        return {
            "a": self.a,
            "b": self.b,
            "photos": {"a": self.photos[0], "b": self.photos[1]},
            "score": round(self.score, 6),
            "leaking": self.leaking,
            "kinds": {
                kind: {
                    "leaking": counts[kind],
                    "share": round(counts[kind] / max(1, self.photos[1]), 6),
                    "judged_b": self.judged[kind][0],
                    "judged_a": self.judged[kind][1],
                }
                for kind in KINDS
            },
            "pairs": [
                {"a": pair.a, "b": pair.b, "kind": pair.kind, "value": round(pair.value, 4)} for pair in self.pairs
            ],
        }


def traits_of_record(record: PhotoRecord, *, pixels: Look | None = None) -> Traits:
    """Of a stored photograph; its pixels are not in the manifest."""
    known = record.latitude_deg is not None and record.longitude_deg is not None
    return Traits(
        sha256=record.sha256,
        flight=record.flight,
        captured_at=None if record.captured_at is None else datetime.fromisoformat(record.captured_at),
        place=(record.latitude_deg or 0.0, record.longitude_deg or 0.0) if known else None,
        camera=record.camera_serial or record.camera_model or "",
        footprint=None if record.footprint_lonlat is None else np.array(record.footprint_lonlat, dtype=np.float64),
        pixels=pixels,
    )


def traits_of_facts(facts: PhotoFacts, *, flight: str) -> Traits:
    """Of a photograph as read; an unreadable one has its digest and flight."""
    metadata = facts.metadata
    latitude, longitude = metadata.latitude_deg, metadata.longitude_deg
    return Traits(
        sha256="" if facts.fault == "zero-bytes" else facts.sha256,
        flight=flight,
        captured_at=metadata.captured_at,
        place=None if latitude is None or longitude is None else (latitude, longitude),
        camera=metadata.camera_serial or metadata.camera_model or "",
        footprint=footprint_of(facts),
        pixels=facts.pixels,
    )


def measure_leaks(
    a: Side, b: Side, *, min_correlation: float = MIN_CORRELATION, min_share: float = MIN_SHARE
) -> LeakReport:
    """What photographs of ``b`` share with ``a``; a photograph in both is the same file.

    Args:
        a: What the detector learns from.
        b: What it is tested on.
        min_correlation: Least correlation of thumbs that counts as almost the same picture.
        min_share: Least shared ground, as a share of the smaller footprint.
    """
    table = _Table(a, b)
    found = [
        *_same_files(table),
        *_near_duplicates(table, min_correlation=min_correlation),
        *_same_ground(table, min_share=min_share),
        *_same_minute(table),
        *_same_flights(table),
    ]
    files = {pair.b for pair in found if pair.kind == "same-file"}
    kept = [pair for pair in found if pair.kind != "near-duplicate" or pair.b not in files]
    kept.sort(key=lambda pair: (KINDS.index(pair.kind), -_badness(pair), pair.b))
    return LeakReport(a.name, b.name, (len(a.photos), len(b.photos)), tuple(kept), table.judged())


def measure_parts(
    parts: Sequence[Side], *, min_correlation: float = MIN_CORRELATION, min_share: float = MIN_SHARE
) -> list[LeakReport]:
    """As :func:`measure_leaks`, each part against those before it: train and val, train and test, val and test."""
    return [
        measure_leaks(one, other, min_correlation=min_correlation, min_share=min_share)
        for one, other in combinations(parts, 2)
    ]


def comparable_seconds(moments: Sequence[datetime | None]) -> NDArray[np.float64]:
    """Seconds, nan where a time is missing or of a clock never set: UTC if all have an offset, else as clocks read."""
    usable = [moment if moment is not None and moment.year >= FIRST_YEAR else None for moment in moments]
    in_utc = all(moment.tzinfo is not None for moment in usable if moment is not None)
    seconds = [
        math.nan if moment is None else (moment if in_utc else moment.replace(tzinfo=UTC)).timestamp()
        for moment in usable
    ]
    return np.array(seconds, dtype=np.float64)


class _Table:
    """Two sides as one list: those of a first."""

    def __init__(self, a: Side, b: Side) -> None:
        self.first = len(a.photos)
        self.keys = [*a.photos, *b.photos]
        self.traits = [*a.photos.values(), *b.photos.values()]
        self.seconds = comparable_seconds([traits.captured_at for traits in self.traits])

    @property
    def sides(self) -> tuple[range, range]:
        return range(self.first), range(self.first, len(self.keys))

    def pair(self, a: int, b: int, kind: Kind, value: float = 1.0) -> LeakPair:
        return LeakPair(self.keys[a], self.keys[b], kind, float(value))

    def judged(self) -> dict[Kind, tuple[int, int]]:
        known: dict[Kind, list[bool]] = {
            "same-file": [bool(traits.sha256) for traits in self.traits],
            "near-duplicate": [traits.pixels is not None for traits in self.traits],
            "same-ground": [traits.footprint is not None for traits in self.traits],
            "same-minute": (~np.isnan(self.seconds)).tolist(),
            "same-flight": [bool(traits.flight) for traits in self.traits],
        }
        return {kind: (sum(values[self.first :]), sum(values[: self.first])) for kind, values in known.items()}


def _badness(pair: LeakPair) -> float:
    return -pair.value if pair.kind == "same-minute" else pair.value


def _same_files(table: _Table) -> Iterator[LeakPair]:
    firsts: dict[str, int] = {}
    a_side, b_side = table.sides
    for a in a_side:
        if table.traits[a].sha256:
            firsts.setdefault(table.traits[a].sha256, a)
    mine = {table.keys[a]: a for a in a_side}
    for b in b_side:
        digest, same = table.traits[b].sha256, mine.get(table.keys[b])
        if same is not None and table.traits[same].sha256 == digest:
            yield table.pair(same, b, "same-file")
        elif digest and digest in firsts:
            yield table.pair(firsts[digest], b, "same-file")


def _near_duplicates(table: _Table, *, min_correlation: float) -> Iterator[LeakPair]:
    seen = {str(at): traits for at, traits in enumerate(table.traits)}
    a_keys, b_keys = ([str(at) for at in side] for side in table.sides)
    for pair in near_pairs(a_keys, b_keys, seen, min_correlation=min_correlation):
        yield table.pair(int(pair.a), int(pair.b), "near-duplicate", pair.correlation)


def _same_ground(table: _Table, *, min_share: float) -> Iterator[LeakPair]:
    footprints = {str(at): traits.footprint for at, traits in enumerate(table.traits) if traits.footprint is not None}
    groups = [[str(at) for at in side] for side in table.sides]
    for pair in ground_pairs(groups, footprints, min_share=min_share):
        yield table.pair(int(pair.a), int(pair.b), "same-ground", pair.share)


def _same_minute(table: _Table) -> Iterator[LeakPair]:
    """The nearest in time within a minute, at the same place or, where that is not known, of the same camera."""
    known = np.flatnonzero(~np.isnan(table.seconds))
    earlier, later = known[known < table.first], known[known >= table.first]
    earlier = earlier[np.argsort(table.seconds[earlier], kind="stable")]
    times, wanted = table.seconds[earlier], table.seconds[later]
    middle = np.searchsorted(times, wanted)
    # A clock that stood still gives all photographs one time: some neighbours of each are enough.
    low = np.maximum(np.searchsorted(times, wanted - MINUTE_S, side="left"), middle - _NEIGHBOURS)
    high = np.minimum(np.searchsorted(times, wanted + MINUTE_S, side="right"), middle + _NEIGHBOURS)
    at, row = expanded(low, np.maximum(high - low, 0))
    a, b = earlier[at], later[row]
    together = _together(table, a, b)
    a, b = a[together], b[together]
    apart = np.abs(table.seconds[a] - table.seconds[b])
    order = np.lexsort((a, apart, b))
    for index in order[np.unique(b[order], return_index=True)[1]]:
        yield table.pair(int(a[index]), int(b[index]), "same-minute", apart[index])


def _together(table: _Table, a: NDArray[np.int64], b: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Whether pairs of photographs are within 500 m; by camera where a place is missing."""
    places = np.array([traits.place or (math.nan, math.nan) for traits in table.traits]).reshape(-1, 2)
    codes: dict[str, int] = {"": -1}
    cameras = np.array([codes.setdefault(traits.camera, len(codes)) for traits in table.traits], dtype=np.int64)
    apart = np.radians(places[a] - places[b])
    apart[:, 1] = (apart[:, 1] + math.pi) % math.tau - math.pi
    between = np.cos(np.radians((places[a, 0] + places[b, 0]) / 2))
    metres = EARTH_RADIUS_M * np.hypot(apart[:, 0], apart[:, 1] * between)
    same_camera = (cameras[a] == cameras[b]) & (cameras[a] >= 0)
    return np.asarray(np.where(np.isnan(metres), same_camera, metres <= NEAR_M), dtype=np.bool_)


def _same_flights(table: _Table) -> Iterator[LeakPair]:
    """Photographs whose flight is also in a, each with its neighbour there: in time, or else by name."""
    a_side, b_side = table.sides
    members: dict[str, list[int]] = defaultdict(list)
    for a in a_side:
        if table.traits[a].flight:
            members[table.traits[a].flight].append(a)
    by_time: dict[str, tuple[list[float], list[int]]] = {}
    by_name: dict[str, tuple[list[list[tuple[int, str]]], list[int]]] = {}
    for flight, found in members.items():
        timed = sorted((float(table.seconds[a]), a) for a in found if not math.isnan(table.seconds[a]))
        by_time[flight] = ([second for second, _ in timed], [a for _, a in timed])
        named = sorted((natural_key(PurePosixPath(table.keys[a])), a) for a in found)
        by_name[flight] = ([name for name, _ in named], [a for _, a in named])
    for b in b_side:
        flight, second = table.traits[b].flight, float(table.seconds[b])
        if flight not in members:
            continue
        seconds, timed_members = by_time[flight]
        if seconds and not math.isnan(second):
            at = bisect_left(seconds, second)
            near = min(range(max(at - 1, 0), min(at + 1, len(seconds))), key=lambda i: abs(seconds[i] - second))
            yield table.pair(timed_members[near], b, "same-flight")
        else:
            names, named_members = by_name[flight]
            at = bisect_left(names, natural_key(PurePosixPath(table.keys[b])))
            yield table.pair(named_members[min(at, len(names) - 1)], b, "same-flight")
