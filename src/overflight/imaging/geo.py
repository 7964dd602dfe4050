"""From pixels of a photograph taken straight down to places on the ground and back: pure geometry.

Assumes a camera that looks at the nadir, flat ground at the height that ``altitude_agl_m`` is measured from, and a lens
without distortion. It does not read metadata. Off the nadir the place is wrong by about altitude * tan(angle).

Sources: J. P. Snyder, Map Projections: A Working Manual, USGS Professional Paper 1395 (1987), equations 4-18 and 4-20
(radii of curvature of the ellipsoid); CIPA DCG-001 (35 mm equivalent focal length by the diagonal); RFC 7946 (GeoJSON).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import Boxes

WGS84_A_M = 6378137.0
WGS84_E2 = 6.69437999014e-3
FILM_DIAGONAL_MM = math.hypot(36.0, 24.0)
MAX_LATITUDE_DEG = 89.0

Points = NDArray[np.float64]


@dataclass(frozen=True)
class CameraPose:
    """Where a camera was and where it looked when it took a photograph; None where it is not known.

    Attributes:
        latitude_deg: WGS84, -90..90.
        longitude_deg: WGS84, -180..180.
        altitude_agl_m: Height above the ground (not above the sea).
        yaw_deg: Direction of the photograph's upper edge, clockwise from north.
        gimbal_pitch_deg: -90 looks straight down, 0 at the horizon.
        focal_length_35mm_mm: Focal length as 35 mm equivalent.
        gimbal_roll_deg: Turn about the line of sight, clockwise as seen from behind the camera.
    """

    latitude_deg: float
    longitude_deg: float
    altitude_agl_m: float | None
    yaw_deg: float | None
    gimbal_pitch_deg: float | None
    focal_length_35mm_mm: float | None
    gimbal_roll_deg: float | None = None

    @property
    def off_nadir_deg(self) -> float | None:
        """Angle between the line of sight and straight down; None when the gimbal's pitch is not known."""
        return None if self.gimbal_pitch_deg is None else abs(self.gimbal_pitch_deg + 90.0)


def ground_sample_distance_m(
    altitude_agl_m: float, focal_length_35mm_mm: float, *, width_px: int, height_px: int
) -> float:
    """Metres on the ground per pixel: altitude / focal length in pixels.

    The focal length in pixels is the photograph's diagonal in pixels times ``focal_length_35mm_mm`` / 43.27 mm.
    """
    focal_px = focal_length_35mm_mm / FILM_DIAGONAL_MM * math.hypot(width_px, height_px)
    return altitude_agl_m / focal_px


def metres_per_degree(latitude_deg: float) -> tuple[float, float]:
    """Length of one degree of longitude and of latitude on the WGS84 ellipsoid, in metres (east, north).

    Meridian radius M = a (1 - e2) / (1 - e2 sin2 phi)^1.5, prime vertical N = a / (1 - e2 sin2 phi)^0.5.
    """
    phi = math.radians(latitude_deg)
    root = 1 - WGS84_E2 * math.sin(phi) ** 2
    meridian_m = WGS84_A_M * (1 - WGS84_E2) / root**1.5
    prime_vertical_m = WGS84_A_M / math.sqrt(root)
    return math.radians(prime_vertical_m * math.cos(phi)), math.radians(meridian_m)


def ground_from_pixels(pose: CameraPose, points_xy_px: Points, *, width_px: int, height_px: int) -> Points:
    """Longitude and latitude (N, 2) in degrees of points (N, 2) in pixels of a photograph.

    Longitudes may exceed 180 by the photograph's extent at the antimeridian, so that shapes are not torn.

    Raises:
        ValueError: altitude, yaw or focal length is not known, or the place is closer than 1 degree to a pole.
    """
    turn, gsd_m = _frame(pose, width_px=width_px, height_px=height_px)
    right_up_m = (points_xy_px - np.array([width_px, height_px]) / 2) * np.array([gsd_m, -gsd_m])
    east_north_m = right_up_m @ turn.T
    degrees = east_north_m / np.array(metres_per_degree(pose.latitude_deg))
    return np.asarray(degrees + np.array([pose.longitude_deg, pose.latitude_deg]), dtype=np.float64)


def box_rings(pose: CameraPose, boxes_xyxy_px: Boxes, *, width_px: int, height_px: int) -> NDArray[np.float64]:
    """Closed rings (N, 5, 2) of longitude and latitude around boxes (N, 4), counter-clockwise as GeoJSON wants them."""
    x1, y1, x2, y2 = boxes_xyxy_px.T
    corners = np.stack([x1, y2, x2, y2, x2, y1, x1, y1, x1, y2], axis=1).reshape(-1, 2)
    return ground_from_pixels(pose, corners, width_px=width_px, height_px=height_px).reshape(-1, 5, 2)


def _frame(pose: CameraPose, *, width_px: int, height_px: int) -> tuple[NDArray[np.float64], float]:
    """Rotation from (right, up) in the photograph to (east, north), and metres per pixel."""
    if pose.altitude_agl_m is None or pose.yaw_deg is None or pose.focal_length_35mm_mm is None:
        raise ValueError("altitude above ground, yaw and focal length must be known")
    if pose.altitude_agl_m <= 0 or pose.focal_length_35mm_mm <= 0:
        raise ValueError("altitude above ground and focal length must be positive")
    if abs(pose.latitude_deg) > MAX_LATITUDE_DEG:
        raise ValueError(f"latitude {pose.latitude_deg} is too close to a pole")
    yaw = math.radians(pose.yaw_deg)
    turn = np.array([[math.cos(yaw), math.sin(yaw)], [-math.sin(yaw), math.cos(yaw)]])
    gsd_m = ground_sample_distance_m(
        pose.altitude_agl_m, pose.focal_length_35mm_mm, width_px=width_px, height_px=height_px
    )
    return turn, gsd_m
