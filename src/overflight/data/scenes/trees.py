"""Tree crowns and bushes: clusters of leaves with depth, drawn into colour and height rasters.

A handful of crowns is grown per site and planted turned, scaled and tinted, so no two look alike.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from overflight.data.scenes.noise import Array
from overflight.data.scenes.world import Tree

_VARIANTS = 7

_TINTS = {
    "temperate": {
        "broad": ((58, 74, 34), (116, 128, 62)),
        "conifer": ((34, 52, 36), (72, 92, 64)),
        "bush": ((52, 68, 34), (104, 116, 62)),
    },
    "lush": {
        "broad": ((46, 74, 30), (110, 138, 58)),
        "conifer": ((30, 52, 36), (64, 94, 62)),
        "bush": ((46, 70, 32), (100, 124, 58)),
    },
    "dry": {
        "broad": ((74, 78, 42), (136, 132, 78)),
        "conifer": ((46, 58, 40), (84, 94, 66)),
        "bush": ((80, 80, 46), (128, 122, 76)),
    },
    "arid": {
        "broad": ((78, 82, 56), (136, 136, 102)),
        "conifer": ((60, 70, 48), (100, 106, 78)),
        "bush": ((96, 90, 62), (142, 132, 98)),
    },
}


class Crowns:
    """Crowns of one site.

    Args:
        rng: Source of the shapes; consumed in a fixed order.
        gsd_m: Ground sample distance of the colour raster (the height raster has twice that).
        palette: Name of the region.
    """

    def __init__(self, rng: np.random.Generator, *, gsd_m: float, palette: str) -> None:
        self.gsd_m = gsd_m
        self._tints = _TINTS[palette]
        self._radius_px = int(np.clip(2.6 / gsd_m, 12, 150))
        self._grown = {
            species: [_grow(rng, self._radius_px, species) for _ in range(_VARIANTS)]
            for species in ("broad", "conifer", "bush")
        }

    def plant(self, albedo: Array, height: Array, tree: Tree, rng: np.random.Generator) -> None:
        """Draw one tree into ``albedo`` (uint8 RGB) and ``height`` (float32 m, half the resolution)."""
        variant = self._grown[tree.species][int(rng.integers(_VARIANTS))]
        turn = float(rng.uniform(0, 2 * math.pi))
        low, high = (np.array(tint, np.float32) for tint in self._tints[tree.species])
        tint = low + (high - low) * tree.tone + rng.normal(0, 5, 3).astype(np.float32)
        scale = tree.radius_m / self.gsd_m / self._radius_px
        _place(albedo, variant, tree, scale=scale, turn=turn, gsd_m=self.gsd_m, tint=tint)
        _raise(height, variant, tree, scale=scale / 2, turn=turn, gsd_m=2 * self.gsd_m)


def _grow(rng: np.random.Generator, radius_px: int, species: str) -> Array:
    """One crown as float32 (height 0..1, brightness 0..2, alpha 0..1), a square of about ``2.6 * radius_px``."""
    size = int(radius_px * 2.6) | 1
    middle = size / 2
    top = np.zeros((size, size), np.float32)
    light = np.zeros((size, size), np.float32)
    clumps = {"broad": 150, "conifer": 190, "bush": 70}[species]
    squash = float(rng.uniform(0.82, 1.0))
    lobes = rng.uniform(0, 2 * math.pi, 3)
    for _ in range(clumps):
        angle, share = rng.uniform(0, 2 * math.pi), math.sqrt(rng.random())
        outline = (
            1
            + 0.14 * math.sin(2 * angle + lobes[0])
            + 0.10 * math.sin(3 * angle + lobes[1])
            + 0.07 * math.sin(5 * angle + lobes[2])
        )
        reach = radius_px * 0.86 * share * outline
        x, y = middle + reach * math.cos(angle), middle + reach * math.sin(angle) * squash
        dome = math.sqrt(max(0.0, 1 - 0.85 * share**2)) if species != "conifer" else 1 - 0.9 * share
        small = radius_px * float(rng.uniform(0.10, 0.24)) * (0.75 if species == "conifer" else 1.0)
        crest, shade = dome * float(rng.uniform(0.82, 1.0)), float(rng.normal(1.0, 0.13))
        _clump(top, light, (x, y), radius=small, crest=crest, shade=shade)
    leaves = rng.normal(0, 1, (size, size)).astype(np.float32)
    leaves = cv2.GaussianBlur(leaves, (0, 0), 0.7) + 0.6 * cv2.GaussianBlur(leaves, (0, 0), 2.0) * 2.0
    top = np.maximum(top + leaves * 0.035 * (top > 0), 0)
    alpha = np.clip((top - 0.12 + leaves * 0.05) * 12, 0, 1)
    depth = cv2.blur(top, (radius_px // 5 | 1, radius_px // 5 | 1))
    hollow = np.clip(1 + (top - depth) * 2.6, 0.35, 1.5)
    brightness = light * hollow * (0.62 + 0.5 * top) * (1 + leaves * 0.16)
    return np.stack([top, np.clip(brightness, 0, 2), alpha], axis=2).astype(np.float32)


def _clump(top: Array, light: Array, centre: tuple[float, float], *, radius: float, crest: float, shade: float) -> None:
    """Add one rounded clump of leaves where it stands higher than what is there."""
    x0, y0 = max(0, int(centre[0] - radius)), max(0, int(centre[1] - radius))
    x1, y1 = min(top.shape[1], int(centre[0] + radius) + 2), min(top.shape[0], int(centre[1] + radius) + 2)
    if x1 <= x0 or y1 <= y0:
        return
    x = (np.arange(x0, x1, dtype=np.float32) - centre[0])[None, :] / radius
    y = (np.arange(y0, y1, dtype=np.float32) - centre[1])[:, None] / radius
    cap = 1 - x * x - y * y
    level = np.where(cap > 0, crest - 0.16 * (1 - np.sqrt(np.maximum(cap, 0))), 0).astype(np.float32)
    higher = level > top[y0:y1, x0:x1]
    top[y0:y1, x0:x1][higher] = level[higher]
    light[y0:y1, x0:x1][higher] = shade


def _window(shape: tuple[int, ...], x: float, y: float, reach: float) -> tuple[int, int, int, int]:
    """Clipped window (left, top, right, bottom) of half side ``reach`` about a pixel."""
    return (
        max(0, int(x - reach)),
        max(0, int(y - reach)),
        min(shape[1], int(x + reach) + 1),
        min(shape[0], int(y + reach) + 1),
    )


def _turned(
    variant: Array, centre: tuple[float, float], *, scale: float, turn: float, window: tuple[int, int, int, int]
) -> Array:
    cos, sin = scale * math.cos(turn), scale * math.sin(turn)
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0]], np.float64)
    middle = np.array([(variant.shape[1] - 1) / 2, (variant.shape[0] - 1) / 2])
    matrix[:, 2] = np.array([centre[0] - window[0], centre[1] - window[1]]) - matrix[:, :2] @ middle
    return cv2.warpAffine(variant, matrix, (window[2] - window[0], window[3] - window[1]), flags=cv2.INTER_LINEAR)


def _place(albedo: Array, variant: Array, tree: Tree, *, scale: float, turn: float, gsd_m: float, tint: Array) -> None:
    x, y = tree.x_m / gsd_m, tree.y_m / gsd_m
    window = _window(albedo.shape, x, y, variant.shape[0] / 2 * scale * 1.42)
    if window[2] - window[0] < 2 or window[3] - window[1] < 2:
        return
    crown = _turned(variant, (x, y), scale=scale, turn=turn, window=window)
    part = albedo[window[1] : window[3], window[0] : window[2]]
    alpha = crown[:, :, 2:3]
    part[:] = np.clip(part * (1 - alpha) + tint * crown[:, :, 1:2] * alpha, 0, 255).astype(np.uint8)


def _raise(height: Array, variant: Array, tree: Tree, *, scale: float, turn: float, gsd_m: float) -> None:
    x, y = tree.x_m / gsd_m, tree.y_m / gsd_m
    window = _window(height.shape, x, y, variant.shape[0] / 2 * scale * 1.42)
    if window[2] - window[0] < 2 or window[3] - window[1] < 2:
        return
    crown = _turned(variant, (x, y), scale=scale, turn=turn, window=window)
    part = height[window[1] : window[3], window[0] : window[2]]
    np.maximum(part, crown[:, :, 0] * crown[:, :, 2] * np.float32(tree.height_m), out=part)
