"""A detector of painted squares as an ONNX graph without weights: what it finds is known exactly.

Its boxes are squares of 32 px of the network input on a grid of 8 px; the score of class "red" is the mean of
``R - (G + B) / 2`` over the square (1 for a pure red square, 0 on grey), that of class "blue" the mean of
``B - (R + G) / 2``. Swapped colours, a wrong scale or a wrong offset change its answers.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from overflight.files import sha256_file

CLASSES = ("red", "blue")
CELL_PX = 32
STRIDE_PX = 8


def grid_boxes(input_px: int) -> np.ndarray:
    """Boxes cx, cy, w, h (4, anchors) in input pixels, row by row."""
    count = (input_px - CELL_PX) // STRIDE_PX + 1
    centres = np.arange(count) * STRIDE_PX + CELL_PX / 2
    cx, cy = np.meshgrid(centres, centres)
    size = np.full(cx.size, CELL_PX)
    return np.stack([cx.ravel(), cy.ravel(), size, size]).astype(np.float32)


def graph(input_px: int, *, extra_work: int = 0) -> onnx.ModelProto:
    """The graph; ``extra_work`` rounds of a 512x512 product (a few ms each) make it slow, not different."""
    boxes = grid_boxes(input_px)
    mix = np.array([[1, -0.5, -0.5], [-0.5, -0.5, 1]], dtype=np.float32).reshape(2, 3, 1, 1)
    constants = {
        "mix": mix,
        "boxes": boxes[None],
        "flat": np.array([0, 2, -1], dtype=np.int64),
        "zero": np.zeros((), dtype=np.float32),
        "axes": np.array([1, 2], dtype=np.int64),
    }
    nodes = [
        helper.make_node("Conv", ["images", "mix"], ["colour"]),
        helper.make_node(
            "AveragePool", ["colour"], ["mean"], kernel_shape=[CELL_PX, CELL_PX], strides=[STRIDE_PX, STRIDE_PX]
        ),
        helper.make_node("Relu", ["mean"], ["positive"]),
        helper.make_node("Reshape", ["positive", "flat"], ["scores"]),
        helper.make_node("ReduceMean", ["scores", "axes"], ["per_image"], keepdims=1),
        helper.make_node("Mul", ["per_image", "zero"], ["nothing"]),
        helper.make_node("Add", ["boxes", "nothing"], ["all_boxes"]),
    ]
    last = "all_boxes"
    if extra_work:
        constants |= {
            "matrix": np.eye(512, dtype=np.float32),
            "rounds": np.array(extra_work, dtype=np.int64),
            "yes": np.array(True),
        }
        body = helper.make_graph(
            [
                helper.make_node("MatMul", ["state", "matrix"], ["product"]),
                helper.make_node("Identity", ["go"], ["go_on"]),
            ],
            "work",
            [
                helper.make_tensor_value_info("round", TensorProto.INT64, []),
                helper.make_tensor_value_info("go", TensorProto.BOOL, []),
                helper.make_tensor_value_info("state", TensorProto.FLOAT, [512, 512]),
            ],
            [
                helper.make_tensor_value_info("go_on", TensorProto.BOOL, []),
                helper.make_tensor_value_info("product", TensorProto.FLOAT, [512, 512]),
            ],
        )
        nodes += [
            helper.make_node("ReduceMax", ["per_image"], ["any_image"], keepdims=0),
            helper.make_node("Mul", ["any_image", "zero"], ["zero_again"]),
            helper.make_node("Add", ["matrix", "zero_again"], ["begin"]),
            helper.make_node("Loop", ["rounds", "yes", "begin"], ["worked"], body=body),
            helper.make_node("ReduceMax", ["worked"], ["one"], keepdims=0),
            helper.make_node("Mul", ["all_boxes", "one"], ["slow_boxes"]),
        ]
        last = "slow_boxes"
    nodes.append(helper.make_node("Concat", [last, "scores"], ["output0"], axis=1))
    made = helper.make_graph(
        nodes,
        "painted_squares",
        [helper.make_tensor_value_info("images", TensorProto.FLOAT, ["N", 3, input_px, input_px])],
        [helper.make_tensor_value_info("output0", TensorProto.FLOAT, ["N", 4 + len(CLASSES), boxes.shape[1]])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(made, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def write_model_folder(
    folder: Path,
    *,
    imgsz_px: int = 320,
    tile_px: int = 640,
    overlap_px: int = 128,
    extra_work: int = 0,
    **changes: object,
) -> Path:
    """A complete model folder; ``changes`` replace fields of model.json."""
    folder.mkdir(parents=True, exist_ok=True)
    onnx.save(graph(imgsz_px, extra_work=extra_work), str(folder / "model.onnx"))
    facts = {"sha256": sha256_file(folder / "model.onnx"), "bytes": (folder / "model.onnx").stat().st_size}
    description = {
        "schema": "overflight.model/1",
        "model": "painted-squares",
        "classes": list(CLASSES),
        "imgsz_px": imgsz_px,
        "tile_px": tile_px,
        "overlap_px": overlap_px,
        "score_threshold": 0.6,
        "nms_iou": 0.5,
        "files": {"model.onnx": facts},
        "dataset_digest": "0" * 64,
        "seed": 0,
        "epochs": 0,
        "versions": {"onnx": onnx.__version__},
    }
    (folder / "model.json").write_text(json.dumps(description | changes))
    return folder


def painted_photo(width_px: int, height_px: int, squares: list[tuple[int, int, int, str]]) -> np.ndarray:
    """A grey photo (H, W, 3) with squares (x, y, side, class) painted on it."""
    rgb = np.full((height_px, width_px, 3), 114, dtype=np.uint8)
    for x, y, side, name in squares:
        rgb[y : y + side, x : x + side] = (255, 0, 0) if name == "red" else (0, 0, 255)
    return rgb
