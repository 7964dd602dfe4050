"""The same ground in two parts: found by footprints, as comparing all pairs would, also across the antimeridian."""

import numpy as np
import pytest
from pictures import SHARED, blank_facts, facts_of, jpeg, subject, town

from overflight.data.checks import split_checks
from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.run import run_checks
from overflight.data.facts import read_facts
from overflight.data.files import find_files
from overflight.data.ground_overlap import footprint_of, ground_pairs
from overflight.data.metadata import PhotoMetadata
from overflight.imaging.footprint import footprint_overlap
from overflight.imaging.geo import metres_per_degree

HEADER = facts_of({"a": jpeg(town(size_wh=(400, 300)))}, decode=False)["a"].header
CATALOGUE = load_catalogue()
SPLIT = {"train": ("a",), "test": ("b",)}


def photo(key, *, east_m=0.0, north_m=0.0, at=(50.0, 8.0), **known):
    """Facts of a photograph that shows about 72 x 54 m, by default straight down from 50 m."""
    per_degree = metres_per_degree(at[0])
    longitude = (at[1] + east_m / per_degree[0] + 180) % 360 - 180
    values = {"altitude_agl_m": 50.0, "yaw_deg": 0.0, "gimbal_pitch_deg": -90.0, "focal_length_35mm_mm": 24.0} | known
    metadata = PhotoMetadata(latitude_deg=at[0] + north_m / per_degree[1], longitude_deg=longitude, **values)
    return blank_facts(key, header=HEADER, metadata=metadata)


def found(a, b, **rest):
    checks = {"ground-overlap": split_checks.ground_overlap}
    return run_checks(subject({"a": a, "b": b}, **{"split": SPLIT} | rest), CATALOGUE, checks)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        ({"east_m": 20}, ["b"]),
        ({"north_m": -30}, ["b"]),
        ({"east_m": 200}, []),
        ({"east_m": 68}, []),
        ({"east_m": 20, "yaw_deg": None}, []),
        ({"altitude_agl_m": 400.0, "east_m": 100}, ["b"]),
        ({"east_m": 75, "yaw_deg": -90.0, "gimbal_pitch_deg": -60.0}, ["b"]),
        ({"east_m": 75, "yaw_deg": 90.0, "gimbal_pitch_deg": -60.0}, []),
    ],
    ids=[
        "beside",
        "behind",
        "far",
        "by less than the limit",
        "unknown direction",
        "from above",
        "looks there",
        "looks away",
    ],
)
def test_the_same_ground_in_two_parts(where, expected):
    findings = found(photo("a"), photo("b", **where))
    assert [(finding.photo, finding.severity) for finding in findings] == [(key, "error") for key in expected]


def test_one_part_and_flights_without_a_split_may_show_the_same_ground():
    photos = (photo("a"), photo("b"))
    assert found(*photos, split={"train": ("a", "b")}) == []
    assert found(*photos, split={}, flights={"a": "a", "b": "b"}) == []


def test_the_antimeridian_does_not_part_neighbours():
    at = (-17.0, 180.0)
    assert [finding.photo for finding in found(photo("a", east_m=-10, at=at), photo("b", east_m=10, at=at))] == ["b"]


def test_the_grid_finds_what_all_pairs_find():
    random = np.random.default_rng(0)
    photos = {
        f"{index}": photo(
            f"{index}",
            east_m=random.uniform(0, 900),
            north_m=random.uniform(0, 900),
            altitude_agl_m=random.choice([20.0, 50.0, 200.0]),
            yaw_deg=random.uniform(-180, 180),
            gimbal_pitch_deg=random.uniform(-90, -60),
        )
        for index in range(150)
    }
    footprints = {key: corners for key, facts in photos.items() if (corners := footprint_of(facts)) is not None}
    groups = [[key for key in photos if int(key) % 3 == part] for part in range(3)]
    pairs = ground_pairs(groups, footprints, min_share=0.3)
    expected = {
        b
        for number, group in enumerate(groups)
        for b in group
        if any(
            footprint_overlap(footprints[a], footprints[b]) >= 0.3
            for earlier in groups[:number]
            for a in earlier
            if a in footprints and b in footprints
        )
    }
    assert len(footprints) > 100
    assert 20 < len(expected) < len(footprints)
    assert {pair.b for pair in pairs} == expected
    assert all(footprint_overlap(footprints[pair.a], footprints[pair.b]) == pair.share for pair in pairs)


def test_thousands_of_photographs_of_one_site_are_not_compared_each_with_each(monkeypatch):
    random = np.random.default_rng(1)
    square = np.array([[8, 50], [8.0005, 50], [8.0005, 50.0003], [8, 50.0003]])
    footprints = {f"{index}": square + random.uniform(0, 4e-4, 2) for index in range(2000)}
    counted = []

    def overlap(one, other):
        counted.append(1)
        return footprint_overlap(one, other)

    monkeypatch.setattr("overflight.data.ground_overlap.footprint_overlap", overlap)
    keys = list(footprints)
    pairs = ground_pairs([keys[::2], keys[1::2]], footprints, min_share=0.2)
    assert [pair.b for pair in pairs] == keys[1::2]
    assert len(counted) < 1200


@pytest.mark.skipif(not SHARED.exists(), reason="the real photographs are not here")
def test_a_real_flight_with_overlap_cannot_be_split_by_photograph():
    files = find_files(SHARED / "metadata/brighton_dji_fc300s")
    keys = [item.key for item in files.photos]
    photos = read_facts(files, keys, decode=False)
    split = {"train": tuple(keys[::2]), "test": tuple(keys[1::2])}
    findings = run_checks(subject(photos, split=split), CATALOGUE, {"ground-overlap": split_checks.ground_overlap})
    assert {finding.photo for finding in findings} >= {"DJI_0019.JPG", "DJI_0021.JPG"}
