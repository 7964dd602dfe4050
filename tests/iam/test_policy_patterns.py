"""Patterns: wildcards in actions and ARNs, and the roles behind sessions."""

import pytest

from overflight.iam.patterns import action_pattern, arn_account, resource_template, role_arn_of

BUCKET = "arn:aws:s3:::data"


def fits(pattern, resource, **keys):
    def lookup(key):
        return (keys[key.replace(":", "_")],) if key.replace(":", "_") in keys else None

    return resource_template(pattern, variables=True).matches(resource, lookup)


@pytest.mark.parametrize(
    ("pattern", "resource", "answer"),
    [
        ("*", BUCKET, True),
        ("*", "*", True),
        (BUCKET, BUCKET, True),
        (BUCKET, BUCKET.upper(), False),
        (f"{BUCKET}/*", f"{BUCKET}/a/b:c", True),
        (f"{BUCKET}/*", BUCKET, False),
        (f"{BUCKET}/?", f"{BUCKET}/a", True),
        (f"{BUCKET}/?", f"{BUCKET}/ab", False),
        ("arn:aws:sagemaker:*:1:endpoint/x", "arn:aws:sagemaker:eu-central-1:1:endpoint/x", True),
        ("arn:aws:sagemaker:*:endpoint/x", "arn:aws:sagemaker:eu-central-1:1:endpoint/x", False),
        ("arn:aws:sagemaker:*", "arn:aws:sagemaker:eu-central-1:1:endpoint/x", True),
        ("arn:aws:s3:::*", BUCKET, True),
        ("arn:*:s3:::data", BUCKET, True),
        ("arn:aws:s3:::d.ta", BUCKET, False),
        ("arn:aws:s3:::*", "*", False),
        (BUCKET, "*", False),
    ],
)
def test_resources(pattern, resource, answer):
    assert fits(pattern, resource) is answer


def test_values_of_variables_are_plain_text():
    mine = "arn:aws:s3:::data/${aws:PrincipalTag/user}/*"
    assert fits(mine, f"{BUCKET}/ann/x", **{"aws_principaltag/user": "ann"})
    assert not fits(mine, f"{BUCKET}/bob/x", **{"aws_principaltag/user": "*"})
    assert not fits(mine, f"{BUCKET}/bob/x", **{"aws_principaltag/user": "bo."})
    assert fits(mine, f"{BUCKET}/bob/x") is None


@pytest.mark.parametrize(
    ("patterns", "action", "answer"),
    [
        (["*"], "s3:getobject", True),
        (["S3:Get*"], "s3:getobject", True),
        (["s3:GetObjec?"], "s3:getobject", True),
        (["s3:Get"], "s3:getobject", False),
        (["iam:*", "s3:*Object"], "s3:getobject", True),
        (["s3.*"], "s3:getobject", False),
        ([], "s3:getobject", False),
    ],
)
def test_actions(patterns, action, answer):
    assert bool(action_pattern(patterns).fullmatch(action)) is answer


def test_the_role_behind_a_session():
    assert role_arn_of("arn:aws:sts::1:assumed-role/a/ann") == "arn:aws:iam::1:role/a"
    assert role_arn_of("arn:aws:iam::1:role/a") == "arn:aws:iam::1:role/a"
    assert role_arn_of("sagemaker.amazonaws.com") == "sagemaker.amazonaws.com"
    assert (arn_account("arn:aws:iam::1:role/a"), arn_account(BUCKET), arn_account("*")) == ("1", "", "")
