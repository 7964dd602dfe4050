"""Bytes of a photograph to pixels and back, upright: RGB uint8 arrays (height, width, 3).

The EXIF orientation is applied, because labels and people refer to the upright picture. The first frame of an MPO or
TIFF file is used; of more than three bands the first three; alpha is dropped without being applied; grey and palettes
become RGB.

16 bits become 8 by a shift that depends on the depth the camera used: 8, 10, 12, 14 or 16 bits, the least that holds
the picture's largest sample. So a 12-bit picture in a 16-bit file is not black (OpenCV and Pillow shift by 8 always),
and pictures of one camera are not stretched each in its own way; one whose largest sample needs fewer bits than its
neighbours' comes out brighter by a factor of 4.

Damage inside a JPEG's compressed data that leaves its structure whole is not noticed (no decoder reports it), except
the grey that a decoder fills in where the data of a baseline JPEG ends too early although its end marker is there.
"""

from __future__ import annotations

import io
from collections.abc import Container
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL.TiffImagePlugin import TiffImageFile

from overflight.imaging.header import MAX_PIXELS, Header, ImageFault, read_header
from overflight.imaging.jpeg import Order, decode_plain
from overflight.imaging.tiff import Tiff, read_tiff

Rgb = NDArray[np.uint8]
Samples = NDArray[Any]  # uint8 or uint16
FORMATS = ("jpeg", "png", "tiff")

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
_DEPTHS = (8, 10, 12, 14, 16)
_MAX_CV_BANDS = 4
_MISSING, _BLOCK_PX = 128, 8
# None, CCITT, LZW, JPEG, Deflate, PackBits, old Deflate, LZMA, Zstandard, WebP. OpenCV shows others as black.
_COMPRESSIONS = frozenset({1, 2, 3, 4, 5, 7, 8, 32773, 32946, 34925, 50000, 50001})

# OpenCV writes a line to stderr for every GeoTIFF tag it does not know; what fails is reported by our own errors.
cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


def decode(data: bytes, *, where: str = "", max_pixels: int = MAX_PIXELS, formats: Container[str] = FORMATS) -> Rgb:
    """Pixels of a JPEG, PNG or TIFF file, upright, as RGB uint8 (height, width, 3), contiguous.

    Args:
        data: The whole file.
        where: Name for messages.
        max_pixels: Refuse larger pictures.
        formats: Refuse others (``jpeg``, ``png``, ``tiff``).

    Raises:
        ImageFault: the file is empty, damaged, cut off, of another format or larger than ``max_pixels``.
    """
    header = read_header(data, where=where, max_pixels=max_pixels)
    if header.format not in formats:
        raise _refused(f"{header.format.upper()} is not accepted here", where, "Convert it to JPEG or PNG")
    rgb = to_8_bits(decode_stored(data, header, where=where))
    return np.ascontiguousarray(upright(rgb, header.orientation))


def decode_stored(
    data: bytes, header: Header, *, where: str = "", order: Order = "RGB", buffer: NDArray[np.uint8] | None = None
) -> Samples:
    """Pixels of a file whose header was read: (height, width, 3) as stored, not turned, 8 or 16 bits as they are.

    Args:
        data: The whole file.
        header: Of this file.
        where: Name for messages.
        order: Order of the colours.
        buffer: Memory that a plain JPEG may be decoded into; the result then changes with it.

    Raises:
        ImageFault: the data is damaged or cut off.
    """
    native: Order = order
    found: Samples | None = decode_plain(data, header, order=order, buffer=buffer)
    if found is None:
        native = "RGB" if header.format == "tiff" else "BGR"
        found = _tiff(data, where) if header.format == "tiff" else _opencv(data, header.bits)
    if found is None or found.shape[:2] != _stored_size(header):
        deep = header.format == "jpeg" and header.bits > 8
        what = f"JPEG of {header.bits} bits is not supported" if deep else "its data is damaged"
        raise _refused(what, where, "Convert it to 8 bits" if deep else "Copy it again, or remove it")
    missing = _filled_share(found) if header.format == "jpeg" else 0.0
    if missing:
        what = f"unreadable image: the file is cut off (the lower {missing:.0%} of the picture is missing)"
        raise ImageFault(what, code="truncated", where=where)
    return found if native == order else np.asarray(cv2.cvtColor(found, cv2.COLOR_BGR2RGB))


def to_8_bits(picture: Samples) -> Rgb:
    """8 bits of a picture of up to 16, by the shift described above; 8 bits stay as they are."""
    if picture.dtype == np.uint8:
        return np.asarray(picture, dtype=np.uint8)
    return np.asarray(picture >> shift_to_8_bits(int(picture.max(initial=0))), dtype=np.uint8)


def shift_to_8_bits(largest: int) -> int:
    """Bits to drop from 16 when ``largest`` is the picture's largest sample."""
    return next(depth for depth in _DEPTHS if depth >= largest.bit_length()) - 8


def _opencv(data: bytes, bits: int) -> Samples | None:
    """BGR (height, width, 3), not turned; None when OpenCV cannot read it."""
    flags = _FLAGS | cv2.IMREAD_ANYDEPTH if bits > 8 else _FLAGS
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error:
        return None
    if bgr is None or bgr.ndim != 3 or bgr.dtype not in (np.uint8, np.uint16):
        return None
    return np.asarray(bgr)


def _bgr_to_rgb(bgr: Samples | None) -> Samples | None:
    return None if bgr is None else np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB))


def _tiff(data: bytes, where: str) -> Samples | None:
    """RGB (height, width, 3), not turned.

    Pillow first: it notices damaged data, which OpenCV shows as black. OpenCV for what Pillow does not know or reads
    with 8 of 16 bits.
    """
    facts = read_tiff(data)
    if facts.floats or facts.bits > 16:
        what = f"{facts.bits}-bit {'float' if facts.floats else 'integer'} samples are no photograph"
        raise _refused(what, where, "Convert it to 8 or 16 bits per channel")
    if facts.compression not in _COMPRESSIONS:
        raise _refused(f"TIFF compression {facts.compression} is not supported", where, "Save it with LZW or Deflate")
    plain = bytearray(data)
    for start, value in facts.patches:
        plain[start : start + len(value)] = value
    neutral = bytes(plain)
    try:
        found = _pillow(neutral)
    except OSError:
        return None
    if found is None or (facts.bits > 8 and found.dtype == np.uint8):
        many = facts.bands > _MAX_CV_BANDS
        found = _uncompressed(data, facts) if many else _bgr_to_rgb(_opencv(neutral, facts.bits))
    if found is None and facts.bands > _MAX_CV_BANDS:
        what = f"{facts.bands} bands of {facts.bits} bits in compression {facts.compression}"
        raise _refused(what, where, "Export its red, green and blue bands as a picture")
    return found


def _refused(what: str, where: str, cure: str) -> ImageFault:
    return ImageFault(f"unreadable image: {what}", code="unreadable", where=where, cure=cure)


def _uncompressed(data: bytes, facts: Tiff) -> Samples | None:
    """First three bands of a picture of many bands that is stored pixel by pixel, row by row; else None."""
    width, height = facts.size_wh
    size = width * height * facts.bands * facts.bits // 8
    stored = b"".join(data[start : start + length] for start, length in facts.places)
    if facts.compression != 1 or facts.planar or facts.bits not in (8, 16) or len(stored) != size:
        return None
    order = "<" if data[:1] == b"I" else ">"
    samples = np.frombuffer(stored, dtype=np.dtype(f"{order}u{facts.bits // 8}"))
    rgb = samples.reshape(height, width, facts.bands)[..., :3]
    return rgb.astype(np.uint8 if facts.bits == 8 else np.uint16)


def _pillow(data: bytes) -> Samples | None:
    """RGB (height, width, 3), or None where Pillow does not know the kind of file.

    Raises:
        OSError: it knows the kind, but the data is damaged.
    """
    # The class itself, not Image.open: that warns about sizes, which the header has already judged.
    try:
        picture = TiffImageFile(io.BytesIO(data))
    except Exception:  # noqa: BLE001 - Pillow raises many kinds for what it does not know
        return None
    with picture:
        try:
            picture.load()
            if picture.mode.startswith("I;16"):
                return np.repeat(np.asarray(picture)[..., None], 3, axis=2).astype(np.uint16)
            return np.asarray(picture.convert("RGB"))
        except (ValueError, KeyError, TypeError, Warning):  # a mode that cannot be converted or unpacked
            return None


def _filled_share(rgb: Samples) -> float:
    """Share of rows at the bottom that the decoder filled in for missing data, 0 when there are none.

    Missing blocks are grey of exactly 128 (all coefficients 0). A grey edge that was drawn on purpose is as wide as the
    picture; missing blocks begin in the middle of a row, so the right end of the row above them is grey too.
    """
    if not (rgb[-1] == _MISSING).all():
        return 0.0
    grey = (rgb == _MISSING).all(axis=2)
    filled = int(np.argmin(grey.all(axis=1)[::-1]))
    above = len(rgb) - filled
    if filled < _BLOCK_PX or not grey[max(0, above - 4) : above, -_BLOCK_PX:].all():
        return 0.0
    return filled / len(rgb)


def _stored_size(header: Header) -> tuple[int, int]:
    size = (header.height_px, header.width_px)
    return size if header.orientation < 5 else size[::-1]


def encode_jpeg(rgb: Rgb, quality: int = 95) -> bytes:
    """JPEG file (4:2:0, no metadata) of an RGB uint8 picture (height, width, 3); equal pixels give equal bytes.

    Args:
        rgb: The picture.
        quality: 1..100.

    Raises:
        ValueError: not an RGB uint8 picture.
    """
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ValueError(f"an RGB uint8 picture is needed, not {rgb.dtype} {rgb.shape}")
    bgr = cv2.cvtColor(np.ascontiguousarray(rgb), cv2.COLOR_RGB2BGR)
    written, buffer = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise ValueError(f"a picture of {rgb.shape} cannot be encoded as JPEG")
    return buffer.tobytes()


def upright(picture: Rgb, orientation: int) -> Rgb:
    """``picture`` (height, width, channels) turned as EXIF orientation 1..8 asks (Exif 2.3, tag 0x0112)."""
    if orientation in (5, 6, 7, 8):
        picture = picture.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        picture = picture[:, ::-1]
    if orientation in (3, 4, 7, 8):
        picture = picture[::-1]
    return picture
