"""Who flies where and when: sites, flights, their paths, weather and light, all from the seed.

Knows geometry and numbers only; no pixel is drawn here. Ground coordinates are metres from a site's north-west corner,
x to the east and y to the south; headings are degrees clockwise from north.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import numpy as np

from overflight.data.scenes.noise import generator
from overflight.data.scenes.settings import FRAME_WIDTH_PER_ALTITUDE, SceneSettings

FORWARD_STEP, SIDE_STEP = 0.42, 0.60
"""Distance between neighbouring photographs and strips as a share of the frame (58 % and 40 % overlap)."""

MARGIN_M = 4.0
SMALLEST_SITE_M = 100.0  # below, some lots have no room for what stands on them
"""Ground kept around the outermost photographs."""

_SITE_KEY, _FLIGHT_KEY = 101, 202
_NEW_REGION = 7919


@dataclass(frozen=True)
class Weather:
    """Light and air of one flight.

    Attributes:
        sun_elevation_deg: Height of the sun above the horizon.
        sun_azimuth_deg: Where the sun stands, clockwise from north.
        cloud: 0 is a clear sky with hard shadows, 1 is overcast.
        haze: Share of scattered light in the picture, 0..1.
        night: 0 is day, 1 is night.
        warmth: Colour temperature, -1 (cool) .. 1 (warm).
        exposure: Factor of the camera's exposure.
        noise: Standard deviation of the sensor's noise in grey levels.
        blur_px: Standard deviation of lens and motion blur.
    """

    sun_elevation_deg: float
    sun_azimuth_deg: float
    cloud: float
    haze: float
    night: float
    warmth: float
    exposure: float
    noise: float
    blur_px: float


@dataclass(frozen=True)
class Pose:
    """Where the camera was for one photograph: ground position, heading and altitude above ground."""

    x_m: float
    y_m: float
    yaw_deg: float
    altitude_m: float
    pitch_deg: float
    captured_at: datetime


@dataclass(frozen=True)
class FlightPlan:
    """One flight: ``name`` is unique in the survey, ``site`` indexes :attr:`SurveyPlan.sites`."""

    index: int
    name: str
    site: int
    gsd_m: float
    interval_s: float
    weather: Weather
    poses: tuple[Pose, ...]


@dataclass(frozen=True)
class SitePlan:
    """A square piece of ground that one or more flights photograph.

    ``gsd_m`` is the finest ground sample distance any of them needs.
    """

    index: int
    seed: int
    side_m: float
    gsd_m: float
    latitude_deg: float
    longitude_deg: float
    elevation_m: float
    flights: tuple[FlightPlan, ...]


def ground_size_m(altitude_m: float, size_px: tuple[int, int]) -> tuple[float, float]:
    """Width and height of the ground in a photograph taken straight down."""
    width_m = FRAME_WIDTH_PER_ALTITUDE * altitude_m
    return width_m, width_m * size_px[1] / size_px[0]


def strips(photos: int, frame_m: tuple[float, float]) -> list[int]:
    """Photographs per strip of a lawn-mower path that is about as wide as long."""
    step_ahead, step_aside = FORWARD_STEP * frame_m[1], SIDE_STEP * frame_m[0]
    lines = max(1, round(math.sqrt(photos * step_ahead / step_aside)))
    base, extra = divmod(photos, lines)
    return [base + (line < extra) for line in range(lines)]


def path_extent_m(photos: int, altitude_m: float, size_px: tuple[int, int]) -> float:
    """Side of the square that holds every photograph of the flight."""
    width_m, height_m = ground_size_m(altitude_m, size_px)
    lines = strips(photos, (width_m, height_m))
    aside = (len(lines) - 1) * SIDE_STEP * width_m + width_m
    ahead = (max(lines) - 1) * FORWARD_STEP * height_m + height_m
    return max(aside, ahead) + 2 * MARGIN_M


def plan_survey(settings: SceneSettings) -> tuple[SitePlan, ...]:
    """Sites with their flights: groups of two, one, two, one ... flights share a site."""
    region = _NEW_REGION if settings.new_site else 0
    sites: list[SitePlan] = []
    first = 0
    while first < settings.flights:
        count = min(2 - len(sites) % 2, settings.flights - first)
        sites.append(_plan_site(settings, len(sites), range(first, first + count), region))
        first += count
    return tuple(sites)


def _plan_site(settings: SceneSettings, index: int, flights: range, region: int) -> SitePlan:
    rng = generator(settings.seed, _SITE_KEY, index, region)
    seed = int(rng.integers(2**62))
    base_m = float(rng.uniform(*settings.altitude_m))
    low_m, high_m = settings.altitude_m
    altitudes = []
    for flight in flights:
        change = generator(settings.seed, _FLIGHT_KEY, flight, 1).uniform(0.94, 1.06)
        altitudes.append(float(np.clip(base_m * change, low_m, high_m)) * settings.altitude_factor)
    side_m = max(
        SMALLEST_SITE_M, *(path_extent_m(settings.photos, altitude, settings.size_px) for altitude in altitudes)
    )
    latitude, longitude = rng.uniform(46.0, 54.0), rng.uniform(6.0, 16.0)
    plans = tuple(
        _plan_flight(settings, flight, site=index, side_m=side_m, altitude_m=altitude)
        for flight, altitude in zip(flights, altitudes, strict=True)
    )
    return SitePlan(
        index=index,
        seed=seed,
        side_m=side_m,
        gsd_m=min(plan.gsd_m for plan in plans),
        latitude_deg=round(float(latitude), 6),
        longitude_deg=round(float(longitude), 6),
        elevation_m=round(float(rng.uniform(5, 420)), 1),
        flights=plans,
    )


def _plan_flight(settings: SceneSettings, index: int, *, site: int, side_m: float, altitude_m: float) -> FlightPlan:
    rng = generator(settings.seed, _FLIGHT_KEY, index)
    start = datetime(2025, 5, 1, tzinfo=UTC) + timedelta(days=int(rng.integers(0, 140)))
    hour = rng.uniform(7.5, 17.5)
    start = (start + timedelta(hours=float(hour))).replace(microsecond=0)
    interval_s = float(rng.choice([2.0, 3.0, 4.0]))
    return FlightPlan(
        index=index,
        name=f"flight-{index + 1:02d}",
        site=site,
        gsd_m=FRAME_WIDTH_PER_ALTITUDE * altitude_m / settings.size_px[0],
        interval_s=interval_s,
        weather=_weather(settings, rng, float(hour)),
        poses=_poses(settings, rng, side_m=side_m, altitude_m=altitude_m, start=start, interval_s=interval_s),
    )


def _weather(settings: SceneSettings, rng: np.random.Generator, hour: float) -> Weather:
    """A sun that follows the hour (solar noon at 12, 58 degrees high), and weather independent of it."""
    angle = (hour - 12.0) / 12.0 * math.pi
    elevation = max(20.0, 58.0 * math.cos(angle * 0.85))
    cloud = float(rng.choice([0.0, 0.1, 0.25, 0.5, 0.95], p=[0.3, 0.25, 0.2, 0.1, 0.15]))
    return Weather(
        sun_elevation_deg=round(float(elevation + rng.uniform(-3, 3)), 2),
        sun_azimuth_deg=round(float(180.0 + math.degrees(angle) * 1.15 + rng.uniform(-6, 6)) % 360, 2),
        cloud=cloud,
        haze=round(float(rng.beta(1.3, 9.0)) * 0.6, 3),
        night=settings.night,
        warmth=round(float(np.clip(rng.normal(0.15, 0.35) + max(0.0, 35 - elevation) / 40, -1, 1)), 3),
        exposure=round(float(rng.normal(1.0, 0.07)), 3),
        noise=round(float(rng.uniform(1.2, 3.2)) * (1 + 3 * settings.night), 3),
        blur_px=round(float(rng.uniform(0.35, 0.65)), 3),
    )


def _poses(
    settings: SceneSettings,
    rng: np.random.Generator,
    *,
    side_m: float,
    altitude_m: float,
    start: datetime,
    interval_s: float,
) -> tuple[Pose, ...]:
    width_m, height_m = ground_size_m(altitude_m, settings.size_px)
    lines = strips(settings.photos, (width_m, height_m))
    heading = float(rng.choice([0.0, 90.0, 180.0, 270.0]))
    poses: list[Pose] = []
    for line, count in enumerate(lines):
        turned = line % 2
        aside = (line - (len(lines) - 1) / 2) * SIDE_STEP * width_m
        for number in range(count):
            ahead = (number - (max(lines) - 1) / 2) * FORWARD_STEP * height_m * (-1 if turned else 1)
            yaw = heading + (180.0 if turned else 0.0) + rng.normal(0, 1.2)
            jitter_x, jitter_y = rng.normal(0, 0.35, 2)
            direction = math.radians(heading)
            x = aside * math.cos(direction) + ahead * math.sin(direction) + jitter_x
            y = aside * math.sin(direction) - ahead * math.cos(direction) + jitter_y
            poses.append(
                Pose(
                    x_m=round(float(side_m / 2 + x), 3),
                    y_m=round(float(side_m / 2 + y), 3),
                    yaw_deg=round(float(yaw) % 360, 2),
                    altitude_m=round(float(altitude_m + rng.normal(0, 0.12)), 2),
                    pitch_deg=round(float(np.clip(-90 + abs(rng.normal(0, 0.15)), -90, -89)), 1),
                    captured_at=start + timedelta(seconds=len(poses) * interval_s),
                )
            )
    return tuple(poses)
