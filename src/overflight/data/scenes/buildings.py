"""Houses and halls: roofs with ridges, tiles, chimneys and skylights, drawn into colour and height rasters.

Light and cast shadows follow from the height raster and are not drawn here.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from overflight.data.scenes.noise import Array, colourise, generator, ramp
from overflight.data.scenes.world import Building

_TILES = [
    [(84, 48, 38), (122, 72, 56), (146, 92, 72), (170, 116, 94)],
    [(70, 50, 44), (100, 74, 64), (122, 94, 82), (146, 118, 104)],
    [(52, 53, 58), (74, 76, 82), (92, 94, 99), (116, 117, 120)],
    [(64, 60, 58), (92, 86, 82), (112, 106, 101), (136, 130, 124)],
]
_FLAT = [
    [(92, 90, 88), (122, 120, 117), (142, 139, 135), (164, 161, 156)],
    [(124, 122, 118), (156, 153, 149), (178, 175, 170), (198, 195, 190)],
]
_METAL = [
    [(108, 114, 120), (140, 147, 153), (162, 168, 173), (188, 192, 196)],
    [(74, 92, 98), (100, 120, 126), (120, 139, 144), (146, 162, 166)],
    [(112, 66, 56), (140, 88, 76), (156, 104, 90), (176, 128, 114)],
]


def draw_building(albedo: Array, height: Array, walls: Array, building: Building, *, gsd_m: float) -> None:
    """Draw the roof into ``albedo`` (uint8 RGB) and its shape into ``height`` (float32 m, half the resolution).

    ``walls`` (uint8, half the resolution) gets the walls' brightness.

    The roof is drawn in its own axes (x along the ridge) and turned into place.
    """
    eave = 0.45
    length, width = building.length_m + 2 * eave, building.width_m + 2 * eave
    size = (int(length / gsd_m), int(width / gsd_m))
    rng = generator(int(building.tone * 1e9), 5)
    colours = _roof_colours(building, size, gsd_m, rng)
    shape = _roof_height(building, (max(2, size[0] // 2), max(2, size[1] // 2)))
    _furnish(colours, shape, building, gsd_m, rng)
    centre = (building.x_m / gsd_m, building.y_m / gsd_m)
    _stamp(albedo, colours, centre, building.angle_rad)
    _stamp(height, shape, (centre[0] / 2, centre[1] / 2), building.angle_rad)
    plaster = np.full(shape.shape, int(rng.integers(150, 232)), np.uint8)
    _stamp(walls, plaster, (centre[0] / 2, centre[1] / 2), building.angle_rad)


def _roof_colours(building: Building, size: tuple[int, int], gsd_m: float, rng: np.random.Generator) -> Array:
    """The roof's surface, uint8 RGB, width x length."""
    columns, rows = size
    choices = {"flat": _FLAT, "metal": _METAL}.get(building.roof, _TILES)
    table = ramp(choices[int(building.tone * len(choices)) % len(choices)])
    fine = rng.normal(0, 14, (rows, columns)).astype(np.float32)
    coarse = cv2.resize(
        rng.normal(0, 6, (max(2, rows // 40), max(2, columns // 40))).astype(np.float32),
        (columns, rows),
        interpolation=cv2.INTER_CUBIC,
    )
    value = 128 + fine + coarse
    if building.roof in {"gable", "hip"}:
        course = np.arange(rows) * gsd_m % 0.33 < 0.08
        value[course, :] -= 26
        value += rng.normal(0, 8, (1, columns)).astype(np.float32)
        value += np.repeat(rng.normal(0, 7, (-(-rows // 11), 1)), 11, axis=0)[:rows].astype(np.float32)
        middle = rows // 2
        thick = max(1, int(0.12 / gsd_m))
        value[middle - thick : middle + thick, :] += 28
    elif building.roof == "metal":
        seam = np.arange(columns) * gsd_m % 0.9 < 0.07
        value[:, seam] -= 24
        value += np.linspace(-10, 10, columns, dtype=np.float32)[None, :]
    else:
        edge = max(2, int(0.35 / gsd_m))
        value[:edge], value[-edge:], value[:, :edge], value[:, -edge:] = 205, 205, 205, 205
        value[edge : 2 * edge, edge:-edge] -= 22
    return colourise(np.clip(value, 0, 255).astype(np.uint8), table)


def _roof_height(building: Building, size: tuple[int, int]) -> Array:
    """Height of the roof's surface in metres, float32."""
    columns, rows = size
    across = 1 - np.abs(np.linspace(-1, 1, rows, dtype=np.float32))[:, None]
    if building.roof == "flat":
        shape = np.full((rows, columns), building.eaves_m, np.float32)
        shape[:2], shape[-2:], shape[:, :2], shape[:, -2:] = (building.eaves_m + 0.4,) * 4
        return shape
    if building.roof == "hip":
        aspect = columns / rows
        ends = (1 - np.abs(np.linspace(-1, 1, columns, dtype=np.float32)))[None, :] * aspect
        slope = np.minimum(across, ends)
    else:
        slope = np.repeat(across, columns, axis=1)
    pitched: Array = building.eaves_m + slope * np.float32(building.ridge_m - building.eaves_m)
    return pitched


def _furnish(colours: Array, shape: Array, building: Building, gsd_m: float, rng: np.random.Generator) -> None:
    """Chimney, skylights or solar panels on pitched roofs; vents and skylights on flat ones."""
    rows, columns = colours.shape[:2]

    def box(
        share_x: float, share_y: float, *, wide_m: float, tall_m: float, colour: tuple[int, int, int], rise_m: float
    ) -> None:
        x, y = int(share_x * columns), int(share_y * rows)
        half_x, half_y = max(1, int(wide_m / gsd_m / 2)), max(1, int(tall_m / gsd_m / 2))
        cv2.rectangle(colours, (x - half_x, y - half_y), (x + half_x, y + half_y), colour, -1)
        part = shape[
            max(0, (y - half_y) // 2) : (y + half_y) // 2 + 1, max(0, (x - half_x) // 2) : (x + half_x) // 2 + 1
        ]
        part += np.float32(rise_m)

    def pick(low: float, high: float) -> float:
        return float(rng.uniform(low, high))

    if building.roof in {"gable", "hip"}:
        side = 0.5 + float(rng.choice([-0.08, 0.08]))
        box(pick(0.25, 0.75), side, wide_m=0.7, tall_m=0.55, colour=(112, 84, 74), rise_m=1.0)
        if rng.random() < 0.4:
            for number in range(int(rng.integers(3, 7))):
                place = 0.22 + number * 1.06 / (columns * gsd_m)
                box(place, 0.28, wide_m=0.98, tall_m=1.6, colour=(32, 38, 54), rise_m=0.05)
        elif rng.random() < 0.6:
            for place in rng.uniform(0.15, 0.85, 2):
                row = float(rng.choice([0.25, 0.75]))
                box(float(place), row, wide_m=0.8, tall_m=1.1, colour=(58, 70, 82), rise_m=0.02)
        return
    for _ in range(int(rng.integers(3, 9))):
        tone = int(rng.integers(120, 205))
        wide = pick(0.6, 1.9)
        colour = (tone, tone, min(255, tone + 4))
        where = pick(0.08, 0.92), pick(0.15, 0.85)
        box(*where, wide_m=wide, tall_m=wide * pick(0.6, 1.2), colour=colour, rise_m=pick(0.3, 1.0))


def _stamp(raster: Array, picture: Array, centre: tuple[float, float], angle_rad: float) -> None:
    """Turn ``picture`` by ``angle_rad`` about its centre and copy it to ``centre`` (x, y) of ``raster``."""
    rows, columns = picture.shape[:2]
    reach = int(math.hypot(rows, columns) / 2) + 2
    x0, y0 = int(centre[0]) - reach, int(centre[1]) - reach
    x1, y1 = min(x0 + 2 * reach, raster.shape[1]), min(y0 + 2 * reach, raster.shape[0])
    left, top = max(x0, 0), max(y0, 0)
    if x1 <= left or y1 <= top:
        return
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0]], np.float64)
    middle = np.array([(columns - 1) / 2, (rows - 1) / 2])
    matrix[:, 2] = np.array([centre[0] - left, centre[1] - top]) - matrix[:, :2] @ middle
    size = (x1 - left, y1 - top)
    turned = cv2.warpAffine(picture, matrix, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    inside = cv2.warpAffine(np.full((rows, columns), 255, np.uint8), matrix, size, flags=cv2.INTER_NEAREST)
    cv2.copyTo(turned, inside, raster[top:y1, left:x1])
