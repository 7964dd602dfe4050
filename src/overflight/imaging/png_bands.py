"""A large PNG some rows at a time, so that 108 megapixels need the memory of their file and of a few hundred rows.

The compressed stream is inflated piece by piece; each piece of rows becomes a small PNG of its own, packed without
compression, which OpenCV decodes. Its first row is the last one of the piece before, because PNG's filters refer to the
row above (PNG specification, section 9). Interlaced pictures, palettes of less than 8 bits and grey with alpha are left
to the decoder of whole pictures. Checksums of the file are read_header's business; that of the stream is checked here.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.imaging.header import ImageFault

Samples = NDArray[Any]  # uint8 or uint16

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB, _PALETTE, _RGBA = 0, 2, 3, 6
_CHANNELS = {_GREY: 1, _RGB: 3, _PALETTE: 1, _RGBA: 4}
_FEED_BYTES = 1 << 16


@dataclass(frozen=True)
class PngRows:
    """How the rows of a PNG lie in its file.

    Attributes:
        width_px: Columns as stored.
        height_px: Rows as stored.
        bits: Per sample, 8 or 16.
        colour: PNG's colour type, 0, 2, 3 or 6.
        palette: (256, 3) colours BGR of a palette, else None.
        places: Start and end of each piece of the compressed stream.
    """

    width_px: int
    height_px: int
    bits: int
    colour: int
    palette: NDArray[np.uint8] | None
    places: tuple[tuple[int, int], ...]

    @property
    def row_bytes(self) -> int:
        """Bytes of a row without its filter."""
        return self.width_px * _CHANNELS[self.colour] * self.bits // 8


def png_rows(data: bytes) -> PngRows | None:
    """The rows of a complete PNG file, or None where only the whole picture can be decoded."""
    places, palette, first, position = [], b"", b"", len(_SIGNATURE)
    while position + 12 <= len(data):
        length, kind = struct.unpack(">I4s", data[position : position + 8])
        start, position = position + 8, position + 12 + length
        if kind == b"IHDR":
            first = data[start : start + length]
        elif kind == b"PLTE":
            palette = data[start : start + length]
        elif kind == b"IDAT":
            places.append((start, start + length))
    width, height, bits, colour, _, _, interlaced = struct.unpack(">IIBBBBB", first)
    if interlaced or colour not in _CHANNELS or bits not in (8, 16) or (colour == _PALETTE and not palette):
        return None
    colours = None
    if colour == _PALETTE:
        colours = np.zeros((256, 3), dtype=np.uint8)
        given = np.frombuffer(palette[: len(palette) // 3 * 3], dtype=np.uint8).reshape(-1, 3)[:256, ::-1]
        colours[: len(given)] = given
    return PngRows(width, height, bits, colour, colours, tuple(places))


def png_bands(data: bytes, found: PngRows, *, rows: int, where: str = "") -> Iterator[Samples]:
    """Bands BGR (up to ``rows``, width, 3) from the top, not turned, 8 or 16 bits as they are.

    Raises:
        ImageFault: the compressed data is damaged or too short.
    """
    above: bytes | None = None
    for packed in _inflated(data, found, rows=rows, where=where):
        pixels = _decoded(packed, found, above=above)
        if pixels is None:
            raise _damaged(where)
        above = _as_stored(pixels[-1])
        yield _bgr(pixels, found)


def _inflated(data: bytes, found: PngRows, *, rows: int, where: str) -> Iterator[bytes]:
    """Filtered rows, ``rows`` at a time."""
    line = found.row_bytes + 1
    left = found.height_px * line
    stream, held = zlib.decompressobj(), bytearray()
    try:
        for piece in _pieces(data, found):
            if left <= 0 and held:  # more than the picture holds: of no use, and perhaps without end
                return
            held += stream.decompress(piece)
            while len(held) >= rows * line <= left:
                yield bytes(held[: rows * line])
                left -= rows * line
                del held[: rows * line]
        held += stream.flush()
    except zlib.error as error:
        raise _damaged(where) from error
    if len(held) < left or not (stream.eof or held):
        raise _damaged(where)
    if left > 0:
        yield bytes(held[:left])


def _pieces(data: bytes, found: PngRows) -> Iterator[bytes]:
    """The compressed stream in small pieces: 64 kB never inflate to more than 66 MB."""
    for start, end in found.places:
        for at in range(start, end, _FEED_BYTES):
            yield data[at : min(at + _FEED_BYTES, end)]


def _decoded(packed: bytes, found: PngRows, *, above: bytes | None) -> Samples | None:
    """Samples (rows, width, channels) of filtered rows, a palette's indices as grey."""
    height = len(packed) // (found.row_bytes + 1) + (above is not None)
    colour = _GREY if found.colour == _PALETTE else found.colour
    head = struct.pack(">IIBBBBB", found.width_px, height, found.bits, colour, 0, 0, 0)
    body = packed if above is None else b"\x00" + above + packed
    file = _SIGNATURE + _chunk(b"IHDR", head) + _chunk(b"IDAT", zlib.compress(body, 0)) + _chunk(b"IEND", b"")
    try:
        pixels = cv2.imdecode(np.frombuffer(file, dtype=np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error:
        return None
    if pixels is None or pixels.shape[:2] != (height, found.width_px):
        return None
    samples = np.asarray(pixels, dtype=np.uint8 if found.bits == 8 else np.uint16)
    samples = samples.reshape(height, found.width_px, -1)
    return samples if above is None else samples[1:]


def _as_stored(row: Samples) -> bytes:
    """Bytes of a row (width, channels) of OpenCV's order: red first, high byte first."""
    if row.shape[1] >= 3:
        row = row[:, [2, 1, 0, *range(3, row.shape[1])]]
    return (row.astype(">u2") if row.dtype == np.uint16 else row).tobytes()


def _bgr(samples: Samples, found: PngRows) -> Samples:
    if found.palette is not None:
        return np.asarray(found.palette[samples[..., 0]])
    return np.repeat(samples, 3, axis=2) if found.colour == _GREY else samples[..., :3]


def _chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _damaged(where: str) -> ImageFault:
    return ImageFault("unreadable image: its data is damaged", where=where, cure="Copy it again, or remove it")
