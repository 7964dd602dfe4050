"""Which photographs of different groups show the same ground, by their footprints.

Only photographs whose position, height, direction and focal length are known have a footprint; the others are not
judged. Places are looked up in a grid, so that a survey of n photographs takes about n comparisons and not n squared.
The height is that above the take-off point, so on slopes the share is an estimate.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.data.facts import PhotoFacts
from overflight.data.metadata import pose_of
from overflight.imaging.footprint import footprint_overlap, ground_footprint
from overflight.imaging.geo import Points, metres_per_degree

NEAREST = 50
_CELLS_PER_SIDE = 30
_FINER = 4


@dataclass(frozen=True)
class GroundPair:
    """Two photographs that show the same ground.

    Attributes:
        a: Key in an earlier group.
        b: Key in a later one.
        share: Shared area / area of the smaller footprint, 0..1.
    """

    a: str
    b: str
    share: float


def footprint_of(facts: PhotoFacts) -> Points | None:
    """Longitude and latitude (4, 2) of the corners; None where something is not known."""
    pose = pose_of(facts.metadata)
    if pose is None or facts.size_wh_px is None:
        return None
    width_px, height_px = facts.size_wh_px
    return ground_footprint(pose, width_px=width_px, height_px=height_px)


def ground_pairs(
    groups: Sequence[Sequence[str]], footprints: Mapping[str, Points], *, min_share: float
) -> list[GroundPair]:
    """For each photograph one of the groups before its own that shows the same ground, if there is one.

    It is one near by the middles of the footprints that shares enough: of one photograph per quarter of a usual
    footprint the nearest, or else the nearest of all; the 50 nearest are tried.

    Args:
        groups: Keys that have no key in common: parts of a split.
        footprints: Corners (4, 2) on the ground by key; keys without one are left out.
        min_share: Least shared area, as a share of the smaller footprint.
    """
    keys = [key for group in groups for key in group if key in footprints]
    if not keys:
        return []
    grid = _Grid(keys, np.stack([footprints[key] for key in keys]), min_share=min_share)
    index = {key: number for number, key in enumerate(keys)}
    found = []
    for group in groups:
        mine = [index[key] for key in group if key in index]
        found += [pair for j in mine if (pair := grid.partner(j)) is not None]
        for j in mine:
            grid.add(j)
    return found


class _Grid:
    """Photographs by the cells that their footprints touch, and one of them by each quarter of a cell."""

    def __init__(self, keys: Sequence[str], corners: NDArray[np.float64], *, min_share: float) -> None:
        self._keys = keys
        self._min_share = min_share
        self._corners = _side_by_side(corners)
        self._low, self._high = self._corners.min(axis=1), self._corners.max(axis=1)
        self._middle = self._corners.mean(axis=1)
        self._cell = _cell_size_deg(self._high - self._low, float(np.median(self._middle[:, 1])))
        self._quarters = np.floor(self._middle / self._cell * _FINER).astype(np.int64).tolist()
        self._members: dict[tuple[int, int], list[int]] = defaultdict(list)
        self._samples: dict[tuple[int, int], int] = {}

    def add(self, j: int) -> None:
        """From now on ``j`` can be found."""
        x, y = self._quarters[j]
        self._samples.setdefault((x, y), j)
        for place in _cells(self._low[j], self._high[j], self._cell):
            self._members[place].append(j)

    def partner(self, j: int) -> GroundPair | None:
        """One that shares enough with ``j``, if there is one."""
        x, y = self._quarters[j]
        around = [self._samples.get((x + right, y + up)) for right in (-1, 0, 1) for up in (-1, 0, 1)]
        found = self._nearest(j, [i for i in around if i is not None])
        if found is not None:
            return found
        cells = _cells(self._low[j], self._high[j], self._cell)
        return self._nearest(j, sorted({i for place in cells for i in self._members.get(place, ())}))

    def _nearest(self, j: int, candidates: Sequence[int]) -> GroundPair | None:
        if not candidates:
            return None
        i = np.array(candidates, dtype=np.int64)
        i = i[((self._low[i] <= self._high[j]) & (self._high[i] >= self._low[j])).all(axis=1)]
        distance = np.hypot(*((self._middle[i] - self._middle[j]) / self._cell).T)
        for other in i[np.argsort(distance, kind="stable")][:NEAREST]:
            share = footprint_overlap(self._corners[other], self._corners[j])
            if share >= self._min_share:
                return GroundPair(self._keys[other], self._keys[j], share)
        return None


def _side_by_side(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Corners (N, 4, 2) moved by full turns, so that a survey across the antimeridian is not torn."""
    first = corners[0, 0, 0]
    turns = np.round((corners[:, :1, 0] - first) / 360)
    moved = corners.copy()
    moved[:, :, 0] -= 360 * turns
    return moved


def _cell_size_deg(extents_deg: NDArray[np.float64], latitude_deg: float) -> NDArray[np.float64]:
    """Cells (2,) of about a usual footprint; larger where one footprint would cover thousands of them."""
    per_degree = np.array(metres_per_degree(latitude_deg))
    extents_m = extents_deg * per_degree
    side_m = max(float(np.median(extents_m)), float(extents_m.max()) / _CELLS_PER_SIDE, 1.0)
    return np.asarray(side_m / per_degree, dtype=np.float64)


def _cells(low: NDArray[np.float64], high: NDArray[np.float64], cell: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    (x1, y1), (x2, y2) = low / cell, high / cell
    for x in range(math.floor(x1), math.floor(x2) + 1):
        for y in range(math.floor(y1), math.floor(y2) + 1):
            yield x, y
