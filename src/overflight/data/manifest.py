"""A survey as stored: ``survey.json`` and one line of ``manifest.jsonl`` per photograph, with their digest.

The digest covers every line (and with them the digests of all photos and labels) and the classes, so equal digests mean
equal surveys. This module checks that the two files agree with each other; whether the photographs agree with them is
checked by ``overflight.data.stored``.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from overflight.errors import InputError
from overflight.files import canonical_json, sha256_bytes

SCHEMA = "overflight.survey/1"
SURVEY_FILE, MANIFEST_FILE, QUARANTINE_FILE = "survey.json", "manifest.jsonl", "quarantine.jsonl"
PHOTOS_FOLDER, LABELS_FOLDER = "photos", "labels"

_CURE = "Add the survey again"
_Model = TypeVar("_Model", bound=BaseModel)


class PhotoRecord(BaseModel):
    """One line of the manifest; None means unknown. Sizes are those of the upright photograph."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    path: str
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    bytes: int = Field(ge=1)
    width_px: int = Field(ge=1)
    height_px: int = Field(ge=1)
    flight: str = Field(min_length=1)
    flight_evidence: str
    captured_at: str | None = None
    latitude_deg: float | None = Field(None, ge=-90, le=90)
    longitude_deg: float | None = Field(None, ge=-180, le=180)
    altitude_agl_m: float | None = None
    gimbal_pitch_deg: float | None = None
    yaw_deg: float | None = None
    labels: str
    labels_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    boxes: int = Field(ge=0)

    @field_validator("path", "labels")
    @classmethod
    def _inside(cls, value: str) -> str:
        path = PurePosixPath(value)
        if path.is_absolute() or ".." in path.parts or path.parts[:1] not in ((PHOTOS_FOLDER,), (LABELS_FOLDER,)):
            raise ValueError(f"{value!r} leaves the survey's folder")
        return value


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


@dataclass(frozen=True)
class Survey:
    """A stored survey.

    Attributes:
        name: Its name.
        digest: 64 hex digits.
        classes: Class names by index.
        photos: Records sorted by path.
        boxes_per_class: Number of boxes by class name, every class present.
    """

    name: str
    digest: str
    classes: tuple[str, ...]
    photos: tuple[PhotoRecord, ...]
    boxes_per_class: dict[str, int]

    @property
    def flights(self) -> dict[str, int]:
        """Number of photos by flight, sorted by name."""
        return dict(sorted(Counter(photo.flight for photo in self.photos).items()))

    @property
    def boxes(self) -> int:
        """Number of boxes."""
        return sum(photo.boxes for photo in self.photos)

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
        }


def make_survey(
    name: str, *, classes: Sequence[str], photos: Sequence[PhotoRecord], boxes_per_class: dict[str, int]
) -> Survey:
    """A survey with its digest, photos sorted by path."""
    ordered = tuple(sorted(photos, key=lambda photo: photo.path))
    return Survey(name, digest_of(ordered, classes), tuple(classes), ordered, boxes_per_class)


def manifest_line(record: PhotoRecord) -> str:
    """Canonical JSON of one record, without a line end."""
    return canonical_json(record.model_dump())


def digest_of(photos: Sequence[PhotoRecord], classes: Sequence[str]) -> str:
    """SHA-256 of the canonical manifest lines followed by the classes."""
    lines = [manifest_line(photo) for photo in photos] + [canonical_json(list(classes))]
    return sha256_bytes("".join(f"{line}\n" for line in lines).encode())


def load_manifest(folder: Path) -> Survey:
    """Read the survey stored in ``folder``.

    Raises:
        InputError: a file is missing or not as written, or the digest does not match.
    """
    head = _parse(folder / SURVEY_FILE, _read(folder / SURVEY_FILE), _SurveyFile)
    manifest = folder / MANIFEST_FILE
    lines = _read(manifest).splitlines()
    photos = tuple(_parse(manifest, line, PhotoRecord, line=number) for number, line in enumerate(lines, start=1))
    survey = Survey(head.name, digest_of(photos, head.classes), tuple(head.classes), photos, head.boxes_per_class)
    if survey.digest != head.digest or survey.as_dict() != head.model_dump(by_alias=True):
        raise InputError("does not match survey.json: one of the two was changed", where=str(manifest), cure=_CURE)
    return survey


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError as error:
        raise InputError("no survey here: the file is missing", where=str(path), cure=_CURE) from error
    except UnicodeDecodeError as error:
        raise InputError("is not UTF-8 text", where=str(path), cure=_CURE) from error


def _parse(path: Path, text: str, model: type[_Model], *, line: int = 0) -> _Model:
    where = f"{path}:{line}" if line else str(path)
    try:
        return model.model_validate(json.loads(text))
    except ValidationError as error:
        first = error.errors()[0]
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{field}: {first['msg']}", where=where, cure=_CURE) from error
    except ValueError as error:
        raise InputError("is not valid JSON", where=where, cure=_CURE) from error
