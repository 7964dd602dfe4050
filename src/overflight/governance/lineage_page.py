"""Lineage as one page that people read and print: the short answer, the drawing, what is missing, a table of facts.

It needs no network and no script. Places come from ``lineage_layout``, words from ``lineage_view``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from importlib.resources import files
from pathlib import Path

import jinja2

from overflight.files import write_text
from overflight.governance.lineage import Edge, Entity, Graph
from overflight.governance.lineage_answer import answer, day
from overflight.governance.lineage_layout import CARD_H, CARD_W, layout
from overflight.governance.lineage_view import card, condensed, grouped_remarks, short, without_implied

_NAME_CHARS, _LINE_CHARS, _LINES = 25, 34, 2
_KIND_WORDS = {
    "Artifact": "artifact: data, model, code",
    "TrialComponent": "trial component: a job",
    "Action": "action: somebody's deed",
    "Context": "context: what holds together",
}


@dataclass(frozen=True)
class _Box:
    """A card of the drawing."""

    id: str
    kind: str
    x: float
    y: float
    word: str
    name: str
    lines: tuple[str, ...]
    title: str
    is_start: bool
    remarks: int


@dataclass(frozen=True)
class _Row:
    """An entity with all its facts."""

    id: str
    entity: Entity
    word: str
    created: str
    facts: Mapping[str, str]
    sources: tuple[tuple[str, str, str], ...]
    remarks: tuple[tuple[str, str], ...]


def write_page(
    path: Path, graph: Graph, start: str, *, photos: Sequence[Mapping[str, object]] = (), made: datetime | None = None
) -> None:
    """Write the page of a lineage.

    Args:
        path: HTML file to be written.
        graph: The lineage.
        start: ARN of what was asked about.
        photos: Where a photograph went: rows of equal keys.
        made: When the lineage was read.
    """
    write_text(path, page(graph, start, photos=photos, made=made))


def page(graph: Graph, start: str, *, photos: Sequence[Mapping[str, object]] = (), made: datetime | None = None) -> str:
    """The page as HTML."""
    shown = condensed(graph)
    ids = {entity.arn: f"e{number}" for number, entity in enumerate(_in_order(shown), start=1)}
    drawn = without_implied(shown)
    places = layout(drawn)
    remarks = [
        (tone, text, [(f"{card(one).word} {card(one).name}", ids[one.arn]) for one in entities])
        for tone, text, entities in grouped_remarks(shown)
    ]
    subject = card(graph.by_arn[start])
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(
        files("overflight.governance").joinpath("lineage.html").read_text(encoding="utf-8")
    )
    return template.render(
        word=subject.word,
        name=graph.by_arn[start].name,
        made=day(made),
        answer=answer(graph, start),
        remarks=remarks,
        photos=[{key: short(str(value)) for key, value in row.items()} for row in photos],
        boxes=[_box(shown, one, places.places[one.arn], ids, start) for one in shown.entities],
        ways=[(edge.kind, _curve(points), _says(shown, edge)) for edge, points in places.ways.items()],
        size_wh=places.size_wh,
        card_wh=(CARD_W, CARD_H),
        rows=[_row(shown, one, ids) for one in _in_order(shown)],
        kinds=_KIND_WORDS,
        left_out=len(shown.edges) - len(drawn.edges),
        entities=len(graph.entities),
        edges=len(graph.edges),
    )


def _in_order(graph: Graph) -> tuple[Entity, ...]:
    """Newest first: what was asked about is read before what it came from."""
    return tuple(entity for layer in reversed(graph.layers()) for entity in layer)


def _box(graph: Graph, entity: Entity, place: tuple[float, float], ids: Mapping[str, str], start: str) -> _Box:
    shown = card(entity)
    when = day(entity.created)
    lines = [*shown.lines[: _LINES if when else _LINES + 1], *([when] if when else [])]
    return _Box(
        ids[entity.arn],
        entity.kind,
        place[0],
        place[1],
        shown.word,
        _cut(shown.name, _NAME_CHARS),
        tuple(_cut(line, _LINE_CHARS) for line in lines),
        f"{shown.word} {entity.name}",
        entity.arn == start,
        sum(remark.arn == entity.arn for remark in graph.remarks),
    )


def _row(graph: Graph, entity: Entity, ids: Mapping[str, str]) -> _Row:
    return _Row(
        ids[entity.arn],
        entity,
        card(entity).word,
        day(entity.created),
        dict(entity.properties),
        tuple(
            (edge.kind, ids[edge.source], graph.by_arn[edge.source].name)
            for edge in graph.edges
            if edge.destination == entity.arn
        ),
        tuple((remark.tone, remark.text) for remark in graph.remarks if remark.arn == entity.arn),
    )


def _says(graph: Graph, edge: Edge) -> str:
    return f"{graph.by_arn[edge.source].name} {edge.kind} {graph.by_arn[edge.destination].name}"


def _curve(points: Sequence[tuple[float, float]]) -> str:
    """A path through the points that leaves and reaches every layer upright."""
    (x, y), *others = points
    path = [f"M{x:.1f} {y:.1f}"]
    for next_x, next_y in others:
        middle = (y + next_y) / 2
        straight = next_x == x
        path.append(
            f"V{next_y:.1f}"
            if straight
            else f"C{x:.1f} {middle:.1f} {next_x:.1f} {middle:.1f} {next_x:.1f} {next_y:.1f}"
        )
        x, y = next_x, next_y
    return " ".join(path)


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else f"{text[: chars - 1].rstrip()}…"
