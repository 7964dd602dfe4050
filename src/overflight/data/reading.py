"""A user's folder as read: photographs, labels of any format, flights and, where given, the split. Nothing is written.

It puts together what ``files``, ``facts``, ``formats``, ``flights`` and ``given_split`` know, and judges nothing:
findings are only what stood in the way of reading.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath

from overflight.data.checks.subject import Subject
from overflight.data.facts import PhotoFacts, read_facts
from overflight.data.files import SourceFiles, find_files
from overflight.data.findings import Finding
from overflight.data.flights import (
    TABLES,
    FlightOf,
    FlightTable,
    check_table,
    clue_of,
    flight_findings,
    infer_flights,
    read_table,
)
from overflight.data.formats.registry import read_with
from overflight.data.formats.sniffed import Sniffed
from overflight.data.given_split import find_split
from overflight.errors import InputError

Progress = Callable[[int, int], None]

_NO_TIME = datetime(9000, 1, 1)


@dataclass(frozen=True)
class Read:
    """A source or a stored survey as read.

    Attributes:
        subject: What checks look at.
        files: The files; photographs carry the names that they keep in a survey.
        findings: What stood in the way of reading, with the severities of the readers; each once.
        sniffed: The format of the labels and how it was recognised.
        notes: Sentences for people: what was recognised, what a survey cannot hold.
    """

    subject: Subject
    files: SourceFiles
    findings: tuple[Finding, ...]
    sniffed: Sniffed
    notes: tuple[str, ...] = ()


def read_source(
    root: Path,
    *,
    name: str,
    format: str | None = None,  # noqa: A002 - the option
    labels: str | None = None,
    flights: Path | None = None,
    split_lists: Sequence[Path] = (),
    decode: bool = False,
    workers: int | None = None,
    progress: Progress | None = None,
    train_scale: float = 1.0,
    split_by: str = "flight",
    now: datetime | None = None,
    incomplete: bool = False,
) -> Read:
    """Read a folder of photographs and labels.

    Args:
        root: The folder.
        name: Name for findings about the whole.
        format: Name of the label format; None: as recognised.
        labels: Label file or folder to use, where there are several.
        flights: Table ``image,flight``; by default ``flights.csv`` or ``sequences.csv`` in the folder, if there is one.
        split_lists: Lists of photographs, one per part.
        decode: Also decode the photographs and measure their pixels.
        workers: Threads that read.
        progress: Called with (photographs done, photographs in all).
        train_scale: See :class:`Subject`.
        split_by: See :class:`Subject`.
        now: Present time: photographs cannot be taken later. None: that is not judged.
        incomplete: Go on without labels or names of classes, with an error finding, for checks.

    Raises:
        UsageError: a format or label file that is not there, or several that are possible.
        InputError: no folder, no photographs or (unless ``incomplete``) labels, or none that can be read. All other
            problems are findings.
    """
    files = find_files(root)
    table = _table(files.root, flights)
    keys = [photo.key for photo in files.photos]
    facts = read_facts(files, keys, decode=decode, workers=workers, progress=progress)
    sizes = {key: size for key, found in facts.items() if (size := found.size_wh_px) is not None}
    try:
        found, sniffed = read_with(files, sizes, format=format, labels=labels, incomplete=incomplete)
    except InputError as error:
        if files.photos or files.findings:
            raise
        what = "no photographs (JPEG, PNG, TIFF) and no labels found"
        raise InputError(what, where=str(files.root), cure="Give the folder that holds both") from error
    flight_of, flight_findings, evidence = _flights(files, facts, table, now=now or _NO_TIME)
    split = find_split(files, lists=split_lists)
    subject = Subject(
        name=name,
        root=files.root,
        photos=facts,
        labels=found,
        flights=flight_of,
        split=split.parts,
        train_scale=train_scale,
        split_by=split_by,
    )
    refused = (entry.finding for entry in found.refused)
    findings = [*files.findings, *found.findings, *refused, *flight_findings, *split.findings]
    parts = (f"split: {split.evidence}",) if split.evidence else ()
    notes = (f"{sniffed.format}: {sniffed.evidence}", *evidence, *parts, *found.losses)
    return Read(subject, files, tuple(dict.fromkeys(findings)), sniffed, notes)


def _table(root: Path, given: Path | None) -> FlightTable | None:
    if given is not None:
        if not given.is_file():
            cure = "Give a table with the header `image,flight`"
            raise InputError("there is no such file", where=str(given), cure=cure)
        return read_table(given)
    path = next((root / name for name in TABLES if (root / name).is_file()), None)
    return None if path is None else read_table(path)


def _flights(
    files: SourceFiles, facts: Mapping[str, PhotoFacts], table: FlightTable | None, *, now: datetime
) -> tuple[dict[str, FlightOf], list[Finding], tuple[str, ...]]:
    """Flight by photo key, what is wrong with flights, and a sentence about the evidence."""
    names = [PurePosixPath(photo.name) for photo in files.photos]
    clues = [clue_of(name, facts[photo.key].metadata) for name, photo in zip(names, files.photos, strict=True)]
    inferred = infer_flights(clues, table=table)
    found = {photo.key: flight for photo, flight in zip(files.photos, inferred, strict=True)}
    findings = flight_findings(clues, inferred, now=now)
    if table is not None:
        findings = [*table.findings, *check_table(table, names), *findings]
    kinds = Counter(flight.evidence.partition(",")[0] for flight in inferred)
    by = {"table": f"the table {table.name}" if table else "a table", "folder": "folders", "name": "names"}
    parts = [f"{count:,} by {by.get(kind, kind)}" for kind, count in kinds.most_common()]
    flights = len({flight.flight for flight in inferred})
    noun = "flight" if flights == 1 else "flights"
    return found, findings, (f"{flights:,} {noun} ({', '.join(parts)})",) if inferred else ()
