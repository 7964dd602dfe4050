"""Decisions about packages in a real local account: who may, what is written, what lets an approval expire."""

import json

import pytest
import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.session import local_account
from overflight.errors import NotFoundError, RefusedError, UsageError
from overflight.lifecycle.approvals import approval_of, approve, four_eyes, reject, revoke
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import describe_package, find_package
from overflight.settings import Settings
from toy_package import person, register_toy, start_of

REASON = "looked at every overlay picture"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    return tmp_path_factory.mktemp("account") / ".overflight"


@pytest.fixture(scope="module")
def anna(home):
    return Context(Settings(home=home, user="anna", role="data-scientist", four_eyes="persons"))


@pytest.fixture(scope="module")
def ben(home):
    return Context(Settings(home=home, user="ben", role="approver", four_eyes="persons"))


@pytest.fixture
def toy(anna, tmp_path):
    return register_toy(anna, tmp_path)


def events(context, toy, kind="Model Approval Decision"):
    with local_account(context.settings).store.read() as tx:
        rows = tx.connection.execute(sa.select(tables.events)).all()
    found = [json.loads(row.detail) for row in rows if row.detail_type == kind]
    return [one for one in found if one["package_arn"] == toy.arn]


def test_an_approval_carries_reason_people_and_evidence_in_the_package_and_in_the_event(ben, toy):
    facts = approve(ben, toy.arn, reason=REASON)
    assert facts["status"] == "Approved"
    assert facts["decision"] == f"{REASON} [event {facts['event']}]"
    kept = facts["properties"]
    assert kept["approval_event"] == facts["event"]
    assert kept["approved_by"] == person(ben.settings, "approver")
    assert "trained=data-scientist/anna" in kept["approval_people"]
    (event,) = events(ben, toy)
    assert event["evidence"]["artefact_sha256"] == kept["approval_artefact_sha256"]
    assert event["people"]["trained"] == [person(ben.settings, "data-scientist", "anna")]
    assert event["gates"] == {"map50": 0.81, "min_map50": 0.5, "passed": True}
    raw = ben.client("sagemaker").describe_model_package(ModelPackageName=toy.arn)
    assert raw["ModelLifeCycle"] == {"Stage": "Production", "StageStatus": "Approved", "StageDescription": REASON}
    assert approval_of(ben, toy.arn)["valid"]


def test_the_survey_digest_is_the_one_survey_add_writes(ben, tmp_path):
    from factories import make_survey_source
    from overflight.governance.evidence import _survey_digest
    from overflight.lifecycle.progress import Silent
    from overflight.lifecycle.surveys import add_survey

    owner = ben.acting_as("ml-engineer")
    survey = add_survey(owner, make_survey_source(tmp_path / "s", flights=1, photos=2), name="two", progress=Silent())
    assert _survey_digest(owner.client("s3"), survey.uri) == survey.digest


def test_whoever_trained_may_not_approve_and_the_attempt_is_announced(anna, toy):
    with pytest.raises(RefusedError, match="'anna' trained it") as refusal:
        approve(anna.acting_as("approver"), toy.arn, reason=REASON)
    assert "--as approver models approve overflight-toy/" in refusal.value.cure
    assert events(anna, toy) == []
    assert events(anna, toy, "Model Approval Refused")[0]["objections"] == [
        "'anna' trained it (as data-scientist) and may not approve it"
    ]
    assert describe_package(anna, toy.arn)["status"] == "PendingManualApproval"


def test_the_accounts_own_refusal_is_passed_on_with_its_cure(ben, toy):
    carl = Context(ben.settings.model_copy(update={"user": "carl", "role": "ml-engineer"}))
    with pytest.raises(RefusedError, match="not authorized to perform: events:PutEvents") as refusal:
        approve(carl, toy.arn, reason=REASON)
    assert "--as approver models approve" in refusal.value.cure
    assert describe_package(ben, toy.arn)["status"] == "PendingManualApproval"


def test_who_started_the_run_whose_model_was_reused_trained_it_too(anna, ben, tmp_path):
    earlier = start_of(local_account(ben.settings), person(ben.settings, "data-scientist", "ben"))
    toy = register_toy(anna, tmp_path, artefact_run=earlier.rsplit("/", 1)[1])
    with pytest.raises(RefusedError, match="'ben' trained it"):
        approve(ben, toy.arn, reason=REASON)


def test_one_person_may_play_several_roles_on_one_machine_and_that_is_said(home, tmp_path):
    context = Context(Settings(home=home, user="anna", role="data-scientist"))
    toy = register_toy(context, tmp_path)
    facts = approve(context.acting_as("approver"), toy.arn, reason=REASON)
    assert facts["people"].endswith("one person in several roles")
    assert events(context, toy)[0]["people"]["note"] == "one person in several roles"
    assert approval_of(context, toy.arn)["people"].endswith("one person in several roles")


def test_on_aws_it_is_always_another_person():
    assert four_eyes(Settings(platform="aws", four_eyes="roles")) == "persons"
    assert four_eyes(Settings()) == "roles"


@pytest.mark.parametrize("decide", [approve, reject], ids=["approve", "reject"])
def test_the_owner_of_the_account_never_decides(ben, toy, decide):
    with pytest.raises(RefusedError, match="owner of the account"):
        decide(ben.acting_as("administrator"), toy.arn, reason=REASON)


@pytest.mark.parametrize("decide", [approve, reject, revoke], ids=["approve", "reject", "revoke"])
def test_a_reason_is_needed(ben, toy, decide):
    with pytest.raises(UsageError, match="reason"):
        decide(ben, toy.arn, reason=" ok ")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        pytest.param({"map50": 0.3}, "below the required", id="below the gate"),
        pytest.param({"gate": False}, "the gate of the evaluation refused it", id="gate refused"),
        pytest.param({"model_digest": "0" * 64}, "measured another model", id="figures of another model"),
    ],
)
def test_what_no_gate_passed_is_not_approved(anna, ben, tmp_path, given, words):
    toy = register_toy(anna, tmp_path, **given)
    with pytest.raises(RefusedError, match=words):
        approve(ben, toy.arn, reason=REASON)


@pytest.mark.parametrize(
    ("key", "content", "words"),
    [
        pytest.param("artefact_key", b"another model", "the artefact is not the one approved", id="artefact"),
        pytest.param(
            "metrics_key", b'{"metrics": {"map50": {"value": 0.99}}}', "the metrics file is not", id="metrics"
        ),
        pytest.param("manifest_key", b"other photos\n", "the survey is not the one approved", id="survey"),
    ],
)
def test_an_approval_expires_when_what_it_rests_on_is_replaced(ben, toy, key, content, words):
    approve(ben, toy.arn, reason=REASON)
    toy.put(getattr(toy, key), content)
    standing = approval_of(ben, toy.arn)
    assert not standing["valid"]
    assert words in standing["reasons"][0]


def test_an_expired_approval_can_be_given_anew_on_the_new_evidence(ben, toy):
    approve(ben, toy.arn, reason=REASON)
    with pytest.raises(RefusedError, match="approved already"):
        approve(ben, toy.arn, reason=REASON)
    toy.put(toy.manifest_key, b"other photos\n")
    approve(ben, toy.arn, reason="the survey was corrected, looked again")
    assert approval_of(ben, toy.arn)["valid"]


def test_a_rejection_is_recorded_like_an_approval_and_says_no_approver(ben, toy):
    facts = reject(ben, toy.arn, reason="boats are missed at dusk")
    assert (facts["status"], facts["properties"].get("approved_by")) == ("Rejected", None)
    raw = ben.client("sagemaker").describe_model_package(ModelPackageName=toy.arn)
    assert (raw["ModelLifeCycle"]["Stage"], raw["ModelLifeCycle"]["StageStatus"]) == ("Development", "Rejected")
    assert not approval_of(ben, toy.arn)["valid"]
    with pytest.raises(RefusedError, match="rejected already"):
        reject(ben, toy.arn, reason="boats are missed at dusk")


def test_a_revoked_package_is_retired(ben, toy):
    with pytest.raises(RefusedError, match="no approval to take back"):
        revoke(ben, toy.arn, reason="nothing to take back")
    approve(ben, toy.arn, reason=REASON)
    with pytest.raises(RefusedError, match="approved already") as refusal:
        reject(ben, toy.arn, reason="not the way to take it back")
    assert "models revoke" in refusal.value.cure
    facts = revoke(ben, toy.arn, reason="counts the same car twice")
    assert facts["status"] == "Rejected"
    assert facts["still_serving"] == []
    raw = ben.client("sagemaker").describe_model_package(ModelPackageName=toy.arn)
    assert (raw["ModelLifeCycle"]["Stage"], raw["ModelLifeCycle"]["StageStatus"]) == ("Archived", "Retired")


def test_a_revocation_does_not_need_the_evidence_any_more(ben, toy):
    approve(ben, toy.arn, reason=REASON)
    for key in (toy.artefact_key, toy.metrics_key):
        ben.acting_as("administrator").client("s3").delete_object(Bucket=toy.account.bucket, Key=key)
    assert revoke(ben, toy.arn, reason="its run was deleted")["status"] == "Rejected"


def test_a_status_set_past_the_rules_is_not_valid(ben, toy):
    ben.acting_as("administrator").client("sagemaker").update_model_package(
        ModelPackageArn=toy.arn, ModelApprovalStatus="Approved"
    )
    standing = approval_of(ben, toy.arn)
    assert "there is no record of the approval" in standing["reasons"][0]


def test_a_package_that_is_not_there(ben, toy):
    with pytest.raises(NotFoundError):
        approve(ben, toy.arn + "9", reason=REASON)
    assert find_package(ben, "latest") == toy.arn
