"""The trail: what is written into it, and that changes of it are found."""

from __future__ import annotations

import sqlite3

import pytest

from overflight.account.local import trail
from overflight.account.local.verification import verify
from overflight.errors import StoreError


@pytest.fixture
def used(session, settings, account):
    s3 = session.client("s3")
    for n in range(5):
        s3.put_object(Bucket=settings.bucket, Key=f"k{n}", Body=b"content")
    return account


def alter(account, *statements):
    with sqlite3.connect(account.store.path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def test_every_call_is_written_down(session, settings, account, clock):
    s3 = session.client("s3")
    s3.put_object(Bucket=settings.bucket, Key="k", Body=b"content", Metadata={"a": "b"})
    s3.get_object(Bucket=settings.bucket, Key="k")["Body"].close()
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=settings.bucket, Key="none")
    with account.store.read() as transaction:
        put, got, missed = trail.entries(transaction)
    assert (put.service, put.operation, put.read_only, put.error) == ("s3", "PutObject", False, "")
    assert put.caller == "arn:aws:sts::000000000000:assumed-role/overflight-administrator/ada"
    assert put.time == clock()
    assert put.parameters == {
        "Bucket": settings.bucket,
        "Key": "k",
        "Metadata": {"a": "b"},
        "Body": {"bytes": 7, "sha256": "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73"},
    }
    assert (got.operation, got.read_only) == ("GetObject", True)
    assert (missed.error, missed.read_only) == ("NoSuchKey", True)
    assert [entry.sequence for entry in (put, got, missed)] == [1, 2, 3]
    assert put.prev_hash == trail.GENESIS
    assert got.prev_hash == put.hash


def test_entries_come_in_pages(used):
    with used.store.read() as transaction:
        assert [entry.sequence for entry in trail.entries(transaction, after=2, limit=2)] == [3, 4]


def test_an_entry_that_cannot_be_read_any_more_is_said(used):
    alter(used, "UPDATE trail SET parameters = 'x' WHERE sequence = 2")
    with pytest.raises(StoreError, match=r"entry 2 .* was edited\. See: overflight trail verify"):
        list(trail.stream(used.store))


def test_all_entries_in_both_directions(used):
    assert [entry.sequence for entry in trail.stream(used.store)] == [1, 2, 3, 4, 5]
    assert [entry.sequence for entry in trail.stream(used.store, newest_first=True)] == [5, 4, 3, 2, 1]


def test_an_intact_trail_has_no_findings(used):
    assert verify(used.store).findings == []


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        pytest.param(
            ["UPDATE trail SET caller = 'someone else' WHERE sequence = 3"], [(3, "was edited")], id="a field edited"
        ),
        pytest.param(
            ["UPDATE trail SET parameters = '{}' WHERE sequence = 1"], [(1, "was edited")], id="parameters edited"
        ),
        pytest.param(["DELETE FROM trail WHERE sequence = 2"], [(2, "entries 2 to 2 are missing")], id="one removed"),
        pytest.param(
            ["DELETE FROM trail WHERE sequence >= 4"], [(4, "entries 4 to 5 are missing at the end")], id="end removed"
        ),
        pytest.param(["DELETE FROM trail"], [(1, "entries 1 to 5 are missing at the end")], id="everything removed"),
        pytest.param(
            ["DELETE FROM trail WHERE sequence = 2", "UPDATE trail SET sequence = sequence - 1 WHERE sequence > 2"],
            [
                (2, "does not follow from the entry before"),
                (2, "was edited"),
                (3, "was edited"),
                (4, "was edited"),
                (5, "entries 5 to 5 are missing at the end"),
            ],
            id="removed and renumbered",
        ),
    ],
)
def test_changes_are_found(used, statements, found):
    alter(used, *statements)
    assert [(finding.sequence, finding.problem) for finding in verify(used.store).findings] == found


def test_a_forged_entry_does_not_fit(used):
    with used.store.read() as transaction:
        last = trail.entries(transaction)[-1]
    row = {**vars(last), "time": last.time.isoformat(timespec="microseconds"), "parameters": "{}", "caller": "me"}
    row["hash"] = trail.seal({key: value for key, value in row.items() if key != "hash"})
    alter(used, f"UPDATE trail SET parameters='{{}}', caller='me', hash='{row['hash']}' WHERE sequence = 3")
    assert {finding.sequence for finding in verify(used.store).findings} == {3, 4}


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        pytest.param({"Password": "x"}, {"Password": "***"}, id="password"),
        pytest.param(
            {"Environment": {"API_KEY": "x", "LANG": "C"}},
            {"Environment": {"API_KEY": "***", "LANG": "C"}},
            id="in a map",
        ),
        pytest.param({"MlflowSecretToken": "x"}, {"MlflowSecretToken": "***"}, id="secret"),
        pytest.param({"NextToken": "x", "Key": "k"}, {"NextToken": "x", "Key": "k"}, id="a token that is no secret"),
        pytest.param({"List": [{"SessionToken": "t"}]}, {"List": [{"SessionToken": "***"}]}, id="in a list"),
        pytest.param({"n": float("nan")}, {"n": "nan"}, id="not a number"),
        pytest.param(
            {"b": b"ab"},
            {"b": {"bytes": 2, "sha256": "fb8e20fc2e4c3f248c60c39bd652f3c1347298bb977b8b4d5903b85055620603"}},
            id="bytes",
        ),
        pytest.param({"f": object()}, {"f": "<object>"}, id="a stream"),
    ],
)
def test_what_may_stand_in_the_trail(given, kept):
    assert trail.recordable(given) == kept


def test_long_texts_are_recorded_by_digest():
    kept = trail.recordable({"PipelineDefinition": "x" * 100_000})["PipelineDefinition"]
    assert kept["characters"] == 100_000
    assert len(kept["sha256"]) == 64


def test_secrets_of_an_assumed_role_are_nowhere_in_the_state(session, account):
    keys = session.client("sts").assume_role(RoleArn=account.role_arn("approver"), RoleSessionName="bob")["Credentials"]
    account.close()
    files = [path.read_bytes() for path in account.home.glob("state.db*")]
    assert any(keys["AccessKeyId"].encode() in content for content in files)
    for secret in (keys["SecretAccessKey"], keys["SessionToken"]):
        assert not any(secret.encode() in content for content in files)
