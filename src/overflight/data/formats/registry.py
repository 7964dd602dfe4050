"""The label formats by name: which one a folder has, reading it, writing it.

Recognition asks every format, and says what was seen. Where two formats, or two label files about the same
photographs, are found, the user decides. It knows nothing of what label files look like inside.
"""

from __future__ import annotations

import mmap
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from typing import Protocol

from overflight.data.files import SourceFiles
from overflight.data.findings import Finding
from overflight.data.formats import boxes_csv, coco, cvat, dota, groundtruth, labelme, visdrone, voc, yolo
from overflight.data.formats.labels import UNLABELLED, LabelSet
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.errors import InputError, UsageError

Sizes = Mapping[str, tuple[int, int]]
Sniff = Callable[[SourceFiles], Sniffed | None]
LISTED = 5
_NO_LABELS_CURE = "Put the label files beside the photographs, or name format and file with --format and --labels"


class Read(Protocol):
    """Reads label files of a source."""

    def __call__(self, files: SourceFiles, sizes: Sizes, *, labels: tuple[str, ...]) -> LabelSet:
        """See :func:`read_with`."""


class Write(Protocol):
    """Writes label files."""

    def __call__(self, labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
        """See :func:`write_with`."""


@dataclass(frozen=True)
class Format:
    """One label format.

    Attributes:
        name: As given with ``--format``.
        title: What it is, a few words.
        sniff: Says whether a folder has it.
        read: Reads it.
        write: Writes it.
        names_in: Finds the names of photographs in a label file that speaks of many (one group); None for formats
            with a label file for each photograph.
        read_unnamed: Reads it where names of classes are missing, with an error finding; None where it names them.
    """

    name: str
    title: str
    sniff: Sniff
    read: Read
    write: Write
    names_in: re.Pattern[bytes] | None = None
    read_unnamed: Read | None = None


_FORMATS = (
    Format(
        "yolo",
        "YOLO text files, one per photo: class cx cy w h",
        yolo.sniff,
        yolo.read,
        yolo.write,
        read_unnamed=yolo.read_unnamed,
    ),
    Format(
        "yolo-obb",
        "YOLO text files: class and four corners",
        yolo.sniff,
        yolo.read,
        yolo.write_obb,
        read_unnamed=yolo.read_unnamed,
    ),
    Format(
        "coco",
        "COCO JSON: images, annotations, categories",
        coco.sniff,
        coco.read,
        coco.write,
        re.compile(rb'"file_name"\s{0,99}:\s{0,99}"([^"]{1,999})"'),
    ),
    Format("voc", "Pascal VOC XML, one per photo", voc.sniff, voc.read, voc.write),
    Format(
        "visdrone",
        "VisDrone text files: left,top,width,height,score,category,truncation,occlusion",
        visdrone.sniff,
        visdrone.read,
        visdrone.write,
    ),
    Format("dota", "DOTA text files: four corners, class name, difficult", dota.sniff, dota.read, dota.write),
    Format(
        "groundtruth",
        "SageMaker Ground Truth output manifest (JSON lines)",
        groundtruth.sniff,
        groundtruth.read,
        groundtruth.write,
        re.compile(rb'"source-ref"\s{0,99}:\s{0,99}"([^"]{1,999})"'),
    ),
    Format(
        "cvat",
        "CVAT for images XML",
        cvat.sniff,
        cvat.read,
        cvat.write,
        re.compile(rb'<image\s[^>]{0,999}?\bname="([^"]{1,999})"'),
    ),
    Format("labelme", "LabelMe JSON, one per photo", labelme.sniff, labelme.read, labelme.write),
    Format(
        "csv",
        "CSV with image_path,xmin,ymin,xmax,ymax,label (DeepForest)",
        boxes_csv.sniff,
        boxes_csv.read,
        boxes_csv.write,
        re.compile(rb'(?:^|[,"])([^,"\r\n]{1,999}\.(?:jp[eg]+|mpo|png|tiff?))', re.IGNORECASE | re.MULTILINE),
    ),
)
FORMATS: Mapping[str, Format] = {one.name: one for one in _FORMATS}


def sniff_all(files: SourceFiles) -> tuple[Sniffed, ...]:
    """What each format says of the folder, in the order of ``FORMATS``; those that see nothing are left out."""
    sniffers = dict.fromkeys(one.sniff for one in FORMATS.values())
    return tuple(found for sniff in sniffers if (found := sniff(files)) is not None)


def read_with(
    files: SourceFiles,
    sizes: Sizes,
    *,
    format: str | None = None,  # noqa: A002 - named like the option
    labels: str | None = None,
    incomplete: bool = False,
) -> tuple[LabelSet, Sniffed]:
    """Read the labels of a source.

    Args:
        files: The source.
        sizes: Upright width and height of the photographs by key.
        format: Name of the format; None: the one that is recognised.
        labels: Label file or folder, relative to the source or a path inside it; None: all that are recognised.
        incomplete: Go on without labels (format ``none``) or names of classes, with an error finding: for checks.

    Returns:
        The labels, and what was recognised.

    Raises:
        UsageError: an unknown format, a label file that is not there, or several that are possible.
        InputError: no labels, or none that can be read.
    """
    if format is not None and format not in FORMATS:
        raise UsageError(f"there is no format {format!r}", where="--format", cure=f"Use one of: {', '.join(FORMATS)}")
    looked_at, given = (files, ()) if labels is None else _only(files, labels)
    if incomplete and files.photos and format is None and labels is None and not sniff_all(files):
        return _unlabelled(files)
    found = _found(looked_at, format, given)
    if labels is None:
        _require_disjoint(files, found)
    chosen = FORMATS[found.format]
    read = chosen.read_unnamed if incomplete and chosen.read_unnamed else chosen.read
    return read(files, sizes, labels=found.labels), found


def write_with(format: str, labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:  # noqa: A002
    """Write label files; the caller places the photographs where the answer says.

    Args:
        format: Name of the format.
        labels: What to write.
        folder: A new or empty folder.
        names: Path that each photograph shall have below the folder of the images, by key.

    Raises:
        UsageError: an unknown format.
    """
    if format not in FORMATS:
        raise UsageError(f"there is no format {format!r}", where="--format", cure=f"Use one of: {', '.join(FORMATS)}")
    return FORMATS[format].write(labels, folder, names=names)


def _unlabelled(files: SourceFiles) -> tuple[LabelSet, Sniffed]:
    """Photographs without any labels: one finding for all of them."""
    found = Sniffed(UNLABELLED, (), f"no labels found; {_seen(files)}")
    what = f"no labels found for {len(files.photos):,} photos (looked for {', '.join(FORMATS)})"
    finding = Finding("error", "no-labels", files.root.name or str(files.root), what, _NO_LABELS_CURE)
    return LabelSet(UNLABELLED, (), {}, findings=(finding,)), found


def _found(files: SourceFiles, format: str | None, given: tuple[str, ...]) -> Sniffed:  # noqa: A002
    """The one format that is meant."""
    if format is not None:
        seen = FORMATS[format].sniff(files)
        if seen is not None:
            return seen
        if given:
            return Sniffed(format, given, f"read as {format} because you said so")
        what = f"no labels in the format {format} found ({FORMATS[format].title}); {_seen(files)}"
        raise InputError(what, where=str(files.root), cure="Leave --format out, or name the file with --labels")
    found = sniff_all(files)
    if len(found) == 1:
        return found[0]
    if not found:
        looked_for = ", ".join(FORMATS)
        what = f"no labels found (looked for {looked_for}); {_seen(files)}"
        raise InputError(what, where=str(files.root), cure=_NO_LABELS_CURE)
    listing = "; ".join(f"{one.format}: {one.evidence}" for one in found)
    cure = f"Choose with --format {found[0].format}, or name the label file with --labels"
    raise UsageError(f"labels in {len(found)} formats found ({listing})", where=str(files.root), cure=cure)


def _require_disjoint(files: SourceFiles, found: Sniffed) -> None:
    """Several files for one format are one set only if no photograph is in two of them.

    Raises:
        UsageError: two files speak of the same photographs.
    """
    pattern = FORMATS[found.format].names_in
    if pattern is None or len(found.labels) < 2:
        return
    named: dict[bytes, str] = {}
    for key in found.labels:
        own = _names(files.path(key), pattern)
        shared = [name for name in own if name in named]
        if shared:
            what = (
                f"{len(found.labels)} {found.format} files found, and two of them speak of the same photos: "
                f"{named[shared[0]]} and {key} share {len(shared)}, such as {shared[0].decode(errors='replace')[:80]!r}"
            )
            cure = f"Choose with --labels, one of: {_listed(found.labels)}"
            raise UsageError(what, where=str(files.root), cure=cure)
        named.update(dict.fromkeys(own, key))


def _names(path: Path, pattern: re.Pattern[bytes]) -> set[bytes]:
    try:
        with path.open("rb") as handle, mmap.mmap(handle.fileno(), 0, access=mmap.ACCESS_READ) as content:
            return {match.group(1) for match in pattern.finditer(content)}
    except (OSError, ValueError):  # cannot be opened, or is empty: the reader says so
        return set()


def _only(files: SourceFiles, labels: str) -> tuple[SourceFiles, tuple[str, ...]]:
    """The source with no other label files than the given one, or those in the given folder."""
    key = _key(files, labels)
    others = set(files.others)
    chosen = (key,) if key in others else tuple(one for one in files.others if one.startswith(f"{key}/"))
    if not chosen:
        what = f"there is no such label file in {files.root}"
        cure = "Give a file inside the folder of the source, relative to it"
        raise UsageError(what, where=f"--labels {labels[:200]}", cure=cure)
    return replace(files, others=chosen), chosen


def _key(files: SourceFiles, labels: str) -> str:
    plain = PurePosixPath(labels.replace("\\", "/")).as_posix().rstrip("/")
    if plain in files.others or any(key.startswith(f"{plain}/") for key in files.others):
        return plain
    try:
        return Path(labels).resolve().relative_to(files.root).as_posix()
    except (ValueError, OSError, RuntimeError):
        return plain


def _seen(files: SourceFiles) -> str:
    suffixes = Counter(PurePosixPath(key).suffix.lower() or "no suffix" for key in files.others)
    counts = ", ".join(f"{count} {suffix}" for suffix, count in suffixes.most_common(LISTED))
    if not counts:
        return f"seen: {len(files.photos)} photos and nothing else"
    return f"seen: {len(files.photos)} photos and {counts} (such as {_listed(files.others)})"


def _listed(keys: tuple[str, ...]) -> str:
    more = f" and {len(keys) - LISTED} more" if len(keys) > LISTED else ""
    return ", ".join(key[:120] for key in keys[:LISTED]) + more
