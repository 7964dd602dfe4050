"""Sessions to AWS: what can be missing, and the line that says so. Nothing is sent."""

from __future__ import annotations

import botocore.client
import pytest
from botocore.exceptions import (
    ClientError,
    ConnectTimeoutError,
    EndpointConnectionError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)

from overflight.account.session import open_session
from overflight.errors import AccountError
from overflight.settings import load_settings

KEYS = "[ab]\naws_access_key_id = AKIATEST\naws_secret_access_key = secret\n"


@pytest.fixture
def configured(tmp_path, monkeypatch, settings):
    """``configured(credentials, config)``: the two files of the AWS CLI, and no other source of credentials."""

    def write(credentials="", config=""):
        for variable, name, text in (
            ("AWS_SHARED_CREDENTIALS_FILE", "credentials", credentials),
            ("AWS_CONFIG_FILE", "config", config),
        ):
            (tmp_path / name).write_text(text)
            monkeypatch.setenv(variable, str(tmp_path / name))
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    return write


@pytest.fixture
def answer(monkeypatch):
    """``answer(identity_or_error)``: what STS says, without a network."""

    def install(outcome):
        def call(_client, operation, _params):
            assert operation == "GetCallerIdentity"
            if isinstance(outcome, Exception):
                raise outcome
            return outcome

        monkeypatch.setattr(botocore.client.BaseClient, "_make_api_call", call)

    return install


def aws_settings(**changes):
    return load_settings(platform="aws", **changes)


def refused(code):
    return ClientError({"Error": {"Code": code, "Message": "no"}}, "GetCallerIdentity")


def test_the_profile_ab_in_the_region_of_the_settings(configured, answer):
    configured(KEYS)
    answer({"Account": "123456789012", "Arn": "arn", "UserId": "u"})
    session = open_session(aws_settings(region="eu-west-1", account_id="123456789012"))
    assert (session.profile_name, session.region_name) == ("ab", "eu-west-1")
    assert session.client("s3").meta.region_name == "eu-west-1"


@pytest.mark.parametrize(
    ("credentials", "config", "words"),
    [
        pytest.param(
            "", "", "profile ab: there is no such AWS profile. Run `aws configure --profile ab`", id="no profile"
        ),
        pytest.param("", "[profile ab]\nregion = x\n", "the profile has no credentials", id="no credentials"),
        pytest.param("[ab]\naws_access_key_id = AKIATEST\n", "", "the credentials are incomplete", id="half a key"),
        pytest.param("[ab\n", "", "the AWS configuration cannot be read", id="broken file"),
    ],
)
def test_what_is_wrong_with_the_files(configured, credentials, config, words):
    configured(credentials, config)
    with pytest.raises(AccountError, match=words.replace("(", r"\(")) as caught:
        open_session(aws_settings())
    assert "\n" not in str(caught.value)
    assert caught.value.where == "profile ab"
    assert caught.value.cure


@pytest.mark.parametrize(
    ("outcome", "words", "cure"),
    [
        pytest.param(refused("ExpiredToken"), "have expired", "aws sso login --profile ab", id="expired keys"),
        pytest.param(refused("InvalidClientTokenId"), "does not know", "aws configure --profile ab", id="unknown keys"),
        pytest.param(refused("AccessDenied"), "AWS refused", "permissions", id="denied"),
        pytest.param(
            UnauthorizedSSOTokenError(), "no credentials could", "aws sso login --profile ab", id="sso expired"
        ),
        pytest.param(SSOTokenLoadError(error_msg="x"), "no credentials could", "aws sso login", id="sso never"),
        pytest.param(
            TokenRetrievalError(provider="sso", error_msg="x"), "no credentials could", "aws sso login", id="sso token"
        ),
        pytest.param(
            EndpointConnectionError(endpoint_url="https://sts"),
            "cannot be reached",
            "OVERFLIGHT_PLATFORM",
            id="offline",
        ),
        pytest.param(ConnectTimeoutError(endpoint_url="https://sts"), "cannot be reached", "network", id="timeout"),
    ],
)
def test_what_aws_says(configured, answer, outcome, words, cure):
    configured(KEYS)
    answer(outcome)
    with pytest.raises(AccountError, match=words) as caught:
        open_session(aws_settings())
    assert cure in caught.value.cure
    assert "\n" not in str(caught.value)


def test_the_wrong_account_is_refused(configured, answer):
    configured(KEYS)
    answer({"Account": "999999999999"})
    with pytest.raises(AccountError, match="opens account 999999999999, expected is 123456789012") as caught:
        open_session(aws_settings(account_id="123456789012"))
    assert "OVERFLIGHT_PROFILE" in caught.value.cure


def test_another_profile_is_named_in_the_message(configured):
    configured("")
    with pytest.raises(AccountError, match=r"profile work: .*aws configure --profile work"):
        open_session(aws_settings(profile="work"))
