"""A pipeline definition for people: its graph drawn in the terminal or as a Mermaid flowchart, and its parameters.

Works on the plain document of any origin. It knows neither colours nor the terminal's width: lines stay within
``width`` columns, whoever prints them.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from overflight.account.shapes import is_reference
from overflight.pipelines.structure import BRANCHES, Edge, Node, edges_of, nodes_of

_SYMBOLS = {"Equals": "=", "GreaterThan": ">", "GreaterThanOrEqualTo": "≥", "LessThan": "<", "LessThanOrEqualTo": "≤"}
_LABELS = {"IfSteps": "yes", "ElseSteps": "no"}


def edges(definition: Mapping[str, Any]) -> list[Edge]:
    """Which step waits for which, and why, in reading order."""
    return edges_of(nodes_of(definition))


def draw(definition: Mapping[str, Any], *, width: int = 100) -> str:
    """The graph from top to bottom, branches indented under their condition, then the table of parameters.

    Steps that follow one another are joined by an arrow; other dependencies are named in the box. ``width`` is in
    columns; deep branches may need more than a narrow one.
    """
    nodes = nodes_of(definition)
    lines = _draw_steps(nodes, edges_of(nodes), "", owner="", branch="", width=width)
    parameters = definition.get("Parameters")
    if isinstance(parameters, list) and parameters:
        lines += ["", *_parameter_table(parameters, width)]
    return "\n".join(line.rstrip() for line in lines) + "\n"


def mermaid(definition: Mapping[str, Any]) -> str:
    """The graph as a Mermaid flowchart: conditions as diamonds, failures as hexagons."""
    nodes = nodes_of(definition)
    names = {node.name: f"s{index}" for index, node in enumerate(nodes)}
    lines = ["flowchart TD"]
    for node in nodes:
        opening, closing = {"Condition": ("{", "}"), "Fail": ("{{", "}}")}.get(node.type, ("[", "]"))
        text = _condition_text(node) if node.type == "Condition" else node.type
        lines.append(f'    {names[node.name]}{opening}"{_escaped(node.name)}<br/>{_escaped(text)}"{closing}')
    for edge in edges_of(nodes):
        if edge.source in names:
            arrow = {"data": "-->", "order": "-.->", "branch": f"-->|{edge.label}|"}[edge.kind]
            lines.append(f"    {names[edge.source]} {arrow} {names[edge.target]}")
    return "\n".join(lines) + "\n"


def _draw_steps(
    nodes: Sequence[Node], all_edges: Sequence[Edge], indent: str, *, owner: str, branch: str, width: int
) -> list[str]:
    here = [node for node in nodes if (node.owner, node.branch) == (owner, branch)]
    lines: list[str] = []
    for index, node in enumerate(here):
        before = here[index - 1].name if index else ""
        after = here[index + 1].name if index + 1 < len(here) else ""
        sides = [side for side in BRANCHES if any(step.owner == node.name and step.branch == side for step in nodes)]
        enters, leaves = _waits(all_edges, before, node.name), _waits(all_edges, node.name, after)
        text = [part for line in _lines_of(node, all_edges, before) for part in _wrapped(line, width - len(indent) - 4)]
        lines += [indent + line for line in _box(text, node.type, enters=enters, leaves=leaves or bool(sides))]
        for number, side in enumerate(sides):
            is_final = number == len(sides) - 1 and not leaves
            lines.append(f"{indent}   {'└' if is_final else '├'}─ {_LABELS[side]} ─▶")
            inner = f"{indent}   {' ' if is_final else '│'}    "
            lines += _draw_steps(nodes, all_edges, inner, owner=node.name, branch=side, width=width)
    return lines


def _waits(all_edges: Sequence[Edge], source: str, target: str) -> bool:
    return any((edge.source, edge.target) == (source, target) for edge in all_edges)


def _lines_of(node: Node, all_edges: Sequence[Edge], before: str) -> list[str]:
    """Name and kind, what it does, and the steps it waits for that no arrow beside it shows."""
    lines = [f"{node.name}  ·  {node.type}"]
    if node.type == "Condition":
        lines.append(f"{_condition_text(node)} ?")
    elif node.type == "Fail":
        lines.append(_value_text(node.arguments.get("ErrorMessage")))
    elif node.document.get("Description"):
        lines.append(str(node.document["Description"]))
    for kind, word in (("data", "uses"), ("order", "after")):
        sources = [edge.source for edge in all_edges if (edge.target, edge.kind) == (node.name, kind)]
        others = [source for source in sources if source != before]
        if others and node.type != "Fail":
            lines.append(f"{word} {', '.join(others)}")
    return lines


def _box(lines: Sequence[str], kind: str, *, enters: bool, leaves: bool) -> list[str]:
    """Round corners where the way parts or ends; an arrow comes in from above, a line goes out below."""
    inside = max(len(line) for line in lines)
    top, bottom = ("╭╮", "╰╯") if kind in ("Condition", "Fail") else ("┌┐", "└┘")
    rule = "─" * (inside + 2)
    head = f"──▼{rule[3:]}" if enters else rule
    foot = f"──┬{rule[3:]}" if leaves else rule
    return [
        f"{top[0]}{head}{top[1]}",
        *(f"│ {line.ljust(inside)} │" for line in lines),
        f"{bottom[0]}{foot}{bottom[1]}",
    ]


def _condition_text(node: Node) -> str:
    listed = node.arguments.get("Conditions")
    conditions = listed if isinstance(listed, list) else []
    return " and ".join(_one_condition(condition) for condition in conditions) or "?"


def _one_condition(condition: Any) -> str:
    if not isinstance(condition, Mapping):
        return "?"
    kind = condition.get("Type")
    if kind == "Not":
        return f"not ({_one_condition(condition.get('Expression', condition.get('Condition')))})"
    if kind == "Or":
        return "(" + " or ".join(_one_condition(inner) for inner in condition.get("Conditions") or ()) + ")"
    if kind == "In":
        values = ", ".join(_value_text(value) for value in condition.get("Values") or ())
        return f"{_value_text(condition.get('QueryValue'))} in ({values})"
    sides = _value_text(condition.get("LeftValue")), _value_text(condition.get("RightValue"))
    return f"{sides[0]} {_SYMBOLS.get(str(kind), str(kind))} {sides[1]}"


def _value_text(value: Any) -> str:
    """A value as a person writes it: ``MinMap50``, ``Evaluate:metrics.map50.value``."""
    if isinstance(value, bool):
        return str(value).lower()
    if not is_reference(value):
        return str(value)
    name, argument = next(iter(value.items()))
    if name == "Get":
        return str(argument).removeprefix("Parameters.").removeprefix("Steps.")
    if not isinstance(argument, Mapping):
        return "?"
    if name == "Std:Join":
        return str(argument.get("On", "")).join(_value_text(part) for part in argument.get("Values") or ())
    file = argument.get("PropertyFile")
    step = (
        str(file.get("Get", "")).split(".")[1:2] if isinstance(file, Mapping) else [_value_text(argument.get("S3Uri"))]
    )
    return f"{''.join(step)}:{argument.get('Path')}"


def _parameter_table(parameters: Sequence[Any], width: int) -> list[str]:
    rows = [("parameter", "type", "default", "allowed")]
    for entry in parameters:
        if isinstance(entry, Mapping):
            default = entry.get("DefaultValue")
            shown = "(required)" if default is None else '""' if default == "" else str(default)
            allowed = ", ".join(str(choice) for choice in entry.get("EnumValues") or ())
            rows.append((str(entry.get("Name")), str(entry.get("Type")), shown, allowed))
    sizes = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = []
    for row in rows:
        head = "  ".join(cell.ljust(size) for cell, size in zip(row[:3], sizes, strict=True))
        lines.append(_cut(f"{head}  {row[3]}".rstrip(), width))
    return [lines[0], "─" * min(width, max(len(line) for line in lines)), *lines[1:]]


def _wrapped(text: str, room: int) -> list[str]:
    return textwrap.wrap(text, width=max(room, 20)) or [""]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace('"', "&quot;").replace("<", "&lt;").replace(">", "&gt;")
