"""What changed between two versions of a survey, or between two readings of one: photographs, boxes, classes, flights.

Photographs are compared by name and digest, boxes by class name and place. A shift that all moved boxes share (labels
that were converted one pixel off) is named as such. It does not know where the two sides come from.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import Boxes, iou

SAME_PX = 0.01
SAME_OBJECT_IOU = 0.3
_LISTED = 1000

LoadBoxes = Callable[[], tuple[NDArray[np.int64], Boxes]]


def _no_regions() -> Boxes:
    return np.zeros((0, 4))


@dataclass(frozen=True)
class SidePhoto:
    """One photograph of a side.

    Attributes:
        sha256: Digest of the file, "" when there is none.
        flight: Its flight.
        labels_digest: Equal digests mean equal labels (given equal classes); "" when it is not known.
        load: Gives class ids (N,) and corners (N, 4) in pixels of the objects, when they are needed.
        load_ignored: Gives corners (M, 4) in pixels of the regions to be ignored.
    """

    sha256: str
    flight: str
    labels_digest: str
    load: LoadBoxes
    load_ignored: Callable[[], Boxes] = _no_regions


@dataclass(frozen=True)
class Side:
    """One of the two surveys: its title, classes by index and photographs by name."""

    title: str
    classes: tuple[str, ...]
    photos: Mapping[str, SidePhoto]


@dataclass(frozen=True)
class BoxChanges:
    """What happened to the boxes of one photograph, or of many together.

    Attributes:
        same: Boxes of equal class that moved by at most 0.01 px.
        added: Boxes by class name that only the second side has.
        removed: Boxes by class name that only the first side has.
        reclassed: Boxes by (old class, new class).
        shifts_px: (N, 4) differences of corners, second minus first, of boxes that moved and kept their class.
        ignored_added: Regions to be ignored that only the second side has; one that moved is also a removed one.
        ignored_removed: Regions to be ignored that only the first side has.
    """

    same: int = 0
    added: Counter[str] = field(default_factory=Counter)
    removed: Counter[str] = field(default_factory=Counter)
    reclassed: Counter[tuple[str, str]] = field(default_factory=Counter)
    shifts_px: Boxes = field(default_factory=lambda: np.zeros((0, 4)))
    ignored_added: int = 0
    ignored_removed: int = 0

    @property
    def any(self) -> bool:
        """Whether anything changed."""
        boxes = self.added or self.removed or self.reclassed or len(self.shifts_px)
        return bool(boxes or self.ignored_added or self.ignored_removed)

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "added": sum(self.added.values()),
            "removed": sum(self.removed.values()),
            "moved": len(self.shifts_px),
            "reclassed": sum(self.reclassed.values()),
            "ignored_added": self.ignored_added,
            "ignored_removed": self.ignored_removed,
        }


@dataclass(frozen=True)
class SurveyDiff:
    """Difference of two surveys, from ``a`` to ``b``.

    Attributes:
        a: Title of the first.
        b: Title of the second.
        classes_added: Names only in the second.
        classes_removed: Names only in the first.
        classes_renumbered: Both have the same names in another order.
        photos_same: Photographs with equal name and content.
        photos_added: Names only in the second.
        photos_removed: Names only in the first.
        photos_renamed: Equal content under another name: (old, new).
        photos_changed: Equal name, other content.
        flights_changed: Photographs that went to another flight: name to (old, new).
        boxes: Changes of all photographs that both have, together; ``same`` leaves out photos with equal digests.
        per_photo: Changes by photograph, only where there are any.
    """

    a: str
    b: str
    classes_added: tuple[str, ...]
    classes_removed: tuple[str, ...]
    classes_renumbered: bool
    photos_same: int
    photos_added: tuple[str, ...]
    photos_removed: tuple[str, ...]
    photos_renamed: tuple[tuple[str, str], ...]
    photos_changed: tuple[str, ...]
    flights_changed: Mapping[str, tuple[str, str]]
    boxes: BoxChanges
    per_photo: Mapping[str, BoxChanges]

    @property
    def any(self) -> bool:
        """Whether the two differ in anything."""
        lists = (self.classes_added, self.classes_removed, self.photos_added, self.photos_removed)
        more = (self.photos_renamed, self.photos_changed, self.flights_changed)
        return self.classes_renumbered or self.boxes.any or any(map(len, lists)) or any(map(len, more))

    @property
    def uniform_shift_px(self) -> tuple[float, float] | None:
        """(dx, dy) when at least 90 % of the boxes of common photos moved, all of them by the same distance."""
        shifts = self.boxes.shifts_px
        if len(shifts) < 2 or len(shifts) < 9 * self.boxes.same:
            return None
        dx, dy = (float(np.median(shifts[:, [axis, axis + 2]])) for axis in (0, 1))
        if (dx, dy) == (0.0, 0.0) or np.abs(shifts - [dx, dy, dx, dy]).max() > 2 * SAME_PX:
            return None
        return round(dx, 2), round(dy, 2)

    def as_dict(self) -> dict[str, Any]:
        """For JSON; long lists are cut at 1000 entries, counts are of all."""
        shift = self.uniform_shift_px
        return {
            "a": self.a,
            "b": self.b,
            "classes": {
                "added": list(self.classes_added),
                "removed": list(self.classes_removed),
                "renumbered": self.classes_renumbered,
            },
            "photos": {
                "same": self.photos_same,
                **_listing("added", self.photos_added),
                **_listing("removed", self.photos_removed),
                **_listing("renamed", [list(pair) for pair in self.photos_renamed]),
                **_listing("changed", self.photos_changed),
            },
            "flights_changed": {name: list(pair) for name, pair in self.flights_changed.items()},
            "boxes": {
                **self.boxes.as_dict(),
                "added_by_class": dict(sorted(self.boxes.added.items())),
                "removed_by_class": dict(sorted(self.boxes.removed.items())),
                "reclassed_by_class": {
                    f"{old} -> {new}": count for (old, new), count in sorted(self.boxes.reclassed.items())
                },
                "largest_move_px": round(float(np.abs(self.boxes.shifts_px).max(initial=0.0)), 3),
                "uniform_shift_px": None if shift is None else list(shift),
            },
            "per_photo": {name: found.as_dict() for name, found in list(self.per_photo.items())[:_LISTED]},
        }


def diff_surveys(a: Side, b: Side) -> SurveyDiff:
    """Compare two sides, photograph by photograph in the order of names."""
    common = sorted(a.photos.keys() & b.photos.keys())
    removed, added = sorted(a.photos.keys() - b.photos.keys()), sorted(b.photos.keys() - a.photos.keys())
    renamed = _renamed(a, b, removed=removed, added=added)
    old_names, new_names = {old for old, _ in renamed}, {new for _, new in renamed}
    changed = [name for name in common if a.photos[name].sha256 != b.photos[name].sha256]
    per_photo: dict[str, BoxChanges] = {}
    same = 0
    for old, new in [*((name, name) for name in common), *renamed]:
        first, second = a.photos[old], b.photos[new]
        if a.classes == b.classes and first.labels_digest and first.labels_digest == second.labels_digest:
            continue
        found = _box_changes(first.load(), second.load(), names_a=a.classes, names_b=b.classes)
        found = _with_regions(found, first.load_ignored(), second.load_ignored())
        same += found.same
        if found.any:
            per_photo[new] = found
    return SurveyDiff(
        a=a.title,
        b=b.title,
        classes_added=tuple(name for name in b.classes if name not in a.classes),
        classes_removed=tuple(name for name in a.classes if name not in b.classes),
        classes_renumbered=a.classes != b.classes and sorted(a.classes) == sorted(b.classes),
        photos_same=len(common) - len(changed),
        photos_added=tuple(name for name in added if name not in new_names),
        photos_removed=tuple(name for name in removed if name not in old_names),
        photos_renamed=tuple(renamed),
        photos_changed=tuple(changed),
        flights_changed={
            name: (a.photos[name].flight, b.photos[name].flight)
            for name in common
            if a.photos[name].flight != b.photos[name].flight
        },
        boxes=_summed(list(per_photo.values()), same=same),
        per_photo=per_photo,
    )


def _listing(name: str, items: Sequence[Any]) -> dict[str, Any]:
    return {name: len(items), f"{name}_names": list(items[:_LISTED])}


def _renamed(a: Side, b: Side, *, removed: Sequence[str], added: Sequence[str]) -> list[tuple[str, str]]:
    by_digest = {b.photos[name].sha256: name for name in reversed(added) if b.photos[name].sha256}
    pairs = []
    for old in removed:
        new = by_digest.pop(a.photos[old].sha256, None)
        if new is not None:
            pairs.append((old, new))
    return pairs


def _box_changes(
    first: tuple[NDArray[np.int64], Boxes],
    second: tuple[NDArray[np.int64], Boxes],
    *,
    names_a: Sequence[str],
    names_b: Sequence[str],
) -> BoxChanges:
    """Pair boxes: first those of equal class and place, then greedily by overlap, equal classes before others."""
    old_names, new_names = [names_a[index] for index in first[0]], [names_b[index] for index in second[0]]
    old, new = first[1], second[1]
    pairs, free_old, free_new = _paired_exactly(old_names, new_names, old, new)
    same = len(pairs)
    overlap = iou(old[free_old], new[free_new])
    equal = np.array([[old_names[i] == new_names[j] for j in free_new] for i in free_old], dtype=np.float64)
    # Twice the overlap of equal classes: a box that kept its class is preferred to any neighbour of another class.
    score = np.where(overlap >= SAME_OBJECT_IOU, overlap * (1 + equal.reshape(overlap.shape)), 0)
    shifts: list[NDArray[np.float64]] = []
    reclassed: Counter[tuple[str, str]] = Counter()
    left_old, left_new = set(free_old), set(free_new)
    for flat in np.argsort(-score, axis=None, kind="stable")[: int((score > 0).sum())]:
        row, column = divmod(int(flat), score.shape[1])
        i, j = free_old[row], free_new[column]
        if i not in left_old or j not in left_new:
            continue
        left_old.remove(i)
        left_new.remove(j)
        if old_names[i] == new_names[j]:
            shifts.append(new[j] - old[i])
        else:
            reclassed[old_names[i], new_names[j]] += 1
    return BoxChanges(
        same=same,
        added=Counter(new_names[j] for j in left_new),
        removed=Counter(old_names[i] for i in left_old),
        reclassed=reclassed,
        shifts_px=np.array(shifts, dtype=np.float64).reshape(-1, 4),
    )


def _with_regions(found: BoxChanges, old: Boxes, new: Boxes) -> BoxChanges:
    """Regions to be ignored have a place and no class that matters."""
    if not len(old) and not len(new):
        return found
    _, gone, fresh = _paired_exactly([""] * len(old), [""] * len(new), old, new)
    return replace(found, ignored_added=len(fresh), ignored_removed=len(gone))


def _paired_exactly(
    old_names: Sequence[str], new_names: Sequence[str], old: Boxes, new: Boxes
) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Pairs of equal class within 0.01 px, and the indices left on both sides; linear in the number of boxes."""
    places: dict[tuple[str, int, int], list[int]] = {}
    for j, (name, box) in enumerate(zip(new_names, new, strict=True)):
        places.setdefault((name, *_cell(box)), []).append(j)
    taken: set[int] = set()
    pairs, free_old = [], []
    for i, (name, box) in enumerate(zip(old_names, old, strict=True)):
        x, y = _cell(box)
        near = (j for dx in (-1, 0, 1) for dy in (-1, 0, 1) for j in places.get((name, x + dx, y + dy), ()))
        match = next((j for j in near if j not in taken and np.abs(new[j] - box).max() <= SAME_PX), None)
        if match is None:
            free_old.append(i)
        else:
            taken.add(match)
            pairs.append((i, match))
    return pairs, free_old, [j for j in range(len(new)) if j not in taken]


def _cell(box: NDArray[np.float64]) -> tuple[int, int]:
    return int(box[0] // 1), int(box[1] // 1)


def _summed(changes: Sequence[BoxChanges], *, same: int) -> BoxChanges:
    return BoxChanges(
        same=same,
        added=sum((found.added for found in changes), Counter()),
        removed=sum((found.removed for found in changes), Counter()),
        reclassed=sum((found.reclassed for found in changes), Counter()),
        shifts_px=np.concatenate([np.zeros((0, 4)), *(found.shifts_px for found in changes)]),
        ignored_added=sum(found.ignored_added for found in changes),
        ignored_removed=sum(found.ignored_removed for found in changes),
    )
