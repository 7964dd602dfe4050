"""The piece of ground that a photograph shows, for any pitch, yaw and roll, and how much two of them share.

Assumes flat ground at the height that ``altitude_agl_m`` is measured from, and a lens without distortion (as
``overflight.imaging.geo``, which does the same for a camera that looks straight down). A view to the horizon has no
footprint. The field of view comes from the 35 mm equivalent over the photograph's diagonal, which EXIF rounds to whole
millimetres and some cameras state for a larger frame (see ``overflight.data.metadata``).

Sources: P. R. Wolf, B. A. Dewitt: Elements of Photogrammetry, 3rd ed. (2000), chapter 10 (tilted photographs); RFC 7946
(order of corners); OpenCV ``intersectConvexConvex`` (O'Rourke, Computational Geometry in C, 7.6).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.imaging.geo import FILM_DIAGONAL_MM, MAX_LATITUDE_DEG, CameraPose, Points, metres_per_degree

MAX_OFF_NADIR_DEG = 75.0


@dataclass(frozen=True)
class GroundSample:
    """Metres on the ground per pixel.

    Attributes:
        nadir_m: What it were straight below the camera.
        across_m: At the photograph's centre, along its rows.
        along_m: At the photograph's centre, along its columns; the larger the more oblique.
    """

    nadir_m: float
    across_m: float
    along_m: float


def ground_footprint(
    pose: CameraPose, *, width_px: int, height_px: int, max_off_nadir_deg: float = MAX_OFF_NADIR_DEG
) -> Points | None:
    """Longitude and latitude (4, 2) in degrees of the photograph's corners on the ground, or None.

    In the order lower left, lower right, upper right, upper left as seen in the photograph: counter-clockwise on the
    map, as GeoJSON wants them. Longitudes may exceed 180 at the antimeridian.

    Args:
        pose: Where the camera was and looked; a missing roll counts as 0.
        width_px: Columns of the photograph.
        height_px: Rows of the photograph.
        max_off_nadir_deg: None when a corner looks farther away from straight down than this.

    Returns:
        None when height, yaw, pitch or focal length are unknown or not positive, the place is close to a pole, or a
        corner is too oblique.
    """
    if not _is_known(pose) or pose.altitude_agl_m is None:
        return None
    corners_px = np.array([[0, height_px], [width_px, height_px], [width_px, 0], [0, 0]], dtype=np.float64)
    rays = _rays(pose, corners_px, width_px=width_px, height_px=height_px)
    cosines = -rays[:, 2] / np.linalg.norm(rays, axis=1)
    if (cosines <= math.cos(math.radians(min(max_off_nadir_deg, 89.9)))).any():
        return None
    east_north_m = rays[:, :2] / -rays[:, 2:] * pose.altitude_agl_m
    degrees = east_north_m / np.array(metres_per_degree(pose.latitude_deg))
    return np.asarray(degrees + np.array([pose.longitude_deg, pose.latitude_deg]), dtype=np.float64)


def ground_sample(pose: CameraPose, *, width_px: int, height_px: int) -> GroundSample | None:
    """Ground sample distance below the camera and at the centre; None as for :func:`ground_footprint`.

    At the centre, off nadir by a, the distance is h / cos(a): rows are stretched by 1 / cos(a), columns by 1 / cos2(a).
    """
    if not _is_known(pose) or pose.altitude_agl_m is None or pose.off_nadir_deg is None:
        return None
    cosine = math.cos(math.radians(pose.off_nadir_deg))
    if cosine <= math.cos(math.radians(MAX_OFF_NADIR_DEG)):
        return None
    nadir_m = pose.altitude_agl_m / _focal_px(pose, width_px=width_px, height_px=height_px)
    return GroundSample(nadir_m, nadir_m / cosine, nadir_m / cosine**2)


def footprint_overlap(first_lonlat_deg: Points, second_lonlat_deg: Points) -> float:
    """Area that two convex footprints (N, 2) share, as a share of the smaller one, 0..1."""
    middle = _middle(first_lonlat_deg)
    first, second = _metres(first_lonlat_deg, middle), _metres(second_lonlat_deg, middle)
    if (first.min(axis=0) > second.max(axis=0)).any() or (second.min(axis=0) > first.max(axis=0)).any():
        return 0.0
    # In units of their size: OpenCV computes with single precision and fixed tolerances.
    scale = max(float(np.ptp(first, axis=0).max()), float(np.ptp(second, axis=0).max()), 1e-6)
    polygons = [np.asarray(polygon / scale, dtype=np.float32) for polygon in (first, second)]
    smaller = min(cv2.contourArea(polygon) for polygon in polygons)
    if smaller <= 0:
        return 0.0
    shared, _ = cv2.intersectConvexConvex(polygons[0], polygons[1], handleNested=True)
    return float(np.clip(shared / smaller, 0.0, 1.0))


def _is_known(pose: CameraPose) -> bool:
    numbers = (pose.altitude_agl_m, pose.focal_length_35mm_mm)
    angles = (pose.yaw_deg, pose.gimbal_pitch_deg)
    known = all(number is not None and number > 0 for number in numbers) and None not in angles
    return known and abs(pose.latitude_deg) <= MAX_LATITUDE_DEG


def _focal_px(pose: CameraPose, *, width_px: int, height_px: int) -> float:
    return (pose.focal_length_35mm_mm or 0.0) / FILM_DIAGONAL_MM * math.hypot(width_px, height_px)


def _rays(pose: CameraPose, points_xy_px: Points, *, width_px: int, height_px: int) -> NDArray[np.float64]:
    """Directions (N, 3) east, north, up of pixels (N, 2); not of unit length.

    The camera first looks north at the horizon, then is turned by its yaw, its pitch and its roll, in this order.
    """
    yaw = math.radians(pose.yaw_deg or 0.0)
    pitch = math.radians(pose.gimbal_pitch_deg or 0.0)
    roll = math.radians(pose.gimbal_roll_deg or 0.0)
    forward = np.array([math.sin(yaw) * math.cos(pitch), math.cos(yaw) * math.cos(pitch), math.sin(pitch)])
    level = np.array([math.cos(yaw), -math.sin(yaw), 0.0])
    above = np.cross(level, forward)
    right = level * math.cos(roll) - above * math.sin(roll)
    up = above * math.cos(roll) + level * math.sin(roll)
    offsets = (points_xy_px - np.array([width_px, height_px]) / 2) / _focal_px(
        pose, width_px=width_px, height_px=height_px
    )
    return np.asarray(forward + offsets[:, :1] * right - offsets[:, 1:] * up, dtype=np.float64)


def _middle(lonlat_deg: Points) -> tuple[float, float]:
    longitude, latitude = lonlat_deg.mean(axis=0)
    return float(longitude), float(latitude)


def _metres(lonlat_deg: Points, middle_lonlat_deg: tuple[float, float]) -> Points:
    """East and north of ``middle``, the short way around the antimeridian."""
    degrees = lonlat_deg - np.array(middle_lonlat_deg)
    degrees[:, 0] = (degrees[:, 0] + 180.0) % 360.0 - 180.0
    return np.asarray(degrees * np.array(metres_per_degree(middle_lonlat_deg[1])), dtype=np.float64)
