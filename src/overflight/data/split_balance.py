"""Which group of photographs goes to which part, so that photographs, boxes, classes and box sizes have their shares.

Few groups are decided exactly, by all assignments; many by greedy starts and the best single moves and exchanges until
none helps. Both are deterministic for a seed. It knows amounts only, not what holds a group together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import Boxes

PARTS = ("train", "val", "test")
SIZE_BANDS = ("small", "medium", "large")
SIZE_EDGES_PX = (32.0, 96.0)  # as COCO divides sqrt(area)

_EXACT = 60_000
_NEAR_BEST = 0.05
_MISSING_CLASS_COST = np.array([1.0, 0.1, 0.5])  # of a class that one of train, val, test does not show
_EMPTY_COST = 100.0
_STARTS = 8
_EXCHANGES = 4000
_LEAST_GAIN = 1e-9

Amounts = NDArray[np.float64]
Choice = NDArray[np.int8]


@dataclass(frozen=True)
class Balance:
    """What each part of a split got.

    Attributes:
        photos: Photographs by part.
        classes: Boxes per class (C,) by part.
        sizes: Boxes that are small, medium, large (3,) by part; None when they were not given.
    """

    photos: Mapping[str, int]
    classes: Mapping[str, NDArray[np.int64]]
    sizes: Mapping[str, NDArray[np.int64]] | None = None

    def missing(self) -> dict[str, list[int]]:
        """Class indices that have boxes, but none in the part."""
        total = sum(self.classes.values())
        return {
            part: np.flatnonzero((total > 0) & (found == 0)).tolist() if found.size else []
            for part, found in self.classes.items()
        }

    def as_dict(self, classes: Sequence[str]) -> dict[str, Any]:
        """Counts, and shares of the whole by part, by class and by size."""
        photos = sum(self.photos.values())
        boxes = {part: int(found.sum()) for part, found in self.classes.items()}
        document: dict[str, Any] = {
            "photos": {part: _counted(count, photos) for part, count in self.photos.items()},
            "boxes": {part: _counted(count, sum(boxes.values())) for part, count in boxes.items()},
            "classes": _by_name(self.classes, classes),
            "missing": {part: [classes[index] for index in found] for part, found in self.missing().items()},
        }
        if self.sizes is not None:
            document["sizes"] = _by_name(self.sizes, SIZE_BANDS)
        return document


def size_bands(boxes_px: Boxes) -> NDArray[np.int64]:
    """Number of small, medium and large boxes (3,): sqrt(area) below 32, below 96, and above (px)."""
    sides = np.maximum(boxes_px[:, 2:4] - boxes_px[:, :2], 0)
    return np.bincount(np.digitize(np.sqrt(sides.prod(axis=1)), SIZE_EDGES_PX), minlength=len(SIZE_BANDS))


def assign(
    photos: Sequence[int],
    classes: NDArray[np.int64],
    sizes: NDArray[np.int64] | None,
    *,
    shares: Sequence[float],
    seed: int,
) -> Choice:
    """Part (0, 1, 2) of each group (G,); no part is empty.

    Args:
        photos: Photographs per group (G,), at least three groups.
        classes: Boxes per group and class (G, C).
        sizes: Boxes per group and size (G, 3), if known.
        shares: Wanted shares of the three parts.
        seed: Chooses among assignments that are about equally good, and the starts of the search.
    """
    goal = _Goal.of(np.array(photos, dtype=np.float64), classes, sizes, shares)
    random = np.random.default_rng(seed)
    if 3 ** len(photos) <= _EXACT:
        return _exact(goal, random)
    found = [_searched(goal, random) for _ in range(_STARTS)]
    return min(found, key=lambda choice: (round(goal.cost(choice), 9), choice.tobytes()))


@dataclass(frozen=True)
class _Goal:
    """Amounts (G, F) by group, what each weighs, which of them are classes, and the wanted shares.

    The first column counts groups: it weighs nothing and tells an empty part.
    """

    amounts: Amounts
    totals: Amounts
    weights: Amounts
    is_class: NDArray[np.bool_]
    shares: Amounts

    @staticmethod
    def of(
        photos: Amounts, classes: NDArray[np.int64], sizes: NDArray[np.int64] | None, shares: Sequence[float]
    ) -> _Goal:
        """Photographs, boxes, the classes together and the sizes together weigh 1 each."""
        count = len(photos)
        shown = classes[:, classes.sum(axis=0) > 0]
        bands = np.zeros((count, 0)) if sizes is None else sizes[:, sizes.sum(axis=0) > 0]
        columns = [np.ones((count, 1)), photos[:, None], classes.sum(axis=1, keepdims=True), shown, bands]
        weights = [
            [0.0],
            [1.0],
            [1.0],
            *([1.0 / part.shape[1]] * part.shape[1] for part in (shown, bands) if part.size),
        ]
        amounts = np.concatenate(columns, axis=1).astype(np.float64)
        is_class = np.zeros(amounts.shape[1], dtype=np.bool_)
        is_class[3 : 3 + shown.shape[1]] = True
        totals = amounts.sum(axis=0)
        weight = np.where(totals > 0, np.concatenate(weights), 0.0)
        return _Goal(amounts, np.maximum(totals, 1.0), weight, is_class, np.array(shares) / sum(shares))

    def of_part(self, amounts: Amounts, part: NDArray[np.int8] | int) -> Amounts:
        """Cost (...) of a part that has ``amounts`` (..., F)."""
        wanted = self.shares[part]
        missing = _MISSING_CLASS_COST[part] * (amounts[..., self.is_class] == 0).sum(axis=-1)
        far = np.abs(amounts / self.totals - np.asarray(wanted)[..., None]) @ self.weights
        return np.asarray(far + missing + _EMPTY_COST * (amounts[..., 0] == 0), dtype=np.float64)

    def sums(self, choice: Choice) -> Amounts:
        """Amounts (3, F) by part."""
        return np.stack([self.amounts[choice == part].sum(axis=0) for part in range(3)])

    def cost(self, choice: Choice) -> float:
        """Of the whole assignment; the smaller, the better."""
        return float(sum(self.of_part(sums, part) for part, sums in enumerate(self.sums(choice))))


def _exact(goal: _Goal, random: np.random.Generator) -> Choice:
    """One of the assignments within 0.05 of the best; all are looked at."""
    grid = np.indices((3,) * len(goal.amounts), dtype=np.int8).reshape(len(goal.amounts), -1).T
    cost = np.zeros(len(grid))
    for part in range(3):
        cost += goal.of_part((grid == part).astype(np.float64) @ goal.amounts, part)
    near_best = np.flatnonzero(cost <= cost.min() + _NEAR_BEST + _LEAST_GAIN)  # whatever the order of summation
    return np.asarray(grid[random.choice(near_best)], dtype=np.int8)


def _searched(goal: _Goal, random: np.random.Generator) -> Choice:
    choice = _greedy(goal, random)
    sums = goal.sums(choice)
    while _move(goal, choice, sums) or _exchange(goal, choice, sums, random):
        pass
    return choice


def _greedy(goal: _Goal, random: np.random.Generator) -> Choice:
    """Large groups first, in an order that chance disturbs a little, each to where it lowers the cost most."""
    size = (goal.amounts / goal.totals) @ goal.weights
    order = np.argsort(-size * random.uniform(0.7, 1.3, len(size)), kind="stable")
    choice = np.zeros(len(size), dtype=np.int8)
    sums = np.zeros((3, goal.amounts.shape[1]))
    parts = np.arange(3, dtype=np.int8)
    for group in order:
        after = goal.of_part(sums + goal.amounts[group], parts)
        part = int(np.argmin(after - goal.of_part(sums, parts)))
        choice[group] = part
        sums[part] += goal.amounts[group]
    return choice


def _move(goal: _Goal, choice: Choice, sums: Amounts) -> bool:
    """Move the one group that helps most; False when none does."""
    now = goal.of_part(sums, np.arange(3, dtype=np.int8))
    without = goal.of_part(sums[choice] - goal.amounts, choice) - now[choice]
    gain = np.stack([without + goal.of_part(sums[part] + goal.amounts, part) - now[part] for part in range(3)], axis=1)
    gain[np.arange(len(choice)), choice] = 0.0
    group, part = divmod(int(gain.argmin()), 3)
    if gain[group, part] > -_LEAST_GAIN:
        return False
    _shift(goal, choice, sums, group, part)
    return True


def _exchange(goal: _Goal, choice: Choice, sums: Amounts, random: np.random.Generator) -> bool:
    """Exchange the two groups of different parts that help most, of all pairs or of a sample; False when none does."""
    count = len(choice)
    if count * count <= _EXCHANGES:
        one, other = (index.ravel() for index in np.indices((count, count)))
    else:
        one, other = random.integers(0, count, (2, _EXCHANGES))
    differ = choice[one] < choice[other]
    one, other = one[differ], other[differ]
    if not len(one):
        return False
    now = goal.of_part(sums, np.arange(3, dtype=np.int8))
    change = goal.amounts[other] - goal.amounts[one]
    gain = goal.of_part(sums[choice[one]] + change, choice[one]) - now[choice[one]]
    gain += goal.of_part(sums[choice[other]] - change, choice[other]) - now[choice[other]]
    best = int(gain.argmin())
    if gain[best] > -_LEAST_GAIN:
        return False
    a, b = int(one[best]), int(other[best])
    to_a, to_b = int(choice[b]), int(choice[a])
    _shift(goal, choice, sums, a, to_a)
    _shift(goal, choice, sums, b, to_b)
    return True


def _shift(goal: _Goal, choice: Choice, sums: Amounts, group: int, part: int) -> None:
    sums[choice[group]] -= goal.amounts[group]
    sums[part] += goal.amounts[group]
    choice[group] = part


def _counted(count: int, total: int) -> dict[str, float]:
    return {"count": count, "share": round(count / total, 4) if total else 0.0}


def _by_name(found: Mapping[str, NDArray[np.int64]], names: Sequence[str]) -> dict[str, dict[str, dict[str, float]]]:
    total = np.asarray(sum(found.values()))
    return {
        name: {part: _counted(int(counts[index]), int(total[index])) for part, counts in found.items()}
        for index, name in enumerate(names)
    }
