"""The ways to make a model count as approved, each tried against the account by everybody who must not have it.

Status, stage and record of a package; being born approved; an alias of MLflow; the deploy pipeline itself.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from botocore.exceptions import ClientError

import overflight
from overflight.account.session import local_account
from overflight.lifecycle.approvals import approval_of, approve
from overflight.lifecycle.context import Context
from overflight.lifecycle.deployments import publish_deploy_pipeline
from overflight.lifecycle.models import describe_package
from overflight.lifecycle.self_approval import attempt_self_approval
from overflight.settings import Settings
from toy_package import register_toy

REASON = "looked at every overlay picture"
EVENT = {"approval_event": "made up"}
APPROVED = {"ModelApprovalStatus": "Approved"}
STAGE = {"ModelLifeCycle": {"Stage": "Production", "StageStatus": "Approved"}}
PENDING = {"ModelApprovalStatus": "PendingManualApproval"}
OTHERS = ("data-scientist", "ml-engineer", "auditor", "admin", "register", "deploy", "train", "serve", "watch")


class Acting(Context):
    """A context that makes the clients of each role once."""

    def acting_as(self, role):
        return self._clients.setdefault(f"as {role}", super().acting_as(role))


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    context = Acting(Settings(home=tmp_path_factory.mktemp("account") / ".overflight", user="anna"))
    yield context
    local_account(context.settings).close()


@pytest.fixture(scope="module")
def toy(context, tmp_path_factory):
    return register_toy(context, tmp_path_factory.mktemp("toy"))


def denial(call, **request):
    with pytest.raises(ClientError) as caught:
        call(**request)
    assert caught.value.response["Error"]["Code"] in {"AccessDenied", "AccessDeniedException"}
    return caught.value.response["Error"]["Message"]


@pytest.mark.parametrize("role", OTHERS)
def test_nobody_but_the_approver_changes_status_stage_or_record(context, toy, role):
    update = context.acting_as(role).client("sagemaker").update_model_package
    for change in (APPROVED, STAGE, {"CustomerMetadataProperties": EVENT}):
        words = denial(update, ModelPackageArn=toy.arn, **change)
        assert "sagemaker:UpdateModelPackage" in words
        assert "OnlyApproverDecides" in words
    assert describe_package(context, toy.arn)["status"] == "PendingManualApproval"


@pytest.mark.parametrize(
    "change",
    [
        pytest.param(STAGE, id="stage without a status"),
        pytest.param(APPROVED, id="status without the event"),
        pytest.param({"CustomerMetadataProperties": EVENT}, id="event without a status"),
        pytest.param(PENDING | {"CustomerMetadataProperties": EVENT}, id="back to pending"),
    ],
)
def test_the_approver_decides_only_as_a_whole(context, toy, change):
    denial(context.acting_as("approver").client("sagemaker").update_model_package, ModelPackageArn=toy.arn, **change)


@pytest.mark.parametrize(
    ("name", "statement"),
    [
        ("execution_arn", "TheRunStaysTheRun"),
        ("evaluation_uri", "TheEvaluationStays"),
        ("survey_uri", "TheSurveyStays"),
        ("min_map50", "TheGateStays"),
    ],
)
def test_the_approver_changes_nothing_that_the_evidence_is_found_by(context, toy, name, statement):
    update = context.acting_as("approver").client("sagemaker").update_model_package
    whole = {**APPROVED, "CustomerMetadataProperties": {**EVENT, name: "0"}}
    assert statement in denial(update, ModelPackageArn=toy.arn, **whole)


@pytest.mark.parametrize("role", ["data-scientist", "ml-engineer", "register", "approver"])
@pytest.mark.parametrize(
    "given",
    [
        pytest.param(APPROVED, id="approved"),
        pytest.param(PENDING | STAGE, id="staged"),
        pytest.param(PENDING | {"CustomerMetadataProperties": EVENT}, id="with a record"),
        pytest.param(PENDING | {"CustomerMetadataProperties": {"approved_by": "ben"}}, id="with an approver"),
    ],
)
def test_no_package_is_born_approved(context, role, given):
    create = context.acting_as(role).client("sagemaker").create_model_package
    denial(create, ModelPackageGroupName="overflight-toy", **given)


@pytest.mark.parametrize("action", ["SetRegisteredModelAlias", "TransitionModelVersionStage"])
def test_no_role_moves_an_alias_or_a_stage_of_mlflow(context, action):
    access = local_account(context.settings).authoriser.access
    assert len(access.roles) > 10
    assert [key for key in access.roles if access.decide(key, f"sagemaker-mlflow:{action}", "*").allowed] == []


def test_nothing_that_serves_or_decides_reads_an_alias_of_mlflow():
    """Even if one were moved: nobody looks."""
    follows = re.compile(r"models:/|by_alias|registered_model|latest_versions|transition_model_version", re.IGNORECASE)
    root = Path(overflight.__file__).parent
    sources = [
        path
        for part in ("lifecycle", "serving", "account", "jobs", "pipelines")
        for path in (root / part).rglob("*.py")
    ]
    assert len(sources) > 100
    assert [str(path) for path in sources if follows.search(path.read_text())] == []


@pytest.mark.parametrize("role", ["data-scientist", "ml-engineer", "approver", "admin", "auditor"])
def test_nobody_serves_a_model_directly(context, toy, role):
    sagemaker = context.acting_as(role).client("sagemaker")
    container = {"ModelPackageName": toy.arn}
    tags = [{"Key": "env", "Value": "dev"}]
    serve = context.settings.role_arn("serve")
    denial(
        sagemaker.create_model, ModelName="overflight-dev-x", Containers=[container], ExecutionRoleArn=serve, Tags=tags
    )
    denial(sagemaker.create_endpoint, EndpointName="overflight-dev-x", EndpointConfigName="c", Tags=tags)
    denial(sagemaker.update_endpoint, EndpointName="overflight-prod-x", EndpointConfigName="c")


@pytest.mark.parametrize("role", ["data-scientist", "ml-engineer", "approver", "admin", "deploy"])
def test_nobody_changes_the_deploy_pipeline(context, role):
    publish_deploy_pipeline(context)
    sagemaker = context.acting_as(role).client("sagemaker")
    denial(sagemaker.update_pipeline, PipelineName="overflight-deploy", PipelineDescription="mine")
    denial(sagemaker.delete_pipeline, PipelineName="overflight-deploy", ClientRequestToken="t" * 32)


def test_only_engineers_start_deployments(context):
    publish_deploy_pipeline(context)
    for role in ("data-scientist", "approver", "auditor", "admin"):
        start = context.acting_as(role).client("sagemaker").start_pipeline_execution
        denial(start, PipelineName="overflight-deploy", ClientRequestToken="t" * 32)


def test_a_self_approval_is_refused_by_a_statement_of_the_boundary(context, toy):
    refusal = attempt_self_approval(context.acting_as("data-scientist"), toy.arn)
    assert (refusal["action"], refusal["statement"]) == ("sagemaker:UpdateModelPackage", "OnlyApproverDecides")
    assert describe_package(context, toy.arn)["status"] == "PendingManualApproval"


def test_the_approver_approves_with_all_of_it(context, toy):
    approve(context.acting_as("approver"), toy.arn, reason=REASON)
    for role in ("auditor", "ml-engineer", "data-scientist"):
        assert approval_of(context.acting_as(role), toy.arn)["valid"]
