"""What a photograph's file says before a pixel is decoded: format, size, orientation, raw EXIF and XMP.

Reads JPEG (which includes the MPO files of DJI cameras) and PNG by walking their segments, so a "decompression bomb" is
seen before memory is taken, and a file that ends too early before a decoder fills it up with grey. It does not
interpret EXIF or XMP (see ``overflight.data.metadata``) beyond the orientation, and does not notice damage inside
JPEG's compressed data. Formats: ITU T.81 annex B (JPEG), PNG specification section 5, Exif 2.3 tag 0x0112.
"""

from __future__ import annotations

import struct
import zlib
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from overflight.errors import InputError

MAX_PIXELS = 200_000_000

_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_PNG = b"\x89PNG\r\n\x1a\n"
_SOS, _EOI, _APP1 = 0xDA, 0xD9, 0xE1
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
_CURE = "Copy the photograph again from the card, or remove it"


@dataclass(frozen=True)
class Header:
    """Facts of one image file.

    Attributes:
        format: Container format.
        width_px: Columns after the orientation was applied, as people and labels see them.
        height_px: Rows after the orientation was applied.
        orientation: EXIF orientation 1..8 (1 when absent or invalid).
        exif: Raw EXIF block (starting with ``Exif``), empty when absent.
        xmp: Raw XMP packet, empty when absent.
    """

    format: Literal["jpeg", "png"]
    width_px: int
    height_px: int
    orientation: int
    exif: bytes
    xmp: bytes


def read_header(data: bytes, *, where: str = "", max_pixels: int = MAX_PIXELS) -> Header:
    """Header of a complete JPEG or PNG file.

    Args:
        data: The whole file.
        where: Name for messages.
        max_pixels: Refuse larger pictures.

    Raises:
        InputError: empty, another format, cut off, damaged, or larger than ``max_pixels``.
    """
    if not data:
        raise InputError("unreadable image: the file is empty", where=where, cure=_CURE)
    try:
        if data.startswith(b"\xff\xd8"):
            header = _jpeg(data)
        elif data.startswith(_PNG):
            header = _png(data)
        else:
            raise InputError(
                f"unreadable image: neither JPEG nor PNG (starts with {data[:8].hex(' ')})",
                where=where,
                cure="Convert it to JPEG or PNG",
            )
    except _DamagedError as error:
        raise InputError(f"unreadable image: {error}", where=where, cure=_CURE) from error
    except (struct.error, IndexError) as error:
        raise InputError("unreadable image: the file is cut off inside its header", where=where, cure=_CURE) from error
    if header.width_px * header.height_px > max_pixels:
        raise InputError(
            f"unreadable image: {header.width_px}x{header.height_px} px are more than the limit of {max_pixels:,} px",
            where=where,
            cure="Cut the picture into parts",
        )
    return header


class _DamagedError(Exception):
    """The walk through the file met something impossible."""


def _jpeg(data: bytes) -> Header:
    position, exif, xmp, size = 2, b"", b"", (0, 0)
    while True:
        marker, start, position = _segment(data, position)
        if marker == _EOI:
            raise _DamagedError("the JPEG holds no picture")
        body = data[start:position]
        if marker in _SOF:
            height, width = struct.unpack(">HH", body[1:5])
            size = (width, height)
        elif marker == _APP1 and body.startswith(_EXIF) and not exif:
            exif = body
        elif marker == _APP1 and body.startswith(_XMP) and not xmp:
            xmp = body[len(_XMP) :]
        elif marker == _SOS:
            break
    if data.find(b"\xff\xd9", position) < 0:
        raise _DamagedError(f"the file is cut off (no end of image after {len(data):,} bytes)")
    return _header("jpeg", size, exif=exif, xmp=xmp)


def _segment(data: bytes, position: int) -> tuple[int, int, int]:
    """Marker at ``position``, start of its body and the position behind it."""
    while data[position] == 0xFF and data[position + 1] == 0xFF:  # fill bytes
        position += 1
    if data[position] != 0xFF:
        raise _DamagedError(f"no JPEG marker at byte {position:,}")
    marker = data[position + 1]
    if marker in _STANDALONE or marker == _EOI:
        return marker, position + 2, position + 2
    length = struct.unpack(">H", data[position + 2 : position + 4])[0]
    end = position + 2 + length
    if length < 2 or end > len(data):
        raise _DamagedError(f"the file is cut off inside its header (byte {position:,})")
    return marker, position + 4, end


def _png(data: bytes) -> Header:
    position, exif, xmp, size = len(_PNG), b"", b"", (0, 0)
    while True:
        if position + 12 > len(data):
            raise _DamagedError(f"the file is cut off (no end of image after {len(data):,} bytes)")
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        if end > len(data):
            raise _DamagedError(f"the file is cut off inside its {kind.decode('latin-1')!r} block")
        body = data[position + 8 : end - 4]
        if zlib.crc32(data[position + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            raise _DamagedError(f"checksum error at byte {position:,}")
        if kind == b"IHDR":
            size = struct.unpack(">II", body[:8])
        elif kind == b"eXIf":
            exif = _EXIF + body
        elif kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\x00"):
            xmp = body[body.find(b"<") :] if b"<" in body else b""
        elif kind == b"IEND":
            break
        position = end
    return _header("png", size, exif=exif, xmp=xmp)


def _header(kind: Literal["jpeg", "png"], size: tuple[int, int], *, exif: bytes, xmp: bytes) -> Header:
    if not all(size):
        raise _DamagedError("the picture has no size")
    turn = _orientation(exif)
    width, height = size if turn < 5 else size[::-1]
    return Header(kind, width, height, turn, exif, xmp)


def _orientation(exif: bytes) -> int:
    if not exif:
        return 1
    tags = Image.Exif()
    try:
        tags.load(exif)
        value = tags.get(0x0112, 1)
    except Exception:  # noqa: BLE001 - Pillow raises many kinds on a broken block; it counts as upright
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1
