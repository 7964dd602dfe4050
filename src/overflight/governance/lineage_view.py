"""What people see of lineage: words and short facts of entities, flights by part, the edges worth drawing, a tree.

It decides what is shown, for every way of showing it; colours, fonts and terminals are elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml

from overflight.files import sha256_bytes
from overflight.governance.lineage import Edge, Entity, Graph

FEW_FLIGHTS = 3
_DIGEST = re.compile(r"\b[0-9a-f]{64}\b")
_FIELD = re.compile(r"\{([^}]+)\}")
_NAMES_LISTED = 40
_LIGHT_TYPES = frozenset({"Code", "Image", "PipelineDefinition", "PipelineExecution"})
_LIGHT_EDGES = frozenset({"AssociatedWith", "DerivedFrom"})
_PART_WORDS = {"train": "for training", "val": "for validation", "test": "for the test"}


@dataclass(frozen=True)
class Card:
    """An entity at a glance.

    Attributes:
        word: What it is, in plain words.
        name: What it is called.
        lines: Short facts, the most telling first.
    """

    word: str
    name: str
    lines: tuple[str, ...]


@dataclass(frozen=True)
class TreeLine:
    """One line of a drawing for terminals.

    Attributes:
        prefix: Lines that join it with the others.
        arn: The entity, "" for a line that only joins.
        reference: ``above`` or ``below`` when the entity has its own line there; "" when this is its own.
    """

    prefix: str
    arn: str = ""
    reference: str = ""


def card(entity: Entity) -> Card:
    """The entity at a glance."""
    known = _words().get(entity.type, {"word": entity.type, "lines": []})
    word = str(known["word"])
    name = entity.name
    if entity.type in {"ProcessingJob", "TrainingJob"} and "step" in entity.properties:
        word = word if entity.type == "TrainingJob" else f"Job {entity.properties['step']}"
        name = entity.name.rsplit("-", 1)[-1] if entity.properties["step"] in entity.name else entity.name
    if entity.type == "Photograph":
        name = name.rsplit("/", 1)[-1]
    lines = (_filled(template, entity.properties) for template in known["lines"])
    return Card(word, name, tuple(line for line in lines if line))


def short(text: str) -> str:
    """``text`` with digests cut to their first 12 digits."""
    return _DIGEST.sub(lambda match: match[0][:12], text)


def condensed(graph: Graph) -> Graph:
    """The graph with many flights of one survey drawn as one entity for each part; a flight with a photograph stays."""
    groups: dict[tuple[str, tuple[str, ...]], list[Entity]] = {}
    for flight in graph.of_type("Flight"):
        if not graph.sources[flight.arn]:
            key = (flight.properties.get("part", ""), graph.destinations[flight.arn])
            groups.setdefault(key, []).append(flight)
    if len(graph.of_type("Flight")) <= FEW_FLIGHTS:
        return graph
    instead: dict[str, str] = {}
    made: dict[str, Entity] = {}
    for (part, _), flights in sorted(groups.items()):
        if len(flights) > 1:
            group = _group(part, flights)
            made[flights[0].arn] = group
            instead |= {flight.arn: group.arn for flight in flights}
    entities = [made.get(one.arn, one) for one in graph.entities if one.arn in made or one.arn not in instead]
    edges = [
        Edge(instead.get(edge.source, edge.source), instead.get(edge.destination, edge.destination), edge.kind)
        for edge in graph.edges
    ]
    remarks = tuple(replace(one, arn=instead.get(one.arn, one.arn)) for one in graph.remarks)
    return Graph(tuple(entities), tuple(dict.fromkeys(edges)), remarks)


def without_implied(graph: Graph) -> Graph:
    """The graph without the edges that a longer way says too, where they are of the kinds that hide the main line."""
    light = [
        edge for edge in graph.edges if edge.kind in _LIGHT_EDGES or graph.by_arn[edge.source].type in _LIGHT_TYPES
    ]
    implied = {
        edge
        for edge in light
        if any(
            edge.destination in graph.descendants(between)
            for between in graph.destinations[edge.source]
            if between != edge.destination
        )
    }
    return Graph(graph.entities, tuple(edge for edge in graph.edges if edge not in implied), graph.remarks)


def tree(graph: Graph, starts: Iterable[str], *, forward: bool) -> Iterator[TreeLine]:
    """Lines of a drawing that begins at ``starts``: the longest line straight down, everything else beside it, once.

    Args:
        graph: What to draw.
        starts: ARNs to begin at.
        forward: Go along the edges (what came of it) instead of against them (what made it).
    """
    steps = graph.destinations if forward else graph.sources
    beyond = graph.descendants if forward else graph.ancestors
    depth = _depths(graph, steps)
    seen: set[str] = set()

    def walk(arn: str, first: str, rest: str, elsewhere: frozenset[str]) -> Iterator[TreeLine]:
        seen.add(arn)
        yield TreeLine(first, arn)
        ordered = sorted(steps[arn], key=lambda one: (-depth[one], graph.by_arn[one].type, graph.by_arn[one].name))
        main = next((one for one in ordered if one not in seen and one not in elsewhere), None)
        later = elsewhere.union({main}, beyond(main)) if main else elsewhere
        for side in ordered:
            if side == main:
                continue
            if side in seen or side in later:
                yield TreeLine(f"{rest}├─ ", side, "above" if side in seen else "below")
            else:
                yield from walk(side, f"{rest}├─ ", f"{rest}│    ", later)
        if main:
            yield TreeLine(f"{rest}│")
            yield from walk(main, rest, rest, elsewhere)

    for start in starts:
        yield from walk(start, "", "", frozenset())


def grouped_remarks(graph: Graph) -> tuple[tuple[str, str, tuple[Entity, ...]], ...]:
    """Tone and text of the remarks, each once, with the entities that it is about; contradictions first."""
    found: dict[tuple[str, str], list[Entity]] = {}
    for remark in sorted(graph.remarks, key=lambda one: one.tone):
        found.setdefault((remark.tone, remark.text), []).append(graph.by_arn[remark.arn])
    return tuple((tone, text, tuple(entities)) for (tone, text), entities in found.items())


def ends(graph: Graph) -> tuple[str, ...]:
    """What nothing came of, endpoints first: where drawings of what made something begin."""
    found = [entity for entity in graph.entities if not graph.destinations[entity.arn]]
    return tuple(entity.arn for entity in sorted(found, key=lambda one: (one.type != "Endpoint", one.name)))


def _depths(graph: Graph, steps: Mapping[str, tuple[str, ...]]) -> dict[str, int]:
    """Length of the longest way on from each entity."""
    layers = graph.layers()
    known: dict[str, int] = {}
    for layer in layers if steps is graph.sources else reversed(layers):
        for entity in layer:
            known[entity.arn] = max((known[one] + 1 for one in steps[entity.arn]), default=0)
    return known


def _group(part: str, flights: list[Entity]) -> Entity:
    names = [flight.name for flight in flights]
    listed = ", ".join(names[:_NAMES_LISTED]) + (
        f" and {len(names) - _NAMES_LISTED} more" if len(names) > _NAMES_LISTED else ""
    )
    photographs = sum(int(flight.properties.get("photographs", 0)) for flight in flights)
    properties = {"photographs": str(photographs), "part": part, "flights": listed}
    first = flights[0]
    digest = sha256_bytes("\n".join(flight.arn for flight in flights).encode())[:32]
    return replace(
        first,
        name=f"{len(flights)} flights {_PART_WORDS.get(part, part)}".rstrip(),
        arn=f"{first.arn.rsplit('/', 1)[0]}/{digest}",
        source_uri=f"{first.source_uri.partition('#')[0]}#part={part}",
        properties={name: value for name, value in properties.items() if value},
    )


def _filled(template: str, properties: Mapping[str, str]) -> str:
    if any(name not in properties for name in _FIELD.findall(template)):
        return ""
    return short(_FIELD.sub(lambda match: properties[match[1]], template))


@cache
def _words() -> Mapping[str, Mapping[str, Any]]:
    text = files("overflight.governance").joinpath("lineage_words.yaml").read_text(encoding="utf-8")
    return dict(yaml.safe_load(text))
