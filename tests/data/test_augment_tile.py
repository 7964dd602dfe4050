"""Copies of tiles: equal for equal arguments, nothing moved by light, rare objects pasted where nothing is."""

import ast
import importlib
import sys
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.augment import adapter
from overflight.data.augment.air import hazy, shadowed
from overflight.data.augment.copy_paste import (
    Donor,
    Origin,
    at_most,
    find_donors,
    paste,
    rare_classes,
    with_pixels,
    yardsticks_px,
)
from overflight.data.augment.draws import HazeLayer, Light, Sunlight, draw_light, draw_view, generator
from overflight.data.augment.settings import AugmentSettings, CopyPaste, load_settings, parse_settings
from overflight.data.augment.tile import FILL, Sample, augment_tile
from overflight.errors import ResourceError
from overflight.imaging.boxes import intersection

NADIR = load_settings("nadir")
HERE = Origin("here", gsd_m=0.02)
EVERYTHING = AugmentSettings.model_validate(
    {name: {**values, "probability": 1.0} for name, values in load_settings("oblique").model_dump().items()}
)


def ground(size_wh=(400, 300), seed=0):
    random = np.random.default_rng(seed)
    coarse = random.integers(60, 180, (size_wh[1] // 20, size_wh[0] // 20, 3), dtype=np.uint8)
    return cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC)


def sample(boxes=((100, 100, 150, 130), (200, 150, 240, 190)), origin=HERE, **rest):
    boxes = np.array(boxes, float).reshape(-1, 4)
    picture = ground()
    for x0, y0, x1, y1 in boxes.astype(int):
        picture[y0:y1, x0:x1] = (250, 250, 250)
    return Sample(picture, np.arange(len(boxes)) % 2, boxes, origin=origin, **rest)


def copy(what=None, *, epoch=1, name="a", seed=7, preset=NADIR, window=(40, 30, 360, 270), **rest):
    return augment_tile(what or sample(), settings=preset, seed=seed, epoch=epoch, name=name, window_px=window, **rest)


def same(one, other):
    arrays = all(
        np.array_equal(getattr(one, field), getattr(other, field))
        for field in ("rgb", "class_ids", "boxes_px", "ignored_px")
    )
    return arrays and one.applied == other.applied


@settings(max_examples=8)
@given(st.permutations([(epoch, name) for epoch in (1, 2) for name in ("a", "b", "ü")]), st.integers(0, 2**32 - 1))
def test_a_copy_depends_on_seed_epoch_and_name_only(order, seed):
    alone = {(epoch, name): copy(epoch=epoch, name=name, seed=seed) for epoch, name in sorted(order)}
    for epoch, name in order:
        assert same(copy(epoch=epoch, name=name, seed=seed), alone[epoch, name])


def test_copies_differ_by_seed_epoch_and_name():
    copies = [copy(), copy(epoch=2), copy(name="b"), copy(seed=8)]
    assert len({found.applied for found in copies}) == 4


def test_streams_do_not_meet():
    draws = {
        generator(seed, epoch, name, purpose=purpose, attempt=attempt).integers(2**63)
        for seed in (0, 1, 2**32 - 1)
        for epoch in (0, 1, 300)
        for name in ("a", "b", "")
        for purpose in ("view", "light", "paste")
        for attempt in (0, 1, 4)
    }
    assert len(draws) == 3 * 3 * 3 * 3 * 3


def test_one_effect_does_not_shift_the_draws_of_another():
    without = NADIR.model_copy(update={"haze": NADIR.haze.model_copy(update={"probability": 0.0})})
    for epoch in range(20):
        hazy_light = draw_light(NADIR, generator(1, epoch, "a", purpose="light"))
        clear_light = draw_light(without, generator(1, epoch, "a", purpose="light"))
        assert (hazy_light.sun, hazy_light.jpeg_quality) == (clear_light.sun, clear_light.jpeg_quality)


def test_values_stay_in_their_ranges_and_are_not_tied_to_each_other():
    lights = [draw_light(EVERYTHING, generator(0, epoch, "a", purpose="light")) for epoch in range(400)]
    assert {light.blur_px for light in lights} == {3, 5, 7, 9}
    assert all(45 <= light.jpeg_quality <= 90 for light in lights)
    gamma, brightness = (np.array([getattr(light.sun, name) for light in lights]) for name in ("gamma", "brightness"))
    assert 0.75 <= gamma.min() < 0.8
    assert 1.25 < gamma.max() <= 1.3
    assert abs(np.corrcoef(gamma, brightness)[0, 1]) < 0.15


@pytest.mark.parametrize(("oriented", "farthest"), [(True, 45), (False, 15)], ids=["oriented", "upright"])
def test_upright_labels_are_turned_to_near_quarter_turns_only(oriented, farthest):
    views = [draw_view(NADIR, generator(0, epoch, "a"), oriented=oriented) for epoch in range(400)]
    angles = np.array([view.angle_deg for view in views if view.angle_deg])
    away = np.abs(angles - 90 * np.round(angles / 90))
    assert farthest * 0.9 < away.max() <= farthest
    assert {int(quarter) for quarter in np.round(angles / 90)} == {-2, -1, 0, 1, 2}


def test_small_tilts_of_upright_labels_stay_what_they_are():
    angles = [
        draw_view(load_settings("oblique"), generator(0, epoch, "a"), oriented=False).angle_deg for epoch in range(99)
    ]
    assert 6 < np.abs(angles).max() <= 7


def test_the_preset_none_gives_the_tile():
    found = copy(preset=load_settings("none"))
    np.testing.assert_array_equal(found.rgb, sample().rgb[30:270, 40:360])
    np.testing.assert_allclose(found.boxes_px, sample().boxes_px - np.array([40, 30, 40, 30]))
    assert found.applied == ()


def test_the_photograph_is_not_changed():
    photo = sample()
    before = photo.rgb.copy()
    copy(photo, preset=EVERYTHING)
    np.testing.assert_array_equal(photo.rgb, before)


@pytest.mark.parametrize(
    ("light", "words"),
    [
        pytest.param(Light(shadow_darkness=0.4), "cloud shadow -40%", id="shadow"),
        pytest.param(Light(sun=Sunlight(0.1, -0.1, 1.2, 5000)), "sun +10% contrast -10% gamma 1.20 5000 K", id="sun"),
        pytest.param(Light(flare_radius_px=60), "flare", id="flare"),
        pytest.param(Light(haze=HazeLayer(0.6, 0.1, True, 3)), "haze 40%", id="haze"),
        pytest.param(Light(blur_px=7, blur_angle_deg=30), "blur 7 px at 30 deg", id="blur"),
        pytest.param(Light(jpeg_quality=40), "JPEG q40", id="jpeg"),
    ],
)
def test_every_light_changes_pixels_the_same_way_twice_and_moves_nothing(light, words):
    picture = ground()
    picture[100:160, 150:260] = 255
    first = adapter.apply_light(picture, light)
    assert light.words() == [words]
    assert first.shape == picture.shape
    assert first.dtype == np.uint8
    assert not np.array_equal(first, picture)
    np.testing.assert_array_equal(first, adapter.apply_light(picture, light))
    if light.flare_radius_px is None:  # the flare covers the object
        edges = np.abs(np.diff(first[130].astype(int).sum(axis=1)))
        blurred = 0 if light.blur_px is None else light.blur_px // 2
        assert abs(int(np.argmax(edges[:200])) - 149) <= blurred
        assert abs(int(np.argmax(edges[200:])) + 200 - 259) <= blurred


def test_a_blur_keeps_the_middle_of_a_point():
    point = np.zeros((81, 81, 3), dtype=np.uint8)
    point[40, 40] = 255
    for angle in (0, 30, 45, 90, 170):
        for length in (3, 7, 9):
            spread = adapter.apply_light(point, Light(blur_px=length, blur_angle_deg=angle))[..., 0].astype(float)
            rows, columns = np.indices(spread.shape)
            assert (spread * rows).sum() / spread.sum() == pytest.approx(40, abs=0.51)
            assert (spread * columns).sum() / spread.sum() == pytest.approx(40, abs=0.51)


def test_the_library_does_with_values_what_its_formulas_say():
    """Its helpers use SIMD libraries that are newer than itself: checked against NumPy."""
    picture = ground()
    found = adapter.apply_light(picture, Light(sun=Sunlight(0.1, 0.0, 1.0, 6500)))
    white = np.array([0.4816, 0.4604, 0.4782]) / 0.4604  # its table of black bodies at 6500 K
    expected = np.clip((picture.astype(float) + 25.5) * white, 0, 255)
    assert np.abs(found - expected).max() <= 3  # three steps, each in whole numbers


def test_haze_brightens_the_dark_and_lowers_contrast_more_where_it_is_thick():
    dark = np.full((200, 300, 3), 20, dtype=np.uint8)
    thin, thick = (hazy(dark, HazeLayer(share, 0.0, False, 0)) for share in (0.9, 0.5))
    assert 20 < thin.mean() < thick.mean() < 160
    above = hazy(dark, HazeLayer(0.6, 0.0, True, 0))
    assert above[:20].mean() > above[-20:].mean() + 20


def test_clouds_darken_a_part():
    shade = shadowed(np.full((240, 320, 3), 200, dtype=np.uint8), 0.5, seed=1)[..., 0]
    assert shade.max() == 200
    assert shade.min() == pytest.approx(100, abs=2)
    assert 0.2 < (shade < 150).mean() < 0.8


def test_only_the_adapter_imports_albumentations():
    importing = set()
    for path in (Path(adapter.__file__).parents[2]).rglob("*.py"):
        text = path.read_text()
        for node in ast.walk(ast.parse(text)) if "albu" in text else ():
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            if any(name.split(".")[0] in {"albumentations", "albucore"} for name in names):
                importing.add(path.name)
    assert importing == {"adapter.py"}


@pytest.mark.parametrize(
    ("photo", "window"),
    [
        pytest.param(Sample(ground(), np.zeros(0, int), np.zeros((0, 4))), (0, 0, 400, 300), id="without boxes"),
        pytest.param(
            Sample(np.zeros((1, 1, 3), np.uint8), np.zeros(1, int), np.array([[0.0, 0, 1, 1]])), None, id="1x1"
        ),
        pytest.param(Sample(ground((40, 20)), np.zeros(1, int), np.array([[3.0, 3, 20, 15]])), None, id="tiny"),
        pytest.param(sample(), (0, 0, 400, 300), id="all of it"),
    ],
)
def test_odd_photographs_go_through_everything(photo, window):
    for epoch in range(6):
        found = copy(photo, epoch=epoch, preset=EVERYTHING, window=window)
        assert len(found.boxes_px) == len(found.class_ids) <= len(photo.class_ids)
        assert found.rgb.dtype == np.uint8


def test_a_window_outside_the_photograph_is_refused():
    with pytest.raises(ValueError, match="not inside a photograph of 400x300"):
        copy(window=(0, 0, 401, 300))


def test_a_view_that_would_lose_every_object_is_drawn_again():
    corner = sample(boxes=[(41, 31, 61, 51)])
    always = parse_settings("altitude: {probability: 1, scale: [1.2, 2.4]}", where="")
    for epoch in range(30):
        found = copy(corner, epoch=epoch, preset=always)
        assert len(found.boxes_px) == 1
    assert copy(corner, preset=parse_settings("altitude: {probability: 1, scale: [2, 2]}", where="")).applied == ()


def test_a_turn_shows_the_ground_around_the_tile_not_a_fill():
    turned = parse_settings("rotate: {probability: 1, angle_deg: [45, 45], upright_within_deg: 45}", where="")
    photo = Sample(np.full((600, 600, 3), 30, np.uint8), np.zeros(0, int), np.zeros((0, 4)))
    inside = copy(photo, preset=turned, window=(200, 200, 400, 400)).rgb
    assert (inside == 30).all()
    edge = copy(photo, preset=turned, window=(0, 0, 600, 600)).rgb
    assert (edge[0, 0] == FILL).all()


def test_a_large_photograph_gives_the_copy_of_its_part():
    """Only what a copy can show is copied and smoothed, wherever the tile lies."""
    photo = Sample(ground((3000, 2200)), np.array([1]), np.array([[1500.0, 1100, 1560, 1130]]))
    scaled = parse_settings("rotate: {probability: 1}\naltitude: {probability: 1}", where="")
    far = copy(photo, preset=scaled, window=(1400, 1000, 1720, 1240))
    part = replace(photo, rgb=photo.rgb[600:1700, 900:2300], boxes_px=photo.boxes_px - np.array([900, 600, 900, 600]))
    near = copy(part, preset=scaled, window=(500, 400, 820, 640))
    assert same(far, replace(near, boxes_px=far.boxes_px))
    np.testing.assert_allclose(far.boxes_px, near.boxes_px)


def donor(
    photo="other",
    *,
    site="unknown",
    flight="f",
    gsd_m=0.02,
    yardstick_px=None,
    class_id=1,
    size=(20, 12),
    colour=(200, 30, 30),
):
    pixels = np.full((size[1] + 6, size[0] + 6, 3), 100, dtype=np.uint8)
    pixels[3:-3, 3:-3] = colour
    box = np.array([3.0, 3, 3 + size[0], 3 + size[1]])
    return Donor(
        Origin(photo, flight, site, gsd_m, yardstick_px), class_id, box, (0, 0, size[0] + 6, size[1] + 6), pixels
    )


def pasted(donors, *, into=None, taken=((100, 100, 150, 130),), options=None, seed=0):
    return paste(
        ground(),
        np.array(taken, float).reshape(-1, 4),
        into=into or HERE,
        area_px=(40, 30, 360, 270),
        donors=donors,
        settings=options or CopyPaste(probability=1, objects=(3, 3)),
        random=np.random.default_rng(seed),
    )


@pytest.mark.parametrize("seed", range(8))
def test_pasted_objects_touch_nothing_and_their_boxes_fit(seed):
    taken = np.array([(40.0, 30, 200, 270), (300, 30, 360, 100)])
    found = pasted([donor(colour=(255, 0, 255))], taken=taken, seed=seed)
    assert len(found.boxes_px) == 3
    assert not intersection(found.boxes_px, taken).any()
    overlaps = intersection(found.boxes_px, found.boxes_px)
    assert not overlaps[~np.eye(3, dtype=bool)].any()
    for x0, y0, x1, y1 in found.boxes_px.astype(int):
        assert sorted((x1 - x0, y1 - y0)) == [12, 20]
        inside = found.rgb[y0 + 2 : y1 - 2, x0 + 2 : x1 - 2].astype(int)
        assert (inside[..., 0] - inside[..., 1] > 60).all()
        assert (x0 >= 40) & (x1 <= 360) & (y0 >= 30) & (y1 <= 270)


def test_an_object_has_the_size_of_the_ground_it_comes_to():
    found = pasted([donor(gsd_m=0.03)], into=Origin("here", gsd_m=0.025))
    assert np.sort(found.boxes_px[0, 2:] - found.boxes_px[0, :2]) == pytest.approx([14.4, 24], abs=0.7)
    assert len(pasted([donor(gsd_m=0.10)], into=Origin("here", gsd_m=0.02)).boxes_px) == 0


@pytest.mark.parametrize(
    ("donor_values", "into_values", "longer"),
    [
        pytest.param({"yardstick_px": 50}, {"yardstick_px": 60}, [24], id="by the cars of both flights"),
        pytest.param({"yardstick_px": 50}, {"yardstick_px": 200}, [], id="four times as large: not pasted"),
        pytest.param({"yardstick_px": 50}, {}, [], id="nothing tells: not pasted"),
        pytest.param({"flight": "g"}, {}, [20], id="same flight: as it is"),
    ],
)
def test_without_ground_sample_distances_sizes_follow_common_objects(donor_values, into_values, longer):
    one = CopyPaste(probability=1, objects=(1, 1))
    found = pasted([donor(gsd_m=None, **donor_values)], into=Origin("here", "g", **into_values), options=one)
    sides = [float((box[2:] - box[:2]).max()) for box in found.boxes_px]
    assert sides == pytest.approx(longer, abs=0.7)


def test_the_yardstick_is_the_most_frequent_class_of_all():
    def photo(flight, *groups):
        ids = np.array([class_id for class_id, side, count in groups for _ in range(count)], dtype=int)
        sides = np.array([side for _, side, count in groups for _ in range(count)], dtype=float)
        return flight, ids, np.stack([sides * 0, sides * 0, sides, sides / 2], axis=1)

    photos = [photo("a", (0, 50, 6), (1, 200, 9)), photo("b", (0, 80, 7)), photo("c", (0, 70, 4)), photo("d")]
    assert yardsticks_px(photos) == {"a": 50, "b": 80}
    assert yardsticks_px([photo("d")]) == {}


@pytest.mark.parametrize(
    ("donors", "expected"),
    [
        pytest.param([donor("here"), donor("b", class_id=2)], {2}, id="never from the same photograph"),
        pytest.param([donor("here")], set(), id="nothing else"),
        pytest.param(
            [donor("b", site="s", flight="f1"), donor("c", site="s", flight="f2", class_id=3), donor("d", class_id=4)],
            {3},
            id="another flight of the same site first",
        ),
        pytest.param([donor("b", site="s", flight="f1"), donor("d", class_id=4)], {1}, id="then the same site"),
        pytest.param([donor("b", site="t", class_id=2), donor("d", class_id=4)], {2, 4}, id="then any"),
    ],
)
def test_donors_come_from_the_same_site_and_another_flight_first(donors, expected):
    into = Origin("here", "f1", "s", 0.02)
    classes = {int(c) for seed in range(12) for c in pasted(donors, into=into, seed=seed).class_ids}
    assert classes == expected


def test_unknown_sites_are_not_one_site():
    donors = [donor("b", site="unknown"), donor("c", site="s", class_id=2)]
    classes = {int(c) for seed in range(12) for c in pasted(donors, into=HERE, seed=seed).class_ids}
    assert classes == {1, 2}


def test_nothing_is_pasted_where_there_is_no_room():
    photo = pasted([donor()], taken=[(0, 0, 400, 300)])
    assert len(photo.boxes_px) == 0
    assert len(pasted([donor(size=(390, 290))]).boxes_px) == 0


@pytest.mark.parametrize(
    ("box", "others", "ignored", "taken"),
    [
        pytest.param((100, 100, 140, 120), [], [], 1, id="free"),
        pytest.param((100, 100, 140, 120), [(142, 100, 160, 120)], [], 0, id="another one in its window"),
        pytest.param((100, 100, 140, 120), [], [(90, 90, 101, 101)], 0, id="an ignored region in its window"),
        pytest.param((0, 100, 40, 120), [], [], 0, id="at the edge"),
        pytest.param((100, 100, 103, 103), [], [], 0, id="too small"),
        pytest.param((50, 50, 250, 251), [], [], 0, id="too large"),
    ],
)
def test_only_whole_and_free_objects_are_taken(box, others, ignored, taken):
    found = find_donors(
        Origin("a"),
        size_wh=(400, 300),
        class_ids=np.array([1] + [0] * len(others)),
        boxes_px=np.array([box, *others], float),
        ignored_px=np.array(ignored, float).reshape(-1, 4),
        rare=[1],
        settings=CopyPaste(),
    )
    assert len(found) == taken
    for one in found:
        assert with_pixels(one, ground()).pixels.shape[:2] == (
            one.patch_px[3] - one.patch_px[1],
            one.patch_px[2] - one.patch_px[0],
        )


def test_rare_is_less_than_a_share_of_the_most_frequent_class():
    assert rare_classes(np.array([100, 19, 20, 0]), below=0.2) == [1]
    assert rare_classes(np.zeros(3, int), below=0.2) == []
    assert rare_classes(np.zeros(0, int), below=0.2) == []


def test_donors_are_limited_by_class_whatever_their_order():
    donors = [donor(f"p{number}", class_id=number % 2) for number in range(20)]
    chosen = at_most(donors, per_class=3, seed=1)
    assert [one.class_id for one in chosen].count(0) == [one.class_id for one in chosen].count(1) == 3
    again = at_most(donors[::-1], per_class=3, seed=1)
    assert {one.origin.photo for one in again} == {one.origin.photo for one in chosen}


def test_a_copy_pastes_into_the_tile_and_says_so():
    always = parse_settings("copy_paste: {probability: 1}", where="")
    for epoch in range(5):
        found = copy(preset=always, epoch=epoch, donors=[donor()])
        assert found.applied == (f"{found.pasted} pasted",)
        assert len(found.class_ids) == 2 + found.pasted
    oriented = sample(corners_px=np.zeros((2, 4, 2)))
    assert copy(oriented, preset=always, donors=[donor()]).pasted


def test_without_the_library_the_cure_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "albumentations", None)
    with pytest.raises(ResourceError, match=r"cannot be imported .* make setup"):
        importlib.reload(adapter)
