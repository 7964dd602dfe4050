"""Which photographs belong to one site: positions linked by steps of at most 300 m (single linkage).

Positions are compared on the sphere, so neither the antimeridian nor the poles tear a site, and in cells, so that n
photographs take about n steps. Positions are rounded to 10 m first; that is what the limit is exact to.
"""

from __future__ import annotations

import itertools
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from overflight.data.profile.tables import UNKNOWN, Column

LINK_M = 300.0

_RADIUS_M = 6_371_008.8
_ROUNDED_M = 10.0
_CELL_M = LINK_M / 3**0.5  # the diagonal of a cell is the limit: all within are linked
_NEAR = [step for step in itertools.product((-2, -1, 0, 1, 2), repeat=3) if step > (0, 0, 0)]


def sites_of(latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64]) -> Column:
    """``site-1`` (the one with most photographs), ``site-2`` ... by photograph; ``unknown`` without a position.

    Sites of equal size are in the order of their first photograph.
    """
    found = np.full(len(latitude_deg), UNKNOWN, dtype=object)
    known = np.flatnonzero(np.isfinite(latitude_deg) & np.isfinite(longitude_deg))
    if not len(known):
        return found
    labels = _linked(_on_sphere_m(latitude_deg[known], longitude_deg[known]))
    counts = Counter(labels.tolist())
    first = {label: number for number, label in reversed(list(enumerate(labels.tolist())))}
    order = sorted(counts, key=lambda label: (-counts[label], first[label]))
    names = {label: f"site-{number}" for number, label in enumerate(order, start=1)}
    found[known] = [names[label] for label in labels.tolist()]
    return found


def _on_sphere_m(latitude_deg: NDArray[np.float64], longitude_deg: NDArray[np.float64]) -> NDArray[np.float64]:
    phi, lam = np.radians(latitude_deg), np.radians(longitude_deg)
    return _RADIUS_M * np.stack([np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)], axis=1)


def _linked(places_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of the component of each place (N, 3)."""
    points, of_place = np.unique(np.round(places_m / _ROUNDED_M), axis=0, return_inverse=True)
    points *= _ROUNDED_M
    cells, of_point = np.unique(np.floor(points / _CELL_M).astype(np.int64), axis=0, return_inverse=True)
    of_point = of_point.ravel()
    order = np.argsort(of_point, kind="stable")
    members = np.split(points[order], np.flatnonzero(np.diff(of_point[order])) + 1)
    number = {tuple(cell): index for index, cell in enumerate(cells.tolist())}
    parent = list(range(len(cells)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for (x, y, z), index in number.items():
        for dx, dy, dz in _NEAR:
            other = number.get((x + dx, y + dy, z + dz))
            if other is None or root(index) == root(other):
                continue
            apart = members[index][:, None] - members[other][None]
            if (np.einsum("abk,abk->ab", apart, apart) <= LINK_M**2).any():
                parent[root(other)] = root(index)
    roots = np.array([root(index) for index in range(len(cells))], dtype=np.int64)
    return np.asarray(roots[of_point][of_place.ravel()])
