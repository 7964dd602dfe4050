"""Small charts as inline SVG and HTML: readable without JavaScript or a network, in light and dark, on a phone.

Every mark has a tooltip (``<title>``) with its figures. Colours come from the page's style sheet by class: ``s0`` to
``s9`` are series, ``fill`` the accent, ``grid`` lines, ``limit`` a limit of the checks. It knows nothing of surveys.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from markupsafe import Markup, escape
from numpy.typing import NDArray

SERIES = 10
WIDTH, HEIGHT = 380, 200
_LEFT, _RIGHT, _TOP, _BOTTOM = 8, 8, 16, 34
_LEFT_OF_AXIS = 44
_BINS = 32
_MAX_POINTS = 1500
_LONG_TAIL = 2.0
_FEW = 3

Reals = NDArray[np.float64]


@dataclass(frozen=True)
class Limit:
    """A value to be marked and what it is called; ``mark`` instead of ``limit`` where it is no limit of a check."""

    value: float
    text: str
    style: Literal["limit", "mark"] = "limit"


@dataclass(frozen=True)
class Bar:
    """One row of a list of bars.

    Attributes:
        name: What it counts.
        parts: Values, side by side, each in the colour of its place.
        note: Text after the bar.
        colour: Place of the first part among the series.
        titles: Tooltips of the parts; by default their values.
    """

    name: str
    parts: tuple[float, ...]
    note: str
    colour: int = 0
    titles: tuple[str, ...] = ()


def number(value: float) -> str:
    """A number as people write it: 1,234 or 0.034."""
    if not math.isfinite(value):
        return "unknown"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    if abs(value) < 0.0001:
        return f"{value:.2g}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    text = f"{value:.{min(digits, 6)}f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def counted(count: int, things: str) -> str:
    """``1 photo``, ``2 photos``, ``1 box``."""
    one = "box" if things == "boxes" else things.removesuffix("s")
    return f"{count:,} {one if count == 1 else things}"


def ticks(low: float, high: float, *, about: int = 5) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) within ``low`` .. ``high``."""
    if not (math.isfinite(low) and math.isfinite(high)) or high <= low:
        return [low] if math.isfinite(low) else []
    raw = (high - low) / about
    power = 10.0 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5, 10) if factor * power >= raw), 10 * power)
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [round(index * step, 12) for index in range(first, last + 1)]


def bars(rows: Sequence[Bar], *, logarithmic: bool = False) -> Markup:
    """Horizontal bars with names and notes; the longest fills the width."""
    totals = [sum(row.parts) for row in rows]
    longest = max([*totals, 1e-12])
    lines = []
    for row, total in zip(rows, totals, strict=True):
        share = math.log1p(total) / math.log1p(longest) if logarithmic else total / longest
        pieces = Markup("").join(
            Markup('<i class="s{}" style="width:{:.3f}%" title="{}"></i>').format(
                (row.colour + place) % SERIES,
                100 * share * part / total,
                row.titles[place] if row.titles else f"{row.name}: {number(part)}",
            )
            for place, part in enumerate(row.parts)
            if part > 0
        )
        lines.append(
            Markup('<div><span class="name" title="{0}">{0}</span><span class="bar">{1}</span><b>{2}</b></div>').format(
                row.name, pieces, row.note
            )
        )
    return Markup('<div class="bars">{}</div>').format(Markup("").join(lines))


def histogram(
    values: Reals, *, unit: str, limits: Sequence[Limit] = (), thing: str = "photos", whole: bool = False
) -> Markup:
    """How often which value occurs; the last bar takes a long tail, the median is marked.

    Args:
        values: (N,), NaN are left out.
        unit: Of the values, for the axis.
        limits: Marked where they lie within the range.
        thing: What is counted.
        whole: Values are counts: bars of whole numbers.
    """
    known = np.asarray(values, dtype=np.float64)
    known = known[np.isfinite(known)]
    if not len(known):
        return Markup('<p class="none">not known for any of these {}</p>').format(thing)
    distinct = np.unique(known)
    if len(distinct) <= _FEW and not whole:
        listed = ", ".join(
            f"{number(float(value))} ({counted(int((known == value).sum()), thing)})" for value in distinct
        )
        return Markup('<p class="few">{}</p><p class="none">{}</p>').format(listed, unit)
    edges, tail = _edges(known, whole=whole)
    counts, _ = np.histogram(np.minimum(known, edges[-1]), edges)
    scale_x = _Scale(edges[0], edges[-1], _LEFT, WIDTH - _RIGHT)
    top = max(int(counts.max()), 1)
    parts = [_axis_x(scale_x, unit, tail=tail)]
    for count, low, high in zip(counts.tolist(), edges[:-1].tolist(), edges[1:].tolist(), strict=True):
        if count:
            height = max(1.5, (HEIGHT - _TOP - _BOTTOM) * count / top)
            last = tail and high == edges[-1]
            span = f"{number(low)} and more" if last else f"{number(low)} to {number(high)}"
            span = number(math.ceil(low)) if whole and high - low == 1 and not last else span
            parts.append(
                _rect(
                    scale_x(low) + 0.5,
                    HEIGHT - _BOTTOM - height,
                    max(1.0, scale_x(high) - scale_x(low) - 1),
                    height,
                    title=f"{span} {unit}: {counted(count, thing)}",
                )
            )
    median = float(np.median(known))
    parts.append(_upright_line(scale_x(median), "median", f"median {number(median)}", HEIGHT))
    parts += [
        _upright_line(scale_x(limit.value), limit.style, limit.text, HEIGHT, top=_TOP + 12)
        for limit in limits
        if edges[0] <= limit.value <= edges[-1]
    ]
    return _svg(parts, f"{thing} by {unit}: median {number(median)}")


def scatter(x: Reals, y: Reals, *, names: Sequence[str], colours: Sequence[int], x_unit: str, y_unit: str) -> Markup:
    """One point per thing; of very many an even sample."""
    known = np.flatnonzero(np.isfinite(x) & np.isfinite(y))
    if not len(known):
        return Markup('<p class="none">not known</p>')
    known = known[:: math.ceil(len(known) / _MAX_POINTS)]
    scale_x = _Scale(*_padded(x[known]), _LEFT_OF_AXIS, WIDTH - _RIGHT)
    scale_y = _Scale(*_padded(y[known]), HEIGHT - _BOTTOM, _TOP)
    parts = [_axis_x(scale_x, x_unit), _axis_y(scale_y, y_unit)]
    parts += [
        Markup('<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="3"><title>{}: {} {}, {} {}</title></circle>').format(
            colours[index] % SERIES,
            scale_x(x[index]),
            scale_y(y[index]),
            names[index],
            number(float(x[index])),
            x_unit,
            number(float(y[index])),
            y_unit,
        )
        for index in known.tolist()
    ]
    return _svg(parts, f"{y_unit} by {x_unit}")


def heat(matrix: NDArray[np.float64], *, titles: Sequence[Sequence[str]], aspect: float = 1.0) -> Markup:
    """Cells as dark as their values, the first row at the top; empty cells are not drawn.

    Args:
        matrix: (rows, columns), not negative.
        titles: Tooltip of each cell.
        aspect: Width / height of the whole.
    """
    rows, columns = matrix.shape
    width = WIDTH
    height = round(width / aspect)
    step_x, step_y = width / columns, height / rows
    top = float(matrix.max(initial=0)) or 1.0
    parts = [Markup('<rect class="frame" x="0" y="0" width="{}" height="{}"/>').format(width, height)]
    for row, column in np.argwhere(matrix > 0).tolist():
        strength = 0.08 + 0.92 * math.sqrt(float(matrix[row, column]) / top)
        parts.append(
            Markup(
                '<rect class="fill" fill-opacity="{:.2f}" x="{:.2f}" y="{:.2f}" width="{:.2f}" height="{:.2f}">'
                "<title>{}</title></rect>"
            ).format(strength, column * step_x, row * step_y, step_x + 0.05, step_y + 0.05, titles[row][column])
        )
    return _svg(parts, "heat map", height=height)


def strips(rows: Sequence[tuple[str, Sequence[float], str, Sequence[str]]], *, colours: Sequence[int]) -> Markup:
    """Thin lines on a band per row: (name, places 0..1, note, tooltips). It stretches with the page."""
    lines = []
    for (name, places, note, titles), colour in zip(rows, colours, strict=True):
        shown = range(0, len(places), math.ceil(len(places) / _MAX_POINTS) or 1)
        marks = Markup("").join(
            Markup('<line class="s{}" x1="{x:.2f}" x2="{x:.2f}" y1="2" y2="18"><title>{t}</title></line>').format(
                colour % SERIES, x=4 + 992 * places[index], t=titles[index]
            )
            for index in shown
        )
        lines.append(
            Markup(
                '<div><span class="name" title="{0}">{0}</span><svg class="strip" viewBox="0 0 1000 20" '
                'preserveAspectRatio="none" role="img" aria-label="{0}">{1}</svg><b>{2}</b></div>'
            ).format(name, marks, note)
        )
    return Markup('<div class="bars strips">{}</div>').format(Markup("").join(lines))


def legend(names: Mapping[str, int]) -> Markup:
    """Coloured names."""
    items = Markup("").join(
        Markup('<span><i class="s{}"></i>{}</span>').format(place % SERIES, name) for name, place in names.items()
    )
    return Markup('<div class="legend">{}</div>').format(items)


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> Markup:
    """A plain table; all columns but the first are right-aligned."""
    head = Markup("").join(
        Markup("<th{}>{}</th>").format(Markup(' class="number"') if place else "", cell)
        for place, cell in enumerate(header)
    )
    body = Markup("").join(
        Markup("<tr>{}</tr>").format(
            Markup("").join(
                Markup("<td{}>{}</td>").format(Markup(' class="number"') if place else "", cell)
                for place, cell in enumerate(row)
            )
        )
        for row in rows
    )
    return Markup('<div class="scroll"><table><thead><tr>{}</tr></thead><tbody>{}</tbody></table></div>').format(
        head, body
    )


class _Scale:
    """Values to places of the picture, linear."""

    def __init__(self, low: float, high: float, first: float, last: float) -> None:
        self.low, self.high, self.first, self.last = float(low), float(high), first, last

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        share = 0.5 if span <= 0 else (float(value) - self.low) / span
        return self.first + share * (self.last - self.first)


def _edges(known: Reals, *, whole: bool) -> tuple[Reals, bool]:
    """Edges of the bars, and whether the last one takes everything above."""
    low, high = float(known.min()), float(known.max())
    usual = float(np.quantile(known, 0.99))
    tail = high > low and usual > low and (high - low) > _LONG_TAIL * (usual - low)
    high = usual if tail else high
    if whole:
        step = max(1, math.ceil((high - low + 1) / _BINS))
        return np.arange(math.floor(low), math.ceil(high) + step + 1, step, dtype=np.float64) - 0.5, tail
    if high <= low:
        pad = abs(low) * 0.05 or 0.5
        return np.linspace(low - pad, high + pad, 4), False
    bins = int(np.clip(math.sqrt(len(known)) * 2, 8, _BINS))
    return np.linspace(low, high, bins + 1), tail


def _padded(values: Reals) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    pad = (high - low) * 0.05 or abs(high) * 0.05 or 1.0
    return low - pad, high + pad


def _axis_x(scale: _Scale, unit: str, *, tail: bool = False) -> Markup:
    base = HEIGHT - _BOTTOM
    parts = [Markup('<line class="grid" x1="{}" x2="{}" y1="{y}" y2="{y}"/>').format(scale.first, scale.last, y=base)]
    for value in ticks(scale.low, scale.high):
        x = scale(value)
        anchor = "start" if x < scale.first + 12 else "end" if x > scale.last - 12 else "middle"
        parts.append(
            Markup('<text x="{:.1f}" y="{}" text-anchor="{}">{}</text>').format(x, base + 13, anchor, number(value))
        )
    said = f"{unit}, last bar: and more" if tail else unit
    middle = (scale.first + scale.last) / 2
    parts.append(Markup('<text x="{:.0f}" y="{}" text-anchor="middle">{}</text>').format(middle, HEIGHT - 5, said))
    return Markup("").join(parts)


def _axis_y(scale: _Scale, unit: str) -> Markup:
    parts = [Markup('<text x="2" y="10">{}</text>').format(unit)]
    for value in ticks(scale.low, scale.high, about=4):
        parts.append(
            Markup('<line class="grid" x1="{}" x2="{}" y1="{y:.1f}" y2="{y:.1f}"/>').format(
                _LEFT_OF_AXIS, WIDTH - _RIGHT, y=scale(value)
            )
        )
        parts.append(
            Markup('<text x="{}" y="{:.1f}" text-anchor="end">{}</text>').format(
                _LEFT_OF_AXIS - 5, scale(value) + 4, number(value)
            )
        )
    return Markup("").join(parts)


def _upright_line(x: float, style: str, text: str, height: int, *, top: float = _TOP) -> Markup:
    anchor, shift = ("end", -4) if x > WIDTH / 2 else ("start", 4)
    return Markup(
        '<line class="{s}" x1="{x:.1f}" x2="{x:.1f}" y1="{top}" y2="{bottom}"/>'
        '<text class="{s}" x="{at:.1f}" y="{y}" text-anchor="{anchor}">{text}</text>'
    ).format(s=style, x=x, top=top - 4, bottom=height - _BOTTOM, at=x + shift, y=top + 4, anchor=anchor, text=text)


def _rect(x: float, y: float, width: float, height: float, *, title: str) -> Markup:
    return Markup(
        '<rect class="fill" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"><title>{}</title></rect>'
    ).format(x, y, width, height, title)


def _svg(parts: Sequence[Markup], label: str, *, height: int = HEIGHT) -> Markup:
    return Markup('<svg viewBox="0 0 {} {}" role="img" aria-label="{}">{}</svg>').format(
        WIDTH, height, escape(label), Markup("").join(parts)
    )
