"""What augmentation would do to a source: a few photographs, each with its busiest tile and changed copies of it.

Nothing of the source is changed, and no copies are made for training here: copies belong to the training part of a
split, and a folder of photographs with their copies would be split again and leak. It does not draw the sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from overflight.data.augment.copy_paste import (
    Donor,
    Origin,
    at_most,
    find_donors,
    rare_classes,
    with_pixels,
    yardsticks_px,
)
from overflight.data.augment.settings import AugmentSettings
from overflight.data.augment.tile import Augmented, Sample, augment_tile
from overflight.data.facts import MAX_PHOTO_BYTES
from overflight.data.formats.labels import PhotoLabels
from overflight.data.metadata import PhotoMetadata
from overflight.data.profile.sites import sites_of
from overflight.data.reading import Read
from overflight.data.tile import TilePlan, TileRules, plan_photo
from overflight.data.tile_cut import painted_over
from overflight.errors import InputError
from overflight.imaging.boxes import Boxes, clip
from overflight.imaging.codecs import Rgb, decode
from overflight.imaging.footprint import ground_sample
from overflight.imaging.geo import CameraPose

DONORS_PER_CLASS = 6

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Shown:
    """A picture of the sheet.

    Attributes:
        rgb: uint8 (height, width, 3); regions to be ignored are painted over, as in training.
        boxes_px: (N, 4).
        labels: Class names of the boxes.
        caption: One line.
    """

    rgb: Rgb
    boxes_px: Boxes
    labels: tuple[str, ...]
    caption: str


@dataclass(frozen=True)
class Row:
    """A tile of a photograph and its copies."""

    photo: str
    window_px: tuple[int, int, int, int]
    original: Shown
    copies: tuple[Shown, ...]
    augmented: tuple[Augmented, ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "photo": self.photo,
            "window_px": list(self.window_px),
            "boxes": len(self.original.labels),
            "copies": [
                {"boxes": len(found.class_ids), "pasted": found.pasted, "applied": list(found.applied)}
                for found in self.augmented
            ],
        }


@dataclass(frozen=True)
class Preview:
    """Rows of the sheet, and sentences about the whole."""

    rows: tuple[Row, ...]
    classes: tuple[str, ...]
    notes: tuple[str, ...]


def preview(
    read: Read,
    *,
    settings: AugmentSettings,
    photos: int,
    copies: int,
    seed: int,
    rules: TileRules,
    progress: Progress | None = None,
) -> Preview:
    """Copies of the busiest tiles of a few photographs, spread over the source.

    Args:
        read: The source; where it has a split, only its training part is used.
        settings: What may happen.
        photos: How many photographs, at most.
        copies: Of each tile.
        seed: As of a data set.
        rules: How tiles are cut.
        progress: Called with (photographs done, photographs in all).

    Raises:
        InputError: there is no photograph that can be read.
        ResourceError: Albumentations is not installed.
    """
    source = _Source(read)
    chosen = _spread([key for key in source.keys if len(source.objects(key))] or source.keys, photos)
    if not chosen:
        cure = "Run overflight survey check: it names the reason of each"
        raise InputError("no photograph can be read", where=read.subject.name, cure=cure)
    donors, notes = _donors(source, settings, seed)
    rows = []
    for done, key in enumerate(chosen, start=1):
        rows.append(_row(source, key, settings=settings, copies=copies, seed=seed, rules=rules, donors=donors))
        if progress is not None:
            progress(done, len(chosen))
    if not any(len(row.original.labels) for row in rows):
        notes.append("no photograph has boxes: copies show light and geometry only")
    if not settings.changes_anything:
        notes.append("these settings change nothing")
    return Preview(tuple(rows), read.subject.labels.classes, tuple(notes))


class _Source:
    """Photographs that can be read and lie in the training part, by key."""

    def __init__(self, read: Read) -> None:
        self.read = read
        subject = read.subject
        part = set(subject.split.get("train", ())) if subject.split else None
        self.keys = [
            key
            for key, facts in subject.photos.items()
            if facts.size_wh_px is not None and not facts.fault and (part is None or key in part)
        ]
        places = [
            np.array([math.nan if value is None else value for value in values], dtype=np.float64)
            for values in (
                [subject.photos[key].metadata.latitude_deg for key in self.keys],
                [subject.photos[key].metadata.longitude_deg for key in self.keys],
            )
        ]
        self.sites = dict(zip(self.keys, map(str, sites_of(*places)), strict=True))
        self.sticks = yardsticks_px((self._flight(key), self.class_ids(key), self.objects(key)) for key in self.keys)

    def _flight(self, key: str) -> str:
        return self.read.subject.flights[key].flight

    def size_wh(self, key: str) -> tuple[int, int]:
        return self.read.subject.photos[key].size_wh_px or (0, 0)

    def labels(self, key: str) -> PhotoLabels | None:
        return self.read.subject.labels.photos.get(key)

    def objects(self, key: str) -> Boxes:
        """Boxes (N, 4) that are objects, cut at the photograph's edges."""
        labels = self.labels(key)
        width, height = self.size_wh(key)
        boxes = np.zeros((0, 4)) if labels is None else labels.xyxy_px[self._objects(labels)]
        return clip(boxes, width_px=width, height_px=height)

    def _objects(self, labels: PhotoLabels) -> Any:
        return np.ones(len(labels), dtype=np.bool_) if labels.ignored is None else ~labels.ignored

    def class_ids(self, key: str) -> Any:
        labels = self.labels(key)
        return np.zeros(0, dtype=np.int64) if labels is None else labels.class_ids[self._objects(labels)]

    def ignored_px(self, key: str) -> Boxes:
        labels = self.labels(key)
        if labels is None or labels.ignored is None:
            return np.zeros((0, 4))
        width, height = self.size_wh(key)
        return clip(labels.xyxy_px[labels.ignored], width_px=width, height_px=height)

    def origin(self, key: str) -> Origin:
        subject = self.read.subject
        gsd_m = _gsd_m(subject.photos[key].metadata, self.size_wh(key))
        flight = self._flight(key)
        return Origin(key, flight, self.sites[key], gsd_m, self.sticks.get(flight))

    def pixels(self, key: str) -> Rgb:
        return decode(self.read.files.read(key, max_bytes=MAX_PHOTO_BYTES), where=key)

    def sample(self, key: str) -> Sample:
        labels = self.labels(key)
        corners = None if labels is None or labels.corners_px is None else labels.corners_px[self._objects(labels)]
        return Sample(
            self.pixels(key),
            self.class_ids(key),
            self.objects(key),
            corners_px=corners,
            ignored_px=self.ignored_px(key),
            origin=self.origin(key),
        )


def _gsd_m(metadata: PhotoMetadata, size_wh: tuple[int, int]) -> float | None:
    """Side of a pixel on the ground at the centre; None where the pose or the focal length is uncertain."""
    zoomed = metadata.digital_zoom is not None and metadata.digital_zoom > 1
    if metadata.latitude_deg is None or metadata.longitude_deg is None or zoomed:
        return None
    pose = CameraPose(
        latitude_deg=metadata.latitude_deg,
        longitude_deg=metadata.longitude_deg,
        altitude_agl_m=metadata.altitude_agl_m,
        yaw_deg=metadata.yaw_deg,
        gimbal_pitch_deg=metadata.gimbal_pitch_deg,
        focal_length_35mm_mm=metadata.focal_length_35mm_mm,
        gimbal_roll_deg=metadata.gimbal_roll_deg,
    )
    found = ground_sample(pose, width_px=size_wh[0], height_px=size_wh[1])
    return None if found is None else math.sqrt(found.across_m * found.along_m)


def _spread(keys: Sequence[str], wanted: int) -> list[str]:
    """At most so many of the keys, evenly from the first to the last."""
    if len(keys) <= wanted:
        return list(keys)
    return [keys[round(at)] for at in np.linspace(0, len(keys) - 1, wanted).tolist()]


def _donors(source: _Source, settings: AugmentSettings, seed: int) -> tuple[list[Donor], list[str]]:
    """Rare objects with their pixels, and a sentence about them."""
    wanted = settings.copy_paste
    classes = source.read.subject.labels.classes
    if not wanted.probability:
        return [], []
    ids = np.concatenate([np.zeros(0, dtype=np.int64), *(source.class_ids(key) for key in source.keys)])
    counts = np.bincount(ids, minlength=len(classes))
    rare = rare_classes(counts, below=wanted.rare_below)
    if not rare:
        return [], [f"no class is rare (fewer boxes than {wanted.rare_below:.0%} of the most frequent): none is pasted"]
    found = [
        donor
        for key in source.keys
        for donor in find_donors(
            source.origin(key),
            size_wh=source.size_wh(key),
            class_ids=source.class_ids(key),
            boxes_px=source.objects(key),
            ignored_px=source.ignored_px(key),
            rare=rare,
            settings=wanted,
        )
    ]
    chosen = at_most(found, per_class=DONORS_PER_CLASS, seed=seed)
    pixels = {key: source.pixels(key) for key in dict.fromkeys(donor.origin.photo for donor in chosen)}
    names = ", ".join(f"{classes[index]} ({counts[index]} of {counts.sum()} boxes)" for index in rare)
    note = f"rare and pasted: {names}; {len(found)} objects are whole, free and small enough to be taken"
    return [with_pixels(donor, pixels[donor.origin.photo]) for donor in chosen], [note]


def _row(
    source: _Source,
    key: str,
    *,
    settings: AugmentSettings,
    copies: int,
    seed: int,
    rules: TileRules,
    donors: Sequence[Donor],
) -> Row:
    classes = source.read.subject.labels.classes
    sample = source.sample(key)
    plan = _busiest(source, key, rules)
    tile = plan.tile
    window = (tile.x0, tile.y0, tile.x1, tile.y1)
    name = PurePosixPath(key).name

    def shown(rgb: Rgb, boxes_px: Boxes, class_ids: Any, ignored_px: Boxes, caption: str) -> Shown:
        painted = painted_over(rgb, ignored_px, keep=boxes_px) if len(ignored_px) else rgb
        return Shown(painted, boxes_px, tuple(classes[index] for index in class_ids), caption)

    pixels = sample.rgb[tile.y0 : tile.y1, tile.x0 : tile.x1]
    original = shown(pixels, plan.boxes_px, plan.class_ids, plan.ignored_px, name)
    found = [
        augment_tile(
            sample,
            settings=settings,
            seed=seed,
            epoch=copy,
            name=plan.name,
            window_px=window,
            donors=donors,
            rules=rules,
        )
        for copy in range(1, copies + 1)
    ]
    changed = [
        shown(one.rgb, one.boxes_px, one.class_ids, one.ignored_px, ", ".join(one.applied) or "unchanged")
        for one in found
    ]
    return Row(key, window, original, tuple(changed), tuple(found))


def _busiest(source: _Source, key: str, rules: TileRules) -> TilePlan:
    plans = plan_photo(
        PurePosixPath(key).stem,
        size_wh=source.size_wh(key),
        class_ids=source.class_ids(key),
        boxes_px=source.objects(key),
        rules=rules,
        ignored_px=source.ignored_px(key),
    )
    return max(plans, key=lambda plan: len(plan.class_ids))
