"""Tables of boxes: one row a box, ``image_path,xmin,ymin,xmax,ymax,label`` as DeepForest writes them.

Pixels, half-open corners from 0 (DeepForest reads them so with rasterio). The first line names the columns; usual other
names are known. A row without coordinates, or the only row of its photograph with ``0,0,0,0`` as DeepForest has it,
stands for a photograph without objects. Columns width and height beside the corners are the photograph's size.
Semicolons between the columns are understood where every line has as many of them; decimal commas are refused. Every
file is read twice: once to see that it is whole, once for the boxes. It knows no photograph beyond its name and size.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from overflight.data.files import PHOTO_SUFFIXES, SourceFiles
from overflight.data.formats.class_ids import class_name
from overflight.data.formats.entries import (
    Refusal,
    classes_file,
    declared_size,
    decoded,
    finite_numbers,
    sentences,
    unknown_class,
)
from overflight.data.formats.gather import Gathering, Pile, all_classes, nothing_readable
from overflight.data.formats.json_files import collector_paused, shown
from overflight.data.formats.labels import LabelSet
from overflight.data.formats.pairing import HEAD_BYTES, evidence
from overflight.data.formats.sniffed import Sniffed, Written
from overflight.data.formats.writing import Losses, kept, number, oriented, write_classes, written_names
from overflight.errors import InputError
from overflight.files import write_text

NAME = "csv"
MAX_FILE_BYTES = 1_000_000_000
CORNERS = ("xmin", "ymin", "xmax", "ymax")
HEADER = ("image_path", *CORNERS, "label")
_CANDIDATES = 100
_SPELLINGS = {
    "image_path": ("image_path", "image", "filename", "file_name", "file", "image_name", "img", "path", "photo"),
    "xmin": ("xmin", "x_min", "x1", "left", "bbox_xmin"),
    "ymin": ("ymin", "y_min", "y1", "top", "bbox_ymin"),
    "xmax": ("xmax", "x_max", "x2", "right", "bbox_xmax"),
    "ymax": ("ymax", "y_max", "y2", "bottom", "bbox_ymax"),
    "label": ("label", "class", "class_name", "label_name", "category", "name"),
    "width": ("width", "image_width", "img_width"),
    "height": ("height", "image_height", "img_height"),
}
_WRITE = f"Write a first line `{','.join(HEADER)}` and a row a box below it"


@dataclass(frozen=True)
class _Table:
    """Columns of a file: place of each of the known ones in a row."""

    columns: Mapping[str, int]
    width: int
    more: tuple[str, ...] = ()
    delimiter: str = ","


@dataclass
class _Counts:
    zeros: int = 0
    more: dict[str, None] = field(default_factory=dict)


@dataclass(frozen=True)
class _Box:
    """A row in waiting: whether ``0,0,0,0`` is a box depends on the other rows of its photograph."""

    number: int
    name: str
    corners: tuple[float, float, float, float]


def sniff(files: SourceFiles) -> Sniffed | None:
    """Tables whose first line names a photograph, four corners and a class, or that would if it had one."""
    found: list[str] = []
    separated = 0
    for at, key in enumerate(key for key in files.others if key.lower().endswith((".csv", ".tsv"))):
        if at >= _CANDIDATES and not found:
            break  # tables about other things
        head = _head(files, key)
        named = (isinstance(_table(head.replace(delimiter, ",")), _Table) for delimiter in ",;\t")
        if any(named) or _looks_headless(head):
            found.append(key)
            table = _table(head)
            separated += isinstance(table, _Table) and table.delimiter == ";"
    if not found:
        return None
    said = "a photograph, four corners and a class a row"
    if separated:
        said += f" ({separated} of them with semicolons between the columns)"
    return Sniffed(NAME, tuple(found), evidence(found, said))


def _head(files: SourceFiles, key: str) -> str:
    try:
        with files.path(key).open("rb") as handle:
            return handle.read(HEAD_BYTES).decode("utf-8-sig", errors="replace").split("\n", 1)[0]
    except OSError:
        return ""


def _rows(text: str, delimiter: str = ",") -> Iterator[tuple[int, list[str]]]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True, skipinitialspace=True)
    for row in reader:
        if any(cell.strip() for cell in row):
            yield reader.line_num, row


def _table(text: str) -> _Table | Refusal:
    """Columns from the first row of ``text``, or why they cannot be used."""
    found = _columns(text, ",")
    if isinstance(found, _Table | Refusal):
        return found
    cells, missing = found
    if len(cells) == 1 and cells[0].count(";") >= len(HEADER) - 1:
        separated = _columns(text, ";")
        if isinstance(separated, _Table):
            return separated
    if _looks_headless(text):
        return Refusal("columns", "has no first line that names the columns", _WRITE)
    for delimiter, called in ((";", "semicolons"), ("\t", "tabs")):
        if len(cells) == 1 and cells[0].count(delimiter) >= len(HEADER) - 1:
            cure = "Save it with commas; in Excel: file type `CSV UTF-8 (comma delimited)` and decimal points"
            return Refusal("columns", f"has {called} between its columns, not commas", cure)
    names = ", ".join(cell.strip().lower() for cell in cells)
    return Refusal("columns", f"has no column {', '.join(missing)}; its columns are {shown(names)}", _WRITE)


def _columns(text: str, delimiter: str) -> _Table | Refusal | tuple[list[str], list[str]]:
    """The columns; or cells of the first row and names that are missing in it."""
    try:
        _, cells = next(_rows(text, delimiter), (0, []))
    except csv.Error as error:
        return Refusal("damaged", f"is no CSV file ({error})", "Export the table again")
    names = [cell.strip().lower() for cell in cells]
    columns = {
        column: names.index(spelling)
        for column, spellings in _SPELLINGS.items()
        for spelling in reversed(spellings)
        if spelling in names
    }
    missing = [column for column in HEADER if column not in columns]
    if missing:
        return cells, missing
    used = set(columns.values())
    more = tuple(cell.strip() for index, cell in enumerate(cells) if index not in used)
    return _Table(columns, len(cells), more, delimiter)


def _looks_headless(text: str) -> bool:
    """A first row such as ``a.jpg,10,20,30,40,car``: tables for RetinaNet have no header."""
    cells = text.split("\n", 1)[0].strip().split(",")
    suffix = "." + cells[0].rpartition(".")[2].strip(' "').lower()
    if len(cells) != len(HEADER) or suffix not in PHOTO_SUFFIXES:
        return False
    corners = cells[1:5]
    return not any(corners) or not isinstance(finite_numbers(corners, CORNERS), Refusal)


@collector_paused()
def read(files: SourceFiles, sizes: Mapping[str, tuple[int, int]], *, labels: tuple[str, ...]) -> LabelSet:
    """Labels of tables.

    Args:
        files: The source.
        sizes: Upright width and height in pixels of the photographs that can be read, by key.
        labels: Keys of the tables.

    Raises:
        InputError: no table, or none of them can be read.
    """
    declared = classes_file(files)
    known = None if declared is None else dict.fromkeys(declared)
    gathered = Gathering(files, sizes)
    counts = _Counts()
    done = 0
    for key in labels:
        found = _whole(files, key)
        if isinstance(found, Refusal):
            gathered.damaged(found, where=key)
            continue
        _file(key, *found, gathered, counts, known=known)
        done += 1
    if not done:
        raise nothing_readable(files, labels, gathered, _WRITE)
    more = ", ".join(counts.more)
    losses = sentences(
        (
            counts.zeros,
            "row 0,0,0,0 stands for a photograph without objects",
            "rows 0,0,0,0 stand for photographs without objects",
        ),
        (len(counts.more), f"column was not read: {shown(more)}", f"columns were not read: {shown(more)}"),
    )
    return gathered.finish(NAME, all_classes(gathered, declared), losses)


def _whole(files: SourceFiles, key: str) -> tuple[str, _Table] | Refusal:
    """Text and columns of a file that can be read to its end."""
    try:
        text = decoded(files.read(key, max_bytes=MAX_FILE_BYTES))
    except InputError as error:
        return Refusal("damaged", error.what, error.cure)
    if isinstance(text, Refusal):
        return text
    table = _table(text)
    if isinstance(table, Refusal):
        return table
    line = 0
    try:
        for line, row in _rows(text, table.delimiter):
            if table.delimiter != "," and len(row) != table.width:
                what = f"has semicolons between its columns, and line {line} has {len(row)} of {table.width} columns"
                return Refusal("columns", what, "Save it with commas, or give each line the same columns")
    except csv.Error as error:
        return Refusal("damaged", f"cannot be read after line {line} ({error})", "Close the quotes, or export it again")
    return text, table


def _file(
    key: str, text: str, table: _Table, gathered: Gathering, counts: _Counts, *, known: Mapping[str, None] | None
) -> None:
    counts.more.update(dict.fromkeys(table.more))
    piles: dict[str, Pile] = {}
    waiting: dict[str, list[_Box]] = {}
    rows = _rows(text, table.delimiter)
    next(rows)
    for line, row in rows:
        where = f"{key}:{line}"
        found = _row(row, table)
        name = "" if isinstance(found, Refusal) else found["image_path"]
        if name and name not in piles:
            size = declared_size(_cell(row, table, "width"), _cell(row, table, "height"))
            # two spellings can lead to one photograph: that is no second table for it
            piles[name] = gathered.pile(name, file=key, where=key, declared=size)
        box = found if isinstance(found, Refusal) else _box(found, line, known)
        if isinstance(box, Refusal):
            photo = piles[name].photo if name else ""
            gathered.refuse(box, where=where, entry=table.delimiter.join(row), photo=photo)
        elif box is not None:
            waiting.setdefault(name, []).append(box)
    for name, boxes in waiting.items():
        if len(boxes) == 1 and not any(boxes[0].corners):
            counts.zeros += 1
            gathered.class_of(boxes[0].name)
            continue
        for box in boxes:
            piles[name].labels.add(gathered.class_of(box.name), box.corners, number=box.number)


def _cell(row: Sequence[str], table: _Table, column: str) -> str | None:
    """Cell of a known column; None when the table has no such column."""
    return row[table.columns[column]].strip() if column in table.columns else None


def _row(row: list[str], table: _Table) -> dict[str, str] | Refusal:
    if len(row) != table.width:
        what = f"{len(row)} columns where {table.width} are needed"
        return Refusal("columns", what, 'Write one value per column; put names with commas into "quotes"')
    cells = {column: row[table.columns[column]].strip() for column in HEADER}
    if not cells["image_path"]:
        return Refusal("no-box", "the row names no photograph", "Write the name of its photograph")
    return cells


def _box(cells: Mapping[str, str], line: int, known: Mapping[str, None] | None) -> _Box | Refusal | None:
    """The box of a row; None for a row without coordinates."""
    corners = [cells[corner] for corner in CORNERS]
    if not any(corners):
        return None
    values = finite_numbers(corners, CORNERS)
    if isinstance(values, Refusal):
        return values
    name = class_name(cells["label"]) or ""
    if not name and not any(values):
        return None
    if not name:
        return Refusal("unknown-class", "the row has no class", "Give the box a class")
    if known is not None and name not in known:
        return unknown_class(name, tuple(known), declared_in="classes.txt")
    x1, y1, x2, y2 = values
    return _Box(line, name, (x1, y1, x2, y2))


def write(labels: LabelSet, folder: Path, *, names: Mapping[str, str]) -> Written:
    """Write ``annotations.csv`` and ``classes.txt``; photographs go to ``images``.

    Photographs without objects get DeepForest's row ``0,0,0,0`` with the first class.

    Raises:
        InputError: a name in ``names`` that is no path below a folder.
    """
    losses = Losses()
    paths = written_names(labels, names, losses)
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADER)
    lost = 0
    for key, path in paths.items():
        found = kept(labels.photos[key], losses)
        losses.oriented += int(oriented(found).sum())
        boxes = found.xyxy_px.tolist()
        for class_id, box in zip(found.class_ids.tolist(), boxes, strict=True):
            writer.writerow([f"images/{path}", *(number(value) for value in box), labels.classes[class_id]])
        lost += len(boxes) == 1 and not any(boxes[0])
        if not boxes:
            writer.writerow([f"images/{path}", 0, 0, 0, 0, labels.classes[0] if labels.classes else ""])
    write_text(folder / "annotations.csv", text.getvalue())
    write_classes(labels, folder)
    losses.more += sentences((lost, "box 0,0,0,0 stands for no object", "boxes 0,0,0,0 stand for no object"))
    return Written({key: f"images/{path}" for key, path in paths.items()}, losses.sentences())
