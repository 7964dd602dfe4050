"""Job ``validate``: re-read a stored survey strictly and decide whether it may be trained on.

Input ``survey``; output ``report`` with ``report.json`` (all findings and figures) and ``decision.json`` (what the gate
reads). A faulty survey is a result, not a failure of the job: ``passed`` is false and the reasons are listed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from overflight.data.findings import SHOWN_AT_MOST
from overflight.data.split import SplitBy
from overflight.data.stored import SurveyReport, check_survey
from overflight.data.tile import cores
from overflight.files import write_json
from overflight.jobs.contract import JobFolders
from overflight.jobs.environ import log_progress, settings_from
from overflight.jobs.tracked import log_survey, open_tracking

INPUT, OUTPUT = "survey", "report"
REPORT_FILE, DECISION_FILE = "report.json", "decision.json"

log = logging.getLogger(__name__)


class ValidateSettings(BaseModel):
    """``OVERFLIGHT_SPLIT_BY`` and ``OVERFLIGHT_WORKERS`` (threads; one per core by default)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    split_by: SplitBy = "flight"
    workers: int | None = Field(None, ge=1, le=256)


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
        UsageError: a setting is not allowed.
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
        split_by=settings.split_by,
        workers=settings.workers or cores(),
        progress=log_progress("images checked"),
    )
    for finding in report.findings:
        log.log(logging.ERROR if finding.severity == "error" else logging.WARNING, "%s", finding)
    decision = _decide(report)
    write_json(output / REPORT_FILE, report.as_dict())
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
    }
    metrics = {
        "photos": float(len(survey.photos)),
        "boxes": float(survey.boxes),
        "flights": float(len(flights)),
        "errors": float(decision["errors"]),
        "warnings": float(decision["warnings"]),
    }
    return ValidateSummary(report, decision, params, metrics, message)


def _decide(report: SurveyReport) -> dict[str, Any]:
    errors = report.errors
    reasons = [str(finding) for finding in errors[:SHOWN_AT_MOST]]
    if len(errors) > SHOWN_AT_MOST:
        reasons.append(f"... and {len(errors) - SHOWN_AT_MOST} more")
    return {
        "passed": not errors,
        "errors": len(errors),
        "warnings": len(report.warnings),
        "reasons": reasons,
        "photos": len(report.survey.photos),
        "boxes": report.survey.boxes,
        "flights": len(report.survey.flights),
        "survey_digest": report.survey.digest,
    }
