"""All pairs of 64-bit hashes that differ in few bits, without comparing each with each.

Multi-index hashing: two hashes that differ in at most d bits are equal, or differ in one bit, in one of d // 2 + 1
bands (pigeonhole: were there two in every band, there would be d + 1). Every hash is looked up in every band by its own
value and by those with one bit turned. With 7 bits there are 4 bands of 16 bits, so of 100 000 even hashes about 100
candidates are compared for each. It is exact; hashes that are all alike have all pairs, and get them.

Source: M. Norouzi, A. Punjani, D. J. Fleet: Fast search in Hamming space with multi-index hashing, CVPR 2012.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

HASH_BITS = 64

_PAIRS_AT_ONCE = 1_000_000
_RETURNED_AT_ONCE = 16_384
_TABLE_BITS = 20

Hashes = NDArray[np.uint64]
Indices = NDArray[np.int64]


def close_hashes(
    hashes: Hashes,
    starts: Indices,
    *,
    max_distance: int,
    wanted: NDArray[np.bool_] | None = None,
    at_most: int | None = None,
) -> Iterator[tuple[Indices, Indices]]:
    """Index pairs (i, j), i before the group of j, at most ``max_distance`` bits apart, in blocks; some come twice.

    Args:
        hashes: (N,), the members of a group side by side.
        starts: (N,) how many hashes come before the group of each.
        max_distance: Bits.
        wanted: (N,) which j are looked up. The caller may change it between blocks: what has its partner is left out
            of the next ones, so that a thousand frames of one hover are not a million pairs.
        at_most: Per look-up only so many nearest i of each j; None: all.
    """
    indexed = hashes[: int(starts.max(initial=0))]
    wanted = np.ones(len(hashes), dtype=np.bool_) if wanted is None else wanted
    bands = max_distance // 2 + 1
    edges = [HASH_BITS * band // bands for band in range(bands + 1)]
    for low, high in itertools.pairwise(edges):
        width = high - low
        band = (hashes >> np.uint64(low)) & np.uint64((1 << width) - 1)
        order = np.argsort(band[: len(indexed)], kind="stable")
        places = _places(band[order], width)
        turned = [0] if max_distance == 0 else [0, *(1 << bit for bit in range(width))]
        for mask in turned:
            rows = np.flatnonzero(wanted & (starts > 0))
            first, counts = places(band[rows] ^ np.uint64(mask))
            for start, end in blocks_of(counts, at_most=_PAIRS_AT_ONCE):
                i, j = expanded(first[start:end], counts[start:end])
                i, j = order[i], rows[j + start]
                earlier = np.flatnonzero(i < starts[j])
                i, j = i[earlier], j[earlier]
                distance = np.bitwise_count(hashes[i] ^ hashes[j])
                close = np.flatnonzero(distance <= max_distance)
                if at_most is not None:
                    close = close[_nearest(j[close], distance[close], at_most)]
                for at in range(0, len(close), _RETURNED_AT_ONCE):
                    used = close[at : at + _RETURNED_AT_ONCE]
                    yield i[used], j[used]


def expanded(first: Indices, counts: Indices) -> tuple[Indices, Indices]:
    """Two columns: ``first[k], first[k] + 1 ... first[k] + counts[k] - 1`` for every k, and the k of each."""
    k = np.repeat(np.arange(len(counts)), counts)
    within = np.arange(len(k)) - np.repeat(np.cumsum(counts) - counts, counts)
    return first[k] + within, k


def blocks_of(counts: Indices, *, at_most: int) -> Iterator[tuple[int, int]]:
    """Ranges of indices whose counts add up to about ``at_most`` (or one index alone)."""
    ends = np.cumsum(counts)
    start = 0
    while start < len(counts):
        done = int(ends[start - 1]) if start else 0
        end = max(start + 1, int(np.searchsorted(ends, done + at_most, side="right")))
        yield start, end
        start = end


def _nearest(j: Indices, distance: NDArray[np.uint8], at_most: int) -> Indices:
    """Rows of the ``at_most`` smallest distances of each j."""
    order = np.lexsort((distance, j))
    ordered = j[order]
    rank = np.arange(len(order)) - np.searchsorted(ordered, ordered, side="left")
    return np.asarray(order[rank < at_most], dtype=np.int64)


def _places(ordered: Hashes, width: int) -> Callable[[Hashes], tuple[Indices, Indices]]:
    """A function from values to where they begin in ``ordered`` and how often they are there."""
    if width > _TABLE_BITS:

        def search(values: Hashes) -> tuple[Indices, Indices]:
            first = np.searchsorted(ordered, values, side="left")
            return first, np.searchsorted(ordered, values, side="right") - first

        return search
    begins = np.zeros((1 << width) + 1, dtype=np.int64)
    np.cumsum(np.bincount(ordered.astype(np.int64), minlength=1 << width), out=begins[1:])

    def look_up(values: Hashes) -> tuple[Indices, Indices]:
        at = values.astype(np.int64)
        return begins[at], begins[at + 1] - begins[at]

    return look_up
