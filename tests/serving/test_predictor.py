"""Photo in, boxes out, with a detector of painted squares whose answers are known exactly."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from overflight.errors import InputError, JobError
from overflight.imaging.boxes import iou
from overflight.imaging.codecs import encode_jpeg
from overflight.serving.engine import Engine
from overflight.serving.predictor import Predictor
from overflight.serving.tensors import decode_head, letterbox
from toy_model import CLASSES, painted_photo, write_model_folder


@pytest.fixture(scope="module")
def predictor(model_folder) -> Predictor:
    return Predictor(model_folder, threads=1)


# --- where boxes land -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("width_px", "height_px", "squares", "tiles"),
    [
        pytest.param(640, 480, [(160, 160, 64, "red")], 1, id="one tile, padded above and below"),
        pytest.param(480, 640, [(160, 160, 64, "blue")], 1, id="one tile, padded left and right"),
        pytest.param(320, 320, [(160, 96, 32, "red")], 1, id="a small photo is scaled up like in training"),
        pytest.param(704, 704, [(352, 352, 70, "red")], 1, id="10 % larger than a tile stays one tile"),
        pytest.param(720, 640, [(352, 352, 64, "red")], 2, id="more than 10 % larger is cut"),
        pytest.param(1280, 960, [(160, 160, 64, "red"), (496, 320, 64, "blue")], 6, id="inside and across tiles"),
        pytest.param(1280, 960, [(512, 256, 64, "red")], 6, id="whole in two tiles, reported once"),
        pytest.param(1280, 960, [(0, 0, 64, "red"), (1216, 896, 64, "blue")], 6, id="in the photo's corners"),
        pytest.param(1280, 960, [], 6, id="nothing there"),
    ],
)
def test_every_square_is_found_once_and_where_it_is(predictor, width_px, height_px, squares, tiles):
    found = predictor.predict(painted_photo(width_px, height_px, squares))
    assert found.tiles == tiles
    assert sorted(found.label(i) for i in range(len(found))) == sorted(name for *_, name in squares)
    truth = np.array([(x, y, x + side, y + side) for x, y, side, _ in squares], dtype=float).reshape(-1, 4)
    if squares:
        assert (iou(truth, found.boxes_xyxy_px).max(axis=1) > 0.85).all()


def test_a_jpeg_gives_the_same_boxes_as_its_pixels(predictor):
    rgb = painted_photo(1280, 960, [(160, 160, 64, "red"), (496, 320, 64, "blue")])
    found = predictor.predict(encode_jpeg(rgb))
    assert found.boxes_xyxy_px == pytest.approx(np.array([[160, 160, 224, 224], [496, 320, 560, 384]]))
    assert (found.width_px, found.height_px, found.classes) == (1280, 960, CLASSES)


def test_a_lower_threshold_adds_weaker_boxes(predictor):
    rgb = painted_photo(640, 640, [(160, 160, 40, "red")])
    assert len(predictor.predict(rgb)) == 0
    assert len(predictor.predict(rgb, score_threshold=0.2)) >= 1


def test_real_stills_of_12_megapixels_pass(predictor, still):
    found = predictor.predict(still.read_bytes())
    assert found.tiles >= 40
    assert found.width_px * found.height_px >= 9_000_000


@pytest.mark.parametrize(
    "array", [np.zeros((4, 4), np.uint8), np.zeros((4, 4, 3), np.float32), np.zeros((0, 4, 3), np.uint8)]
)
def test_an_array_that_is_no_photo_is_refused(predictor, array):
    with pytest.raises(ValueError, match="uint8"):
        predictor.predict(array)


TIFF = cv2.imencode(".tiff", np.zeros((8, 8, 3), np.uint8))[1].tobytes()


@pytest.mark.parametrize(
    "data", [b"", b"not an image", b"\xff\xd8\xff\xe0 cut off", TIFF], ids=["empty", "text", "cut off", "TIFF"]
)
def test_unreadable_bytes_are_an_input_error(predictor, data):
    with pytest.raises(InputError):
        predictor.predict(data)


# --- tensors --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(480, 640), (640, 480), (320, 320), (97, 1013), (1, 2000)])
def test_letterbox_and_its_inverse_agree(shape):
    height, width = shape
    out = np.empty((3, 320, 320), dtype=np.float32)
    placement = letterbox(np.zeros((height, width, 3), np.uint8), input_px=320, out=out)
    whole = np.array([[0.0, 0.0, width, height]])
    scale = np.array([placement.scale_x, placement.scale_y] * 2)
    on_input = whole * scale + np.array([placement.left_px, placement.top_px] * 2)
    assert placement.to_image(on_input) == pytest.approx(whole)
    padding = np.isclose(out, 114 / 255).all(axis=0).sum()
    assert padding == 320 * 320 - round(on_input[0, 2] - on_input[0, 0]) * round(on_input[0, 3] - on_input[0, 1])


def test_the_head_is_filtered_by_score_before_suppression_and_per_class():
    head = np.array(
        [  # cx, cy, w, h, score of class 0, score of class 1; one row per anchor
            [50, 50, 20, 20, 0.9, 0.0],
            [52, 50, 20, 20, 0.8, 0.0],  # same object, weaker: suppressed
            [52, 50, 20, 20, 0.1, 0.7],  # same place, other class: kept
            [90, 90, 10, 10, 0.2, 0.1],  # below the threshold
        ],
        dtype=np.float32,
    ).T
    boxes, scores, class_ids = decode_head(head, score_threshold=0.25, nms_iou=0.5)
    assert boxes.tolist() == [[40, 40, 60, 60], [42, 40, 62, 60]]
    assert scores == pytest.approx([0.9, 0.7])
    assert class_ids.tolist() == [0, 1]


# --- the model folder -----------------------------------------------------------------------------------------------


def break_digest(folder: Path) -> None:
    with (folder / "model.onnx").open("ab") as handle:
        handle.write(b"x")


def remove_graph(folder: Path) -> None:
    (folder / "model.onnx").unlink()


def remove_description(folder: Path) -> None:
    (folder / "model.json").unlink()


def edit(**changes: object):
    def apply(folder: Path) -> None:
        document = json.loads((folder / "model.json").read_text())
        (folder / "model.json").write_text(json.dumps(document | changes))

    return apply


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        pytest.param(break_digest, "does not match its digest", id="graph changed"),
        pytest.param(remove_graph, "missing", id="graph missing"),
        pytest.param(remove_description, r"no model\.json", id="description missing"),
        pytest.param(edit(schema="other/1"), "schema", id="another schema"),
        pytest.param(edit(imgsz_px="wide"), "imgsz_px", id="wrong type"),
        pytest.param(edit(classes=["a"]), "output0", id="classes do not fit the graph"),
        pytest.param(edit(imgsz_px=640), "images", id="input size does not fit the graph"),
        pytest.param(edit(overlap_px=640), "overlap_px", id="overlap as large as a tile"),
        pytest.param(edit(files={}), "does not list", id="graph not listed"),
        pytest.param(
            edit(
                files={
                    "../model.json": {"sha256": "0" * 64, "bytes": 1},
                    "model.onnx": {"sha256": "0" * 64, "bytes": 1},
                }
            ),
            "outside",
            id="a file outside the folder",
        ),
    ],
)
def test_a_damaged_model_folder_is_refused(tmp_path, damage, message):
    folder = write_model_folder(tmp_path / "model")
    damage(folder)
    with pytest.raises(InputError, match=message):
        Predictor(folder, threads=1)


def test_a_file_that_is_no_graph_is_refused(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="cannot load"):
        Engine(tmp_path / "model.onnx", input_px=320, class_count=2)


def test_an_output_that_is_not_a_number_is_an_error_not_a_box(model_folder):
    engine = Engine(model_folder / "model.onnx", input_px=320, class_count=2, threads=1)
    with pytest.raises(JobError, match="not finite"):
        engine.infer(np.full((1, 3, 320, 320), np.nan, dtype=np.float32))
