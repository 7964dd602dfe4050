"""What a photograph's file says before a pixel is decoded: format, size, depth, orientation, raw EXIF and XMP.

Reads JPEG (which includes the MPO files of DJI cameras), PNG and TIFF by walking their segments, so a "decompression
bomb" is seen before memory is taken, and a file that ends too early before a decoder fills it up with grey. It does not
interpret EXIF or XMP (see ``overflight.data.metadata``) beyond the orientation. Of damage inside JPEG's compressed data
it notices what breaks the order of the markers, not a wrong bit between two of them (no decoder at hand reports that).
Formats: ITU T.81 annex B (JPEG), CIPA DC-007 (MPO), PNG specification section 5, Exif 2.3 tag 0x0112; TIFF: ``tiff``.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from PIL import Image

from overflight.errors import InputError
from overflight.imaging.tiff import MAGICS, TiffError, read_tiff

MAX_PIXELS = 200_000_000

FaultCode = Literal["zero-bytes", "truncated", "unreadable", "too-large"]

_EXIF = b"Exif\x00\x00"
_XMP = b"http://ns.adobe.com/xap/1.0/\x00"
_PNG = b"\x89PNG\r\n\x1a\n"
_MPF = b"MPF\x00"
_SOS, _EOI, _APP1, _APP2, _DRI = 0xDA, 0xD9, 0xE1, 0xE2, 0xDD
_SOF = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})
# What ends a JPEG's compressed data: a marker that is neither a stuffed zero, a restart nor a fill byte.
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_RESTART = re.compile(rb"\xff[\xd0-\xd7]")
_BETWEEN_SCANS = frozenset({0xC4, 0xDA, 0xDB, 0xDC, 0xDD, 0xFE, *range(0xE0, 0xF0)})
# A block of 8 x 8 takes two bits at least; progressive files are a little below that.
_JPEG_PX_PER_BYTE, _DEFLATE_GROWTH, _SMALL_PX = 1024, 1032, 1_000_000
_PNG_CHANNELS = {0: 1, 2: 3, 3: 3, 4: 2, 6: 4}
_PNG_PALETTE = 3
_CURE = "Copy the photograph again from the card, or remove it"


class ImageFault(InputError):  # noqa: N818 - it is the name that checks know it by
    """A file that cannot be used as a photograph.

    Args:
        what: One sentence: what is wrong.
        code: The kind of fault.
        where: The file.
        cure: What to do about it.
    """

    def __init__(self, what: str, *, code: FaultCode = "unreadable", where: str = "", cure: str = _CURE) -> None:
        super().__init__(what, where=where, cure=cure)
        self.code: FaultCode = code


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
        channels: As stored, alpha and further bands included; a palette counts as its three colours.
        bits: Per channel.
        is_palette: Pixels are indices of a colour table.
        is_mpo: A JPEG with an index of further pictures behind the first (MPO).
        is_geotiff: A TIFF with a place on the ground.
    """

    format: Literal["jpeg", "png", "tiff"]
    width_px: int
    height_px: int
    orientation: int
    exif: bytes
    xmp: bytes
    channels: int = 3
    bits: int = 8
    is_palette: bool = False
    is_mpo: bool = False
    is_geotiff: bool = False


def read_header(data: bytes, *, where: str = "", max_pixels: int = MAX_PIXELS) -> Header:
    """Header of a complete JPEG, PNG or TIFF file.

    Args:
        data: The whole file.
        where: Name for messages.
        max_pixels: Refuse larger pictures.

    Raises:
        ImageFault: empty, another format, cut off, damaged, or larger than ``max_pixels``.
    """
    if not data:
        raise ImageFault("unreadable image: the file is empty", code="zero-bytes", where=where)
    try:
        header = _read(data)
    except (_DamagedError, TiffError) as error:
        _check_size(error.size_wh, max_pixels, where)
        cure = error.cure if isinstance(error, _DamagedError) else _CURE
        raise ImageFault(f"unreadable image: {error}", code=error.code, where=where, cure=cure) from error
    except (struct.error, IndexError) as error:
        what = "unreadable image: the file is cut off inside its header"
        raise ImageFault(what, code="truncated", where=where) from error
    _check_size((header.width_px, header.height_px), max_pixels, where)
    return header


def _check_size(size_wh: tuple[int, int], max_pixels: int, where: str) -> None:
    width, height = size_wh
    if width * height > max_pixels:
        what = f"unreadable image: {width}x{height} px are more than the limit of {max_pixels:,} px"
        raise ImageFault(what, code="too-large", where=where, cure="Cut the picture into parts")


class _DamagedError(Exception):
    """The walk through the file met something impossible."""

    def __init__(
        self, what: str, code: FaultCode = "unreadable", *, cure: str = _CURE, size_wh: tuple[int, int] = (0, 0)
    ) -> None:
        super().__init__(what)
        self.code: FaultCode = code
        self.cure = cure
        self.size_wh = size_wh


def _read(data: bytes) -> Header:
    if data.startswith(b"\xff\xd8"):
        return _jpeg(data)
    if data.startswith(_PNG):
        return _png(data)
    if data.startswith(MAGICS):
        return _tiff(data)
    if not data.strip(b"\x00"):
        raise _DamagedError(f"it holds nothing but {len(data):,} zero bytes")
    what = f"neither JPEG, PNG nor TIFF (starts with {data[:8].hex(' ')})"
    raise _DamagedError(what, cure="Convert it to JPEG or PNG")


def _jpeg(data: bytes) -> Header:
    frame, exif, xmp, interval, mpo, position = b"", b"", b"", 0, False, 2
    for marker, body, end in _segments(data):
        position = end
        if marker in _SOF:
            frame = body
        elif marker == _APP1 and body.startswith(_EXIF):
            exif = exif or body
        elif marker == _APP1 and body.startswith(_XMP):
            xmp = xmp or body[len(_XMP) :]
        elif marker == _APP2 and body.startswith(_MPF):
            mpo = True
        elif marker == _DRI:
            (interval,) = struct.unpack(">H", body[:2])
    if len(frame) < 6:
        raise _DamagedError("the picture has no size")
    bits, height, width, channels = struct.unpack(">BHHB", frame[:6])
    end, scans = _scans(data, position)
    if scans == 1 and interval:
        _check_restarts(data, (position, end), frame, interval)
    _check_bomb(width, height, held=end - position, claimed=width * height / _JPEG_PX_PER_BYTE)
    return _header("jpeg", (width, height), exif=exif, xmp=xmp, channels=channels, bits=bits, is_mpo=mpo)


def _segments(data: bytes) -> Iterator[tuple[int, bytes, int]]:
    """Marker, body and end of each segment before the compressed data."""
    position, marker = 2, 0
    while marker != _SOS:
        marker, start, position = _segment(data, position)
        if marker == _EOI:
            raise _DamagedError("the JPEG holds no picture")
        yield marker, data[start:position], position


def _check_bomb(width: int, height: int, *, held: int, claimed: float) -> None:
    """A picture cannot be larger than its bytes could ever stand for (``claimed``: the fewest for its size)."""
    if width * height > _SMALL_PX and claimed > held:
        what = f"it claims {width}x{height} px, but holds only {held:,} bytes"
        raise _DamagedError(what, "truncated", size_wh=(width, height))


def _scans(data: bytes, position: int) -> tuple[int, int]:
    """Where the picture's end marker stands, and the number of scans before it."""
    scans = 1
    while True:
        found = _MARKER.search(data, position)
        if found is None:
            raise _DamagedError(f"the file is cut off (no end of image after {len(data):,} bytes)", "truncated")
        marker = found[0][1]
        if marker == _EOI:
            return found.start(), scans
        if marker not in _BETWEEN_SCANS:
            raise _DamagedError(f"its compressed data is damaged (marker {marker:02X} at byte {found.start():,})")
        scans += marker == _SOS
        _, _, position = _segment(data, found.start())


def _check_restarts(data: bytes, scan: tuple[int, int], frame: bytes, interval: int) -> None:
    """Restart markers count 0 to 7 again and again, one after each ``interval`` of blocks (T.81, E.1.4)."""
    height, width = struct.unpack(">HH", frame[1:5])
    sampling = [(frame[at] >> 4, frame[at] & 15) for at in range(7, len(frame), 3)]
    wide, tall = max((s[0] for s in sampling), default=1), max((s[1] for s in sampling), default=1)
    if len(sampling) < 2:
        wide = tall = 1
    if not (wide and tall and width and height):
        return
    units = -(-width // (8 * wide)) * -(-height // (8 * tall))
    found = [match[0][1] - 0xD0 for match in _RESTART.finditer(data, *scan)]
    wanted = -(-units // interval) - 1  # some cameras write one more behind the last block
    if len(found) not in (wanted, wanted + 1) or found != [number % 8 for number in range(len(found))]:
        what = f"its compressed data is damaged ({len(found):,} of {wanted:,} restart markers, or in a wrong order)"
        raise _DamagedError(what)


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
        raise _DamagedError(f"the file is cut off inside its header (byte {position:,})", "truncated")
    return marker, position + 4, end


def _png(data: bytes) -> Header:
    exif, xmp, first, held = b"", b"", b"", 0
    for kind, body in _chunks(data):
        if kind == b"IHDR":
            first = body
        elif kind == b"IDAT":
            held += len(body)
        elif kind == b"eXIf":
            exif = _EXIF + body
        elif kind == b"iTXt" and body.startswith(b"XML:com.adobe.xmp\x00"):
            xmp = body[body.find(b"<") :] if b"<" in body else b""
    width, height, bits, colour = struct.unpack(">IIBB", first[:10])
    palette, channels = colour == _PNG_PALETTE, _PNG_CHANNELS.get(colour, 3)
    stored = width * height * bits * (1 if palette else channels) / 8
    _check_bomb(width, height, held=held, claimed=stored / _DEFLATE_GROWTH)
    bits = 8 if palette else bits
    size = (width, height)
    return _header("png", size, exif=exif, xmp=xmp, channels=channels, bits=bits, is_palette=palette)


def _chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and body of each block of a PNG, up to its end."""
    position, kind = len(_PNG), b""
    while kind != b"IEND":
        if position + 12 > len(data):
            raise _DamagedError(f"the file is cut off (no end of image after {len(data):,} bytes)", "truncated")
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        end = position + 12 + length
        if end > len(data):
            what = f"the file is cut off inside its {kind.decode('latin-1')!r} block"
            raise _DamagedError(what, "truncated")
        if zlib.crc32(data[position + 4 : end - 4]) != struct.unpack(">I", data[end - 4 : end])[0]:
            raise _DamagedError(f"checksum error at byte {position:,}")
        yield kind, data[position + 8 : end - 4]
        position = end


def _tiff(data: bytes) -> Header:
    found = read_tiff(data)
    return _header(
        "tiff",
        found.size_wh,
        exif=found.exif,
        xmp=found.xmp,
        channels=3 if found.palette else found.bands,
        bits=8 if found.palette else found.bits,
        is_palette=found.palette,
        is_geotiff=found.geo,
    )


def _header(
    kind: Literal["jpeg", "png", "tiff"],
    size: tuple[int, int],
    *,
    exif: bytes,
    xmp: bytes,
    channels: int,
    bits: int,
    is_palette: bool = False,
    is_mpo: bool = False,
    is_geotiff: bool = False,
) -> Header:
    if not all(size):
        raise _DamagedError("the picture has no size")
    turn = _orientation(exif)
    width, height = size if turn < 5 else size[::-1]
    return Header(kind, width, height, turn, exif, xmp, channels, bits, is_palette, is_mpo, is_geotiff)


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
