"""Which tiles a large photograph is cut into, and which boxes each tile shows.

Rules (reference: visible fraction as in SAHI and DOTA tools, but nothing visible is ever taught as background): a box
is kept when at least 30 % of it lies in the tile and both sides are at least 2 px; whatever else of a box or of a
region to be ignored lies in the tile is painted over with the colour around it. Boxes whole in no tile are counted, so
that nothing is lost in silence. It knows no pixels, no files, no flights and no surveys.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import Boxes, area, intersection
from overflight.imaging.tiles import Tile, plan_tiles

NO_BOXES: Boxes = np.zeros((0, 4))
_PAIRS_AT_ONCE = 1_000_000
_WHOLE = 1 - 1e-9


@dataclass(frozen=True)
class TileRules:
    """How photographs are cut.

    Attributes:
        tile_px: Side of a tile.
        overlap_px: What neighbouring tiles share.
        min_visible: Least visible fraction of a box that is kept (0.1: as SAHI does, 0.7: as DOTA's tools do).
        ignore_above: Visible fraction above which a box that is not kept is painted over; what shows less is left in
            the picture as background, so 0 is what is honest.
        min_side_px: Least side of a kept box.
        background_share: Largest share of tiles without boxes, 0 <= share < 1.
        jpeg_quality: 1..100.
    """

    tile_px: int = 640
    overlap_px: int = 128
    min_visible: float = 0.3
    ignore_above: float = 0.0
    min_side_px: float = 2.0
    background_share: float = 0.2
    jpeg_quality: int = 95


@dataclass(frozen=True)
class TilePlan:
    """One tile to be cut.

    Attributes:
        name: File name without suffix.
        tile: Where in the photograph.
        class_ids: (N,) classes of the kept boxes.
        boxes_px: (N, 4) kept boxes in the tile's pixels, cut at its edges.
        box_ids: (N,) which boxes of the photograph they are, from 0.
        whole: (N,) whether all of the box lies in the tile.
        ignored_px: (M, 4) regions to be painted over.
        dropped: Number of boxes that show too little to be painted over.
    """

    name: str
    tile: Tile
    class_ids: NDArray[np.int64]
    boxes_px: Boxes
    box_ids: NDArray[np.int64]
    whole: NDArray[np.bool_]
    ignored_px: Boxes
    dropped: int

    @property
    def cut(self) -> int:
        """Number of kept boxes that the tile's edge cuts."""
        return int((~self.whole).sum())


def plan_photo(
    stem: str,
    *,
    size_wh: tuple[int, int],
    class_ids: NDArray[np.int64],
    boxes_px: Boxes,
    rules: TileRules,
    ignored_px: Boxes = NO_BOXES,
) -> list[TilePlan]:
    """Tiles of one photograph, row by row, with the boxes that each shows.

    Args:
        stem: Start of the tiles' names, unique in the data set.
        size_wh: Width and height of the upright photograph in pixels.
        class_ids: (N,).
        boxes_px: (N, 4) corners in the photograph's pixels.
        rules: See :class:`TileRules`.
        ignored_px: (M, 4) regions that are painted over wherever a tile shows them.
    """
    width, height = size_wh
    tiles = plan_tiles(width, height, tile_px=rules.tile_px, overlap_px=rules.overlap_px)
    edges = np.array([(tile.x0, tile.y0, tile.x1, tile.y1) for tile in tiles], dtype=np.float64)
    at, box_ids, visible, local = _shown(edges, boxes_px)
    kept = (visible >= rules.min_visible) & (local[:, 2:] - local[:, :2] >= rules.min_side_px).all(axis=1)
    ignored = ~kept & (visible > rules.ignore_above)
    region_at, _, _, regions = _shown(edges, ignored_px)
    boxes_of, kept_of, ignored_of, regions_of = (
        np.searchsorted(found, np.arange(len(tiles) + 1)).tolist() for found in (at, at[kept], at[ignored], region_at)
    )
    box_ids, whole, painted, local = box_ids[kept], visible[kept] >= _WHOLE, local[ignored], local[kept]
    plans = []
    for number, tile in enumerate(tiles):
        mine = slice(kept_of[number], kept_of[number + 1])
        theirs = slice(ignored_of[number], ignored_of[number + 1])
        given = slice(regions_of[number], regions_of[number + 1])
        shown = boxes_of[number + 1] - boxes_of[number]
        plans.append(
            TilePlan(
                name=stem if len(tiles) == 1 else f"{stem}_x{tile.x0:05d}_y{tile.y0:05d}",
                tile=tile,
                class_ids=class_ids[box_ids[mine]],
                boxes_px=local[mine],
                box_ids=box_ids[mine],
                whole=whole[mine],
                ignored_px=np.concatenate([painted[theirs], regions[given]]),
                dropped=shown - (mine.stop - mine.start) - (theirs.stop - theirs.start),
            )
        )
    return plans


def _shown(edges: Boxes, boxes_px: Boxes) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], Boxes]:
    """Every pair of a tile and a box that it shows, tile by tile.

    Returns:
        Index of the tile (P,), of the box (P,), visible fraction (P,) and the visible part in the tile's pixels (P, 4).
    """
    step = max(1, _PAIRS_AT_ONCE // max(1, len(boxes_px)))
    found = []
    for first in range(0, len(edges), step):
        common = intersection(edges[first : first + step], boxes_px)
        at, box_ids = np.nonzero(common)
        found.append((at + first, box_ids, common[at, box_ids]))
    at, box_ids, shown = (np.concatenate(columns) for columns in zip(*found, strict=True))
    origin, end = edges[at, :2], edges[at, 2:]
    local = np.clip(boxes_px[box_ids] - np.tile(origin, 2), 0, np.tile(end - origin, 2))
    return at, box_ids, shown / area(boxes_px)[box_ids], local


def chosen_backgrounds(empty: Iterable[str], *, with_boxes: int, share: float, seed: int) -> set[str]:
    """Names of the tiles without boxes that stay: at most ``share`` of the result, by a hash of name and seed.

    Args:
        empty: Names of tiles without boxes.
        with_boxes: Number of the others.
        share: 0 <= share < 1.
        seed: Chooses.
    """
    allowed = int(with_boxes * share / (1 - share) + 1e-9)
    return set(sorted(empty, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())[:allowed])


@dataclass(frozen=True)
class Seams:
    """How the boxes of photographs come through cutting.

    Attributes:
        boxes: All of them.
        whole: Of these, whole in at least one tile.
        parts: Kept in parts only.
        lost: Kept in no tile (painted over in all).
        largest_torn_px: Longest side among the boxes that are whole in no tile, 0 without any.
    """

    boxes: int = 0
    whole: int = 0
    parts: int = 0
    lost: int = 0
    largest_torn_px: float = 0.0

    def __add__(self, other: Seams) -> Seams:
        """Of both."""
        return Seams(
            self.boxes + other.boxes,
            self.whole + other.whole,
            self.parts + other.parts,
            self.lost + other.lost,
            max(self.largest_torn_px, other.largest_torn_px),
        )


def seams(plans: Sequence[TilePlan], boxes_px: Boxes) -> Seams:
    """How ``boxes_px`` (N, 4) of a photograph come through ``plans``, its tiles."""
    whole, kept = np.zeros(len(boxes_px), dtype=np.bool_), np.zeros(len(boxes_px), dtype=np.bool_)
    for plan in plans:
        kept[plan.box_ids] = True
        whole[plan.box_ids[plan.whole]] = True
    torn = boxes_px[~whole]
    return Seams(
        len(boxes_px),
        int(whole.sum()),
        int((kept & ~whole).sum()),
        int((~kept).sum()),
        float((torn[:, 2:] - torn[:, :2]).max(initial=0.0)),
    )


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
