"""A survey as stored: ``survey.json`` and one line of ``manifest.jsonl`` per photograph, with their digest.

The digest covers every line (and with them the digests of all photos and labels) and the classes, so equal digests mean
equal surveys; it is computed from the bytes when a survey is opened, so a changed manifest is noticed at once. Records
are parsed when they are asked for (``overflight.data.records``). Whether the summary in ``survey.json`` and the files
agree with the records is checked by ``overflight.data.stored``.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from overflight.data.records import CURE, LABELS_FOLDER, PHOTOS_FOLDER, PhotoRecord, index_lines, manifest_line, parsed
from overflight.errors import InputError
from overflight.files import canonical_json

__all__ = [
    "LABELS_FOLDER",
    "MANIFEST_FILE",
    "PHOTOS_FOLDER",
    "QUARANTINE_FILE",
    "SURVEY_FILE",
    "PhotoRecord",
    "Survey",
    "digest_of",
    "load_manifest",
    "make_survey",
    "manifest_line",
]

SCHEMA = "overflight.survey/1"
SURVEY_FILE, MANIFEST_FILE, QUARANTINE_FILE = "survey.json", "manifest.jsonl", "quarantine.jsonl"


class _SurveyFile(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    format: Literal["overflight.survey/1"] = Field(alias="schema")
    name: str
    digest: str
    classes: list[str]
    photos: int
    boxes: int
    flights: dict[str, int]
    boxes_per_class: dict[str, int]
    source_format: str = ""
    created_at: str = ""
    ledger: dict[str, int] | None = None
    losses: list[str] = []
    cures: list[str] = []


@dataclass(frozen=True)
class Origin:
    """Where a survey came from; not part of its digest.

    Attributes:
        source_format: Name of the format of the labels that were read.
        created_at: ISO 8601, empty when not told.
        ledger: Photographs and boxes in and out (``overflight.data.ledger``), None for surveys of earlier versions.
        losses: What the source said and a survey cannot hold, one sentence each.
        cures: What ``--fix`` changed, one sentence each.
    """

    source_format: str = ""
    created_at: str = ""
    ledger: Mapping[str, int] | None = None
    losses: tuple[str, ...] = ()
    cures: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """The fields that say something."""
        values = {
            "source_format": self.source_format,
            "created_at": self.created_at,
            "ledger": None if self.ledger is None else dict(self.ledger),
            "losses": list(self.losses),
            "cures": list(self.cures),
        }
        return {name: value for name, value in values.items() if value}


@dataclass(frozen=True)
class Survey:
    """A stored survey; two are equal when their names and digests are.

    Attributes:
        name: Its name.
        digest: 64 hex digits.
        classes: Class names by index.
        photos: Records sorted by path; of a stored survey they are read when they are asked for.
        boxes_per_class: Number of boxes by class name, every class present.
        flights: Number of photos by flight, sorted by name.
        origin: Where it came from.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    photos: Sequence[PhotoRecord] = field(compare=False, repr=False)
    boxes_per_class: dict[str, int]
    flights: dict[str, int]
    origin: Origin = field(default=Origin(), compare=False)

    @property
    def boxes(self) -> int:
        """Number of boxes."""
        return sum(self.boxes_per_class.values())

    def as_dict(self) -> dict[str, Any]:
        """Content of ``survey.json``."""
        return {
            "schema": SCHEMA,
            "name": self.name,
            "digest": self.digest,
            "classes": list(self.classes),
            "photos": len(self.photos),
            "boxes": self.boxes,
            "flights": self.flights,
            "boxes_per_class": self.boxes_per_class,
            **self.origin.as_dict(),
        }


def make_survey(
    name: str,
    *,
    classes: Sequence[str],
    photos: Sequence[PhotoRecord],
    boxes_per_class: dict[str, int],
    origin: Origin = Origin(),
) -> Survey:
    """A survey with its digest, photos sorted by path."""
    ordered = tuple(sorted(photos, key=lambda photo: photo.path))
    flights = dict(sorted(Counter(photo.flight for photo in ordered).items()))
    return Survey(name, digest_of(ordered, classes), tuple(classes), ordered, boxes_per_class, flights, origin)


def digest_of(photos: Sequence[PhotoRecord], classes: Sequence[str]) -> str:
    """SHA-256 of the canonical manifest lines followed by the classes."""
    digest = hashlib.sha256()
    for photo in photos:
        digest.update(f"{manifest_line(photo)}\n".encode())
    return _with_classes(digest, classes)


def load_manifest(folder: Path) -> Survey:
    """Open the survey stored in ``folder``; its records are parsed when they are asked for.

    Raises:
        InputError: a file is missing, ``survey.json`` is not as written, or the digest does not match.
    """
    head = parsed(_SurveyFile, _read(folder / SURVEY_FILE), where=str(folder / SURVEY_FILE))
    manifest = folder / MANIFEST_FILE
    records, digest = index_lines(manifest)
    survey = Survey(
        name=head.name,
        digest=_with_classes(digest, head.classes),
        classes=tuple(head.classes),
        photos=records,
        boxes_per_class=head.boxes_per_class,
        flights=head.flights,
        origin=Origin(head.source_format, head.created_at, head.ledger, tuple(head.losses), tuple(head.cures)),
    )
    sums = (len(records), sum(head.flights.values()), sum(head.boxes_per_class.values()))
    if survey.digest != head.digest or sums != (head.photos, head.photos, head.boxes):
        raise InputError("does not match survey.json: one of the two was changed", where=str(manifest), cure=CURE)
    return survey


def _with_classes(digest: Any, classes: Sequence[str]) -> str:
    digest.update(f"{canonical_json(list(classes))}\n".encode())
    return str(digest.hexdigest())


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        raise InputError("no survey here: the file is missing", where=str(path), cure=CURE) from error
    except OSError as error:
        raise InputError(f"cannot be opened ({error.strerror})", where=str(path), cure="Make it readable") from error
