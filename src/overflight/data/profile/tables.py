"""The tables of a profile: one row per photograph, one per box, one per pair of like photographs.

Columns are numpy arrays, so that nothing here needs pandas; ``photos_frame`` and ``boxes_frame`` give DataFrames to
notebooks. Units are in the names. Unknown numbers are NaN, unknown words "" or, in groups, ``unknown``. It does not
measure anything.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from overflight.errors import ResourceError

if TYPE_CHECKING:
    from pandas import DataFrame

Column = NDArray[Any]
Columns = Mapping[str, Column]

UNKNOWN = "unknown"
ALTITUDE_BANDS = ("<15 m", "15-30 m", "30-60 m", "60-120 m", ">120 m", UNKNOWN)
TIMES_OF_DAY = ("night", "dusk", "morning", "noon", "afternoon", UNKNOWN)
KINDS = ("same-file", "near-duplicate", "same-ground")
GROUPS = ("flight", "site", "altitude_band", "time_of_day")

_WORD, _REAL, _FLAG = "object", "float32", "bool"

# Name of the column: type, what it says. The order is that of the tables.
PHOTO_COLUMNS: Mapping[str, tuple[str, str]] = {
    "photo": (_WORD, "key: path relative to the source"),
    "flight": (_WORD, "flight"),
    "site": (_WORD, "site-1 is the one with most photographs; positions less than 300 m apart are linked"),
    "altitude_band": (_WORD, "one of ALTITUDE_BANDS, by altitude_agl_m"),
    "time_of_day": (_WORD, "one of TIMES_OF_DAY, by the sun's elevation"),
    "fault": (_WORD, "why the file cannot be used (zero-bytes, truncated, unreadable, missing), else empty"),
    "format": (_WORD, "jpeg, png, tiff or empty"),
    "camera": (_WORD, "maker and model"),
    "captured_at": (_WORD, "ISO 8601 local time, with an offset where the file gives one"),
    "clock": (_WORD, "offset: the file gives it; longitude: estimated; empty: no time or no position"),
    "width_px": ("int32", "upright width, 0 when unknown"),
    "height_px": ("int32", "upright height, 0 when unknown"),
    "file_bytes": ("int64", "size of the file"),
    "latitude_deg": ("float64", "WGS 84"),
    "longitude_deg": ("float64", "WGS 84"),
    "altitude_agl_m": (_REAL, "height above take-off or ground"),
    "gimbal_pitch_deg": (_REAL, "-90 looks straight down"),
    "yaw_deg": (_REAL, "compass direction of the camera"),
    "gsd_cm": (_REAL, "side of a pixel on the ground at the centre (square root of its area)"),
    "sun_elevation_deg": (_REAL, "height of the sun above the horizon, within about half a degree"),
    "mean_luma": (_REAL, "mean brightness, 0..255"),
    "contrast": (_REAL, "standard deviation of luma"),
    "p1_luma": (_REAL, "1st percentile of luma"),
    "p99_luma": (_REAL, "99th percentile of luma"),
    "dark_share": (_REAL, "share of pixels with luma <= 5 (underexposed)"),
    "bright_share": (_REAL, "share of pixels with luma >= 250 (overexposed)"),
    "sharpness": (_REAL, "variance of the Laplacian at a longer side of 1024 px"),
    "focus": (_REAL, "structure that blur has not taken, 0.15..1.4 in sharp photographs (see PixelFacts)"),
    "noise_sigma": (_REAL, "standard deviation of noise in grey levels"),
    "entropy_bits": (_REAL, "entropy of the luma histogram"),
    "saturation": (_REAL, "mean HSV saturation, 0..255"),
    "colourfulness": (_REAL, "Hasler and Suesstrunk 2003: 0 grey, 33 moderate, 59 and more highly colourful"),
    "red_share": (_REAL, "mean red / (red + green + blue); 1/3 is neutral"),
    "green_share": (_REAL, "mean green / (red + green + blue)"),
    "blue_share": (_REAL, "mean blue / (red + green + blue)"),
    "illumination": (_REAL, "range of mean luma over a 4 x 4 grid / 255"),
    "haze": (_REAL, "dark channel / 255"),
    "missing_share": (_REAL, "share of rows that the decoder filled in for lack of data"),
    "phash": ("uint64", "perceptual hash, 0 where not decoded"),
    "labelled": (_FLAG, "its labels are known; no boxes then means an empty photograph"),
    "boxes": ("int32", "boxes, ignored regions not counted"),
    "ignored": ("int32", "ignored regions"),
    "classes": ("int32", "different classes among the boxes"),
    "cover_share": (_REAL, "sum of the boxes' areas / area of the photograph (more than 1 is possible)"),
    "overlapping_share": (_REAL, "share of its boxes that overlap another"),
    "neighbour_sides": (_REAL, "median over its boxes of box column neighbour_sides"),
    "border_share": (_REAL, "share of its boxes within 2 px of the border"),
    "same_file_as": (_WORD, "first photograph with equal bytes, else empty"),
    "near_duplicate_of": (_WORD, "photograph before it that is most like it, else empty"),
    "near_correlation": (_REAL, "likeness of the two, -1..1"),
    "same_ground_as": (_WORD, "photograph before it that shows the same ground, else empty"),
    "ground_share": (_REAL, "shared ground / smaller footprint"),
}

BOX_COLUMNS: Mapping[str, tuple[str, str]] = {
    "photo_index": ("int32", "row of its photograph"),
    "box_index": ("int32", "index within the labels of its photograph"),
    "class_id": ("int32", "index into the classes"),
    "x1_px": (_REAL, "left, as labelled"),
    "y1_px": (_REAL, "top"),
    "x2_px": (_REAL, "right"),
    "y2_px": (_REAL, "bottom"),
    "box_width_px": (_REAL, "x2 - x1, 0 where corners are swapped"),
    "box_height_px": (_REAL, "y2 - y1"),
    "box_side_px": (_REAL, "square root of the area"),
    "box_width_cm": (_REAL, "box_width_px * gsd_cm of its photograph"),
    "box_height_cm": (_REAL, "box_height_px * gsd_cm"),
    "box_side_cm": (_REAL, "box_side_px * gsd_cm"),
    "area_share": (_REAL, "area / area of the photograph"),
    "aspect": (_REAL, "width / height"),
    "centre_x": (_REAL, "of the photograph's width, 0 left .. 1 right"),
    "centre_y": (_REAL, "of the photograph's height, 0 top .. 1 bottom"),
    "neighbour_sides": (_REAL, "distance to the nearest other centre in the photograph / own side; NaN when alone"),
    "overlaps": (_FLAG, "another box shares at least a tenth of its area"),
    "at_border": (_FLAG, "within 2 px of the border: probably cut"),
    "near_border": (_FLAG, "within 1 % of the photograph's width or height of the border"),
}

PAIR_COLUMNS: Mapping[str, tuple[str, str]] = {
    "a": ("int32", "row of the earlier photograph"),
    "b": ("int32", "row of the later one"),
    "kind": (_WORD, "one of KINDS"),
    "value": (_REAL, "1 of the same file; correlation of near duplicates; shared ground / smaller footprint"),
}

# What profile.json describes by numbers, per photograph and per box.
PHOTO_FEATURES = (
    "width_px", "height_px", "file_bytes", "altitude_agl_m", "gimbal_pitch_deg", "gsd_cm", "sun_elevation_deg",
    "mean_luma", "contrast", "p1_luma", "p99_luma", "dark_share", "bright_share", "sharpness", "focus", "noise_sigma",
    "entropy_bits", "saturation", "colourfulness", "red_share", "green_share", "blue_share", "illumination", "haze",
    "boxes", "cover_share", "overlapping_share", "neighbour_sides", "border_share",
)  # fmt: skip
BOX_FEATURES = (
    "box_width_px", "box_height_px", "box_side_px", "box_width_cm", "box_height_cm", "box_side_cm", "area_share",
    "aspect", "centre_x", "centre_y", "neighbour_sides",
)  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """A survey as measured.

    Attributes:
        name: Of the survey or source.
        classes: Class names by index.
        photos: Columns of ``PHOTO_COLUMNS``, in the order of the keys; unusable photographs have a row too.
        boxes: Columns of ``BOX_COLUMNS``, photograph by photograph.
        neighbours: Columns of ``PAIR_COLUMNS``.
        summary: What ``profile.json`` holds (see ``overflight.data.profile.summary``).
        notes: Sentences on what could not be known.
    """

    name: str
    classes: tuple[str, ...]
    photos: Columns
    boxes: Columns
    neighbours: Columns
    summary: Mapping[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        """Number of photographs."""
        return len(self.photos["photo"])


def empty_columns(columns: Mapping[str, tuple[str, str]], rows: int) -> dict[str, Column]:
    """Columns of ``rows`` rows in which nothing is known: NaN, 0, False and ""."""
    found: dict[str, Column] = {}
    for name, (kind, _) in columns.items():
        blank: Any = "" if kind == _WORD else np.nan if kind.startswith("float") else 0
        found[name] = np.full(rows, blank, dtype=kind)
    return found


def photos_frame(profile: Profile) -> DataFrame:
    """One row per photograph, columns of ``PHOTO_COLUMNS``; groups are ordered categories.

    Raises:
        ResourceError: pandas is not installed.
    """
    pandas = _pandas()
    frame = pandas.DataFrame(dict(profile.photos))
    orders = {"altitude_band": ALTITUDE_BANDS, "time_of_day": TIMES_OF_DAY}
    for name in GROUPS:
        values = orders.get(name) or tuple(sorted(set(profile.photos[name].tolist())))
        frame[name] = pandas.Categorical(frame[name], categories=list(values), ordered=name in orders)
    return frame


def boxes_frame(profile: Profile) -> DataFrame:
    """One row per box: columns of ``BOX_COLUMNS``, ``photo``, ``class_name`` and the groups of its photograph.

    Raises:
        ResourceError: pandas is not installed.
    """
    pandas = _pandas()
    frame = pandas.DataFrame(dict(profile.boxes))
    of_photo = profile.boxes["photo_index"]
    frame.insert(0, "photo", profile.photos["photo"][of_photo])
    codes = profile.boxes["class_id"]
    names = [
        name if profile.classes.index(name) == index else f"{name} ({index})"  # categories must differ
        for index, name in enumerate(profile.classes)
    ]
    frame.insert(1, "class_name", pandas.Categorical.from_codes(codes, categories=names))
    photos = photos_frame(profile)
    for name in GROUPS:
        frame[name] = photos[name].array.take(of_photo)
    return frame


def neighbours_frame(profile: Profile) -> DataFrame:
    """One row per pair of like photographs: ``photo``, ``other``, ``kind``, ``value``.

    Raises:
        ResourceError: pandas is not installed.
    """
    keys, pairs = profile.photos["photo"], profile.neighbours
    columns = {"photo": keys[pairs["a"]], "other": keys[pairs["b"]], "kind": pairs["kind"], "value": pairs["value"]}
    return _pandas().DataFrame(columns)


def _pandas() -> Any:
    try:
        import pandas as pd
    except ImportError as error:
        raise ResourceError("pandas is not installed", cure="Run `pip install overflight[explore]`") from error
    return pd
