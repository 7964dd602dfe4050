"""What a run's gates looked at: where the reports lie, and bringing them to this machine.

It does not know what a report says.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from overflight.account.objects import S3Uri, download_folder
from overflight.errors import NotFoundError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.lifecycle.runs import Step, describe_run, output_uri, steps_of
from overflight.tracking.reading import find_execution_run
from overflight.tracking.server import server_status
from overflight.tracking.settings import OFF

SURVEY_PAGE = "report.html"
_OUTPUTS = {"Validate": ("report", SURVEY_PAGE), "Evaluate": ("evaluation", "evaluation.json")}


def report_links(context: Context, execution_arn: str) -> dict[str, str]:
    """Addresses of the reports that are there, by step: the survey's checks, the evaluation."""
    return {
        f"{step.name.lower()} report": str(_report(context, step) / _OUTPUTS[step.name][1])
        for step in _finished(context, execution_arn)
    }


def fetch_reports(context: Context, execution_arn: str, out: Path, *, progress: Progress) -> dict[str, Path]:
    """Copy the reports of a run below ``out``; returns the file to open by the step's name.

    Raises:
        NotFoundError: no step with a report has ended yet.
    """
    steps = _finished(context, execution_arn)
    if not steps:
        run = execution_arn.rsplit("/", 1)[1]
        raise NotFoundError("there is no report yet", where=f"run {run}", cure=f"See: overflight runs show {run}")
    pages = {}
    for step in steps:
        name = step.name.lower()
        place = _report(context, step)
        download_folder(
            context.client("s3"),
            place.bucket,
            place.key,
            out / name,
            progress=lambda done, total, name=name: progress.update(f"files of {name}", done, total),  # type: ignore[misc]  # the default binds the loop's name
        )
        pages[step.name] = out / name / _OUTPUTS[step.name][1]
    return pages


def mlflow_page(context: Context, execution_arn: str) -> str:
    """Address of the run in MLflow's pages, or how to open them; empty when the run was not tracked."""
    given: dict[str, Any] = describe_run(context, execution_arn)["parameters"]
    uri = given.get("MlflowTrackingUri", OFF)
    if uri == OFF:
        return ""
    run = find_execution_run(uri, execution_arn.rsplit("/", 1)[1], experiment=given["MlflowExperiment"])
    if run is None:
        return ""
    if uri.startswith(("http://", "https://")):
        return f"{uri.rstrip('/')}{run.url_path}"
    server = server_status(context.settings.home_path / "mlflow") if context.is_local else None
    if server is not None:
        return f"{server['url'].rstrip('/')}{run.url_path}"
    return f"{uri} (run {run.run_id}); its pages: overflight mlflow"


def _finished(context: Context, execution_arn: str) -> list[Step]:
    steps = steps_of(context, execution_arn)
    return [step for step in steps if step.name in _OUTPUTS and step.status == "Succeeded" and step.job_arn]


def _report(context: Context, step: Step) -> S3Uri:
    return output_uri(context, step, _OUTPUTS[step.name][0])
