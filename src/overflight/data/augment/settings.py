"""What is done to a copy of a tile, how often and how strongly: the model of the YAML files.

Each effect has a ``probability`` per copy and ranges from which one value is drawn; an effect that a file does not name
is off. Units are in the names. Which boxes a copy keeps is not said here: the rules of the tiles hold for copies too.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, get_args

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from overflight.errors import UsageError

MAX_FILE_BYTES = 1_000_000
_FOLDER = "overflight.data.augment"

Probability = Annotated[float, Field(ge=0, le=1)]
Share = Annotated[float, Field(ge=0, le=1)]


def _ordered(value: tuple[float, float]) -> tuple[float, float]:
    if value[0] > value[1]:
        raise ValueError(f"the range ends ({value[1]:g}) before it begins ({value[0]:g})")
    return value


def _odd(value: tuple[int, int]) -> tuple[int, int]:
    if value[0] % 2 == 0 or value[1] % 2 == 0:
        raise ValueError("a blur has an odd number of pixels, so that it has a middle and objects stay in place")
    return value


_InOrder = AfterValidator(_ordered)
_Angle = Annotated[float, Field(ge=-180, le=180)]
_Scale = Annotated[float, Field(ge=0.4, le=2.5)]
_Change = Annotated[float, Field(ge=-0.5, le=0.5)]
_Gamma = Annotated[float, Field(ge=0.4, le=2.5)]
_Kelvin = Annotated[int, Field(ge=3000, le=15000)]
_Transmission = Annotated[float, Field(ge=0.2, le=1)]
_Length = Annotated[int, Field(ge=3, le=31)]
_Quality = Annotated[int, Field(ge=10, le=100)]
_Count = Annotated[int, Field(ge=1, le=20)]


class _Closed(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Chance(_Closed):
    """An effect that is there or not."""

    probability: Probability = 0.0


class Rotate(Chance):
    """Turned about the middle of the tile; the corners are cut from the photograph around it.

    Attributes:
        angle_deg: Clockwise. Photographs with oriented labels are turned by any angle of this range.
        upright_within_deg: Photographs with upright labels are turned to within this of a quarter turn: farther from it
            nobody knows how large the object's new box is. 45 allows every angle for them too.
    """

    angle_deg: Annotated[tuple[_Angle, _Angle], _InOrder] = (-180.0, 180.0)
    upright_within_deg: Annotated[float, Field(ge=0, le=45)] = 15.0


class Altitude(Chance):
    """Size of objects as from another height: 0.5 is twice as high."""

    scale: Annotated[tuple[_Scale, _Scale], _InOrder] = (0.7, 1.4)


class Sun(Chance):
    """Light of another hour: exposure, contrast, gamma and colour temperature, of which 6500 K is neutral."""

    brightness: Annotated[tuple[_Change, _Change], _InOrder] = (-0.15, 0.15)
    contrast: Annotated[tuple[_Change, _Change], _InOrder] = (-0.15, 0.15)
    gamma: Annotated[tuple[_Gamma, _Gamma], _InOrder] = (0.8, 1.25)
    temperature_k: Annotated[tuple[_Kelvin, _Kelvin], _InOrder] = (5700, 7500)


class Shadow(Chance):
    """Soft shadows of clouds."""

    darkness: Annotated[tuple[Share, Share], _InOrder] = (0.2, 0.5)


class Flare(Chance):
    """The sun in the lens, in the upper half of the picture: only cameras that see the horizon have it."""

    radius_px: Annotated[int, Field(ge=10, le=1000)] = 150


class Haze(Chance):
    """Koschmieder's haze: ``picture * transmission + airlight * (1 - transmission)``."""

    transmission: Annotated[tuple[_Transmission, _Transmission], _InOrder] = (0.6, 0.9)
    unevenness: Share = 0.1
    thicker_above: bool = False


class MotionBlur(Chance):
    """Blur along a line of so many pixels, in any direction, centred: objects stay where they are."""

    length_px: Annotated[tuple[_Length, _Length], _InOrder, AfterValidator(_odd)] = (3, 7)


class Jpeg(Chance):
    """Compression before the tile is stored, as by a video link or a mapping service."""

    quality: Annotated[tuple[_Quality, _Quality], _InOrder] = (50, 90)


class CopyPaste(Chance):
    """Objects of rare classes from other training photographs, of the same site where there are some.

    Attributes:
        objects: How many, at most and at least.
        rare_below: A class is rare with fewer boxes than this share of the most frequent class.
        margin: Ground around the object that comes with it, as a share of its box's shorter side.
        feather_px: Width of the soft edge.
        max_scale: Largest change of size for the difference in height; others are not pasted.
        max_shorter_side_px: Largest shorter side of a box that is taken.
    """

    objects: Annotated[tuple[_Count, _Count], _InOrder] = (1, 3)
    rare_below: Share = 0.2
    margin: Annotated[float, Field(ge=0, le=1)] = 0.2
    feather_px: Annotated[float, Field(ge=0, le=50)] = 3.0
    max_scale: Annotated[float, Field(ge=1, le=4)] = 1.5
    max_shorter_side_px: Annotated[float, Field(ge=4, le=10_000)] = 130.0


class AugmentSettings(_Closed):
    """Everything that may happen to a copy, in the order in which it happens; ``turn`` is by 90, 180 or 270 degrees."""

    copy_paste: CopyPaste = CopyPaste()
    mirror: Chance = Chance()
    turn: Chance = Chance()
    rotate: Rotate = Rotate()
    altitude: Altitude = Altitude()
    shadow: Shadow = Shadow()
    sun: Sun = Sun()
    flare: Flare = Flare()
    haze: Haze = Haze()
    motion_blur: MotionBlur = MotionBlur()
    jpeg: Jpeg = Jpeg()

    @property
    def changes_anything(self) -> bool:
        """Whether any effect can happen."""
        return any(effect.probability > 0 for _, effect in self)


def preset_names() -> list[str]:
    """Presets of the package, sorted."""
    folder = resources.files(_FOLDER)
    return sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))


def load_settings(preset: str) -> AugmentSettings:
    """A preset by its name, or a YAML file by its path.

    A file may begin with ``base: nadir`` and name only what differs from that preset.

    Raises:
        UsageError: there is no such preset or file, or it holds something that is not allowed.
    """
    if preset in preset_names():
        text = (resources.files(_FOLDER) / f"{preset}.yaml").read_text(encoding="utf-8")
        return parse_settings(text, where=f"preset {preset}")
    path = Path(preset)
    if path.suffix not in {".yaml", ".yml"}:
        what = f"there is no augmentation preset {preset[:80]!r}"
        raise UsageError(what, where="--preset", cure=f"{_near(preset, preset_names())}, or give a YAML file")
    try:
        if path.stat().st_size > MAX_FILE_BYTES:
            cure = "Give a file like those of the presets"
            raise UsageError(f"is larger than {MAX_FILE_BYTES:,} bytes", where=preset, cure=cure)
        return parse_settings(path.read_text(encoding="utf-8-sig"), where=preset)
    except OSError as error:
        cure = f"Give a YAML file, or a preset: {', '.join(preset_names())}"
        raise UsageError(f"cannot be opened ({error.strerror})", where=preset, cure=cure) from error
    except UnicodeDecodeError as error:
        raise UsageError("is not UTF-8 text", where=preset, cure="Save it as UTF-8") from error


def parse_settings(text: str, *, where: str) -> AugmentSettings:
    """Settings of a YAML text.

    Raises:
        UsageError: it is no YAML table, an entry is unknown (near names are told) or a value is out of its range.
    """
    try:
        document = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        place = where if mark is None else f"{where}:{mark.line + 1}"
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise UsageError(f"is not YAML ({problem})", where=place, cure="See a preset's file") from error
    document = {} if document is None else document
    if not isinstance(document, dict):
        raise UsageError(
            "is not a table of effects", where=where, cure="Write lines such as `jpeg: {probability: 0.3}`"
        )
    base = document.pop("base", None)
    if base is not None:
        if base not in preset_names():
            what = f"base: there is no preset {str(base)[:80]!r}"
            raise UsageError(what, where=where, cure=_near(str(base), preset_names()))
        document = _merged(load_settings(str(base)).model_dump(mode="json"), document)
    try:
        return AugmentSettings.model_validate(document)
    except ValidationError as error:
        raise _explained(error, where) from error


def _merged(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for name, value in changes.items():
        both = isinstance(value, dict) and isinstance(base.get(name), dict)
        merged[name] = {**base[name], **value} if both else value
    return merged


def _explained(error: ValidationError, where: str) -> UsageError:
    """The first problem in words; an unknown entry with the names that are near."""
    first = error.errors()[0]
    place = [str(part) for part in first["loc"]]
    name = ".".join(place)[:120]
    if first["type"] == "extra_forbidden":
        cure = _near(place[-1], _fields_at(place[:-1]))
        return UsageError(f"there is no entry {name!r}", where=where, cure=cure)
    message = first["msg"].removeprefix("Value error, ")
    given = first.get("input")
    said = f" (given: {given!r})"[:120] if isinstance(given, str | int | float | list | tuple) else ""
    return UsageError(f"{name}: {message}{said}", where=where, cure="Correct it; presets show what is usual")


def _fields_at(place: list[str]) -> list[str]:
    model: Any = AugmentSettings
    for name in place:
        annotation = model.model_fields[name].annotation
        model = next((part for part in (annotation, *get_args(annotation)) if hasattr(part, "model_fields")), model)
    return list(model.model_fields)


def _near(name: str, known: Iterable[str]) -> str:
    names = list(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    return f"Did you mean {' or '.join(near)}?" if near else f"Use one of: {', '.join(names)}"
