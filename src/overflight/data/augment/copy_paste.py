"""Objects of rare classes from one training photograph into another, at the right size and without a seam.

An object comes from another photograph, of the same site where there are some, and of another flight where there are
some: the same ground at another hour. Objects that another one overlaps, or that an edge cuts, are not taken. It never
looks at validation or test photographs: what it is given is what it uses.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import cv2
import numpy as np
from numpy.typing import NDArray

from overflight.data.augment.settings import CopyPaste
from overflight.imaging.boxes import Boxes, as_boxes, intersection
from overflight.imaging.codecs import Rgb

UNKNOWN_SITE = "unknown"

_TRIES = 30
_RING_PX = 4
_GAIN = (0.6, 1.6)
_MIN_SIDE_PX = 4.0
_YARDSTICK_BOXES = 5


@dataclass(frozen=True)
class Origin:
    """Where a picture was taken.

    Attributes:
        photo: Its key: an object never returns to its own photograph.
        flight: Its flight.
        site: Its site; ``unknown`` equals no other.
        gsd_m: Side of a pixel on the ground; None: unknown.
        yardstick_px: Median longer side of the most frequent class in its flight, where the former is unknown; objects
            of which neither is known are pasted within their flight only.
    """

    photo: str
    flight: str = ""
    site: str = UNKNOWN_SITE
    gsd_m: float | None = None
    yardstick_px: float | None = None


@dataclass(frozen=True)
class Donor:
    """An object that can be pasted.

    Attributes:
        origin: Its photograph.
        class_id: Its class.
        box_px: (4,) in its photograph.
        patch_px: Window around it, whole pixels ``x0 y0 x1 y1``.
        pixels: Of the window; None until :func:`with_pixels`.
    """

    origin: Origin
    class_id: int
    box_px: NDArray[np.float64]
    patch_px: tuple[int, int, int, int]
    pixels: Rgb | None = None


def rare_classes(counts: NDArray[np.integer], *, below: float) -> list[int]:
    """Classes that occur (C,), but less often than ``below`` times the most frequent one."""
    if not len(counts) or not counts.max():
        return []
    return [int(index) for index in np.flatnonzero((counts > 0) & (counts < below * counts.max()))]


def yardsticks_px(photos: Iterable[tuple[str, NDArray[np.int64], Boxes]]) -> dict[str, float]:
    """Median longer side of the most frequent class by flight, of flights that show it often enough.

    Args:
        photos: Flight, classes (N,) and boxes (N, 4) of each photograph.
    """
    sides: dict[str, dict[int, list[float]]] = {}
    counts: Counter[int] = Counter()
    for flight, class_ids, boxes_px in photos:
        counts.update(class_ids.tolist())
        longer = (boxes_px[:, 2:] - boxes_px[:, :2]).max(axis=1, initial=0.0)
        for class_id, side in zip(class_ids.tolist(), longer.tolist(), strict=True):
            sides.setdefault(flight, {}).setdefault(class_id, []).append(side)
    if not counts:
        return {}
    common = max(sorted(counts), key=lambda class_id: counts[class_id])
    found = {flight: of_class.get(common, []) for flight, of_class in sides.items()}
    return {flight: float(np.median(values)) for flight, values in found.items() if len(values) >= _YARDSTICK_BOXES}


def find_donors(
    origin: Origin,
    *,
    size_wh: tuple[int, int],
    class_ids: NDArray[np.int64],
    boxes_px: Boxes,
    ignored_px: Boxes,
    rare: Sequence[int],
    settings: CopyPaste,
) -> list[Donor]:
    """Objects of one photograph that can be pasted: of a rare class, whole, with nothing else in their window.

    Args:
        origin: The photograph.
        size_wh: Its size.
        class_ids: (N,).
        boxes_px: (N, 4).
        ignored_px: (M, 4).
        rare: Classes to take.
        settings: Margin of the window, largest box.
    """
    found = []
    blocked = np.concatenate([boxes_px, ignored_px])
    for index in np.flatnonzero(np.isin(class_ids, rare)):
        box = boxes_px[index]
        sides = box[2:] - box[:2]
        margin = settings.margin * float(sides.min())
        x0, y0 = np.floor(box[:2] - margin).astype(int).tolist()
        x1, y1 = np.ceil(box[2:] + margin).astype(int).tolist()
        whole = x0 >= 0 and y0 >= 0 and x1 <= size_wh[0] and y1 <= size_wh[1]
        others = np.delete(blocked, index, axis=0)
        window = as_boxes([(x0, y0, x1, y1)])
        if not whole or not _MIN_SIDE_PX <= sides.min() <= settings.max_shorter_side_px:
            continue
        if intersection(window, others).any():
            continue
        found.append(Donor(origin, int(class_ids[index]), box, (x0, y0, x1, y1)))
    return found


def at_most(donors: Sequence[Donor], *, per_class: int, seed: int) -> list[Donor]:
    """At most so many of each class, chosen by a hash of photograph, place and seed; in the order given."""

    def rank(donor: Donor) -> bytes:
        return hashlib.sha256(f"{seed}:{donor.origin.photo}:{donor.patch_px}".encode()).digest()

    chosen = set()
    for class_id in {donor.class_id for donor in donors}:
        of_class = [at for at, donor in enumerate(donors) if donor.class_id == class_id]
        chosen.update(sorted(of_class, key=lambda at: rank(donors[at]))[:per_class])
    return [donor for at, donor in enumerate(donors) if at in chosen]


def with_pixels(donor: Donor, rgb: Rgb) -> Donor:
    """The object with the pixels of its window, copied from its photograph."""
    x0, y0, x1, y1 = donor.patch_px
    return replace(donor, pixels=rgb[y0:y1, x0:x1].copy())


@dataclass(frozen=True)
class Pasted:
    """A picture with objects added: its pixels, and boxes and classes of the added ones only."""

    rgb: Rgb
    boxes_px: Boxes
    class_ids: NDArray[np.int64]


def paste(
    rgb: Rgb,
    taken_px: Boxes,
    *,
    into: Origin,
    area_px: tuple[int, int, int, int],
    donors: Sequence[Donor],
    settings: CopyPaste,
    random: np.random.Generator,
) -> Pasted:
    """Paste a few objects where nothing is.

    Args:
        rgb: uint8 (height, width, 3); it is not changed.
        taken_px: (N, 4) boxes and ignored regions that must stay as they are.
        into: The photograph that ``rgb`` is a part of.
        area_px: Where objects may go, ``x0 y0 x1 y1`` in ``rgb``.
        donors: Objects to choose from.
        settings: How many, how soft, how much resampled.
        random: Chooses.
    """
    picture, boxes, classes = rgb, list[NDArray[np.float64]](), list[int]()
    pool = _pool(donors, into)
    wanted = int(random.integers(settings.objects[0], settings.objects[1] + 1))
    for _ in range(wanted if pool else 0):
        donor = _chosen(pool, random)
        scale = _scale(donor.origin, into)
        quarters, mirrored = int(random.integers(4)), bool(random.integers(2))
        if donor.pixels is None or scale is None or not 1 / settings.max_scale <= scale <= settings.max_scale:
            continue
        patch, box = _prepared(donor, donor.pixels, scale=scale, quarters=quarters, mirrored=mirrored)
        place = _place(picture, patch, np.concatenate([taken_px, as_boxes(boxes)]), area_px=area_px, random=random)
        if place is None:
            continue
        if picture is rgb:
            picture = rgb.copy()
        x, y = place
        height, width = patch.shape[:2]
        target = picture[y : y + height, x : x + width]
        alpha = _alpha(width, height, feather_px=settings.feather_px)
        blended = target * (1 - alpha) + _matched(patch, target) * alpha
        picture[y : y + height, x : x + width] = (blended + 0.5).astype(np.uint8)
        boxes.append(box + np.array([x, y, x, y]))
        classes.append(donor.class_id)
    return Pasted(picture, as_boxes(boxes), np.array(classes, dtype=np.int64))


def _pool(donors: Sequence[Donor], into: Origin) -> list[Donor]:
    """Donors of other photographs: of the same site and another flight, else of the same site, else all."""
    others = [donor for donor in donors if donor.origin.photo != into.photo]
    here = [donor for donor in others if donor.origin.site == into.site != UNKNOWN_SITE]
    elsewhen = [donor for donor in here if donor.origin.flight != into.flight]
    return elsewhen or here or others


def _chosen(pool: Sequence[Donor], random: np.random.Generator) -> Donor:
    """A class first, then one of its objects: the rarest class comes as often as the next."""
    classes = sorted({donor.class_id for donor in pool})
    wanted = classes[int(random.integers(len(classes)))]
    of_class = [donor for donor in pool if donor.class_id == wanted]
    return of_class[int(random.integers(len(of_class)))]


def _scale(donor: Origin, into: Origin) -> float | None:
    """Size in ``into`` / in its own photograph; None where nothing tells."""
    if donor.gsd_m and into.gsd_m:
        return donor.gsd_m / into.gsd_m
    if donor.flight == into.flight:
        return 1.0
    if donor.yardstick_px and into.yardstick_px:
        return into.yardstick_px / donor.yardstick_px
    return None


def _prepared(
    donor: Donor, patch: Rgb, *, scale: float, quarters: int, mirrored: bool
) -> tuple[Rgb, NDArray[np.float64]]:
    """Pixels and box (4,) of the object in its patch, scaled, turned and mirrored."""
    box = donor.box_px - np.array([donor.patch_px[0], donor.patch_px[1]] * 2)
    height, width = patch.shape[:2]
    if scale != 1:
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        patch = np.asarray(cv2.resize(patch, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC))
        box = box * np.array([size[0] / width, size[1] / height] * 2)
    if mirrored:
        width = patch.shape[1]
        patch, box = patch[:, ::-1], np.array([width - box[2], box[1], width - box[0], box[3]])
    for _ in range(quarters):  # counter-clockwise, as np.rot90
        width = patch.shape[1]
        patch, box = np.rot90(patch), np.array([box[1], width - box[2], box[3], width - box[0]])
    return np.ascontiguousarray(patch), box


def _place(
    picture: Rgb, patch: Rgb, taken_px: Boxes, *, area_px: tuple[int, int, int, int], random: np.random.Generator
) -> tuple[int, int] | None:
    """A corner where the patch touches nothing that is taken, on the ground most like its own; None: none was found."""
    height, width = patch.shape[:2]
    x0, y0, x1, y1 = area_px
    if x1 - x0 < width or y1 - y0 < height:
        return None
    corners = random.integers((x0, y0), (x1 - width + 1, y1 - height + 1), size=(_TRIES, 2))
    windows = np.concatenate([corners, corners + np.array([width, height])], axis=1).astype(np.float64)
    free = [(int(x), int(y)) for x, y in corners[intersection(windows, taken_px).sum(axis=1) == 0]]
    ground, rim = _ground_colour(patch), _rim(patch.shape)

    def unlike(corner: tuple[int, int]) -> float:
        x, y = corner
        return float(np.abs(picture[y : y + height, x : x + width][rim].mean(axis=0) - ground).sum())

    return min(free, key=unlike, default=None)


def _rim(shape: tuple[int, ...]) -> NDArray[np.bool_]:
    """Mask (height, width) of the pixels at the edge."""
    rim = np.ones(shape[:2], dtype=np.bool_)
    rim[_RING_PX:-_RING_PX, _RING_PX:-_RING_PX] = False
    return rim


def _ground_colour(patch: Rgb) -> NDArray[np.float64]:
    return np.asarray(patch[_rim(patch.shape)].mean(axis=0), dtype=np.float64)


def _alpha(width: int, height: int, *, feather_px: float) -> NDArray[np.float32]:
    """Weights (height, width, 1): 1 inside, falling to 0 over ``feather_px`` at the edge."""
    if not feather_px:
        return np.ones((height, width, 1), dtype=np.float32)
    across = np.minimum(np.arange(width) + 0.5, width - np.arange(width) - 0.5)
    down = np.minimum(np.arange(height) + 0.5, height - np.arange(height) - 0.5)
    weights = np.minimum(down[:, None] / feather_px, 1) * np.minimum(across[None] / feather_px, 1)
    return np.asarray(weights, dtype=np.float32)[..., None]


def _matched(patch: Rgb, target: Rgb) -> NDArray[np.float32]:
    """The patch with the brightness that its rim has at the target: ground continues, the object follows."""
    gain = (_ground_colour(target) + 1) / (_ground_colour(patch) + 1)
    return np.asarray(np.clip(patch * np.clip(gain, *_GAIN), 0, 255), dtype=np.float32)
