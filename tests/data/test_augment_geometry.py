"""Boxes of turned objects, measured against the turned objects themselves: drawn masks, moved by the same code."""

import math

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.augment.geometry import (
    clipped_polygon,
    filled_share,
    move_of,
    moved_boxes,
    moved_regions,
    polygon_area,
    tight_boxes,
)
from overflight.data.augment.tile import warped
from overflight.data.formats.labels import xyxy_of_corners
from overflight.data.tile import TileRules, plan_photo
from overflight.imaging.boxes import iou

SIDE = 320
WINDOW = (0, 0, SIDE, SIDE)
RULES = TileRules()


def corners_of(centre, size, angle_deg):
    c, s = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
    half = np.array(size) / 2
    return np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) * half @ np.array([[c, s], [-s, c]]) + np.array(centre)


def mask_of_polygon(points):
    picture = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    shifted = np.round((points - 0.5) * 256).astype(np.int32)  # OpenCV counts from the middle of a pixel
    return cv2.fillPoly(picture, [shifted], (255, 255, 255), lineType=cv2.LINE_8, shift=8)


def seen(mask):
    rows, columns = np.nonzero(mask[..., 0] > 127)
    return np.array([columns.min(), rows.min(), columns.max() + 1, rows.max() + 1], dtype=float)


def one(box, corners=None, **turn):
    move = move_of(WINDOW, **turn)
    found = moved_boxes(np.array([box], float), None if corners is None else corners[None], move=move, rules=RULES)
    return move, found


@pytest.mark.parametrize("angle", [0, 17, 45, 90, 133, -71], ids=str)
@pytest.mark.parametrize(("scale", "mirrored", "quarters"), [(1.0, False, 0), (0.8, True, 1), (1.3, False, 2)])
def test_a_box_with_corners_fits_the_turned_mask_to_a_pixel(angle, scale, mirrored, quarters):
    corners = corners_of((150, 170), (70, 26), 31)
    box = xyxy_of_corners(corners[None])[0]
    move, found = one(box, corners, angle_deg=angle, scale=scale, mirrored=mirrored, quarters=quarters)
    mask = warped(mask_of_polygon(corners), move, WINDOW, fill=(0, 0, 0))
    np.testing.assert_allclose(found.boxes_px[0], seen(mask), atol=1.6)


@pytest.mark.parametrize("angle", [10, 45, 80, 200], ids=str)
def test_a_box_of_a_round_object_fits_the_turned_mask_to_a_pixel(angle):
    picture = np.zeros((SIDE, SIDE, 3), dtype=np.uint8)
    cv2.ellipse(picture, (150, 170), (40, 34), 0, 0, 360, (255, 255, 255), -1)
    box = seen(picture)
    move, found = one(box, angle_deg=angle)
    np.testing.assert_allclose(found.boxes_px[0], seen(warped(picture, move, WINDOW, fill=(0, 0, 0))), atol=1.6)


@pytest.mark.parametrize("quarters", [0, 1, 2, 3], ids=str)
@pytest.mark.parametrize("mirrored", [False, True], ids=["as it is", "mirrored"])
def test_quarter_turns_are_exact_in_pixels_and_boxes(quarters, mirrored):
    picture = np.random.default_rng(0).integers(0, 255, (120, 200, 3), dtype=np.uint8)
    move = move_of((0, 0, 200, 120), quarters=quarters, mirrored=mirrored)
    turned = warped(picture, move, (0, 0, 200, 120))
    expected = np.rot90(picture[:, ::-1] if mirrored else picture, -quarters)
    np.testing.assert_array_equal(turned, expected)
    mask = np.zeros_like(picture)
    mask[30:70, 20:110] = 255
    found = moved_boxes(np.array([[20.0, 30, 110, 70]]), None, move=move, rules=RULES)
    np.testing.assert_allclose(found.boxes_px[0], seen(warped(mask, move, (0, 0, 200, 120))), atol=1e-9)


def vehicles(count, *, aligned, seed=0):
    """Half sides of upright boxes around rectangles of 1 : 1 to 1 : 5, before and after a turn, and the turns."""
    random = np.random.default_rng(seed)
    sides = np.stack([random.choice([1.0, 1.8, 2.2, 2.5, 3.0, 4.0, 5.0], count), np.ones(count)], axis=1) * 20
    first = (
        np.radians(random.normal(0, 4, count)) + random.integers(0, 2, count) * math.pi / 2
        if aligned
        else random.uniform(0, math.pi, count)
    )
    turn = random.uniform(0, 2 * math.pi, count)

    def boxes(angle):
        c, s = np.abs(np.cos(angle)), np.abs(np.sin(angle))
        half = np.stack([sides[:, 0] * c + sides[:, 1] * s, sides[:, 0] * s + sides[:, 1] * c], axis=1) / 2
        return np.concatenate([-half, half], axis=1)

    return boxes(first), boxes(first + turn), np.degrees(turn)


@pytest.mark.parametrize(("aligned", "at_least"), [(False, 0.74), (True, 0.84)], ids=["any way", "along streets"])
def test_upright_boxes_of_turned_vehicles_overlap_their_true_boxes(aligned, at_least):
    before, after, angles = vehicles(1500, aligned=aligned)
    overlaps = {"ours": [], "ellipse": [], "whole box": []}
    for box, true, angle in zip(before, after, angles, strict=True):
        move = move_of((0, 0, 0, 0), angle_deg=angle)
        half = box[2:]
        turned = {
            "ours": tight_boxes(box[None], None, move=move)[0][2:],
            "ellipse": np.sqrt((move.linear**2) @ half**2),
            "whole box": np.abs(move.linear) @ half,
        }
        for name, corner in turned.items():
            overlaps[name].append(iou(np.array([[*-corner, *corner]]), true[None])[0, 0])
    means = {name: np.mean(values) for name, values in overlaps.items()}
    assert means["ours"] > at_least, means
    assert means["ours"] > means["ellipse"] + 0.02, means
    assert aligned or means["ours"] > means["whole box"] + 0.1, means


def test_without_a_turn_boxes_are_those_of_the_tile():
    random = np.random.default_rng(1)
    first = random.uniform(0, 1, (60, 2)) * (600, 400)
    boxes = np.concatenate([first, np.minimum(first + random.uniform(3, 120, (60, 2)), (640, 480))], axis=1)
    rules = TileRules(tile_px=160, overlap_px=32)
    for plan in plan_photo("p", size_wh=(640, 480), class_ids=np.zeros(60, int), boxes_px=boxes, rules=rules):
        tile = plan.tile
        move = move_of((tile.x0, tile.y0, tile.x1, tile.y1))
        found = moved_boxes(boxes, None, move=move, rules=rules)
        np.testing.assert_array_equal(found.kept, plan.box_ids)
        np.testing.assert_allclose(found.boxes_px, plan.boxes_px, atol=1e-9)
        np.testing.assert_allclose(found.ignored_px, plan.ignored_px, atol=1e-9)
        assert (found.cut, found.dropped) == (plan.cut, plan.dropped)


@pytest.mark.parametrize(
    ("centre", "kept", "ignored"),
    [
        pytest.param((160, 160), 1, 0, id="whole"),
        pytest.param((4, 160), 1, 0, id="more than half"),
        pytest.param((-16, 160), 0, 1, id="a sixth: to be ignored"),
        pytest.param((-60, 160), 0, 0, id="outside"),
    ],
)
def test_a_cut_object_gets_the_box_around_its_visible_part(centre, kept, ignored):
    corners = corners_of(centre, (60, 24), 20)
    _, found = one(xyxy_of_corners(corners[None])[0], corners, angle_deg=0.0, scale=1.0)
    assert (len(found.kept), len(found.ignored_px)) == (kept, ignored)
    if kept:
        np.testing.assert_allclose(found.boxes_px[0], seen(mask_of_polygon(corners)), atol=1.6)


@given(st.floats(-180, 180), st.floats(0.5, 2), st.integers(0, 2**32 - 1))
def test_every_box_is_kept_ignored_dropped_or_outside_and_lies_in_the_frame(angle, scale, seed):
    random = np.random.default_rng(seed)
    first = random.uniform(-50, SIDE + 20, (20, 2))
    boxes = np.concatenate([first, first + random.uniform(0, 90, (20, 2))], axis=1)
    move = move_of(WINDOW, angle_deg=angle, scale=scale)
    found = moved_boxes(boxes, None, move=move, rules=RULES)
    everything = np.concatenate([found.boxes_px, found.ignored_px])
    assert (everything >= 0).all()
    assert (everything <= SIDE).all()
    assert (found.boxes_px[:, 2:] - found.boxes_px[:, :2] >= RULES.min_side_px).all()
    assert len(everything) + found.dropped <= len(boxes)
    assert found.cut <= len(found.kept)


def test_polygons_are_clipped_and_measured():
    square = np.array([(-5.0, -5), (5, -5), (5, 5), (-5, 5)])
    part = clipped_polygon(square, width_px=3, height_px=100)
    assert polygon_area(part) == pytest.approx(15)
    assert len(clipped_polygon(square - 20, width_px=3, height_px=3)) == 0


def test_regions_to_be_ignored_cover_all_they_touch():
    move = move_of(WINDOW, angle_deg=45)
    (region,) = moved_regions(np.array([[140.0, 140, 180, 180], [-900, -900, -890, -890]]), move=move)
    assert region[2] - region[0] == pytest.approx(40 * math.sqrt(2))
    assert moved_regions(np.zeros((0, 4)), move=move).shape == (0, 4)


@pytest.mark.parametrize(
    ("window", "turn", "share"),
    [
        pytest.param((0, 0, 320, 320), {}, 0, id="as it is"),
        pytest.param((0, 0, 320, 320), {"angle_deg": 45}, 1 - 2 * (math.sqrt(2) - 1), id="45 degrees, nothing around"),
        pytest.param((400, 400, 720, 720), {"angle_deg": 45}, 0, id="45 degrees, ground around"),
        pytest.param((0, 0, 320, 320), {"scale": 0.5}, 0.75 - 0.0, id="half the size"),
    ],
)
def test_what_lies_beyond_the_photograph_is_known(window, turn, share):
    photo = (0, 0, 320, 320) if window[2] == 320 else (0, 0, 1200, 1200)
    assert filled_share(move_of(window, **turn), photo) == pytest.approx(share, abs=1e-9)


@pytest.mark.parametrize("angle", [0, 30])
def test_boxes_without_area_or_with_swapped_corners_are_nothing(angle):
    boxes = np.array([(50.0, 50, 50, 90), (90, 90, 60, 60), (320, 40, 320, 60), (10, 10, 40, 40)])
    found = moved_boxes(boxes, None, move=move_of((0, 0, 320, 320), angle_deg=angle, scale=0.7), rules=RULES)
    assert found.kept.tolist() == [3]
    assert (len(found.ignored_px), found.dropped) == (0, 0)
