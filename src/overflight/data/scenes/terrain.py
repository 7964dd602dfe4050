"""A site's ground as rasters: colour in even light, and height above ground.

Draws a layout once; light, camera and moving things come later. Nothing here depends on a flight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.buildings import draw_building
from overflight.data.scenes.details import age
from overflight.data.scenes.materials import PALETTES, Textures
from overflight.data.scenes.noise import Array, generator, mute
from overflight.data.scenes.trees import Crowns
from overflight.data.scenes.world import Layout, Marking, Zone

HEIGHT_SCALE = 2
"""The height raster has half the resolution of the colour raster."""

_SHIFT = 4


@dataclass(frozen=True)
class Terrain:
    """Rasters of one site.

    Attributes:
        albedo: Colours as they appear in full sun, uint8 RGB, row 0 in the north.
        height_m: Height above ground, float32, at half the resolution.
        walls: Brightness of a building's walls where one stands, uint8 (0: no building), same resolution.
        gsd_m: Ground sample distance of ``albedo``.
    """

    albedo: Array
    height_m: Array
    walls: Array
    gsd_m: float


def draw_terrain(layout: Layout, *, seed: int, gsd_m: float) -> Terrain:
    """Draw ``layout`` with ``gsd_m`` metres a pixel."""
    rng = generator(seed, 2)
    side_px = math.ceil(layout.side_m / gsd_m / HEIGHT_SCALE) * HEIGHT_SCALE
    textures = Textures(rng, (side_px, side_px), gsd_m)
    albedo = np.zeros((side_px, side_px, 3), np.uint8)
    height = np.zeros((side_px // HEIGHT_SCALE, side_px // HEIGHT_SCALE), np.float32)
    walls = np.zeros(height.shape, np.uint8)
    palette = PALETTES[layout.palette]
    for zone in layout.zones:
        window, mask = _zone_mask(zone, textures)
        if mask is not None:
            colours = textures.paint(palette[zone.material], window, zone.rows_rad)
            cv2.copyTo(colours, mask, albedo[window])
    for marking in layout.markings:
        _draw_marking(albedo, marking, textures)
    age(albedo, layout, rng, gsd_m=gsd_m)
    for building in layout.buildings:
        draw_building(albedo, height, walls, building, gsd_m=gsd_m)
    crowns = Crowns(rng, gsd_m=gsd_m, palette=layout.palette)
    for tree in sorted(layout.trees, key=lambda tree: tree.height_m):
        crowns.plant(albedo, height, tree, rng)
    mute(albedo, 0.80)
    return Terrain(albedo, height, cv2.dilate(walls, np.ones((5, 5), np.uint8)), gsd_m)


def fixed_point(points_px: Array) -> Array:
    """Pixel coordinates as OpenCV's fixed point numbers with ``_SHIFT`` fractional bits."""
    fixed: Array = np.round(points_px * 2**_SHIFT).astype(np.int32)
    return fixed


def _zone_mask(zone: Zone, textures: Textures) -> tuple[tuple[slice, slice], Array | None]:
    """The zone's window in the raster and its mask (uint8, 0 or 255), or None where it lies outside."""
    points = zone.polygon_m / textures.gsd_m
    rough_px = zone.rough_m / textures.gsd_m
    low = np.floor(points.min(axis=0) - rough_px).astype(int)
    high = np.ceil(points.max(axis=0) + rough_px).astype(int) + 1
    x0, y0 = np.maximum(low, 0)
    x1, y1 = min(int(high[0]), textures.shape[1]), min(int(high[1]), textures.shape[0])
    window = (slice(int(y0), y1), slice(int(x0), x1))
    if x1 - x0 < 2 or y1 - y0 < 2:
        return window, None
    mask = np.zeros((y1 - int(y0), x1 - int(x0)), np.uint8)
    cv2.fillPoly(mask, [fixed_point(points - (x0, y0))], 255, lineType=cv2.LINE_8, shift=_SHIFT)
    if rough_px >= 1.0:
        mask = _fray(mask, textures.patch[window], textures.tuft[window], rough_px)
    return window, mask


def _fray(mask: Array, patch: Array, tuft: Array, rough_px: float) -> Array:
    """Move the mask's edge in and out by up to ``rough_px``, following the noise."""
    reduce = max(1, int(rough_px // 3))
    small = cv2.resize(mask, None, fx=1 / reduce, fy=1 / reduce, interpolation=cv2.INTER_AREA)
    size = int(2 * rough_px / reduce) | 1
    soft = cv2.resize(cv2.blur(small, (size, size)), (mask.shape[1], mask.shape[0]), interpolation=cv2.INTER_LINEAR)
    noisy = cv2.addWeighted(patch, 0.45, tuft, 0.25, -90)
    return cv2.threshold(cv2.addWeighted(soft, 1.0, noisy, 1.0, 0), 127, 255, cv2.THRESH_BINARY)[1]


def _draw_marking(albedo: Array, marking: Marking, textures: Textures) -> None:
    """Worn white paint along the line."""
    points = marking.line_m / textures.gsd_m
    pieces = [points] if marking.dash_m is None else _dashes(points, marking.dash_m, textures.gsd_m)
    low = np.maximum(np.floor(points.min(axis=0)).astype(int) - 20, 0)
    high = np.minimum(np.ceil(points.max(axis=0)).astype(int) + 20, textures.shape[::-1])
    if (high - low < 1).any():
        return
    window = (slice(int(low[1]), int(high[1])), slice(int(low[0]), int(high[0])))
    mask = np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
    outlines = [fixed_point(_thicken(piece, marking.width_m / textures.gsd_m) - low) for piece in pieces]
    for outline in outlines:
        cv2.fillPoly(mask, [outline], 255, lineType=cv2.LINE_AA, shift=_SHIFT)
    rows, columns = np.nonzero(mask)
    if not len(rows):
        return
    y, x = rows + window[0].start, columns + window[1].start
    worn = textures.tuft[y, x].astype(np.float32) * 0.5 + textures.patch[y, x] * 0.5
    share = mask[rows, columns] / 255.0 * np.clip(1.15 - marking.wear + (worn - 128) / 110, 0.15, 0.92)
    paint = np.array([216, 214, 206], np.float32) + (textures.grain[y, x, None].astype(np.float32) - 128) * 0.12
    albedo[y, x] = (albedo[y, x] * (1 - share[:, None]) + paint * share[:, None]).astype(np.uint8)


def _thicken(points: Array, width_px: float) -> Array:
    """Outline of a polyline of the given width."""
    along = np.gradient(points, axis=0)
    along /= np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-9)
    across = np.stack([-along[:, 1], along[:, 0]], axis=1) * width_px / 2
    return np.concatenate([points + across, (points - across)[::-1]])


def _dashes(points: Array, dash_m: tuple[float, float], gsd_m: float) -> list[Array]:
    """The painted pieces of a dashed polyline."""
    steps = np.linalg.norm(np.diff(points, axis=0), axis=1) * gsd_m
    at = np.concatenate([[0.0], np.cumsum(steps)])
    pieces = []
    for start in np.arange(0.0, at[-1] - dash_m[0], sum(dash_m)):
        inner = np.linspace(start, start + dash_m[0], 3)
        pieces.append(np.stack([np.interp(inner, at, points[:, axis]) for axis in (0, 1)], axis=1))
    return pieces
