"""Training of YOLO11 on prepared tiles: Ultralytics' loop, with everything that reaches outside or guesses replaced.

``DetectionTrainer`` is subclassed, not patched. Replaced are: the dataset (no scan, no cache beside inputs), the
model's construction (from a description, never from a download), callbacks (none but ours), validation (own NMS without
a time limit, own COCO figures), checkpoints (atomic, float32, without optimiser), ``results.csv`` (a figure that was
not measured is empty, not 0), out-of-memory halving and NaN recovery (both are errors). It does not resume: a killed
training starts again. Importing this module imports torch and Ultralytics; isolate first
(:mod:`overflight.detection.isolation`).
"""

from __future__ import annotations

import io
import logging
import math
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from ultralytics import __version__ as ultralytics_version
from ultralytics.models.yolo.detect import DetectionTrainer
from ultralytics.utils.torch_utils import ModelEMA

from overflight.detection import model as networks
from overflight.detection.compat import ensure_torchvision
from overflight.detection.loader import TileDataset
from overflight.detection.measure import Measured, measure
from overflight.detection.pictures import draw_batch
from overflight.detection.plan import EpochReport, TrainingPlan, TrainingStoppedError
from overflight.detection.recipes import OWN_ENTRIES, architecture
from overflight.detection.tiles import TileFolder
from overflight.errors import JobError
from overflight.files import write_bytes
from overflight.imaging.codecs import encode_jpeg

PROGRESS_EVERY_S = 2.0
RESULT_NAMES = {  # Ultralytics' column names, which other tools read
    "precision": "metrics/precision(B)",
    "recall": "metrics/recall(B)",
    "map50": "metrics/mAP50(B)",
    "map50_95": "metrics/mAP50-95(B)",
}

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        checkpoint: The best checkpoint (by mAP50-95 on the validation tiles).
        model: Its network, float32, in eval mode.
        measured: Its figures on the validation tiles.
        bf16: Whether bfloat16 was used.
    """

    checkpoint: Path
    model: Any
    measured: Measured
    bf16: bool


def train(
    plan: TrainingPlan,
    on_epoch: Callable[[EpochReport], None],
    *,
    should_stop: Callable[[], bool] = lambda: False,
    clock: Callable[[], float] = time.monotonic,
) -> Trained:
    """Train as planned.

    Args:
        plan: What, on what, where.
        on_epoch: Called after each epoch.
        should_stop: Asked after each batch.
        clock: Seconds that only grow.

    Raises:
        InputError: labels or tiles that cannot be used.
        TrainingStoppedError: ``should_stop`` said so.
        JobError: the loss is not finite, or memory does not suffice.
    """
    trainer = OverflightTrainer(plan, on_epoch=on_epoch, should_stop=should_stop, clock=clock)
    try:
        trainer.train()
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and "memory" not in str(error).lower():
            raise
        raise _out_of_memory(plan.recipe.batch) from error
    if trainer.best_measured is None:
        raise JobError("the training ended without a validated epoch", cure="Report this as a fault of Overflight")
    model = networks.plain_copy(trainer.best_network())
    return Trained(trainer.best, model, trainer.best_measured, trainer.bf16)


class OverflightTrainer(DetectionTrainer):  # type: ignore[misc]  # Ultralytics ships no types
    """Ultralytics' training loop under Overflight's rules; see the module. Use :func:`train`."""

    def __init__(
        self,
        plan: TrainingPlan,
        *,
        on_epoch: Callable[[EpochReport], None],
        should_stop: Callable[[], bool],
        clock: Callable[[], float],
    ) -> None:
        self.plan = plan
        self.on_epoch = on_epoch
        self.should_stop = should_stop
        self.clock = clock
        self.best_measured: Measured | None = None
        self.best_fitness: float | None = None
        self.bf16 = False
        self.measured: Measured | None = None
        self._best_state: dict[str, torch.Tensor] = {}
        self._batches_done = 0
        self._spoke_at = self._began_at = self._epoch_at = clock()
        self._epoch_seconds = 0.0
        super().__init__(overrides=_arguments(plan), _callbacks=defaultdict(list))
        if self.device.type == "cpu":
            # Ultralytics chose cores - 1
            torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS") or 1))
            self.bf16 = networks.cpu_has_bf16() if plan.bf16 is None else plan.bf16

    # --- data and model ------------------------------------------------------------------------------------------

    def get_dataset(self) -> dict[str, Any]:
        """The dataset as Ultralytics wants it described; nothing is searched for or fetched."""
        names = dict(enumerate(self.plan.tiles.classes))
        return {"train": "train", "val": "val", "names": names, "nc": len(names), "channels": 3}

    def build_dataset(self, img_path: str, mode: str = "train", batch: int | None = None) -> TileDataset:
        """Tiles of the split called ``img_path``, with augmentation in training."""
        training = mode == "train"
        return TileDataset(
            self.plan.tiles,
            img_path,
            imgsz=self.args.imgsz,
            augment=training,
            hyp=self.args,
            batch_size=batch,
            stride=self.stride,
            cache=self.args.cache if training else None,
            data=self.data,
        )

    def setup_model(self) -> None:
        """Build the network from its description, and load the starting weights if there are any."""
        description = architecture(self.plan.recipe.model)
        network = networks.TrainableModel(description, ch=3, nc=self.data["nc"], verbose=False)
        network.names = self.data["names"]
        if self.plan.weights is not None:
            from ultralytics.nn.tasks import load_checkpoint

            ensure_torchvision()  # checkpoints may refer to it
            network.load(load_checkpoint(self.plan.weights)[0], verbose=False)
        elif self.plan.recipe.prior_from_data:
            boxes = _boxes_per_class(self.plan.tiles)
            networks.set_class_prior(network, boxes_per_class=boxes, imgsz_px=self.args.imgsz)
        network.bf16 = self.bf16
        if self.device.type == "cpu":
            network = network.to(memory_format=torch.channels_last)
        self.model = network

    def preprocess_batch(self, batch: dict[str, Any]) -> dict[str, Any]:
        """Pixels as float32 in 0..1, in the memory order that the network has."""
        picture = self.save_dir / "train_batch.jpg"
        if self.model.training and not picture.exists():
            write_bytes(picture, encode_jpeg(draw_batch(batch, self.plan.tiles.classes)))
        batch = super().preprocess_batch(batch)
        if self.device.type == "cpu":
            batch["img"] = batch["img"].contiguous(memory_format=torch.channels_last)
        return batch

    def build_optimizer(self, model: Any, *args: Any, **options: Any) -> Any:
        """As Ultralytics does, with AdamW's fused kernel on a CPU as well: an eighth of the time per step."""
        optimizer = super().build_optimizer(model, *args, **options)
        if isinstance(optimizer, torch.optim.AdamW):
            for group in optimizer.param_groups:
                group.update(fused=True, foreach=False)
        return optimizer

    def _build_train_pipeline(self) -> None:
        if self.batch_size != self.plan.recipe.batch:  # Ultralytics halves the batch when memory runs out
            raise _out_of_memory(self.plan.recipe.batch)
        super()._build_train_pipeline()

    def _setup_train(self) -> None:
        super()._setup_train()
        self.ema = ModelEMA(self.model, decay=self.plan.recipe.ema_decay, tau=self.plan.recipe.ema_tau)

    def get_validator(self) -> Any:
        """A stand-in that adds no columns: :meth:`validate` measures by itself."""
        return SimpleNamespace(metrics=SimpleNamespace(keys=[]))

    # --- events --------------------------------------------------------------------------------------------------

    def run_callbacks(self, event: str) -> None:
        """Our reaction to the loop's events; no callback of an integration ever runs."""
        if event == "on_train_epoch_start":
            self._batches_done, self._epoch_at = 0, self.clock()
        elif event == "on_train_batch_end":
            self._after_batch()
        elif event == "on_train_epoch_end":
            self._epoch_seconds = self.clock() - self._epoch_at
        elif event == "on_fit_epoch_end":
            report = self._report()
            log.info("%s", report.line())
            self.on_epoch(report)

    def _after_batch(self) -> None:
        self._batches_done += 1
        images = len(self.train_loader.dataset)
        done = min(self._batches_done * self.batch_size, images)
        if not math.isfinite(float(self.loss.detach())):
            raise JobError(
                f"the loss is not a finite number in epoch {self.epoch + 1} after {done} of {images} tiles",
                cure="Lower lr0 in the recipe, or start from weights",
            )
        if self.clock() - self._spoke_at >= PROGRESS_EVERY_S:
            self._spoke_at = self.clock()
            log.info("train epoch %d/%d images %d/%d", self.epoch + 1, self.epochs, done, images)
        if self.should_stop():
            raise TrainingStoppedError(
                f"the training was stopped in epoch {self.epoch + 1} of {self.epochs}",
                cure="Start it again: it begins anew",
            )

    def _report(self) -> EpochReport:
        images = len(self.train_loader.dataset)
        return EpochReport(
            epoch=self.epoch + 1,
            epochs=self.epochs,
            losses={name: round(float(value), 5) for name, value in self.tloss.items()},
            metrics=self.measured.metrics if self.measured else {},
            images_per_s=round(images / max(self._epoch_seconds, 1e-9), 2),
            lr=float(self.optimizer.param_groups[0]["lr"]),
            seconds=round(self.clock() - self._began_at, 2),
        )

    # --- validation and results ----------------------------------------------------------------------------------

    def validate(self) -> tuple[dict[str, float], float | None]:
        """Figures of the averaged weights on the validation tiles, when this epoch's turn has come."""
        every, last = self.plan.recipe.validate_every, self.epoch + 1 >= self.epochs
        self.measured = None
        if not (last or (every and (self.epoch + 1) % every == 0)):
            return {}, None
        log.info("validate epoch %d/%d images %d", self.epoch + 1, self.epochs, len(self.test_loader.dataset))
        self.measured = measure(
            self.ema.ema,
            (self.preprocess_batch(batch) for batch in self.test_loader),
            classes=self.plan.tiles.classes,
            nms_iou=self.plan.recipe.nms_iou,
            score_threshold=self.plan.recipe.score_threshold,
        )
        fitness = self.measured.metrics.get("map50_95", 0.0)
        if self.best_fitness is None or fitness > self.best_fitness:
            self.best_fitness, self.best_measured = fitness, self.measured
            self._best_state = {name: value.clone() for name, value in self.ema.ema.state_dict().items()}
        return self.measured.metrics, fitness

    def best_network(self) -> Any:
        """The averaged network with the weights of the best epoch."""
        self.ema.ema.load_state_dict(self._best_state)
        return self.ema.ema

    def _handle_nan_recovery(self, epoch: int) -> bool:
        if self.fitness is not None and not np.isfinite(self.fitness):
            raise JobError(f"accuracy is not a finite number in epoch {epoch + 1}", cure="Lower lr0 in the recipe")
        return False

    def save_metrics(self, metrics: dict[str, Any]) -> None:
        """Append one row to ``results.csv``; the columns are fixed and a missing figure is an empty cell."""
        losses = {f"train/{name}": float(value) for name, value in self.tloss.items()}
        figures = {column: metrics.get(name) for name, column in RESULT_NAMES.items()}
        rates = {name: float(value) for name, value in self.lr.items()}
        row = {"epoch": self.epoch + 1, "time": self.clock() - self._began_at, **losses, **figures, **rates}
        with self.csv.open("a") as handle:
            if not handle.tell():
                handle.write(",".join(row) + "\n")
            handle.write(",".join("" if value is None else f"{value:.6g}" for value in row.values()) + "\n")

    def save_model(self) -> bool:
        """Write ``weights/best.pt`` when this epoch is the best; whole or not at all."""
        if self.measured is None or self.measured is not self.best_measured:
            return False
        network = networks.plain_copy(self.ema.ema)
        network.args = vars(self.args)
        document = {
            "epoch": self.epoch,
            "best_fitness": self.best_fitness,
            "model": None,
            "ema": network,
            "updates": self.ema.updates,
            "optimizer": None,
            "train_args": vars(self.args),
            "train_metrics": dict(self.measured.metrics),
            "date": datetime.now(UTC).isoformat(),
            "version": ultralytics_version,
            "license": "AGPL-3.0 (https://ultralytics.com/license)",
        }
        buffer = io.BytesIO()
        torch.save(document, buffer)
        write_bytes(self.best, buffer.getvalue())
        return True

    def final_eval(self) -> None:
        """Nothing: the last epoch was validated, and checkpoints have nothing to strip."""


def _arguments(plan: TrainingPlan) -> dict[str, Any]:
    """Ultralytics' arguments: all that matter are given, none is left to a guess."""
    recipe = plan.recipe
    on_gpu = torch.cuda.is_available()
    return recipe.model_dump(exclude=set(OWN_ENTRIES)) | {
        "task": "detect",
        "mode": "train",
        "model": f"{recipe.model}.yaml",
        "data": "tiles.yaml",
        "seed": plan.seed,
        "device": "0" if on_gpu else "cpu",
        "amp": "bf16" if on_gpu and torch.cuda.is_bf16_supported() else False,
        "workers": 4 if on_gpu else 0,
        "cache": "ram",
        "save_dir": str(plan.folder / "run"),
        "exist_ok": True,
        "deterministic": True,
        "pretrained": False,
        # None would mean a few transforms of its own choice wherever Albumentations happens to be installed.
        "augmentations": [],
        "plots": False,
        "verbose": False,
        "val": True,
    }


def _boxes_per_class(tiles: TileFolder) -> list[float]:
    images = tiles.images("train")
    classes = np.concatenate([tiles.labels(image)[:, 0] for image in images]).astype(np.int64)
    return [float(count) / len(images) for count in np.bincount(classes, minlength=len(tiles.classes))]


def _out_of_memory(batch: int) -> JobError:
    return JobError(
        f"the machine's memory does not suffice for batch={batch}",
        cure="Set a smaller batch, imgsz or model; it is not changed silently",
    )
