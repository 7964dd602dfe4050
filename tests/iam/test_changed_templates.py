"""A template that somebody changed by hand is read, or refused with the place and a cure; it never breaks the tool."""

from __future__ import annotations

import json
from copy import deepcopy
from functools import cache

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from overflight.errors import InputError, OverflightError, UsageError
from overflight.governance.activities import answers
from overflight.governance.escalation import search
from overflight.iam.access import access_of
from overflight.iam.lint import lint_identity, lint_policy, lint_template
from overflight.iam.roles import JOB_ROLES, PERSONAS
from overflight.iam.statements import compiled
from overflight.infra.templates import load, read_template, resolve, template_text

PLACE = {"account_id": "123456789012", "region": "eu-central-1"}
STATEMENT = {"Sid": "S", "Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}


@cache
def written() -> str:
    return json.dumps(read_template(template_text("identity")))


def changed(change):
    document = json.loads(written())
    change(document["Resources"])
    return resolve(document, parameters={}, name="identity", **PLACE)


def at(*path, put):
    """A change that puts something at a place; a number counts in a list."""

    def change(resources):
        place = resources
        for part in path[:-1]:
            place = place[part]
        place[path[-1]] = put

    return change


TRUST = ("Auditor", "Properties", "AssumeRolePolicyDocument", "Statement")
INLINE = ("Admin", "Properties", "Policies", 0)
ODD = {
    "a statement that is text": (at("ReadData", "Properties", "PolicyDocument", "Statement", 0, put="x"), "text"),
    "a trust that is text": (at(*TRUST, 0, put="x"), "text, not a statement"),
    "all statements as text": (at(*TRUST, put="x"), "text, not a statement or a list"),
    "a condition with a number": (at(*TRUST, 0, "Condition", put={"Bool": 5}), "a number, not a mapping"),
    "a condition that is a list": (at(*TRUST, 0, "Condition", put=[1]), "a list, not a mapping"),
    "a value that is a mapping": (at(*TRUST, 0, "Condition", put={"Bool": {"a": {}}}), "a mapping, not a value"),
    "a principal that is a number": (at(*TRUST, 0, "Principal", put=5), "a number, not a mapping"),
    "an action that is a mapping": (at(*TRUST, 0, "Action", put={}), "a mapping, not text"),
    "a tag without a value": (at("Admin", "Properties", "Tags", 0, put={"Key": "a"}), "missing"),
    "policies with a number": (at(*INLINE, put=5), "a number, not a mapping"),
    "a policy without a document": (at(*INLINE, put={"PolicyName": "a"}), "missing"),
    "a document that is text": (at(*INLINE, "PolicyDocument", put="{}"), "text, not a policy document"),
    "a document without statements": (at(*INLINE, "PolicyDocument", put={"Version": "2012-10-17"}), "missing"),
    "tags that are text": (at("Admin", "Properties", "Tags", put="x"), "text, not a list"),
    "a session without a number": (at("Admin", "Properties", "MaxSessionDuration", put="1h"), "not a whole number"),
    "a bucket policy without bucket": (at("DataBucketPolicy", "Properties", "Bucket", put=[]), "a list, not text"),
    "a key without a policy": (at("DataKey", "Properties", put={}), "missing"),
    "the name of another role": (at("Auditor", "Properties", "RoleName", put="overflight-approver"), "too"),
    "the key of another role": (
        at("Auditor", "Properties", "Tags", put=[{"Key": "overflight:role", "Value": "approver"}]),
        "Approver is the role with the key approver too",
    ),
}


@pytest.mark.parametrize(("change", "words"), ODD.values(), ids=ODD)
def test_what_cannot_be_read_is_refused_with_its_place_and_is_a_finding(change, words):
    template = changed(change)
    with pytest.raises(InputError, match=words) as refused:
        access_of(template)
    assert refused.value.where.startswith("Resources/")
    assert refused.value.cure
    found = lint_template(template)
    assert found[0].rule == "unreadable"
    assert words in found[0].what
    assert refused.value.where == f"Resources/{found[0].policy}/{found[0].path}"


@pytest.mark.parametrize("key", [*PERSONAS, *JOB_ROLES])
def test_a_role_that_is_missing_is_a_finding(key):
    def leave_out(resources):
        for name, one in list(resources.items()):
            if {"Key": "overflight:role", "Value": key} in one.get("Properties", {}).get("Tags", []):
                del resources[name]

    missing = [one.what for one in lint_identity(changed(leave_out)) if one.rule == "role-missing"]
    assert missing == [f"no role has the tag overflight:role={key}"]


def test_the_roles_that_are_needed_are_those_of_the_template():
    roles = access_of(load("identity", parameters={}, **PLACE)).roles
    assert [key for key in roles if roles[key].kind == "persona"] == list(PERSONAS)
    assert {key for key in roles if roles[key].kind == "execution"} == set(JOB_ROLES)


@pytest.mark.parametrize("kind", ["identity", "trust"])
def test_lint_of_a_policy_names_a_statement_that_is_none(kind):
    document = {"Version": "2012-10-17", "Statement": [STATEMENT, "x"]}
    found = [one for one in lint_policy(document, name="p", kind=kind) if one.rule == "form"]
    assert [(one.path, one.what) for one in found] == [("Statement/1", "Statement/1 is text, not a statement")]


def test_a_long_name_in_a_policy_is_compared_without_recursion():
    statement = {**STATEMENT, "Resource": f"arn:aws:s3:::{'a' * 20_000}/*"}
    assert lint_policy({"Version": "2012-10-17", "Statement": [statement]}, name="p", kind="boundary")


@pytest.mark.parametrize("text", ["[" * 5000 + "]" * 5000, "\n" + "- " * 5000 + "x"], ids=["brackets", "hyphens"])
def test_what_is_nested_too_deeply_is_refused_with_its_line(text):
    with pytest.raises(UsageError, match="nested deeper than") as refused:
        read_template(f"Resources: {text}", where="a.yaml")
    assert refused.value.where.startswith("a.yaml, line")


# ---------------------------------------------------------------- anything anywhere

VALUES = [5, -1, 1.5, True, "", "x", "*", "${", "arn:aws:iam::1:role/x", [], [1], ["x"], [[]], {}, {"a": 1}]
VALUES += [{"Ref": "Prefix"}, {"Ref": 5}, {"Fn::Sub": ["${a}", 5]}, {"Fn::If": [5, 1, 2]}, {"Fn::GetAtt": [1]}]
VALUES += [{"Statement": ["x"]}, {"Statement": {}}, {"Condition": {"Bool": [1]}}, "'", "é", "a" * 3000]


def places(value, path=()):
    """Path of everything in a template."""
    if path:
        yield path
    pairs = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in pairs:
        yield from places(item, (*path, key))


@cache
def all_places():
    return sorted(places(json.loads(written())), key=repr)


def with_changes(changes):
    """Ours with some places that say something else, nothing, or the same thing twice."""
    document = json.loads(written())
    for path, put in changes:
        place = document
        try:
            for part in path[:-1]:
                place = place[part]
            if put == "delete":
                del place[path[-1]]
            elif put == "twice":
                place[path[-1]] = [deepcopy(place[path[-1]]), deepcopy(place[path[-1]])]
            else:
                place[path[-1]] = deepcopy(put)
        except (KeyError, IndexError, TypeError):  # an earlier change took the place away
            continue
    return document


def ask_everything(document):
    template = resolve(document, parameters={}, name="changed", **PLACE)
    lint_template(template)
    access = access_of(template)
    for policy in access.policies():
        compiled(policy)
    some = list(access.roles)[:1]
    answers(access, some)
    search(access, only=some)


@given(st.data())
@settings(max_examples=30, deadline=None)
def test_no_change_of_our_template_breaks_the_tool(data):
    change = st.tuples(st.sampled_from(all_places()), st.sampled_from([*VALUES, "delete", "twice"]))
    changes = data.draw(st.lists(change, min_size=1, max_size=3))
    refused = None
    try:
        ask_everything(with_changes(changes))
    except OverflightError as error:
        refused = error
    assert refused is None or (refused.what and refused.where)
