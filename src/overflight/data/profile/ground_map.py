"""Where photographs were taken, drawn without a base map: one SVG per site, in metres around its middle.

Points are where the camera was, outlines what it saw, as far as the metadata says. Flat ground within a site; it does
not fetch anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from overflight.data.profile.charts import SERIES, number
from overflight.imaging.geo import MAX_LATITUDE_DEG, metres_per_degree

WIDTH, HEIGHT = 560, 420
_MARGIN = 34
_LEAST_SPAN_M = 20.0
_MAX_DRAWN = 4000


@dataclass(frozen=True)
class Place:
    """One photograph on the map.

    Attributes:
        lonlat_deg: Where the camera was.
        footprint_lonlat_deg: (N, 2) corners of what it saw, None when not known.
        colour: Place among the series.
        title: Tooltip.
    """

    lonlat_deg: tuple[float, float]
    footprint_lonlat_deg: NDArray[np.float64] | None
    colour: int
    title: str


def map_of(places: Sequence[Place]) -> Markup:
    """A map of places within some kilometres: north is up; scale bar, north arrow, footprints, points."""
    step = math.ceil(len(places) / _MAX_DRAWN) or 1
    drawn = places[::step]
    origin = np.array(drawn[0].lonlat_deg)
    latitude_deg = float(np.mean([place.lonlat_deg[1] for place in drawn]))
    per_degree = np.array(metres_per_degree(float(np.clip(latitude_deg, -MAX_LATITUDE_DEG, MAX_LATITUDE_DEG))))

    def metres(lonlat_deg: NDArray[np.float64]) -> NDArray[np.float64]:
        apart = np.atleast_2d(lonlat_deg) - origin
        apart[:, 0] = (apart[:, 0] + 180) % 360 - 180  # the short way around the antimeridian
        return np.asarray(apart * per_degree, dtype=np.float64)

    points = metres(np.array([place.lonlat_deg for place in drawn], dtype=np.float64))
    outlines = [None if place.footprint_lonlat_deg is None else metres(place.footprint_lonlat_deg) for place in drawn]
    everything = np.concatenate([points, *(outline for outline in outlines if outline is not None)])
    low, high = everything.min(axis=0), everything.max(axis=0)
    span = np.maximum(high - low, _LEAST_SPAN_M)
    scale = float(min((WIDTH - 2 * _MARGIN) / span[0], (HEIGHT - 2 * _MARGIN) / span[1]))
    centre = (low + high) / 2

    def pixels(at: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((at - centre) * [scale, -scale] + [WIDTH / 2, HEIGHT / 2], dtype=np.float64)

    parts = [Markup('<rect class="frame" x="0" y="0" width="{}" height="{}" rx="6"/>').format(WIDTH, HEIGHT)]
    for place, outline in zip(drawn, outlines, strict=True):
        if outline is not None:
            corners = " ".join(f"{x:.1f},{y:.1f}" for x, y in pixels(outline).tolist())
            parts.append(
                Markup('<polygon class="s{}" points="{}"><title>{}</title></polygon>').format(
                    place.colour % SERIES, corners, place.title
                )
            )
    for place, (x, y) in zip(drawn, pixels(points).tolist(), strict=True):
        parts.append(
            Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="3.5"><title>{}</title></circle>').format(
                place.colour % SERIES, x, y, place.title
            )
        )
    parts += [_scale_bar(scale), _north()]
    label = f"map of {len(places)} photographs"
    return Markup('<svg class="map" viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, HEIGHT, label, Markup("").join(parts)
    )


def by_site(sites: NDArray[np.object_], places: Mapping[int, Place], *, at_most: int) -> list[tuple[str, list[Place]]]:
    """Places by site, the one with most photographs first."""
    found: dict[str, list[Place]] = {}
    for row, place in places.items():
        found.setdefault(str(sites[row]), []).append(place)
    return sorted(found.items(), key=lambda item: (-len(item[1]), item[0]))[:at_most]


def _scale_bar(pixels_per_m: float) -> Markup:
    """The longest round length that fits into a quarter of the width."""
    fits = WIDTH / 4 / pixels_per_m
    power = 10.0 ** math.floor(math.log10(fits))
    length_m = next(factor * power for factor in (5, 2, 1) if factor * power <= fits)
    text = f"{number(length_m)} m" if length_m < 1000 else f"{number(length_m / 1000)} km"
    y, end = HEIGHT - 14, 14 + length_m * pixels_per_m
    return Markup(
        '<path class="ink" d="M14 {up:.1f}V{y}H{end:.1f}V{up:.1f}"/><text class="ink" x="14" y="{text_y}">{text}</text>'
    ).format(up=y - 6, y=y, end=end, text_y=y - 10, text=text)


def _north() -> Markup:
    x = WIDTH - 22
    return Markup(
        '<path class="ink solid" d="M{x} 14l6 18l-6 -5l-6 5z"/><text class="ink" x="{x}" y="48" '
        'text-anchor="middle">N</text>'
    ).format(x=x)
