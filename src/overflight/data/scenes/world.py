"""The parts of a site's layout: zones, markings, buildings, trees, lanes and slots, in metres.

A layout says what lies where; it knows no pixels, colours or light. Positions are site metres (x east, y south). Most
of a site follows one gentle curve (a shore with its road): ``(u, v)`` are metres along and across that curve.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np

from overflight.data.scenes.noise import Array

CLEARANCE_CELL_M = 0.5


@dataclass(frozen=True)
class Curve:
    """The line a site is laid out along.

    Attributes:
        centre_m: Site position of ``(0, 0)``.
        angle_rad: Direction of growing ``u``, from east towards south.
        bend_m: Amplitude of the bend.
        wavelength_m: Length of one bend.
        phase_rad: Where along the bend the centre lies.
    """

    centre_m: tuple[float, float]
    angle_rad: float
    bend_m: float
    wavelength_m: float
    phase_rad: float

    def to_site(self, uv: Array) -> Array:
        """Site positions (N x 2, metres) of curve positions (N x 2, metres)."""
        wave = 2 * math.pi / self.wavelength_m
        along = uv[:, 0]
        across = uv[:, 1] + self.bend_m * (np.sin(wave * along + self.phase_rad) - math.sin(self.phase_rad))
        cos, sin = math.cos(self.angle_rad), math.sin(self.angle_rad)
        x = self.centre_m[0] + along * cos - across * sin
        y = self.centre_m[1] + along * sin + across * cos
        return np.stack([x, y], axis=1)

    def point(self, u: float, v: float) -> tuple[float, float]:
        """Site position of one curve position."""
        x, y = self.to_site(np.array([[u, v]]))[0]
        return float(x), float(y)

    def direction_rad(self, u: float) -> float:
        """Direction of growing ``u`` at ``u``, from east towards south."""
        wave = 2 * math.pi / self.wavelength_m
        return self.angle_rad + math.atan(self.bend_m * wave * math.cos(wave * u + self.phase_rad))

    def strip(self, u: tuple[float, float], v: tuple[float, float]) -> Array:
        """Polygon (N x 2, site metres) of the curved rectangle ``u[0]..u[1]`` by ``v[0]..v[1]``."""
        steps = max(2, int(abs(u[1] - u[0]) / 2.0) + 1)
        along = np.linspace(u[0], u[1], steps)
        near = np.stack([along, np.full(steps, v[0])], axis=1)
        far = np.stack([along[::-1], np.full(steps, v[1])], axis=1)
        return self.to_site(np.concatenate([near, far]))

    def line(self, u: tuple[float, float], v: tuple[float, float]) -> Array:
        """Polyline (N x 2, site metres) from ``(u[0], v[0])`` to ``(u[1], v[1])``."""
        steps = max(2, int(abs(u[1] - u[0]) / 2.0) + 1)
        return self.to_site(np.stack([np.linspace(u[0], u[1], steps), np.linspace(v[0], v[1], steps)], axis=1))


@dataclass(frozen=True)
class Zone:
    """A polygon of one ground material; ``rough_m`` frays its edge, ``rows_rad`` is the direction of crop rows."""

    material: str
    polygon_m: Array
    rough_m: float = 0.0
    rows_rad: float = 0.0
    height_m: float = 0.0


@dataclass(frozen=True)
class Marking:
    """Paint on the ground: a polyline with a width; ``dash_m`` is (paint, gap) or None for a continuous line."""

    line_m: Array
    width_m: float
    dash_m: tuple[float, float] | None = None
    wear: float = 0.35


@dataclass(frozen=True)
class Building:
    """A house or hall; ``length_m`` runs along ``angle_rad``, the ridge too. ``roof`` is gable, hip, flat or metal."""

    x_m: float
    y_m: float
    angle_rad: float
    length_m: float
    width_m: float
    eaves_m: float
    ridge_m: float
    roof: str
    tone: float


@dataclass(frozen=True)
class Tree:
    """A crown or bush: ``species`` is broad, conifer or bush; ``tone`` (0..1) picks its shade."""

    x_m: float
    y_m: float
    radius_m: float
    height_m: float
    species: str
    tone: float


@dataclass(frozen=True)
class Lane:
    """A line of traffic at constant ``v``: ``kind`` is road, water or walk; ``direction`` +1 follows growing ``u``."""

    kind: str
    v_m: float
    direction: int
    speed_mps: tuple[float, float]


@dataclass(frozen=True)
class Slot:
    """A place where something may stand: ``kind`` is bay, dock or berth; ``angle_rad`` its axis, in site directions."""

    kind: str
    x_m: float
    y_m: float
    angle_rad: float
    length_m: float


@dataclass(frozen=True)
class Area:
    """A curved rectangle where people stand or stroll; ``weight`` is its share of them."""

    u_m: tuple[float, float]
    v_m: tuple[float, float]
    weight: float


@dataclass(frozen=True)
class Prop:
    """Something that stands about without being a target: ``kind`` names it in :mod:`props`."""

    kind: str
    x_m: float
    y_m: float
    angle_rad: float
    seed: int


@dataclass
class Layout:
    """Everything on a site; filled by the builders in :mod:`layout` and :mod:`lots`, then only read.

    Attributes:
        side_m: The site is a square of this side.
        curve: What the site is laid out along.
        reach_m: ``u`` and ``v`` run from minus to plus this.
        palette: Name of the region's colours.
    """

    side_m: float
    curve: Curve
    reach_m: float
    palette: str
    zones: list[Zone] = field(default_factory=list)
    markings: list[Marking] = field(default_factory=list)
    buildings: list[Building] = field(default_factory=list)
    trees: list[Tree] = field(default_factory=list)
    lanes: list[Lane] = field(default_factory=list)
    slots: list[Slot] = field(default_factory=list)
    areas: list[Area] = field(default_factory=list)
    lamps: list[tuple[float, float]] = field(default_factory=list)
    no_trees: list[Array] = field(default_factory=list)
    mown: list[Array] = field(default_factory=list)
    props: list[Prop] = field(default_factory=list)

    def strip(
        self,
        material: str,
        u: tuple[float, float],
        v: tuple[float, float],
        *,
        clear: bool = False,
        rough_m: float = 0.0,
    ) -> None:
        """Add a curved rectangle of ``material``; ``clear`` keeps crowns off it."""
        polygon = self.curve.strip(u, v)
        self.zones.append(Zone(material, polygon, rough_m=rough_m))
        if clear:
            self.no_trees.append(polygon)

    def stripe(
        self,
        u: tuple[float, float],
        v: tuple[float, float],
        *,
        width_m: float = 0.12,
        dash_m: tuple[float, float] | None = None,
    ) -> None:
        """Paint a line from ``(u[0], v[0])`` to ``(u[1], v[1])``."""
        self.markings.append(Marking(self.curve.line(u, v), width_m, dash_m))

    def prop(self, kind: str, u: float, v: float, *, seed: int, turn_rad: float = 0.0) -> None:
        """Put a prop at a curve position."""
        x, y = self.curve.point(u, v)
        self.props.append(Prop(kind, x, y, self.curve.direction_rad(u) + turn_rad, seed))

    def clearance_m(self) -> Array:
        """Distance of each cell (:data:`CLEARANCE_CELL_M`) to the nearest ground that must stay free of crowns."""
        cells = math.ceil(self.side_m / CLEARANCE_CELL_M)
        free = np.full((cells, cells), 255, np.uint8)
        shapes: Sequence[Array] = [*self.no_trees, *(footprint(building, 0.5) for building in self.buildings)]
        for polygon in shapes:
            cv2.fillPoly(free, [np.round(polygon / CLEARANCE_CELL_M).astype(np.int32)], 0)
        return cv2.distanceTransform(free, cv2.DIST_L2, 3) * CLEARANCE_CELL_M


def rectangle(x_m: float, y_m: float, angle_rad: float, length_m: float, width_m: float) -> Array:
    """Corners (4 x 2, site metres) of a rectangle about ``(x_m, y_m)`` whose length runs along ``angle_rad``."""
    cos, sin = math.cos(angle_rad), math.sin(angle_rad)
    half = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * np.array([length_m / 2, width_m / 2])
    corners: Array = half @ np.array([[cos, sin], [-sin, cos]]) + np.array([x_m, y_m])
    return corners


def footprint(building: Building, grow_m: float = 0.0) -> Array:
    """Corners (4 x 2, site metres) of the building, grown by ``grow_m`` on every side."""
    return rectangle(
        building.x_m,
        building.y_m,
        building.angle_rad,
        building.length_m + 2 * grow_m,
        building.width_m + 2 * grow_m,
    )
