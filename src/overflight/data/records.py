"""The records of a manifest, one photograph per line, read from the file when they are asked for.

A survey of a million photographs opens in about a second because only the line ends are looked for and the bytes
hashed; a record is parsed and validated when somebody looks at it. The file may be used by several threads: every
access opens it anew. It does not know surveys or digests of photographs.
"""

from __future__ import annotations

import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, overload

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from overflight.errors import InputError
from overflight.files import canonical_json

PHOTOS_FOLDER, LABELS_FOLDER = "photos", "labels"
CURE = "Add the survey again"

_FOLDERS = (f"{PHOTOS_FOLDER}/", f"{LABELS_FOLDER}/")
_CHUNK_BYTES = 8 * 1024 * 1024
_BLOCK_LINES = 1024
_Model = TypeVar("_Model", bound=BaseModel)


class PhotoRecord(BaseModel):
    """One line of the manifest; None means unknown. Sizes are those of the upright photograph.

    Attributes:
        path: Below the survey's folder.
        flight_evidence: How the flight was found (``table``, ``folder``, ``name`` ...).
        captured_at: ISO 8601, with an offset only where the camera gives one.
        altitude_agl_m: Height above the take-off point.
        gimbal_pitch_deg: -90 looks straight down.
        yaw_deg: Compass direction of the camera.
        labels: Label file, below the survey's folder.
        boxes: Lines of the label file; ignored regions are not among them.
        focal_length_35mm_mm: As of a 35 mm camera.
        gsd_m: Side of a pixel on the ground at the centre: square root of its area.
        footprint_lonlat: The four corners of the photograph on the ground, longitude and latitude in degrees.
        format: Container of the file (``jpeg``, ``png``, ``tiff`` ...).
        orientation: EXIF orientation 1..8.
        ignored_px: Regions ``x1 y1 x2 y2`` that hold what is not to be learned and not to be counted.
        label_source: Where the labels came from, relative to the folder that was read.
    """

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
    camera_make: str | None = None
    camera_model: str | None = None
    camera_serial: str | None = None
    focal_length_35mm_mm: float | None = None
    gsd_m: float | None = None
    footprint_lonlat: tuple[tuple[float, float], ...] | None = None
    format: str | None = None
    orientation: int = Field(1, ge=1, le=8)
    labels: str
    labels_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    boxes: int = Field(ge=0)
    ignored_px: tuple[tuple[float, float, float, float], ...] = ()
    label_source: str | None = None

    @field_validator("path", "labels")
    @classmethod
    def _inside(cls, value: str) -> str:
        if not value.startswith(_FOLDERS) or ".." in value.split("/"):
            raise ValueError(f"{value!r} leaves the survey's folder")
        return value


def manifest_line(record: PhotoRecord) -> str:
    """Canonical JSON of one record without a line end; fields that have their default are left out."""
    return canonical_json(record.model_dump(exclude_defaults=True))


def parsed(model: type[_Model], text: bytes, *, where: str) -> _Model:
    """``text`` (JSON) as ``model``.

    Raises:
        InputError: not JSON, or not as written by this product.
    """
    try:
        return model.model_validate_json(text)
    except ValidationError as error:
        first = error.errors()[0]
        if first["type"] == "json_invalid":
            raise InputError("is not valid JSON", where=where, cure=CURE) from error
        field = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{field}: {first['msg']}", where=where, cure=CURE) from error


@dataclass(frozen=True, eq=False)
class LazyRecords(Sequence[PhotoRecord]):
    """Records of a manifest file in the order of its lines.

    Attributes:
        path: The file.
        ends: (N + 1,) byte at which each line begins; the last entry is the size of the file.
        stamp: Size and time of change when it was indexed: a file that changed since is refused.
    """

    path: Path
    ends: NDArray[np.int64]
    stamp: tuple[int, int]

    def __len__(self) -> int:
        return len(self.ends) - 1

    @overload
    def __getitem__(self, index: int) -> PhotoRecord: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[PhotoRecord, ...]: ...
    def __getitem__(self, index: int | slice) -> PhotoRecord | tuple[PhotoRecord, ...]:
        """One record, or a tuple for a slice.

        Raises:
            IndexError: there is no such record.
            InputError: the line is damaged, or the file changed since the survey was opened.
        """
        if isinstance(index, slice):
            numbers = range(len(self))[index]
            if numbers.step == 1:
                return tuple(self._walk(numbers.start, numbers.stop))
            return tuple(self[number] for number in numbers)
        number = range(len(self))[index]
        return next(self._walk(number, number + 1))

    def __iter__(self) -> Iterator[PhotoRecord]:
        return self._walk(0, len(self))

    def __contains__(self, value: object) -> bool:
        return any(record == value for record in self)

    def __repr__(self) -> str:
        return f"<{len(self)} records of {self.path}>"

    def _walk(self, first: int, last: int) -> Iterator[PhotoRecord]:
        for start in range(first, last, _BLOCK_LINES):
            bounds = self.ends[start : min(start + _BLOCK_LINES, last) + 1].tolist()
            block = self._bytes(bounds[0], bounds[-1])
            for number, (begin, end) in enumerate(itertools.pairwise(bounds), start=start + 1):
                line = block[begin - bounds[0] : end - bounds[0]]
                yield parsed(PhotoRecord, line, where=f"{self.path}:{number}")

    def _bytes(self, begin: int, end: int) -> bytes:
        try:
            with self.path.open("rb") as handle:
                same = _stamp(os.fstat(handle.fileno())) == self.stamp
                handle.seek(begin)
                block = handle.read(end - begin)
        except OSError as error:
            what = f"cannot be opened any more ({error.strerror})"
            raise InputError(what, where=str(self.path), cure="Run the same command again") from error
        if not same:
            raise InputError("changed while it was used", where=str(self.path), cure="Run the same command again")
        return block


def index_lines(path: Path) -> tuple[LazyRecords, Any]:
    """The records of a manifest and the SHA-256 object over its bytes, read once in pieces.

    Raises:
        InputError: there is no such file.
    """
    digest = hashlib.sha256()
    found: list[NDArray[np.int64]] = [np.zeros(1, dtype=np.int64)]
    size = 0
    try:
        with path.open("rb", buffering=0) as handle:
            stamp = _stamp(os.fstat(handle.fileno()))
            while chunk := handle.read(_CHUNK_BYTES):
                digest.update(chunk)
                found.append(np.flatnonzero(np.frombuffer(chunk, dtype=np.uint8) == 0x0A) + (size + 1))
                size += len(chunk)
    except FileNotFoundError as error:
        raise InputError("no survey here: the file is missing", where=str(path), cure=CURE) from error
    except OSError as error:
        what = f"cannot be opened ({error.strerror})"
        raise InputError(what, where=str(path), cure="Make it readable") from error
    ends = np.concatenate(found)
    if ends[-1] != size:  # a last line without a line end
        ends = np.append(ends, size)
    return LazyRecords(path.absolute(), ends, stamp), digest


def _stamp(status: os.stat_result) -> tuple[int, int]:
    return status.st_size, status.st_mtime_ns
