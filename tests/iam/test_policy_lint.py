"""Every banned shape is found where it is planted and not in its clean twin; our own policies have none."""

import json
import subprocess
import sys
from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from iam_cases import read_cases

from overflight.iam import lint_sets, lint_statements
from overflight.iam.access import read_access
from overflight.iam.actions import find
from overflight.iam.core import Policy
from overflight.iam.lint import lint_access, lint_policy, lint_resources, lint_template
from overflight.iam.lint_model import may_meet, view
from overflight.infra.templates import load, read_template, resolve, template_names

HERE = Path(__file__).parent
ACCOUNT, REGION = "123456789012", "eu-central-1"
ROOT = f"arn:aws:iam::{ACCOUNT}:root"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/ov-train"
SAGEMAKER = f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:"
PACKAGE = f"{SAGEMAKER}model-package/ov-*"
JOB = f"{SAGEMAKER}training-job/ov-dev-*"


def allow(action, resource="*", **more):
    return {"Sid": "Planted", "Effect": "Allow", "Action": action, "Resource": resource, **more}


def deny(action, resource="*", **more):
    return {**allow(action, resource, **more), "Effect": "Deny"}


def when(**operators):
    return {"Condition": operators}


def only(sid, statement):
    return {**statement, "Sid": sid}


def without(statement, *elements):
    return {key: value for key, value in statement.items() if key not in elements}


def trust(principal, condition, **more):
    return {"Sid": "Trust", "Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **condition, **more}


SERVICE = {"Service": "sagemaker.amazonaws.com"}
PERSON = when(StringEquals={"aws:PrincipalTag/overflight-role": "x"}, Bool={"aws:MultiFactorAuthPresent": "true"})
FOR_US = {"StringEquals": {"aws:SourceAccount": ACCOUNT}, "ArnLike": {"aws:SourceArn": f"{SAGEMAKER}*"}}
PASSED = when(StringEquals={"iam:PassedToService": "sagemaker.amazonaws.com"})
PENDING = when(StringEquals={"sagemaker:ModelApprovalStatus": "PendingManualApproval"})
BIRTH_GUARDS = [
    only("NoStage", deny("sagemaker:CreateModelPackage", **when(Null={"sagemaker:ModelLifeCycle:Stage": "false"}))),
    only(
        "NoApproval",
        deny(
            "sagemaker:CreateModelPackage",
            **when(Null={"sagemaker:CustomerMetadataProperties/approval_event": "false"}),
        ),
    ),
]
INSTANCES = {"sagemaker:InstanceTypes": ["ml.g5.*"]}
BY_PROD_TAG = deny("sagemaker:DeleteEndpoint", **when(StringEquals={"aws:ResourceTag/env": "prod"}))
BY_PROD_NAME = only(
    "Names", deny("sagemaker:Delete*", [f"{SAGEMAKER}{one}/ov-prod-*" for one in ("endpoint", "model")])
)

# rule: (kind, the banned shape, the shape that says the same rightly)
PLANTED = {
    "form: no effect": ("identity", without(allow("s3:ListAllMyBuckets"), "Effect"), allow("s3:ListAllMyBuckets")),
    "form: both": ("boundary", allow("s3:*", NotAction="s3:GetObject"), allow("s3:*")),
    "form: condition": (
        "identity",
        allow("s3:ListAllMyBuckets", Condition=[{"StringEquals": {"a": "b"}}]),
        allow("s3:ListAllMyBuckets", Condition={}),
    ),
    "form: principal": (
        "resource",
        allow("s3:GetObject", "arn:aws:s3:::d/*", Principal=ROLE),
        allow("s3:GetObject", "arn:aws:s3:::d/*", Principal={"AWS": [ROLE]}),
    ),
    "form: resource": ("identity", allow("s3:GetObject", {"x": 1}), allow("s3:GetObject", "arn:aws:s3:::d/*")),
    "form: no statement": ("identity", [], allow("s3:ListAllMyBuckets")),
    "sid: none": ("identity", without(allow("s3:ListAllMyBuckets"), "Sid"), allow("s3:ListAllMyBuckets")),
    "sid: signs": ("identity", allow("s3:ListAllMyBuckets", Sid="a-b"), allow("s3:ListAllMyBuckets", Sid="ab")),
    "sid-twice": (
        "identity",
        [allow("s3:ListAllMyBuckets"), deny("s3:CreateJob")],
        [allow("s3:ListAllMyBuckets"), only("Other", deny("s3:CreateJob"))],
    ),
    "placeholder-left": (
        "identity",
        allow("s3:GetObject", "arn:aws:s3:::${Prefix}-x/*"),
        allow("s3:GetObject", "arn:aws:s3:::x/*"),
    ),
    "placeholder-left: pseudo parameter": (
        "identity",
        allow("s3:GetObject", "arn:${AWS::Partition}:s3:::x/*"),
        allow("s3:GetObject", "arn:aws:s3:::x/${aws:PrincipalTag/user}/${*}"),
    ),
    "size": (
        "trust",
        trust({"AWS": ROOT}, PERSON, Sid="A" * 2000),
        trust({"AWS": ROOT}, PERSON, Sid="A" * 20),
    ),
    "unknown-action": (
        "identity",
        allow("sagemaker:CreateTrainingJobs", JOB),
        allow("sagemaker:CreateTrainingJob", JOB),
    ),
    "unknown-action: pattern": ("identity", deny("sagemaker:Approve*"), deny("sagemaker:Update*")),
    "unknown-operator": (
        "identity",
        allow("sagemaker:DescribeModel", **when(StringMatches={"aws:PrincipalTag/a": "b"})),
        allow("sagemaker:DescribeModel", **when(StringLike={"aws:PrincipalTag/a": "b"})),
    ),
    "unknown-operator: quantifier": (
        "identity",
        deny("sagemaker:AddTags", **when(**{"ForSomeValue:StringEquals": {"aws:TagKeys": ["env"]}})),
        deny("sagemaker:AddTags", **when(**{"ForAnyValue:StringEquals": {"aws:TagKeys": ["env"]}})),
    ),
    "value-form: bool": (
        "identity",
        deny("s3:GetObject", **when(Bool={"aws:SecureTransport": "no"})),
        deny("s3:GetObject", **when(Bool={"aws:SecureTransport": False})),
    ),
    "value-form: number": (
        "identity",
        allow("sagemaker:CreateTrainingJob", JOB, **when(NumericLessThan={"sagemaker:MaxRuntimeInSeconds": "1h"})),
        allow("sagemaker:CreateTrainingJob", JOB, **when(NumericLessThan={"sagemaker:MaxRuntimeInSeconds": 3600})),
    ),
    "star-in-exact-match": (
        "identity",
        allow("sagemaker:AddTags", JOB, **when(StringEquals={"sagemaker:TaggingAction": "Create*"})),
        allow("sagemaker:AddTags", JOB, **when(StringLike={"sagemaker:TaggingAction": "Create*"})),
    ),
    "set-operator-missing": (
        "identity",
        deny("sagemaker:AddTags", **when(StringEquals={"aws:TagKeys": "env"})),
        deny("sagemaker:AddTags", **when(**{"ForAnyValue:StringEquals": {"aws:TagKeys": "env"}})),
    ),
    "condition-key: X13": (
        "identity",
        allow("sagemaker:CreateEndpoint", **when(**{"ForAnyValue:StringLike": INSTANCES})),
        allow("sagemaker:CreateEndpointConfig", **when(**{"ForAnyValue:StringLike": INSTANCES})),
    ),
    "condition-key: a Deny that never fires": (
        "boundary",
        deny("sagemaker:CreateModel", **when(StringEquals={"sagemaker:ModelApprovalStatus": "Rejected"})),
        deny("sagemaker:UpdateModelPackage", **when(StringEquals={"sagemaker:ModelApprovalStatus": "Rejected"})),
    ),
    "condition-key: a Deny that always fires": (
        "boundary",
        deny("sagemaker:UpdateEndpoint", **when(Null={"sagemaker:TaggingAction": "true"})),
        deny("sagemaker:AddTags", **when(Null={"sagemaker:TaggingAction": "true"})),
    ),
    "wildcard-only-on-arn: X15": (
        "identity",
        allow("sagemaker-mlflow:AccessUI", f"{SAGEMAKER}mlflow-tracking-server/x"),
        allow("sagemaker-mlflow:AccessUI"),
    ),
    "wildcard-only-on-arn: a Deny": (
        "boundary",
        deny("sagemaker:PutResourcePolicy", f"{SAGEMAKER}*"),
        deny("sagemaker:PutResourcePolicy"),
    ),
    "resource-mismatch": (
        "identity",
        allow("sagemaker:CreateTrainingJob", f"{SAGEMAKER}processing-job/ov-*"),
        allow("sagemaker:CreateTrainingJob", JOB),
    ),
    "resource-mismatch: bucket for object": (
        "identity",
        allow("s3:GetObject", "arn:aws:s3:::data"),
        allow("s3:GetObject", "arn:aws:s3:::data/*"),
    ),
    "resource-mismatch: a resource too many": (
        "identity",
        allow("sagemaker:CreateTrainingJob", [JOB, "arn:aws:s3:::data/*"]),
        allow(["sagemaker:CreateTrainingJob", "s3:GetObject"], [JOB, "arn:aws:s3:::data/*"]),
    ),
    "wild-type": (
        "boundary",
        deny("sagemaker:CreateModel", f"{SAGEMAKER}mod*/ov-*"),
        deny("sagemaker:CreateModel", f"{SAGEMAKER}model/ov-*"),
    ),
    "resource-tag-on-create: X14": (
        "identity",
        allow("sagemaker:CreateTrainingJob", JOB, **when(StringEquals={"aws:ResourceTag/env": "dev"})),
        allow("sagemaker:CreateTrainingJob", JOB, **when(StringEquals={"aws:RequestTag/env": "dev"})),
    ),
    "deny-by-missing-tag: X05": (
        "identity",
        deny("sagemaker:*", **when(StringNotEquals={"aws:ResourceTag/env": "dev"})),
        deny(
            "sagemaker:*", **when(StringNotEquals={"aws:ResourceTag/env": "dev"}, Null={"aws:ResourceTag/env": "false"})
        ),
    ),
    "production-by-tag-only: X01": ("identity", BY_PROD_TAG, [BY_PROD_TAG, BY_PROD_NAME]),
    "production-by-tag-only: another action": (
        "identity",
        [{**BY_PROD_TAG, "Action": ["sagemaker:DeleteEndpoint", "sagemaker:StopTrainingJob"]}, BY_PROD_NAME],
        [BY_PROD_TAG, BY_PROD_NAME],
    ),
    "deny-bool-mfa: O20": (
        "identity",
        deny("sagemaker:DeleteModel", **when(Bool={"aws:MultiFactorAuthPresent": "false"})),
        deny("sagemaker:DeleteModel", **when(BoolIfExists={"aws:MultiFactorAuthPresent": "false"})),
    ),
    "for-all-values-unguarded: O04": (
        "identity",
        allow("sagemaker:CreateTrainingJob", JOB, **when(**{"ForAllValues:StringLike": INSTANCES})),
        allow(
            "sagemaker:CreateTrainingJob",
            JOB,
            **when(**{"ForAllValues:StringLike": INSTANCES, "Null": {"sagemaker:InstanceTypes": "false"}}),
        ),
    ),
    "negated-variable-unguarded": (
        "identity",
        deny("sagemaker:DeleteModel", **when(StringNotEquals={"aws:ResourceTag/owner": "${aws:PrincipalTag/user}"})),
        deny(
            "sagemaker:DeleteModel",
            **when(
                StringNotEquals={"aws:ResourceTag/owner": "${aws:PrincipalTag/user}"},
                Null={"aws:PrincipalTag/user": "false"},
            ),
        ),
    ),
    "not-principal-allow": (
        "resource",
        without(allow("s3:GetObject", "arn:aws:s3:::d/*", NotPrincipal={"AWS": ROLE}), "x"),
        deny("s3:GetObject", "arn:aws:s3:::d/*", NotPrincipal={"AWS": ROLE}),
    ),
    "not-action-allow": (
        "identity",
        without(allow("", NotAction="iam:*"), "Action"),
        without(deny("", NotAction="s3:GetObject"), "Action"),
    ),
    "not-resource-allow": (
        "identity",
        without(allow("s3:GetObject", NotResource="arn:aws:s3:::secret/*"), "Resource"),
        without(deny("s3:GetObject", NotResource="arn:aws:s3:::open/*"), "Resource"),
    ),
    "allow-whole-service": ("identity", allow("s3:*"), allow("s3:Get*")),
    "allow-whole-service: all": ("identity", allow("*"), allow("sagemaker:Describe*")),
    "allow-whole-service: a bucket": (
        "resource",
        allow("s3:*", "arn:aws:s3:::d/*", Principal={"AWS": ROLE}),
        allow("kms:*", Principal={"AWS": ROOT}),
    ),
    "allow-everything": ("boundary", allow("*"), allow("sagemaker:*")),
    "session-principal": (
        "resource",
        allow("s3:GetObject", "arn:aws:s3:::d/*", Principal={"AWS": f"arn:aws:sts::{ACCOUNT}:assumed-role/ov-train/s"}),
        allow("s3:GetObject", "arn:aws:s3:::d/*", Principal={"AWS": ROLE}),
    ),
    "resource-allow-everybody": (
        "resource",
        allow("s3:GetObject", "arn:aws:s3:::d/*", Principal="*"),
        deny("s3:GetObject", "arn:aws:s3:::d/*", Principal="*"),
    ),
    "resource-allow-everybody: with a condition": (
        "resource",
        allow(
            "s3:GetObject", "arn:aws:s3:::d/*", Principal={"AWS": "*"}, **when(StringEquals={"aws:PrincipalOrgID": "o"})
        ),
        deny("s3:GetObject", "arn:aws:s3:::d/*", Principal={"AWS": "*"}, **when(Bool={"aws:SecureTransport": "false"})),
    ),
    "pass-role-any: role/*": (
        "identity",
        allow("iam:PassRole", f"arn:aws:iam::{ACCOUNT}:role/*", **PASSED),
        allow("iam:PassRole", ROLE, **PASSED),
    ),
    "pass-role-any: prefix": (
        "identity",
        allow("iam:PassRole", [ROLE, f"arn:aws:iam::{ACCOUNT}:role/ov-*"], **PASSED),
        allow("iam:PassRole", [ROLE, f"{ROLE}2"], **PASSED),
    ),
    "pass-role-service: none": ("identity", allow("iam:PassRole", ROLE), allow("iam:PassRole", ROLE, **PASSED)),
    "pass-role-service: every service": (
        "identity",
        allow("iam:PassRole", ROLE, **when(StringLike={"iam:PassedToService": "*.amazonaws.com"})),
        allow("iam:PassRole", ROLE, **PASSED),
    ),
    "pass-role-service: if it says one": (
        "identity",
        allow("iam:PassRole", ROLE, **when(StringEqualsIfExists={"iam:PassedToService": "sagemaker.amazonaws.com"})),
        allow("iam:PassRole", ROLE, **PASSED),
    ),
    "approval-channel-open: X12": (
        "identity",
        [
            allow("sagemaker:UpdateModelPackage", PACKAGE),
            only(
                "No",
                deny(
                    "sagemaker:UpdateModelPackage", **when(StringEquals={"sagemaker:ModelApprovalStatus": "Approved"})
                ),
            ),
        ],
        allow(
            "sagemaker:UpdateModelPackage",
            PACKAGE,
            **when(StringEquals={"sagemaker:ModelApprovalStatus": ["Approved"]}),
        ),
    ),
    "approval-channel-open: birth": (
        "identity",
        allow("sagemaker:CreateModelPackage", PACKAGE, **PENDING),
        [allow("sagemaker:CreateModelPackage", PACKAGE, **PENDING), *BIRTH_GUARDS],
    ),
    "approval-channel-open: metadata": (
        "identity",
        [allow("sagemaker:CreateModelPackage", PACKAGE, **PENDING), BIRTH_GUARDS[0]],
        [allow("sagemaker:CreateModelPackage", PACKAGE, **PENDING), *BIRTH_GUARDS],
    ),
    "alias-channel-open: X16": (
        "identity",
        allow("sagemaker-mlflow:SetRegisteredModelAlias"),
        [
            allow("sagemaker-mlflow:Set*"),
            only("No", deny("sagemaker-mlflow:SetRegisteredModelAlias")),
        ],
    ),
    "trust-confused-deputy: nothing": ("trust", trust(SERVICE, {}), trust(SERVICE, {"Condition": FOR_US})),
    "trust-confused-deputy: account only": (
        "trust",
        trust(SERVICE, when(StringEquals=FOR_US["StringEquals"])),
        trust(SERVICE, {"Condition": FOR_US}),
    ),
    "resource-confused-deputy": (
        "resource",
        allow("sns:Publish", "arn:aws:sns:r:1:t", Principal={"Service": "events.amazonaws.com"}),
        allow(
            "sns:Publish",
            "arn:aws:sns:r:1:t",
            Principal={"Service": "events.amazonaws.com"},
            **when(StringEquals={"aws:SourceAccount": ACCOUNT}),
        ),
    ),
    "trust-root-open": (
        "trust",
        trust({"AWS": ROOT}, when(Bool={"aws:MultiFactorAuthPresent": "true"})),
        trust({"AWS": ROOT}, PERSON),
    ),
    "trust-root-open: account number": (
        "trust",
        trust({"AWS": ACCOUNT}, when(Bool={"aws:MultiFactorAuthPresent": "true"})),
        trust({"AWS": ACCOUNT}, PERSON),
    ),
    "trust-without-mfa": (
        "trust",
        trust({"AWS": ROOT}, when(StringEquals={"aws:PrincipalTag/overflight-role": "x"})),
        trust({"AWS": ROOT}, PERSON),
    ),
    "trust-without-mfa: if it is known": (
        "trust",
        trust(
            {"AWS": ROOT},
            when(
                StringEquals={"aws:PrincipalTag/overflight-role": "x"},
                BoolIfExists={"aws:MultiFactorAuthPresent": "true"},
            ),
        ),
        trust({"AWS": ROOT}, PERSON),
    ),
}


def document(statements):
    listed = statements if isinstance(statements, list) else [statements]
    return {"Version": "2012-10-17", "Statement": listed}


def found(statements, kind):
    return {finding.rule for finding in lint_policy(document(statements), name="p", kind=kind)}


@pytest.mark.parametrize(("label", "kind", "bad"), [(k, v[0], v[1]) for k, v in PLANTED.items()], ids=PLANTED)
def test_a_banned_shape_is_found(label, kind, bad):
    assert label.partition(":")[0] in found(bad, kind)


@pytest.mark.parametrize(("kind", "good"), [(v[0], v[2]) for v in PLANTED.values()], ids=PLANTED)
def test_its_clean_twin_has_no_finding_at_all(kind, good):
    assert found(good, kind) == set()


def test_every_rule_has_a_planted_shape():
    planted = {label.partition(":")[0] for label in PLANTED}
    assert {rule.id for rule in lint_statements.RULES} <= planted


TRUTH_CASES = {
    "O04": "for-all-values-unguarded",
    "O06": None,
    "O07": "set-operator-missing",
    "O10": "not-action-allow",
    "O15": "condition-key",
    "X01": "production-by-tag-only",
    "X05": "deny-by-missing-tag",
    "X06": None,
    "X12": "approval-channel-open",
    "X13": "condition-key",
}


@pytest.mark.parametrize(("case_id", "rule"), TRUTH_CASES.items())
def test_the_traps_of_the_truth_cases_are_refused(case_id, rule):
    cases = {case["id"]: case for case in read_cases("cases.json", "cases_x.json")}
    rules = {rule for policy in cases[case_id]["ident"] for rule in found(policy["Statement"], "identity")}
    assert rule in rules if rule else rules == {"sid"}


def test_a_finding_says_where_and_what_to_do():
    (finding,) = lint_policy(document(allow("s3:ListBuckets")), name="reads", kind="identity")
    assert (finding.rule, finding.sid, finding.path) == (
        "unknown-action",
        "Planted",
        "Statement/0/Action/s3:ListBuckets",
    )
    assert str(finding).startswith("reads, Planted: there is no action s3:ListBuckets (unknown-action). Correct")


def test_the_version_decides_about_variables():
    old = {**document(allow("s3:ListAllMyBuckets")), "Version": "2008-10-17"}
    assert [finding.rule for finding in lint_policy(old, name="p", kind="identity")] == ["version"]


meeting = st.text("ab", max_size=6)
patterns = st.text("ab*?", max_size=6)


@given(patterns, patterns, meeting)
def test_patterns_meet_where_an_arn_fits_both(one, other, name):
    from fnmatch import fnmatchcase

    if fnmatchcase(name, one) and fnmatchcase(name, other):
        assert may_meet(f"arn:aws:s3:::{one}", f"arn:aws:s3:::{other}")
    assert may_meet(f"arn:aws:s3:::{one}", f"arn:aws:s3:::{other}") == may_meet(
        f"arn:*:s3:::{other}", f"arn:aws:s3:::{one}"
    )


MEET = {
    "variable": ("arn:aws:s3:::d/${aws:PrincipalTag/u}/x", "arn:${Partition}:s3:::${Bucket}/${Object}", True),
    "other service": ("arn:aws:s3:::d", "arn:aws:sns:::d", False),
    "other type": ("arn:aws:sagemaker:r:1:model/x*", "arn:aws:sagemaker:${R}:${A}:endpoint/${N}", False),
    "shorter": ("arn:aws:s3:::data", "arn:aws:s3:::${Bucket}/${Object}", False),
    "everything": ("*", "arn:aws:s3:::d", True),
    "no ARN": ("data", "arn:aws:s3:::d", False),
}


@pytest.mark.parametrize(("one", "other", "expected"), MEET.values(), ids=MEET)
def test_meeting_patterns(one, other, expected):
    assert may_meet(one, other) is expected


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.sampled_from(["*", "Allow", "iam:PassRole", ROOT, "${x}"])),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)
ELEMENTS = [
    *("Sid", "Effect", "Action", "NotAction", "Resource", "NotResource"),
    *("Principal", "NotPrincipal", "Condition"),
]


@given(
    st.sampled_from(["identity", "boundary", "session", "organisation", "resource", "trust"]),
    st.one_of(anything, st.lists(st.dictionaries(st.sampled_from(ELEMENTS), anything), max_size=2)),
)
def test_no_document_is_too_odd_to_be_linted(kind, statements):
    assert lint_policy({"Statement": statements}, name="p", kind=kind)


# ---------------------------------------------------------------- roles


@pytest.fixture(scope="module")
def identity():
    return load("identity", parameters={}, account_id=ACCOUNT, region=REGION)


def access_of(result):
    return read_access(
        result.resources, account_id=ACCOUNT, region=REGION, prefix="overflight", environment="dev", arns=result.arns
    )


@pytest.fixture(scope="module")
def access(identity):
    return access_of(identity)


def with_role(access, key, **changes):
    return replace(access, roles={**access.roles, key: replace(access.roles[key], **changes)})


def rules_of(findings):
    return {finding.rule for finding in findings}


def test_a_role_without_boundary_is_found(access):
    assert "no-boundary" in rules_of(lint_access(with_role(access, "admin", boundary=None)))


def test_the_boundary_closes_what_a_role_leaves_open_and_is_missed_when_it_is_gone(access):
    """The data scientist's own policy guards the status alone; lifecycle and metadata are closed by the boundary."""
    found = lint_access(with_role(access, "data-scientist", boundary=None))
    assert {"no-boundary", "approval-channel-open"} <= rules_of(found)


@pytest.mark.parametrize(
    ("sid", "rule"),
    [
        ("OnlyDeployTouchesProduction", "production-by-tag-only"),
        ("NothingIsBornStaged", "approval-channel-open"),
        ("NothingIsBornWithAnApproval", None),
    ],
)
def test_a_statement_that_is_taken_out_of_the_boundary_is_missed(identity, sid, rule):
    resources = deepcopy(dict(identity.resources))
    policy = resources["Boundary"]["Properties"]["PolicyDocument"]
    policy["Statement"] = [one for one in policy["Statement"] if one["Sid"] != sid]
    rules = rules_of(lint_template(replace(identity, resources=resources)))
    assert rules == ({rule} if rule else set())


def test_a_bad_bucket_policy_is_found(access):
    (arn, policy), *_ = access.resource_policies.items()
    opened = document(allow("s3:GetObject", f"{arn}/*", Principal="*"))
    changed = replace(access, resource_policies={arn: replace(policy, document=opened)})
    assert "resource-allow-everybody" in rules_of(lint_access(changed))


def test_the_policies_of_the_organisation_are_read_too(access):
    changed = replace(
        access, organisation=(Policy("top", document([allow("*"), only("No", deny("sagemaker:Nothing"))])),)
    )
    assert rules_of(lint_access(changed)) == {"unknown-action"}


CALLER_KEYS = {
    "a tag in a resource": (
        allow("sagemaker:CreatePresignedDomainUrl", f"{SAGEMAKER}user-profile/*/${{aws:PrincipalTag/overflight-user}}"),
        "sts:TagSession",
    ),
    "a tag in a condition": (
        allow("sagemaker:DescribeModel", **when(StringEquals={"aws:PrincipalTag/team": "a"})),
        "sts:TagSession",
    ),
    "the source identity": (
        allow("sagemaker:CreatePresignedDomainUrl", f"{SAGEMAKER}user-profile/*/${{aws:SourceIdentity}}"),
        "sts:SetSourceIdentity",
    ),
}


@pytest.mark.parametrize(("statement", "action"), CALLER_KEYS.values(), ids=CALLER_KEYS)
def test_a_key_of_the_caller_that_nobody_may_set_is_found(access, statement, action):
    own = (Policy("own", document(statement)),)
    person = trust({"AWS": ROOT}, PERSON)
    closed = with_role(access, "admin", policies=own, trust=Policy("t", document(person)))
    assert rules_of(lint_access(closed)) == {"value-never-set"}
    person["Action"] = ["sts:AssumeRole", action]
    opened = with_role(access, "admin", policies=own, trust=Policy("t", document(person)))
    assert rules_of(lint_access(opened)) == set()


def test_a_role_has_its_own_tags_but_no_user_name(access):
    own = allow("sagemaker:DescribeModel", **when(StringEquals={"aws:PrincipalTag/overflight:role": "admin"}))
    assert lint_access(with_role(access, "admin", policies=(Policy("own", document(own)),))) == []
    named = allow("sagemaker:CreatePresignedDomainUrl", f"{SAGEMAKER}user-profile/*/${{aws:username}}")
    assert rules_of(lint_access(with_role(access, "admin", policies=(Policy("own", document(named)),)))) == {
        "value-never-set"
    }


LOST = {
    "the boundary does not have it": allow("iam:CreateRole", f"arn:aws:iam::{ACCOUNT}:role/x"),
    "the boundary has none of them": allow("lambda:Invoke*", f"arn:aws:lambda:{REGION}:{ACCOUNT}:function:x"),
    "the boundary denies it": allow("sagemaker:StartSession", f"{SAGEMAKER}space/d/x"),
    "the boundary denies it to all but one": allow(
        "sagemaker:SendPipelineExecutionStepSuccess", f"{SAGEMAKER}pipeline/p/execution/x"
    ),
}


@pytest.mark.parametrize("statement", LOST.values(), ids=LOST)
def test_a_grant_that_the_boundary_takes_away_is_found(access, statement):
    assert rules_of(lint_access(with_role(access, "admin", policies=(Policy("own", document(statement)),)))) == {
        "limited-away"
    }


def test_the_one_that_a_boundary_excepts_keeps_its_grant(access):
    statement = allow("sagemaker:SendPipelineExecutionStepSuccess", f"{SAGEMAKER}pipeline/p/execution/x")
    assert lint_access(with_role(access, "deploy", policies=(Policy("own", document(statement)),))) == []


def test_a_policy_of_several_roles_is_reported_once(identity):
    resources = deepcopy(dict(identity.resources))
    resources["ReadRegistry"]["Properties"]["PolicyDocument"]["Statement"][0]["Action"].append(
        "sagemaker:DescribeNothing"
    )
    (finding,) = lint_template(replace(identity, resources=resources))
    assert (finding.rule, finding.policy) == ("unknown-action", "overflight-read-registry")


def role(**properties):
    trusting = document(trust({"AWS": ROOT}, PERSON))
    return {"Role": {"Type": "AWS::IAM::Role", "Properties": {"AssumeRolePolicyDocument": trusting, **properties}}}


def long_policy(characters):
    return document(allow("s3:GetObject", [f"arn:aws:s3:::{'x' * characters}/*"]))


LIMITS = {
    "inline policies together": (
        role(Policies=[{"PolicyName": name, "PolicyDocument": long_policy(5200)} for name in "ab"]),
        "size",
        "error",
    ),
    "a managed policy": (
        {"M": {"Type": "AWS::IAM::ManagedPolicy", "Properties": {"PolicyDocument": long_policy(6144)}}},
        "size",
        "error",
    ),
    "attached policies": (role(ManagedPolicyArns=["arn"] * 11), "too-many-policies", "error"),
    "a session that AWS refuses": (role(MaxSessionDuration=43201), "session-duration", "error"),
    "a session that is too short": (role(MaxSessionDuration="900"), "session-duration", "error"),
    "people who never sign in again": (role(MaxSessionDuration=36000), "session-duration", "warning"),
}


@pytest.mark.parametrize(("resources", "rule", "severity"), LIMITS.values(), ids=LIMITS)
def test_a_quota_is_kept(resources, rule, severity):
    assert (rule, severity) in {(finding.rule, finding.severity) for finding in lint_resources(resources)}


def test_within_the_quotas_nothing_is_found():
    fine = role(
        Policies=[{"PolicyName": "a", "PolicyDocument": long_policy(9000)}],
        ManagedPolicyArns=["arn"] * 10,
        MaxSessionDuration=28800,
    )
    assert lint_resources(fine) == []


def test_white_space_does_not_count():
    assert lint_sets.size({"a": "b c"}) == lint_sets.size({"a": "bc"}) == len('{"a":"bc"}')


# ---------------------------------------------------------------- our own policies


@pytest.mark.parametrize("environment", ["dev", "staging", "prod"])
@pytest.mark.parametrize("name", template_names())
def test_our_templates_are_clean_in_every_environment(name, environment):
    result = load(name, parameters={"Environment": environment}, account_id=ACCOUNT, region=REGION)
    assert [str(finding) for finding in lint_template(result)] == []


def test_the_longest_names_stay_within_the_quotas():
    result = load(
        "identity",
        parameters={"Prefix": "a" * 14, "Environment": "staging", "SubnetIds": "subnet-0123456789abcdef0"},
        account_id=ACCOUNT,
        region="ap-southeast-2",
        partition="aws-us-gov",
    )
    assert [str(finding) for finding in lint_template(result)] == []


OWN_NAME = "it does not take a policy variable for a part of an ARN"
KNOWN = {
    # (policy, issue): (what its detail contains, why it is right as it is)
    ("Boundary", "UNKNOWN_ACTION"): ("sagemaker:StartSession", "newer than its table"),
    ("Boundary", "UNKNOWN_CONDITION_FOR_ACTION"): ("sagemaker:RemoteAccess", "newer than its table"),
    ("ReadData", "RESOURCE_MISMATCH"): (
        "s3:GetObjectAttributes",
        "its table has access points only; objects are documented",
    ),
    ("DataScientist/track-and-explore", "RESOURCE_MISMATCH"): (
        ("user-profile", "app/"),
        OWN_NAME,
    ),
    ("MlEngineer/operate-and-watch", "RESOURCE_MISMATCH"): ("user-profile", OWN_NAME),
}
STAR = {
    "Boundary": "a boundary grants nothing by itself",
    "AlertsKey": "in a key policy * is the key",
    "DataKey": "in a key policy * is the key",
    "TrailKey": "in a key policy * is the key",
    "JobBasics": "network interfaces of jobs have names that EC2 chooses",
    "Admin/run-the-platform": "one account, one budget: nothing to tell apart",
}


def policies_of(result):
    """Every policy of a resolved template by name; a trust policy gets the resource that parliament asks for."""
    named = {}
    for logical_id, properties in result.of_type(
        "AWS::IAM::ManagedPolicy", "AWS::S3::BucketPolicy", "AWS::SNS::TopicPolicy"
    ):
        named[logical_id] = properties["PolicyDocument"]
    for logical_id, properties in result.of_type("AWS::KMS::Key"):
        named[logical_id] = properties["KeyPolicy"]
    for logical_id, properties in result.of_type("AWS::IAM::Role"):
        for policy in properties.get("Policies", ()):
            named[f"{logical_id}/{policy['PolicyName']}"] = policy["PolicyDocument"]
        trusted = deepcopy(properties["AssumeRolePolicyDocument"])
        for statement in trusted["Statement"]:
            statement["Resource"] = "*"
        named[f"{logical_id}/trust"] = trusted
    return named


def explained(name, issue, detail):
    if issue == "RESOURCE_STAR":
        return (
            name in STAR or name.endswith("/trust") or all(find(action).level in {"Read", "List"} for action in detail)
        )
    expected = KNOWN.get((name, issue), ((), ""))[0]
    return any(part in str(detail) for part in ((expected,) if isinstance(expected, str) else expected))


def parliament(policies):
    done = subprocess.run(
        [sys.executable, "-W", "ignore", HERE / "parliament_findings.py"],
        input=json.dumps(policies),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def second_opinion():
    policies = {
        f"{environment}:{name}": policy
        for environment in ("dev", "prod")
        for name, policy in policies_of(
            load(
                "identity",
                parameters={"Environment": environment, "SubnetIds": "subnet-1"},
                account_id=ACCOUNT,
                region=REGION,
            )
        ).items()
    }
    assert len(policies) > 60
    planted = {
        "planted": document(allow("sagemaker:CreateEndpoint", **when(StringEquals={"sagemaker:InstanceTypes": "x"})))
    }
    return parliament(policies | planted)


def test_parliament_finds_nothing_that_is_not_explained(second_opinion):
    named = [(name.partition(":")[2], issue, detail) for name, issue, detail in second_opinion if name != "planted"]
    assert [entry for entry in named if not explained(*entry)] == []
    seen = {(name, issue) for name, issue, _ in named}
    assert [key for key in KNOWN if key not in seen] == [], "explained, but no longer found"


def test_parliament_is_awake(second_opinion):
    assert "UNKNOWN_CONDITION_FOR_ACTION" in {issue for name, issue, _ in second_opinion if name == "planted"}


def test_a_template_of_somebody_else_is_linted_too():
    text = f"""
Resources:
  Loose:
    Type: AWS::IAM::Role
    Properties:
      RoleName: loose
      AssumeRolePolicyDocument:
        Version: "2012-10-17"
        Statement: [{{Sid: A, Effect: Allow, Principal: {{AWS: "{ROOT}"}}, Action: "sts:AssumeRole"}}]
      Policies:
        - PolicyName: all
          PolicyDocument:
            Version: "2012-10-17"
            Statement: [{{Sid: A, Effect: Allow, Action: "*", Resource: "*"}}]
"""
    result = resolve(read_template(text), parameters={}, account_id=ACCOUNT, region=REGION)
    assert rules_of(lint_template(result)) == {
        "no-boundary",
        "trust-root-open",
        "trust-without-mfa",
        "allow-whole-service",
        "pass-role-any",
        "pass-role-service",
        "approval-channel-open",
        "alias-channel-open",
    }


def test_a_principal_of_everybody_is_read_in_both_forms():
    for principal in ("*", {"AWS": "*"}, {"AWS": ["*"]}):
        (one,) = view(document(allow("s3:GetObject", Principal=principal)), name="p", kind="resource").statements
        assert one.principals == {"AWS": ("*",)}
