"""Sun and sky: how brightly each spot of a site is lit, and where shadows fall.

Light is kept as one byte a pixel: :data:`FLAT` is open, level ground in the sun, 0 is full shadow. Knows no camera.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.noise import Array
from overflight.data.scenes.plan import Weather

FLAT = 128
GAIN_ONE = 128
"""Value of a gain table's entry that leaves a colour unchanged."""


LAMP_PIXEL_M = 0.4
"""Size of a pixel of :func:`lamp_pools`."""

LAMP_COLOUR = (0.52, 0.43, 0.30)
"""Gain that a street lamp adds right below it at night, by colour channel, as a share of the byte's range."""


@dataclass(frozen=True)
class SunLight:
    """Light of one flight over one site.

    Attributes:
        slope: Light by the slope of the surface, uint8 (:data:`FLAT` on level ground), one per pixel of the heights.
        shadow: Cast shadow, uint8 (255 is full shadow), same resolution.
        pixel_m: Size of a pixel of both.
        shadow_dx: Shadow's offset per metre of height, x (metres to the east).
        shadow_dy: The same, y (metres to the south).
    """

    slope: Array
    shadow: Array
    pixel_m: float
    shadow_dx: float
    shadow_dy: float


def light_site(height_m: Array, *, pixel_m: float, weather: Weather) -> SunLight:
    """Slope light and cast shadows of the height raster (float32 m)."""
    azimuth, elevation = math.radians(weather.sun_azimuth_deg), math.radians(weather.sun_elevation_deg)
    to_sun = (math.sin(azimuth), -math.cos(azimuth))
    steep = 1.0 / math.tan(elevation)
    grade_x = cv2.Sobel(height_m, cv2.CV_32F, 1, 0, ksize=3, scale=1 / (8 * pixel_m))
    grade_y = cv2.Sobel(height_m, cv2.CV_32F, 0, 1, ksize=3, scale=1 / (8 * pixel_m))
    facing = 1.0 - steep * (grade_x * np.float32(to_sun[0]) + grade_y * np.float32(to_sun[1]))
    facing /= np.sqrt(1.0 + grade_x * grade_x + grade_y * grade_y)
    slope = np.clip(facing * FLAT, 30, 235).astype(np.uint8)
    shadow = cast_shadow(height_m, pixel_m=pixel_m, to_sun=to_sun, elevation_rad=elevation)
    return SunLight(slope, shadow, pixel_m, -to_sun[0] * steep, -to_sun[1] * steep)


def cast_shadow(height_m: Array, *, pixel_m: float, to_sun: tuple[float, float], elevation_rad: float) -> Array:
    """Where something between here and the sun stands above the line of sight; uint8, 255 is full shadow.

    The highest sight line over all distances is found by doubling: a maximum over 1, 2, 4 ... steps towards the sun.
    """
    drop = math.tan(elevation_rad)
    low = cv2.resize(height_m, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    step_m = 2 * pixel_m
    reach = float(low.max()) / drop / step_m
    highest = low.copy()
    steps = 1
    while steps < 2 * reach:
        shift = np.array([[1, 0, -to_sun[0] * steps], [0, 1, -to_sun[1] * steps]], np.float64)
        moved = cv2.warpAffine(highest, shift, (low.shape[1], low.shape[0]), flags=cv2.INTER_LINEAR, borderValue=0)
        np.maximum(highest, moved - np.float32(steps * step_m * drop), out=highest)
        steps *= 2
    dark = np.clip((highest - low - 0.08) * np.float32(255 / 0.22), 0, 255).astype(np.uint8)
    soft: Array = cv2.GaussianBlur(dark, (3, 3), 0.8)
    return cv2.resize(soft, (height_m.shape[1], height_m.shape[0]), interpolation=cv2.INTER_LINEAR)


def gain_table(weather: Weather) -> Array:
    """Gain of each colour channel by light (256 x 1 x 3, uint8, :data:`GAIN_ONE` is one).

    Colours are stored with a gamma near 2, so a gain on them is the square root of the light's.
    """
    light = np.arange(256) / FLAT
    ambient = 0.24 + 0.62 * weather.cloud
    warm = weather.warmth * (1 - weather.cloud)
    sky = np.array([0.84, 0.96, 1.20]) * (1 - weather.cloud) + np.array([0.98, 1.0, 1.03]) * weather.cloud
    sun = np.array([1.0 + 0.08 * warm, 1.0, 1.0 - 0.12 * warm])
    brightness = weather.exposure * (1.06 - 0.10 * weather.cloud)
    total = ambient * sky[None, :] + (1 - ambient) * sun[None, :] * light[:, None]
    day = np.sqrt(np.maximum(total, 0)) * brightness
    moon = np.array([0.20, 0.25, 0.34])[None, :] * np.sqrt(0.35 + 0.65 * light[:, None])
    mixed = day * (1 - weather.night) ** 1.2 + moon * weather.night
    table: Array = np.clip(np.round(mixed * GAIN_ONE), 0, 255).astype(np.uint8)
    return table.reshape(256, 1, 3)


def lamp_pools(lamps_m: list[tuple[float, float]], *, side_m: float) -> Array:
    """Light of street lamps on the ground of a site: soft discs about 6 m wide, uint8, :data:`LAMP_PIXEL_M` a pixel."""
    cells = math.ceil(side_m / LAMP_PIXEL_M)
    x = (np.arange(cells, dtype=np.float32) + 0.5) * LAMP_PIXEL_M
    total = np.zeros((cells, cells), np.float32)
    for lamp_x, lamp_y in lamps_m:
        distance2 = ((x - lamp_x) ** 2)[None, :] + ((x - lamp_y) ** 2)[:, None]
        total += 1 / (1 + distance2 / 16) ** 1.5
    return np.clip(total * 255, 0, 255).astype(np.uint8)
