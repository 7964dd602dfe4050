"""The lines of YOLO label files: what each one says, or why it says nothing.

One parser for three kinds of lines: ``class cx cy w h`` (detect), ``class x1 y1 x2 y2 x3 y3 x4 y4`` (obb) and ``class``
with three or more points (segment), all as fractions of the photograph. It does not judge boxes and knows no
photograph. Clean files take a short way through one numpy array; every other file is read line by line, with the same
result. Formats: docs.ultralytics.com/datasets (detect, obb, segment).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.json_files import LARGEST, printable
from overflight.imaging.boxes import Boxes, xyxy_from_cxcywh

Kind = Literal["detect", "obb", "segment"]
COLUMNS = {"detect": 5, "obb": 9}
MAX_LINE = 1_000_000
SHOWN = 200

_PLAIN = b"0123456789.eE+- \t\r\n"
_BOM = b"\xef\xbb\xbf"
FORMS: dict[str, str] = {
    "detect": "class cx cy w h",
    "obb": "class x1 y1 x2 y2 x3 y3 x4 y4",
    "segment": "class x1 y1 x2 y2 x3 y3 ...",
}


@dataclass(frozen=True)
class RefusedLine:
    """A line that could not become a box: its number, code, reason, cure and text (cut)."""

    number: int
    code: str
    what: str
    cure: str
    raw: str


@dataclass(frozen=True)
class Lines:
    """Content of one label file.

    Attributes:
        class_ids: (N,) int64.
        values: (N, 4) ``cx cy w h`` (detect), (N, 8) corners (obb) or (N, 4) ``x1 y1 x2 y2`` around the points
            (segment); float64 fractions, finite, otherwise as written.
        numbers: (N,) int64 line numbers from 1.
        refused: The other lines that are not blank, in order.
        columns: How many lines have how many columns.
        blank: Number of blank lines.
        has_bom: Starts with a byte order mark.
        has_crlf: Uses Windows line ends.
        polygons: Polygons that became the boxes around them.
    """

    class_ids: NDArray[np.int64]
    values: NDArray[np.float64]
    numbers: NDArray[np.int64]
    refused: tuple[RefusedLine, ...] = ()
    columns: Counter[int] = field(default_factory=Counter)
    blank: int = 0
    has_bom: bool = False
    has_crlf: bool = False
    polygons: int = 0


def parse(data: bytes, *, kind: Kind, classes: int, polygons: bool = False) -> Lines:
    """Read a label file.

    Args:
        data: The file's bytes.
        kind: What its lines are meant to be; others are refused.
        classes: Number of classes; 0..classes-1 are known.
        polygons: Lines that can only be polygons become the boxes around them in a ``detect`` file too. Four points are
            refused there: they may be an oriented box.

    Raises:
        UnicodeDecodeError: it is not UTF-8 text.
    """
    found = None if kind == "segment" else parse_clean(data, columns=COLUMNS[kind], classes=classes)
    return parse_by_line(data, kind=kind, classes=classes, polygons=polygons) if found is None else found


def parse_clean(data: bytes, *, columns: int, classes: int) -> Lines | None:
    """The short way: all lines have ``columns`` plain numbers and a known class; None for every other file.

    Digits, signs, points and exponents are all that such a file holds, so that ``nan``, ``1_0``, digits of other
    scripts and line separators of Unicode never get here.
    """
    if data.translate(None, _PLAIN):
        return None
    rows = [line.split() for line in data.splitlines()]
    numbers = np.arange(1, len(rows) + 1, dtype=np.int64)
    lengths = set(map(len, rows))
    blank = 0
    if 0 in lengths:
        numbers = np.array([number for number, row in enumerate(rows, start=1) if row], dtype=np.int64)
        blank, rows = len(rows) - len(numbers), [row for row in rows if row]
        lengths.discard(0)
    if not rows:
        return Lines(*_nothing(columns - 1), blank=blank, has_crlf=b"\r\n" in data)
    if lengths != {columns} or not b"".join([row[0] for row in rows]).isdigit():
        return None
    try:
        array = np.array(list(chain.from_iterable(rows)), dtype=np.float64).reshape(-1, columns)
    except ValueError:
        return None
    if not (np.abs(array) <= LARGEST).all() or array[:, 0].max() >= classes:
        return None
    return Lines(
        class_ids=array[:, 0].astype(np.int64),
        values=array[:, 1:],
        numbers=numbers,
        columns=Counter({columns: len(rows)}),
        blank=blank,
        has_crlf=b"\r\n" in data,
    )


def parse_by_line(data: bytes, *, kind: Kind, classes: int, polygons: bool = False) -> Lines:
    """The long way: line by line, with a reason for every line that is refused.

    Raises:
        UnicodeDecodeError: it is not UTF-8 text.
    """
    text = data.decode("utf-8-sig")
    class_ids: list[int] = []
    values: list[Sequence[float]] = []
    numbers: list[int] = []
    refused: list[RefusedLine] = []
    columns: Counter[int] = Counter()
    blank = around = 0
    for number, line in enumerate(text.splitlines(), start=1):
        fields = line.split() if len(line) <= MAX_LINE else []
        if not fields and len(line) <= MAX_LINE:
            blank += 1
            continue
        columns[len(fields)] += 1
        outline = kind == "segment" or (polygons and kind == "detect" and _is_outline(fields))
        fault = _fault(fields, kind="segment" if outline else kind, classes=classes) if fields else _too_long(line)
        if fault is not None:
            refused.append(RefusedLine(number, *fault, raw=printable(line[:SHOWN])[:SHOWN]))
            continue
        row = [float(one) for one in fields]
        class_ids.append(int(row[0]))
        corners = _around(row[1:]) if outline else ()
        values.append(_cxcywh(*corners) if corners and kind == "detect" else corners or row[1:])
        around += outline
        numbers.append(number)
    empty = _nothing(8 if kind == "obb" else 4)
    return Lines(
        class_ids=np.array(class_ids, dtype=np.int64),
        values=np.array(values, dtype=np.float64) if values else empty[1],
        numbers=np.array(numbers, dtype=np.int64),
        refused=tuple(refused),
        columns=columns,
        blank=blank,
        has_bom=data.startswith(_BOM),
        has_crlf="\r\n" in text,
        polygons=around,
    )


def kind_of(columns: Counter[int]) -> Kind:
    """What a whole data set is by the columns of all its lines.

    Points of polygons may be four, which gives nine columns like an oriented box; a set is one of polygons when they
    are in the majority over those and nothing has five columns.
    """
    polygons = sum(count for width, count in columns.items() if is_polygon(width))
    if polygons > columns[9] and not columns[5]:
        return "segment"
    return "obb" if columns[9] > columns[5] else "detect"


def is_polygon(columns: int) -> bool:
    """Whether a line of so many columns can only be a class with points of a polygon."""
    return columns >= 7 and columns % 2 == 1 and columns != 9


def count_lines(data: bytes) -> int:
    """Lines that are not blank, whatever they hold."""
    return sum(1 for line in data.removeprefix(_BOM).splitlines() if line.strip())


def corners_px(values: NDArray[np.float64], *, size_wh_px: tuple[int, int]) -> NDArray[np.float64]:
    """Corners (N, 4, 2) in pixels from rows (N, 8) of fractions."""
    return np.asarray(values.reshape(-1, 4, 2) * np.array(size_wh_px, dtype=np.float64))


def xyxy_px(values: NDArray[np.float64], *, kind: Kind, size_wh_px: tuple[int, int]) -> Boxes:
    """Upright boxes (N, 4) in pixels from rows (N, 4) of a ``detect`` or ``segment`` file, neither cut nor sorted."""
    width, height = size_wh_px
    fractions = xyxy_from_cxcywh(values) if kind == "detect" else values
    return np.asarray(fractions * np.array([width, height, width, height], dtype=np.float64))


def _fault(fields: Sequence[str], *, kind: Kind, classes: int) -> tuple[str, str, str] | None:
    """Code, reason and cure, or None for a line that can be used."""
    count = len(fields)
    fits = count >= 7 and count % 2 == 1 if kind == "segment" else count == COLUMNS[kind]
    if not fits:
        needed = "an odd number from 7 on is" if kind == "segment" else f"{COLUMNS[kind]} are"
        return "columns", f"{count} columns where {needed} needed", _column_hint(count, kind)
    bad = next((one for one in fields if not is_number(one)), None)
    if bad is not None:
        return "not-a-number", f"'{printable(bad, at_most=40)}' is not a number", "Write a decimal number"
    if not all(abs(float(one)) <= LARGEST for one in fields[1:]):
        too_large = all(math.isfinite(float(one)) for one in fields)
        what = "holds a number that is too large" if too_large else "holds NaN or infinity"
        return "not-finite", what, "Draw this box again or remove the line"
    first = fields[0]
    if not first.isascii() or not first.isdigit():
        return "unknown-class", f"class '{printable(first, at_most=40)}' is not a whole number", "Write its index"
    if float(first) >= classes:
        what = f"class {first.lstrip('0')[:40]} is not known (there are {classes}: 0 to {classes - 1})"
        return "unknown-class", what, "Add its name to the list of classes or correct the line"
    return None


def _column_hint(count: int, kind: Kind) -> str:
    form = FORMS[kind]
    if kind == "detect":
        hints = {
            4: f"The class is missing: write `{form}`",
            6: "A sixth column looks like a score: give labels, not predictions",
            9: f"Nine columns look like oriented boxes: convert them to `{form}`",
        }
        other = f"That looks like a polygon: convert it to its box `{form}`" if is_polygon(count) else f"Write `{form}`"
        return hints.get(count, other)
    if kind == "obb":
        hints = {
            5: f"Five columns are an upright box and the other lines are oriented ones: write its corners `{form}`",
            8: f"The class is missing: write `{form}`",
            10: "A tenth column looks like a score: give labels, not predictions",
        }
        return hints.get(count, f"Write `{form}`")
    return f"The other lines are polygons: write `{form}`"


def _too_long(line: str) -> tuple[str, str, str]:
    return "columns", f"the line has {len(line):,} characters", "Write one line per box"


def is_number(text: str) -> bool:
    """Whether every tool reads ``text`` as a number (``nan`` is one)."""
    if "_" in text or not text.isascii():  # Python alone reads 1_000 and digits of other scripts
        return False
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_outline(fields: Sequence[str]) -> bool:
    """A polygon in fractions: a score and the number of a track behind a box make seven columns, too."""
    return is_polygon(len(fields)) and all(is_number(one) and -1 <= float(one) <= 2 for one in fields[1:])


def _cxcywh(x1: float, y1: float, x2: float, y2: float) -> tuple[float, float, float, float]:
    return (x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1


def _around(points: Sequence[float]) -> tuple[float, float, float, float]:
    xs, ys = points[0::2], points[1::2]
    return min(xs), min(ys), max(xs), max(ys)


def _nothing(width: int) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.int64]]:
    none = np.zeros(0, dtype=np.int64)
    return none, np.zeros((0, width)), none
