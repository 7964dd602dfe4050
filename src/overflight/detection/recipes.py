"""Recipes: how to train, as data (``recipes/*.yaml``), and model descriptions (``models/*.yaml``).

A recipe holds every number that shapes a training and is not the user's choice of the day; hyperparameters of the job
override ``model``, ``imgsz``, ``epochs`` and ``batch``. Reading one imports neither torch nor Ultralytics. Names of
recipe entries are Ultralytics' argument names where it has them.
"""

from __future__ import annotations

import importlib.util
import re
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overflight.errors import InputError, UsageError

Share = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Rate = Annotated[float, Field(gt=0, le=1)]
NotNegative = Annotated[float, Field(ge=0)]

# Entries that are ours; all others are arguments of Ultralytics.
OWN_ENTRIES = ("model", "validate_every", "ema_decay", "ema_tau", "prior_from_data", "nms_iou", "score_threshold")

_YOLO11 = re.compile(r"yolo11([nsmlx])")


class Recipe(BaseModel):
    """Everything that shapes a training but data, seed and starting weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: str
    imgsz: Annotated[int, Field(ge=32, le=4096, multiple_of=32)]
    epochs: Annotated[int, Field(ge=1, le=10_000)]
    batch: Annotated[int, Field(ge=1, le=4096)]
    # optimiser and schedule
    optimizer: Literal["SGD", "AdamW", "MuSGD"]
    lr0: Rate
    lrf: Share
    cos_lr: bool
    momentum: Share
    weight_decay: NotNegative
    nbs: Annotated[int, Field(ge=1)]
    warmup_epochs: NotNegative
    warmup_bias_lr: NotNegative
    warmup_momentum: Share
    patience: Annotated[int, Field(ge=1)]
    validate_every: Annotated[int, Field(ge=0)]
    # weights
    ema_decay: Annotated[float, Field(gt=0, lt=1)]
    ema_tau: Positive
    prior_from_data: bool
    # losses
    box: Positive
    cls: Positive
    dfl: Positive
    # augmentation
    hsv_h: Share
    hsv_s: Share
    hsv_v: Share
    fliplr: Share
    flipud: Share
    degrees: NotNegative
    translate: Share
    scale: Share
    mosaic: Share
    close_mosaic: Annotated[int, Field(ge=0)]
    mixup: Share
    # serving
    nms_iou: Share
    score_threshold: Share


def load_recipe(name: str) -> Recipe:
    """Recipe of the package by its name.

    Raises:
        UsageError: there is no such recipe, or its file is wrong.
    """
    folder = resources.files("overflight.detection") / "recipes"
    known = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    if name not in known:
        raise UsageError(f"unknown recipe {name!r}", where="recipe", cure=f"Use one of: {', '.join(known)}")
    try:
        return Recipe.model_validate(yaml.safe_load((folder / f"{name}.yaml").read_text()))
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(
            f"{'.'.join(str(part) for part in first['loc'])}: {first['msg']}",
            where=f"recipe {name}",
            cure="Correct the recipe's file",
        ) from error


def model_names() -> list[str]:
    """Names that :func:`architecture` knows, YOLO11's own scales first."""
    folder = resources.files("overflight.detection") / "models"
    own = sorted(entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml"))
    return [f"yolo11{scale}" for scale in "nsmlx"] + own


def architecture(name: str) -> dict[str, Any]:
    """Description of a model as Ultralytics' ``DetectionModel`` takes it (layers, and the one scale to use).

    YOLO11's own scales come from the installed Ultralytics package, all others from this package.

    Raises:
        UsageError: there is no such model.
        InputError: Ultralytics is not installed.
    """
    if name not in model_names():
        raise UsageError(f"unknown model {name!r}", where="model", cure=f"Use one of: {', '.join(model_names())}")
    official = _YOLO11.fullmatch(name)
    if official is None:
        text = (resources.files("overflight.detection") / "models" / f"{name}.yaml").read_text()
        scale = "own"
    else:
        spec = importlib.util.find_spec("ultralytics")
        if spec is None or spec.origin is None:
            raise InputError("Ultralytics is not installed", cure="Install overflight[train]")
        text = (Path(spec.origin).parent / "cfg" / "models" / "11" / "yolo11.yaml").read_text()
        scale = official.group(1)
    return {**yaml.safe_load(text), "scale": scale, "yaml_file": f"{name}.yaml"}
