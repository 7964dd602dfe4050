"""The prepared dataset is read strictly and never written to."""

from __future__ import annotations

import json

import numpy as np
import pytest

from overflight.detection.tiles import open_tiles, read_labels
from overflight.errors import InputError


def test_dataset_is_read_as_prepared(tile_root):
    tiles = open_tiles(tile_root)
    assert tiles.classes == ("car", "boat")
    assert [path.name for path in tiles.images("val")] == ["t0.jpg", "t1.jpg", "t2.jpg", "t3.jpg"]
    assert tiles.labels(tiles.images("train")[0]).shape == (3, 5)
    assert tiles.labels(tiles.images("val")[-1]).shape == (0, 5)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        pytest.param("0 0.5 0.5 0.1", "4 columns instead of 5", id="four columns"),
        pytest.param("0 0.5 0.5 0.1 0.1 0.9", "6 columns instead of 5", id="six columns"),
        pytest.param("", "0 columns instead of 5", id="blank line"),
        pytest.param("2 0.5 0.5 0.1 0.1", r"class 2 is not one of 0\.\.1", id="unknown class"),
        pytest.param("0.5 0.5 0.5 0.1 0.1", r"class 0\.5 is not", id="half a class"),
        pytest.param("0 nan 0.5 0.1 0.1", "not a finite number", id="NaN"),
        pytest.param("0 x 0.5 0.1 0.1", "not a number", id="word"),
        pytest.param("0 1.5 0.5 0.1 0.1", r"outside 0\.\.1", id="outside"),
        pytest.param("0 0.5 0.5 0 0.1", "without area", id="no width"),
    ],
)
def test_unusable_label_says_file_and_line(tmp_path, line, says):
    path = tmp_path / "a.txt"
    path.write_text(f"1 0.5 0.5 0.2 0.2\n{line}\n")
    with pytest.raises(InputError, match=says) as caught:
        read_labels(path, classes=2)
    assert caught.value.where == f"{path}:2"


def test_empty_label_file_is_a_tile_without_objects(tmp_path):
    (tmp_path / "a.txt").write_text("")
    assert read_labels(tmp_path / "a.txt", classes=2).dtype == np.float32
    with pytest.raises(InputError, match="no label file"):
        read_labels(tmp_path / "b.txt", classes=2)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        pytest.param(None, "no dataset.json", id="missing"),
        pytest.param("{", "not a valid dataset", id="cut off"),
        pytest.param("[]", "not a valid dataset", id="a list"),
        pytest.param('{"schema": "other/1"}', "not a dataset of schema", id="another schema"),
        pytest.param('{"schema": "overflight.dataset/1", "classes": ["car"]}', "'tile_px' is missing", id="incomplete"),
    ],
)
def test_dataset_that_cannot_be_used_is_refused(tmp_path, text, says):
    if text is not None:
        (tmp_path / "dataset.json").write_text(text)
    with pytest.raises(InputError, match=says):
        open_tiles(tmp_path)


def test_split_without_tiles_is_refused(tile_root, tmp_path):
    (tmp_path / "dataset.json").write_text(json.dumps(json.loads((tile_root / "dataset.json").read_text())))
    with pytest.raises(InputError, match="no tiles to use as 'val'"):
        open_tiles(tmp_path).images("val")
