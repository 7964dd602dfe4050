"""The deploy pipeline: its golden file, whose role it runs as, and what its caller cannot choose.

``OVERFLIGHT_WRITE_GOLDEN=1`` writes the golden file anew; look at the difference before committing it.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from pydantic import ValidationError

from overflight.account.local.expressions import Scope, bind_parameters, evaluate
from overflight.account.shapes import Rules, check_request
from overflight.jobs.deploy import DeploySettings
from overflight.jobs.environ import settings_from
from overflight.lifecycle.deployments import deployment_definition
from overflight.pipelines.check import check
from overflight.pipelines.definition import to_document, to_json
from overflight.pipelines.deploy import PARAMETERS, DeployPipelineConfig, deploy_pipeline
from overflight.pipelines.structure import nodes_of
from overflight.settings import Settings

GOLDEN = Path(__file__).parent / "golden" / "deploy.json"
ROLE = "arn:aws:iam::123456789012:role/overflight"
CONFIG = DeployPipelineConfig(
    bucket="overflight-123456789012-eu-central-1",
    role_arn=f"{ROLE}-deploy",
    serve_role_arn=f"{ROLE}-serve",
    image_uri="overflight/jobs:1",
)
EXECUTION = "arn:aws:sagemaker:eu-central-1:123456789012:pipeline/overflight-deploy/execution/abcdefghijkl"


def step(name, config=CONFIG):
    nodes = {node.name: dict(node.document) for node in nodes_of(to_document(deploy_pipeline(config)))}
    return nodes[name]


def filled(**given):
    document = to_document(deploy_pipeline(CONFIG))
    values = {"EndpointName": "overflight-prod-cars", "Environment": "prod", **given}
    scope = Scope(
        parameters=bind_parameters(document["Parameters"], values),
        execution={"PipelineExecutionId": "abcdefghijkl", "PipelineExecutionArn": EXECUTION},
        steps={},
        read_property_file=lambda _step, _file: {"passed": False, "reason": "the approval has expired"},
    )
    return {name: evaluate(step(name)["Arguments"], scope) for name in ("Deploy", "FailDeployment")}


def test_it_is_the_golden_file():
    text = to_json(deploy_pipeline(CONFIG))
    if os.environ.get("OVERFLIGHT_WRITE_GOLDEN"):
        GOLDEN.write_text(text)
    assert text == GOLDEN.read_text()


def test_the_check_finds_nothing():
    assert check(to_document(deploy_pipeline(CONFIG))) == []


def test_every_parameter_is_used():
    text = json.dumps(to_document(deploy_pipeline(CONFIG))["Steps"])
    assert [parameter.name for parameter in PARAMETERS if f'Parameters.{parameter.name}"' not in text] == []


def test_the_job_is_one_that_aws_takes_and_that_the_job_understands():
    requests = filled(PackageArn="arn:aws:sagemaker:eu-central-1:123456789012:model-package/overflight-harbour/1")
    rules = Rules(omitted={"ProcessingJobName"})
    assert check_request("sagemaker", "CreateProcessingJob", requests["Deploy"], rules=rules) == []
    settings = settings_from(requests["Deploy"]["Environment"], DeploySettings)
    assert (settings.target, settings.four_eyes, settings.execution_arn) == ("prod", "persons", EXECUTION)
    assert requests["FailDeployment"] == {"ErrorMessage": "Refused: the approval has expired"}


def test_it_runs_as_the_role_deploy_with_access_to_the_account_and_tags_of_its_target():
    job = filled()["Deploy"]
    assert job["RoleArn"] == f"{ROLE}-deploy"
    assert job["Environment"]["OVERFLIGHT_ACCOUNT_ACCESS"] == "1"
    assert {"Key": "env", "Value": "prod"} in job["Tags"]
    assert {"Key": "project", "Value": "overflight"} in job["Tags"]


def test_whoever_starts_it_chooses_neither_role_nor_rule_nor_execution():
    environment = step("Deploy")["Arguments"]["Environment"]
    assert environment["OVERFLIGHT_FOUR_EYES"] == "persons"
    assert environment["OVERFLIGHT_SERVE_ROLE_ARN"] == f"{ROLE}-serve"
    assert environment["OVERFLIGHT_EXECUTION_ARN"] == {"Get": "Execution.PipelineExecutionArn"}


def test_a_result_is_never_taken_from_an_earlier_deployment():
    assert "CacheConfig" not in step("Deploy")


@pytest.mark.parametrize(
    ("settings", "mode"),
    [
        pytest.param(Settings(), "roles", id="one machine"),
        pytest.param(Settings(four_eyes="persons"), "persons", id="one machine, asked for"),
        pytest.param(Settings(platform="aws", account_id="123456789012", four_eyes="roles"), "persons", id="aws"),
    ],
)
def test_the_rule_of_four_eyes_is_that_of_the_platform(settings, mode):
    definition = json.loads(deployment_definition(settings))
    assert definition["Steps"][0]["Arguments"]["Environment"]["OVERFLIGHT_FOUR_EYES"] == mode


@pytest.mark.parametrize("change", [{"four_eyes": "nobody"}, {"role_arn": "deploy"}, {"colour": "red"}], ids=str)
def test_settings_are_checked(change):
    with pytest.raises(ValidationError):
        DeployPipelineConfig.model_validate({**CONFIG.model_dump(), **change})
