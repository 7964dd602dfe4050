"""What a job may do in the account: keys of its role for the jobs that ask for them.

Knows the role in the job's request; nothing of how jobs are run.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local.login import assume
from overflight.account.local.store import Resource

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

ASKS = "OVERFLIGHT_ACCOUNT_ACCESS"
_DAY_S = 86400
_SLACK_S = 900  # for writing what it has done, after its time limit


def access_environment(account: LocalAccount, job: Resource) -> dict[str, str]:
    """Variables with which ``account.session.open_job_session`` reaches the account as the job's role.

    Empty unless the request's environment has ``OVERFLIGHT_ACCOUNT_ACCESS=1``: most jobs read their inputs, write their
    outputs and call nobody, and keys that are not there cannot be lost. The session is named after the job.
    """
    request: Mapping[str, Any] = job.body["request"]
    role = account.role_key(str(request.get("RoleArn", "")))
    if (request.get("Environment") or {}).get(ASKS) != "1" or not role:
        return {}
    limit_s = int((request.get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", _DAY_S))
    with account.store.write() as tx:
        keys = assume(account, tx, role=role, user=job.name, duration_s=limit_s + _SLACK_S)
    return {
        "OVERFLIGHT_PLATFORM": "local",
        "OVERFLIGHT_HOME": str(account.home),
        "OVERFLIGHT_REGION": account.region,
        "OVERFLIGHT_ACCOUNT_ID": account.account_id,
        "OVERFLIGHT_ENVIRONMENT": account.environment,
        "AWS_DEFAULT_REGION": account.region,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token,
    }
