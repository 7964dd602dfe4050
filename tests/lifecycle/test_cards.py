"""Model cards in a real local account: from registry, run, jobs and documents; nothing is trained."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from click.testing import CliRunner

from overflight.account.local.executions import EXECUTION, change_step
from overflight.account.local.job_records import PROCESSING, create_job
from overflight.cli.app import App
from overflight.cli.model_card import card as command
from overflight.errors import InputError, NotFoundError, UsageError
from overflight.governance.model_card import make_card
from overflight.governance.model_card_facts import Approval
from overflight.governance.model_card_view import view_of
from overflight.lifecycle.approvals import approve, reject
from overflight.lifecycle.card_facts import card_for_decision, gather_facts
from overflight.lifecycle.cards import load_facts, make_package_card, store_card, write_blank_facts, write_card
from overflight.lifecycle.context import Context
from overflight.settings import Settings
from toy_package import person, register_toy

REASON = "looked at every overlay picture"
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
STATED = """
owner: Harbour team
contact: harbour@example.org
purpose: Finds squares.
intended_uses: [Counting squares]
out_of_scope_uses: [Finding circles]
factors: [Colour]
risk_rating: Low
risk_explanation: Nobody is hurt by a square.
business_problem: Squares must be counted.
stakeholders: [Painters]
"""
PHOTOS = [
    {"path": "photos/a.jpg", "flight": "f-1", "gsd_m": 0.02, "captured_at": "2026-06-02T10:00:00",
     "latitude_deg": 53.5, "longitude_deg": 9.9, "camera_make": "DJI", "camera_model": "FC220"},
    {"path": "photos/b.jpg", "flight": "f-2", "gsd_m": 0.03, "captured_at": "2026-06-03T10:00:00",
     "latitude_deg": 53.5, "longitude_deg": 9.9, "camera_make": "DJI", "camera_model": "FC220"},
]  # fmt: skip


def view(home, user, role):
    return Context(Settings(home=home, user=user, role=role), clock=lambda: datetime(2026, 11, 21, 9, 12, tzinfo=UTC))


@pytest.fixture
def home(tmp_path):
    return tmp_path / ".overflight"


@pytest.fixture
def auditor(home):
    return view(home, "carl", "auditor")


@pytest.fixture
def approver(home):
    return view(home, "ben", "approver")


@pytest.fixture
def toy(home, tmp_path):
    return register_toy(view(home, "anna", "data-scientist"), tmp_path)


@pytest.fixture
def stated(tmp_path):
    path = tmp_path / "facts.yaml"
    path.write_text(STATED)
    return load_facts(path)


@pytest.fixture
def whole(toy):
    """The toy with the data set and the job that made it, as a run of the training pipeline leaves them."""
    account, run = toy.account, toy.execution_arn.rsplit("/", 1)[1]
    folder = f"runs/{run}/prepare"
    dataset = {
        "classes": ["red", "blue"],
        "split_by": "flight",
        "split": {"train": ["f-1"], "val": [], "test": ["f-2"]},
        "photos": {"train": 1, "val": 0, "test": 1},
        "boxes": {"train": 70, "val": 0, "test": 5},
        "leaks": {"test of train": {"leaking": 1, "score": 1.0, "photos": {"a": 1, "b": 1}}},
        "digest": "d" * 64,
    }
    baseline = {"class_balance": [{"name": "red", "boxes": 60}, {"name": "blue", "boxes": 10}]}
    for name, document in (
        ("dataset.json", dataset),
        ("baseline.json", baseline),
        ("test/truth.json", {"images": [{"file_name": "b.jpg"}]}),
    ):
        toy.put(f"{folder}/{name}", json.dumps(document).encode())
    toy.put(toy.manifest_key, "".join(json.dumps(photo) + "\n" for photo in PHOTOS).encode())
    survey = toy.manifest_key.replace("manifest.jsonl", "survey.json")
    toy.put(
        survey, json.dumps({"name": "squares", "classes": ["red", "blue"], "flights": {"f-1": 1, "f-2": 1}}).encode()
    )
    output = {
        "OutputName": "dataset",
        "S3Output": {"S3Uri": f"s3://{account.bucket}/{folder}", "LocalPath": "/opt/ml/processing/output/dataset",
                     "S3UploadMode": "EndOfJob"},
    }  # fmt: skip
    requests = {
        "Prepare": (PROCESSING, {
            "ProcessingJobName": "prepare-job",
            "ProcessingResources": {"ClusterConfig": CLUSTER},
            "AppSpecification": {"ImageUri": "overflight/jobs:1"},
            "ProcessingOutputConfig": {"Outputs": [output]},
            "RoleArn": account.role_arn("prepare"),
        }),
    }  # fmt: skip
    with account.store.write() as tx:
        execution = tx.get(EXECUTION, run)
        for name, (kind, request) in requests.items():
            job = create_job(tx, account, person(Settings(), "register", run), kind=kind, request=request)
            change_step(
                tx, account, execution, name, status="Succeeded", type="Processing",
                started_at="2026-11-20T13:10:00+00:00", ended_at="2026-11-20T13:20:00+00:00",
                metadata={"ProcessingJob": {"Arn": job.body["arn"]}}, attempts=1,
            )  # fmt: skip
    return toy


def test_an_auditor_makes_the_whole_card_from_what_the_run_left(auditor, whole, stated):
    card = make_package_card(auditor, whole.arn, stated=stated)
    assert not card.facts.absent
    assert (card.facts.trained_by, card.status) == ("data-scientist/anna", "PendingReview")
    training = card.content["training_details"]["training_job_details"]
    assert training["training_arn"].endswith(f"training-job/toy-train-{card.facts.run}")
    assert {"name": "recipe", "value": "default"} in training["hyper_parameters"]
    assert not any(entry["name"].startswith("sagemaker_") for entry in training["hyper_parameters"])
    assert card.facts.trained_photos.gsd_cm == (2.0, 2.0, 2.0)
    assert card.facts.test_photos.gsd_cm == (3.0, 3.0, 3.0)
    said = {limit.id for limit in card.limits}
    assert {"leak", "few-trained-boxes", "one-site", "one-camera", "gsd-outside", "old-evaluation"} <= said


def test_what_is_not_there_is_named_and_the_card_is_made_all_the_same(auditor, toy, stated):
    card = make_package_card(auditor, toy.arn, stated=stated)
    assert {"dataset.json", "baseline.json"} <= card.facts.absent.keys()
    assert card.status == "Draft"
    assert "training data not known" in card.missing
    assert card.content["evaluation_details"][0]["metric_groups"][0]["metric_data"][0]["value"] == 0.81


def test_a_damaged_document_is_an_absent_fact(auditor, whole):
    whole.put(whole.artefact_key, b"no archive")
    whole.put(whole.metrics_key, b"{")
    absent = make_package_card(auditor, whole.arn).facts.absent
    assert "no archive of a model" in absent["model.json"]
    assert absent["evaluation.json"] == "it is not a JSON object"


def test_lines_and_members_of_another_shape_are_left_out_and_named(auditor, whole):
    lines = [json.dumps(photo) for photo in PHOTOS]
    odd = [
        '{"path": 7}',
        "nothing",
        '{"path": "photos/c.jpg", "gsd_m": "x", "captured_at": "soon", "latitude_deg": {}}',
    ]
    whole.put(whole.manifest_key, "\n".join([*lines, *odd]).encode())
    whole.put(whole.metrics_key, b'{"metrics": {"map50": {"value": 0.8, "low": "?"}, "recall": 7}, "per_class": []}')
    card = make_package_card(auditor, whole.arn)
    assert card.facts.absent["manifest.jsonl"] == "3 of 5 lines are not as they should be"
    assert card.facts.absent["evaluation.json"].startswith(
        "it is not as it should be: metrics.map50.low, metrics.recall"
    )
    assert card.facts.overall("map50").value == 0.8
    view_of(card)


def test_the_status_follows_approval_and_its_expiry(auditor, approver, whole, stated):
    approve(approver, whole.arn, reason=REASON)
    card = make_package_card(auditor, whole.arn, stated=stated)
    assert (card.status, card.facts.approval.by, card.facts.approval.reason) == ("Approved", "approver/ben", REASON)
    assert card.facts.approval.event
    kept = auditor.client("sagemaker").describe_model_package(ModelPackageName=whole.arn)["ModelCard"]
    assert kept["ModelCardStatus"] == "Approved"
    assert card.facts.approval.event in kept["ModelCardContent"]
    whole.put(whole.artefact_key, b"another model")
    later = make_package_card(auditor, whole.arn, stated=stated)
    assert later.status == "Draft"
    assert "artefact is not the one approved" in later.facts.approval.reasons[0]


def test_a_card_that_was_born_approved_counts_for_nothing_and_is_told(auditor, whole, stated):
    """No policy can look into the card of a package that is registered: this is why nothing reads its status."""
    package = auditor.client("sagemaker").describe_model_package(ModelPackageName=whole.arn)
    package["ModelCard"] = {"ModelCardContent": "{}", "ModelCardStatus": "Approved"}
    facts = gather_facts(auditor, package, approval=Approval("PendingManualApproval"))
    card = make_card(facts, stated)
    assert card.status == "PendingReview"
    assert "card in the registry says Approved" in " ".join(view_of(card).remarks)


def test_a_rejected_package_has_an_archived_card(auditor, approver, whole, stated):
    reject(approver, whole.arn, reason="blue squares are missed")
    assert make_package_card(auditor, whole.arn, stated=stated).status == "Archived"


@pytest.mark.parametrize(
    ("verdict", "status"), [("approve", "Approved"), ("reject", "Archived"), ("revoke", "Archived")]
)
def test_a_decision_carries_the_card_of_the_package_as_it_will_be(approver, whole, verdict, status):
    card = card_for_decision(approver, whole.arn, verdict=verdict, reason=REASON, event="event-1")
    assert card["ModelCardStatus"] == status
    content = json.loads(card["ModelCardContent"])
    assert content["model_overview"].keys() == {"model_creator", "model_artifact"}
    assert content["additional_information"]["custom_details"]["approval_event"] == "event-1"
    assert "\n" not in card["ModelCardContent"]


def test_the_registry_takes_the_card_and_an_archived_one_is_left_alone(approver, whole):
    card = card_for_decision(approver, whole.arn, verdict="reject")
    sagemaker = approver.client("sagemaker")
    sagemaker.update_model_package(
        ModelPackageArn=whole.arn,
        ModelApprovalStatus="Rejected",
        ApprovalDescription=REASON,
        CustomerMetadataProperties={"approval_event": "event-1"},
        ModelCard=card,
    )
    assert sagemaker.describe_model_package(ModelPackageName=whole.arn)["ModelCard"] == card
    assert card_for_decision(approver, whole.arn, verdict="approve") is None


def test_a_decision_does_not_wait_for_a_card_that_cannot_be_made(approver, whole, monkeypatch, caplog):
    def broken(*_, **__):
        raise InputError("does not fit")

    monkeypatch.setattr("overflight.lifecycle.card_facts.make_card", broken)
    assert card_for_decision(approver, whole.arn, verdict="approve") is None
    assert "no model card" in caplog.text


def test_approvers_keep_cards_and_what_was_stated_is_found_again(approver, auditor, whole, stated):
    place = store_card(approver, make_package_card(approver, whole.arn, stated=stated))
    assert str(place).endswith("/cards/overflight-toy/1")
    s3 = auditor.client("s3")
    names = {
        item["Key"].rsplit("/", 1)[1] for item in s3.list_objects_v2(Bucket=place.bucket, Prefix=place.key)["Contents"]
    }
    assert names == {"card.json", "card.html", "card.pdf", "facts.yaml"}
    assert make_package_card(auditor, whole.arn).stated == stated


def test_page_and_pdf_are_written(auditor, whole, tmp_path, stated):
    write_card(
        make_package_card(auditor, whole.arn, stated=stated), html=tmp_path / "card.html", pdf=tmp_path / "card.pdf"
    )
    assert "Counting squares" in (tmp_path / "card.html").read_text()
    assert (tmp_path / "card.pdf").read_bytes().startswith(b"%PDF")


def test_a_facts_file_is_written_once_and_missed_by_name(tmp_path):
    path = tmp_path / "card.yaml"
    write_blank_facts(path)
    assert load_facts(path).missing()
    with pytest.raises(UsageError, match="not overwritten"):
        write_blank_facts(path)
    with pytest.raises(NotFoundError, match="no such file"):
        load_facts(tmp_path / "other.yaml")


def test_no_package_no_card(auditor, whole):
    with pytest.raises(NotFoundError, match="no such model package"):
        make_package_card(auditor, whole.arn.replace("/1", "/99"))


class TestCommand:
    def call(self, home, *arguments):
        options = {"platform": None, "home": home, "profile": None, "region": None, "role": None}
        return CliRunner().invoke(command, arguments, obj=App(options), catch_exceptions=False)

    def test_shows_status_summary_and_limits(self, home, whole):
        shown = self.call(home, "overflight-toy/1")
        assert shown.exit_code == 0
        assert "Draft" in shown.output
        assert "! 1 of 1 held-out photographs" in shown.output

    def test_json_has_the_card_in_awss_schema(self, home, whole, tmp_path):
        facts = tmp_path / "facts.yaml"
        facts.write_text(STATED)
        shown = self.call(home, "--facts", str(facts), "--html", str(tmp_path / "c.html"), "--json")
        document = json.loads(shown.output)
        assert document["status"] == "PendingReview"
        assert document["content"]["intended_uses"]["purpose_of_model"] == "Finds squares."
        assert document["written"] == {"html": str(tmp_path / "c.html")}

    def test_init_writes_the_file_to_fill_in_and_needs_no_account(self, tmp_path):
        shown = self.call(tmp_path / "nowhere", "--init", str(tmp_path / "card.yaml"))
        assert "Fill in" in shown.output
        assert "risk_rating" in (tmp_path / "card.yaml").read_text()
        assert not (tmp_path / "nowhere").exists()
