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
from overflight.data.scenes.figures import wake
from overflight.data.scenes.light import GAIN_ONE, LAMP_COLOUR, LAMP_PIXEL_M, gain_table, lamp_pools, light_site
from overflight.data.scenes.noise import Array, generator
from overflight.data.scenes.objects import draw_sprite
from overflight.data.scenes.paint import Frame, Painted, Placed, cast, lay, paint
from overflight.data.scenes.plan import FlightPlan
from overflight.data.scenes.props import draw_prop
from overflight.data.scenes.relief import Surface, find_surface, ground_maps, smooth_crowns
from overflight.data.scenes.settings import CLASSES, SceneSettings
from overflight.data.scenes.sprites import Sprite
from overflight.data.scenes.terrain import HEIGHT_SCALE, Terrain
from overflight.data.scenes.traffic import Thing, populate
from overflight.data.scenes.world import Layout

VISIBLE_SHARE = 0.25
"""An object is labelled when at least this share of it is in the picture and not hidden."""

SMALLEST_PX = 4
"""A label's box is at least this wide and high."""

_SPRITE_PX_PER_M = 1.5
_PHOTO_KEY = 303

_REACH_M = 16.0
"""Objects farther outside the picture are left out: neither they nor their shadows can be seen."""

_WALL_LEVELS = 7
"""Something seen at least this many levels below its top edge is a wall."""


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
        self._light_m = terrain.gsd_m * HEIGHT_SCALE
        self._sun = light_site(terrain.height_m, pixel_m=self._light_m, weather=flight.weather)
        self._light = cv2.merge([self._sun.slope, self._sun.shadow, terrain.walls])
        self._levels = smooth_crowns(terrain.height_m, terrain.walls, pixel_m=self._light_m)
        self._gain = gain_table(flight.weather)
        self._lamps = lamp_pools(layout.lamps, side_m=layout.side_m) if settings.night > 0 else None
        self._sprites: dict[tuple[str, int], Sprite] = {}
        self._wakes: dict[int, Array] = {}

    def photograph(self, number: int, *, effects: bool = True) -> Photograph:
        """Photograph ``number`` (from 0) of the flight; ``effects=False`` leaves air, lens and sensor out."""
        pose = self.flight.poses[number]
        camera = Camera(pose, *self.settings.size_px)
        rng = generator(self.settings.seed, _PHOTO_KEY, self.flight.index, number)
        frame = self._ground(camera)
        painted = self._objects(frame, camera, seconds=number * self.flight.interval_s)
        rgb = self._lit(frame, camera)
        if effects:
            rgb = develop(rgb, self.flight.weather, fog=self.settings.fog, blur_px=self.settings.blur_px, rng=rng)
        class_ids, boxes, numbers = self._labels(frame.owner, painted)
        return Photograph(rgb, class_ids, boxes, frame.owner, numbers)

    def _ground(self, camera: Camera) -> Frame:
        """The site as the camera sees it, with roofs and crowns leaning outwards."""
        size = (camera.width_px, camera.height_px)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        layers = []
        for raster, pixel_m in ((self.terrain.albedo, self.terrain.gsd_m), (self._light, self._light_m)):
            matrix = camera.raster_matrix(pixel_m)
            layers.append(cv2.warpAffine(raster, matrix, size, flags=flags, borderMode=cv2.BORDER_REFLECT))
        owner = np.zeros((camera.height_px, camera.width_px), np.int32)
        surface = find_surface(self._levels, camera, pixel_m=self._light_m)
        height = None
        if surface is not None:
            x, y = ground_maps(surface, camera)
            layers = [cv2.remap(layer, x, y, cv2.INTER_LINEAR) for layer in layers]
            height = cv2.resize(surface.height, size, interpolation=cv2.INTER_NEAREST)
            self._walls(layers[0], layers[1], surface, camera)
        albedo, light = layers
        return Frame(albedo, cv2.extractChannel(light, 0), cv2.extractChannel(light, 1), owner, height)

    def _walls(self, albedo: Array, light: Array, surface: Surface, camera: Camera) -> None:
        """Colour the walls: plaster on houses, deep shade below crowns. Changes ``albedo`` and ``light``."""
        rows = np.flatnonzero((surface.wall > _WALL_LEVELS).any(axis=1))
        if not len(rows):
            return
        wall = cv2.resize(surface.wall, (camera.width_px, camera.height_px), interpolation=cv2.INTER_LINEAR)
        band = slice(max(0, int(rows[0]) * 2 - 2), int(rows[-1]) * 2 + 4)
        wall, albedo, light = wall[band], albedo[band], light[band]
        side = wall > _WALL_LEVELS
        tone = light[:, :, 2]
        house = side & (tone > 40)
        crown = side & ~house
        depth = np.minimum(wall[crown].astype(np.float32) / 60, 1)[:, None]
        albedo[crown] = (albedo[crown] * (1 - 0.5 * depth)).astype(np.uint8)
        plaster = tone[house][:, None].astype(np.float32) * np.array([0.98, 0.95, 0.89], np.float32)
        albedo[house] = np.clip(plaster, 0, 255).astype(np.uint8)
        light[:, :, 0][house] = 48 + cv2.blur(light[:, :, 0], (11, 11))[house] // 2

    def _objects(self, frame: Frame, camera: Camera, *, seconds: float) -> dict[int, Painted]:
        """Cast and paint all objects in view; returns what was painted by object number."""
        seen = []
        for number in range(1, len(self.things) + 1):
            item = self._place(number, camera, seconds=seconds)
            if item is not None:
                seen.append(item)
        centre = camera.centre_px
        seen.sort(key=lambda item: -math.hypot(item.x_px - centre[0], item.y_px - centre[1]))
        fixed = frame.shadow.copy()
        for item in seen:
            thing = self.things[item.number - 1]
            if thing.wake:
                lay(frame, item, camera, self._wake(thing))
        for item in seen:
            cast(frame, item, camera)
        painted = {item.number: paint(frame, item, camera, fixed) for item in seen}
        return {number: item for number, item in painted.items() if item is not None}

    def _place(self, number: int, camera: Camera, *, seconds: float) -> Placed | None:
        thing = self.things[number - 1]
        x_m, y_m, angle = thing.at(self.layout, seconds)
        x_px, y_px = camera.to_pixel(x_m, y_m)
        reach = _REACH_M / camera.gsd_m
        if not (-reach < x_px < camera.width_px + reach and -reach < y_px < camera.height_px + reach):
            return None
        turn = camera.turn_rad()
        cos, sin = math.cos(turn), math.sin(turn)
        light = self._sun
        east, south = light.shadow_dx / camera.gsd_m, light.shadow_dy / camera.gsd_m
        offset = (east * cos - south * sin, east * sin + south * cos)
        length = math.hypot(*offset)
        return Placed(
            number=number,
            sprite=self._sprite(thing),
            x_px=x_px,
            y_px=y_px,
            angle_rad=angle + turn,
            shadow_px=offset,
            to_sun=(-offset[0] / length, -offset[1] / length),
        )

    def _sprite(self, thing: Thing) -> Sprite:
        key = (thing.kind or CLASSES[thing.class_id], thing.seed)
        if key not in self._sprites:
            draw = draw_prop if thing.kind else draw_sprite
            self._sprites[key] = draw(*key, _SPRITE_PX_PER_M / self.flight.gsd_m)
        return self._sprites[key]

    def _wake(self, thing: Thing) -> Array:
        if thing.seed not in self._wakes:
            self._wakes[thing.seed] = wake(generator(thing.seed, 9), _SPRITE_PX_PER_M / self.flight.gsd_m)
        return self._wakes[thing.seed]

    def _lit(self, frame: Frame, camera: Camera) -> Array:
        lit = cv2.multiply(frame.slope, 255 - frame.shadow, scale=1 / 255)
        gain = cv2.LUT(cv2.merge([lit, lit, lit]), self._gain)
        if self._lamps is not None:
            pools = cv2.warpAffine(
                self._lamps,
                camera.raster_matrix(LAMP_PIXEL_M),
                (camera.width_px, camera.height_px),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
            )
            warm = (cv2.convertScaleAbs(pools, alpha=share * self.settings.night) for share in LAMP_COLOUR)
            gain = cv2.add(gain, cv2.merge(list(warm)))
        return cv2.multiply(frame.albedo, gain, scale=1 / GAIN_ONE)

    def _labels(self, owner: Array, painted: dict[int, Painted]) -> tuple[Array, Array, tuple[int, ...]]:
        """Class ids, boxes and numbers of the targets that can be seen well enough."""
        class_ids, boxes, numbers = [], [], []
        for number in sorted(painted):
            class_id, item = self.things[number - 1].class_id, painted[number]
            mask = owner[item.picture] == number
            if class_id < 0 or np.count_nonzero(mask) < max(1.0, VISIBLE_SHARE * item.full_px):
                continue
            left, top, right, bottom = box_of(mask)
            if right - left >= SMALLEST_PX and bottom - top >= SMALLEST_PX:
                x, y = item.picture[1].start, item.picture[0].start
                class_ids.append(class_id)
                boxes.append([x + left, y + top, x + right, y + bottom])
                numbers.append(number)
        return np.array(class_ids, np.int64), np.array(boxes, np.float64).reshape(-1, 4), tuple(numbers)


def box_of(mask: Array) -> tuple[int, int, int, int]:
    """Left, top, right and bottom (exclusive) of the pixels that are set."""
    columns = np.flatnonzero(mask.any(axis=0))
    rows = np.flatnonzero(mask.any(axis=1))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
