"""Reports of a run: linked where a step made one, fetched as files, and named when a gate refused."""

from types import SimpleNamespace

import pytest

from overflight.account.objects import upload_folder
from overflight.errors import NotFoundError
from overflight.lifecycle import run_reports
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.run_reports import fetch_reports, report_links
from overflight.lifecycle.runs import _failed
from overflight.settings import Settings

ARN = "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/overflight-train/execution/abcdefghijkl"


def step(name, status="Succeeded", job="arn:aws:sagemaker:eu-central-1:123456789012:processing-job/x"):
    return SimpleNamespace(name=name, status=status, job_arn=job, reason="mAP50 is low")


@pytest.fixture
def context(tmp_path, monkeypatch):
    context = Context(Settings(home=tmp_path / ".overflight"))
    report = tmp_path / "made"
    report.mkdir()
    (report / "report.html").write_text("<p>checks</p>")
    bucket = context.names.bucket
    upload_folder(context.client("s3"), report, bucket, "runs/1/validate")
    monkeypatch.setattr(
        run_reports, "output_uri", lambda *_: run_reports.S3Uri(bucket, "runs/1/validate"), raising=True
    )
    return context


def steps_are(monkeypatch, *steps):
    monkeypatch.setattr(run_reports, "steps_of", lambda *_: list(steps))


def test_only_steps_that_ended_well_have_a_report(context, monkeypatch):
    steps_are(monkeypatch, step("Validate"), step("Prepare"), step("Evaluate", "Failed"), step("CheckSurvey", job=""))
    assert report_links(context, ARN) == {"validate report": f"s3://{context.names.bucket}/runs/1/validate/report.html"}


def test_reports_become_files(context, monkeypatch, tmp_path):
    steps_are(monkeypatch, step("Validate"))
    pages = fetch_reports(context, ARN, tmp_path / "out", progress=Silent())
    assert pages["Validate"].read_text() == "<p>checks</p>"


def test_without_a_finished_step_there_is_no_report(context, monkeypatch, tmp_path):
    steps_are(monkeypatch, step("Validate", "Executing"))
    with pytest.raises(NotFoundError, match="no report yet"):
        fetch_reports(context, ARN, tmp_path / "out", progress=Silent())


@pytest.mark.parametrize(
    ("broken", "cure"),
    [
        pytest.param(step("FailSurvey", "Failed", job=""), "overflight runs report abcdefghijkl", id="a gate refused"),
        pytest.param(step("Train", "Failed"), "overflight runs logs abcdefghijkl --step Train", id="a job failed"),
    ],
)
def test_a_failed_run_names_what_explains_it(broken, cure):
    error = _failed(ARN, {"PipelineExecutionStatus": "Failed"}, [broken])
    assert cure in error.cure
