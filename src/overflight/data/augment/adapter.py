"""The only module that knows Albumentations (2.0.8, MIT, no longer maintained): drawn values in, pixels out.

Every transform gets the one value that was drawn and is applied always, so nothing depends on how the library draws.
What it does not do well is our own: boxes (``geometry``), haze and clouds (``air``). To replace it, replace this file.
Importing it takes about a second.
"""

from __future__ import annotations

import os

import numpy as np

from overflight.data.augment.air import hazy, shadowed
from overflight.data.augment.draws import Light, Sunlight
from overflight.errors import ResourceError
from overflight.imaging.codecs import Rgb

# It would ask PyPI for news on import.
os.environ.setdefault("NO_ALBUMENTATIONS_UPDATE", "1")

try:
    import albumentations as A  # noqa: N812 - its own convention
except ImportError as error:
    raise ResourceError(
        f"Albumentations cannot be imported ({error})",
        where="augmentation",
        cure="Install it without its second OpenCV: make setup, or "
        "pip install --no-deps -c constraints.txt albumentations albucore simsimd stringzilla",
    ) from error


def apply_light(rgb: Rgb, light: Light) -> Rgb:
    """A picture (height, width, 3) under another light, seen through other air, lens and compression.

    Args:
        rgb: uint8; it is not changed.
        light: What happens, in the order of its attributes.
    """
    if light.shadow_darkness is not None:
        rgb = shadowed(rgb, light.shadow_darkness, seed=light.seed)
    if light.sun is not None:
        rgb = _each(rgb, _sun(light.sun), seed=light.seed)
        # Its constructor takes no single temperature, its method does.
        rgb = np.asarray(A.PlanckianJitter(mode="blackbody").apply(rgb, temperature=light.sun.temperature_k))
    if light.flare_radius_px is not None:
        flare = A.RandomSunFlare(
            flare_roi=(0, 0, 1, 0.5), src_radius=light.flare_radius_px, method="physics_based", p=1
        )
        rgb = _each(rgb, [flare], seed=light.seed)
    if light.haze is not None:
        rgb = hazy(rgb, light.haze)
    if light.blur_px is not None:
        angle = light.blur_angle_deg
        blur = A.MotionBlur(
            blur_limit=(light.blur_px, light.blur_px),
            allow_shifted=False,
            angle_range=(angle, angle),
            direction_range=(0.0, 0.0),
            p=1,
        )
        rgb = _each(rgb, [blur], seed=light.seed)
    if light.jpeg_quality is not None:
        rgb = _each(rgb, [A.ImageCompression(quality_range=(light.jpeg_quality,) * 2, p=1)], seed=light.seed)
    return rgb


def _sun(sun: Sunlight) -> list[A.ImageOnlyTransform]:
    return [
        A.RandomBrightnessContrast(
            brightness_limit=(sun.brightness,) * 2, contrast_limit=(sun.contrast,) * 2, brightness_by_max=True, p=1
        ),
        A.RandomGamma(gamma_limit=(100 * sun.gamma,) * 2, p=1),
    ]


def _each(rgb: Rgb, transforms: list[A.ImageOnlyTransform], *, seed: int) -> Rgb:
    changed = A.Compose(transforms, seed=seed)(image=np.ascontiguousarray(rgb))["image"]
    return np.asarray(changed, dtype=np.uint8)
