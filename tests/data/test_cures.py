"""Cures: a pixel, an exact repetition, a box of nothing; all other boxes stay, and none vanishes unlisted."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_subjects import labels_of, photo, subject_of
from overflight.data.checks.all import CHECKS
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.cures import COPY_PX, MAX_CLIP_PX, RemovedBox, cure
from overflight.data.checks.run import run_checks

WIDTH, HEIGHT = 400, 300
CAR = (100, 100, 140, 120)
ROUNDING_PX = 0.01
SAFE = ("overhang", "no-size", "duplicate-box")
CATALOGUE = load_catalogue()


def findings_of(labels, changes=()):
    catalogue = load_catalogue(changes) if changes else CATALOGUE
    return run_checks(subject_of(labels), catalogue, CHECKS)


def cured(*photos, changes=()):
    labels = labels_of(*photos)
    return cure(labels, findings=findings_of(labels, changes))


def boxes_of(result, key="a.jpg"):
    return [tuple(box) for box in result.labels.photos[key].xyxy_px.tolist()]


@pytest.mark.parametrize(
    ("before", "after", "clipped", "codes"),
    [
        ([(-0.5, 9, 40, 40)], [(0, 9, 40, 40)], 1, []),
        ([(380, 250, 401, 301)], [(380, 250, 400, 300)], 1, []),
        ([(-2, 9, 40, 40)], [(-2, 9, 40, 40)], 0, []),
        ([(-2, 9, 40, 300.5)], [(-2, 9, 40, 300.5)], 0, []),
        ([(-0.004, 9, 40, 40)], [(-0.004, 9, 40, 40)], 0, []),
        ([(400, 9, 400.9, 40)], [(400, 9, 400.9, 40)], 0, []),
        ([CAR, CAR, CAR], [CAR], 0, ["duplicate-box"] * 2),
        ([CAR, (100.02, 100, 140, 120)], [CAR, (100.02, 100, 140, 120)], 0, []),
        ([CAR, (9, 9, 9, 40)], [CAR], 0, ["no-size"]),
        ([(9, 9, 9, 9)], [], 0, ["no-size"]),
        ([(40, 9, 9, 40)], [(40, 9, 9, 40)], 0, []),
        ([(400.5, 9, 380, 40)], [(400.5, 9, 380, 40)], 0, []),
        ([(9, 9, 9, 40)] * 2, [], 0, ["no-size"] * 2),
        ([(0, 9, 40, 40), (-0.6, 9, 40, 40)], [(0, 9, 40, 40)], 0, ["duplicate-box"]),
        ([(-0.6, 9, 40, 40), CAR, (0, 9, 40, 40)], [(0, 9, 40, 40), CAR], 1, ["duplicate-box"]),
        ([CAR, (9, 9, 12, 290), (0, 0, 400, 300)], [CAR, (9, 9, 12, 290), (0, 0, 400, 300)], 0, []),
    ],
    ids=[
        "half a pixel over the edge",
        "a pixel over two edges",
        "two pixels are for a person",
        "two pixels and half a pixel",
        "rounding of text",
        "a box beside the photograph",
        "three times",
        "almost the same is not the same",
        "no width",
        "neither width nor height",
        "corners out of order",
        "corners out of order over the edge",
        "nothing, twice",
        "the same after clipping",
        "the same after clipping, the clipped one first",
        "strange boxes",
    ],
)
def test_what_is_cured_and_what_is_not(before, after, clipped, codes):
    result = cured(photo(*before))
    assert boxes_of(result) == after
    assert result.clipped == clipped
    assert [removed.code for removed in result.removed] == codes


def test_a_removed_box_is_listed_with_its_place_and_its_numbers():
    result = cured(photo(CAR), photo(CAR, (9, 9, 9, 40), CAR, classes=[1, 0, 1], file="b.txt", first=5))
    assert result.removed == (
        RemovedBox("b.jpg", "b.txt:6", "no-size", "car", (9.0, 9.0, 9.0, 40.0)),
        RemovedBox("b.jpg", "b.txt:7", "duplicate-box", "truck", (100.0, 100.0, 140.0, 120.0)),
    )
    kept = result.labels.photos["b.jpg"]
    assert (kept.numbers.tolist(), kept.class_ids.tolist()) == ([5], [1])


def test_the_same_box_of_two_classes_is_for_a_person():
    assert cured(photo(CAR, CAR, classes=[0, 1])).removed == ()


@pytest.mark.parametrize("code", SAFE)
def test_a_check_that_is_off_cures_nothing(code):
    defects = photo(CAR, CAR, (9, 9, 9, 40), (-0.5, 9, 40, 40))
    result = cured(defects, changes=[f"{code}=off"])
    done = {removed.code for removed in result.removed} | ({"overhang"} if result.clipped else set())
    assert done == set(SAFE) - {code}


def test_wider_limits_of_a_check_do_not_make_its_cure_less_safe():
    near = photo(CAR, (103, 100, 140, 120), (-4, 9, 40, 40))
    changes = ["duplicate-box.max_distance_px=5", "outside.max_overhang_px=5"]
    labels = labels_of(near)
    assert {"duplicate-box", "overhang"} <= {finding.code for finding in findings_of(labels, changes)}
    result = cured(near, changes=changes)
    assert (result.clipped, result.removed) == (0, ())
    assert result.labels.photos["a.jpg"] is near


def test_findings_of_other_photographs_and_codes_do_nothing():
    labels = labels_of(photo(CAR, CAR))
    findings = [replace(finding, photo="elsewhere.jpg") for finding in findings_of(labels)]
    assert cure(labels, findings=findings).removed == ()
    assert cure(labels, findings=[]).labels == labels


def test_ignored_regions_may_repeat():
    assert cured(photo(CAR, CAR, ignored=[False, True])).removed == ()


def test_oriented_boxes_are_not_clipped_and_upright_ones_among_them_are():
    tilted = [(20, -0.4), (40, 20), (20, 40), (-0.4, 20)]
    upright = [(-0.5, 50), (30, 50), (30, 70), (-0.5, 70)]
    result = cured(photo(corners=[tilted, upright, tilted]))
    kept = result.labels.photos["a.jpg"]
    assert result.clipped == 1
    assert [removed.where for removed in result.removed] == ["a.txt:3"]
    np.testing.assert_allclose(kept.corners_px[0], tilted)
    np.testing.assert_allclose(kept.corners_px[1], [(0, 50), (30, 50), (30, 70), (0, 70)])
    assert kept.xyxy_px[1].tolist() == [0, 50, 30, 70]


# Properties

_edges = st.sampled_from([-3.0, -1.0, -0.5, -0.005, 0.0, 0.005, 5.0, 5.009, 20.0, 20.5, 21.0, 22.0, 25.0])
_boxes = st.lists(st.tuples(_edges, _edges, _edges, _edges, st.integers(0, 1), st.booleans()), max_size=12)


@st.composite
def sets(draw):
    photos = []
    for drawn in draw(st.lists(_boxes, max_size=3)):
        found = photo(*[box[:4] for box in drawn], classes=[box[4] for box in drawn], size=(20, 20))
        ignored = np.array([box[5] for box in drawn], dtype=np.bool_)
        photos.append(replace(found, ignored=ignored if ignored.any() else None))
    return labels_of(*photos)


@given(sets())
@settings(max_examples=100)
def test_no_box_vanishes_moves_far_or_changes_twice(labels):
    findings = findings_of(labels)
    result = cure(labels, findings=findings)
    assert labels.boxes == result.labels.boxes + len(result.removed)
    assert list(result.labels.photos) == list(labels.photos)
    named = {finding.photo for finding in findings if finding.code in SAFE}
    moved = 0
    for key, before in labels.photos.items():
        after = result.labels.photos[key]
        if key not in named:
            assert after is before
        left = before.select(np.isin(before.numbers, after.numbers))
        assert left.numbers.tolist() == after.numbers.tolist()
        assert left.class_ids.tolist() == after.class_ids.tolist()
        apart = np.abs(left.xyxy_px - after.xyxy_px).max(axis=1, initial=0)
        assert apart.max(initial=0) <= MAX_CLIP_PX + ROUNDING_PX
        moved += int((apart > 0).sum())
    assert moved == result.clipped
    for again in (cure(result.labels, findings=findings), cure(result.labels, findings=findings_of(result.labels))):
        assert (again.clipped, again.removed) == (0, ())


@given(sets())
@settings(max_examples=60)
def test_after_the_cures_their_findings_are_gone_except_where_a_person_must_decide(labels):
    result = cure(labels, findings=findings_of(labels))
    left = [finding for finding in findings_of(result.labels) if finding.code in SAFE]
    for finding in left:
        boxes = result.labels.photos[finding.photo].xyxy_px[list(finding.boxes)]
        assert finding.code != "duplicate-box"
        assert ((boxes[:, 2:4] - boxes[:, :2]).min(axis=1) < 0).all()


def test_the_cure_for_repetitions_goes_no_farther_than_the_check():
    assert CATALOGUE["duplicate-box"].limits["max_distance_px"] == COPY_PX
    assert CATALOGUE["outside"].limits["max_overhang_px"] == MAX_CLIP_PX
    assert {code for code, rule in CATALOGUE.items() if rule.fixable} == set(SAFE)
