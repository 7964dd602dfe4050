"""Places for the entities of a lineage on a page: layers from top to bottom, few crossings, straight main line.

Sizes are in the units of an SVG. It knows places, not what they show.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from overflight.governance.lineage import Edge, Graph

CARD_W, CARD_H, GAP_X, GAP_Y, BEND_W = 232.0, 92.0, 18.0, 40.0, 10.0
_SWEEPS = 12
# What goes into something without being its main line stands one layer above it, not at the very top.
_LATE = frozenset({"Code", "Image", "PipelineDefinition", "PipelineExecution", "Flight", "Checkpoint", "Photograph"})


@dataclass(frozen=True)
class Layout:
    """A drawing.

    Attributes:
        places: Left upper corner of each entity's card by ARN.
        ways: Points of each edge, from the lower side of the one to the upper side of the other.
        size_wh: Of the whole drawing.
    """

    places: Mapping[str, tuple[float, float]]
    ways: Mapping[Edge, tuple[tuple[float, float], ...]]
    size_wh: tuple[float, float]


@dataclass(frozen=True)
class _Rows:
    """Slots by layer: entities and, for edges over several layers, bends; ``near`` are a slot's neighbours."""

    layers: list[list[str]]
    above: dict[str, list[str]]
    below: dict[str, list[str]]
    bends: dict[Edge, list[str]]


def layout(graph: Graph) -> Layout:
    """Places of all entities and ways of all edges."""
    if not graph.entities:
        return Layout({}, {}, (CARD_W, CARD_H))
    rows = _rows(graph, _levels(graph))
    _order(rows)
    centres = _centres(rows)
    left = min(x - _width(slot) / 2 for slot, x in centres.items())
    right = max(x + _width(slot) / 2 for slot, x in centres.items())
    top = {slot: at * (CARD_H + GAP_Y) for at, layer in enumerate(rows.layers) for slot in layer}
    places = {arn: (centres[arn] - CARD_W / 2 - left, top[arn]) for arn in graph.by_arn}
    ways = {}
    for edge, bends in rows.bends.items():
        points = [(centres[edge.source] - left, top[edge.source] + CARD_H)]
        for bend in bends:
            points += [(centres[bend] - left, top[bend]), (centres[bend] - left, top[bend] + CARD_H)]
        ways[edge] = (*points, (centres[edge.destination] - left, top[edge.destination]))
    height = len(rows.layers) * (CARD_H + GAP_Y) - GAP_Y
    return Layout(places, ways, (right - left, height))


def _levels(graph: Graph) -> dict[str, int]:
    layers = graph.layers()
    level = {entity.arn: at for at, layer in enumerate(layers) for entity in layer}
    for layer in reversed(layers):
        for entity in layer:
            after = [level[one] for one in graph.destinations[entity.arn]]
            if after and entity.type in _LATE:
                level[entity.arn] = min(after) - 1
    used = {at: rank for rank, at in enumerate(sorted(set(level.values())))}
    return {arn: used[at] for arn, at in level.items()}


def _rows(graph: Graph, level: Mapping[str, int]) -> _Rows:
    layers: list[list[str]] = [[] for _ in range(max(level.values()) + 1)]
    for entity in graph.entities:
        layers[level[entity.arn]].append(entity.arn)
    above: dict[str, list[str]] = {arn: [] for arn in level}
    below: dict[str, list[str]] = {arn: [] for arn in level}
    bends: dict[Edge, list[str]] = {}
    for number, edge in enumerate(graph.edges):
        chain = [edge.source]
        for at in range(level[edge.source] + 1, level[edge.destination]):
            bend = f"bend {number} {at}"
            layers[at].append(bend)
            above[bend], below[bend] = [], []
            chain.append(bend)
        bends[edge] = chain[1:]
        for upper, lower in zip(chain, [*chain[1:], edge.destination], strict=True):
            below[upper].append(lower)
            above[lower].append(upper)
    return _Rows(layers, above, below, bends)


def _order(rows: _Rows) -> None:
    """Fewer crossings: each layer by the mean place of its neighbours, down and up, until the sweeps are over."""
    best, fewest = [list(layer) for layer in rows.layers], _crossings(rows)
    for sweep in range(_SWEEPS):
        downwards = sweep % 2 == 0
        numbers = range(1, len(rows.layers)) if downwards else range(len(rows.layers) - 2, -1, -1)
        for at in numbers:
            fixed = {slot: place for place, slot in enumerate(rows.layers[at - 1 if downwards else at + 1])}
            near = rows.above if downwards else rows.below
            own = {slot: float(place) for place, slot in enumerate(rows.layers[at])}
            wanted = {
                slot: sum(fixed[one] for one in near[slot]) / len(near[slot]) if near[slot] else own[slot]
                for slot in rows.layers[at]
            }
            rows.layers[at].sort(key=wanted.__getitem__)
        if (count := _crossings(rows)) < fewest:
            best, fewest = [list(layer) for layer in rows.layers], count
    rows.layers[:] = best


def _crossings(rows: _Rows) -> int:
    total = 0
    for upper, lower in zip(rows.layers, rows.layers[1:], strict=False):
        place = {slot: at for at, slot in enumerate(lower)}
        ends = [place[one] for slot in upper for one in sorted(rows.below[slot], key=place.__getitem__)]
        total += sum(later < one for at, one in enumerate(ends) for later in ends[at + 1 :])
    return total


def _centres(rows: _Rows) -> dict[str, float]:
    """Centres in x: every slot as near to the mean of its neighbours as its place in the row allows."""
    centres: dict[str, float] = {}
    for layer in rows.layers:
        x = 0.0
        for slot in layer:
            centres[slot] = x + _width(slot) / 2
            x += _width(slot) + GAP_X
        for slot in layer:
            centres[slot] -= x / 2
    for sweep in range(_SWEEPS * 4):
        near = rows.above if sweep % 2 == 0 else rows.below
        for layer in rows.layers if sweep % 2 == 0 else reversed(rows.layers):
            wanted = {
                slot: sum(centres[one] for one in near[slot]) / len(near[slot]) if near[slot] else centres[slot]
                for slot in layer
            }
            _spread(layer, wanted, centres)
    return centres


def _spread(layer: list[str], wanted: Mapping[str, float], centres: dict[str, float]) -> None:
    """Wanted places without overlap, least squares: blocks that touch move together (pool adjacent violators)."""
    blocks: list[tuple[float, int, list[str], float]] = []  # sum of wanted starts, count, slots, width so far
    for slot in layer:
        start = wanted[slot] - _width(slot) / 2
        blocks.append((start, 1, [slot], _width(slot) + GAP_X))
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] + blocks[-2][3] > blocks[-1][0] / blocks[-1][1]:
            total, count, slots, width = blocks.pop()
            before_total, before_count, before_slots, before_width = blocks.pop()
            blocks.append(
                (
                    before_total + total - count * before_width,
                    before_count + count,
                    before_slots + slots,
                    before_width + width,
                )
            )
    for total, count, slots, _ in blocks:
        x = total / count
        for slot in slots:
            centres[slot] = x + _width(slot) / 2
            x += _width(slot) + GAP_X


def _width(slot: str) -> float:
    return BEND_W if slot.startswith("bend ") else CARD_W
