"""What is kept of a profile with a model, and how far photographs of later flights are from it.

A baseline is a part of ``profile.json`` (below 200 KB, whatever the size of the survey): the distributions of all
features, the class balance and the heat map. Two profiles are compared feature by feature by two figures that answer
different questions: PSI, how much weight moved between tenths of the first (below 0.1 nothing to speak of, above 0.25 a
shift), and KS, the largest difference of the cumulative distributions, 0..1. Both come from the bins, so KS is a lower
bound of that of the single values. By chance alone PSI is about 10 (1/n + 1/m) for n and m values: of 30 photographs it
says little.

Sources: N. Siddiqi, Credit Risk Scorecards (2006), for PSI and its limits; A. N. Kolmogorov 1933, N. Smirnov 1948.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.data.profile.summary import SCHEMA, feature
from overflight.data.profile.tables import BOX_FEATURES, PHOTO_FEATURES, UNKNOWN, Profile
from overflight.errors import InputError

MAX_CLASSES = 500

_PSI_BINS = 10
BASELINE_FILE = "baseline.json"
_KEPT = ("schema", "name", "photos", "boxes", "classes", "features", "class_balance", "heat_map", "crowding", "borders")


@dataclass(frozen=True)
class Shift:
    """How far one feature moved.

    Attributes:
        feature: ``photos.mean_luma``, ``boxes.box_side_px``, ``classes``, ``altitude_band`` ...
        psi: Population stability index, 0 when equal.
        ks: Largest difference of the cumulative distributions, 0..1; of words half the sum of differences of shares.
        count: Values in the second profile.
    """

    feature: str
    psi: float
    ks: float
    count: int


def baseline(profile: Profile) -> dict[str, Any]:
    """The part of ``profile.summary`` that is stored with a model, and photographs by altitude band and time of day."""
    found = {name: profile.summary[name] for name in _KEPT}
    # Of thousands of classes the rare ones are added up: they cannot be told from chance anyway.
    balance = [{"name": entry["name"], "boxes": entry["boxes"]} for entry in found["class_balance"]]
    if len(balance) > MAX_CLASSES:
        balance.sort(key=lambda entry: (-entry["boxes"], entry["name"]))
        rest = sum(entry["boxes"] for entry in balance[MAX_CLASSES:])
        balance = [*balance[:MAX_CLASSES], {"name": "all others", "boxes": rest}]
        found["classes"] = [entry["name"] for entry in balance]
    found["class_balance"] = [{**entry, "name": entry["name"][:100]} for entry in balance]
    found["classes"] = [name[:100] for name in found["classes"]]
    for group in ("altitude_band", "time_of_day"):
        found[group] = {name: entry["photos"] for name, entry in profile.summary["groups"][group].items()}
    return found


def compare_profiles(reference: Mapping[str, Any], later: Profile) -> list[Shift]:
    """Shifts of ``later`` against ``reference``, the largest PSI first; features unknown to either are left out.

    Args:
        reference: A baseline or a whole ``profile.json``.
        later: The profile to judge.

    Raises:
        InputError: ``reference`` is of another schema.
    """
    if reference.get("schema") != SCHEMA:
        raise InputError(f"is not a profile of the schema {SCHEMA}", cure="Store the model's profile again")
    found = []
    for table, names in (("photos", PHOTO_FEATURES), ("boxes", BOX_FEATURES)):
        for name in names:
            histogram = (reference["features"][table].get(name) or {}).get("histogram")
            values = feature(later.photos, name) if table == "photos" else later.boxes[name].astype(np.float64)
            values = values[np.isfinite(values)]
            if histogram is None or not len(values):
                continue
            edges = np.array(histogram["edges"])
            counts = np.histogram(np.clip(values, edges[0], edges[-1]), edges)[0]
            found.append(_shift(f"{table}.{name}", histogram["counts"], counts, ordered=True))
    for name, before, after in _words(reference, baseline(later)):
        words = sorted(before.keys() | after.keys())
        counts_of = [np.array([counts.get(word, 0) for word in words]) for counts in (before, after)]
        if all(counts.sum() for counts in counts_of):
            found.append(_shift(name, *counts_of, ordered=False))
    return sorted(found, key=lambda shift: (-shift.psi, shift.feature))


def psi(before: NDArray[np.float64], after: NDArray[np.float64]) -> float:
    """Sum of (q - p) ln(q / p) over the shares p and q of counts (K,), half a count added to each (Jeffreys' prior).

    So an empty bin is finite and weighs as little as the number of values allows.
    """
    p, q = ((counts + 0.5) / (counts.sum() + 0.5 * len(counts)) for counts in (before, after))
    return float(((q - p) * np.log(q / p)).sum())


def _words(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[tuple[str, dict[str, int], dict[str, int]]]:
    """Counts by word: classes, and groups whose names mean the same in every survey, where both know them."""
    tables = []
    for document in (before, after):
        words = {"classes": {entry["name"]: entry["boxes"] for entry in document["class_balance"]}}
        for group in ("altitude_band", "time_of_day"):
            found = document.get(group) or _photos_of(document, group)
            words[group] = {name: count for name, count in found.items() if name != UNKNOWN}
        tables.append(words)
    return [(name, tables[0][name], tables[1][name]) for name in tables[0]]


def _photos_of(document: Mapping[str, Any], group: str) -> dict[str, int]:
    groups = document.get("groups", {}).get(group, {})
    return {name: entry["photos"] for name, entry in groups.items()}


def _shift(name: str, before: Sequence[int] | NDArray[Any], after: NDArray[Any], *, ordered: bool) -> Shift:
    first, second = np.asarray(before, dtype=np.float64), np.asarray(after, dtype=np.float64)
    p, q = first / first.sum(), second / second.sum()
    if not ordered:
        return Shift(name, psi(first, second), min(1.0, float(np.abs(p - q).sum() / 2)), int(second.sum()))
    ks = float(np.abs(np.cumsum(p) - np.cumsum(q)).max())
    # Tenths of the first: of narrow bins with few values PSI would mostly measure chance.
    tenth = np.minimum((np.cumsum(p) - p / 2) * _PSI_BINS, _PSI_BINS - 1).astype(np.int64)
    merged = [np.bincount(tenth, weights=counts)[np.unique(tenth)].astype(np.float64) for counts in (first, second)]
    return Shift(name, psi(merged[0], merged[1]), min(1.0, ks), int(second.sum()))
