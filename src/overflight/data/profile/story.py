"""What stands out in a survey, in plain sentences with their figures, and the figures of the head of a report.

Every sentence follows from columns of the profile. It does not judge single photographs; that is what checks do.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from overflight.data.profile.charts import number
from overflight.data.profile.tables import Profile

SMALL_SIDE_PX = 32
_DOMINANT, _RARE_BOXES, _NEAR_SHARE, _LARGE_FLIGHT = 0.75, 20, 0.2, 0.4
_GSD_RATIO, _LUMA_APART, _EMPTY_SHARE = 1.5, 40.0, 0.3
_NAMED = 4

Tone = Literal["good", "look", "bad"]


@dataclass(frozen=True)
class Remark:
    """A sentence; ``look`` asks for a second look, ``bad`` stands in the way."""

    tone: Tone
    text: str


def head(profile: Profile) -> dict[str, str]:
    """Figures for the head of a report."""
    photos, boxes = profile.photos, profile.boxes
    days = sorted(stamp[:10] for stamp in photos["captured_at"].tolist() if stamp)
    gsd = photos["gsd_cm"][np.isfinite(photos["gsd_cm"])]
    sides = boxes["box_side_px"]
    return {
        "photos": number(len(profile)),
        "boxes": number(len(boxes["class_id"])),
        "classes": number(len(profile.classes)),
        "flights": number(len(set(photos["flight"].tolist()))),
        "files": _bytes(float(photos["file_bytes"].sum())),
        "taken": _period(days[0], days[-1]) if days else "unknown",
        "ground per pixel (median)": f"{number(float(np.median(gsd)))} cm" if len(gsd) else "unknown",
        "side of objects (median)": f"{number(float(np.median(sides)))} px" if len(sides) else "no boxes",
    }


def stands_out(profile: Profile, *, errors: int = 0, warnings: int = 0) -> list[Remark]:
    """What a person should know before training, most pressing first."""
    if not len(profile):
        return [Remark("bad", "There are no photographs.")]
    found = [
        *_faults(profile, errors, warnings),
        *_classes(profile),
        *_sizes(profile),
        *_copies(profile),
        *_flights(profile),
        *_light(profile),
        *_ground(profile),
        *_empty(profile),
    ]
    order: dict[Tone, int] = {"bad": 0, "look": 1, "good": 2}
    return sorted(found, key=lambda remark: order[remark.tone])


def flight_counts(profile: Profile) -> list[tuple[str, int]]:
    """Flights with their number of photographs, by name."""
    names, counts = np.unique(profile.photos["flight"].astype(str), return_counts=True)
    return list(zip(names.tolist(), counts.tolist(), strict=True))


def has_position(profile: Profile) -> NDArray[np.bool_]:
    """(P,) whether a photograph says where it was taken."""
    return np.asarray(np.isfinite(profile.photos["latitude_deg"]) & np.isfinite(profile.photos["longitude_deg"]))


def _faults(profile: Profile, errors: int, warnings: int) -> Iterator[Remark]:
    faulty = int((profile.photos["fault"] != "").sum())
    if faulty:
        yield Remark("bad", f"{_many(faulty, 'photograph')} cannot be used: unreadable, cut off or missing.")
    if errors:
        yield Remark("bad", f"The checks found {_many(errors, 'error')}: not fit for training as it is.")
    elif warnings:
        yield Remark("look", f"The checks found no errors and {_many(warnings, 'warning')}.")


def _classes(profile: Profile) -> Iterator[Remark]:
    ids = profile.boxes["class_id"]
    if not len(ids):
        yield Remark("bad", "There are no boxes: nothing can be learned from it.")
        return
    counts = np.bincount(ids, minlength=len(profile.classes))
    most = int(counts.argmax())
    share = float(counts[most] / len(ids))
    if len(profile.classes) > 1 and share >= _DOMINANT:
        text = f"{profile.classes[most]} is {share:.0%} of all boxes: look at scores per class, not at their mean."
        yield Remark("look", text)
    never = [name for name, count in zip(profile.classes, counts.tolist(), strict=True) if not count]
    if never:
        verb = "is" if len(never) == 1 else "are"
        yield Remark("look", f"{_named(never)} {verb} declared and never used: a detector cannot learn it.")
    rare = [
        f"{name} ({count})"
        for name, count in zip(profile.classes, counts.tolist(), strict=True)
        if 0 < count < _RARE_BOXES
    ]
    if rare:
        verb = "has" if len(rare) == 1 else "have"
        yield Remark("look", f"{_named(rare)} {verb} fewer than {_RARE_BOXES} boxes: a score would be luck.")
    flights = profile.photos["flight"].astype(str)[profile.boxes["photo_index"]]
    single = [
        name
        for index, name in enumerate(profile.classes)
        if counts[index] >= _RARE_BOXES and len(set(flights[ids == index].tolist())) == 1
    ]
    if single and len(set(flights.tolist())) > 1:
        verb = "occurs" if len(single) == 1 else "occur"
        yield Remark("look", f"{_named(single)} {verb} in one flight only: train and test cannot both have it.")


def _sizes(profile: Profile) -> Iterator[Remark]:
    sides = profile.boxes["box_side_px"]
    if not len(sides):
        return
    small = float((sides < SMALL_SIDE_PX).mean())
    width = float(np.median(profile.photos["width_px"]))
    median = float(np.median(sides))
    text = f"{small:.0%} of the objects are smaller than {SMALL_SIDE_PX} px (median side {number(median)} px)"
    if width > 0 and median * 640 / width < 16:
        scaled = number(median * 640 / width)
        yield Remark("look", f"{text}; a whole photograph scaled to 640 px leaves {scaled} px of it: cut tiles.")
    else:
        yield Remark("look" if small > 0.5 else "good", f"{text}.")


def _copies(profile: Profile) -> Iterator[Remark]:
    if len(profile) < 2:
        return
    same = int((profile.photos["same_file_as"] != "").sum())
    if same:
        yield Remark("look", f"{_many(same, 'photograph')} {'is' if same == 1 else 'are'} an exact copy of another.")
    near = (profile.photos["near_duplicate_of"] != "") | (profile.photos["same_file_as"] != "")
    share = float(near.mean())
    if share >= _NEAR_SHARE:
        text = f"{share:.0%} of the photographs nearly repeat another: a random split would test on training images."
        yield Remark("look", text)
    elif share:
        yield Remark("good", f"{share:.0%} of the photographs nearly repeat another.")
    ground = float((profile.photos["same_ground_as"] != "").mean())
    if ground >= _NEAR_SHARE:
        text = f"{ground:.0%} of the photographs show ground that an earlier one shows too: split by ground."
        yield Remark("look", text)


def _flights(profile: Profile) -> Iterator[Remark]:
    flights = flight_counts(profile)
    if len(flights) == 1:
        yield Remark("look", "It is one single flight: how a detector does on another flight cannot be measured.")
        return
    name, most = max(flights, key=lambda item: item[1])
    if most / len(profile) >= _LARGE_FLIGHT:
        yield Remark("look", f"Flight {name} holds {most / len(profile):.0%} of the photographs.")


def _light(profile: Profile) -> Iterator[Remark]:
    luma = profile.photos["mean_luma"]
    known = np.isfinite(luma)
    if known.sum() < 3:
        return
    low, high = np.percentile(luma[known], [5, 95]).tolist()
    yield Remark("good", f"Mean brightness runs from {low:.0f} to {high:.0f} of 255 (5th to 95th percentile).")
    middle = float(np.median(luma[known]))
    names = profile.photos["flight"].astype(str)
    for name, _ in flight_counts(profile):
        of_flight = luma[known & (names == name)]
        apart = float(np.median(of_flight)) - middle if len(of_flight) else 0.0
        if abs(apart) >= _LUMA_APART:
            word = "darker" if apart < 0 else "brighter"
            yield Remark("look", f"Flight {name} is much {word} than the survey (by {abs(apart):.0f} grey levels).")


def _ground(profile: Profile) -> Iterator[Remark]:
    there = has_position(profile)
    names = profile.photos["flight"].astype(str)
    without = [name for name, _ in flight_counts(profile) if not there[names == name].any()]
    flights = len(flight_counts(profile))
    if without:
        some = "No flight has" if len(without) == flights else f"{len(without)} of {flights} flights have no"
        rest = " GPS positions" if len(without) == flights else f" GPS positions ({_named(without)})"
        yield Remark("look", f"{some}{rest}: neither map nor shared ground can be known there.")
    gsd = profile.photos["gsd_cm"][np.isfinite(profile.photos["gsd_cm"])]
    if len(gsd) > 1:
        low, high = np.percentile(gsd, [5, 95]).tolist()
        ratio = high / low if low > 0 else 1.0
        text = f"A pixel covers {number(low)} to {number(high)} cm of ground (5th to 95th percentile)"
        if ratio >= _GSD_RATIO:
            yield Remark("look", f"{text}: the same object is {ratio:.1f} times as large in some photographs.")
        else:
            yield Remark("good", f"{text}.")


def _empty(profile: Profile) -> Iterator[Remark]:
    labelled = profile.photos["labelled"].astype(bool)
    unknown = int((~labelled & (profile.photos["fault"] == "")).sum())
    if unknown:
        yield Remark("look", f"{_many(unknown, 'photograph')} {'has' if unknown == 1 else 'have'} no labels at all.")
    if labelled.any():
        share = float((profile.photos["boxes"][labelled] == 0).mean())
        if share >= _EMPTY_SHARE:
            yield Remark("look", f"{share:.0%} of the labelled photographs hold no object.")


def _many(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _named(names: list[str]) -> str:
    shown = names[:_NAMED] + ([f"{len(names) - _NAMED} more"] if len(names) > _NAMED else [])
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def _period(first: str, last: str) -> str:
    """A day, a month, or two months."""
    if first[:7] == last[:7]:
        return first if first == last else first[:7]
    return f"{first[:7]} to {last[:7]}"


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB"):
        if count < 1000:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} GB"
