"""Boxes: conversions are inverse to one another, overlaps agree with counting pixels."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from overflight.imaging import boxes

coordinates = st.integers(0, 30)
whole_boxes = st.lists(st.tuples(coordinates, coordinates, coordinates, coordinates), min_size=1, max_size=5).map(
    lambda rows: np.array([[min(a, c), min(b, d), max(a, c), max(b, d)] for a, b, c, d in rows], dtype=np.float64)
)


@given(arrays(np.float64, (7, 4), elements=st.floats(-1e4, 1e4)))
def test_centre_and_size_are_inverse_to_corners(xyxy):
    np.testing.assert_allclose(boxes.xyxy_from_cxcywh(boxes.cxcywh_from_xyxy(xyxy)), xyxy, atol=1e-9)


@given(whole_boxes, whole_boxes)
def test_overlaps_agree_with_counting_pixels(a, b):
    masks_a, masks_b = ([_mask(box) for box in group] for group in (a, b))
    for i, mask_a in enumerate(masks_a):
        for j, mask_b in enumerate(masks_b):
            common, union = (mask_a & mask_b).sum(), (mask_a | mask_b).sum()
            assert boxes.intersection(a, b)[i, j] == common
            assert boxes.iou(a, b)[i, j] == pytest.approx(common / union if union else 0)


def test_clip_keeps_the_number_of_boxes():
    clipped = boxes.clip(boxes.as_boxes([[-5, -5, 5, 5], [20, 20, 30, 30]]), width_px=10, height_px=8)
    assert clipped.tolist() == [[0, 0, 5, 5], [10, 8, 10, 8]]
    assert boxes.area(clipped).tolist() == [25, 0]


def test_no_boxes_are_an_array_of_four_columns():
    assert boxes.as_boxes([]).shape == (0, 4)
    assert boxes.iou(boxes.as_boxes([]), boxes.as_boxes([[0, 0, 1, 1]])).shape == (0, 1)


def test_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"shape \(N, 4\)"):
        boxes.as_boxes([[1, 2, 3]])


def _mask(box):
    mask = np.zeros((31, 31), dtype=bool)
    x0, y0, x1, y1 = box.astype(int)
    mask[y0:y1, x0:x1] = True
    return mask
