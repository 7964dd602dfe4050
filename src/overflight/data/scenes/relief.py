"""What a camera at a finite height sees of tall things: roofs and crowns lean outwards and hide the ground behind them.

The camera looks straight down, so everything at height ``z`` is the ground's picture enlarged about the centre by
``altitude / (altitude - z)``; the surface is found layer by layer, from the ground upwards. Knows no colours.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.camera import Camera
from overflight.data.scenes.noise import Array

LEVELS_PER_M = 20.0
"""Heights are bytes of 5 cm: up to 12.75 m."""

_LAYER = 5
"""Heights are searched in layers of this many levels (25 cm)."""


@dataclass(frozen=True)
class Surface:
    """The surface seen at each pixel of a photograph.

    Attributes:
        height: Its height above ground in levels, uint8, at half the photograph's resolution.
        wall: How far below the top edge a wall is seen, in levels, uint8 (0: not a wall), same resolution.
    """

    height: Array
    wall: Array


def to_levels(height_m: Array) -> Array:
    """Heights (metres) as bytes."""
    return np.clip(height_m * LEVELS_PER_M + 0.5, 0, 255).astype(np.uint8)


def smooth_crowns(height_m: Array, walls: Array, *, pixel_m: float) -> Array:
    """Heights in levels with crowns as smooth domes (their clumps would lean in slices) and buildings as they are."""
    size = int(0.7 / pixel_m) | 1
    domes = cv2.blur(cv2.blur(height_m, (size, size)), (size, size))
    return to_levels(np.where(walls > 0, height_m, np.minimum(domes, height_m + 0.4)))


def find_surface(levels: Array, camera: Camera, *, pixel_m: float) -> Surface | None:
    """The visible surface, or None where nothing stands within the picture.

    Args:
        levels: The site's height raster in levels, uint8.
        camera: The photograph's geometry.
        pixel_m: Size of the height raster's pixels.
    """
    size = (camera.width_px // 2, camera.height_px // 2)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    matrix = camera.raster_matrix(pixel_m, reduce=2)
    below = cv2.warpAffine(levels, matrix, size, flags=flags)
    tallest = int(below.max())
    if tallest < _LAYER:
        return None
    seen = cv2.min(below, _full(size, _LAYER - 1))
    wall = np.zeros_like(below)
    centre_x, centre_y = (size[0] - 1) / 2, (size[1] - 1) / 2
    for level in range(_LAYER, tallest + 1, _LAYER):
        shrink = 1 / camera.magnification(level / LEVELS_PER_M)
        zoom = np.array([[shrink, 0, centre_x * (1 - shrink)], [0, shrink, centre_y * (1 - shrink)]], np.float64)
        here = cv2.warpAffine(below, zoom, size, flags=flags)
        hit = cv2.threshold(here, level - 1, 255, cv2.THRESH_BINARY)[1]
        top = cv2.min(here, _full(size, level + _LAYER - 1))
        cv2.copyTo(top, hit, seen)
        cv2.copyTo(cv2.subtract(here, top), hit, wall)
    closed = cv2.morphologyEx(wall, cv2.MORPH_CLOSE, np.ones((5, 5), np.uint8))
    return Surface(cv2.medianBlur(seen, 3), closed)


def _full(size: tuple[int, int], value: int) -> Array:
    return np.full((size[1], size[0]), min(value, 255), np.uint8)


def ground_maps(surface: Surface, camera: Camera) -> tuple[Array, Array]:
    """For each pixel of the picture, the pixel of the ground right below what is seen (float32 x and y maps)."""
    size = (camera.width_px, camera.height_px)
    height = cv2.resize(surface.height, size, interpolation=cv2.INTER_LINEAR)
    table = np.array([1 / camera.magnification(level / LEVELS_PER_M) for level in range(256)], np.float32)
    shrink = table[height]
    centre_x, centre_y = camera.centre_px
    x = shrink * (np.arange(size[0], dtype=np.float32) - np.float32(centre_x))[None, :] + np.float32(centre_x)
    y = shrink * (np.arange(size[1], dtype=np.float32) - np.float32(centre_y))[:, None] + np.float32(centre_y)
    return x, y
