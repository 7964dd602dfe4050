"""Suppression agrees with the textbook's loop; merging gives one box per object at tile seams."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.imaging.merge import merge_tiles, nms, touches_inner_edge
from overflight.imaging.tiles import Tile, plan_tiles

TILES = [Tile(0, 0, 640, 640), Tile(512, 0, 1152, 640)]


@st.composite
def detections(draw):
    count = draw(st.integers(0, 25))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    first = random.integers(0, 40, (count, 2)).astype(float)
    boxes = np.concatenate([first, first + random.integers(1, 30, (count, 2))], axis=1)
    scores = random.integers(1, 6, count) / 5  # many ties
    return boxes, scores, random.integers(0, 3, count)


def textbook_nms(boxes, scores, class_ids, threshold):
    """Two loops over everything, written from the definition."""
    order = sorted(range(len(boxes)), key=lambda i: (-scores[i], class_ids[i], *boxes[i]))
    kept = []
    for candidate in order:
        for keeper in kept:
            if class_ids[keeper] != class_ids[candidate]:
                continue
            a, b = boxes[keeper], boxes[candidate]
            width = min(a[2], b[2]) - max(a[0], b[0])
            height = min(a[3], b[3]) - max(a[1], b[1])
            common = max(width, 0) * max(height, 0)
            union = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - common
            if common > threshold * union:
                break
        else:
            kept.append(candidate)
    return kept


@given(detections(), st.sampled_from([0.0, 0.3, 0.5, 0.7, 1.0]))
def test_nms_agrees_with_the_textbook(found, threshold):
    boxes, scores, class_ids = found
    kept = nms(boxes, scores, class_ids, iou=threshold)
    expected = textbook_nms(boxes, scores, class_ids, threshold)
    assert boxes[kept].tolist() == boxes[expected].tolist()
    assert class_ids[kept].tolist() == class_ids[expected].tolist()
    assert scores[kept].tolist() == scores[expected].tolist()


@given(detections(), st.randoms(use_true_random=False))
def test_the_order_of_the_boxes_does_not_matter(found, random):
    boxes, scores, class_ids = found
    order = list(range(len(boxes)))
    random.shuffle(order)
    first = nms(boxes, scores, class_ids, iou=0.5)
    second = nms(boxes[order], scores[order], class_ids[order], iou=0.5)
    assert boxes[first].tolist() == boxes[order][second].tolist()


@given(detections())
def test_with_one_tile_merging_is_nms(found):
    boxes, scores, class_ids = found
    merged = merge_tiles(boxes, scores, class_ids, np.zeros(len(boxes), int), [Tile(0, 0, 80, 80)])
    kept = nms(boxes, scores, class_ids, iou=0.5)
    assert merged.boxes_xyxy_px.tolist() == boxes[kept].tolist()
    assert merged.scores.tolist() == scores[kept].tolist()


def merge(*rows):
    boxes, scores, class_ids, tile_index = zip(*rows, strict=True)
    found = merge_tiles(np.array(boxes, float), np.array(scores), np.array(class_ids), np.array(tile_index), TILES)
    return [
        (box, score, class_id)
        for box, score, class_id in zip(
            found.boxes_xyxy_px.tolist(), found.scores.tolist(), found.class_ids.tolist(), strict=True
        )
    ]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        pytest.param(
            [([560, 100, 600, 120], 0.9, 0, 0), ([561, 100, 601, 121], 0.8, 0, 1)],
            [([560, 100, 600, 120], 0.9, 0)],
            id="whole in both tiles: the surer one",
        ),
        pytest.param(
            [([600, 100, 640, 120], 0.95, 0, 0), ([600, 100, 690, 121], 0.6, 0, 1)],
            [([600, 100, 690, 121], 0.95, 0)],
            id="part and whole: the whole box, the higher score",
        ),
        pytest.param(
            [([480, 100, 640, 140], 0.7, 0, 0), ([512, 101, 680, 140], 0.8, 0, 1)],
            [([480, 100, 680, 140], 0.8, 0)],
            id="longer than the overlap: the hull of both parts",
        ),
        pytest.param(
            [([600, 100, 640, 120], 0.9, 0, 0), ([600, 100, 690, 121], 0.6, 1, 1)],
            [([600, 100, 640, 120], 0.9, 0), ([600, 100, 690, 121], 0.6, 1)],
            id="different classes stay apart",
        ),
        pytest.param(
            [([600, 100, 640, 120], 0.9, 0, 0), ([620, 106, 634, 118], 0.6, 0, 0)],
            [([600, 100, 640, 120], 0.9, 0), ([620, 106, 634, 118], 0.6, 0)],
            id="small inside large in one tile: two objects, as without tiles",
        ),
        pytest.param(
            [([600, 100, 640, 120], 0.9, 0, 0), ([645, 100, 690, 120], 0.6, 0, 1)],
            [([600, 100, 640, 120], 0.9, 0), ([645, 100, 690, 120], 0.6, 0)],
            id="neighbours at the seam stay two",
        ),
        pytest.param(
            [([600, 100, 640, 120], 0.9, 0, 0), ([520, 90, 760, 300], 0.02, 0, 1)],
            [([600, 100, 640, 120], 0.9, 0), ([520, 90, 760, 300], 0.02, 0)],
            id="a large unsure box does not swallow a part that looks different",
        ),
        pytest.param(
            [([600, 100, 640, 120], 0.9, 0, 0), ([600, 100, 690, 120], 0.02, 0, 1)],
            [([600, 100, 640, 120], 0.9, 0)],
            id="a whole box far below the part neither replaces nor stretches it",
        ),
    ],
)
def test_seams(rows, expected):
    assert merge(*rows) == expected
    assert merge(*rows[::-1]) == expected


def test_an_object_over_three_tiles_is_one():
    tiles = plan_tiles(1500, 600, tile_px=640, overlap_px=128)
    shown = [[tile.x0 if tile.x0 else 300, 100, min(tile.x1, 1300), 140] for tile in tiles]
    merged = merge_tiles(
        np.array(shown, float), np.full(len(tiles), 0.5), np.zeros(len(tiles), int), np.arange(len(tiles)), tiles
    )
    assert merged.boxes_xyxy_px.tolist() == [[300, 100, 1300, 140]]


def test_the_photographs_own_border_is_no_seam():
    boxes = np.array([[0, 0, 20, 20], [500, 0, 640, 20], [512, 30, 530, 50], [1140, 600, 1152, 640]], float)
    assert touches_inner_edge(boxes, np.array([0, 0, 1, 1]), TILES).tolist() == [False, True, True, False]


@given(st.integers(0, 2**32 - 1))
def test_exact_detections_of_separate_objects_come_back_as_they_were(seed):
    """Objects no longer than the overlap, seen by every tile that they touch, clipped at its edges."""
    random = np.random.default_rng(seed)
    tiles = plan_tiles(1500, 1100, tile_px=640, overlap_px=128)
    places = random.permutation(11 * 8)[:20]
    corner = np.stack([places % 11 * 136, places // 11 * 136], axis=1) + random.integers(0, 8, (20, 2))
    objects = np.concatenate([corner, corner + random.integers(20, 128, (20, 2))], axis=1).astype(float)
    seen, index = [], []
    for number, tile in enumerate(tiles):
        bounds = np.array([tile.x0, tile.y0, tile.x1, tile.y1])
        clipped = np.concatenate(
            [np.maximum(objects[:, :2], bounds[:2]), np.minimum(objects[:, 2:], bounds[2:])], axis=1
        )
        visible = (clipped[:, 2:] - clipped[:, :2]).min(axis=1) > 2
        seen.append(clipped[visible])
        index += [number] * int(visible.sum())
    boxes = np.concatenate(seen)
    scores = random.uniform(0.3, 1.0, len(boxes))
    merged = merge_tiles(boxes, scores, np.zeros(len(boxes), int), np.array(index), tiles)
    assert sorted(merged.boxes_xyxy_px.tolist()) == sorted(objects.tolist())


def test_no_boxes_give_no_boxes():
    empty = np.zeros(0, int)
    assert len(merge_tiles(np.zeros((0, 4)), np.zeros(0), empty, empty, TILES)) == 0
    assert nms(np.zeros((0, 4)), np.zeros(0), empty, iou=0.5).tolist() == []
