"""Footprints: the ground that a photograph shows, and how much of it two photographs share."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from overflight.data.metadata import pose_of, read_metadata
from overflight.imaging.footprint import footprint_overlap, ground_footprint, ground_sample
from overflight.imaging.geo import CameraPose, ground_from_pixels, ground_sample_distance_m, metres_per_degree

SHARED = Path(__file__).parents[2].parent / "shared/data"
SIZE = {"width_px": 4000, "height_px": 3000}
CORNERS = np.array([[0, 3000], [4000, 3000], [4000, 0], [0, 0]], float)
POSE = CameraPose(
    latitude_deg=53.9,
    longitude_deg=27.56,
    altitude_agl_m=100.0,
    yaw_deg=0.0,
    gimbal_pitch_deg=-90.0,
    focal_length_35mm_mm=24.0,
)


def metres(points, pose=POSE):
    return (points - [pose.longitude_deg, pose.latitude_deg]) * np.array(metres_per_degree(pose.latitude_deg))


def area_m2(footprint):
    """Shoelace formula on the plane at its first corner."""
    east, north = ((footprint - footprint[0]) * np.array(metres_per_degree(footprint[0, 1]))).T
    return float(abs(np.dot(east, np.roll(north, -1)) - np.dot(north, np.roll(east, -1))) / 2)


poses = st.builds(
    CameraPose,
    latitude_deg=st.floats(-80, 80),
    longitude_deg=st.floats(-180, 180),
    altitude_agl_m=st.floats(5, 500),
    yaw_deg=st.floats(-180, 360),
    gimbal_pitch_deg=st.just(-90.0),
    focal_length_35mm_mm=st.floats(15, 100),
)


@given(poses)
def test_straight_down_it_equals_the_nadir_geometry(pose):
    footprint = ground_footprint(pose, **SIZE)
    assert np.allclose(footprint, ground_from_pixels(pose, CORNERS, **SIZE), atol=1e-9)
    sample = ground_sample(pose, **SIZE)
    gsd_m = ground_sample_distance_m(pose.altitude_agl_m, pose.focal_length_35mm_mm, **SIZE)
    assert (sample.nadir_m, sample.across_m, sample.along_m) == pytest.approx((gsd_m,) * 3)
    assert area_m2(footprint) == pytest.approx(4000 * 3000 * gsd_m**2, rel=1e-3)


@pytest.mark.parametrize(
    ("yaw_deg", "east", "north"),
    [(0, 0, 1), (90, 1, 0), (180, 0, -1), (-90, -1, 0), (45, math.sqrt(0.5), math.sqrt(0.5))],
)
def test_an_oblique_view_lies_ahead_by_height_times_tangent(yaw_deg, east, north):
    """At -60 degrees the centre is 100 m * tan(30) ahead; its edges by the half angle of view above and below."""
    pose = replace(POSE, yaw_deg=yaw_deg, gimbal_pitch_deg=-60.0)
    half = math.atan(1500 / (24 / 43.2666 * 5000))
    ahead = metres(ground_footprint(pose, **SIZE)) @ [east, north]
    near, far = 100 * math.tan(math.radians(30) - half), 100 * math.tan(math.radians(30) + half)
    assert ahead == pytest.approx([near, near, far, far], abs=0.01)


def test_an_oblique_view_is_wider_far_away():
    lower_left, lower_right, upper_right, upper_left = metres(
        ground_footprint(replace(POSE, gimbal_pitch_deg=-60.0), **SIZE)
    )
    assert upper_right[0] - upper_left[0] > 1.5 * (lower_right[0] - lower_left[0])


@given(poses, st.floats(-100, -60), st.floats(-180, 180))
def test_corners_go_around_counter_clockwise(pose, pitch_deg, roll_deg):
    footprint = ground_footprint(replace(pose, gimbal_pitch_deg=pitch_deg, gimbal_roll_deg=roll_deg), **SIZE)
    assume(footprint is not None)
    x, y = (footprint - footprint.mean(axis=0)).T
    assert np.dot(x, np.roll(y, -1)) > np.dot(y, np.roll(x, -1))


@given(poses, st.floats(-170, 170), st.floats(-60, 60))
def test_straight_down_a_roll_turns_the_picture(pose, yaw_deg, roll_deg):
    """The roll is a turn about the line of sight, not a tilt to the side."""
    rolled = ground_footprint(replace(pose, yaw_deg=yaw_deg, gimbal_roll_deg=roll_deg), **SIZE)
    assert np.allclose(rolled, ground_footprint(replace(pose, yaw_deg=yaw_deg + roll_deg), **SIZE), atol=1e-9)


def test_a_roll_to_the_right_lowers_the_right_side():
    """The camera turns clockwise as seen from behind: its right edge looks nearer, its left edge farther away."""
    rolled = metres(ground_footprint(replace(POSE, gimbal_pitch_deg=-65.0, gimbal_roll_deg=20.0), **SIZE))
    _, _, upper_right, upper_left = rolled
    assert upper_left[1] > upper_right[1] + 50


def test_a_camera_mounted_upside_down_shows_the_same_ground():
    turned = ground_footprint(replace(POSE, gimbal_roll_deg=180.0), **SIZE)
    assert footprint_overlap(turned, ground_footprint(POSE, **SIZE)) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(turned, np.roll(ground_footprint(POSE, **SIZE), 2, axis=0))


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"gimbal_pitch_deg": 0.0}, id="at the horizon"),
        pytest.param({"gimbal_pitch_deg": 30.0}, id="upwards"),
        pytest.param({"gimbal_pitch_deg": -30.0}, id="a corner above the horizon"),
        pytest.param({"gimbal_pitch_deg": -44.0}, id="a corner too oblique"),
        pytest.param({"gimbal_pitch_deg": None}, id="no pitch"),
        pytest.param({"altitude_agl_m": None}, id="no height"),
        pytest.param({"altitude_agl_m": -3.0}, id="below the take-off point"),
        pytest.param({"yaw_deg": None}, id="no yaw"),
        pytest.param({"focal_length_35mm_mm": None}, id="no focal length"),
        pytest.param({"latitude_deg": 89.9}, id="at the pole"),
    ],
)
def test_no_footprint_without_facts_or_with_a_horizon(change):
    assert ground_footprint(replace(POSE, **change), **SIZE) is None


def test_the_limit_of_obliqueness_can_be_moved():
    pose = replace(POSE, gimbal_pitch_deg=-44.0)
    assert ground_footprint(pose, **SIZE, max_off_nadir_deg=80.0) is not None
    assert ground_sample(replace(POSE, gimbal_pitch_deg=-10.0), **SIZE) is None


def test_the_ground_sample_grows_with_obliqueness():
    sample = ground_sample(replace(POSE, gimbal_pitch_deg=-45.0), **SIZE)
    assert sample.across_m == pytest.approx(sample.nadir_m * math.sqrt(2))
    assert sample.along_m == pytest.approx(sample.nadir_m * 2)
    # The same by the footprint of a picture of a few pixels around the centre, with the same focal length in pixels.
    narrow = replace(POSE, gimbal_pitch_deg=-45.0, focal_length_35mm_mm=24.0 * 5000 / math.hypot(10, 10))
    corners = metres(ground_footprint(narrow, width_px=10, height_px=10))
    assert np.ptp(corners[:, 0]) / 10 == pytest.approx(sample.across_m, rel=0.01)
    assert np.ptp(corners[:, 1]) / 10 == pytest.approx(sample.along_m, rel=0.01)


def clipped_area(first, second):
    """Sutherland-Hodgman in double precision: the oracle."""
    found = [np.asarray(point, float) for point in first]
    for start, end in zip(second, np.roll(second, -1, axis=0), strict=True):
        edge = end - start

        def side(point, edge=edge, start=start):
            return edge[0] * (point[1] - start[1]) - edge[1] * (point[0] - start[0])

        kept = []
        for a, b in zip(found, [*found[1:], *found[:1]], strict=True):
            if side(a) >= 0:
                kept.append(a)
            if side(a) * side(b) < 0:
                kept.append(a + (b - a) * side(a) / (side(a) - side(b)))
        found = kept
        if not found:
            return 0.0
    return area(np.array(found))


def area(points):
    x, y = points.T
    return abs(np.dot(x, np.roll(y, -1)) - np.dot(y, np.roll(x, -1))) / 2


@given(
    st.tuples(st.floats(-80, 80), st.floats(-80, 80)),
    st.floats(-180, 180),
    st.floats(-105, -70),
    st.floats(30, 300),
)
def test_the_overlap_equals_a_polygon_clipper(shift_m, yaw_deg, pitch_deg, altitude_m):
    east_m, north_m = metres_per_degree(POSE.latitude_deg)
    moved = replace(
        POSE,
        longitude_deg=POSE.longitude_deg + shift_m[0] / east_m,
        latitude_deg=POSE.latitude_deg + shift_m[1] / north_m,
        yaw_deg=yaw_deg,
        gimbal_pitch_deg=pitch_deg,
        altitude_agl_m=altitude_m,
    )
    first, second = ground_footprint(POSE, **SIZE), ground_footprint(moved, **SIZE)
    assume(second is not None)
    a, b = metres(first), metres(second)
    expected = clipped_area(a, b) / min(area(a), area(b))
    assert footprint_overlap(first, second) == pytest.approx(expected, abs=2e-3)
    assert footprint_overlap(second, first) == pytest.approx(expected, abs=2e-3)


@pytest.mark.parametrize(("ahead", "overlap"), [(0.0, 1.0), (0.25, 0.75), (0.9, 0.1), (1.0, 0.0), (5.0, 0.0)], ids=str)
def test_a_step_forward_leaves_the_rest(ahead, overlap):
    footprint = ground_footprint(POSE, **SIZE)
    step_deg = ahead * np.ptp(footprint[:, 1])
    assert footprint_overlap(footprint, footprint + np.array([0.0, step_deg])) == pytest.approx(overlap, abs=1e-3)


def test_a_small_footprint_within_a_large_one_is_shared_entirely():
    high, low = ground_footprint(POSE, **SIZE), ground_footprint(replace(POSE, altitude_agl_m=10.0), **SIZE)
    assert footprint_overlap(low, high) == footprint_overlap(high, low) == pytest.approx(1.0, abs=1e-4)


def test_neighbours_across_the_antimeridian_overlap():
    west, east = replace(POSE, longitude_deg=179.9999), replace(POSE, longitude_deg=-179.9999)
    overlap = footprint_overlap(ground_footprint(west, **SIZE), ground_footprint(east, **SIZE))
    assert 0.85 < overlap < 1.0
    assert area_m2(ground_footprint(west, **SIZE)) == pytest.approx(area_m2(ground_footprint(POSE, **SIZE)), rel=1e-4)


def brighton(number):
    path = SHARED / f"metadata/brighton_dji_fc300s/DJI_00{number}.JPG"
    if not path.exists():
        pytest.skip("the real photographs are not here")
    return ground_footprint(pose_of(read_metadata(path)), width_px=4000, height_px=2250)


def test_photographs_7_s_apart_show_mostly_the_same_ground():
    """13.7 m of 38 m ahead: two thirds are shared; the next but one still a third.

    The sensor of 6.16 mm and 3.61 mm of focal length show 67.9 m x 38.2 m from 39.8 m.
    """
    footprints = [brighton(number) for number in (18, 19, 20, 21)]
    for first, second in pairwise(footprints):
        assert 0.6 < footprint_overlap(first, second) < 0.72
    for first, second in pairwise(footprints[::2]):
        assert 0.25 < footprint_overlap(first, second) < 0.45
    assert area_m2(footprints[0]) == pytest.approx(67.9 * 38.2, rel=0.05)


def test_the_way_back_crosses_the_same_ground():
    assert footprint_overlap(brighton(27), brighton(18)) > 0.2
    assert footprint_overlap(brighton(35), brighton(18)) == 0.0


def test_footprints_of_a_town_from_straight_down_to_the_horizon():
    folder = SHARED / "aerial-cars/images"
    if not folder.exists():
        pytest.skip("the real photographs are not here")
    nadir, oblique = (pose_of(read_metadata(folder / f"DJI_00{n}.JPG")) for n in (10, 19))
    level = pose_of(read_metadata(SHARED / "stills-4k/labelled_4k/images/DJI_0030.JPG"))
    size = {"width_px": 4000, "height_px": 2250}
    assert area_m2(ground_footprint(nadir, **size)) == pytest.approx(129.0 * 72.6, rel=0.05)  # by its sensor
    assert area_m2(ground_footprint(oblique, **size)) > 5 * 129.0 * 72.6
    assert ground_footprint(level, **size) is None
