"""Checks of boxes: each finds its planted defect and is silent about the clean twin; none compares all with all."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from label_subjects import labels_of, limits, photo, subject_of
from overflight.data.checks import overlaps
from overflight.data.checks.all import CHECKS
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.label_checks import SWAPPED_CURE
from overflight.data.checks.overlaps import copies, overlapping, repeats
from overflight.data.checks.run import run_checks
from overflight.data.formats.labels import LabelSet
from overflight.imaging.boxes import iou

CAR = (100, 100, 140, 120)
NO_BOX_IS_LEFT_OUT = ("outside", "overhang", "no-size")
BOX_CODES = (
    *NO_BOX_IS_LEFT_OUT,
    *("tiny", "huge", "odd-box-aspect", "sliver", "duplicate-box"),
    *("overlap-same", "overlap-other", "empty-labels", "count-outlier"),
)


def hits(code, labels, *, flights=None, train_scale=1.0, **changed):
    return list(CHECKS[code](subject_of(labels, flights=flights, train_scale=train_scale), limits(code, **changed)))


def turned(cx, cy, width, height, degrees):
    """Corners of an oriented box."""
    angle = np.radians(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.array([[-width, -height], [width, -height], [width, height], [-width, height]]) / 2 @ turn.T + [cx, cy]


PLANTED = {
    "outside: by 2 px": ("outside", photo(CAR, (-2, 50, 40, 80)), (1,), photo(CAR, (-1, 50, 40, 80))),
    "outside: fully, by half a pixel": ("outside", photo((400, 10, 400.5, 30)), (0,), photo((399, 10, 400, 30))),
    "outside: below": ("outside", photo((10, 280, 40, 330)), (0,), photo((10, 280, 40, 300))),
    "outside: corners swapped too": ("outside", photo((430, 50, 380, 80)), (0,), photo((390, 50, 380, 80))),
    "outside: an ignored region": ("outside", photo((-9, 0, 40, 80), ignored=[True]), (0,), photo(CAR, ignored=[True])),
    "outside: an oriented box": (
        "outside",
        photo(corners=[turned(5, 100, 40, 20, 45)]),
        (0,),
        photo(corners=[turned(90, 100, 40, 20, 45)]),
    ),
    "overhang: by half a pixel": ("overhang", photo(CAR, (380, 50, 400.5, 80)), (1,), photo((380, 50, 400.004, 80))),
    "overhang: one pixel is not outside": ("overhang", photo((380, 50, 401, 80)), (0,), photo((380, 50, 402, 80))),
    "no-size: no width": ("no-size", photo(CAR, (50, 50, 50, 80)), (1,), photo(CAR)),
    "no-size: negative height": ("no-size", photo((50, 80, 90, 50)), (0,), photo((50, 50, 90, 80))),
    "no-size: an ignored region": ("no-size", photo((5, 5, 5, 9), ignored=[True]), (0,), photo(CAR, ignored=[True])),
    "tiny": ("tiny", photo(CAR, (9, 9, 15, 16)), (1,), photo(CAR, (9, 9, 17, 17))),
    "tiny: long but of little area": ("tiny", photo((9, 9, 24, 13)), (0,), photo((9, 9, 26, 13))),
    "huge": ("huge", photo((0, 0, 400, 160)), (0,), photo((0, 0, 400, 140))),
    "odd-box-aspect: wide": ("odd-box-aspect", photo((0, 50, 91, 60)), (0,), photo((0, 50, 80, 60))),
    "odd-box-aspect: high": ("odd-box-aspect", photo(CAR, (50, 0, 60, 91)), (1,), photo((50, 0, 60, 79))),
    "sliver: of a tile": ("sliver", photo(CAR, (397, 50, 400, 80)), (1,), photo((396, 50, 400, 80))),
    "duplicate-box": ("duplicate-box", photo(CAR, (9, 9, 40, 40), CAR), (2,), photo(CAR, (9, 9, 40, 40))),
    "duplicate-box: within rounding": (
        "duplicate-box",
        photo(CAR, tuple(value + 0.009 for value in CAR)),
        (1,),
        photo(CAR, tuple(value + 0.02 for value in CAR)),
    ),
    "duplicate-box: class decides": (
        "duplicate-box",
        photo(CAR, CAR, CAR, classes=[0, 1, 0]),
        (2,),
        photo(CAR, CAR, classes=[0, 1]),
    ),
    "duplicate-box: corners decide": (
        "duplicate-box",
        photo(corners=[turned(90, 100, 40, 20, 30), np.roll(turned(90, 100, 40, 20, 30), 1, axis=0)]),
        (1,),
        photo(corners=[turned(90, 100, 40, 20, 30), turned(90, 100, 40, 20, 150)]),
    ),
    "overlap-same": (
        "overlap-same",
        photo((9, 9, 30, 30), CAR, (102, 100, 140, 120)),
        (1, 2),
        photo(CAR, (110, 100, 150, 120)),
    ),
    "overlap-same: leaves repetitions": (
        "overlap-same",
        photo(CAR, CAR, (101, 100, 140, 120)),
        (0, 2),
        photo(CAR, CAR),
    ),
    "overlap-same: class decides": (
        "overlap-same",
        photo(CAR, (101, 100, 140, 120), classes=[1, 1]),
        (0, 1),
        photo(CAR, (101, 100, 140, 120), classes=[1, 2]),
    ),
    "overlap-other": (
        "overlap-other",
        photo(CAR, (101, 100, 140, 120), classes=[1, 2]),
        (0, 1),
        photo(CAR, (101, 100, 140, 120), classes=[1, 1]),
    ),
    "overlap-other: ignored regions lie over objects": (
        "overlap-other",
        photo(CAR, CAR, classes=[0, 1]),
        (0, 1),
        photo(CAR, CAR, classes=[0, 1], ignored=[False, True]),
    ),
    "empty-labels": ("empty-labels", photo(), (), photo(CAR)),
    "empty-labels: only an ignored region": ("empty-labels", photo(CAR, ignored=[True]), (), photo(CAR)),
}


@pytest.mark.parametrize(("code", "planted", "boxes", "clean"), PLANTED.values(), ids=PLANTED)
def test_a_planted_defect_is_found_and_its_clean_twin_is_not(code, planted, boxes, clean):
    found = hits(code, labels_of(photo(CAR), planted))
    assert [(hit.photo, hit.boxes) for hit in found] == [("b.jpg", boxes)]
    assert hits(code, labels_of(photo(CAR), clean)) == []


@pytest.mark.parametrize("code", [code for code in BOX_CODES if code not in NO_BOX_IS_LEFT_OUT])
def test_ignored_regions_are_left_alone(code):
    strange = [(0, 0, 400, 290), (0, 0, 400, 290), (9, 9, 11, 290), (1, 1, 4, 4), (100.1, 100, 140, 120)]
    labels = labels_of(photo(CAR, *strange, classes=[0, 0, 0, 0, 0, 1], ignored=[False] + 5 * [True]))
    assert hits(code, labels) == []


@pytest.mark.parametrize("code", BOX_CODES)
@pytest.mark.parametrize(
    "photos", [[], [photo(CAR)], [photo(CAR), photo()]], ids=["none", "one", "one and an empty one"]
)
def test_sets_of_nothing_or_little_are_no_trouble(code, photos):
    assert all(hit.photo == "b.jpg" for hit in hits(code, labels_of(*photos)))


@pytest.mark.parametrize("code", BOX_CODES)
def test_numbers_beyond_all_measure_are_judged_without_warnings(code):
    far = [
        (-1e300, 0, 1e300, 9),
        (1e308, 1e308, -1e308, -1e308),
        (0, 0, 1e-300, 1e-300),
        (-1e308, -1e308, 1e308, 1e308),
    ]
    hits(code, labels_of(photo(*far, *far)))


def test_one_hit_a_photograph_says_how_many_and_where():
    labels = labels_of(photo(CAR, *[(9, 9, 9 + side, 9 + side) for side in (3, 5, 7)], (-5, 5, 30, 30), (-9, 5, -1, 9)))
    (small,) = hits("tiny", labels)
    assert small.what == "4 of 6 objects smaller than 8 px at the training size (smallest 3.0 px, median 5.0 px)"
    (left,) = hits("outside", labels)
    assert left.what == "2 boxes outside the photograph by up to 9 px, 1 of them fully (limit 1 px): line 5, 6"
    finding = next(f for f in run_checks(subject_of(labels), load_catalogue(), CHECKS) if f.code == "outside")
    assert (finding.where, finding.photo, finding.boxes) == ("a.txt:5", "a.jpg", (4, 5))


def test_a_box_of_no_area_on_the_edge_is_not_outside():
    assert hits("outside", labels_of(photo((400, 10, 400, 30)))) == []


def test_many_places_are_not_all_named():
    (hit,) = hits("no-size", labels_of(photo(*[(5, 5, 5, 9)] * 7)))
    assert hit.what == "7 boxes without area: line 1, 2, 3 and 4 more"
    assert len(hit.boxes) == 7


def test_corners_out_of_order_get_their_own_advice():
    (hit,) = hits("no-size", labels_of(photo((5, 5, 5, 9), (9, 5, 5, 9))))
    assert "1 of them with corners out of order" in hit.what
    assert hit.cure == SWAPPED_CURE


def test_tiny_is_judged_at_the_size_of_training():
    labels = labels_of(photo((10, 10, 30, 30)))
    assert hits("tiny", labels) == []
    (hit,) = hits("tiny", labels, train_scale=1 / 3)
    assert "smallest 6.7 px" in hit.what
    assert hits("tiny", labels, train_scale=1 / 3, min_side_px=6) == []


def test_worse_is_scored_higher():
    (little,), (much,) = (hits("tiny", labels_of(photo(CAR, (9, 9, 9 + side, 9 + side)))) for side in (7, 2))
    assert much.score > little.score
    (near,), (far,) = (hits("outside", labels_of(photo((-over, 9, 50, 50)))) for over in (2, 20))
    assert far.score > near.score


def test_between_overhang_and_outside_there_is_no_gap():
    catalogue = load_catalogue(["outside.max_overhang_px=6"])
    for over in (0.5, 1.0, 1.5, 5.99, 6.0, 6.1, 40):
        found = run_checks(subject_of(labels_of(photo((-over, 9, 50, 50)))), catalogue, CHECKS)
        expected = "overhang" if over <= 6 else "outside"
        assert [f.code for f in found if f.code in {"outside", "overhang"}] == [expected], over


def test_a_few_photographs_without_objects_are_listed_and_many_are_one_finding():
    few = hits("empty-labels", labels_of(photo(CAR), photo(CAR), photo(file="c.txt")))
    assert [(hit.photo, hit.where) for hit in few] == [("c.jpg", "c.txt")]
    (shared,) = hits("empty-labels", labels_of(photo(CAR), photo(CAR), photo(file="all.json")))
    assert (shared.where, shared.what) == ("all.json", "no object is labelled in c.jpg")
    (many,) = hits("empty-labels", labels_of(photo(CAR), photo(), photo()))
    assert (many.photo, many.what) == ("", "2 of 3 photographs without any object (at most 50% are usual)")


def boxes_in_rows(number):
    return [(10 * index, 10, 10 * index + 8, 30) for index in range(number)]


@pytest.mark.parametrize(
    ("counts", "odd"),
    [
        ([20, 22, 19, 21, 20, 23, 18, 2], "h.jpg"),
        ([4, 5, 3, 4, 5, 4, 4, 38], "h.jpg"),
        ([20, 22, 19, 21, 20, 23, 18, 12], None),
        ([1, 1, 2, 1, 1, 1, 1, 8], None),
        ([20, 22, 19, 21, 20, 2], None),
        ([5, 30, 8, 39, 3, 38, 12, 25], None),
    ],
    ids=["far fewer", "far more", "fewer", "few anyway", "a short flight", "a flight that varies"],
)
def test_counts_are_compared_within_a_flight(counts, odd):
    labels = labels_of(*[photo(*boxes_in_rows(count)) for count in counts])
    assert [hit.photo for hit in hits("count-outlier", labels)] == ([] if odd is None else [odd])


# How pairs are found


@st.composite
def crowds(draw):
    seed = draw(st.integers(0, 10_000))
    rng = np.random.default_rng(seed)
    count = draw(st.integers(0, 120))
    spread = draw(st.sampled_from([30.0, 100.0, 300.0]))
    centre = rng.uniform(0, spread, (count, 2))
    size = np.exp(rng.normal(3, draw(st.sampled_from([0.1, 0.8])), (count, 2)))
    return rng.integers(0, 3, count), np.concatenate([centre - size / 2, centre + size / 2], axis=1)


def pairs_of_all(groups, boxes, least):
    overlap = iou(boxes, boxes)
    return [
        (a, b)
        for a in range(len(boxes))
        for b in range(a + 1, len(boxes))
        if groups[a] == groups[b] and overlap[a, b] >= least
    ]


@pytest.mark.parametrize("crowd", [0, 1000], ids=["in rows", "in one sweep"])
@given(crowds(), st.sampled_from([0.1, 0.3, 0.5, 0.8, 0.95]))
@settings(max_examples=100)
def test_the_sorted_search_finds_what_comparing_all_finds(crowd, sample, least):
    groups, boxes = sample
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overlaps, "CROWD", crowd)
        patch.setattr(overlaps, "PILE", 1000)
        patch.setattr(overlaps, "ENOUGH", 1000)
        pairs = overlapping(groups, boxes, least)
    assert list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True)) == pairs_of_all(groups, boxes, least)
    measured = [iou(boxes[[a]], boxes[[b]])[0, 0] for a, b in zip(pairs.first, pairs.second, strict=True)]
    np.testing.assert_allclose(pairs.iou, measured, rtol=1e-9)


def test_a_low_box_far_down_a_high_one_is_found_in_rows(monkeypatch):
    monkeypatch.setattr(overlaps, "CROWD", 0)
    boxes = np.array([(0, 5, 10, 35), (0, 24, 10, 34), (100, 100, 110, 103.34)], dtype=np.float64)
    pairs = overlapping(np.zeros(3, dtype=np.int64), boxes, 0.3)
    assert (pairs.first.tolist(), pairs.second.tolist()) == ([0], [1])


@given(
    st.lists(st.tuples(st.integers(0, 1), st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), max_size=60),
    st.sampled_from([0.0, 1.0, 1.5]),
)
@settings(max_examples=100)
def test_repetitions_are_those_of_reading_from_the_start(rows, distance):
    groups = np.array([row[0] for row in rows], dtype=np.int64)
    values = np.array([row[1:] for row in rows], dtype=np.float64).reshape(-1, 3)
    found = repeats(groups, values, distance)
    kept = np.flatnonzero(found < 0)
    for index, repeated in enumerate(found.tolist()):
        near = [
            k
            for k in kept
            if k < index and groups[k] == groups[index] and np.ptp(values[[k, index]], axis=0).max() <= distance
        ]
        assert (repeated >= 0) == bool(near)
        assert repeated < 0 or repeated in near


@pytest.fixture
def compared(monkeypatch):
    """Counts the pairs that were compared."""
    counts = []
    sweep = overlaps._sweep

    def counted(group, at, reach, box, judge, **how):
        def count(first, second):
            counts.append(len(first))
            return judge(first, second)

        return sweep(group, at, reach, box, count, **how)

    monkeypatch.setattr(overlaps, "_sweep", counted)
    return counts


@pytest.mark.parametrize(
    "boxes",
    [
        np.tile([100.0, 100, 140, 120], (30_000, 1)),
        np.tile([100.0, 100, 140, 120], (30_000, 1)) + np.linspace(0, 3, 30_000)[:, None],
        np.stack(
            [np.full(30_000, 9.0), np.arange(30_000) / 9, np.full(30_000, 29.0), np.arange(30_000) / 9 + 30], axis=1
        ),
    ],
    ids=["one box 30,000 times", "a pile", "a column"],
)
def test_a_pile_of_boxes_is_bounded_work(boxes, compared):
    pairs = overlapping(np.zeros(len(boxes), dtype=np.int64), boxes, 0.8)
    assert set(np.concatenate([pairs.first, pairs.second]).tolist()) == set(range(len(boxes)))
    assert sum(compared) <= 4 * overlaps.PILE * len(boxes)


def test_a_pile_of_boxes_that_do_not_match_is_bounded_work(compared):
    sides = np.random.default_rng(0).permutation(np.geomspace(1, 1e8, 5000))
    boxes = np.stack([np.full(5000, 9.0), np.full(5000, 9.0), 9 + sides, np.full(5000, 29.0)], axis=1)
    overlapping(np.zeros(5000, dtype=np.int64), boxes, 0.8)
    assert sum(compared) <= 4 * overlaps.PILE * len(boxes)


def test_copies_are_given_by_their_first():
    labels = labels_of(photo((1, 1, 5, 5), CAR, CAR), photo(CAR, (1, 1, 5, 5), CAR, CAR))
    assert copies(labels, labels.table(), 0.01).tolist() == [-1, -1, 1, -1, -1, 3, 3]


@pytest.mark.parametrize(("absent", "findings"), [(50, 50), (51, 1)])
def test_many_photographs_that_only_labels_name_are_one_finding_for_each_check(absent, findings):
    photos = {f"{number}.jpg": photo((10, 10, 10, 50), (20, 20, 20, 60)) for number in range(absent)}
    there = {"there.jpg": photo((10, 10, 10, 50))}
    labels = LabelSet("yolo", ("car", "boat"), {**photos, **there}, absent=frozenset(photos))
    found = [one for one in run_checks(subject_of(labels), load_catalogue(), CHECKS) if one.code == "no-size"]
    assert len(found) == findings + 1
    assert [one.photo for one in found if one.photo == "there.jpg"] == ["there.jpg"]
    if findings == 1:
        assert "51 photographs that are not there in 102 boxes" in found[-1].what
        assert found[-1].photo in labels.absent  # else it would keep the other photographs out of a survey
