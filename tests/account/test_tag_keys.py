"""Keys of tags that differ in their case only: policies cannot tell them apart, so no request carries both."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError
from pipeline_tools import ROLE, definition, make_pipelines, processing

from overflight.account.local.login import local_session
from overflight.account.local.requests import ambiguous_tags

DEV, LOUD, PROD = ({"Key": key, "Value": value} for key, value in (("env", "dev"), ("ENV", "dev"), ("env", "prod")))
GROUP = "arn:aws:sagemaker:eu-central-1:000000000000:model-package-group/overflight-g"


@pytest.fixture
def pipelines(account, session, monkeypatch):
    return make_pipelines(account, session, monkeypatch)


@pytest.fixture
def sagemaker(pipelines):
    return pipelines.client


@pytest.fixture
def group(sagemaker):
    sagemaker.create_model_package_group(ModelPackageGroupName="overflight-g", Tags=[DEV])


def job(client, tags, role=ROLE):
    request = {**processing("x")["Arguments"], "ProcessingJobName": "overflight-dev-x", "RoleArn": role}
    return client.create_processing_job(**request, Tags=tags)


CALLS = {
    "CreateProcessingJob": lambda client: job(client, [PROD, LOUD]),
    "CreatePipeline": lambda client: client.create_pipeline(
        PipelineName="p", PipelineDefinition=definition(processing("A")), RoleArn=ROLE, Tags=[PROD, LOUD]
    ),
    "CreateModelPackageGroup": lambda client: client.create_model_package_group(
        ModelPackageGroupName="h", Tags=[DEV, LOUD]
    ),
    "AddTags": lambda client: client.add_tags(ResourceArn=GROUP, Tags=[{"Key": "a", "Value": "1"}] * 2),
    "AddTags beside another": lambda client: client.add_tags(ResourceArn=GROUP, Tags=[LOUD]),
    "DeleteTags": lambda client: client.delete_tags(ResourceArn=GROUP, TagKeys=["env", "Env"]),
}


@pytest.mark.usefixtures("group")
@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_they_are_refused_even_to_the_owner(sagemaker, call):
    with pytest.raises(ClientError, match="unique whatever their case") as caught:
        call(sagemaker)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert sagemaker.list_tags(ResourceArn=GROUP)["Tags"] == [DEV]


@pytest.mark.parametrize("tags", [[PROD, LOUD], [LOUD, PROD]], ids=["production first", "production last"])
def test_a_data_scientist_makes_nothing_of_production_by_writing_the_key_twice(account, loader, tags):
    client = local_session(account, role="data-scientist", user="eve", loader=loader).client("sagemaker")
    with pytest.raises(ClientError, match="ValidationException"):
        job(client, tags, account.role_arn("experiment"))
    assert client.list_processing_jobs()["ProcessingJobSummaries"] == []


def test_a_step_of_a_pipeline_is_held_to_it_as_well(pipelines):
    step = processing("A")
    step["Arguments"]["Tags"] = [PROD, LOUD]
    arn = pipelines.run(definition(step))
    assert pipelines.status(arn) == "Failed"
    assert "unique whatever their case" in pipelines.reason(arn)


def test_tags_of_a_session_are_held_to_it_as_well(session, account):
    with pytest.raises(ClientError, match="unique whatever their case"):
        session.client("sts").assume_role(RoleArn=account.role_arn("auditor"), RoleSessionName="ada", Tags=[PROD, LOUD])


@pytest.mark.parametrize(
    ("params", "ambiguous"),
    [
        pytest.param({}, False, id="none"),
        pytest.param({"Tags": None}, False, id="null"),
        pytest.param({"Tags": [DEV, {"Key": "owner", "Value": "dev"}]}, False, id="two"),
        pytest.param({"TagKeys": ["env", "env"]}, False, id="one removed twice"),
        pytest.param({"Tags": [DEV, PROD]}, True, id="twice"),
        pytest.param({"Tags": [DEV, {"Key": "eNv", "Value": "dev"}]}, True, id="case"),
        pytest.param({"TagKeys": ["env", "a", "ENV"]}, True, id="keys"),
    ],
)
def test_rule(params, ambiguous):
    assert bool(ambiguous_tags(params)) is ambiguous


def test_the_same_tag_is_set_again(sagemaker, group):
    sagemaker.add_tags(ResourceArn=GROUP, Tags=[PROD])
    assert sagemaker.list_tags(ResourceArn=GROUP)["Tags"] == [PROD]
