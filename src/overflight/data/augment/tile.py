"""One changed copy of one tile: pasted, turned, scaled, under another light, with the boxes that it then shows.

The copy is cut from the photograph, not from the tile: what a turn brings into the corners is real ground. Only beyond
the photograph's own edge is it filled, with the grey that the training pads with. It writes nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data.augment.copy_paste import Donor, Origin, paste
from overflight.data.augment.draws import View, draw_light, draw_view, generator
from overflight.data.augment.geometry import Move, Moved, filled_share, move_of, moved_boxes, moved_regions
from overflight.data.augment.settings import AugmentSettings
from overflight.data.formats.labels import upright_corners
from overflight.data.tile import TileRules
from overflight.imaging.boxes import Boxes, intersection
from overflight.imaging.codecs import Rgb

FILL = (114, 114, 114)
_VIEWS = 5
_SMALLEST_PX = 8
_FILLED_AT_MOST = 0.2


@dataclass(frozen=True)
class Sample:
    """A photograph, or any picture with boxes.

    Attributes:
        rgb: uint8 (height, width, 3), upright.
        class_ids: (N,).
        boxes_px: (N, 4).
        corners_px: (N, 4, 2) where boxes are oriented, else None.
        ignored_px: (M, 4) regions that are neither objects nor background.
        origin: Where it was taken, for pasting.
    """

    rgb: Rgb
    class_ids: NDArray[np.int64]
    boxes_px: Boxes
    corners_px: NDArray[np.float64] | None = None
    ignored_px: Boxes = field(default_factory=lambda: np.zeros((0, 4)))
    origin: Origin = Origin("")  # noqa: RUF009 - frozen


@dataclass(frozen=True)
class Augmented:
    """A copy.

    Attributes:
        rgb: uint8 (height, width, 3).
        class_ids: (K,).
        boxes_px: (K, 4) around what the copy shows of the objects.
        ignored_px: (M, 4) regions that must not be taught as background: to be painted over.
        applied: What was done, a few words each.
        cut: Kept boxes that the frame cuts.
        dropped: Boxes of which too little is visible to matter.
        pasted: Objects pasted that are still there.
    """

    rgb: Rgb
    class_ids: NDArray[np.int64]
    boxes_px: Boxes
    ignored_px: Boxes
    applied: tuple[str, ...]
    cut: int
    dropped: int
    pasted: int


def augment_tile(
    sample: Sample,
    *,
    settings: AugmentSettings,
    seed: int,
    epoch: int,
    name: str,
    window_px: tuple[int, int, int, int] | None = None,
    donors: Sequence[Donor] = (),
    rules: TileRules = TileRules(),  # noqa: B008 - frozen
) -> Augmented:
    """A copy of one window of a photograph; equal arguments give equal bytes.

    When a view would show none of the window's objects, or more than a fifth of it beyond the photograph, another is
    drawn, up to four times; when none shows an object, the window stays as it is and only the light changes.

    Args:
        sample: The photograph.
        settings: What may happen.
        seed: Of the whole data set.
        epoch: Number of the copy.
        name: Of the tile.
        window_px: ``x0 y0 x1 y1``, whole pixels inside the photograph; None: all of it.
        donors: Objects that may be pasted.
        rules: Which boxes are kept.

    Raises:
        ResourceError: Albumentations is not installed.
        ValueError: a window outside the photograph.
    """
    height, width = sample.rgb.shape[:2]
    window = window_px or (0, 0, width, height)
    x0, y0, x1, y1 = window
    if not (0 <= x0 < x1 <= width and 0 <= y0 < y1 <= height):
        raise ValueError(f"the window {window} is not inside a photograph of {width}x{height} px")
    before = len(sample.boxes_px)
    sample, window, photo = _around(sample, window, smallest=min(1.0, settings.altitude.scale[0]))
    sample = _pasted(sample, window, settings, donors, generator(seed, epoch, name, purpose="paste"))

    def draw(attempt: int) -> np.random.Generator:
        return generator(seed, epoch, name, attempt=attempt)

    view, move, moved = _view(sample, window, photo=photo, settings=settings, rules=rules, draw=draw)
    rgb = warped(sample.rgb, move, window)
    light = draw_light(settings, generator(seed, epoch, name, purpose="light"))
    if light.words():
        from overflight.data.augment.adapter import apply_light

        rgb = apply_light(rgb, light)
    pasted = int((moved.kept >= before).sum())
    words = [f"{pasted} pasted"] if pasted else []
    return Augmented(
        rgb=rgb,
        class_ids=sample.class_ids[moved.kept],
        boxes_px=moved.boxes_px,
        ignored_px=np.concatenate([moved.ignored_px, moved_regions(sample.ignored_px, move=move)]),
        applied=(*words, *view.words(), *light.words()),
        cut=moved.cut,
        dropped=moved.dropped,
        pasted=pasted,
    )


def _around(
    sample: Sample, window: tuple[int, int, int, int], *, smallest: float
) -> tuple[Sample, tuple[int, int, int, int], tuple[int, int, int, int]]:
    """What a copy can show of the photograph, with the window and the photograph's edges in its pixels.

    A photograph may be a hundred times larger than a tile.
    """
    height, width = sample.rgb.shape[:2]
    x0, y0, x1, y1 = window
    reach = math.ceil(math.hypot(x1 - x0, y1 - y0) / 2 / smallest) + 8
    left, top = max((x0 + x1) // 2 - reach, 0), max((y0 + y1) // 2 - reach, 0)
    shift = np.array([left, top, left, top], dtype=np.float64)
    part = replace(
        sample,
        rgb=sample.rgb[top : (y0 + y1) // 2 + reach, left : (x0 + x1) // 2 + reach],
        boxes_px=sample.boxes_px - shift,
        corners_px=None if sample.corners_px is None else sample.corners_px - shift[:2],
        ignored_px=sample.ignored_px - shift,
    )
    return part, (x0 - left, y0 - top, x1 - left, y1 - top), (-left, -top, width - left, height - top)


def _pasted(
    sample: Sample,
    window: tuple[int, int, int, int],
    settings: AugmentSettings,
    donors: Sequence[Donor],
    random: np.random.Generator,
) -> Sample:
    """The photograph with objects added inside the window."""
    if not donors or random.random() >= settings.copy_paste.probability:
        return sample
    taken = np.concatenate([sample.boxes_px, sample.ignored_px])
    found = paste(
        sample.rgb,
        taken,
        into=sample.origin,
        area_px=window,
        donors=donors,
        settings=settings.copy_paste,
        random=random,
    )
    corners = sample.corners_px
    if corners is not None:
        corners = np.concatenate([corners, upright_corners(found.boxes_px)])
    return replace(
        sample,
        rgb=found.rgb,
        class_ids=np.concatenate([sample.class_ids, found.class_ids]),
        boxes_px=np.concatenate([sample.boxes_px, found.boxes_px]),
        corners_px=corners,
    )


def _view(
    sample: Sample,
    window: tuple[int, int, int, int],
    *,
    photo: tuple[int, int, int, int],
    settings: AugmentSettings,
    rules: TileRules,
    draw: Callable[[int], np.random.Generator],
) -> tuple[View, Move, Moved]:
    """The first of a few views that shows objects (where the window has some) and little beyond the photograph.

    Where none shows little beyond it, the one that shows least; ``draw`` takes the attempt.
    """

    def shown(view: View) -> tuple[View, Move, Moved]:
        move = move_of(
            window, angle_deg=view.angle_deg, quarters=view.quarters, mirrored=view.mirrored, scale=view.scale
        )
        return view, move, moved_boxes(sample.boxes_px, sample.corners_px, move=move, rules=rules)

    shows_objects = bool(intersection(np.array([window], dtype=np.float64), sample.boxes_px).any())
    best: tuple[float, tuple[View, Move, Moved]] | None = None
    large = min(window[2] - window[0], window[3] - window[1]) >= _SMALLEST_PX
    for attempt in range(_VIEWS if large else 0):
        found = shown(draw_view(settings, draw(attempt), oriented=sample.corners_px is not None))
        if shows_objects and not len(found[2].kept):
            continue
        filled = filled_share(found[1], photo)
        if filled <= _FILLED_AT_MOST:
            return found
        if best is None or filled < best[0]:
            best = (filled, found)
    return shown(View()) if best is None else best[1]


def warped(rgb: Rgb, move: Move, window_px: tuple[int, int, int, int], *, fill: tuple[int, int, int] = FILL) -> Rgb:
    """The copy's pixels: bilinear, smoothed before where it gets smaller, ``fill`` beyond the photograph's edge."""
    x0, y0, x1, y1 = window_px
    if np.array_equal(move.linear, np.eye(2)):
        return np.ascontiguousarray(rgb[y0:y1, x0:x1])
    # Only what the copy can show is touched: photographs may be a hundred times larger.
    reach = math.ceil(math.hypot(*move.size_wh) / 2 / move.scale) + 4
    middle_x, middle_y = (x0 + x1) // 2, (y0 + y1) // 2
    left, top = max(middle_x - reach, 0), max(middle_y - reach, 0)
    part = rgb[top : middle_y + reach, left : middle_x + reach]
    if move.scale < 1:
        sigma = 0.5 * math.sqrt(1 / move.scale**2 - 1)
        part = np.asarray(cv2.GaussianBlur(part, (0, 0), sigma), dtype=np.uint8)
    # OpenCV counts from the middle of the first pixel, boxes from its edge.
    offset = move.offset_px + move.linear @ (np.array([left, top]) + 0.5) - 0.5
    matrix = np.concatenate([move.linear, offset[:, None]], axis=1)
    return np.asarray(
        cv2.warpAffine(
            np.ascontiguousarray(part),
            matrix,
            move.size_wh,
            flags=cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
            borderValue=fill,
        ),
        dtype=np.uint8,
    )
