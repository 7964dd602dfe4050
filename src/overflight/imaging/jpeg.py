"""The quick way through plain JPEG: 8 bits, grey or three colours, no damage; everything else is OpenCV's.

simplejpeg and OpenCV both hold libjpeg-turbo and give the same pixels, bit by bit; simplejpeg hands whole pictures to
it at once, which takes a third less time for a photograph of 12 megapixels. Encoding stays OpenCV's: it reads a part of
a larger picture where it lies, and simplejpeg is no faster. Nothing here turns a picture upright.
"""

from __future__ import annotations

from typing import Literal

import cv2
import numpy as np
import simplejpeg
from numpy.typing import NDArray

from overflight.imaging.header import Header

Order = Literal["RGB", "BGR"]


def decode_plain(
    data: bytes, header: Header, *, order: Order = "RGB", buffer: NDArray[np.uint8] | None = None
) -> NDArray[np.uint8] | None:
    """Pixels (height, width, 3) as stored, not turned; None where another decoder has to judge.

    Args:
        data: The whole file.
        header: Its header, already checked.
        order: Order of the colours.
        buffer: Memory (bytes,) to be used; the picture lies in it and changes with it. A smaller one is not used.
    """
    if header.format != "jpeg" or header.bits != 8 or header.channels not in (1, 3):
        return None
    if buffer is not None and len(buffer) < header.width_px * header.height_px * 3:
        buffer = None
    try:
        return np.asarray(simplejpeg.decode_jpeg(data, order, buffer=buffer, strict=True), dtype=np.uint8)
    except ValueError:  # damaged, or of a kind that libjpeg-turbo's simple interface does not know
        return None


def encode_bgr(bgr: NDArray[np.uint8], quality: int) -> memoryview:
    """JPEG file (4:2:0, no metadata) of a BGR picture, which may be a part of a larger one.

    Equal pixels give equal bytes, the same as ``codecs.encode_jpeg`` gives for them in RGB.

    Args:
        bgr: uint8 (height, width, 3).
        quality: 1..100.

    Raises:
        ValueError: it cannot be encoded.
    """
    written, data = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not written:
        raise ValueError(f"a picture of {bgr.shape} cannot be encoded as JPEG")
    return np.asarray(data, dtype=np.uint8).data
