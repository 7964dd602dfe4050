"""What label files say, in one form for every format: boxes in pixels of the upright photograph.

Readers fill it, writers and checks read it. Boxes are kept as they were written, also those that leave the photograph
or have no area: judging them is the work of ``overflight.data.checks``. What could not become a box at all (not a
number, an unknown class, a photograph that does not exist) is a :class:`RefusedBox`, so that boxes in = boxes read +
boxes refused for every source. It does not know files or formats.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overflight.data.findings import Finding
from overflight.imaging.boxes import Boxes

Unit = Literal["line", "annotation", "object", "row"]
UNLABELLED = "none"


@dataclass(frozen=True)
class PhotoLabels:
    """Labels of one photograph.

    Attributes:
        size_wh_px: Width and height of the upright photograph: of its file where it is there, else as declared.
        class_ids: (N,) int64, indices into the classes of the set.
        xyxy_px: (N, 4) float64 corners, half-open (``x2 - x1`` is the width), neither cut nor sorted.
        numbers: (N,) int64 line, annotation id or ordinal of each box in its file (1 is the first line).
        file: Label file, relative to the source's root.
        unit: What ``numbers`` count.
        corners_px: (N, 4, 2) corners of oriented boxes, None when all boxes are upright.
        ignored: (N,) bool, True for regions that are not objects (crowds, ignored regions); None when there are none.
    """

    size_wh_px: tuple[int, int]
    class_ids: NDArray[np.int64]
    xyxy_px: Boxes
    numbers: NDArray[np.int64]
    file: str
    unit: Unit = "line"
    corners_px: NDArray[np.float64] | None = None
    ignored: NDArray[np.bool_] | None = None

    def __len__(self) -> int:
        """Number of boxes, ignored regions included."""
        return len(self.class_ids)

    def where(self, index: int) -> str:
        """Place of box ``index`` for findings: ``file:line`` or ``file: annotation 7``."""
        number = int(self.numbers[index])
        return f"{self.file}:{number}" if self.unit == "line" else f"{self.file}: {self.unit} {number}"

    def select(self, keep: NDArray[np.bool_] | NDArray[np.int64]) -> PhotoLabels:
        """The same labels with only the boxes that ``keep`` (mask or indices) names."""
        return PhotoLabels(
            size_wh_px=self.size_wh_px,
            class_ids=self.class_ids[keep],
            xyxy_px=self.xyxy_px[keep],
            numbers=self.numbers[keep],
            file=self.file,
            unit=self.unit,
            corners_px=None if self.corners_px is None else self.corners_px[keep],
            ignored=None if self.ignored is None else self.ignored[keep],
        )


@dataclass(frozen=True)
class RefusedBox:
    """An entry of a label file that could not become a box.

    Attributes:
        finding: Why, where and what to do; an error.
        boxes: How many entries it stands for (a label file without a photograph stands for all its lines).
        raw: The entry as written, cut at 200 characters.
    """

    finding: Finding
    boxes: int = 1
    raw: str = ""


@dataclass(frozen=True)
class LabelSet:
    """All labels of a source.

    Attributes:
        format: Name of the format, as in ``overflight.data.formats.registry``.
        classes: Class names by index.
        photos: Labels by photo key, for every photograph that the labels speak of, also those without boxes.
        absent: Keys of ``photos`` for which there is no file: the names that the labels use.
        refused: Entries that could not become boxes.
        findings: Everything else that is wrong with the label files themselves.
        losses: What the format says and this form cannot hold, one sentence each (``12 polygons became boxes``).
    """

    format: str
    classes: tuple[str, ...]
    photos: Mapping[str, PhotoLabels]
    absent: frozenset[str] = frozenset()
    refused: tuple[RefusedBox, ...] = ()
    findings: tuple[Finding, ...] = ()
    losses: tuple[str, ...] = ()

    @property
    def boxes(self) -> int:
        """Boxes read, ignored regions included."""
        return sum(len(labels) for labels in self.photos.values())

    @property
    def boxes_in(self) -> int:
        """Entries of the label files, whatever became of them."""
        return self.boxes + sum(refused.boxes for refused in self.refused)

    def table(self) -> BoxTable:
        """All boxes side by side, for checks over the whole set."""
        keys = tuple(self.photos)
        found = list(self.photos.values())
        counts = np.array([len(labels) for labels in found], dtype=np.int64)
        sizes = np.array([labels.size_wh_px for labels in found], dtype=np.float64).reshape(-1, 2)
        photo = np.repeat(np.arange(len(found)), counts)
        return BoxTable(
            keys=keys,
            first=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
            photo=photo,
            class_ids=np.concatenate([labels.class_ids for labels in found] or [np.zeros(0, dtype=np.int64)]),
            xyxy_px=np.concatenate([labels.xyxy_px for labels in found] or [np.zeros((0, 4))]),
            ignored=np.concatenate(
                [
                    np.zeros(len(labels), dtype=np.bool_) if labels.ignored is None else labels.ignored
                    for labels in found
                ]
                or [np.zeros(0, dtype=np.bool_)]
            ),
            photo_wh_px=sizes,
        )


@dataclass(frozen=True)
class BoxTable:
    """Boxes of all photographs of a set, one after the other.

    Attributes:
        keys: (P) photo keys.
        first: (P + 1,) index of each photograph's first box; boxes of photo ``p`` are ``first[p]:first[p + 1]``.
        photo: (N,) index into ``keys`` of each box.
        class_ids: (N,).
        xyxy_px: (N, 4).
        ignored: (N,) bool.
        photo_wh_px: (P, 2) width and height of the photographs.
    """

    keys: tuple[str, ...]
    first: NDArray[np.int64]
    photo: NDArray[np.int64]
    class_ids: NDArray[np.int64]
    xyxy_px: Boxes
    ignored: NDArray[np.bool_]
    photo_wh_px: NDArray[np.float64]

    @property
    def wh_px(self) -> NDArray[np.float64]:
        """(N, 2) width and height of the boxes; negative where corners are swapped."""
        return self.xyxy_px[:, 2:4] - self.xyxy_px[:, :2]

    def within(self, indices: NDArray[np.int64]) -> NDArray[np.int64]:
        """Index of each of ``indices`` (of the table) within its own photograph."""
        return np.asarray(indices - self.first[self.photo[indices]], dtype=np.int64)


@dataclass
class PhotoLabelsBuilder:
    """Collects boxes of one photograph entry by entry, for readers that walk documents."""

    size_wh_px: tuple[int, int]
    file: str
    unit: Unit
    class_ids: list[int] = field(default_factory=list)
    xyxy_px: list[tuple[float, float, float, float]] = field(default_factory=list)
    numbers: list[int] = field(default_factory=list)
    ignored: list[bool] = field(default_factory=list)
    corners_px: list[list[tuple[float, float]] | None] = field(default_factory=list)

    def add(
        self,
        class_id: int,
        xyxy_px: tuple[float, float, float, float],
        *,
        number: int,
        ignored: bool = False,
        corners_px: list[tuple[float, float]] | None = None,
    ) -> None:
        """One box; ``corners_px`` are the four corners of an oriented one."""
        self.class_ids.append(class_id)
        self.xyxy_px.append(xyxy_px)
        self.numbers.append(number)
        self.ignored.append(ignored)
        self.corners_px.append(corners_px)

    def build(self) -> PhotoLabels:
        """The collected labels."""
        boxes = np.array(self.xyxy_px, dtype=np.float64).reshape(-1, 4)
        oriented = any(corners is not None for corners in self.corners_px)
        return PhotoLabels(
            size_wh_px=self.size_wh_px,
            class_ids=np.array(self.class_ids, dtype=np.int64),
            xyxy_px=boxes,
            numbers=np.array(self.numbers, dtype=np.int64),
            file=self.file,
            unit=self.unit,
            corners_px=_all_corners(boxes, self.corners_px) if oriented else None,
            ignored=np.array(self.ignored, dtype=np.bool_) if any(self.ignored) else None,
        )


def upright_corners(xyxy_px: Boxes) -> NDArray[np.float64]:
    """Corners (N, 4, 2) of upright boxes (N, 4): top left, then clockwise as seen in the photograph."""
    x1, y1, x2, y2 = xyxy_px.T
    return np.stack([x1, y1, x2, y1, x2, y2, x1, y2], axis=1).reshape(-1, 4, 2)


def xyxy_of_corners(corners_px: NDArray[np.float64]) -> Boxes:
    """The smallest upright boxes (N, 4) around corners (N, K, 2)."""
    return np.concatenate([corners_px.min(axis=1), corners_px.max(axis=1)], axis=1)


def _all_corners(boxes: Boxes, corners: list[list[tuple[float, float]] | None]) -> NDArray[np.float64]:
    found = upright_corners(boxes)
    for index, given in enumerate(corners):
        if given is not None:
            found[index] = given
    return found
