"""Job ``prepare``: split a survey by flight and cut train and val into tiles; test photographs stay as they are.

Input ``survey``; output ``dataset`` (layout: ``overflight.data.dataset``) with ``baseline.json``, the profile of the
photographs that the training tiles were cut from. The same survey and settings give the same bytes.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, model_validator

from overflight.data.augment.settings import load_settings
from overflight.data.dataset import DATASET_FILE, TILES_FILE, TRUTH_FILE, DatasetRequest, build_dataset
from overflight.data.manifest import load_manifest
from overflight.data.profile.baseline import BASELINE_FILE, baseline
from overflight.data.profile.measure import measure
from overflight.data.profile.part import part_of
from overflight.data.reading import Read
from overflight.data.split import PARTS, SplitBy
from overflight.data.stored import open_stored
from overflight.data.tile import TileRules
from overflight.errors import InputError
from overflight.files import write_json
from overflight.imaging.tiles import GRID_PX
from overflight.jobs.contract import JobFolders
from overflight.jobs.environ import log_progress, settings_from
from overflight.jobs.tracked import log_survey, open_tracking

INPUT, OUTPUT = "survey", "dataset"

log = logging.getLogger(__name__)


class PrepareSettings(BaseModel):
    """Settings from ``OVERFLIGHT_<FIELD>``.

    Attributes:
        split_by: What may not be torn (see ``overflight.data.split``).
        tile_px: Side of the tiles.
        overlap_px: What neighbouring tiles share.
        augment: Preset or YAML file of augmentations for copies of the training tiles.
        copies: Copies of each training tile, where the preset changes anything.
        max_leak: Largest share of test photographs that may share anything with training, 0..1.
        seed: Of split, background tiles and copies.
        workers: Processes; None: as many as pay.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_by: SplitBy = "flight"
    tile_px: int = Field(640, ge=64, le=8192)
    overlap_px: int = Field(128, ge=0, le=4096)
    augment: str = "none"
    copies: int = Field(1, ge=0, le=20)
    max_leak: float = Field(1.0, ge=0, le=1)
    seed: int = Field(0, ge=0, lt=2**32)
    workers: int | None = Field(None, ge=1, le=256)

    @model_validator(mode="after")
    def _fits(self) -> PrepareSettings:
        if self.overlap_px > self.tile_px - GRID_PX:
            raise ValueError(f"an overlap of {self.overlap_px} px does not fit into tiles of {self.tile_px} px")
        return self

    def request(self) -> DatasetRequest:
        """For :func:`overflight.data.dataset.build_dataset`."""
        rules = TileRules(tile_px=self.tile_px, overlap_px=self.overlap_px)
        augment = load_settings(self.augment)
        return DatasetRequest(
            split_by=self.split_by,
            seed=self.seed,
            rules=rules,
            workers=self.workers,
            augment=augment,
            copies=self.copies if augment.changes_anything else 0,
        )


@dataclass(frozen=True)
class PrepareSummary:
    """What the job made, for its message and for tracking; ``dataset`` is the content of ``dataset.json``."""

    dataset: dict[str, Any]
    params: dict[str, str | int]
    metrics: dict[str, float]
    message: str


def run(folders: JobFolders, environ: Mapping[str, str]) -> str:
    """Run the job; returns its exit message.

    Raises:
        InputError: the survey cannot be read, split or trained on.
        UsageError: a setting is not allowed.
    """
    settings = settings_from(environ, PrepareSettings)
    output = folders.output(OUTPUT)
    with open_tracking(folders, environ, step="prepare", seed=settings.seed) as tracking:
        survey = folders.input(INPUT)
        summary = prepare(survey, output, settings=settings)
        tracking.log_params(summary.params)
        tracking.log_metrics(summary.metrics)
        log_survey(tracking, load_manifest(survey).as_dict(), source=folders.source_uri(INPUT))
        for name in (DATASET_FILE, TRUTH_FILE, BASELINE_FILE):
            tracking.log_artifacts(output / name, "dataset")
    return summary.message


def prepare(survey_folder: Path, output: Path, *, settings: PrepareSettings) -> PrepareSummary:
    """Write the data set and the profile of its training photographs into ``output``.

    Raises:
        InputError: the survey cannot be read, split or trained on, or more of the test leaks than is allowed.
    """
    request = settings.request()
    read = open_stored(survey_folder, decode=True, workers=settings.workers, progress=log_progress("images measured"))
    seen = read.subject.photos
    progress = log_progress("images cut")
    dataset = build_dataset(survey_folder, output, request=request, seen=seen, progress=progress)
    write_json(output / BASELINE_FILE, _baseline(read, output, workers=settings.workers))
    leak = dataset["leaks"]["test of train"]
    if leak["score"] > settings.max_leak:
        raise InputError(
            f"{leak['leaking']} of {leak['photos']['b']} test photographs share something with training "
            f"({leak['score']:.1%}; at most {settings.max_leak:.1%} are allowed)",
            where="split",
            cure="Choose --split-by ground, add flights over other ground, or allow more with --max-leak",
        )
    for note in dataset["notes"]:
        log.warning("%s", note)
    photos, tiles, split = dataset["photos"], dataset["tiles"], dataset["split"]
    for part in PARTS:
        log.info("%s: %s (%d photos, %d boxes)", part, ", ".join(split[part]), photos[part], dataset["boxes"][part])
    message = (
        f"{tiles['train']} train and {tiles['val']} val tiles from {photos['train'] + photos['val']} photos; "
        f"{photos['test']} photos of {len(split['test'])} flights held out, {leak['score']:.0%} of them leak"
    )
    log.info("%s", message)
    params: dict[str, str | int] = {
        "split_by": settings.split_by,
        "tile_px": settings.tile_px,
        "overlap_px": settings.overlap_px,
        "seed": settings.seed,
        "augment": settings.augment,
        "dataset_digest": dataset["digest"],
        "test_flights": ", ".join(split["test"]),
    }
    metrics = {
        f"{kind}_{part}": float(count) for kind in ("photos", "boxes", "tiles") for part, count in dataset[kind].items()
    }
    metrics |= {
        "augmented_tiles": float(dataset["augmented"]["tiles"]),
        "ignored_regions": float(dataset["ignored_regions"]),
        **{f"leak_{name.replace(' ', '_')}": float(report["score"]) for name, report in dataset["leaks"].items()},
    }
    return PrepareSummary(dataset, params, metrics, message)


def _baseline(read: Read, output: Path, *, workers: int | None) -> dict[str, Any]:
    """What the training photographs look like: what monitoring compares later photographs with."""
    with (output / TILES_FILE).open(encoding="utf-8") as lines:
        training = {line["photo"] for line in map(json.loads, lines) if line["part"] == "train"}
    return baseline(part_of(measure(read, workers=workers), training))
