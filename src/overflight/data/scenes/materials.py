"""Ground materials: how grass, crops, asphalt, water and the rest look from above.

A material turns shared noise rasters into a value from 0 to 255 and looks that up in a ramp of colours as they appear
in sunlight. It knows nothing of shapes, shadows or the camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.noise import Array, colourise, fractal, ramp, speckle, value_noise

Colours = list[tuple[int, int, int]]


@dataclass(frozen=True)
class Material:
    """Colours from dark to light and how much of each noise decides between them.

    Attributes:
        colours: RGB stops, as seen in the sun.
        grain: Weight of pixel-sized noise (blades, grit).
        tuft: Weight of noise about 15 cm wide.
        patch: Weight of noise about 1 m wide.
        drift: Weight of noise about 10 m wide.
        pattern: Extra pattern: rows, tramlines, ripples, slabs, planks or empty.
        level: Middle of the value, 0..255.
    """

    colours: Colours
    grain: float = 0.25
    tuft: float = 0.3
    patch: float = 0.2
    drift: float = 0.25
    pattern: str = ""
    level: float = 128.0


_LAWN: Colours = [(40, 52, 24), (74, 92, 42), (98, 117, 56), (122, 138, 72), (152, 160, 98)]
_MEADOW: Colours = [(46, 50, 26), (82, 90, 46), (110, 114, 62), (138, 136, 82), (172, 164, 112)]
_EARTH: Colours = [(66, 52, 40), (98, 79, 60), (126, 104, 80), (150, 128, 100), (176, 155, 126)]

TEMPERATE: dict[str, Material] = {
    "lawn": Material(_LAWN, 0.30, 0.22, 0.16, 0.30),
    "meadow": Material(_MEADOW, 0.30, 0.36, 0.30, 0.34),
    "reeds": Material([(40, 44, 22), (78, 82, 40), (108, 106, 58), (146, 138, 86)], 0.35, 0.45, 0.3, 0.2),
    "forest_floor": Material([(24, 24, 16), (44, 44, 26), (66, 62, 38), (92, 84, 56)], 0.3, 0.4, 0.3, 0.2),
    "crop": Material(
        [(52, 48, 28), (70, 84, 36), (92, 110, 46), (116, 132, 62), (140, 150, 84)], 0.25, 0.25, 0.15, 0.22, "rows"
    ),
    "crop_young": Material(
        [(92, 76, 56), (118, 100, 72), (112, 112, 64), (96, 116, 52), (110, 130, 62)], 0.2, 0.2, 0.2, 0.25, "rows"
    ),
    "wheat": Material(
        [(120, 98, 56), (154, 130, 80), (178, 154, 100), (196, 174, 122), (212, 194, 148)],
        0.28,
        0.28,
        0.18,
        0.25,
        "rows",
    ),
    "ploughed": Material(_EARTH, 0.3, 0.35, 0.2, 0.3, "rows", 104),
    "asphalt": Material(
        [(74, 74, 76), (100, 100, 101), (113, 112, 112), (124, 123, 121), (150, 148, 145)],
        0.34,
        0.10,
        0.08,
        0.20,
        "stains",
    ),
    "asphalt_dark": Material(
        [(48, 49, 52), (66, 67, 70), (76, 77, 79), (87, 87, 88), (112, 111, 110)], 0.30, 0.10, 0.08, 0.18, "stains"
    ),
    "asphalt_old": Material(
        [(96, 94, 93), (124, 121, 120), (140, 137, 134), (152, 148, 144), (172, 168, 162)],
        0.36,
        0.14,
        0.12,
        0.26,
        "stains",
    ),
    "concrete": Material(
        [(120, 116, 108), (150, 146, 137), (168, 163, 153), (180, 175, 165), (198, 194, 184)],
        0.25,
        0.12,
        0.12,
        0.28,
        "slabs",
    ),
    "paving": Material(
        [(104, 98, 92), (136, 129, 121), (152, 145, 136), (166, 159, 150), (186, 180, 170)],
        0.25,
        0.14,
        0.10,
        0.18,
        "stones",
    ),
    "kerb": Material([(150, 147, 140), (176, 172, 164), (194, 190, 182)], 0.3, 0.2, 0.1, 0.1),
    "gravel": Material(
        [(98, 92, 84), (132, 125, 114), (152, 144, 132), (172, 165, 152), (200, 194, 182)], 0.55, 0.2, 0.15, 0.2
    ),
    "sand": Material(
        [(146, 128, 98), (176, 158, 126), (194, 177, 146), (208, 193, 164), (222, 210, 184)], 0.28, 0.14, 0.14, 0.24
    ),
    "water": Material(
        [(20, 34, 38), (32, 52, 56), (42, 66, 70), (58, 84, 88), (96, 120, 122)], 0.06, 0.08, 0.10, 0.20, "ripples"
    ),
    "planks": Material(
        [(78, 68, 58), (112, 100, 88), (136, 124, 110), (156, 145, 131), (176, 166, 152)],
        0.3,
        0.2,
        0.15,
        0.15,
        "planks",
    ),
}
"""Northern summer."""

_DRY: dict[str, Material] = {
    "lawn": Material(
        [(72, 70, 38), (112, 108, 58), (138, 130, 78), (160, 150, 98), (182, 170, 122)], 0.3, 0.24, 0.2, 0.34
    ),
    "meadow": Material(
        [(84, 74, 44), (124, 110, 68), (150, 136, 90), (172, 158, 112), (192, 180, 136)], 0.3, 0.36, 0.3, 0.34
    ),
}
_LUSH: dict[str, Material] = {
    "lawn": Material(
        [(40, 52, 28), (68, 84, 44), (90, 106, 58), (112, 128, 74), (142, 150, 100)], 0.3, 0.22, 0.16, 0.28
    ),
    "meadow": Material(
        [(44, 50, 28), (74, 84, 46), (98, 108, 60), (122, 128, 78), (154, 154, 106)], 0.3, 0.36, 0.3, 0.32
    ),
    "water": Material(
        [(22, 34, 28), (36, 52, 42), (48, 66, 54), (64, 84, 70), (104, 120, 104)], 0.06, 0.08, 0.1, 0.2, "ripples"
    ),
}
_ARID: dict[str, Material] = {
    "lawn": Material(
        [(120, 92, 60), (156, 126, 88), (178, 148, 108), (194, 168, 128), (210, 190, 154)], 0.3, 0.2, 0.2, 0.3
    ),
    "meadow": Material(
        [(122, 86, 58), (160, 118, 82), (182, 142, 102), (198, 164, 124), (214, 188, 152)], 0.32, 0.34, 0.3, 0.34
    ),
    "forest_floor": Material([(96, 70, 48), (130, 100, 72), (156, 124, 92), (176, 148, 114)], 0.3, 0.4, 0.3, 0.2),
    "crop": Material(
        [(140, 104, 70), (160, 124, 86), (128, 122, 74), (102, 112, 62), (118, 128, 78)], 0.2, 0.2, 0.15, 0.2, "rows"
    ),
    "water": Material(
        [(18, 60, 68), (30, 88, 96), (44, 110, 116), (66, 134, 138), (120, 170, 170)], 0.06, 0.08, 0.1, 0.22, "ripples"
    ),
    "reeds": Material([(96, 84, 52), (130, 116, 76), (156, 142, 100), (182, 168, 126)], 0.35, 0.4, 0.3, 0.2),
}
PALETTES: dict[str, dict[str, Material]] = {
    "temperate": TEMPERATE,
    "lush": TEMPERATE | _LUSH,
    "dry": TEMPERATE | _DRY,
    "arid": TEMPERATE | _ARID,
}
"""Materials of each region by name."""


class Textures:
    """The noise rasters of one site, shared by all its materials.

    Args:
        rng: Source of the noise; consumed in a fixed order.
        shape: Rows and columns of the site's raster.
        gsd_m: Ground sample distance of the raster.
    """

    def __init__(self, rng: np.random.Generator, shape: tuple[int, int], gsd_m: float) -> None:
        self.shape = shape
        self.gsd_m = gsd_m
        self.grain = speckle(rng, shape)
        self.tuft = fractal(rng, shape, cell_px=max(2.0, 0.22 / gsd_m), octaves=2)
        self.patch = fractal(rng, shape, cell_px=max(3.0, 1.6 / gsd_m), octaves=3)
        self.drift = fractal(rng, shape, cell_px=max(6.0, 14.0 / gsd_m), octaves=3)
        ripple = (max(2.0, 0.35 / gsd_m), max(2.0, 1.1 / gsd_m))
        self.ripple = value_noise(rng, shape, cell_px=ripple)

    def value(self, material: Material, window: tuple[slice, slice], rows_rad: float) -> Array:
        """The material's value (uint8) within ``window`` (rows, columns) of the site's raster."""
        total = cv2.addWeighted(self.grain[window], material.grain, self.tuft[window], material.tuft, 0)
        total = cv2.addWeighted(total, 1.0, self.patch[window], material.patch, 0)
        rest = material.grain + material.tuft + material.patch + material.drift
        total = cv2.addWeighted(total, 1.0, self.drift[window], material.drift, material.level - 128 * rest)
        if material.pattern:
            pattern = _PATTERNS[material.pattern](self, window, rows_rad)
            total = cv2.addWeighted(total, 1.0, pattern, 1.0, -128)
        return total

    def paint(self, material: Material, window: tuple[slice, slice], rows_rad: float = 0.0) -> Array:
        """The material's colours (uint8 RGB) within ``window``."""
        return colourise(self.value(material, window, rows_rad), ramp(material.colours))


def _axis_m(textures: Textures, window: tuple[slice, slice], angle_rad: float) -> Array:
    """Metres across the direction ``angle_rad`` for each pixel of the window, float32, slightly wavy."""
    x = np.arange(window[1].start, window[1].stop, dtype=np.float32) * np.float32(-math.sin(angle_rad) * textures.gsd_m)
    y = np.arange(window[0].start, window[0].stop, dtype=np.float32) * np.float32(math.cos(angle_rad) * textures.gsd_m)
    across = y[:, None] + x[None, :]
    return cv2.scaleAdd(textures.drift[window].astype(np.float32), 0.006, across)


def _wave(axis_m: Array, period_m: float, amplitude: float) -> Array:
    """A rounded wave of the given period as uint8 around 128."""
    index = (axis_m * np.float32(256.0 / period_m)).astype(np.int32) & 255
    table = np.clip(128 + amplitude * np.cos(np.arange(256) / 256 * 2 * np.pi), 0, 255).astype(np.uint8)
    wave: Array = table[index]
    return wave


def _rows(textures: Textures, window: tuple[slice, slice], rows_rad: float) -> Array:
    """Crop rows 0.5 m apart, and tractor lines: two wheel tracks every 12 m."""
    axis = _axis_m(textures, window, rows_rad)
    rows = _wave(axis, 0.5, 34.0)
    within = np.mod(axis, np.float32(12.0))
    tracks = (np.abs(within - 5.1) < 0.2) | (np.abs(within - 6.9) < 0.2)
    rows[tracks] = 58
    return rows


def _ripples(textures: Textures, window: tuple[slice, slice], _rows_rad: float) -> Array:
    return cv2.addWeighted(textures.ripple[window], 0.22, textures.ripple[window], 0.0, 100)


def _stains(textures: Textures, window: tuple[slice, slice], _rows_rad: float) -> Array:
    """Patches of newer asphalt and oil: the extremes of the coarse noise, softened."""
    dark = cv2.addWeighted(textures.patch[window], -3.0, textures.drift[window], 0.0, 165)
    return cv2.addWeighted(dark, -0.25, dark, 0.0, 128)


def _grid(textures: Textures, window: tuple[slice, slice], pitch_m: float, joint_m: float, depth: int) -> Array:
    """Darker joints on a square grid."""
    pattern = np.full((window[0].stop - window[0].start, window[1].stop - window[1].start), 128, np.uint8)
    rows = np.arange(window[0].start, window[0].stop) * textures.gsd_m % pitch_m < max(joint_m, textures.gsd_m)
    columns = np.arange(window[1].start, window[1].stop) * textures.gsd_m % pitch_m < max(joint_m, textures.gsd_m)
    pattern[rows, :] = 128 - depth
    pattern[:, columns] = 128 - depth
    return pattern


def _slabs(textures: Textures, window: tuple[slice, slice], _rows_rad: float) -> Array:
    return _grid(textures, window, 4.0, 0.05, 44)


def _stones(textures: Textures, window: tuple[slice, slice], _rows_rad: float) -> Array:
    return _grid(textures, window, 0.4, 0.03, 16)


def _planks(textures: Textures, window: tuple[slice, slice], rows_rad: float) -> Array:
    return _wave(_axis_m(textures, window, rows_rad), 0.16, 22.0)


_PATTERNS = {
    "rows": _rows,
    "ripples": _ripples,
    "stains": _stains,
    "slabs": _slabs,
    "stones": _stones,
    "planks": _planks,
}
