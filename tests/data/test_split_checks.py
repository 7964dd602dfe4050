"""Checks of splits: what two parts share is found, whole flights are left alone, shifts are as scipy measures them."""

from pathlib import PurePosixPath

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pictures import SHARED, blank_facts, facts_of, jpeg, subject, town
from scipy.stats import ks_2samp

from overflight.data.checks import split_checks
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import run_checks
from overflight.data.facts import read_facts
from overflight.data.files import find_files
from overflight.data.metadata import PhotoMetadata

CATALOGUE = load_catalogue()
CHECKS = {
    "class-absent": split_checks.class_absent,
    "leak": split_checks.leak,
    "near-duplicate": split_checks.near_duplicate,
    "flight-torn": split_checks.flight_torn,
    "shift": split_checks.shift,
}
HEADER = facts_of({"a": jpeg(town())}, decode=False)["a"].header
ONE, OTHER = jpeg(town(1)), jpeg(town(2))
SPLIT = {"train": ("a.jpg",), "test": ("b.jpg",)}
FLIGHTS = {"a.jpg": "a", "b.jpg": "b"}


def found(photos, code, **rest):
    return run_checks(subject(photos, **rest), CATALOGUE, {code: CHECKS[code]})


def flown(altitudes):
    """Facts of photographs at altitudes in metres."""
    return {
        key: blank_facts(key, header=HEADER, metadata=PhotoMetadata(altitude_agl_m=altitude, focal_length_35mm_mm=24.0))
        for key, altitude in altitudes.items()
    }


@pytest.mark.parametrize("rest", [{"split": SPLIT}, {"flights": FLIGHTS}], ids=["parts", "flights without a split"])
@pytest.mark.parametrize(
    ("code", "planted", "clean"),
    [("leak", ONE, OTHER), ("near-duplicate", jpeg(town(1, shift_px=2)), OTHER), ("near-duplicate", OTHER, ONE)],
    ids=["the same file", "the next frame", "the same file is no near one"],
)
def test_what_two_parts_share_is_found(code, planted, clean, rest):
    named = found(facts_of({"a.jpg": ONE, "b.jpg": planted}), code, **rest)
    expected = [] if planted is OTHER else [(code, "error", "b.jpg")]
    assert [(finding.code, finding.severity, finding.photo) for finding in named] == expected
    assert all("a.jpg" in finding.what and finding.beside == "a.jpg" for finding in named)
    assert found(facts_of({"a.jpg": ONE, "b.jpg": clean}), code, **rest) == []


@pytest.mark.parametrize("code", ["leak", "near-duplicate"])
def test_photographs_of_one_part_may_be_alike(code):
    photos = facts_of({"a.jpg": ONE, "b.jpg": ONE, "c.jpg": jpeg(town(1, shift_px=2)), "d.jpg": OTHER})
    split = {"train": ("a.jpg", "b.jpg", "c.jpg"), "test": ("d.jpg",)}
    assert found(photos, code, split=split) == []
    assert found(photos, code) == []


def test_near_duplicates_between_any_two_of_three_parts_are_found():
    photos = facts_of({f"{shift}.jpg": jpeg(town(1, shift_px=shift)) for shift in (0, 1, 2)})
    split = {"train": ("0.jpg",), "val": ("1.jpg",), "test": ("2.jpg",)}
    assert [finding.photo for finding in found(photos, "near-duplicate", split=split)] == ["1.jpg", "2.jpg"]


def test_names_of_a_split_without_a_photograph_do_no_harm():
    photos = facts_of({"a.jpg": ONE})
    split = {"train": ("a.jpg", "gone.jpg"), "val": (), "test": ("gone too.jpg",)}
    for code in CHECKS:
        assert found(photos, code, split=split) == []


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ({"a.jpg": [(0, 1, 1, 9, 9), (1, 1, 1, 9, 9)], "b.jpg": [(0, 1, 1, 9, 9)]}, ["class 'bus' has 1 boxes"]),
        ({"a.jpg": [(0, 1, 1, 9, 9)], "b.jpg": [(1, 1, 1, 9, 9)]}, ["class 'car' has 1", "class 'bus' has 1"]),
        ({"a.jpg": [(0, 1, 1, 9, 9)], "b.jpg": [(0, 1, 1, 9, 9)]}, []),
        ({}, []),
    ],
    ids=["one is absent", "both are absent somewhere", "a class that is nowhere", "no boxes"],
)
def test_classes_that_a_part_does_not_show_are_named(rows, expected):
    findings = found(facts_of({"a.jpg": ONE, "b.jpg": OTHER}), "class-absent", labels=rows, split=SPLIT)
    assert [finding.what.startswith(text) for finding, text in zip(findings, expected, strict=True)] == [True] * len(
        expected
    )


@pytest.mark.parametrize(
    ("flights", "split_by", "expected"),
    [
        ({"a.jpg": "a", "b.jpg": "a"}, "flight", ["flight a has 1 photographs in train and 1 photographs in test"]),
        (FLIGHTS, "flight", []),
        ({"a.jpg": "a", "b.jpg": "a"}, "time-gap", []),
    ],
    ids=["torn", "whole", "cut on purpose"],
)
def test_a_flight_in_two_parts_is_torn(flights, split_by, expected):
    photos = facts_of({"a.jpg": ONE, "b.jpg": OTHER})
    findings = found(photos, "flight-torn", flights=flights, split=SPLIT, split_by=split_by)
    assert [finding.what for finding in findings] == expected


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (np.linspace(30, 40, 30), np.linspace(80, 120, 30), ["altitudes", "sizes of a pixel"]),
        (np.linspace(30, 120, 30), np.linspace(30, 120, 30), []),
        (np.linspace(30, 40, 5), np.linspace(80, 120, 5), []),
        (np.linspace(30, 60, 12), np.linspace(35, 65, 12), []),
    ],
    ids=["different", "equal", "too few", "by chance"],
)
def test_parts_at_different_altitudes_are_named(first, second, expected):
    altitudes = {f"a{i}": value for i, value in enumerate(first)} | {f"b{i}": value for i, value in enumerate(second)}
    split = {
        part: tuple(key for key in altitudes if key[0] == letter) for part, letter in (("train", "a"), ("test", "b"))
    }
    findings = found(flown(altitudes), "shift", split=split)
    assert [finding.what.partition(" differ")[0] for finding in findings] == expected


@pytest.mark.parametrize(("side", "found_names"), [(60, ["box sides"]), (21, [])], ids=["three times", "nearly equal"])
def test_parts_with_boxes_of_different_sizes_are_named(side, found_names):
    random = np.random.default_rng(0)

    def boxes(mean):
        sides = random.normal(mean, mean / 5, 100)
        return [(0, 10, 10, 10 + value, 10 + value) for value in sides]

    findings = found(
        facts_of({"a.jpg": ONE, "b.jpg": OTHER}, decode=False),
        "shift",
        labels={"a.jpg": boxes(20), "b.jpg": boxes(side)},
        split=SPLIT,
    )
    assert [finding.what.partition(" differ")[0] for finding in findings] == found_names


@given(
    arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 9).map(float)),
    arrays(np.float64, st.integers(2, 30), elements=st.integers(0, 9).map(float)),
)
def test_the_distance_is_that_of_scipy(a, b):
    assert split_checks.ks_distance(a, b) == pytest.approx(ks_2samp(a, b, method="asymp").statistic)


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_the_published_split_of_the_cars_is_refused():
    cars = SHARED / "aerial-cars"
    files = find_files(cars)
    keys = [photo.key for photo in files.photos if "DJI_0005" in photo.key]
    photos = read_facts(files, keys, decode=True)
    split = {
        part: tuple(
            f"images/{PurePosixPath(line).name}"
            for line in (cars / f"as_published/{part}.txt").read_text().split()
            if f"images/{PurePosixPath(line).name}" in photos
        )
        for part in ("train", "test")
    }
    assert sorted(f.photo for f in found(photos, "near-duplicate", split=split)) == sorted(split["test"])
    assert len(found(photos, "flight-torn", split=split, flights=dict.fromkeys(keys, "DJI_0005"))) == 1
    assert found(photos, "leak", split=split) == []
