"""Profiles made by hand: photographs and boxes as rows, everything else unknown."""

from __future__ import annotations

import numpy as np

from overflight.data.profile.summary import summary_of
from overflight.data.profile.tables import BOX_COLUMNS, PAIR_COLUMNS, PHOTO_COLUMNS, Profile, empty_columns


def columns(names, rows):
    """Columns of ``rows`` (mappings of what is known)."""
    found = empty_columns(names, len(rows))
    for index, row in enumerate(rows):
        for name, value in row.items():
            found[name][index] = value
    return found


def made_profile(photos, boxes=(), pairs=(), *, classes=("car", "bus"), name="hand-made"):
    """A profile of rows; photographs are labelled, named by their number, of 640x480 px and of flight ``f1``."""
    counts = np.bincount([box["photo_index"] for box in boxes], minlength=len(photos)) if boxes else [0] * len(photos)
    usual = [
        {"photo": f"p{index}.jpg", "flight": "f1", "site": "unknown", "altitude_band": "unknown",
         "time_of_day": "unknown", "width_px": 640, "height_px": 480, "labelled": True, "boxes": counts[index],
         **photo}
        for index, photo in enumerate(photos)
    ]  # fmt: skip
    profile = Profile(
        name, tuple(classes), columns(PHOTO_COLUMNS, usual), columns(BOX_COLUMNS, boxes), columns(PAIR_COLUMNS, pairs)
    )
    return Profile(**{**vars(profile), "summary": summary_of(profile)})


def made_box(photo, *, class_id=0, side=40.0, at=(0.5, 0.5), size_wh=(640, 480), **more):
    """A square box with its centre at a share of the photograph."""
    x, y = at[0] * size_wh[0], at[1] * size_wh[1]
    return {
        "photo_index": photo, "class_id": class_id, "x1_px": x - side / 2, "y1_px": y - side / 2, "x2_px": x + side / 2,
        "y2_px": y + side / 2, "box_width_px": side, "box_height_px": side, "box_side_px": side, "aspect": 1.0,
        "centre_x": at[0], "centre_y": at[1], "area_share": side**2 / size_wh[0] / size_wh[1], **more,
    }  # fmt: skip
