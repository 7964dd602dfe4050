"""Questions to a trail, over entries made by hand."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.account.trail_entry import Entry, from_record
from overflight.errors import UsageError
from overflight.governance.questions import Filter, access_changes, activity, moment, people, row, rows, who_approved

START = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
PACKAGE = "arn:aws:sagemaker:eu-central-1:000000000000:model-package/cars/3"


def entry(
    number,
    role,
    user,
    operation,
    *,
    service="sagemaker",
    error="",
    read_only=False,
    days=0.0,
    details=None,
    **parameters,
):
    return Entry(
        sequence=number,
        time=START + timedelta(days=days, seconds=number),
        caller=f"arn:aws:sts::000000000000:assumed-role/overflight-{role}/{user}",
        service=service,
        operation=operation,
        read_only=read_only,
        request_id=f"r{number}",
        parameters=parameters,
        error=error,
        message="",
        prev_hash="",
        hash=f"h{number}",
        details=details or {},
        event_id=f"e{number}",
    )


def decision(outcome="allow", layer="identity", policy="overflight-x", sid="Some", **more):
    return {"decision": {"outcome": outcome, "layer": layer, "policy": policy, "sid": sid, **more}}


DENIED = decision("explicit-deny", "boundary", "overflight-boundary", "NoApproval", resource=PACKAGE)
TRAIL = [
    entry(1, "data-scientist", "ada", "StartPipelineExecution", PipelineName="overflight-dev-train"),
    entry(2, "register", "run-1", "CreateModelPackage", details={"run": "0a1b"}, ModelPackageGroupName="cars"),
    entry(3, "data-scientist", "ada", "UpdateModelPackage", error="AccessDeniedException", details=DENIED,
          ModelPackageArn=PACKAGE, ModelApprovalStatus="Approved"),
    entry(4, "approver", "eve", "DescribeModelPackage", read_only=True, ModelPackageName=PACKAGE),
    entry(5, "approver", "eve", "UpdateModelPackage", days=1, details=decision(sid="Decide", resource=PACKAGE),
          ModelPackageArn=PACKAGE, ModelApprovalStatus="Approved", ApprovalDescription="recall 0.9 [event e-1]",
          ModelLifeCycle={"Stage": "Production", "StageStatus": "Approved"},
          CustomerMetadataProperties={"approval_event": "e-1", "approval_artefact_sha256": "ab", "approval_survey": "s",
                                      "approval_people": "3 persons"}),
    entry(6, "approver", "eve", "UpdateModelPackage", days=1, ModelPackageArn=PACKAGE.replace("/3", "/33"),
          ModelApprovalStatus="Rejected"),
    entry(7, "ml-engineer", "ada", "PutObject", service="s3", days=1, Bucket="b", Key="surveys/x"),
    entry(8, "ml-engineer", "ada", "ListObjectsV2", service="s3", days=1, read_only=True,
          details=decision(action="s3:ListBucket"), Bucket="b", Prefix="surveys/"),
    entry(9, "ml-engineer", "ada", "InvokeEndpoint", service="sagemaker-runtime", days=2, error="ValidationError",
          EndpointName="overflight-dev-cars"),
]  # fmt: skip


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        pytest.param({}, [1, 2, 3, 4, 5, 6, 7, 8, 9], id="all"),
        pytest.param({"user": "ada"}, [1, 3, 7, 8, 9], id="user"),
        pytest.param({"user": "ad"}, [], id="part of a user"),
        pytest.param({"role": "approver"}, [4, 5, 6], id="role"),
        pytest.param({"action": "sagemaker:Update*"}, [3, 5, 6], id="pattern"),
        pytest.param({"action": "sagemaker:updatemodelpackage"}, [3, 5, 6], id="any case"),
        pytest.param({"action": "PutObject"}, [7], id="without a service"),
        pytest.param({"action": "s3:ListBucket"}, [8], id="the action that was decided"),
        pytest.param({"action": "sagemaker:InvokeEndpoint"}, [9], id="the runtime is SageMaker"),
        pytest.param({"resource": "cars/3"}, [3, 4, 5, 6], id="resource"),
        pytest.param({"resource": "surveys/"}, [7, 8], id="object"),
        pytest.param({"denied": True}, [3], id="denied"),
        pytest.param({"run": "0a1b"}, [2], id="run"),
        pytest.param({"since": START + timedelta(days=1)}, [5, 6, 7, 8, 9], id="since"),
        pytest.param({"until": START + timedelta(days=1)}, [1, 2, 3, 4], id="until"),
        pytest.param({"user": "ada", "action": "s3:*"}, [7, 8], id="both"),
    ],
)
def test_filters(wanted, found):
    assert [one["sequence"] for one in rows(TRAIL, Filter(**wanted))] == found


@pytest.mark.parametrize(
    ("number", "resource", "outcome", "statement"),
    [
        pytest.param(3, PACKAGE, "denied", "boundary overflight-boundary/NoApproval", id="denied"),
        pytest.param(7, "s3://b/surveys/x", "done", "", id="object"),
        pytest.param(8, "s3://b/surveys/", "done", "identity overflight-x/Some", id="prefix"),
        pytest.param(9, "overflight-dev-cars", "ValidationError", "", id="error"),
    ],
)
def test_rows_say_what_on_what_and_how_it_ended(number, resource, outcome, statement):
    found = row(TRAIL[number - 1])
    assert (found["resource"], found["outcome"], found["statement"]) == (resource, outcome, statement)


def test_nothing_allows_it_is_said():
    found = row(entry(1, "auditor", "eve", "PutObject", error="AccessDenied", details=decision("implicit-deny")))
    assert found["statement"] == "no identity policy allows it"


def test_a_role_of_its_own_is_not_taken_for_the_resource():
    assert (
        row(entry(1, "x", "y", "CreateModel", ExecutionRoleArn="arn:aws:iam::0:role/a", ModelName="m"))["resource"]
        == "m"
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("30m", START - timedelta(minutes=30), id="minutes"),
        pytest.param("2d", START - timedelta(days=2), id="days"),
        pytest.param("1w", START - timedelta(days=7), id="weeks"),
        pytest.param("2026-02-01", datetime(2026, 2, 1, tzinfo=UTC), id="date"),
        pytest.param("2026-02-01T10:00+02:00", datetime(2026, 2, 1, 8, tzinfo=UTC), id="with a zone"),
    ],
)
def test_moments(text, expected):
    assert moment(text, now=START) == expected


@pytest.mark.parametrize("text", ["yesterday", "", "2 d", "d", "99999999999d"])
def test_what_is_no_moment(text):
    with pytest.raises(UsageError, match="is no time"):
        moment(text, now=START)


def test_who_approved_and_on_which_evidence():
    answer = who_approved(TRAIL, PACKAGE, run="0a1b")
    approval = answer["approval"]
    assert (answer["package"], answer["holds"]) == ("cars/3", "Approved")
    assert (approval["user"], approval["role"], approval["sequence"], approval["event_id"]) == (
        "eve",
        "approver",
        5,
        "e5",
    )
    assert (approval["stage"], approval["approval_event"], approval["hash"]) == ("Production/Approved", "e-1", "h5")
    assert approval["evidence"] == {"artefact_sha256": "ab", "survey": "s"}
    assert approval["statement"] == "identity overflight-x/Decide"
    assert [one["sequence"] for one in answer["refused"]] == [3]
    assert answer["registered"]["sequence"] == 2
    assert answer["later"] == []


def test_a_later_rejection_holds_and_the_approval_is_still_told():
    rejected = entry(
        10, "approver", "bob", "UpdateModelPackage", days=3, ModelPackageArn=PACKAGE, ModelApprovalStatus="Rejected"
    )
    answer = who_approved([*TRAIL, rejected], PACKAGE)
    assert (answer["holds"], answer["approval"]["user"]) == ("Rejected", "eve")
    assert [(one["decision"], one["user"]) for one in answer["later"]] == [("Rejected", "bob")]
    again = entry(
        11, "approver", "eve", "UpdateModelPackage", days=4, ModelPackageArn=PACKAGE, ModelApprovalStatus="Approved"
    )
    answer = who_approved([*TRAIL, rejected, again], PACKAGE)
    assert (answer["approval"]["sequence"], [one["sequence"] for one in answer["earlier"]]) == (11, [5, 10])


def test_a_package_nobody_decided_about():
    answer = who_approved(TRAIL, PACKAGE.replace("/3", "/4"))
    assert (answer["holds"], answer["approval"], answer["refused"]) == ("", None, [])


def test_registered_by_the_answer_of_the_call():
    made = entry(1, "ml-engineer", "ada", "CreateModelPackage", ModelPackageGroupName="cars", ModelPackageArn=PACKAGE)
    assert who_approved([made], PACKAGE)["registered"]["user"] == "ada"
    assert who_approved([made], PACKAGE.replace("/3", "/4"))["registered"] is None


@pytest.mark.parametrize(
    ("registrant", "trainer", "verdict"),
    [
        pytest.param("ada", "bob", "3 persons", id="three"),
        pytest.param("ada", "ada", "2 persons", id="two"),
        pytest.param("eve", "ada", "one person in several roles: eve is also registrant", id="registrant"),
        pytest.param("eve", "eve", "one person in several roles: eve is also registrant and trainer", id="one"),
        pytest.param("Eve", "ada", "one person in several roles: eve is also registrant", id="any case"),
    ],
)
def test_persons(registrant, trainer, verdict):
    arn = "arn:aws:sts::0:assumed-role/overflight-x/"
    assert people({"user": "eve"}, arn + registrant, arn + trainer)["verdict"] == verdict


def test_sessions_of_pipelines_are_nobody():
    pipeline = "arn:aws:sts::0:assumed-role/overflight-register/SageMaker"
    assert people({"user": "eve"}, pipeline, "")["verdict"] == "nobody but the approver is known"
    trainer = "arn:aws:sts::0:assumed-role/overflight-data-scientist/ada"
    assert people({"user": "eve"}, pipeline, trainer)["verdict"] == "2 persons"


def announced(number, role, user, kind, *, error="", event_id="e-1", **detail):
    event = {
        "Source": "overflight.governance",
        "DetailType": kind,
        "Detail": json.dumps(detail),
        "Resources": [PACKAGE],
    }
    other = {"Source": "other", "DetailType": kind, "Detail": "{}", "Resources": [PACKAGE]}
    return entry(
        number, role, user, "PutEvents", service="events", error=error, days=1, Entries=[other, event],
        EventIds=["e-0", event_id],
    )  # fmt: skip


def test_what_was_announced_with_the_decision_is_told_with_it():
    told = announced(
        5, "approver", "eve", "Model Approval Decision", gates={"passed": True}, evidence={"model_sha256": "m"}
    )
    approval = who_approved([told, TRAIL[4]], PACKAGE)["approval"]
    assert approval["gates"] == {"passed": True}
    assert approval["evidence"] == {"model_sha256": "m", "artefact_sha256": "ab", "survey": "s"}
    assert approval["announced"] == "entry 5"


NOT_THERE = "no such event is in the trail"
DECIDED = "Model Approval Decision"


@pytest.mark.parametrize(
    ("number", "who", "kind", "given", "words"),
    [
        pytest.param(
            5, ("approver", "ada"), DECIDED, {}, "entry 5 by assumed-role/overflight-approver/ada", id="another"
        ),
        pytest.param(
            5, ("deploy", "eve"), DECIDED, {}, "entry 5 by assumed-role/overflight-deploy/eve", id="other role"
        ),
        pytest.param(
            9, ("approver", "eve"), DECIDED, {}, "entry 9 by assumed-role/overflight-approver/eve", id="later"
        ),
        pytest.param(5, ("approver", "eve"), DECIDED, {"event_id": "e-2"}, NOT_THERE, id="another event"),
        pytest.param(5, ("approver", "eve"), DECIDED, {"error": "AccessDenied"}, NOT_THERE, id="denied"),
        pytest.param(5, ("approver", "eve"), "Model Deployment Decision", {}, NOT_THERE, id="another kind"),
    ],
)
def test_an_event_is_believed_only_of_who_decided(number, who, kind, given, words):
    """Whatever time an event claims and whatever package it names."""
    told = announced(number, *who, kind, gates={"passed": True}, **given)
    approval = who_approved([told, TRAIL[4]], PACKAGE)["approval"]
    assert approval["announced"].removesuffix(": not by who decided, not believed") == words
    assert (approval["gates"], approval["evidence"]) == ({}, {"artefact_sha256": "ab", "survey": "s"})


def test_an_event_is_of_one_decision():
    told = announced(5, "approver", "eve", "Model Approval Decision", gates={"passed": True})
    answer = who_approved([told, TRAIL[4], TRAIL[4]], PACKAGE)
    assert [one["announced"] for one in (*answer["earlier"], answer["approval"])] == [
        "entry 5", "no such event is in the trail",
    ]  # fmt: skip


@pytest.mark.parametrize("detail", ["[" * 9_000, "7", '{"objections": 7, "evidence": 7, "gates": [1]}', "\\", None])
@pytest.mark.parametrize("kind", ["Model Approval Decision", "Model Approval Refused"])
def test_hostile_events_keep_nobody_from_an_answer(detail, kind):
    told = announced(5, "approver", "eve", kind)
    told.parameters["Entries"][1]["Detail"] = detail
    odd = entry(6, "data-scientist", "ada", "PutEvents", service="events", error="AccessDenied", Entries=7, EventIds=7)
    approval = who_approved([told, odd, TRAIL[4]], PACKAGE)["approval"]
    assert approval["gates"] == {}


def test_attempts_that_the_rules_refused_are_told():
    words = ["'ada' trained it and may not approve it"]
    own = announced(1, "approver", "ada", "Model Approval Refused", decision="approve", objections=words)
    no_role = announced(
        2, "data-scientist", "ada", "Model Approval Refused", error="AccessDeniedException", decision="approve"
    )
    unreadable = announced(3, "approver", "ada", "Model Approval Refused")
    unreadable.parameters["Entries"][1]["Detail"] = {"characters": 99_999, "sha256": "x"}
    found = who_approved([own, no_role, unreadable], PACKAGE)["refused"]
    assert [(one["role"], one["action"], one["outcome"], one["statement"]) for one in found] == [
        ("approver", "models approve", "refused", words[0]),
        ("data-scientist", "models approve", "denied", ""),
        ("approver", "models decide", "refused", ""),
    ]


def test_without_an_approval_there_is_no_verdict_about_persons():
    assert people(None, "", "")["verdict"] == "not approved"


def test_everything_a_person_did():
    answer = activity(TRAIL, "ada")
    assert (answer["changes"], answer["reads"], answer["denied"]) == (3, 1, 1)
    assert [(day["day"], [one["role"] for one in day["sessions"]]) for day in answer["days"]] == [
        ("2026-03-01", ["data-scientist"]),
        ("2026-03-02", ["ml-engineer"]),
        ("2026-03-03", ["ml-engineer"]),
    ]
    second = answer["days"][1]["sessions"][0]
    assert second["reads"] == {"s3:ListObjectsV2": 1}
    assert [one["action"] for one in second["changes"]] == ["s3:PutObject"]
    assert activity(TRAIL, "nobody")["days"] == []


def test_sessions_of_one_role_and_machine_are_one():
    made = [
        entry(n, "auditor", "eve", "ListModels", read_only=True, details={"host": host, "pid": n})
        for n, host in enumerate(["a", "a", "b"], start=1)
    ]
    sessions = activity(made, "eve")["days"][0]["sessions"]
    assert [(one["host"], one["processes"], one["reads"]) for one in sessions] == [
        ("a", 2, {"sagemaker:ListModels": 2}),
        ("b", 1, {"sagemaker:ListModels": 1}),
    ]


def test_changes_of_access():
    changed = entry(
        1, "x", "y", "AccessChanged", service="overflight", Old="1", New="2", Changes=[{"role": "a"}], Roles=["a"]
    )
    found = access_changes([*TRAIL, changed])
    assert [(one["old"], one["new"], one["first"], one["changes"]) for one in found] == [
        ("1", "2", False, [{"role": "a"}])
    ]


# --- what callers send is in the trail as they sent it

NAMES = ["Entries", "Resources", "Detail", "Source", "EventIds", "ModelPackageArn", "ModelApprovalStatus", "Old",
         "CustomerMetadataProperties", "ModelLifeCycle", "Changes", "Roles", "Bucket", "Key", "pid", "host", "decision",
         "role", "user", "run", "outcome", "resource", "layer", "DetailType"]  # fmt: skip
WORDS = ["Approved", "overflight.governance", PACKAGE, "Model Approval Decision", "[1]", "[" * 5000, '{"gates":5}']
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.sampled_from(WORDS) | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=3),
    max_leaves=8,
)
OBJECTS = st.dictionaries(st.sampled_from(NAMES), ANYTHING, max_size=6)


@settings(max_examples=150, deadline=None)
@given(
    parameters=OBJECTS,
    details=OBJECTS,
    called=st.sampled_from(
        [("events", "PutEvents"), ("sagemaker", "UpdateModelPackage"), ("sagemaker", "CreateModelPackage"),
         ("overflight", "AccessChanged"), ("s3", "GetObject")]
    ),
    error=st.sampled_from(["", "ValidationException"]),
)  # fmt: skip
def test_no_parameters_and_no_details_break_an_answer(parameters, details, called, error):
    made = entry(1, "approver", "eve", called[1], service=called[0], error=error, details=details)
    made = replace(made, parameters=parameters)
    entries = [made, TRAIL[4]]
    assert who_approved(entries, PACKAGE, run="r")["holds"] == "Approved"
    assert activity(entries, "eve")["user"] == "eve"
    access_changes(entries)
    list(rows(entries, Filter(resource="x", run="r", action="s3:*", denied=True)))


@pytest.mark.parametrize("member", ["requestParameters", "additionalEventData", "userIdentity", "sourceIPAddress"])
@pytest.mark.parametrize("value", [None, [1], "x", 5, {"sequence": [], "details": [1]}])
def test_an_event_with_members_of_other_types_is_still_an_entry(member, value):
    record = {"eventSource": "s3.amazonaws.com", "eventName": "GetObject", "eventTime": "2026-03-01T12:00:00Z"}
    made = from_record(record | {member: value})
    assert row(made)["action"] == "s3:GetObject"
    assert isinstance(made.parameters, dict)
