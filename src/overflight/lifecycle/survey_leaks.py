"""Leaks of any split, as a person asks for them: parts of one source, two lists of photographs, or two sources.

Reads photographs, not labels: a published split can be measured before its labels are understood. What counts as a leak
is decided by ``overflight.data.leaks``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from overflight.data.duplicates import MIN_CORRELATION
from overflight.data.facts import PhotoFacts, read_facts
from overflight.data.files import PhotoFile, SourceFiles, find_files
from overflight.data.findings import Finding
from overflight.data.flight_pieces import PAUSE_S, clue_of
from overflight.data.flights import TABLES, infer_flights, read_table
from overflight.data.given_split import GivenSplit, find_split
from overflight.data.leaks import (
    KINDS,
    MIN_SHARE,
    Kind,
    LeakReport,
    Side,
    Traits,
    comparable_seconds,
    measure_leaks,
    measure_parts,
    traits_of_facts,
    traits_of_record,
)
from overflight.data.manifest import load_manifest
from overflight.data.split import PARTS
from overflight.errors import InputError, RefusedError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.sources import OpenSource, open_source

_NUMBERED = re.compile(r"(.*?)(\d*)")


@dataclass(frozen=True)
class LeakOptions:
    """What to compare and how.

    Attributes:
        lists: Lists of photographs, one per part, where the source has no split or another one is meant.
        flights: Table that names the flights of a folder.
        kinds: Evidence that counts; empty: all.
        min_correlation: Least correlation of thumbs that counts as almost the same picture.
        min_share: Least shared ground, as a share of the smaller footprint.
        pixels: Off: photographs are not decoded, which is faster and finds no almost equal pictures.
    """

    lists: tuple[Path, ...] = ()
    flights: Path | None = None
    kinds: tuple[Kind, ...] = ()
    min_correlation: float = MIN_CORRELATION
    min_share: float = MIN_SHARE
    pixels: bool = True


@dataclass(frozen=True)
class Leaks:
    """Outcome.

    Attributes:
        title: What was compared.
        reports: One for every two parts; of numbered lists (train1, test1) for those of one number.
        findings: Entries of lists that name no photograph, photographs in two lists.
        notes: What was read, and what could not be.
    """

    title: str
    reports: tuple[LeakReport, ...]
    findings: tuple[Finding, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """The largest of the reports."""
        return max((report.score for report in self.reports), default=0.0)

    def require(self, max_score: float) -> None:
        """Nothing, if no part leaks more.

        Raises:
            RefusedError: a larger share of a part leaks.
        """
        worst = max(self.reports, key=lambda report: report.score)
        if worst.score > max_score:
            what = f"{worst.leaking} of {worst.photos[1]} photos of {worst.b} leak from {worst.a}"
            what += f" ({worst.score:.1%}; at most {max_score:.1%} are allowed), for example {worst.pairs[0]}"
            cure = "Split whole flights and sites (--split-by ground), or leave the photos named out of the test"
            raise RefusedError(what, where=self.title, cure=cure)

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "title": self.title,
            "score": round(self.score, 6),
            "reports": [report.as_dict() for report in self.reports],
            "findings": [finding.as_dict() for finding in self.findings],
            "notes": list(self.notes),
        }


def find_leaks(context: Context, first: str, second: str | None, *, options: LeakOptions, progress: Progress) -> Leaks:
    """Measure parts of ``first``, or ``first`` (training) against ``second`` (test).

    Args:
        context: Whose account.
        first: A folder, ``s3://bucket/prefix``, a stored survey, or a list of photographs.
        second: The same; None: the parts of ``first``.
        options: See there.
        progress: Told the photographs read.

    Raises:
        UsageError: it is not clear what to compare.
        OverflightError: a source or list cannot be read.
    """
    if second is None:
        if Path(first).is_file():
            cure = "Give the folder of the photographs, or two lists: survey leaks train.txt test.txt"
            raise UsageError("is one list: there is nothing to compare it with", where=first, cure=cure)
        opened = open_source(context, first, progress=progress)
        return _of_parts(opened.title, _Source.of(opened), options, progress)
    if options.lists:
        cure = "Leave out the second source, or --split"
        raise UsageError("--split names parts of one source; two sources are compared whole", where=second, cure=cure)
    files = [Path(one).is_file() for one in (first, second)]
    if all(files):
        lists = (Path(first), Path(second))
        root = _root_of(lists)
        return _of_parts(f"{first}, {second}", _Source(find_files(root)), replace(options, lists=lists), progress)
    if any(files):
        cure = "Give two lists, or two sources"
        raise UsageError("a list and a source cannot be compared", where=f"{first}, {second}", cure=cure)
    one, other = (open_source(context, source, progress=progress) for source in (first, second))
    return _of_two(one, other, options, progress)


@dataclass(frozen=True)
class _Source:
    """Photographs of a folder, and for a stored survey what its manifest says of them."""

    files: SourceFiles
    records: Mapping[str, Traits] | None = None

    @staticmethod
    def of(opened: OpenSource) -> _Source:
        if opened.kind == "raw":
            return _Source(find_files(opened.folder))
        records = {record.path: traits_of_record(record) for record in load_manifest(opened.folder).photos}
        root = opened.folder.resolve()
        photos = tuple(PhotoFile(path, path.partition("/")[2]) for path in records if (root / path).is_file())
        return _Source(SourceFiles(root, photos, ()), records)

    def facts(self, keys: Sequence[str], options: LeakOptions, progress: Progress) -> dict[str, PhotoFacts]:
        if self.records is not None and not options.pixels:
            return {}
        return read_facts(
            self.files,
            keys,
            decode=options.pixels,
            progress=lambda done, total: progress.update("photos read", done, total),
        )


def _require_folder(sources: Sequence[_Source], options: LeakOptions) -> None:
    if options.flights is not None and all(source.records is not None for source in sources):
        what = "is for folders as users keep them; flights of a stored survey are in its manifest"
        raise UsageError(what, where=f"--flights {options.flights}", cure="Leave --flights out")


def _of_parts(title: str, source: _Source, options: LeakOptions, progress: Progress) -> Leaks:
    _require_folder([source], options)
    given = find_split(source.files, lists=options.lists)
    if len(given.parts) < len(("train", "test")):
        named = f"only {', '.join(given.parts)}" if given.parts else "no part"
        why = "".join(f"; {finding.where}: {finding.what}" for finding in given.findings[:1])
        cure = "Name the parts: --split train.txt --split test.txt (one photo per line)"
        raise UsageError(f"has no split to measure: {named} with photos that are there{why}", where=title, cure=cure)
    keys = [photo.key for photo in source.files.photos if any(photo.key in found for found in _sets(given))]
    facts = source.facts(keys, options, progress)
    flights = {} if source.records is not None else _flights_of([(source, facts)], options.flights)[0]
    traits = {key: _traits(key, source, facts, flights) for key in keys}
    reports: list[LeakReport] = []
    for names in _splits(given):
        sides = [Side(name, {key: traits[key] for key in given.parts[name]}) for name in names]
        reports += measure_parts(sides, min_correlation=options.min_correlation, min_share=options.min_share)
    notes = (f"split: {given.evidence}", *_unread(facts))
    return Leaks(title, _counted(reports, options), given.findings, notes)


def _of_two(first: OpenSource, second: OpenSource, options: LeakOptions, progress: Progress) -> Leaks:
    sources = [_Source.of(opened) for opened in (first, second)]
    _require_folder(sources, options)
    every = [source.facts([photo.key for photo in source.files.photos], options, progress) for source in sources]
    raw = [pair for pair in zip(sources, every, strict=True) if pair[0].records is None]
    inferred = iter(_flights_of(raw, options.flights))
    sides = []
    for opened, source, facts in zip((first, second), sources, every, strict=True):
        flights = {} if source.records is not None else next(inferred)
        photos = {photo.key: _traits(photo.key, source, facts, flights) for photo in source.files.photos}
        sides.append(Side(opened.title, photos))
    report = measure_leaks(
        sides[0],
        _told_apart(*sides),
        min_correlation=options.min_correlation,
        min_share=options.min_share,
    )
    notes = [note for facts in every for note in _unread(facts)]
    return Leaks(f"{first.title}, {second.title}", _counted([report], options), notes=tuple(notes))


def _counted(reports: Sequence[LeakReport], options: LeakOptions) -> tuple[LeakReport, ...]:
    return tuple(report.only(options.kinds or KINDS) for report in reports)


def _traits(key: str, source: _Source, facts: Mapping[str, PhotoFacts], flights: Mapping[str, str]) -> Traits:
    if source.records is None:
        return traits_of_facts(facts[key], flight=flights[key])
    found = facts.get(key)
    return source.records[key] if found is None else replace(source.records[key], pixels=found.pixels)


def _flights_of(
    sources: Sequence[tuple[_Source, Mapping[str, PhotoFacts]]], table_path: Path | None
) -> list[dict[str, str]]:
    """Flight by key, of each source; those without a table are looked at as one, so that a flight in two is one."""
    found: list[dict[str, str]] = [{} for _ in sources]
    together: list[tuple[int, str]] = []
    for index, (source, facts) in enumerate(sources):
        path = table_path or next((p for name in TABLES if (p := source.files.root / name).is_file()), None)
        if path is None:
            together += [(index, key) for key in facts]
            continue
        if not path.is_file():
            raise InputError("there is no such file", where=str(path), cure="Give a table with the header image,flight")
        names = {photo.key: PurePosixPath(photo.name) for photo in source.files.photos}
        clues = [clue_of(names[key], one.metadata) for key, one in facts.items()]
        flights = infer_flights(clues, table=read_table(path))
        found[index] = {key: flight.flight for key, flight in zip(facts, flights, strict=True)}
    names_of = [{photo.key: PurePosixPath(photo.name) for photo in source.files.photos} for source, _ in sources]
    clues = [clue_of(names_of[index][key], sources[index][1][key].metadata) for index, key in together]
    for (index, key), flight in zip(together, infer_flights(clues), strict=True):
        found[index][key] = flight.flight
    return found


def _told_apart(first: Side, second: Side) -> Side:
    """``second`` with its own names for flights that only happen to be called as one of ``first``.

    Equal names of two sources mean one flight when their times meet (within 15 min) or, without times, when the name
    has a number: ``DJI_0005`` does, ``DJI`` does not.
    """
    moments = [traits.captured_at for side in (first, second) for traits in side.photos.values()]
    seconds = comparable_seconds(moments)
    times: dict[tuple[int, str], list[float]] = {}
    every = [(index, traits) for index, side in enumerate((first, second)) for traits in side.photos.values()]
    for (index, traits), second_s in zip(every, seconds.tolist(), strict=True):
        times.setdefault((index, traits.flight), []).append(second_s)
    others = set()
    for flight in {name for index, name in times if index and (0, name) in times}:
        a, b = (np.array(times[index, flight]) for index in (0, 1))
        a, b = a[~np.isnan(a)], b[~np.isnan(b)]
        if len(a) and len(b):
            apart = a.min() - b.max() > PAUSE_S or b.min() - a.max() > PAUSE_S
        else:
            apart = not any(letter.isdigit() for letter in flight)
        if apart:
            others.add(flight)
    photos = {
        key: replace(traits, flight=f"{traits.flight} ({second.name})") if traits.flight in others else traits
        for key, traits in second.photos.items()
    }
    return Side(second.name, photos)


def _root_of(lists: Sequence[Path]) -> Path:
    """The nearest folder above the first list where its photographs are."""
    folder = lists[0].resolve().parent
    for root in (folder, folder.parent):
        if find_split(find_files(root), lists=lists[:1]).parts:
            return root
    what = f"names no photo that is below {folder} or the folder above it"
    raise InputError(what, where=str(lists[0]), cure="Name the folder: survey leaks FOLDER --split LIST --split LIST")


def _sets(given: GivenSplit) -> list[frozenset[str]]:
    return [frozenset(keys) for keys in given.parts.values()]


def _splits(given: GivenSplit) -> list[list[str]]:
    """Names of the parts that belong together, training first."""
    found: dict[str, list[tuple[int, str]]] = {}
    for name in given.parts:
        match = _NUMBERED.fullmatch(name)
        base, number = (match[1], match[2]) if match else (name, "")
        known = base in PARTS
        found.setdefault(number if known else "", []).append((PARTS.index(base) if known else 0, name))
    return [[name for _, name in sorted(names, key=lambda pair: pair[0])] for names in found.values()]


def _unread(facts: Mapping[str, PhotoFacts]) -> list[str]:
    bad = [key for key, found in facts.items() if found.fault]
    return [f"{len(bad)} photos cannot be read and are compared by name only, e.g. {bad[0]}"] if bad else []
