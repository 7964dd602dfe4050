"""``profile.json``: the distributions of a survey, small enough to keep and to compare with later photographs.

Schema ``overflight.profile/1``::

    name, photos, boxes, classes[], notes[]
    unusable              photographs by fault
    features.photos.X     count, mean, std, min, max, quantiles {"1": .., "99": ..}, histogram {edges, counts}
    features.boxes.X      the same per box
    class_balance[]       name, boxes, share of boxes, photos, median_side_px, median_side_cm
    co_occurrence         photographs in which both classes are; the diagonal is photographs per class
    heat_map              32 x 32 counts of box centres, rows from the top
    groups.G.NAME         photos, unusable, boxes, classes {}, features {X: {mean, quantiles}}; G as in GROUPS;
                          features only of the 500 flights or sites with most photographs
    alike                 same_file, near_duplicates, same_ground: photographs that repeat an earlier one
    crowding, borders     shares and medians over all boxes

Quantiles are by linear interpolation, unknown values are left out of everything and counted nowhere; null stands where
nothing is known. Equal surveys give equal bytes: there is no date in it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.data.profile.tables import (
    ALTITUDE_BANDS,
    BOX_FEATURES,
    GROUPS,
    PHOTO_FEATURES,
    TIMES_OF_DAY,
    Column,
    Columns,
    Profile,
)

SCHEMA = "overflight.profile/1"
QUANTILES = (1, 5, 25, 50, 75, 95, 99)
HEAT_CELLS = 32
MOST_DESCRIBED = 500

# Fixed edges, so that two surveys have the same bins; others are between their own 0.5 % and 99.5 % quantiles.
_RANGES: Mapping[str, tuple[float, float, int]] = {
    **dict.fromkeys(("mean_luma", "p1_luma", "p99_luma", "saturation"), (0.0, 256.0, 32)),
    **dict.fromkeys(("dark_share", "bright_share", "illumination", "haze", "overlapping_share"), (0.0, 1.0, 25)),
    **dict.fromkeys(("border_share", "centre_x", "centre_y"), (0.0, 1.0, 25)),
    **dict.fromkeys(("red_share", "green_share", "blue_share"), (0.2, 0.5, 30)),
    "contrast": (0.0, 128.0, 32),
    "focus": (0.0, 2.0, 40),
    "entropy_bits": (0.0, 8.0, 32),
    "colourfulness": (0.0, 120.0, 30),
    "gimbal_pitch_deg": (-90.0, 30.0, 24),
    "sun_elevation_deg": (-90.0, 90.0, 36),
}
_LOGARITHMIC = frozenset({*BOX_FEATURES, "sharpness", "noise_sigma", "file_bytes"} - {"centre_x", "centre_y"})
_BINS = 30
_GROUP_QUANTILES = (5, 50, 95)


def summary_of(profile: Profile) -> dict[str, Any]:
    """The document described above."""
    photos, boxes = profile.photos, profile.boxes
    classes = len(profile.classes)
    return {
        "schema": SCHEMA,
        "name": profile.name,
        "photos": len(profile),
        "boxes": len(boxes["class_id"]),
        "classes": list(profile.classes),
        "notes": list(profile.notes),
        "unusable": dict(sorted(Counter(fault for fault in photos["fault"].tolist() if fault).items())),
        "labelled_photos": int(photos["labelled"].sum()),
        "empty_photos": int((photos["labelled"] & (photos["boxes"] == 0)).sum()),
        "features": {
            "photos": {name: distribution(name, feature(photos, name)) for name in PHOTO_FEATURES},
            "boxes": {name: distribution(name, boxes[name]) for name in BOX_FEATURES},
        },
        "class_balance": _class_balance(profile),
        "co_occurrence": co_occurrence(boxes, classes=classes).tolist(),
        "heat_map": heat_map(boxes).tolist(),
        "groups": {name: _group(profile, name) for name in GROUPS},
        "alike": {
            "same_file": int((photos["same_file_as"] != "").sum()),
            "near_duplicates": int((photos["near_duplicate_of"] != "").sum()),
            "same_ground": int((photos["same_ground_as"] != "").sum()),
        },
        "crowding": {
            "overlapping_share": _share(boxes["overlaps"]),
            "median_neighbour_sides": _median(boxes["neighbour_sides"]),
        },
        "borders": {
            "at_border_share": _share(boxes["at_border"]),
            "near_border_share": _share(boxes["near_border"]),
        },
    }


def feature(photos: Columns, name: str) -> NDArray[np.float64]:
    """Column ``name`` of photographs as numbers, NaN where it says nothing: no size, no file, no labels."""
    values = photos[name].astype(np.float64)
    if name in ("width_px", "height_px", "file_bytes"):
        values[values == 0] = math.nan
    elif name == "boxes":
        values[~photos["labelled"]] = math.nan
    return np.asarray(values, dtype=np.float64)


def distribution(name: str, values: Column) -> dict[str, Any]:
    """Count, mean, deviation, range, quantiles and histogram of the finite values."""
    used = _finite(values)
    if not len(used):
        return {"count": 0, "mean": None, "std": None, "min": None, "max": None, "quantiles": {}, "histogram": None}
    edges = _edges(name, used)
    # What lies outside counts in the first or the last bin, so that counts add up to the count.
    counts = np.histogram(np.clip(used, edges[0], edges[-1]), edges)[0]
    return {
        "count": len(used),
        "mean": _real(used.mean()),
        "std": _real(used.std()),
        "min": _real(used.min()),
        "max": _real(used.max()),
        "quantiles": _quantiles(used, QUANTILES),
        "histogram": {"edges": edges.tolist(), "counts": counts.tolist()},
    }


def co_occurrence(boxes: Columns, *, classes: int) -> NDArray[np.int64]:
    """Photographs (C, C) that hold both classes; on the diagonal those that hold the class."""
    found = np.zeros((classes, classes), dtype=np.int64)
    if not len(boxes["class_id"]) or not classes:
        return found
    pairs = np.unique(boxes["photo_index"].astype(np.int64) * classes + boxes["class_id"])
    of, kinds = pairs // classes, pairs % classes
    heads = np.flatnonzero(np.concatenate([[True], np.diff(of) != 0]))
    # Few photographs hold different sets of classes: each set is counted once.
    sets = Counter(tuple(part.tolist()) for part in np.split(kinds, heads[1:]))
    for held, count in sets.items():
        found[np.ix_(held, held)] += count
    return found


def heat_map(boxes: Columns, *, cells: int = HEAT_CELLS) -> NDArray[np.int64]:
    """Centres (cells, cells) of boxes, rows from the top; centres outside the photograph count at its border."""
    known = np.isfinite(boxes["centre_x"]) & np.isfinite(boxes["centre_y"])
    column = np.clip(boxes["centre_x"][known] * cells, 0, cells - 1).astype(np.int64)
    row = np.clip(boxes["centre_y"][known] * cells, 0, cells - 1).astype(np.int64)
    return np.bincount(row * cells + column, minlength=cells**2).reshape(cells, cells)


def _class_balance(profile: Profile) -> list[dict[str, Any]]:
    boxes, ids = profile.boxes, profile.boxes["class_id"]
    counts = np.bincount(ids, minlength=len(profile.classes))
    held = np.diag(co_occurrence(boxes, classes=len(profile.classes)))
    found = []
    for index, name in enumerate(profile.classes):
        mine = ids == index
        found.append(
            {
                "name": name,
                "boxes": int(counts[index]),
                "share": _real(counts[index] / len(ids)) if len(ids) else None,
                "photos": int(held[index]),
                "median_side_px": _median(boxes["box_side_px"][mine]),
                "median_side_cm": _median(boxes["box_side_cm"][mine]),
            }
        )
    return found


def _group(profile: Profile, group: str) -> dict[str, Any]:
    """Figures by flight, site, altitude band or time of day."""
    photos, ids = profile.photos, profile.boxes["class_id"]
    orders = {"altitude_band": ALTITUDE_BANDS, "time_of_day": TIMES_OF_DAY}
    names = sorted(set(photos[group].tolist()), key=_place(orders.get(group)))
    number = {name: index for index, name in enumerate(names)}
    of_photo = np.array([number[name] for name in photos[group].tolist()], dtype=np.int64)
    classes = max(1, len(profile.classes))
    table = np.bincount(of_photo[profile.boxes["photo_index"]] * classes + ids, minlength=len(names) * classes)
    per_class = table.reshape(-1, classes)
    rows = _runs(of_photo, len(names))
    features = {name: feature(photos, name) for name in PHOTO_FEATURES}
    sizes = np.array([len(members) for members in rows])
    described = set(np.argsort(-sizes, kind="stable")[:MOST_DESCRIBED].tolist())
    return {
        name: {
            "photos": len(rows[index]),
            "unusable": int((photos["fault"][rows[index]] != "").sum()),
            "boxes": int(per_class[index].sum()),
            "classes": dict(zip(profile.classes, per_class[index].tolist(), strict=False)),
            "features": {
                key: {"mean": _real(used.mean()), "quantiles": _quantiles(used, _GROUP_QUANTILES)}
                for key, values in (features.items() if index in described else ())
                if len(used := _finite(values[rows[index]]))
            },
        }
        for name, index in number.items()
    }


def _place(order: Sequence[str] | None) -> Any:
    """Key for sorting: the given order, else natural (``site-2`` before ``site-10``) with ``unknown`` last."""
    if order is not None:
        return order.index

    def natural(name: str) -> tuple[bool, str, int, str]:
        head = name.rstrip("0123456789")
        digits = name[len(head) :]
        return name == "unknown", head, int(digits[:18] or 0), name

    return natural


def _runs(group: NDArray[np.int64], count: int) -> list[NDArray[np.int64]]:
    order = np.argsort(group, kind="stable")
    return np.split(order, np.searchsorted(group[order], np.arange(1, count)))


def _edges(name: str, used: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ascending edges of bins, with as many digits as the file will hold, so that counts can be repeated from it."""
    if name in _RANGES:
        low, high, bins = _RANGES[name]
        return np.linspace(low, high, bins + 1)
    low, high = (float(value) for value in np.quantile(used, (0.005, 0.995)))
    if name == "boxes":
        low, high = min(0.0, low), max(high, low + 1.0)
    if high - low <= 1e-4 * max(abs(low), abs(high), 1e-9):  # one value: it lies in the middle of the middle bin
        half = max(0.01 * abs(low), 1e-6)
        edges = np.linspace(low - half, low + half, _BINS + 2)
    elif name in _LOGARITHMIC and low > 0:
        edges = np.geomspace(low, high, _BINS + 1)
    else:
        edges = np.linspace(low, high, _BINS + 1)
    return np.array([_real(edge, digits=10) for edge in edges])


def _quantiles(used: NDArray[np.float64], percents: Sequence[int]) -> dict[str, float]:
    values = np.quantile(used, np.array(percents) / 100)
    return {str(percent): _real(value) for percent, value in zip(percents, values, strict=True)}


def _finite(values: Column) -> NDArray[np.float64]:
    return np.asarray(values[np.isfinite(values)], dtype=np.float64)


def _share(mask: Column) -> float | None:
    return _real(mask.mean()) if len(mask) else None


def _median(values: Column) -> float | None:
    used = _finite(values)
    return _real(np.median(used)) if len(used) else None


def _real(value: Any, *, digits: int = 6) -> float:
    """Six digits: enough for people and comparisons, and the file stays small."""
    return float(f"{float(value):.{digits}g}")
