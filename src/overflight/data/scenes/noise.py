"""Random textures: fractal value noise as 8-bit rasters, cheap enough for tens of megapixels.

Knows nothing of what the textures are used for.
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
"""An image: height x width or height x width x channels; the docstrings give dtype and range."""


def generator(*key: int) -> np.random.Generator:
    """A generator that depends on the whole ``key`` and on nothing else (counter-based seeds)."""
    return np.random.default_rng(np.random.SeedSequence(list(key)))


def bytes_grid(rng: np.random.Generator, shape: tuple[int, int]) -> Array:
    """Independent uniform bytes, uint8."""
    return np.frombuffer(rng.bytes(shape[0] * shape[1]), np.uint8).reshape(shape)


def value_noise(rng: np.random.Generator, shape: tuple[int, int], *, cell_px: float | tuple[float, float]) -> Array:
    """Smooth noise whose bumps are about ``cell_px`` (rows, columns) wide; uint8 around 128."""
    cell_y, cell_x = cell_px if isinstance(cell_px, tuple) else (cell_px, cell_px)
    grid = (max(2, int(np.ceil(shape[0] / cell_y)) + 2), max(2, int(np.ceil(shape[1] / cell_x)) + 2))
    return cv2.resize(bytes_grid(rng, grid), (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def fractal(
    rng: np.random.Generator, shape: tuple[int, int], *, cell_px: float, octaves: int = 3, gain: float = 0.55
) -> Array:
    """Sum of ``octaves`` value noises, each with half the cell and ``gain`` times the weight; uint8 around 128.

    The sum is built from the coarsest octave upwards on rasters no finer than needed, then brought to ``shape``.
    """
    weights = np.array([gain**octave for octave in range(octaves)])
    weights /= np.sqrt((weights**2).sum())
    finest_px = max(1.0, cell_px / 2 ** (octaves - 1) / 2)
    small = (max(4, int(shape[0] / finest_px)), max(4, int(shape[1] / finest_px)))
    total = np.full(small, 128.0, np.float32)
    for octave, weight in enumerate(weights):
        layer = value_noise(rng, small, cell_px=max(1.0, cell_px / finest_px / 2**octave))
        total += (layer.astype(np.float32) - 127.5) * np.float32(weight)
    low = np.clip(total, 0, 255).astype(np.uint8)
    if low.shape == shape:
        return low
    return cv2.resize(low, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC)


def speckle(rng: np.random.Generator, shape: tuple[int, int], *, tile_px: int = 1024) -> Array:
    """Pixel-sized grain, uint8 around 128; a tile repeated, which cannot be seen in uncorrelated grain."""
    size = (tile_px, tile_px)
    fine = cv2.GaussianBlur(bytes_grid(rng, size), (3, 3), 0.55, borderType=cv2.BORDER_WRAP)
    coarse = cv2.resize(bytes_grid(rng, (tile_px // 2, tile_px // 2)), size, interpolation=cv2.INTER_LINEAR)
    tile = cv2.addWeighted(fine, 1.1, coarse, 0.9, -128)
    repeats = (-(-shape[0] // tile_px), -(-shape[1] // tile_px))
    return np.ascontiguousarray(np.tile(tile, repeats)[: shape[0], : shape[1]])


def ramp(colours: list[tuple[int, int, int]]) -> Array:
    """A lookup table (256 x 1 x 3, uint8) running evenly through ``colours`` (RGB)."""
    stops = np.linspace(0, 255, len(colours))
    table = np.stack([np.interp(np.arange(256), stops, [c[i] for c in colours]) for i in range(3)], axis=1)
    return np.round(table).astype(np.uint8).reshape(256, 1, 3)


def contrast(values: Array, factor: float, *, centre: float = 128.0) -> Array:
    """``values`` (uint8) stretched about their centre."""
    return cv2.addWeighted(values, factor, values, 0.0, centre - 128.0 * factor)


def colourise(values: Array, table: Array) -> Array:
    """``values`` (uint8, height x width) looked up in a :func:`ramp`; uint8 RGB."""
    return cv2.LUT(cv2.merge([values, values, values]), table)


def mute(rgb: Array, saturation: float) -> None:
    """Reduce the saturation of ``rgb`` (uint8) in place, as air and lens do."""
    grey = cv2.cvtColor(rgb, cv2.COLOR_RGB2GRAY)
    cv2.addWeighted(rgb, saturation, cv2.merge([grey, grey, grey]), 1 - saturation, 0, rgb)
