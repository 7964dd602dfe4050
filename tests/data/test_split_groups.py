"""Which flights a split keeps together: by which evidence, and never torn, whatever the graph."""

import itertools
import random as chance

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_split import record

from overflight.data.duplicates import NearPair
from overflight.data.split import split_photos, units_of
from overflight.data.split_groups import Union, groups, near_across


def square(east=0.0, side=5e-4):
    return tuple((8 + east + x * side, 50 + y * side) for x, y in ((0, 0), (1, 0), (1, 1), (0, 1)))


def at(photo, **known):
    return photo.model_copy(update=known)


def names(components):
    return [[unit.name for unit in component.units] for component in components]


def placed(flight, number, *, east=0.0, at_s=None, **known):
    photo = record(flight, number, at_s=at_s)
    return at(photo, footprint_lonlat=square(east), latitude_deg=50.0, longitude_deg=8.0 + east, **known)


def test_flights_without_evidence_stay_apart():
    photos = [record(flight, number) for flight in "abc" for number in range(3)]
    assert names(groups(photos)) == [["a"], ["b"], ["c"]]


def test_the_same_ground_joins_however_late_and_carries_on():
    photos = [placed("a", 0), placed("b", 0, east=3e-4, at_s=9e6), placed("c", 0, east=6e-4), placed("d", 0, east=0.1)]
    found = groups(photos)
    assert names(found) == [["a", "b", "c"], ["d"]]
    assert {(pair.kind, pair.a[7], pair.b[7]) for pair in found[0].joins} == {
        ("same-ground", "a", "b"),
        ("same-ground", "b", "c"),
    }
    assert names(groups(photos, min_overlap=None)) == [["a"], ["b"], ["c"], ["d"]]
    assert names(groups(photos, min_overlap=0.9)) == [["a"], ["b"], ["c"], ["d"]]


def test_a_photograph_over_two_flights_joins_both_though_only_the_nearest_is_searched():
    left, right = placed("a", 0, east=-3.5e-4), placed("b", 0, east=3e-4)
    assert names(groups([left, right, placed("c", 0)])) == [["a", "b", "c"]]


def test_the_same_file_and_near_pictures_join():
    photos = [record("a", 0), record("b", 0), at(record("c", 0), sha256=record("a", 0).sha256), record("d", 0)]
    pairs = [NearPair("photos/b_0000.jpg", "photos/d_0000.jpg", 0.93), NearPair("photos/gone.jpg", "photos/a", 0.9)]
    found = groups(photos, near=pairs)
    assert names(found) == [["a", "c"], ["b", "d"]]
    assert str(found[1].joins[0]) == (
        "photos/d_0000.jpg: almost the same picture as photos/b_0000.jpg (correlation 0.93)"
    )


@pytest.mark.parametrize(
    ("second", "expected"),
    [
        ({"at_s": 100}, [["a", "b"]]),
        ({"at_s": 130}, [["a"], ["b"]]),
        ({"at_s": 100, "longitude_deg": 8.01}, [["a"], ["b"]]),
        ({"at_s": 100, "camera_model": "M3T"}, [["a"], ["b"]]),
        ({"at_s": 100, "longitude_deg": None}, [["a"], ["b"]]),
        ({"at_s": None}, [["a"], ["b"]]),
    ],
    ids=["card change", "pause", "elsewhere", "another camera", "no GPS", "no time"],
)
def test_a_card_changed_in_the_air_is_one_flight(second, expected):
    known = {"latitude_deg": 50.0, "longitude_deg": 8.0, "camera_model": "M3E"}
    first = at(record("a", 0, at_s=0), **known)
    moment = second.pop("at_s")
    assert names(groups([first, at(record("b", 0, at_s=moment), **(known | second))])) == expected
    assert names(groups([first, at(record("b", 0, at_s=moment), **(known | second))], gap_s=0)) == [["a"], ["b"]]


@settings(max_examples=60)
@given(
    st.integers(2, 12), st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14), st.integers(0, 1000)
)
def test_components_are_those_of_the_graph_whatever_the_order(flights, edges, seed):
    photos = [record(f"f{flight:02d}", number) for flight in range(flights) for number in range(2)]
    edges = [(a % flights, b % flights) for a, b in edges]
    pairs = [NearPair(f"photos/f{a:02d}_0000.jpg", f"photos/f{b:02d}_0001.jpg", 0.9) for a, b in edges]
    expected = {frozenset([flight]) for flight in range(flights)}
    for a, b in edges:
        one, other = (next(group for group in expected if flight in group) for flight in (a, b))
        expected = expected - {one, other} | {one | other}
    found = groups(photos, near=pairs)
    assert {frozenset(int(name[1:]) for name in group) for group in names(found)} == expected
    assert sum(len(component.joins) for component in found) == flights - len(expected)
    shuffler = chance.Random(seed)
    shuffled = groups(shuffler.sample(photos, len(photos)), near=shuffler.sample(pairs, len(pairs)))
    assert shuffled == found


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 5), st.floats(0, 4e-3)), min_size=2, max_size=25))
def test_ground_components_leave_no_overlap_between_them(photos):
    records = [placed(f"f{flight}", number, east=east) for number, (flight, east) in enumerate(photos)]
    found = groups(records, min_overlap=0.2)
    for one, other in itertools.combinations(found, 2):
        for a, b in itertools.product(one.photos, other.photos):
            apart = abs(a.footprint_lonlat[0][0] - b.footprint_lonlat[0][0])
            assert 1 - apart / 5e-4 < 0.2 + 1e-3


def test_near_pictures_are_searched_until_no_flight_is_left_out():
    """c is most like a, and like b too; a and b are not alike: one partner per photograph would leave b apart."""
    random = np.random.default_rng(3)
    one, other = random.integers(0, 255, (2, 32, 32)).astype(np.float64)
    mixed = 0.6 * one + 0.4 * other
    thumbs = {"a": one, "b": other, "c": mixed, "d": random.integers(0, 255, (32, 32))}
    photos = [record(flight, 0) for flight in thumbs]

    class Seen:
        def __init__(self, thumb):
            self.pixels = type("Look", (), {"phash": 0, "thumb": thumb.astype(np.uint8)})()

    seen = {photo.path: Seen(thumbs[photo.flight]) for photo in photos}
    pairs = near_across(photos, seen, min_correlation=0.45)
    assert names(groups(photos, near=pairs)) == [["a", "b", "c"], ["d"]]
    assert len(pairs) == 2


def test_a_piece_that_shows_the_same_after_a_landing_stays_with_its_flight():
    """Batteries were changed for 20 minutes over one place: pieces 1 and 3 of the flight are almost the same."""
    random = np.random.default_rng(5)
    thumbs = random.integers(0, 255, (4, 32, 32))
    photos = [record("f", number, at_s=1200 * number) for number in range(4)]

    class Seen:
        def __init__(self, thumb):
            self.pixels = type("Look", (), {"phash": 0, "thumb": thumb.astype(np.uint8)})()

    seen = {photo.path: Seen(thumbs[number % 2 if number < 3 else 3]) for number, photo in enumerate(photos)}
    units = units_of(photos, by="time-gap")
    near = near_across(photos, seen, units=units)
    assert [(pair.a, pair.b) for pair in near] == [("photos/f_0000.jpg", "photos/f_0002.jpg")]
    split = split_photos(photos, {photo.path: np.ones(1, dtype=int) for photo in photos}, by="time-gap", near=near)
    part_of = {photo.path: part for part in split.parts() for photo in split.photos(part)}
    assert part_of["photos/f_0000.jpg"] == part_of["photos/f_0002.jpg"]


def test_sets_are_joined_once():
    union = Union(5)
    assert union.join(3, 1)
    assert union.join(1, 4)
    assert not union.join(4, 3)
    assert union.sets() == [[0], [1, 3, 4], [2]]
