"""Duplicates: equal files, near ones by fine structure, both searches alike, nothing out of fog."""

import csv
from pathlib import PurePosixPath
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from pictures import SHARED, facts_of, jpeg, png, town

from overflight.data.duplicates import near_pairs, same_files, structure
from overflight.data.facts import read_facts
from overflight.data.files import find_files
from overflight.data.pixel_facts import measure

CARS = SHARED / "aerial-cars"
needs_photographs = pytest.mark.skipif(not CARS.exists(), reason="the real photographs are not here")


def pixels_of(pictures):
    return {key: SimpleNamespace(pixels=measure(picture), sha256=key, fault="") for key, picture in pictures.items()}


def partners(pairs):
    return {pair.b: pair.a for pair in pairs}


def test_equal_files_are_groups_and_unusable_ones_are_not():
    photo = jpeg(town())
    facts = facts_of({"a": photo, "b": jpeg(town(1)), "c": photo, "d": b"", "e": b"", "f": photo}, decode=False)
    assert same_files(facts) == [("a", "c", "f")]


@pytest.mark.parametrize("matrix_pairs", [10**6, 0], ids=["product", "hash"])
@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda picture: picture, True),
        (lambda picture: cv2.imdecode(np.frombuffer(jpeg(picture, 30), np.uint8), cv2.IMREAD_COLOR), True),
        (lambda picture: cv2.convertScaleAbs(picture, alpha=0.7, beta=20), True),
        (lambda picture: cv2.resize(picture, (640, 480)), True),
        (lambda picture: np.roll(picture, 2, axis=1), True),
        (lambda picture: cv2.rotate(picture, cv2.ROTATE_180), False),
        (lambda picture: town(99), False),
        (lambda picture: np.roll(picture, 100, axis=1), False),
    ],
    ids=["itself", "strongly compressed", "darker", "larger", "moved by 2 px", "turned", "another", "moved by a third"],
)
def test_what_counts_as_almost_the_same(change, found, matrix_pairs):
    facts = pixels_of({"a1": town(7), "a2": town(8), "b": change(town(7).copy())})
    pairs = near_pairs(["a1", "a2"], ["b"], facts, matrix_pairs=matrix_pairs)
    assert partners(pairs) == ({"b": "a1"} if found else {})


def test_the_best_partner_is_named_once():
    pictures = {f"a{shift}": town(5, shift_px=shift) for shift in (0, 2, 4, 6)} | {"b": town(5, shift_px=3)}
    pairs = near_pairs(["a0", "a6", "a4", "a2"], ["b"], pixels_of(pictures))
    assert len(pairs) == 1
    assert pairs[0].a in {"a2", "a4"}
    assert 0.8 <= pairs[0].correlation <= 1


@pytest.mark.parametrize(
    "picture",
    [
        np.zeros((100, 100, 3)),
        np.full((100, 100, 3), 180) + np.random.default_rng(0).normal(0, 4, (100, 100, 3)),
        np.tile(np.linspace(60, 200, 100)[None, :, None], (100, 1, 3)),
    ],
    ids=["lens cap", "fog", "gradient of a sky"],
)
def test_pictures_without_structure_are_like_nothing(picture):
    picture = picture.clip(0, 255).astype(np.uint8)
    facts = pixels_of({"a": picture, "b": picture})
    assert near_pairs(["a"], ["b"], facts, min_correlation=0.1) == []
    assert structure(facts["a"].pixels.thumb) is None


def test_photographs_that_were_not_decoded_are_like_nothing():
    facts = facts_of({"a": png(town()), "b": png(town())}, decode=False)
    assert near_pairs(["a"], ["b"], facts) == []
    assert near_pairs([], ["b"], facts) == []


def test_the_search_by_hash_finds_what_all_pairs_find():
    pictures = {f"a{seed}": town(seed) for seed in range(60)}
    pictures |= {f"b{seed}": town(seed, shift_px=1) for seed in range(60)}
    facts, first, second = pixels_of(pictures), [f"a{n}" for n in range(60)], [f"b{n}" for n in range(60)]
    all_pairs = partners(near_pairs(first, second, facts))
    by_hash = partners(near_pairs(first, second, facts, matrix_pairs=0))
    assert all_pairs == {f"b{seed}": f"a{seed}" for seed in range(60)}
    assert by_hash.items() <= all_pairs.items()
    assert len(by_hash) >= 54


def test_many_photographs_of_one_hash_are_compared_in_blocks(monkeypatch):
    monkeypatch.setattr("overflight.data.hash_search._PAIRS_AT_ONCE", 50)
    monkeypatch.setattr("overflight.data.duplicates._ROWS_AT_ONCE", 7)
    facts = pixels_of({f"a{shift}": town(1, shift_px=shift) for shift in range(20)} | {"b": town(1, shift_px=11)})
    first = [f"a{shift}" for shift in range(20)]
    facts |= {f"b{copy}": facts["b"] for copy in range(20)}
    second = [f"b{copy}" for copy in range(20)]
    expected = dict.fromkeys(second, "a11")
    assert partners(near_pairs(first, second, facts)) == expected
    assert partners(near_pairs(first, second, facts, matrix_pairs=0)) == expected


@pytest.fixture(scope="module")
def cars():
    files = find_files(CARS)
    return read_facts(files, [photo.key for photo in files.photos if photo.key.startswith("images/")], decode=True)


@needs_photographs
@pytest.mark.parametrize("matrix_pairs", [10**8, 0], ids=["product", "hash"])
def test_the_leak_of_the_published_split_is_found(cars, matrix_pairs):
    def listed(name):
        names = [PurePosixPath(line).name for line in (CARS / "as_published" / name).read_text().split()]
        return [key for name in names if (key := f"images/{name}") in cars]

    train, test = listed("train.txt"), listed("test.txt")
    assert len(test) == 6
    pairs = near_pairs(train, test, cars, matrix_pairs=matrix_pairs)
    assert [pair.b for pair in pairs] == test
    assert min(pair.correlation for pair in pairs) > 0.9


@needs_photographs
def test_photographs_of_different_real_sequences_are_not_alike(cars):
    rows = csv.DictReader((CARS / "sequences.csv").read_text().splitlines())
    sequences = {}
    for row in rows:
        sequences.setdefault(row["sequence"], []).append(f"images/{row['image']}")
    for name, keys in sequences.items():
        others = [key for other, of in sequences.items() if other != name for key in of]
        assert near_pairs(others, keys, cars, min_correlation=0.5) == []
