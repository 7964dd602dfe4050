"""Which photographs are the same file, and which are almost the same picture.

Likeness is the correlation of the 32 x 32 thumbs after their coarse light and dark was taken away (a plane, then a
Gaussian of 4 thumb pixels). Between a frame and the next of one hover it is above 0.9, between photographs of different
places below 0.4, where plain correlation reaches 0.8 because both have a road in the middle or dark corners.
Photographs whose thumb has no structure (fog, a lens cap, water) are like nothing. Turned or mirrored pictures are not
recognised.

Small sets are compared each with each, by one matrix product. Large ones use the perceptual hash: only photographs
whose hashes of 64 bits differ in few bits are compared (``overflight.data.hash_search``). That finds a few less (59 of
62 frames of real hovers that have a partner).
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data.facts import PhotoFacts
from overflight.data.hash_search import close_hashes

MATRIX_PAIRS = 100_000_000
MIN_STRUCTURE = 3.0
MAX_DISTANCE = 7
MIN_CORRELATION = 0.8

_COARSE_SIGMA = 4.0
_ROWS_AT_ONCE = 2048
# Of a thousand frames of one hover any is a witness: only the nearest hashes are compared, a good partner is enough.
_NEAREST_HASHES = 16
_ALIKE_ENOUGH = 0.95


class Look(Protocol):
    """What is compared: ``PixelFacts``, or anything else with a hash and a thumb."""

    @property
    def phash(self) -> int:
        """64-bit perceptual hash."""
        ...

    @property
    def thumb(self) -> NDArray[np.uint8]:
        """(32, 32) luma."""
        ...


class Seen(Protocol):
    """A photograph: ``PhotoFacts``, or anything else that has a look."""

    @property
    def pixels(self) -> Look | None:
        """None when it was not decoded."""
        ...


@dataclass(frozen=True)
class NearPair:
    """Two photographs that show almost the same.

    Attributes:
        a: Key in the first set: the one most like ``b``.
        b: Key in the second set.
        correlation: Likeness of their thumbs, -1..1.
    """

    a: str
    b: str
    correlation: float


def same_files(facts: Mapping[str, PhotoFacts]) -> list[tuple[str, ...]]:
    """Groups of two or more keys with equal bytes, in the order of ``facts``; unusable files are left out."""
    groups: dict[str, list[str]] = defaultdict(list)
    for key, fact in facts.items():
        if fact.sha256 and not fact.fault:
            groups[fact.sha256].append(key)
    return [tuple(keys) for keys in groups.values() if len(keys) > 1]


def near_pairs(
    a_keys: Sequence[str],
    b_keys: Sequence[str],
    facts: Mapping[str, Seen],
    *,
    max_distance: int = MAX_DISTANCE,
    min_correlation: float = MIN_CORRELATION,
    matrix_pairs: int = MATRIX_PAIRS,
) -> list[NearPair]:
    """For each of ``b_keys`` the photograph of ``a_keys`` most like it, if it is like it at all, in the order of b.

    Arguments and result as of :func:`near_pairs_of_groups`, for two groups.
    """
    return near_pairs_of_groups(
        (a_keys, b_keys),
        facts,
        max_distance=max_distance,
        min_correlation=min_correlation,
        matrix_pairs=matrix_pairs,
    )


def near_pairs_of_groups(
    groups: Sequence[Sequence[str]],
    facts: Mapping[str, Seen],
    *,
    max_distance: int = MAX_DISTANCE,
    min_correlation: float = MIN_CORRELATION,
    matrix_pairs: int = MATRIX_PAIRS,
) -> list[NearPair]:
    """For each photograph the one of the groups before its own most like it, if it is like it at all.

    Args:
        groups: Keys that have no key in common: parts of a split, or flights.
        facts: Facts by key; photographs that were not decoded are like nothing.
        max_distance: Bits, of 64, in which the hashes may differ; only large sets are searched by hash.
        min_correlation: Least correlation of the thumbs.
        matrix_pairs: Up to this many pairs are all compared.

    Returns:
        At most one pair per key, so that a thousand frames of one hover give a thousand lines and not a million.
    """
    before = list(itertools.accumulate((len(keys) for keys in groups), initial=0))
    whole = sum(len(keys) * start for keys, start in zip(groups, before, strict=False)) <= matrix_pairs
    keys, starts, vectors = _structures(groups, facts, dtype=np.float32 if whole else np.float16)
    if whole:
        best, correlation = _by_product(vectors, starts)
    else:
        hashes = np.array([_phash(facts, key) for key in keys], dtype=np.uint64)
        best, correlation = _by_hash(vectors, starts, hashes, max_distance=max_distance)
    return [
        NearPair(keys[best[index]], keys[index], round(float(correlation[index]), 4))
        for index in np.flatnonzero(correlation >= min_correlation)
    ]


def structure(thumb: NDArray[np.uint8]) -> NDArray[np.float32] | None:
    """Unit vector (1024,) of a thumb's fine structure; None when it has none (standard deviation below 3)."""
    pixels = _without_slope(thumb.astype(np.float32))
    fine = pixels - cv2.GaussianBlur(pixels, (0, 0), _COARSE_SIGMA, borderType=cv2.BORDER_REFLECT)
    vector = fine.ravel() - fine.mean()
    length = float(np.linalg.norm(vector))
    if length < MIN_STRUCTURE * len(vector) ** 0.5:
        return None
    return np.asarray(vector / length, dtype=np.float32)


def _without_slope(pixels: NDArray[np.float32]) -> NDArray[np.float32]:
    """Without the best fitting plane: a slope of brightness would leave structure at the borders of the Gaussian."""
    along = np.linspace(-1, 1, len(pixels), dtype=np.float32)
    across, down = (pixels @ along).mean(), (along @ pixels).mean()
    return np.asarray(pixels - (across * along[None, :] + down * along[:, None]) / (along @ along), dtype=np.float32)


def _structures(
    groups: Sequence[Sequence[str]], facts: Mapping[str, Seen], *, dtype: type[np.floating]
) -> tuple[list[str], NDArray[np.int64], NDArray[np.floating]]:
    """Keys of photographs with structure, how many of them come before the group of each, and their vectors."""
    keys: list[str] = []
    starts: list[int] = []
    vectors: list[NDArray[np.floating]] = []
    for group in groups:
        start = len(keys)
        for key in group:
            pixels = facts[key].pixels
            vector = None if pixels is None else structure(pixels.thumb)
            if vector is not None:
                keys.append(key)
                starts.append(start)
                vectors.append(vector.astype(dtype))
    return keys, np.array(starts, dtype=np.int64), np.array(vectors, dtype=dtype)


def _phash(facts: Mapping[str, Seen], key: str) -> int:
    pixels = facts[key].pixels
    return 0 if pixels is None else pixels.phash


def _by_product(
    vectors: NDArray[np.floating], starts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Index of the best before the own group of each, and the correlation (-1 where there is none)."""
    best = np.zeros(len(vectors), dtype=np.int64)
    correlation = np.full(len(vectors), -1, dtype=np.float32)
    for first in range(0, len(vectors), _ROWS_AT_ONCE):
        place = slice(first, first + _ROWS_AT_ONCE)
        limits = starts[place]
        for start in range(0, int(limits.max()), _ROWS_AT_ONCE):
            product = vectors[start : start + _ROWS_AT_ONCE] @ vectors[place].T
            if start + len(product) > limits.min():
                product[np.arange(start, start + len(product))[:, None] >= limits[None, :]] = -1
            rows = product.argmax(axis=0)
            found = product[rows, np.arange(product.shape[1])]
            better = found > correlation[place]
            best[place] = np.where(better, rows + start, best[place])
            correlation[place] = np.where(better, found, correlation[place])
    return best, correlation


def _by_hash(
    vectors: NDArray[np.floating], starts: NDArray[np.int64], hashes: NDArray[np.uint64], *, max_distance: int
) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """As :func:`_by_product`, among those whose hashes are at most ``max_distance`` bits apart.

    The partner is the best of the 16 nearest hashes of each look-up; above 0.95 no better one is looked for.
    """
    best = np.zeros(len(vectors), dtype=np.int64)
    correlation = np.full(len(vectors), -1, dtype=np.float32)
    wanted = np.ones(len(vectors), dtype=np.bool_)
    for i, j in close_hashes(hashes, starts, max_distance=max_distance, wanted=wanted, at_most=_NEAREST_HASHES):
        found = np.einsum("nk,nk->n", vectors[i].astype(np.float32), vectors[j].astype(np.float32))
        order = np.argsort(found)  # the best of each j is written last
        last = np.full(len(vectors), -1, dtype=np.int64)
        last[j[order]] = order
        rows = np.flatnonzero(last >= 0)
        rows = rows[found[last[rows]] > correlation[rows]]
        best[rows], correlation[rows] = i[last[rows]], found[last[rows]]
        wanted[rows] = correlation[rows] < _ALIKE_ENOUGH
    return best, correlation
