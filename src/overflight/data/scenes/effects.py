"""What the air, the lens and the sensor do to a picture: haze, fog, vignette, blur, noise, tone.

Works on finished RGB pictures (uint8); knows nothing of the scene.
"""

from __future__ import annotations

import functools

import cv2
import numpy as np

from overflight.data.scenes.noise import Array, generator
from overflight.data.scenes.plan import Weather

_NOISE_SIGMA = 28.0


def develop(rgb: Array, weather: Weather, *, fog: float, blur_px: float, rng: np.random.Generator) -> Array:
    """The picture as the camera delivers it; uint8 RGB of the same size."""
    height, width = rgb.shape[:2]
    seen = _fogged(rgb, fog, rng) if fog > 0 else rgb
    sigma = float(np.hypot(weather.blur_px, blur_px))
    size = max(3, int(sigma * 3) * 2 + 1)
    seen = cv2.GaussianBlur(seen, (size, size), sigma)
    seen = cv2.multiply(seen, _vignette(height, width), scale=1 / 255)
    seen = cv2.LUT(seen, _tone(weather, rng))
    tile = _grain(height + 64, width + 64)
    top, left = (int(value) for value in rng.integers(0, 64, 2))
    grain = tile[top : top + height, left : left + width]
    if rng.random() < 0.5:
        grain = cv2.flip(grain, int(rng.integers(-1, 2)))
    share = weather.noise / _NOISE_SIGMA
    return cv2.addWeighted(seen, 1.0, grain, share, -128 * share)


def _fogged(rgb: Array, fog: float, rng: np.random.Generator) -> Array:
    """Grey veil of uneven thickness, with the contrast lost behind it."""
    height, width = rgb.shape[:2]
    coarse = rng.uniform(-0.10, 0.10, (4, 5)).astype(np.float32)
    veil = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC) * np.float32(fog) + np.float32(0.80 * fog)
    air = np.array([196, 201, 206], np.float32)
    soft = cv2.GaussianBlur(rgb, (0, 0), 0.3 + 1.6 * fog)
    veiled: Array = np.clip(soft + (air - soft) * np.clip(veil, 0, 0.93)[:, :, None], 0, 255).astype(np.uint8)
    return veiled


@functools.lru_cache(maxsize=4)
def _vignette(height: int, width: int) -> Array:
    """Darker corners, uint8 RGB, 255 in the middle."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    fall = 255 * (1 - 0.10 * ((x * x + y * y) / 2) ** 1.5)
    return np.repeat(np.round(fall).astype(np.uint8)[:, :, None], 3, axis=2)


@functools.lru_cache(maxsize=4)
def _grain(height: int, width: int) -> Array:
    """Sensor noise, uint8 RGB around 128: mostly luminance, a little colour, slightly clumped."""
    rng = generator(height, width, 6)
    grey = rng.normal(0, 1, (height, width, 1)).astype(np.float32)
    colour = rng.normal(0, 0.45, (height, width, 3)).astype(np.float32)
    clumped = cv2.GaussianBlur(grey + colour, (3, 3), 0.6)
    clumped *= _NOISE_SIGMA / clumped.std()
    return np.clip(128 + clumped, 0, 255).astype(np.uint8)


def _tone(weather: Weather, rng: np.random.Generator) -> Array:
    """Contrast curve, haze and a small change of exposure and white balance per photograph (256 x 1 x 3, uint8)."""
    level = np.arange(256) / 255
    curve = level + 0.06 * np.sin(2 * np.pi * (level - 0.5)) * (1 - weather.night)
    air = np.array([0.72, 0.77, 0.82]) * (1 - 0.8 * weather.night)
    balance = 1 + rng.normal(0, 0.008, 3)
    exposure = 1 + rng.normal(0, 0.015)
    toned = curve[:, None] * balance * exposure
    hazy = toned * (1 - weather.haze) + air * weather.haze
    return np.clip(np.round(hazy * 255), 0, 255).astype(np.uint8).reshape(256, 1, 3)
