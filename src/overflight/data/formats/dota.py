"""DOTA: one text file per photograph with ``x1 y1 x2 y2 x3 y3 x4 y4 class difficult`` a line, in pixels.

Corners are kept in their order: they go clockwise, and the first one tells where the front of an object is
(captain-whu.github.io/DOTA/dataset.html). Lines ``imagesource:`` and ``gsd:`` at the top are no boxes. Tools split
lines at blanks, so class names are written with hyphens; ``classes.txt`` holds them as they are. It knows no photograph
beyond its name and size.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from overflight.data.files import SourceFiles
from overflight.data.formats.class_ids import class_name
from overflight.data.formats.entries import Refusal, classes_file, finite_numbers, sentences, unknown_class
from overflight.data.formats.gather import Gathering, Pile, all_classes, nothing_readable, texts_of_photos
from overflight.data.formats.json_files import collector_paused, shown
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners
from overflight.data.formats.pairing import Pairs, evidence, label_paths, sniffed_texts
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, kept, number, write_classes, write_small, written_names

NAME = "dota"
CORNERS = ("x1", "y1", "x2", "y2", "x3", "y3", "x4", "y4")
_HEADERS = ("imagesource:", "gsd:")


@dataclass
class _Counts:
    difficult: int = 0
    gsd: int = 0
    files: int = 0


def sniff(files: SourceFiles) -> Sniffed | None:
    """Text files whose lines hold eight numbers and a word."""
    keys = sniffed_texts(files, is_label_folder, _fits)
    if not keys:
        return None
    return Sniffed(NAME, keys, evidence(keys, "eight numbers and a class a line"))


def is_label_folder(name: str) -> bool:
    """Whether a folder of this name holds labels."""
    return name.lower().startswith("labeltxt")


def _fits(lines: list[str]) -> bool:
    boxes = [line.split(None, 8) for line in lines if not _is_header(line)]
    if not boxes:
        return bool(lines)
    good = sum(1 for fields in boxes if len(fields) == 9 and not isinstance(_box(fields), Refusal))
    return 2 * good >= len(boxes) and good > 0


def _is_header(line: str) -> bool:
    return line.lstrip().lower().startswith(_HEADERS)


@collector_paused()
def read(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """Labels of DOTA files.

    Args:
        files: The source.
        sizes: Upright width and height in pixels of the photographs that can be read, by key.
        labels: Keys of the text files.

    Raises:
        InputError: no label file, or none of them can be read.
    """
    declared = classes_file(files)
    known = None if declared is None else _spellings(declared)
    gathered = Gathering(files, sizes)
    counts = _Counts()
    for key, pile, lines in texts_of_photos(files, labels, Pairs(files, is_label_folder), gathered):
        counts.files += 1
        for number_, line in enumerate(lines, start=1):
            if _is_header(line):
                counts.gsd += line.lstrip()[:4].lower() == "gsd:" and line.split(":", 1)[1].strip() not in {"", "null"}
            elif line.strip():
                counts.difficult += _take(line, f"{key}:{number_}", pile, gathered, known=known)
    if not counts.files:
        raise nothing_readable(files, labels, gathered, "Put the text files into a folder labelTxt")
    gsd = "a ground sample distance (gsd), which is not kept"
    losses = sentences(
        (counts.difficult, "object is marked difficult", "objects are marked difficult"),
        (counts.gsd, f"file gives {gsd}", f"files give {gsd}"),
    )
    return gathered.finish(NAME, all_classes(gathered, declared), losses)


def _take(line: str, where: str, pile: Pile, gathered: Gathering, *, known: Mapping[str, str] | None) -> bool:
    """Take one line, ``where`` it is; whether its object is difficult."""
    found = _box(line.split(None, 8))
    if not isinstance(found, Refusal) and known is not None and found[1] not in known:
        found = unknown_class(found[1], tuple(dict.fromkeys(known.values())), declared_in="classes.txt")
    if isinstance(found, Refusal):
        gathered.refuse(found, where=where, entry=line, photo=pile.photo)
        return False
    values, name, difficult = found
    xs, ys = values[::2], values[1::2]
    x1, y1, x2, y2 = min(xs), min(ys), max(xs), max(ys)
    upright = values == [x1, y1, x2, y1, x2, y2, x1, y2]
    pile.labels.add(
        gathered.class_of(name if known is None else known[name]),
        (x1, y1, x2, y2),
        number=int(where.rpartition(":")[2]),
        corners_px=None if upright else list(zip(xs, ys, strict=True)),
    )
    return difficult


def _box(fields: list[str]) -> tuple[list[float], str, bool] | Refusal:
    """Eight coordinates, class and whether it is difficult, from a line split at its first eight blanks."""
    if len(fields) != 9:
        what = f"{len(fields)} columns where 9 or 10 are needed"
        return Refusal("columns", what, "Write `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`")
    values = finite_numbers(fields[:8], CORNERS)
    if isinstance(values, Refusal):
        return values
    first, *words = fields[8].split()
    if len(words) != 1 and not isinstance(finite_numbers([first], ["class"]), Refusal):
        what = f"has the number {shown(first)} where a class is needed"
        return Refusal("columns", what, "Write `x1 y1 x2 y2 x3 y3 x4 y4 class difficult`; YOLO puts the class first")
    name, difficult = fields[8].strip(), False
    if words and words[-1].isascii() and words[-1].isdigit():
        name, difficult = name[: -len(words[-1])], words[-1].strip("0") != ""
    return values, class_name(name) or "", difficult


def _spellings(classes: Sequence[str]) -> dict[str, str]:
    """Declared name by how a line may write it: as it is, or with hyphens for blanks."""
    return {_hyphens(name): name for name in reversed(classes)} | {name: name for name in classes}


def _hyphens(name: str) -> str:
    return "-".join(name.split())


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``labelTxt/*.txt`` and ``classes.txt``; photographs go to ``images``.

    Raises:
        InputError: a name in ``names`` that is no path below a folder.
    """
    losses = Losses()
    paths = written_names(labels, names, losses)
    stems = label_paths(paths)
    known = _spellings(labels.classes)
    words = [short if known[short := _hyphens(name)] == name else name for name in labels.classes]
    swapped = 0
    for key in paths:
        found = kept(labels.photos[key], losses)
        swapped += _swapped(found)
        write_small(folder / f"labelTxt/{stems[key]}.txt", _text(found, words))
    write_classes(labels, folder)
    losses.more += sentences((swapped, "box had its corners swapped", "boxes had their corners swapped"))
    return Written({key: f"images/{path}" for key, path in paths.items()}, losses.sentences())


def _swapped(labels: PhotoLabels) -> int:
    """Boxes whose second corner is not right of and below the first: as four corners they become ordinary ones."""
    return int(np.any(labels.xyxy_px[:, 2:] < labels.xyxy_px[:, :2], axis=1).sum())


def _text(labels: PhotoLabels, words: list[str]) -> str:
    corners = upright_corners(labels.xyxy_px) if labels.corners_px is None else labels.corners_px
    rows = zip(labels.class_ids.tolist(), corners.reshape(-1, 8).tolist(), strict=True)
    return "".join(f"{' '.join(number(value) for value in row)} {words[class_id]} 0\n" for class_id, row in rows)
