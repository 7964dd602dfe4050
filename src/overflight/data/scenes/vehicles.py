"""Cars, trucks and buses as seen from above: bodies, windscreens, roofs, loads, in the colours people buy.

Each drawing is a function of a random generator; none knows where it will stand.
"""

from __future__ import annotations

import numpy as np

from overflight.data.scenes.sprites import (
    GLASS,
    TYRE,
    Canvas,
    Colour,
    Sprite,
    part,
    pick_colour,
    rounded,
    shade,
    sprite,
)

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
    cabin = _cabin(rng, paint, px_per_m=px_per_m, x=(rear, front), width=width, kind=kind)
    return sprite(
        (
            part(body, 0.2, 0.86, shade(paint, 0.66), (0.40, (44, 44, 46))),
            part(cabin, 0.86, height, shade(paint, 0.8), (height - 0.16, shade(GLASS, 1.15))),
        ),
        px_per_m,
        length,
        width + 0.2,
    )


def _cabin(
    rng: np.random.Generator, paint: Colour, *, px_per_m: float, x: tuple[float, float], width: float, kind: str
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
        for _ in range(260):
            spot = (float(rng.uniform(-length / 2 + 0.35, bed - 0.35)), float(rng.uniform(-0.95, 0.95)))
            size = float(rng.uniform(0.05, 0.2))
            box.ellipse(spot, (size, size * 0.8), shade((112, 98, 80), float(rng.uniform(0.72, 1.28))))
    else:
        for rib in np.arange(-length / 2 + 0.6, bed - 0.3, float(rng.choice([0.6, 0.9, 1.3]))):
            box.box((float(rib), float(rib) + 0.06), (-1.16, 1.16), shade(load, 0.88))
        box.relief(0.10, rng)
    tall = 1.9 if open_bed else 3.5
    return sprite(
        (
            part(frame, 0.2, 1.0, TYRE),
            part(
                cab,
                0.4,
                2.8,
                shade(paint, 0.8),
                (0.8, (52, 52, 54)),
                (1.6, shade(paint, 0.68)),
                (2.35, shade(GLASS, 1.1)),
            ),
            part(box, 1.0, tall, shade(load, 0.7)),
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
    return sprite(
        (
            part(lower, 0.25, 1.25, shade(paint, 0.74), (0.55, (48, 48, 50))),
            part(upper, 1.25, 3.05, shade(roof, 0.78), (2.55, shade(GLASS, 1.25))),
        ),
        px_per_m,
        length,
        width + 0.4,
    )
