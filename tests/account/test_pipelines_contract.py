"""Pipeline operations: answers in AWS's shapes, errors with AWS's codes, tokens, pages; moto as a peer."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError
from pipeline_tools import ROLE, Pipelines, condition, definition, equals, fail, make_pipelines, processing, token

from overflight.account.local.login import local_session


@pytest.fixture
def pipelines(account, session, monkeypatch) -> Pipelines:
    return make_pipelines(account, session, monkeypatch)


@pytest.fixture
def client(pipelines):
    return pipelines.client


TEXT = definition(
    processing("A", DisplayName="First", Description="does nothing"),
    condition("C", [equals({"Get": "Parameters.N"}, 1)], then=[processing("Yes")], otherwise=[fail("No", "no")]),
    parameters=[
        {"Name": "N", "Type": "Integer", "DefaultValue": 1},
        {"Name": "S", "Type": "String", "DefaultValue": "x"},
    ],
)


JUNKYARD = definition(
    {"Name": "A", "Type": "Fail", "Arguments": {"ErrorMessage": "x"}},
    condition("C", [equals(1, 1)], then=[fail("F", "x") | {"DependsOn": ["A", {"Step": "A", "Trigger": "Any"}]}]),
    parameters=[{"Name": "N", "Type": "Integer", "DefaultValue": 1, "EnumValues": [1, 2]}],
)


def test_every_answer_fits_its_shape(pipelines, client, assert_fits_output_shape):
    def call(operation: str, method: str, **given):
        answer = getattr(client, method)(**given)
        assert_fits_output_shape(client, operation, answer)
        return answer

    call(
        "CreatePipeline",
        "create_pipeline",
        PipelineName="train",
        PipelineDefinition=TEXT,
        RoleArn=ROLE,
        ClientRequestToken=token(),
        PipelineDescription="d",
        ParallelismConfiguration={"MaxParallelExecutionSteps": 2},
    )
    call("UpdatePipeline", "update_pipeline", PipelineName="train", PipelineDescription="new")
    started = call(
        "StartPipelineExecution",
        "start_pipeline_execution",
        PipelineName="train",
        ClientRequestToken=token(),
        PipelineExecutionDisplayName="try",
        PipelineParameters=[{"Name": "N", "Value": "2"}],
    )
    execution = {"PipelineExecutionArn": started["PipelineExecutionArn"]}
    running = call("DescribePipelineExecution", "describe_pipeline_execution", **execution)
    assert running["PipelineExecutionStatus"] == "Executing"
    pipelines.follow()
    told = call("DescribePipelineExecution", "describe_pipeline_execution", **execution)
    assert told["PipelineExecutionStatus"] == "Failed"
    assert told["FailureReason"].startswith("Step failure: One or multiple steps failed")
    assert told["CreatedBy"]["IamIdentity"]["Arn"].endswith("assumed-role/overflight-administrator/ada")
    assert told["ParallelismConfiguration"] == {"MaxParallelExecutionSteps": 2}
    steps = call("ListPipelineExecutionSteps", "list_pipeline_execution_steps", **execution)
    assert {one["StepName"] for one in steps["PipelineExecutionSteps"]} == {"A", "C", "No"}
    first = next(one for one in steps["PipelineExecutionSteps"] if one["StepName"] == "A")
    assert (first["StepDisplayName"], first["StepDescription"], first["AttemptCount"]) == ("First", "does nothing", 1)
    values = call("ListPipelineParametersForExecution", "list_pipeline_parameters_for_execution", **execution)
    assert values["PipelineParameters"] == [{"Name": "N", "Value": "2"}, {"Name": "S", "Value": "x"}]
    call("DescribePipelineDefinitionForExecution", "describe_pipeline_definition_for_execution", **execution)
    call("UpdatePipelineExecution", "update_pipeline_execution", PipelineExecutionDescription="later", **execution)
    call("RetryPipelineExecution", "retry_pipeline_execution", ClientRequestToken=token(), **execution)
    call("StopPipelineExecution", "stop_pipeline_execution", ClientRequestToken=token(), **execution)
    pipelines.follow()
    listed = call("ListPipelineExecutions", "list_pipeline_executions", PipelineName="train")
    (summary,) = listed["PipelineExecutionSummaries"]
    assert (summary["PipelineExecutionStatus"], summary["PipelineExecutionDescription"]) == ("Stopped", "later")
    described = call("DescribePipeline", "describe_pipeline", PipelineName="train")
    assert json.loads(described["PipelineDefinition"]) == json.loads(TEXT)
    assert described["PipelineDescription"] == "new"
    call("ListPipelines", "list_pipelines")
    call("DeletePipeline", "delete_pipeline", PipelineName="train", ClientRequestToken=token())
    assert client.list_pipelines()["PipelineSummaries"] == []


@pytest.mark.parametrize(
    ("text", "part"),
    [
        pytest.param("{", "not JSON", id="no json"),
        pytest.param("[]", "Version", id="no object"),
        pytest.param('{"Version": "2020-12-01", "Steps": [{"Name": "X", "Type": "Nope"}]}', "Nope", id="step type"),
        pytest.param('{"Version": "2020-12-01"}', "no steps", id="no steps"),
        pytest.param('{"Version": "1", "Steps": []}', "Version", id="version"),
        pytest.param(definition(processing("A", DependsOn=["Z"])), "does not exist", id="dependency"),
        pytest.param(
            definition(processing("A"), parameters=[{"Name": "N", "Type": "Integer", "DefaultValue": "1"}]),
            "not of type Integer",
            id="default",
        ),
        pytest.param('{"Version": "2020-12-01", "Parameters": {"a": 1}, "Steps": []}', "Parameters", id="parameters"),
    ],
)
def test_malformed_definitions_are_refused(pipelines, client, text, part):
    with pytest.raises(ClientError) as caught:
        pipelines.create("p", text)
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert part in caught.value.response["Error"]["Message"]
    assert client.list_pipelines()["PipelineSummaries"] == []


ARN = "arn:aws:sagemaker:eu-central-1:000000000000:pipeline/no/execution/abcdefabcdef"


def _start(client, name: str = "there", **more):
    return client.start_pipeline_execution(PipelineName=name, ClientRequestToken=token(), **more)


def _with_junk(document: Any) -> Iterator[Any]:
    """The document with each of its parts replaced by what does not belong there, one at a time."""
    parts = document.items() if isinstance(document, dict) else enumerate(document)
    for key, part in list(parts):
        for junk in (5, "x", None, [5], {"x": 5}):
            yield (
                {**document, key: junk}
                if isinstance(document, dict)
                else [junk if index == key else item for index, item in enumerate(document)]
            )
        if isinstance(part, dict | list):
            for changed in _with_junk(part):
                yield (
                    {**document, key: changed}
                    if isinstance(document, dict)
                    else [changed if index == key else item for index, item in enumerate(document)]
                )


def test_junk_in_a_definition_is_an_error_of_aws_and_no_traceback(pipelines, client):
    pipelines.create("junk", TEXT)
    codes = []
    for document in _with_junk(json.loads(JUNKYARD)):
        try:
            client.update_pipeline(PipelineName="junk", PipelineDefinition=json.dumps(document))
        except ClientError as error:
            codes.append(error.response["Error"]["Code"])
    assert len(codes) > 50
    assert set(codes) == {"ValidationException"}


@pytest.mark.parametrize(
    ("call", "code"),
    [
        pytest.param(lambda c: c.describe_pipeline(PipelineName="no"), "ResourceNotFound", id="describe"),
        pytest.param(lambda c: c.update_pipeline(PipelineName="no"), "ResourceNotFound", id="update"),
        pytest.param(lambda c: c.list_pipeline_executions(PipelineName="no"), "ResourceNotFound", id="list"),
        pytest.param(lambda c: _start(c, "no"), "ResourceNotFound", id="start"),
        pytest.param(
            lambda c: c.describe_pipeline_execution(PipelineExecutionArn=ARN), "ResourceNotFound", id="execution"
        ),
        pytest.param(
            lambda c: c.list_pipeline_execution_steps(PipelineExecutionArn=ARN), "ResourceNotFound", id="steps"
        ),
        pytest.param(
            lambda c: c.create_pipeline(
                PipelineName="THERE", PipelineDefinition=TEXT, RoleArn=ROLE, ClientRequestToken=token()
            ),
            "ValidationException",
            id="name twice, in other case",
        ),
        pytest.param(
            lambda c: _start(c, PipelineParameters=[{"Name": "N", "Value": "x"}]), "ValidationException", id="value"
        ),
        pytest.param(
            lambda c: _start(c, PipelineParameters=[{"Name": "Z", "Value": "1"}]), "ValidationException", id="unknown"
        ),
        pytest.param(
            lambda c: _start(c, SelectiveExecutionConfig={"SelectedSteps": [{"StepName": "A"}]}),
            "ValidationException",
            id="selective",
        ),
        pytest.param(
            lambda c: c.retry_pipeline_execution(
                PipelineExecutionArn=_start(c)["PipelineExecutionArn"], ClientRequestToken=token()
            ),
            "ConflictException",
            id="retry of a running one",
        ),
        pytest.param(
            lambda c: _start(c) and c.delete_pipeline(PipelineName="there", ClientRequestToken=token()),
            "ConflictException",
            id="delete of a running one",
        ),
    ],
)
def test_errors_carry_aws_codes(pipelines, client, call, code):
    pipelines.create("there", TEXT)
    with pytest.raises(ClientError) as caught:
        call(client)
    assert caught.value.response["Error"]["Code"] == code


def test_a_finished_execution_cannot_be_stopped(pipelines, client):
    arn = pipelines.run(TEXT)
    with pytest.raises(ClientError, match="ConflictException"):
        client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token())


def test_the_same_token_gives_the_same_answer(pipelines, client):
    same = token()
    first = client.create_pipeline(PipelineName="p", PipelineDefinition=TEXT, RoleArn=ROLE, ClientRequestToken=same)
    again = client.create_pipeline(PipelineName="p", PipelineDefinition=TEXT, RoleArn=ROLE, ClientRequestToken=same)
    assert first["PipelineArn"] == again["PipelineArn"]
    started = {
        client.start_pipeline_execution(PipelineName="p", ClientRequestToken=same)["PipelineExecutionArn"]
        for _ in range(3)
    }
    assert len(started) == 1
    assert len(client.list_pipeline_executions(PipelineName="p")["PipelineExecutionSummaries"]) == 1


def test_a_definition_can_come_from_s3(pipelines, client):
    pipelines.account.objects.put_bytes(pipelines.account.bucket, "d.json", TEXT.encode())
    location = {"Bucket": pipelines.account.bucket, "ObjectKey": "d.json"}
    client.create_pipeline(
        PipelineName="p", PipelineDefinitionS3Location=location, RoleArn=ROLE, ClientRequestToken=token()
    )
    assert client.describe_pipeline(PipelineName="p")["PipelineDefinition"] == TEXT
    with pytest.raises(ClientError, match="no such object"):
        client.update_pipeline(PipelineName="p", PipelineDefinitionS3Location={**location, "ObjectKey": "nope"})


def test_lists_are_paged_newest_first(pipelines, client, clock):
    for name in ("a", "b", "c"):
        pipelines.create(name, TEXT)
        clock.advance(seconds=1)
    pages = client.get_paginator("list_pipelines").paginate(PaginationConfig={"PageSize": 2})
    assert [[one["PipelineName"] for one in page["PipelineSummaries"]] for page in pages] == [["c", "b"], ["a"]]
    assert [one["PipelineName"] for one in client.list_pipelines(PipelineNamePrefix="b")["PipelineSummaries"]] == ["b"]
    arns = []
    for _ in range(3):
        arns.append(pipelines.again("a"))
        clock.advance(seconds=1)
    pages = client.get_paginator("list_pipeline_executions").paginate(
        PipelineName=client.describe_pipeline(PipelineName="a")["PipelineArn"], PaginationConfig={"PageSize": 2}
    )
    found = [one["PipelineExecutionArn"] for page in pages for one in page["PipelineExecutionSummaries"]]
    assert found == arns[::-1]


@pytest.mark.parametrize(
    "second",
    [datetime(2026, 3, 1, 12, 0, 1), "2026-03-01T12:00:01Z", datetime(2026, 3, 1, 12, 0, 1, tzinfo=UTC).timestamp()],
    ids=["without a zone", "text", "number"],
)
def test_bounds_of_time_come_as_botocore_takes_them(pipelines, client, clock, second):
    for name in ("a", "b"):
        pipelines.create(name, TEXT)
        client.create_model_package_group(ModelPackageGroupName=name)
        clock.advance(seconds=1)
    listed = client.list_pipelines(CreatedAfter=second)["PipelineSummaries"]
    assert [one["PipelineName"] for one in listed] == ["b"]
    groups = client.list_model_package_groups(CreationTimeAfter=second)["ModelPackageGroupSummaryList"]
    assert [one["ModelPackageGroupName"] for one in groups] == ["b"]


def test_past_executions_survive_their_pipeline(pipelines, client):
    arn = pipelines.run(TEXT, name="gone")
    client.delete_pipeline(PipelineName="gone", ClientRequestToken=token())
    assert client.describe_pipeline_execution(PipelineExecutionArn=arn)["PipelineExecutionStatus"] == "Succeeded"


def test_moto_gives_the_same_names_and_arns(pipelines, client, monkeypatch):
    from moto import mock_aws

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    monkeypatch.setenv("MOTO_ACCOUNT_ID", pipelines.account.account_id)
    with mock_aws():
        peer = boto3.client("sagemaker", region_name="eu-central-1")
        answers = []
        for one in (client, peer):
            created = one.create_pipeline(
                PipelineName="train", PipelineDefinition=TEXT, RoleArn=ROLE, ClientRequestToken=token()
            )
            described = one.describe_pipeline(PipelineName="train")
            summary = one.list_pipelines()["PipelineSummaries"][0]
            answers.append(
                {
                    "arn": created["PipelineArn"].split(":", 5)[5],
                    "definition": described["PipelineDefinition"],
                    "status": described["PipelineStatus"],
                    "role": described["RoleArn"],
                    "name": summary["PipelineName"],
                }
            )
        assert answers[0] == answers[1]


def test_a_token_belongs_to_one_caller_and_one_pipeline(pipelines, client, account, loader):
    same = token()
    for name in ("one", "two"):
        client.create_pipeline(PipelineName=name, PipelineDefinition=TEXT, RoleArn=ROLE, ClientRequestToken=same)
    eve = local_session(account, role="administrator", user="eve", loader=loader).client("sagemaker")
    started = {
        caller.start_pipeline_execution(PipelineName=name, ClientRequestToken=same)["PipelineExecutionArn"]
        for caller in (client, eve)
        for name in ("one", "two", "ONE")
    }
    assert len(started) == 4
    assert sorted(arn.split("/")[1] for arn in started) == ["one", "one", "two", "two"]


def test_a_token_with_other_parameters_is_refused(pipelines, client):
    same, text = token(), definition(processing("B"))
    client.create_pipeline(PipelineName="p", PipelineDefinition=TEXT, RoleArn=ROLE, ClientRequestToken=same)
    with pytest.raises(ClientError, match="ConflictException"):
        client.create_pipeline(PipelineName="p", PipelineDefinition=text, RoleArn=ROLE, ClientRequestToken=same)
    client.start_pipeline_execution(PipelineName="p", ClientRequestToken=same)
    with pytest.raises(ClientError, match="with other parameters"):
        client.start_pipeline_execution(
            PipelineName="p", PipelineExecutionDisplayName="another", ClientRequestToken=same
        )
    assert len(client.list_pipeline_executions(PipelineName="p")["PipelineExecutionSummaries"]) == 1


def test_tokens_that_the_caller_leaves_out_are_filled_in(client):
    client.create_pipeline(PipelineName="p", PipelineDefinition=TEXT, RoleArn=ROLE)
    one, two = (client.start_pipeline_execution(PipelineName="p")["PipelineExecutionArn"] for _ in range(2))
    assert one != two
    assert client.stop_pipeline_execution(PipelineExecutionArn=one)["PipelineExecutionArn"] == one
