"""What a training is asked to do and what it reports back; loads neither torch nor Ultralytics."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from overflight.detection.recipes import Recipe
from overflight.detection.tiles import TileFolder
from overflight.errors import JobError


class TrainingStoppedError(JobError):
    """The training was asked to stop (SIGTERM) and did so between two batches."""

    exit_code = 143


@dataclass(frozen=True)
class EpochReport:
    """One finished epoch.

    Attributes:
        epoch: 1, 2, 3 ...
        epochs: How many are planned.
        losses: Mean training loss by name (``box_loss``, ``cls_loss``, ``dfl_loss``).
        metrics: Figures on the validation tiles; empty when this epoch was not validated.
        images_per_s: Training images per second.
        lr: Learning rate at the end of the epoch.
        seconds: Since the training began.
    """

    epoch: int
    epochs: int
    losses: dict[str, float]
    metrics: dict[str, float]
    images_per_s: float
    lr: float
    seconds: float

    def line(self) -> str:
        """``epoch=3; box_loss=1.2; map50=0.5; ...;``: one line that regular expressions can read."""
        values = self.losses | self.metrics | {"lr": self.lr, "images_per_s": self.images_per_s}
        return " ".join([f"epoch={self.epoch};", *(f"{name}={value:.6g};" for name, value in values.items())])


@dataclass(frozen=True)
class TrainingPlan:
    """What to train, on what, and where.

    Attributes:
        tiles: The prepared dataset.
        folder: Working folder; results go to ``folder/run``.
        recipe: Everything that shapes the training; its model, imgsz, epochs and batch are final.
        seed: Of weights, order and augmentation.
        weights: A ``.pt`` file to start from, or None.
        bf16: Use bfloat16 on a CPU; None decides by the hardware.
    """

    tiles: TileFolder
    folder: Path
    recipe: Recipe
    seed: int
    weights: Path | None = None
    bf16: bool | None = None
