"""A survey as pages to leaf through: thumbnails with boxes, filters and sorting, in a folder of plain files.

The folder works from the disk and from any web server: ``index.html``, ``photos.js`` (columns of all photographs),
``boxes/N.js`` (boxes of 200 photographs each, fetched when they come into sight) and ``thumbs/``, whose names are
digests of the photographs, so that a second run draws only what is new. Full photographs are not copied: a server
scales them when they are asked for (see :func:`full_picture`). It does not serve anything itself.
"""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from overflight.data.facts import MAX_PHOTO_BYTES, in_order
from overflight.data.findings import Finding
from overflight.data.profile.tables import PHOTO_COLUMNS, Profile
from overflight.data.reading import Read
from overflight.errors import InputError
from overflight.files import write_bytes, write_text
from overflight.imaging.codecs import Rgb, decode, encode_jpeg

THUMB_WIDTH_PX, THUMB_HEIGHT_PX = 320, 240
FULL_SIDE_PX = 1920
BOXES_PER_FILE = 200
IGNORED = -1
INDEX_FILE, PHOTOS_FILE = "index.html", "photos.js"
_THUMB_QUALITY, _FULL_QUALITY = 78, 88
_DIGEST_LENGTH = 16
_WORDS = ("flight", "site", "altitude_band", "time_of_day", "captured_at", "camera", "fault")
_SORTABLE = tuple(
    name
    for name, (kind, _) in PHOTO_COLUMNS.items()
    if kind in ("int32", "int64", "float32", "float64") and name not in ("latitude_deg", "longitude_deg")
)

Progress = Callable[[int, int], None]


def write_browser(
    folder: Path,
    profile: Profile,
    read: Read,
    *,
    findings: Sequence[Finding],
    title: str = "",
    workers: int | None = None,
    progress: Progress | None = None,
) -> int:
    """Write the pages into ``folder``; thumbnails that are there already stay.

    Args:
        folder: Created where missing; files of an earlier run are replaced.
        profile: Of the survey.
        read: The same survey as read.
        findings: Of the checks, for filters and notes.
        title: Name on the page; by default the profile's.
        workers: Threads that scale photographs.
        progress: Called with (photographs done, photographs in all).

    Returns:
        Photographs that cannot be shown; they are listed without a picture.
    """
    keys = [str(key) for key in profile.photos["photo"].tolist()]
    thumbs = _thumbs(folder / "thumbs", keys, read, workers=workers, progress=progress)
    boxes = _boxes(keys, read)
    for first in range(0, len(keys), BOXES_PER_FILE):
        part = boxes[first : first + BOXES_PER_FILE]
        chunk = first // BOXES_PER_FILE
        write_text(folder / "boxes" / f"{chunk}.js", f"overflight.boxes({chunk}, {_json(part)});\n")
    document = {
        "title": title or profile.name,
        "root": read.files.root.as_uri(),
        "classes": list(profile.classes),
        "boxesPerFile": BOXES_PER_FILE,
        "fullSide": FULL_SIDE_PX,
        "photo": keys,
        "thumb": thumbs,
        "size": np.stack([profile.photos["width_px"], profile.photos["height_px"]], axis=1).tolist(),
        "classIds": [sorted({int(box[0]) for box in found} - {IGNORED}) for found in boxes],
        "findings": _findings(keys, findings),
        "words": {name: _indexed(profile.photos[name].tolist()) for name in _WORDS},
        "numbers": _numbers(profile),
        "meaning": {name: PHOTO_COLUMNS[name][1] for name in _SORTABLE},
    }
    write_text(folder / PHOTOS_FILE, f"overflight.photos({_json(document)});\n")
    for name in (INDEX_FILE, "browse.js"):
        source = "browse.html" if name == INDEX_FILE else name
        text = files("overflight.data.profile").joinpath(source).read_text(encoding="utf-8")
        write_text(folder / name, text)
    return sum(1 for thumb in thumbs if not thumb)


def full_picture(read: Read, key: str, *, longer_side_px: int = FULL_SIDE_PX) -> bytes:
    """JPEG of a photograph, upright, its longer side at most ``longer_side_px``.

    Raises:
        InputError: it is not in the survey, or cannot be read.
    """
    if key not in read.subject.photos:
        raise InputError("is not in the survey", where=key)
    rgb = decode(read.files.read(key, max_bytes=MAX_PHOTO_BYTES), where=key)
    return encode_jpeg(_within(rgb, longer_side_px, longer_side_px), _FULL_QUALITY)


def _thumbs(
    folder: Path, keys: Sequence[str], read: Read, *, workers: int | None, progress: Progress | None
) -> list[str]:
    """Names of the thumbnails by row, "" where a photograph cannot be shown."""

    def draw(key: str) -> str:
        facts = read.subject.photos.get(key)
        if facts is None or facts.fault or not facts.sha256:
            return ""
        name = f"{facts.sha256[:_DIGEST_LENGTH]}.jpg"
        if not (folder / name).is_file():
            try:
                rgb = decode(read.files.read(key, max_bytes=MAX_PHOTO_BYTES), where=key)
            except InputError:  # a fault that only decoding shows; the checks report it
                return ""
            write_bytes(folder / name, encode_jpeg(_within(rgb, THUMB_WIDTH_PX, THUMB_HEIGHT_PX), _THUMB_QUALITY))
        return name

    names = []
    for name in in_order(keys, draw, workers=workers):
        names.append(name)
        if progress is not None:
            progress(len(names), len(keys))
    return names


def _within(rgb: Rgb, width_px: int, height_px: int) -> Rgb:
    scale = min(width_px / rgb.shape[1], height_px / rgb.shape[0], 1.0)
    if scale == 1.0:
        return rgb
    size = max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale))
    return np.ascontiguousarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _boxes(keys: Sequence[str], read: Read) -> list[list[list[float]]]:
    """Per photograph [class, x1, y1, x2, y2, index within its labels], pixels of the upright photograph.

    Oriented boxes are followed by their corners (x, y four times); the class of an ignored region is ``IGNORED``.
    """
    found: list[list[list[float]]] = []
    for key in keys:
        labels = read.subject.labels.photos.get(key)
        entries: list[list[float]] = []
        if labels is not None:
            ids = labels.class_ids if labels.ignored is None else np.where(labels.ignored, IGNORED, labels.class_ids)
            places = labels.xyxy_px.round(1).tolist()
            corners = (
                [[]] * len(labels) if labels.corners_px is None else labels.corners_px.reshape(-1, 8).round(1).tolist()
            )
            for index, (class_id, box, ring) in enumerate(zip(ids.tolist(), places, corners, strict=True)):
                if all(math.isfinite(value) for value in (*box, *ring)):
                    entries.append([class_id, *box, index, *ring])
        found.append(entries)
    return found


def _findings(keys: Sequence[str], findings: Sequence[Finding]) -> dict[str, list[list[Any]]]:
    """By row: [code, severity, what, boxes]."""
    rows = {key: row for row, key in enumerate(keys)}
    found: dict[str, list[list[Any]]] = defaultdict(list)
    for finding in findings:
        if finding.photo in rows:
            found[str(rows[finding.photo])].append([finding.code, finding.severity, finding.what, list(finding.boxes)])
    return dict(found)


def _indexed(values: Sequence[str]) -> dict[str, list[Any]]:
    """Different words once, and which of them each photograph has."""
    names = sorted(set(values))
    places = {name: index for index, name in enumerate(names)}
    return {"names": names, "of": [places[value] for value in values]}


def _numbers(profile: Profile) -> Mapping[str, list[float | None]]:
    """Columns to sort by, those that say anything; null where not known."""
    found: dict[str, list[float | None]] = {}
    for name in _SORTABLE:
        values = profile.photos[name]
        if np.isfinite(values.astype(np.float64)).any():
            found[name] = [
                None if not math.isfinite(value) else int(value) if value == int(value) else float(f"{value:.5g}")
                for value in values.tolist()
            ]
    return found


def _json(value: Any) -> str:
    """JSON that may stand in a script: no line separators that old browsers end a string at, no closing tag."""
    text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return text.replace("</", "<\\/").replace("\u2028", "\\u2028").replace("\u2029", "\\u2029")
