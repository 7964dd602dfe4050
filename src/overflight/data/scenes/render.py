"""One flight's photographs with exact labels: ground, shadows, objects, light, camera.

A :class:`FlightScene` holds what all photographs of a flight share; :meth:`FlightScene.photograph` makes one of them.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from overflight.data.scenes.camera import Camera
from overflight.data.scenes.effects import develop
from overflight.data.scenes.light import GAIN_ONE, gain_table, light_site
from overflight.data.scenes.noise import Array, generator
from overflight.data.scenes.paint import Frame, Placed, cast, in_reach, paint
from overflight.data.scenes.plan import FlightPlan, Pose
from overflight.data.scenes.settings import CLASSES, SceneSettings
from overflight.data.scenes.sprites import Sprite, draw_sprite
from overflight.data.scenes.terrain import HEIGHT_SCALE, Terrain
from overflight.data.scenes.traffic import populate
from overflight.data.scenes.world import Layout

VISIBLE_SHARE = 0.30
"""An object is labelled when at least this share of it is in the picture and not hidden."""

SMALLEST_PX = 4
"""A label's box is at least this wide and high."""

_SPRITE_PX_PER_M = 1.5
_PHOTO_KEY = 303


@dataclass(frozen=True)
class Photograph:
    """A picture with its labels.

    Attributes:
        rgb: uint8, height x width x 3.
        class_ids: int64, one per labelled object.
        xyxy_px: float64, N x 4: left, top, right, bottom of the visible pixels (right and bottom exclusive).
        owner: int32, height x width: number of the object seen (see ``numbers``), 0 for ground.
        numbers: Number of each labelled object in ``owner``.
    """

    rgb: Array
    class_ids: Array
    xyxy_px: Array
    owner: Array
    numbers: tuple[int, ...]


class FlightScene:
    """What the photographs of one flight share.

    Args:
        layout: The site.
        terrain: Its rasters.
        flight: The flight.
        settings: The survey's settings.
        seed: The site's seed.
    """

    def __init__(
        self, layout: Layout, terrain: Terrain, flight: FlightPlan, *, settings: SceneSettings, seed: int
    ) -> None:
        self.layout, self.terrain, self.flight, self.settings = layout, terrain, flight, settings
        self.things = populate(layout, settings, seed=seed, flight=flight.index)
        self._light = light_site(terrain.height_m, pixel_m=terrain.gsd_m * HEIGHT_SCALE, weather=flight.weather)
        self._gain = gain_table(flight.weather)
        self._sprites: dict[tuple[int, int], Sprite] = {}

    def photograph(self, number: int, *, effects: bool = True) -> Photograph:
        """Photograph ``number`` (from 0) of the flight; ``effects=False`` leaves air, lens and sensor out."""
        pose = self.flight.poses[number]
        camera = Camera(pose, *self.settings.size_px)
        rng = generator(self.settings.seed, _PHOTO_KEY, self.flight.index, number)
        frame = self._ground(camera)
        sizes = self._objects(frame, camera, seconds=number * self.flight.interval_s)
        rgb = self._lit(frame)
        if effects:
            rgb = develop(rgb, self.flight.weather, fog=self.settings.fog, blur_px=self.settings.blur_px, rng=rng)
        class_ids, boxes, numbers = self._labels(frame.owner, sizes)
        return Photograph(rgb, class_ids, boxes, frame.owner, numbers)

    def _ground(self, camera: Camera) -> Frame:
        size = (camera.width_px, camera.height_px)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        border = cv2.BORDER_REFLECT
        albedo = cv2.warpAffine(
            self.terrain.albedo, camera.raster_matrix(self.terrain.gsd_m), size, flags=flags, borderMode=border
        )
        coarse = camera.raster_matrix(self._light.pixel_m)
        slope = cv2.warpAffine(self._light.slope, coarse, size, flags=flags, borderMode=border)
        shadow = cv2.warpAffine(self._light.shadow, coarse, size, flags=flags, borderMode=border)
        return Frame(albedo, slope, shadow, np.zeros((camera.height_px, camera.width_px), np.int32))

    def _objects(self, frame: Frame, camera: Camera, *, seconds: float) -> dict[int, int]:
        """Cast and paint all objects in view; returns the full size in pixels by object number."""
        placed = [self._place(number, camera, seconds=seconds) for number in range(1, len(self.things) + 1)]
        seen = [item for item in placed if in_reach(item, camera)]
        centre = camera.centre_px
        seen.sort(key=lambda item: -math.hypot(item.x_px - centre[0], item.y_px - centre[1]))
        fixed = frame.shadow.copy()
        for item in seen:
            cast(frame, item, camera)
        return {item.number: paint(frame, item, camera, fixed) for item in seen}

    def _place(self, number: int, camera: Camera, *, seconds: float) -> Placed:
        thing = self.things[number - 1]
        x_m, y_m, angle = thing.at(self.layout, seconds)
        x_px, y_px = camera.to_pixel(x_m, y_m)
        turn = camera.turn_rad()
        cos, sin = math.cos(turn), math.sin(turn)
        light = self._light
        east, south = light.shadow_dx / camera.gsd_m, light.shadow_dy / camera.gsd_m
        offset = (east * cos - south * sin, east * sin + south * cos)
        length = math.hypot(*offset)
        return Placed(
            number=number,
            sprite=self._sprite(thing.class_id, thing.seed),
            x_px=x_px,
            y_px=y_px,
            angle_rad=angle + turn,
            shadow_px=offset,
            to_sun=(-offset[0] / length, -offset[1] / length),
        )

    def _sprite(self, class_id: int, seed: int) -> Sprite:
        key = (class_id, seed)
        if key not in self._sprites:
            self._sprites[key] = draw_sprite(CLASSES[class_id], seed, _SPRITE_PX_PER_M / self.flight.gsd_m)
        return self._sprites[key]

    def _lit(self, frame: Frame) -> Array:
        lit = cv2.multiply(frame.slope, 255 - frame.shadow, scale=1 / 255)
        gain = cv2.LUT(cv2.merge([lit, lit, lit]), self._gain)
        return cv2.multiply(frame.albedo, gain, scale=1 / GAIN_ONE)

    def _labels(self, owner: Array, sizes: dict[int, int]) -> tuple[Array, Array, tuple[int, ...]]:
        class_ids, boxes, numbers = [], [], []
        seen = np.bincount(owner.ravel(), minlength=1)
        for number in sorted(sizes):
            if number >= len(seen) or seen[number] < max(1.0, VISIBLE_SHARE * sizes[number]):
                continue
            left, top, right, bottom = box_of(owner == number)
            if right - left >= SMALLEST_PX and bottom - top >= SMALLEST_PX:
                class_ids.append(self.things[number - 1].class_id)
                boxes.append([left, top, right, bottom])
                numbers.append(number)
        return np.array(class_ids, np.int64), np.array(boxes, np.float64).reshape(-1, 4), tuple(numbers)


def box_of(mask: Array) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the pixels that are set."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def pose_facts(pose: Pose) -> dict[str, float | str]:
    """A pose as plain values for ``scenes.json``."""
    return {"captured_at": pose.captured_at.isoformat(), "altitude_m": pose.altitude_m, "yaw_deg": pose.yaw_deg}
