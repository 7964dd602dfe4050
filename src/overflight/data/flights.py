"""Which flight a photograph belongs to, and by which evidence.

A flight is the unit that may not be torn between training and test: its photographs show the same ground within
minutes. Evidence, strongest first: a table (``flights.csv`` or ``sequences.csv``, also with patterns such as
``DJI_00*``), a sub-folder per flight, the name in front of the frame number. What names alone take for one flight is
split where the camera changes, after a pause and at a far place; what a person put into a table or a folder never is,
but is reported. It never looks at pixels, so two flights over the same ground are two flights to it.
"""

from __future__ import annotations

import csv
import io
import re
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from fnmatch import translate
from functools import cached_property
from itertools import pairwise
from pathlib import Path, PurePosixPath

from overflight.data.findings import Finding
from overflight.data.flight_pieces import JUMP_M, PAUSE_S, Kind, PhotoClue, clue_of, pieces_of, seconds_of

__all__ = [
    "TABLES",
    "UNNAMED",
    "FlightOf",
    "FlightTable",
    "PhotoClue",
    "assign_flights",
    "check_table",
    "clue_of",
    "flight_findings",
    "flight_from_name",
    "frame_number",
    "infer_flights",
    "read_table",
]

TABLES = ("flights.csv", "sequences.csv")
UNNAMED = "photos"

# Folders that name a split or a memory card, not a flight.
_NO_FLIGHT = re.compile(
    r"images?|photos|labels|dcim|\d{3}(media|_?dji.*|msdcf|canon)|train(ing)?|val(id(ation)?)?|test(ing)?"
)
_VISDRONE = re.compile(r"(?P<flight>\d{7})_(?P<frame>\d{5})_d_\d{7}")
_SEPARATED = re.compile(r"(?P<flight>.+)[-_ .](?P<letters>[A-Za-z]{0,5})(?P<frame>\d+)")
_DJI_STAMPED = re.compile(r"(?P<flight>DJI)_\d{14}_(?P<frame>\d{3,})_.*", re.IGNORECASE)
_WITH_SUFFIX = re.compile(r"(?P<flight>.+?)[-_ .](?P<frame>\d{3,})[-_ .].*")
_GLUED = re.compile(r"(?P<flight>.*?)(?P<frame>\d+)")
_WILDCARDS = frozenset("*?[")
_NO_CAMERA_BEFORE = 2006
_CLOCK_CURE = "Name the flights in flights.csv, or correct the times in the files; set the clock of the drone"
_SEPARATE: dict[Kind, tuple[str, str]] = {
    "pause": ("flight-pause", "holds photographs with a {reason}"),
    "jump": ("flight-jump", "holds photographs {reason}"),
    "camera": ("flight-camera", "holds photographs of several cameras"),
}
_PATTERNS = (_VISDRONE, _DJI_STAMPED, _SEPARATED, _WITH_SUFFIX, _GLUED)


@dataclass(frozen=True)
class FlightOf:
    """Flight of one photograph.

    Attributes:
        flight: Its name.
        evidence: ``table``, ``folder`` or ``name``, and for a part of what has one name why it stands apart, e.g.
            ``name, pause of 43 min``.
    """

    flight: str
    evidence: str


@dataclass(frozen=True)
class FlightTable:
    """A table of flights: photo file name, path or pattern to flight, and what is wrong with it.

    A name goes before a pattern, an earlier pattern before a later one.
    """

    flights: Mapping[str, str]
    findings: tuple[Finding, ...]
    name: str

    @cached_property
    def patterns(self) -> tuple[tuple[str, re.Pattern[str]], ...]:
        """The names that hold ``*``, ``?`` or ``[``, as regular expressions; upper and lower case differ."""
        return tuple((name, re.compile(translate(name))) for name in self.flights if _WILDCARDS & set(name))

    def line_of(self, photo: PurePosixPath) -> str | None:
        """Name or pattern in the table that ``photo`` falls under."""
        names = _names(photo)
        exact = next((name for name in names if name in self.flights), None)
        if exact is not None:
            return exact
        return next((text for text, pattern in self.patterns if any(pattern.match(name) for name in names)), None)


def flight_from_name(stem: str) -> str:
    """Name of the flight in a file name without suffix: what stands in front of the frame number.

    ``DJI-00760-00001`` gives ``DJI-00760``, ``MunichStreet02-MOS74`` gives ``MunichStreet02``, ``DJI_0010`` gives
    ``DJI``.
    """
    for pattern in _PATTERNS:
        match = pattern.fullmatch(stem)
        if match is not None:
            return match["flight"].strip("-_ .") or UNNAMED
    return UNNAMED


def frame_number(stem: str) -> int | None:
    """Frame number in a file name without suffix, or None when there is none."""
    for pattern in _PATTERNS:
        match = pattern.fullmatch(stem)
        if match is not None:
            return int(match["frame"])
    return None


def assign_flights(photos: Sequence[PurePosixPath], *, table: FlightTable | None = None) -> list[FlightOf]:
    """Flight of each photograph, in the order given.

    Args:
        photos: Paths relative to the folder of the images.
        table: Table of flights, if there is one.
    """
    folders = {photo: _flight_folder(photo) for photo in photos}
    several_folders = len(set(folders.values()) - {""}) > 1
    found = []
    for photo in photos:
        line = None if table is None else table.line_of(photo)
        if table is not None and line is not None:
            found.append(FlightOf(table.flights[line], "table"))
        elif several_folders and folders[photo]:
            found.append(FlightOf(folders[photo], "folder"))
        else:
            found.append(FlightOf(flight_from_name(photo.stem), "name"))
    return found


def infer_flights(
    photos: Sequence[PhotoClue],
    *,
    table: FlightTable | None = None,
    pause_s: float = PAUSE_S,
    jump_m: float = JUMP_M,
) -> list[FlightOf]:
    """Flight of each photograph, in the order given, from names, times, places and cameras.

    As :func:`assign_flights`; what has only its name in common is then split, and the pieces are called ``DJI-1``,
    ``DJI-2`` in the order of time.

    Args:
        photos: What is known of each.
        table: Table of flights, if there is one.
        pause_s: A longer time between two photographs makes another flight.
        jump_m: So does a larger distance.
    """
    found = assign_flights([photo.name for photo in photos], table=table)
    groups: dict[str, list[int]] = defaultdict(list)
    for at, flight in enumerate(found):
        if flight.evidence == "name":
            groups[flight.flight].append(at)
    taken = {flight.flight for flight in found}
    for name, members in groups.items():
        pieces = pieces_of([photos[at] for at in members], pause_s=pause_s, jump_m=jump_m)
        if len(pieces) < 2:
            continue
        number = 0
        for piece in pieces:
            number += 1
            while f"{name}-{number}" in taken:
                number += 1
            for inner, reason in zip(piece.members, piece.reasons, strict=True):
                found[members[inner]] = FlightOf(f"{name}-{number}", f"name, {reason}")
    return found


def flight_findings(
    photos: Sequence[PhotoClue],
    flights: Sequence[FlightOf],
    *,
    now: datetime,
    pause_s: float = PAUSE_S,
    jump_m: float = JUMP_M,
) -> list[Finding]:
    """Warnings about folders that look like several flights, and about clocks that cannot be right.

    Args:
        photos: What is known of each photograph.
        flights: Flight of each, in the same order.
        now: Present time; later photographs cannot be.
        pause_s: As for :func:`infer_flights`.
        jump_m: As for :func:`infer_flights`.
    """
    members: dict[str, list[PhotoClue]] = defaultdict(list)
    folders: dict[str, list[PhotoClue]] = defaultdict(list)
    for photo, flight in zip(photos, flights, strict=True):
        members[flight.flight].append(photo)
        if flight.evidence == "folder":
            folders[flight.flight].append(photo)
    findings = [note for name, own in folders.items() for note in _separate(name, own, pause_s=pause_s, jump_m=jump_m)]
    for name, own in members.items():
        findings += [Finding("warning", "clock", name, what, _CLOCK_CURE) for what in _clock_faults(own, now)]
    return findings


def _separate(flight: str, photos: Sequence[PhotoClue], *, pause_s: float, jump_m: float) -> list[Finding]:
    pieces = pieces_of(photos, pause_s=pause_s, jump_m=jump_m)
    findings = []
    for kind, (code, what) in _SEPARATE.items():
        piece = next((piece for piece in pieces if kind in piece.kinds and (piece.split_at or kind == "camera")), None)
        if piece is None or len(pieces) < 2:
            continue
        place = ""
        if piece.split_at is not None and kind != "camera":
            before, after = (photos[at].name.name for at in piece.split_at)
            place = f" (between {before} and {after})"
        cure = "If it is more than one flight, make a folder for each, or name them in flights.csv"
        said = what.format(reason=piece.reasons[0].rpartition(", ")[2])
        findings.append(Finding("warning", code, flight, f"the folder {said}{place}", cure))
    return findings


def _clock_faults(photos: Sequence[PhotoClue], now: datetime) -> list[str]:
    """What cannot be true about the times within a flight, one sentence per kind."""
    timed = [(photo, photo.captured_at) for photo in photos if photo.captured_at is not None]
    latest = now.replace(tzinfo=None) + timedelta(days=1)  # a day covers any time zone
    early = [photo for photo, moment in timed if moment.year < _NO_CAMERA_BEFORE]
    late = [photo for photo, moment in timed if moment.replace(tzinfo=None) > latest]
    faults = []
    for wrong, what in ((early, f"before {_NO_CAMERA_BEFORE}"), (late, "in the future")):
        if wrong:
            faults.append(f"{_count(len(wrong))} {what} ({wrong[0].name.name}: {wrong[0].captured_at})")
    with_offset = sum(moment.tzinfo is not None for _, moment in timed)
    if 0 < with_offset < len(timed):
        faults.append(f"{_count(with_offset)} with a UTC offset, {len(timed) - with_offset} without")
    back = _backwards(photos)
    if back:
        faults.append(f"times go back {len(back)} times along the frame numbers (first: {back[0]})")
    return faults


def _count(photos: int) -> str:
    return "1 photograph was taken" if photos == 1 else f"{photos:,} photographs were taken"


def _backwards(photos: Sequence[PhotoClue]) -> list[str]:
    """Photographs taken more than a minute before the one with the frame number below; a counter may restart once."""
    times = seconds_of(photos)
    series: dict[tuple[str, str, str | None], list[tuple[int, float, str]]] = defaultdict(list)
    for at, second in times.items():
        photo = photos[at]
        frame = frame_number(photo.name.stem)
        if frame is not None:
            key = (photo.name.parent.as_posix(), flight_from_name(photo.name.stem), photo.camera_serial)
            series[key].append((frame, second, photo.name.name))
    found = []
    for frames in series.values():
        frames.sort()
        back = [after[2] for before, after in pairwise(frames) if after[1] < before[1] - 60]
        found += back if len(back) > 1 else []
    return found


def read_table(path: Path) -> FlightTable:
    """Read a table with the columns ``image`` and ``flight`` (or ``sequence``); faults become findings."""
    name = path.name
    try:
        rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig")), strict=True))
    except (UnicodeDecodeError, csv.Error) as error:
        cure = "Save it as UTF-8 text with commas"
        return FlightTable({}, (Finding("error", "table", name, f"is not a CSV table ({error})", cure),), name)
    header = [cell.strip().lower() for cell in rows[0]] if rows else []
    flight_column = next((column for column in ("flight", "sequence") if column in header), None)
    if "image" not in header or flight_column is None:
        what = "has no columns `image` and `flight` (or `sequence`)"
        return FlightTable({}, (Finding("error", "table", f"{name}:1", what, "Write the header `image,flight`"),), name)
    image_at, flight_at = header.index("image"), header.index(flight_column)
    flights: dict[str, str] = {}
    findings: list[Finding] = []
    for line, row in enumerate(rows[1:], start=2):
        cells = [cell.strip() for cell in row]
        if not any(cells):
            continue
        if len(cells) != len(header) or not cells[image_at] or not cells[flight_at]:
            what = f"{len(cells)} cells where {len(header)} are needed, or an empty one"
            findings.append(Finding("error", "table", f"{name}:{line}", what, "Complete the line"))
        elif flights.setdefault(cells[image_at], cells[flight_at]) != cells[flight_at]:
            what = f"{cells[image_at]} is given to a second flight"
            findings.append(Finding("error", "table", f"{name}:{line}", what, "Leave one line per photo"))
    return FlightTable(flights, tuple(findings), name)


def check_table(table: FlightTable, photos: Sequence[PurePosixPath]) -> list[Finding]:
    """Warnings about photos that the table does not know and lines without a photo."""
    lines = [table.line_of(photo) for photo in photos]
    known = {name for photo in photos for name in _names(photo)} | {line for line in lines if line is not None}
    matched = {text for text, pattern in table.patterns if any(pattern.match(name) for name in known)}
    findings = [
        Finding(
            "warning",
            "table-extra",
            table.name,
            f"{image} is not among the photos",
            "Remove the line, or add the photo",
        )
        for image in table.flights
        if image not in known and image not in matched
    ]
    findings += [
        Finding(
            "warning", "table-gap", table.name, f"does not mention {photo}", "Add a line; its name was used", str(photo)
        )
        for photo, line in zip(photos, lines, strict=True)
        if line is None
    ]
    return findings


def _names(photo: PurePosixPath) -> tuple[str, ...]:
    return (photo.as_posix(), f"images/{photo.as_posix()}", photo.name, photo.stem)


def _flight_folder(photo: PurePosixPath) -> str:
    return "/".join(part for part in photo.parent.parts if not _NO_FLIGHT.fullmatch(part.lower()))
