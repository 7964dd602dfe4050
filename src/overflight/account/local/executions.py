"""Executions and their steps as records of the store, and the events that their changes publish.

Knows the members of the records and AWS's status words; not how an execution is advanced. A step that waits to be run
again has the own word ``Waiting``, which AWS's lists never show.
"""

from __future__ import annotations

import re
import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

from overflight.account.local import events
from overflight.account.local.store import Resource, Transaction, time_text
from overflight.files import sha256_bytes

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

EXECUTION, STEP, DEFINITION = "execution", "step", "execution-definition"
OPEN = ("Executing", "Stopping")
ACTIVE = frozenset({"Starting", "Executing", "Stopping"})
WAITING = "Waiting"
_NAME_LIMIT = 63
_DIGEST_LENGTH = 10
_STEPS_PREFIX = "pipelines"


@dataclass(frozen=True)
class NewExecution:
    """What an execution is started with.

    Attributes:
        pipeline: Name of the pipeline.
        definition: The definition document it keeps.
        values: Parameter values (typed).
        caller_arn: Who starts it.
        role_arn: Role of its jobs, unless they name another.
        max_parallel: MaxParallelExecutionSteps, or None.
        display_name: Given by the caller, or "".
        description: Given by the caller, or "".
    """

    pipeline: str
    definition: str
    values: dict[str, Any]
    caller_arn: str
    role_arn: str
    max_parallel: int | None = None
    display_name: str = ""
    description: str = ""


def pipeline_arn(account: LocalAccount, name: str) -> str:
    """ARN of a pipeline; SageMaker writes its name in lower case there."""
    return account.arn("sagemaker", f"pipeline/{name.lower()}")


def create_execution(tx: Transaction, account: LocalAccount, new: NewExecution) -> Resource:
    """Record a new execution in status ``Executing``; whoever follows the store takes it from there."""
    execution_id = uuid.uuid4().hex[:12]
    body = {
        "arn": f"{pipeline_arn(account, new.pipeline)}/execution/{execution_id}",
        "pipeline_arn": pipeline_arn(account, new.pipeline),
        "values": new.values,
        "caller": new.caller_arn,
        "role_arn": new.role_arn,
        "max_parallel": new.max_parallel,
        "display_name": new.display_name or f"execution-{int(account.clock().timestamp() * 1000)}",
        "description": new.description,
        "failure_reason": "",
    }
    tx.insert(DEFINITION, execution_id, body={"definition": new.definition}, parent=new.pipeline)
    execution = tx.insert(EXECUTION, execution_id, body=body, parent=new.pipeline, status="Executing")
    announce_execution(tx, account, execution, previous="")
    return execution


def change_execution(
    tx: Transaction, account: LocalAccount, execution: Resource, *, status: str, **values: Any
) -> Resource:
    """Write a new status (announced when it differs) and further members of the body."""
    changed = tx.put(EXECUTION, execution.name, body={**execution.body, **values}, status=status)
    if status != execution.status:
        announce_execution(tx, account, changed, previous=execution.status)
    return changed


def change_step(
    tx: Transaction, account: LocalAccount, execution: Resource, name: str, *, status: str, **values: Any
) -> Resource:
    """Create or change the record of a step; a change of status is announced."""
    key = f"{execution.name}/{name}"
    before = tx.get(STEP, key)
    if before is None:
        changed = tx.insert(STEP, key, body=values, parent=execution.name, status=status)
    else:
        changed = tx.put(STEP, key, body={**before.body, **values}, status=status)
    if before is None or before.status != status:
        _announce_step(tx, account, execution, changed, previous="" if before is None else before.status)
    return changed


def steps_of(tx: Transaction, execution_id: str) -> dict[str, Resource]:
    """Records of all steps that were ever started, by step name, in the order of their first start."""
    return {one.name.split("/", 1)[1]: one for one in tx.list(STEP, parent=execution_id)}


def retry_execution(tx: Transaction, account: LocalAccount, execution: Resource) -> Resource:
    """Let a finished execution go on from its last finished steps: what did not succeed waits to be run again."""
    for name, step in steps_of(tx, execution.name).items():
        if step.status != "Succeeded":
            kept = {"attempts": step.body.get("attempts", 0), "type": step.body["type"]}
            tx.put(STEP, f"{execution.name}/{name}", body=kept, status=WAITING)
    return change_execution(tx, account, execution, status="Executing", failure_reason="")


def job_name(execution_id: str, step: str, attempt: int, *, longest: int = _NAME_LIMIT) -> str:
    """``pipelines-<execution id>-<step>-<digest>``: SageMaker's form for what steps create, unique per step and try.

    People may not create such names, so that nobody takes the name of a later step's job. The step's name is cut, and
    what is not a letter, a digit or a hyphen in it is replaced. The digest is of its full name and the attempt: a
    number alone would make the second attempt of ``Train`` the first one of ``Train-2``.

    Args:
        execution_id: Id of the execution.
        step: Name of the step.
        attempt: From 1.
        longest: How many characters the name may have (63; 32 for a tuning job).
    """
    head = f"{_STEPS_PREFIX}-{execution_id}"
    digest = sha256_bytes(f"{step}/{attempt}".encode())[: _DIGEST_LENGTH if longest >= _NAME_LIMIT else 6]
    room = longest - len(head) - len(digest) - 2
    plain = re.sub(r"[^A-Za-z0-9]+", "-", step)[:room].strip("-")
    return "-".join(part for part in (head, plain, digest) if part)


def announce_execution(tx: Transaction, account: LocalAccount, execution: Resource, *, previous: str) -> None:
    """Publish SageMaker's event about an execution's status."""
    body = execution.body
    detail = {
        "pipelineArn": body["pipeline_arn"],
        "pipelineExecutionArn": body["arn"],
        "pipelineExecutionDisplayName": body["display_name"],
        "currentPipelineExecutionStatus": execution.status,
        "previousPipelineExecutionStatus": previous or None,
        "executionStartTime": time_text(execution.created_at),
    }
    if execution.status not in OPEN:
        detail["executionEndTime"] = time_text(execution.modified_at)
    _publish(tx, account, "SageMaker Model Building Pipeline Execution Status Change", detail, body["arn"])


def _announce_step(
    tx: Transaction, account: LocalAccount, execution: Resource, step: Resource, *, previous: str
) -> None:
    body = step.body
    detail = {
        "pipelineArn": execution.body["pipeline_arn"],
        "pipelineExecutionArn": execution.body["arn"],
        "stepName": step.name.split("/", 1)[1],
        "stepType": body.get("type"),
        "currentStepStatus": step.status,
        "previousStepStatus": previous or None,
        "stepStartTime": body.get("started_at"),
        "stepEndTime": body.get("ended_at"),
        "failureReason": body.get("failure_reason"),
        "metadata": body.get("metadata"),
        "cacheHitResult": {"sourcePipelineExecutionArn": body["cache_source"]} if body.get("cache_source") else None,
    }
    _publish(
        tx, account, "SageMaker Model Building Pipeline Execution Step Status Change", detail, execution.body["arn"]
    )


def _publish(tx: Transaction, account: LocalAccount, detail_type: str, detail: dict[str, Any], arn: str) -> None:
    present = {key: value for key, value in detail.items() if value is not None}
    events.publish(
        tx,
        time=account.clock(),
        source="aws.sagemaker",
        detail_type=detail_type,
        detail=present,
        resources=[str(detail["pipelineArn"]), arn],
    )


def moment(text: str | None) -> datetime | None:
    """A time of a record's body, or None."""
    return datetime.fromisoformat(text) if text else None
