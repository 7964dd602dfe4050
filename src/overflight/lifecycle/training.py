"""From what a person asks for to the parameters of the training pipeline.

Does not start anything.
"""

from __future__ import annotations

from typing import Any

from overflight.lifecycle.context import Context
from overflight.lifecycle.surveys import show_survey
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
    "min_map50": "MinMap50",
    "group": "ModelPackageGroup",
}


def training_parameters(
    context: Context, survey: str, given: dict[str, Any], *, group: str | None = None
) -> dict[str, str | int | float]:
    """Pipeline parameters for training on ``survey`` (NAME or NAME@DIGEST) with the options that were ``given``.

    Raises:
        NotFoundError: there is no such survey.
    """
    version = show_survey(context, survey)
    default_group = group or f"overflight-{version.name.replace('_', '-')}"
    parameters: dict[str, str | int | float] = {
        "SurveyUri": version.uri,
        "ModelPackageGroup": default_group,
        "MlflowTrackingUri": tracking_uri(context),
        "MlflowExperiment": version.name,
    }
    return parameters | {_PARAMETER_BY_OPTION[option]: value for option, value in given.items()}
