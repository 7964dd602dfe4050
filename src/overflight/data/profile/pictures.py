"""Which photographs a report shows: typical, extreme and suspicious ones, each with its boxes and a figure.

It chooses from the columns of a profile and draws with the gallery of the checks. It does not judge.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.catalogue import Catalogue
from overflight.data.checks.gallery import Example, ReadPhoto, example_of, example_of_finding, view_of
from overflight.data.findings import Finding
from overflight.data.formats.labels import PhotoLabels
from overflight.data.profile.charts import number
from overflight.data.profile.tables import Profile

TYPICAL, PER_EXTREME, SUSPICIOUS = 8, 2, 12
_TYPICAL_BY = ("mean_luma", "contrast", "focus", "colourfulness", "boxes")

Labels = Mapping[str, PhotoLabels]


@dataclass(frozen=True)
class Pick:
    """A photograph to be shown.

    Attributes:
        row: Of the photographs.
        why: What it is an example of, with the figure.
        box: Row of the boxes that it is about; None: the whole photograph.
    """

    row: int
    why: str
    box: int | None = None


@dataclass(frozen=True)
class Gallery:
    """Pictures under one title."""

    id: str
    title: str
    text: str
    examples: tuple[Example, ...]


def galleries(
    profile: Profile, *, labels: Labels, read: ReadPhoto, findings: Sequence[Finding], catalogue: Catalogue
) -> list[Gallery]:
    """Typical, extreme and suspicious photographs, those that can be shown.

    Args:
        profile: Of the survey.
        labels: By photo key, to draw boxes.
        read: Gives the bytes of a photograph by key; may raise InputError or OSError.
        findings: Of the checks.
        catalogue: Titles of the checks and their order.
    """
    made = [
        Gallery(
            "typical",
            "Typical photographs",
            "Closest to the median in brightness, contrast, focus, colour and number of objects; flights take turns. "
            "Are these what the detector will meet?",
            tuple(_drawn(profile, typical(profile), labels, read)),
        ),
        Gallery(
            "extreme",
            "Extreme photographs",
            "The ends of the distributions above. Decide for each end: is it the world, or a mistake?",
            tuple(_drawn(profile, extreme(profile), labels, read)),
        ),
        Gallery(
            "suspicious",
            "Suspicious photographs",
            "The worst finding of each check, the boxes that it speaks of in red. "
            "The command survey check lists all of them with their cures.",
            tuple(_suspicious(findings, labels, read, catalogue)),
        ),
    ]
    return [gallery for gallery in made if gallery.examples]


def typical(profile: Profile, *, count: int = TYPICAL) -> list[Pick]:
    """Photographs closest to the median, distances in units of the median deviation; flights take turns."""
    good = np.flatnonzero(np.isfinite(profile.photos["mean_luma"]))
    if not len(good):
        return []
    far = np.zeros(len(good))
    for column in _TYPICAL_BY:
        values = profile.photos[column][good].astype(np.float64)
        if not np.isfinite(values).any():
            continue
        middle = float(np.nanmedian(values))
        spread = float(np.nanmedian(np.abs(values - middle))) or 1.0
        far += np.nan_to_num(np.abs(values - middle) / spread, nan=10.0)
    by_flight: dict[str, list[int]] = {}
    for place in np.argsort(far, kind="stable").tolist():
        by_flight.setdefault(str(profile.photos["flight"][good[place]]), []).append(int(good[place]))
    turns = [rows[turn] for turn in range(count) for rows in by_flight.values() if turn < len(rows)]
    photos = profile.photos
    return [
        Pick(row, f"brightness {number(photos['mean_luma'][row])}, {photos['boxes'][row]} objects")
        for row in turns[:count]
    ]


def extreme(profile: Profile, *, count: int = PER_EXTREME) -> list[Pick]:
    """The ends of the distributions: light, focus, crowding, sizes of objects; each photograph once per kind."""
    photos = profile.photos
    found = [
        *_ends(photos["mean_luma"], False, "darkest: brightness", count),
        *_ends(photos["mean_luma"], True, "brightest: brightness", count),
        *_ends(photos["focus"], False, "least sharp: focus", count),
        *_ends(np.where(photos["boxes"] > 0, photos["boxes"], np.nan), True, "most objects:", count),
    ]
    sides = profile.boxes["box_side_px"]
    for most, why in ((True, "largest object"), (False, "smallest object")):
        seen: set[int] = set()
        for box in np.argsort(-sides if most else sides, kind="stable").tolist():
            row = int(profile.boxes["photo_index"][box])
            if len(seen) == count:
                break
            if row not in seen and sides[box] > 0:
                seen.add(row)
                found.append(Pick(row, f"{why}: side {number(float(sides[box]))} px", box))
    return found


def _ends(values: NDArray[np.float64], most: bool, why: str, count: int) -> Iterator[Pick]:
    known = np.flatnonzero(np.isfinite(values))
    if len(known) <= count:  # nothing is extreme among so few
        return
    order = known[np.argsort(-values[known] if most else values[known], kind="stable")]
    for row in order[:count].tolist():
        yield Pick(row, f"{why} {number(float(values[row]))}")


def _drawn(profile: Profile, picks: Sequence[Pick], labels: Labels, read: ReadPhoto) -> Iterator[Example]:
    keys, flights = profile.photos["photo"], profile.photos["flight"]
    for pick in picks:
        key = str(keys[pick.row])
        found = labels.get(key)
        boxes = np.zeros((0, 4)) if found is None else found.xyxy_px
        marked = np.zeros((0, 4))
        if pick.box is not None:
            columns = [profile.boxes[name][pick.box] for name in ("x1_px", "y1_px", "x2_px", "y2_px")]
            marked = np.array([columns], dtype=np.float64)
        view = view_of(key, boxes, marked=marked, read=read)
        example = example_of([view], caption=f"{pick.why} · {key} · flight {flights[pick.row]}")
        if example is not None:
            yield example


def _suspicious(
    findings: Sequence[Finding], labels: Labels, read: ReadPhoto, catalogue: Catalogue
) -> Iterator[Example]:
    worst: dict[str, Finding] = {}
    for finding in findings:
        if finding.photo and (finding.code not in worst or finding.score > worst[finding.code].score):
            worst[finding.code] = finding
    rank: Callable[[Finding], tuple[bool, int]] = lambda finding: (  # noqa: E731 - one use
        finding.severity != "error",
        catalogue[finding.code].number if finding.code in catalogue else 1000,
    )
    shown = 0
    for finding in sorted(worst.values(), key=rank):
        example = example_of_finding(finding, labels, read)
        if example is not None and shown < SUSPICIOUS:
            shown += 1
            rule = catalogue.get(finding.code)
            title = rule.title if rule else finding.code
            yield Example(
                example.jpeg_base64,
                f"{finding.severity}, {title.lower()} · {example.caption}",
                example.width_px,
                example.height_px,
                is_pair=example.is_pair,
            )
