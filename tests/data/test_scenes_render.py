"""Single photographs: labels agree with what is drawn, light and weather do what they say."""

from __future__ import annotations

import math
from datetime import UTC, datetime

import numpy as np
import pytest

from overflight.data.scenes.camera import Camera
from overflight.data.scenes.layout import build_layout
from overflight.data.scenes.light import cast_shadow
from overflight.data.scenes.objects import draw_sprite
from overflight.data.scenes.paint import Frame, Placed, paint
from overflight.data.scenes.plan import Pose, plan_survey
from overflight.data.scenes.render import FlightScene, box_of
from overflight.data.scenes.settings import CLASSES, SceneSettings
from overflight.data.scenes.terrain import draw_terrain
from overflight.data.scenes.traffic import populate

SETTINGS = SceneSettings(flights=1, photos=6, size_px=(640, 480), seed=7)


def scene_of(settings: SceneSettings) -> FlightScene:
    site = plan_survey(settings)[0]
    layout = build_layout(seed=site.seed, side_m=site.side_m, new_site=settings.new_site)
    terrain = draw_terrain(layout, seed=site.seed, gsd_m=site.gsd_m)
    return FlightScene(layout, terrain, site.flights[0], settings=settings, seed=site.seed)


@pytest.fixture(scope="module")
def scene():
    return scene_of(SETTINGS)


def camera(width=400, height=300, *, yaw=0.0, altitude=30.0):
    pose = Pose(50.0, 60.0, yaw, altitude, -90.0, datetime(2025, 6, 1, tzinfo=UTC))
    return Camera(pose, width, height)


@pytest.mark.parametrize("number", range(6))
def test_boxes_are_the_tight_hull_of_the_visible_pixels(scene, number):
    photo = scene.photograph(number, effects=False)
    for box, object_number in zip(photo.xyxy_px, photo.numbers, strict=True):
        assert np.abs(box - np.array(box_of(photo.owner == object_number))).max() <= 1


def test_objects_change_the_pixels_inside_their_boxes_only(scene):
    """The oracle is the photograph itself: with and without targets it differs where the labels and shadows say."""
    photo = scene.photograph(2, effects=False)
    empty = scene_of(SETTINGS.model_copy(update={"class_mix": dict.fromkeys(CLASSES, 0.0)})).photograph(
        2, effects=False
    )
    assert len(empty.class_ids) == 0
    assert len(photo.class_ids) > 0
    brighter = (photo.rgb.astype(int) - empty.rgb).max(axis=2) > 40  # shadows only darken
    inside = photo.owner > 0
    assert np.count_nonzero(brighter & ~inside) < 0.02 * max(1, np.count_nonzero(brighter))


def test_effects_leave_the_labels_alone(scene):
    plain, developed = scene.photograph(1, effects=False), scene.photograph(1)
    assert np.array_equal(plain.xyxy_px, developed.xyxy_px)
    assert not np.array_equal(plain.rgb, developed.rgb)


@pytest.mark.parametrize("class_name", CLASSES)
@pytest.mark.parametrize("angle_deg", [0, 37, 90])
def test_an_object_below_the_camera_has_its_own_size(class_name, angle_deg):
    view = camera(900, 900)
    shape = (view.height_px, view.width_px)
    frame = Frame(
        np.full((*shape, 3), 90, np.uint8),
        np.full(shape, 128, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.int32),
        None,
    )
    sprite = draw_sprite(class_name, 5, 1.5 / view.gsd_m)
    placed = Placed(1, sprite, *view.centre_px, math.radians(angle_deg), (10.0, 4.0), (-0.93, -0.37))
    painted = paint(frame, placed, view, frame.shadow.copy())
    assert painted is not None
    assert painted.full_px == np.count_nonzero(frame.owner)
    left, top, right, bottom = box_of(frame.owner == 1)
    longest = max(right - left, bottom - top) * view.gsd_m
    diagonal = math.hypot(sprite.length_m, sprite.width_m) * view.magnification(sprite.parts[-1].top_m)
    assert longest <= diagonal + 0.1
    if class_name != "person":
        assert longest >= 0.7 * sprite.length_m


def test_tall_objects_lean_away_from_the_centre():
    view = camera(1280, 960)
    shape = (960, 1280)
    frame = Frame(
        np.zeros((*shape, 3), np.uint8),
        np.full(shape, 128, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.int32),
        None,
    )
    sprite = draw_sprite("person", 1, 1.5 / view.gsd_m)
    paint(frame, Placed(1, sprite, 1000.0, 480.0, 0.0, (0.0, 0.0), (1.0, 0.0)), view, frame.shadow)
    left, _, right, _ = box_of(frame.owner == 1)
    assert (left + right) / 2 > 1004


def test_what_stands_higher_hides_an_object():
    view = camera()
    shape = (300, 400)
    covered = np.zeros(shape, np.uint8)
    covered[:, 200:] = 200  # a roof at 10 m over the right half
    frame = Frame(
        np.zeros((*shape, 3), np.uint8),
        np.full(shape, 128, np.uint8),
        np.zeros(shape, np.uint8),
        np.zeros(shape, np.int32),
        covered,
    )
    sprite = draw_sprite("car", 2, 1.5 / view.gsd_m)
    painted = paint(frame, Placed(1, sprite, *view.centre_px, 0.0, (0.0, 0.0), (1.0, 0.0)), view, frame.shadow)
    assert painted is not None
    assert 0.3 < np.count_nonzero(frame.owner) / painted.full_px < 0.7
    assert not frame.owner[:, 200:].any()


def test_shadow_of_a_wall_is_as_long_as_the_sun_is_low():
    height_m = np.zeros((200, 400), np.float32)
    height_m[:, 100:104] = 4.0
    shadow = cast_shadow(height_m, pixel_m=0.1, to_sun=(-1.0, 0.0), elevation_rad=math.radians(45))
    row = shadow[100] > 127
    assert not row[:95].any()
    assert np.count_nonzero(row[104:]) * 0.1 == pytest.approx(4.0, abs=0.4)


@pytest.mark.parametrize("yaw", [0.0, 33.0, 180.0, 271.5])
def test_camera_matrix_inverts_its_projection(yaw):
    view = camera(yaw=yaw)
    x_px, y_px = view.to_pixel(53.0, 57.5)
    raster = view.raster_matrix(0.05) @ np.array([x_px, y_px, 1.0])
    assert (raster + 0.5) * 0.05 == pytest.approx([53.0, 57.5], abs=1e-9)


def test_north_is_up_when_the_drone_heads_north():
    x_px, y_px = camera(yaw=0.0).to_pixel(50.0, 55.0)
    assert (x_px, y_px) == (pytest.approx(199.5), pytest.approx(149.5 - 5.0 / camera().gsd_m))


def brightness(settings: SceneSettings) -> tuple[float, float]:
    rgb = scene_of(settings).photograph(0).rgb
    return float(rgb.mean()), float(rgb.std())


def test_knobs_of_drift_do_what_they_say():
    base, contrast = brightness(SETTINGS)
    assert brightness(SETTINGS.model_copy(update={"night": 1.0}))[0] < 0.5 * base
    assert brightness(SETTINGS.model_copy(update={"fog": 0.9}))[1] < 0.5 * contrast
    assert brightness(SETTINGS.model_copy(update={"blur_px": 6.0}))[1] < contrast


def test_class_mix_removes_and_adds():
    site = plan_survey(SETTINGS)[0]
    layout = build_layout(seed=site.seed, side_m=site.side_m, new_site=False)

    def count(mix: dict[str, float], name: str) -> int:
        settings = SETTINGS.model_copy(update={"class_mix": mix})
        things = populate(layout, settings, seed=site.seed, flight=0)
        return sum(thing.class_id == CLASSES.index(name) for thing in things)

    assert count({"bus": 0.0}, "bus") == 0
    assert count({"person": 2.0}, "person") > 1.4 * count({}, "person")


def test_every_class_is_on_every_site():
    for site in plan_survey(SceneSettings(flights=12)):
        layout = build_layout(seed=site.seed, side_m=site.side_m, new_site=False)
        for flight in site.flights:
            things = populate(layout, SceneSettings(), seed=site.seed, flight=flight.index)
            assert {thing.class_id for thing in things} >= set(range(len(CLASSES)))


def test_moving_things_stay_on_their_lane_and_standing_ones_where_they_are(scene):
    for thing in scene.things:
        before, after = thing.at(scene.layout, 0.0), thing.at(scene.layout, 2.0)
        moved = math.dist(before[:2], after[:2])
        assert moved == 0 if thing.speed_mps == 0 else moved > 0
