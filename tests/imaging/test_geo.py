"""Pixels of a nadir photograph to the ground and back."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.imaging.geo import (
    CameraPose,
    box_rings,
    ground_from_pixels,
    ground_sample_distance_m,
    metres_per_degree,
)

POSE = CameraPose(
    latitude_deg=53.9,
    longitude_deg=27.56,
    altitude_agl_m=100.0,
    yaw_deg=0.0,
    gimbal_pitch_deg=-90.0,
    focal_length_35mm_mm=24.0,
)
SIZE = {"width_px": 4000, "height_px": 3000}


@pytest.mark.parametrize(
    ("latitude_deg", "east_m", "north_m"),
    [(0, 111319.49, 110574.28), (30, 96486.28, 110852.43), (60, 55800.00, 111412.24), (75, 28902.0, 111618.0)],
)
def test_the_length_of_a_degree_is_that_of_published_tables(latitude_deg, east_m, north_m):
    assert metres_per_degree(latitude_deg) == pytest.approx((east_m, north_m), rel=3e-5)


def test_the_ground_sample_distance_follows_from_height_and_angle_of_view():
    """At 35 mm equivalent f the diagonal of the ground is altitude * 43.27 mm / f."""
    diagonal_m = ground_sample_distance_m(100, 24, **SIZE) * math.hypot(4000, 3000)
    assert diagonal_m == pytest.approx(100 * 43.2666 / 24, rel=1e-4)


@pytest.mark.parametrize(
    ("yaw_deg", "point", "east", "north"),
    [
        pytest.param(0, (2000, 1500), 0, 0, id="the centre is under the camera"),
        pytest.param(0, (2000, 0), 0, 1, id="facing north: up is north"),
        pytest.param(0, (4000, 1500), 1, 0, id="facing north: right is east"),
        pytest.param(90, (2000, 0), 1, 0, id="facing east: up is east"),
        pytest.param(90, (4000, 1500), 0, -1, id="facing east: right is south"),
        pytest.param(180, (2000, 0), 0, -1, id="facing south: up is south"),
        pytest.param(-90, (2000, 0), -1, 0, id="facing west: up is west"),
    ],
)
def test_directions(yaw_deg, point, east, north):
    ((longitude, latitude),) = ground_from_pixels(replace(POSE, yaw_deg=yaw_deg), np.array([point], float), **SIZE)
    assert np.sign(np.round([longitude - 27.56, latitude - 53.9], 9)).tolist() == [east, north]


poses = st.builds(
    CameraPose,
    latitude_deg=st.floats(-85, 85),
    longitude_deg=st.floats(-180, 180),
    altitude_agl_m=st.floats(5, 500),
    yaw_deg=st.floats(-180, 360),
    gimbal_pitch_deg=st.just(-90.0),
    focal_length_35mm_mm=st.floats(10, 200),
)


@given(poses)
def test_distances_on_the_ground_are_pixels_times_ground_sample_distance(pose):
    ends = ground_from_pixels(pose, np.array([[0.0, 0.0], [4000.0, 3000.0]]), **SIZE)
    step_m = (ends[1] - ends[0]) * metres_per_degree(pose.latitude_deg)
    gsd_m = ground_sample_distance_m(pose.altitude_agl_m, pose.focal_length_35mm_mm, **SIZE)
    assert np.hypot(*step_m) == pytest.approx(5000 * gsd_m, rel=1e-5)


@given(poses)
def test_rings_are_closed_and_counter_clockwise(pose):
    (ring,) = box_rings(pose, np.array([[100.0, 200.0, 900.0, 500.0]]), **SIZE)
    assert ring[0].tolist() == ring[-1].tolist()
    x, y = (ring - ring[0]).T
    assert np.sum(x[:-1] * y[1:] - x[1:] * y[:-1]) > 0


@pytest.mark.parametrize(
    "change",
    [
        {"altitude_agl_m": None},
        {"yaw_deg": None},
        {"focal_length_35mm_mm": None},
        {"altitude_agl_m": 0.0},
        {"latitude_deg": 89.5},
    ],
)
def test_what_is_not_known_is_not_guessed(change):
    with pytest.raises(ValueError, match=r"known|positive|pole"):
        ground_from_pixels(replace(POSE, **change), np.zeros((1, 2)), **SIZE)
