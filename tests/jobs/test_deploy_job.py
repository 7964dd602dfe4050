"""Job deploy in a local account: what it lets pass, and every attack on an approval that it must find."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from typing import Any

import pytest
import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.session import local_account
from overflight.errors import JobError, UsageError
from overflight.governance.containers import container_digest
from overflight.jobs import deploy as job
from overflight.jobs.contract import JobFolders
from overflight.lifecycle.approvals import approve, reject, revoke
from overflight.lifecycle.context import Context
from overflight.settings import Settings
from toy_package import ToyPackage, person, register_toy, start_of

REASON = "looked at every overlay picture"
ENDPOINT = "overflight-dev-squares"


@dataclass(frozen=True)
class Clients:
    """Stands for the session of a job."""

    context: Context

    def client(self, service: str) -> Any:
        return self.context.client(service)


@dataclass
class Desk:
    """One account with a toy package, and the deploy job started by hand."""

    context: Context
    toy: ToyPackage
    folders: JobFolders
    made: list[str]
    people: dict[tuple[str, str, str], Context]
    mode: str = "persons"

    def acting(self, role: str, user: str, four_eyes: str = "persons") -> Context:
        """Somebody's view of the account; their clients are made once for all tests."""
        changes = {"role": role, "user": user, "four_eyes": four_eyes}
        made = Context(self.context.settings.model_copy(update=changes))
        return self.people.setdefault((role, user, four_eyes), made)

    def approve(self, user: str = "ben") -> None:
        approve(self.acting("approver", user), self.toy.arn, reason=REASON)

    def deploy(self, user: str = "carl", role: str = "ml-engineer", **given: str) -> dict[str, object]:
        """Run the job as the pipeline would; returns its decision."""
        settings = self.context.settings
        execution = start_of(self.toy.account, person(settings, role, user), pipeline="overflight-deploy")
        environ = {
            "OVERFLIGHT_PACKAGE_ARN": self.toy.arn,
            "OVERFLIGHT_ENDPOINT_NAME": ENDPOINT,
            "OVERFLIGHT_EXECUTION_ARN": execution,
            "OVERFLIGHT_FOUR_EYES": self.mode,
            "OVERFLIGHT_SERVE_ROLE_ARN": settings.role_arn("serve"),
            **given,
        }
        job.run(self.folders, environ)
        output = self.folders.root / "processing/output/deployment"
        decision = json.loads((output / "decision.json").read_text())
        report = json.loads((output / "report.json").read_text())
        assert decision["passed"] == bool(self.made), "made what it refused, or refused and made"
        return decision | {"report": report}

    def events(self) -> list[dict[str, object]]:
        with self.toy.account.store.read() as tx:
            rows = tx.connection.execute(sa.select(tables.events)).all()
        found = [json.loads(row.detail) for row in rows if row.detail_type == "Model Deployment Decision"]
        return [one for one in found if str(one["package_arn"]).startswith(self.toy.arn)]


@pytest.fixture(scope="module")
def context(tmp_path_factory):
    home = tmp_path_factory.mktemp("account") / ".overflight"
    yield (context := Context(Settings(home=home, user="anna", role="data-scientist", four_eyes="persons")))
    local_account(context.settings).close()


@pytest.fixture(scope="module")
def people():
    return {}


@pytest.fixture
def desk(context, people, tmp_path, monkeypatch):
    for name in [name for name in os.environ if name.startswith("OVERFLIGHT_")]:
        monkeypatch.delenv(name)
    toy = register_toy(context, tmp_path)
    made: list[str] = []
    desk = Desk(context, toy, JobFolders(tmp_path / "opt/ml"), made, people)
    deploys = Clients(desk.acting("deploy", "the-job"))
    monkeypatch.setattr(job, "open_job_session", lambda environ: deploys)
    monkeypatch.setattr(job, "serve", lambda client, *, endpoint, config, tags: made.append(config))  # starts no server
    monkeypatch.setattr(job, "wait_in_service", lambda client, *, endpoint, config: None)
    return desk


def test_an_approved_package_gets_model_and_configuration_with_tags_and_the_role_that_serves(desk):
    desk.approve()
    decision = desk.deploy()
    sagemaker = desk.acting("auditor", "otto").client("sagemaker")
    (config,) = desk.made
    model = sagemaker.describe_model(ModelName=config)
    assert model["ExecutionRoleArn"].endswith("role/overflight-serve")
    (container,) = model["Containers"]
    assert container["ModelPackageName"] == desk.toy.arn
    assert container["Environment"]["OVERFLIGHT_SERVE_MODEL_SHA256"] == decision["report"]["evidence"]["model_sha256"]
    for arn in (model["ModelArn"], sagemaker.describe_endpoint_config(EndpointConfigName=config)["EndpointConfigArn"]):
        tags = {tag["Key"]: tag["Value"] for tag in sagemaker.list_tags(ResourceArn=arn)["Tags"]}
        assert tags == {"env": "dev", "project": "overflight", "owner": "carl"}
    report = decision["report"]
    assert report["deployed_by"].endswith("overflight-ml-engineer/carl")
    assert report["approval_event"]
    assert report["note"] == ""
    assert [event["passed"] for event in desk.events()] == [True]


def replaced(key, content):
    def attack(desk):
        desk.approve()
        desk.toy.put(getattr(desk.toy, key), content)

    return attack


def revoked(desk):
    desk.approve()
    revoke(desk.acting("approver", "ben"), desk.toy.arn, reason="counts the same car twice")


def rejected(desk):
    reject(desk.acting("approver", "ben"), desk.toy.arn, reason="boats are missed at dusk")


def status_alone(desk):
    """Somebody got past the account: a status without a record."""
    desk.acting("administrator", "eve").client("sagemaker").update_model_package(
        ModelPackageArn=desk.toy.arn, ModelApprovalStatus="Approved"
    )


def forged(desk):
    """Somebody got past the account and writes a whole record in the approver's name."""
    desk.approve()
    facts = desk.acting("auditor", "otto").client("sagemaker").describe_model_package(ModelPackageName=desk.toy.arn)
    desk.acting("administrator", "eve").client("sagemaker").update_model_package(
        ModelPackageArn=desk.toy.arn,
        ModelApprovalStatus="Approved",
        CustomerMetadataProperties={"approved_by": facts["CustomerMetadataProperties"]["approved_by"]},
    )


def swapped(desk):
    """The approver alone puts another container behind the approval, and its digest into the record."""
    desk.approve()
    swap(desk)


def swap(desk):
    client = desk.acting("approver", "ben").client("sagemaker")
    facts = client.describe_model_package(ModelPackageName=desk.toy.arn)
    specification = facts["InferenceSpecification"]
    specification["Containers"][0] |= {"Image": "overflight/evil:1", "Environment": {"PYTHONPATH": "/opt/ml/model"}}
    client.update_model_package(
        ModelPackageArn=desk.toy.arn,
        ModelApprovalStatus="Approved",
        InferenceSpecification=specification,
        CustomerMetadataProperties={
            "approval_event": facts["CustomerMetadataProperties"]["approval_event"],
            "approval_container_sha256": container_digest({"InferenceSpecification": specification}),
        },
    )


def own_approval(desk):
    """Where one person may play several roles somebody approved what they had trained; the pipeline asks for two."""
    approve(desk.acting("approver", "anna", "roles"), desk.toy.arn, reason=REASON)


@pytest.mark.parametrize(
    ("attack", "words"),
    [
        pytest.param(lambda desk: None, "it is PendingManualApproval, not Approved", id="nobody decided"),
        pytest.param(rejected, "it is Rejected, not Approved", id="rejected"),
        pytest.param(revoked, "it is Rejected, not Approved", id="revoked"),
        pytest.param(
            replaced("artefact_key", b"another model"),
            "the approval has expired: the artefact is not the one approved",
            id="artefact replaced",
        ),
        pytest.param(
            replaced("metrics_key", b'{"metrics": {"map50": {"value": 0.99}}}'),
            "the approval has expired: the metrics file is not the one approved",
            id="metrics changed",
        ),
        pytest.param(
            replaced("manifest_key", b"other photos\n"),
            "the approval has expired: the survey is not the one approved",
            id="survey changed",
        ),
        pytest.param(
            replaced("decision_key", b'{"passed": false}'), "the gate of the evaluation refused it", id="gate turned"
        ),
        pytest.param(status_alone, "there is no record of the approval", id="status without record"),
        pytest.param(forged, "administrator/eve changed the package last", id="record in another's name"),
        pytest.param(swapped, "its container carries the environment PYTHONPATH", id="container swapped"),
        pytest.param(own_approval, "'anna' trained it (as data-scientist) and may not approve it", id="own approval"),
    ],
)
def test_what_must_not_be_deployed(desk, attack, words):
    attack(desk)
    decision = desk.deploy()
    assert not decision["passed"]
    assert words in decision["reason"]
    assert [event["passed"] for event in desk.events()] == [False]


def test_a_container_that_is_swapped_between_look_and_deed_is_not_served(desk, monkeypatch):
    desk.approve()
    create = job.create_config
    before = len(desk.acting("auditor", "otto").client("sagemaker").list_models()["Models"])
    monkeypatch.setattr(job, "create_config", lambda *given, **named: (swap(desk), create(*given, **named))[1])
    with pytest.raises(JobError, match="container was changed while it was being deployed"):
        desk.deploy()
    assert desk.made == []
    listed = desk.acting("auditor", "otto").client("sagemaker").list_models()["Models"]
    assert len(listed) == before


def test_the_deployer_is_not_the_approver(desk):
    desk.approve("ben")
    assert desk.deploy("BEN")["reasons"] == ["'BEN' deploys it (as ml-engineer) and may not approve it"]
    assert desk.deploy("anna")["passed"], "who trained it may deploy what another has approved"


def test_in_several_roles_one_person_may_deploy_what_they_approved_and_that_is_said(desk):
    desk.mode = "roles"
    own_approval(desk)
    decision = desk.deploy("anna")
    assert decision["passed"]
    assert decision["report"]["note"] == "one person in several roles"


def test_a_deployment_serves_what_was_looked_at(desk):
    desk.approve()
    decision = desk.deploy(OVERFLIGHT_PINNED_EVIDENCE="0" * 64)
    assert decision["reasons"] == ["the artefact is not the one that was looked at when the deployment was started"]


def test_a_package_that_does_not_exist(desk):
    decision = desk.deploy(OVERFLIGHT_PACKAGE_ARN=desk.toy.arn + "9")
    assert "there is no such model package" in decision["reason"]


def test_a_deployment_that_nobody_started(desk):
    desk.approve()
    desk.deploy(OVERFLIGHT_EXECUTION_ARN=desk.toy.execution_arn[:-12] + "nobodysrunxx")
    (event,) = desk.events()
    assert "nobody is known to have started" in event["reasons"][0]


@pytest.mark.parametrize(
    "given",
    [
        pytest.param({"OVERFLIGHT_TARGET": "prod"}, id="a dev name in production"),
        pytest.param({"OVERFLIGHT_ENDPOINT_NAME": "overflight-prod-x"}, id="a prod name in dev"),
        pytest.param({"OVERFLIGHT_ENDPOINT_NAME": "squares"}, id="a name of no environment"),
        pytest.param({"OVERFLIGHT_PACKAGE_ARN": "none"}, id="no package"),
        pytest.param({"OVERFLIGHT_FOUR_EYES": "nobody"}, id="no such rule"),
    ],
)
def test_settings_are_checked_before_anything_is_called(desk, given):
    desk.approve()
    with pytest.raises(UsageError):
        desk.deploy(**given)
    assert desk.events() == []
