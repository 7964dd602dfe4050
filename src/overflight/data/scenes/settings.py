"""What a synthetic survey is asked to contain, and what came out of it.

Knows names, units and limits only; nothing is drawn here.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

CLASSES: tuple[str, ...] = ("car", "truck", "bus", "boat", "person")
"""Labels in the order of their class ids."""

FRAME_WIDTH_PER_ALTITUDE = 1.30
"""Width of the ground in view divided by the altitude: a 6.17 mm sensor behind a 4.73 mm lens (DJI FC220)."""

_Share = Annotated[float, Field(ge=0.0, le=1.0)]


class SceneSettings(BaseModel):
    """Settings of one synthetic survey; equal settings give equal bytes.

    Attributes:
        flights: Number of flights.
        photos: Photographs per flight.
        size_px: Width and height of a photograph.
        seed: Seed of everything random.
        altitude_m: Lowest and highest altitude above ground. At 30 m a photograph 1280 px wide has a ground sample
            distance of 3.0 cm: a car is about 150 px long and a person 20 to 25 px across.
        night: 0 is day, 1 is a night lit by street lamps.
        fog: 0 is clear, 1 is dense fog.
        altitude_factor: Multiplies the altitude (2: objects of half the size).
        blur_px: Standard deviation of a blur added to every photograph.
        new_site: Another region: other ground, other roofs, other trees, and none of the usual sites.
        class_mix: How many objects of a class there are compared with usual (0: none, 2: twice as many).
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    flights: int = Field(12, ge=1, le=1000)
    photos: int = Field(20, ge=1, le=400)
    size_px: tuple[int, int] = (1280, 960)
    seed: int = Field(7, ge=0, le=2**63 - 1)
    altitude_m: tuple[float, float] = (26.0, 33.0)
    night: _Share = 0.0
    fog: _Share = 0.0
    altitude_factor: float = Field(1.0, ge=0.5, le=6.0)
    blur_px: float = Field(0.0, ge=0.0, le=20.0)
    new_site: bool = False
    class_mix: dict[str, Annotated[float, Field(ge=0.0, le=5.0)]] = Field(default_factory=dict)

    @field_validator("size_px")
    @classmethod
    def _size_within_reach(cls, size_px: tuple[int, int]) -> tuple[int, int]:
        if not all(160 <= side_px <= 4096 for side_px in size_px):
            raise ValueError("width and height must be between 160 and 4096 px")
        return size_px

    @field_validator("class_mix")
    @classmethod
    def _known_classes(cls, mix: dict[str, float]) -> dict[str, float]:
        unknown = sorted(set(mix) - set(CLASSES))
        if unknown:
            raise ValueError(f"unknown class {unknown[0]!r}; the classes are {', '.join(CLASSES)}")
        return mix

    @model_validator(mode="after")
    def _altitudes_in_order(self) -> SceneSettings:
        low_m, high_m = self.altitude_m
        if not 15.0 <= low_m <= high_m <= 150.0:
            raise ValueError("altitude_m must be a lowest and a highest altitude between 15 and 150 m")
        return self

    def weight(self, class_name: str) -> float:
        """How many objects of the class there are compared with usual."""
        return self.class_mix.get(class_name, 1.0)


@dataclass(frozen=True)
class SynthSummary:
    """What was written.

    Attributes:
        target: The survey's folder.
        classes: Class names in the order of their ids.
        photos: Photographs per flight.
        boxes_per_class: Labelled objects per class over all flights.
        size_bytes: Bytes of all photographs.
        seconds: Wall-clock time of the synthesis.
    """

    target: Path
    classes: tuple[str, ...]
    photos: dict[str, int]
    boxes_per_class: dict[str, int]
    size_bytes: int
    seconds: float
