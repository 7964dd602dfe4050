"""Changes of access in the trail: when they are recorded and what they say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from overflight.account.local import trail
from overflight.account.local.access_record import access_document, difference, note_access
from overflight.account.local.verification import verify
from overflight.iam.access import Access, Role
from overflight.iam.core import Policy

READ = {"Sid": "Read", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
WRITE = {"Sid": "Write", "Effect": "Allow", "Action": "s3:PutObject", "Resource": "*"}


def role(key, *statements, boundary=None, tags=None):
    return Role(
        key=key,
        name=f"overflight-{key}",
        arn=f"arn:aws:iam::000000000000:role/overflight-{key}",
        kind="persona",
        description="",
        policies=(Policy(f"overflight-{key}", {"Version": "2012-10-17", "Statement": list(statements)}),),
        boundary=boundary,
        trust=Policy("trust", {"Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}),
        tags=tags or {},
    )


def access(digest, *roles, **resource_policies):
    return Access(
        account_id="000000000000",
        region="eu-central-1",
        prefix="overflight",
        environment="dev",
        bucket="b",
        audit_bucket="a",
        roles={one.key: one for one in roles},
        resource_policies={name: Policy(name, document) for name, document in resource_policies.items()},
        digest=digest,
    )


def recorded(account):
    with account.store.read() as transaction:
        return [entry for entry in trail.entries(transaction) if entry.service == "overflight"]


class Authoriser:
    """Has loaded some access, and says so once."""

    def __init__(self, *loaded):
        self.waiting = list(loaded)

    def newly_loaded(self):
        return self.waiting.pop() if self.waiting else None


def call_decided_by(account, seen):
    with account.store.write() as transaction:
        note_access(transaction, replace(account, authoriser=Authoriser(seen)), user="ada")


def test_access_is_recorded_when_it_is_first_seen_and_when_it_changes(account):
    first, second = access("one", role("auditor", READ)), access("two", role("auditor", READ, WRITE))
    for seen in (first, first, second, first, first):  # the last two: back again
        call_decided_by(account, seen)
    found = recorded(account)
    assert [(one.parameters["Old"], one.parameters["New"]) for one in found] == [
        ("", "one"),
        ("one", "two"),
        ("two", "one"),
    ]
    assert found[0].parameters["Changes"] == []
    assert found[0].details["seen_with"] == "ada"
    assert [(one["role"], one["change"], one["name"]) for one in found[1].parameters["Changes"]] == [
        ("auditor", "added", "overflight-auditor Write")
    ]
    assert found[2].parameters["Changes"][0]["change"] == "removed"
    assert found[1].operation == "AccessChanged"
    assert verify(account.store).findings == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        pytest.param(role("a"), role("a"), [], id="the same"),
        pytest.param(role("a", READ), role("b", READ), [("a", "removed", "role"), ("b", "added", "role")], id="roles"),
        pytest.param(
            role("a", READ), role("a", {**READ, "Resource": "x"}), [("a", "changed", "statement")], id="statement"
        ),
        pytest.param(
            role("a", READ), role("a", {**READ, "Sid": "Other"}),
            [("a", "removed", "statement"), ("a", "added", "statement")],
            id="renamed",
        ),
        pytest.param(role("a"), role("a", tags={"k": "v"}), [("a", "added", "tag")], id="tag"),
        pytest.param(role("a"), role("a", boundary=Policy("b", {})), [("a", "added", "boundary")], id="boundary"),
        pytest.param(
            role("a"),
            replace(role("a"), trust=Policy("trust", {"Statement": []})),
            [("a", "removed", "statement")],
            id="trust",
        ),
    ],
)  # fmt: skip
def test_differences_in_words(old, new, found):
    changes = difference(access_document(access("1", old)), access_document(access("2", new)))
    assert [(one["role"], one["change"], one["what"]) for one in changes] == found


def test_policies_of_resources_and_statements_without_a_name():
    unnamed = {key: value for key, value in READ.items() if key != "Sid"}
    old = access_document(access("1", bucket={"Statement": unnamed}))
    new = access_document(access("2", bucket={"Statement": [{**unnamed, "Effect": "Deny"}]}, key={"Statement": []}))
    assert [(one["role"], one["change"], one["name"]) for one in difference(old, new)] == [
        ("bucket", "changed", "bucket #1"),
        ("key", "added", "key"),
    ]


def test_it_is_recorded_with_the_first_call_that_is_decided_by_it(account):
    decided = replace(account, authoriser=Authoriser(access("one", role("auditor", READ))))
    for _ in range(2):
        with account.store.write() as transaction:
            note_access(transaction, decided, user="ada")
    assert len(recorded(account)) == 1
