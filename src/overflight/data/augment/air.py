"""Haze and the shadows of clouds: light on its way to the ground and back, uneven as air is.

Own code because Albumentations' ``RandomFog`` puts round patches on a tile and takes 1.3 s for 640 px, and its
``RandomShadow`` has the hard edges of polygons.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data.augment.draws import HazeLayer
from overflight.imaging.codecs import Rgb

Field = NDArray[np.float32]

_OCTAVES = ((3, 0.8), (7, 0.3))  # cells along the longer side, height
_COARSER = 4  # the field is smooth: a sixteenth of the points is enough
_EDGE_SHARE = 0.5
_AIRLIGHT_AT_LEAST = 150.0


def hazy(rgb: Rgb, layer: HazeLayer) -> Rgb:
    """``picture * t + airlight * (1 - t)`` (Koschmieder 1924), t uneven; the airlight is a little blue.

    The airlight is as bright as the brightest hundredth of the picture, but light grey at least.
    """
    height, width = rgb.shape[:2]
    bright = max(float(np.percentile(rgb[:: max(1, height // 128), :: max(1, width // 128)], 99)), _AIRLIGHT_AT_LEAST)
    airlight = np.minimum(np.array([0.96, 0.98, 1.0]) * bright, 255).astype(np.float32)
    uneven = _clouds(width, height, seed=layer.seed) * layer.unevenness
    if layer.thicker_above:
        uneven += np.linspace(0.5, -0.5, height, dtype=np.float32)[:, None] * (1 - layer.transmission)
    share = np.clip(layer.transmission - uneven, 0.05, 1.0).astype(np.float32)
    return _by_channel(rgb, [(share, (1 - share) * float(colour)) for colour in airlight])


def shadowed(rgb: Rgb, darkness: float, *, seed: int) -> Rgb:
    """Soft shadows of clouds over about half of the picture, ``darkness`` (0..1) deep; a shadow is a little blue."""
    height, width = rgb.shape[:2]
    depth = np.clip(_clouds(width, height, seed=seed) / _EDGE_SHARE + 0.5, 0, 1).astype(np.float32)
    return _by_channel(rgb, [(1 - depth * np.float32(tint * darkness), None) for tint in (1.0, 0.97, 0.9)])


def _by_channel(rgb: Rgb, terms: Sequence[tuple[Field, Field | None]]) -> Rgb:
    """``channel * factor + summand`` for each channel, rounded: faster than one product over all three."""
    channels = []
    for channel, (factor, summand) in zip(cv2.split(rgb), terms, strict=True):
        scaled = cv2.multiply(channel, factor, dtype=cv2.CV_8U if summand is None else cv2.CV_32F)
        channels.append(scaled if summand is None else cv2.add(scaled, summand, dtype=cv2.CV_8U))
    return np.asarray(cv2.merge(channels), dtype=np.uint8)


def _clouds(width_px: int, height_px: int, *, seed: int) -> Field:
    """Smooth random field (height, width), about -1..1 with the middle 0."""
    random = np.random.default_rng(seed)
    full_wh = (width_px, height_px)
    width_px, height_px = (-(-side // _COARSER) for side in full_wh)
    side = max(width_px, height_px)
    field = np.zeros((height_px, width_px), dtype=np.float32)
    for cells, weight in _OCTAVES:
        coarse = random.uniform(-weight, weight, (cells + 2, cells + 2)).astype(np.float32)
        # A part of a larger field at an odd angle: a grid along the picture's sides would be seen.
        turn = cv2.getRotationMatrix2D((0.0, 0.0), float(random.uniform(0, 90)), side / cells)
        turn[:, 2] += (width_px / 2, height_px / 2) - turn[:, :2] @ np.full(2, (cells + 1) / 2)
        field += cv2.warpAffine(
            coarse, turn, (width_px, height_px), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REFLECT_101
        )
    smooth = cv2.resize(field - np.median(field), full_wh, interpolation=cv2.INTER_LINEAR)
    return np.asarray(smooth, dtype=np.float32)
