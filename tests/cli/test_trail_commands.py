"""``overflight trail``: what people see, what ends with which exit code, and CloudTrail instead on AWS."""

from __future__ import annotations

import functools
import json
import shutil
import sqlite3
from datetime import UTC, datetime

import boto3
import pytest
from botocore.loaders import Loader
from botocore.stub import Stubber
from click.testing import CliRunner

from overflight.account.local import login
from overflight.account.local.account import open_account
from overflight.account.local.login import local_session
from overflight.cli.app import App
from overflight.cli.trail import trail
from overflight.errors import InputError, NotFoundError, RefusedError, StoreError, UsageError
from overflight.governance.questions import Filter
from overflight.lifecycle import trail as use_cases
from overflight.lifecycle.context import Context
from overflight.settings import load_settings

SPECIFICATION = {
    "Containers": [{"Image": "overflight/serve:1", "ModelDataUrl": "s3://b/model.tar.gz"}],
    "SupportedContentTypes": ["image/jpeg"],
    "SupportedResponseMIMETypes": ["application/json"],
}


LOADER = Loader()  # botocore's service models are read once for all tests


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """An account in which ada registered a package, was refused an approval, and eve approved it; and its settings."""
    folder = tmp_path_factory.mktemp("story")
    settings = load_settings(home=folder / "home", trail_keys=folder / "keys")
    account = open_account(settings)

    def acting(role, user):
        return local_session(account, role=role, user=user, loader=LOADER).client("sagemaker")

    owner = acting("administrator", "ada")
    owner.create_model_package_group(ModelPackageGroupName="overflight-cars")
    arn = owner.create_model_package(
        ModelPackageGroupName="overflight-cars",
        ModelApprovalStatus="PendingManualApproval",
        InferenceSpecification=SPECIFICATION,
    )["ModelPackageArn"]
    scientist = acting("data-scientist", "ada")
    with pytest.raises(scientist.exceptions.ClientError, match="AccessDenied"):
        scientist.update_model_package(ModelPackageArn=arn, ModelApprovalStatus="Approved")
    acting("administrator", "eve").update_model_package(
        ModelPackageArn=arn,
        ModelApprovalStatus="Approved",
        ApprovalDescription="recall 0.9 on three flights",
        CustomerMetadataProperties={"approval_event": "e-1", "approval_artefact_sha256": "ab" * 32},
    )
    account.close()
    return settings


@pytest.fixture
def home(story, tmp_path, monkeypatch):
    """A copy of that account, with its checkpoints where they belong to the copy."""
    monkeypatch.setattr(login, "local_session", functools.partial(local_session, loader=LOADER))
    monkeypatch.setenv("OVERFLIGHT_TRAIL_KEYS", str(tmp_path / "keys"))
    monkeypatch.setenv("OVERFLIGHT_USER", "olga")
    home = tmp_path / "home"
    shutil.copytree(story.home_path, home)
    shutil.copytree(story.trail_keys_path, load_settings(home=home).trail_keys_path)
    return home


@pytest.fixture
def ask(home):
    """Run one command of the group; its exit code and what it printed."""

    def call(*arguments, role=None):
        return CliRunner().invoke(trail, [str(one) for one in arguments], obj=App({"home": home, "role": role}))

    return call


def answered(ask, *arguments):
    result = ask(*arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


def test_who_approved_which_evidence_and_the_proof(ask):
    answer = answered(ask, "who-approved", "overflight-cars/1")
    approval = answer["approval"]
    assert (approval["user"], approval["reason"]) == ("eve", "recall 0.9 on three flights")
    assert approval["evidence"] == {"artefact_sha256": "ab" * 32}
    assert answer["registered"]["user"] == "ada"
    assert answer["people"]["verdict"] == "2 persons"
    assert [one["user"] for one in answer["refused"]] == ["ada"]
    assert answer["proof"]["trail_intact"] is True
    assert (answer["proof"]["checkpoint"], answer["proof"]["hash"]) == (1, approval["hash"])
    text = ask("who-approved", "latest").output
    assert "eve as administrator" in text
    assert "checkpoint 1 of" in text
    assert "Refused attempts" in text


def test_the_answer_says_when_the_trail_behind_it_is_not_intact(ask, home):
    with sqlite3.connect(home / "state.db") as connection:
        connection.execute("UPDATE trail SET caller = 'x' WHERE sequence = 1")
    connection.close()
    assert answered(ask, "who-approved", "latest")["proof"]["trail_intact"] is False
    assert "NOT intact" in ask("who-approved", "latest").output


def test_a_deleted_package_is_still_known_to_the_trail(ask, home):
    account = open_account(load_settings(home=home))
    owner = local_session(account, role="administrator", user="ada", loader=LOADER).client("sagemaker")
    owner.delete_model_package(
        ModelPackageName="arn:aws:sagemaker:eu-central-1:000000000000:model-package/overflight-cars/1"
    )
    account.close()
    answer = answered(ask, "who-approved", "overflight-cars/1")
    assert (answer["status_now"], answer["approval"]["user"]) == ("deleted", "eve")
    result = ask("who-approved", "overflight-cars/2")
    assert isinstance(result.exception, NotFoundError)


def test_queries(ask):
    denied = answered(ask, "query", "--denied")
    assert [(one["user"], one["role"], one["outcome"]) for one in denied] == [("ada", "data-scientist", "denied")]
    assert denied[0]["statement"]
    changes = answered(ask, "query", "--action", "sagemaker:*ModelPackage", "--user", "ada", "--since", "1h")
    assert [one["action"] for one in changes] == ["sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage"]
    assert len(answered(ask, "query", "--limit", "1")) == 1
    assert "more with --limit" in ask("query", "--limit", "1").output
    assert "Nothing in the trail fits" in ask("query", "--user", "nobody").output
    assert isinstance(ask("query", "--since", "yesterday").exception, UsageError)


def test_figures_beyond_all_trails_are_no_figures(ask):
    for given in (["--limit", "9" * 20], ["--limit", "0"], ["--limit", "1000001"]):
        assert "not in the range 1<=x<=1000000" in ask("query", *given).output
    for moment in ("0001-01-01T00:00+14:00", "9999-12-31T23:00-14:00", "9" * 5000 + "d", "9" * 20 + "w"):
        assert isinstance(ask("query", "--since", moment).exception, UsageError)


@pytest.mark.parametrize(
    ("column", "value"),
    [("parameters", "[1]"), ("details", "[1]"), ("time", b"\xff\x00"), ("details", b"\xff\x00"), ("time", "\x1b[2J")],
)
def test_what_was_put_into_the_trail_by_hand_is_found_and_said(ask, home, column, value):
    with sqlite3.connect(home / "state.db") as connection:
        connection.execute(f"UPDATE trail SET {column} = ? WHERE sequence = 1", (value,))
    connection.close()
    for command in (["query"], ["user", "ada"], ["who-approved", "latest"], ["access-changes"]):
        refused = ask(*command).exception
        assert isinstance(refused, StoreError)
        assert "entry 1 of the trail cannot be read any more: it was edited" in str(refused)
    for shown in ([], ["--json"]):
        result = ask("verify", *shown)
        assert (result.exit_code, type(result.exception)) == (8, SystemExit)
        assert "was edited" in result.output
        assert "\x1b" not in result.output


@pytest.mark.parametrize(("member", "value"), [("time", 5), ("sequence", "1"), ("details", 5), ("parameters", None)])
def test_an_entry_of_a_file_that_is_none_is_found_and_no_fault_of_the_header(ask, tmp_path, member, value):
    out = tmp_path / "t.jsonl"
    ask("export", "--out", out)
    header, first, *rest = out.read_text().splitlines()
    out.write_text("\n".join([header, json.dumps(json.loads(first) | {member: value}), *rest]) + "\n")
    for shown in ([], ["--json"]):
        result = ask("verify", "--file", out, *shown)
        assert (result.exit_code, type(result.exception)) == (8, SystemExit)
    out.write_text("\n".join([header.replace('"last":', '"last":1e999,"was":'), first, *rest]) + "\n")
    assert isinstance(ask("verify", "--file", out).exception, InputError)


def test_a_reason_to_begin_anew_is_one_short_line(ask):
    for reason in ("x" * 70_000, "a\nb"):
        assert isinstance(ask("checkpoint", "--begin", reason).exception, UsageError)
    assert answered(ask, "checkpoint")["new"] is True
    assert "Intact" in ask("verify").output


def test_everything_a_person_did(ask):
    answer = answered(ask, "user", "ada")
    assert [one["role"] for one in answer["days"][0]["sessions"]] == ["administrator", "data-scientist"]
    assert (answer["changes"], answer["denied"]) == (2, 1)
    assert "2 changes, 0 reads, 1 denied" in ask("user", "ada").output
    assert "Nothing in the trail was done by nobody" in ask("user", "nobody").output


def test_access_is_recorded_with_the_first_decision(ask):
    found = answered(ask, "access-changes")
    assert [one["first"] for one in found] == [True]
    assert "approver" in found[0]["roles"]
    assert "first recorded" in ask("access-changes").output
    assert "No change of access" in ask("access-changes", "--since", "2090-01-01").output


def test_verify_ends_with_8_when_something_is_found(ask, home):
    result = ask("verify")
    assert result.exit_code == 0, result.output
    assert "Intact" in result.output
    with sqlite3.connect(home / "state.db") as connection:
        connection.execute("DELETE FROM trail WHERE sequence = 2")
    connection.close()
    result = ask("verify")
    assert result.exit_code == 8
    assert "entry 2: entries 2 to 2 are missing" in result.output
    assert json.loads(ask("verify", "--json").output)["intact"] is False


def test_a_checkpoint_covers_everything_and_an_export_is_verified_with_its_key(ask, tmp_path):
    made = answered(ask, "checkpoint")
    assert (made["number"], made["new"]) == (2, True)
    assert made["file"].startswith(str(tmp_path / "keys"))
    assert "Keep hash and key" in ask("checkpoint").output
    out = tmp_path / "trail.jsonl"
    assert "entries in" in ask("export", "--out", out).output
    key = next((tmp_path / "keys").glob("*/checkpoint.pub"))
    assert ask("verify", "--file", out, "--public-key", key).exit_code == 0
    out.write_text(out.read_text().replace('"user":"eve"', '"user":"bob"'))
    result = ask("verify", "--file", out)
    assert result.exit_code == 8
    assert "was edited" in result.output


def test_cloudtrails_form_is_exported(ask, tmp_path):
    assert answered(ask, "export", "--out", tmp_path / "log.json", "--format", "cloudtrail")["format"] == "cloudtrail"
    records = json.loads((tmp_path / "log.json").read_text())["Records"]
    assert {"UpdateModelPackage", "CreateModelPackage"} <= {record["eventName"] for record in records}


def test_beginning_anew_needs_a_reason_and_is_told(ask):
    assert answered(ask, "checkpoint", "--begin", "moved here")["reason"] == "moved here"
    text = ask("verify").output
    assert "1 checkpoints are of an earlier trail in this place" in text
    assert "moved here" in text


def test_an_account_made_anew_in_the_same_place_is_said_with_the_cure(ask, home):
    shutil.rmtree(home)
    found = json.loads(ask("verify", "--json").output)["findings"]
    assert "--begin" in found[0]["meaning"]
    refused = ask("checkpoint").exception
    assert isinstance(refused, StoreError)
    assert "--begin" in refused.cure
    assert ask("checkpoint", "--begin", "course of Monday").exit_code == 0
    assert ask("verify").exit_code == 0


def test_without_its_checkpoints_a_trail_is_not_intact_unless_one_asks_for_the_chain_only(ask, tmp_path):
    out = tmp_path / "trail.jsonl"
    ask("export", "--out", out)
    shutil.rmtree(tmp_path / "keys")
    result = ask("verify")
    assert result.exit_code == 8
    assert "names checkpoint" in result.output
    assert answered(ask, "who-approved", "latest")["proof"]["trail_intact"] is False
    for where in ([], ["--file", out]):
        chain = ask("verify", "--without-checkpoints", *where)
        assert chain.exit_code == 0
        assert "Checked without checkpoints" in chain.output
        assert "Intact" not in chain.output
        assert answered(ask, "verify", "--without-checkpoints", *where)["without_checkpoints"] is True
    clash = ask("verify", "--without-checkpoints", "--public-key", out)
    assert isinstance(clash.exception, UsageError)
    assert ask("checkpoint", "--begin", "the keys' disk was lost").exit_code == 0
    result = ask("verify")
    assert result.exit_code == 0
    assert "the keys' disk was lost" in result.output


def test_a_folder_of_keys_that_cannot_be_written_is_said_with_the_cure(ask, tmp_path):
    shutil.rmtree(tmp_path / "keys")
    (tmp_path / "keys").write_text("")
    refused = ask("checkpoint").exception
    assert isinstance(refused, StoreError)
    assert "OVERFLIGHT_TRAIL_KEYS" in refused.cure


@pytest.mark.parametrize("command", [["verify"], ["query"], ["user", "ada"], ["checkpoint"], ["access-changes"]])
def test_only_auditor_and_owner_read_the_trail(ask, command):
    assert ask(*command, role="administrator").exit_code == 0
    assert "AccessDenied" in str(ask(*command, role="data-scientist").exception)
    denied = answered(ask, "query", "--denied", "--action", "LookupEvents")
    assert [one["role"] for one in denied] == ["data-scientist"]


def test_a_role_that_the_policies_let_through_is_still_none_that_reads_trails(home, monkeypatch):
    context = Context(load_settings(home=home, role="ml-engineer"))
    monkeypatch.setitem(context._clients, "cloudtrail", type("Any", (), {"lookup_events": lambda *_, **__: {}})())
    with pytest.raises(RefusedError, match="may not read the trail"):
        use_cases.query(context, Filter())


# --- AWS

EVENT = {
    "eventSource": "sagemaker.amazonaws.com",
    "eventName": "UpdateModelPackage",
    "eventTime": "2026-03-01T12:00:00Z",
    "userIdentity": {"arn": "arn:aws:sts::111122223333:assumed-role/overflight-approver/eve"},
    "requestParameters": {
        "modelPackageArn": "arn:aws:sagemaker:eu-central-1:111122223333:model-package/cars/3",
        "modelApprovalStatus": "Approved",
    },
    "eventID": "e",
    "requestID": "r",
    "readOnly": False,
}


@pytest.fixture
def cloudtrail():
    keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x"}
    client = boto3.client("cloudtrail", region_name="eu-central-1", **keys)
    context = Context(load_settings(platform="aws", account_id="111122223333", role="auditor"))
    context._clients["cloudtrail"] = client
    with Stubber(client) as stub:
        yield context, stub
        stub.assert_no_pending_responses()


def page(*events, token=None):
    listed = [{"EventId": "e", "CloudTrailEvent": json.dumps(event)} for event in events]
    return {"Events": listed} | ({"NextToken": token} if token else {})


def test_on_aws_cloudtrail_is_asked_for_one_attribute_and_the_rest_is_filtered_here(cloudtrail):
    context, stub = cloudtrail
    since = datetime(2026, 1, 1, tzinfo=UTC)
    asked = {"LookupAttributes": [{"AttributeKey": "Username", "AttributeValue": "eve"}], "StartTime": since}
    other = {**EVENT, "eventName": "DescribeModelPackage"}
    stub.add_response("lookup_events", page(EVENT, other, token="t"), asked)
    stub.add_response("lookup_events", page(EVENT), {**asked, "NextToken": "t"})
    found = use_cases.query(context, Filter(user="eve", action="sagemaker:Update*", since=since))
    assert [(one["user"], one["role"], one["action"]) for one in found] == [
        ("eve", "approver", "sagemaker:UpdateModelPackage")
    ] * 2


def test_on_aws_an_exact_action_is_asked_for_by_name(cloudtrail):
    context, stub = cloudtrail
    asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": "UpdateModelPackage"}]}
    stub.add_response("lookup_events", page(EVENT), asked)
    assert len(use_cases.query(context, Filter(action="sagemaker:UpdateModelPackage"))) == 1


def test_on_aws_an_approval_is_told_by_the_calls_that_decide_and_says_what_is_elsewhere(cloudtrail, monkeypatch):
    context, stub = cloudtrail
    package = EVENT["requestParameters"]["modelPackageArn"]
    monkeypatch.setattr(use_cases, "_package", lambda *_: {"arn": package, "status": "Approved"})
    created = {**EVENT, "eventName": "CreateModelPackage", "eventTime": "2026-02-01T12:00:00Z"}
    for name, event in (("CreateModelPackage", created), ("UpdateModelPackage", EVENT)):
        asked = {"LookupAttributes": [{"AttributeKey": "EventName", "AttributeValue": name}]}
        stub.add_response("lookup_events", page(event), asked)
    answer = use_cases.who_approved(context, package)
    assert (answer["approval"]["user"], answer["registered"]["action"]) == ("eve", "sagemaker:CreateModelPackage")
    assert "/overflight/events" in answer["note"]
    assert "/overflight/events" in answer["approval"]["announced"]
    assert "90 days" in answer["note"]


def test_on_aws_changes_of_access_are_those_of_iam(cloudtrail):
    context, stub = cloudtrail
    changed = {**EVENT, "eventSource": "iam.amazonaws.com", "eventName": "PutRolePolicy"}
    read = {**EVENT, "eventSource": "iam.amazonaws.com", "eventName": "GetRole", "readOnly": True}
    asked = {"LookupAttributes": [{"AttributeKey": "EventSource", "AttributeValue": "iam.amazonaws.com"}]}
    stub.add_response("lookup_events", page(EVENT, changed, read), asked)
    assert [one["action"] for one in use_cases.access_changes(context)] == ["iam:PutRolePolicy"]


def test_on_aws_verifying_is_cloudtrails_own_command(cloudtrail):
    context, _ = cloudtrail
    with pytest.raises(UsageError) as caught:
        use_cases.verify(context)
    assert (
        "aws cloudtrail validate-logs --trail-arn arn:aws:cloudtrail:eu-central-1:111122223333:trail/"
        in caught.value.cure
    )


def test_a_kms_key_signs_for_the_local_account(home, monkeypatch):
    class Kms:
        """Answers like KMS with a key of this process."""

        def __init__(self):
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

            self.key = Ed25519PrivateKey.generate()

        def get_public_key(self, KeyId):  # noqa: N803  # boto3's name
            from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

            der = self.key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return {"KeyId": KeyId, "PublicKey": der, "SigningAlgorithms": ["ED25519_SHA_512"]}

        def sign(self, Message, **_):  # noqa: N803  # boto3's name
            return {"Signature": self.key.sign(Message)}

    context = Context(load_settings(home=home, role="auditor"))
    kms = Kms()
    monkeypatch.setattr(use_cases, "_kms", lambda _: kms)
    made = use_cases.checkpoint(context, kms_key="alias/trail")
    found = use_cases.verify(context)
    assert made["new"]
    assert (found["findings"], found["checkpoints"], len(found["keys"])) == ([], 2, 2)
