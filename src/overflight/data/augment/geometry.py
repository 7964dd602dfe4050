"""Where a turned and scaled window shows what: the map from a photograph to the copy, and boxes that stay tight.

An upright box says less than its object: turned as a rectangle it becomes loose (at 45 degrees twice the area of a
square around a round object). Oriented boxes are turned by their own corners, which is exact. An upright box is taken
for a superellipse inside it: round where the box is about square (Kalra et al., Towards Rotation Invariance in Object
Detection, ICCV 2021, take every box for an ellipse), nearly the whole box where it is long, because a long box can only
hold a long object along it. Figures for vehicles, ellipses and both on a street's axis are in ``docs/augmentation.md``.
Turns by 90 degrees are exact for all. A cut object gets the box around its part in the frame. It knows no pixels and no
classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from overflight.data.formats.labels import upright_corners, xyxy_of_corners
from overflight.data.tile import TileRules
from overflight.imaging.boxes import Boxes

Points = NDArray[np.float64]

_SIDES = 64
_ANGLES = np.arange(_SIDES) * 2 * math.pi / _SIDES
_CIRCLE = np.stack([np.cos(_ANGLES), np.sin(_ANGLES)], axis=1)
_STRAIGHT = 1e-9

# Power of the superellipse's support by the box's longer / shorter side: 2 is an ellipse, 1 the whole box. Chosen for
# the best mean overlap with turned rectangles of sides 1 : 1 to 1 : 5 at any angle (benchmarks/augment.py prints it).
_SIDES_RATIO, _POWER = (1.25, 2.0, 3.5), (2.0, 1.25, 1.1)


@dataclass(frozen=True)
class Move:
    """From a window of a photograph to a copy.

    Attributes:
        linear: (2, 2).
        offset_px: (2,); a point (continuous, 0 is the left edge of the first pixel) goes to ``linear @ p + offset_px``.
        size_wh: Of the copy, in pixels.
    """

    linear: NDArray[np.float64]
    offset_px: NDArray[np.float64]
    size_wh: tuple[int, int]

    def points(self, points_px: Points) -> Points:
        """Points (..., 2) of the photograph in the copy."""
        return np.asarray(points_px @ self.linear.T + self.offset_px)

    @property
    def straight(self) -> bool:
        """Whether upright boxes stay upright: only turns by 90 degrees, mirroring and scaling."""
        away = np.minimum(np.abs(self.linear[0]), np.abs(self.linear[1])).max()
        return bool(away < _STRAIGHT)

    @property
    def scale(self) -> float:
        """Size in the copy / in the photograph."""
        return float(math.sqrt(abs(np.linalg.det(self.linear))))


def move_of(
    window_xyxy: tuple[int, int, int, int],
    *,
    angle_deg: float = 0.0,
    quarters: int = 0,
    mirrored: bool = False,
    scale: float = 1.0,
) -> Move:
    """A window mirrored left to right, turned clockwise about its middle and scaled, in this order.

    Args:
        window_xyxy: Of the photograph, in pixels.
        angle_deg: Any angle, besides the quarters.
        quarters: Turns by 90 degrees; one or three swap the width and the height of the copy.
        mirrored: Left to right.
        scale: Larger than 1 enlarges objects.
    """
    x0, y0, x1, y1 = window_xyxy
    size_wh = (x1 - x0, y1 - y0) if quarters % 2 == 0 else (y1 - y0, x1 - x0)
    linear = np.array([[-1.0 if mirrored else 1.0, 0.0], [0.0, 1.0]])
    linear = np.linalg.matrix_power(np.array([[0.0, -1.0], [1.0, 0.0]]), quarters % 4) @ linear
    if angle_deg:
        cosine, sine = math.cos(math.radians(angle_deg)), math.sin(math.radians(angle_deg))
        linear = np.array([[cosine, -sine], [sine, cosine]]) @ linear
    linear = scale * linear
    middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
    return Move(linear, np.array(size_wh) / 2 - linear @ middle, size_wh)


@dataclass(frozen=True)
class Moved:
    """Boxes in the copy.

    Attributes:
        kept: (K,) indices of the boxes that are kept.
        boxes_px: (K, 4) around their visible parts.
        ignored_px: (M, 4) around what is visible of others and must not be taught as background.
        cut: How many of the kept are cut by the frame.
        dropped: How many are visible by less than ``ignore_above``.
    """

    kept: NDArray[np.int64]
    boxes_px: Boxes
    ignored_px: Boxes
    cut: int
    dropped: int


def moved_boxes(boxes_px: Boxes, corners_px: Points | None, *, move: Move, rules: TileRules) -> Moved:
    """Boxes (N, 4), or their corners (N, 4, 2), as the copy shows them, by the rules of the tiles."""
    whole = tight_boxes(boxes_px, corners_px, move=move)
    width, height = move.size_wh
    shown, visible = whole.copy(), np.zeros(len(whole))
    inside = (whole[:, :2] >= 0).all(axis=1) & (whole[:, 2:] <= (width, height)).all(axis=1)
    outside = (whole[:, 2:] <= 0).any(axis=1) | (whole[:, :2] >= (width, height)).any(axis=1)
    outside |= (boxes_px[:, 2:] <= boxes_px[:, :2]).any(axis=1)  # no area: nothing to see
    visible[inside & ~outside] = 1.0
    for index in np.flatnonzero(~inside & ~outside):
        outline = _outline(boxes_px[index], None if corners_px is None else corners_px[index], move=move)
        part = clipped_polygon(outline, width_px=width, height_px=height)
        full = polygon_area(outline)
        if len(part) and full > 0:
            visible[index] = polygon_area(part) / full
            shown[index] = xyxy_of_corners(part[None])[0]
    shown = np.clip(shown, 0, np.array([width, height, width, height], dtype=np.float64))
    large = (shown[:, 2:] - shown[:, :2] >= rules.min_side_px).all(axis=1)
    kept = (visible >= rules.min_visible) & (visible > 0) & large
    ignored = ~kept & (visible > rules.ignore_above)
    return Moved(
        kept=np.flatnonzero(kept),
        boxes_px=shown[kept],
        ignored_px=shown[ignored],
        cut=int((kept & (visible < 1 - 1e-9)).sum()),
        dropped=int((~kept & ~ignored & (visible > 0)).sum()),
    )


def moved_regions(regions_px: Boxes, *, move: Move) -> Boxes:
    """Regions (M, 4) to be ignored: all that the turned rectangles touch, inside the copy."""
    around = xyxy_of_corners(move.points(upright_corners(regions_px))) if len(regions_px) else np.zeros((0, 4))
    width, height = move.size_wh
    found = np.clip(around, 0, np.array([width, height, width, height], dtype=np.float64))
    return np.asarray(found[((found[:, 2:] - found[:, :2]) > 0).all(axis=1)])


def filled_share(move: Move, photo_xyxy: tuple[int, int, int, int]) -> float:
    """Share of the copy that lies beyond the edges of the photograph, 0..1."""
    width, height = move.size_wh
    corners = upright_corners(np.array([photo_xyxy], dtype=np.float64))[0]
    shown = clipped_polygon(move.points(corners), width_px=width, height_px=height)
    return 1 - (polygon_area(shown) if len(shown) else 0.0) / (width * height)


def tight_boxes(boxes_px: Boxes, corners_px: Points | None, *, move: Move) -> Boxes:
    """Boxes (N, 4) around the moved objects, not cut at the frame."""
    if not len(boxes_px):
        return np.zeros((0, 4))
    if corners_px is not None:
        oriented = _oriented(corners_px)
        by_corners = xyxy_of_corners(move.points(corners_px))
        return by_corners if oriented.all() else np.where(oriented[:, None], by_corners, _superellipses(boxes_px, move))
    return _superellipses(boxes_px, move)


def _oriented(corners_px: Points) -> NDArray[np.bool_]:
    """Which quadrilaterals (N, 4, 2) are not just upright boxes: these know their object's outline."""
    sides = corners_px - np.roll(corners_px, 1, axis=1)
    return np.asarray((np.abs(sides).min(axis=2) > 0.01).any(axis=1))


def _superellipses(boxes_px: Boxes, move: Move) -> Boxes:
    """Boxes around the superellipses inside boxes.

    With half sides a, b and power p, half the new width is ``((L00 a)^p + (L01 b)^p)^(1/p)``: the support of the body
    ``(x/a)^q + (y/b)^q <= 1``, q = p / (p - 1).
    """
    centre = move.points((boxes_px[:, :2] + boxes_px[:, 2:]) / 2)
    axes = np.maximum(boxes_px[:, 2:] - boxes_px[:, :2], 0) / 2
    power = _powers(axes)[:, None]
    parts = np.abs(move.linear)[None] * axes[:, None, :]  # (N, which side, which axis)
    longest = np.maximum(parts.max(axis=2), 1e-12)
    half = longest * ((parts / longest[..., None]) ** power[..., None]).sum(axis=2) ** (1 / power)
    return np.concatenate([centre - half, centre + half], axis=1)


def _powers(axes_px: NDArray[np.float64]) -> NDArray[np.float64]:
    """Powers (N,) for half sides (N, 2)."""
    ratio = axes_px.max(axis=1) / np.maximum(axes_px.min(axis=1), 1e-9)
    return np.asarray(np.interp(ratio, _SIDES_RATIO, _POWER))


def _outline(box_px: NDArray[np.float64], corners_px: Points | None, *, move: Move) -> Points:
    """Polygon of an object in the copy."""
    if corners_px is not None and _oriented(corners_px[None])[0]:
        return move.points(corners_px)
    if move.straight:
        return move.points(upright_corners(box_px[None])[0])
    axes = (box_px[2:] - box_px[:2]) / 2
    power = float(_powers(axes[None])[0])
    shape = np.sign(_CIRCLE) * np.abs(_CIRCLE) ** (2 * (power - 1) / power)
    return move.points((box_px[:2] + box_px[2:]) / 2 + shape * axes)


def polygon_area(points_px: Points) -> float:
    """Area of a simple polygon (K, 2), by the shoelace formula."""
    following = np.roll(points_px, -1, axis=0)
    return float(abs((points_px[:, 0] * following[:, 1] - points_px[:, 1] * following[:, 0]).sum()) / 2)


def clipped_polygon(points_px: Points, *, width_px: float, height_px: float) -> Points:
    """The part of a convex polygon (K, 2) inside ``0..width_px, 0..height_px``, by Sutherland and Hodgman; or none."""
    for axis, sign, limit in ((0, 1.0, 0.0), (0, -1.0, -width_px), (1, 1.0, 0.0), (1, -1.0, -height_px)):
        if not len(points_px):
            break
        distance = sign * points_px[:, axis] - limit
        ahead, ahead_distance = np.roll(points_px, -1, axis=0), np.roll(distance, -1)
        crosses = (distance >= 0) != (ahead_distance >= 0)
        kept: list[Points] = []
        for at in range(len(points_px)):
            if distance[at] >= 0:
                kept.append(points_px[at])
            if crosses[at]:
                share = distance[at] / (distance[at] - ahead_distance[at])
                kept.append(points_px[at] + share * (ahead[at] - points_px[at]))
        points_px = np.array(kept).reshape(-1, 2)
    return points_px
