"""Job ``evaluate``: what the trained model finds on flights it has never seen, as figures, a decision and pictures.

Reads the inputs ``model`` (``model.tar.gz``) and ``dataset``; writes the output ``evaluation``. Predictions are made by
the code that serves the model, so the figures are those of the endpoint. Does not know how the model was trained.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from overflight.detection.evaluate import evaluate_files
from overflight.errors import InputError
from overflight.files import write_json
from overflight.imaging.codecs import decode
from overflight.jobs.contract import JobFolders, check_seal
from overflight.jobs.environ import log_progress, settings_from
from overflight.jobs.model_archive import unpacked_model
from overflight.jobs.overlays import Overlays
from overflight.jobs.plots import write_plots
from overflight.jobs.tracked import log_dataset, open_tracking
from overflight.serving.detections import Detections
from overflight.serving.predictor import Predictor
from overflight.tracking.runs import StepRun

MAX_BOXES_PER_CLASS = 100  # as many as the evaluation looks at


class EvaluateSettings(BaseModel):
    """Settings of the job: ``OVERFLIGHT_<FIELD>``.

    Attributes:
        min_map50: mAP50 (0..1) from which on the model passes.
        seed: Of the bootstrap.
        resamples: Of the bootstrap.
        confidence: Of the intervals (0..1).
        curve_threshold: Lowest score (0..1) kept, low enough for the whole precision-recall curve.
        overlays: Number of pictures.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    min_map50: float = Field(default=0.5, ge=0, le=1)
    seed: int = Field(default=0, ge=0)
    resamples: int = Field(default=1000, ge=1, le=100_000)
    confidence: float = Field(default=0.95, gt=0, lt=1)
    curve_threshold: float = Field(default=0.01, ge=0, le=1)
    overlays: int = Field(default=12, ge=0, le=1000)


def run(folders: JobFolders, environ: Mapping[str, str]) -> str:
    """Evaluate; returns the exit message.

    Raises:
        UsageError: a setting is not allowed.
        InputError: model or dataset are damaged, or do not fit each other.
    """
    settings = settings_from(environ, EvaluateSettings)
    dataset_folder = folders.input("dataset")
    output = folders.output("evaluation")
    with open_tracking(folders, environ, step="evaluate", seed=settings.seed) as tracking:
        check_seal(dataset_folder)
        dataset = _read_json(dataset_folder / "dataset.json")
        truth = _read_json(dataset_folder / "test" / "truth.json")
        tracking.log_params(settings.model_dump())
        log_dataset(tracking, dataset, source=folders.source_uri("dataset"), contexts={"test": "test"})
        with unpacked_model(folders.input("model"), folders.root / "work") as model:
            predictor = Predictor(model)
            _check_classes(predictor.classes, truth)
            predictions = _predict_all(predictor, dataset_folder, truth, output, settings=settings)
            description = predictor.model.description
            write_json(output / "predictions.json", predictions)
        evaluation = evaluate_files(
            dataset_folder / "test" / "truth.json",
            output / "predictions.json",
            confidence=settings.confidence,
            resamples=settings.resamples,
            seed=settings.seed,
            score_threshold=description.score_threshold,
        )
        evaluation |= {"model_digest": predictor.digest, "dataset_digest": dataset["digest"]}
        decision = decide(evaluation, min_map50=settings.min_map50)
        write_plots(truth, predictions, output / "plots", score_threshold=description.score_threshold,
                    cache=folders.root / "work")  # fmt: skip
        write_json(output / "evaluation.json", evaluation)
        write_json(output / "decision.json", decision)
        _track(tracking, evaluation, decision, output)
    return str(decision["reasons"][0])


def decide(evaluation: Mapping[str, Any], *, min_map50: float) -> dict[str, Any]:
    """Decision document: passed or not, and why. A figure that could not be computed refuses."""
    figure = evaluation["metrics"].get("map50")
    value = None if figure is None else figure.get("value")
    if value is None or not math.isfinite(value):
        passed, reason = False, "mAP50 could not be computed: no held-out photo has a box"
    elif value < min_map50:
        passed, reason = False, f"mAP50 {value:.3f} is below the required {min_map50:g}"
    else:
        passed, reason = True, f"mAP50 {value:.3f} reaches the required {min_map50:g}"
    return {
        "schema": "overflight.decision/1",
        "passed": passed,
        "reasons": [reason],
        "metrics": {} if value is None else {"map50": figure},
        "required": {"map50": min_map50},
    }


def photo_records(image: Mapping[str, Any], found: Detections) -> list[dict[str, Any]]:
    """COCO results of one photo: per class the best ``MAX_BOXES_PER_CLASS``, the best score first."""
    records: list[dict[str, Any]] = []
    kept: Counter[int] = Counter()
    for box, score, class_id in zip(found.boxes_xyxy_px, found.scores, found.class_ids, strict=True):
        kept[int(class_id)] += 1
        if kept[int(class_id)] > MAX_BOXES_PER_CLASS:
            continue
        x1, y1, x2, y2 = (float(value) for value in box)
        records.append(
            {
                "image_id": image["id"],
                "file_name": image["file_name"],
                "category_id": int(class_id),
                "bbox": [round(x1, 3), round(y1, 3), round(x2 - x1, 3), round(y2 - y1, 3)],
                "score": round(float(score), 6),
            }
        )
    return records


def _predict_all(
    predictor: Predictor, dataset: Path, truth: Mapping[str, Any], output: Path, *, settings: EvaluateSettings
) -> list[dict[str, Any]]:
    overlays = Overlays(truth, output / "overlays", count=settings.overlays, classes=predictor.classes,
                        score_threshold=predictor.model.description.score_threshold)  # fmt: skip
    records: list[dict[str, Any]] = []
    images = truth["images"]
    said = log_progress("photos")
    for number, image in enumerate(images, start=1):
        path = dataset / "test" / "photos" / image["file_name"]
        if not path.is_file():
            raise InputError("is named in truth.json and missing", where=str(path), cure="Run the step prepare again")
        rgb = decode(path.read_bytes(), where=str(path))
        if rgb.shape[:2] != (image["height"], image["width"]):
            raise InputError(
                f"is {rgb.shape[1]}x{rgb.shape[0]} px, truth.json says {image['width']}x{image['height']}",
                where=str(path),
                cure="Run the step prepare again",
            )
        found = predictor.predict(rgb, score_threshold=settings.curve_threshold)
        records += photo_records(image, found)
        overlays.add(image, rgb, found)
        said(number, len(images))
    return records


def _check_classes(classes: tuple[str, ...], truth: Mapping[str, Any]) -> None:
    held_out = tuple(str(one["name"]) for one in sorted(truth["categories"], key=lambda one: int(one["id"])))
    if held_out != classes:
        raise InputError(
            f"the model knows the classes {', '.join(classes)}, the dataset has {', '.join(held_out)}",
            where="model.json",
            cure="Evaluate a model with the dataset it was trained on",
        )


def _track(tracking: StepRun, evaluation: Mapping[str, Any], decision: Mapping[str, Any], output: Path) -> None:
    figures: dict[str, float] = {}
    for name, figure in evaluation["metrics"].items():
        figures[name] = figure["value"]
        figures |= {f"{name}_{bound}": figure[bound] for bound in ("low", "high") if bound in figure}
    tracking.log_metrics(figures, on_execution=True)
    for kind in ("per_class", "per_flight"):
        for name, entry in evaluation[kind].items():
            tracking.log_metrics({f"{key}/{name}": value for key, value in entry.items()})
    tracking.set_tags({"overflight.passed": str(decision["passed"]).lower()}, on_execution=True)
    tracking.set_tags({"overflight.decision": decision["reasons"][0]}, on_execution=True)
    for name in ("evaluation.json", "decision.json", "predictions.json"):
        tracking.log_artifacts(output / name)
    for name in ("overlays", "plots"):
        if (output / name).is_dir():
            tracking.log_artifacts(output / name, name)


def _read_json(path: Path) -> dict[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except FileNotFoundError as error:
        raise InputError("is missing", where=str(path), cure="Run the step prepare again") from error
    except ValueError as error:
        raise InputError(f"is not valid JSON ({error})", where=str(path), cure="Run the step prepare again") from error
