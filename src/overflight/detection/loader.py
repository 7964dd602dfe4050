"""Tiles as Ultralytics' dataset, with its augmentation but without its label scan.

Ultralytics' scan writes a cache beside the labels and repairs damaged JPEGs in place; inputs of a job must not change,
so labels come from :class:`~overflight.detection.tiles.TileFolder`. Importing this module imports torch and
Ultralytics.
"""

from __future__ import annotations

from typing import Any

from ultralytics.data.dataset import YOLODataset

from overflight.detection.tiles import TileFolder
from overflight.imaging.header import read_header


class TileDataset(YOLODataset):  # type: ignore[misc]  # Ultralytics ships no types
    """Tiles of one split.

    Args:
        tiles: The dataset folder.
        split: ``train`` or ``val``.
        options: As for ``YOLODataset`` (imgsz, augment, hyp, batch_size, stride, cache, data ...).
    """

    def __init__(self, tiles: TileFolder, split: str, **options: Any) -> None:
        self._tiles = tiles
        self._paths = tiles.images(split)
        super().__init__(img_path=str(tiles.root / "images" / split), rect=False, task="detect", **options)

    def get_img_files(self, img_path: str) -> list[str]:  # noqa: ARG002 - the signature is Ultralytics'
        """Paths of the tiles, sorted by name."""
        return [str(path) for path in self._paths]

    def get_labels(self) -> list[dict[str, Any]]:
        """One entry per tile in Ultralytics' form: boxes as centre and size in 0..1."""
        labels: list[dict[str, Any]] = []
        for path in self._paths:
            header = read_header(path.read_bytes(), where=str(path))
            rows = self._tiles.labels(path)
            labels.append(
                {
                    "im_file": str(path),
                    "shape": (header.height_px, header.width_px),
                    "cls": rows[:, :1],
                    "bboxes": rows[:, 1:],
                    "segments": [],
                    "keypoints": None,
                    "normalized": True,
                    "bbox_format": "xywh",
                }
            )
        return labels

    def cache_images(self) -> None:
        """Keep all tiles in memory at the network's size; Ultralytics' own way draws a progress bar."""
        for index in range(self.ni):
            self.ims[index], self.im_hw0[index], self.im_hw[index] = self.load_image(index)
