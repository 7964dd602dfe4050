"""Traces of use on a site's ground: wheel tracks, cracks, repairs, covers, oil, shallow water, mown stripes.

Works on a finished colour raster; draws nothing that has height.
"""

from __future__ import annotations

import math

import cv2
import numpy as np

from overflight.data.scenes.noise import Array, fractal
from overflight.data.scenes.world import Layout

_CELL_M = 0.25
"""Resolution of the water mask."""


def age(albedo: Array, layout: Layout, rng: np.random.Generator, *, gsd_m: float) -> None:
    """Draw all traces of use into ``albedo`` (uint8 RGB, ``gsd_m`` metres a pixel)."""
    _wear(albedo, layout, rng, gsd_m)
    _shallows(albedo, layout, rng, gsd_m)
    for _ in range(int(layout.side_m * 0.7)):
        _crack(albedo, layout, rng, gsd_m)
    for _ in range(int(layout.side_m / 9)):
        _cover(albedo, layout, rng, gsd_m)


def _wear(albedo: Array, layout: Layout, rng: np.random.Generator, gsd_m: float) -> None:
    """Wheel tracks along the road, oil below parked vehicles, mown stripes: one soft raster of darker and lighter."""
    scale = 1 / (3 * gsd_m)
    shape = (albedo.shape[0] // 3 + 1, albedo.shape[1] // 3 + 1)
    change = np.full(shape, 128, np.uint8)
    reach = layout.reach_m
    for lane in layout.lanes:
        if lane.kind != "road":
            continue
        for side in (-0.8, 0.8):
            line = layout.curve.line((-reach, reach), (lane.v_m + side, lane.v_m + side)) * scale
            cv2.polylines(
                change, [np.round(line).astype(np.int32)], False, int(rng.integers(112, 140)), max(1, int(0.6 * scale))
            )
        line = layout.curve.line((-reach, reach), (lane.v_m, lane.v_m)) * scale
        cv2.polylines(
            change, [np.round(line).astype(np.int32)], False, int(rng.integers(108, 124)), max(1, int(0.5 * scale))
        )
    for slot in layout.slots:
        if slot.kind == "berth" or rng.random() < 0.35:
            continue
        for _ in range(int(rng.integers(1, 4))):
            shift = rng.normal(0, 0.8, 2)
            centre = (round((slot.x_m + shift[0]) * scale), round((slot.y_m + shift[1]) * scale))
            half = (max(1, int(rng.uniform(0.1, 0.5) * scale)), max(1, int(rng.uniform(0.1, 0.5) * scale)))
            cv2.ellipse(change, centre, half, 0, 0, 360, int(rng.integers(78, 116)), -1)
    for stripe in layout.mown:
        cv2.fillPoly(change, [np.round(stripe * scale).astype(np.int32)], 137)
    soft = cv2.GaussianBlur(change, (0, 0), max(0.8, 0.22 * scale))
    noisy = cv2.addWeighted(soft, 1.0, fractal(rng, shape, cell_px=max(3.0, 0.8 * scale), octaves=3), 0.025, -3)
    full = cv2.resize(noisy, (albedo.shape[1], albedo.shape[0]), interpolation=cv2.INTER_LINEAR)
    cv2.multiply(albedo, cv2.merge([full, full, full]), albedo, scale=1 / 128)


def _shallows(albedo: Array, layout: Layout, rng: np.random.Generator, gsd_m: float) -> None:
    """Lighter water over the bed near the shore, and a thin line of foam."""
    cells = math.ceil(layout.side_m / _CELL_M)
    water = np.zeros((cells, cells), np.uint8)
    for zone in layout.zones:
        if zone.material != "planks":
            cv2.fillPoly(water, [np.round(zone.polygon_m / _CELL_M).astype(np.int32)], 255 * (zone.material == "water"))
    if not water.any():
        return
    away = cv2.distanceTransform(water, cv2.DIST_L2, 3) * _CELL_M
    soft = cv2.GaussianBlur(away, (5, 5), 1.2)
    wavy = soft + (fractal(rng, away.shape, cell_px=5 / _CELL_M, octaves=4).astype(np.float32) - 128) / 128 * 2.2
    depth = float(rng.uniform(2.0, 4.5))
    share = np.where(water > 0, 0.75 * np.exp(-np.clip(wavy - 0.3, 0, None) / depth), 0).astype(np.float32)
    zoom = np.array([[gsd_m / _CELL_M, 0, -0.5], [0, gsd_m / _CELL_M, -0.5]], np.float64)
    size = (albedo.shape[1], albedo.shape[0])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    full = cv2.warpAffine((share * 255).astype(np.uint8), zoom, size, flags=flags)
    foam = cv2.warpAffine(
        (np.clip(1 - np.abs(soft - 0.35) / 0.35, 0, 1) * 40).astype(np.uint8), zoom, size, flags=flags
    )
    bed = np.array([1.0, 0.92, 0.62]) * float(rng.uniform(84, 112))
    rows = np.flatnonzero(full.any(axis=1))
    if not len(rows):
        return
    part, veil = albedo[rows[0] : rows[-1] + 1], full[rows[0] : rows[-1] + 1]
    rest = cv2.merge([255 - veil] * 3)
    tint = cv2.merge([cv2.convertScaleAbs(veil, alpha=float(channel) / 255) for channel in bed])
    light = foam[rows[0] : rows[-1] + 1]
    part[:] = cv2.add(cv2.add(cv2.multiply(part, rest, scale=1 / 255), tint), cv2.merge([light] * 3))


def _somewhere(layout: Layout, rng: np.random.Generator, gsd_m: float) -> tuple[float, float]:
    """A random place on the road or on other hard ground, in pixels."""
    lanes = [lane for lane in layout.lanes if lane.kind == "road"]
    slots = [slot for slot in layout.slots if slot.kind != "berth"]
    if not slots or rng.random() < 0.55:
        lane = lanes[int(rng.integers(len(lanes)))]
        x, y = layout.curve.point(
            float(rng.uniform(-0.6, 0.6)) * layout.side_m, lane.v_m + float(rng.uniform(-1.3, 1.3))
        )
    else:
        slot = slots[int(rng.integers(len(slots)))]
        x, y = slot.x_m + float(rng.normal(0, 3)), slot.y_m + float(rng.normal(0, 3))
    return x / gsd_m, y / gsd_m


def _crack(albedo: Array, layout: Layout, rng: np.random.Generator, gsd_m: float) -> None:
    """A wandering dark line, thin, or broad where it was sealed."""
    x, y = _somewhere(layout, rng, gsd_m)
    steps = int(rng.integers(12, 60))
    turn = rng.normal(0, 0.55, steps) + np.cumsum(rng.normal(0, 0.12, steps)) + rng.uniform(0, 2 * math.pi)
    reach = 0.11 / gsd_m
    line = np.stack([x + np.cumsum(np.cos(turn)) * reach, y + np.cumsum(np.sin(turn)) * reach], axis=1)
    low, high = np.floor(line.min(axis=0)).astype(int) - 4, np.ceil(line.max(axis=0)).astype(int) + 5
    if (low < 0).any() or high[0] > albedo.shape[1] or high[1] > albedo.shape[0]:
        return
    part = albedo[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(part.shape[:2], np.uint8)
    sealed = rng.random() < 0.15
    thick = max(1, int((0.05 if sealed else 0.015) / gsd_m))
    cv2.polylines(mask, [np.round((line - low) * 16).astype(np.int32)], False, 255, thick, cv2.LINE_AA, 4)
    dark = 255 - cv2.convertScaleAbs(mask, alpha=0.36 if sealed else 0.30)
    cv2.multiply(part, cv2.merge([dark] * 3), part, scale=1 / 255)


def _cover(albedo: Array, layout: Layout, rng: np.random.Generator, gsd_m: float) -> None:
    """A manhole cover with its ring, or a rectangular repair in another grey."""
    x, y = _somewhere(layout, rng, gsd_m)
    size = 0.33 / gsd_m
    centre = (round(x), round(y))
    if rng.random() < 0.6:
        tone = int(rng.integers(58, 96))
        cv2.circle(albedo, centre, round(size * 1.25), (tone + 46, tone + 44, tone + 40), -1, cv2.LINE_AA)
        cv2.circle(albedo, centre, round(size), (tone, tone, tone - 2), -1, cv2.LINE_AA)
        return
    angle = layout.curve.angle_rad
    half = np.array([rng.uniform(0.8, 3.0), rng.uniform(0.5, 1.1)]) / gsd_m
    corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half
    cos, sin = math.cos(angle), math.sin(angle)
    polygon = corners @ np.array([[cos, sin], [-sin, cos]]) + (x, y)
    low, high = np.floor(polygon.min(axis=0)).astype(int) - 1, np.ceil(polygon.max(axis=0)).astype(int) + 2
    if (low < 0).any() or high[0] > albedo.shape[1] or high[1] > albedo.shape[0]:
        return
    part = albedo[low[1] : high[1], low[0] : high[0]]
    mask = np.zeros(part.shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.round(polygon - low).astype(np.int32)], 255)
    factor = float(rng.choice([0.8, 0.87, 1.1]))
    cv2.copyTo(cv2.convertScaleAbs(part, alpha=factor), mask, part)
