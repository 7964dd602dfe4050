"""Which photographs of a survey are the same file, almost the same picture, or of the same ground.

At most one earlier photograph is named per photograph and kind: the same file, the picture most like it, the nearest
that shares enough ground. Thumbs wait in a temporary file (1 KB a photograph), so that memory does not grow with them.
How likeness is measured is in ``overflight.data.duplicates``, ground in ``overflight.data.ground_overlap``.
"""

from __future__ import annotations

import tempfile
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import IO

import numpy as np
from numpy.typing import NDArray

from overflight.data.duplicates import MAX_DISTANCE, MIN_CORRELATION, near_pairs_of_groups, structure
from overflight.data.facts import PhotoFacts
from overflight.data.ground_overlap import footprint_of, ground_pairs
from overflight.data.hash_search import close_hashes
from overflight.data.profile.tables import PAIR_COLUMNS, Column, empty_columns

EACH_WITH_EACH = 8000
MIN_GROUND_SHARE = 0.3

_DIGEST_CHARACTERS = 32  # 128 of 256 bits
_THUMB_SIDE_PX = 32
_THUMB_BYTES = _THUMB_SIDE_PX**2
_AT_ONCE = 1024


@dataclass(frozen=True)
class _Look:
    """A thumb and its hash, as ``overflight.data.duplicates`` wants them."""

    phash: int
    thumb: NDArray[np.uint8] = field(repr=False)

    @property
    def pixels(self) -> _Look:
        return self


class Likeness:
    """Collects what is compared, photograph by photograph; a context manager that removes its temporary file."""

    def __init__(self, photos: int) -> None:
        self._thumbs: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by __exit__
        self._rows, self._hashes = array("q"), array("Q")  # of decoded photographs
        self._digests = np.zeros(photos, dtype=f"S{_DIGEST_CHARACTERS}")
        self._footprints = np.full((photos, 4, 2), np.nan)

    def __enter__(self) -> Likeness:
        return self

    def __exit__(self, *_: object) -> None:
        self._thumbs.close()

    def add(self, row: int, facts: PhotoFacts) -> None:
        """One photograph, in the order of the rows; unusable ones are like nothing."""
        if facts.fault:
            return
        self._digests[row] = facts.sha256[:_DIGEST_CHARACTERS].encode()
        if facts.pixels is not None:
            self._thumbs.write(facts.pixels.thumb.tobytes())
            self._rows.append(row)
            self._hashes.append(facts.pixels.phash)
        corners = footprint_of(facts)
        if corners is not None:
            self._footprints[row] = corners

    def pairs(self, *, each_with_each: int = EACH_WITH_EACH) -> dict[str, Column]:
        """Columns of ``PAIR_COLUMNS``, by kind, then by the later photograph.

        Args:
            each_with_each: Up to this many photographs are all compared; of more only those with like hashes.
        """
        same = list(self._same_files())
        found = [(first, row, "same-file", 1.0) for first, row in same]
        near = self._near() if len(self._rows) <= each_with_each else self._near_by_hash()
        copies = set(same)
        found += [(a, b, "near-duplicate", value) for a, b, value in near if (a, b) not in copies]
        known = np.flatnonzero(np.isfinite(self._footprints[:, 0, 0])).tolist()
        footprints = {str(row): self._footprints[row] for row in known}
        ground = ground_pairs([[key] for key in footprints], footprints, min_share=MIN_GROUND_SHARE)
        found += [(int(pair.a), int(pair.b), "same-ground", pair.share) for pair in ground]
        columns = empty_columns(PAIR_COLUMNS, len(found))
        for name, values in zip(columns, zip(*found, strict=True), strict=False):
            columns[name][:] = values
        return columns

    def _same_files(self) -> Iterator[tuple[int, int]]:
        digests, first, inverse = np.unique(self._digests, return_index=True, return_inverse=True)
        for row in np.flatnonzero((first[inverse] != np.arange(len(inverse))) & (digests[inverse] != b"")).tolist():
            yield int(first[inverse[row]]), row

    def _near(self) -> Iterable[tuple[int, int, float]]:
        thumbs = self._read(np.arange(len(self._rows)))
        names = [str(index) for index in range(len(thumbs))]
        looks = {name: _Look(self._hashes[index], thumbs[index]) for index, name in enumerate(names)}
        for pair in near_pairs_of_groups([[name] for name in names], looks):
            yield self._rows[int(pair.a)], self._rows[int(pair.b)], pair.correlation

    def _near_by_hash(self) -> Iterable[tuple[int, int, float]]:
        """As :func:`near_pairs_of_groups` for large sets, with the vectors in a file instead of in memory."""
        hashes, places = np.array(self._hashes, dtype=np.uint64), np.arange(len(self._rows))
        best = np.full(len(places), -1, dtype=np.int64)
        likeness = np.full(len(places), MIN_CORRELATION, dtype=np.float32)
        for many_i, many_j in close_hashes(hashes, places, max_distance=MAX_DISTANCE):
            for at in range(0, len(many_i), _AT_ONCE):
                i, j = many_i[at : at + _AT_ONCE], many_j[at : at + _AT_ONCE]
                used, inverse = np.unique(np.concatenate([i, j]), return_inverse=True)
                vectors = _structures(self._read(used))
                found = np.einsum("nk,nk->n", vectors[inverse[: len(i)]], vectors[inverse[len(i) :]])
                order = np.argsort(found, kind="stable")
                order = order[found[order] >= likeness[j[order]]]
                best[j[order]], likeness[j[order]] = i[order], found[order]  # the best of each j is written last
        for later in np.flatnonzero(best >= 0).tolist():
            yield self._rows[int(best[later])], self._rows[later], round(float(likeness[later]), 4)

    def _read(self, indices: NDArray[np.int64]) -> NDArray[np.uint8]:
        """Thumbs (N, 32, 32)."""
        found = np.empty((len(indices), _THUMB_SIDE_PX, _THUMB_SIDE_PX), dtype=np.uint8)
        self._thumbs.flush()
        for row, index in enumerate(indices.tolist()):
            self._thumbs.seek(index * _THUMB_BYTES)
            found[row] = np.frombuffer(self._thumbs.read(_THUMB_BYTES), dtype=np.uint8).reshape(found.shape[1:])
        self._thumbs.seek(0, 2)
        return found


def _structures(thumbs: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Unit vectors (N, 1024); zeros, which are like nothing, where a thumb has no structure."""
    found = np.zeros((len(thumbs), _THUMB_BYTES), dtype=np.float32)
    for index, thumb in enumerate(thumbs):
        vector = structure(thumb)
        if vector is not None:
            found[index] = vector
    return found
