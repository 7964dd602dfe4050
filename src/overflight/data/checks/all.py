"""Every check by its code, and the codes that other parts of the reading give their findings.

Together they are the catalogue: a code that is in none of the two could be configured and never be found. Codes that
say that a stored survey was damaged after it was made (``digest``, ``missing``, ``unlisted`` and others of
``overflight.data.stored``) are not among them: those are always errors.
"""

from __future__ import annotations

from collections.abc import Mapping

from overflight.data.checks import label_checks, pair_checks, photo_checks, split_checks, survey_checks
from overflight.data.checks.subject import Check

CHECKS: Mapping[str, Check] = {
    "unreadable": photo_checks.unreadable,
    "truncated": photo_checks.truncated,
    "wrong-extension": photo_checks.wrong_extension,
    "zero-bytes": photo_checks.zero_bytes,
    "rotated": photo_checks.rotated,
    "odd-size": photo_checks.odd_size,
    "odd-aspect": photo_checks.odd_aspect,
    "mixed-pixels": photo_checks.mixed_pixels,
    "dark": photo_checks.dark,
    "bright": photo_checks.bright,
    "low-contrast": photo_checks.low_contrast,
    "blurry": photo_checks.blurry,
    "low-information": photo_checks.low_information,
    "noisy": photo_checks.noisy,
    "clipped": photo_checks.clipped,
    "uneven-light": photo_checks.uneven_light,
    "haze": photo_checks.haze,
    "resolution-outlier": photo_checks.resolution_outlier,
    "repeated": photo_checks.repeated,
    "empty-labels": label_checks.empty_labels,
    "outside": label_checks.outside,
    "no-size": label_checks.no_size,
    "tiny": label_checks.tiny,
    "huge": label_checks.huge,
    "odd-box-aspect": label_checks.odd_box_aspect,
    "duplicate-box": pair_checks.duplicate_box,
    "overlap-same": pair_checks.overlap_same,
    "overlap-other": pair_checks.overlap_other,
    "count-outlier": label_checks.count_outlier,
    "overhang": label_checks.overhang,
    "sliver": label_checks.sliver,
    "class-names": survey_checks.class_names,
    "few-boxes": survey_checks.few_boxes,
    "imbalance": survey_checks.imbalance,
    "no-boxes": survey_checks.no_boxes,
    "one-flight": survey_checks.one_flight,
    "two-flights": survey_checks.two_flights,
    "lone-photos": survey_checks.lone_photos,
    "no-position": photo_checks.no_position,
    "class-absent": split_checks.class_absent,
    "leak": split_checks.leak,
    "near-duplicate": split_checks.near_duplicate,
    "flight-torn": split_checks.flight_torn,
    "ground-overlap": split_checks.ground_overlap,
    "shift": split_checks.shift,
}

READER_CODES: Mapping[str, str] = {
    "missing-labels": "readers of labels",
    "no-labels": "choice of the format",
    "orphan-labels": "reader of YOLO",
    "columns": "readers of labels",
    "not-a-number": "readers of labels",
    "not-finite": "readers of labels",
    "unknown-class": "readers of labels",
    "class-names": "readers of labels, where two lists of classes disagree",
    "area-field": "reader of COCO",
    "repeated-id": "reader of COCO",
    "name-differs": "readers of labels",
    "missing-photo": "readers of labels",
    "size-differs": "readers of labels",
    "shared-labels": "reader of YOLO",
    "two-label-files": "reader of YOLO",
    "no-box": "readers of labels",
    "damaged": "readers of labels",
    "unreadable-photo": "readers of labels",
    "split-list": "reader of given splits",
    "link": "search for files",
    "format": "search for files",
    "same-name": "search for files",
    "names-alike": "search for files, copy from S3",
    "name": "search for files",
    "flight-pause": "inference of flights",
    "flight-jump": "inference of flights",
    "flight-camera": "inference of flights",
    "clock": "inference of flights",
    "table": "reader of flights.csv",
    "table-extra": "reader of flights.csv",
    "table-gap": "reader of flights.csv",
}
"""Codes of findings that are made while reading, and where; they get their level and their limits here too."""
