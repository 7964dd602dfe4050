"""The target classes by name: which drawing belongs to which label."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from overflight.data.scenes.figures import boat, person
from overflight.data.scenes.noise import generator
from overflight.data.scenes.sprites import Sprite
from overflight.data.scenes.vehicles import bus, car, truck

_DRAW: dict[str, Callable[[np.random.Generator, float], Sprite]] = {
    "car": car,
    "truck": truck,
    "bus": bus,
    "boat": boat,
    "person": person,
}


def draw_sprite(class_name: str, seed: int, px_per_m: float) -> Sprite:
    """The object of class ``class_name`` that ``seed`` stands for."""
    return _DRAW[class_name](generator(seed, 3), px_per_m)
