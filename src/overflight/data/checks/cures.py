"""The cures that need no judgement: clip by a pixel, drop exact repetitions, drop boxes of zero area.

A cure is applied only where a finding names the photograph and the kind of defect, so that a check that is switched off
changes nothing. The defect is looked for again here with fixed limits; a finding alone removes no box. Boxes with
corners out of order (negative width or height) are not mended: swapping them back would be right for a box drawn from
the wrong corner, and would invent a box where the columns are in another order (``xmin xmax ymin ymax``), and the
numbers cannot tell which it is. Every removed box is listed. Nothing here reads or writes files.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.label_checks import NO_SIZE_PX, ROUNDING_PX, overhang_px
from overflight.data.checks.overlaps import copies
from overflight.data.findings import Finding
from overflight.data.formats.labels import LabelSet, PhotoLabels, upright_corners

MAX_CLIP_PX = 1.0
COPY_PX = 0.01

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class RemovedBox:
    """A box that was taken out, for the quarantine list.

    Attributes:
        photo: Photo key.
        where: Place in the label file, as findings give it.
        code: ``no-size`` or ``duplicate-box``.
        class_name: Its class.
        xyxy_px: Its corners as they were.
    """

    photo: str
    where: str
    code: str
    class_name: str
    xyxy_px: tuple[float, float, float, float]


@dataclass(frozen=True)
class Cured:
    """Labels after the cures.

    Attributes:
        labels: The same photographs in the same order; those without a cure are the same objects.
        clipped: Boxes that were clipped and are still there.
        removed: Boxes that are not.
    """

    labels: LabelSet
    clipped: int
    removed: tuple[RemovedBox, ...]


def cure(labels: LabelSet, *, findings: Iterable[Finding]) -> Cured:
    """Apply the safe cures; boxes before = boxes after + boxes removed, and a second time changes nothing.

    * ``overhang``: upright boxes that leave the photograph by at most 1 px (and 0.01 px of rounding) are clipped.
    * ``no-size``: boxes with a side of exactly zero are dropped.
    * ``duplicate-box``: boxes of one class whose corners all lie within 0.01 px of an earlier one are dropped, also
      where only clipping made them so.

    Args:
        labels: As read; not changed.
        findings: Of the checks over these labels.
    """
    named: dict[str, set[str]] = defaultdict(set)
    for finding in findings:
        if finding.photo in labels.photos:
            named[finding.code].add(finding.photo)
    clipped: dict[str, Mask] = {}
    photos = dict(labels.photos)
    for key in sorted(named["overhang"]):
        photos[key], clipped[key] = _clipped(photos[key])
    dropped: dict[str, dict[int, str]] = defaultdict(dict)
    for key in named["no-size"]:
        dropped[key] = dict.fromkeys(np.flatnonzero(_zero_area(photos[key])).tolist(), "no-size")
    for key in sorted(named["duplicate-box"] | {key for key, mask in clipped.items() if mask.any()}):
        everywhere = key in named["duplicate-box"]
        for index in _repetitions(labels, photos[key], set(dropped[key]), None if everywhere else clipped[key]):
            dropped[key][index] = "duplicate-box"
    removed: list[RemovedBox] = []
    for key, before in labels.photos.items():
        if dropped.get(key):
            keep = np.ones(len(before), dtype=np.bool_)
            keep[list(dropped[key])] = False
            photos[key] = photos[key].select(keep)
            clipped[key] = clipped.get(key, np.zeros(len(before), dtype=np.bool_)) & keep
            removed += [_removed(labels, key, index, code) for index, code in sorted(dropped[key].items())]
    return Cured(replace(labels, photos=photos), sum(int(mask.sum()) for mask in clipped.values()), tuple(removed))


def _clipped(photo: PhotoLabels) -> tuple[PhotoLabels, Mask]:
    """Upright boxes slightly over the edge, clipped; and which they are."""
    size = np.array(photo.size_wh_px, dtype=np.float64)
    over, beside = overhang_px(photo.xyxy_px, size)
    which = (over > ROUNDING_PX) & (over <= MAX_CLIP_PX + ROUNDING_PX) & ~beside & _upright(photo)
    which &= (photo.xyxy_px[:, 2:4] >= photo.xyxy_px[:, :2]).all(axis=1)
    if not which.any():
        return photo, which
    boxes = photo.xyxy_px.copy()
    boxes[which] = np.clip(boxes[which], 0, np.tile(size, 2))
    corners = photo.corners_px
    if corners is not None:
        corners = corners.copy()
        corners[which] = np.clip(corners[which], 0, size)
    return replace(photo, xyxy_px=boxes, corners_px=corners), which


def _upright(photo: PhotoLabels) -> Mask:
    if photo.corners_px is None:
        return np.ones(len(photo), dtype=np.bool_)
    apart = np.abs(photo.corners_px - upright_corners(photo.xyxy_px)).max(axis=(1, 2), initial=0)
    return np.asarray(apart <= ROUNDING_PX)


def _zero_area(photo: PhotoLabels) -> Mask:
    size = photo.xyxy_px[:, 2:4] - photo.xyxy_px[:, :2]
    shorter = size.min(axis=1, initial=np.inf)
    return np.asarray(np.abs(shorter) <= NO_SIZE_PX)


def _repetitions(labels: LabelSet, photo: PhotoLabels, gone: set[int], clipped: Mask | None) -> list[int]:
    """Boxes that repeat an earlier one, those already gone left out; with a mask only pairs with a clipped box."""
    one = LabelSet(labels.format, labels.classes, {"": photo})
    left = np.array([index for index in range(len(photo)) if index not in gone], dtype=np.int64)
    found = copies(one, one.table(), COPY_PX, among=left)
    again = np.flatnonzero(found >= 0)
    if clipped is not None:
        again = again[clipped[again] | clipped[found[again]]]
    return [int(index) for index in again]


def _removed(labels: LabelSet, key: str, index: int, code: str) -> RemovedBox:
    photo = labels.photos[key]
    x1, y1, x2, y2 = photo.xyxy_px[index].tolist()
    class_id = int(photo.class_ids[index])
    return RemovedBox(key, photo.where(index), code, labels.classes[class_id], (x1, y1, x2, y2))
