"""Errors of AWS calls in the words of Overflight's error family: what is wrong, where, what to do, which exit code.

Knows AWS's error codes and botocore's exceptions; does not know which use case made the call.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any

from boto3.exceptions import Boto3Error
from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from overflight.errors import (
    AccountError,
    InputError,
    NotFoundError,
    OverflightError,
    RefusedError,
    ResourceError,
    UsageError,
)
from overflight.settings import PREFIX, Settings, load_settings

_LOGIN = "Log in again: aws sso login --profile {profile}"
_KEYS = "Check the keys of the profile: aws configure --profile {profile}"
_CLOCK = "Set the clock of this machine: AWS takes requests that are at most 15 minutes old"
_REGION = "Set OVERFLIGHT_REGION to the region of the bucket"
_WAIT = "Wait a moment and try again"
_NETWORK = "Check the network, the proxy and OVERFLIGHT_REGION"
_CERTIFICATES = "Check the clock and the certificates: behind a company's proxy set AWS_CA_BUNDLE to its certificates"

_BY_CODE: Mapping[str, tuple[type[OverflightError], str]] = {
    "ExpiredToken": (AccountError, _LOGIN),
    "ExpiredTokenException": (AccountError, _LOGIN),
    "TokenRefreshRequired": (AccountError, _LOGIN),
    "RequestExpired": (AccountError, _LOGIN),
    "UnauthorizedException": (AccountError, _LOGIN),
    "InvalidToken": (AccountError, _LOGIN),
    "RequestTimeTooSkewed": (AccountError, _CLOCK),
    "InvalidAccessKeyId": (AccountError, _KEYS),
    "InvalidClientTokenId": (AccountError, _KEYS),
    "UnrecognizedClientException": (AccountError, _KEYS),
    "SignatureDoesNotMatch": (AccountError, f"{_KEYS}, and the clock of this machine"),
    "AuthFailure": (AccountError, _KEYS),
    "PermanentRedirect": (AccountError, _REGION),
    "301": (AccountError, _REGION),
    "AuthorizationHeaderMalformed": (AccountError, _REGION),
    "IllegalLocationConstraintException": (AccountError, _REGION),
    "NoSuchBucket": (NotFoundError, "Check the bucket's name and the region"),
    "NoSuchKey": (NotFoundError, "Check the name"),
    "NoSuchVersion": (NotFoundError, "Check the version"),
    "404": (NotFoundError, "Check the name"),
    "ResourceNotFound": (NotFoundError, "Check the name"),
    "ResourceNotFoundException": (NotFoundError, "Check the name"),
    "InvalidObjectState": (
        InputError,
        "It is archived (Glacier): restore it with `aws s3api restore-object`, which takes hours, then run it again",
    ),
    "PreconditionFailed": (InputError, "Somebody else has changed it meanwhile: run it again"),
    "412": (InputError, "Somebody else has changed it meanwhile: run it again"),
    "InvalidBucketName": (UsageError, "Write s3://bucket/key with the name of an existing bucket"),
    "KMS.DisabledException": (RefusedError, "Ask the owner of the KMS key to enable it"),
    "KMS.KMSInvalidStateException": (RefusedError, "Ask the owner of the KMS key about its state"),
    "KMS.NotFoundException": (RefusedError, "Ask the owner of the bucket about the KMS key of the object"),
    "ResourceLimitExceeded": (ResourceError, "Ask AWS for a higher quota or wait until something has ended"),
    "SlowDown": (ResourceError, _WAIT),
    "Throttling": (ResourceError, _WAIT),
    "ThrottlingException": (ResourceError, _WAIT),
    "ThrottledException": (ResourceError, _WAIT),
    "TooManyRequestsException": (ResourceError, _WAIT),
    "RequestLimitExceeded": (ResourceError, _WAIT),
    "RequestTimeout": (ResourceError, _WAIT),
    "ServiceUnavailable": (ResourceError, _WAIT),
    "InternalError": (ResourceError, _WAIT),
    "503": (ResourceError, _WAIT),
    "ResourceInUse": (UsageError, "Choose another name"),
    "ConflictException": (UsageError, "Look at what is there already and try again"),
    "ValidationException": (UsageError, "Check the arguments"),
    "ValidationError": (UsageError, "Check the arguments"),
}
_REFUSALS = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation", "403", "AllAccessDisabled"})
_ELSEWHERE = frozenset(
    {"PermanentRedirect", "301", "AuthorizationHeaderMalformed", "IllegalLocationConstraintException"}
)

_BY_EXCEPTION: tuple[tuple[tuple[type[Exception], ...], type[OverflightError], str], ...] = (
    ((aws.ProfileNotFound,), AccountError, "Make the profile with `aws configure sso`, or set OVERFLIGHT_PROFILE"),
    ((aws.NoCredentialsError, aws.NoAuthTokenError), AccountError, _LOGIN + ", or aws configure --profile {profile}"),
    ((aws.PartialCredentialsError,), AccountError, _KEYS),
    (
        (aws.SSOError, aws.TokenRetrievalError, aws.CredentialRetrievalError, aws.LoginError),
        AccountError,
        _LOGIN,
    ),
    ((aws.ConfigParseError,), AccountError, "Correct the file of the AWS configuration"),
    ((aws.NoRegionError, aws.InvalidRegionError), AccountError, "Set OVERFLIGHT_REGION, such as eu-central-1"),
    ((aws.SSLError,), AccountError, _CERTIFICATES),
    ((aws.ReadTimeoutError, aws.ResponseStreamingError, aws.IncompleteReadError), AccountError, _WAIT),
    ((aws.HTTPClientError, aws.ConnectionError, aws.ProxyConnectionError), AccountError, _NETWORK),
)

# What IAM calls the right to an operation of S3, where it is not the operation's own name; the local account decides by
# the same names. Source: Amazon S3 user guide, "Required permissions for Amazon S3 API operations".
S3_ACTIONS = {
    "ListObjectsV2": "ListBucket",
    "ListObjects": "ListBucket",
    "HeadBucket": "ListBucket",
    "HeadObject": "GetObject",
    "ListObjectVersions": "ListBucketVersions",
    "ListBuckets": "ListAllMyBuckets",
    "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListParts": "ListMultipartUploadParts",
    "CopyObject": "PutObject",
    "CreateMultipartUpload": "PutObject",
    "UploadPart": "PutObject",
    "UploadPartCopy": "PutObject",
    "CompleteMultipartUpload": "PutObject",
    "DeleteObjects": "DeleteObject",
}
HINT = "Overflight"
"""Member of the local account's AccessDenied answers that AWS does not have: which roles could do it."""
_OF_S3 = frozenset({*S3_ACTIONS, *S3_ACTIONS.values(), "AbortMultipartUpload", "GetBucketVersioning", "CreateBucket"})
_NAMED_ACTION = re.compile(
    r"not authorized to perform:? ([a-z0-9-]+):(\w+)(?:.{0,20}? on resource: \"?([^\s\"]+))?", re.DOTALL
)
_OUR_ROLE = re.compile(rf"arn:aws[a-z-]*:sts::(\d{{12}}):assumed-role/{PREFIX}-[\w-]+/")
_NAMED_REGION = re.compile(r"expecting '?([a-z]{2}(?:-[a-z]+)+-\d)'?")
_OWNERS_MAY_CHARGE = "in a bucket whose owner lets the requester pay, agree to pay"


def translate(error: ClientError | BotoCoreError, *, profile: str | None = None) -> OverflightError:
    """``error`` as one of our own, with its code, operation and cure; unknown codes become an AccountError.

    Args:
        error: What boto3 raised.
        profile: AWS profile that cures name (default: the settings' default, and a hint where it may be another).
    """
    if isinstance(error, ParamValidationError):
        return UsageError(" ".join(str(error).split()), cure="Check the arguments")
    named = profile or f"{Settings.model_fields['profile'].default} (or the one in OVERFLIGHT_PROFILE)"
    if not isinstance(error, ClientError):
        kind, cure = _of_exception(error)
        return kind(" ".join(str(error).split()).rstrip("."), cure=cure.format(profile=named))
    told = error.response.get("Error", {})
    code, message = str(told.get("Code", "Unknown")), str(told.get("Message", ""))
    words = f"{code}: {message}"
    if code in _REFUSALS:
        return _refusal(error, code, message)
    kind, cure = _BY_CODE.get(code) or _of_status(error)
    if code in _ELSEWHERE and (region := _region(error)):
        words, cure = f"{words.rstrip('.')} (the region is {region})", f"Set OVERFLIGHT_REGION={region}"
    return kind(words, where=error.operation_name, cure=cure.format(profile=named))


@contextlib.contextmanager
def in_our_words(where: str) -> Iterator[None]:
    """Turn errors of boto3 into our own, which say that they are about ``where``.

    Raises:
        OverflightError: the kind that :func:`translate` gives.
    """
    try:
        yield
    except (ClientError, BotoCoreError) as error:
        ours = translate(error)
        raise type(ours)(ours.what, where=where, cure=ours.cure) from error
    except Boto3Error as error:  # what boto3's transfers make of a ClientError
        cause = error.__context__
        if isinstance(cause, ClientError | BotoCoreError):
            ours = translate(cause)
            raise type(ours)(ours.what, where=where, cure=ours.cure) from error
        raise AccountError(str(error), where=where, cure="Try again") from error


def missing_action(error: ClientError) -> tuple[str, str]:
    """The right that the caller lacks, such as ``s3:ListBucket``, and the ARN it is needed for ("" when not said)."""
    message = str(error.response.get("Error", {}).get("Message", ""))
    operation = str(error.operation_name)
    if found := _NAMED_ACTION.search(message):
        service, action, resource = found.groups()
        return f"{service}:{S3_ACTIONS.get(action, action) if service == 's3' else action}", (resource or "").rstrip(
            "."
        )
    if "kms" in message.lower():
        return "kms:Decrypt" if operation.startswith(("Get", "Head")) else "kms:GenerateDataKey", ""
    return (f"s3:{S3_ACTIONS.get(operation, operation)}" if operation in _OF_S3 else operation), ""


def _refusal(error: ClientError, code: str, message: str) -> RefusedError:
    hint: Any = error.response.get(HINT) or {}
    if hint and not hint["Missing"]:  # the caller's role does not exist
        cure = f"Act as one of its roles: overflight --as ROLE ({', '.join(hint['Personas'])})"
        return RefusedError(f"{code}: {message.rstrip('.')}", where=error.operation_name, cure=cure)
    action, resource = missing_action(error)
    where = f" on {resource}" if resource else ""
    cure = _who_may(hint or _by_template(message, action, resource)) or (
        f"Ask an administrator for {action}{where}, or act as a role that has it (overflight --as ROLE)"
    )
    if action in {"s3:ListBucket", "s3:GetObject"} and not resource:
        cure += f"; {_OWNERS_MAY_CHARGE}"
    return RefusedError(f"{code}: {message.rstrip('.')} [missing: {action}]", where=error.operation_name, cure=cure)


def _by_template(message: str, action: str, resource: str) -> dict[str, Any]:
    """The hint that the local account would give, for a refusal of AWS to one of our roles; empty for others."""
    caller = _OUR_ROLE.search(message)
    if caller is None or not resource:
        return {}
    from overflight.account.identity import access_for, who_might  # with it come PyYAML and the templates

    parts = resource.split(":")
    settings = load_settings(account_id=caller[1], region=parts[3] or None if len(parts) > 5 else None)
    roles = who_might(access_for(settings), action, resource)
    people, services = (list(roles[kind]) for kind in ("persona", "execution"))
    return {"Missing": action, "Personas": people, "Services": services} if people or services else {}


def _who_may(hint: Mapping[str, Any]) -> str:
    """The cure where the account told which roles could do it, else ""."""
    if not hint:
        return ""
    people, services = hint["Personas"], hint["Services"]
    if people:
        others = f" (or {', '.join(people[1:])})" if people[1:] else ""
        return f"Act as {people[0]}{others}: overflight --as {people[0]} ..."
    if services:
        return f"No role of people may do this; the role {' or '.join(services)} does it, as a step of its pipeline"
    return "No role may do this: the policies of the account do not allow it to anybody"


def _of_exception(error: Exception) -> tuple[type[OverflightError], str]:
    for kinds, kind, cure in _BY_EXCEPTION:
        if isinstance(error, kinds):
            return kind, cure
    return AccountError, "Check profile, region and network: aws sts get-caller-identity"


def _of_status(error: ClientError) -> tuple[type[OverflightError], str]:
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if status == 429 or (status >= 500 and status != 501):
        return ResourceError, _WAIT
    return AccountError, ""


def _region(error: ClientError) -> str:
    response: Any = error.response
    headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    told = response.get("Error", {})
    if region := headers.get("x-amz-bucket-region") or told.get("Region"):
        return str(region)
    found = _NAMED_REGION.search(str(told.get("Message", "")))
    return found[1] if found else ""
