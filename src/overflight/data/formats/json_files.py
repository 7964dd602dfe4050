"""JSON label files, read strictly: size, encoding, where a damaged file breaks off, and numbers that are numbers.

A file is UTF-8 (a byte order mark is harmless) and holds one document, or one document a line (JSON Lines). Keys
written twice in one object are reported; Python keeps the last. NaN and Infinity, which are not JSON but are often
written, arrive as such numbers, so that the box that holds one is refused and not its whole file. It knows no label
format.
"""

from __future__ import annotations

import contextlib
import gc
import json
import math
import re
import reprlib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from overflight.data.files import SourceFiles
from overflight.data.findings import Finding
from overflight.errors import InputError

MAX_DOCUMENT_BYTES = 1_000_000_000
SHOWN_CHARACTERS = 200
# no pixel and no fraction of a photograph is larger, and areas of boxes stay numbers
LARGEST = 1e12
_HEAD_BYTES = 65_536
_CURE = "Export the labels again; a copy may have broken off"
_REPEATS_NAMED = 3
Expected = Callable[[Any], Mapping[str, Collection[int]]]
_BOM = b"\xef\xbb\xbf"
_ESCAPED_LETTERS = re.compile(rb"\\u00[2-7]")
_LINE_BREAKS = re.compile(rb"\n")


@dataclass(frozen=True)
class JsonDocument:
    """One document.

    Attributes:
        value: Its content; None when ``damaged``.
        findings: Why it is damaged, or keys that are written twice.
        damaged: It could not be read.
    """

    value: Any
    findings: tuple[Finding, ...] = ()
    damaged: bool = False


class RefusedValueError(ValueError):
    """A value that is not what its place needs.

    Args:
        code: Code for the finding.
        what: One sentence.
    """

    def __init__(self, code: str, what: str) -> None:
        super().__init__(what)
        self.code = code
        self.what = what


@contextlib.contextmanager
def collector_paused() -> Iterator[None]:
    """Hold the cyclic garbage collector while millions of objects are made: it would look through all of them again.

    JSON has no cycles, so nothing is left behind; it halves the time of large files.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def read_document(
    files: SourceFiles,
    key: str,
    *,
    photo: str = "",
    max_bytes: int = MAX_DOCUMENT_BYTES,
    expected: Expected | None = None,
) -> JsonDocument:
    """The document in a file of a source; a file that cannot be opened or is too large is ``damaged``."""
    try:
        data = files.read(key, max_bytes=max_bytes)
    except InputError as error:
        return _damaged(key, error.what, error.cure, photo)
    return parse_document(data, where=key, photo=photo, expected=expected)


def parse_document(data: bytes, *, where: str, photo: str = "", expected: Expected | None = None) -> JsonDocument:
    """One JSON document.

    Args:
        data: Its bytes.
        where: File, or ``file:line``, for findings.
        photo: Photograph the findings belong to.
        expected: How often keys that matter may stand in the file, from its content. With it a large file is read at
            twice the speed, and only repetitions of these keys are sure to be seen.
    """
    if expected is not None and (value := _quick(data, expected)) is not None:
        return JsonDocument(value)
    text, what = _decoded(data)
    if text is None:
        return _damaged(where, what, "Save it as UTF-8", photo)
    repeats = _Repeats()
    try:
        value = json.loads(text, object_pairs_hook=repeats.take)
    except json.JSONDecodeError as error:
        return _damaged(where, _fault(error), _CURE, photo)
    except RecursionError:
        return _damaged(where, "is nested too deeply for a label file", _CURE, photo)
    except ValueError as error:  # an integer with more digits than Python converts
        return _damaged(where, f"holds a number that cannot be read ({shown(str(error))})", _CURE, photo)
    return JsonDocument(value, repeats.findings(where, photo))


def read_lines(files: SourceFiles, key: str) -> Iterator[tuple[int, JsonDocument]]:
    """Line number and document of every line of a JSON Lines file that is not blank; damaged lines included.

    Raises:
        InputError: the file cannot be opened, is too large or is UTF-16.
    """
    data = files.read(key)
    if (encoding := _other_encoding(data)) is not None:
        raise InputError(f"is {encoding} text, not UTF-8", where=key, cure="Save it as UTF-8")
    data = data.removeprefix(_BOM)
    start, number = 0, 0
    while start < len(data):
        number += 1
        end = data.find(b"\n", start)
        end = len(data) if end < 0 else end
        line = data[start:end].strip()
        start = end + 1
        if line:
            yield number, parse_document(line, where=f"{key}:{number}")


def head_and_tail(files: SourceFiles, key: str) -> tuple[bytes, bool]:
    """The first and the last 64 KiB of a file, and whether that is all of it; empty when it cannot be opened."""
    try:
        with files.path(key).open("rb") as handle:
            head = handle.read(_HEAD_BYTES)
            size = handle.seek(0, 2)
            if size <= 2 * _HEAD_BYTES:
                handle.seek(len(head))
                return head + handle.read(_HEAD_BYTES), True
            handle.seek(size - _HEAD_BYTES)
            return head + b"\n" + handle.read(_HEAD_BYTES), False
    except OSError:
        return b"", True


def number(value: Any, name: str) -> float:
    """``value`` as a finite float. Text and true/false are no numbers, whatever they look like.

    Raises:
        RefusedValueError: ``not-a-number`` or ``not-finite``.
    """
    if type(value) is float:
        found = value
    elif type(value) is int:
        try:
            found = float(value)
        except OverflowError:
            found = math.inf
    else:
        raise RefusedValueError("not-a-number", f"{name} is {shown(value)}, not a number")
    if not abs(found) <= LARGEST:
        raise RefusedValueError("not-finite", f"{name} is NaN, infinite or too large")
    return found


def numbers(value: Any, count: int, name: str) -> list[float]:
    """``value`` as a list of ``count`` finite floats.

    Raises:
        RefusedValueError: ``no-box`` (not a list), ``columns`` (another count), ``not-a-number`` or ``not-finite``.
    """
    if not isinstance(value, list):
        raise RefusedValueError("no-box", f"{name} is {shown(value)}, not a list of {count} numbers")
    if len(value) != count:
        raise RefusedValueError("columns", f"{name} has {len(value)} values where {count} are needed")
    return [number(item, name) for item in value]


def pixels(value: Any) -> int | None:
    """``value`` as a side of a photograph (1 to 1,000,000 px); None when it is none."""
    if type(value) not in {int, float} or not 1 <= value <= 1_000_000 or value != int(value):
        return None
    return int(value)


def size_of(width: Any, height: Any) -> tuple[int, int] | None:
    """Width and height in pixels as declared; None when one of them is no side of a photograph."""
    wh = pixels(width), pixels(height)
    return None if wh[0] is None or wh[1] is None else (wh[0], wh[1])


def shown(value: Any) -> str:
    """``value`` for a message: at most 200 characters, control characters escaped."""
    text = f"'{value[:SHOWN_CHARACTERS]}'" if isinstance(value, str) else _SHORT.repr(value)
    text = {"None": "null", "True": "true", "False": "false"}.get(text, text)
    return printable(text)


def printable(text: str, *, at_most: int = SHOWN_CHARACTERS) -> str:
    """The first ``at_most`` characters of ``text`` with everything escaped that a terminal or UTF-8 cannot take."""
    cut = text if len(text) <= at_most else text[: at_most - 3] + "..."
    if cut.isprintable():
        return cut
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in cut)


class _Repeats:
    """Builds the objects of a document and notes keys that one of them holds twice."""

    def __init__(self) -> None:
        self.count = 0
        self.keys: list[str] = []

    def take(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            self.count += 1
            if len(self.keys) < _REPEATS_NAMED:
                counts = Counter(name for name, _ in pairs)
                self.keys.append(counts.most_common(1)[0][0])
        return found

    def findings(self, where: str, photo: str) -> tuple[Finding, ...]:
        if not self.count:
            return ()
        names = ", ".join(dict.fromkeys(shown(key) for key in self.keys))
        what = f"{self.count} objects hold a key twice ({names}): which value counts cannot be told; the last was taken"
        return (Finding("error", "damaged", where, what, "Export the labels again", photo),)


class _Short(reprlib.Repr):
    """Values in a few words, however large or deep they are."""

    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring = 3, 4, 6, 60


_SHORT = _Short()


def _quick(data: bytes, expected: Expected) -> Any:
    """The document by pydantic's parser; None when it refuses it or a key stands in it more often than it should.

    The standard library's parser then gives the message and the keys. Keys are counted as they are usually written;
    a file that escapes letters is left to the other parser, too.
    """
    if _other_encoding(data) is not None or _ESCAPED_LETTERS.search(data):
        return None
    try:
        value = from_json(data.removeprefix(_BOM), allow_inf_nan=True, cache_strings="keys")
    except ValueError:
        return None
    counts = expected(value)
    return value if all(data.count(b'"%s"' % key.encode()) in fit for key, fit in counts.items()) else None


def _decoded(data: bytes) -> tuple[str | None, str]:
    if (encoding := _other_encoding(data)) is not None:
        return None, f"is {encoding} text, not UTF-8"
    if not data.strip():
        return None, "is empty"
    try:
        return data.decode("utf-8-sig"), ""
    except UnicodeDecodeError as error:
        line = 1 + sum(1 for _ in _LINE_BREAKS.finditer(data, 0, error.start))
        return None, f"is not UTF-8 text (line {line})"


def _other_encoding(data: bytes) -> str | None:
    """UTF-32 or UTF-16, by byte order mark or by the zero bytes that their first two signs hold."""
    head = data[:4]
    if head in {b"\xff\xfe\0\0", b"\0\0\xfe\xff"} or head[:3] == b"\0\0\0" or head[1:] == b"\0\0\0":
        return "UTF-32"
    if head[:2] in {b"\xff\xfe", b"\xfe\xff"} or (len(head) > 1 and (head[0] == 0) != (head[1] == 0)):
        return "UTF-16"
    return None


def _fault(error: json.JSONDecodeError) -> str:
    rest = error.doc[error.pos :].strip()
    if error.msg.startswith("Extra data"):
        return f"goes on after its end at line {error.lineno} (two documents in one file?)"
    if not rest or error.msg.startswith("Unterminated"):
        lines = error.doc.count("\n", 0, len(error.doc.rstrip())) + 1
        return f"breaks off at line {lines}"
    return f"is not JSON: {error.msg[:80]} at line {error.lineno}, column {error.colno}"


def _damaged(where: str, what: str, cure: str, photo: str) -> JsonDocument:
    return JsonDocument(None, (Finding("error", "damaged", where, what, cure, photo),), damaged=True)
