"""A drawn dataset folder, small enough to train on within seconds, and Ultralytics behind its wall."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

COLOURS_BGR = ((40, 40, 220), (220, 160, 40))


def draw_tiles(root: Path, *, train: int = 8, val: int = 4, side_px: int = 128, seed: int = 0) -> Path:
    """A folder of schema ``overflight.dataset/1`` with coloured rectangles of two classes; the last tile is empty."""
    rng = np.random.default_rng(seed)
    for split, count in (("train", train), ("val", val)):
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True, exist_ok=True)
        for number in range(count):
            pixels = rng.normal(110, 8, (side_px, side_px, 3)).clip(0, 255).astype(np.uint8)
            rows = []
            for index in range(0 if number and number == count - 1 else 3):
                size = rng.integers(side_px // 6, side_px // 3, 2)
                x, y = rng.integers(0, side_px - size)
                pixels[y : y + size[1], x : x + size[0]] = COLOURS_BGR[index % 2]
                centre = (np.array([x, y]) + size / 2) / side_px
                rows.append(
                    f"{index % 2} {centre[0]:.6f} {centre[1]:.6f} {size[0] / side_px:.6f} {size[1] / side_px:.6f}\n"
                )
            cv2.imwrite(str(root / "images" / split / f"t{number}.jpg"), pixels)
            (root / "labels" / split / f"t{number}.txt").write_text("".join(rows))
    document = {
        "schema": "overflight.dataset/1",
        "survey_digest": "0" * 64,
        "classes": ["car", "boat"],
        "tile_px": side_px,
        "overlap_px": 32,
        "seed": seed,
        "digest": "d" * 64,
    }
    (root / "dataset.json").write_text(json.dumps(document))
    return root


@pytest.fixture(scope="session")
def tile_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return draw_tiles(tmp_path_factory.mktemp("tiles"))


@pytest.fixture(scope="session")
def isolated(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ultralytics may be imported after this, in this process."""
    from overflight.detection.isolation import isolate

    return isolate(tmp_path_factory.mktemp("ultralytics"), threads=1)
