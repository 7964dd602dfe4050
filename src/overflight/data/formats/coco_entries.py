"""Images and annotations of one COCO file as columns, and the annotations that are not plain boxes one by one.

A plain annotation has the id of a known image and category and a ``bbox`` of four finite numbers. All others become a
box around their outline or are refused with the reason, so that boxes and refused ones together are the annotations.
It does not open files.
"""

from __future__ import annotations

import contextlib
import math
from collections import Counter
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any, TypeGuard

import numpy as np
from numpy.typing import NDArray

from overflight.data.findings import Finding
from overflight.data.formats.class_ids import Id
from overflight.data.formats.json_files import LARGEST, RefusedValueError, number, numbers, shown, size_of
from overflight.data.formats.labels import RefusedBox
from overflight.data.formats.named_photos import NamedPhoto, NamedPhotos
from overflight.imaging.boxes import Boxes

_CURES = {
    "unknown-class": "Add the category or correct the annotation",
    "missing-photo": "Add the image to `images` or take the annotation out",
    "unreadable-photo": "Replace the photograph, or give width and height in `images`",
    "columns": "Write bbox as x, y, width, height",
    "no-box": "Draw a box or take the annotation out",
}
_OTHER_CURE = "Write a finite number in pixels, without quotation marks"
_NEEDED = ("image_id", "category_id", "bbox")
_LIMIT = 2**62
_PLAIN_FLAGS = frozenset({0, 1, None})


@dataclass
class CocoFile:
    """One file, opened.

    Attributes:
        key: Its key.
        images: Entries as written.
        annotations: Entries as written.
        categories: Class name by category id.
        photos: Photographs of the images that can be told, in their order.
        photo_of: Index into ``photos`` by image id.
        unclear: Keys of photographs whose image id belongs to several.
        twice: Image ids that belong to several photographs.
    """

    key: str
    images: list[Any]
    annotations: list[Any]
    categories: dict[Id, str]
    photos: list[NamedPhoto] = field(default_factory=list)
    photo_of: dict[Id, int] = field(default_factory=dict)
    unclear: list[str] = field(default_factory=list)
    twice: set[Id] = field(default_factory=set)


@dataclass
class Columns:
    """Boxes of one file, N in the order of its annotations, and what became of the rest.

    Attributes:
        photo: (N,) index into the file's photographs.
        class_ids: (N,).
        xyxy_px: (N, 4).
        numbers: (N,) annotation ids, or ordinals from 1 where they are no whole numbers.
        ignored: (N,) bool.
        refused: Annotations that are no boxes.
        findings: About the file as a whole.
        losses: What was not kept.
    """

    photo: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    xyxy_px: Boxes
    numbers: NDArray[np.int64]
    ignored: NDArray[np.bool_]
    refused: list[RefusedBox]
    findings: list[Finding]
    losses: list[str]


def read_images(coco: CocoFile, photos: NamedPhotos) -> None:
    """Fill in which photographs the images of a file are."""
    coco.twice = _ids_of_several(coco.images)
    for position, entry in enumerate(coco.images, start=1):
        where = f"{coco.key}: image {position}"
        found = entry if isinstance(entry, dict) else {}
        image_id, name = found.get("id"), found.get("file_name")
        if not _is_id(image_id) or not isinstance(name, str) or not name.strip():
            what = f"has no id or no file_name ({shown(entry)})"
            photos.findings.append(Finding("error", "missing-photo", where, what, "Give each image both"))
            continue
        size = size_of(found.get("width"), found.get("height"))
        photo = photos.take(name, label_file=coco.key, where=where, declared_wh=size)
        if image_id in coco.twice:
            what = f"image id {shown(image_id)} belongs to several photographs: whose boxes are whose cannot be told"
            key = "" if photo.key in photos.absent else photo.key
            photos.findings.append(Finding("error", "missing-labels", where, what, "Give each image its own id", key))
            photos.absent.discard(photo.key)
            coco.unclear.append(photo.key)
            continue
        if photo.refusal == "unreadable-photo":
            what = "the photograph cannot be used, so its labels cannot either"
            finding = Finding("error", photo.refusal, where, what, "Replace the photograph", photo.key)
            photos.findings.append(finding)
        coco.photo_of.setdefault(image_id, len(coco.photos))
        coco.photos.append(photo)


def _ids_of_several(images: list[Any]) -> set[Id]:
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in images]
    counts = Counter(image_id for image_id in ids if _is_id(image_id))
    names: dict[Id, set[str]] = {}
    for image_id, entry in zip(ids, images, strict=True):
        if _is_id(image_id) and counts[image_id] > 1:
            names.setdefault(image_id, set()).add(str(entry.get("file_name"))[:4096])
    return {image_id for image_id, found in names.items() if len(found) > 1}


def read_annotations(coco: CocoFile, index: dict[str, int], max_area_ratio: float) -> Columns:
    """Boxes of a file whose images are known.

    Args:
        coco: The file.
        index: Class index by name.
        max_area_ratio: ``area`` may be so many times that of the box.
    """
    annotations = coco.annotations
    class_of: dict[Id, int] = {key: index[name] for key, name in coco.categories.items()}
    known = {image_id: at for image_id, at in coco.photo_of.items() if not coco.photos[at].refusal}
    plain = _plain(annotations, known, class_of)
    odd: list[int] = []
    if plain is None:
        fit = [_is_plain(entry, known, class_of) for entry in annotations]
        odd = [position for position, good in enumerate(fit) if not good]
        annotations = [entry for entry, good in zip(annotations, fit, strict=True) if good]
        plain = _plain(annotations, known, class_of)
    assert plain is not None  # noqa: S101 - what is not plain was taken out
    photo, class_ids, xywh, ignored = plain
    positions = np.delete(np.arange(len(coco.annotations)), odd)
    reader = _OddReader(coco, known, class_of)
    extra = [(position, box) for position in odd if (box := reader.read(position)) is not None]
    findings = _area_findings(coco.key, annotations, xywh, max_area_ratio)
    xyxy = np.concatenate([xywh[:, :2], xywh[:, :2] + xywh[:, 2:]], axis=1)
    if extra:
        positions = np.concatenate([positions, [position for position, _ in extra]])
        order = np.argsort(positions, kind="stable")
        positions = positions[order]
        photo = np.concatenate([photo, [box.photo for _, box in extra]])[order]
        class_ids = np.concatenate([class_ids, [box.class_id for _, box in extra]])[order]
        xyxy = np.concatenate([xyxy, [box.xyxy_px for _, box in extra]])[order]
        ignored = np.concatenate([ignored, [box.ignored for _, box in extra]])[order]
    all_numbers, repeated = _numbers(coco)
    return Columns(
        photo=photo.astype(np.int64),
        class_ids=class_ids.astype(np.int64),
        xyxy_px=xyxy,
        numbers=all_numbers[positions],
        ignored=ignored.astype(np.bool_),
        refused=reader.refused,
        findings=findings + repeated,
        losses=_losses(coco, reader.outlined),
    )


_Plain = tuple[NDArray[np.int64], NDArray[np.int64], Boxes, NDArray[np.bool_]]


def _plain(annotations: list[Any], known: dict[Id, int], class_of: dict[Id, int]) -> _Plain | None:
    """Photo, class, ``x y w h`` and ignored by columns; None when one of the annotations is not plain."""
    if not set(map(type, annotations)) <= {dict}:
        return None
    try:
        image_ids, category_ids, boxes = (list(map(itemgetter(name), annotations)) for name in _NEEDED)
    except KeyError:
        return None
    if not set(map(type, image_ids)) | set(map(type, category_ids)) <= {int, str} or not set(map(type, boxes)) <= {
        list
    }:
        return None
    if not set(map(len, boxes)) <= {4} or not set(map(type, chain.from_iterable(boxes))) <= {int, float}:
        return None
    photo, class_ids = list(map(known.get, image_ids)), list(map(class_of.get, category_ids))
    ignored = _ignored(annotations)
    if ignored is None or None in photo or None in class_ids:
        return None
    try:
        xywh = np.fromiter(chain.from_iterable(boxes), dtype=np.float64, count=4 * len(boxes)).reshape(-1, 4)
    except OverflowError:
        return None
    if not (np.abs(xywh) <= LARGEST).all() or not (np.abs(xywh[:, :2] + xywh[:, 2:]) <= LARGEST).all():
        return None
    return np.array(photo, dtype=np.int64), np.array(class_ids, dtype=np.int64), xywh, ignored


def _ignored(annotations: list[dict[str, Any]]) -> NDArray[np.bool_] | None:
    """What ``iscrowd`` or ``ignore`` marks; None when one of them is neither 0 nor 1."""
    found = np.zeros(len(annotations), dtype=np.bool_)
    for name in ("iscrowd", "ignore"):
        flags = [entry.get(name) for entry in annotations]
        if not set(map(type, flags)) <= {int, bool, type(None)}:
            return None
        values = set(flags)
        if not values <= _PLAIN_FLAGS:
            return None
        if values - {0, None}:
            found |= np.array(list(map(bool, flags)), dtype=np.bool_)
    return found


def _is_plain(entry: Any, known: dict[Id, int], class_of: dict[Id, int]) -> bool:
    """The same for one annotation."""
    if type(entry) is not dict:
        return False
    image_id, category_id, box = entry.get("image_id"), entry.get("category_id"), entry.get("bbox")
    if not _is_id(image_id) or not _is_id(category_id) or image_id not in known or category_id not in class_of:
        return False
    if type(box) is not list or len(box) != 4 or not set(map(type, box)) <= {int, float}:
        return False
    flags = entry.get("iscrowd"), entry.get("ignore")
    return all(abs(value) <= LARGEST / 2 for value in box) and all(
        type(flag) in {int, bool, type(None)} and flag in _PLAIN_FLAGS for flag in flags
    )


@dataclass(frozen=True)
class _OddBox:
    photo: int
    class_id: int
    xyxy_px: tuple[float, float, float, float]
    ignored: bool


class _OddReader:
    """Reads the annotations that are not plain."""

    def __init__(self, coco: CocoFile, known: dict[Id, int], class_of: dict[Id, int]) -> None:
        self.coco = coco
        self.known = known
        self.class_of = class_of
        self.refused: list[RefusedBox] = []
        self.outlined = 0

    def read(self, position: int) -> _OddBox | None:
        """The box of an annotation; None when it is refused."""
        entry = self.coco.annotations[position]
        try:
            return self._box(entry)
        except RefusedValueError as error:
            given = entry.get("id") if isinstance(entry, dict) else None
            name = f"annotation {shown(given)}" if _is_id(given) else f"annotation at place {position + 1}"
            cure = _CURES.get(error.code, _OTHER_CURE)
            finding = Finding("error", error.code, f"{self.coco.key}: {name}", error.what, cure, self._photo(entry))
            self.refused.append(RefusedBox(finding, raw=shown(entry)))
            return None

    def _box(self, entry: Any) -> _OddBox:
        if not isinstance(entry, dict):
            raise RefusedValueError("no-box", f"{shown(entry)} is no annotation")
        photo = self._known_photo(entry.get("image_id"))
        category_id = entry.get("category_id")
        if not _is_id(category_id) or category_id not in self.class_of:
            raise RefusedValueError("unknown-class", f"category id {shown(category_id)} is not among the categories")
        ignored = _flag(entry.get("iscrowd"), "iscrowd") or _flag(entry.get("ignore"), "ignore")
        box = entry.get("bbox")
        if box is None or box == []:
            xyxy = _around(entry.get("segmentation"))
            self.outlined += 1
        else:
            x, y, width, height = numbers(box, 4, "bbox")
            xyxy = (x, y, number(x + width, "x + width"), number(y + height, "y + height"))
        return _OddBox(photo, self.class_of[category_id], xyxy, ignored)

    def _known_photo(self, image_id: Any) -> int:
        if _is_id(image_id) and image_id in self.known:
            return self.known[image_id]
        if _is_id(image_id) and image_id in self.coco.twice:
            raise RefusedValueError("missing-photo", f"image id {shown(image_id)} belongs to several photographs")
        if _is_id(image_id) and image_id in self.coco.photo_of:
            refusal = self.coco.photos[self.coco.photo_of[image_id]].refusal
            what = "is not there and the label file gives no size for it"
            if refusal == "unreadable-photo":  # a size may be given: a link or a BMP file cannot be taken either
                what = "cannot be used"
            raise RefusedValueError(refusal, f"its photograph {what}")
        raise RefusedValueError("missing-photo", f"image id {shown(image_id)} is not among the images")

    def _photo(self, entry: Any) -> str:
        image_id = entry.get("image_id") if isinstance(entry, dict) else None
        at = self.coco.photo_of.get(image_id) if _is_id(image_id) else None
        if at is None or self.coco.photos[at].refusal == "missing-photo":
            return ""
        return self.coco.photos[at].key


def _flag(value: Any, name: str) -> bool:
    if type(value) in {int, float, bool, type(None)} and value in _PLAIN_FLAGS:
        return bool(value)
    raise RefusedValueError("not-a-number", f"{name} is {shown(value)}, neither 0 nor 1")


def _around(segmentation: Any) -> tuple[float, float, float, float]:
    """The box around polygons ``[[x1, y1, x2, y2, ...], ...]``."""
    if isinstance(segmentation, dict):
        raise RefusedValueError("no-box", "has no bbox, and its outline is a mask (RLE)")
    if not isinstance(segmentation, list) or not segmentation:
        raise RefusedValueError("no-box", "has neither bbox nor outline")
    values: list[float] = []
    for polygon in segmentation:
        if not isinstance(polygon, list) or len(polygon) < 6 or len(polygon) % 2:
            raise RefusedValueError("no-box", f"has no bbox, and {shown(polygon)} is no polygon x1, y1, x2, y2, x3, y3")
        values += numbers(polygon, len(polygon), "an outline")
    return min(values[::2]), min(values[1::2]), max(values[::2]), max(values[1::2])


def _area_findings(key: str, annotations: list[Any], xywh: Boxes, max_ratio: float) -> list[Finding]:
    """One finding when ``area`` is larger than boxes can be; a smaller one is the polygon's and right."""
    given = [entry.get("area") for entry in annotations]
    areas = _floats(given)
    with np.errstate(over="ignore", invalid="ignore"):
        own = np.abs(xywh[:, 2] * xywh[:, 3])
        wrong = np.flatnonzero(np.isfinite(areas) & (areas > max_ratio * own) & (own > 0))
    if not len(wrong):
        return []
    worst = int(wrong[np.argmax(areas[wrong] / own[wrong])])
    share = float(areas[worst] / own[worst])
    what = (
        f"`area` of {len(wrong)} of {len(given)} annotations is more than {max_ratio:g} times the box: "
        f"{areas[worst]:.0f} px² given for a box of {own[worst]:.0f} px² ({share:.0f} times)"
    )
    cure = "It is not used here; tools that sort objects by `area` take them for large: write width times height"
    return [Finding("warning", "area-field", key, what, cure, score=share)]


def _floats(values: list[Any]) -> NDArray[np.float64]:
    """``values`` as floats, NaN where one is no number."""
    with contextlib.suppress(OverflowError):
        if set(map(type, values)) <= {int, float}:
            return np.array(values, dtype=np.float64)
    fit = [value if type(value) in {int, float} and -_LIMIT < value < _LIMIT else math.nan for value in values]
    return np.array(fit, dtype=np.float64)


def _numbers(coco: CocoFile) -> tuple[NDArray[np.int64], list[Finding]]:
    """Annotation ids, or ordinals where one is missing, and a finding when ids repeat."""
    ids = [entry.get("id") if isinstance(entry, dict) else None for entry in coco.annotations]
    found = np.arange(1, len(ids) + 1, dtype=np.int64)
    if not set(map(type, ids)) <= {int}:
        return found, []
    with contextlib.suppress(OverflowError):
        found = np.array(ids, dtype=np.int64)
    repeated = len(ids) - len(set(ids))
    if not repeated:
        return found, []
    what = f"{repeated} annotation ids are used before in the file; all boxes were read"
    cure = "Number the annotations anew: tools that look them up by id lose boxes"
    return found, [Finding("warning", "repeated-id", coco.key, what, cure)]


def _losses(coco: CocoFile, outlined: int) -> list[str]:
    outlines, keypoints = (
        sum([1 for entry in coco.annotations if isinstance(entry, dict) and entry.get(name)])
        for name in ("segmentation", "keypoints")
    )
    found = []
    if outlined:
        found.append(f"{coco.key}: {outlined} outlines without bbox were taken for the box around them")
    if outlines > outlined:
        found.append(f"{coco.key}: {outlines - outlined} outlines (segmentation) are not kept, only their boxes")
    if keypoints:
        found.append(f"{coco.key}: keypoints of {keypoints} annotations are not kept")
    return found


def _is_id(value: Any) -> TypeGuard[Id]:
    return type(value) in {int, str}
