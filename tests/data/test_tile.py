"""Planning tiles: labels by visible fraction, nothing visible is background, seams tear no small object."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data.tile import Seams, TileRules, chosen_backgrounds, plan_photo, seams

RULES = TileRules(tile_px=96, overlap_px=32)


def plan(boxes_px, size_wh=(300, 200), rules=RULES, ignored_px=()):
    boxes = np.array(boxes_px, float).reshape(-1, 4)
    ignored = np.array(ignored_px, float).reshape(-1, 4)
    ids = np.arange(len(boxes)) % 2
    return plan_photo("p", size_wh=size_wh, class_ids=ids, boxes_px=boxes, rules=rules, ignored_px=ignored)


def random_boxes(random, size_wh, *, count=12, largest=(90, 90)):
    """Within the photograph, sides from 1 px up to ``largest``."""
    sides = random.uniform(1, np.minimum(largest, size_wh), (count, 2))
    first = random.uniform(0, 1, (count, 2)) * (np.array(size_wh) - sides)
    return np.concatenate([first, first + sides], axis=1)


@pytest.mark.parametrize(
    ("box", "above", "counts"),
    [
        pytest.param((10, 10, 30, 30), 0, (1, 0, 0), id="whole"),
        pytest.param((90, 10, 110, 30), 0, (1, 0, 0), id="30 percent visible"),
        pytest.param((92, 10, 112, 30), 0, (0, 1, 0), id="20 percent: painted over"),
        pytest.param((95.5, 10, 115.5, 30), 0, (0, 1, 0), id="2.5 percent: painted over too"),
        pytest.param((95.5, 10, 115.5, 30), 0.05, (0, 0, 1), id="2.5 percent: too little where that is asked for"),
        pytest.param((200, 10, 220, 30), 0, (0, 0, 0), id="elsewhere"),
        pytest.param((10, 10, 11.5, 30), 0, (0, 1, 0), id="a sliver narrower than 2 px"),
    ],
)
def test_the_visible_fraction_decides(box, above, counts):
    first = plan([box], rules=TileRules(tile_px=96, overlap_px=32, ignore_above=above))[0]
    assert (len(first.class_ids), len(first.ignored_px), first.dropped) == counts


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(20, 400), st.integers(20, 400)),
    tile=st.integers(64, 160),
    overlap=st.integers(0, 48),
    least=st.sampled_from([0.1, 0.3, 0.7]),
)
def test_labels_are_what_a_loop_over_tiles_and_boxes_gives(*, seed, size, tile, overlap, least):
    random = np.random.default_rng(seed)
    boxes, given_regions = random_boxes(random, size), random_boxes(random, size, count=3)
    rules = TileRules(tile_px=tile, overlap_px=overlap, min_visible=least)
    for found in plan(boxes, size, rules, given_regions):
        kept, whole, painted = [], [], []
        for number, box in enumerate([*boxes, *given_regions]):
            x0, y0 = max(box[0], found.tile.x0), max(box[1], found.tile.y0)
            x1, y1 = min(box[2], found.tile.x1), min(box[3], found.tile.y1)
            if x1 <= x0 or y1 <= y0:
                continue
            visible = (x1 - x0) * (y1 - y0) / ((box[2] - box[0]) * (box[3] - box[1]))
            large = number < len(boxes) and x1 - x0 >= 2 and y1 - y0 >= 2
            local = [x0 - found.tile.x0, y0 - found.tile.y0, x1 - found.tile.x0, y1 - found.tile.y0]
            if large and visible >= least:
                kept.append([number, number % 2, *local])
                whole.append((x0, y0, x1, y1) == tuple(box))
            else:
                painted.append(local)
        rows = np.column_stack([found.box_ids, found.class_ids, found.boxes_px])
        np.testing.assert_allclose(rows, np.array(kept).reshape(-1, 6))
        np.testing.assert_allclose(found.ignored_px, np.array(painted).reshape(-1, 4))
        assert found.whole.tolist() == whole
        assert (found.cut, found.dropped) == (whole.count(False), 0), "what is seen and not kept is painted, always"


@settings(max_examples=60)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.tuples(st.integers(20, 900), st.integers(20, 900)),
    tile=st.integers(64, 320),
    overlap=st.integers(3, 300),
)
def test_every_object_up_to_the_overlap_is_whole_in_a_tile_and_comes_back(seed, size, tile, overlap):
    overlap = min(overlap, tile - 16)
    random = np.random.default_rng(seed)
    boxes = random_boxes(random, size, count=30, largest=(overlap, overlap))
    boxes = boxes[(boxes[:, 2:] - boxes[:, :2] >= 2).all(axis=1)]
    plans = plan(boxes, size, TileRules(tile_px=tile, overlap_px=overlap))
    found = seams(plans, boxes)
    assert found == Seams(len(boxes), whole=len(boxes), parts=0, lost=0, largest_torn_px=0)
    back = {}
    for one in plans:
        for number, box, whole in zip(one.box_ids.tolist(), one.tile.to_photo(one.boxes_px), one.whole, strict=True):
            if whole:
                np.testing.assert_allclose(back.setdefault(number, box), box, atol=1e-6)
    found = np.array([back[number] for number in range(len(boxes))]).reshape(-1, 4)
    np.testing.assert_allclose(found, boxes, atol=1e-6)


@settings(max_examples=60)
@given(st.integers(0, 2**32 - 1), st.integers(0, 30))
def test_parts_of_a_large_object_put_together_by_its_number_are_the_object(seed, overlap):
    boxes = random_boxes(np.random.default_rng(seed), (300, 200), largest=(300, 200))
    plans = plan(boxes, rules=TileRules(tile_px=96, overlap_px=overlap, min_visible=0.0, min_side_px=0))
    for number, box in enumerate(boxes):
        parts = np.concatenate([one.tile.to_photo(one.boxes_px[one.box_ids == number]) for one in plans])
        together = [*parts[:, :2].min(axis=0), *parts[:, 2:].max(axis=0)]
        np.testing.assert_allclose(together, box, atol=0.01)


def test_what_seams_do_is_counted():
    boxes = np.array([(10, 10, 30, 30), (50, 10, 110, 30), (0, 0, 300, 200)], float)
    assert seams(plan(boxes), boxes) == Seams(3, whole=1, parts=1, lost=1, largest_torn_px=300)
    nothing = np.zeros((0, 4))
    assert seams(plan(nothing), nothing) == Seams()
    assert Seams(3, 1, 1, 1, 5.0) + Seams(1, 1, 0, 0, 9.0) == Seams(4, 2, 1, 1, 9.0)


def sahi_annotations(boxes, size_wh, *, tile, overlap, least):
    """SAHI's rules in a few lines: slices as ``get_slice_bboxes`` plans them, boxes as ``process_coco_annotations``."""
    width, height = size_wh
    slices, y_max, y_min = [], 0, 0
    while y_max < height:
        x_min = x_max = 0
        y_max = y_min + tile
        while x_max < width:
            x_max = x_min + tile
            right, below = min(width, x_max), min(height, y_max)
            slices.append((max(0, right - tile), max(0, below - tile), right, below))
            x_min = x_max - overlap
        y_min = y_max - overlap
    found = {}
    for x0, y0, x1, y1 in slices:
        rows = []
        for number, box in enumerate(boxes):
            part = [max(box[0], x0), max(box[1], y0), min(box[2], x1), min(box[3], y1)]
            if part[2] <= part[0] or part[3] <= part[1]:
                continue
            if (part[2] - part[0]) * (part[3] - part[1]) / ((box[2] - box[0]) * (box[3] - box[1])) >= least:
                rows.append([number, part[0] - x0, part[1] - y0, part[2] - x0, part[3] - y0])
        found[x0, y0, x1, y1] = rows
    return found


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1), st.integers(8, 30), st.integers(8, 30))
def test_sahis_rules_give_sahis_labels_where_the_tiles_are_the_same(seed, columns, rows):
    size = columns * 16, rows * 16  # a photograph of whole coding blocks: the last tile needs no longer side
    boxes = random_boxes(np.random.default_rng(seed), size)
    rules = TileRules(tile_px=96, overlap_px=32, min_visible=0.1, min_side_px=0)
    expected = sahi_annotations(boxes, size, tile=96, overlap=32, least=0.1)
    plans = plan(boxes, size, rules)
    if len(plans) > 1 and min(size) >= 96:
        assert {(p.tile.x0, p.tile.y0, p.tile.x1, p.tile.y1) for p in plans} == set(expected)
        for one in plans:
            rows_found = np.column_stack([one.box_ids, one.boxes_px])
            wanted = expected[one.tile.x0, one.tile.y0, one.tile.x1, one.tile.y1]
            np.testing.assert_allclose(rows_found, np.array(wanted).reshape(-1, 5), atol=1e-9)


def test_a_photo_hardly_larger_than_a_tile_stays_whole():
    (only,) = plan([(10, 10, 30, 30)], size_wh=(105, 100))
    assert only.name == "p"
    assert (only.tile.width_px, only.tile.height_px) == (105, 100)


def test_thirty_thousand_boxes_on_a_mosaic_take_neither_long_nor_much():
    random = np.random.default_rng(1)
    boxes = random_boxes(random, (12000, 9000), count=30_000)
    plans = plan(boxes, (12000, 9000), TileRules())
    assert len(plans) == 24 * 18
    assert seams(plans, boxes).whole == (boxes[:, 2:] - boxes[:, :2] >= 2).all(axis=1).sum()


@pytest.mark.parametrize(("with_boxes", "empty", "kept"), [(8, 20, 2), (80, 5, 5), (0, 5, 0), (3, 9, 0)])
def test_backgrounds_are_at_most_a_fifth(with_boxes, empty, kept):
    names = [f"e{number}" for number in range(empty)]
    found = chosen_backgrounds(names, with_boxes=with_boxes, share=0.2, seed=1)
    assert len(found) == kept
    assert chosen_backgrounds(reversed(names), with_boxes=with_boxes, share=0.2, seed=1) == found <= set(names)
