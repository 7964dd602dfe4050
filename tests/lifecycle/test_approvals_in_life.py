"""Decisions about packages in a real local account: who may, what is written, what lets an approval expire."""

import json

import pytest
import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.local.executions import EXECUTION, change_execution
from overflight.account.session import local_account
from overflight.errors import NotFoundError, RefusedError, UsageError
from overflight.governance.containers import container_digest
from overflight.governance.evidence import gather
from overflight.lifecycle.approvals import approval_of, approve, four_eyes, reject, revoke
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import describe_package, find_package
from overflight.lifecycle.runs import resume_run
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
    for part in ("artefact_sha256", "container_sha256", "metrics_sha256"):
        assert event["evidence"][part] == kept[f"approval_{part}"]
    assert event["evidence"]["image"].startswith("overflight/serve:")
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


EVIL = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/overflight/evil:1"
SECOND = [{"Image": "overflight/serve:1"}, {"Image": EVIL, "ModelDataUrl": "s3://b/experiments/evil/model.tar.gz"}]
ELSEWHERE = {"S3DataSource": {"S3Uri": "s3://b/experiments/e/", "S3DataType": "S3Prefix", "CompressionType": "None"}}
MORE = [{"Name": "other", "Containers": [{"Image": EVIL}]}]


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        pytest.param({"Image": EVIL}, f"its image is {EVIL}, the run registered overflight/serve:", id="image"),
        pytest.param(
            {"Environment": {"PYTHONPATH": "/opt/ml/model"}}, "carries the environment PYTHONPATH", id="environment"
        ),
        pytest.param({"Containers": SECOND}, "it has 2 containers, not one", id="second container"),
        pytest.param({"ModelDataSource": ELSEWHERE}, "its container carries ModelDataSource", id="data source"),
        pytest.param(
            {"AdditionalInferenceSpecifications": MORE}, "carries AdditionalInferenceSpecifications", id="additional"
        ),
        pytest.param(
            {"SupportedContentTypes": ["text/csv"]}, "its SupportedContentTypes is not as the run registered", id="rest"
        ),
    ],
)
def test_only_the_container_that_the_run_registered_is_approved(anna, ben, tmp_path, changes, words):
    toy = register_toy(anna, tmp_path, changes=changes)
    with pytest.raises(RefusedError) as refusal:
        approve(ben, toy.arn, reason=REASON)
    assert words in refusal.value.what


def test_what_was_registered_by_hand_cannot_be_approved_and_the_way_out_is_said(anna, ben, tmp_path):
    carl = person(ben.settings, "ml-engineer", "carl")
    honest = register_toy(anna, tmp_path / "honest", by_hand=True, registrant=carl)
    with pytest.raises(RefusedError, match="did not register it; what was registered by hand cannot be approved"):
        approve(ben, honest.arn, reason=REASON)
    changes = {"Environment": {"PYTHONPATH": "/opt/ml/model"}}
    toy = register_toy(anna, tmp_path, by_hand=True, registrant=carl, changes=changes)
    with pytest.raises(RefusedError, match=r"did not register it.*carries the environment PYTHONPATH"):
        approve(ben, toy.arn, reason=REASON)


def test_only_a_run_of_the_training_pipeline_answers_for_a_package(anna, ben, tmp_path):
    toy = register_toy(anna, tmp_path, pipeline="overflight-dev-carl")
    with pytest.raises(RefusedError, match=r"overflight-dev-carl/execution/.* is no run of the training pipeline"):
        approve(ben, toy.arn, reason=REASON)


def test_a_run_answers_only_for_what_came_out_of_its_jobs(anna, ben, tmp_path):
    other = register_toy(anna, tmp_path / "other")
    folder = other.metrics_key.rpartition("/")[0]
    uri = f"s3://{other.account.bucket}/{folder}"
    toy = register_toy(
        anna,
        tmp_path,
        changes={"ModelDataUrl": f"s3://{other.account.bucket}/{other.artefact_key}"},
        metadata={"evaluation_uri": uri},
        metrics_uri=f"{uri}/evaluation.json",
    )
    with pytest.raises(RefusedError) as refusal:
        approve(ben, toy.arn, reason=REASON)
    run = toy.execution_arn.rsplit("/", 1)[1]
    assert f"the artefact is no output of the run {run}" in refusal.value.what
    assert f"the metrics file is no output of the run {run}" in refusal.value.what


def test_metrics_in_a_folder_inside_of_the_runs_output_are_another_jobs(anna, ben, tmp_path):
    honest = register_toy(anna, tmp_path / "honest")
    inside = f"s3://{honest.account.bucket}/{honest.metrics_key.rpartition('/')[0]}/v2"
    facts = ben.client("sagemaker").describe_model_package(ModelPackageName=honest.arn)
    honest.put(honest.metrics_key.replace("/evaluation.json", "/v2/evaluation.json"), b'{"metrics": {}}')
    metrics = {
        "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"{inside}/evaluation.json"}}
    }
    evidence = gather(ben.client("sagemaker"), ben.client("s3"), facts | {"ModelMetrics": metrics})
    assert any("the metrics file is no output of the run" in one for one in evidence.unexplained)


@pytest.mark.parametrize(
    ("claimed", "words"),
    [
        pytest.param(
            {"survey_uri": "s3://b/surveys/other/zz"}, "it claims the survey s3://b/surveys/other/zz", id="survey"
        ),
        pytest.param({"min_map50": "0.0"}, "it claims a gate of mAP50 0.0, its run was started with 0.5", id="gate"),
    ],
)
def test_survey_and_gate_are_those_the_run_was_started_with(anna, ben, tmp_path, claimed, words):
    toy = register_toy(anna, tmp_path, metadata=claimed)
    with pytest.raises(RefusedError) as refusal:
        approve(ben, toy.arn, reason=REASON)
    assert words in refusal.value.what


def test_a_gate_that_the_package_keeps_silent_about_is_still_the_runs(anna, ben, tmp_path):
    toy = register_toy(anna, tmp_path, map50=0.3, metadata={"min_map50": ""})
    with pytest.raises(RefusedError, match=r"mAP50 0\.300 is below the required 0.5"):
        approve(ben, toy.arn, reason=REASON)


def test_whoever_let_a_failed_run_go_on_trained_it_too(anna, ben, tmp_path):
    toy = register_toy(anna, tmp_path)
    run = toy.execution_arn.rsplit("/", 1)[1]
    with toy.account.store.write() as tx:
        execution = change_execution(tx, toy.account, tx.get(EXECUTION, run), status="Failed")
    scientist = Context(ben.settings.model_copy(update={"role": "data-scientist"}))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("overflight.account.local.supervisor.ensure_supervisor", lambda account: None)
        resume_run(scientist, toy.execution_arn)
    with toy.account.store.write() as tx:
        change_execution(tx, toy.account, tx.get(EXECUTION, execution.name), status="Succeeded")
    with pytest.raises(RefusedError, match="'ben' trained it"):
        approve(ben, toy.arn, reason=REASON)


@pytest.mark.parametrize("recorded", [False, True], ids=["container alone", "container and its digest"])
def test_the_approver_alone_cannot_swap_the_container_afterwards(ben, toy, recorded):
    """The status key is all that a policy can ask for: the specification itself has none."""
    approve(ben, toy.arn, reason=REASON)
    client = ben.client("sagemaker")
    facts = client.describe_model_package(ModelPackageName=toy.arn)
    kept = {"approval_event": facts["CustomerMetadataProperties"]["approval_event"]}
    specification = facts["InferenceSpecification"]
    specification["Containers"][0]["Image"] = EVIL
    if recorded:
        kept["approval_container_sha256"] = container_digest({"InferenceSpecification": specification})
    client.update_model_package(
        ModelPackageArn=toy.arn,
        ModelApprovalStatus="Approved",
        InferenceSpecification=specification,
        CustomerMetadataProperties=kept,
    )
    reasons = "; ".join(approval_of(ben, toy.arn)["reasons"])
    assert f"its image is {EVIL}" in reasons
    assert ("the container is not the one approved" in reasons) != recorded


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
