"""Leaks between two parts: every kind with a planted pair and a clean twin, what is symmetric, and real photographs."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import PurePosixPath
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pictures import SHARED, town

from overflight.data.facts import read_facts
from overflight.data.files import find_files
from overflight.data.flights import flight_from_name
from overflight.data.leaks import (
    KINDS,
    Side,
    Traits,
    comparable_seconds,
    measure_leaks,
    measure_parts,
    traits_of_facts,
    traits_of_record,
)
from overflight.data.manifest import PhotoRecord
from overflight.data.pixel_facts import measure

CARS = SHARED / "aerial-cars"
NOON = datetime(2026, 5, 1, 12)
PICTURES = [SimpleNamespace(phash=facts.phash, thumb=facts.thumb) for facts in map(measure, map(town, range(6)))]


def ground(east=0.0, north=0.0, side=5e-4):
    """A square of about 36 x 56 m."""
    return np.array([[0, 0], [side, 0], [side, side], [0, side]]) + np.array([8 + east, 50 + north])


def kinds(a, b):
    """Kinds of evidence between two single photographs."""
    report = measure_leaks(Side("train", {"a": Traits(**a)}), Side("test", {"b": Traits(**b)}))
    assert {pair.kind for pair in report.pairs} == {kind for kind, count in report.counts().items() if count}
    return {pair.kind: pair.value for pair in report.pairs}


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ({"sha256": "1"}, {"sha256": "1"}, {"same-file": 1.0}),
        ({"sha256": "1"}, {"sha256": "2"}, {}),
        ({}, {}, {}),
        ({"sha256": "1", "pixels": PICTURES[0]}, {"sha256": "1", "pixels": PICTURES[0]}, {"same-file": 1.0}),
        ({"sha256": "1", "pixels": PICTURES[0]}, {"sha256": "2", "pixels": PICTURES[0]}, {"near-duplicate": 1.0}),
        ({"pixels": PICTURES[0]}, {"pixels": PICTURES[1]}, {}),
        ({"flight": "f"}, {"flight": "f"}, {"same-flight": 1.0}),
        ({"flight": "f"}, {"flight": "g"}, {}),
        ({"footprint": ground()}, {"footprint": ground(east=2.5e-4)}, {"same-ground": 0.5}),
        ({"footprint": ground()}, {"footprint": ground(east=4.5e-4)}, {}),
        ({"footprint": ground()}, {"footprint": None}, {}),
    ],
    ids=[
        "file",
        "other file",
        "nothing known",
        "a file is not also a near duplicate",
        "picture",
        "other picture",
        "flight",
        "other flight",
        "ground",
        "little ground",
        "no GPS",
    ],
)
def test_evidence_and_its_clean_twin(a, b, expected):
    assert kinds(a, b) == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("seconds", "a", "b", "expected"),
    [
        (20, {"place": (50.0, 8.0)}, {"place": (50.0, 8.001)}, {"same-minute": 20}),
        (-60, {"place": (50.0, 8.0)}, {"place": (50.0, 8.0)}, {"same-minute": 60}),
        (61, {"place": (50.0, 8.0)}, {"place": (50.0, 8.0)}, {}),
        (20, {"place": (50.0, 8.0)}, {"place": (50.0, 8.1)}, {}),
        (20, {"place": (-17.0, 179.9999)}, {"place": (-17.0, -179.9999)}, {"same-minute": 20}),
        (20, {"camera": "M3E"}, {"camera": "M3E"}, {"same-minute": 20}),
        (20, {"camera": "M3E", "place": (50.0, 8.0)}, {"camera": "M3E"}, {"same-minute": 20}),
        (20, {"camera": "M3E"}, {"camera": "M3T"}, {}),
        (20, {}, {}, {}),
    ],
    ids=[
        "near",
        "before, at the limit",
        "later",
        "far away",
        "antimeridian",
        "camera",
        "one place",
        "two cameras",
        "unknown",
    ],
)
def test_the_same_minute_needs_the_same_place_or_camera(seconds, a, b, expected):
    first, second = a | {"captured_at": NOON}, b | {"captured_at": NOON + timedelta(seconds=seconds)}
    assert kinds(first, second) == expected


def test_clocks_that_contradict_each_other_are_not_compared():
    never_set = datetime(2000, 1, 1)
    assert kinds({"captured_at": never_set, "camera": "x"}, {"captured_at": never_set, "camera": "x"}) == {}
    moments = [datetime(2026, 5, 1, 12, tzinfo=UTC), datetime(2026, 5, 1, 14, tzinfo=timezone(timedelta(hours=2)))]
    assert np.ptp(comparable_seconds(moments)) == 0
    assert np.ptp(comparable_seconds([*moments, NOON])) == 7200  # one without offset: clocks as they read
    assert np.isnan(comparable_seconds([never_set, None])).all()
    assert len(comparable_seconds([])) == 0


def test_a_clock_that_stood_still_is_no_million_pairs():
    sides = [
        Side(name, {f"{name}{n}": Traits(captured_at=NOON, camera="x") for n in range(500)})
        for name in ("train", "test")
    ]
    report = measure_leaks(*sides)
    assert len(report.pairs) == report.counts()["same-minute"] == 500


def test_neighbours_are_named():
    train = {f"f_{n:02d}": Traits(flight="f", captured_at=NOON + timedelta(minutes=n)) for n in (0, 10, 20)}
    test = {"f_11": Traits(flight="f", captured_at=NOON + timedelta(minutes=11)), "f_18": Traits(flight="f")}
    pairs = measure_leaks(Side("train", train), Side("test", test)).pairs
    assert {(pair.b, pair.a) for pair in pairs} == {("f_11", "f_10"), ("f_18", "f_20")}


def test_the_report_counts_photographs_once_and_says_what_could_be_judged():
    train = {"a": Traits(sha256="1", flight="f"), "c": Traits(sha256="2", flight="f", footprint=ground())}
    test = {"a": Traits(sha256="1", flight="f"), "b": Traits(flight="g"), "d": Traits(flight="f"), "e": Traits()}
    report = measure_leaks(Side("train", train), Side("test", test))
    assert (report.photos, report.leaking, report.score) == ((2, 4), 2, 0.5)
    assert report.counts() == dict.fromkeys(KINDS, 0) | {"same-file": 1, "same-flight": 2}
    assert [pair.kind for pair in report.pairs] == ["same-file", "same-flight", "same-flight"]
    assert report.judged["same-ground"] == (0, 1)
    assert report.judged["same-flight"] == (3, 2)
    assert report.only(["same-file"]).score == 0.25
    document = report.as_dict()
    assert document["kinds"]["same-flight"] == {"leaking": 2, "share": 0.5, "judged_b": 3, "judged_a": 2}
    assert document["pairs"][0] == {"a": "a", "b": "a", "kind": "same-file", "value": 1.0}
    assert "same file as a" in report.rows()[0]["worst"]


def test_empty_parts_do_not_leak():
    full, empty = Side("train", {"a": Traits(flight="f")}), Side("test", {})
    assert measure_leaks(full, empty).score == measure_leaks(empty, full).score == 0.0


def test_every_part_is_compared_with_those_before_it():
    reports = measure_parts([Side(name, {name: Traits(sha256="1")}) for name in ("train", "val", "test")])
    assert [(report.a, report.b) for report in reports] == [("train", "val"), ("train", "test"), ("val", "test")]
    assert all(report.score == 1 for report in reports)


PHOTOS = st.lists(
    st.builds(
        Traits,
        sha256=st.sampled_from(["", "1", "2", "3", "4"]),
        flight=st.sampled_from(["", "f", "g", "h"]),
        captured_at=st.none() | st.integers(0, 400).map(lambda second: NOON + timedelta(seconds=second)),
        place=st.none() | st.integers(0, 20).map(lambda step: (50.0 + step * 1e-3, 8.0)),
        camera=st.sampled_from(["", "x", "y"]),
        footprint=st.none() | st.integers(0, 30).map(lambda step: ground(east=step * 1.5e-4)),
        pixels=st.none() | st.sampled_from(PICTURES),
    ),
    max_size=8,
)


@given(PHOTOS, PHOTOS, st.randoms(use_true_random=False))
def test_both_directions_agree_and_the_order_of_photographs_does_not_matter(first, second, random):
    def side(name, photos):
        keyed = [(f"{name}{index}", traits) for index, traits in enumerate(photos)]
        random.shuffle(keyed)
        return Side(name, dict(keyed))

    there, back = (measure_leaks(side(a, one), side(b, two)) for a, one, b, two in (
        ("a", first, "b", second),
        ("b", second, "a", first),
    ))  # fmt: skip
    again = measure_leaks(side("a", first), side("b", second))
    assert {(pair.b, pair.kind) for pair in again.pairs} == {(pair.b, pair.kind) for pair in there.pairs}
    for kind in set(KINDS) - {"near-duplicate"}:  # a partner that is the same file hides the near duplicate
        one, other = ([pair.value for pair in report.pairs if pair.kind == kind] for report in (there, back))
        assert bool(one) == bool(other), kind
        best = min if kind == "same-minute" else max
        assert not one or kind == "same-ground" or best(one) == best(other), kind
    # A photograph that one direction names as partner leaks itself in the other.
    leaking = {(pair.b, pair.kind) for pair in back.pairs}
    assert all((pair.a, pair.kind) in leaking for pair in there.pairs if pair.kind != "near-duplicate")


def test_traits_of_a_record():
    record = PhotoRecord(
        path="photos/a.jpg",
        sha256="0" * 64,
        bytes=1,
        width_px=4,
        height_px=3,
        flight="f",
        flight_evidence="name",
        captured_at="2026-05-01T12:00:00",
        latitude_deg=50.0,
        longitude_deg=8.0,
        camera_model="M3E",
        footprint_lonlat=((8.0, 50.0), (8.1, 50.0), (8.1, 50.1), (8.0, 50.1)),
        labels="labels/a.txt",
        labels_sha256="0" * 64,
        boxes=0,
    )
    traits = traits_of_record(record)
    assert traits == Traits("0" * 64, "f", NOON, (50.0, 8.0), "M3E")
    assert traits.footprint.shape == (4, 2)
    bare = traits_of_record(record.model_copy(update={"latitude_deg": None, "captured_at": None}))
    assert (bare.place, bare.captured_at) == (None, None)


@pytest.mark.skipif(not CARS.exists(), reason="the real photographs are not here")
def test_the_published_split_leaks_by_flight_and_by_picture():
    files = find_files(CARS)
    by_name = {PurePosixPath(photo.key).name: photo.key for photo in files.photos}
    sides = []
    for part in ("train", "test"):
        listed = [PurePosixPath(line).name for line in (CARS / f"as_published/{part}.txt").read_text().split()]
        keys = [by_name[name] for name in listed if name in by_name]
        facts = read_facts(files, keys, decode=True)
        traits = {key: traits_of_facts(facts[key], flight=flight_from_name(PurePosixPath(key).stem)) for key in keys}
        sides.append(Side(part, traits))
    report = measure_leaks(*sides)
    assert (report.photos[1], report.leaking) == (6, 6)
    near = [pair for pair in report.pairs if pair.kind == "near-duplicate"]
    assert len(near) == 6
    assert all(pair.value > 0.9 for pair in near)
    assert all("DJI_0005" in pair.a and "DJI_0005" in pair.b for pair in near)
