"""Where to cut a large photograph: overlapping tiles whose starts lie on a grid of 16 px.

The grid is JPEG's coding block (16x16 for 4:2:0), so a lossless cut and a cut after decoding give the same tiles.
Training and serving plan with this one function, so both see objects at the same scale. The last tile of a row or
column reaches the photograph's edge by being up to 15 px longer, not by being shifted off the grid: the loader of
training and the letterbox of serving fit any rectangle into the network's square (15 px of 640 are 2 % of scale),
and a shifted start would cost the lossless cut. It knows sizes only, never pixels.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from overflight.imaging.boxes import Boxes

GRID_PX = 16
WHOLE_UP_TO = 1.1


@dataclass(frozen=True, order=True)
class Tile:
    """A rectangle of a photograph, half-open, in pixels: columns ``x0..x1``, rows ``y0..y1``."""

    x0: int
    y0: int
    x1: int
    y1: int

    @property
    def width_px(self) -> int:
        """Columns."""
        return self.x1 - self.x0

    @property
    def height_px(self) -> int:
        """Rows."""
        return self.y1 - self.y0

    def to_photo(self, xyxy_tile_px: Boxes) -> Boxes:
        """Boxes (N, 4) in this tile's pixels moved to the photograph's."""
        return xyxy_tile_px + np.array([self.x0, self.y0, self.x0, self.y0], dtype=np.float64)

    def to_tile(self, xyxy_photo_px: Boxes) -> Boxes:
        """Boxes (N, 4) in the photograph's pixels moved to this tile's (not clipped)."""
        return xyxy_photo_px - np.array([self.x0, self.y0, self.x0, self.y0], dtype=np.float64)


def plan_tiles(
    width_px: int,
    height_px: int,
    *,
    tile_px: int,
    overlap_px: int,
    grid_px: int = GRID_PX,
    whole_up_to: float = WHOLE_UP_TO,
) -> list[Tile]:
    """Tiles that cover every pixel of a photograph, row by row.

    Starts are multiples of ``grid_px``; the last tile of a row or column ends at the photograph's edge and is 0 to
    ``grid_px - 1`` px longer than ``tile_px``. Neighbours share at least ``overlap_px``, so an object up to that size
    is whole in at least one tile. A photograph of which neither side is longer than ``tile_px * whole_up_to`` stays
    one tile.

    Args:
        width_px: Columns of the photograph (after its orientation was applied).
        height_px: Rows of the photograph.
        tile_px: Side of a tile, >= 2 * ``grid_px``.
        overlap_px: Least number of pixels that neighbours share, 0 <= overlap <= ``tile_px - grid_px``.
        grid_px: Starts are multiples of this.
        whole_up_to: 1.0 cuts everything larger than a tile.

    Raises:
        ValueError: a size does not make sense.
    """
    if width_px < 1 or height_px < 1:
        raise ValueError(f"a photograph of {width_px}x{height_px} px cannot be tiled")
    if grid_px < 1 or tile_px < 2 * grid_px or not 0 <= overlap_px <= tile_px - grid_px:
        raise ValueError(f"tile {tile_px}, overlap {overlap_px} and grid {grid_px} px do not fit together")
    if max(width_px, height_px) <= tile_px * whole_up_to:
        return [Tile(0, 0, width_px, height_px)]
    columns = _spans(width_px, tile_px, overlap_px=overlap_px, grid_px=grid_px)
    rows = _spans(height_px, tile_px, overlap_px=overlap_px, grid_px=grid_px)
    return [Tile(x0, y0, x1, y1) for y0, y1 in rows for x0, x1 in columns]


def _spans(length_px: int, tile_px: int, *, overlap_px: int, grid_px: int) -> list[tuple[int, int]]:
    if length_px <= tile_px:
        return [(0, length_px)]
    stride_px = (tile_px - overlap_px) // grid_px * grid_px
    last = (length_px - tile_px) // grid_px * grid_px
    starts = [*range(0, last, stride_px), last]
    return [(start, length_px if start == last else start + tile_px) for start in starts]
