"""Overlays: boxes where they belong, chips inside the picture, colours that stay with their class."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.imaging import draw
from overflight.imaging.draw import PALETTE, class_colours, draw_detections

GREY = np.full((300, 400, 3), 128, np.uint8)


def test_a_box_has_its_colour_on_its_edge_and_leaves_its_inside_alone():
    drawn = draw_detections(GREY, [[100.5, 80.5, 200.5, 180.5]], ["car"], [0.9], {"car": (255, 0, 0)}, legend=False)
    assert drawn[130, 100].tolist() == pytest.approx([255, 0, 0], abs=60)
    assert drawn[130, 150].tolist() == [128, 128, 128]
    assert (GREY == 128).all()


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.sampled_from([(40, 30), (400, 300), (900, 120)]))
def test_any_boxes_on_any_picture(seed, count, size_wh):
    random = np.random.default_rng(seed)
    width, height = size_wh
    first = random.uniform(-0.2, 1.1, (count, 2)) * size_wh
    boxes = np.concatenate([first, first + random.uniform(0, 0.4, (count, 2)) * size_wh], axis=1)
    names = random.choice(["car", "boat", "a class with a rather long name"], count).tolist()
    picture = np.full((height, width, 3), 90, np.uint8)
    drawn = draw_detections(picture, boxes, names, random.uniform(0, 1, count), truth=boxes)
    assert drawn.shape == picture.shape
    assert drawn.dtype == np.uint8


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_chips_stay_inside_and_cover_neither_each_other_nor_objects(seed):
    random = np.random.default_rng(seed)
    first = random.uniform(0, 1, (25, 2)) * (800, 600)
    boxes = np.concatenate([first, np.minimum(first + random.uniform(5, 120, (25, 2)), (800, 600))], axis=1)
    style = draw._Style.of(800, 600, boxes)
    palette = {"car": PALETTE[0]}
    chips = draw._chips(boxes, ["car"] * 25, None, palette=palette, size_wh=(800, 600), style=style, taken=None)
    places = np.array([chip.xyxy for chip in chips], float)
    assert (places[:, :2] >= 0).all()
    assert (places[:, 2:] <= (800, 600)).all()
    common = draw.intersection(places, places)
    assert common.sum() == pytest.approx(np.trace(common))


def test_colours_belong_to_classes_not_to_pictures():
    colours = class_colours(["car", "boat", "person"])
    assert len(set(colours.values())) == 3
    assert class_colours(["car", "boat", "person", "bus"])["boat"] == colours["boat"]


def test_dashes_mark_the_ground_truth():
    plain = draw_detections(GREY, [], [], [], legend=False)
    marked = draw_detections(GREY, [], [], [], truth=np.array([[50.5, 50.5, 150.5, 120.5]]), legend=False)
    assert (plain == GREY).all()
    assert marked[50, 45:155].max() > 200
    assert marked[50, 45:155, 0].min() < 140, "dashes leave gaps"


def test_the_legend_avoids_the_corner_with_the_boxes():
    drawn = draw_detections(GREY, [[0, 0, 150, 100]], ["car"], [0.5])
    assert drawn[10:40, 300:390].min() < 60
    assert drawn[260:290, 10:60].min() == 128


def test_labels_must_match_boxes():
    with pytest.raises(ValueError, match="equally many"):
        draw_detections(GREY, [[0, 0, 1, 1]], [], [])
