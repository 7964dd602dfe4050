"""The training job: tiles in, a model folder out (ONNX, weights, ``model.json`` last).

Input channel ``dataset`` (from the prepare job), optional channel ``weights``; hyperparameters as in
:class:`TrainSettings`. While it runs, results go to ``/opt/ml/output/data/epochs.jsonl`` (one line per epoch) and to
tracking. SIGTERM ends it between two batches with exit code 143 and no model. A training that was killed starts again
from the beginning.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overflight.data.profile.baseline import BASELINE_FILE
from overflight.detection.isolation import isolate, local_weights
from overflight.detection.plan import EpochReport, TrainingPlan
from overflight.detection.recipes import Recipe, load_recipe, model_names
from overflight.detection.tiles import open_tiles
from overflight.errors import UsageError
from overflight.files import require_disk, sha256_file
from overflight.jobs.code import code_identity
from overflight.jobs.contract import JobFolders
from overflight.jobs.tracked import log_dataset, open_tracking
from overflight.tracking.runs import Context, StepRun

if TYPE_CHECKING:
    from overflight.detection.trainer import Trained

_NEEDED_BYTES = 300_000_000

log = logging.getLogger(__name__)


class TrainSettings(BaseModel):
    """Hyperparameters of the job; what is left out comes from the recipe.

    Attributes:
        recipe: Name of a recipe (``default``, ``demo``).
        model: ``yolo11n|s|m|l|x`` or a model of this package; empty takes the recipe's.
        imgsz: Side of the network's input in pixels, a multiple of 32; 0 takes the recipe's, like the next two.
        epochs: Passes over the training tiles.
        batch: Tiles per step.
        seed: Of weights, order and augmentation.
        weights: A ``.pt`` file of the channel ``weights`` (or an absolute path); empty trains from scratch.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = "default"
    model: str | None = None
    imgsz: Annotated[int, Field(ge=32, le=4096, multiple_of=32)] | None = None
    epochs: Annotated[int, Field(ge=1, le=10_000)] | None = None
    batch: Annotated[int, Field(ge=1, le=4096)] | None = None
    seed: Annotated[int, Field(ge=0, lt=2**31)] = 0
    weights: str = ""

    def resolve(self) -> Recipe:
        """The recipe with these settings in it.

        Raises:
            UsageError: unknown recipe or model.
        """
        if self.model is not None and self.model not in model_names():
            raise UsageError(f"unknown model {self.model!r}", where="model", cure=f"Use one of: {_listed()}")
        chosen = {name: getattr(self, name) for name in ("model", "imgsz", "epochs", "batch")}
        return load_recipe(self.recipe).model_copy(update={k: v for k, v in chosen.items() if v is not None})


def settings_from(hyperparameters: Mapping[str, str]) -> TrainSettings:
    """Settings from SageMaker's hyperparameters: strings; names starting with ``sagemaker_`` and ``_`` are not ours.

    Raises:
        UsageError: an unknown name or a value that does not fit, with the name.
    """
    own = {name: value for name, value in hyperparameters.items() if not name.startswith(("sagemaker_", "_"))}
    # Pipeline parameters cannot be empty: these words stand for "not given".
    unset = {"model": "recipe", "imgsz": "0", "epochs": "0", "batch": "0", "weights": "scratch"}
    given = {name: value for name, value in own.items() if value not in ("", unset.get(name))}
    try:
        return TrainSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        raise UsageError(
            f"hyperparameter {name}={first['input']!r}: {first['msg']}",
            cure=f"Known hyperparameters: {', '.join(TrainSettings.model_fields)}",
        ) from error


def run(folders: JobFolders, environ: Mapping[str, str]) -> str:
    """Train as the hyperparameters say and write the model folder.

    Returns:
        One sentence for ``/opt/ml/output/message``.

    Raises:
        UsageError: hyperparameters that cannot be used.
        InputError: tiles, labels or weights that cannot be used.
        ResourceError: not enough disk.
        TrainingStoppedError: SIGTERM came.
        JobError: the training failed.
    """
    settings = settings_from(folders.hyperparameters())
    recipe = settings.resolve()
    tiles = open_tiles(folders.channel("dataset"))
    weights = local_weights(settings.weights, folders=(folders.root / "input" / "data" / "weights",))
    work = folders.root / "work"
    work.mkdir(parents=True, exist_ok=True)
    require_disk(work, _NEEDED_BYTES)
    isolate(work / "ultralytics")
    plan = TrainingPlan(tiles=tiles, folder=work, recipe=recipe, seed=settings.seed, weights=weights)
    with open_tracking(folders, environ, step="train", seed=settings.seed) as tracking:
        main = {"recipe": settings.recipe, "weights": settings.weights or "none", "seed": settings.seed}
        main |= recipe.model_dump(include={"model", "imgsz", "epochs", "batch"})
        tracking.log_params(main, on_execution=True)
        tracking.log_params(recipe.model_dump(exclude=set(main)))
        contexts: dict[Context, str] = {"training": "train", "validation": "val"}
        log_dataset(tracking, tiles.document, source=folders.source_uri("dataset"), contexts=contexts)
        trained = _train(folders, plan, tracking)
        document = _write_model(folders, plan, trained)
        tracking.log_params({"precision": document["precision"], "score_threshold": document["score_threshold"]})
        tracking.log_artifacts(folders.model, "model")
        tracking.log_artifacts(folders.output_data, "training")
    return _message(recipe, trained.measured.metrics, document)


def _message(recipe: Recipe, figures: Mapping[str, float], document: Mapping[str, Any]) -> str:
    accuracy = f"mAP50 {figures['map50']:.3f} on the validation tiles" if "map50" in figures else "no accuracy figure"
    megabytes = document["files"]["model.onnx"]["bytes"] / 1e6
    return f"{recipe.model} at {recipe.imgsz} px, {recipe.epochs} epochs: {accuracy}; {megabytes:.1f} MB"


def _train(folders: JobFolders, plan: TrainingPlan, tracking: StepRun) -> Trained:
    recipe = plan.recipe
    log.info("train %s imgsz %d epochs %d batch %d", recipe.model, recipe.imgsz, recipe.epochs, recipe.batch)
    folders.output_data.mkdir(parents=True, exist_ok=True)
    epochs = folders.output_data / "epochs.jsonl"
    epochs.unlink(missing_ok=True)

    def on_epoch(report: EpochReport) -> None:
        with epochs.open("a") as handle:
            handle.write(json.dumps(asdict(report), allow_nan=False) + "\n")
        figures = {f"train/{name}": value for name, value in report.losses.items()}
        figures |= {f"val/{name}": value for name, value in report.metrics.items()}
        figures |= {"lr": report.lr, "images_per_s": report.images_per_s}
        tracking.log_metrics(figures, step=report.epoch)

    from overflight.detection.trainer import train

    with _stop_flag() as should_stop:
        return train(plan, on_epoch, should_stop=should_stop)


def _write_model(folders: JobFolders, plan: TrainingPlan, trained: Trained) -> dict[str, Any]:
    from overflight.detection.export import export_onnx, write_description

    model, results = folders.model, plan.folder / "run"
    model.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(trained.checkpoint, model / "weights.pt")
    for name in ("results.csv", "args.yaml"):
        shutil.copyfile(results / name, model / name)
        shutil.copyfile(results / name, folders.output_data / name)
    baseline = plan.tiles.root / BASELINE_FILE
    if baseline.is_file():  # what the training photographs look like: monitoring compares later ones with it
        shutil.copyfile(baseline, model / BASELINE_FILE)
    for picture in sorted(results.glob("*.jpg")):
        shutil.copyfile(picture, folders.output_data / picture.name)
    difference = export_onnx(trained.model, model / "model.onnx", imgsz_px=plan.recipe.imgsz, seed=plan.seed)
    log.info("exported model.onnx, largest difference to torch %.2g", difference)
    recipe = plan.recipe
    return write_description(
        model,
        {
            "model": recipe.model,
            "classes": list(plan.tiles.classes),
            "imgsz_px": recipe.imgsz,
            "tile_px": plan.tiles.tile_px,
            "overlap_px": plan.tiles.overlap_px,
            "score_threshold": round(trained.measured.best_score, 3),
            "nms_iou": recipe.nms_iou,
            "dataset_digest": plan.tiles.digest,
            "seed": plan.seed,
            "epochs": recipe.epochs,
            "weights": plan.weights.name if plan.weights else "",
            "weights_sha256": sha256_file(plan.weights) if plan.weights else "",
            "code": code_identity(),
            "precision": "bf16" if trained.bf16 else "fp32",
            "validation": trained.measured.metrics,
        },
    )


@contextlib.contextmanager
def _stop_flag() -> Iterator[Callable[[], bool]]:
    """A question that becomes true when SIGTERM arrives; only the main thread may listen for signals."""
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = signal.signal(signal.SIGTERM, lambda *_: asked.set())
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


def _listed() -> str:
    return ", ".join(model_names())
