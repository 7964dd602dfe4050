"""The model folder: ONNX network, Ultralytics weights, and ``model.json`` that describes and digests them.

The network is exported fused and with its raw head (no suppression), because boxes of several tiles are merged before
suppression. Input ``images``: float32 N x 3 x S x S, RGB, 0..1. Output ``output0``: N x (4 + classes) x anchors, boxes
as centre and size in input pixels, class scores after the sigmoid. It does not know how the model was trained.
"""

from __future__ import annotations

import copy
import importlib.metadata
import platform
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from overflight.errors import JobError
from overflight.files import sha256_file, write_json

SCHEMA = "overflight.model/1"
OPSET = 17
TOLERANCE = 1e-3
_PACKAGES = ("overflight", "torch", "ultralytics", "onnx", "onnxruntime", "numpy", "opencv-python", "simplejpeg")


def export_onnx(model: Any, path: Path, *, imgsz_px: int, seed: int = 0) -> float:
    """Write ``model`` as ONNX and compare both on random pixels.

    Args:
        model: A float32 ``DetectionModel`` in eval mode; it is not changed.
        path: Target file.
        imgsz_px: Side S of the input, a multiple of 32; the batch is free.
        seed: Of the random pixels.

    Returns:
        The largest difference between the two (boxes relative to S, scores absolute).

    Raises:
        JobError: the difference is more than 1e-3.
    """
    import torch

    network = copy.deepcopy(model).eval().fuse(verbose=False)
    for parameter in network.parameters():
        parameter.requires_grad_(False)
    head = network.model[-1]
    head.export, head.format, head.dynamic = True, "onnx", False
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.rand(2, 3, imgsz_px, imgsz_px, generator=generator)
    with torch.no_grad(), warnings.catch_warnings():
        expected = network(pixels).numpy()
        # torch announces the end of this exporter; the new one needs onnxscript, which is not a dependency
        warnings.simplefilter("ignore")
        torch.onnx.export(
            network,
            (pixels,),
            str(path),
            dynamo=False,
            opset_version=OPSET,
            input_names=["images"],
            output_names=["output0"],
            dynamic_axes={"images": {0: "batch"}, "output0": {0: "batch"}},
        )
    _name_sizes(path, expected.shape)
    difference = _difference(path, pixels.numpy(), expected, imgsz_px=imgsz_px)
    if not difference <= TOLERANCE:
        raise JobError(
            f"the exported network differs from the trained one by {difference:.2g}",
            where=str(path),
            cure="Report this as a fault of Overflight, with the versions in model.json",
        )
    return difference


def write_description(folder: Path, description: Mapping[str, Any]) -> dict[str, Any]:
    """Write ``model.json`` last: ``description`` plus size and digest of the folder's network and weights.

    Args:
        folder: The model folder; ``model.onnx`` and ``weights.pt`` are in it.
        description: model, classes, imgsz_px, tile_px, overlap_px, score_threshold, nms_iou, dataset_digest, seed,
            epochs.
    """
    files = {
        name: {"sha256": sha256_file(folder / name), "bytes": (folder / name).stat().st_size}
        for name in ("model.onnx", "weights.pt")
    }
    document = {"schema": SCHEMA, **description, "files": files, "versions": versions()}
    write_json(folder / "model.json", document)
    return document


def versions() -> dict[str, str]:
    """Versions of Python and of the packages that shape the model; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def _name_sizes(path: Path, shape: tuple[int, ...]) -> None:
    """Write the output's channels and anchors into the graph; the tracer leaves them open."""
    import onnx

    graph = onnx.load(str(path))
    sizes = graph.graph.output[0].type.tensor_type.shape.dim
    sizes[1].dim_value, sizes[2].dim_value = shape[1], shape[2]
    onnx.checker.check_model(graph)
    onnx.save(graph, str(path))


def _difference(path: Path, pixels: Any, expected: Any, *, imgsz_px: int) -> float:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for count in (len(pixels), 1):  # the batch is free
        actual = session.run(["output0"], {"images": pixels[:count]})[0]
        apart = np.abs(actual - expected[:count])
        apart[:, :4] /= imgsz_px
        worst = max(worst, float(apart.max()))
    return worst
