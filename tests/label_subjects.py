"""Label sets and subjects for tests of checks, without files."""

from pathlib import Path

import numpy as np

from overflight.data.checks.catalogue import load_catalogue
from overflight.data.checks.subject import Subject
from overflight.data.flights import FlightOf
from overflight.data.formats.labels import LabelSet, PhotoLabels, xyxy_of_corners


def photo(*boxes, classes=None, size=(400, 300), ignored=None, file="a.txt", corners=None, first=1):
    """Labels of one photograph: boxes as (x1, y1, x2, y2), class 0 unless given."""
    xyxy = np.array(boxes, dtype=np.float64).reshape(-1, 4)
    corners_px = None if corners is None else np.array(corners, dtype=np.float64).reshape(-1, 4, 2)
    if corners_px is not None:
        xyxy = xyxy_of_corners(corners_px)
    return PhotoLabels(
        size_wh_px=size,
        class_ids=np.array([0] * len(xyxy) if classes is None else classes, dtype=np.int64),
        xyxy_px=xyxy,
        numbers=np.arange(first, first + len(xyxy)),
        file=file,
        corners_px=corners_px,
        ignored=None if ignored is None else np.array(ignored, dtype=np.bool_),
    )


def labels_of(*photos, classes=("car", "truck", "bus")):
    """A set of photographs called a.jpg, b.jpg, ..."""
    return LabelSet("yolo", classes, {f"{chr(97 + index)}.jpg": one for index, one in enumerate(photos)})


def subject_of(labels, *, flights=None, **options):
    """A subject; all photographs are of one flight unless a mapping is given."""
    found = {key: FlightOf("f1", "folder") for key in labels.photos} if flights is None else flights
    return Subject("harbour", Path(), {}, labels, found, **options)


def limits(code, **changed):
    """The limits of a check as in the catalogue, with changes."""
    return {**load_catalogue()[code].limits, **changed}
