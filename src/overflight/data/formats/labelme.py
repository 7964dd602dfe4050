"""LabelMe: one JSON file per photograph, beside it, with ``shapes`` of points in pixels.

A rectangle is two opposite corners in any order. An oriented rectangle keeps its corners; polygons, circles and masks
become the box around them (a mask's to within 1 px); points and lines are no boxes. The photograph is the one that
``imagePath`` names, else the one of the same name beside the file. ``imageData``, a copy of the photograph, is never
decoded. Classes come from ``classes.txt`` at the root, else they are the sorted labels found. It does not judge boxes.
Format: github.com/wkentaro/labelme.
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats.class_ids import class_name
from overflight.data.formats.entries import Refusal, classes_file, sentences, unknown_class
from overflight.data.formats.gather import Gathering, Pile, all_classes, nothing_readable
from overflight.data.formats.json_files import (
    RefusedValueError,
    head_and_tail,
    numbers,
    read_document,
    shown,
    size_of,
)
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.named_photos import Sizes
from overflight.data.formats.pairing import without_suffix
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, kept, oriented, write_classes, written_names
from overflight.errors import InputError
from overflight.files import write_text

NAME = "labelme"
CLASSES_FILE = "classes.txt"
MAX_BYTES = 300_000_000
VERSION = "5.5.0"
_LOOKED_AT = 32
_CURE = "Export the labels again"
_CURES = {
    "no-box": "Draw a rectangle or take the shape out",
    "columns": "Write each point as [x, y]",
}
_OTHER_CURE = "Write finite numbers in pixels, without quotation marks"
_Point = tuple[float, float]


def sniff(files: SourceFiles) -> Sniffed | None:
    """JSON files with ``shapes`` and ``imagePath`` or ``shape_type``.

    Of many JSON files only some are looked at; then all in the folders of those that fit are taken.
    """
    beside = _photos_by_stem(files)
    candidates = [key for key in files.others if key.lower().endswith(".json")]
    candidates.sort(key=lambda key: (without_suffix(key) not in beside, key))
    found = [key for key in candidates[:_LOOKED_AT] if _looks_so(head_and_tail(files, key)[0])]
    if not found:
        return None
    first = min(found)
    if len(candidates) > _LOOKED_AT:
        folders = {PurePosixPath(key).parent for key in found}
        found = [key for key in candidates if PurePosixPath(key).parent in folders]
    count = f"{len(found):,} JSON {'file' if len(found) == 1 else 'files'}"
    return Sniffed(NAME, tuple(sorted(found)), f'{count} with LabelMe\'s "shapes", first: {first}')


def _looks_so(content: bytes) -> bool:
    has = {key for key in (b"shapes", b"imagePath", b"shape_type") if b'"%s"' % key in content}
    return b"shapes" in has and len(has) > 1 and content.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] == b"{"


def read(files: SourceFiles, sizes: Sizes, *, labels: tuple[str, ...]) -> LabelSet:
    """The labels of all given files.

    Raises:
        InputError: no label file, or none of them can be read.
    """
    if not labels:
        raise InputError("no LabelMe file given", where=str(files.root), cure="Name the JSON files of the photographs")
    declared = classes_file(files)
    reader = _Reader(files, Gathering(files, sizes, "object"), declared)
    for key in dict.fromkeys(labels):
        reader.take(key)
    if not reader.opened:
        raise nothing_readable(files, labels, reader.gathered, _CURE)
    return reader.gathered.finish(NAME, all_classes(reader.gathered, declared), reader.losses())


class _Reader:
    """Walks label files and counts what is lost."""

    def __init__(self, files: SourceFiles, gathered: Gathering, declared: Sequence[str] | None) -> None:
        self.files = files
        self.gathered = gathered
        self.declared = declared
        self.known = None if declared is None else frozenset(declared)
        self.beside = _photos_by_stem(files)
        self.lost: Counter[str] = Counter()
        self.opened = 0

    def take(self, key: str) -> None:
        """Read one file."""
        photos = self.beside.get(without_suffix(key), [])
        beside = photos[0] if len(photos) == 1 else None
        document = read_document(self.files, key, max_bytes=MAX_BYTES)
        value = document.value
        problem = document.findings[0].what if document.damaged else _fault(value)
        if problem:
            photo = beside.key if beside else ""
            self.gathered.damaged(Refusal("damaged", problem, _CURE), where=key, photo=photo)
            return
        self.opened += 1
        self.gathered.findings += document.findings
        name = value.get("imagePath")
        named = isinstance(name, str) and bool(name.strip())
        photo_file = self.files.resolve(name, beside=key) if named else None
        if photo_file is None and beside is not None:
            photo_file = beside
            if named:
                what = f"imagePath names {shown(name)}, which is not there; {shown(beside.key)} beside it was taken"
                cure = "Write the photograph's name as imagePath"
                self.gathered.findings.append(Finding("warning", "name-differs", key, what, cure, beside.key))
        pile = self.gathered.pile(
            name if named else PurePosixPath(key).stem,
            file=key,
            photo=photo_file,
            declared=size_of(value.get("imageWidth"), value.get("imageHeight")),
        )
        for position, shape in enumerate(value["shapes"], start=1):
            self._shape(shape, pile, key=key, position=position)

    def _shape(self, shape: Any, pile: Pile, *, key: str, position: int) -> None:
        try:
            name, xyxy, corners = self._box(shape)
        except RefusedValueError as error:
            refusal = Refusal(error.code, error.what, _CURES.get(error.code, _OTHER_CURE))
            if error.code == "unknown-class" and self.declared is not None and class_name(shape.get("label")):
                refusal = unknown_class(shape["label"], self.declared, declared_in=CLASSES_FILE)
            where = f"{key}: object {position}"
            self.gathered.refuse(refusal, where=where, entry=shown(shape), photo=pile.photo)
            return
        pile.labels.add(self.gathered.class_of(name), xyxy, number=position, corners_px=corners)

    def _box(self, shape: Any) -> tuple[str, tuple[float, float, float, float], list[_Point] | None]:
        if not isinstance(shape, dict):
            raise RefusedValueError("no-box", f"{shown(shape)} is no shape")
        name = class_name(shape.get("label"))
        if name is None or (self.known is not None and name not in self.known):
            raise RefusedValueError("unknown-class", f"label {shown(shape.get('label'))} names no class")
        kind = shape.get("shape_type", "polygon")
        if not isinstance(kind, str):
            raise RefusedValueError("no-box", f"shape_type is {shown(kind)}, which is no kind of shape")
        points = _points(shape.get("points"))
        corners = None
        if kind == "circle" and len(points) == 2:
            (x, y), radius = points[0], math.dist(*points)
            points = [(x - radius, y - radius), (x + radius, y + radius)]
            if not all(math.isfinite(value) for point in points for value in point):
                raise RefusedValueError("not-finite", "the circle is too large")
        elif kind in {"oriented_rectangle", "rotation"} and len(points) == 4:
            corners = points
        elif not _is_area(kind, len(points)):
            raise RefusedValueError("no-box", f"a shape {shown(kind)} of {len(points)} points is no box")
        self.lost[kind] += 1
        self.lost["flags"] += bool(shape.get("flags"))
        self.lost["group"] += shape.get("group_id") is not None
        xs, ys = [x for x, _ in points], [y for _, y in points]
        return name, (min(xs), min(ys), max(xs), max(ys)), corners

    def losses(self) -> tuple[str, ...]:
        """What was not kept."""
        return sentences(
            (self.lost["polygon"], "polygon became the box around it", "polygons became the boxes around them"),
            (self.lost["circle"], "circle became the box around it", "circles became the boxes around them"),
            (self.lost["mask"], "mask became the box around it", "masks became the boxes around them"),
            (self.lost["flags"], "shape has flags, which are not kept", "shapes have flags, which are not kept"),
            (self.lost["group"], "shape has a group, which is not kept", "shapes have groups, which are not kept"),
        )


def _fault(value: Any) -> str:
    if not isinstance(value, dict) or "shapes" not in value:
        return f"is not a LabelMe file: it has no shapes ({shown(value)})"
    return "" if isinstance(value["shapes"], list) else f"shapes is {shown(value['shapes'])}, not a list"


def _is_area(kind: Any, points: int) -> bool:
    if kind == "polygon":
        return points >= 3
    return (kind == "rectangle" and points in {2, 4}) or (kind == "mask" and points == 2)


def _points(value: Any) -> list[_Point]:
    if not isinstance(value, list):
        raise RefusedValueError("no-box", f"points is {shown(value)}, not a list")
    found = []
    for point in value:
        x, y = numbers(point, 2, "a point")
        found.append((x, y))
    return found


def _photos_by_stem(files: SourceFiles) -> dict[str, list[PhotoFile]]:
    found: dict[str, list[PhotoFile]] = defaultdict(list)
    for photo in files.photos:
        found[without_suffix(photo.key)].append(photo)
        found[photo.key].append(photo)  # a.jpg.json, as written where a.jpg and a.png lie side by side
    return dict(found)


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write one JSON file beside each photograph in ``images/``, and ``classes.txt`` so that unused classes stay."""
    losses = Losses()
    places: dict[str, str] = {}
    taken: set[str] = set()
    for key, name in written_names(labels, names, losses).items():
        place = PurePosixPath("images", name)
        places[key] = str(place)
        target = str(place.with_suffix(".json"))
        if target.casefold() in taken:
            target = f"{place}.json"
        taken.add(target.casefold())
        write_text(folder / target, _document(kept(labels.photos[key], losses), labels.classes, place.name))
    write_classes(labels, folder)
    return Written(places, losses.sentences())


def _document(found: PhotoLabels, classes: Sequence[str], file_name: str) -> str:
    width, height = found.size_wh_px
    shapes = []
    turned = oriented(found).tolist()
    for index, (class_id, box) in enumerate(zip(found.class_ids.tolist(), found.xyxy_px.tolist(), strict=True)):
        points = [box[:2], box[2:]]
        if turned[index] and found.corners_px is not None:
            points = found.corners_px[index].tolist()
        shapes.append(
            {
                "label": classes[class_id],
                "points": [[round(x, 6), round(y, 6)] for x, y in points],
                "group_id": None,
                "description": "",
                "shape_type": "oriented_rectangle" if turned[index] else "rectangle",
                "flags": {},
            }
        )
    document: dict[str, Any] = {
        "version": VERSION,
        "flags": {},
        "shapes": shapes,
        "imagePath": file_name,
        "imageData": None,
        "imageHeight": height,
        "imageWidth": width,
    }
    return json.dumps(document, indent=1) + "\n"
