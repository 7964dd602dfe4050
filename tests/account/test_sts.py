"""STS: identities and assumed roles."""

from __future__ import annotations

import pytest
from botocore.exceptions import ClientError

from overflight.account.local.login import local_session
from overflight.account.session import open_session
from overflight.settings import load_settings


def client_with(session, keys, service="sts"):
    return session.client(
        service,
        aws_access_key_id=keys["AccessKeyId"],
        aws_secret_access_key=keys["SecretAccessKey"],
        aws_session_token=keys["SessionToken"],
    )


@pytest.fixture
def sts(session):
    return session.client("sts")


def test_identity(sts, assert_fits_output_shape):
    response = sts.get_caller_identity()
    assert_fits_output_shape(sts, "GetCallerIdentity", response)
    assert response["Account"] == "000000000000"
    assert response["Arn"] == "arn:aws:sts::000000000000:assumed-role/overflight-administrator/ada"


def test_a_session_acts_as_the_role_of_the_settings(settings):
    session = open_session(settings.model_copy(update={"role": "approver", "user": "bob"}))
    assert session.client("sts").get_caller_identity()["Arn"].endswith("assumed-role/overflight-approver/bob")


def test_the_configured_account_number_is_used(tmp_path):
    session = open_session(load_settings(home=tmp_path / "home", account_id="123456789012"))
    assert session.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert session.client("s3").list_buckets()["Buckets"][0]["Name"] == "overflight-123456789012-eu-central-1"


def test_an_assumed_role_acts_with_its_own_name(sts, session, account, assert_fits_output_shape):
    response = sts.assume_role(RoleArn=account.role_arn("approver"), RoleSessionName="bob")
    assert_fits_output_shape(sts, "AssumeRole", response)
    acting = client_with(session, response["Credentials"])
    assert acting.get_caller_identity()["Arn"] == response["AssumedRoleUser"]["Arn"]
    elsewhere = local_session(account, role="auditor", user="eve")
    assert client_with(elsewhere, response["Credentials"]).get_caller_identity()["Arn"].endswith("approver/bob")


def test_keys_expire(sts, session, account, clock):
    keys = sts.assume_role(RoleArn=account.role_arn("auditor"), RoleSessionName="bob", DurationSeconds=900)[
        "Credentials"
    ]
    acting = client_with(session, keys)
    clock.advance(seconds=899)
    acting.get_caller_identity()
    clock.advance(seconds=1)
    with pytest.raises(ClientError, match="ExpiredToken"):
        acting.get_caller_identity()


@pytest.mark.parametrize("name", ["AccessKeyId", "SecretAccessKey", "SessionToken"])
def test_wrong_keys_open_nothing(sts, session, account, name):
    keys = sts.assume_role(RoleArn=account.role_arn("auditor"), RoleSessionName="bob")["Credentials"]
    with pytest.raises(ClientError, match="InvalidClientTokenId"):
        client_with(session, {**keys, name: "ASIAWRONG"}).get_caller_identity()


@pytest.mark.parametrize(
    ("change", "code"),
    [
        pytest.param(
            {"RoleArn": "arn:aws:iam::000000000000:role/overflight-intern"}, "AccessDenied", id="no such role"
        ),
        pytest.param(
            {"RoleArn": "arn:aws:iam::111111111111:role/overflight-admin"}, "AccessDenied", id="other account"
        ),
        pytest.param({"RoleSessionName": "a b"}, "ValidationError", id="name with a space"),
        pytest.param({"DurationSeconds": 43201}, "ValidationError", id="too long"),
    ],
)
def test_what_cannot_be_assumed(sts, account, change, code):
    with pytest.raises(ClientError) as caught:
        sts.assume_role(**{"RoleArn": account.role_arn("auditor"), "RoleSessionName": "bob", **change})
    assert caught.value.response["Error"]["Code"] == code
