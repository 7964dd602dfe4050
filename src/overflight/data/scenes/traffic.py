"""Who and what is on a site during one flight, and where each is at any moment.

Knows positions, headings and speeds; how things look is :mod:`sprites`' business.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from overflight.data.scenes.noise import generator
from overflight.data.scenes.settings import CLASSES, SceneSettings
from overflight.data.scenes.world import Lane, Layout


@dataclass(frozen=True)
class Thing:
    """One object of a flight.

    Attributes:
        class_id: Index into the classes, or -1 for a prop, which gets no label.
        seed: What it looks like.
        u_m: Start along the curve (moving) or site x (standing).
        v_m: Constant distance across the curve (moving) or site y (standing).
        angle_rad: Heading added to the lane's (moving) or in site directions (standing).
        speed_mps: Signed speed along ``u``; 0 stands still.
        wake: Draws a wake behind it.
        kind: Name of the class, or of the prop.
    """

    class_id: int
    seed: int
    u_m: float
    v_m: float
    angle_rad: float
    speed_mps: float
    wake: bool = False
    kind: str = ""

    def at(self, layout: Layout, seconds: float) -> tuple[float, float, float]:
        """Site position and heading (radians, from east towards south) ``seconds`` after the flight's start."""
        if self.speed_mps == 0.0:
            return self.u_m, self.v_m, self.angle_rad
        reach = layout.reach_m
        along = (self.u_m + self.speed_mps * seconds + reach) % (2 * reach) - reach
        x, y = layout.curve.point(along, self.v_m)
        turn = 0.0 if self.speed_mps > 0 else math.pi
        return x, y, layout.curve.direction_rad(along) + turn + self.angle_rad


def populate(layout: Layout, settings: SceneSettings, *, seed: int, flight: int) -> tuple[Thing, ...]:
    """All objects of one flight over ``layout``."""
    rng = generator(seed, 4, flight)
    things: list[Thing] = []
    for lane in layout.lanes:
        things += {"road": _road, "water": _water, "walk": _walk}[lane.kind](layout, lane, settings, rng)
    things += _slots(layout, settings, rng)
    things += _people(layout, settings, rng)
    things += [Thing(-1, prop.seed, prop.x_m, prop.y_m, prop.angle_rad, 0.0, kind=prop.kind) for prop in layout.props]
    return tuple(things)


def _new(rng: np.random.Generator) -> int:
    return int(rng.integers(2**60))


def _thinned(rng: np.random.Generator, weight: float) -> bool:
    """Keep an object whose class has this weight? Weights above 1 fill places that are otherwise left empty."""
    return bool(rng.random() < weight)


def _choose(rng: np.random.Generator, settings: SceneSettings, shares: dict[str, float]) -> str | None:
    """A class by share and weight; None leaves the place empty (shares sum to at most 1)."""
    drawn = rng.random()
    for name, share in shares.items():
        drawn -= share * settings.weight(name)
        if drawn < 0:
            return name
    return None


def _road(layout: Layout, lane: Lane, settings: SceneSettings, rng: np.random.Generator) -> list[Thing]:
    speed = float(rng.uniform(*lane.speed_mps))
    things = []
    at = -layout.reach_m + 8.0
    while at < layout.reach_m - 8.0:
        name = _choose(rng, settings, {"car": 0.44, "truck": 0.21, "bus": 0.25})
        if name is not None:
            drift = float(rng.normal(0, 0.15))
            things.append(
                Thing(
                    CLASSES.index(name),
                    _new(rng),
                    at,
                    lane.v_m + drift,
                    float(rng.normal(0, 0.012)),
                    lane.direction * speed,
                )
            )
        at += (8.0 if name == "car" else 14.5) + float(rng.exponential(5.0))
    return things


def _water(layout: Layout, lane: Lane, settings: SceneSettings, rng: np.random.Generator) -> list[Thing]:
    speed = float(rng.uniform(*lane.speed_mps))
    boat = CLASSES.index("boat")
    things = []
    at = -layout.reach_m + float(rng.uniform(5, 20))
    while at < layout.reach_m - 10:
        if _thinned(rng, 0.7 * settings.weight("boat")):
            drift = float(rng.uniform(-2.0, 2.0))
            things.append(
                Thing(
                    boat, _new(rng), at, lane.v_m + drift, float(rng.normal(0, 0.06)), lane.direction * speed, wake=True
                )
            )
        at += float(rng.uniform(16, 34))
    return things


def _walk(layout: Layout, lane: Lane, settings: SceneSettings, rng: np.random.Generator) -> list[Thing]:
    things = []
    at = -layout.reach_m + float(rng.uniform(0, 8))
    while at < layout.reach_m:
        if _thinned(rng, 0.38 * settings.weight("person")):
            pace = lane.direction * float(rng.uniform(*lane.speed_mps))
            things.append(
                Thing(
                    CLASSES.index("person"),
                    _new(rng),
                    at,
                    lane.v_m + float(rng.normal(0, 0.15)),
                    float(rng.normal(0, 0.15)),
                    pace,
                )
            )
        at += float(rng.uniform(6, 18))
    return things


def _slots(layout: Layout, settings: SceneSettings, rng: np.random.Generator) -> list[Thing]:
    shares = {
        "bay": {"car": 0.55},
        "dock": {"truck": 0.40, "bus": 0.40},
        "berth": {"boat": 0.62},
    }
    things = []
    for slot in layout.slots:
        name = _choose(rng, settings, shares[slot.kind])
        along, aside = rng.normal(0, 0.22), rng.normal(0, 0.08)
        turned = math.pi if slot.kind == "bay" and rng.random() < 0.35 else 0.0
        angle = slot.angle_rad + turned + float(rng.normal(0, 0.02 if slot.kind != "berth" else 0.05))
        if name is not None:
            x = slot.x_m + along * math.cos(slot.angle_rad) - aside * math.sin(slot.angle_rad)
            y = slot.y_m + along * math.sin(slot.angle_rad) + aside * math.cos(slot.angle_rad)
            things.append(Thing(CLASSES.index(name), _new(rng), float(x), float(y), angle, 0.0))
    return things


def _people(layout: Layout, settings: SceneSettings, rng: np.random.Generator) -> list[Thing]:
    """People who stand about, alone or in small groups."""
    if not layout.areas:
        return []
    weights = np.array([area.weight for area in layout.areas])
    count = round(layout.side_m**2 / 700 * settings.weight("person"))
    things: list[Thing] = []
    while len(things) < count:
        area = layout.areas[int(rng.choice(len(weights), p=weights / weights.sum()))]
        u, v = float(rng.uniform(*area.u_m)), float(rng.uniform(*area.v_m))
        for _ in range(int(rng.choice([1, 2, 3], p=[0.6, 0.3, 0.1]))):
            x, y = layout.curve.point(u, v)
            things.append(Thing(CLASSES.index("person"), _new(rng), x, y, float(rng.uniform(0, 2 * math.pi)), 0.0))
            u, v = u + float(rng.choice([-1, 1])) * float(rng.uniform(0.7, 1.1)), v + float(rng.uniform(-0.4, 0.4))
    return things
