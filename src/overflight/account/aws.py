"""Sessions to a real AWS account: reached with a named profile, checked once when opened.

Knows what can be missing between a laptop and AWS and the command that cures it; nothing of any service but STS.
"""

from __future__ import annotations

from typing import Any

import boto3
import botocore.session
from botocore import exceptions as aws
from botocore.config import Config

from overflight.errors import AccountError
from overflight.settings import Settings

_EXPIRED = {"ExpiredToken", "ExpiredTokenException", "RequestExpired", "TokenRefreshRequired"}
_REJECTED = {"InvalidClientTokenId", "SignatureDoesNotMatch", "UnrecognizedClientException", "AuthFailure"}
_CONFIGURE = "Run `aws configure --profile {profile}`"
_LOGIN = "Run `aws sso login --profile {profile}`"
_OBSTACLES: tuple[tuple[tuple[type[Exception], ...], str, str], ...] = (
    ((aws.ProfileNotFound,), "there is no such AWS profile", _CONFIGURE + ", or set OVERFLIGHT_PROFILE"),
    (
        (aws.NoCredentialsError,),
        "the profile has no credentials",
        _CONFIGURE + " or `aws sso login --profile {profile}`",
    ),
    ((aws.PartialCredentialsError,), "the credentials are incomplete ({line})", _CONFIGURE),
    (
        (aws.SSOError, aws.TokenRetrievalError, aws.CredentialRetrievalError, aws.InfiniteLoopConfigError),
        "no credentials could be obtained ({line})",
        _LOGIN,
    ),
    ((aws.ConfigParseError,), "the AWS configuration cannot be read ({line})", "Correct the file"),
    (
        (aws.HTTPClientError, aws.ConnectionError),
        "AWS cannot be reached in {region} ({line})",
        "Check the network and OVERFLIGHT_REGION, or work locally with OVERFLIGHT_PLATFORM=local",
    ),
)


def aws_session(settings: Settings) -> boto3.Session:
    """A boto3 session with the profile and region of the settings, to the account that the settings expect.

    Raises:
        AccountError: profile, credentials, network or account number are not right; one line with the cure.
    """
    where = f"profile {settings.profile}"
    try:
        core = botocore.session.Session(profile=settings.profile)
        session = boto3.Session(botocore_session=core, region_name=settings.region)
        client = session.client(
            "sts", config=Config(connect_timeout=5, read_timeout=10, retries={"total_max_attempts": 2})
        )
        reached = _identity(client)
    except (aws.BotoCoreError, aws.ClientError) as error:
        raise explained(error, where=where, settings=settings) from error
    if settings.account_id is not None and reached != settings.account_id:
        raise AccountError(
            f"opens account {reached}, expected is {settings.account_id}",
            where=where,
            cure="Set OVERFLIGHT_PROFILE to a profile of the expected account, or correct OVERFLIGHT_ACCOUNT_ID",
        )
    return session


def _identity(client: Any) -> str:
    return str(client.get_caller_identity()["Account"])


def explained(error: Exception, *, where: str, settings: Settings) -> AccountError:
    """What an error of botocore means to the person at the keyboard, and the command that cures it."""
    what, cure = _refusal(error) if isinstance(error, aws.ClientError) else _obstacle(error)
    names = {"profile": settings.profile, "region": settings.region}
    return AccountError(what.format(line=_line(error), **names), where=where, cure=cure.format(**names))


def _refusal(error: aws.ClientError) -> tuple[str, str]:
    code = error.response.get("Error", {}).get("Code", "")
    if code in _EXPIRED:
        return "the credentials have expired", f"{_LOGIN}, or renew the keys"
    if code in _REJECTED:
        return "AWS does not know the credentials ({line})", _CONFIGURE
    return "AWS refused ({line})", "Check the permissions of the profile"


def _obstacle(error: Exception) -> tuple[str, str]:
    for kinds, what, cure in _OBSTACLES:
        if isinstance(error, kinds):
            return what, cure
    return "the account cannot be used ({line})", _CONFIGURE


def _line(error: Exception) -> str:
    return " ".join(str(error).split()).rstrip(".")
