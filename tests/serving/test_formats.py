"""Detections written as JSON, COCO, YOLO text and GeoJSON."""

from __future__ import annotations

import contextlib
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from pycocotools.coco import COCO

from overflight.errors import InputError, UsageError
from overflight.imaging.geo import CameraPose, ground_from_pixels
from overflight.serving.detections import Detections, no_detections
from overflight.serving.formats import unique_stems, why_not_placed, write_predictions
from overflight.serving.schema import from_json, to_document

POSE = CameraPose(
    latitude_deg=53.9,
    longitude_deg=27.56,
    altitude_agl_m=100.0,
    yaw_deg=30.0,
    gimbal_pitch_deg=-90.0,
    focal_length_35mm_mm=24.0,
)
FOUND = Detections(
    boxes_xyxy_px=np.array([[100.0, 200.0, 300.0, 260.0], [0.0, 0.0, 4000.0, 3000.0]]),
    scores=np.array([0.9, 0.5]),
    class_ids=np.array([1, 0]),
    classes=("car", "boat"),
    width_px=4000,
    height_px=3000,
)
EMPTY = no_detections(("car", "boat"), width_px=640, height_px=480)


def test_json_keeps_everything(tmp_path):
    (path,) = write_predictions([("a.jpg", FOUND), ("b.jpg", EMPTY)], tmp_path, "json")
    first, second = json.loads(path.read_text())["photos"]
    assert first.pop("file_name") == "a.jpg"
    back = from_json(json.dumps(first))
    assert back.boxes_xyxy_px.tolist() == FOUND.boxes_xyxy_px.tolist()
    assert second["detections"] == []


def test_coco_is_read_by_pycocotools_as_truth_and_as_results(tmp_path):
    (path,) = write_predictions([("a.jpg", FOUND), ("b.jpg", EMPTY)], tmp_path, "coco")
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO(str(path))
        results = coco.loadRes(json.loads(path.read_text())["annotations"])
    assert [image["file_name"] for image in coco.loadImgs(coco.getImgIds())] == ["a.jpg", "b.jpg"]
    assert [category["name"] for category in coco.loadCats(coco.getCatIds())] == ["car", "boat"]
    box = coco.loadAnns([1])[0]
    assert (box["bbox"], box["category_id"], box["area"]) == ([100, 200, 200, 60], 1, 12000)
    assert len(results.getAnnIds()) == 2


def test_yolo_is_one_file_per_photo_with_boxes_in_parts_of_the_photo(tmp_path):
    write_predictions([("x/a.jpg", FOUND), ("y/a.jpg", EMPTY)], tmp_path, "yolo")
    assert (tmp_path / "labels/x_a.txt").read_text().splitlines() == [
        "1 0.050000 0.076667 0.050000 0.020000 0.900000",
        "0 0.500000 0.500000 1.000000 1.000000 0.500000",
    ]
    assert (tmp_path / "labels/y_a.txt").read_text() == ""
    assert (tmp_path / "classes.txt").read_text() == "car\nboat\n"


@pytest.mark.parametrize(
    ("names", "stems"),
    [
        (["a.jpg", "b.png"], ["a", "b"]),
        (["x/a.jpg", "y/a.jpg"], ["x_a", "y_a"]),
        (["/s/x/a.jpg", "/t/x/a.jpg", "/t/x/b.jpg"], ["s_x_a", "t_x_a", "b"]),
        (["a.jpg", "a.png"], ["a", "a_2"]),
        (["../a.jpg"], ["a"]),
    ],
)
def test_photos_of_one_name_do_not_overwrite_each_other(names, stems):
    assert unique_stems(names) == stems


def check_geojson(document: dict) -> None:
    """RFC 7946 sections 3.1.6, 3.2, 3.3, and the bounds of WGS84."""
    assert document["type"] == "FeatureCollection"
    for feature in document["features"]:
        assert feature["type"] == "Feature"
        assert isinstance(feature["properties"], dict)
        if feature["geometry"] is None:
            continue
        assert feature["geometry"]["type"] == "Polygon"
        for ring in feature["geometry"]["coordinates"]:
            assert len(ring) >= 4
            assert ring[0] == ring[-1]
            assert all(-180 <= lon <= 180 and -90 <= lat <= 90 for lon, lat in ring)


def test_geojson_puts_boxes_on_the_ground_and_states_its_assumption(tmp_path):
    (path,) = write_predictions([("a.jpg", FOUND)], tmp_path, "geojson", poses={"a.jpg": POSE})
    document = json.loads(path.read_text())
    check_geojson(document)
    first = document["features"][0]
    assert "straight down" in first["properties"]["assumption"]
    assert (first["properties"]["class"], first["properties"]["off_nadir_deg"]) == ("boat", 0.0)
    ring = np.array(first["geometry"]["coordinates"][0])
    box = np.array([[100, 200], [300, 200], [300, 260], [100, 260]], dtype=np.float64)
    there = ground_from_pixels(POSE, box, width_px=4000, height_px=3000)
    apart_deg = np.abs(ring[:-1, None] - there[None]).max(axis=2)  # each corner is one of the four
    assert apart_deg.min(axis=1).max() < 1e-6  # 11 cm; the box is 2 m high
    assert sorted(apart_deg.argmin(axis=1)) == [0, 1, 2, 3]


@pytest.mark.parametrize(
    ("pose", "reason"),
    [
        pytest.param(None, "no GPS", id="no GPS"),
        pytest.param(replace(POSE, altitude_agl_m=None), "height above ground", id="no height"),
        pytest.param(
            replace(POSE, yaw_deg=None, focal_length_35mm_mm=None), "yaw, 35 mm", id="no yaw, no focal length"
        ),
        pytest.param(replace(POSE, altitude_agl_m=-3.0), "positive", id="below the take-off point"),
        pytest.param(replace(POSE, gimbal_pitch_deg=-60.0), "30 degrees off", id="oblique"),
    ],
)
def test_boxes_that_cannot_be_placed_are_kept_with_the_reason(tmp_path, pose, reason):
    (path,) = write_predictions([("a.jpg", FOUND)], tmp_path, "geojson", poses={"a.jpg": pose})
    document = json.loads(path.read_text())
    check_geojson(document)
    assert len(document["features"]) == len(FOUND)
    for feature in document["features"]:
        assert feature["geometry"] is None
        assert reason in feature["properties"]["not_placed"]


@pytest.mark.parametrize("pitch_deg", [-90.0, -80.0, -104.9, None])
def test_nearly_straight_down_is_placed(pitch_deg):
    assert why_not_placed(replace(POSE, gimbal_pitch_deg=pitch_deg)) == ""


def test_an_unknown_format_is_refused(tmp_path):
    with pytest.raises(UsageError, match="kml"):
        write_predictions([], tmp_path, "kml")


@pytest.mark.parametrize(
    "change",
    [
        {"scores": np.zeros(3)},
        {"boxes_xyxy_px": np.full((2, 4), np.nan)},
        {"class_ids": np.array([0, 2])},
        {"class_ids": np.array([-1, 0])},
    ],
    ids=["lengths differ", "not a number", "unknown class", "negative class"],
)
def test_detections_that_do_not_hold_together_are_refused(change):
    with pytest.raises(ValueError, match=r"shape|finite|class_ids"):
        replace(FOUND, **change)
    document = to_document(FOUND)
    with pytest.raises(InputError):
        from_json(json.dumps(document | {"classes": []}))
