"""The whole life of a model on real processes: what `overflight demo` promises, with little data and one epoch."""

import json
import time
import urllib.request
from pathlib import Path

import cv2
import pytest

from overflight.errors import JobError, RefusedError
from overflight.lifecycle.approvals import approve, revoke
from overflight.lifecycle.context import Context
from overflight.lifecycle.demo import DemoSettings, run_demo
from overflight.lifecycle.endpoints import delete_endpoint, describe_endpoint
from overflight.lifecycle.models import describe_package
from overflight.lifecycle.predict import predict
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.runs import describe_run, find_run, follow, list_runs, run_logs, start_run, stop_run
from overflight.lifecycle.surveys import add_survey
from overflight.lifecycle.system import down, status, tracking_uri
from overflight.settings import Settings
from overflight.tracking.reading import find_execution_run

pytestmark = pytest.mark.slow
AERIAL_CARS = Path(__file__).parents[2].parent / "shared/data/aerial-cars"


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    context = Context(Settings(home=tmp_path_factory.mktemp("account") / ".overflight"))
    yield context
    down(context)


@pytest.fixture(scope="module")
def summary(context, tmp_path_factory):
    out = tmp_path_factory.mktemp("demo")
    settings = DemoSettings(data=None, out=out, flights=5, photos=3, epochs=1, min_map50=0.0)
    return run_demo(context, settings, progress=Silent())


def test_the_summary_is_json_with_everything_promised(summary):
    again = json.loads(json.dumps(summary))
    assert 0 <= again["map50"] <= 1
    low, high = again["map50_interval"]
    assert low <= again["map50"] <= high
    assert again["package_arn"].startswith("arn:aws:sagemaker:")
    assert again["endpoint"]["url"].startswith("http://127.0.0.1:")
    assert set(again["seconds"]) == {
        "Survey",
        "Train, evaluate, register",
        "Self-approval",
        "Approve",
        "Deploy",
        "Predict",
    }
    assert len(again["next"]) == 3


def test_the_endpoint_is_left_serving_and_answers_over_http(summary):
    with urllib.request.urlopen(summary["endpoint"]["url"] + "/ping") as answer:
        assert answer.status == 200
    photo = Path(summary["photos"][0]["photo"])
    request = urllib.request.Request(
        summary["endpoint"]["url"] + "/invocations", photo.read_bytes(), {"Content-Type": "image/jpeg"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["schema"] == "overflight.detections/1"


def test_overlays_are_pictures_of_the_photographs_sent(summary):
    for item in summary["photos"]:
        photo, overlay = cv2.imread(item["photo"]), cv2.imread(item["overlay"])
        assert overlay.shape == photo.shape


def test_the_package_was_approved_by_another_role_than_the_one_that_trained_it(context, summary):
    facts = describe_package(context, summary["package_arn"])
    assert facts["status"] == "Approved"
    assert "overflight-approver" in facts["decided_by"]
    assert "overflight-data-scientist" in facts["trained_by"]


def test_whoever_trained_may_not_approve(context, summary):
    revoke(context.acting_as("approver"), summary["package_arn"], reason="a second look is needed")
    with pytest.raises(RefusedError, match="trained it"):
        approve(context.acting_as("data-scientist"), summary["package_arn"], reason="mine is always good")
    approve(context.acting_as("approver"), summary["package_arn"], reason="it is fine after all")


def test_the_self_approval_was_refused_by_the_account_and_is_in_the_trail(context, summary):
    refusal = summary["self_approval"]
    assert (refusal["by"], refusal["action"]) == ("account", "sagemaker:UpdateModelPackage")
    assert refusal["statement"] == "OnlyApproverDecides"
    assert summary["approval"]["people"].endswith("one person in several roles")


def test_mlflow_has_one_run_with_a_nested_run_per_job(context, summary):
    run = find_execution_run(tracking_uri(context), summary["run"], experiment="overflight-demo")
    assert run.run_id == summary["mlflow_run"]
    assert run.status == "FINISHED"
    assert {step.name.split()[0].lower() for step in run.steps} >= {"validate", "prepare", "train", "evaluate"}


def test_the_run_and_its_logs_can_be_read_afterwards(context, summary):
    facts = describe_run(context, find_run(context, "latest"))
    assert facts["status"] == "Succeeded"
    assert [step["step"] for step in facts["steps"]][:3] == ["Validate", "CheckSurvey", "Prepare"]
    assert any("epoch=1" in line for _, line in run_logs(context, summary["execution_arn"], step="Train"))


def test_a_second_run_on_the_same_data_takes_the_finished_steps_over(context, summary):
    parameters = describe_run(context, summary["execution_arn"])["parameters"]
    steps = follow(context, start_run(context, parameters), progress=Silent())
    assert {step.name for step in steps if step.cached} >= {"Validate", "Prepare", "Train"}


def test_a_gate_that_refuses_fails_the_run_with_both_numbers(context, summary):
    parameters = describe_run(context, summary["execution_arn"])["parameters"] | {"MinMap50": 1.0}
    with pytest.raises(JobError, match=r"refused: mAP50 is .*1\.0"):
        follow(context, start_run(context, parameters), progress=Silent())
    newest = list_runs(context)[0]
    assert newest["status"] == "Failed"
    assert find_execution_run(tracking_uri(context), newest["run"], experiment="overflight-demo").status == "FAILED"


def test_down_stops_everything_and_a_prediction_wakes_the_endpoint(context, summary, tmp_path):
    down(context)
    assert status(context)["supervisor"] is None
    photo = Path(summary["photos"][0]["photo"])
    predictions = predict(context, "demo", [photo], out=tmp_path, form="coco", progress=Silent())
    assert (tmp_path / "predictions.coco.json").exists()
    assert predictions[0].overlay.exists()
    assert describe_endpoint(context, "demo")["status"] == "InService"
    delete_endpoint(context, "demo")
    assert status(context)["endpoints"] == []


@pytest.mark.skipif(not AERIAL_CARS.exists(), reason="the real photographs of ../shared/data are not here")
def test_the_demo_runs_on_real_drone_frames(context, tmp_path):
    settings = DemoSettings(data=AERIAL_CARS, out=tmp_path, epochs=1)
    summary = run_demo(context, settings, progress=Silent())
    assert summary["survey"]["photos"] == 71
    assert 0 <= summary["map50"] <= 1
    assert all(Path(item["overlay"]).exists() for item in summary["photos"])


def test_a_run_can_be_stopped_while_it_trains(context, tmp_path):
    from factories import make_survey_source

    survey = add_survey(context, make_survey_source(tmp_path / "s", flights=4), name="stop-me", progress=Silent())
    arn = start_run(context, {"SurveyUri": survey.uri, "Recipe": "demo", "Epochs": 500, "MinMap50": 0.0})
    deadline = time.monotonic() + 120
    while not any(step["step"] == "Train" for step in describe_run(context, arn)["steps"]):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    stop_run(context, arn)
    with pytest.raises(JobError, match="stopped"):
        follow(context, arn, progress=Silent())
