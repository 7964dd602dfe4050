"""Bytes of a photograph to pixels and back, upright: RGB uint8 arrays (height, width, 3).

The EXIF orientation is applied, because labels and people refer to the upright picture. The first frame of an MPO
file is used; alpha is dropped, 16 bits become 8, grey and palettes become RGB. Damage inside a JPEG's compressed data
that leaves its structure whole is not noticed (no decoder reports it).
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.errors import InputError
from overflight.imaging.header import MAX_PIXELS, read_header

Rgb = NDArray[np.uint8]

_FLAGS = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION


def decode(data: bytes, *, where: str = "", max_pixels: int = MAX_PIXELS) -> Rgb:
    """Pixels of a JPEG or PNG file, upright, as RGB uint8 (height, width, 3), contiguous.

    Raises:
        InputError: the file is empty, damaged, cut off, of another format or larger than ``max_pixels``.
    """
    header = read_header(data, where=where, max_pixels=max_pixels)
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), _FLAGS)
    except cv2.error as error:
        raise InputError(f"unreadable image: {error.err}", where=where, cure="Copy it again, or remove it") from error
    if bgr is None:
        raise InputError("unreadable image: its data is damaged", where=where, cure="Copy it again, or remove it")
    rgb = cv2.cvtColor(upright(np.asarray(bgr, dtype=np.uint8), header.orientation), cv2.COLOR_BGR2RGB)
    return np.ascontiguousarray(rgb, dtype=np.uint8)


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
