"""Objects as stacks of flat parts: what a car, truck, bus, boat or person looks like from above.

A part is a picture at a height with straight walls below it, so that a camera which is not right above sees the walls
and the object leans outwards as it does in photographs. Knows no scene, light or camera.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.noise import Array, mute

Colour = tuple[int, int, int]
_SHIFT = 4

GLASS: Colour = (34, 40, 46)
TYRE: Colour = (30, 30, 31)


@dataclass(frozen=True)
class Part:
    """A horizontal picture at ``top_m`` with walls down to ``bottom_m``.

    ``rgba`` is uint8 with colours premultiplied by alpha; ``alpha`` is its last channel on its own. ``bands`` are the
    walls from below: (upper edge in metres, colour).
    """

    rgba: Array
    alpha: Array
    bottom_m: float
    top_m: float
    bands: tuple[tuple[float, Colour], ...]


@dataclass(frozen=True)
class Sprite:
    """Parts from the lowest to the highest; pictures look along +x and are centred on the object's position.

    ``seam`` (uint8) is the darkness of the ground close around the object.
    """

    parts: tuple[Part, ...]
    seam: Array
    px_per_m: float
    length_m: float
    width_m: float


def part(canvas: Canvas, bottom_m: float, top_m: float, side: Colour, *bands: tuple[float, Colour]) -> Part:
    """The canvas as a part; below ``side`` the wall may have ``bands`` (upper edge in metres, colour)."""
    alpha = np.ascontiguousarray(canvas.rgba[:, :, 3])
    colours = np.ascontiguousarray(canvas.rgba[:, :, :3])
    mute(colours, 0.82)
    canvas.rgba[:, :, :3] = colours
    rgba = cv2.multiply(canvas.rgba, cv2.merge([alpha, alpha, alpha, np.full_like(alpha, 255)]), scale=1 / 255)
    return Part(rgba, alpha, bottom_m, top_m, (*bands, (top_m, side)))


def sprite(parts: tuple[Part, ...], px_per_m: float, length_m: float, width_m: float) -> Sprite:
    """The parts as an object."""
    margin = int(0.5 * px_per_m)
    wide = cv2.copyMakeBorder(parts[0].alpha, margin, margin, margin, margin, cv2.BORDER_CONSTANT, value=0)
    size = margin // 2 * 2 + 1
    return Sprite(
        parts, cv2.blur(cv2.blur(wide, (size, size)), (size // 2 | 1, size // 2 | 1)), px_per_m, length_m, width_m
    )


class Canvas:
    """Draws polygons given in metres (x forwards, y to the right) into a transparent picture.

    Args:
        length_m: Extent along x; the origin is in the middle.
        width_m: Extent along y.
        px_per_m: Resolution.
        base: Colour of the transparent ground, so that soft edges do not darken.
    """

    def __init__(self, length_m: float, width_m: float, *, px_per_m: float, base: Colour) -> None:
        self.px_per_m = px_per_m
        columns, rows = (math.ceil(side * px_per_m) + 4 for side in (length_m, width_m))
        self.rgba = np.zeros((rows, columns, 4), np.uint8)
        self.rgba[:, :, :3] = base
        self._middle = np.array([(columns - 1) / 2, (rows - 1) / 2])

    def polygon(self, points_m: Sequence[tuple[float, float]] | Array, colour: Colour) -> None:
        """Fill a polygon."""
        points = np.asarray(points_m, np.float64) * self.px_per_m + self._middle
        fixed = np.round(points * 2**_SHIFT).astype(np.int32)
        cv2.fillPoly(self.rgba, [fixed], (*colour, 255), lineType=cv2.LINE_AA, shift=_SHIFT)

    def box(self, x: tuple[float, float], y: tuple[float, float], colour: Colour) -> None:
        """Fill a rectangle."""
        self.polygon([(x[0], y[0]), (x[1], y[0]), (x[1], y[1]), (x[0], y[1])], colour)

    def ellipse(self, centre: tuple[float, float], half: tuple[float, float], colour: Colour) -> None:
        """Fill an ellipse."""
        self.polygon(rounded(2 * half[0], 2 * half[1], 2.0) + np.array(centre), colour)

    def relief(self, strength: float, rng: np.random.Generator) -> None:
        """Lighten the middle along x, as paint reflects the sky, and add a little dirt."""
        rows, columns = self.rgba.shape[:2]
        across = np.cos(np.linspace(-1.45, 1.45, rows, dtype=np.float32))[:, None]
        along = np.sin(np.linspace(0, 3.1, columns, dtype=np.float32) + float(rng.uniform(-0.6, 0.6)))[None, :]
        gloss = 1 + strength * (across * 0.7 + along * 0.3 - 0.55)
        gloss = gloss + rng.normal(0, 0.012, (rows, columns)).astype(np.float32)
        self.rgba[:, :, :3] = np.clip(self.rgba[:, :, :3] * gloss[:, :, None] + strength * 10, 0, 255).astype(np.uint8)


def rounded(length_m: float, width_m: float, power: float, *, points: int = 48) -> Array:
    """Outline of a superellipse: 2 is an ellipse, 6 a box with soft corners."""
    angle = np.linspace(0, 2 * math.pi, points, endpoint=False)
    cos, sin = np.cos(angle), np.sin(angle)
    x = np.sign(cos) * np.abs(cos) ** (2 / power) * length_m / 2
    y = np.sign(sin) * np.abs(sin) ** (2 / power) * width_m / 2
    return np.stack([x, y], axis=1)


def shade(colour: Colour, factor: float) -> Colour:
    """``colour`` lighter or darker."""
    red, green, blue = (int(min(255, max(0, channel * factor))) for channel in colour)
    return red, green, blue


def pick_colour(rng: np.random.Generator, choices: list[tuple[float, Colour]]) -> Colour:
    """A colour by its share, slightly varied."""
    shares = np.array([share for share, _ in choices])
    colour = choices[int(rng.choice(len(choices), p=shares / shares.sum()))][1]
    red, green, blue = (int(np.clip(channel + rng.normal(0, 6), 8, 240)) for channel in colour)
    return red, green, blue
