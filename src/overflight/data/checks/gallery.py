"""Findings as a page that people read: per check what it means, what cures it, and the worst examples as pictures.

One HTML file without links to anything else. A finding about boxes shows the part of the photograph around the first of
them, all others the whole photograph, beside the other one where it speaks of a pair; the boxes it speaks of are drawn
in red, their neighbours in white. It does not know how findings are made.
"""

from __future__ import annotations

import base64
import itertools
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

import cv2
import jinja2
import numpy as np
from numpy.typing import NDArray

from overflight.data.checks.catalogue import Catalogue
from overflight.data.findings import Finding
from overflight.data.formats.labels import PhotoLabels
from overflight.errors import InputError
from overflight.files import write_text
from overflight.imaging.codecs import Rgb, decode, encode_jpeg

EXAMPLES = 6
LISTED = 12
GAP_PX = 6
_THUMB_WH_PX = (360, 240)
_LEAST_VIEW_PX = 160
_AROUND = 5.0
_RED, _WHITE, _SHADOW = (235, 50, 50), (255, 255, 255), (20, 20, 20)

ReadPhoto = Callable[[str], bytes]


@dataclass(frozen=True)
class Example:
    """A picture of a finding, or a pair of them side by side: JPEG as base64, and a sentence below it."""

    jpeg_base64: str
    caption: str
    width_px: int
    height_px: int
    is_pair: bool = False


@dataclass(frozen=True)
class Marked:
    """A place to look at that is no finding, such as a disagreement of a model with a label."""

    photo: str
    xyxy_px: tuple[float, float, float, float]
    caption: str


def write_gallery(
    path: Path,
    *,
    title: str,
    facts: Mapping[str, Any],
    findings: Sequence[Finding],
    catalogue: Catalogue,
    labels: Mapping[str, PhotoLabels],
    read: ReadPhoto,
    suspects: Sequence[Marked] = (),
) -> None:
    """Write the page.

    Args:
        path: HTML file to be written.
        title: Name of the survey.
        facts: Figures for the head, name to text.
        findings: All findings.
        catalogue: Where titles, explanations and cures come from.
        labels: By photo key, to draw boxes.
        read: Gives the bytes of a photograph by key; may raise InputError or OSError.
        suspects: Places where a model disagrees with the labels, worst first.
    """
    by_code: dict[str, list[Finding]] = defaultdict(list)
    for finding in findings:
        by_code[finding.code].append(finding)
    ranked = sorted(by_code.values(), key=lambda group: _rank(group, catalogue))
    sections = [_section(group, catalogue, labels=labels, read=read) for group in ranked]
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        files("overflight.data.checks").joinpath("gallery.html").read_text(encoding="utf-8")
    )
    page = template.render(
        title=title,
        facts=facts,
        errors=sum(1 for finding in findings if finding.severity == "error"),
        warnings=sum(1 for finding in findings if finding.severity == "warning"),
        sections=sections,
        suspects=[_suspect(suspect, labels, read) for suspect in suspects[: 4 * EXAMPLES]],
        suspects_total=len(suspects),
    )
    write_text(path, page)


def _rank(group: Sequence[Finding], catalogue: Catalogue) -> tuple[int, int, str]:
    rule = catalogue.get(group[0].code)
    number = 1000 if rule is None else rule.number
    return (0 if any(finding.severity == "error" for finding in group) else 1, number, group[0].code)


def _section(
    group: Sequence[Finding], catalogue: Catalogue, *, labels: Mapping[str, PhotoLabels], read: ReadPhoto
) -> dict[str, Any]:
    code = group[0].code
    rule = catalogue.get(code)
    worst = sorted(group, key=lambda finding: -finding.score)
    pictures = (example_of_finding(finding, labels, read) for finding in worst if finding.photo)
    pictured = list(itertools.islice((picture for picture in pictures if picture is not None), EXAMPLES))
    return {
        "code": code,
        "severity": "error" if any(finding.severity == "error" for finding in group) else "warning",
        "title": code if rule is None else rule.title,
        "explanation": "" if rule is None else rule.explanation,
        "cure": group[0].cure if rule is None else rule.cure,
        "count": len(group),
        "photos": len({finding.photo for finding in group if finding.photo}),
        "boxes": sum(len(finding.boxes) for finding in group),
        "examples": pictured,
        "lines": [f"{finding.where}: {finding.what}" for finding in worst[:LISTED]],
        "more": max(0, len(group) - LISTED),
    }


def example_of_finding(finding: Finding, labels: Mapping[str, PhotoLabels], read: ReadPhoto) -> Example | None:
    """The picture of a finding about a photograph, its boxes in red; None when no photograph of it can be shown."""
    boxes = _boxes(finding.photo, labels)
    marked = boxes[[index for index in finding.boxes if index < len(boxes)]]
    views = [view_of(finding.photo, boxes, marked=marked, read=read)]
    if finding.beside:
        views.append(view_of(finding.beside, _boxes(finding.beside, labels), marked=np.zeros((0, 4)), read=read))
    return example_of(views, caption=f"{finding.where}: {finding.what}")


def _suspect(suspect: Marked, labels: Mapping[str, PhotoLabels], read: ReadPhoto) -> Example | None:
    view = view_of(suspect.photo, _boxes(suspect.photo, labels), marked=np.array([suspect.xyxy_px]), read=read)
    return example_of([view], caption=suspect.caption)


def _boxes(photo: str, labels: Mapping[str, PhotoLabels]) -> NDArray[np.float64]:
    found = labels.get(photo)
    return np.zeros((0, 4)) if found is None else found.xyxy_px


def example_of(views: Sequence[Rgb | None], *, caption: str) -> Example | None:
    """Those views that can be shown, side by side; None without any."""
    shown = [view for view in views if view is not None]
    if not shown:
        return None
    picture = shown[0] if len(shown) == 1 else _side_by_side(shown)
    height, width = picture.shape[:2]
    data = base64.b64encode(encode_jpeg(picture, 82)).decode()
    return Example(data, caption, width, height, is_pair=len(shown) > 1)


def _side_by_side(views: Sequence[Rgb]) -> Rgb:
    """Views from left to right with a thin gap, each in the middle of the height."""
    height = max(len(view) for view in views)
    width = sum(view.shape[1] for view in views) + GAP_PX * (len(views) - 1)
    picture = np.full((height, width, 3), _WHITE, dtype=np.uint8)
    left = 0
    for view in views:
        top = (height - len(view)) // 2
        picture[top : top + len(view), left : left + view.shape[1]] = view
        left += view.shape[1] + GAP_PX
    return picture


def view_of(photo: str, boxes: NDArray[np.float64], *, marked: NDArray[np.float64], read: ReadPhoto) -> Rgb | None:
    """The part around the first of ``marked`` (M, 4), else all of a photograph, small; None when it cannot be shown."""
    try:
        rgb = decode(read(photo), where=photo)
    except (InputError, OSError):  # that it cannot be read is a finding already
        return None
    height, width = rgb.shape[:2]
    x0, y0, x1, y1 = _part(marked[0], width, height) if len(marked) else (0, 0, width, height)
    scale = min(_THUMB_WH_PX[0] / (x1 - x0), _THUMB_WH_PX[1] / (y1 - y0))
    size = max(1, round((x1 - x0) * scale)), max(1, round((y1 - y0) * scale))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    view = np.asarray(cv2.resize(rgb[y0:y1, x0:x1], size, interpolation=method), dtype=np.uint8)
    view = np.ascontiguousarray(view)
    for found, colour in ((boxes, _WHITE), (marked, _RED)):
        for box in (found - [x0, y0, x0, y0]) * scale:
            _draw_box(view, box, colour)
    return view


def _part(box: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int]:
    """The part of a photograph around ``box``, with some surroundings, within the photograph."""
    box = np.clip(np.nan_to_num(box), 0, [width, height, width, height])
    centre = (box[:2] + box[2:]) / 2
    side = max(_LEAST_VIEW_PX, _AROUND * float(np.abs(box[2:] - box[:2]).max()))
    wanted = np.array([min(side * _THUMB_WH_PX[0] / _THUMB_WH_PX[1], width), min(side, height)])
    first = np.clip(centre - wanted / 2, 0, [width, height] - wanted).astype(int)
    last = np.minimum(first + np.ceil(wanted).astype(int), [width, height])
    return int(first[0]), int(first[1]), int(last[0]), int(last[1])


def _draw_box(view: Rgb, box: NDArray[np.float64], colour: tuple[int, int, int]) -> None:
    """One outline with a dark seam, so that it shows on any ground; parts outside are not drawn."""
    height, width = view.shape[:2]
    if not np.isfinite(box).all() or box[0] > width or box[1] > height or box[2] < 0 or box[3] < 0:
        return
    x0, y0, x1, y1 = (round(value) for value in np.clip(box, -10, [width + 10, height + 10] * 2).tolist())
    cv2.rectangle(view, (x0, y0), (x1, y1), _SHADOW, 3, cv2.LINE_AA)
    cv2.rectangle(view, (x0, y0), (x1, y1), colour, 1 if colour == _WHITE else 2, cv2.LINE_AA)
