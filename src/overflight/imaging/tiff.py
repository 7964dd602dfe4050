"""The directories of a TIFF file (classic and BigTIFF): size, bands, depth, orientation, EXIF, XMP, GeoTIFF tags.

Walks the first picture's directory only and decodes nothing, so a bomb or a file that ends too early is seen before
memory is taken. It judges nothing but its structure. Sources: TIFF 6.0 (1992) sections 2 and 8; BigTIFF as LibTIFF
describes it; OGC GeoTIFF 1.1; Exif 2.3 section 4.6.3 (the directories of EXIF and GPS).
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

MAGICS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC = 256, 257, 258, 259, 262
_STRIP_OFFSETS, _ORIENTATION, _SAMPLES, _STRIP_BYTES, _PLANAR = 273, 274, 277, 279, 284
_TILE_OFFSETS, _TILE_BYTES, _EXTRA_SAMPLES, _SAMPLE_FORMAT, _XMP = 324, 325, 338, 339, 700
_EXIF_IFD, _GPS_IFD, _MAKER_NOTE = 34665, 34853, 37500
_GEO = frozenset({33550, 33922, 34264, 34735})
_PALETTE = 3
_TYPE_BYTES = {1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8, 13: 4, 16: 8, 17: 8, 18: 8}
_INTEGERS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
_MAX_ENTRIES = 4096
_MAX_XMP_BYTES = _MAX_CHUNKS = 1 << 20
_MAX_EXIF_VALUE_BYTES = 4096
# What of the picture's directory belongs to its EXIF: words, time, orientation.
_EXIF_MAIN = frozenset({270, 271, 272, _ORIENTATION, 305, 306})
# Largest growth in decoding by compression. LZW: a full table's 3838 codes of 12 bits stand for 1900 bytes on
# average; Deflate: 258 bytes from 2 bits; PackBits: 128 bytes from 2; JPEG: a block of 64 samples from 2 bits.
_GROWTH = {1: 1.0, 5: 1500.0, 7: 1100.0, 8: 1032.0, 32946: 1032.0, 32773: 64.0}


class TiffError(Exception):
    """The file cannot be a whole TIFF picture.

    Args:
        what: What is wrong.
        code: ``truncated`` or ``unreadable``.
        size_wh: Columns and rows that it claims to have, where they are what is wrong.
    """

    def __init__(
        self, what: str, code: Literal["truncated", "unreadable"] = "unreadable", *, size_wh: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__(what)
        self.code = code
        self.size_wh = size_wh


@dataclass(frozen=True)
class Tiff:
    """Facts of the first picture in a TIFF file.

    Attributes:
        size_wh: Columns and rows as stored.
        bands: Samples per pixel, extra ones included.
        bits: Per sample.
        palette: The samples are indices of a colour table.
        floats: The samples are no unsigned integers.
        compression: TIFF's number.
        planar: The bands lie one behind the other.
        geo: It has GeoTIFF tags.
        exif: EXIF block rebuilt from its directories (starting with ``Exif``), empty when there is nothing in them.
        xmp: Raw XMP packet, empty when absent.
        places: Offset and length of each strip or tile in the file.
        patches: Offset and bytes to be overwritten before decoding: orientation and the meaning of extra bands,
            which decoders would apply each in its own way, and the pointers to EXIF.
    """

    size_wh: tuple[int, int]
    bands: int
    bits: int
    palette: bool
    floats: bool
    compression: int
    planar: bool
    geo: bool
    exif: bytes
    xmp: bytes
    places: tuple[tuple[int, int], ...]
    patches: tuple[tuple[int, bytes], ...]


@dataclass(frozen=True)
class TiffTag:
    """One entry of a directory: TIFF's type, number of values, where they start, their bytes, where the type stands."""

    kind: int
    count: int
    start: int
    raw: bytes
    kind_at: int = 0


@dataclass(frozen=True)
class TiffFile:
    """Bytes of a file with their order and whether it is a BigTIFF."""

    data: bytes
    order: Literal["<", ">"]
    big: bool

    def unpack(self, form: str, start: int) -> tuple[int, ...]:
        """Integers at ``start``; refuses to read behind the end."""
        size = struct.calcsize(self.order + form)
        return tuple(int(value) for value in struct.unpack(self.order + form, self.cut(start, size)))

    def cut(self, start: int, size: int) -> bytes:
        """Bytes at ``start``; refuses to read behind the end."""
        if start < 0 or start + size > len(self.data):
            raise TiffError(f"the file is cut off (a directory points to byte {start + size:,})", "truncated")
        return self.data[start : start + size]


def open_tiff(data: bytes) -> tuple[TiffFile, dict[int, TiffTag]]:
    """The file and the directory of its first picture by tag.

    Raises:
        TiffError: the directory cannot be read.
    """
    file = TiffFile(data, "<" if data[:1] == b"I" else ">", data[2:4] in (b"+\x00", b"\x00+"))
    return file, _directory(file, file.unpack("Q", 8)[0] if file.big else file.unpack("I", 4)[0])


def read_tiff(data: bytes) -> Tiff:
    """Facts of the first picture of a TIFF file.

    Raises:
        TiffError: no whole picture can be in it.
    """
    file, entries = open_tiff(data)
    width, height = _integer(file, entries, _WIDTH, 0), _integer(file, entries, _HEIGHT, 0)
    bits, bands = _integer(file, entries, _BITS, 1), _integer(file, entries, _SAMPLES, 1)
    if width <= 0 or height <= 0 or bands <= 0 or bits <= 0:
        raise TiffError("the picture has no size")
    compression = _integer(file, entries, _COMPRESSION, 1)
    places = _places(file, entries)
    held, needed = sum(size for _, size in places), width * height * bands * bits / 8
    if compression in _GROWTH and needed > held * _GROWTH[compression] + 1024:
        what = f"it claims {width}x{height} px, but holds only {held:,} bytes"
        raise TiffError(what, "truncated", size_wh=(width, height))
    xmp = entries.get(_XMP)
    return Tiff(
        size_wh=(width, height),
        bands=bands,
        bits=bits,
        palette=_integer(file, entries, _PHOTOMETRIC, 1) == _PALETTE,
        floats=_integer(file, entries, _SAMPLE_FORMAT, 1) not in (1, 4),
        compression=compression,
        planar=_integer(file, entries, _PLANAR, 1) == 2,  # as the standard numbers it
        geo=any(tag in entries for tag in _GEO),
        exif=_exif(file, entries),
        xmp=xmp.raw if xmp is not None and len(xmp.raw) <= _MAX_XMP_BYTES else b"",
        places=places,
        patches=tuple(_patches(file, entries)),
    )


def _directory(file: TiffFile, start: int) -> dict[int, TiffTag]:
    (count,) = file.unpack("Q" if file.big else "H", start)
    if count > _MAX_ENTRIES:
        raise TiffError(f"a directory claims {count:,} entries")
    head, size, inline = (8, 20, 8) if file.big else (2, 12, 4)
    entries: dict[int, TiffTag] = {}
    for number in range(count):
        place = start + head + number * size
        tag, kind = file.unpack("HH", place)
        (values,) = file.unpack("Q" if file.big else "I", place + 4)
        length = _TYPE_BYTES.get(kind, 0) * values
        value_at = place + size - inline
        if length > inline:
            (value_at,) = file.unpack("Q" if file.big else "I", value_at)
        if length:
            entries.setdefault(tag, TiffTag(kind, values, value_at, file.cut(value_at, length), place + 2))
    return entries


def integers(file: TiffFile, entry: TiffTag | None, *, at_most: int) -> tuple[int, ...]:
    """Values of an entry; none when it is absent or of another type."""
    if entry is None or entry.kind not in _INTEGERS:
        return ()
    if entry.count > at_most:
        raise TiffError(f"a directory claims {entry.count:,} values")
    return struct.unpack(f"{file.order}{entry.count}{_INTEGERS[entry.kind]}", entry.raw)


def _integer(file: TiffFile, entries: Mapping[int, TiffTag], tag: int, default: int) -> int:
    found = integers(file, entries.get(tag), at_most=_MAX_ENTRIES)
    return found[0] if found else default


def _places(file: TiffFile, entries: Mapping[int, TiffTag]) -> tuple[tuple[int, int], ...]:
    """Offset and length of each strip or tile; all must lie within the file."""
    tiled = _TILE_OFFSETS in entries
    offsets = integers(file, entries.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS), at_most=_MAX_CHUNKS)
    # Some writers put a tile's lengths under the strips' tag.
    lengths_in = entries.get(_TILE_BYTES if tiled else _STRIP_BYTES, entries.get(_STRIP_BYTES))
    lengths = integers(file, lengths_in, at_most=_MAX_CHUNKS)
    if not offsets or len(offsets) != len(lengths):
        raise TiffError("the TIFF holds no picture")
    end = max(offset + length for offset, length in zip(offsets, lengths, strict=True))
    if end > len(file.data):
        raise TiffError(f"the file is cut off ({len(file.data):,} of {end:,} bytes)", "truncated")
    return tuple(zip(offsets, lengths, strict=True))


def _patches(file: TiffFile, entries: Mapping[int, TiffTag]) -> list[tuple[int, bytes]]:
    patches = []
    for tag, value in ((_ORIENTATION, 1), (_EXTRA_SAMPLES, 0)):
        entry = entries.get(tag)
        if entry is not None and entry.kind == 3:  # SHORT
            patches.append((entry.start, struct.pack(f"{file.order}{entry.count}H", *[value] * entry.count)))
    # Of no known kind the pointers are passed over: decoders need no EXIF, and Pillow warns about broken ones.
    patches += [(entries[tag].kind_at, bytes(2)) for tag in (_EXIF_IFD, _GPS_IFD) if tag in entries]
    return patches


def _exif(file: TiffFile, entries: Mapping[int, TiffTag]) -> bytes:
    """A block as a JPEG carries it, in the file's byte order, from the directories of the picture, EXIF and GPS."""
    main = {tag: entry for tag, entry in entries.items() if tag in _EXIF_MAIN and _is_small(entry)}
    subs = {tag: _sub_directory(file, entries.get(tag)) for tag in (_EXIF_IFD, _GPS_IFD)}
    if not main and not any(subs.values()):
        return b""
    present = [tag for tag, sub in subs.items() if sub]
    first = 8
    after_main = first + 2 + 12 * (len(main) + len(present)) + 4 + _outside(main.values())
    starts: dict[int, int] = {}
    blocks = b""
    for tag in present:
        starts[tag] = after_main + len(blocks)
        blocks += written(file.order, subs[tag], starts[tag])
    pointers = {tag: TiffTag(4, 1, 0, struct.pack(file.order + "I", start)) for tag, start in starts.items()}
    magic = b"II*\x00" if file.order == "<" else b"MM\x00*"
    head = magic + struct.pack(file.order + "I", first)
    return b"Exif\x00\x00" + head + written(file.order, {**main, **pointers}, first) + blocks


def _sub_directory(file: TiffFile, pointer: TiffTag | None) -> dict[int, TiffTag]:
    start = integers(file, pointer, at_most=1)
    if not start:
        return {}
    try:
        found = _directory(file, start[0])
    except TiffError:
        return {}  # metadata is a help, not a condition
    return {tag: entry for tag, entry in found.items() if tag != _MAKER_NOTE and _is_small(entry)}


def _is_small(entry: TiffTag) -> bool:
    return entry.kind < 16 and len(entry.raw) <= _MAX_EXIF_VALUE_BYTES  # from 16 on only in BigTIFF


def _outside(entries: Iterable[TiffTag]) -> int:
    return sum(len(entry.raw) + len(entry.raw) % 2 for entry in entries if len(entry.raw) > 4)


def written(order: str, entries: Mapping[int, TiffTag], start: int) -> bytes:
    """A classic directory at ``start`` followed by its values."""
    values_at = start + 2 + 12 * len(entries) + 4
    directory, values = struct.pack(order + "H", len(entries)), b""
    for tag, entry in sorted(entries.items()):
        raw = entry.raw
        if len(raw) > 4:  # what fits into the entry itself
            field = struct.pack(order + "I", values_at + len(values))
            values += raw + b"\x00" * (len(raw) % 2)
        else:
            field = raw.ljust(4, b"\x00")
        directory += struct.pack(order + "HHI", tag, entry.kind, entry.count) + field
    return directory + b"\x00\x00\x00\x00" + values
