"""Tiles: every pixel is covered, starts lie on the grid, neighbours share the overlap."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from overflight.imaging.tiles import Tile, plan_tiles

sides = st.integers(1, 2500)


@given(width=sides, height=sides, tile=st.integers(32, 700), overlap=st.integers(0, 300))
def test_tiles_cover_every_pixel_and_share_the_overlap(width, height, tile, overlap):
    overlap = min(overlap, tile - 16)
    tiles = plan_tiles(width, height, tile_px=tile, overlap_px=overlap)
    for axis_length, starts in ((width, {(t.x0, t.x1) for t in tiles}), (height, {(t.y0, t.y1) for t in tiles})):
        spans = sorted(starts)
        assert spans[0][0] == 0
        assert spans[-1][1] == axis_length
        for (_, end), (start, _) in itertools.pairwise(spans):
            assert end - start >= overlap
    assert len(tiles) == len({(t.x0, t.x1) for t in tiles}) * len({(t.y0, t.y1) for t in tiles})
    assert all(t.x0 % 16 == 0 and t.y0 % 16 == 0 for t in tiles)
    if len(tiles) > 1:
        assert all(t.width_px <= tile + 15 and t.height_px <= tile + 15 for t in tiles)


@pytest.mark.parametrize(
    ("size_wh", "count", "last"),
    [
        pytest.param((4000, 3000), 48, Tile(3360, 2352, 4000, 3000), id="still: last row 8 px longer"),
        pytest.param((1920, 1080), 8, Tile(1280, 432, 1920, 1080), id="video frame"),
        pytest.param((1284, 377), 3, Tile(640, 0, 1284, 377), id="strip lower than a tile"),
        pytest.param((704, 704), 1, Tile(0, 0, 704, 704), id="a tenth larger than a tile stays whole"),
        pytest.param((705, 640), 2, Tile(64, 0, 705, 640), id="larger than that is cut"),
        pytest.param((100, 80), 1, Tile(0, 0, 100, 80), id="smaller than a tile"),
    ],
)
def test_known_sizes(size_wh, count, last):
    tiles = plan_tiles(*size_wh, tile_px=640, overlap_px=128)
    assert len(tiles) == count
    assert tiles[-1] == last


@pytest.mark.parametrize(
    ("size_wh", "tile", "overlap"),
    [
        pytest.param((0, 10), 640, 128, id="no photograph"),
        pytest.param((100, 100), 16, 0, id="tile too small"),
        pytest.param((100, 100), 64, 60, id="overlap leaves no step"),
        pytest.param((100, 100), 64, -1, id="negative overlap"),
    ],
)
def test_impossible_plans_are_refused(size_wh, tile, overlap):
    with pytest.raises(ValueError, match="px"):
        plan_tiles(*size_wh, tile_px=tile, overlap_px=overlap)


def test_boxes_move_between_tile_and_photograph():
    tile = Tile(512, 256, 1152, 896)
    box = np.array([[520.5, 260.0, 530.0, 270.0]])
    assert tile.to_tile(box).tolist() == [[8.5, 4.0, 18.0, 14.0]]
    assert tile.to_photo(tile.to_tile(box)).tolist() == box.tolist()
