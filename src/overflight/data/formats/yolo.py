"""YOLO labels: one text file per photograph, one line per box, fractions 0..1 of the upright photograph.

Reads and writes ``class cx cy w h`` (format ``yolo``) and ``class`` with four corners (``yolo-obb``); sets of polygons
are read as their boxes. :func:`read_labels` is the strict face of the same parser for labels that the project wrote
itself: there every box is judged as well. Nothing is guessed, and every line ends as a box or with a reason. It knows
nothing of photographs beyond names and sizes. Formats: docs.ultralytics.com/datasets (detect, obb, segment).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import PurePosixPath

import numpy as np
from numpy.typing import NDArray

from overflight.data.files import SourceFiles, composed
from overflight.data.findings import Finding, Severity
from overflight.data.formats import yolo_layout as layout
from overflight.data.formats import yolo_text as text
from overflight.data.formats.entries import counted
from overflight.data.formats.json_files import collector_paused
from overflight.data.formats.labels import LabelSet, PhotoLabels, RefusedBox, xyxy_of_corners
from overflight.data.formats.sniffed import Sniffed
from overflight.data.formats.yolo_names import find_class_names, is_class_file, read_class_names
from overflight.data.formats.yolo_write import format_labels, fractions_from_xyxy_px, write, write_obb
from overflight.errors import InputError
from overflight.imaging.boxes import Boxes, xyxy_from_cxcywh

__all__ = [
    "LabelFile",
    "format_labels",
    "fractions_from_xyxy_px",
    "read",
    "read_class_names",
    "read_labels",
    "read_unnamed",
    "sniff",
    "write",
    "write_obb",
    "xyxy_px_from_rows",
]

TOLERANCE = 1e-6
OVERHANG_TOLERATED = 0.005
MAX_FILE_BYTES = 64_000_000
SAMPLED = 50
MOST_UNNAMED = 1000
_TEXT_CURE = "Save it as plain text (UTF-8): one line `class cx cy w h` per box"
_NAMES: dict[str, str] = {"detect": "yolo", "obb": "yolo-obb", "segment": "yolo"}


def sniff(files: SourceFiles) -> Sniffed | None:
    """Whether the folder holds YOLO labels; looks at names and at the first lines of a few files."""
    keys = layout.label_files(files)
    if not keys:
        return None
    pairs = layout.pair(files, keys)
    claimed = {*pairs.labels.values(), *pairs.unusable}
    ordered = sorted(keys, key=lambda key: key not in claimed)
    seen = list(layout.samples(files, ordered))
    kinds = Counter(kind for _, kind in seen if kind in text.FORMS)
    if seen and not kinds:
        return None
    if not seen:
        if not any(is_class_file(key) or key.endswith("data.yaml") for key in files.others):
            return None
        return Sniffed("yolo", keys, f"{len(keys)} empty text files named like photos, first: {ordered[0]}")
    kind = kinds.most_common(1)[0][0]
    first = next(key for key, found in seen if found == kind)
    evidence = (
        f"{counted(len(keys), 'text file', 'text files')} with lines `{text.FORMS[kind]}` in numbers, first: {first}"
    )
    if not claimed:
        evidence += " (none has the name of a photo)"
    return Sniffed(_NAMES[kind], keys, evidence)


def read(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """Read a source; see ``overflight.data.formats`` for what all readers promise.

    Whether its lines are boxes, oriented boxes or polygons is decided for the set as a whole by the columns of all of
    them; lines of another kind are refused one by one, but polygons among boxes become the boxes around them.

    Args:
        files: The source.
        sizes: Width and height in pixels of the upright photographs, by key.
        labels: Keys of the label files.

    Raises:
        InputError: no label file, or no names of classes.
    """
    _require(labels, files)
    classes, _, findings = find_class_names(files)
    return _read(files, sizes, labels=labels, classes=classes, class_findings=findings)


def read_unnamed(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """The same, where classes without names are called ``0``, ``1`` ... and that is an error finding: for checks.

    Raises:
        InputError: no label file.
    """
    _require(labels, files)
    try:
        return read(files, sizes, labels=labels)
    except InputError as error:
        what = f"{error.what}; the classes are called by their numbers here"
        found = Finding("error", "class-names", error.where or str(files.root), what, error.cure)
    numbers = tuple(map(str, range(MOST_UNNAMED)))
    read_all = _read(files, sizes, labels=labels, classes=numbers, class_findings=())
    used = max((int(one.class_ids.max()) for one in read_all.photos.values() if len(one)), default=-1)
    return replace(read_all, classes=numbers[: used + 1], findings=(found, *read_all.findings))


def _require(labels: tuple[str, ...], files: SourceFiles) -> None:
    if not labels:
        cure = "Put one text file per photograph into labels/, beside images/"
        raise InputError("no label files found", where=str(files.root), cure=cure)


def _read(
    files: SourceFiles,
    sizes: Mapping[str, tuple[int, int]],
    *,
    labels: tuple[str, ...],
    classes: tuple[str, ...],
    class_findings: tuple[Finding, ...],
) -> LabelSet:
    pairs = layout.pair(files, labels)
    sampled = layout.samples(files, islice(pairs.labels.values(), 1000), at_most=SAMPLED)
    kind = text.kind_of(Counter({"detect": 5, "obb": 9, "segment": 7}.get(found, 0) for _, found in sampled))
    draft = _read_pairs(files, sizes, pairs=pairs, kind=kind, classes=len(classes))
    decided = text.kind_of(draft.columns)
    if decided != kind:
        kind = decided
        draft = _read_pairs(files, sizes, pairs=pairs, kind=kind, classes=len(classes))
    findings = [*class_findings, *draft.findings, *_missing(pairs)]
    refused = draft.refused
    for key, photo in pairs.unusable.items():  # the search for files has said why: counted once
        data, _ = layout.read_labels_file(files, key, max_bytes=MAX_FILE_BYTES)
        _refuse_all(draft, data, key=key, photo=photo)
    for key, photo in pairs.second.items():
        two = _two_files(files, key, photo=photo, first=pairs.labels[photo])
        findings.append(two.finding)
        refused.append(two)
    for key in pairs.unpaired:
        orphan = _orphan(files, key, taken=pairs.labels)
        findings.append(orphan.finding)
        refused.append(orphan)
    losses: tuple[str, ...] = ()
    if draft.polygons:
        losses = (f"{counted(draft.polygons, 'polygon', 'polygons')} became the upright boxes around them",)
    return LabelSet(
        format=_NAMES[kind],
        classes=classes,
        photos=draft.photos,
        refused=tuple(refused),
        findings=tuple(findings),
        losses=losses,
    )


@dataclass
class _Draft:
    photos: dict[str, PhotoLabels] = field(default_factory=dict)
    refused: list[RefusedBox] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    columns: Counter[int] = field(default_factory=Counter)
    polygons: int = 0


def _read_pairs(
    files: SourceFiles,
    sizes: Mapping[str, tuple[int, int]],
    *,
    pairs: layout.Pairs,
    kind: text.Kind,
    classes: int,
) -> _Draft:
    draft = _Draft()
    with collector_paused():
        for photo, key in pairs.labels.items():
            data, error = layout.read_labels_file(files, key, max_bytes=MAX_FILE_BYTES)
            if error is not None:
                draft.findings.append(Finding("error", "damaged", key, error.what, error.cure, photo))
                continue
            size = sizes.get(photo)
            if size is None:
                _refuse_all(draft, data, key=key, photo=photo)
                continue
            try:
                lines = text.parse(data, kind=kind, classes=classes, polygons=True)
            except UnicodeDecodeError:
                finding = Finding("error", "damaged", key, "is not UTF-8 text", _TEXT_CURE, photo)
                draft.findings.append(finding)
                draft.refused.append(RefusedBox(finding, max(1, text.count_lines(data))))
                continue
            draft.columns.update(lines.columns)
            draft.polygons += lines.polygons
            draft.photos[photo] = _labels_of(lines, kind=kind, size=size, key=key)
            for line in lines.refused:
                finding = Finding("error", line.code, f"{key}:{line.number}", line.what, line.cure, photo)
                draft.refused.append(RefusedBox(finding, raw=line.raw))
    return draft


def _labels_of(lines: text.Lines, *, kind: text.Kind, size: tuple[int, int], key: str) -> PhotoLabels:
    if kind == "obb":
        corners = text.corners_px(lines.values, size_wh_px=size)
        boxes = xyxy_of_corners(corners) if len(corners) else np.zeros((0, 4))
        return PhotoLabels(size, lines.class_ids, boxes, lines.numbers, key, corners_px=corners)
    boxes = text.xyxy_px(lines.values, kind=kind, size_wh_px=size)
    return PhotoLabels(size, lines.class_ids, boxes, lines.numbers, key)


def _refuse_all(draft: _Draft, data: bytes, *, key: str, photo: str) -> None:
    """Lines of a photograph without a size: fractions of nothing."""
    count = text.count_lines(data)
    if count:
        what = f"{counted(count, 'line', 'lines')} without a size: the photo cannot be read"
        cure = "Bring the photograph as a JPEG, PNG or TIFF file that can be opened"
        finding = Finding("error", "unreadable-photo", key, what, cure, photo)
        draft.refused.append(RefusedBox(finding, count))


def _missing(pairs: layout.Pairs) -> list[Finding]:
    found = []
    for photo, key in pairs.missing.items():
        cure = f"Add {key}; an empty file means that there is nothing to see"
        found.append(Finding("error", "missing-labels", photo, "has no label file", cure, photo))
    for photo, other in pairs.shared.items():
        alike = composed(photo) == composed(other)  # two names that look the same would explain nothing
        whom = "a photograph whose name differs only in how its accents are encoded" if alike else other
        what = f"shares its label file with {whom} ({pairs.labels[other]})"
        found.append(Finding("error", "shared-labels", photo, what, "Rename one of the two", photo))
    return found


def _two_files(files: SourceFiles, key: str, *, photo: str, first: str) -> RefusedBox:
    """A second label file of one photograph: which of the two is right cannot be told, so its lines are refused."""
    data, error = layout.read_labels_file(files, key, max_bytes=MAX_FILE_BYTES)
    count = 0 if error is not None else text.count_lines(data)
    what = f"{photo} has two label files: {first} and {key} ({counted(count, 'line', 'lines')})"
    return RefusedBox(Finding("error", "two-label-files", key, what, "Keep one of the two", photo), count)


def _orphan(files: SourceFiles, key: str, *, taken: Mapping[str, str]) -> RefusedBox:
    data, error = layout.read_labels_file(files, key, max_bytes=MAX_FILE_BYTES)
    if error is not None:
        return RefusedBox(Finding("error", "damaged", key, error.what, error.cure), 0)
    count = text.count_lines(data)
    holds = f"it holds {counted(count, 'line', 'lines')}" if count else "it is empty"
    alike = files.similar(PurePosixPath(key).name)
    if alike is not None and alike.key not in taken:
        what = f"no photo belongs to this label file ({holds}), but {alike.key} has nearly its name"
        cure = f"Rename it to {layout.places(alike.key)[0]}.txt if it is meant for that photo"
        return RefusedBox(Finding("error", "name-differs", key, what, cure), count)
    what = f"no photo belongs to this label file ({holds})"
    return RefusedBox(Finding("warning", "orphan-labels", key, what, "Add the photo or remove the labels"), count)


# --- the strict face, for labels in stored surveys and data sets


@dataclass(frozen=True)
class LabelFile:
    """Content of one label file.

    Attributes:
        rows: (N, 5) float64: class, cx, cy, w, h (fractions 0..1); faulty lines and duplicates are not in it.
        findings: What is wrong, by line.
        blank_lines: Number of empty lines.
        has_bom: Starts with a byte order mark.
        has_crlf: Uses Windows line ends.
    """

    rows: NDArray[np.float64]
    findings: tuple[Finding, ...]
    blank_lines: int = 0
    has_bom: bool = False
    has_crlf: bool = False


def read_labels(data: bytes, *, classes: int, where: str, photo: str = "") -> LabelFile:
    """Read one label file strictly; an empty one means: nothing to see in the photograph.

    Args:
        data: The file's bytes.
        classes: Number of classes; indices 0..classes-1 are known.
        where: Name for findings.
        photo: Photo the findings belong to.
    """
    try:
        lines = text.parse(data, kind="detect", classes=classes)
    except UnicodeDecodeError:
        finding = Finding("error", "not-text", where, "is not UTF-8 text", _TEXT_CURE, photo)
        return LabelFile(np.zeros((0, 5)), (finding,), has_bom=data.startswith(b"\xef\xbb\xbf"))
    rows = np.column_stack([lines.class_ids, lines.values])
    problems = {line.number: _Problem("error", line.code, line.what, line.cure) for line in lines.refused}
    if not _all_fine(rows):
        rows, more = _judge(rows, lines.numbers)
        problems |= more
    findings = tuple(
        Finding(problem.severity, problem.code, f"{where}:{number}", problem.what, problem.cure, photo)
        for number, problem in sorted(problems.items())
    )
    return LabelFile(rows, findings, lines.blank, lines.has_bom, lines.has_crlf)


def xyxy_px_from_rows(rows: NDArray[np.float64], *, width_px: int, height_px: int) -> Boxes:
    """Corners (N, 4) in pixels from label rows (N, 5), cut at the photograph's border."""
    scale = np.array([width_px, height_px, width_px, height_px], dtype=np.float64)
    return np.clip(xyxy_from_cxcywh(rows[:, 1:5]), 0, 1) * scale


@dataclass(frozen=True)
class _Problem:
    severity: Severity
    code: str
    what: str
    cure: str


def _all_fine(rows: NDArray[np.float64]) -> bool:
    if not len(rows):
        return True
    boxes = rows[:, 1:5]
    corners = xyxy_from_cxcywh(boxes)
    fine = boxes.max() <= 1 + TOLERANCE and boxes[:, 2:].min() > 0 and boxes[:, :2].min() >= -TOLERANCE
    fine = fine and corners.min() >= -TOLERANCE and corners.max() <= 1 + TOLERANCE
    return bool(fine) and len(set(map(tuple, rows.tolist()))) == len(rows)


def _judge(rows: NDArray[np.float64], numbers: NDArray[np.int64]) -> tuple[NDArray[np.float64], dict[int, _Problem]]:
    """Rows that can be used, once each, and the problems by line."""
    kept: dict[tuple[float, ...], int] = {}
    problems: dict[int, _Problem] = {}
    for number, row in zip(numbers.tolist(), map(tuple, rows.tolist()), strict=True):
        problem = _check_box(row[1:])
        if problem is None and row in kept:
            problem = _Problem("warning", "duplicate", f"repeats line {kept[row]}", "It is used once; remove it")
        elif problem is None or problem.severity == "warning":
            kept[row] = number
        if problem is not None:
            problems[number] = problem
    return np.array(list(kept), dtype=np.float64).reshape(-1, 5), problems


def _check_box(cxcywh: Sequence[float]) -> _Problem | None:
    cx, cy, width, height = cxcywh
    if max(cxcywh) > 1 + TOLERANCE or min(cx, cy) < -TOLERANCE:
        hint = "These look like pixels: divide by the photo's width and height" if max(cxcywh) > 2 else "Draw it again"
        return _Problem("error", "out-of-range", f"a value is outside 0..1 ({_shown(cxcywh)})", hint)
    if width <= 0 or height <= 0:
        return _Problem(
            "error", "no-size", f"the box has no size ({width:g} x {height:g})", "Remove it or draw it again"
        )
    overhang = max(width / 2 - cx, height / 2 - cy, cx + width / 2 - 1, cy + height / 2 - 1)
    if overhang > OVERHANG_TOLERATED:
        what = f"the box leaves the photo by {overhang:.1%} of its side ({_shown(cxcywh)})"
        return _Problem(
            "error", "outside", what, "Draw it inside the photo; check that width and height are not swapped"
        )
    if overhang > TOLERANCE:
        what = f"the box leaves the photo by {overhang:.2%} of its side"
        return _Problem("warning", "overhang", what, "It is cut at the border")
    return None


def _shown(cxcywh: Sequence[float]) -> str:
    return " ".join(f"{value:g}" for value in cxcywh)
