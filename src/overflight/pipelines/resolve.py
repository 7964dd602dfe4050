"""Whether the references of a definition point to something, and what type of value they will give.

Steps' properties are looked up in the answers of AWS's Describe operations. It computes no values: that is the work of
whoever executes the definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from overflight.account.shapes import Finding, is_reference, type_at
from overflight.pipelines.step_kinds import EXECUTION_VALUES, KINDS, PROPERTY_FILE_KINDS, SPECIAL_PROPERTIES, UNCHECKED
from overflight.pipelines.structure import Node, Reference, own_references, split_path

_PARAMETER_TYPES = {"String": "string", "Integer": "integer", "Float": "float", "Boolean": "boolean"}
# Lists of the API that a reference may index by a name: member that holds the name, by name of the list.
_NAMED_LISTS = {"Outputs": "OutputName", "ProcessingInputs": "InputName", "InputDataConfig": "ChannelName"}


@dataclass(frozen=True)
class Lookup:
    """Names a reference may use: parameters with their types, and steps."""

    parameters: Mapping[str, str]
    nodes: Mapping[str, Node]

    def type_of(self, value: Any) -> str:
        """Botocore's name for the type an expression gives; "" when it is not known beforehand."""
        if isinstance(value, Mapping) and "Std:Join" in value:
            return "string"
        if not isinstance(value, Mapping) or not isinstance(value.get("Get"), str):
            return ""
        parts = split_path(value["Get"])
        if parts[:1] == ("Parameters",) and len(parts) == 2:
            return _PARAMETER_TYPES.get(self.parameters.get(str(parts[1]), ""), "")
        if parts[:1] == ("Execution",):
            return "string"
        return self.property_type(parts) or ""

    def property_type(self, parts: Sequence[str | int]) -> str | None:
        """Type of ``Steps.<name>.<path>``: "" when nothing is known about it, None when it does not exist."""
        node = self.nodes.get(str(parts[1])) if len(parts) > 2 else None
        if node is None:
            return None
        if node.type in UNCHECKED or parts[2] in SPECIAL_PROPERTIES.get(node.type, ()):
            return ""
        kind = KINDS.get(node.type)
        if kind is None or not kind.describe:
            return None
        return type_at("sagemaker", kind.describe, parts[2:])


def lookup(definition: Mapping[str, Any], nodes: Sequence[Node]) -> Lookup:
    """The names of ``definition``."""
    declared = definition.get("Parameters")
    entries = [entry for entry in declared if isinstance(entry, Mapping)] if isinstance(declared, list) else []
    parameters = {str(entry.get("Name")): str(entry.get("Type")) for entry in entries}
    return Lookup(parameters, {node.name: node for node in nodes})


def check_expressions(node: Node, names: Lookup) -> Iterator[Finding]:
    """References of one step that point nowhere, and functions that are not well formed."""
    for reference in own_references(node):
        yield from _check_reference(reference, names)
    own = node.arguments.get("Conditions") if node.type == "Condition" else node.arguments
    suffix = ".Conditions" if node.type == "Condition" else ""
    yield from _check_functions(own, f"Steps.{node.name}.Arguments{suffix}")


def _check_reference(reference: Reference, names: Lookup) -> Iterator[Finding]:
    parts, target, path = reference.parts, reference.target, reference.path
    family = parts[0] if parts else ""
    if family == "Parameters":
        if len(parts) != 2 or str(parts[1]) not in names.parameters:
            yield Finding(path, f"there is no parameter {target.removeprefix('Parameters.')!r}")
    elif family == "Execution":
        if len(parts) != 2 or parts[1] not in EXECUTION_VALUES:
            yield Finding(path, f"{target!r} is not a value of an execution")
    elif family == "Steps":
        yield from _check_step_reference(reference, names)
    else:
        yield Finding(path, f"cannot read the reference {target!r}; it starts with Parameters, Execution or Steps")


def _check_step_reference(reference: Reference, names: Lookup) -> Iterator[Finding]:
    parts, path = reference.parts, reference.path
    node = names.nodes.get(str(parts[1])) if len(parts) > 1 else None
    if node is None:
        yield Finding(path, f"there is no step {str(parts[1]) if len(parts) > 1 else ''!r}")
        return
    if len(parts) == 4 and parts[2] == "PropertyFiles":
        yield from _check_property_file(reference, node)
        return
    if names.property_type(parts) is None:
        tail = ".".join(str(part) for part in parts[2:])
        yield Finding(path, f"a {node.type} step has no property {tail!r}")
        return
    yield from _check_named_item(parts, node, path)


def _check_property_file(reference: Reference, node: Node) -> Iterator[Finding]:
    name = str(reference.parts[3])
    declared = [entry.get("PropertyFileName") for entry in _objects(node.document.get("PropertyFiles"))]
    if reference.inside != "Std:JsonGet":
        yield Finding(reference.path, "a property file can only be read with Std:JsonGet")
    if node.type not in PROPERTY_FILE_KINDS or name not in declared:
        yield Finding(reference.path, f"step {node.name!r} declares no property file {name!r}")


def _check_named_item(parts: Sequence[str | int], node: Node, path: str) -> Iterator[Finding]:
    """``Outputs['x']`` must name an output that the step has."""
    for list_name, index in pairwise(parts):
        name_member = _NAMED_LISTS.get(str(list_name))
        if name_member is None or not isinstance(index, str) or node.type not in ("Processing", "Training"):
            continue
        holder = node.arguments.get("ProcessingOutputConfig", {}) if list_name == "Outputs" else node.arguments
        listed = _objects(holder.get(str(list_name))) if isinstance(holder, Mapping) else []
        existing = [entry.get(name_member) for entry in listed]
        if index not in existing:
            known = ", ".join(str(name) for name in existing) or "none"
            yield Finding(path, f"step {node.name!r} has no {index!r} in {list_name}; it has {known}")


def _check_functions(value: Any, path: str) -> Iterator[Finding]:
    if is_reference(value):
        name, argument = next(iter(value.items()))
        if name == "Get" and not isinstance(argument, str):
            yield Finding(path, "Get needs the reference as text")
        elif name == "Std:Join":
            yield from _check_join(argument, path)
        elif name == "Std:JsonGet":
            yield from _check_json_get(argument, path)
    elif isinstance(value, Mapping):
        for name, item in value.items():
            yield from _check_functions(item, f"{path}.{name}")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _check_functions(item, f"{path}[{index}]")


def _check_join(argument: Any, path: str) -> Iterator[Finding]:
    if not isinstance(argument, Mapping) or argument.keys() - {"On", "Values"}:
        yield Finding(path, "Std:Join needs an object with On and Values")
        return
    values = argument.get("Values")
    if not isinstance(argument.get("On", ""), str) or not isinstance(values, list) or not values:
        yield Finding(path, "Std:Join needs text in On and a list in Values")
        return
    for index, item in enumerate(values):
        inner = f"{path}.Std:Join.Values[{index}]"
        if is_reference(item):
            yield from _check_functions(item, inner)
        elif not isinstance(item, str | int | float):
            yield Finding(inner, "text, a number, a boolean or an expression is needed")


def _check_json_get(argument: Any, path: str) -> Iterator[Finding]:
    if not isinstance(argument, Mapping) or argument.keys() - {"PropertyFile", "S3Uri", "Path"}:
        yield Finding(path, "Std:JsonGet needs an object with PropertyFile (or S3Uri) and Path")
        return
    if ("PropertyFile" in argument) == ("S3Uri" in argument):
        yield Finding(path, "Std:JsonGet needs exactly one of PropertyFile and S3Uri")
    if not isinstance(argument.get("Path"), str) or not split_path(argument["Path"]):
        yield Finding(path, f"Std:JsonGet cannot read the path {argument.get('Path')!r}")
    file = argument.get("PropertyFile")
    if file is not None:
        parts = split_path(file["Get"]) if isinstance(file, Mapping) and isinstance(file.get("Get"), str) else ()
        if len(parts) != 4 or parts[0] != "Steps" or parts[2] != "PropertyFiles":
            yield Finding(path, "PropertyFile must be a reference to Steps.<step>.PropertyFiles.<name>")


def _objects(value: Any) -> list[Mapping[str, Any]]:
    return [entry for entry in value if isinstance(entry, Mapping)] if isinstance(value, list) else []
