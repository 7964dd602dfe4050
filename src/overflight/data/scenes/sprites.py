"""Objects as stacks of flat parts: what a car, truck, bus, boat or person looks like from above.

A part is a picture at a height with straight walls below it, so that a camera which is not right above sees the walls and
the object leans outwards as it does in photographs. Knows no scene, light or camera.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.noise import Array, generator

Colour = tuple[int, int, int]
_SHIFT = 4

GLASS: Colour = (34, 40, 46)
TYRE: Colour = (30, 30, 31)


@dataclass(frozen=True)
class Part:
    """A horizontal picture (uint8 RGBA) at ``top_m`` with walls of colour ``side`` down to ``bottom_m``."""

    rgba: Array
    bottom_m: float
    top_m: float
    side: Colour


@dataclass(frozen=True)
class Sprite:
    """Parts from the lowest to the highest; pictures look along +x and are centred on the object's position."""

    parts: tuple[Part, ...]
    px_per_m: float
    length_m: float
    width_m: float


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
        columns, rows = (int(math.ceil(side * px_per_m)) + 4 for side in (length_m, width_m))
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


CAR_COLOURS: list[tuple[float, Colour]] = [
    (0.24, (226, 227, 226)),
    (0.17, (44, 45, 48)),
    (0.16, (122, 125, 128)),
    (0.13, (176, 179, 181)),
    (0.09, (48, 72, 118)),
    (0.07, (146, 38, 38)),
    (0.04, (86, 96, 86)),
    (0.04, (120, 96, 74)),
    (0.03, (84, 128, 168)),
    (0.03, (196, 160, 60)),
]
"""Share of new cars by colour (after the yearly reports of paint makers), and the colour in the sun."""


def pick_colour(rng: np.random.Generator, choices: list[tuple[float, Colour]]) -> Colour:
    """A colour by its share, slightly varied."""
    shares = np.array([share for share, _ in choices])
    colour = choices[int(rng.choice(len(choices), p=shares / shares.sum()))][1]
    red, green, blue = (int(np.clip(channel + rng.normal(0, 6), 8, 240)) for channel in colour)
    return red, green, blue


def car(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A saloon, hatchback, estate or off-roader."""
    paint = pick_colour(rng, CAR_COLOURS)
    length, width = float(rng.uniform(4.0, 4.9)), float(rng.uniform(1.78, 1.95))
    kind = str(rng.choice(["saloon", "hatch", "estate", "offroad"]))
    front = length * float(rng.uniform(0.16, 0.22))
    rear = -length * {"saloon": 0.36, "hatch": 0.47, "estate": 0.48, "offroad": 0.47}[kind]
    body = Canvas(length, width + 0.24, px_per_m=px_per_m, base=paint)
    mirror = front - 0.35
    for sign in (-1, 1):
        body.box((mirror - 0.1, mirror + 0.1), (sign * (width / 2 - 0.05), sign * (width / 2 + 0.1)), shade(paint, 0.7))
    outline = rounded(length, width, 5.5)
    outline[:, 1] *= 1 - 0.10 * np.clip((outline[:, 0] - length * 0.30) / (length * 0.2), 0, 1) ** 2
    body.polygon(outline, shade(paint, 0.82))
    body.polygon(outline * [0.965, 0.93], paint)
    body.polygon(
        [
            (front, -width * 0.38),
            (length * 0.465, -width * 0.34),
            (length * 0.465, width * 0.34),
            (front, width * 0.38),
        ],
        shade(paint, 1.06),
    )
    for sign in (-1, 1):
        body.box((length * 0.445, length * 0.487), (sign * width * 0.27, sign * width * 0.42), (214, 218, 220))
        body.box((-length * 0.488, -length * 0.462), (sign * width * 0.26, sign * width * 0.43), (140, 26, 24))
        body.polygon(
            [
                (front + 0.1, sign * width * 0.22),
                (length * 0.45, sign * width * 0.19),
                (length * 0.45, sign * width * 0.21),
                (front + 0.1, sign * width * 0.245),
            ],
            shade(paint, 0.86),
        )
    body.relief(0.22, rng)
    height = 1.78 if kind == "offroad" else 1.48
    cabin = _cabin(rng, paint, px_per_m, (rear, front), width, kind)
    return Sprite(
        (Part(body.rgba, 0.22, 0.86, shade(paint, 0.62)), Part(cabin.rgba, 0.86, height, shade(GLASS, 1.2))),
        px_per_m,
        length,
        width + 0.2,
    )


def _cabin(
    rng: np.random.Generator, paint: Colour, px_per_m: float, x: tuple[float, float], width: float, kind: str
) -> Canvas:
    """Windows and roof of a car between ``x[0]`` (rear) and ``x[1]`` (foot of the windscreen)."""
    rear, front = x
    half = width * 0.44
    canvas = Canvas(2 * max(abs(rear), abs(front)), width, px_per_m=px_per_m, base=GLASS)
    glass = shade(GLASS, float(rng.uniform(0.85, 1.35)))
    canvas.polygon(
        [
            (rear, -half * 0.86),
            (rear + 0.3, -half),
            (front - 0.5, -half),
            (front, -half * 0.84),
            (front + 0.06, 0),
            (front, half * 0.84),
            (front - 0.5, half),
            (rear + 0.3, half),
            (rear, half * 0.86),
        ],
        glass,
    )
    canvas.polygon(
        [
            (front - 0.25, -half * 0.7),
            (front - 0.02, -half * 0.6),
            (front - 0.02, half * 0.1),
            (front - 0.3, half * 0.3),
        ],
        shade(glass, 1.55),
    )
    back = rear + {"saloon": 0.62, "hatch": 0.42, "estate": 0.3, "offroad": 0.28}[kind]
    roof = [
        (back, -half * 0.80),
        (back + 0.2, -half * 0.86),
        (front - 0.75, -half * 0.84),
        (front - 0.62, -half * 0.7),
        (front - 0.58, 0.0),
        (front - 0.62, half * 0.7),
        (front - 0.75, half * 0.84),
        (back + 0.2, half * 0.86),
        (back, half * 0.80),
    ]
    canvas.polygon(roof, shade(paint, 1.04))
    middle = (back + front - 0.6) / 2
    if rng.random() < 0.25:
        canvas.box((middle - 0.1, middle + 0.65), (-half * 0.55, half * 0.55), shade(GLASS, 0.9))
    if kind in {"estate", "offroad"}:
        for sign in (-1, 1):
            canvas.box((back + 0.25, front - 0.85), (sign * half * 0.74, sign * half * 0.79), shade(paint, 0.55))
    canvas.relief(0.16, rng)
    return canvas


_TRUCK_CABS: list[tuple[float, Colour]] = [
    (0.4, (222, 222, 220)),
    (0.15, (150, 40, 36)),
    (0.2, (40, 66, 122)),
    (0.1, (196, 140, 40)),
    (0.15, (70, 74, 78)),
]
_TRUCK_LOADS: list[tuple[float, Colour]] = [
    (0.4, (216, 217, 214)),
    (0.18, (176, 178, 178)),
    (0.14, (52, 84, 142)),
    (0.1, (158, 56, 46)),
    (0.1, (70, 104, 78)),
    (0.08, (198, 168, 72)),
]


def truck(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A cab with a box, a tarpaulin or an open bed behind it."""
    length, width = float(rng.uniform(7.2, 10.5)), 2.5
    paint, load = pick_colour(rng, _TRUCK_CABS), pick_colour(rng, _TRUCK_LOADS)
    frame = Canvas(length, width, px_per_m=px_per_m, base=TYRE)
    frame.box((-length * 0.47, length * 0.47), (-0.45, 0.45), (58, 58, 60))
    for place in (-length * 0.36, -length * 0.24, length * 0.36):
        frame.box((place - 0.5, place + 0.5), (-1.18, 1.18), TYRE)
    nose, bed = length / 2, length / 2 - 2.45
    cab = Canvas(length, width + 0.5, px_per_m=px_per_m, base=paint)
    for sign in (-1, 1):
        cab.box((nose - 0.75, nose - 0.55), (sign * 1.2, sign * 1.45), (40, 40, 42))
    cab.polygon(
        [
            (nose - 2.1, -1.2),
            (nose - 0.3, -1.2),
            (nose - 0.05, -1.0),
            (nose, 0),
            (nose - 0.05, 1.0),
            (nose - 0.3, 1.2),
            (nose - 2.1, 1.2),
        ],
        paint,
    )
    cab.polygon(
        [(nose - 0.42, -1.02), (nose - 0.12, -0.92), (nose - 0.08, 0), (nose - 0.12, 0.92), (nose - 0.42, 1.02)], GLASS
    )
    cab.box((nose - 1.5, nose - 0.9), (-0.35, 0.35), shade(paint, 0.8))
    cab.relief(0.14, rng)
    box = Canvas(length, width, px_per_m=px_per_m, base=load)
    open_bed = rng.random() < 0.25
    box.box((-length / 2, bed), (-1.24, 1.24), shade(load, 0.9))
    box.box((-length / 2 + 0.08, bed - 0.08), (-1.16, 1.16), (104, 88, 70) if open_bed else load)
    if open_bed:
        for _ in range(14):
            spot = (float(rng.uniform(-length / 2 + 0.7, bed - 0.7)), float(rng.uniform(-0.75, 0.75)))
            tone = float(rng.uniform(0.75, 1.3))
            box.ellipse(
                spot, (float(rng.uniform(0.25, 0.6)), float(rng.uniform(0.2, 0.4))), shade((118, 102, 82), tone)
            )
    else:
        for rib in np.arange(-length / 2 + 0.6, bed - 0.3, float(rng.choice([0.6, 0.9, 1.3]))):
            box.box((float(rib), float(rib) + 0.06), (-1.16, 1.16), shade(load, 0.88))
        box.relief(0.10, rng)
    tall = 1.9 if open_bed else 3.5
    return Sprite(
        (
            Part(frame.rgba, 0.2, 1.0, TYRE),
            Part(cab.rgba, 0.5, 2.8, shade(paint, 0.68)),
            Part(box.rgba, 1.0, tall, shade(load, 0.7)),
        ),
        px_per_m,
        length,
        width + 0.4,
    )


_BUS_COLOURS: list[tuple[float, Colour]] = [
    (0.3, (220, 218, 210)),
    (0.22, (208, 168, 52)),
    (0.18, (172, 48, 42)),
    (0.15, (70, 118, 162)),
    (0.15, (96, 140, 92)),
]


def bus(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """A city bus or coach: long roof with hatches and an air conditioner."""
    paint = pick_colour(rng, _BUS_COLOURS)
    roof = paint if rng.random() < 0.55 else (224, 224, 220)
    length, width = float(rng.uniform(10.4, 12.0)), 2.55
    lower = Canvas(length, width + 0.5, px_per_m=px_per_m, base=paint)
    nose = length / 2
    for sign in (-1, 1):
        lower.box((nose - 0.35, nose - 0.1), (sign * 1.2, sign * 1.5), (36, 36, 38))
    lower.polygon(rounded(length, width, 14.0), shade(paint, 0.9))
    lower.box((nose - 0.34, nose - 0.06), (-1.12, 1.12), GLASS)
    upper = Canvas(length, width, px_per_m=px_per_m, base=roof)
    outline = rounded(length - 0.5, width - 0.12, 12.0) - np.array([0.16, 0.0])
    upper.polygon(outline, shade(roof, 0.88))
    upper.polygon(outline * [0.985, 0.9], roof)
    for sign in (-1, 1):
        upper.box((-nose + 0.8, nose - 0.9), (sign * 0.98, sign * 1.02), shade(roof, 0.84))
    cooler = float(rng.uniform(-0.25, 0.2)) * length
    upper.box((cooler - 1.1, cooler + 1.1), (-0.85, 0.85), (196, 198, 198))
    upper.box((cooler - 0.9, cooler - 0.1), (-0.6, 0.6), (150, 153, 155))
    upper.box((cooler + 0.1, cooler + 0.9), (-0.6, 0.6), (150, 153, 155))
    for place in (-0.34, 0.3):
        spot = place * length
        if abs(spot - cooler) > 1.7:
            upper.box((spot - 0.42, spot + 0.42), (-0.42, 0.42), shade(roof, 0.72))
            upper.box((spot - 0.34, spot + 0.34), (-0.34, 0.34), shade(roof, 0.95))
    upper.relief(0.12, rng)
    return Sprite(
        (Part(lower.rgba, 0.3, 1.2, shade(paint, 0.72)), Part(upper.rgba, 1.2, 3.05, shade(GLASS, 1.3))),
        px_per_m,
        length,
        width + 0.4,
    )


_HULLS: list[tuple[float, Colour]] = [
    (0.55, (224, 225, 224)),
    (0.12, (52, 78, 118)),
    (0.1, (150, 48, 42)),
    (0.13, (134, 98, 64)),
    (0.1, (58, 92, 84)),
]


def boat(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """An open motor boat, a cabin boat or one under a cover: pointed bow, deck, cockpit."""
    length, width = float(rng.uniform(5.0, 7.2)), float(rng.uniform(1.95, 2.5))
    hull = pick_colour(rng, _HULLS)
    deck = (206, 200, 188) if sum(hull) > 500 else (214, 210, 200)
    kind = str(rng.choice(["open", "cabin", "cover"], p=[0.4, 0.4, 0.2]))
    x = np.linspace(-1, 1, 24)
    half = np.where(x < 0.1, 0.93 + 0.07 * (x + 1) / 1.1, np.sqrt(1 - (np.maximum(x - 0.1, 0) / 0.9) ** 2.1))
    side = np.stack([x * length / 2, half * width / 2], axis=1)
    outline = np.concatenate([side, (side * [1, -1])[::-1]])
    lower = Canvas(length + 0.9, width, px_per_m=px_per_m, base=hull)
    if rng.random() < 0.8:
        lower.box((-length / 2 - 0.4, -length / 2 + 0.1), (-0.2, 0.2), (44, 45, 48))
    lower.polygon(outline, hull)
    lower.polygon(outline * [0.94, 0.86], deck)
    floor = shade((164, 140, 112) if rng.random() < 0.5 else (150, 152, 154), float(rng.uniform(0.85, 1.1)))
    inner = np.clip(outline * [0.9, 0.70], [-length * 0.45, -width], [length * 0.12, width])
    lower.polygon(inner, floor)
    for bench in (-0.38, -0.12):
        lower.box((bench * length, bench * length + 0.5), (-width * 0.3, width * 0.3), shade((196, 186, 170), 0.95))
    parts = [Part(lower.rgba, 0.0, 0.75, shade(hull, 0.75))]
    upper = Canvas(length + 0.9, width, px_per_m=px_per_m, base=deck)
    if kind == "cover":
        cloth = pick_colour(rng, [(0.5, (48, 70, 112)), (0.3, (96, 98, 96)), (0.2, (70, 98, 82))])
        upper.polygon(np.clip(outline * [0.95, 0.9], [-length, -width], [length * 0.25, width]), cloth)
        upper.box((-length * 0.45, length * 0.22), (-0.05, 0.05), shade(cloth, 1.25))
        parts.append(Part(upper.rgba, 0.75, 0.95, shade(cloth, 0.8)))
    elif kind == "cabin":
        upper.polygon(
            [
                (-length * 0.12, -width * 0.34),
                (length * 0.16, -width * 0.33),
                (length * 0.27, -width * 0.2),
                (length * 0.27, width * 0.2),
                (length * 0.16, width * 0.33),
                (-length * 0.12, width * 0.34),
            ],
            GLASS,
        )
        upper.polygon(
            [
                (-length * 0.12, -width * 0.3),
                (length * 0.12, -width * 0.29),
                (length * 0.15, 0),
                (length * 0.12, width * 0.29),
                (-length * 0.12, width * 0.3),
            ],
            (228, 228, 224),
        )
        parts.append(Part(upper.rgba, 0.75, 1.7, (150, 152, 152)))
    else:
        upper.polygon(
            [
                (length * 0.09, -width * 0.33),
                (length * 0.15, -width * 0.28),
                (length * 0.19, 0),
                (length * 0.15, width * 0.28),
                (length * 0.09, width * 0.33),
                (length * 0.14, 0),
            ],
            (60, 70, 78),
        )
        parts.append(Part(upper.rgba, 0.75, 1.15, (80, 90, 98)))
    return Sprite(tuple(parts), px_per_m, length + 0.8, width)


_SHIRTS: list[Colour] = [
    (210, 210, 206),
    (44, 46, 52),
    (156, 44, 44),
    (52, 78, 134),
    (196, 160, 62),
    (84, 118, 84),
    (120, 122, 126),
    (178, 96, 60),
    (110, 74, 110),
    (96, 148, 170),
]
_HAIR: list[Colour] = [(48, 36, 28), (30, 26, 24), (96, 70, 46), (150, 124, 86), (120, 116, 112), (190, 178, 150)]
_TROUSERS: list[Colour] = [(46, 52, 70), (36, 36, 38), (104, 94, 78), (72, 72, 74), (150, 146, 136)]


def person(rng: np.random.Generator, px_per_m: float) -> Sprite:
    """Legs, shoulders with arms, and a head, in mid stride or standing."""
    shirt = shade(_SHIRTS[int(rng.integers(len(_SHIRTS)))], float(rng.uniform(0.85, 1.1)))
    hair = _HAIR[int(rng.integers(len(_HAIR)))]
    trousers = _TROUSERS[int(rng.integers(len(_TROUSERS)))]
    size = float(rng.uniform(1.02, 1.2))
    stride = float(rng.uniform(-0.22, 0.22)) * size
    legs = Canvas(1.2, 1.2, px_per_m=px_per_m, base=trousers)
    for sign in (-1, 1):
        legs.ellipse((sign * stride, sign * 0.11 * size), (0.15 * size, 0.09 * size), trousers)
    trunk = Canvas(1.3, 1.3, px_per_m=px_per_m, base=shirt)
    skin = (186, 146, 118) if rng.random() < 0.75 else (110, 78, 58)
    sleeves = rng.random() < 0.5
    for sign in (-1, 1):
        reach = -sign * stride * 0.9
        trunk.ellipse((reach * 0.6, sign * 0.27 * size), (0.12 * size + abs(reach) * 0.4, 0.075 * size), shirt)
        trunk.ellipse((reach * 1.3, sign * 0.28 * size), (0.08 * size, 0.06 * size), shirt if sleeves else skin)
    trunk.ellipse((0.0, 0.0), (0.155 * size, 0.29 * size), shirt)
    if rng.random() < 0.25:
        trunk.ellipse((-0.15 * size, 0.0), (0.13 * size, 0.17 * size), _SHIRTS[int(rng.integers(len(_SHIRTS)))])
    head = Canvas(0.6, 0.6, px_per_m=px_per_m, base=hair)
    head.ellipse((0.06 * size, 0.0), (0.115 * size, 0.085 * size), skin)
    head.ellipse((0.0, 0.0), (0.115 * size, 0.105 * size), hair)
    return Sprite(
        (
            Part(legs.rgba, 0.0, 0.85, trousers),
            Part(trunk.rgba, 0.8, 1.42, shade(shirt, 0.8)),
            Part(head.rgba, 1.42, 1.72, shade(hair, 0.9)),
        ),
        px_per_m,
        1.0,
        1.0,
    )


_DRAW: dict[str, Callable[[np.random.Generator, float], Sprite]] = {
    "car": car,
    "truck": truck,
    "bus": bus,
    "boat": boat,
    "person": person,
}


def draw_sprite(class_name: str, seed: int, px_per_m: float) -> Sprite:
    """The object of class ``class_name`` that ``seed`` stands for."""
    return _DRAW[class_name](generator(seed, 3), px_per_m)
