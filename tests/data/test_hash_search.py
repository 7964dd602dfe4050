"""Hashes few bits apart: all pairs that comparing each with each finds, and the helpers that walk them."""

import numpy as np
import pytest

from overflight.data.hash_search import blocks_of, close_hashes, expanded


def hashes_with_relatives(count, *, seed):
    """Random hashes, half of them a few bits away from another."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 2**64, count, dtype=np.uint64)
    for at in range(count // 2):
        flipped = random.choice(64, random.integers(0, 11), replace=False)
        hashes[at] = hashes[count - 1 - at] ^ np.bitwise_or.reduce(np.uint64(1) << flipped.astype(np.uint64), initial=0)
    return hashes


@pytest.mark.parametrize("max_distance", [0, 1, 2, 3, 6, 7, 10])
def test_all_pairs_are_found_and_no_other(max_distance, monkeypatch):
    monkeypatch.setattr("overflight.data.hash_search._PAIRS_AT_ONCE", 500)
    monkeypatch.setattr("overflight.data.hash_search._RETURNED_AT_ONCE", 7)
    hashes = hashes_with_relatives(300, seed=max_distance)
    groups = np.sort(np.random.default_rng(1).integers(0, 6, 300))
    starts = np.searchsorted(groups, groups)
    pairs = close_hashes(hashes, starts, max_distance=max_distance)
    found = {(a, b) for i, j in pairs for a, b in zip(i, j, strict=True)}
    distance = np.bitwise_count(hashes[:, None] ^ hashes[None, :])
    expected = {(a, b) for a, b in np.argwhere(distance <= max_distance) if groups[a] < groups[b]}
    assert found == expected
    assert max_distance < 2 or expected


def test_columns_are_expanded_and_cut_into_blocks():
    i, k = expanded(np.array([5, 0, 9]), np.array([2, 0, 3]))
    assert (i.tolist(), k.tolist()) == ([5, 6, 9, 10, 11], [0, 0, 2, 2, 2])
    assert list(blocks_of(np.array([3, 1, 9, 1, 1]), at_most=4)) == [(0, 2), (2, 3), (3, 5)]


def test_only_the_nearest_are_returned_and_what_is_done_is_not_looked_up_again():
    hashes = np.array([0b111, 0b1, 0b11, 0b1, 0], dtype=np.uint64) << np.uint64(32)
    starts = np.array([0, 0, 0, 0, 4])
    blocks = [i.tolist() for i, _ in close_hashes(hashes, starts, max_distance=7, at_most=2)]
    assert blocks[0] == [1, 3]
    wanted = np.ones(5, dtype=np.bool_)
    found = []
    for i, j in close_hashes(hashes, starts, max_distance=7, wanted=wanted, at_most=2):
        found += i.tolist()
        wanted[j] = False
    assert found == [1, 3]
    assert len(blocks) > 1
