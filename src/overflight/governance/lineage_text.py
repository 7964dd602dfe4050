"""Lineage as text for other programs that draw: Graphviz's dot and Mermaid.

Every edge is written with its kind; names and facts are quoted so that none of them can become syntax.
"""

from __future__ import annotations

from overflight.governance.lineage import Entity, Graph
from overflight.governance.lineage_view import card

_SHAPES = {"Artifact": "box", "Action": "hexagon", "Context": "ellipse", "TrialComponent": "component"}
_MERMAID = {"Artifact": ("[", "]"), "Action": ("{{", "}}"), "Context": ("([", "])"), "TrialComponent": ("[[", "]]")}


def as_dot(graph: Graph) -> str:
    """The graph in Graphviz's language."""
    number = {entity.arn: at for at, entity in enumerate(graph.entities)}
    lines = ["digraph lineage {", "  rankdir=LR;", '  node [fontname="sans-serif"]; edge [fontname="sans-serif"];']
    for entity in graph.entities:
        label = "\\n".join(_dot(text) for text in _texts(entity))
        lines.append(f'  n{number[entity.arn]} [shape={_SHAPES[entity.kind]}, label="{label}"];')
    lines += [f'  n{number[edge.source]} -> n{number[edge.destination]} [label="{edge.kind}"];' for edge in graph.edges]
    return "\n".join([*lines, "}", ""])


def as_mermaid(graph: Graph) -> str:
    """The graph as a Mermaid flowchart."""
    number = {entity.arn: at for at, entity in enumerate(graph.entities)}
    lines = ["flowchart LR"]
    for entity in graph.entities:
        begin, end = _MERMAID[entity.kind]
        label = "<br/>".join(_mermaid(text) for text in _texts(entity))
        lines.append(f'  n{number[entity.arn]}{begin}"{label}"{end}')
    lines += [f"  n{number[edge.source]} -->|{edge.kind}| n{number[edge.destination]}" for edge in graph.edges]
    return "\n".join([*lines, ""])


def _texts(entity: Entity) -> tuple[str, ...]:
    shown = card(entity)
    return (f"{shown.word}: {shown.name}", *shown.lines)


def _dot(text: str) -> str:
    return " ".join(text.split()).replace("\\", "\\\\").replace('"', '\\"')


def _mermaid(text: str) -> str:
    """Mermaid reads ``#`` codes of characters; everything that could end a label or be HTML is written as one."""
    return "".join(
        letter if letter.isalnum() or letter in " .,:/@=()-_+%" else f"#{ord(letter)};"
        for letter in " ".join(text.split())
    )
