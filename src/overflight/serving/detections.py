"""What a detector found on one photograph: one frozen value with checked shapes.

Knows neither how the boxes were found nor how they travel (:mod:`overflight.serving.schema`) or are written
(:mod:`overflight.serving.formats`).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]


@dataclass(frozen=True)
class Timings:
    """Where the time of one prediction went, in milliseconds."""

    decode_ms: float = 0.0
    infer_ms: float = 0.0
    merge_ms: float = 0.0


@dataclass(frozen=True, eq=False)
class Detections:
    """Boxes on one photo, best score first.

    Attributes:
        boxes_xyxy_px: Float64 array (N, 4): x1, y1, x2, y2 in pixels of the upright photo, origin top left.
        scores: Float64 array (N,), each in 0..1.
        class_ids: Int64 array (N,), each an index into ``classes``.
        classes: Class names of the model, in the order of their ids.
        width_px: Width of the upright photo (EXIF orientation applied).
        height_px: Height of the upright photo.
        model_digest: SHA-256 of the model description that made them (64 hex digits).
        tiles: Number of tiles the photo was cut into.
        timings: Where the time went.

    Raises:
        ValueError: an array has the wrong shape, a number is not finite or a class id has no name.
    """

    boxes_xyxy_px: FloatArray
    scores: FloatArray
    class_ids: IntArray
    classes: tuple[str, ...]
    width_px: int
    height_px: int
    model_digest: str = ""
    tiles: int = 1
    timings: Timings = field(default_factory=Timings)

    def __post_init__(self) -> None:
        count = len(self.scores)
        expected = {"boxes_xyxy_px": (count, 4), "scores": (count,), "class_ids": (count,)}
        for name, shape in expected.items():
            array = getattr(self, name)
            if array.shape != shape:
                raise ValueError(f"{name} has shape {array.shape}, expected {shape}")
            if not np.isfinite(array).all():
                raise ValueError(f"{name} holds a number that is not finite")
        if count and (int(self.class_ids.min()) < 0 or int(self.class_ids.max()) >= len(self.classes)):
            raise ValueError(f"class_ids must be in 0..{len(self.classes) - 1}, got {sorted(set(self.class_ids))}")

    def __len__(self) -> int:
        return len(self.scores)

    def label(self, index: int) -> str:
        """Class name of box ``index``."""
        return self.classes[int(self.class_ids[index])]


def no_detections(classes: tuple[str, ...], *, width_px: int, height_px: int, model_digest: str = "") -> Detections:
    """An answer without boxes."""
    return Detections(
        boxes_xyxy_px=np.zeros((0, 4)),
        scores=np.zeros(0),
        class_ids=np.zeros(0, dtype=np.int64),
        classes=classes,
        width_px=width_px,
        height_px=height_px,
        model_digest=model_digest,
    )
