"""Pictures for people: held-out photos with what was found (solid) and what is there (dashed).

Chooses photos over all flights and scales them down for the screen; does not judge what is right.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.files import write_bytes
from overflight.imaging.codecs import encode_jpeg
from overflight.imaging.draw import class_colours, draw_detections
from overflight.serving.detections import Detections

LONGEST_SIDE_PX = 1920


class Overlays:
    """Draws the chosen photos as they come by.

    Args:
        truth: COCO document with a ``flight`` per image.
        folder: Where the JPEG files go.
        count: Number of pictures.
        classes: Class names in the order of their ids.
        score_threshold: Lowest score (0..1) drawn.
    """

    def __init__(
        self, truth: Mapping[str, Any], folder: Path, *, count: int, classes: Sequence[str], score_threshold: float
    ) -> None:
        self._folder = folder
        self._classes = classes
        self._threshold = score_threshold
        self._chosen = choose_photos(truth["images"], count)
        self._boxes: dict[int, list[list[float]]] = defaultdict(list)
        for annotation in truth["annotations"]:
            if annotation.get("iscrowd"):
                continue
            x, y, width, height = annotation["bbox"]
            self._boxes[annotation["image_id"]].append([x, y, x + width, y + height])

    def add(self, image: Mapping[str, Any], rgb: NDArray[np.uint8], found: Detections) -> None:
        """Draw and write the photo if it is one of the chosen."""
        if image["id"] not in self._chosen:
            return
        scale = min(1.0, LONGEST_SIDE_PX / max(rgb.shape[:2]))
        kept = found.scores >= self._threshold
        picture = draw_detections(
            _scaled(rgb, scale),
            found.boxes_xyxy_px[kept] * scale,
            [self._classes[index] for index in found.class_ids[kept]],
            found.scores[kept],
            class_colours(self._classes),
            truth=np.array(self._boxes[image["id"]], dtype=np.float64).reshape(-1, 4) * scale,
        )
        stem = PurePosixPath(str(image["file_name"])).with_suffix("").as_posix().replace("/", "_")
        write_bytes(self._folder / f"{stem}.jpg", encode_jpeg(picture, 90))


def choose_photos(images: Sequence[Mapping[str, Any]], count: int) -> frozenset[int]:
    """Ids of ``count`` photos: flights take turns, and within a flight the photos are evenly spaced."""
    flights: dict[str, list[int]] = defaultdict(list)
    for image in images:
        flights[str(image.get("flight", ""))].append(image["id"])
    shares = dict.fromkeys(sorted(flights), 0)
    left = min(count, len(images))
    while left:
        for name in shares:
            if left and shares[name] < len(flights[name]):
                shares[name] += 1
                left -= 1
    return frozenset(
        flights[name][(2 * turn + 1) * len(flights[name]) // (2 * share)]
        for name, share in shares.items()
        for turn in range(share)
    )


def _scaled(rgb: NDArray[np.uint8], scale: float) -> NDArray[np.uint8]:
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return np.asarray(cv2.resize(rgb, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)
