"""EventBridge: PutEvents."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from overflight.account.local import events, trail
from overflight.account.local.login import local_session


@pytest.fixture
def client(session):
    return session.client("events")


def entry(**changes):
    given = {"Source": "overflight.monitor", "DetailType": "Drift Alert", "Detail": '{"a": 1}', **changes}
    return {name: value for name, value in given.items() if value is not None}


def published(account):
    with account.store.read() as transaction:
        return events.after(transaction, 0)


def test_events_are_on_the_bus_in_order(client, account, clock, assert_fits_output_shape):
    moment = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    response = client.put_events(Entries=[entry(Resources=["arn:x"]), entry(Detail='{"b": [2]}', Time=moment)])
    assert_fits_output_shape(client, "PutEvents", response)
    assert response["FailedEntryCount"] == 0
    first, second = published(account)
    assert [first.event_id, second.event_id] == [answer["EventId"] for answer in response["Entries"]]
    assert (first.source, first.detail_type, first.detail) == ("overflight.monitor", "Drift Alert", {"a": 1})
    assert (first.resources, first.time, first.bus) == (["arn:x"], clock(), "default")
    assert (second.detail, second.time) == ({"b": [2]}, moment)
    assert second.sequence == first.sequence + 1
    assert events_after(account, first.sequence) == [second]


@pytest.mark.parametrize("given", ["2026-01-02T03:04:05Z", 1767323045, datetime(2026, 1, 2, 3, 4, 5)])
def test_times_as_botocore_takes_them(client, account, given):
    client.put_events(Entries=[entry(Time=given)])
    assert published(account)[0].time == datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def events_after(account, sequence):
    with account.store.read() as transaction:
        return events.after(transaction, sequence)


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        pytest.param(entry(Detail="{"), "MalformedDetail", id="not JSON"),
        pytest.param(entry(Detail='"text"'), "MalformedDetail", id="not an object"),
        pytest.param(entry(Detail='{"x": NaN}'), "MalformedDetail", id="NaN"),
        pytest.param(entry(Source=None), "InvalidArgument", id="no source"),
        pytest.param(entry(Detail=None), "InvalidArgument", id="no detail"),
        pytest.param(entry(Source="aws.sagemaker"), "NotAuthorizedForSourceException", id="source of AWS"),
        pytest.param(entry(EventBusName="other"), "ResourceNotFoundException", id="no such bus"),
    ],
)
def test_one_bad_entry_does_not_hold_back_the_others(client, account, bad, code, assert_fits_output_shape):
    response = client.put_events(Entries=[bad, entry()])
    assert_fits_output_shape(client, "PutEvents", response)
    assert response["FailedEntryCount"] == 1
    assert response["Entries"][0]["ErrorCode"] == code
    assert [event.event_id for event in published(account)] == [response["Entries"][1]["EventId"]]


@pytest.mark.parametrize(
    "entries",
    [
        pytest.param([entry()] * 11, id="eleven"),
        pytest.param([entry(Detail=json.dumps({"x": "y" * 270_000}))], id="too large"),
    ],
)
def test_too_much_at_once_is_refused_as_a_whole(client, account, entries):
    with pytest.raises(ClientError, match="ValidationException"):
        client.put_events(Entries=entries)
    assert published(account) == []


@pytest.mark.parametrize(
    ("role", "detail_type", "may"),
    [
        pytest.param("approver", "Model Approval Decision", True, id="approver decides"),
        pytest.param("approver", "Model Approval Refused", True, id="approver is refused by the rules"),
        pytest.param("approver", "Model Deployment Decision", False, id="approver does not deploy"),
        pytest.param("deploy", "Model Deployment Decision", True, id="deploy deploys"),
        pytest.param("deploy", "Model Approval Decision", False, id="deploy does not decide"),
        pytest.param("data-scientist", "Model Approval Refused", False, id="others announce nothing"),
    ],
)
def test_each_role_announces_only_what_it_decides(account, loader, role, detail_type, may):
    client = local_session(account, role=role, user="ben", loader=loader).client("events")
    own = {"Source": "overflight.governance", "DetailType": detail_type, "Detail": "{}"}
    if may:
        assert client.put_events(Entries=[own])["FailedEntryCount"] == 0
        return
    with pytest.raises(ClientError, match="AccessDenied"):
        client.put_events(Entries=[own])


def test_the_trail_knows_which_events_a_call_published(client, account):
    told = client.put_events(Entries=[entry(), entry(Detail="no JSON"), entry()])["Entries"]
    (kept,) = [one for one in trail.stream(account.store) if one.operation == "PutEvents"]
    assert kept.parameters["EventIds"] == [told[0]["EventId"], "", told[2]["EventId"]]
    assert len(kept.parameters["Entries"]) == 3
