"""The YOLO11 network for training on a CPU: optional bfloat16, and a class prior that fits the data.

Ultralytics refuses bfloat16 on CPUs, though one with AVX512-BF16 or AMX trains 1.7 times as fast with it. Weights, loss
and optimiser stay float32; only the network's forward and backward passes are mixed. Checkpoints hold a plain
``DetectionModel``, so Ultralytics opens them without this package. Importing this module imports torch and Ultralytics.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from ultralytics.nn.tasks import DetectionModel


class TrainableModel(DetectionModel):  # type: ignore[misc]  # Ultralytics ships no types
    """``DetectionModel`` whose training pass may run in bfloat16 on a CPU."""

    bf16 = False

    def predict(self, x: torch.Tensor, *args: Any, **options: Any) -> Any:
        """Forward pass; in training with ``bf16`` its outputs are float32 again, for the loss."""
        if not (self.bf16 and self.training):
            return super().predict(x, *args, **options)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            outputs = super().predict(x, *args, **options)
        return {
            "boxes": outputs["boxes"].float(),
            "scores": outputs["scores"].float(),
            # the loss asks the feature maps only for their shapes and type
            "feats": [torch.empty(maps.shape, dtype=torch.float32) for maps in outputs["feats"]],
        }


def plain_copy(model: Any) -> Any:
    """A float32 ``DetectionModel`` in NCHW order with the weights, names and stride of ``model``, in eval mode."""
    copy = DetectionModel(model.yaml, ch=model.yaml.get("channels", 3), nc=model.model[-1].nc, verbose=False)
    state = {name: value.detach().float().contiguous() for name, value in model.state_dict().items()}
    copy.load_state_dict(state)
    for name in ("nc", "names", "args", "stride", "task"):
        if hasattr(model, name):
            setattr(copy, name, getattr(model, name))
    return copy.eval()


def set_class_prior(model: Any, *, boxes_per_class: list[float], imgsz_px: int) -> None:
    """Start each class's score at the share of anchors it will be assigned, instead of COCO's at 640 px.

    Args:
        model: A ``DetectionModel`` that was not trained yet.
        boxes_per_class: Mean number of boxes per tile of each class; a class without any counts as 0.01.
        imgsz_px: Side of the network's input.

    Source: the bias initialisation of RetinaNet (Lin et al. 2017, section 4.1) as in ``Detect.bias_init``, whose
    constant 5 is the expected number of positive anchors per tile.
    """
    head = model.model[-1]
    anchors = sum((imgsz_px / float(stride)) ** 2 for stride in head.stride)
    for branch in head.cv3:
        for class_id, boxes in enumerate(boxes_per_class):
            share = min(0.2, 5 * max(boxes, 0.01) / anchors)
            branch[-1].bias.data[class_id] = math.log(share / (1 - share))


def cpu_has_bf16() -> bool:
    """Whether bfloat16 matrix products run in hardware here (AVX512-BF16 or AMX) rather than emulated."""
    probes = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, bool)()) for name in probes)
