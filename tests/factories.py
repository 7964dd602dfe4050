"""Small things that tests of several parts need: a survey as a user would keep it, drawn in a moment."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

PALETTE_BGR = ((60, 60, 220), (220, 160, 40), (60, 200, 60), (40, 200, 220), (200, 60, 200))


def make_survey_source(
    folder: Path,
    *,
    flights: int = 3,
    photos: int = 4,
    size_wh: tuple[int, int] = (320, 240),
    classes: Sequence[str] = ("car", "boat"),
    seed: int = 0,
) -> Path:
    """Photos with drawn rectangles: ``images/<flight>/*.jpg``, ``labels/<flight>/*.txt`` (YOLO), ``data.yaml``.

    Every class is drawn in a colour of its own, at least once in each flight; boxes do not overlap and are exact.
    """
    random = np.random.default_rng(seed)
    for flight in range(flights):
        name = f"flight{flight + 1}"
        for kind in ("images", "labels"):
            (folder / kind / name).mkdir(parents=True, exist_ok=True)
        for number in range(photos):
            picture, rows = draw_scene(random, size_wh=size_wh, classes=len(classes), boxes=4 + number % 3)
            stem = f"{name}_{number + 1:04d}"
            cv2.imwrite(str(folder / "images" / name / f"{stem}.jpg"), picture, [cv2.IMWRITE_JPEG_QUALITY, 92])
            (folder / "labels" / name / f"{stem}.txt").write_text("".join(rows))
    listing = "".join(f"  {index}: {name}\n" for index, name in enumerate(classes))
    (folder / "data.yaml").write_text(f"path: .\ntrain: images\nval: images\nnames:\n{listing}")
    return folder


def draw_scene(
    random: np.random.Generator, *, size_wh: tuple[int, int], classes: int, boxes: int
) -> tuple[np.ndarray, list[str]]:
    """A noisy ground with rectangles on a 6 x 4 raster of places: BGR picture and YOLO rows."""
    width, height = size_wh
    picture = random.normal(110, 8, (height, width, 3)).clip(0, 255).astype(np.uint8)
    rows = []
    for index, place in enumerate(random.permutation(24)[:boxes]):
        class_id = index % classes
        cell_w, cell_h = width // 6, height // 4
        box_w, box_h = (int(random.integers(side // 3, side * 3 // 4)) for side in (cell_w, cell_h))
        x0 = place % 6 * cell_w + int(random.integers(1, cell_w - box_w))
        y0 = place // 6 * cell_h + int(random.integers(1, cell_h - box_h))
        picture[y0 : y0 + box_h, x0 : x0 + box_w] = PALETTE_BGR[class_id % len(PALETTE_BGR)]
        centre = ((x0 + box_w / 2) / width, (y0 + box_h / 2) / height)
        rows.append(f"{class_id} {centre[0]:.8f} {centre[1]:.8f} {box_w / width:.8f} {box_h / height:.8f}\n")
    return picture, rows
