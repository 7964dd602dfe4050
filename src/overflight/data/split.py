"""Which photographs train, choose the epoch (val) and are held out (test): whole flights, never single photographs.

Neighbouring photographs of a flight show the same cars seconds apart; a split by photograph measures memory, not skill.
``flight`` keeps flights whole, ``ground`` also keeps flights together that show the same (the same ground, however much
time lies between; almost the same picture; a card changed in the air), ``time-gap`` cuts flights where more than ten
minutes passed between two photographs. In each, flights (or pieces) that hold the same file, or photographs that the
caller knows to be almost the same, stay together. Within that, photographs, boxes, classes and sizes get their shares.

What is not possible is given up in this order, with a note and what then leaks: three groups of all evidence; two, the
smaller is the test and the other is divided by flights (the test stays clean); the same without ground; flights alone.
With two flights, one is the test, the other is cut in two for training and val. One flight is refused, except by
``time-gap``: if its pauses give fewer than three pieces, the longest is cut in the order it was taken, at the widest
gap (of time, else of frame numbers) near the wanted share, and the photographs at the cut (the guard) are left out.
``strict`` refuses instead of giving up. It knows the manifest (names, times, footprints, digests), not pixels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overflight.data.duplicates import NearPair
from overflight.data.leaks import (
    FIRST_YEAR,
    MIN_SHARE,
    LeakPair,
    LeakReport,
    Side,
    comparable_seconds,
    measure_leaks,
    traits_of_record,
)
from overflight.data.manifest import PhotoRecord
from overflight.data.split_balance import PARTS, SIZE_BANDS, Balance, assign
from overflight.data.split_cuts import Unit, cut_with_guard, flights_of, pieces_at_gaps
from overflight.data.split_groups import CARD_CHANGE_S, Component, groups
from overflight.errors import InputError

__all__ = ["GAP_S", "PARTS", "SHARES", "Split", "SplitBy", "Unit", "split_photos", "units_of"]

SplitBy = Literal["flight", "ground", "time-gap"]
SHARES = (0.6, 0.2, 0.2)
GAP_S = 600.0

_LEAST_PART = 0.25  # of its wanted share: with less in val or test, evidence is given up
_NAMES_SHOWN = 3

Counts = Mapping[str, NDArray[np.integer]]


@dataclass(frozen=True)
class Split:
    """Units by part, what was left out at cuts, and what the split is like.

    Attributes:
        train: Flights, or pieces of them.
        val: The same, to choose the epoch.
        test: The same, held out.
        left_out: Photographs at cuts.
        notes: Sentences for people: what was given up, what is not known, what cannot be measured.
        joins: Pairs of photographs that keep flights together, one for each flight joined to others.
        balance: Photographs, boxes, classes and sizes by part.
    """

    train: tuple[Unit, ...]
    val: tuple[Unit, ...]
    test: tuple[Unit, ...]
    left_out: tuple[PhotoRecord, ...] = ()
    notes: tuple[str, ...] = ()
    joins: tuple[LeakPair, ...] = ()
    balance: Balance | None = field(default=None, compare=False)

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

    def leaks(self, a: str = "train", b: str = "test") -> LeakReport:
        """What ``b`` shares with ``a`` as far as the manifest tells (not almost equal pictures)."""
        sides = [Side(part, {photo.path: traits_of_record(photo) for photo in self.photos(part)}) for part in (a, b)]
        return measure_leaks(*sides)


def split_photos(
    photos: Sequence[PhotoRecord],
    class_counts: Counts,
    *,
    by: SplitBy = "flight",
    seed: int = 0,
    shares: tuple[float, float, float] = SHARES,
    gap_s: float = GAP_S,
    size_counts: Counts | None = None,
    near: Sequence[NearPair] = (),
    min_overlap: float = MIN_SHARE,
    classes: Sequence[str] = (),
    strict: bool = False,
) -> Split:
    """Divide photographs by flight.

    Args:
        photos: All photographs of the survey.
        class_counts: Boxes per class (C,) by photo path.
        by: ``flight``; ``ground`` to keep flights over the same ground together; ``time-gap`` to cut flights.
        seed: Chooses among splits that are about equally good.
        shares: Wanted shares of train, val and test: of photos, of boxes, of each class and size.
        gap_s: ``time-gap``: a longer pause between two photographs ends a piece.
        size_counts: Small, medium and large boxes (3,) by photo path (``split_balance.size_bands``), to balance them.
        near: Photographs of different units that are almost the same (``split_groups.near_across``).
        min_overlap: ``ground``: least shared ground that joins, as a share of the smaller footprint.
        classes: Names of the classes, for notes.
        strict: Refuse rather than give up evidence.

    Raises:
        InputError: too few flights (or, with ``time-gap``, photographs) to hold something out; or, with ``strict``,
            too few groups.
    """
    if not photos:
        raise InputError("there is no photo to split", where="split", cure="Add photos to the survey")
    units = flights_of(photos)
    if by != "time-gap" and len(units) == 1:
        raise InputError(
            f"all {len(photos)} photos belong to one flight ({units[0].name}): no other flight could be held out, "
            "and neighbouring photos of one flight are too alike for an honest test",
            where="split",
            cure="Add another flight, name the flights in flights.csv, or cut this one with --split-by time-gap",
        )
    units = units_of(photos, by=by, gap_s=gap_s)
    job = _Job(class_counts, size_counts, shares, seed)
    split, given_up = _best(photos, units, job, by=by, near=near, min_overlap=min_overlap, strict=strict)
    balance = job.balance(split)
    notes = [*split.notes, *given_up]
    if given_up:
        notes += _what_leaks(split, near)
    if by == "ground":
        notes += _unknown(photos)
    notes += _untested(split, balance, class_counts, classes)
    return replace(split, notes=tuple(notes), balance=balance)


def units_of(photos: Sequence[PhotoRecord], *, by: SplitBy, gap_s: float = GAP_S) -> list[Unit]:
    """What is never torn before other evidence is looked at: flights; by ``time-gap`` their pieces."""
    units = flights_of(photos)
    return [piece for unit in units for piece in pieces_at_gaps(unit, gap_s=gap_s)] if by == "time-gap" else units


@dataclass(frozen=True)
class _Job:
    """Amounts and wishes."""

    class_counts: Counts
    size_counts: Counts | None
    shares: tuple[float, float, float]
    seed: int

    def of(self, photos: Sequence[PhotoRecord], counts: Counts, *, columns: int) -> NDArray[np.int64]:
        """Sum (columns,) over photographs."""
        found = np.zeros(columns, dtype=np.int64)
        for photo in photos:
            found += counts[photo.path]
        return found

    @property
    def classes(self) -> int:
        """Number of classes."""
        return len(next(iter(self.class_counts.values()), np.zeros(0)))

    def choose(self, components: Sequence[Component]) -> Split:
        """Of three or more components."""
        classes = np.array([self.of(one.photos, self.class_counts, columns=self.classes) for one in components])
        sizes = None
        if self.size_counts is not None:
            bands = len(SIZE_BANDS)
            sizes = np.array([self.of(one.photos, self.size_counts, columns=bands) for one in components])
        counts = [len(one.photos) for one in components]
        chosen = assign(counts, classes, sizes, shares=self.shares, seed=self.seed)
        train, val, test = (
            tuple(unit for one, at in zip(components, chosen, strict=True) if at == part for unit in one.units)
            for part in range(len(PARTS))
        )
        return Split(train, val, test)

    def balance(self, split: Split) -> Balance:
        """What each part got."""
        photos = {part: split.photos(part) for part in PARTS}
        sizes = None
        if self.size_counts is not None:
            bands = len(SIZE_BANDS)
            sizes = {part: self.of(found, self.size_counts, columns=bands) for part, found in photos.items()}
        classes = {part: self.of(found, self.class_counts, columns=self.classes) for part, found in photos.items()}
        return Balance({part: len(found) for part, found in photos.items()}, classes, sizes)


def _best(
    photos: Sequence[PhotoRecord],
    units: Sequence[Unit],
    job: _Job,
    *,
    by: SplitBy,
    near: Sequence[NearPair],
    min_overlap: float,
    strict: bool,
) -> tuple[Split, list[str]]:
    """The split that respects most evidence, and what was given up for it."""
    card_s = CARD_CHANGE_S if by == "ground" else 0.0
    levels = [(min_overlap, "ground and other evidence"), (None, "other evidence")]
    given_up: list[str] = []
    for overlap, what in levels if by == "ground" else levels[1:]:
        found = groups(photos, near=near, min_overlap=overlap, gap_s=card_s, units=units)
        joins = tuple(pair for one in found for pair in one.joins)
        if not joins and (given_up or by != "ground"):
            break  # flights alone
        torn = len(found) < len(PARTS) and bool(joins)
        split = None if strict and torn else _of_components(found, job)
        if split is not None:
            return replace(split, joins=joins), given_up
        if joins:
            why = _joined(found, len(units), what)
            if strict:
                cure = "Add a flight over other ground, or choose --split-by flight and read what leaks in its report"
                raise InputError(why, where="split", cure=cure)
            given_up.append(f"{why}; it was not used")
    return _of_units(units, job), given_up


def _of_components(found: Sequence[Component], job: _Job) -> Split | None:
    """None when too little would be held out."""
    if len(found) >= len(PARTS):
        split = job.choose(found)
    elif len(found) == 2:
        larger, smaller = sorted(found, key=lambda one: (-len(one.photos), one.name))
        alone = len(larger.units) == 1
        split = _of_two(larger.units[0], smaller, job) if alone else _of_two_groups(larger, smaller, job)
    else:
        return None
    total = sum(len(split.photos(part)) for part in PARTS)
    enough = all(
        len(split.photos(part)) >= _LEAST_PART * share * total for part, share in zip(PARTS, job.shares, strict=True)
    )
    return split if enough else None


def _of_two_groups(larger: Component, smaller: Component, job: _Job) -> Split:
    """The smaller is held out; of the other the flight nearest to the wanted share chooses the epoch."""
    wanted = job.shares[1] / (job.shares[0] + job.shares[1]) * len(larger.photos)
    val = min(larger.units, key=lambda unit: (abs(len(unit.photos) - wanted), unit.name))
    note = (
        f"only two groups of flights show different ground: {smaller.name} is held out; {val.name} chooses the epoch "
        f"although it shows the same as training (for example {larger.joins[0]})"
    )
    train = tuple(unit for unit in larger.units if unit != val)
    return Split(train, (val,), smaller.units, notes=(note,))


def _of_units(units: Sequence[Unit], job: _Job) -> Split:
    """Flights, or pieces, whatever they show."""
    if len(units) >= len(PARTS):
        return job.choose([Component((unit,)) for unit in units])
    if len(units) == 2:
        larger, smaller = sorted(units, key=lambda unit: (-len(unit.photos), unit.name))
        return _of_two(larger, Component((smaller,)), job)
    return _of_one(units[0], shares=job.shares)


def _of_one(unit: Unit, *, shares: tuple[float, float, float]) -> Split:
    pieces, left_out = cut_with_guard(unit, [shares[0], shares[0] + shares[1]])
    note = f"{unit.name} was cut into three pieces in the order taken; {len(left_out)} photos at the cuts are left out"
    return Split((pieces[0],), (pieces[1],), (pieces[2],), left_out, (note,))


def _of_two(larger: Unit, smaller: Component, job: _Job) -> Split:
    pieces, left_out = cut_with_guard(larger, [job.shares[0] / (job.shares[0] + job.shares[1])])
    what = "two flights" if len(smaller.units) == 1 else "two groups of flights"
    note = (
        f"only {what}: {smaller.name} is held out, {larger.name} was cut in two for training and val; "
        f"{len(left_out)} photos at the cut are left out"
    )
    return Split((pieces[0],), (pieces[1],), smaller.units, left_out, (note,))


def _joined(found: Sequence[Component], flights: int, what: str) -> str:
    """Which pair, by which evidence, joins too many flights."""
    largest = max(found, key=lambda one: (len(one.photos), one.name))
    pairs = "; ".join(str(pair) for pair in largest.joins[:_NAMES_SHOWN])
    return (
        f"{what} joins {len(largest.units)} of {flights} flights into one group with {len(largest.photos)} photos; "
        f"train, val and test cannot be filled from {len(found)} {'group' if len(found) == 1 else 'groups'} "
        f"(for example {pairs})"
    )


def _what_leaks(split: Split, near: Sequence[NearPair]) -> Iterator[str]:
    report = split.leaks()
    kinds = ", ".join(f"{kind} {count}" for kind, count in report.counts().items() if count)
    yield f"{report.leaking} of {report.photos[1]} test photos ({report.score:.0%}) share something with training" + (
        f": {kinds}" if kinds else ""
    )
    of = {photo.path: part for part in PARTS for photo in split.photos(part)}
    torn = [pair for pair in near if pair.a in of and pair.b in of and of[pair.a] != of[pair.b]]
    if torn:
        yield f"{len(torn)} pairs of almost the same picture are torn, for example {torn[0].b} and {torn[0].a}"


def _unknown(photos: Sequence[PhotoRecord]) -> Iterator[str]:
    """What evidence is missing, and how to get it."""
    blind = [photo for photo in photos if photo.footprint_lonlat is None]
    if blind:
        yield (
            f"{len(blind)} of {len(photos)} photos have no footprint (position, height, direction or focal length is "
            f"not known; flights: {_some({photo.flight for photo in blind})}): what ground they share is not known. "
            "Copy photos with their EXIF and XMP, or give flights over one site one name in flights.csv"
        )
    moments = [traits_of_record(photo).captured_at for photo in photos]
    known = [moment for moment in moments if moment is not None]
    old = sum(moment.year < FIRST_YEAR for moment in known)
    zones = len({moment.tzinfo is None for moment in known if moment.year >= FIRST_YEAR})
    missing = int(np.isnan(comparable_seconds(moments)).sum())
    if old or zones > 1:
        why = f"{old} are from before {FIRST_YEAR}" if old else "some have a time zone and some have none"
        yield (
            f"the clocks contradict each other ({why}; {missing} of {len(photos)} photos have no usable time): flights "
            "that follow on each other may not be recognised. Set the clock of the drone, or name the flights in "
            "flights.csv"
        )


def _untested(split: Split, balance: Balance, class_counts: Counts, classes: Sequence[str]) -> Iterator[str]:
    """Classes that one of train and test does not show."""
    for part, consequence in (("test", "how well it is found cannot be measured"), ("train", "it cannot be learned")):
        for index in balance.missing()[part]:
            name = classes[index] if index < len(classes) else f"class {index}"
            holders = {
                photo.flight
                for found in PARTS
                for photo in split.photos(found)
                if class_counts[photo.path][index] and found != part
            }
            if holders:
                yield (
                    f"{name}: no box in {part}, so {consequence}; it is only in {_some(holders)}. "
                    f"Add a flight that shows it"
                )


def _some(names: set[str]) -> str:
    shown = sorted(names)
    more = f" and {len(shown) - _NAMES_SHOWN} more" if len(shown) > _NAMES_SHOWN else ""
    return ", ".join(shown[:_NAMES_SHOWN]) + more
