"""The whole life of a model in one go: survey, training, approval by another role, endpoint, predictions.

Uses only the other use cases; whatever it does can be typed command by command.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.account.objects import read_json
from overflight.data.files import find_files
from overflight.data.scenes.settings import SceneSettings
from overflight.data.scenes.survey import synthesise
from overflight.errors import UsageError
from overflight.governance.approvals import ONE_PERSON
from overflight.lifecycle.approvals import approve
from overflight.lifecycle.context import Context
from overflight.lifecycle.endpoints import deploy
from overflight.lifecycle.models import describe_package, find_package
from overflight.lifecycle.predict import Prediction, predict
from overflight.lifecycle.progress import Progress, Stages
from overflight.lifecycle.runs import Step, follow, output_uri, start_run
from overflight.lifecycle.self_approval import attempt_self_approval
from overflight.lifecycle.survey_versions import SurveyVersion
from overflight.lifecycle.surveys import add_survey
from overflight.lifecycle.system import tracking_uri
from overflight.tracking.reading import find_execution_run

ENDPOINT = "demo"
GROUP = "overflight-demo"
PHOTOS_SENT = 8


@dataclass(frozen=True)
class DemoSettings:
    """Knobs of the demo; the defaults are chosen for 2 cores and six minutes.

    Attributes:
        data: Folder with the user's own photographs and YOLO labels; None makes a synthetic survey.
        out: Folder for pictures and results.
        seed: Seed of survey, split and training.
        epochs: Training length; None takes the default of the kind of data.
        flights: Flights of the synthetic survey.
        photos: Photographs per flight of the synthetic survey.
        min_map50: Gate; None asks 0.3 of the synthetic survey and nothing of the user's own data.
        split_by: ``flight`` or ``time-gap`` (see the prepare job).
    """

    data: Path | None
    out: Path
    seed: int = 7
    epochs: int | None = None
    flights: int = 16
    photos: int = 14
    split_by: str = "flight"
    min_map50: float | None = None


def run_demo(context: Context, settings: DemoSettings, *, progress: Progress) -> dict[str, Any]:
    """Run every stage; returns the summary (see ``overflight demo --json``).

    Raises:
        OverflightError: the stage that failed says why; what was done before stays.
    """
    stages = Stages(progress)
    scientist, approver, engineer = (context.acting_as(role) for role in ("data-scientist", "approver", "ml-engineer"))
    with stages.stage("Survey") as result:
        source, name = demo_source(context, settings, progress)
        survey = add_survey(engineer, source, name=name, progress=progress)
        result.text = (
            f"{survey.facts['photos']} photos, {survey.facts['boxes']} boxes, {len(survey.facts['flights'])} flights"
        )
    with stages.stage("Train, evaluate, register") as result:
        execution_arn = start_run(scientist, _parameters(context, settings, survey), publisher=engineer)
        steps = follow(scientist, execution_arn, progress=progress)
        package_arn = find_package(scientist, GROUP)
        package = describe_package(scientist, package_arn)
        result.text = f"mAP50 {package['metrics']['map50']['value']:.3f}"
    with stages.stage("Self-approval") as result:
        refusal = attempt_self_approval(scientist, package_arn)
        statement = f", statement {refusal['statement']}" if refusal["statement"] else ""
        result.text = f"refused, as it must be: {refusal['action']}{statement}"
    with stages.stage("Approve") as result:
        if package["status"] != "Approved":
            decision = approve(approver, package_arn, reason="Demo: mAP50 and the overlay pictures were looked at")
            package |= {"people": decision["people"], "event": decision["event"]}
        note = f" ({ONE_PERSON})" if package.get("people", "").endswith(ONE_PERSON) else ""
        result.text = f"{package['package']} by {approver.settings.role}{note}"
    with stages.stage("Deploy") as result:
        endpoint = deploy(engineer, package_arn, name=ENDPOINT, progress=progress)
        result.text = endpoint["url"]
    with stages.stage("Predict") as result:
        photos = _held_out(context, source, next(step for step in steps if step.name == "Prepare"))
        predictions = predict(engineer, ENDPOINT, photos, out=settings.out, form="json", progress=progress)
        result.text = f"{sum(len(item.detections.scores) for item in predictions)} objects in {len(photos)} photos"
    summary = _summary(
        context,
        settings,
        survey=survey,
        execution_arn=execution_arn,
        package=package,
        endpoint=endpoint,
        predictions=predictions,
    )
    summary["self_approval"] = refusal
    summary["approval"] = {key: package.get(key, "") for key in ("event", "people")}
    summary["seconds"] = dict(stages.seconds)
    summary["seconds_per_step"] = {step.name: round(step.seconds or 0.0, 2) for step in steps}
    summary["seconds_total"] = round(sum(stages.seconds.values()), 2)
    return summary


def demo_source(context: Context, settings: DemoSettings, progress: Progress) -> tuple[Path, str]:
    """Folder to read and name of the survey; the synthetic one is made once per set of knobs."""
    if settings.data is not None:
        if not settings.data.is_dir():
            raise UsageError("is not a folder", where=str(settings.data), cure="Give --data a folder with photographs")
        name = "".join(c if c.isalnum() else "-" for c in settings.data.resolve().name.lower()).strip("-")
        return settings.data, name or "own-data"
    mix = {"truck": 2.0, "bus": 2.0, "boat": 1.5}  # the rarer classes are what a short training misses first
    scene = SceneSettings(flights=settings.flights, photos=settings.photos, seed=settings.seed, class_mix=mix)
    key = hashlib.sha256(scene.model_dump_json().encode()).hexdigest()[:8]
    folder = context.settings.home_path / "synthetic" / f"seed-{settings.seed}-{key}"
    if not folder.exists():
        draft = folder.with_name(f".{folder.name}.draft")
        shutil.rmtree(draft, ignore_errors=True)  # of a demo that was interrupted
        synthesise(scene, draft, progress=lambda done, total: progress.update("photos drawn", done, total))
        draft.rename(folder)
    return folder, "synthetic"


def _parameters(context: Context, settings: DemoSettings, survey: SurveyVersion) -> dict[str, str | int | float]:
    parameters: dict[str, str | int | float] = {
        "SurveyUri": survey.uri,
        "Recipe": "demo",
        "TilePx": 960,
        "OverlapPx": 192,
        "Seed": settings.seed,
        "SplitBy": settings.split_by,
        "ModelPackageGroup": GROUP,
        "MlflowTrackingUri": tracking_uri(context),
        "MlflowExperiment": GROUP,
        "MinMap50": (0.3 if settings.data is None else 0.0) if settings.min_map50 is None else settings.min_map50,
    }
    if settings.epochs is not None:
        parameters["Epochs"] = settings.epochs
    return parameters


def _held_out(context: Context, source: Path, prepare: Step) -> list[Path]:
    """Photographs of the user's folder that the model never saw, spread over the held-out flights."""
    dataset = output_uri(context, prepare, "dataset")
    truth = read_json(context.client("s3"), dataset.bucket, f"{dataset.key}/test/truth.json")
    return held_out_photos(source, [image["file_name"] for image in truth["images"]])


def held_out_photos(source: Path, names: Sequence[str], *, at_most: int = PHOTOS_SENT) -> list[Path]:
    """Files in the user's folder of evenly chosen photographs; ``names`` are those in the survey (COCO file_name)."""
    found = find_files(source)
    files = {photo.name: found.path(photo.key) for photo in found.photos}
    ordered = sorted(names)
    return [files[name] for name in ordered[:: max(1, len(ordered) // at_most)][:at_most]]


def _summary(
    context: Context,
    settings: DemoSettings,
    *,
    survey: SurveyVersion,
    execution_arn: str,
    package: dict[str, Any],
    endpoint: dict[str, Any],
    predictions: list[Prediction],
) -> dict[str, Any]:
    map50 = package["metrics"]["map50"]
    run = find_execution_run(tracking_uri(context), execution_arn.rsplit("/", 1)[1], experiment=GROUP)
    return {
        "map50": map50["value"],
        "map50_interval": [map50.get("low"), map50.get("high")],
        "metrics": package["metrics"],
        "survey": survey.as_dict(),
        "run": execution_arn.rsplit("/", 1)[1],
        "execution_arn": execution_arn,
        "package": package["package"],
        "package_arn": package["arn"],
        "trained_by": package["trained_by"],
        "endpoint": {"name": endpoint["endpoint"], "url": endpoint["url"], "status": endpoint["status"]},
        "mlflow_run": run.run_id if run else None,
        "paths": {
            "home": str(context.settings.home_path),
            "results": str(settings.out),
            "overlays": str(settings.out / "overlays"),
            "predictions": str(settings.out / "predictions.json"),
            "mlflow": tracking_uri(context),
        },
        "photos": [
            {"photo": str(item.photo), "overlay": str(item.overlay), "objects": len(item.detections.scores)}
            for item in predictions
        ],
        "next": [
            "overflight mlflow",
            f"overflight models show {package['package']}",
            f"overflight predict {ENDPOINT} {predictions[0].photo} --format geojson --out geo",
        ],
    }
