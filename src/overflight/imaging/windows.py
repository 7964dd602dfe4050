"""Parts of a photograph as pixels, upright, without holding the whole of a large one where its format allows that.

PNG and TIFF files of more than ``BANDED_FROM_PX`` are decoded some rows at a time, and a part is handed out as soon as
its rows are there: 108 megapixels take the memory of the file and of the rows of one row of parts. JPEG and interlaced
PNG are decoded whole (3 bytes a pixel), and so is a TIFF compressed in one strip (12 bytes). Both ways give the same
pixels. Parts are turned upright one by one, so a turned photograph is never held twice. 16 bits become 8 as in
``codecs``: by the largest sample of the whole picture, for which a banded one is decoded twice.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.codecs import decode_stored, shift_to_8_bits, upright
from overflight.imaging.header import MAX_PIXELS, Header, ImageFault, read_header
from overflight.imaging.png_bands import png_bands, png_rows
from overflight.imaging.tiff_bands import tiff_bands
from overflight.imaging.tiles import Tile

BANDED_FROM_PX = 24_000_000
_BAND_PX = 3_000_000

Bgr = NDArray[np.uint8]
Band = NDArray[Any]  # uint8 or uint16


def windows(
    data: bytes,
    parts: Sequence[Tile],
    *,
    where: str = "",
    size_wh: tuple[int, int] | None = None,
    buffer: NDArray[np.uint8] | None = None,
    banded_from_px: int = BANDED_FROM_PX,
    max_pixels: int = MAX_PIXELS,
) -> Iterator[tuple[int, Bgr]]:
    """Number and pixels BGR (height, width, 3) of each part, in the order in which they become known.

    Pixels are views: they are valid until the next ones are asked for.

    Args:
        data: The whole file.
        parts: Rectangles of the upright photograph, within it.
        where: Name for messages.
        size_wh: Columns and rows, upright, that the parts were planned for.
        buffer: Memory that a plain JPEG may be decoded into.
        banded_from_px: Pictures of more pixels are decoded by rows where possible.
        max_pixels: Refuse larger pictures.

    Raises:
        ImageFault: the file cannot be read, or has another size; parts may have been handed out by then.
        ValueError: a part is not within the photograph.
    """
    header = read_header(data, where=where, max_pixels=max_pixels)
    if size_wh is not None and size_wh != (header.width_px, header.height_px):
        what = f"is {header.width_px}x{header.height_px} px, not {size_wh[0]}x{size_wh[1]} px as it was"
        raise ImageFault(what, where=where, cure="Add the survey again: the photograph was changed")
    if any(p.x0 < 0 or p.y0 < 0 or p.x1 > header.width_px or p.y1 > header.height_px for p in parts):
        raise ValueError(f"{where}: a part lies outside of {header.width_px}x{header.height_px} px")
    stored = [_as_stored(part, header) for part in parts]
    bands = None
    if header.width_px * header.height_px > banded_from_px:
        bands = _bands(data, header, where=where)
    if bands is None:
        whole = decode_stored(data, header, where=where, order="BGR", buffer=buffer)
        bands, shift = (lambda: iter([whole])), shift_to_8_bits(int(whole.max(initial=0)) if header.bits > 8 else 0)
    else:
        largest = max((int(band.max(initial=0)) for band in bands()), default=0) if header.bits > 8 else 0
        shift = shift_to_8_bits(largest)
    for number, pixels in _cut(bands(), stored):
        plain = pixels if pixels.dtype == np.uint8 else pixels >> shift
        turned = upright(np.asarray(plain, dtype=np.uint8), header.orientation)
        yield number, turned if header.orientation == 1 else np.ascontiguousarray(turned)


def _bands(data: bytes, header: Header, *, where: str) -> Callable[[], Iterator[Band]] | None:
    """Starts the bands of a file from the top; None where it has to be decoded whole."""
    across = header.width_px if header.orientation < 5 else header.height_px
    rows = max(16, _BAND_PX // max(across, 1))
    if header.format == "png":
        found = png_rows(data)
        return None if found is None else lambda: png_bands(data, found, rows=rows, where=where)
    if header.format == "tiff" and tiff_bands(data, rows=rows) is not None:
        return lambda: (
            decode_stored(file, read_header(file, where=where), where=where, order="BGR")
            for file in tiff_bands(data, rows=rows) or ()
        )
    return None


def _cut(bands: Iterator[Band], parts: Sequence[Tile]) -> Iterator[tuple[int, Band]]:
    """Parts of the stored picture; rows that no part needs any more are let go."""
    todo = sorted(range(len(parts)), key=lambda number: (parts[number].y0, parts[number].x0), reverse=True)
    held: Band | None = None
    top = 0
    for band in bands:
        held = band if held is None or not len(held) else np.concatenate([held, band])
        bottom = top + len(held)
        waiting = []
        while todo and parts[todo[-1]].y0 < bottom:
            number = todo.pop()
            part = parts[number]
            if part.y1 <= bottom:
                yield number, held[part.y0 - top : part.y1 - top, part.x0 : part.x1]
            else:
                waiting.append(number)
        todo += reversed(waiting)
        needed = min((parts[number].y0 for number in waiting), default=bottom)
        held, top = held[needed - top :], needed


def _as_stored(part: Tile, header: Header) -> Tile:
    """Where a rectangle of the upright photograph lies in the stored picture (the inverse of ``codecs.upright``)."""
    x0, y0, x1, y1 = part.x0, part.y0, part.x1, part.y1
    width, height, turn = header.width_px, header.height_px, header.orientation
    if turn in (3, 4, 7, 8):
        y0, y1 = height - y1, height - y0
    if turn in (2, 3, 6, 7):
        x0, x1 = width - x1, width - x0
    if turn in (5, 6, 7, 8):
        x0, y0, x1, y1 = y0, x0, y1, x1
    return Tile(x0, y0, x1, y1)
