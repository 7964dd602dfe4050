"""Rules of an approval: four eyes, what it rests on, what is recorded, when it expires."""

from dataclasses import replace

import pytest
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from overflight.account.shapes import Rules, check_request
from overflight.errors import UsageError
from overflight.governance.approvals import (
    ONE_PERSON,
    Evidence,
    Parties,
    Record,
    check_reason,
    expired,
    failed_gates,
    gaps,
    metadata_text,
    objections,
    one_person,
    people_text,
    person_of,
    update_request,
    why_not_valid,
)
from overflight.governance.containers import container_digest, unregistered

STS = "arn:aws:sts::123456789012:assumed-role/overflight-"
ANNA_TRAINS = person_of(f"{STS}data-scientist/anna")
BEN_APPROVES = person_of(f"{STS}approver/ben")
ANNA_APPROVES = person_of(f"{STS}approver/anna")
PIPELINE = person_of(f"{STS}register/SageMaker")
EVIDENCE = Evidence(
    artefact_uri="s3://b/runs/1/train/j/output/model.tar.gz",
    artefact_sha256="a" * 64,
    model_sha256="e" * 64,
    image="overflight/serve:1",
    container_sha256="d" * 64,
    survey_uri="s3://b/surveys/harbour/0123",
    survey_digest="5" * 64,
    metrics_uri="s3://b/runs/1/evaluate/evaluation.json",
    metrics_sha256="c" * 64,
    measured_sha256="e" * 64,
    evaluation_uri="s3://b/runs/1/evaluate",
    execution_arn="arn:aws:sagemaker:eu-central-1:1:pipeline/overflight-dev-train/execution/1",
    map50=0.8,
    min_map50=0.5,
    gate=True,
)
RECORD = Record("e1", BEN_APPROVES.arn, "a" * 64, EVIDENCE.survey, "c" * 64, "", "d" * 64)


def parties(approver=BEN_APPROVES, *, registrant=PIPELINE, trainers=(ANNA_TRAINS,), deployer=None):
    return Parties(approver, registrant, trainers, deployer)


@pytest.mark.parametrize(
    ("arn", "role", "user"),
    [
        pytest.param(f"{STS}data-scientist/anna", "data-scientist", "anna", id="session of a persona"),
        pytest.param(
            "arn:aws:sts::1:assumed-role/AWSReservedSSO_x/anna", "AWSReservedSSO_x", "anna", id="another role"
        ),
        pytest.param("arn:aws:iam::1:user/anna", "", "anna", id="user"),
        pytest.param("arn:aws:iam::1:user/team/anna", "", "anna", id="user with a path"),
        pytest.param("arn:aws:iam::1:root", "administrator", "root", id="the account's owner"),
        pytest.param("", "", "", id="nobody"),
    ],
)
def test_role_and_human_are_read_from_an_arn(arn, role, user):
    found = person_of(arn)
    assert (found.role, found.user) == (role, user)


ENGINEER = person_of(f"{STS}ml-engineer/ben")


@pytest.mark.parametrize(
    ("who", "persons", "roles"),
    [
        pytest.param(parties(), "", "", id="another person in another role"),
        pytest.param(parties(ANNA_APPROVES), "'anna' trained it", "", id="same person, other role"),
        pytest.param(parties(ANNA_TRAINS), "'anna' trained it", "'data-scientist' trained it", id="who trained it"),
        pytest.param(
            parties(registrant=person_of(f"{STS}ml-engineer/BEN")), "'BEN' registered it", "", id="who registered it"
        ),
        pytest.param(parties(deployer=ENGINEER), "'ben' deploys it", "", id="who deploys it"),
        pytest.param(
            parties(deployer=BEN_APPROVES), "'ben' deploys it", "'approver' deploys it", id="approver deploys"
        ),
        pytest.param(
            parties(trainers=(ANNA_TRAINS, person_of(f"{STS}data-scientist/ben"))),
            "'ben' trained it",
            "",
            id="the run before, whose model was reused",
        ),
        pytest.param(
            parties(person_of(f"{STS}administrator/eve")), "owner of the account", "owner of the account", id="owner"
        ),
        pytest.param(
            parties(person_of("arn:aws:iam::1:root")), "owner of the account", "owner of the account", id="root"
        ),
        pytest.param(parties(PIPELINE), "belongs to jobs", "belongs to jobs", id="a job"),
        pytest.param(
            parties(person_of("arn:aws:iam::1:user/anna")), "'anna' trained it", "'data-scientist'", id="user"
        ),
    ],
)
def test_four_eyes(who, persons, roles):
    for mode, words in (("persons", persons), ("roles", roles)):
        found = objections(who, mode=mode)
        assert bool(found) == bool(words), (mode, found)
        assert all(words in sentence for sentence in found)


def test_one_person_in_several_roles_is_said():
    assert one_person(parties(ANNA_APPROVES))
    assert people_text(parties(ANNA_APPROVES)).endswith(f"approved=approver/anna {ONE_PERSON}")
    assert not one_person(parties())
    assert people_text(parties()) == "trained=data-scientist/anna registered=register/SageMaker approved=approver/ben"


def test_an_approval_holds_while_nothing_changed():
    assert expired(RECORD, EVIDENCE) == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param(
            {"artefact_sha256": "b" * 64}, "the artefact is not the one approved (aaaaaaaaaaaa", id="artefact"
        ),
        pytest.param({"artefact_sha256": ""}, "(aaaaaaaaaaaa approved, nothing now)", id="artefact deleted"),
        pytest.param(
            {"container_sha256": "0" * 64}, "the container is not the one approved (dddddddddddd", id="container"
        ),
        pytest.param({"survey_digest": "6" * 64}, "harbour@555555555555 approved, harbour@666666666666", id="survey"),
        pytest.param({"survey_uri": "s3://b/surveys/field/0123"}, "field@555555555555 now", id="other survey"),
        pytest.param({"metrics_sha256": "d" * 64}, "the metrics file is not the one approved", id="metrics"),
    ],
)
def test_an_approval_expires(change, words):
    (found,) = expired(RECORD, replace(EVIDENCE, **change))
    assert words in found


@pytest.mark.parametrize("missing", ["event", "approved_by"])
def test_a_status_without_a_record_is_no_approval(missing):
    assert "no record of the approval" in expired(replace(RECORD, **{missing: ""}), EVIDENCE)[0]


@pytest.mark.parametrize("missing", ["artefact_sha256", "container_sha256", "survey", "metrics_sha256"])
def test_a_record_with_a_hole_is_no_approval(missing):
    assert expired(replace(RECORD, **{missing: ""}), EVIDENCE)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        pytest.param({"map50": 0.4}, "mAP50 0.400 is below the required 0.5", id="below the gate"),
        pytest.param({"map50": None}, "has no mAP50", id="no figure"),
        pytest.param({"gate": False}, "refused it", id="gate refused"),
        pytest.param({"gate": None}, "left no decision", id="no decision"),
        pytest.param({"measured_sha256": "9" * 64}, "measured another model", id="figures of another model"),
        pytest.param({"measured_sha256": ""}, "measured another model", id="figures of nobody knows which model"),
    ],
)
def test_gates_must_stand(change, words):
    (found,) = failed_gates(replace(EVIDENCE, **change))
    assert words in found
    assert failed_gates(EVIDENCE) == []


def test_an_approval_rests_on_all_its_evidence():
    assert gaps(EVIDENCE) == []
    assert len(gaps(Evidence())) == 5
    assert gaps(replace(EVIDENCE, unexplained=("its image is evil",))) == ["its image is evil"]
    (by_hand,) = [one for one in gaps(Evidence()) if "no run" in one]
    assert "what was registered by hand cannot be approved" in by_hand


@pytest.mark.parametrize(
    ("forged", "words"),
    [
        pytest.param(
            {"metrics_uri": "s3://b/experiments/mine/evaluation.json", "evaluation_uri": "s3://b/experiments/mine"},
            "the metrics lie where",
            id="metrics of an experiment",
        ),
        pytest.param(
            {"artefact_uri": "s3://b/experiments/mine/model.tar.gz"}, "the artefact lies where", id="artefact"
        ),
        pytest.param(
            {"metrics_uri": "s3://b/experiments/runs/1/evaluate/evaluation.json"},
            "the metrics lie where",
            id="look-alike",
        ),
        pytest.param({"evaluation_uri": "s3://b/runs/2/evaluate"}, "another evaluation", id="gate of another run"),
    ],
)
def test_evidence_counts_only_where_the_pipelines_jobs_write(forged, words):
    assert any(words in sentence for sentence in gaps(replace(EVIDENCE, **forged)))


def test_whoever_the_account_saw_must_be_the_one_in_the_record():
    given = {"record": RECORD, "evidence": EVIDENCE, "parties": parties(), "mode": "persons"}
    assert why_not_valid(status="Approved", decided_by=BEN_APPROVES.arn, **given) == []
    (found,) = why_not_valid(status="Approved", decided_by=f"{STS}ml-engineer/carl", **given)
    assert "carl changed the package last" in found
    assert why_not_valid(status="Rejected", decided_by=BEN_APPROVES.arn, **given) == ["it is Rejected, not Approved"]


@pytest.mark.parametrize("reason", ["", "   ", "ok", "\n fine \t", "x" * 961])
def test_a_reason_says_something_and_fits(reason):
    with pytest.raises(UsageError):
        check_reason(reason)


def test_a_reason_becomes_one_line():
    assert check_reason(" looked at\nall   pictures ") == "looked at all pictures"


@pytest.mark.parametrize("verdict", ["approve", "reject", "revoke"])
def test_aws_takes_the_request_at_its_longest(verdict):
    longest = replace(EVIDENCE, survey_uri="s3://b/surveys/" + "n" * 400)
    request = update_request(
        verdict,
        package_arn="arn:aws:sagemaker:eu-central-1:123456789012:model-package/overflight-harbour/1",
        reason="r" * 960,
        event_id="0" * 36,
        evidence=longest,
        parties=parties(person_of(f"{STS}approver/{'b' * 64},x")),
    )
    assert check_request("sagemaker", "UpdateModelPackage", request, rules=Rules()) == []
    assert len(request["ApprovalDescription"]) <= 1024
    assert ("approved_by" in request["CustomerMetadataProperties"]) == (verdict == "approve")


def test_lengths_are_those_of_botocores_model():
    shape = Session().get_service_model("sagemaker").operation_model("UpdateModelPackage").input_shape
    assert shape.members["CustomerMetadataProperties"].value.metadata["max"] == 256
    assert shape.members["ApprovalDescription"].metadata["max"] == 1024


@given(st.text(max_size=400))
def test_any_text_can_be_recorded(text):
    kept = metadata_text(text)
    assert len(kept) <= 256
    assert metadata_text(kept) == kept


@pytest.mark.parametrize("mode", ["roles", "persons"])
def test_nobody_approves_what_an_unknown_person_trained(mode):
    parties = Parties(
        BEN_APPROVES, PIPELINE, (), unknown_runs=("arn:aws:sagemaker:eu-central-1:1:pipeline/p/execution/x",)
    )
    assert objections(parties, mode=mode) == [
        "it is not known who started the run arn:aws:sagemaker:eu-central-1:1:pipeline/p/execution/x, which made it"
    ]
    assert objections(replace(parties, unknown_runs=()), mode=mode) == []


DECLARED = {"Containers": [{"Image": "overflight/serve:1"}], "SupportedContentTypes": ["image/jpeg"]}
ARTEFACT = {"ModelDataUrl": "s3://b/runs/1/train/j/output/model.tar.gz"}


def served(**container):
    """A package as AWS answers about it: with members of its own and empty lists."""
    own = {"ImageDigest": "sha256:00", "ModelDataETag": "e", "Environment": {}, "IsCheckpoint": None}
    containers = [{"Image": "overflight/serve:1", **ARTEFACT, **own, **container}]
    return {"InferenceSpecification": {**DECLARED, "Containers": containers, "SupportedTransformInstanceTypes": []}}


def test_what_the_service_adds_is_no_difference():
    assert unregistered(served(), DECLARED) == []
    assert container_digest(served()) == container_digest(served(Environment=None))
    assert container_digest({}) == ""


@pytest.mark.parametrize(
    ("container", "words"),
    [
        pytest.param({"Image": "evil"}, "its image is evil, the run registered overflight/serve:1", id="image"),
        pytest.param({"Image": None}, "its image is none", id="no image"),
        pytest.param(
            {"Environment": {"PYTHONPATH": "/x", "A": "b"}}, "carries the environment A, PYTHONPATH", id="environment"
        ),
        pytest.param(
            {"ModelDataSource": {"S3DataSource": {"S3Uri": "s3://b/x"}}}, "carries ModelDataSource", id="source"
        ),
        pytest.param({"AdditionalModelDataSources": [{"ChannelName": "x"}]}, "AdditionalModelDataSources", id="more"),
        pytest.param({"AMemberOfTheFuture": "x"}, "carries AMemberOfTheFuture", id="a member nobody knows yet"),
    ],
)
def test_a_container_carries_nothing_that_the_run_did_not_register(container, words):
    (found,) = unregistered(served(**container), DECLARED)
    assert words in found
    assert container_digest(served(**container)) != container_digest(served())


def test_an_image_that_only_an_expression_names_is_no_image():
    declared = {"Containers": [{"Image": {"Get": "Parameters.Image"}}]}
    assert "no image by name" in unregistered(served(Image="evil"), declared)[0]
