"""CVAT for images 1.1: one XML file with ``<image>`` elements that hold ``<box>``, ``<polygon>`` and other shapes.

``xtl ytl xbr ybr`` are half-open corners in pixels. ``rotation`` turns a box by degrees about its centre, clockwise as
seen (format: docs.cvat.ai/docs/other/xml_format). Polygons become the box around them; points, lines, masks, ellipses
and cuboids are refused, tags are counted. Tracks of videos are not read. Files are read twice and in pieces: once to
see that they are whole and what they declare, once for the boxes. It knows no photograph beyond its name and size.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overflight.data.files import SourceFiles
from overflight.data.formats.class_ids import class_name
from overflight.data.formats.entries import (
    Refusal,
    classes_file,
    declared_size,
    finite_numbers,
    sentences,
    unknown_class,
)
from overflight.data.formats.gather import Gathering, Pile, all_classes, nothing_readable
from overflight.data.formats.json_files import collector_paused
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.pairing import evidence, heads_of_some
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, kept, number, oriented, written_names
from overflight.data.formats.xml_files import Node, XmlDamageError, read_parts, root_tags, xml_keys, xml_text
from overflight.files import atomic_write

NAME = "cvat"
CORNERS = ("xtl", "ytl", "xbr", "ybr")
_NO_BOXES = frozenset({"points", "polyline", "mask", "ellipse", "cuboid", "skeleton"})
_META_OF_LABELS = frozenset({"task", "job", "project"})
_RECTANGLE_PX = 0.004
_XML_FILES_LOOKED_AT = 1000


@dataclass
class _Head:
    """What a file is, from its first reading."""

    classes: list[str] = field(default_factory=list)
    tracks: int = 0
    tracked_boxes: int = 0


@dataclass
class _Counts:
    polygons: int = 0
    tags: int = 0
    occluded: int = 0
    attributes: int = 0


def sniff(files: SourceFiles) -> Sniffed | None:
    """XML files whose root is ``<annotations>`` with ``<image>``, ``<track>`` or ``<meta>``."""
    keys = xml_keys(files)
    seen = {key: root_tags(files, key) for key in heads_of_some(files, keys)}
    if not any(root == "annotations" and tags & {"image", "track", "meta"} for root, tags in seen.values()):
        return None
    # other XML lies about (flight logs, settings); a file so broken that it has no root is reported, not passed over
    roots = {key: root_tags(files, key)[0] for key in keys[:_XML_FILES_LOOKED_AT]}
    found = tuple(key for key in keys if roots.get(key, "annotations") in {"annotations", ""})
    return Sniffed(NAME, found, evidence(found, "<annotations> and <image>"))


@collector_paused()
def read(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """Labels of CVAT files.

    Args:
        files: The source.
        sizes: Upright width and height in pixels of the photographs that can be read, by key.
        labels: Keys of the XML files.

    Raises:
        InputError: no label file, or none of them can be read.
    """
    gathered = Gathering(files, sizes)
    counts = _Counts()
    heads: dict[str, _Head] = {}
    for key in labels:
        head = _head(files, key, gathered)
        if head is not None:
            heads[key] = head
    if not heads:
        raise nothing_readable(files, labels, gathered, "Give the annotations.xml of an export `CVAT for images 1.1`")
    declared_in = "<meta>"
    declared: Sequence[str] | None = list(dict.fromkeys(name for head in heads.values() for name in head.classes))
    if not declared:
        declared_in, declared = "classes.txt", classes_file(files)
    known = None if declared is None else dict.fromkeys(declared)
    for key in heads:
        for part in read_parts(files.path(key)):
            if part.tag == "image":
                _image(part, key, gathered, counts, known=known, declared_in=declared_in)
    losses = sentences(
        (counts.polygons, "polygon became the box around it", "polygons became the boxes around them"),
        (counts.tags, "tag of a whole photograph was not read", "tags of whole photographs were not read"),
        (counts.occluded, "object is marked occluded", "objects are marked occluded"),
        (
            counts.attributes,
            "object has attributes, which were not read",
            "objects have attributes, which were not read",
        ),
    )
    return gathered.finish(NAME, all_classes(gathered, declared), losses)


def _head(files: SourceFiles, key: str, gathered: Gathering) -> _Head | None:
    head = _Head()
    try:
        for number_, part in enumerate(read_parts(files.path(key))):
            if number_ == 0 and part.tag != "annotations":
                raise XmlDamageError(
                    f"is no CVAT file: its root is <{part.tag[:40]}>", cure="Give the annotations.xml of CVAT"
                )
            if part.tag == "meta":
                head.classes += _declared(part)
            elif part.tag == "track":
                head.tracks += 1
                head.tracked_boxes += len(part.children)
    except XmlDamageError as error:
        gathered.damaged(error.refusal, where=f"{key}:{error.line}" if error.line else key)
        return None
    if head.tracks:
        what = f"holds {head.tracks:,} tracks of a video ({head.tracked_boxes:,} shapes), which are not read"
        refusal = Refusal("no-box", what, "Export `CVAT for images 1.1` instead of `CVAT for video`")
        gathered.refuse(refusal, where=key, entry="<track>", boxes=max(1, head.tracked_boxes))
    return head


def _declared(meta: Node) -> list[str]:
    found: list[str] = []
    for owner in meta.children:
        names = owner.child("labels") if owner.tag in _META_OF_LABELS else None
        if names is not None:
            found += [label.text_of("name") or "" for label in names.children if label.tag == "label"]
    return [name for one in found if (name := class_name(one))]


def _image(
    image: Node,
    key: str,
    gathered: Gathering,
    counts: _Counts,
    *,
    known: Mapping[str, None] | None,
    declared_in: str,
) -> None:
    size = declared_size(image.attrs.get("width"), image.attrs.get("height"))
    pile = gathered.pile(image.attrs.get("name", ""), file=key, where=f"{key}:{image.line}", declared=size)
    for shape in image.children:
        if shape.tag == "tag":
            counts.tags += 1
            continue
        found = _shape(shape)
        label = class_name(shape.attrs.get("label")) or ""
        if not isinstance(found, Refusal) and not label:
            found = Refusal("unknown-class", "the shape has no label", "Give it a class")
        elif not isinstance(found, Refusal) and known is not None and label not in known:
            found = unknown_class(label, tuple(known), declared_in=declared_in)
        if isinstance(found, Refusal):
            entry = f"<{shape.tag} {' '.join(f'{name}={value[:80]}' for name, value in shape.attrs.items())}>"
            gathered.refuse(found, where=f"{key}:{shape.line}", entry=entry, photo=pile.photo)
            continue
        _add(found, gathered.class_of(label), shape, pile)
        counts.polygons += shape.tag == "polygon"
        counts.occluded += shape.attrs.get("occluded", "0") == "1"
        counts.attributes += any(child.tag == "attribute" for child in shape.children)


def _add(found: list[float] | NDArray[np.float64], class_id: int, shape: Node, pile: Pile) -> None:
    if isinstance(found, list):
        # the corners as written, not sorted: a box with its corners swapped is for the checks to name
        x1, y1, x2, y2 = found
        pile.labels.add(class_id, (x1, y1, x2, y2), number=shape.line)
        return
    (x1, y1), (x2, y2) = found.min(axis=0).tolist(), found.max(axis=0).tolist()
    corners = [(x, y) for x, y in found.tolist()] if shape.tag == "box" else None
    pile.labels.add(class_id, (x1, y1, x2, y2), number=shape.line, corners_px=corners)


def _shape(shape: Node) -> list[float] | NDArray[np.float64] | Refusal:
    """Corners ``x1 y1 x2 y2`` of an upright box, or points (N, 2): four of a turned one, or those of a polygon."""
    if shape.tag == "box":
        return _box(shape)
    if shape.tag == "polygon":
        return _polygon(shape.attrs.get("points", ""))
    what = f"<{shape.tag[:40]}> is no box" if shape.tag in _NO_BOXES else f"<{shape.tag[:40]}> is not known"
    return Refusal("no-box", what, "Draw a box around the object")


def _box(shape: Node) -> list[float] | NDArray[np.float64] | Refusal:
    values = finite_numbers([shape.attrs.get(name) for name in CORNERS], CORNERS)
    if "rotation" not in shape.attrs:
        return values
    turn = finite_numbers([shape.attrs.get("rotation") or "0"], ["rotation"])
    if isinstance(values, Refusal):
        return values
    if isinstance(turn, Refusal):
        return turn
    if math.fmod(turn[0], 360) == 0:
        return values
    return turned(values, turn[0])


def turned(xyxy_px: Sequence[float], rotation_deg: float) -> NDArray[np.float64]:
    """Corners (4, 2) of a box turned clockwise about its centre; the first is the upright box's top left."""
    x1, y1, x2, y2 = xyxy_px
    centre = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
    upright = np.array([[x1, y1], [x2, y1], [x2, y2], [x1, y2]])
    # y points down, so the usual matrix turns clockwise as seen
    angle = math.radians(math.fmod(rotation_deg, 360))
    matrix = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    found: NDArray[np.float64] = (upright - centre) @ matrix.T + centre
    return found


def unturned(corners_px: NDArray[np.float64]) -> tuple[list[float], float] | None:
    """Upright box and rotation (degrees, 0..360) that give ``corners_px`` (4, 2); None when they are no rectangle."""
    along, down = corners_px[1] - corners_px[0], corners_px[3] - corners_px[0]
    if along[0] * down[1] - along[1] * down[0] < 0:  # counted the other way round
        corners_px = corners_px[[0, 3, 2, 1]]
        along, down = down, along
    half = np.array([math.hypot(*along), math.hypot(*down)]) / 2
    centre = corners_px.mean(axis=0)
    box = [*(centre - half).tolist(), *(centre + half).tolist()]
    rotation = math.degrees(math.atan2(along[1], along[0])) % 360
    if np.abs(turned(box, rotation) - corners_px).max() > _RECTANGLE_PX:
        return None
    return box, rotation


def _polygon(text: str) -> NDArray[np.float64] | Refusal:
    pairs = [pair.split(",") for pair in text.split(";") if pair.strip()]
    if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
        return Refusal("no-box", "the polygon has fewer than three points x,y", "Draw it again")
    fields = [number_ for pair in pairs for number_ in pair]
    values = finite_numbers(fields, ["points"] * len(fields))
    return values if isinstance(values, Refusal) else np.array(values).reshape(-1, 2)


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``annotations.xml``; photographs go to ``images``. Oriented rectangles are written as turned boxes.

    Raises:
        InputError: a name in ``names`` that is no path below a folder.
    """
    losses = Losses()
    paths = written_names(labels, names, losses)
    escaped = [xml_text(name) for name in labels.classes]
    with atomic_write(folder / "annotations.xml") as handle:
        handle.write(b'<?xml version="1.0" encoding="utf-8"?>\n<annotations>\n  <version>1.1</version>\n')
        declared = "".join(f"<label><name>{name}</name><attributes></attributes></label>" for name in escaped)
        handle.write(f"  <meta><task><labels>{declared}</labels></task></meta>\n".encode())
        for number_, (key, path) in enumerate(paths.items()):
            handle.write(_image_xml(number_, path, kept(labels.photos[key], losses), escaped, losses).encode())
        handle.write(b"</annotations>\n")
    return Written({key: f"images/{path}" for key, path in paths.items()}, losses.sentences())


def _image_xml(number_: int, path: str, labels: PhotoLabels, escaped: list[str], losses: Losses) -> str:
    width, height = labels.size_wh_px
    lines = [f'  <image id="{number_}" name="{xml_text(path)}" width="{width}" height="{height}">']
    tilted = oriented(labels)
    for index, (class_id, box) in enumerate(zip(labels.class_ids.tolist(), labels.xyxy_px.tolist(), strict=True)):
        xyxy, rotation = box, ""
        if tilted[index] and labels.corners_px is not None:
            found = unturned(labels.corners_px[index])
            losses.oriented += found is None
            if found is not None:
                xyxy, rotation = found[0], f' rotation="{found[1]:.8f}"'
        corners = " ".join(f'{name}="{number(value)}"' for name, value in zip(CORNERS, xyxy, strict=True))
        lines.append(
            f'    <box label="{escaped[class_id]}" source="manual" occluded="0" {corners}{rotation} z_order="0"></box>'
        )
    return "\n".join([*lines, "  </image>\n"])
