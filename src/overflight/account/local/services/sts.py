"""STS: who am I, and act as another role."""

from __future__ import annotations

from typing import Any

from overflight.account.local.login import ROLE_PREFIX
from overflight.account.local.wire import Call, operation


@operation("sts", "GetCallerIdentity")
def get_caller_identity(call: Call) -> dict[str, Any]:
    """Account, ARN and user id of the caller."""
    caller = call.caller
    return {"UserId": f"{ROLE_PREFIX}{caller.role}:{caller.user}", "Account": caller.account_id, "Arn": caller.arn}
