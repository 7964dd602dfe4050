"""Copies of tiles: milliseconds each beside plain Albumentations, and how tight boxes are, in the same run.

Speed: one window of 640 px out of a photograph, and a whole photograph of 1920x1080, with 40 boxes, by the preset
``nadir`` without pasting; the peer is one Albumentations pipeline with the same probabilities and ranges (its own
haze and shadow where ``--its-fog`` asks for them: its RandomFog is two orders slower). The peer turns the tile, we turn
the photograph around it. Tightness: upright boxes around rectangles of 1 : 1 to 1 : 5, turned, against the true boxes::

    python benchmarks/augment.py [--rounds 5] [--copies 60] [--its-fog]
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data.augment.geometry import move_of, tight_boxes
from overflight.data.augment.settings import AugmentSettings, load_settings
from overflight.data.augment.tile import Sample, augment_tile
from overflight.imaging.boxes import iou

os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")
import albumentations as A  # noqa: N812 - after the variable; its own convention

SIDES = (1.0, 1.8, 2.2, 2.5, 3.0, 4.0, 5.0)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--copies", type=int, default=60, help="copies in a round")
    parser.add_argument("--its-fog", action="store_true", help="the peer with RandomFog and RandomShadow")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    settings = load_settings("nadir")
    settings = settings.model_copy(update={"copy_paste": settings.copy_paste.model_copy(update={"probability": 0.0})})
    for title, size_wh, window in (
        ("640 px tile", (1920, 1080), (640, 220, 1280, 860)),
        ("1920x1080 photo", (1920, 1080), (0, 0, 1920, 1080)),
    ):
        speed(title, scene(size_wh), window, settings, copies=given.copies, rounds=given.rounds, its_fog=given.its_fog)
    tightness(20_000)
    return 0


def scene(size_wh: tuple[int, int]) -> Sample:
    """Soft ground with noise and 40 boxes."""
    random = np.random.default_rng(0)
    coarse = random.integers(40, 200, (size_wh[1] // 30, size_wh[0] // 30, 3), dtype=np.uint8)
    picture = cv2.resize(coarse, size_wh, interpolation=cv2.INTER_CUBIC).astype(np.int16)
    picture = np.clip(picture + random.integers(-8, 9, picture.shape), 0, 255).astype(np.uint8)
    first = random.uniform(0, 1, (40, 2)) * (np.array(size_wh) - 80)
    boxes = np.concatenate([first, first + random.uniform(16, 80, (40, 2))], axis=1)
    return Sample(picture, np.arange(40) % 3, boxes)


def speed(
    title: str,
    sample: Sample,
    window: tuple[int, int, int, int],
    settings: AugmentSettings,
    *,
    copies: int,
    rounds: int,
    its_fog: bool,
) -> None:
    """Both ways in turns, processor time of this process."""
    x0, y0, x1, y1 = window
    pipeline = peer(settings, its_fog=its_fog)
    tile = np.ascontiguousarray(sample.rgb[y0:y1, x0:x1])
    local = sample.boxes_px - np.array([x0, y0, x0, y0])
    there = ((local[:, :2] >= 0).all(axis=1)) & (local[:, 2:] <= (x1 - x0, y1 - y0)).all(axis=1)

    def ours(number: int) -> Any:
        return augment_tile(sample, settings=settings, seed=0, epoch=number, name="a", window_px=window)

    def theirs(number: int) -> Any:
        pipeline.set_random_seed(number)
        return pipeline(image=tile, bboxes=local[there], classes=sample.class_ids[there])

    ways: dict[str, Callable[[int], Any]] = {"ours": ours, "Albumentations": theirs}
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            way(0)
            began = time.process_time()
            for number in range(copies):
                way(number)
            seconds[name].append((time.process_time() - began) / copies)
    middle = {name: statistics.median(values) for name, values in seconds.items()}
    for name, values in seconds.items():
        spread = f"{1e3 * min(values):.1f} to {1e3 * max(values):.1f}"
        print(f"{title:16} {name:16} {1e3 * middle[name]:7.1f} ms a copy  ({spread}, {rounds} rounds of {copies})")


def peer(settings: AugmentSettings, *, its_fog: bool) -> Any:
    """The same effects as one pipeline of the library."""
    sun = settings.sun
    steps = [
        A.HorizontalFlip(p=settings.mirror.probability),
        A.RandomRotate90(p=settings.turn.probability),
        A.Affine(
            rotate=settings.rotate.angle_deg,
            scale=settings.altitude.scale,
            rotate_method="ellipse",
            p=1 - (1 - settings.rotate.probability) * (1 - settings.altitude.probability),
        ),
        A.RandomBrightnessContrast(sun.brightness, sun.contrast, p=sun.probability),
        A.RandomGamma((100 * sun.gamma[0], 100 * sun.gamma[1]), p=sun.probability),
        A.PlanckianJitter(temperature_limit=sun.temperature_k, p=sun.probability),
        A.MotionBlur(
            blur_limit=settings.motion_blur.length_px, allow_shifted=False, p=settings.motion_blur.probability
        ),
        A.ImageCompression(quality_range=settings.jpeg.quality, p=settings.jpeg.probability),
    ]
    if its_fog:
        steps += [A.RandomFog(p=settings.haze.probability), A.RandomShadow(p=settings.shadow.probability)]
    boxes = A.BboxParams(format="pascal_voc", label_fields=["classes"], min_visibility=0.3)
    return A.Compose(steps, bbox_params=boxes)


def tightness(count: int) -> None:
    """Mean overlap of turned upright boxes with the true boxes of turned rectangles, by the farthest turn."""
    print(f"\noverlap (IoU) with the true box, mean and 10 % quantile of {count} rectangles of sides 1 : 1 to 1 : 5")
    for way, aligned in (("in any direction", False), ("along streets", True)):
        for within_deg in (5, 15, 30, 45):
            found = overlaps(count, aligned=aligned, within_deg=within_deg)
            figures = "  ".join(
                f"{name} {values.mean():.3f} ({np.quantile(values, 0.1):.2f})" for name, values in found.items()
            )
            print(f"  {way:16} turned to within {within_deg:2} deg of a quarter: {figures}")


def overlaps(count: int, *, aligned: bool, within_deg: float) -> dict[str, NDArray[np.float64]]:
    """IoU (N,) by method."""
    random = np.random.default_rng(0)
    long = random.choice(SIDES, count) * 20
    angle = random.normal(0, math.radians(4), count) + random.integers(0, 2, count) * math.pi / 2
    angle = angle if aligned else random.uniform(0, math.pi, count)
    turns = random.uniform(-within_deg, within_deg, count) + 90 * random.integers(0, 4, count)
    before, after = around(long, angle), around(long, angle + np.radians(turns))
    found: dict[str, list[float]] = {"ours": [], "ellipse": [], "whole box": []}
    for half, true, turn in zip(before, after, turns, strict=True):
        for name, corner in turned(half, float(turn)):
            found[name].append(float(iou(np.array([[*-corner, *corner]]), np.array([[*-true, *true]]))[0, 0]))
    return {name: np.array(values) for name, values in found.items()}


def around(long: NDArray[np.float64], angle: NDArray[np.float64]) -> NDArray[np.float64]:
    """Half sides (N, 2) of the boxes around rectangles ``long`` x 20."""
    cosine, sine = np.abs(np.cos(angle)), np.abs(np.sin(angle))
    return np.stack([long * cosine + 20 * sine, long * sine + 20 * cosine], axis=1) / 2


def turned(half: NDArray[np.float64], turn_deg: float) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """Half sides of the turned box by method."""
    move = move_of((0, 0, 0, 0), angle_deg=turn_deg)
    yield "ours", tight_boxes(np.array([[*-half, *half]]), None, move=move)[0, 2:]
    yield "ellipse", np.sqrt(move.linear**2 @ half**2)
    yield "whole box", np.abs(move.linear) @ half


if __name__ == "__main__":
    raise SystemExit(main())
