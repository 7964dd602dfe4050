"""What a job may do in the account: its inputs and outputs are its role's, and keys of it for jobs that ask for them.

Knows the role in the job's request; nothing of how jobs are run. SageMaker moves the objects of a job as the job's role
(developer guide, "How to use SageMaker AI execution roles").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local.job_files import JobFiles, JobRefused, output_uri, split_uri
from overflight.account.local.login import assume, caller_for
from overflight.account.local.requests import Need, surroundings
from overflight.account.local.s3_requests import bucket_arn, object_arn
from overflight.account.local.store import Resource
from overflight.account.local.wire import Call, denied, record

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
        # checkpoints of its calls belong beside those of all others
        **({"OVERFLIGHT_TRAIL_KEYS": str(account.trail_keys.parent)} if account.trail_keys else {}),
        "AWS_DEFAULT_REGION": account.region,
        "AWS_ACCESS_KEY_ID": keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys.session_token,
    }


def require_access(account: LocalAccount, job: Resource, files: JobFiles) -> None:
    """Refuse a job whose role may not read its inputs or write its outputs; a refusal is in the trail.

    One question for each channel and output, not for each object: listing and getting below an input, putting below an
    output, both for checkpoints.

    Raises:
        JobRefused: with what AWS would say.
    """
    kept = files.checkpoints()
    read = [one.uri for one in files.inputs()] + ([kept[0]] if kept else [])
    written = [uri for uri, _ in files.outputs()] + ([kept[0]] if kept else [])
    if files.kind != "processing-job":
        written.append(output_uri(files.request, files.name))
    role_arn = str(job.body["request"].get("RoleArn", ""))
    for what, operation, uris in (("download", "GetObject", read), ("upload", "PutObject", written)):
        for uri in dict.fromkeys(uris):
            why = refused_access(account, role_arn, job.name, operation, uri)
            if why:
                raise JobRefused(f"ClientError: Data {what} failed: {uri}: {why}")


def refused_access(account: LocalAccount, role_arn: str, session: str, operation: str, uri: str) -> str:
    """Why a role may not read (``GetObject``) or write (``PutObject``) what is below an S3 URI; "" when it may.

    Args:
        account: The account.
        role_arn: Role of a job or model.
        session: Name of the role session: the job or the endpoint.
        operation: ``GetObject`` or ``PutObject``.
        uri: A folder or, for reading, one object.

    Raises:
        JobRefused: it is not an S3 URI.
    """
    bucket, key = split_uri(uri)
    single = operation == "GetObject" and not key.endswith("/") and account.objects.exists(bucket, key)
    if single and account.objects.list(bucket, f"{key}/"):  # a folder of that name is taken before the object
        single = False
    below = key if single else f"{key.rstrip('/')}/*".lstrip("/")
    needed = [Need(f"s3:{operation}", object_arn(bucket, below))]
    if operation == "GetObject" and not single:
        needed.insert(0, Need("s3:ListBucket", bucket_arn(bucket), {"s3:prefix": key}))
    caller = caller_for(account, role=account.role_key(role_arn), user=session)
    context = surroundings(now=account.clock(), region=account.region)
    decision = account.authoriser.decide_needs(caller, needed, context)
    if decision.allowed:
        return ""
    call = Call("s3", operation, {"Bucket": bucket, "Key": below}, caller, account, decision=decision)
    error = denied(call, decision)
    with account.store.write() as tx:
        record(tx, call, read_only=operation == "GetObject", error=error.code, message=error.message)
    return f"AccessDenied: {error.message}"
