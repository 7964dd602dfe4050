"""Shares of photographs, classes and sizes: exact where few groups, near it where many, deterministic and fast."""

import itertools
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.data import split_balance
from overflight.data.split_balance import Balance, assign, size_bands

SHARES = (0.6, 0.2, 0.2)


def groups_of(count, *, seed=0, classes=4):
    random = np.random.default_rng(seed)
    photos = random.integers(1, 40, count)
    boxes = random.poisson(random.uniform(0, 8, (count, classes)) * (random.random((count, classes)) < 0.7))
    return photos, boxes, random.poisson(random.uniform(0, 9, (count, 3)))


def shares_of(amounts, chosen):
    totals = np.maximum(np.asarray(amounts).sum(axis=0), 1)
    return np.array([np.asarray(amounts)[chosen == part].sum(axis=0) / totals for part in range(3)])


def cost_of(photos, classes, sizes, chosen):
    return split_balance._Goal.of(np.array(photos, dtype=float), classes, sizes, SHARES).cost(chosen)


@settings(max_examples=25)
@given(st.integers(3, 6), st.integers(0, 1000), st.booleans())
def test_few_groups_are_divided_as_well_as_possible(count, seed, sized):
    photos, classes, sizes = groups_of(count, seed=seed)
    sizes = sizes if sized else None
    chosen = assign(photos, classes, sizes, shares=SHARES, seed=seed)
    every = (np.array(parts, dtype=np.int8) for parts in itertools.product(range(3), repeat=count))
    best = min(cost_of(photos, classes, sizes, parts) for parts in every if len(set(parts.tolist())) == 3)
    assert set(chosen.tolist()) == {0, 1, 2}
    assert cost_of(photos, classes, sizes, chosen) <= best + split_balance._NEAR_BEST + 1e-6


def test_the_search_for_many_groups_is_about_as_good_as_all_assignments(monkeypatch):
    photos, classes, sizes = groups_of(9, seed=4)
    best = cost_of(photos, classes, sizes, assign(photos, classes, sizes, shares=SHARES, seed=0))
    monkeypatch.setattr(split_balance, "_EXACT", 0)
    searched = assign(photos, classes, sizes, shares=SHARES, seed=0)
    assert cost_of(photos, classes, sizes, searched) <= best + 0.15


@settings(max_examples=10)
@given(st.integers(11, 60), st.integers(0, 1000))
def test_many_groups_fill_all_parts_and_a_seed_is_repeatable(count, seed):
    photos, classes, sizes = groups_of(count, seed=seed)
    chosen = assign(photos, classes, sizes, shares=SHARES, seed=seed)
    assert set(chosen.tolist()) == {0, 1, 2}
    assert np.array_equal(chosen, assign(photos, classes, sizes, shares=SHARES, seed=seed))


def test_a_thousand_groups_get_their_shares_in_seconds():
    photos, classes, sizes = groups_of(1000, classes=8)
    start = time.process_time()
    chosen = assign(photos, classes, sizes, shares=SHARES, seed=0)
    assert time.process_time() - start < 5
    for amounts in (photos, classes, sizes):
        shares = shares_of(amounts, chosen)
        assert np.abs(shares.T - np.array(SHARES)).max() < 0.02


def test_sizes_are_balanced_when_they_are_given():
    photos, classes = np.full(10, 10), np.full((10, 1), 20)
    sizes = np.array([[20, 0, 0]] * 5 + [[0, 20, 0]] * 5)
    for seed in range(3):
        shares = shares_of(sizes[:, :2], assign(photos, classes, sizes, shares=SHARES, seed=seed))
        assert shares == pytest.approx(np.array([[0.6, 0.6], [0.2, 0.2], [0.2, 0.2]]))


def test_a_class_of_one_group_is_learned_and_one_of_two_is_tested():
    photos, classes = np.full(10, 10), np.zeros((10, 3), dtype=np.int64)
    classes[:, 0], classes[3, 1], classes[[5, 7], 2] = 10, 4, 6
    for seed in range(3):
        chosen = assign(photos, classes, None, shares=SHARES, seed=seed)
        assert chosen[3] == 0
        assert {chosen[5], chosen[7]} == {0, 2}


def test_no_boxes_at_all_are_no_obstacle():
    chosen = assign([10] * 5, np.zeros((5, 2), dtype=np.int64), np.zeros((5, 3), dtype=np.int64), shares=SHARES, seed=0)
    assert np.bincount(chosen).tolist() == [3, 1, 1]


def test_sizes_are_those_of_coco():
    boxes = np.array([[0, 0, 31, 31], [0, 0, 32, 32], [0, 0, 4, 256], [0, 0, 96, 96], [5, 5, 5, 9]], dtype=np.float64)
    assert size_bands(boxes).tolist() == [2, 2, 1]
    assert size_bands(np.zeros((0, 4))).tolist() == [0, 0, 0]


def test_the_report_has_counts_shares_and_what_is_missing():
    counts = {"train": np.array([6, 2]), "val": np.array([2, 0]), "test": np.array([2, 0])}
    sizes = {part: np.array([found.sum(), 0, 0]) for part, found in counts.items()}
    document = Balance({"train": 6, "val": 2, "test": 2}, counts, sizes).as_dict(["car", "bus"])
    assert document["photos"]["train"] == {"count": 6, "share": 0.6}
    assert document["boxes"]["train"] == {"count": 8, "share": 0.6667}
    assert document["classes"]["bus"]["test"] == {"count": 0, "share": 0.0}
    assert document["sizes"]["small"]["val"] == {"count": 2, "share": 0.1667}
    assert document["missing"] == {"train": [], "val": ["bus"], "test": ["bus"]}
