"""Measures of one decoded photograph: brightness, contrast, sharpness, noise, haze, and what near duplicates share.

Everything is measured on the upright picture reduced to a longer side of 1024 px by area averaging (994 to 1054 px
where a whole number of pixels becomes one, which is faster; smaller pictures stay as they are), so that photographs of
2 and 12 megapixels have comparable figures. Equal bytes give equal figures. It decides nothing: limits are in the
catalogue of checks.

JPEG is reduced by 2, 4 or 8 while it is decoded (``scaled``), in half the time. Where a whole number of pixels becomes
one (4000, 4032, 4096, 8000 px, but not 5472 or 3840) the figures are those of the whole picture averaged: on 20 real
photographs of 4000 px sharpness, focus and contrast differ by 2 to 3 % at most, but for nearly black ones (a lens cap:
sharpness by 9 %). Elsewhere two reductions follow each other and smooth twice: sharpness is up to a third lower, focus
and noise a fifth, contrast 2 %. Other figures of light and colour are the same to 2 grey levels. So compare sharpness
among photographs of one size. ``tests/data/test_profile_scaled.py`` holds the figures to that.

Sources: ITU-R BT.601 (luma); J. L. Pech-Pacheco et al., ICPR 2000 (variance of the Laplacian as sharpness);
J. Immerkaer, Fast noise variance estimation, CVIU 64 (1996); K. He et al., Single image haze removal using dark channel
prior, CVPR 2009; C. E. Shannon 1948 (entropy); D. Hasler, S. Suesstrunk, Measuring colourfulness in natural images,
SPIE 5007 (2003); C. Zauner, Implementation and benchmarking of perceptual image hash
functions, 2010 (DCT hash).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.errors import InputError
from overflight.imaging.codecs import decode, upright
from overflight.imaging.header import Header

LONGER_SIDE_PX = 1024
THUMB_SIDE_PX = 32
DARK_LUMA, BRIGHT_LUMA = 5, 250

_REDUCED = ((8, cv2.IMREAD_REDUCED_COLOR_8), (4, cv2.IMREAD_REDUCED_COLOR_4), (2, cv2.IMREAD_REDUCED_COLOR_2))
_IMMERKAER = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], dtype=np.float32)
_NOISE_BLOCK_PX = 16
_CLOSE_SCALE = 0.03
_FOCUS_BLOCK_PX = 64
_FOCUS_MIN_VARIANCE = 25.0
# Across, down and the diagonals; these are halved for their longer step.
_SECOND_DIFFERENCES = (
    (np.array([[1, -2, 1]], dtype=np.float32), 1.0),
    (np.array([[1], [-2], [1]], dtype=np.float32), 1.0),
    (np.array([[1, 0, 0], [0, -2, 0], [0, 0, 1]], dtype=np.float32), 0.5),
    (np.array([[0, 0, 1], [0, -2, 0], [1, 0, 0]], dtype=np.float32), 0.5),
)
_HAZE_SIDE_PX = 256
_HAZE_PATCH = np.ones((15, 15), dtype=np.uint8)
_MISSING_DATA_GREY = 128

Picture = NDArray[np.uint8]


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
        focus: Mean square second difference / variance of luma, in the direction where it is lowest (across, down or
            diagonal), 90 % quantile of blocks of 64 x 64 px with a standard deviation above 5; 0 when there is none.
            0.15 to 1.4 in sharp photographs, below 0.12 in those blurred by focus or motion.
        noise_sigma: Standard deviation of noise (Immerkaer 1996) in the quietest tenth of the picture, in grey levels.
        entropy_bits: Entropy of the luma histogram, 0..8.
        saturation: Mean HSV saturation, 0..255.
        illumination: (brightest - darkest cell of a 4 x 4 grid of mean luma) / 255, 0..1.
        haze: Dark channel (minimum of RGB over 15 x 15 px at 256 px) / 255, 10 % quantile of the picture, 0..1: haze
            lifts even the darkest places, a bright sky does not. Half transmission gives above 0.42.
        missing_share: Share of rows at the bottom that a JPEG decoder filled up with grey for lack of data, 0..1.
        phash: 64-bit perceptual hash (DCT) of the upright picture.
        thumb: (32, 32) uint8 luma, for correlations.
        mean_red: Mean of red, 0..255.
        mean_green: Mean of green.
        mean_blue: Mean of blue.
        colourfulness: Spread and mean of red - green and yellow - blue (Hasler and Suesstrunk 2003): 0 is grey, 33
            moderately, above 59 highly colourful.
    """

    mean_luma: float
    contrast: float
    p1_luma: float
    p99_luma: float
    dark_share: float
    bright_share: float
    sharpness: float
    focus: float
    noise_sigma: float
    entropy_bits: float
    saturation: float
    illumination: float
    haze: float
    missing_share: float
    phash: int
    thumb: NDArray[np.uint8] = field(repr=False)
    mean_red: float = 0.0
    mean_green: float = 0.0
    mean_blue: float = 0.0
    colourfulness: float = 0.0


def pixel_facts(data: bytes, header: Header, *, where: str = "", scaled: bool = True) -> PixelFacts:
    """Measures of the photograph in ``data``, a whole file with this ``header``.

    Args:
        data: The file.
        header: Its header.
        where: Name for messages.
        scaled: Reduce a JPEG while it is decoded. Off: every pixel is decoded and then averaged.

    Raises:
        InputError: the pixels cannot be decoded.
    """
    if header.format == "jpeg":
        stored = _reduced_jpeg(data, header, where=where, scaled=scaled)
        return measure(upright(stored, header.orientation), missing_share=_missing_share(stored))
    return measure(decode(data, where=where)[:, :, ::-1])


def measure(bgr: Picture, *, missing_share: float = 0.0) -> PixelFacts:
    """Measures of an upright BGR picture (height, width, 3) of any size."""
    bgr = np.ascontiguousarray(bgr)
    # Luma is reduced, not the colours: a third of the work.
    luma = _to_scale(np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2GRAY), dtype=np.uint8))
    small = _fitted(_halved(bgr, 3 * _HAZE_SIDE_PX // 2), _HAZE_SIDE_PX)
    shares = cv2.calcHist([luma], [0], None, [256], [0, 256]).ravel().astype(np.float64) / luma.size
    levels = np.arange(256.0)
    mean = float(shares @ levels)
    below = np.cumsum(shares)
    used = shares[shares > 0]
    sharpness, focus = _sharpness(luma)
    blue, green, red, _ = cv2.mean(small)
    thumb = np.asarray(cv2.resize(luma, (THUMB_SIDE_PX,) * 2, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    cells = cv2.resize(thumb, (4, 4), interpolation=cv2.INTER_AREA)
    return PixelFacts(
        mean_luma=mean,
        contrast=math.sqrt(max(0.0, float(shares @ (levels - mean) ** 2))),
        p1_luma=float(np.searchsorted(below, 0.01)),
        p99_luma=float(np.searchsorted(below, 0.99)),
        dark_share=float(below[DARK_LUMA]),
        bright_share=float(shares[BRIGHT_LUMA:].sum()),
        sharpness=sharpness,
        focus=focus,
        noise_sigma=_noise_sigma(luma),
        entropy_bits=max(0.0, float(-(used @ np.log2(used)))),
        saturation=float(cv2.mean(cv2.cvtColor(small, cv2.COLOR_BGR2HSV))[1]),
        illumination=float(int(cells.max()) - int(cells.min())) / 255,
        haze=float(np.quantile(cv2.erode(small.min(axis=2), _HAZE_PATCH), 0.1)) / 255,
        missing_share=missing_share,
        phash=_phash(thumb),
        thumb=thumb,
        mean_red=float(red),
        mean_green=float(green),
        mean_blue=float(blue),
        colourfulness=_colourfulness(small),
    )


def _reduced_jpeg(data: bytes, header: Header, *, where: str, scaled: bool) -> Picture:
    """BGR picture as stored (not turned), reduced where ``scaled``.

    It is the least scale that keeps the longer side >= 1024 px, or that is part of the whole number it is reduced by.
    """
    longer = max(header.width_px, header.height_px) if scaled else 0
    step = _whole_step(longer)
    flags = cv2.IMREAD_COLOR
    for scale, flag in _REDUCED:
        if longer >= scale * LONGER_SIDE_PX or (step and step % scale == 0):
            flags = flag
            break
    try:
        bgr = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error as error:
        raise InputError(f"unreadable image: {error.err}", where=where, cure="Copy it again, or remove it") from error
    if bgr is None:
        raise InputError("unreadable image: its data is damaged", where=where, cure="Copy it again, or remove it")
    return np.asarray(bgr, dtype=np.uint8)


def _missing_share(stored: Picture) -> float:
    """Share of rows at the bottom that are grey 128 in all channels, which is what libjpeg fills missing data with.

    Of a progressive JPEG only the details go missing; that cannot be told from a blurred photograph.
    """
    if (stored[-1] != _MISSING_DATA_GREY).any():
        return 0.0
    grey = (stored == _MISSING_DATA_GREY).all(axis=(1, 2))[::-1]
    rows = len(grey) if grey.all() else int(np.argmin(grey))
    return rows / len(grey)


def _fitted(picture: Picture, longer_px: int) -> Picture:
    """``picture`` reduced to a longer side of ``longer_px`` px; unchanged when it is not longer."""
    height, width = picture.shape[:2]
    longer = max(height, width)
    if longer <= longer_px:
        return picture
    size_wh = (max(1, round(width * longer_px / longer)), max(1, round(height * longer_px / longer)))
    return np.asarray(cv2.resize(picture, size_wh, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _whole_step(longer_px: int) -> int:
    """By which whole number a longer side is reduced to nearly 1024 px; 0 when none comes close."""
    step = round(longer_px / LONGER_SIDE_PX)
    return step if step > 1 and abs(longer_px / step / LONGER_SIDE_PX - 1) <= _CLOSE_SCALE else 0


def _to_scale(luma: Picture) -> Picture:
    """``luma`` reduced to a longer side of 1024 px, or by a whole number where that comes close to it."""
    height, width = luma.shape[:2]
    step = _whole_step(max(height, width))
    if not step or min(height, width) < step:
        return _fitted(luma, LONGER_SIDE_PX)
    rows, columns = height // step, width // step
    cut = luma[: rows * step, : columns * step]
    return np.asarray(cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.uint8)


def _halved(picture: Picture, longer_px: int) -> Picture:
    """``picture`` halved, which is fast, as long as its longer side stays at least ``longer_px`` px."""
    height, width = picture.shape[:2]
    while max(height, width) >= 2 * longer_px and min(height, width) >= 2:
        height, width = height // 2, width // 2
        cut = picture[: 2 * height, : 2 * width]
        picture = np.asarray(cv2.resize(cut, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return picture


def _colourfulness(bgr: Picture) -> float:
    """Hasler and Suesstrunk's M3: sqrt(var(rg) + var(yb)) + 0.3 * sqrt(mean(rg)^2 + mean(yb)^2)."""
    blue, green, red = (channel.astype(np.int16) for channel in cv2.split(bgr))
    opponents = (red - green, (red + green) * np.float32(0.5) - blue)
    means = [float(values.mean()) for values in opponents]
    deviations = [float(values.std()) for values in opponents]
    return math.hypot(*deviations) + 0.3 * math.hypot(*means)


def _sharpness(luma: Picture) -> tuple[float, float]:
    """Variance of the Laplacian of the whole picture, and focus (see :class:`PixelFacts`).

    The variance alone says as much about the ground as about the lens: tarmac is low, leaves are high, and a clear sky
    over sharp houses is lower than a blurred forest. Divided by the variance of luma it is the mean square spatial
    frequency, which any blur lowers; of the blocks with structure the sharper ones are looked at. Motion blurs in one
    direction only, so the lowest of four directions counts.
    """
    laplacian = cv2.Laplacian(luma, cv2.CV_16S, ksize=1)
    sharpness = cv2.norm(laplacian, cv2.NORM_L2SQR) / luma.size - cv2.mean(laplacian)[0] ** 2
    pixels = luma.astype(np.float32)
    variance = _block_means(pixels * pixels, _FOCUS_BLOCK_PX) - _block_means(pixels, _FOCUS_BLOCK_PX) ** 2
    used = variance > _FOCUS_MIN_VARIANCE
    if not used.any():
        return sharpness, 0.0
    found = []
    for kernel, weight in _SECOND_DIFFERENCES:
        response = cv2.filter2D(luma, cv2.CV_16S, kernel)
        squares = np.asarray(cv2.multiply(response, response, dtype=cv2.CV_32F), dtype=np.float32)
        power = weight * _block_means(squares, _FOCUS_BLOCK_PX)
        found.append(float(np.quantile(power[used] / variance[used], 0.9)))
    return sharpness, min(found)


def _noise_sigma(luma: Picture) -> float:
    """Immerkaer's estimate, sqrt(pi / 2) / 6 * mean |response|, in the quietest tenth of blocks of 16 x 16 px.

    Over the whole picture the estimate counts leaves and roofs as noise. Blocks at black or white show no noise and are
    left out. Taking a quantile makes it about a tenth too low on pure noise.
    """
    found = np.abs(cv2.filter2D(luma, cv2.CV_16S, _IMMERKAER)).astype(np.float32)
    response = _block_means(found, _NOISE_BLOCK_PX)
    means = _block_means(luma.astype(np.float32), _NOISE_BLOCK_PX)
    used = response[(means > DARK_LUMA) & (means < BRIGHT_LUMA)]
    return float(math.sqrt(math.pi / 2) / 6 * np.quantile(used, 0.1)) if used.size else 0.0


def _block_means(values: NDArray[np.float32], side_px: int) -> NDArray[np.float64]:
    """Means of whole blocks of ``side_px`` x ``side_px`` px (of the whole picture's width or height if it has less)."""
    tall, wide = min(side_px, values.shape[0]), min(side_px, values.shape[1])
    rows, columns = values.shape[0] // tall, values.shape[1] // wide
    cut = values[: rows * tall, : columns * wide]
    return np.asarray(cv2.resize(cut, (columns, rows), interpolation=cv2.INTER_AREA), dtype=np.float64)


def _phash(thumb: Picture) -> int:
    """64 bits: which of the 8 x 8 lowest DCT coefficients of the 32 x 32 thumb exceed their median."""
    low = cv2.dct(thumb.astype(np.float32))[:8, :8].ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")
