"""The form of Condition and Fail steps: arguments, kinds of comparison, and operands that can be compared.

It decides no condition: that is the work of whoever executes the definition.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from overflight.account.shapes import Finding, is_reference
from overflight.pipelines.resolve import Lookup
from overflight.pipelines.step_kinds import COMPARISONS
from overflight.pipelines.structure import BRANCHES, Node

_NUMBERS = frozenset({"integer", "long", "float", "double"})


def check_flow(node: Node, names: Lookup) -> Iterator[Finding]:
    """Findings of a Condition or Fail step; nothing for other kinds."""
    path = f"Steps.{node.name}.Arguments"
    if node.type == "Fail":
        yield from _check_fail(node, names, path)
    if node.type == "Condition":
        yield from _check_condition_step(node, names, path)


def _check_fail(node: Node, names: Lookup, path: str) -> Iterator[Finding]:
    message = node.arguments.get("ErrorMessage")
    for member in node.arguments.keys() - {"ErrorMessage"}:
        yield Finding(f"{path}.{member}", "is not an argument of a Fail step")
    is_text = isinstance(message, str) and bool(message)
    if not is_text and not (is_reference(message) and names.type_of(message) in ("string", "")):
        yield Finding(f"{path}.ErrorMessage", "text or a Std:Join is needed")


def _check_condition_step(node: Node, names: Lookup, path: str) -> Iterator[Finding]:
    for member in node.arguments.keys() - {"Conditions", *BRANCHES}:
        yield Finding(f"{path}.{member}", "is not an argument of a Condition step")
    listed = node.arguments.get("Conditions")
    if not isinstance(listed, list) or not listed:
        yield Finding(f"{path}.Conditions", "a list with at least one condition is needed")
    else:
        for index, condition in enumerate(listed):
            yield from _check_condition(condition, names, f"{path}.Conditions[{index}]")
    for side in BRANCHES:
        steps = node.arguments.get(side, [])
        if not isinstance(steps, list) or any(not isinstance(step, Mapping) for step in steps):
            yield Finding(f"{path}.{side}", "a list of steps is needed")


def _check_condition(condition: Any, names: Lookup, path: str) -> Iterator[Finding]:
    kind = str(condition.get("Type")) if isinstance(condition, Mapping) else ""
    if kind in COMPARISONS:
        yield from _check_members(condition, {"LeftValue", "RightValue"}, path)
        yield from _check_operands(condition, names, path)
    elif kind == "In":
        yield from _check_members(condition, {"QueryValue", "Values"}, path)
        if not isinstance(condition.get("Values"), list) or not condition["Values"]:
            yield Finding(f"{path}.Values", "a list with at least one value is needed")
    elif kind == "Not":
        inner = "Condition" if "Condition" in condition else "Expression"  # both are written; the SDK writes Expression
        yield from _check_members(condition, {inner}, path)
        yield from _check_condition(condition.get(inner), names, f"{path}.{inner}")
    elif kind == "Or":
        yield from _check_members(condition, {"Conditions"}, path)
        listed = condition.get("Conditions")
        if not isinstance(listed, list) or not listed:
            yield Finding(f"{path}.Conditions", "a list with at least one condition is needed")
            return
        for index, entry in enumerate(listed):
            yield from _check_condition(entry, names, f"{path}.Conditions[{index}]")
    else:
        known = ", ".join([*sorted(COMPARISONS), "In", "Not", "Or"])
        yield Finding(f"{path}.Type", f"{kind!r} is not a kind of condition; known: {known}")


def _check_members(condition: Mapping[str, Any], wanted: set[str], path: str) -> Iterator[Finding]:
    for member in sorted(wanted - condition.keys()):
        yield Finding(f"{path}.{member}", "is required and missing")
    for member in condition.keys() - wanted - {"Type"}:
        yield Finding(f"{path}.{member}", f"is not a member of the condition {condition['Type']}")


def _check_operands(condition: Mapping[str, Any], names: Lookup, path: str) -> Iterator[Finding]:
    types = {}
    for side in ("LeftValue", "RightValue"):
        if side not in condition:
            continue
        operand = condition[side]
        if not is_reference(operand) and not isinstance(operand, str | int | float):
            yield Finding(f"{path}.{side}", "text, a number, a boolean or an expression is needed")
            continue
        types[side] = _family(operand, names)
        if condition["Type"] != "Equals" and types[side] in ("text", "boolean"):
            yield Finding(f"{path}.{side}", f"{condition['Type']} compares numbers, not {types[side]}")
    known = {family for family in types.values() if family}
    if condition["Type"] == "Equals" and len(known) == 2:
        yield Finding(path, f"never holds: compares {' with '.join(sorted(known))}")


def _family(operand: Any, names: Lookup) -> str:
    if isinstance(operand, bool):
        return "boolean"
    if isinstance(operand, int | float):
        return "number"
    if isinstance(operand, str):
        return "text"
    type_name = names.type_of(operand)
    if type_name in _NUMBERS:
        return "number"
    return {"string": "text", "boolean": "boolean"}.get(type_name, "")
