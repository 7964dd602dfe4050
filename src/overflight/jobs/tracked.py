"""What every job records in the same way: opening its tracking, and the data it read.

Knows the folders of a job and the tracking interface, not MLflow.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from overflight.jobs.contract import JobFolders
from overflight.tracking.runs import Context, StepRun, open_step
from overflight.tracking.settings import tracking_settings


def open_tracking(folders: JobFolders, environ: Mapping[str, str], *, step: str, seed: int | None = None) -> StepRun:
    """Begin to record the step; the environment is recorded at once. The event log lies in ``<root>/tracking``."""
    run = open_step(tracking_settings(environ), step=step, folder=folders.root / "tracking")
    run.log_environment(seed=seed)
    return run


def log_survey(run: StepRun, survey: Mapping[str, Any], *, source: str) -> None:
    """Record a survey (content of ``survey.json``) as what the step read."""
    profile = {key: survey[key] for key in ("photos", "boxes", "classes", "flights") if key in survey}
    run.log_dataset(
        digest=str(survey["digest"]),
        name=str(survey.get("name", "survey")),
        source_uri=source,
        context="training",
        profile=profile,
    )


def log_dataset(run: StepRun, dataset: Mapping[str, Any], *, source: str, contexts: Mapping[Context, str]) -> None:
    """Record parts of a dataset (content of ``dataset.json``) as what the step read.

    Args:
        run: The step's record.
        dataset: Content of ``dataset.json``.
        source: Where it came from.
        contexts: Which part (``train``, ``val``, ``test``) was used for what.
    """
    for context, part in contexts.items():
        profile = {
            key: dataset[key][part]
            for key in ("photos", "tiles", "boxes", "split")
            if isinstance(dataset.get(key), dict) and part in dataset[key]
        }
        run.log_dataset(
            digest=str(dataset["digest"]),
            name=f"dataset {part}",
            source_uri=source,
            context=context,
            lineage={"survey": str(dataset["survey_digest"])},
            profile=profile,
        )
