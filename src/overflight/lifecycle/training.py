"""From what a person asks for to the parameters of the training pipeline.

Does not start anything.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from overflight.data.augment.settings import preset_names
from overflight.data.checks.catalogue import load_catalogue
from overflight.errors import InputError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.survey_versions import show_survey
from overflight.lifecycle.system import tracking_uri

_PARAMETER_BY_OPTION = {
    "model": "Model",
    "imgsz": "ImageSize",
    "epochs": "Epochs",
    "batch": "Batch",
    "seed": "Seed",
    "weights": "Weights",
    "recipe": "Recipe",
    "split_by": "SplitBy",
    "tile_px": "TilePx",
    "overlap_px": "OverlapPx",
    "augment": "Augment",
    "copies": "AugmentCopies",
    "max_leak": "MaxLeak",
    "checks": "SurveyChecks",
    "max_warnings": "MaxWarnings",
    "min_map50": "MinMap50",
    "group": "ModelPackageGroup",
}
SCRATCH = "scratch"  # pipeline parameters cannot be empty
STRIDE_PX = 32  # of YOLO11's coarsest feature map
_GROUP = re.compile(r"[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}")


def training_parameters(context: Context, survey: str, given: dict[str, Any]) -> dict[str, str | int | float]:
    """Pipeline parameters for training on ``survey`` (NAME or NAME@DIGEST) with the options that were ``given``.

    What would only fail after the training is checked here.

    Raises:
        NotFoundError: there is no such survey.
        UsageError: the group's name, the image size, a preset or a change of a check cannot be used.
        InputError: there is no such checkpoint on this machine.
    """
    version = show_survey(context, survey)
    given = {**given, "group": given.get("group") or group_of(version.name)}
    if _GROUP.fullmatch(given["group"]) is None:
        raise UsageError(
            "a package group's name has up to 63 letters, digits and hyphens",
            where=f"--group {given['group']}",
            cure=f"Try --group {group_of(version.name)}",
        )
    if given.get("imgsz", 0) % STRIDE_PX:
        raise UsageError(
            f"must be a multiple of {STRIDE_PX}",
            where=f"--imgsz {given['imgsz']}",
            cure=f"Try --imgsz {round(given['imgsz'] / STRIDE_PX) * STRIDE_PX}",
        )
    if "checks" in given:
        load_catalogue(given["checks"])
        given["checks"] = ",".join(given["checks"])
    if "augment" in given and given["augment"] not in preset_names():
        cure = f"Presets: {', '.join(preset_names())}; a file of your own is seen by the preview only"
        raise UsageError("there is no such preset", where=f"--augment {given['augment']}", cure=cure)
    if "weights" in given:
        given["weights"] = _weights(given["weights"], local=context.is_local)
    parameters: dict[str, str | int | float] = {
        "SurveyUri": version.uri,
        "MlflowTrackingUri": tracking_uri(context),
        "MlflowExperiment": version.name,
    }
    return parameters | {_PARAMETER_BY_OPTION[option]: value for option, value in given.items()}


def group_of(survey_name: str) -> str:
    """Package group for the models of a survey: surveys may have dots and underscores in their names, groups not."""
    return re.sub(r"[^a-zA-Z0-9]+", "-", f"overflight-{survey_name}")[:63].strip("-")


def _weights(given: str, *, local: bool) -> str:
    """The checkpoint as the training job finds it: jobs run in another folder than the command."""
    if given in {"", SCRATCH}:
        return SCRATCH
    if not local:
        return given
    path = Path(given).expanduser().absolute()
    if not path.is_file():
        raise InputError("there is no such checkpoint", where=given, cure="Give a .pt file; nothing is downloaded")
    return str(path)
