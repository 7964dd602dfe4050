"""STS: who am I, and act as another role."""

from __future__ import annotations

import re
from typing import Any

from overflight.account.local.login import ROLE_PREFIX, assume
from overflight.account.local.requests import ambiguous_tags
from overflight.account.local.wire import AwsError, Call, operation

_SESSION_NAME = re.compile(r"^[\w+=,.@-]{2,64}$")
_LONGEST_S = 12 * 3600


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call: Call) -> dict[str, Any]:
    """Account, ARN and user id of the caller."""
    caller = call.caller
    return {"UserId": _user_id(caller.role, caller.user), "Account": caller.account_id, "Arn": caller.arn}


@operation("sts", "AssumeRole")
def assume_role(call: Call) -> dict[str, Any]:
    """Temporary keys of a role; a client made with them in any session to this account acts as that role.

    The role's trust policy was asked before. It demands a tag that no role of Overflight has, so only the owner of the
    account gets on: like in AWS, nobody goes from one role to the next.
    """
    name = call.params["RoleSessionName"]
    if not _SESSION_NAME.match(name):
        raise AwsError("ValidationError", "roleSessionName must have 2 to 64 letters, digits or any of _+=,.@-")
    fault = ambiguous_tags(call.params)
    if fault:
        raise AwsError("ValidationError", fault)
    duration_s = call.params.get("DurationSeconds", 3600)
    if not 900 <= duration_s <= _LONGEST_S:
        raise AwsError("ValidationError", f"durationSeconds must be from 900 to {_LONGEST_S}")
    role = _role(call)
    keys = assume(call.account, call.transaction, role=role, user=name, duration_s=duration_s)
    arn = call.account.arn("sts", f"assumed-role/{ROLE_PREFIX}{role}/{name}")
    return {
        "Credentials": {
            "AccessKeyId": keys.access_key_id,
            "SecretAccessKey": keys.secret_access_key,
            "SessionToken": keys.session_token,
            "Expiration": keys.expires_at,
        },
        "AssumedRoleUser": {"AssumedRoleId": _user_id(role, name), "Arn": arn},
    }


def _role(call: Call) -> str:
    """Short name of the role; that the caller may assume it has been decided by the role's trust policy."""
    wanted = call.params["RoleArn"]
    role = call.account.role_key(wanted)
    if not role or not call.account.authoriser.knows(role):
        raise AwsError(
            "AccessDenied",
            f"User: {call.caller.arn} is not authorized to perform: sts:AssumeRole on resource: {wanted} because there "
            "is no such role in this account",
            403,
        )
    return role


def _user_id(role: str, user: str) -> str:
    return f"{ROLE_PREFIX}{role}:{user}"
