"""Photo in, boxes out: decode, tile, infer in batches, merge at the seams.

The same code answers the server's requests and batch jobs. It keeps no state between calls and may be called from
several threads. It does not know HTTP, formats or truth.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from overflight.imaging.codecs import decode
from overflight.imaging.merge import merge_tiles
from overflight.imaging.tiles import Tile, plan_tiles
from overflight.serving.detections import Detections, FloatArray, IntArray, Timings
from overflight.serving.engine import Engine
from overflight.serving.model_folder import ModelFolder, open_model_folder
from overflight.serving.tensors import decode_head, letterbox

BATCH_PIXELS = 8 * 640 * 640


class Predictor:
    """A loaded model folder.

    Args:
        path: The folder (``/opt/ml/model``).
        threads: Threads of one inference; default: the cores this process may use.

    Attributes:
        model: The folder with its description and digest.
        classes: Class names in the order of the ids.

    Raises:
        InputError: the folder is incomplete, a file was changed or the graph does not fit its description.
    """

    def __init__(self, path: Path, *, threads: int | None = None) -> None:
        self.model: ModelFolder = open_model_folder(path)
        description = self.model.description
        self.classes = tuple(description.classes)
        self._engine = Engine(
            self.model.graph,
            input_px=description.imgsz_px,
            class_count=len(self.classes),
            threads=threads,
        )
        self._engine.warm_up()

    @property
    def digest(self) -> str:
        """Digest of the model folder."""
        return self.model.digest

    def predict(self, photo: bytes | NDArray[np.uint8], *, score_threshold: float | None = None) -> Detections:
        """Boxes on one photo.

        Args:
            photo: Bytes of a JPEG or PNG file, or an upright RGB array uint8 (H, W, 3).
            score_threshold: Lowest score (0..1) instead of the model's own; evaluation asks for a very low one.

        Returns:
            The boxes in pixels of the upright photo, best score first.

        Raises:
            InputError: the bytes are no readable image.
            ValueError: an array that is not uint8 (H, W, 3).
        """
        start = time.perf_counter()
        rgb = decode(photo, formats=("jpeg", "png")) if isinstance(photo, bytes) else _checked(photo)
        decoded = time.perf_counter()
        description = self.model.description
        height_px, width_px = rgb.shape[:2]
        tiles = plan_tiles(width_px, height_px, tile_px=description.tile_px, overlap_px=description.overlap_px)
        threshold = description.score_threshold if score_threshold is None else score_threshold
        boxes, scores, class_ids, tile_index = self._infer(rgb, tiles, score_threshold=threshold)
        inferred = time.perf_counter()
        merged = merge_tiles(boxes, scores, class_ids, tile_index, tiles, iou=description.nms_iou)
        return Detections(
            boxes_xyxy_px=merged.boxes_xyxy_px,
            scores=merged.scores,
            class_ids=merged.class_ids,
            classes=self.classes,
            width_px=width_px,
            height_px=height_px,
            model_digest=self.model.digest,
            tiles=len(tiles),
            timings=Timings(
                decode_ms=(decoded - start) * 1e3,
                infer_ms=(inferred - decoded) * 1e3,
                merge_ms=(time.perf_counter() - inferred) * 1e3,
            ),
        )

    def _infer(
        self, rgb: NDArray[np.uint8], tiles: list[Tile], *, score_threshold: float
    ) -> tuple[FloatArray, FloatArray, IntArray, IntArray]:
        """Boxes of all tiles in photo pixels (N, 4), scores (N,), class ids (N,) and the index of their tile (N,)."""
        size = self._engine.input_px
        batch_size = max(1, BATCH_PIXELS // size**2)
        buffer = np.empty((min(batch_size, len(tiles)), 3, size, size), dtype=np.float32)
        boxes, scores, class_ids, tile_index = [np.zeros((0, 4))], [np.zeros(0)], [_no_ids()], [_no_ids()]
        for first in range(0, len(tiles), batch_size):
            group = tiles[first : first + batch_size]
            placements = [
                letterbox(rgb[tile.y0 : tile.y1, tile.x0 : tile.x1], input_px=size, out=buffer[index])
                for index, tile in enumerate(group)
            ]
            heads = self._engine.infer(buffer[: len(group)])
            for offset, (tile, placement, head) in enumerate(zip(group, placements, heads, strict=True)):
                found, found_scores, found_ids = decode_head(
                    head, score_threshold=score_threshold, nms_iou=self.model.description.nms_iou
                )
                boxes.append(tile.to_photo(placement.to_image(found)))
                scores.append(found_scores)
                class_ids.append(found_ids)
                tile_index.append(np.full(len(found_ids), first + offset, dtype=np.int64))
        return np.concatenate(boxes), np.concatenate(scores), np.concatenate(class_ids), np.concatenate(tile_index)


def _no_ids() -> IntArray:
    return np.zeros(0, dtype=np.int64)


def _checked(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.dtype != np.uint8 or 0 in rgb.shape:
        raise ValueError(f"a photo array must be uint8 (H, W, 3) and not empty, got {rgb.dtype} {rgb.shape}")
    return rgb
