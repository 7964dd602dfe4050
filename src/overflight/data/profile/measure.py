"""One pass over a survey: what its photographs and labels are like, as columns.

Photographs that were not decoded when the source was read are decoded here, by threads, a few at a time. Pixels and
thumbs do not stay in memory; the tables do, with about 500 bytes a photograph and 75 a box. A photograph that cannot be
used has a row with its fault, one that only the labels know has a row too: nothing is left out. To read every file only
once, read the source with ``decode=True``; to hold the least memory, without.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from overflight.data.facts import PhotoFacts, decode_again, in_order
from overflight.data.formats.labels import PhotoLabels
from overflight.data.metadata import PhotoMetadata, pose_of
from overflight.data.profile.alike import EACH_WITH_EACH, Likeness
from overflight.data.profile.boxes import MOST_COMPARED, box_columns
from overflight.data.profile.sites import sites_of
from overflight.data.profile.summary import summary_of
from overflight.data.profile.sun import sun_of
from overflight.data.profile.tables import (
    ALTITUDE_BANDS,
    BOX_COLUMNS,
    PHOTO_COLUMNS,
    UNKNOWN,
    Column,
    Columns,
    Profile,
    empty_columns,
)
from overflight.data.reading import Read
from overflight.imaging.footprint import ground_sample

Progress = Callable[[int, int], None]

BAND_EDGES_M = (15.0, 30.0, 60.0, 120.0)
MISSING = "missing"

_BOXES_AT_ONCE = 20_000
_SAME_NAME = (
    "mean_luma", "contrast", "p1_luma", "p99_luma", "dark_share", "bright_share", "sharpness", "focus", "noise_sigma",
    "entropy_bits", "saturation", "colourfulness", "illumination", "haze", "missing_share", "phash",
)  # fmt: skip


def measure(
    read: Read,
    *,
    workers: int | None = None,
    progress: Progress | None = None,
    scaled: bool = True,
    each_with_each: int = EACH_WITH_EACH,
) -> Profile:
    """The profile of a survey or source as read; equal input gives equal tables, whatever the number of threads.

    Args:
        read: See ``overflight.data.reading`` and ``overflight.data.stored``.
        workers: Threads that decode; by default one per processor, at most 8.
        progress: Called with (photographs done, photographs in all) from the calling thread.
        scaled: Reduce JPEG while it is decoded (see ``overflight.data.pixel_facts`` for what that changes).
        each_with_each: Up to this many photographs near duplicates are searched among all pairs, above it by hash.
    """
    subject = read.subject
    keys = [*subject.photos, *(key for key in subject.labels.photos if key not in subject.photos)]
    # Counted first and filled in place: joining pieces would need twice the memory.
    count = sum(_objects(labels) for labels in subject.labels.photos.values())
    rows = _Rows(empty_columns(PHOTO_COLUMNS, len(keys)), empty_columns(BOX_COLUMNS, count))
    fetch = partial(_facts_of, read, scaled=scaled)
    with Likeness(len(keys)) as likeness:
        for row, (key, facts) in enumerate(zip(keys, in_order(keys, fetch, workers=workers), strict=True)):
            flight = subject.flights.get(key)
            rows.add(row, facts, subject.labels.photos.get(key), flight=flight.flight if flight else UNKNOWN)
            likeness.add(row, facts)
            if progress is not None:
                progress(row + 1, len(keys))
        photos, boxes = rows.finish()
        neighbours = likeness.pairs(each_with_each=each_with_each)
    _name_neighbours(photos, neighbours)
    profile = Profile(subject.name, subject.labels.classes, photos, boxes, neighbours, notes=notes_on(photos, boxes))
    return replace(profile, summary=summary_of(profile))


def notes_on(photos: Columns, boxes: Columns) -> tuple[str, ...]:
    """Sentences on what could not be known, or was estimated."""
    of_photo = np.bincount(boxes["photo_index"], minlength=len(photos["photo"]))
    clock, site = photos["clock"], photos["site"]
    cases = [
        (photos["fault"] == MISSING, "only the labels know of; there is no file"),
        ((photos["fault"] != "") & (photos["fault"] != MISSING), "cannot be used and have no figures of pixels"),
        (~photos["labelled"], "have no labels"),
        (site == UNKNOWN, "have no position: no site, no time of day"),
        (np.isnan(photos["altitude_agl_m"]), "have no height above ground: no altitude band, no centimetres"),
        (np.isfinite(photos["altitude_agl_m"]) & np.isnan(photos["gsd_cm"]), "have a height but no centimetres: focal"
         " length, direction or a view towards the ground is missing"),
        (photos["captured_at"] == "", "have no time"),
        (clock == "longitude", "have a clock without offset: its zone was estimated as longitude / 15"),
        (clock == "contradicted", "have a clock that cannot be right (no such camera in that year, or bright at night):"
         " their time of day is unknown"),
        (of_photo > MOST_COMPARED, f"have more than {MOST_COMPARED:,} boxes: their crowding was not measured"),
    ]  # fmt: skip
    found = []
    for mask, what in cases:
        count = int(mask.sum())
        if count:
            found.append(f"{count:,} of {len(mask):,} photographs {what}")
    return tuple(found)


def altitude_band(altitude_agl_m: float | None) -> str:
    """One of ``ALTITUDE_BANDS``; a height on a limit belongs to the upper band."""
    if altitude_agl_m is None or not math.isfinite(altitude_agl_m):
        return UNKNOWN
    return ALTITUDE_BANDS[int(np.searchsorted(BAND_EDGES_M, altitude_agl_m, side="right"))]


def _facts_of(read: Read, key: str, *, scaled: bool) -> PhotoFacts:
    facts = read.subject.photos.get(key)
    if facts is None:
        what = "the labels speak of it; there is no file"
        return PhotoFacts(key, 0, "", None, PhotoMetadata(), fault=MISSING, fault_what=what)
    return facts if facts.pixels is not None else decode_again(read.files, facts, scaled=scaled)


@dataclass
class _Rows:
    """The columns while they are filled."""

    photos: dict[str, Column]
    boxes: dict[str, Column]
    filled: int = 0
    waiting: list[tuple[PhotoLabels, int, float]] = field(default_factory=list)
    waiting_boxes: int = 0
    words: dict[str, str] = field(default_factory=dict)

    def add(self, row: int, facts: PhotoFacts, labels: PhotoLabels | None, *, flight: str) -> None:
        """One photograph and its labels."""
        photos = self.photos
        photos["photo"][row] = facts.key
        photos["flight"][row] = self._word(flight)
        photos["fault"][row] = self._word(facts.fault)
        photos["file_bytes"][row] = facts.bytes
        size = facts.size_wh_px or (labels.size_wh_px if labels is not None else (0, 0))
        photos["width_px"][row], photos["height_px"][row] = size
        if facts.header is not None:
            photos["format"][row] = facts.header.format
        self._metadata(row, facts, size)
        self._pixels(row, facts)
        if labels is not None:
            self._labels(row, labels)

    def finish(self) -> tuple[dict[str, Column], dict[str, Column]]:
        """Columns of photographs and boxes."""
        self._measure_boxes()
        self.photos["site"] = sites_of(self.photos["latitude_deg"], self.photos["longitude_deg"])
        return self.photos, self.boxes

    def _word(self, word: str) -> str:
        """The same object for equal words: a million names of few flights take no memory."""
        return self.words.setdefault(word, word)

    def _metadata(self, row: int, facts: PhotoFacts, size_wh_px: tuple[int, int]) -> None:
        photos, metadata = self.photos, facts.metadata
        for name in ("latitude_deg", "longitude_deg", "altitude_agl_m", "gimbal_pitch_deg", "yaw_deg"):
            value = getattr(metadata, name)
            photos[name][row] = math.nan if value is None else value
        photos["camera"][row] = self._word(" ".join(filter(None, (metadata.camera_make, metadata.camera_model))))
        photos["altitude_band"][row] = altitude_band(metadata.altitude_agl_m)
        if metadata.captured_at is not None:
            photos["captured_at"][row] = metadata.captured_at.isoformat()
        luma = math.nan if facts.pixels is None else facts.pixels.mean_luma
        sun = sun_of(metadata.captured_at, metadata.latitude_deg, metadata.longitude_deg, mean_luma=luma)
        photos["sun_elevation_deg"][row] = sun.elevation_deg
        photos["time_of_day"][row], photos["clock"][row] = sun.time_of_day, sun.clock
        pose = pose_of(metadata)
        if pose is not None and min(size_wh_px) > 0:
            sample = ground_sample(pose, width_px=size_wh_px[0], height_px=size_wh_px[1])
            if sample is not None:
                photos["gsd_cm"][row] = 100 * math.sqrt(sample.across_m * sample.along_m)

    def _pixels(self, row: int, facts: PhotoFacts) -> None:
        pixels = facts.pixels
        if pixels is None:
            return
        for name in _SAME_NAME:
            self.photos[name][row] = getattr(pixels, name)
        total = pixels.mean_red + pixels.mean_green + pixels.mean_blue
        for name, value in (("red", pixels.mean_red), ("green", pixels.mean_green), ("blue", pixels.mean_blue)):
            self.photos[f"{name}_share"][row] = value / total if total > 0 else math.nan

    def _labels(self, row: int, labels: PhotoLabels) -> None:
        photos = self.photos
        objects = _objects(labels)
        photos["labelled"][row] = True
        photos["ignored"][row], photos["boxes"][row] = len(labels) - objects, objects
        if objects:
            self.waiting.append((labels, row, float(photos["gsd_cm"][row])))
            self.waiting_boxes += len(labels)
            if self.waiting_boxes >= _BOXES_AT_ONCE:
                self._measure_boxes()
        else:
            photos["cover_share"][row] = 0.0

    def _measure_boxes(self) -> None:
        if not self.waiting:
            return
        labels, rows, gsd_cm = zip(*self.waiting, strict=True)
        columns = box_columns(labels, rows, gsd_cm)
        _describe(self.photos, rows, columns)
        start, self.filled = self.filled, self.filled + len(columns["class_id"])
        for name, values in columns.items():
            self.boxes[name][start : self.filled] = values
        self.waiting, self.waiting_boxes = [], 0


def _objects(labels: PhotoLabels) -> int:
    return len(labels) if labels.ignored is None else int((~labels.ignored).sum())


def _describe(photos: dict[str, Column], rows: Sequence[int], boxes: Columns) -> None:
    """Columns of photographs that sum up their boxes; ``boxes`` are those of ``rows``, in this order."""
    of = boxes["photo_index"]
    heads = np.flatnonzero(np.concatenate([[True], of[1:] != of[:-1]]))
    counts = np.diff(np.append(heads, len(of)))
    at = np.asarray(rows)
    photos["cover_share"][at] = np.add.reduceat(boxes["area_share"], heads)
    for name, source in (("overlapping_share", "overlaps"), ("border_share", "at_border")):
        photos[name][at] = np.add.reduceat(boxes[source].astype(np.int64), heads) / counts
    order = np.lexsort((boxes["class_id"], of))
    new = np.concatenate([[True], (np.diff(boxes["class_id"][order]) != 0) | (np.diff(of[order]) != 0)])
    photos["classes"][at] = np.add.reduceat(new.astype(np.int64), heads)
    photos["neighbour_sides"][at] = _medians(boxes["neighbour_sides"], of, heads)


def _medians(values: Column, of: Column, heads: Column) -> Column:
    """Median of the finite values of each run, NaN where there are none; numpy's order of NaN (last) is used."""
    ordered = values[np.lexsort((values, of))]
    finite = np.add.reduceat(np.isfinite(ordered).astype(np.int64), heads)
    low, high = heads + np.maximum(finite - 1, 0) // 2, heads + finite // 2
    with np.errstate(invalid="ignore"):
        middle = (ordered[low] + ordered[np.minimum(high, len(ordered) - 1)]) / 2
    return np.where(finite > 0, middle, np.nan)


def _name_neighbours(photos: dict[str, Column], pairs: Columns) -> None:
    keys = photos["photo"]
    for kind, name, value in (
        ("same-file", "same_file_as", ""),
        ("near-duplicate", "near_duplicate_of", "near_correlation"),
        ("same-ground", "same_ground_as", "ground_share"),
    ):
        chosen = pairs["kind"] == kind
        photos[name][pairs["b"][chosen]] = keys[pairs["a"][chosen]]
        if value:
            photos[value][pairs["b"][chosen]] = pairs["value"][chosen]
