"""Processing and training jobs as records of the store: created, changed and described in AWS's words.

Pipelines, tuning jobs and direct calls create their jobs here, so ``DescribeTrainingJob`` answers for all of them.
Knows no processes: a job that is ``InProgress`` and has no process yet is waiting for the runner.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING, Any

from overflight.account.local import events
from overflight.account.local.job_files import output_uri
from overflight.account.local.services._tags import keep_tags
from overflight.account.local.store import Resource, ResourceExists, Transaction, to_json
from overflight.account.local.wire import AwsError

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

PROCESSING = "processing-job"
TRAINING = "training-job"
KINDS = (PROCESSING, TRAINING)
RUNNING = ("InProgress", "Stopping")
_LABEL = {PROCESSING: "Processing", TRAINING: "Training"}
_TIMES = ("started_at", "ended_at")


def create_job(
    tx: Transaction, account: LocalAccount, caller_arn: str, *, kind: str, request: Mapping[str, Any], parent: str = ""
) -> Resource:
    """Record a new job that waits to be run.

    Args:
        tx: The transaction to write in.
        account: The account it belongs to.
        caller_arn: Who creates it.
        kind: ``processing-job`` or ``training-job``.
        request: The request of ``CreateProcessingJob`` or ``CreateTrainingJob``.
        parent: Name of the tuning job it belongs to, or "".

    Raises:
        AwsError: ``ResourceInUse`` when the name is taken.
    """
    name = str(request[f"{_LABEL[kind]}JobName"])
    body: dict[str, Any] = {
        "request": json.loads(to_json(dict(request))),
        "caller": caller_arn,
        "arn": account.arn("sagemaker", f"{kind}/{name}"),
        "secondary": "Starting",
        "transitions": [{"Status": "Starting", "StartTime": account.clock()}],
        "process": None,
    }
    other = TRAINING if kind == PROCESSING else PROCESSING
    if tx.get(other, name) is not None:  # both have their folder in jobs/<name>
        raise AwsError("ResourceInUse", f"{name} is the name of a {other} already.")
    try:
        resource = tx.insert(kind, name, body=body, parent=parent, status="InProgress")
    except ResourceExists as error:
        message = f"Job name must be unique within an AWS account and region: {body['arn']} exists already."
        raise AwsError("ResourceInUse", message) from error
    keep_tags(tx, body["arn"], request.get("Tags") or [])
    _announce(tx, account, resource)
    return resource


def change_job(
    tx: Transaction, account: LocalAccount, resource: Resource, *, status: str = "", secondary: str = "", **values: Any
) -> Resource:
    """Write a new status and further members of the body; a change of either status word is announced as an event."""
    body = {**resource.body, **values}
    if secondary and secondary != body["secondary"]:
        now = account.clock()
        body["transitions"][-1].setdefault("EndTime", now)
        body["transitions"].append({"Status": secondary, "StartTime": now})
        body["secondary"] = secondary
    changed = tx.put(resource.kind, resource.name, body=body, status=status or None)
    if status or secondary:
        _announce(tx, account, changed)
    return changed


def request_stop(tx: Transaction, account: LocalAccount, resource: Resource) -> Resource:
    """Mark a running job ``Stopping``; one that has no process yet is ``Stopped`` at once."""
    if resource.status != "InProgress":
        return resource
    if resource.body["process"] is None and resource.body["secondary"] == "Starting":
        now = account.clock()
        return change_job(tx, account, resource, status="Stopped", secondary="Stopped", ended_at=now)
    return change_job(tx, account, resource, status="Stopping", secondary="Stopping")


def describe_job(resource: Resource) -> dict[str, Any]:
    """The answer of ``DescribeProcessingJob`` or ``DescribeTrainingJob``."""
    body, label = resource.body, _LABEL[resource.kind]
    request = {key: value for key, value in body["request"].items() if key not in {"Tags", "SessionChainingConfig"}}
    answer = {
        **request,
        f"{label}JobArn": body["arn"],
        f"{label}JobStatus": resource.status,
        "CreationTime": resource.created_at,
        "LastModifiedTime": resource.modified_at,
        "FailureReason": body.get("failure_reason") or None,
        **{f"{label}{word}Time": _time(body.get(key)) for key, word in zip(_TIMES, ("Start", "End"), strict=True)},
    }
    if resource.kind == PROCESSING:
        answer["ExitMessage"] = body.get("exit_message") or None
    else:
        answer |= _training_extras(resource)
    return {key: value for key, value in answer.items() if value is not None}


def _training_extras(resource: Resource) -> dict[str, Any]:
    body = resource.body
    started, ended = (_time(body.get(key)) for key in _TIMES)
    seconds = int((ended - started).total_seconds()) if started and ended else None
    artefact = f"{output_uri(body['request'], resource.name)}/model"
    if body["request"]["OutputDataConfig"].get("CompressionType", "GZIP") != "NONE":
        artefact += ".tar.gz"
    metrics = [{**one, "Timestamp": _time(one["Timestamp"])} for one in body.get("metrics") or ()]
    return {
        "SecondaryStatus": body["secondary"],
        "SecondaryStatusTransitions": [
            {key: _time(value) if key.endswith("Time") else value for key, value in one.items()}
            for one in body["transitions"]
        ],
        "ModelArtifacts": {"S3ModelArtifacts": artefact},
        "StoppingCondition": body["request"].get("StoppingCondition") or {"MaxRuntimeInSeconds": 86400},
        "TuningJobArn": body.get("tuning_job_arn"),
        "TrainingTimeInSeconds": seconds,
        "BillableTimeInSeconds": seconds,
        "FinalMetricDataList": metrics or None,
    }


def _time(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None


def _announce(tx: Transaction, account: LocalAccount, resource: Resource) -> None:
    label = _LABEL[resource.kind]
    detail = json.loads(to_json(describe_job(resource)))
    events.publish(
        tx,
        time=account.clock(),
        source="aws.sagemaker",
        detail_type=f"SageMaker {label} Job State Change",
        detail=detail,
        resources=[resource.body["arn"]],
    )
