"""Lineage as a graph of SageMaker's nouns: artifacts, actions, contexts, trial components and five kinds of edges.

Edges run with time, from what was there first to what came of it, so the photographs are where a walk against the
edges ends and the endpoints where a walk along them ends. Nouns, edges and the forms of the ARNs are those of
SageMaker's API (``CreateArtifact``, ``CreateAction``, ``CreateContext``, ``AddAssociation``, ``QueryLineage``); as
there, one ``SourceUri`` is one artifact. It does not know where facts come from nor how a graph is drawn.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

from overflight.files import sha256_bytes

EntityKind = Literal["Artifact", "Action", "Context", "TrialComponent"]
EdgeKind = Literal["ContributedTo", "AssociatedWith", "DerivedFrom", "Produced", "SameAs"]

_ARN_PART: Mapping[EntityKind, str] = MappingProxyType(
    {"Artifact": "artifact", "Action": "action", "Context": "context", "TrialComponent": "experiment-trial-component"}
)
_NAME = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,119}")
_NAME_CHARS = 120


@dataclass(frozen=True)
class Entity:
    """One thing or deed.

    Attributes:
        kind: SageMaker's noun.
        type: What it is: SageMaker's own word where there is one (``DataSet``, ``ModelData``, ``Endpoint`` ...).
        name: What people call it; the last part of the ARN has a form of its own.
        arn: Its ARN as lineage entity, unique in a graph.
        source_uri: What it stands for: an S3 address or the ARN of the resource.
        properties: Facts about it as text, absent when they are not known.
        created: When it came into being, None when not recorded.
    """

    kind: EntityKind
    type: str
    name: str
    arn: str
    source_uri: str = ""
    properties: Mapping[str, str] = field(default_factory=dict, hash=False)
    created: datetime | None = None


@dataclass(frozen=True, order=True)
class Edge:
    """An association: ``source`` came first (ARNs)."""

    source: str
    destination: str
    kind: EdgeKind


@dataclass(frozen=True, order=True)
class Remark:
    """What a reader must know beside the graph.

    Attributes:
        arn: The entity it is about.
        tone: ``not recorded`` for a link or fact that is missing, ``contradiction`` for records that disagree.
        text: One sentence.
    """

    arn: str
    tone: Literal["not recorded", "contradiction"]
    text: str


@dataclass(frozen=True)
class Graph:
    """Entities and the edges between them.

    Attributes:
        entities: In the order in which they were found.
        edges: Without repetition.
        remarks: What is missing or does not fit.
    """

    entities: tuple[Entity, ...] = ()
    edges: tuple[Edge, ...] = ()
    remarks: tuple[Remark, ...] = ()

    @cached_property
    def by_arn(self) -> Mapping[str, Entity]:
        """Entities by ARN."""
        return {entity.arn: entity for entity in self.entities}

    @cached_property
    def sources(self) -> Mapping[str, tuple[str, ...]]:
        """For each entity what came directly before it."""
        return _neighbours(self.entities, ((edge.destination, edge.source) for edge in self.edges))

    @cached_property
    def destinations(self) -> Mapping[str, tuple[str, ...]]:
        """For each entity what came directly of it."""
        return _neighbours(self.entities, ((edge.source, edge.destination) for edge in self.edges))

    def ancestors(self, arn: str) -> frozenset[str]:
        """ARNs of everything that led to an entity, without itself."""
        return _reached(arn, self.sources)

    def descendants(self, arn: str) -> frozenset[str]:
        """ARNs of everything that came of an entity, without itself."""
        return _reached(arn, self.destinations)

    def of_type(self, *types: str) -> tuple[Entity, ...]:
        """Entities of these types."""
        return tuple(entity for entity in self.entities if entity.type in types)

    def restricted(self, arns: Iterable[str]) -> Graph:
        """The part of the graph with these entities and the edges between them."""
        kept = frozenset(arns)
        return Graph(
            tuple(entity for entity in self.entities if entity.arn in kept),
            tuple(edge for edge in self.edges if edge.source in kept and edge.destination in kept),
            tuple(remark for remark in self.remarks if remark.arn in kept),
        )

    def layers(self) -> tuple[tuple[Entity, ...], ...]:
        """Entities by the length of the longest way to them: every edge leads to a later layer.

        Raises:
            ValueError: the edges go round in a circle.
        """
        level = dict.fromkeys(self.by_arn, 0)
        waiting = {arn: len(before) for arn, before in self.sources.items()}
        ready = [arn for arn, count in waiting.items() if count == 0]
        done = 0
        while ready:
            arn = ready.pop()
            done += 1
            for after in self.destinations[arn]:
                level[after] = max(level[after], level[arn] + 1)
                waiting[after] -= 1
                if waiting[after] == 0:
                    ready.append(after)
        if done != len(level):
            raise ValueError("the edges go round in a circle")
        depth = max(level.values(), default=-1) + 1
        return tuple(tuple(entity for entity in self.entities if level[entity.arn] == at) for at in range(depth))

    def faults(self) -> tuple[str, ...]:
        """What keeps it from being a lineage graph, one sentence each; empty when it is one."""
        known = Counter(entity.arn for entity in self.entities)
        artifacts = Counter(e.source_uri for e in self.entities if e.kind == "Artifact" and e.source_uri)
        found = [f"{arn} is there twice" for arn, count in sorted(known.items()) if count > 1]
        found += [f"{uri} is two artifacts" for uri, count in sorted(artifacts.items()) if count > 1]
        for edge in self.edges:
            loose = [end for end in (edge.source, edge.destination) if end not in self.by_arn]
            found += [f"an edge ends at {end}, which is not there" for end in loose]
        if not found:
            try:
                self.layers()
            except ValueError as error:
                found.append(str(error))
        return tuple(found)

    def query_lineage(self) -> dict[str, Any]:
        """The graph as an answer of ``QueryLineage``: ``Vertices`` and ``Edges``."""
        return {
            "Vertices": [
                {"Arn": entity.arn, "Type": entity.type, "LineageType": entity.kind} for entity in self.entities
            ],
            "Edges": [
                {"SourceArn": edge.source, "DestinationArn": edge.destination, "AssociationType": edge.kind}
                for edge in self.edges
            ],
        }


@dataclass
class Draft:
    """A graph in the making, in one account and region; it stays free of circles and of loose ends."""

    account_id: str
    region: str
    partition: str = "aws"
    _entities: dict[str, Entity] = field(default_factory=dict)
    _edges: dict[Edge, None] = field(default_factory=dict)
    _remarks: dict[Remark, None] = field(default_factory=dict)
    _after: dict[str, set[str]] = field(default_factory=dict)

    def add(
        self,
        kind: EntityKind,
        entity_type: str,
        name: str,
        *,
        source_uri: str = "",
        properties: Mapping[str, str | None] = MappingProxyType({}),
        created: datetime | None = None,
    ) -> str:
        """Add an entity, or more facts to one that is there; returns its ARN.

        An artifact is known by its ``source_uri``, everything else by its type and name. Properties that are None or
        empty are left out.
        """
        arn = self._arn(kind, entity_type, name, source_uri)
        facts = {key: str(value) for key, value in properties.items() if value not in (None, "")}
        known = self._entities.get(arn)
        if known is None:
            self._entities[arn] = Entity(kind, entity_type, name, arn, source_uri, facts, created)
        else:
            merged = {**known.properties, **facts}
            self._entities[arn] = replace(known, properties=merged, created=known.created or created)
        return arn

    def date(self, arn: str, created: datetime | None) -> None:
        """Say when an entity came into being, if that is not known yet."""
        known = self._entities[arn]
        self._entities[arn] = replace(known, created=known.created or created)

    def connect(self, source: str, destination: str, kind: EdgeKind) -> bool:
        """Add an edge; one that would close a circle becomes a remark instead.

        Raises:
            KeyError: an end is not there.
        """
        edge = Edge(self._entities[source].arn, self._entities[destination].arn, kind)
        if source == destination or source in _reached(destination, self._after):
            text = f"It is said to come of {self._entities[source].name}, which comes of it."
            self.remark(destination, "contradiction", text)
            return False
        self._edges[edge] = None
        self._after.setdefault(source, set()).add(destination)
        return True

    def remark(self, arn: str, tone: Literal["not recorded", "contradiction"], text: str) -> None:
        """Note what is missing or does not fit at an entity."""
        self._remarks[Remark(arn, tone, text)] = None

    def entity(self, arn: str) -> Entity:
        """What is known of an entity so far."""
        return self._entities[arn]

    def graph(self) -> Graph:
        """What was collected."""
        return Graph(tuple(self._entities.values()), tuple(self._edges), tuple(self._remarks))

    def _arn(self, kind: EntityKind, entity_type: str, name: str, source_uri: str) -> str:
        if kind == "Artifact":
            key = source_uri or f"{entity_type}/{name}"
            last = sha256_bytes(key.encode())[:32]
        else:
            last = entity_name(name if kind == "TrialComponent" else f"{entity_type}-{name}")
        return f"arn:{self.partition}:sagemaker:{self.region}:{self.account_id}:{_ARN_PART[kind]}/{last}"


def entity_name(name: str) -> str:
    """``name`` as the name of a lineage entity: letters, digits and single hyphens, at most 120; unique by a digest.

    A name that fits already stays as it is, in small letters as in SageMaker's ARNs.
    """
    if _NAME.fullmatch(name) and name == name.lower():
        return name
    plain = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-") or "entity"
    return f"{plain[: _NAME_CHARS - 9].rstrip('-')}-{sha256_bytes(name.encode())[:8]}"


def _neighbours(entities: Iterable[Entity], pairs: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, None]] = {entity.arn: {} for entity in entities}
    for arn, neighbour in pairs:
        found[arn][neighbour] = None
    return {arn: tuple(known) for arn, known in found.items()}


def _reached(arn: str, steps: Mapping[str, Iterable[str]]) -> frozenset[str]:
    found: set[str] = set()
    waiting = [arn]
    while waiting:
        for neighbour in steps.get(waiting.pop(), ()):
            if neighbour not in found:
                found.add(neighbour)
                waiting.append(neighbour)
    return frozenset(found - {arn})
