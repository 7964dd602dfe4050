"""What one photograph's file says: digest, header, metadata and, where it was decoded, measures of its pixels.

The values are facts; what is too dark or too blurred is decided by ``overflight.data.checks``. It does not know labels.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from overflight.data.metadata import PhotoMetadata
from overflight.imaging.header import Header


@dataclass(frozen=True)
class PixelFacts:
    """Measures of the decoded picture; luma is 0..255 (BT.601).

    Attributes:
        mean_luma: Mean brightness.
        contrast: Standard deviation of luma.
        p1_luma: 1st percentile of luma.
        p99_luma: 99th percentile of luma.
        dark_share: Share of pixels with luma <= 5, 0..1.
        bright_share: Share of pixels with luma >= 250, 0..1.
        sharpness: Variance of the Laplacian at a longer side of 1024 px.
        noise_sigma: Standard deviation of noise (Immerkaer 1996), in grey levels.
        entropy_bits: Entropy of the luma histogram, 0..8.
        saturation: Mean HSV saturation, 0..255.
        illumination: (brightest - darkest cell of a 4 x 4 grid of mean luma) / 255, 0..1.
        haze: Mean of the dark channel (minimum of RGB over 15 x 15 px at 256 px) / 255, 0..1.
        phash: 64-bit perceptual hash (DCT) of the upright picture.
        thumb: (32, 32) uint8 luma, for correlations.
    """

    mean_luma: float
    contrast: float
    p1_luma: float
    p99_luma: float
    dark_share: float
    bright_share: float
    sharpness: float
    noise_sigma: float
    entropy_bits: float
    saturation: float
    illumination: float
    haze: float
    phash: int
    thumb: NDArray[np.uint8] = field(repr=False)


@dataclass(frozen=True)
class PhotoFacts:
    """One photograph.

    Attributes:
        key: Path relative to the source's root.
        bytes: Size of the file.
        sha256: Of the file, 64 hex digits; empty when it could not be opened.
        header: None when the file cannot be read as a picture.
        metadata: What EXIF and XMP say.
        pixels: None when it was not decoded (not asked for, or damaged).
        fault: Code of a finding when the file cannot be used (``zero-bytes``, ``truncated``, ``unreadable``), else "".
        fault_what: One sentence about the fault.
    """

    key: str
    bytes: int
    sha256: str
    header: Header | None
    metadata: PhotoMetadata
    pixels: PixelFacts | None = None
    fault: str = ""
    fault_what: str = ""

    @property
    def size_wh_px(self) -> tuple[int, int] | None:
        """Width and height of the upright photograph."""
        return None if self.header is None else (self.header.width_px, self.header.height_px)
