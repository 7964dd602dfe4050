"""What services do on behalf of people: as which role, what is refused, and what the trail says about it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from botocore.exceptions import ClientError
from pipeline_tools import (
    CLUSTER,
    IMAGE,
    condition,
    definition,
    equals,
    make_pipelines,
    processing,
    program,
    token,
    training_request,
)

from overflight.account.local import endpoints, job_runner, trail
from overflight.account.local.executions import job_name
from overflight.account.local.job_access import refused_access
from overflight.account.local.login import local_session
from overflight.lifecycle.runs import training_definition

ENV = [{"Key": "env", "Value": "dev"}, {"Key": "project", "Value": "overflight"}, {"Key": "owner", "Value": "ada"}]
FAKE = """
import json
for out in (ml / "processing/output").glob("*"):
    (out / "decision.json").write_text(json.dumps({"passed": True, "reasons": ["none"]}))
    (out / "evaluation.json").write_text(json.dumps({"metrics": {"map50": {"value": 0.9}}}))
if (ml / "model").is_dir():
    (ml / "model/model.json").write_text("{}")
"""


@pytest.fixture
def client_of(account, loader):
    """``client_of("data-scientist", "s3")``: a client of a role."""

    def make(role, service="sagemaker", user="ada"):
        return local_session(account, role=role, user=user, loader=loader).client(service)

    return make


@pytest.fixture
def pipelines(account, session, monkeypatch):
    return make_pipelines(account, session, monkeypatch)


@pytest.fixture
def put(session, account):
    def put_object(key, body=b"{}"):
        session.client("s3").put_object(Bucket=account.bucket, Key=key, Body=body)
        return f"s3://{account.bucket}/{key}"

    return put_object


def entries(account, **wanted):
    with account.store.read() as tx:
        found = trail.entries(tx)
    return [one for one in found if all(getattr(one, name) == value for name, value in wanted.items())]


def make_pipeline(client_of, account, text, *, name="overflight-dev-t"):
    client_of("ml-engineer").create_pipeline(
        PipelineName=name,
        PipelineDefinition=text,
        RoleArn=account.role_arn("register"),
        ClientRequestToken=token(),
        Tags=ENV,
    )
    return name


def start(client, name, **parameters):
    given = [{"Name": key, "Value": value} for key, value in parameters.items()]
    started = client.start_pipeline_execution(PipelineName=name, PipelineParameters=given, ClientRequestToken=token())
    return str(started["PipelineExecutionArn"])


def step(name, role_arn, *, tags=ENV, **more):
    built = processing(name, **more)
    built["Arguments"] |= {"RoleArn": role_arn, "Tags": tags}
    return built


@pytest.fixture
def survey(put, monkeypatch, account):
    """A survey, and jobs whose programs only pretend to have worked."""
    put("surveys/harbour/0123/survey.json")
    monkeypatch.setattr(job_runner, "_command", lambda *_: program(FAKE))
    return f"s3://{account.bucket}/surveys/harbour/0123"


def test_the_training_pipeline_may_do_what_it_does(account, settings, client_of, pipelines, survey):
    """The real definition and the real template: published by one person, started by another, run as five roles."""
    name = make_pipeline(client_of, account, training_definition(settings), name=settings.name("train"))
    arn = start(client_of("data-scientist"), name, SurveyUri=survey, Owner="ada", ModelPackageGroup="overflight-t")
    pipelines.follow()
    assert pipelines.reason(arn) == ""
    assert pipelines.status(arn) == "Succeeded"
    assert entries(account, error="AccessDenied") == entries(account, error="AccessDeniedException") == []
    execution = arn.rsplit("/", 1)[1]
    acting = f"arn:aws:sts::000000000000:assumed-role/overflight-register/{execution}"
    made = entries(account, caller=acting)
    assert [one.operation for one in made] == [
        "CreateProcessingJob",
        "CreateProcessingJob",
        "CreateTrainingJob",
        "CreateProcessingJob",
        "CreateModelPackageGroup",
        "CreateModelPackage",
    ]
    assert {one.details["run"] for one in made} == {execution}
    assert made[2].details["decision"]["sid"] == "RunTheStepsOfThePipeline"
    package = client_of("auditor").describe_model_package(ModelPackageName="overflight-t/1")
    assert package["CreatedBy"]["IamIdentity"]["Arn"] == acting
    told = client_of("auditor").describe_pipeline_execution(PipelineExecutionArn=arn)
    assert told["CreatedBy"]["IamIdentity"]["Arn"].endswith("overflight-data-scientist/ada")
    group = account.arn("sagemaker", "model-package-group/overflight-t")
    tags = client_of("auditor").list_tags(ResourceArn=group)["Tags"]
    assert {"Key": "env", "Value": "dev"} in tags


@pytest.mark.parametrize("role", ["data-scientist", "ml-engineer", "approver", "auditor", "admin"])
def test_nobody_takes_the_name_of_a_later_steps_job(account, client_of, pipelines, role):
    steps = [
        step("Prepare", account.role_arn("prepare")),
        step("Evaluate", account.role_arn("evaluate"), DependsOn=["Prepare"]),
    ]
    arn = start(client_of("data-scientist"), make_pipeline(client_of, account, definition(*steps)))
    name = job_name(arn.rsplit("/", 1)[1], "Evaluate", 1)
    request = {**processing("x")["Arguments"], "ProcessingJobName": name, "Tags": ENV}
    with pytest.raises(ClientError, match="AccessDenied"):
        client_of(role, user="eve").create_processing_job(RoleArn=account.role_arn("experiment"), **request)
    pipelines.follow()
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    assert pipelines.listed(arn)["Evaluate"]["Metadata"]["ProcessingJob"]["Arn"].endswith(f"/{name}")


REFUSED = [
    pytest.param(("deploy", ENV, "iam:PassRole"), id="a role that the pipeline may not hand over"),
    pytest.param(("administrator", ENV, "iam:PassRole"), id="the owner's role"),
    pytest.param(("prepare", [], "NothingWithoutEnvironment"), id="no tag that says where it belongs"),
    pytest.param(("prepare", [{"Key": "env", "Value": "prod"}], "OnlyDeployTagsProduction"), id="a production tag"),
]


@pytest.mark.parametrize("case", REFUSED)
def test_a_step_that_the_executions_role_may_not_do_fails(account, client_of, pipelines, case):
    role, tags, says = case
    text = definition(step("A", account.role_arn(role), tags=tags))
    arn = start(client_of("ml-engineer"), make_pipeline(client_of, account, text))
    pipelines.follow()
    assert pipelines.status(arn) == "Failed"
    assert "AccessDenied" in pipelines.reason(arn)
    assert says in pipelines.reason(arn)
    (entry,) = entries(account, operation="CreateProcessingJob")
    assert entry.error == "AccessDeniedException"
    assert entry.details["role"] == "register"
    assert entry.details["decision"]["outcome"] != "allow"


def test_a_jobs_role_must_trust_sagemaker_for_that_kind_of_job(account, client_of, pipelines):
    text = definition(step("A", account.role_arn("train")))
    arn = start(client_of("ml-engineer"), make_pipeline(client_of, account, text))
    pipelines.follow()
    assert "Could not assume role arn:aws:iam::000000000000:role/overflight-train" in pipelines.reason(arn)


def test_a_package_that_is_born_approved_is_refused(account, client_of, pipelines):
    register = {
        "Name": "R",
        "Type": "RegisterModel",
        "Arguments": {"ModelPackageGroupName": "overflight-g", "ModelApprovalStatus": "Approved"},
    }
    arn = start(client_of("ml-engineer"), make_pipeline(client_of, account, definition(register)))
    pipelines.follow()
    assert "(statement NothingIsBornApproved of overflight-boundary)" in pipelines.reason(arn)
    assert (
        client_of("auditor").list_model_package_groups()["ModelPackageGroupSummaryList"] == []
    )  # undone with the step


def test_files_that_conditions_look_at_are_read_as_the_executions_role(account, client_of, pipelines, put):
    uri = put("surveys/harbour/secret.json", json.dumps({"x": 1}).encode())
    look = {"Std:JsonGet": {"S3Uri": uri, "Path": "x"}}
    arn = start(
        client_of("ml-engineer"), make_pipeline(client_of, account, definition(condition("C", [equals(look, 1)])))
    )
    pipelines.follow()
    assert pipelines.status(arn) == "Failed"
    assert "s3:GetObject" in pipelines.reason(arn)
    (entry,) = entries(account, operation="GetObject", error="AccessDenied")
    assert entry.details["role"] == "register"


def job_of(client_of, account, role, *, inputs=None, outputs=None):
    arguments = processing("x", inputs=inputs, outputs=outputs)["Arguments"]
    client_of("administrator").create_processing_job(
        ProcessingJobName="overflight-dev-j", RoleArn=account.role_arn(role), **arguments
    )


ACCESS = [
    pytest.param(({"in": "surveys/a"}, {"out": "runs/1/prepare"}, ""), id="its own"),
    pytest.param(({"in": "capture/a"}, {}, "s3:ListBucket"), id="another prefix"),
    pytest.param(({"in": "runs/1/train"}, {}, "s3:GetObject"), id="listed but not read"),
    pytest.param(({"in": "surveys/a"}, {"out": "surveys/a"}, "s3:PutObject"), id="writes what it reads"),
    pytest.param(({}, {"out": "runs/1/evaluate"}, "OnlyEvaluateWritesMetrics"), id="metrics"),
]


@pytest.mark.parametrize("case", ACCESS)
def test_a_job_reads_and_writes_as_its_role(account, client_of, pipelines, put, case):
    inputs, outputs, says = case
    for key in inputs.values():
        put(f"{key}/x")
    job_of(
        client_of,
        account,
        "prepare",
        inputs={name: f"s3://{account.bucket}/{key}" for name, key in inputs.items()},
        outputs={name: f"s3://{account.bucket}/{key}" for name, key in outputs.items()},
    )
    pipelines.follow()
    told = client_of("auditor").describe_processing_job(ProcessingJobName="overflight-dev-j")
    assert told["ProcessingJobStatus"] == ("Failed" if says else "Completed")
    if says:
        assert told["FailureReason"].startswith("ClientError: Data ")
        assert says in told["FailureReason"]
        (entry,) = entries(account, error="AccessDenied")
        assert entry.caller == "arn:aws:sts::000000000000:assumed-role/overflight-prepare/overflight-dev-j"


def test_a_folder_cannot_hide_behind_an_object_of_its_name(account, put):
    """A policy for one object gives nothing below it."""
    put("surveys/one")
    authoriser = Recorder(account.authoriser)
    watched = replace(account, authoriser=authoriser)
    uri, role = f"s3://{account.bucket}/surveys/one", account.role_arn("prepare")
    assert refused_access(watched, role, "j", "GetObject", uri) == ""
    put("surveys/one/secret")
    assert refused_access(watched, role, "j", "GetObject", uri) == ""
    bucket = f"arn:aws:s3:::{account.bucket}"
    assert authoriser.asked == [[f"{bucket}/surveys/one"], [bucket, f"{bucket}/surveys/one/*"]]


class Recorder:
    """Remembers which resources an authoriser was asked about."""

    def __init__(self, authoriser):
        self.authoriser = authoriser
        self.asked = []

    def decide_needs(self, caller, needed, context):
        self.asked.append([one.resource for one in needed])
        return self.authoriser.decide_needs(caller, needed, context)


def test_a_trainings_artefact_and_checkpoints_are_its_roles(account, client_of, pipelines):
    request = training_request("pass", account.bucket, RoleArn=account.role_arn("experiment"))
    request["OutputDataConfig"] = {"S3OutputPath": f"s3://{account.bucket}/runs/1/train"}
    client_of("administrator").create_training_job(TrainingJobName="overflight-dev-t", **request)
    pipelines.follow()
    told = client_of("auditor").describe_training_job(TrainingJobName="overflight-dev-t")
    assert "Data upload failed" in told["FailureReason"]
    assert "s3:PutObject" in told["FailureReason"]


@pytest.mark.parametrize(
    "role_arn",
    [
        pytest.param("arn:aws:iam::000000000000:role/MlPipelineRole", id="no such role"),
        pytest.param("arn:aws:iam::111111111111:role/overflight-register", id="another account"),
        pytest.param("arn:aws:iam::000000000000:role/overflight-approver", id="a person's role"),
        pytest.param("arn:aws:iam::000000000000:role/overflight-prepare", id="trusts jobs, not pipelines"),
    ],
)
def test_a_role_that_sagemaker_cannot_assume_is_refused(client_of, account, role_arn):
    with pytest.raises(ClientError, match="Could not assume role") as caught:
        client_of("administrator").create_pipeline(
            PipelineName="p", PipelineDefinition=definition(), RoleArn=role_arn, ClientRequestToken=token()
        )
    assert caught.value.response["Error"]["Code"] == "ValidationException"
    assert [one.error for one in entries(account, service="sagemaker")] == ["ValidationException"]


def test_experiments_of_people_run_with_their_own_role(account, client_of, pipelines):
    scientist = client_of("data-scientist")
    request = training_request("pass", account.bucket, RoleArn=account.role_arn("experiment"), Tags=ENV)
    request["OutputDataConfig"] = {"S3OutputPath": f"s3://{account.bucket}/experiments/ada"}
    scientist.create_training_job(TrainingJobName="overflight-dev-e", **request)
    pipelines.follow()
    told = scientist.describe_training_job(TrainingJobName="overflight-dev-e")
    assert told["TrainingJobStatus"] == "Completed"
    scientist.list_tags(ResourceArn=told["TrainingJobArn"])
    for change, says in (
        ({"RoleArn": account.role_arn("train")}, "iam:PassRole"),
        ({"Tags": [{"Key": "env", "Value": "prod"}]}, "OnlyDeployTagsProduction"),
        ({"ResourceConfig": {**CLUSTER, "InstanceType": "ml.p5.48xlarge"}}, "no identity-based policy"),
        ({"RemoteDebugConfig": {"EnableRemoteDebug": True}}, "NobodyEntersAJob"),
    ):
        with pytest.raises(ClientError, match=says):
            scientist.create_training_job(TrainingJobName="overflight-dev-f", **{**request, **change})


def test_an_endpoint_reads_its_artefact_as_the_models_role(account, client_of, put):
    owner = client_of("administrator")
    uri = put("surveys/not-a-model.tar.gz", b"x")
    container = {"Image": IMAGE, "ModelDataUrl": uri}
    owner.create_model(
        ModelName="overflight-dev-m", PrimaryContainer=container, ExecutionRoleArn=account.role_arn("serve")
    )
    variant = {
        "VariantName": "v",
        "ModelName": "overflight-dev-m",
        "InitialInstanceCount": 1,
        "InstanceType": "ml.m5.large",
    }
    owner.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    owner.create_endpoint(EndpointName="e", EndpointConfigName="c")
    endpoints.advance(account)
    told = owner.describe_endpoint(EndpointName="e")
    assert told["EndpointStatus"] == "Failed"
    assert "s3:GetObject" in told["FailureReason"]
    (entry,) = entries(account, error="AccessDenied")
    assert entry.caller.endswith("assumed-role/overflight-serve/e")
