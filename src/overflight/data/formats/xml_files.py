"""XML label files, read strictly and in pieces: no document type, no entities, limits on depth and size.

A file is handed out part by part (the children of its root), so that a file of gigabytes needs the memory of its
largest part. Encodings are those that the file declares and expat knows: UTF-8, UTF-16, Latin-1 and other 8-bit ones.
It knows no label format.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.parsers.expat import ExpatError

from defusedxml.common import DefusedXmlException
from defusedxml.ElementTree import DefusedXMLParser

from overflight.data.files import MAX_LABEL_BYTES, SourceFiles
from overflight.data.formats.entries import Refusal

MAX_DEPTH = 64
MAX_PART_ELEMENTS = 3_000_000
HEAD_BYTES = 65_536
_CHUNK_BYTES = 1 << 20
# expat before 2.6 looks through an unfinished piece again with every chunk: such a piece has to end in time
_MAX_SILENT_CHUNKS = 8
# expat hands a text over in pieces of its buffer, 8 KiB; they are counted after every chunk
_MAX_WORDS = 256
_EXPORT_AGAIN = "Export the labels again; a copy may have broken off"


class XmlDamageError(Exception):
    """The file is no XML that can be used; ``refusal`` says why and ``line`` where (0: unknown)."""

    def __init__(self, what: str, *, line: int = 0, cure: str = _EXPORT_AGAIN) -> None:
        super().__init__(what)
        self.refusal = Refusal("damaged", what, cure)
        self.line = line


class Node:
    """One element with everything in it.

    Attributes:
        tag: Name.
        attrs: Attributes.
        line: Line of its start, from 1.
        text: Characters directly in it after its last child, stripped.
        children: Elements directly in it, in order.
    """

    __slots__ = ("attrs", "children", "line", "tag", "text")

    def __init__(self, tag: str, attrs: dict[str, str], line: int) -> None:
        self.tag = tag
        self.attrs = attrs
        self.line = line
        self.text = ""
        self.children: list[Node] = []

    def texts(self) -> dict[str, str]:
        """Text of the elements directly in this one, by name; the first counts."""
        return {node.tag: node.text for node in reversed(self.children)}

    def child(self, tag: str) -> Node | None:
        """The first element called ``tag`` directly in this one."""
        return next((node for node in self.children if node.tag == tag), None)

    def text_of(self, tag: str) -> str | None:
        """Text of the first child called ``tag``; None without one."""
        node = self.child(tag)
        return None if node is None else node.text


@dataclass
class _Builder:
    """Takes expat's events; finished parts wait in ``ready``."""

    parser: Any
    ready: list[Node] = field(default_factory=list)
    stack: list[Node] = field(default_factory=list)
    words: list[str] = field(default_factory=list)
    elements: int = 0
    part_began: int = 0

    def start(self, tag: str, attrs: dict[str, str]) -> None:
        node = Node(tag, attrs, self.parser.CurrentLineNumber)
        self.words.clear()
        self.elements += 1
        stack = self.stack
        if not stack:
            self.ready.append(node)
        stack.append(node)
        if len(stack) > MAX_DEPTH:
            raise XmlDamageError(f"is nested more than {MAX_DEPTH} deep", line=node.line)
        if self.elements - self.part_began > MAX_PART_ELEMENTS:
            raise XmlDamageError(f"has a part of more than {MAX_PART_ELEMENTS:,} elements", line=node.line)

    def end(self, _tag: str) -> None:
        stack, words = self.stack, self.words
        node = stack.pop()
        if words:
            node.text = "".join(words).strip()
            words.clear()
        if len(stack) > 1:
            stack[-1].children.append(node)
        elif stack:
            self.part_began = self.elements
            self.ready.append(node)


def read_parts(path: Path, *, max_bytes: int = MAX_LABEL_BYTES) -> Iterator[Node]:
    """The root of an XML file (its name and attributes), then its children one by one, each complete.

    Raises:
        XmlDamageError: not well formed, an unknown encoding, a document type or entities, too deep, too large.
    """
    # DefusedXMLParser sets expat's handlers that forbid; those that build are ours, as its own keep the whole tree
    parser: Any = DefusedXMLParser(forbid_dtd=True).parser
    parser.ordered_attributes = False
    parser.buffer_text = True
    parser.DefaultHandlerExpand = None
    builder = _Builder(parser)
    parser.StartElementHandler = builder.start
    parser.EndElementHandler = builder.end
    parser.CharacterDataHandler = builder.words.append
    try:
        with path.open("rb") as handle:
            if (size := path.stat().st_size) > max_bytes:
                cure = "Divide it into several files"
                raise XmlDamageError(f"has {size:,} bytes; at most {max_bytes:,} are read", cure=cure)
            yield from _feed(handle, parser, builder)
    except OSError as error:
        raise XmlDamageError(f"cannot be opened ({error.strerror})", cure="Make it readable") from error


def _feed(handle: Any, parser: Any, builder: _Builder) -> Iterator[Node]:
    silent, more = 0, True
    while more:
        chunk = handle.read(_CHUNK_BYTES)
        more = bool(chunk)
        before = builder.elements, len(builder.words)
        _parse(parser, chunk)
        silent = silent + 1 if before == (builder.elements, len(builder.words)) else 0
        if silent > _MAX_SILENT_CHUNKS or len(builder.words) > _MAX_WORDS:
            raise XmlDamageError("holds a single value of more than a megabyte", line=parser.CurrentLineNumber)
        yield from builder.ready
        builder.ready.clear()


def _parse(parser: Any, chunk: bytes) -> None:
    try:
        parser.Parse(chunk, not chunk)
    except ExpatError as error:
        raise XmlDamageError(f"is not well-formed XML ({_reason(error)})", line=error.lineno) from error
    except DefusedXmlException as error:
        cure = "Take the <!DOCTYPE ...> out of the file: labels need none, and it can make a reader open other files"
        raise XmlDamageError("declares a document type or entities", line=1, cure=cure) from error
    except (ValueError, LookupError) as error:  # Python's codec for the declared encoding
        raise XmlDamageError("declares an encoding that cannot be read", line=1, cure="Save it as UTF-8") from error


def _reason(error: ExpatError) -> str:
    return str(error).split(":", maxsplit=1)[0]


def xml_keys(files: SourceFiles) -> list[str]:
    """Keys of XML files that may be labels; what GDAL writes beside a GeoTIFF (``a.tif.aux.xml``) is none."""
    return [key for key in files.others if key.lower().endswith(".xml") and not key.lower().endswith(".aux.xml")]


def root_tags(files: SourceFiles, key: str) -> tuple[str, frozenset[str]]:
    """Name of the root element and of its children, as far as the first 64 KiB of a file show them; ("", ()) for none.

    Also the children's children count, written ``object/bndbox``.
    """
    parser: Any = DefusedXMLParser(forbid_dtd=True).parser
    parser.DefaultHandlerExpand = None
    stack: list[str] = []
    root: list[str] = []
    seen: set[str] = set()

    def start(tag: str, _attrs: object) -> None:
        stack.append(tag)
        if len(stack) == 1:
            root.append(tag)
        elif len(stack) <= 3:
            seen.add("/".join(stack[1:]))
        elif len(stack) > MAX_DEPTH:
            raise XmlDamageError("is nested too deep")

    def end(_tag: str) -> None:
        stack.pop()

    parser.StartElementHandler, parser.EndElementHandler = start, end
    try:
        with files.path(key).open("rb") as handle:
            _parse(parser, handle.read(HEAD_BYTES))
    except (OSError, XmlDamageError):
        pass  # what was seen before the damage still tells the format; reading it says what is wrong
    return (root[0] if root else ""), frozenset(seen)


def xml_text(text: str) -> str:
    """``text`` escaped for content and attributes; characters that XML cannot hold become ``?``."""
    kept = "".join(letter if _allowed(ord(letter)) else "?" for letter in text)
    for plain, written in (("&", "&amp;"), ("<", "&lt;"), (">", "&gt;"), ('"', "&quot;")):
        kept = kept.replace(plain, written)
    return kept


def _allowed(code: int) -> bool:
    return 0x20 <= code <= 0xD7FF or 0xE000 <= code <= 0xFFFD or code >= 0x10000
