"""A real run of the training pipeline answers for the package it registers, and so does one that reuses its results.

The engine, the jobs' processes and the step cache are real; the programs of the jobs are a line each.
"""

import json

import pytest
from pipeline_tools import Pipelines, program, token

from overflight.account.session import local_account
from overflight.errors import RefusedError
from overflight.files import sha256_file
from overflight.governance.approvals import gaps, person_of
from overflight.governance.evidence import gather, parties_of
from overflight.lifecycle.approvals import approval_of, approve
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import find_package
from overflight.lifecycle.runs import training_definition
from overflight.settings import Settings
from toy_model import write_model_folder
from toy_package import CLASSES, MANIFEST

REASON = "looked at every overlay picture"
NAME = "overflight-dev-train"


def with_programs(text: str, programs: dict[str, str]) -> str:
    """The definition with a program of one line in the place of each job."""
    document = json.loads(text)

    def replace(steps) -> None:
        for step in steps:
            arguments = step["Arguments"]
            for kind in ("AppSpecification", "AlgorithmSpecification"):
                if kind in arguments:
                    arguments[kind]["ContainerEntrypoint"] = program(programs[step["Name"]])
            for branch in ("IfSteps", "ElseSteps"):
                replace(arguments.get(branch, ()))

    replace(document["Steps"])
    return json.dumps(document)


def writes(output: str, **files: object) -> str:
    lines = [f"(o/'{name}.json').write_text({json.dumps(content)!r})" for name, content in files.items()]
    return "; ".join([f"o = ml/'processing/output/{output}'", "o.mkdir(parents=True, exist_ok=True)", *lines])


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setattr("overflight.account.local.supervisor.ensure_supervisor", lambda _account: None)
    return tmp_path / ".overflight"


def view(home, user: str, role: str) -> Context:
    return Context(Settings(home=home, user=user, role=role, four_eyes="persons"))


def test_a_run_and_one_that_takes_its_results_over_are_followed_to_the_people(home, tmp_path):
    anna = view(home, "anna", "data-scientist")
    account = local_account(anna.settings)
    survey = f"s3://{account.bucket}/surveys/squares/1"
    account.objects.put_bytes(account.bucket, "surveys/squares/1/manifest.jsonl", MANIFEST)
    account.objects.put_bytes(
        account.bucket, "surveys/squares/1/survey.json", json.dumps({"classes": CLASSES}).encode()
    )
    model = write_model_folder(tmp_path / "model")
    measured = {
        "metrics": {"map50": {"value": 0.8, "low": 0.7, "high": 0.9}},
        "model_digest": sha256_file(model / "model.json"),
    }
    passed = {"passed": True, "reasons": ["none"]}
    programs = {
        "Validate": writes("report", decision=passed),
        "Prepare": writes("dataset", dataset={}),
        "Train": f"import shutil; shutil.copytree({str(model)!r}, ml/'model', dirs_exist_ok=True)",
        "Evaluate": writes("evaluation", evaluation=measured, decision=passed),
    }
    engineer = view(home, "carl", "ml-engineer")
    engineer.client("sagemaker").create_pipeline(
        PipelineName=NAME,
        PipelineDefinition=with_programs(training_definition(engineer.names), programs),
        RoleArn=account.role_arn("register"),
        ClientRequestToken=token(),
        Tags=[{"Key": "env", "Value": "dev"}, {"Key": "project", "Value": "x"}, {"Key": "owner", "Value": "carl"}],
    )
    engine = Pipelines(account, engineer.client("sagemaker"))
    approver = view(home, "ben", "approver")

    first = start(anna, engine, survey)
    assert "CacheHitResult" not in first["Train"]
    arn = find_package(approver, "latest")
    approve(approver, arn, reason=REASON)
    assert approval_of(approver, arn)["valid"]

    second = start(view(home, "dora", "data-scientist"), engine, survey)
    assert "CacheHitResult" in second["Train"]
    again = find_package(approver, "latest")
    assert again != arn
    sagemaker, s3 = approver.client("sagemaker"), approver.client("s3")
    facts = sagemaker.describe_model_package(ModelPackageName=again)
    evidence = gather(sagemaker, s3, facts)
    assert gaps(evidence) == []
    assert (evidence.survey_uri, evidence.min_map50) == (survey, 0.5)
    parties = parties_of(sagemaker, facts, evidence, approver=person_of("arn:aws:iam::1:user/ben"))
    assert {who.user for who in parties.trainers} == {"anna", "dora"}
    with pytest.raises(RefusedError, match="'anna' trained it"):
        approve(view(home, "anna", "approver"), again, reason=REASON)
    account.close()


def start(context: Context, engine: Pipelines, survey: str) -> dict:
    """Start the pipeline in somebody's name and follow it; its steps by name."""
    client = context.client("sagemaker")
    arn = client.start_pipeline_execution(
        PipelineName=NAME,
        PipelineParameters=[
            {"Name": "SurveyUri", "Value": survey},
            {"Name": "ModelPackageGroup", "Value": "overflight-toy"},
        ],
        ClientRequestToken=token(),
    )["PipelineExecutionArn"]
    engine.follow()
    steps = engine.listed(arn)
    assert steps["Register"]["StepStatus"] == "Succeeded", steps["Register"].get("FailureReason")
    return steps
