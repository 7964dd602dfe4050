"""One photograph to its tiles: pixels as JPEG, labels as YOLO text, and a record of what was written.

What is written depends on the photograph and the task only. Every tile's digest is in the record, so that a later run
can tell what is whole without cutting it again. It knows no other photograph.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.yolo import format_labels, fractions_from_xyxy_px
from overflight.data.tile import NO_BOXES, TilePlan, TileRules, plan_photo
from overflight.errors import InputError
from overflight.files import canonical_json, explained_disk, sha256_bytes
from overflight.imaging.boxes import Boxes
from overflight.imaging.codecs import Rgb
from overflight.imaging.jpeg import encode_bgr
from overflight.imaging.windows import windows

_RING_PX = 6
_FORMAT = 2  # of what is written; part of the key


@dataclass(frozen=True)
class CutTask:
    """One photograph to be cut and where its tiles go.

    Attributes:
        photo: Its file.
        sha256: Of its file.
        stem: Start of the tiles' names.
        size_wh: Width and height in pixels, upright.
        class_ids: (N,) classes.
        boxes_px: (N, 4) boxes in its pixels.
        rules: How it is cut.
        images: Folder of the tiles' pixels.
        labels: Folder of the tiles' labels.
        ignored_px: (M, 4) regions to be painted over.
        wanted: Indices of the tiles to be cut; None: all.
    """

    photo: Path
    sha256: str
    stem: str
    size_wh: tuple[int, int]
    class_ids: NDArray[np.int64]
    boxes_px: Boxes
    rules: TileRules
    images: Path
    labels: Path
    ignored_px: Boxes = field(default_factory=lambda: NO_BOXES)
    wanted: tuple[int, ...] | None = None

    @cached_property
    def key(self) -> str:
        """Digest of everything that what is written depends on, and of the folders' names."""
        facts = [_FORMAT, self.sha256, self.stem, self.size_wh, asdict(self.rules), self.wanted]
        boxes = [self.class_ids.tolist(), self.boxes_px.tolist(), self.ignored_px.tolist()]
        return sha256_bytes(canonical_json([*facts, *boxes, self.images.name, self.labels.name]).encode())

    @property
    def pixels(self) -> int:
        """Pixels of the photograph."""
        return self.size_wh[0] * self.size_wh[1]

    def plans(self) -> list[TilePlan]:
        """The wanted tiles."""
        every = plan_photo(
            self.stem,
            size_wh=self.size_wh,
            class_ids=self.class_ids,
            boxes_px=self.boxes_px,
            rules=self.rules,
            ignored_px=self.ignored_px,
        )
        return every if self.wanted is None else [every[index] for index in self.wanted]


Record = dict[str, Any]
"""``key``, ``labels`` (SHA-256 of all label texts, one behind the other) and ``tiles``: name, place and counts."""


def cut_photo(task: CutTask, *, buffer: NDArray[np.uint8] | None = None) -> Record:
    """Write the tiles and labels of one photograph.

    Args:
        task: What to cut.
        buffer: Memory for the decoded photograph.

    Raises:
        InputError: the photograph cannot be read.
        ResourceError: the disk is full.
    """
    plans = task.plans()
    texts = [_text(plan) for plan in plans]
    digests = [""] * len(plans)
    data = _read(task.photo)
    with explained_disk(task.images), _opened(task.images) as images, _opened(task.labels) as labels:
        parts = [plan.tile for plan in plans]
        for number, pixels in windows(data, parts, where=str(task.photo), size_wh=task.size_wh, buffer=buffer):
            plan = plans[number]
            encoded = _encoded(pixels, plan, quality=task.rules.jpeg_quality)
            digests[number] = hashlib.sha256(encoded).hexdigest()
            write_into(images, f"{plan.name}.jpg", encoded)
            write_into(labels, f"{plan.name}.txt", texts[number].encode())
    tiles = [_record(plan, digest, text) for plan, digest, text in zip(plans, digests, texts, strict=True)]
    return {"key": task.key, "labels": sha256_bytes("".join(texts).encode()), "tiles": tiles}


@contextlib.contextmanager
def _opened(folder: Path) -> Iterator[int]:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def write_into(folder: int, name: str, content: bytes | memoryview) -> None:
    """Write a file of an open folder; half the time of a path and a buffered file, which counts with 96 files a photo.

    Not atomic: nothing reads tiles before the record that names their digests is written.
    """
    file = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644, dir_fd=folder)
    try:
        left = memoryview(content)
        while left:
            left = left[os.write(file, left) :]
    finally:
        os.close(file)


def _read(photo: Path) -> bytes:
    try:
        return photo.read_bytes()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise InputError(f"unreadable image: the file cannot be read ({reason})", where=str(photo)) from error


def is_whole(task: CutTask, record: Record) -> bool:
    """Whether all that ``record`` names is there, byte by byte."""
    try:
        texts = [(task.labels / f"{tile['name']}.txt").read_bytes() for tile in record["tiles"]]
        return sha256_bytes(b"".join(texts)) == record["labels"] and all(
            sha256_bytes((task.images / f"{tile['name']}.jpg").read_bytes()) == tile["sha256"]
            for tile in record["tiles"]
        )
    except FileNotFoundError:
        return False


def _text(plan: TilePlan) -> str:
    if not len(plan.class_ids):
        return ""
    tile = plan.tile
    fractions = fractions_from_xyxy_px(plan.boxes_px, width_px=tile.width_px, height_px=tile.height_px)
    return format_labels(plan.class_ids, fractions)


def _record(plan: TilePlan, sha256: str, text: str) -> Record:
    tile = plan.tile
    return {
        "name": plan.name,
        "sha256": sha256,
        "labels_sha256": sha256_bytes(text.encode()),
        "xyxy_px": [tile.x0, tile.y0, tile.x1, tile.y1],
        "boxes": len(plan.class_ids),
        "box_ids": plan.box_ids.tolist(),
        "cut": plan.cut,
        "ignored": len(plan.ignored_px),
        "dropped": plan.dropped,
    }


def _encoded(pixels: Rgb, plan: TilePlan, *, quality: int) -> memoryview:
    """JPEG of a tile with its regions painted over; neighbours share its pixels, so they are put back."""
    if not len(plan.ignored_px):
        return encode_bgr(pixels, quality)
    if not pixels.flags.writeable:
        pixels = pixels.copy()
    before = _paint(pixels, plan.ignored_px, keep=plan.boxes_px)
    encoded = encode_bgr(pixels, quality)
    for (x0, y0, x1, y1), patch in reversed(before):
        pixels[y0:y1, x0:x1] = patch
    return encoded


def painted_over(picture: Rgb, regions_px: Boxes, *, keep: Boxes) -> Rgb:
    """A copy in which ``regions_px`` (M, 4) have the mean colour around them; pixels of ``keep`` (N, 4) stay."""
    result = picture.copy()
    _paint(result, regions_px, keep=keep)
    return result


_Rectangle = tuple[int, int, int, int]


def _paint(picture: Rgb, regions_px: Boxes, *, keep: Boxes) -> list[tuple[_Rectangle, Rgb]]:
    """Paint in place; the rectangles with their former pixels, in the order of painting."""
    height, width = picture.shape[:2]
    kept = _outward(keep, (width, height))
    strokes = []
    for x0, y0, x1, y1 in _outward(regions_px, (width, height)):
        left, top = max(x0 - _RING_PX, 0), max(y0 - _RING_PX, 0)
        around = picture[top : min(y1 + _RING_PX, height), left : min(x1 + _RING_PX, width)]
        free = _free(around.shape[:2], kept, left=left, top=top)
        inside = np.s_[y0 - top : y1 - top, x0 - left : x1 - left]
        paint = free[inside].copy()
        free[inside] = False
        source = around[free] if free.any() else around[inside].reshape(-1, 3)
        if paint.any():
            strokes.append(((x0, y0, x1, y1), paint, source.mean(axis=0).round().astype(np.uint8)))
    before = []
    for (x0, y0, x1, y1), paint, colour in strokes:
        patch = picture[y0:y1, x0:x1]
        before.append(((x0, y0, x1, y1), patch.copy()))
        patch[paint] = colour
    return before


def _free(shape: tuple[int, ...], kept: Sequence[_Rectangle], *, left: int, top: int) -> NDArray[np.bool_]:
    """Pixels of a part of the picture, from ``left`` and ``top``, that lie in no kept box."""
    free = np.ones(shape, dtype=np.bool_)
    for x0, y0, x1, y1 in kept:
        free[max(y0 - top, 0) : max(y1 - top, 0), max(x0 - left, 0) : max(x1 - left, 0)] = False
    return free


def _outward(boxes_px: Boxes, size_wh: tuple[int, int]) -> list[_Rectangle]:
    """Whole pixels that boxes touch, within the picture."""
    first, last = np.floor(boxes_px[:, :2]).astype(int), np.ceil(boxes_px[:, 2:]).astype(int)
    first, last = np.clip(first, 0, size_wh), np.clip(last, 0, size_wh)
    return [(int(x0), int(y0), int(x1), int(y1)) for (x0, y0), (x1, y1) in zip(first, last, strict=True)]
