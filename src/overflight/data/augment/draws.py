"""What happens to one copy: every value drawn beforehand, from (seed, epoch, image name) and the settings alone.

Random numbers come from Philox, a counter-based generator: the key is the digest of the name, seed and epoch are parts
of the counter. So a copy does not depend on what was drawn for others, nor on workers or their order. Values are
handed to the library that applies them, which draws nothing itself: the transforms of one Albumentations pipeline share
their seed, so that a bright copy would always be one of high gamma too. It changes no pixels.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np

from overflight.data.augment.settings import AugmentSettings, Rotate

_WORD = 2**64
_PURPOSES = {"view": 0, "light": 1, "paste": 2}


def generator(seed: int, epoch: int, name: str, *, purpose: str = "view", attempt: int = 0) -> np.random.Generator:
    """Random numbers of one copy.

    Args:
        seed: 0 .. 2**64 - 1.
        epoch: Number of the copy.
        name: Of the image.
        purpose: ``view``, ``light`` or ``paste``: streams of their own, so that one effect does not shift another's.
        attempt: Number of the try, below 256.
    """
    key = int.from_bytes(hashlib.sha256(name.encode()).digest()[:16], "big")
    place = _PURPOSES[purpose] * 256 + attempt
    return np.random.Generator(np.random.Philox(counter=[0, place, epoch % _WORD, seed % _WORD], key=key))


@dataclass(frozen=True)
class View:
    """How the camera was held."""

    angle_deg: float = 0.0
    quarters: int = 0
    mirrored: bool = False
    scale: float = 1.0

    def words(self) -> list[str]:
        """For captions."""
        said = ["mirrored"] if self.mirrored else []
        angle = (self.angle_deg + 90 * self.quarters + 180) % 360 - 180
        if self.angle_deg or self.quarters:
            said.append(f"turned {angle:+.0f} deg")
        if self.scale != 1:
            said.append(f"scale {self.scale:.2f}")
        return said


@dataclass(frozen=True)
class Sunlight:
    """Light of another hour; changes of brightness and contrast are shares of the full range."""

    brightness: float
    contrast: float
    gamma: float
    temperature_k: int


@dataclass(frozen=True)
class HazeLayer:
    """See ``haze.hazy``."""

    transmission: float
    unevenness: float
    thicker_above: bool
    seed: int


@dataclass(frozen=True)
class Light:
    """What light, air, lens and compression did, in the order in which it happens; None: not there.

    Attributes:
        shadow_darkness: Of clouds' shadows, 0..1.
        sun: See :class:`Sunlight`.
        flare_radius_px: Of the sun in the lens.
        haze: See :class:`HazeLayer`.
        blur_px: Odd length of the motion blur.
        blur_angle_deg: Its direction.
        jpeg_quality: Of the compression.
        seed: For places: of shadows, of the flare.
    """

    shadow_darkness: float | None = None
    sun: Sunlight | None = None
    flare_radius_px: int | None = None
    haze: HazeLayer | None = None
    blur_px: int | None = None
    blur_angle_deg: float = 0.0
    jpeg_quality: int | None = None
    seed: int = 0

    def words(self) -> list[str]:
        """For captions."""
        said = []
        if self.shadow_darkness is not None:
            said.append(f"cloud shadow -{self.shadow_darkness:.0%}")
        if self.sun is not None:
            sun = self.sun
            said.append(
                f"sun {sun.brightness:+.0%} contrast {sun.contrast:+.0%} gamma {sun.gamma:.2f} {sun.temperature_k} K"
            )
        if self.flare_radius_px is not None:
            said.append("flare")
        if self.haze is not None:
            said.append(f"haze {1 - self.haze.transmission:.0%}")
        if self.blur_px is not None:
            said.append(f"blur {self.blur_px} px at {self.blur_angle_deg:.0f} deg")
        if self.jpeg_quality is not None:
            said.append(f"JPEG q{self.jpeg_quality}")
        return said


def draw_view(settings: AugmentSettings, random: np.random.Generator, *, oriented: bool = True) -> View:
    """Mirror, turns and scale of one copy. The number of draws does not depend on what is switched on.

    Args:
        settings: What may happen.
        random: Draws.
        oriented: Whether the labels are, so that any angle keeps them tight.
    """
    chances = random.random(4)
    quarters, angle, scale = int(random.integers(1, 4)), random.random(), random.random()
    turned = chances[1] < settings.turn.probability
    rotated = chances[2] < settings.rotate.probability
    scaled = chances[3] < settings.altitude.probability
    return View(
        angle_deg=_angle_deg(settings.rotate, angle, oriented=oriented) if rotated else 0.0,
        quarters=quarters if turned else 0,
        mirrored=bool(chances[0] < settings.mirror.probability),
        scale=_between_log(settings.altitude.scale, scale) if scaled else 1.0,
    )


def draw_light(settings: AugmentSettings, random: np.random.Generator) -> Light:
    """Light, air, lens and compression of one copy; as many draws whatever is switched on."""
    chances, values = random.random(6), random.random(9)
    seed = int(random.integers(2**31))
    there = [
        chance < effect.probability
        for chance, effect in zip(
            chances,
            (settings.shadow, settings.sun, settings.flare, settings.haze, settings.motion_blur, settings.jpeg),
            strict=True,
        )
    ]
    sun, haze = settings.sun, settings.haze
    first, last = settings.motion_blur.length_px
    low, high = settings.jpeg.quality
    coldest, hottest = sun.temperature_k
    return Light(
        shadow_darkness=_between(settings.shadow.darkness, values[0]) if there[0] else None,
        sun=Sunlight(
            _between(sun.brightness, values[1]),
            _between(sun.contrast, values[2]),
            _between_log(sun.gamma, values[3]),
            coldest + int(values[4] * (hottest - coldest + 1)),
        )
        if there[1]
        else None,
        flare_radius_px=settings.flare.radius_px if there[2] else None,
        haze=HazeLayer(_between(haze.transmission, values[5]), haze.unevenness, haze.thicker_above, seed)
        if there[3]
        else None,
        blur_px=first + 2 * int(values[6] * ((last - first) // 2 + 1)) if there[4] else None,
        blur_angle_deg=float(180 * values[7]),
        jpeg_quality=low + int(values[8] * (high - low + 1)) if there[5] else None,
        seed=seed,
    )


def _angle_deg(rotate: Rotate, share: float, *, oriented: bool) -> float:
    angle_deg, limit_deg = _between(rotate.angle_deg, share), rotate.upright_within_deg
    if oriented or max(map(abs, rotate.angle_deg)) <= limit_deg:
        return angle_deg
    quarter_deg = 90.0 * round(angle_deg / 90)
    return quarter_deg + (angle_deg - quarter_deg) * limit_deg / 45


def _between(limits: tuple[float, float], share: float) -> float:
    return float(limits[0] + share * (limits[1] - limits[0]))


def _between_log(limits: tuple[float, float], share: float) -> float:
    """Half as large is as likely as twice as large."""
    return float(limits[0] * (limits[1] / limits[0]) ** share)
