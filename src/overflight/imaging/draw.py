"""Overlays: boxes, class chips and a legend on a photograph, made to be looked at by people.

Colours are Okabe and Ito's, which people with the common kinds of colour blindness can tell apart
(jfly.uni-koeln.de/color); class names and shapes carry the same information. Lines and type grow with the picture. A
chip (class and score) is drawn where it hides no other object and stays inside the picture; in a crowd and for small
objects a thin box must do, the legend counts them all. It knows nothing of models or files.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from overflight.imaging.boxes import Boxes, as_boxes, intersection
from overflight.imaging.codecs import Rgb

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (204, 121, 167),  # reddish purple
    (240, 228, 66),  # yellow
    (213, 94, 0),  # vermilion
    (0, 158, 115),  # bluish green
    (0, 114, 178),  # blue
    (235, 235, 235),  # near white
)
_DARK: Colour = (16, 18, 22)
_WHITE: Colour = (255, 255, 255)
_REFERENCE_PX = 1500.0
_HIDDEN_AT_MOST = 0.15


@dataclass(frozen=True)
class _Style:
    """Sizes in pixels for one picture."""

    line_px: float
    font_px: int
    pad_px: int
    small_px: float

    @staticmethod
    def of(width_px: int, height_px: int, boxes: Boxes) -> _Style:
        """Sizes that grow with the picture; type shrinks a little where most objects are small."""
        scale = min(max(max(width_px, height_px) / _REFERENCE_PX, 0.55), 4.0)
        font_px = 15 * scale
        if len(boxes):
            typical_px = float(np.median((boxes[:, 2:] - boxes[:, :2]).min(axis=1)))
            font_px = min(font_px, max(0.75 * font_px, 0.7 * typical_px))
        return _Style(
            line_px=max(1.2, 2.2 * scale),
            font_px=max(10, round(font_px)),
            pad_px=max(2, round(4 * scale)),
            small_px=26 * scale,
        )


@dataclass(frozen=True)
class _Chip:
    text: str
    colour: Colour
    xyxy: tuple[int, int, int, int]


def class_colours(classes: Sequence[str]) -> dict[str, Colour]:
    """A colour for each class by its place in the list, so that all pictures of one model agree."""
    return {name: PALETTE[index % len(PALETTE)] for index, name in enumerate(classes)}


def draw_detections(
    rgb: Rgb,
    boxes: Boxes,
    labels: Sequence[str],
    scores: Sequence[float] | NDArray[np.floating] | None = None,
    colours: Mapping[str, Colour] | None = None,
    *,
    truth: Boxes | None = None,
    legend: bool = True,
) -> Rgb:
    """A copy of ``rgb`` with boxes, chips and a legend.

    Args:
        rgb: uint8 (height, width, 3).
        boxes: (N, 4) corners in pixels.
        labels: Class name of each box.
        scores: Score 0..1 of each box; None for labels made by people.
        colours: Colour by class name (see :func:`class_colours`); classes without one get the next free colour by name.
        truth: (M, 4) boxes to be drawn in thin white dashes.
        legend: Draw the counts per class into the emptiest corner.

    Raises:
        ValueError: boxes, labels and scores differ in number.
    """
    boxes = as_boxes(boxes)
    if len(labels) != len(boxes) or (scores is not None and len(scores) != len(boxes)):
        raise ValueError(f"{len(boxes)} boxes, {len(labels)} labels and scores must be equally many")
    picture = rgb.copy()
    height, width = picture.shape[:2]
    style = _Style.of(width, height, boxes)
    palette = _completed(colours or {}, labels)
    order = range(len(boxes)) if scores is None else np.argsort(np.asarray(scores), kind="stable").tolist()
    for index in order:
        _outline(picture, boxes[index], palette[labels[index]], style=style)
    for box in as_boxes([] if truth is None else truth):
        _dashes(picture, box, style=style)
    panel = _legend_rows(labels, palette, truth=truth) if legend else []
    corner = _legend_place(panel, boxes, (width, height), style=style) if panel else None
    for chip in _chips(boxes, labels, scores, palette=palette, size_wh=(width, height), style=style, taken=corner):
        _draw_chip(picture, chip, style=style)
    if corner is not None:
        _draw_legend(picture, panel, corner, style=style)
    return picture


def _completed(colours: Mapping[str, Colour], labels: Sequence[str]) -> dict[str, Colour]:
    result = dict(colours)
    for name in sorted(set(labels) - result.keys()):
        free = [colour for colour in PALETTE if colour not in result.values()] or list(PALETTE)
        result[name] = free[0]
    return result


# --- lines -----------------------------------------------------------------------------------------------------------


def _outline(picture: Rgb, box: NDArray[np.float64], colour: Colour, *, style: _Style) -> None:
    """The box in its colour on a thin dark rim, which keeps it visible on light ground."""
    small = min(box[2] - box[0], box[3] - box[1]) < style.small_px
    line_px = max(1.0, style.line_px * (0.6 if small else 1.0))
    for thickness, paint, strength in ((line_px + 1.6, _DARK, 0.55), (line_px, colour, 1.0)):
        _frame(picture, box, thickness, paint, strength=strength)


def _frame(
    picture: Rgb,
    box: NDArray[np.float64],
    thickness_px: float,
    colour: Colour,
    *,
    strength: float,
    filled: bool = False,
) -> None:
    """An anti-aliased rectangle with rounded corners, from its signed distance.

    Drawn in four strips, so that large boxes cost little.
    """
    height, width = picture.shape[:2]
    reach = thickness_px / 2 + 1
    radius = min(2.0 * max(thickness_px, 1), (box[2] - box[0]) / 2, (box[3] - box[1]) / 2)
    x0, y0 = max(int(np.floor(box[0] - reach)), 0), max(int(np.floor(box[1] - reach)), 0)
    x1, y1 = min(int(np.ceil(box[2] + reach)), width), min(int(np.ceil(box[3] + reach)), height)
    inner = int(np.ceil(radius + 2 * reach))
    if filled or x1 - x0 <= 2 * inner or y1 - y0 <= 2 * inner:
        strips = [(x0, y0, x1, y1)]
    else:
        left, right = int(box[0]) + inner, int(box[2]) - inner
        top, bottom = int(box[1]) + inner, int(box[3]) - inner
        strips = [(x0, y0, x1, top), (x0, bottom, x1, y1), (x0, top, left, bottom), (right, top, x1, bottom)]
    for a0, b0, a1, b1 in strips:
        a0, b0, a1, b1 = max(a0, 0), max(b0, 0), min(a1, width), min(b1, height)  # noqa: PLW2901 - the strip inside the picture
        if a1 <= a0 or b1 <= b0:
            continue
        distance = _distance(box, radius, np.arange(a0, a1) + 0.5, np.arange(b0, b1) + 0.5)
        depth = distance if filled else np.abs(distance) - thickness_px / 2
        _blend(picture[b0:b1, a0:a1], np.clip(0.5 - depth, 0, 1) * strength, colour)


def _distance(
    box: NDArray[np.float64], radius: float, xs: NDArray[np.float64], ys: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Signed distance (rows, columns) to a rounded rectangle, negative inside.

    Formula: iquilezles.org/articles/distfunctions2d, "rounded box".
    """
    dx = np.abs(xs - (box[0] + box[2]) / 2) - (box[2] - box[0]) / 2 + radius
    dy = np.abs(ys - (box[1] + box[3]) / 2) - (box[3] - box[1]) / 2 + radius
    outside = np.hypot(np.maximum(dx, 0)[None, :], np.maximum(dy, 0)[:, None])
    return np.asarray(outside + np.minimum(np.maximum(dx[None, :], dy[:, None]), 0) - radius)


def _blend(patch: Rgb, alpha: NDArray[np.float64], colour: Colour) -> None:
    mixed = patch + (np.array(colour, dtype=np.float64) - patch) * alpha[..., None]
    patch[...] = (mixed + 0.5).astype(np.uint8)


def _dashes(picture: Rgb, box: NDArray[np.float64], *, style: _Style) -> None:
    height, width = picture.shape[:2]
    line_px = max(1.0, style.line_px * 0.45)
    dash_px = max(3.0, style.line_px * 2.2)
    x0, y0, x1, y1 = (float(value) for value in box)
    for start, end, vertical in ((x0, x1, False), (y0, y1, True)):
        for at in np.arange(start, end, 2 * dash_px):
            stop = min(at + dash_px, end)
            for across in (x0, x1) if vertical else (y0, y1):
                low, high = across - line_px / 2, across + line_px / 2
                mark = (low, at, high, stop) if vertical else (at, low, stop, high)
                if mark[2] > 0 and mark[3] > 0 and mark[0] < width and mark[1] < height:
                    _frame(picture, np.array(mark), 0.8, _DARK, strength=0.5)
                    _frame(picture, np.array(mark), 0.0, _WHITE, strength=1.0, filled=True)


# --- chips -----------------------------------------------------------------------------------------------------------


@lru_cache(maxsize=16)
def _font(size_px: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size=size_px)


def _text_wh(text: str, size_px: int) -> tuple[int, int]:
    """Width of the text and height of a line in its size."""
    return round(_font(size_px).getlength(text)), round(size_px * 1.15)


def _chips(
    boxes: Boxes,
    labels: Sequence[str],
    scores: Sequence[float] | NDArray[np.floating] | None,
    *,
    palette: Mapping[str, Colour],
    size_wh: tuple[int, int],
    style: _Style,
    taken: tuple[int, int, int, int] | None,
) -> list[_Chip]:
    """Chips that hide no other object and no other chip, surest and largest objects first."""
    width, height = size_wh
    sizes = (boxes[:, 2:] - boxes[:, :2]).min(axis=1) if len(boxes) else np.zeros(0)
    keys = -sizes if scores is None else -np.asarray(scores, dtype=np.float64)
    placed: list[_Chip] = []
    rectangles = [] if taken is None else [taken]
    for index in np.argsort(keys, kind="stable").tolist():
        if sizes[index] < style.small_px * 0.55:
            continue
        text = labels[index] if scores is None else f"{labels[index]} {scores[index]:.2f}"
        text_w, text_h = _text_wh(text, style.font_px)
        chip_wh = (text_w + 2 * style.pad_px, text_h + style.pad_px)
        others = np.delete(boxes, index, axis=0)
        for x, y in _places(boxes[index], chip_wh, size_wh, line_px=style.line_px):
            place = (x, y, x + chip_wh[0], y + chip_wh[1])
            if place[0] < 0 or place[1] < 0 or place[2] > width or place[3] > height:
                continue
            here = as_boxes([place])
            if rectangles and intersection(here, as_boxes(rectangles)).any():
                continue
            if len(others) and intersection(here, others).max() > _HIDDEN_AT_MOST * chip_wh[0] * chip_wh[1]:
                continue
            rectangles.append(place)
            placed.append(_Chip(text, palette[labels[index]], place))
            break
    return placed


def _places(
    box: NDArray[np.float64], chip_wh: tuple[int, int], size_wh: tuple[int, int], *, line_px: float
) -> list[tuple[int, int]]:
    """Candidate corners of a chip: above, below, beside, and inside where the box is much larger than the chip."""
    chip_w, chip_h = chip_wh
    gap = round(line_px / 2)
    left = min(max(round(box[0] - gap), 0), size_wh[0] - chip_w)
    right = min(max(round(box[2] + gap) - chip_w, 0), size_wh[0] - chip_w)
    above, below = round(box[1]) - gap - chip_h, round(box[3]) + gap
    middle = round((box[1] + box[3] - chip_h) / 2)
    places = [(left, above), (left, below), (right, above), (right, below)]
    places += [(round(box[2]) + gap + 1, middle), (round(box[0]) - gap - 1 - chip_w, middle)]
    if box[2] - box[0] > 2 * chip_w and box[3] - box[1] > 3 * chip_h:
        places.append((round(box[0] + line_px), round(box[1] + line_px)))
    return places


def _draw_chip(picture: Rgb, chip: _Chip, *, style: _Style) -> None:
    place = np.array(chip.xyxy, dtype=np.float64)
    _frame(picture, place, 1.5, chip.colour, strength=0.95, filled=True)
    bright = np.dot(chip.colour, (0.299, 0.587, 0.114)) > 115
    at = (chip.xyxy[0] + style.pad_px, chip.xyxy[1] + style.pad_px // 2)
    _write(picture, chip.text, at, colour=_DARK if bright else _WHITE, size_px=style.font_px)


def _write(picture: Rgb, text: str, at: tuple[int, int], *, colour: Colour, size_px: int) -> None:
    width, height = _text_wh(text, size_px)
    mask = Image.new("L", (width + 2, height + 2))
    ImageDraw.Draw(mask).text((0, height / 2), text, fill=255, font=_font(size_px), anchor="lm")
    patch = picture[at[1] : at[1] + height + 2, at[0] : at[0] + width + 2]
    _blend(patch, np.asarray(mask, dtype=np.float64)[: patch.shape[0], : patch.shape[1]] / 255, colour)


# --- legend ----------------------------------------------------------------------------------------------------------


def _legend_rows(
    labels: Sequence[str], palette: Mapping[str, Colour], *, truth: Boxes | None
) -> list[tuple[str, str, Colour | None]]:
    """Name, count and colour by class, most frequent first; the colour None stands for dashes."""
    counts = Counter(labels)
    order = sorted(counts, key=lambda name: (-counts[name], name))
    rows: list[tuple[str, str, Colour | None]] = [(name, str(counts[name]), palette[name]) for name in order]
    if truth is not None:
        rows.append(("ground truth", str(len(truth)), None))
    return rows


def _legend_place(
    rows: Sequence[tuple[str, str, Colour | None]], boxes: Boxes, size_wh: tuple[int, int], *, style: _Style
) -> tuple[int, int, int, int] | None:
    """The corner that hides the least of the boxes; None when the picture is too small for a legend."""
    line_h = round(style.font_px * 1.5)
    names = max(_text_wh(name, style.font_px)[0] for name, _, _ in rows)
    counts = max(_text_wh(count, style.font_px)[0] for _, count, _ in rows)
    width = names + counts + line_h + 7 * style.pad_px
    height = line_h * len(rows) + 3 * style.pad_px
    margin = 2 * style.pad_px
    if width + 2 * margin > size_wh[0] * 0.6 or height + 2 * margin > size_wh[1] * 0.6:
        return None
    lefts, tops = (margin, size_wh[0] - margin - width), (margin, size_wh[1] - margin - height)
    corners = [(x, y, x + width, y + height) for y in tops for x in lefts]
    hidden = intersection(as_boxes(corners), boxes).sum(axis=1) if len(boxes) else np.zeros(4)
    return corners[int(np.argmin(hidden))]


def _draw_legend(
    picture: Rgb,
    rows: Sequence[tuple[str, str, Colour | None]],
    corner: tuple[int, int, int, int],
    *,
    style: _Style,
) -> None:
    x0, y0, x1, _ = corner
    _frame(picture, np.array(corner, dtype=np.float64), 2 * style.line_px, _DARK, strength=0.78, filled=True)
    line_h = round(style.font_px * 1.5)
    swatch = round(style.font_px * 0.8)
    for number, (name, count, colour) in enumerate(rows):
        top = y0 + round(1.5 * style.pad_px) + number * line_h
        text_y = top + (line_h - _text_wh(name, style.font_px)[1]) // 2
        mark_y = top + (line_h - swatch) / 2
        mark = np.array(
            [x0 + 2 * style.pad_px, mark_y, x0 + 2 * style.pad_px + swatch, mark_y + swatch], dtype=np.float64
        )
        if colour is None:
            _dashes(picture, mark, style=style)
        else:
            _frame(picture, mark, 1.0, colour, strength=1.0, filled=True)
        _write(picture, name, (x0 + 4 * style.pad_px + swatch, text_y), colour=_WHITE, size_px=style.font_px)
        count_x = x1 - 2 * style.pad_px - _text_wh(count, style.font_px)[0]
        _write(picture, count, (count_x, text_y), colour=_WHITE, size_px=style.font_px)
