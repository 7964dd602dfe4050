"""Large photographs to training tiles: which boxes each tile shows, its pixels as JPEG, its labels as YOLO text.

Rules (reference: visible fraction as in SAHI and DOTA tools, but nothing visible is ever taught as background): a box
is kept when at least 30 % of it lies in the tile and both sides are at least 2 px; what is left of other boxes, from
5 % on, is painted over with the colour around it; less than that is too little to teach anything. A file depends on
its photograph and the settings only, so any number of workers gives the same bytes. It does not know flights or
surveys.
"""

from __future__ import annotations

import hashlib
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.yolo import format_labels, fractions_from_xyxy_px
from overflight.errors import JobError
from overflight.files import explained_disk, sha256_bytes
from overflight.imaging.boxes import Boxes, area, clip, intersection
from overflight.imaging.codecs import Rgb, decode, encode_jpeg
from overflight.imaging.tiles import Tile, plan_tiles

_POOL_FROM_PIXELS = 60_000_000
_RING_PX = 6
NO_BOXES: Boxes = np.zeros((0, 4))


@dataclass(frozen=True)
class TileRules:
    """How photographs are cut.

    Attributes:
        tile_px: Side of a tile.
        overlap_px: What neighbouring tiles share.
        min_visible: Least visible fraction of a box that is kept.
        ignore_above: Visible fraction from which a box that is not kept is painted over.
        min_side_px: Least side of a kept box.
        background_share: Largest share of tiles without boxes.
        jpeg_quality: 1..100.
    """

    tile_px: int = 640
    overlap_px: int = 128
    min_visible: float = 0.3
    ignore_above: float = 0.05
    min_side_px: float = 2.0
    background_share: float = 0.2
    jpeg_quality: int = 95


@dataclass(frozen=True)
class TilePlan:
    """One tile to be cut.

    Attributes:
        name: File name without suffix.
        tile: Where in the photograph.
        class_ids: (N,) classes of the kept boxes.
        boxes_px: (N, 4) kept boxes in the tile's pixels, cut at its edges.
        ignored_px: (M, 4) regions to be painted over.
        cut: Number of kept boxes that the tile's edge cuts.
        dropped: Number of boxes with less than ``ignore_above`` in the tile.
    """

    name: str
    tile: Tile
    class_ids: NDArray[np.int64]
    boxes_px: Boxes
    ignored_px: Boxes
    cut: int
    dropped: int


@dataclass(frozen=True)
class CutTask:
    """One photograph to be cut and where the tiles go."""

    photo: Path
    tiles: tuple[TilePlan, ...]
    images: Path
    labels: Path
    jpeg_quality: int


def plan_photo(
    stem: str,
    *,
    size_wh: tuple[int, int],
    class_ids: NDArray[np.int64],
    boxes_px: Boxes,
    rules: TileRules,
    ignored_px: Boxes = NO_BOXES,
) -> list[TilePlan]:
    """Tiles of one photograph with the boxes that each shows.

    Args:
        stem: Start of the tiles' names, unique in the data set.
        size_wh: Width and height of the upright photograph in pixels.
        class_ids: (N,).
        boxes_px: (N, 4) corners in the photograph's pixels.
        rules: See :class:`TileRules`.
        ignored_px: (M, 4) regions that are painted over wherever a tile shows them.
    """
    width, height = size_wh
    tiles = plan_tiles(width, height, tile_px=rules.tile_px, overlap_px=rules.overlap_px)
    edges = np.array([(tile.x0, tile.y0, tile.x1, tile.y1) for tile in tiles], dtype=np.float64)
    areas = area(boxes_px)
    shown = intersection(edges, boxes_px)
    visible = np.divide(shown, areas[None, :], out=np.zeros_like(shown), where=areas[None, :] > 0)
    plans = []
    for tile, fraction in zip(tiles, visible, strict=True):
        local = clip(tile.to_tile(boxes_px), width_px=tile.width_px, height_px=tile.height_px)
        large = (local[:, 2:] - local[:, :2] >= rules.min_side_px).all(axis=1)
        kept = (fraction >= rules.min_visible) & large
        ignored = ~kept & (fraction > rules.ignore_above)
        regions = clip(tile.to_tile(ignored_px), width_px=tile.width_px, height_px=tile.height_px)
        plans.append(
            TilePlan(
                name=stem if len(tiles) == 1 else f"{stem}_x{tile.x0:05d}_y{tile.y0:05d}",
                tile=tile,
                class_ids=class_ids[kept],
                boxes_px=local[kept],
                ignored_px=np.concatenate([local[ignored], regions[area(regions) > 0]]),
                cut=int((kept & (fraction < 1 - 1e-9)).sum()),
                dropped=int((~kept & ~ignored & (fraction > 0)).sum()),
            )
        )
    return plans


def limit_background(plans: Sequence[TilePlan], *, share: float, seed: int) -> list[TilePlan]:
    """All tiles with boxes, and of those without at most ``share`` of the result, chosen by a hash of name and seed."""
    with_boxes = sum(1 for plan in plans if len(plan.class_ids))
    allowed = int(with_boxes * share / (1 - share) + 1e-9)
    empty = [plan.name for plan in plans if not len(plan.class_ids)]
    chosen = set(sorted(empty, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())[:allowed])
    return [plan for plan in plans if len(plan.class_ids) or plan.name in chosen]


def cut_photo(task: CutTask) -> list[str]:
    """Write the tiles and labels of one photograph; returns the SHA-256 of each tile's file, in order.

    Raises:
        InputError: the photograph cannot be read.
        ResourceError: the disk is full.
    """
    picture = decode(task.photo.read_bytes(), where=str(task.photo))
    digests = []
    for plan in task.tiles:
        tile = plan.tile
        pixels = picture[tile.y0 : tile.y1, tile.x0 : tile.x1]
        if len(plan.ignored_px):
            pixels = painted_over(pixels, plan.ignored_px, keep=plan.boxes_px)
        data = encode_jpeg(pixels, task.jpeg_quality)
        fractions = fractions_from_xyxy_px(plan.boxes_px, width_px=tile.width_px, height_px=tile.height_px)
        with explained_disk(task.images):
            (task.images / f"{plan.name}.jpg").write_bytes(data)
            (task.labels / f"{plan.name}.txt").write_text(format_labels(plan.class_ids, fractions))
        digests.append(sha256_bytes(data))
    return digests


def painted_over(picture: Rgb, regions_px: Boxes, *, keep: Boxes) -> Rgb:
    """A copy in which ``regions_px`` (M, 4) have the mean colour around them; pixels of ``keep`` (N, 4) stay."""
    result = picture.copy()
    height, width = picture.shape[:2]
    protected = np.zeros((height, width), dtype=np.bool_)
    for x0, y0, x1, y1 in _outward(keep):
        protected[y0:y1, x0:x1] = True
    for x0, y0, x1, y1 in _outward(regions_px):
        top, left = max(y0 - _RING_PX, 0), max(x0 - _RING_PX, 0)
        around = np.s_[top : min(y1 + _RING_PX, height), left : min(x1 + _RING_PX, width)]
        ring = ~protected[around]
        ring[y0 - top : y1 - top, x0 - left : x1 - left] = False
        source = picture[around][ring] if ring.any() else picture[y0:y1, x0:x1].reshape(-1, 3)
        paint = ~protected[y0:y1, x0:x1]
        result[y0:y1, x0:x1][paint] = source.mean(axis=0).round().astype(np.uint8)
    return result


def _outward(boxes_px: Boxes) -> list[tuple[int, int, int, int]]:
    first, second = np.floor(boxes_px[:, :2]).astype(int), np.ceil(boxes_px[:, 2:]).astype(int)
    return [(int(x0), int(y0), int(x1), int(y1)) for (x0, y0), (x1, y1) in zip(first, second, strict=True)]


def cut_all(
    tasks: Sequence[CutTask],
    *,
    pixels: int,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[list[str]]:
    """Cut many photographs, by processes where it pays; the SHA-256 of the tiles by photograph, in order.

    Args:
        tasks: The photographs.
        pixels: Pixels of all of them, to judge whether processes pay.
        workers: Processes; None: one per core, or none for little work.
        progress: Called with (photos done, photos in all).

    Raises:
        InputError: a photograph cannot be read.
        JobError: a worker process was killed.
    """
    if workers is None:
        workers = cores() if pixels >= _POOL_FROM_PIXELS else 1
    for task in tasks:
        task.images.mkdir(parents=True, exist_ok=True)
        task.labels.mkdir(parents=True, exist_ok=True)
    digests = []
    for done, found in enumerate(_cut_each(tasks, workers), start=1):
        digests.append(found)
        if progress is not None:
            progress(done, len(tasks))
    return digests


def _cut_each(tasks: Sequence[CutTask], workers: int) -> Iterator[list[str]]:
    if workers <= 1 or len(tasks) <= 1:
        yield from map(cut_photo, tasks)
        return
    context = multiprocessing.get_context("spawn")
    try:
        with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
            yield from pool.map(cut_photo, tasks)
    except BrokenProcessPool as error:
        raise JobError(
            "a worker process that cuts photos was killed",
            where="prepare",
            cure="It probably ran out of memory: free some and run again, or set OVERFLIGHT_WORKERS=1",
        ) from error


def _start_worker() -> None:
    cv2.setNumThreads(1)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
