"""Deployments by the real pipeline and its job: processes, keys of roles, a server that answers."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from overflight.account.local.trail import stream
from overflight.account.session import local_account
from overflight.errors import NotFoundError, RefusedError, UsageError
from overflight.lifecycle.approvals import approve, revoke
from overflight.lifecycle.context import Context
from overflight.lifecycle.deployments import publish_deploy_pipeline, run_deployment
from overflight.lifecycle.endpoints import delete_endpoint, deploy, describe_endpoint, endpoint_log, endpoint_name
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.runs import list_runs
from overflight.lifecycle.system import down
from overflight.settings import Settings
from toy_package import register_toy

REASON = "looked at every overlay picture"


@pytest.fixture(scope="module")
def engineer(tmp_path_factory):
    context = Context(
        Settings(home=tmp_path_factory.mktemp("account") / ".overflight", user="anna", role="ml-engineer")
    )
    yield context
    down(context)
    local_account(context.settings).close()


@pytest.fixture(scope="module")
def toy(engineer, tmp_path_factory):
    toy = register_toy(engineer, tmp_path_factory.mktemp("toy"))
    with pytest.raises(RefusedError, match="PendingManualApproval, not Approved"):
        deploy(engineer, toy.arn, name="squares", progress=Silent())
    approve(engineer.acting_as("approver"), toy.arn, reason=REASON)
    return toy


@pytest.fixture(scope="module")
def production(engineer, toy):
    return deploy(engineer, toy.arn, name="squares", production=True, progress=Silent())


def test_an_approved_package_serves_in_production_made_by_the_role_deploy(engineer, toy, production):
    assert (production["endpoint"], production["status"]) == ("overflight-prod-squares", "InService")
    assert production["package"] == toy.arn
    tags = engineer.client("sagemaker").list_tags(ResourceArn=production["arn"])["Tags"]
    assert {"env": "prod", "project": "overflight", "owner": "anna"}.items() <= {
        tag["Key"]: tag["Value"] for tag in tags
    }.items()
    assert endpoint_log(engineer, "overflight-prod-squares")
    created = [entry for entry in stream(toy.account.store) if entry.operation == "CreateEndpoint"]
    assert [entry.caller.split("/")[1] for entry in created] == ["overflight-deploy"]


def test_an_engineer_takes_down_nothing_in_production_directly(engineer, production):
    with pytest.raises(ClientError, match="not authorized to perform: sagemaker:DeleteEndpoint"):
        engineer.client("sagemaker").delete_endpoint(EndpointName=production["endpoint"])


def test_a_replaced_artefact_is_refused_with_the_words_of_the_job(engineer, toy, production, tmp_path):
    attacked = register_toy(engineer, tmp_path)
    approve(engineer.acting_as("approver"), attacked.arn, reason=REASON)
    attacked.put(attacked.artefact_key, b"another model")
    with pytest.raises(RefusedError, match="the approval has expired: the artefact is not the one approved") as refusal:
        deploy(engineer, attacked.arn, name="squares", production=True, progress=Silent())
    assert "models show" in refusal.value.cure
    assert describe_endpoint(engineer, "overflight-prod-squares")["package"] == toy.arn
    run = list_runs(engineer)[0]["run"]
    decision = toy.account.objects.get_path(toy.account.bucket, f"deployments/{run}/decision.json").read_text()
    assert "the approval has expired" in decision


def test_a_revocation_names_what_still_serves_and_production_ends_through_the_pipeline(engineer, toy, production):
    facts = revoke(engineer.acting_as("approver"), toy.arn, reason="counts the same car twice")
    assert facts["still_serving"] == ["overflight-prod-squares"]
    parameters = {"PackageArn": toy.arn, "EndpointName": "overflight-dev-squares"}
    with pytest.raises(RefusedError, match="it is Rejected, not Approved"):
        run_deployment(engineer, parameters, where="toy", progress=Silent())
    delete_endpoint(engineer, "overflight-prod-squares")
    with pytest.raises(NotFoundError):
        describe_endpoint(engineer, "overflight-prod-squares")


@pytest.mark.parametrize(
    ("name", "production", "full"),
    [
        pytest.param("cars", False, "overflight-dev-cars", id="short"),
        pytest.param("cars", True, "overflight-prod-cars", id="short, in production"),
        pytest.param("overflight-prod-cars", False, "overflight-prod-cars", id="full"),
        pytest.param("overflight-harbour", False, "overflight-dev-harbour", id="a group's name"),
        pytest.param("prod-cars", False, "overflight-dev-prod-cars", id="looks like production and is not"),
    ],
)
def test_people_type_short_names(name, production, full):
    assert endpoint_name(Settings(), name, production=production) == full


@pytest.mark.parametrize(
    ("name", "production"),
    [
        pytest.param("no good", False, id="blank"),
        pytest.param("x" * 60, False, id="too long"),
        pytest.param("", False, id="empty"),
        pytest.param("overflight-dev-cars", True, id="dev name for production"),
    ],
)
def test_names_that_cannot_be_used(name, production):
    with pytest.raises(UsageError):
        endpoint_name(Settings(), name, production=production)


def test_on_aws_the_pipeline_comes_with_the_stacks():
    class Missing:
        is_local = False

        def client(self, service):
            return self

        def describe_pipeline(self, PipelineName):  # noqa: N803 - boto3's name
            answer = {"Error": {"Code": "ResourceNotFound", "Message": PipelineName}}
            raise ClientError(answer, "DescribePipeline")

    with pytest.raises(NotFoundError, match="stacks"):
        publish_deploy_pipeline(Missing())


def test_the_latest_run_is_not_the_deployment(monkeypatch):
    from overflight.lifecycle import runs

    rows = [
        {"run": "d", "pipeline": "overflight-deploy", "arn": "arn:d"},
        {"run": "t", "pipeline": "x", "arn": "arn:t"},
    ]
    monkeypatch.setattr(runs, "list_runs", lambda _context, limit: rows)
    assert runs.find_run(None, "latest") == "arn:t"
    monkeypatch.setattr(runs, "list_runs", lambda _context, limit: rows[:1])
    assert runs.find_run(None, "latest") == "arn:d"
