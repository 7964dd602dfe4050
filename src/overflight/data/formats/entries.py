"""Entries of label files: numbers, names and classes as somebody typed them, and how messages quote them.

A value that cannot be used becomes a :class:`Refusal` with its reason; only a damaged ``classes.txt`` raises. It knows
no format.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from overflight.data.files import SourceFiles
from overflight.data.formats.class_ids import class_name
from overflight.data.formats.json_files import LARGEST, printable, shown
from overflight.errors import InputError

RAW_CHARS = 200
CLASSES_FILE = "classes.txt"
MAX_CLASSES_BYTES = 1_000_000
MAX_SIDE_PX = 1_000_000
MAX_NUMBER_CHARS = 400


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an entry is no box: code, one sentence, what to do."""

    code: str
    what: str
    cure: str


def raw(text: str) -> str:
    """An entry as written, for ``RefusedBox``: one line, at most 200 characters, control characters escaped."""
    return printable(" ".join(text[: 4 * RAW_CHARS].split()))[:RAW_CHARS]


def finite_numbers(fields: Sequence[str | None], names: Sequence[str]) -> list[float] | Refusal:
    """Decimal numbers of ``fields``, all finite, or why not; ``names`` are used in the reason."""
    try:
        plain = "".join(fields)  # type: ignore[arg-type] # a missing field raises TypeError
        found = [float(field) for field in fields]  # type: ignore[arg-type]
        if (
            len(plain) <= MAX_NUMBER_CHARS
            and plain.isascii()
            and "_" not in plain
            and all(abs(value) <= LARGEST for value in found)
        ):
            return found
    except (TypeError, ValueError):
        pass  # the reason is looked for below, field by field
    values = []
    for field, name in zip(fields, names, strict=True):
        if field is None or not field.strip():
            return Refusal("no-box", f"{name} is missing", "Write all coordinates, or draw the box again")
        value = _number(field)
        if value is None:
            return Refusal("not-a-number", f"{name} is {shown(field)}, not a number", "Write a decimal number")
        if not abs(value) <= LARGEST:
            return Refusal(
                "not-finite", f"{name} is {shown(field)}, not finite or too large", "Draw this box again or remove it"
            )
        values.append(value)
    return values


def _number(field: str) -> float | None:
    # Python alone reads 1_000 and digits of other scripts; no other tool that reads the file does
    if len(field) > MAX_NUMBER_CHARS:
        return math.inf if field.strip().lstrip("+-").isdigit() and field.isascii() else None
    if not field.isascii() or "_" in field:
        return None
    try:
        return float(field)
    except ValueError:
        return None


def declared_size(width: str | None, height: str | None) -> tuple[int, int] | None:
    """Width and height as a label file declares them; None when they are no sensible whole numbers above 0."""
    values = finite_numbers((width, height), ("width", "height"))
    if isinstance(values, Refusal):
        return None
    if not all(value == int(value) and 0 < value <= MAX_SIDE_PX for value in values):
        return None
    return int(values[0]), int(values[1])


def lines_of(text: str) -> list[str]:
    """Lines of ``text`` as editors number them: only CR and LF end a line."""
    return text.replace("\r\n", "\n").replace("\r", "\n").split("\n")


def decoded(data: bytes) -> str | Refusal:
    """Text of a UTF-8 file with or without a byte order mark, or why it is none."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return Refusal("damaged", "is not UTF-8 text", "Save it as UTF-8 text")
    if "\0" in text:
        return Refusal("damaged", "holds NUL characters, so it is no text file", "Export it again")
    return text


def classes_file(files: SourceFiles, *, key: str = CLASSES_FILE) -> tuple[str, ...] | None:
    """Class names of ``classes.txt`` at the root, one a line; None when there is no such file.

    Raises:
        InputError: not UTF-8, an empty or repeated name.
    """
    if key not in files.others:
        return None
    text = decoded(files.read(key, max_bytes=MAX_CLASSES_BYTES))
    if isinstance(text, Refusal):
        raise InputError(text.what, where=key, cure="Write one class name per line, as UTF-8 text")
    names = [class_name(line) or "" for line in lines_of(text)]
    while names and not names[-1]:
        names.pop()
    if not names or not all(names):
        raise InputError("a class has no name", where=key, cure="Write one class name per line")
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise InputError(f"the class name {shown(name)} is used twice", where=key, cure="Use different names")
        seen.add(name)
    return tuple(names)


def unknown_class(name: str, classes: Sequence[str], *, declared_in: str) -> Refusal:
    """The refusal of a class that is not among ``classes``."""
    some = ", ".join(known[:40] for known in classes[:8]) + (", ..." if len(classes) > 8 else "")
    what = f"class {shown(name)} is not declared in {declared_in} ({some})"
    return Refusal("unknown-class", what, "Add its name there or correct the entry")


def counted(count: int, one: str, many: str) -> str:
    """``1 polygon`` or ``3 polygons``."""
    return f"{count:,} {one if count == 1 else many}"


def sentences(*parts: tuple[int, str, str]) -> tuple[str, ...]:
    """Loss sentences for the counts that are not 0; each part is a count and the rest for one and for many."""
    return tuple(counted(count, one, many) for count, one, many in parts if count)
