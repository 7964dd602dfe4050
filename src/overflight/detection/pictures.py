"""What the network is shown: the first batch with its boxes, as one picture.

A wrong class order, shifted boxes or an absurd augmentation are seen here at a glance. It knows batches, not files.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.boxes import xyxy_from_cxcywh
from overflight.imaging.draw import class_colours, draw_detections

MOST_TILES = 16
_GAP_PX = 4


def draw_batch(batch: dict[str, Any], classes: Sequence[str]) -> NDArray[np.uint8]:
    """Tiles of a batch on a grid, each with its boxes.

    Args:
        batch: img (B, 3, H, W) uint8 RGB, cls, bboxes (cx cy w h in 0..1), batch_idx; tensors.
        classes: Class names.

    Returns:
        RGB uint8 (rows, columns, 3) with at most 16 tiles.
    """
    pixels = batch["img"][:MOST_TILES].cpu().numpy()
    count, _, height, width = pixels.shape
    owner = batch["batch_idx"].cpu().numpy().astype(int)
    scale = np.array([width, height, width, height], dtype=np.float64)
    corners = xyxy_from_cxcywh(batch["bboxes"].cpu().numpy().astype(np.float64).reshape(-1, 4) * scale)
    names = [classes[int(index)] for index in batch["cls"].cpu().numpy().reshape(-1)]
    colours = class_colours(classes)
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    sheet = np.full((rows * (height + _GAP_PX), columns * (width + _GAP_PX), 3), 255, dtype=np.uint8)
    for place in range(count):
        own = owner == place
        rgb = np.ascontiguousarray(pixels[place].transpose(1, 2, 0)).astype(np.uint8)
        labels = [name for name, mine in zip(names, own, strict=True) if mine]
        y, x = (place // columns) * (height + _GAP_PX), (place % columns) * (width + _GAP_PX)
        sheet[y : y + height, x : x + width] = draw_detections(rgb, corners[own], labels, colours=colours, legend=False)
    return sheet
