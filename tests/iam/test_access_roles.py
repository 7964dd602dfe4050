"""Roles read from a template, what a session carries along, and who trusts whom."""

import pytest

from overflight.errors import InputError
from overflight.iam.access import load_access, read_access, trusts_service
from overflight.iam.core import Policy

ACCOUNT, REGION = "000000000000", "eu-central-1"
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/over-boundary"
READ = f"arn:aws:iam::{ACCOUNT}:policy/team/over-read"
OURS = {"aws:SourceAccount": ACCOUNT, "aws:SourceArn": f"arn:aws:sagemaker:{REGION}:{ACCOUNT}:x"}


def doc(*statements):
    return {"Version": "2012-10-17", "Statement": list(statements)}


def allow(action, resource="*", **more):
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


def trust(principal, **more):
    return doc({"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more})


def resources():
    sagemaker = {"Service": "sagemaker.amazonaws.com"}
    own_account = {
        "StringEquals": {"aws:SourceAccount": ACCOUNT},
        "ArnLike": {"aws:SourceArn": f"arn:aws:sagemaker:*:{ACCOUNT}:*"},
    }
    return {
        "Boundary": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": "over-boundary",
                "PolicyDocument": doc(
                    allow(["s3:*", "kms:*", "sns:*", "sts:AssumeRole"]),
                    {"Effect": "Deny", "Action": "s3:DeleteObject", "Resource": "*", "Sid": "NeverDelete"},
                ),
            },
        },
        "Read": {
            "Type": "AWS::IAM::ManagedPolicy",
            "Properties": {
                "ManagedPolicyName": "over-read",
                "Path": "/team/",
                "PolicyDocument": doc(allow("s3:GetObject")),
            },
        },
        "Person": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "over-person",
                "Description": "Works here",
                "AssumeRolePolicyDocument": trust({"AWS": f"arn:aws:iam::{ACCOUNT}:root"}),
                "ManagedPolicyArns": [READ],
                "PermissionsBoundary": BOUNDARY,
                "Policies": [
                    {
                        "PolicyName": "own-files",
                        "PolicyDocument": doc(
                            allow("s3:PutObject", "arn:aws:s3:::data/${aws:PrincipalTag/overflight-user}/*"),
                            allow("s3:DeleteObject"),
                            allow("logs:*"),
                            allow("kms:Decrypt"),
                        ),
                    }
                ],
                "Tags": [{"Key": "overflight:kind", "Value": "persona"}, {"Key": "overflight:role", "Value": "person"}],
            },
        },
        "Train": {
            "Type": "AWS::IAM::Role",
            "Properties": {
                "RoleName": "over-train",
                "Path": "/jobs/",
                "AssumeRolePolicyDocument": trust(sagemaker, Condition=own_account),
                "Tags": [{"Key": "overflight:kind", "Value": "execution"}],
            },
        },
        "Late": {
            "Type": "AWS::IAM::Policy",
            "Properties": {"PolicyName": "late", "Roles": ["over-train"], "PolicyDocument": doc(allow("sns:Publish"))},
        },
        "OneMore": {
            "Type": "AWS::IAM::RolePolicy",
            "Properties": {
                "PolicyName": "more",
                "RoleName": "over-train",
                "PolicyDocument": doc(allow("s3:ListBucket")),
            },
        },
        "DataPolicy": {
            "Type": "AWS::S3::BucketPolicy",
            "Properties": {
                "Bucket": "data",
                "PolicyDocument": doc(
                    {
                        "Effect": "Deny",
                        "Principal": "*",
                        "Action": "s3:*",
                        "Resource": ["arn:aws:s3:::data", "arn:aws:s3:::data/*"],
                        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
                        "Sid": "OnlyEncrypted",
                    }
                ),
            },
        },
        "Key": {
            "Type": "AWS::KMS::Key",
            "Properties": {
                "KeyPolicy": doc(allow("kms:*", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:root"})),
            },
        },
        "Topic": {
            "Type": "AWS::SNS::TopicPolicy",
            "Properties": {
                "Topics": [f"arn:aws:sns:{REGION}:{ACCOUNT}:over-alerts"],
                "PolicyDocument": doc(
                    allow("sns:Publish", Principal={"AWS": f"arn:aws:iam::{ACCOUNT}:role/over-person"})
                ),
            },
        },
    }


def read(changed=None, **more):
    given = {"account_id": ACCOUNT, "region": REGION, "prefix": "over", "environment": "dev", **more}
    return read_access(changed or resources(), **given)


@pytest.fixture(scope="module")
def access():
    return read()


def test_a_role_with_all_that_belongs_to_it(access):
    person = access.roles["person"]
    assert (person.name, person.kind, person.description) == ("over-person", "persona", "Works here")
    assert person.arn == f"arn:aws:iam::{ACCOUNT}:role/over-person"
    assert [one.name for one in person.policies] == ["own-files", "over-read"]
    assert person.boundary.name == "over-boundary"
    assert (access.bucket, access.audit_bucket) == (f"over-{ACCOUNT}-{REGION}", f"over-audit-{ACCOUNT}-{REGION}")


def test_policies_that_name_their_role(access):
    train = access.roles["train"]
    assert [one.name for one in train.policies] == ["late", "more"]
    assert train.arn == f"arn:aws:iam::{ACCOUNT}:role/jobs/over-train"
    assert train.boundary is None


def test_resource_policies_by_arn(access):
    assert access.resource_policy("arn:aws:s3:::data/a/b").name == "DataPolicy"
    assert access.resource_policy(f"arn:aws:kms:{REGION}:{ACCOUNT}:key/Key").name == "Key"
    assert access.resource_policy(f"arn:aws:sns:{REGION}:{ACCOUNT}:over-alerts").name == "Topic"
    assert access.resource_policy(access.roles["train"].arn).name == "over-train (trust)"
    assert access.resource_policy("arn:aws:s3:::other/a") is None
    assert access.resource_policy("*") is None


@pytest.mark.parametrize(
    ("action", "resource", "more", "answer"),
    [
        ("s3:GetObject", "arn:aws:s3:::data/x", {}, ("allow", "identity")),
        ("s3:PutObject", "arn:aws:s3:::data/ann/x", {}, ("allow", "identity")),
        ("s3:PutObject", "arn:aws:s3:::data/bob/x", {}, ("implicit-deny", "identity")),
        ("s3:DeleteObject", "arn:aws:s3:::data/ann/x", {}, ("explicit-deny", "boundary")),
        ("logs:CreateLogGroup", f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:x", {}, ("implicit-deny", "boundary")),
        ("s3:GetObject", "arn:aws:s3:::data/x", {"aws:SecureTransport": "false"}, ("explicit-deny", "resource")),
        ("sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:over-alerts", {}, ("allow", "resource")),
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/Key", {}, ("allow", "identity")),
        ("kms:Decrypt", f"arn:aws:kms:{REGION}:{ACCOUNT}:key/other", {}, ("implicit-deny", "resource")),
        ("sts:AssumeRole", f"arn:aws:iam::{ACCOUNT}:role/jobs/over-train", {}, ("implicit-deny", "identity")),
        ("s3:GetObject", "arn:aws:s3:::data/x", {"aws:resourceaccount": "1"}, ("allow", "identity")),
    ],
)
def test_decisions(access, action, resource, more, answer):
    decision = access.decide("person", action, resource, more, session="ann")
    assert (decision.outcome, decision.layer) == answer


def test_a_denial_names_its_statement(access):
    found = access.decide("person", "s3:DeleteObject", "arn:aws:s3:::data/x", session="ann").matched
    assert [(one.layer, one.policy, one.sid) for one in found] == [("boundary", "over-boundary", "NeverDelete")]


def test_without_a_session_nobody_stands_for_the_role(access):
    assert not access.decide("person", "s3:PutObject", "arn:aws:s3:::data/ann/x").allowed


def test_keys_of_the_caller_win(access):
    taken = {"AWS:principaltag/Overflight-User": "bob"}
    assert access.decide("person", "s3:PutObject", "arn:aws:s3:::data/bob/x", taken, session="ann").allowed


def test_a_resource_of_another_account_needs_its_own_policy(access):
    assert access.decide("train", "sns:Publish", f"arn:aws:sns:{REGION}:{ACCOUNT}:any").allowed
    elsewhere = access.decide("train", "sns:Publish", f"arn:aws:sns:{REGION}:444455556666:any")
    assert (elsewhere.outcome, elsewhere.layer) == ("implicit-deny", "resource")


def test_the_role_behind_an_arn(access):
    train = access.roles["train"]
    assert access.role_of(train.arn) is train
    assert access.role_of(f"arn:aws:sts::{ACCOUNT}:assumed-role/over-train/run") is train
    assert access.role_of(f"arn:aws:sts::{ACCOUNT}:assumed-role/over-train2/run") is None
    assert access.role_of("arn:aws:s3:::data") is None


@pytest.mark.parametrize(
    ("service", "context", "trusted"),
    [
        ("sagemaker.amazonaws.com", OURS, True),
        ("sagemaker.amazonaws.com", {**OURS, "aws:SourceAccount": "1"}, False),
        ("sagemaker.amazonaws.com", {"aws:SourceAccount": ACCOUNT}, False),
        ("sagemaker.amazonaws.com", {}, False),
        ("lambda.amazonaws.com", OURS, False),
    ],
)
def test_services_that_may_run_as_a_role(access, service, context, trusted):
    assert trusts_service(access.roles["train"], service, context).allowed is trusted


def test_a_service_is_not_the_account(access):
    assert not trusts_service(access.roles["person"], "sagemaker.amazonaws.com").allowed


def test_the_organisation_limits_everybody():
    limited = read(organisation=(Policy("root", doc(allow("sns:*"))),))
    decision = limited.decide("person", "s3:GetObject", "arn:aws:s3:::data/x", session="ann")
    assert (decision.outcome, decision.layer) == ("implicit-deny", "organisation")


def test_the_digest_changes_with_anybodys_access(access):
    assert read().digest == access.digest
    changed = resources()
    changed["Read"]["Properties"]["PolicyDocument"] = doc(allow("s3:Get*"))
    assert read(changed).digest != access.digest
    assert read(environment="prod").digest != access.digest


def test_a_policy_from_elsewhere_is_refused():
    changed = resources()
    changed["Person"]["Properties"]["ManagedPolicyArns"] = ["arn:aws:iam::aws:policy/AdministratorAccess"]
    with pytest.raises(InputError, match="AdministratorAccess is not in the template"):
        read(changed)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ({"Effect": "Maybe", "Action": "*", "Resource": "*"}, "Effect must be"),
        ({"Effect": "Allow", "Resource": "*"}, "Action or NotAction"),
        ({"Effect": "Allow", "Action": "*", "NotAction": "s3:*", "Resource": "*"}, "Action or NotAction"),
        ({"Effect": "Allow", "Action": "*"}, "needs Resource"),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "NotResource": "a"}, "either Resource or NotResource"),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "NotPrincipal": "*"}, "NotPrincipal goes with Deny"),
        ({"Effect": "Allow", "Action": "*", "Resource": "*", "Condition": {"Like": {"a": "b"}}}, "unknown condition"),
    ],
)
def test_a_policy_that_aws_would_refuse_is_an_error(statement, message):
    changed = resources()
    changed["Read"]["Properties"]["PolicyDocument"] = doc({**statement, "Sid": "Odd"})
    with pytest.raises(InputError, match=message) as refused:
        read(changed).decide("person", "s3:GetObject", "arn:aws:s3:::data/x")
    assert refused.value.where == 'over-read, statement "Odd"'


def test_our_own_template_has_its_roles():
    access = load_access(account_id=ACCOUNT, region=REGION)
    assert {"data-scientist", "ml-engineer", "approver", "auditor", "admin"} <= set(access.roles)
    assert {role.kind for role in access.roles.values()} == {"persona", "execution"}
    assert all(role.boundary for role in access.roles.values())
    assert access.bucket == f"overflight-{ACCOUNT}-{REGION}"
    assert access.resource_policy(f"arn:aws:s3:::{access.bucket}/x") is not None
    assert access.digest == load_access(account_id=ACCOUNT, region=REGION).digest
