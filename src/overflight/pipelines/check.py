"""Everything that can be known to be wrong with a pipeline definition before it is sent or run.

Three layers: the form of the definition (names, parameters, graph), each step's request against AWS's own model
(``account.shapes``), and rules the model cannot express (``pipelines.invariants``). It takes the plain document, so
that definitions of any origin can be checked; it sends nothing and evaluates nothing. That nothing is found is no proof
that the service accepts the definition.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overflight.account.shapes import Finding, Rules, check_request
from overflight.errors import UsageError
from overflight.pipelines import conditions, invariants, resolve
from overflight.pipelines.definition import VERSION
from overflight.pipelines.step_kinds import COMMON, KINDS, UNCHECKED
from overflight.pipelines.structure import Edge, Node, ancestors, dependencies, edges_of, nodes_of

_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_TOP_LEVEL = {"Version", "Metadata", "Parameters", "PipelineExperimentConfig", "MlflowConfig", "Steps"}
_TYPES: dict[str, tuple[type, ...]] = {"String": (str,), "Integer": (int,), "Float": (int, float), "Boolean": (bool,)}
_MAX_CHARS = 1_048_576
_MAX_PARAMETERS = 200


@dataclass(frozen=True)
class _Read:
    """A definition taken apart once."""

    nodes: list[Node]
    edges: list[Edge]
    before: dict[str, set[str]]
    lookup: resolve.Lookup


def check(definition: Mapping[str, Any]) -> list[Finding]:
    """All findings, errors before warnings, each in reading order, at paths like ``Steps.Train.Arguments.RoleArn``."""
    nodes = nodes_of(definition)
    edges = edges_of(nodes)
    read = _Read(nodes, edges, ancestors(edges), resolve.lookup(definition, nodes))
    found = [
        *_check_top(definition),
        *_check_parameters(definition.get("Parameters")),
        *_check_names(nodes),
        *_check_graph(read),
    ]
    for node in nodes:
        found.extend(_check_step(node, read))
    return sorted(dict.fromkeys(found), key=lambda finding: finding.severity)


def require_valid(definition: Mapping[str, Any]) -> list[Finding]:
    """The warnings of a definition without errors.

    Raises:
        UsageError: there are errors; the message holds the first three.
    """
    findings = check(definition)
    errors = [finding for finding in findings if finding.severity == "error"]
    if errors:
        more = f" (and {len(errors) - 3} more)" if len(errors) > 3 else ""
        text = "; ".join(f"{finding.path}: {finding.message}" for finding in errors[:3])
        raise UsageError(
            f"the pipeline definition has {len(errors)} errors: {text}{more}", cure="Correct the definition"
        )
    return findings


def _check_top(definition: Mapping[str, Any]) -> Iterator[Finding]:
    if definition.get("Version") != VERSION:
        yield Finding("Version", f"must be {VERSION}, not {definition.get('Version')!r}")
    for name in definition.keys() - _TOP_LEVEL:
        yield Finding(str(name), "is not a member of a pipeline definition")
    steps = definition.get("Steps")
    if not isinstance(steps, list) or not steps:
        yield Finding("Steps", "a list with at least one step is needed")
    elif any(not isinstance(step, Mapping) for step in steps):
        yield Finding("Steps", "every step must be an object")
    try:
        size = len(json.dumps(definition, allow_nan=False))
    except (TypeError, ValueError) as error:
        yield Finding("", f"cannot be written as JSON: {error}")
        return
    if size > _MAX_CHARS:
        yield Finding("", f"{size} characters: at most {_MAX_CHARS} allowed")


def _check_parameters(parameters: Any) -> Iterator[Finding]:
    if parameters is None:
        return
    if not isinstance(parameters, list):
        yield Finding("Parameters", "a list is needed")
        return
    if len(parameters) > _MAX_PARAMETERS:
        yield Finding("Parameters", f"{len(parameters)} parameters: at most {_MAX_PARAMETERS} allowed")
    names = Counter(str(entry.get("Name")) for entry in parameters if isinstance(entry, Mapping))
    for index, entry in enumerate(parameters):
        if not isinstance(entry, Mapping):
            yield Finding(f"Parameters[{index}]", "an object is needed")
            continue
        name = entry.get("Name")
        path = f"Parameters.{name}" if isinstance(name, str) and name else f"Parameters[{index}]"
        if names[str(name)] > 1:
            yield Finding(path, f"is declared {names[str(name)]} times")
        yield from _check_parameter(entry, path)


def _check_parameter(entry: Mapping[str, Any], path: str) -> Iterator[Finding]:
    name, kind, choices = entry.get("Name"), entry.get("Type"), entry.get("EnumValues")
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        yield Finding(path, f"the name {name!r} does not match {_NAME.pattern}")
    for member in entry.keys() - {"Name", "Type", "DefaultValue", "EnumValues"}:
        yield Finding(f"{path}.{member}", "is not a member of a parameter")
    if not isinstance(kind, str) or kind not in _TYPES:
        yield Finding(f"{path}.Type", f"{kind!r} is not one of {', '.join(_TYPES)}")
        return
    default = entry.get("DefaultValue")
    if default is not None and not _fits(default, kind):
        yield Finding(f"{path}.DefaultValue", f"{default!r} is not of type {kind}")
    if choices is None:
        return
    if not isinstance(choices, list) or not choices:
        yield Finding(f"{path}.EnumValues", "a list with at least one value is needed")
        return
    for choice in choices:
        if not _fits(choice, kind):
            yield Finding(f"{path}.EnumValues", f"{choice!r} is not of type {kind}")
    if default is not None and default not in choices:
        yield Finding(f"{path}.DefaultValue", f"{default!r} is not one of {choices}")


def _fits(value: Any, kind: str) -> bool:
    if isinstance(value, bool):
        return kind == "Boolean"
    return isinstance(value, _TYPES[kind])


def _check_names(nodes: Sequence[Node]) -> Iterator[Finding]:
    counts = Counter(node.name for node in nodes)
    for name, count in counts.items():
        if not _NAME.fullmatch(name):
            yield Finding(f"Steps.{name}", f"the name {name!r} does not match {_NAME.pattern}")
        if count > 1:
            yield Finding(f"Steps.{name}", f"the name is used by {count} steps")


def _check_graph(read: _Read) -> Iterator[Finding]:
    known = {node.name for node in read.nodes}
    for node in read.nodes:
        path = f"Steps.{node.name}"
        yield from _check_depends_on(node, known, path)
        before = read.before.get(node.name, set())
        if node.name in before:
            circle = sorted(name for name in before if node.name in read.before.get(name, set()))
            yield Finding(path, f"waits for itself, through {', '.join(circle)}")
        else:
            yield from _check_branches(node, before, read.nodes, path)


def _check_depends_on(node: Node, known: set[str], path: str) -> Iterator[Finding]:
    listed = node.document.get("DependsOn")
    if listed is None:
        return
    if not isinstance(listed, list):
        yield Finding(f"{path}.DependsOn", "a list of step names is needed")
        return
    for entry in listed:
        if isinstance(entry, Mapping):
            if entry.keys() != {"Step", "Trigger"} or entry.get("Trigger") not in ("Failed", "Stopped", "Any"):
                yield Finding(f"{path}.DependsOn", "an object needs Step and Trigger (Failed, Stopped or Any)")
        elif not isinstance(entry, str):
            yield Finding(f"{path}.DependsOn", f"{entry!r} is not a step name")
    for name in dependencies(node):
        if name not in known:
            yield Finding(f"{path}.DependsOn", f"there is no step {name!r}")


def _check_branches(node: Node, before: set[str], nodes: Sequence[Node], path: str) -> Iterator[Finding]:
    """A step that needs both branches of one condition can never run."""
    taken: dict[str, str] = {}
    for step in (entry for entry in nodes if entry.owner and (entry.name in before or entry.name == node.name)):
        if taken.setdefault(step.owner, step.branch) != step.branch:
            yield Finding(path, f"can never run: it needs steps of both branches of {step.owner}")
            return


def _check_step(node: Node, read: _Read) -> Iterator[Finding]:
    path = f"Steps.{node.name}"
    if node.type in UNCHECKED:
        return
    kind = KINDS.get(node.type)
    if kind is None:
        yield Finding(f"{path}.Type", f"{node.type!r} is not a kind of step; known: {', '.join(KINDS)}")
        return
    if not isinstance(node.document.get("Arguments"), Mapping):
        yield Finding(f"{path}.Arguments", "an object is needed")
        return
    for member in node.document.keys() - COMMON - kind.beside:
        yield Finding(f"{path}.{member}", f"is not a member of a {node.type} step")
    if kind.create:
        rules = Rules(omitted={kind.filled_in}, type_of_reference=read.lookup.type_of)
        yield from check_request("sagemaker", kind.create, node.arguments, path=f"{path}.Arguments", rules=rules)
    yield from resolve.check_expressions(node, read.lookup)
    yield from conditions.check_flow(node, read.lookup)
    yield from invariants.check_step(node)
