"""What stands on the lots beside a site's road: car parks, yards, houses with gardens, parks, fields and woods.

Each builder fills one curved rectangle of a layout; none looks beyond its own lot.
"""

from __future__ import annotations

import math

import numpy as np

from overflight.data.scenes.world import Area, Building, Layout, Slot, Tree, Zone

BAY_WIDTH_M, BAY_LENGTH_M, AISLE_M = 2.55, 5.1, 6.2

Span = tuple[float, float]


def car_park(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """Rows of bays on both sides of aisles, with a drive to the road at the lot's near side (``v[0]``)."""
    curve = layout.curve
    surface = str(rng.choice(["asphalt", "asphalt_old", "asphalt_dark", "paving"]))
    layout.strip(surface, u, v, clear=True)
    drive = (u[0] + u[1]) / 2 + rng.uniform(-4, 4)
    layout.strip(surface, (drive - 3.0, drive + 3.0), (v[0] - 3.4, v[0] + 2), clear=True)
    row = v[0] + 1.0 + AISLE_M
    inner = (u[0] + 1.5, u[1] - 1.5)
    while row + BAY_LENGTH_M <= v[1] - 0.3:
        _bays(layout, inner, row, facing=1)
        if row + 2 * BAY_LENGTH_M + AISLE_M <= v[1] + 0.4:
            layout.stripe(inner, (row + BAY_LENGTH_M, row + BAY_LENGTH_M))
            _bays(layout, inner, row + BAY_LENGTH_M, facing=-1)
            row += BAY_LENGTH_M
        row += BAY_LENGTH_M + AISLE_M
    layout.areas.append(Area(inner, (v[0] + 1.5, v[0] + AISLE_M), 1.2))
    for lamp in np.arange(u[0] + 6, u[1] - 5, 14.0):
        layout.lamps.append(curve.point(float(lamp), (v[0] + v[1]) / 2))
        layout.prop("lamp", u[0] + 0.7, min(v[0] + 4 + float(lamp - u[0]), v[1] - 2), seed=_new(rng))
    for number in range(int(rng.integers(0, 4))):
        layout.prop("bin", u[1] - 0.8, v[1] - 1.5 - number * 0.9, seed=_new(rng), turn_rad=float(rng.normal(0, 0.1)))


def _bays(layout: Layout, u: Span, v: float, *, facing: int) -> None:
    """One row of bays from ``v`` to ``v + BAY_LENGTH_M``; cars look towards ``facing``."""
    count = int((u[1] - u[0]) / BAY_WIDTH_M)
    for number in range(count + 1):
        at = u[0] + number * BAY_WIDTH_M
        layout.stripe((at, at), (v, v + BAY_LENGTH_M), width_m=0.11)
        if number < count:
            middle = at + BAY_WIDTH_M / 2
            x, y = layout.curve.point(middle, v + BAY_LENGTH_M / 2)
            layout.slots.append(Slot("bay", x, y, layout.curve.direction_rad(middle) + facing * math.pi / 2, 5.0))


def yard(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """A hall with docks and long slots in front of it, where trucks and coaches stand."""
    surface = str(rng.choice(["concrete", "asphalt_old", "concrete", "gravel"]))
    layout.strip(surface, u, v, clear=True)
    drive = u[0] + 6.0 + rng.uniform(0, 3)
    layout.strip(surface, (drive - 4.0, drive + 4.0), (v[0] - 3.4, v[0] + 2), clear=True)
    depth = min(12.0, (v[1] - v[0]) - 19.0)
    if depth > 5:
        middle = (u[0] + u[1]) / 2
        x, y = layout.curve.point(middle, v[1] - depth / 2 - 0.5)
        layout.buildings.append(
            Building(
                x,
                y,
                layout.curve.direction_rad(middle),
                u[1] - u[0] - 4,
                depth,
                5.0,
                5.6,
                str(rng.choice(["flat", "metal"])),
                float(rng.random()),
            )
        )
    width = 4.2
    for number in range(int((u[1] - u[0] - 3) / width)):
        middle = u[0] + 2 + (number + 0.5) * width
        near = v[0] + 4.0
        layout.stripe((middle - width / 2, middle - width / 2), (near, near + 13), width_m=0.15)
        x, y = layout.curve.point(middle, near + 6.5)
        facing = -1 if rng.random() < 0.8 else 1
        layout.slots.append(Slot("dock", x, y, layout.curve.direction_rad(middle) + facing * math.pi / 2, 13.0))
    layout.areas.append(Area((u[0] + 2, u[1] - 2), (v[0] + 1.0, v[0] + 3.5), 0.5))
    for _ in range(int(rng.integers(2, 5))):
        at = float(rng.uniform(u[0] + 2, u[1] - 2))
        layout.prop("container", at, v[0] + 18.6, seed=_new(rng), turn_rad=float(rng.normal(0, 0.12)))


def _new(rng: np.random.Generator) -> int:
    """Seed of a prop."""
    return int(rng.integers(2**60))


def _mow(layout: Layout, u: Span, v: Span, *, width_m: float) -> None:
    """Every other stripe of a lawn is mown the other way."""
    for start in np.arange(u[0], u[1] - width_m, 2 * width_m):
        layout.mown.append(layout.curve.strip((float(start), float(start) + width_m), v))


def houses(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """Detached houses with gardens, a drive with a car's place, a terrace, hedges and bushes."""
    layout.strip("lawn", u, v)
    plots = max(1, round((u[1] - u[0]) / 17.0))
    width = (u[1] - u[0]) / plots
    for plot in range(plots):
        _plot(layout, rng, (u[0] + plot * width, u[0] + (plot + 1) * width), v)


def _plot(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    curve = layout.curve
    left = rng.random() < 0.5
    length, width = rng.uniform(8.5, 11.5), rng.uniform(7.0, 9.0)
    drive = u[0] + 2.2 if left else u[1] - 2.2
    middle = (u[0] + u[1]) / 2 + (1.2 if left else -1.2)
    back = v[0] + rng.uniform(5.0, 8.0) + width / 2
    along = rng.random() < 0.6
    x, y = curve.point(middle, back)
    angle = curve.direction_rad(middle) + (0.0 if along else math.pi / 2)
    layout.strip(
        str(rng.choice(["paving", "gravel", "asphalt"])), (drive - 1.5, drive + 1.5), (v[0] - 3.4, back), clear=True
    )
    layout.strip(
        "paving", (middle - 3, middle + 3), (back + width / 2 - 1, back + width / 2 + rng.uniform(2.0, 3.5)), clear=True
    )
    eaves = rng.uniform(2.8, 3.6)
    layout.buildings.append(
        Building(
            x,
            y,
            angle,
            length,
            width,
            eaves,
            eaves + rng.uniform(1.8, 2.6),
            str(rng.choice(["gable", "gable", "hip"])),
            float(rng.random()),
        )
    )
    for number in range(int(rng.integers(0, 3))):
        layout.prop("bin", drive + (2.0 if left else -2.0), v[0] + 0.6 + number * 0.8, seed=_new(rng))
    if rng.random() < 0.5:
        layout.prop("parasol", middle + float(rng.uniform(-2, 2)), back + width / 2 + 1.6, seed=_new(rng))
    if rng.random() < 0.5:
        _mow(layout, u, (back + width / 2 + 1, v[1] - 1), width_m=0.9)
    bay_x, bay_y = curve.point(drive, v[0] + 2.2)
    layout.slots.append(Slot("bay", bay_x, bay_y, curve.direction_rad(drive) + math.pi / 2, 5.0))
    layout.areas.append(Area((u[0] + 2, u[1] - 2), (back + width / 2 + 0.5, min(v[1] - 1, back + width / 2 + 6)), 0.5))
    _hedge(layout, rng, (u[0], u[0]), (v[0] + 1, v[1] - 0.5))
    _hedge(layout, rng, (u[0], u[1]), (v[1] - 0.5, v[1] - 0.5))


def _hedge(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """A row of touching bushes from one point to another, with a gap now and then."""
    length = math.hypot(u[1] - u[0], v[1] - v[0])
    tone = float(rng.uniform(0.2, 0.6))
    for share in np.arange(0, 1, 0.9 / max(length, 1.0)):
        if rng.random() < 0.9:
            x, y = layout.curve.point(float(u[0] + share * (u[1] - u[0])), float(v[0] + share * (v[1] - v[0])))
            layout.trees.append(Tree(x, y, float(rng.uniform(0.7, 0.95)), float(rng.uniform(1.1, 1.6)), "bush", tone))


def park(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """Lawn with a winding path, a square and single trees (planted later, where there is room)."""
    layout.strip("lawn", u, v)
    middle = (v[0] + v[1]) / 2
    along = np.linspace(u[0] - 2, u[1] + 2, 40)
    bend = middle + np.sin(along / (u[1] - u[0]) * 2 * math.pi + rng.uniform(0, 6)) * (v[1] - v[0]) * 0.22
    path = np.concatenate([np.stack([along, bend - 1.1], 1), np.stack([along[::-1], bend[::-1] + 1.1], 1)])
    material = str(rng.choice(["gravel", "paving", "sand"]))
    polygon = layout.curve.to_site(path)
    layout.zones.append(Zone(material, polygon, rough_m=0.1))
    layout.no_trees.append(polygon)
    centre = (u[0] + u[1]) / 2
    layout.strip(material, (centre - 3.5, centre + 3.5), (middle - 3.5, middle + 3.5), clear=True, rough_m=0.1)
    layout.areas.append(Area((centre - 3, centre + 3), (middle - 3, middle + 3), 1.5))
    if rng.random() < 0.6:
        _mow(layout, u, v, width_m=float(rng.uniform(0.8, 1.6)))
    for side in (-1, 1):
        layout.prop("bench", centre + side * 3.0, middle + float(rng.uniform(-2, 2)), seed=_new(rng))
        if rng.random() < 0.6:
            layout.prop(
                "parasol",
                centre + side * float(rng.uniform(4.5, 8)),
                middle + float(rng.uniform(-5, 5)),
                seed=_new(rng),
            )
    layout.prop("bin", centre + 3.2, middle - 3.2, seed=_new(rng))
    layout.areas.append(Area((u[0] + 1, u[1] - 1), (v[0] + 1, v[1] - 1), 0.6))


def field(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """A crop with rows and tractor lines, within a grassy edge."""
    layout.strip("meadow", u, v)
    inner = layout.curve.strip((u[0] + 1.0, u[1] - 1.0), (v[0] + 1.2, v[1] - 0.8))
    turn = layout.curve.direction_rad((u[0] + u[1]) / 2) + (0.0 if rng.random() < 0.6 else math.pi / 2)
    crop = str(rng.choice(["crop", "wheat", "ploughed", "crop_young"]))
    layout.zones.append(Zone(crop, inner, rough_m=0.3, rows_rad=turn))
    layout.no_trees.append(inner)
    if crop == "wheat":
        for _ in range(int(rng.integers(2, 7))):
            layout.prop(
                "bale",
                float(rng.uniform(u[0] + 3, u[1] - 3)),
                float(rng.uniform(v[0] + 3, v[1] - 3)),
                seed=_new(rng),
                turn_rad=float(rng.uniform(0, 3)),
            )


def wood(layout: Layout, rng: np.random.Generator, u: Span, v: Span) -> None:
    """Crowns side by side over a dark floor."""
    layout.strip("forest_floor", u, v, rough_m=1.2)
    species = str(rng.choice(["broad", "broad", "conifer"]))
    step = 3.6 if species == "broad" else 2.9
    tone = float(rng.uniform(0.25, 0.75))
    for along in np.arange(u[0], u[1], step):
        for across in np.arange(v[0] + 1, v[1], step):
            jitter = rng.uniform(-1.3, 1.3, 2)
            if rng.random() < 0.08:
                continue
            x, y = layout.curve.point(float(along + jitter[0]), float(across + jitter[1]))
            other = rng.random() < 0.2
            kind = ("conifer" if species == "broad" else "broad") if other else species
            radius = float(rng.uniform(1.9, 3.4) * (0.75 if kind == "conifer" else 1.0))
            layout.trees.append(
                Tree(
                    x,
                    y,
                    radius,
                    radius * float(rng.uniform(1.25, 1.7)),
                    kind,
                    float(np.clip(rng.normal(tone, 0.2), 0, 1)),
                )
            )
