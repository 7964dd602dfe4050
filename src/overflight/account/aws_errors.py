"""Errors of AWS calls in the words of Overflight's error family.

Knows AWS's error codes; does not know which use case made the call.
"""

from __future__ import annotations

from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError

from overflight.errors import AccountError, NotFoundError, OverflightError, RefusedError, ResourceError, UsageError

_BY_CODE: dict[str, tuple[type[OverflightError], str]] = {
    "AccessDenied": (RefusedError, "Act as a role that may do this (overflight --as ROLE) or ask an administrator"),
    "AccessDeniedException": (RefusedError, "Act as a role that may do this or ask an administrator"),
    "ExpiredToken": (AccountError, "Log in again: aws sso login --profile PROFILE"),
    "ExpiredTokenException": (AccountError, "Log in again: aws sso login --profile PROFILE"),
    "InvalidClientTokenId": (AccountError, "Check the keys of the profile: aws configure --profile PROFILE"),
    "SignatureDoesNotMatch": (AccountError, "Check the keys of the profile: aws configure --profile PROFILE"),
    "NoSuchBucket": (NotFoundError, "Check the bucket's name and the region"),
    "NoSuchKey": (NotFoundError, "Check the name"),
    "404": (NotFoundError, "Check the name"),
    "ResourceNotFound": (NotFoundError, "Check the name"),
    "ResourceNotFoundException": (NotFoundError, "Check the name"),
    "ResourceLimitExceeded": (ResourceError, "Ask AWS for a higher quota or wait until something has ended"),
    "ThrottlingException": (ResourceError, "Wait a moment and try again"),
    "ServiceUnavailable": (ResourceError, "Wait a moment and try again"),
    "ResourceInUse": (UsageError, "Choose another name"),
    "ConflictException": (UsageError, "Look at what is there already and try again"),
    "ValidationException": (UsageError, "Check the arguments"),
    "ValidationError": (UsageError, "Check the arguments"),
}


def translate(error: ClientError | BotoCoreError) -> OverflightError:
    """``error`` as one of our own, with its code, operation and cure; unknown codes become an AccountError."""
    if isinstance(error, ParamValidationError):
        return UsageError(" ".join(str(error).split()), cure="Check the arguments")
    if not isinstance(error, ClientError):
        return AccountError(str(error), cure="Check profile, region and network: aws sts get-caller-identity")
    code = error.response["Error"].get("Code", "Unknown")
    message = error.response["Error"].get("Message", "")
    kind, cure = _BY_CODE.get(code, (AccountError, ""))
    return kind(f"{code}: {message}", where=error.operation_name, cure=cure)
