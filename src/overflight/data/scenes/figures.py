"""Boats and people as seen from above.

Each drawing is a function of a random generator; none knows where it will be.
"""

from __future__ import annotations

import numpy as np

from overflight.data.scenes.noise import Array, fractal
from overflight.data.scenes.sprites import GLASS, Canvas, Colour, Sprite, part, pick_colour, shade, sprite

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
    parts = [part(lower, 0.0, 0.75, shade(hull, 0.75))]
    upper = Canvas(length + 0.9, width, px_per_m=px_per_m, base=deck)
    if kind == "cover":
        cloth = pick_colour(rng, [(0.5, (48, 70, 112)), (0.3, (96, 98, 96)), (0.2, (70, 98, 82))])
        upper.polygon(np.clip(outline * [0.95, 0.9], [-length, -width], [length * 0.25, width]), cloth)
        upper.box((-length * 0.45, length * 0.22), (-0.05, 0.05), shade(cloth, 1.25))
        parts.append(part(upper, 0.75, 0.95, shade(cloth, 0.8)))
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
        parts.append(part(upper, 0.75, 1.7, (150, 152, 152)))
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
        parts.append(part(upper, 0.75, 1.15, (80, 90, 98)))
    return sprite(tuple(parts), px_per_m, length + 0.8, width)


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
    return sprite(
        (
            part(legs, 0.0, 0.85, trousers),
            part(trunk, 0.8, 1.42, shade(shirt, 0.8)),
            part(head, 1.42, 1.72, shade(hair, 0.9)),
        ),
        px_per_m,
        1.0,
        1.0,
    )


def wake(rng: np.random.Generator, px_per_m: float) -> Array:
    """The water behind a moving boat whose middle is the picture's: foam and two waves (uint8 RGBA, premultiplied)."""
    columns, rows = int(26 * px_per_m), int(9 * px_per_m)
    x = np.linspace(13, -13, columns, dtype=np.float32)[None, ::-1]
    y = np.linspace(-4.5, 4.5, rows, dtype=np.float32)[:, None]
    behind = np.clip(2.2 - x, 0, None)
    arms = np.exp(-(((np.abs(y) - 0.55 - 0.26 * behind) / (0.16 + 0.035 * behind)) ** 2)) * np.exp(-behind / 6.0)
    trail = np.exp(-((y / (0.45 + 0.05 * behind)) ** 2)) * np.exp(-np.clip(-2.2 - x, 0, None) / 3.5) * (x < -2.2)
    foam = np.clip(arms * 0.55 + trail * 0.9, 0, 1) * (behind > 0)
    rough = fractal(rng, (rows, columns), cell_px=max(4.0, 0.9 * px_per_m), octaves=4).astype(np.float32) / 128
    alpha = np.clip(foam * rough**2 * 0.75, 0, 0.85)
    picture = np.empty((rows, columns, 4), np.uint8)
    picture[:, :, :3] = alpha[:, :, None] * np.array([206, 216, 216], np.float32)
    picture[:, :, 3] = alpha * 255
    return picture
