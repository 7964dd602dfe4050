"""Makes ``import torchvision`` work beside a torch of another build; does nothing where its operators are fine.

PyPI's torchvision wheel is compiled against the CUDA build of torch. Beside the CPU build its compiled operators cannot
be loaded, and the import ends with ``operator torchvision::nms does not exist`` because Python code registers "fake"
kernels for operators that nobody defined. The way out has two halves: define the two schemas the import asks for, then
give ``torchvision.ops.nms`` an implementation in plain torch. It knows nothing of models; the other compiled operators
of torchvision (ROI pooling, deformable convolution) stay unavailable and say so when called.
"""

from __future__ import annotations

import functools
import importlib.util
import logging
from pathlib import Path
from typing import Any

# Schemas as in torchvision 0.28 (csrc/ops/nms.cpp, csrc/ops/quantized/cpu/qnms_kernel.cpp).
_SCHEMAS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)

log = logging.getLogger(__name__)


def ensure_torchvision() -> bool:
    """Import torchvision, repairing it first where its compiled operators do not fit the installed torch.

    Returns:
        True when a repair was needed, False when torchvision is as it should be.
    """
    needed = not _operators_load()
    if needed:
        _define_schemas()
    import torchvision

    if needed:
        from ultralytics.utils.nms import TorchNMS

        torchvision.ops.nms = TorchNMS.nms
        torchvision.ops.boxes.nms = TorchNMS.nms
        log.debug("torchvision's compiled operators do not fit torch: nms runs in plain torch")
    return needed


def _operators_load() -> bool:
    """Whether torchvision's compiled library loads and defines its operators; torchvision itself is not imported."""
    import torch

    spec = importlib.util.find_spec("torchvision")
    if spec is None or not spec.submodule_search_locations:
        return False
    for library in sorted(Path(spec.submodule_search_locations[0]).glob("_C*.so")):
        try:
            torch.ops.load_library(library)  # type: ignore[no-untyped-call]  # torch has no types here
        except OSError as error:
            log.debug("%s cannot be loaded: %s", library.name, error)
    return hasattr(torch.ops.torchvision, "nms")


@functools.cache
def _define_schemas() -> Any:
    """The library object that holds the schemas; it must live as long as the process, hence the cache."""
    import torch

    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]  # torch has no types here
    for schema in _SCHEMAS:
        library.define(schema)  # type: ignore[no-untyped-call]  # torch has no types here
    return library
