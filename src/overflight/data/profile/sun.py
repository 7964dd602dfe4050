"""How high the sun stood when a photograph was taken, and what time of day that was.

Sources: J. W. Spencer, Fourier series representation of the position of the sun, Search 2 (1971) 172 (declination
within 0.04 degrees, equation of time within 35 s); NOAA, General solar position calculations (hour angle, elevation).
Refraction is left out (0.1 degrees at 5, 0.5 at the horizon). It knows no map of time zones.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

from overflight.data.profile.tables import UNKNOWN

NIGHT_DEG, LOW_SUN_DEG = -6.0, 6.0
NOON_H = 1.5
BRIGHT_LUMA = 70.0
NO_CAMERA_BEFORE = 2006

CLOCKS = ("offset", "longitude", "contradicted", "")


@dataclass(frozen=True)
class Sun:
    """Where the sun stood.

    Attributes:
        elevation_deg: Above the horizon; NaN when not known.
        solar_hour: Local solar time, 0..24; 12 is when the sun is highest.
        clock: How the time was understood: ``offset`` (the file gives it), ``longitude`` (the zone was estimated as
            longitude / 15, which is up to two hours wrong), ``contradicted`` (the year is impossible, or the picture is
            bright although it were night), or empty when time or place are not known.
    """

    elevation_deg: float = math.nan
    solar_hour: float = math.nan
    clock: str = ""

    @property
    def time_of_day(self) -> str:
        """One of ``TIMES_OF_DAY``.

        ``night`` below -6 degrees (end of civil twilight), ``dusk`` up to 6 degrees, at dawn too (long shadows, little
        light), ``noon`` within 1.5 hours of solar noon, else ``morning`` or ``afternoon``.
        """
        if math.isnan(self.elevation_deg):
            return UNKNOWN
        if self.elevation_deg < LOW_SUN_DEG:
            return "night" if self.elevation_deg < NIGHT_DEG else "dusk"
        if abs(self.solar_hour - 12) <= NOON_H:
            return "noon"
        return "morning" if self.solar_hour < 12 else "afternoon"


def sun_of(
    captured_at: datetime | None,
    latitude_deg: float | None,
    longitude_deg: float | None,
    *,
    mean_luma: float = math.nan,
) -> Sun:
    """Sun at a photograph's time and place.

    Args:
        captured_at: Time of the camera; without an offset it is taken as local time of the zone longitude / 15.
        latitude_deg: -90..90.
        longitude_deg: -180..180.
        mean_luma: Brightness of the picture, 0..255: at night it cannot be 70 or more.
    """
    if captured_at is None or latitude_deg is None or longitude_deg is None:
        return Sun()
    if captured_at.year < NO_CAMERA_BEFORE:
        return Sun(clock="contradicted")
    clock = "offset"
    if captured_at.tzinfo is None:
        captured_at = captured_at.replace(tzinfo=timezone(timedelta(hours=round(longitude_deg / 15))))
        clock = "longitude"
    elevation_deg, solar_hour = sun_position(captured_at, latitude_deg, longitude_deg)
    if elevation_deg < NIGHT_DEG and mean_luma >= BRIGHT_LUMA:
        return Sun(clock="contradicted")
    return Sun(elevation_deg, solar_hour, clock)


def sun_position(moment: datetime, latitude_deg: float, longitude_deg: float) -> tuple[float, float]:
    """Elevation in degrees and local solar time in hours, 0..24.

    Args:
        moment: With an offset.
        latitude_deg: -90..90.
        longitude_deg: East of Greenwich is positive.
    """
    # Not astimezone: the first and the last day of the calendar have no neighbours.
    minutes = moment.hour * 60 + moment.minute + moment.second / 60 - _offset_minutes(moment)
    days = 366 if moment.year % 4 == 0 and (moment.year % 100 != 0 or moment.year % 400 == 0) else 365
    year = 2 * math.pi / days * (moment.timetuple().tm_yday - 1 + (minutes - 720) / 1440)
    declination = (
        0.006918
        - 0.399912 * math.cos(year)
        + 0.070257 * math.sin(year)
        - 0.006758 * math.cos(2 * year)
        + 0.000907 * math.sin(2 * year)
        - 0.002697 * math.cos(3 * year)
        + 0.00148 * math.sin(3 * year)
    )
    equation_min = 229.18 * (
        0.000075
        + 0.001868 * math.cos(year)
        - 0.032077 * math.sin(year)
        - 0.014615 * math.cos(2 * year)
        - 0.040849 * math.sin(2 * year)
    )
    solar_min = (minutes + equation_min + 4 * longitude_deg) % 1440
    hour_angle = math.radians(solar_min / 4 - 180)
    latitude = math.radians(latitude_deg)
    sine = math.sin(latitude) * math.sin(declination)
    sine += math.cos(latitude) * math.cos(declination) * math.cos(hour_angle)
    return math.degrees(math.asin(max(-1.0, min(1.0, sine)))), solar_min / 60


def _offset_minutes(moment: datetime) -> float:
    offset = moment.utcoffset()
    return 0.0 if offset is None else offset.total_seconds() / 60
