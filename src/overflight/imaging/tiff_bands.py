"""A large TIFF some rows at a time: each band is a small TIFF of its own, made of the strips or tiles that hold it.

Strips and tiles are compressed independently of each other (TIFF 6.0, section 3 and 15), so a directory that names some
of them is a picture again, and every decoder of whole pictures decodes it. A file whose only strip is not compressed is
divided by rows; one whose only strip is compressed has to be decoded whole. It judges nothing: a damaged strip is
noticed by who decodes the band.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator

from overflight.imaging.tiff import TiffFile, TiffTag, integers, open_tiff, written

_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _SAMPLES, _PLANAR = 256, 257, 258, 259, 277, 284
_STRIP_OFFSETS, _ROWS_PER_STRIP, _STRIP_BYTES = 273, 278, 279
_TILE_WIDTH, _TILE_HEIGHT, _TILE_OFFSETS, _TILE_BYTES = 322, 323, 324, 325
# What a decoder needs: colour model, order of bits, predictor, palette, extra bands, JPEG's tables, YCbCr.
_NEEDED = frozenset({_WIDTH, _BITS, _COMPRESSION, 262, 266, _SAMPLES, _PLANAR, 292, 293, 317, 320})
_COPIED = _NEEDED | {_TILE_WIDTH, _TILE_HEIGHT, 338, 339, 347, 529, 530, 531, 532}
_LONG, _BIG_KINDS, _MAX_CHUNKS = 4, 16, 1 << 20
_MIN_BANDS = 2


def tiff_bands(data: bytes, *, rows: int) -> Iterator[bytes] | None:
    """Files of bands from the top, each of at least ``rows`` rows but for the last; None: it cannot be divided.

    Args:
        data: A complete TIFF file whose structure was checked.
        rows: Least number of rows in a band.
    """
    file, entries = open_tiff(data)

    def one(tag: int, default: int) -> int:
        found = integers(file, entries.get(tag), at_most=4096)
        return found[0] if found else default

    width, height, bands = one(_WIDTH, 0), one(_HEIGHT, 0), one(_SAMPLES, 1)
    planes = bands if one(_PLANAR, 1) == 2 else 1
    tiled = _TILE_OFFSETS in entries
    step = min(one(_TILE_HEIGHT, 0) if tiled else one(_ROWS_PER_STRIP, height), height)
    across = -(-width // max(one(_TILE_WIDTH, 0), 1)) if tiled else 1
    offsets = integers(file, entries.get(_TILE_OFFSETS if tiled else _STRIP_OFFSETS), at_most=_MAX_CHUNKS)
    sizes_in = entries.get(_TILE_BYTES if tiled else _STRIP_BYTES, entries.get(_STRIP_BYTES))
    places = list(zip(offsets, integers(file, sizes_in, at_most=_MAX_CHUNKS), strict=False))
    line = width * bands * one(_BITS, 1) // 8
    if len(places) == 1 and not tiled and planes == 1 and one(_COMPRESSION, 1) == 1 and places[0][1] >= line * height:
        step, first = rows, places[0][0]
        places = [(first + top * line, min(rows, height - top) * line) for top in range(0, height, rows)]
    if step < 1 or len(places) != planes * across * -(-height // step) or len(places) < _MIN_BANDS * planes * across:
        return None
    copied = {tag: _classic(file, entry) for tag, entry in entries.items() if tag in _COPIED}
    return _files(data, file, copied, places=places, planes=planes, across=across, step=step, height=height, rows=rows)


def _files(
    data: bytes,
    file: TiffFile,
    copied: dict[int, TiffTag],
    *,
    places: list[tuple[int, int]],
    planes: int,
    across: int,
    step: int,
    height: int,
    rows: int,
) -> Iterator[bytes]:
    down = -(-height // step)
    at_once = max(1, -(-rows // step))
    tiled = _TILE_WIDTH in copied
    for first in range(0, down, at_once):
        last = min(first + at_once, down)
        chosen = [
            places[plane * down * across + at] for plane in range(planes) for at in range(first * across, last * across)
        ]
        tall = min(last * step, height) - first * step
        fields = dict(copied)
        fields[_HEIGHT] = _longs(file, [tall])
        if not tiled:
            fields[_ROWS_PER_STRIP] = _longs(file, [step])
        fields[_TILE_BYTES if tiled else _STRIP_BYTES] = _longs(file, [size for _, size in chosen])
        where = _TILE_OFFSETS if tiled else _STRIP_OFFSETS
        fields[where] = _longs(file, [0] * len(chosen))
        start = 8 + len(written(file.order, fields, 8))
        starts = []
        for _, size in chosen:
            starts.append(start)
            start += size
        fields[where] = _longs(file, starts)
        head = (b"II*\x00" if file.order == "<" else b"MM\x00*") + struct.pack(f"{file.order}I", 8)
        yield b"".join([head, written(file.order, fields, 8), *(data[at : at + size] for at, size in chosen)])


def _classic(file: TiffFile, tag: TiffTag) -> TiffTag:
    """Integers of 64 bits, which only BigTIFF has, with 32."""
    return tag if tag.kind < _BIG_KINDS else _longs(file, list(integers(file, tag, at_most=_MAX_CHUNKS)))


def _longs(file: TiffFile, values: list[int]) -> TiffTag:
    return TiffTag(_LONG, len(values), 0, struct.pack(f"{file.order}{len(values)}I", *values))
