"""Job ``validate``: re-read a stored survey, run all checks, and decide whether it may be trained on.

Input ``survey``; output ``report`` with ``report.json`` (all findings and figures), ``report.html`` (to look at) and
``decision.json`` (what the gate reads). A faulty survey is a result, not a failure of the job: ``passed`` is false and
the reasons are listed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from overflight.data.checks.catalogue import load_catalogue
from overflight.data.findings import SHOWN_AT_MOST
from overflight.data.report import SurveyReport
from overflight.data.report_files import write_report
from overflight.data.split import SplitBy
from overflight.data.stored import check_survey
from overflight.data.tile import cores
from overflight.detection.recipes import load_recipe
from overflight.files import write_json
from overflight.jobs.contract import JobFolders
from overflight.jobs.environ import log_progress, settings_from
from overflight.jobs.tracked import log_survey, open_tracking

INPUT, OUTPUT = "survey", "report"
DECISION_FILE = "decision.json"
UNCHANGED = "default"
ANY = -1

log = logging.getLogger(__name__)


class ValidateSettings(BaseModel):
    """Settings from ``OVERFLIGHT_<FIELD>``.

    Attributes:
        split_by: How the survey is going to be split.
        checks: Changes of the checks, ``dark=off,tiny.min_side_px=10``, or ``default``.
        max_warnings: More warnings refuse the survey; -1 allows any number.
        tile_px: Side of the tiles it is going to be cut into.
        imgsz: Side of the network's input; 0: the recipe's.
        recipe: Recipe of the training.
        workers: Threads that decode; one per core by default.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_by: SplitBy = "flight"
    checks: str = UNCHANGED
    max_warnings: int = Field(ANY, ge=ANY)
    tile_px: int = Field(640, ge=64, le=8192)
    imgsz: int = Field(0, ge=0, le=2048)
    recipe: str = "default"
    workers: int | None = Field(None, ge=1, le=256)

    @property
    def changes(self) -> list[str]:
        """The changes one by one."""
        return [] if self.checks == UNCHANGED else [part for part in self.checks.split(",") if part.strip()]

    @property
    def train_scale(self) -> float:
        """Size of an object at training / in the photograph."""
        return (self.imgsz or load_recipe(self.recipe).imgsz) / self.tile_px


@dataclass(frozen=True)
class ValidateSummary:
    """What the job found, for its message and for tracking."""

    report: SurveyReport
    decision: dict[str, Any]
    params: dict[str, str | int]
    metrics: dict[str, float]
    message: str


def run(folders: JobFolders, environ: Mapping[str, str]) -> str:
    """Run the job; returns its exit message.

    Raises:
        InputError: there is no survey in the input.
        UsageError: a setting is not allowed, or names a check that there is not.
    """
    settings = settings_from(environ, ValidateSettings)
    output = folders.output(OUTPUT)
    with open_tracking(folders, environ, step="validate") as tracking:
        summary = validate(folders.input(INPUT), output, settings=settings)
        tracking.log_params(summary.params, on_execution=True)
        tracking.log_metrics(summary.metrics)
        tracking.set_tag("overflight.passed", str(summary.decision["passed"]).lower())
        log_survey(tracking, summary.report.survey.as_dict(), source=folders.source_uri(INPUT))
        tracking.log_artifacts(output)
    return summary.message


def validate(survey_folder: Path, output: Path, *, settings: ValidateSettings) -> ValidateSummary:
    """Check the survey and write report and decision into ``output``."""
    report = check_survey(
        survey_folder,
        catalogue=load_catalogue(settings.changes),
        split_by=settings.split_by,
        train_scale=settings.train_scale,
        workers=settings.workers or cores(),
        progress=log_progress("images checked"),
    )
    for finding in report.findings:
        log.log(logging.ERROR if finding.severity == "error" else logging.WARNING, "%s", finding)
    decision = _decide(report, max_warnings=settings.max_warnings)
    write_report(output, report)
    write_json(output / DECISION_FILE, decision)
    survey, flights = report.survey, report.survey.flights
    verdict = "passed" if decision["passed"] else "refused"
    message = (
        f"survey {survey.name} {verdict}: {len(survey.photos)} photos, {survey.boxes} boxes, {len(flights)} flights, "
        f"{decision['errors']} errors, {decision['warnings']} warnings"
    )
    log.info("%s", message)
    params: dict[str, str | int] = {
        "survey": survey.name,
        "survey_digest": survey.digest,
        "split_by": settings.split_by,
        "survey_checks": settings.checks,
        "max_warnings": settings.max_warnings,
    }
    metrics = {
        "photos": float(len(survey.photos)),
        "boxes": float(survey.boxes),
        "flights": float(len(flights)),
        "errors": float(decision["errors"]),
        "warnings": float(decision["warnings"]),
        **{f"findings_{row['check'].replace('-', '_')}": float(row["findings"]) for row in report.table()},
    }
    return ValidateSummary(report, decision, params, metrics, message)


def _decide(report: SurveyReport, *, max_warnings: int) -> dict[str, Any]:
    errors, warnings = report.errors, report.warnings
    reasons = [str(finding) for finding in errors[:SHOWN_AT_MOST]]
    if len(errors) > SHOWN_AT_MOST:
        reasons.append(f"... and {len(errors) - SHOWN_AT_MOST} more")
    too_many = max_warnings != ANY and len(warnings) > max_warnings
    if too_many:
        kinds = ", ".join(f"{row['check']} {row['findings']}" for row in report.table() if row["severity"] == "warning")
        reasons.append(f"{len(warnings)} warnings, {max_warnings} are allowed: {kinds}")
    return {
        "passed": not errors and not too_many,
        "errors": len(errors),
        "warnings": len(warnings),
        "max_warnings": max_warnings,
        "reasons": reasons,
        "photos": len(report.survey.photos),
        "boxes": report.survey.boxes,
        "flights": len(report.survey.flights),
        "survey_digest": report.survey.digest,
    }
