"""Puts objects into a photograph: shadows on the ground, walls and tops with the right lean, and who hides whom.

Works in one photograph's pixels; knows no layout and no flight.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.camera import Camera
from overflight.data.scenes.light import FLAT
from overflight.data.scenes.noise import Array
from overflight.data.scenes.sprites import Part, Sprite


@dataclass(frozen=True)
class Frame:
    """A photograph in the making.

    Attributes:
        albedo: Colours in full sun, uint8 RGB.
        slope: Light by slope, uint8.
        shadow: Shadows, uint8 (255 is full shadow).
        owner: Number of the object seen at each pixel, int32; 0 is ground.
    """

    albedo: Array
    slope: Array
    shadow: Array
    owner: Array


@dataclass(frozen=True)
class Placed:
    """An object in a photograph: position of its foot, heading in picture axes, and the sun in picture axes.

    ``shadow_px`` is the shadow's offset (x, y) per metre of height; ``to_sun`` a unit vector.
    """

    number: int
    sprite: Sprite
    x_px: float
    y_px: float
    angle_rad: float
    shadow_px: tuple[float, float]
    to_sun: tuple[float, float]


@dataclass(frozen=True)
class Window:
    """A piece of the picture plane that may reach beyond the picture (left, top, right, bottom in pixels)."""

    left: int
    top: int
    right: int
    bottom: int

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.right - self.left, self.bottom - self.top

    def within(self, shape: tuple[int, ...]) -> tuple[tuple[slice, slice], tuple[slice, slice]] | None:
        """Slices of the picture and of the window where they meet, or None."""
        left, top = max(self.left, 0), max(self.top, 0)
        right, bottom = min(self.right, shape[1]), min(self.bottom, shape[0])
        if right <= left or bottom <= top:
            return None
        picture = (slice(top, bottom), slice(left, right))
        own = (slice(top - self.top, bottom - self.top), slice(left - self.left, right - self.left))
        return picture, own


def in_reach(placed: Placed, camera: Camera) -> bool:
    """Could the object or its shadow touch the picture?"""
    tallest = placed.sprite.parts[-1].top_m
    reach = placed.sprite.length_m / camera.gsd_m / 2 + math.hypot(*placed.shadow_px) * tallest + tallest / camera.gsd_m
    inside_x = -reach < placed.x_px < camera.width_px + reach
    return inside_x and -reach < placed.y_px < camera.height_px + reach


def cast(frame: Frame, placed: Placed, camera: Camera) -> None:
    """Add the object's shadow to ``frame.shadow``: every part swept along the sun's direction, and a dark seam below."""
    window = _window(placed, camera, shadow=True)
    clip = window.within(frame.shadow.shape)
    if clip is None:
        return
    picture, own = clip
    total = np.zeros((window.size[1], window.size[0]), np.uint8)
    for part in placed.sprite.parts:
        mask = _warp(part.rgba[:, :, 3], placed, camera, window, height_m=0.0)
        low = (placed.shadow_px[0] * part.bottom_m, placed.shadow_px[1] * part.bottom_m)
        high = (placed.shadow_px[0] * part.top_m, placed.shadow_px[1] * part.top_m)
        np.maximum(total, _sweep(mask, low, high), out=total)
    soft = max(0.6, 0.045 / camera.gsd_m)
    total = cv2.GaussianBlur(total, (0, 0), soft)
    np.maximum(frame.shadow[picture], total[own], out=frame.shadow[picture])
    seam = cv2.GaussianBlur(
        _warp(placed.sprite.parts[0].rgba[:, :, 3], placed, camera, window, height_m=0.0), (0, 0), 5 * soft
    )
    ground = frame.albedo[picture]
    darker = 255 - (seam[own].astype(np.uint16) * 5 // 12)
    ground[:] = (ground * darker[:, :, None] // 255).astype(np.uint8)


def paint(frame: Frame, placed: Placed, camera: Camera, ground_shadow: Array) -> int:
    """Paint the object; returns how many pixels it would cover in an endless picture with nothing before it.

    Args:
        frame: The photograph in the making.
        placed: The object.
        camera: The photograph's geometry.
        ground_shadow: Shadows of fixed things only; an object is not darkened by its own.
    """
    window = _window(placed, camera, shadow=False)
    colour = np.zeros((window.size[1], window.size[0], 3), np.uint8)
    mask = np.zeros((window.size[1], window.size[0]), np.uint8)
    relief = np.full((window.size[1], window.size[0]), FLAT, np.uint8)
    for part in placed.sprite.parts:
        _paint_part(colour, mask, relief, part, placed, camera, window)
    solid = mask >= 128
    covered = int(np.count_nonzero(solid))
    clip = window.within(frame.shadow.shape)
    if clip is None:
        return covered
    picture, own = clip
    share = mask[own].astype(np.float32)[:, :, None] / 255
    ground = frame.albedo[picture]
    ground[:] = (ground + (colour[own].astype(np.float32) - ground) * share + 0.5).astype(np.uint8)
    inside = solid[own]
    frame.slope[picture][inside] = relief[own][inside]
    frame.shadow[picture][inside] = ground_shadow[picture][inside]
    frame.owner[picture][inside] = placed.number
    return covered


def _paint_part(
    colour: Array, mask: Array, relief: Array, part: Part, placed: Placed, camera: Camera, window: Window
) -> None:
    """Walls first, then the top with a bevel that faces the sun."""
    foot = _warp(part.rgba[:, :, 3], placed, camera, window, height_m=part.bottom_m)
    lean = _lean(placed, camera, part.bottom_m, part.top_m)
    if math.hypot(*lean) > 0.7:
        wall = _sweep(foot, (0.0, 0.0), lean)
        lit = _wall_light(placed, camera)
        _blend(colour, mask, np.array(part.side, np.float32), wall)
        relief[wall >= 128] = lit
    top = _warp(part.rgba, placed, camera, window, height_m=part.top_m)
    alpha = top[:, :, 3]
    _blend(colour, mask, top[:, :, :3].astype(np.float32), alpha)
    edge = cv2.GaussianBlur(alpha, (0, 0), max(0.8, 0.05 / camera.gsd_m)).astype(np.float32)
    slope = cv2.Sobel(edge, cv2.CV_32F, 1, 0) * placed.to_sun[0] + cv2.Sobel(edge, cv2.CV_32F, 0, 1) * placed.to_sun[1]
    bevel = np.clip(FLAT - slope * 0.10, 60, 200).astype(np.uint8)
    inside = alpha >= 128
    relief[inside] = bevel[inside]


def _blend(colour: Array, mask: Array, over: Array, alpha: Array) -> None:
    """Composite ``over`` (float32 RGB) with ``alpha`` (uint8) onto ``colour`` and ``mask``."""
    opaque = alpha > 0
    if not opaque.any():
        return
    share = alpha.astype(np.float32)[:, :, None] / 255
    below = np.where(mask[:, :, None] > 0, colour, over)
    colour[:] = np.where(opaque[:, :, None], below + (over - below) * share + 0.5, colour).astype(np.uint8)
    np.maximum(mask, alpha, out=mask)


def _wall_light(placed: Placed, camera: Camera) -> int:
    """Light on walls that face the camera: they look towards the picture's centre."""
    away = (camera.centre_px[0] - placed.x_px, camera.centre_px[1] - placed.y_px)
    length = max(1.0, math.hypot(*away))
    facing = (away[0] * placed.to_sun[0] + away[1] * placed.to_sun[1]) / length
    return int(FLAT * (0.55 + 0.45 * facing))


def _lean(placed: Placed, camera: Camera, low_m: float, high_m: float) -> tuple[float, float]:
    """Offset in the picture between two heights of the object's axis."""
    growth = camera.magnification(high_m) - camera.magnification(low_m)
    return (placed.x_px - camera.centre_px[0]) * growth, (placed.y_px - camera.centre_px[1]) * growth


def _window(placed: Placed, camera: Camera, *, shadow: bool) -> Window:
    """Picture window that holds the whole object, or its whole shadow."""
    tallest = max(part.top_m for part in placed.sprite.parts)
    half = 0.5 * math.hypot(placed.sprite.length_m + 0.4, placed.sprite.width_m + 0.4) / camera.gsd_m
    cos, sin = abs(math.cos(placed.angle_rad)), abs(math.sin(placed.angle_rad))
    long, wide = (side / camera.gsd_m / 2 + 4 for side in (placed.sprite.length_m + 0.4, placed.sprite.width_m + 0.4))
    half_x, half_y = min(half + 4, long * cos + wide * sin), min(half + 4, long * sin + wide * cos)
    if shadow:
        offset = (placed.shadow_px[0] * tallest, placed.shadow_px[1] * tallest)
        half_x, half_y = half_x + 12, half_y + 12
    else:
        offset = _lean(placed, camera, 0.0, tallest)
        grow = camera.magnification(tallest)
        half_x, half_y = half_x * grow, half_y * grow
    return Window(
        math.floor(placed.x_px - half_x + min(0.0, offset[0])),
        math.floor(placed.y_px - half_y + min(0.0, offset[1])),
        math.ceil(placed.x_px + half_x + max(0.0, offset[0])) + 1,
        math.ceil(placed.y_px + half_y + max(0.0, offset[1])) + 1,
    )


def _warp(picture: Array, placed: Placed, camera: Camera, window: Window, *, height_m: float) -> Array:
    """A sprite's picture as seen at ``height_m`` above the ground, within ``window``."""
    grow = camera.magnification(height_m)
    scale = grow / (camera.gsd_m * placed.sprite.px_per_m)
    cos, sin = scale * math.cos(placed.angle_rad), scale * math.sin(placed.angle_rad)
    matrix = np.array([[cos, -sin, 0], [sin, cos, 0]], np.float64)
    middle = np.array([(picture.shape[1] - 1) / 2, (picture.shape[0] - 1) / 2])
    x = camera.centre_px[0] + (placed.x_px - camera.centre_px[0]) * grow - window.left
    y = camera.centre_px[1] + (placed.y_px - camera.centre_px[1]) * grow - window.top
    matrix[:, 2] = np.array([x, y]) - matrix[:, :2] @ middle
    return cv2.warpAffine(picture, matrix, window.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _sweep(mask: Array, start: tuple[float, float], end: tuple[float, float]) -> Array:
    """The mask (uint8) drawn along the straight way from offset ``start`` to ``end``, in pixels."""
    way = (end[0] - start[0], end[1] - start[1])
    moved = mask
    if abs(start[0]) + abs(start[1]) > 0.25:
        moved = _shift(mask, start)
    covered = moved
    length = math.hypot(*way)
    done = 0.0
    step = 1.0
    while done < length:
        step = min(step, length - done)
        covered = np.maximum(covered, _shift(covered, (way[0] / length * step, way[1] / length * step)))
        done += step
        step = done + 1.0
    return covered


def _shift(mask: Array, offset: tuple[float, float]) -> Array:
    matrix = np.array([[1, 0, offset[0]], [0, 1, offset[1]]], np.float64)
    return cv2.warpAffine(mask, matrix, (mask.shape[1], mask.shape[0]), flags=cv2.INTER_LINEAR)
