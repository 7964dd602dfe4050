"""Differences of surveys: each kind of change is counted once and under its own name."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.data.diff import Side, SidePhoto, diff_surveys

CAR, BOAT = (10.0, 10.0, 30.0, 20.0), (100.0, 50.0, 160.0, 80.0)


def photo(*boxes, sha="s", flight="f", digest=""):
    ids = np.array([index for index, _ in boxes], dtype=np.int64)
    corners = np.array([corners for _, corners in boxes], dtype=np.float64).reshape(-1, 4)
    return SidePhoto(sha, flight, digest, lambda: (ids, corners))


def side(classes=("car", "boat"), title="a", **photos):
    return Side(title, classes, photos)


def moved(box, dx, dy):
    return (box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy)


BASE = side(one=photo((0, CAR), (1, BOAT)))
CHANGES = [
    pytest.param(side(one=photo((0, CAR), (1, BOAT))), {}, id="nothing"),
    pytest.param(side(one=photo((1, BOAT), (0, CAR))), {}, id="only the order of lines"),
    pytest.param(side(one=photo((0, moved(CAR, 0.009, 0)), (1, BOAT))), {}, id="less than a hundredth of a pixel"),
    pytest.param(side(one=photo((0, CAR))), {"removed": 1}, id="box removed"),
    pytest.param(side(one=photo((0, CAR), (1, BOAT), (0, moved(CAR, 200, 0)))), {"added": 1}, id="box added"),
    pytest.param(side(one=photo((0, moved(CAR, 3, 1)), (1, BOAT))), {"moved": 1}, id="box moved"),
    pytest.param(side(one=photo((1, CAR), (1, BOAT))), {"reclassed": 1}, id="class changed"),
    pytest.param(side(one=photo((0, moved(CAR, 500, 0)), (1, BOAT))), {"removed": 1, "added": 1}, id="too far to move"),
    pytest.param(side(one=photo((0, CAR), (0, CAR), (1, BOAT))), {"added": 1}, id="the same box once more"),
    pytest.param(side(("boat", "car"), one=photo((1, CAR), (0, BOAT))), {}, id="classes only renumbered"),
]


@pytest.mark.parametrize(("other", "expected"), CHANGES)
def test_every_change_of_boxes_is_counted_once(other, expected):
    found = diff_surveys(BASE, other)
    counts = {name: count for name, count in found.boxes.as_dict().items() if count}
    assert counts == expected
    assert found.any == bool(expected or found.classes_renumbered)


def test_an_object_that_is_to_be_ignored_now_is_a_difference_of_its_own():
    region = replace(photo((1, BOAT)), load_ignored=lambda: np.array([CAR]))
    found = diff_surveys(BASE, side(one=region))
    assert {name: count for name, count in found.boxes.as_dict().items() if count} == {"removed": 1, "ignored_added": 1}
    assert found.per_photo["one"].ignored_added == 1
    shifted = replace(region, load_ignored=lambda: np.array([moved(CAR, 5, 0), BOAT]))
    again = diff_surveys(side(one=region), side(one=shifted))
    assert again.any
    assert (again.boxes.ignored_added, again.boxes.ignored_removed) == (2, 1)
    assert not diff_surveys(side(one=region), side(one=region)).any


def test_photos_added_removed_renamed_and_changed():
    a = side(kept=photo(sha="1"), gone=photo(sha="2"), old=photo(sha="3"), touched=photo(sha="4"))
    b = side(kept=photo(sha="1"), new=photo(sha="3"), fresh=photo(sha="5"), touched=photo(sha="6", flight="g"))
    found = diff_surveys(a, b)
    assert (found.photos_same, found.photos_added, found.photos_removed) == (1, ("fresh",), ("gone",))
    assert found.photos_renamed == (("old", "new"),)
    assert found.photos_changed == ("touched",)
    assert found.flights_changed == {"touched": ("f", "g")}
    assert found.as_dict()["photos"]["renamed_names"] == [["old", "new"]]


def test_equal_label_digests_are_not_opened():
    def fail():
        raise AssertionError("labels were read")

    same = SidePhoto("s", "f", "digest", fail)
    assert not diff_surveys(side(one=same), side(one=same)).any


def test_classes_are_compared_by_name():
    found = diff_surveys(BASE, side(("van", "car", "boat"), one=photo((1, CAR), (2, BOAT))))
    assert (found.classes_added, found.classes_removed, found.classes_renumbered) == (("van",), (), False)
    assert not found.boxes.any


def test_labels_that_are_all_one_pixel_off_are_recognised():
    boxes = [(0, moved(CAR, 40 * step, 7 * step)) for step in range(20)]
    shifted = [(index, moved(box, 1, 1)) for index, box in boxes]
    assert diff_surveys(side(one=photo(*boxes)), side(one=photo(*shifted))).uniform_shift_px == (1.0, 1.0)
    half = shifted[:10] + boxes[10:]
    assert diff_surveys(side(one=photo(*boxes)), side(one=photo(*half))).uniform_shift_px is None


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 900), st.integers(0, 900)), max_size=12),
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 900), st.integers(0, 900)), max_size=12),
)
def test_boxes_before_plus_added_minus_removed_are_boxes_after(before, after):
    def placed(items):
        return photo(*((index, (x, y, x + 30.0, y + 20.0)) for index, x, y in items))

    boxes = diff_surveys(side(one=placed(before)), side(one=placed(after))).boxes
    kept = boxes.same + len(boxes.shifts_px) + sum(boxes.reclassed.values())
    assert kept + sum(boxes.removed.values()) == len(before)
    assert kept + sum(boxes.added.values()) == len(after)
