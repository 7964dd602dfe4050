"""How a site is put together: water, shore, promenade, road, lots, and what lies behind them.

Knows where things are, not how they look.
"""

from __future__ import annotations

import math

import numpy as np

from overflight.data.scenes import lots
from overflight.data.scenes.noise import generator
from overflight.data.scenes.world import CLEARANCE_CELL_M, Area, Curve, Lane, Layout, Slot, Tree

LANE_M = 3.3


def build_layout(*, seed: int, side_m: float, new_site: bool) -> Layout:
    """The layout of one site: all random choices follow from ``seed``."""
    rng = generator(seed, 1)
    curve = Curve(
        centre_m=(side_m / 2 + rng.uniform(-4, 4), side_m / 2 + rng.uniform(-4, 4)),
        angle_rad=float(rng.uniform(0, 2 * math.pi)),
        bend_m=float(rng.uniform(1.0, 7.0)),
        wavelength_m=float(rng.uniform(130, 260)),
        phase_rad=float(rng.uniform(0, 2 * math.pi)),
    )
    palette = "arid" if new_site else str(rng.choice(["lush", "temperate", "dry"], p=[0.35, 0.45, 0.2]))
    layout = Layout(side_m=side_m, curve=curve, reach_m=side_m * 0.75, palette=palette)
    layout.strip("meadow", (-layout.reach_m, layout.reach_m), (-layout.reach_m, layout.reach_m))
    edge = -side_m * float(rng.uniform(0.15, 0.22))
    _water(layout, rng, edge)
    road = _shore(layout, rng, edge)
    _road(layout, rng, road)
    near = road + LANE_M + 3.4
    depth = float(rng.uniform(32.5, 36.0))
    _lots(layout, rng, (near, near + depth))
    _back(layout, rng, near + depth)
    _plant(layout, rng)
    return layout


def _water(layout: Layout, rng: np.random.Generator, edge: float) -> None:
    reach = layout.reach_m
    river = rng.random() < 0.4
    far = edge - float(rng.uniform(22, 30)) if river else -reach
    layout.strip("water", (-reach, reach), (far, edge), clear=True, rough_m=0.5)
    middle = (edge + far) / 2 if river else edge - 26.0
    for _ in range(int(rng.integers(6, 16))):
        at = (float(rng.uniform(-0.6, 0.6)) * layout.side_m, edge - float(rng.uniform(3, 40 if not river else 20)))
        layout.prop("buoy", *at, seed=int(rng.integers(2**60)))
    layout.lanes.append(Lane("water", middle - 2.5, 1, (2.0, 4.5)))
    if river:
        layout.strip("reeds", (-reach, reach), (far - 2.2, far + 0.6), rough_m=0.8)
        lots.wood(layout, rng, (-reach, reach), (-reach, far - 8.0))
    first = rng.uniform(-34, -22)
    room = (abs(middle - edge) - 4.0) if river else 22.0
    for number in range(3):
        _jetty(layout, rng, u=first + number * rng.uniform(24, 29), edge=edge, length=min(room, rng.uniform(13, 19)))


def _jetty(layout: Layout, rng: np.random.Generator, *, u: float, edge: float, length: float) -> None:
    """A jetty with boats bow-on at both sides."""
    layout.strip("planks", (u - 0.9, u + 0.9), (edge - length, edge + 3.0), clear=True)
    spacing = float(rng.uniform(3.4, 4.0))
    for number in range(int((length - 3.5) / spacing)):
        across = edge - 4.2 - number * spacing
        for side in (-1, 1):
            at = u + side * 4.6
            x, y = layout.curve.point(at, across)
            turn = math.pi if (side > 0) == (rng.random() < 0.8) else 0.0
            layout.slots.append(Slot("berth", x, y, layout.curve.direction_rad(at) + turn, 6.2))
            layout.strip(
                "planks", (u + side * 0.9, u + side * 2.6), (across + spacing / 2 - 0.15, across + spacing / 2 + 0.2)
            )
    layout.areas.append(Area((u - 0.5, u + 0.5), (edge - length + 0.8, edge), 0.9))


def _shore(layout: Layout, rng: np.random.Generator, edge: float) -> float:
    """Beach or quay, promenade and a green strip; returns the road's middle."""
    reach = layout.reach_m
    along = (-reach, reach)
    kind = str(rng.choice(["beach", "quay", "green"]))
    width = {"beach": rng.uniform(4, 6.5), "quay": 2.2, "green": rng.uniform(2.5, 4.5)}[kind]
    material = {"beach": "sand", "quay": "concrete", "green": "reeds"}[kind]
    layout.strip(material, along, (edge, edge + width), clear=True, rough_m=0.0 if kind == "quay" else 0.35)
    path = edge + width + (0.0 if kind == "quay" else 1.0)
    layout.strip(str(rng.choice(["paving", "gravel", "asphalt"])), along, (path, path + 3.0), clear=True)
    layout.lanes.append(Lane("walk", path + 0.9, 1, (0.8, 1.5)))
    layout.lanes.append(Lane("walk", path + 2.1, -1, (0.8, 1.5)))
    layout.areas.append(Area((-reach * 0.6, reach * 0.6), (edge + 0.6, path + 2.6), 2.0))
    green = float(rng.uniform(3.0, 6.0))
    layout.strip("lawn", along, (path + 3.0, path + 3.0 + green))
    for at in np.arange(-reach, reach, float(rng.uniform(13, 24))):
        layout.prop("bench", float(at), path + 3.4, seed=int(rng.integers(2**60)))
        if rng.random() < 0.4:
            layout.prop("bin", float(at) + 1.8, path + 3.4, seed=int(rng.integers(2**60)))
    if green > 3.8:
        _avenue(layout, rng, path + 3.0 + green / 2)
    return path + 3.0 + green + 2.0 + LANE_M


def _avenue(layout: Layout, rng: np.random.Generator, v: float) -> None:
    """A row of trees of one kind and about one age."""
    age, tone = float(rng.uniform(1.4, 1.9)), float(rng.uniform(0.2, 0.8))
    for at in np.arange(-layout.reach_m, layout.reach_m, float(rng.uniform(7.5, 13))):
        if rng.random() < 0.85:
            x, y = layout.curve.point(float(at + rng.normal(0, 0.4)), v + float(rng.normal(0, 0.2)))
            radius = age * float(rng.uniform(0.85, 1.1))
            layout.trees.append(
                Tree(x, y, radius, radius * 1.7, "broad", float(np.clip(tone + rng.normal(0, 0.08), 0, 1)))
            )


def _road(layout: Layout, rng: np.random.Generator, middle: float) -> None:
    """Two lanes with kerbs, pavements, a dashed middle line and a crossing."""
    reach = layout.reach_m
    along = (-reach, reach)
    surface = str(rng.choice(["asphalt", "asphalt_old", "asphalt_dark"]))
    layout.strip("paving", along, (middle - LANE_M - 2.0, middle - LANE_M), clear=True)
    layout.strip("paving", along, (middle + LANE_M, middle + LANE_M + 2.0), clear=True)
    layout.strip("kerb", along, (middle - LANE_M - 0.18, middle + LANE_M + 0.18), clear=True)
    layout.strip(surface, along, (middle - LANE_M, middle + LANE_M))
    layout.stripe(along, (middle, middle), dash_m=(3.0, 4.5) if rng.random() < 0.6 else None)
    for side in (-1, 1):
        layout.stripe(along, (middle + side * (LANE_M - 0.25), middle + side * (LANE_M - 0.25)), width_m=0.1)
        layout.lanes.append(Lane("walk", middle + side * (LANE_M + 1.1), side, (0.9, 1.5)))
    crossing = rng.uniform(-25, 25)
    for bar in np.arange(middle - LANE_M + 0.4, middle + LANE_M - 0.3, 1.0):
        layout.stripe((crossing, crossing + 3.2), (float(bar) + 0.25, float(bar) + 0.25), width_m=0.5)
    layout.lanes.append(Lane("road", middle - LANE_M / 2, -1, (6.0, 13.0)))
    layout.lanes.append(Lane("road", middle + LANE_M / 2, 1, (6.0, 13.0)))
    for lamp in np.arange(-reach, reach, 22.0):
        layout.lamps.append(layout.curve.point(float(lamp), middle - LANE_M - 0.8))
        layout.prop("lamp", float(lamp), middle - LANE_M - 0.8, seed=int(rng.integers(2**60)), turn_rad=math.pi / 2)


def _lots(layout: Layout, rng: np.random.Generator, v: tuple[float, float]) -> None:
    """A car park and a yard near the middle, other lots to both sides."""
    middle = [lots.car_park, lots.yard]
    if rng.random() < 0.5:
        middle.reverse()
    widths = [float(rng.uniform(27, 36)), float(rng.uniform(25, 32))]
    start = -sum(widths) / 2 + float(rng.uniform(-10, 10))
    at = start
    for build, width in zip(middle, widths, strict=True):
        build(layout, rng, (at, at + width), v)
        at += width + 2.5
    others = [lots.houses, lots.houses, lots.park, lots.field, lots.wood]
    for sign, edge in ((1, at), (-1, start - 2.5)):
        position = edge
        while abs(position) < layout.reach_m:
            width = float(rng.uniform(24, 38))
            span = (position, position + width) if sign > 0 else (position - width, position)
            others[int(rng.integers(len(others)))](layout, rng, span, v)
            position += sign * (width + 1.0)


def _back(layout: Layout, rng: np.random.Generator, v: float) -> None:
    """A footpath, then fields and woods."""
    reach = layout.reach_m
    layout.strip("gravel", (-reach, reach), (v + 1.0, v + 3.4), clear=True, rough_m=0.3)
    layout.lanes.append(Lane("walk", v + 2.2, int(rng.choice([-1, 1])), (0.8, 1.5)))
    builders = [lots.field, lots.field, lots.wood, lots.park]
    position = -reach
    while position < reach:
        width = float(rng.uniform(30, 55))
        builders[int(rng.integers(len(builders)))](layout, rng, (position, position + width), (v + 4.5, reach))
        position += width + 0.5


def _plant(layout: Layout, rng: np.random.Generator) -> None:
    """Single trees wherever a crown has room; then every crown that covers ground to be kept free is dropped."""
    room = layout.clearance_m()
    count = int(layout.side_m**2 / 60)
    tone = float(rng.uniform(0.3, 0.7))
    for _ in range(count):
        x, y = rng.uniform(0, layout.side_m, 2)
        radius = float(rng.choice([rng.uniform(0.5, 1.2), rng.uniform(1.4, 3.6)], p=[0.35, 0.65]))
        kind = "bush" if radius < 1.2 else str(rng.choice(["broad", "broad", "conifer"]))
        height = radius * float(rng.uniform(1.15, 1.6)) if kind != "bush" else radius * 1.2
        layout.trees.append(Tree(float(x), float(y), radius, height, kind, float(np.clip(rng.normal(tone, 0.2), 0, 1))))
    last = room.shape[0] - 1

    def fits(tree: Tree) -> bool:
        column, line = int(tree.x_m / CLEARANCE_CELL_M), int(tree.y_m / CLEARANCE_CELL_M)
        inside = 0 <= column <= last and 0 <= line <= last
        return inside and float(room[line, column]) > tree.radius_m + 0.2

    layout.trees[:] = [tree for tree in layout.trees if fits(tree)]
