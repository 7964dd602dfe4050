"""Which flight a photograph belongs to, and by which evidence.

A flight is the unit that may not be torn between training and test: its photographs show the same ground within
minutes. Evidence, strongest first: a table (``flights.csv`` or ``sequences.csv``), a sub-folder per flight, the name
in front of the frame number. It looks at names only, never at pixels, so two flights over the same ground are two
flights to it.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from overflight.data.findings import Finding

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
_PATTERNS = (_VISDRONE, _DJI_STAMPED, _SEPARATED, _WITH_SUFFIX, _GLUED)


@dataclass(frozen=True)
class FlightOf:
    """Flight of one photograph.

    Attributes:
        flight: Its name.
        evidence: ``table``, ``folder`` or ``name``.
    """

    flight: str
    evidence: str


@dataclass(frozen=True)
class FlightTable:
    """A table of flights: photo file name or path to flight, and what is wrong with it."""

    flights: Mapping[str, str]
    findings: tuple[Finding, ...]
    name: str


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
        named = None if table is None else _look_up(table.flights, photo)
        if named is not None:
            found.append(FlightOf(named, "table"))
        elif several_folders and folders[photo]:
            found.append(FlightOf(folders[photo], "folder"))
        else:
            found.append(FlightOf(flight_from_name(photo.stem), "name"))
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
    known = {name for photo in photos for name in _names(photo)}
    findings = [
        Finding(
            "warning",
            "table-extra",
            table.name,
            f"{image} is not among the photos",
            "Remove the line, or add the photo",
        )
        for image in table.flights
        if image not in known
    ]
    findings += [
        Finding(
            "warning", "table-gap", table.name, f"does not mention {photo}", "Add a line; its name was used", str(photo)
        )
        for photo in photos
        if _look_up(table.flights, photo) is None
    ]
    return findings


def _look_up(flights: Mapping[str, str], photo: PurePosixPath) -> str | None:
    return next((flights[name] for name in _names(photo) if name in flights), None)


def _names(photo: PurePosixPath) -> tuple[str, ...]:
    return (photo.as_posix(), f"images/{photo.as_posix()}", photo.name, photo.stem)


def _flight_folder(photo: PurePosixPath) -> str:
    return "/".join(part for part in photo.parent.parts if not _NO_FLIGHT.fullmatch(part.lower()))
