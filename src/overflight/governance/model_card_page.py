"""A model card as one page of HTML, without a network, to be read on a screen and printed.

Every text is escaped by the template. It knows looks only.
"""

from __future__ import annotations

from importlib.resources import files

import jinja2
from markupsafe import Markup

from overflight.governance.model_card_facts import Measure
from overflight.governance.model_card_view import View

_WIDTH, _HEIGHT, _EDGE = 290.0, 20.0, 8.0
TICKS = (0.0, 0.25, 0.5, 0.75, 1.0)


def card_page(view: View) -> str:
    """The page."""
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True).from_string(
        files("overflight.governance").joinpath("model_card_page.html").read_text(encoding="utf-8")
    )
    return template.render(view=view, plot=_plot, axis=_axis(), count=count_text)


def count_text(count: int | None) -> str:
    """A count, or a dash where nothing was counted."""
    return "\u2013" if count is None else f"{count:,}"


def _x(value: float) -> float:
    return round(_EDGE + (_WIDTH - 2 * _EDGE) * min(max(value, 0.0), 1.0), 2)


def _axis() -> Markup:
    marks = Markup("").join(
        Markup('<text x="{}" y="15" text-anchor="middle">{:g}</text>').format(_x(tick), tick) for tick in TICKS
    )
    return Markup('<svg viewBox="0 0 {:g} {:g}" aria-hidden="true">{}</svg>').format(_WIDTH, _HEIGHT, marks)


def _plot(row: Measure, whole: float | None) -> Markup:
    """Interval as a bar, value as a dot, the figure over everything as a broken line."""
    lines = [("grid", tick) for tick in TICKS] + ([("whole", whole)] if whole is not None else [])
    drawn = Markup("").join(
        Markup('<line class="{}" x1="{}" x2="{}" y1="0" y2="{:g}"/>').format(name, _x(at), _x(at), _HEIGHT)
        for name, at in lines
    )
    words = row.name
    if row.low is not None and row.high is not None:
        drawn += Markup('<line class="bar" x1="{}" x2="{}" y1="10" y2="10"/>').format(_x(row.low), _x(row.high))
        words += f": {row.low:.3f} to {row.high:.3f}"
    if row.value is not None:
        drawn += Markup('<circle class="dot" cx="{}" cy="10" r="4"/>').format(_x(row.value))
        words += f", measured {row.value:.3f}"
    return Markup('<svg viewBox="0 0 {:g} {:g}" role="img"><title>{}</title>{}</svg>').format(
        _WIDTH, _HEIGHT, words, drawn
    )
