"""The training pipeline: its golden file, its gates, and what each job is told.

``OVERFLIGHT_WRITE_GOLDEN=1`` writes the golden file anew; look at the difference before committing it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from overflight.account.local.expressions import Scope, bind_parameters, evaluate
from overflight.account.shapes import Rules, check_request
from overflight.pipelines.check import check
from overflight.pipelines.definition import to_document, to_json
from overflight.pipelines.structure import nodes_of
from overflight.pipelines.train import PARAMETERS, TrainPipelineConfig, train_pipeline

PIPELINE = "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/overflight-dev-train"
GOLDEN = Path(__file__).parent / "golden" / "train.json"


def jobs(definition: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {node.name: dict(node.document) for node in nodes_of(definition)}


def output(name: str) -> dict[str, Any]:
    return {"OutputName": name, "S3Output": {"S3Uri": f"s3://b/runs/1/{name}"}}


def text_of(value: Any) -> str:
    return json.dumps(value)


def test_it_is_the_golden_file(train_config):
    config = train_config.model_copy(
        update={"image_uri": "overflight/jobs:1", "serving_image_uri": "overflight/serve:1"}
    )
    text = to_json(train_pipeline(config))
    if os.environ.get("OVERFLIGHT_WRITE_GOLDEN"):
        GOLDEN.parent.mkdir(exist_ok=True)
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_check_finds_nothing(train_definition):
    assert check(train_definition) == []


def test_every_parameter_is_used_and_only_the_survey_must_be_given(train_definition):
    text = text_of(train_definition["Steps"])
    assert [parameter.name for parameter in PARAMETERS if f'Parameters.{parameter.name}"' not in text] == []
    assert [entry["Name"] for entry in train_definition["Parameters"] if "DefaultValue" not in entry] == ["SurveyUri"]


def test_steps_stand_in_the_order_of_the_work(train_definition):
    nodes = [(node.name, node.owner, node.branch) for node in nodes_of(train_definition)]
    assert nodes == [
        ("Validate", "", ""),
        ("CheckSurvey", "", ""),
        ("Prepare", "CheckSurvey", "IfSteps"),
        ("Train", "CheckSurvey", "IfSteps"),
        ("Evaluate", "CheckSurvey", "IfSteps"),
        ("CheckModel", "CheckSurvey", "IfSteps"),
        ("Register", "CheckModel", "IfSteps"),
        ("FailModel", "CheckModel", "ElseSteps"),
        ("FailSurvey", "CheckSurvey", "ElseSteps"),
    ]


def test_with_values_in_place_every_request_is_one_that_aws_takes(train_definition):
    """The local account's evaluator fills in a run; no reference is left, and the requests are complete."""
    scope = Scope(
        parameters=bind_parameters(train_definition["Parameters"], {"SurveyUri": "s3://b/surveys/harbour/0123"}),
        execution={"PipelineExecutionId": "abcdefghijkl", "PipelineExecutionArn": f"{PIPELINE}/execution/abcdefghijkl"},
        steps={
            "Prepare": {"ProcessingOutputConfig": {"Outputs": [output("dataset")]}},
            "Evaluate": {"ProcessingOutputConfig": {"Outputs": [output("evaluation")]}},
            "Train": {"ModelArtifacts": {"S3ModelArtifacts": "s3://b/model.tar.gz"}},
        },
        read_property_file=lambda _step, _file: {"reasons": ["one flight"], "metrics": {"map50": {"value": 0.7123}}},
    )
    filled = {
        name: evaluate(job["Arguments"], scope) for name, job in jobs(train_definition).items() if "Check" not in name
    }
    rules = Rules(omitted={"ProcessingJobName", "TrainingJobName"})
    operations = {"Train": "CreateTrainingJob", "Register": "CreateModelPackage"}
    for name in ("Validate", "Prepare", "Train", "Evaluate", "Register"):
        operation = operations.get(name, "CreateProcessingJob")
        assert check_request("sagemaker", operation, filled[name], rules=rules) == [], name
    assert filled["Register"]["CustomerMetadataProperties"]["map50"] == "0.7123"
    assert filled["FailSurvey"] == {"ErrorMessage": "The survey was refused: one flight"}
    assert filled["FailModel"]["ErrorMessage"].endswith("mAP50 is 0.7123, the gate asks for at least 0.5")


def test_a_new_version_waits_for_approval_with_its_evaluation(train_definition):
    request = jobs(train_definition)["Register"]["Arguments"]
    assert request["ModelApprovalStatus"] == "PendingManualApproval"
    statistics = request["ModelMetrics"]["ModelQuality"]["Statistics"]["S3Uri"]["Std:Join"]["Values"]
    assert statistics[1] == "evaluation.json"
    assert {"execution_arn", "survey_uri", "map50", "mlflow_experiment"} <= request["CustomerMetadataProperties"].keys()


@pytest.mark.parametrize("name", ["Validate", "Prepare", "Train", "Evaluate"])
def test_every_job_knows_its_run_has_a_limit_and_is_tagged(train_definition, name):
    job = jobs(train_definition)[name]["Arguments"]
    specification = job.get("AppSpecification") or job["AlgorithmSpecification"]
    assert specification["ContainerEntrypoint"] == ["overflight-job", name.lower()]
    assert job["StoppingCondition"]["MaxRuntimeInSeconds"] > 0
    assert {"Key": "overflight:step", "Value": name} in job["Tags"]
    assert {
        "MLFLOW_TRACKING_URI",
        "MLFLOW_EXPERIMENT_NAME",
        "OVERFLIGHT_EXECUTION_ID",
        "OVERFLIGHT_EXECUTION_ARN",
        "OVERFLIGHT_STEP",
    } <= job["Environment"].keys()


@pytest.mark.parametrize("name", ["Validate", "Prepare", "Train", "Evaluate"])
def test_outputs_of_different_executions_do_not_meet(train_definition, name):
    job = jobs(train_definition)[name]["Arguments"]
    outputs = [entry["S3Output"]["S3Uri"] for entry in job.get("ProcessingOutputConfig", {}).get("Outputs", [])]
    for uri in outputs or [job["OutputDataConfig"]["S3OutputPath"]]:
        assert uri["Std:Join"]["Values"] == [
            "s3://overflight-123456789012-eu-central-1/runs",
            {"Get": "Execution.PipelineExecutionId"},
            name.lower(),
        ]


def test_the_threshold_of_the_gate_does_not_touch_preparation_or_training(train_definition):
    found = [name for name, job in jobs(train_definition).items() if "MIN_MAP50" in text_of(job.get("Arguments", {}))]
    assert [name for name in found if name != "CheckSurvey"] == ["Evaluate"]


def test_without_cache_every_step_runs_anew(train_config):
    definition = to_document(train_pipeline(train_config.model_copy(update={"cache": False})))
    caches = [job["CacheConfig"] for job in jobs(definition).values() if "CacheConfig" in job]
    assert caches == [{"Enabled": False}] * 4


@pytest.mark.parametrize(
    "change",
    [
        pytest.param({"bucket": "No Bucket"}, id="bucket"),
        pytest.param({"train_role_arn": "overflight-train"}, id="role"),
        pytest.param({"training_max_runtime_s": 0}, id="no time"),
        pytest.param({"name": "my pipeline"}, id="name"),
        pytest.param({"colour": "red"}, id="unknown setting"),
    ],
)
def test_settings_are_checked(train_config, change):
    with pytest.raises(ValidationError):
        TrainPipelineConfig.model_validate({**train_config.model_dump(), **change})


def test_each_kind_of_job_runs_as_its_own_role_and_says_where_it_belongs(train_definition):
    made = {step: node["Arguments"] for step, node in jobs(train_definition).items() if "RoleArn" in node["Arguments"]}
    roles = {step: arguments["RoleArn"].rsplit("-", 1)[1] for step, arguments in made.items()}
    assert roles == {"Validate": "prepare", "Prepare": "prepare", "Train": "train", "Evaluate": "evaluate"}
    for arguments in made.values():
        tags = {tag["Key"]: tag["Value"] for tag in arguments["Tags"]}
        assert (tags["env"], tags["project"], tags["owner"]) == ("dev", "overflight", {"Get": "Parameters.Owner"})


def test_each_gate_gets_its_thresholds_and_no_other_step_does(train_definition):
    """Changing a threshold must repeat the step of its gate only."""
    gates = {"OVERFLIGHT_CHECKS": "Validate", "OVERFLIGHT_MAX_WARNINGS": "Validate", "OVERFLIGHT_MIN_MAP50": "Evaluate"}
    found = {
        (name, step)
        for step, node in jobs(train_definition).items()
        for name in node.get("Arguments", {}).get("Environment", {})
        if name in gates
    }
    assert found == set(gates.items())
