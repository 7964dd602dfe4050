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
from overflight.data.scenes.relief import LEVELS_PER_M
from overflight.data.scenes.sprites import Colour, Part, Sprite

SOLID = 128
"""Alpha from which a pixel counts as the object's."""

_SEAM = np.round(np.arange(256) * 0.42).astype(np.uint8)


@dataclass(frozen=True)
class Frame:
    """A photograph in the making.

    Attributes:
        albedo: Colours in full sun, uint8 RGB.
        slope: Light by slope, uint8.
        shadow: Shadows, uint8 (255 is full shadow).
        owner: Number of the object seen at each pixel, int32; 0 is ground.
        height: Height of the surface seen, in levels (:mod:`relief`), uint8, or None where all is flat.
    """

    albedo: Array
    slope: Array
    shadow: Array
    owner: Array
    height: Array | None


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


@dataclass(frozen=True)
class Painted:
    """How many pixels an object would cover in an endless picture with nothing before it, and where it was painted."""

    full_px: int
    picture: tuple[slice, slice]


def cast(frame: Frame, placed: Placed, camera: Camera) -> None:
    """Add the object's shadow to ``frame.shadow``: every part swept along the sun's way, and a dark seam."""
    window = _window(placed, camera, shadow=True)
    clip = window.within(frame.shadow.shape)
    if clip is None:
        return
    picture, own = clip
    total: Array = np.zeros((window.size[1], window.size[0]), np.uint8)
    for part in placed.sprite.parts:
        mask = _warp(part.alpha, placed, camera, window, height_m=0.0)
        _shift_into(
            total,
            _sweep(mask, _times(placed.shadow_px, part.top_m - part.bottom_m)),
            _times(placed.shadow_px, part.bottom_m),
        )
    soft = int(0.07 / camera.gsd_m) | 1
    total = cv2.blur(cv2.blur(total, (soft, soft)), (3, 3))
    cv2.max(frame.shadow[picture], total[own], frame.shadow[picture])
    seam = _warp(placed.sprite.seam, placed, camera, window, height_m=0.0)
    darker = 255 - cv2.LUT(seam[own], _SEAM)
    cv2.multiply(frame.albedo[picture], cv2.merge([darker, darker, darker]), frame.albedo[picture], scale=1 / 255)


def paint(frame: Frame, placed: Placed, camera: Camera, ground_shadow: Array) -> Painted | None:
    """Paint the object; None when it lies outside the picture.

    Args:
        frame: The photograph in the making.
        placed: The object.
        camera: The photograph's geometry.
        ground_shadow: Shadows of fixed things only; an object is not darkened by its own.
    """
    window = _window(placed, camera, shadow=False)
    clip = window.within(frame.shadow.shape)
    if clip is None:
        return None
    over: Array = np.zeros((window.size[1], window.size[0], 4), np.uint8)
    relief: Array = np.full((window.size[1], window.size[0]), FLAT, np.uint8)
    for part in placed.sprite.parts:
        over = _add_part(over, relief, part, placed=placed, camera=camera, window=window)
    covered = int(np.count_nonzero(over[:, :, 3] >= SOLID))
    picture, own = clip
    over, relief = over[own], relief[own]
    if frame.height is not None:
        hidden = frame.height[picture] > _top_level(placed)
        over[hidden] = 0
    alpha = over[:, :, 3]
    ground = frame.albedo[picture]
    rest = cv2.merge([255 - alpha] * 3)
    ground[:] = cv2.add(cv2.multiply(ground, rest, scale=1 / 255), cv2.cvtColor(over, cv2.COLOR_RGBA2RGB))
    solid = _solid(alpha)
    cv2.copyTo(relief, solid, frame.slope[picture])
    cv2.copyTo(ground_shadow[picture], solid, frame.shadow[picture])
    frame.owner[picture][solid > 0] = placed.number
    return Painted(covered, picture)


def lay(frame: Frame, placed: Placed, camera: Camera, rgba: Array) -> None:
    """Lay a flat picture (uint8 RGBA, premultiplied, in the sprite's axes and resolution) on the ground."""
    half = math.hypot(*rgba.shape[:2]) / 2 / placed.sprite.px_per_m / camera.gsd_m
    window = Window(int(placed.x_px - half), int(placed.y_px - half), int(placed.x_px + half), int(placed.y_px + half))
    clip = window.within(frame.shadow.shape)
    if clip is None:
        return
    picture, own = clip
    above = _warp(rgba, placed, camera, window, height_m=0.0)[own]
    rest = cv2.merge([255 - cv2.extractChannel(above, 3)] * 3)
    ground = frame.albedo[picture]
    ground[:] = cv2.add(cv2.multiply(ground, rest, scale=1 / 255), cv2.cvtColor(above, cv2.COLOR_RGBA2RGB))


def _top_level(placed: Placed) -> int:
    """Highest ground level that can be behind the object."""
    return int(min(250.0, (placed.sprite.parts[-1].top_m + 0.1) * LEVELS_PER_M))


def _times(vector: tuple[float, float], factor: float) -> tuple[float, float]:
    return vector[0] * factor, vector[1] * factor


def _add_part(over: Array, relief: Array, part: Part, *, placed: Placed, camera: Camera, window: Window) -> Array:
    """Walls first, then the top with a bevel that faces the sun; returns the new premultiplied RGBA."""
    bottom_m = part.bottom_m
    for top_m, colour in part.bands:
        lean = _lean(placed, camera, bottom_m, top_m)
        if math.hypot(*lean) > 0.5:
            wall = _sweep(_warp(part.alpha, placed, camera, window, height_m=bottom_m), lean)
            over = _over(over, _tinted(wall, colour))
            relief[wall >= SOLID] = _wall_light(placed, camera)
        bottom_m = top_m
    top = _warp(part.rgba, placed, camera, window, height_m=part.top_m)
    alpha = cv2.extractChannel(top, 3)
    across, along = (cv2.Sobel(alpha, cv2.CV_16S, dx, dy, ksize=5) for dx, dy in ((1, 0), (0, 1)))
    slope = cv2.addWeighted(across, -placed.to_sun[0] * 0.011, along, -placed.to_sun[1] * 0.011, FLAT, dtype=cv2.CV_8U)
    cv2.copyTo(slope, _solid(alpha), relief)
    return _over(over, top)


def _solid(alpha: Array) -> Array:
    """255 where the alpha (uint8) counts as covered, else 0."""
    return cv2.threshold(alpha, SOLID - 1, 255, cv2.THRESH_BINARY)[1]


def _tinted(alpha: Array, colour: Colour) -> Array:
    """One colour with the given alpha, premultiplied RGBA."""
    return cv2.merge([*(cv2.convertScaleAbs(alpha, alpha=channel / 255) for channel in colour), alpha])


def _over(below: Array, above: Array) -> Array:
    """Composite premultiplied RGBA pictures (uint8)."""
    rest = 255 - cv2.extractChannel(above, 3)
    return cv2.add(cv2.multiply(below, cv2.merge([rest] * 4), scale=1 / 255), above)


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
    cos, sin = abs(math.cos(placed.angle_rad)), abs(math.sin(placed.angle_rad))
    long, wide = ((side + 0.3) / camera.gsd_m / 2 for side in (placed.sprite.length_m, placed.sprite.width_m))
    half_x, half_y = long * cos + wide * sin + 3, long * sin + wide * cos + 3
    if shadow:
        offset = _times(placed.shadow_px, tallest)
        half_x, half_y = half_x + 0.4 / camera.gsd_m, half_y + 0.4 / camera.gsd_m
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
    middle_x, middle_y = (picture.shape[1] - 1) / 2, (picture.shape[0] - 1) / 2
    x = camera.centre_px[0] + (placed.x_px - camera.centre_px[0]) * grow - window.left
    y = camera.centre_px[1] + (placed.y_px - camera.centre_px[1]) * grow - window.top
    matrix = np.array(
        [[cos, -sin, x - cos * middle_x + sin * middle_y], [sin, cos, y - sin * middle_x - cos * middle_y]], np.float64
    )
    return cv2.warpAffine(picture, matrix, window.size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT)


def _sweep(mask: Array, way: tuple[float, float]) -> Array:
    """The mask (uint8) drawn along the straight way from offset (0, 0) to ``way``, in pixels, by doubling."""
    covered = mask.copy()
    length = max(abs(way[0]), abs(way[1]))
    done = 0.0
    while done < length - 0.25:
        step = min(done + 1.0, length - done) / length
        _shift_into(covered, covered.copy(), _times(way, step))
        done += step * length
    return covered


def _shift_into(total: Array, mask: Array, offset: tuple[float, float]) -> None:
    """Maximum of ``total`` and ``mask`` moved by ``offset`` rounded to whole pixels."""
    dx, dy = round(offset[0]), round(offset[1])
    rows, columns = mask.shape
    if abs(dx) >= columns or abs(dy) >= rows:
        return
    to = total[max(dy, 0) : rows + min(dy, 0), max(dx, 0) : columns + min(dx, 0)]
    cv2.max(to, mask[max(-dy, 0) : rows + min(-dy, 0), max(-dx, 0) : columns + min(-dx, 0)], to)
