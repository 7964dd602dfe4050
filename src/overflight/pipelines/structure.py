"""Reading a pipeline definition: its steps wherever they are nested, what they refer to, and the graph that follows.

Works on the plain document, whoever wrote it, and takes it as it comes: what is wrong with it is for
``pipelines.check`` to say. It evaluates nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

EdgeKind = Literal["data", "order", "branch"]
BRANCHES = ("IfSteps", "ElseSteps")

_PART = re.compile(r"""\.?([^.\[\]'"]+)|\[(\d+)\]|\['([^']+)'\]|\["([^"]+)"\]""")


@dataclass(frozen=True)
class Node:
    """A step and where it stands: at the top (``owner`` is "") or in a branch of the condition step ``owner``."""

    name: str
    type: str
    document: Mapping[str, Any]
    owner: str = ""
    branch: str = ""

    @property
    def arguments(self) -> Mapping[str, Any]:
        """``Arguments``, or nothing where they are not an object."""
        found = self.document.get("Arguments")
        return found if isinstance(found, Mapping) else {}


@dataclass(frozen=True)
class Reference:
    """A ``Get`` at ``path`` of the definition that points to ``target``, such as ``Steps.Train.TrainingJobArn``."""

    path: str
    target: str
    inside: str = ""

    @property
    def parts(self) -> tuple[str | int, ...]:
        """``target`` taken apart; empty when it cannot be read."""
        return split_path(self.target)


@dataclass(frozen=True)
class Edge:
    """``target`` waits for ``source``: for its data, because it says so, or as a branch (labelled yes or no)."""

    source: str
    target: str
    kind: EdgeKind
    label: str = ""


def nodes_of(definition: Mapping[str, Any]) -> list[Node]:
    """All steps in reading order, those in branches right after their condition."""
    return list(_nodes(definition.get("Steps"), "", ""))


def references(value: Any, path: str, *, inside: str = "") -> Iterator[Reference]:
    """Every ``Get`` in ``value``; ``inside`` names the function it is an argument of, such as ``Std:JsonGet``."""
    if isinstance(value, Mapping):
        if len(value) == 1 and isinstance(value.get("Get"), str):
            yield Reference(path, value["Get"], inside)
            return
        for name, item in value.items():
            function = str(name) if str(name).startswith("Std:") else inside
            yield from references(item, f"{path}.{name}", inside=function)
    elif isinstance(value, Sequence) and not isinstance(value, str):
        for index, item in enumerate(value):
            yield from references(item, f"{path}[{index}]", inside=inside)


def own_references(node: Node) -> list[Reference]:
    """References of the step itself: for a condition its conditions, not the steps in its branches."""
    path = f"Steps.{node.name}"
    if node.type == "Condition":
        return list(references(node.arguments.get("Conditions"), f"{path}.Arguments.Conditions"))
    beside = {name: value for name, value in node.document.items() if name != "Arguments"}
    return [*references(node.arguments, f"{path}.Arguments"), *references(beside, path)]


def dependencies(node: Node) -> list[str]:
    """Names in ``DependsOn``, in both of its forms."""
    listed = node.document.get("DependsOn")
    if not isinstance(listed, Sequence) or isinstance(listed, str):
        return []
    names = [entry.get("Step") if isinstance(entry, Mapping) else entry for entry in listed]
    return [name for name in names if isinstance(name, str)]


def edges_of(nodes: Sequence[Node]) -> list[Edge]:
    """The graph: one edge for each pair of steps and kind, in reading order of the waiting step."""
    found: dict[Edge, None] = {}
    for node in nodes:
        if node.owner:
            found[Edge(node.owner, node.name, "branch", "yes" if node.branch == "IfSteps" else "no")] = None
        for reference in own_references(node):
            parts = reference.parts
            if len(parts) > 1 and parts[0] == "Steps":
                found[Edge(str(parts[1]), node.name, "data")] = None
        for name in dependencies(node):
            found[Edge(name, node.name, "order")] = None
    return list(found)


def ancestors(edges: Sequence[Edge]) -> dict[str, set[str]]:
    """For each step that waits, all steps that come before it; a step in a circle is its own ancestor."""
    direct: dict[str, set[str]] = {}
    for edge in edges:
        direct.setdefault(edge.target, set()).add(edge.source)
    found = {}
    for name, sources in direct.items():
        seen: set[str] = set()
        open_names = list(sources)
        while open_names:
            current = open_names.pop()
            if current not in seen:
                seen.add(current)
                open_names.extend(direct.get(current, ()))
        found[name] = seen
    return found


def split_path(path: str) -> tuple[str | int, ...]:
    """``Steps.P.Outputs['a'][0].S3Uri`` as its parts (indices as int); empty when it cannot be read."""
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _PART.match(path, position)
        if match is None:
            return ()
        name, index, single, double = match.groups()
        parts.append(int(index) if index is not None else name or single or double)
        position = match.end()
    return tuple(parts)


def _nodes(steps: Any, owner: str, branch: str) -> Iterator[Node]:
    if not isinstance(steps, Sequence) or isinstance(steps, str):
        return
    for step in steps:
        if not isinstance(step, Mapping):
            continue
        node = Node(str(step.get("Name", "")), str(step.get("Type", "")), step, owner, branch)
        yield node
        if node.type == "Condition":
            for side in BRANCHES:
                yield from _nodes(node.arguments.get(side), node.name, side)
