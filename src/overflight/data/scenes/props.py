"""Things that stand about and are no target class: lamps, benches, bins, parasols, bales, containers, buoys.

They are drawn like objects, cast shadows and hide what is behind them, and get no label.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from overflight.data.scenes.noise import generator
from overflight.data.scenes.sprites import Canvas, Colour, Sprite, part, rounded, shade, sprite


def lamp(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A street lamp: a thin pole with an arm."""
    grey: Colour = (120, 122, 124) if rng.random() < 0.6 else (60, 66, 64)
    pole = Canvas(0.4, 0.4, px_per_m=px_per_m, base=grey)
    pole.ellipse((0, 0), (0.06, 0.06), grey)
    arm = Canvas(3.0, 0.5, px_per_m=px_per_m, base=grey)
    arm.box((0, 1.2), (-0.04, 0.04), grey)
    arm.box((0.8, 1.4), (-0.12, 0.12), shade(grey, 1.4))
    return sprite((part(pole, 0.0, 5.0, grey), part(arm, 4.9, 5.0, grey)), px_per_m, 3.0, 0.5)


def bench(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A park bench of planks."""
    wood = shade((132, 102, 74), float(rng.uniform(0.7, 1.15)))
    seat = Canvas(0.6, 1.9, px_per_m=px_per_m, base=wood)
    for place in (-0.2, -0.05, 0.1):
        seat.box((place, place + 0.11), (-0.9, 0.9), wood)
    back = Canvas(0.7, 1.9, px_per_m=px_per_m, base=wood)
    back.box((0.24, 0.3), (-0.9, 0.9), shade(wood, 0.85))
    return sprite(
        (part(seat, 0.2, 0.45, shade(wood, 0.6)), part(back, 0.4, 0.85, shade(wood, 0.7))), px_per_m, 0.7, 1.9
    )


def waste_bin(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A litter bin or a household bin."""
    colour: Colour = [(62, 66, 68), (60, 84, 66), (86, 74, 60), (52, 66, 92)][int(rng.integers(4))]
    canvas = Canvas(0.8, 0.8, px_per_m=px_per_m, base=colour)
    canvas.polygon(rounded(0.6, 0.55, 6.0), colour)
    canvas.box((-0.22, 0.22), (-0.05, 0.05), shade(colour, 0.7))
    return sprite((part(canvas, 0.0, 1.0, shade(colour, 0.75)),), px_per_m, 0.8, 0.8)


def parasol(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A parasol in eight panels."""
    cloth: Colour = [(204, 196, 176), (158, 66, 56), (72, 104, 92), (198, 166, 96), (84, 106, 140)][
        int(rng.integers(5))
    ]
    canvas = Canvas(2.9, 2.9, px_per_m=px_per_m, base=cloth)
    radius = float(rng.uniform(1.05, 1.35))
    for panel in range(8):
        first, last = panel * math.pi / 4, (panel + 1) * math.pi / 4
        tone = 0.88 + 0.14 * math.cos(first + 0.8)
        points = [
            (0.0, 0.0),
            (radius * math.cos(first), radius * math.sin(first)),
            (radius * math.cos(last), radius * math.sin(last)),
        ]
        canvas.polygon(points, shade(cloth, tone))
    canvas.ellipse((0, 0), (0.06, 0.06), shade(cloth, 0.7))
    return sprite((part(canvas, 2.0, 2.3, shade(cloth, 0.8)),), px_per_m, 2.9, 2.9)


def bale(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A round bale of straw."""
    straw = shade((186, 160, 104), float(rng.uniform(0.85, 1.05)))
    canvas = Canvas(1.6, 1.5, px_per_m=px_per_m, base=straw)
    canvas.polygon(rounded(1.3, 1.2, 9.0), shade(straw, 0.9))
    for line in np.arange(-0.5, 0.5, 0.2):
        canvas.box((-0.62, 0.62), (float(line), float(line) + 0.08), shade(straw, 1.06))
    canvas.relief(0.35, rng)
    return sprite((part(canvas, 0.1, 1.2, shade(straw, 0.7)),), px_per_m, 1.6, 1.5)


def container(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A skip or a pallet stack beside a hall."""
    colour: Colour = [(66, 84, 104), (128, 72, 58), (84, 98, 78), (140, 116, 84)][int(rng.integers(4))]
    length = float(rng.uniform(2.2, 3.4))
    canvas = Canvas(length + 0.2, 1.9, px_per_m=px_per_m, base=colour)
    canvas.box((-length / 2, length / 2), (-0.85, 0.85), colour)
    canvas.box(
        (-length / 2 + 0.12, length / 2 - 0.12), (-0.74, 0.74), shade((96, 88, 78), float(rng.uniform(0.5, 1.0)))
    )
    for _ in range(60):
        spot = (float(rng.uniform(-length / 2 + 0.3, length / 2 - 0.3)), float(rng.uniform(-0.55, 0.55)))
        canvas.ellipse(
            spot,
            (float(rng.uniform(0.04, 0.14)), float(rng.uniform(0.04, 0.12))),
            shade((120, 112, 100), float(rng.uniform(0.5, 1.5))),
        )
    return sprite((part(canvas, 0.1, 1.3, shade(colour, 0.72)),), px_per_m, length, 1.9)


def buoy(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A mooring buoy."""
    colour: Colour = (206, 196, 188) if rng.random() < 0.5 else (186, 84, 52)
    canvas = Canvas(0.7, 0.7, px_per_m=px_per_m, base=colour)
    canvas.ellipse((0, 0), (0.26, 0.26), colour)
    canvas.relief(0.3, rng)
    return sprite((part(canvas, 0.0, 0.35, shade(colour, 0.7)),), px_per_m, 0.7, 0.7)


_DRAW: dict[str, Callable[[np.random.Generator, float], Sprite]] = {
    "lamp": lamp,
    "bench": bench,
    "bin": waste_bin,
    "parasol": parasol,
    "bale": bale,
    "container": container,
    "buoy": buoy,
}


def draw_prop(kind: str, seed: int, px_per_m: float) -> Sprite:
    """The prop of this kind that ``seed`` stands for."""
    return _DRAW[kind](generator(seed, 8), px_per_m)
