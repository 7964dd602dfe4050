"""The trail as a file: what is exported, and that a changed export is found without the account."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from overflight.account.local import trail
from overflight.account.local.checkpoint_keys import PublicKey
from overflight.account.local.checkpoints import Checkpointer, Ledger
from overflight.account.local.store import Store
from overflight.account.local.trail_file import export_cloudtrail, export_lines, verify_file
from overflight.account.trail_entry import Entry, from_record, to_record
from overflight.errors import InputError

APPROVER = "arn:aws:sts::000000000000:assumed-role/overflight-approver/ada"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "keys")


@pytest.fixture
def store(tmp_path, clock, ledger):
    """Five entries, an approval as the third: covered by a checkpoint up to there."""
    opened = Store(tmp_path / "home", clock=clock)
    opened.listener = Checkpointer(ledger, account_id="000000000000", clock=clock)
    for n in range(1, 6):
        with opened.write() as transaction:
            trail.append(
                transaction,
                time=clock(),
                caller=APPROVER,
                service="sagemaker",
                operation="UpdateModelPackage" if n == 3 else "DescribeModelPackage",
                read_only=n != 3,
                request_id=f"r{n}",
                parameters={"ModelApprovalStatus": "Approved", "n": 1.5}
                if n == 3
                else {"Größe": [1, -0.0, 1e300, None]},
                details={"role": "approver", "user": "ada"},
            )
    yield opened
    opened.close()


@pytest.fixture
def exported(store, ledger, tmp_path, clock):
    out = tmp_path / "trail.jsonl"
    assert export_lines(store, ledger, out, account_id="000000000000", time=clock(), by="auditor/eve") == 5
    return out


def problems(path, **options):
    return [(finding.sequence, finding.problem) for finding in verify_file(path, **options).findings]


def test_an_export_is_verified_without_the_account(exported, ledger):
    own = verify_file(exported)
    assert (own.findings, own.entries, own.checkpoints, own.covered) == ([], 5, 1, 3)
    assert [warning.sequence for warning in own.warnings] == [0, 4]
    assert "in the file itself" in own.warnings[0].problem
    trusted = verify_file(exported, public_keys=ledger.public_keys())
    assert (trusted.findings, [warning.sequence for warning in trusted.warnings]) == ([], [4])


def test_the_header_says_where_it_comes_from(exported):
    header = json.loads(exported.read_text().splitlines()[0])
    assert {name: header[name] for name in ("schema", "account", "exported_by", "entries", "last")} == {
        "schema": "overflight.trail/1",
        "account": "000000000000",
        "exported_by": "auditor/eve",
        "entries": 5,
        "last": 5,
    }
    assert len(header["checkpoints"]) == 1


@pytest.mark.parametrize(
    ("change", "found"),
    [
        pytest.param(lambda lines: [line.replace('"r2"', '"x2"') for line in lines], [(2, "was edited")], id="edited"),
        pytest.param(
            lambda lines: [*lines[:2], *lines[3:]],
            [(2, "entries 2 to 2 are missing")],
            id="removed",
        ),
        pytest.param(lambda lines: lines[:-1], [(5, "entries 5 to 5 are missing at the end")], id="cut off"),
        pytest.param(
            lambda lines: lines[:2],
            [
                (2, "entries 2 to 5 are missing at the end"),
                (2, "entries 2 to 3 are missing: checkpoint 1 of 2026-03-01T12:00:00.000000+00:00 has them"),
            ],
            id="cut off before a checkpoint",
        ),
        pytest.param(
            lambda lines: [lines[0], "{", *lines[2:]],
            [
                (1, "does not follow from the entry before"),
                (1, "was edited"),
                (2, "does not follow from the entry before"),
            ],
            id="no JSON",
        ),
        pytest.param(
            lambda lines: [lines[0].replace('"last":5', '"last":4'), *lines[1:5]],
            [(4, "is not the newest entry that was exported")],
            id="cut off with the count edited",
        ),
    ],
)
def test_a_changed_export_is_found(exported, change, found):
    exported.write_text("\n".join(change(exported.read_text().splitlines())) + "\n")
    assert problems(exported) == found


def test_an_export_written_anew_does_not_fit_its_checkpoints(exported):
    header, *lines = exported.read_text().splitlines()
    previous, made = trail.GENESIS, []
    for line in lines:
        entry = json.loads(line) | {"prev_hash": previous, "caller": "somebody else"}
        sealed = {**entry, **{name: trail.canonical_json(entry[name]) for name in ("parameters", "details")}}
        previous = entry["hash"] = trail.seal(sealed)
        made.append(json.dumps(entry))
    header = json.dumps(json.loads(header) | {"hash": previous})
    exported.write_text("\n".join([header, *made]) + "\n")
    assert [sequence for sequence, _ in problems(exported)] == [3]


def test_an_export_signed_by_somebody_else_is_found(exported):
    other = PublicKey(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert "is signed with the key" in problems(exported, public_keys=[other])[0][1]


@pytest.mark.parametrize("content", ["", "x", "[]", '{"schema":"other"}', '{"schema":"overflight.trail/1"}'])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "f").write_text(content)
    with pytest.raises(InputError, match="overflight trail export"):
        verify_file(tmp_path / "f")
    with pytest.raises(InputError, match="cannot be read"):
        verify_file(tmp_path / "none")


def test_cloudtrails_form(store, tmp_path):
    out = tmp_path / "log.json"
    assert export_cloudtrail(store, out, account_id="000000000000", region="eu-central-1") == 5
    record = json.loads(out.read_text())["Records"][2]
    assert record["eventName"] == "UpdateModelPackage"
    assert record["eventSource"] == "sagemaker.amazonaws.com"
    assert record["eventTime"] == "2026-03-01T12:00:00Z"
    assert record["userIdentity"]["sessionContext"]["sessionIssuer"]["userName"] == "overflight-approver"
    assert record["requestParameters"] == {"modelApprovalStatus": "Approved", "n": 1.5}
    assert (record["readOnly"], record["managementEvent"], record["eventCategory"]) == (False, True, "Management")
    assert "errorCode" not in record


NAMES = st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=8).map(str.capitalize)
VALUES = st.recursive(st.text(max_size=5) | st.integers(), lambda inner: st.dictionaries(NAMES, inner, max_size=3))


@given(
    parameters=st.dictionaries(NAMES, VALUES, max_size=4),
    service=st.sampled_from(["sagemaker", "s3", "sts"]),
    error=st.sampled_from(["", "AccessDenied"]),
    read_only=st.booleans(),
)
def test_an_entry_survives_cloudtrails_form(parameters, service, error, read_only):
    entry = Entry(
        sequence=7,
        time=datetime(2026, 3, 1, 12, tzinfo=UTC),
        caller=APPROVER,
        service=service,
        operation="Anything",
        read_only=read_only,
        request_id="r",
        parameters=parameters,
        error=error,
        message="m" if error else "",
        prev_hash="p",
        hash="h",
        details={"role": "approver"},
        event_id="e",
    )
    record = json.loads(json.dumps(to_record(entry, account_id="000000000000", region="eu-central-1")))
    assert from_record(record) == entry


def test_names_that_people_chose_keep_their_case():
    entry = from_record(
        {
            "eventSource": "sagemaker.amazonaws.com",
            "eventName": "CreateTrainingJob",
            "eventTime": "2026-03-01T12:00:00Z",
            "requestParameters": {"trainingJobName": "a", "hyperParameters": {"epochs": "3"}},
        }
    )
    assert entry.parameters == {"TrainingJobName": "a", "HyperParameters": {"epochs": "3"}}


# --- CloudTrail's LookupEvents of the local account


@pytest.fixture
def lookup(session, settings):
    s3 = session.client("s3")
    for n in range(3):
        s3.put_object(Bucket=settings.bucket, Key=f"k{n}", Body=b"")
    s3.get_object(Bucket=settings.bucket, Key="k0")["Body"].close()
    client = session.client("cloudtrail")

    def call(**params):
        return client.lookup_events(**params)

    return call


@pytest.mark.parametrize(
    ("key", "value", "names"),
    [
        pytest.param("EventName", "PutObject", ["PutObject"] * 3, id="name"),
        pytest.param("EventSource", "s3.amazonaws.com", ["GetObject", *["PutObject"] * 3], id="source"),
        pytest.param("Username", "ada", ["GetObject", *["PutObject"] * 3], id="user"),
        pytest.param("Username", "da", [], id="part of a user"),
        pytest.param("ReadOnly", "true", ["GetObject"], id="reads"),
        pytest.param("ResourceName", "k1", ["PutObject"], id="resource"),
    ],
)
def test_events_are_looked_up_newest_first(lookup, key, value, names):
    found = lookup(LookupAttributes=[{"AttributeKey": key, "AttributeValue": value}])["Events"]
    assert [event["EventName"] for event in found] == names


def test_looking_up_goes_on_with_the_token_and_is_recorded(lookup, assert_fits_output_shape, session, account):
    first = lookup(MaxResults=3)
    assert_fits_output_shape(session.client("cloudtrail"), "LookupEvents", first)
    assert [event["EventName"] for event in first["Events"]] == ["GetObject", "PutObject", "PutObject"]
    second = lookup(MaxResults=50, NextToken=first["NextToken"])
    assert [event["EventName"] for event in second["Events"]] == ["PutObject"]
    assert "NextToken" not in second
    with account.store.read() as transaction:
        assert [entry.operation for entry in trail.entries(transaction)][-2:] == ["LookupEvents"] * 2


@pytest.mark.parametrize(
    ("params", "code"),
    [
        pytest.param({"MaxResults": 51}, "InvalidMaxResultsException", id="too many"),
        pytest.param({"NextToken": "x"}, "InvalidNextTokenException", id="token"),
        pytest.param(
            {"LookupAttributes": [{"AttributeKey": "AccessKeyId", "AttributeValue": "x"}]},
            "InvalidLookupAttributesException",
            id="attribute",
        ),
    ],
)
def test_what_cloudtrail_refuses(lookup, session, params, code):
    with pytest.raises(session.client("cloudtrail").exceptions.ClientError, match=code):
        lookup(**params)
