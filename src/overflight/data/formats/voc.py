"""Pascal VOC: one XML file per photograph, ``<object>`` with ``<name>`` and ``<bndbox>``.

Pixels: VOC counts from 1 and includes the last one, so ``xmin 1, xmax 10`` are ten pixels, 0 to 10 of a half-open box:
x1 = xmin - 1, x2 = xmax (PASCAL VOC development kit: the top left pixel is 1,1). Many tools write 0-based corners into
the same elements. The rule here, for all files of a source together: a file that Overflight wrote says so; otherwise a
0 as xmin or ymin anywhere means 0-based corners, taken as they are; otherwise VOC's own. Which one was used is said
among the losses, with the place that decided it. Elements are found by name, never by position; boxes of ``<part>`` are
no objects. It knows no photograph beyond its name and size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from overflight.data.files import PhotoFile, SourceFiles
from overflight.data.findings import Finding
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
from overflight.data.formats.json_files import collector_paused, shown
from overflight.data.formats.labels import LabelSet, PhotoLabels
from overflight.data.formats.pairing import Pairs, evidence, heads_of_some, label_paths
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, kept, number, oriented, write_classes, write_small, written_names
from overflight.data.formats.xml_files import Node, XmlDamageError, read_parts, root_tags, xml_keys, xml_text
from overflight.files import write_text

NAME = "voc"
MAX_FILE_BYTES = 64_000_000
MARK = "Overflight: pixels from 1, last one included"
CORNERS = ("xmin", "ymin", "xmax", "ymax")
_FLAGS = ("difficult", "truncated", "occluded")
_NOT_SET = frozenset({"", "0", "false", "False", "Unspecified"})
_OF_VOC = frozenset({"object", "object/bndbox", "filename", "size"})


@dataclass
class _Object:
    line: int
    name: str
    corners: list[float] | Refusal
    flags: frozenset[str]
    entry: str


@dataclass
class _Document:
    key: str
    file_name: str = ""
    folder: str = ""
    size: tuple[int, int] | None = None
    marked: bool = False
    masks: bool = False
    objects: list[_Object] = field(default_factory=list)


@dataclass
class _Counts:
    files: int = 0
    marked: int = 0
    masks: int = 0
    parts: int = 0
    flags: dict[str, int] = field(default_factory=lambda: dict.fromkeys(_FLAGS, 0))
    zero_at: str = ""


def sniff(files: SourceFiles) -> Sniffed | None:
    """XML files whose root is ``<annotation>`` with what VOC has in it."""
    keys = xml_keys(files)
    seen = {key: root_tags(files, key) for key in heads_of_some(files, keys)}
    fitting = [key for key, (root, tags) in seen.items() if root == "annotation" and tags & _OF_VOC]
    if not fitting or 2 * len(fitting) <= len(seen) - len(fitting):
        return None
    return Sniffed(NAME, tuple(keys), evidence(keys, "<annotation> and <object><bndbox>"))


@collector_paused()
def read(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """Labels of VOC files.

    Args:
        files: The source.
        sizes: Upright width and height in pixels of the photographs that can be read, by key.
        labels: Keys of the XML files.

    Raises:
        InputError: no label file, or none of them can be read.
    """
    declared = classes_file(files)
    gathered = Gathering(files, sizes)
    pairs = Pairs(files, is_label_folder)
    counts = _Counts()
    unmarked: list[tuple[Pile, range]] = []
    for key in labels:
        document = _document(files, key, gathered, pairs, counts)
        if document is not None:
            pile = _pile(document, files, pairs, gathered)
            before = len(pile.labels.xyxy_px)
            for item in document.objects:
                _take(item, key, pile, gathered, declared=declared)
            boxes = range(before, len(pile.labels.xyxy_px))
            if document.marked:
                _from_one(pile, boxes)
            else:
                unmarked.append((pile, boxes))
    if not counts.files:
        raise nothing_readable(files, labels, gathered, "Put the XML files into a folder Annotations")
    if not counts.zero_at:
        for pile, boxes in unmarked:
            _from_one(pile, boxes)
    return gathered.finish(NAME, all_classes(gathered, declared), _losses(counts))


def _from_one(pile: Pile, boxes: range) -> None:
    """Half-open corners from VOC's own, in place."""
    found = pile.labels.xyxy_px
    for index in boxes:
        x1, y1, x2, y2 = found[index]
        found[index] = (x1 - 1, y1 - 1, x2, y2)


def is_label_folder(name: str) -> bool:
    """Whether a folder of this name holds annotations."""
    return name.lower() == "annotations"


def _document(files: SourceFiles, key: str, gathered: Gathering, pairs: Pairs, counts: _Counts) -> _Document | None:
    document = _Document(key)
    found = _Counts()
    try:
        for number_, part in enumerate(read_parts(files.path(key), max_bytes=MAX_FILE_BYTES)):
            if number_ == 0:
                if part.tag != "annotation":
                    cure = "Give Pascal VOC annotations, or take the file away"
                    raise XmlDamageError(f"is no VOC file: its root is <{part.tag[:40]}>", cure=cure)
                continue
            _part(part, document, found)
    except XmlDamageError as error:
        photos = pairs.of(key)
        where = f"{key}:{error.line}" if error.line else key
        gathered.damaged(error.refusal, where=where, photo=photos[0].key if len(photos) == 1 else "")
        return None
    counts.files += 1
    counts.marked += document.marked
    counts.masks += document.masks
    counts.parts += found.parts
    for item in document.objects:
        for flag in item.flags:
            counts.flags[flag] += 1
        if not document.marked and not counts.zero_at and _has_zero(item.corners):
            counts.zero_at = f"{key}:{item.line}"
    return document


def _part(part: Node, document: _Document, counts: _Counts) -> None:
    if part.tag == "object":
        document.objects.append(_object(part))
        counts.parts += sum(1 for node in part.children if node.tag == "part")
    elif part.tag == "filename":
        document.file_name = part.text
    elif part.tag == "folder":
        document.folder = part.text
    elif part.tag == "size":
        document.size = declared_size(part.text_of("width"), part.text_of("height"))
    elif part.tag == "source":
        document.marked = part.text_of("annotation") == MARK
    elif part.tag == "segmented":
        document.masks = part.text not in {"", "0"}


def _object(node: Node) -> _Object:
    texts = node.texts()
    name = class_name(texts.get("name")) or ""
    box = node.child("bndbox") if "bndbox" in texts else None
    corners: list[float] | Refusal
    if box is None:
        other = next((tag for tag in ("polygon", "robndbox", "segmentation") if tag in texts), "")
        has = f"<{other}> and no <bndbox>" if other else "no <bndbox>"
        corners = Refusal("no-box", f"the object has {has}", "Export upright boxes, or draw this one again")
        written = ""
    else:
        by_name = box.texts()
        corners = finite_numbers([by_name.get(corner) for corner in CORNERS], CORNERS)
        written = " ".join(f"{tag}={text}" for tag, text in by_name.items()) if isinstance(corners, Refusal) else ""
    flags = frozenset(flag for flag in _FLAGS if texts.get(flag, "") not in _NOT_SET)
    return _Object(node.line, name, corners, flags, f"{name} {written}")


def _has_zero(corners: list[float] | Refusal) -> bool:
    # a fraction below 1 is as impossible for pixels that are counted from 1
    return not isinstance(corners, Refusal) and any(0 <= value < 1 for value in corners[:2])


def _pile(document: _Document, files: SourceFiles, pairs: Pairs, gathered: Gathering) -> Pile:
    photo = _photo(document, files, pairs)
    name = document.file_name or PurePosixPath(document.key).stem
    if photo is not None and document.file_name and _stem(document.file_name) != _stem(photo.key):
        what = f"<filename> is {shown(name)}, the photograph beside it is {shown(photo.key)}: that one was taken"
        gathered.findings.append(
            Finding("warning", "name-differs", document.key, what, "Write its name into the file", photo.key)
        )
    return gathered.pile(name, file=document.key, photo=photo, declared=document.size)


def _photo(document: _Document, files: SourceFiles, pairs: Pairs) -> PhotoFile | None:
    """By <filename> in the folder that mirrors the label's, by <filename> anywhere, by the XML file's own name."""
    name = document.file_name
    if name:
        mirrored = PurePosixPath(pairs.path_of(document.key)).parent / name
        found = files.resolve(str(mirrored)) if len(mirrored.parts) > 1 else None
        if found is not None and found.name != str(mirrored):
            found = None  # only the bare name fits: other rules come first
        found = found or files.resolve(name, beside=document.key)
        if found is None and document.folder:
            found = files.resolve(f"{document.folder}/{name}")
        if found is not None:
            return found
    photos = pairs.of(document.key)
    return photos[0] if len(photos) == 1 else None


def _take(item: _Object, key: str, pile: Pile, gathered: Gathering, *, declared: tuple[str, ...] | None) -> None:
    corners = item.corners
    if not isinstance(corners, Refusal):
        if not item.name:
            corners = Refusal("unknown-class", "the object has no <name>", "Give it a class")
        elif declared is not None and item.name not in declared:
            corners = unknown_class(item.name, declared, declared_in="classes.txt")
    if isinstance(corners, Refusal):
        gathered.refuse(corners, where=f"{key}:{item.line}", entry=item.entry, photo=pile.photo)
        return
    x1, y1, x2, y2 = corners
    pile.labels.add(gathered.class_of(item.name), (x1, y1, x2, y2), number=item.line)


def _losses(counts: _Counts) -> tuple[str, ...]:
    flags = counts.flags
    said = sentences(
        (flags["difficult"], "object is marked difficult", "objects are marked difficult"),
        (flags["truncated"], "object is marked truncated", "objects are marked truncated"),
        (flags["occluded"], "object is marked occluded", "objects are marked occluded"),
        (counts.parts, "part of an object was not read", "parts of objects were not read"),
        (counts.masks, "file speaks of masks, which were not read", "files speak of masks, which were not read"),
    )
    if counts.marked == counts.files:
        return said
    if counts.zero_at:
        return (*said, f"coordinates are taken as 0-based corners, since {counts.zero_at} begins at 0")
    return (*said, "coordinates are taken as VOC's own: 1-based, last pixel included (x1 = xmin - 1, x2 = xmax)")


def _stem(path: str) -> str:
    return PurePosixPath(path.replace("\\", "/")).stem


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``Annotations/*.xml``, ``ImageSets/Main/default.txt``, ``classes.txt``; photographs go to ``JPEGImages``.

    Coordinates are 1-based with the last pixel included, with decimals where a corner is not on a pixel's edge.

    Raises:
        InputError: a name in ``names`` that is no path below a folder.
    """
    losses = Losses()
    paths = written_names(labels, names, losses)
    stems = label_paths(paths)
    for key, path in paths.items():
        found = kept(labels.photos[key], losses)
        losses.oriented += int(oriented(found).sum())
        write_small(folder / f"Annotations/{stems[key]}.xml", _xml(found, path, labels.classes))
    write_text(folder / "ImageSets/Main/default.txt", "".join(f"{stems[key]}\n" for key in paths))
    write_classes(labels, folder)
    return Written({key: f"JPEGImages/{path}" for key, path in paths.items()}, losses.sentences())


def _xml(labels: PhotoLabels, path: str, classes: tuple[str, ...]) -> str:
    place = PurePosixPath("JPEGImages", path)
    width, height = labels.size_wh_px
    lines = [
        "<annotation>",
        f"\t<folder>{xml_text(str(place.parent))}</folder>",
        f"\t<filename>{xml_text(place.name)}</filename>",
        f"\t<source><database>Unknown</database><annotation>{MARK}</annotation></source>",
        f"\t<size><width>{width}</width><height>{height}</height><depth>3</depth></size>",
        "\t<segmented>0</segmented>",
    ]
    escaped = [xml_text(name) for name in classes]
    for class_id, (x1, y1, x2, y2) in zip(labels.class_ids.tolist(), labels.xyxy_px.tolist(), strict=True):
        corners = zip(CORNERS, (x1 + 1, y1 + 1, x2, y2), strict=True)
        lines += [
            "\t<object>",
            f"\t\t<name>{escaped[class_id]}</name>",
            "\t\t<pose>Unspecified</pose><truncated>0</truncated><difficult>0</difficult>",
            "\t\t<bndbox>" + "".join(f"<{tag}>{number(value)}</{tag}>" for tag, value in corners) + "</bndbox>",
            "\t</object>",
        ]
    return "\n".join([*lines, "</annotation>\n"])
