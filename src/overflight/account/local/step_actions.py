"""What each type of step does when it is its turn: evaluate, register, or create a job.

Knows how a step's document becomes a request of SageMaker and where its result comes from. Knows nothing of the order
of steps, of retries or of processes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from overflight.account.local import tuning
from overflight.account.local.executions import job_name, moment
from overflight.account.local.expressions import ExpressionError, Scope, as_text, evaluate, holds
from overflight.account.local.graph import Step
from overflight.account.local.job_files import JobRefused, split_uri
from overflight.account.local.job_records import PROCESSING, TRAINING, create_job, describe_job
from overflight.account.local.login import caller_for
from overflight.account.local.requests import ambiguous_tags
from overflight.account.local.services._common import check_request
from overflight.account.local.services._tags import tags_of
from overflight.account.local.store import Resource, Transaction, to_json
from overflight.account.local.wire import AwsError, Call, Caller, authorised, record
from overflight.errors import NotFoundError, OverflightError

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount


@dataclass(frozen=True)
class StepResult:
    """What starting a step gave: its status word and further members of its record."""

    status: str
    values: Mapping[str, Any]


@dataclass(frozen=True)
class _JobType:
    kind: str
    operation: str
    name_member: str
    metadata: str
    longest_name: int = 63


JOB_TYPES: Mapping[str, _JobType] = {
    "Processing": _JobType(PROCESSING, "CreateProcessingJob", "ProcessingJobName", "ProcessingJob"),
    "Training": _JobType(TRAINING, "CreateTrainingJob", "TrainingJobName", "TrainingJob"),
    "Tuning": _JobType(tuning.KIND, "CreateHyperParameterTuningJob", "HyperParameterTuningJobName", "TuningJob", 32),
}


class Run:
    """One execution while it is advanced inside one transaction: its steps and their records.

    Args:
        tx: The transaction.
        account: The account.
        execution: The execution's record.
        steps: The definition's steps by name.
        records: Records of the steps that were ever started.
    """

    def __init__(
        self,
        tx: Transaction,
        account: LocalAccount,
        *,
        execution: Resource,
        steps: Mapping[str, Step],
        records: dict[str, Resource],
    ) -> None:
        self.tx = tx
        self.account = account
        self.execution = execution
        self.steps = steps
        self.records = records
        self.done: list[tuple[Call, AwsError | None]] = []

    @property
    def caller(self) -> Caller:
        """Who makes the calls of the steps: the execution's role, in a session with the execution's id."""
        role = self.account.role_key(self.execution.body["role_arn"])
        return caller_for(self.account, role=role, user=self.execution.name)

    @contextmanager
    def calling(self, operation: str, request: Mapping[str, Any]) -> Iterator[Caller]:
        """Authorise a call of a step as the execution's role; inside the block it is done.

        The call is kept in ``done`` and belongs into the trail, whatever becomes of it.

        Raises:
            AwsError: the role may not do it, or tags of the request cannot be decided about.
        """
        call = Call(
            "sagemaker",
            operation,
            dict(request),
            self.caller,
            self.account,
            transaction=self.tx,
            run=self.execution.name,
        )
        try:
            fault = ambiguous_tags(request)
            if fault:
                raise AwsError("ValidationException", fault)
            call = authorised(call)
            yield call.caller
        except AwsError as error:
            self.done.append((call, error))
            raise
        self.done.append((call, None))

    def scope(self, job: str = "") -> Scope:
        """What expressions can refer to now; ``job`` is the name of the job about to be created."""
        body, now = self.execution.body, self.account.clock()
        variables = {
            "PipelineName": self.execution.parent,
            "PipelineArn": body["pipeline_arn"],
            "PipelineExecutionId": self.execution.name,
            "PipelineExecutionArn": body["arn"],
            "StartDateTime": _instant(self.execution.created_at),
            "CurrentDateTime": _instant(now),
        }
        if job:
            variables |= {"TrainingJobName": job, "ProcessingJobName": job}
        answers = {name: one.body["answer"] for name, one in self.records.items() if "answer" in one.body}
        return Scope(
            parameters=body["values"],
            execution=variables,
            steps=answers,
            read_property_file=self._property_file,
            read_json=self._json,
        )

    def _property_file(self, step: str, name: str) -> Any:
        known = self.steps[step].document.get("PropertyFiles") or () if step in self.steps else ()
        for one in known:
            if one.get("PropertyFileName") == name:
                answer = self.records[step].body["answer"] if step in self.records else {}
                for output in (answer.get("ProcessingOutputConfig") or {}).get("Outputs") or ():
                    if output.get("OutputName") == one.get("OutputName"):
                        return self._json(f"{output['S3Output']['S3Uri'].rstrip('/')}/{one['FilePath']}")
        raise ExpressionError(f"there is no property file '{name}'", where=f"Steps.{step}.PropertyFiles.{name}")

    def _require_reading(self, bucket: str, key: str, uri: str) -> None:
        """Refuse a file that the execution's role may not read: the service reads it as that role."""
        params = {"Bucket": bucket, "Key": key}
        call = Call("s3", "GetObject", params, self.caller, self.account, transaction=self.tx, run=self.execution.name)
        try:
            authorised(call)
        except AwsError as error:
            self.done.append((call, error))
            raise ExpressionError(f"the file cannot be read: {error.message}", where=uri) from error

    def _json(self, uri: str) -> Any:
        try:
            bucket, key = split_uri(uri)
            self._require_reading(bucket, key, uri)
            return json.loads(self.account.objects.get_path(bucket, key).read_bytes())
        except (JobRefused, NotFoundError, OSError) as error:
            raise ExpressionError("the file does not exist", where=uri, cure="Check what the step wrote") from error
        except ValueError as error:
            raise ExpressionError("the file is not JSON", where=uri) from error


def record_calls(run: Run) -> None:
    """Write the calls of steps since the last time into the trail."""
    for call, error in run.done:
        decided = call if error is None or error.decision is None else replace(call, decision=error.decision)
        code, message = (error.code, error.message) if error else ("", "")
        record(run.tx, decided, read_only=False, error=code, message=message)
    run.done.clear()


def _instant(moment_: datetime) -> str:
    return moment_.strftime("%Y-%m-%dT%H:%M:%SZ")


def resolve(run: Run, step: Step, attempt: int) -> tuple[dict[str, Any], str]:
    """The request of a job step with all expressions evaluated, and the name of its job.

    Raises:
        ExpressionError: something it refers to does not exist.
        AwsError: the request is not one that SageMaker would accept.
    """
    job_type = JOB_TYPES[step.type]
    name = job_name(run.execution.name, step.name, attempt, longest=job_type.longest_name)
    request = evaluate(step.document.get("Arguments") or {}, run.scope(name))
    request = {key: value for key, value in request.items() if key != job_type.name_member}
    if step.type != "Tuning":
        request.setdefault("RoleArn", run.execution.body["role_arn"])
    check_request(job_type.operation, {**request, job_type.name_member: name})
    return request, name


def start_job(run: Run, step: Step, request: Mapping[str, Any], name: str) -> StepResult:
    """Create the job of a Processing, Training or Tuning step."""
    job_type, caller = JOB_TYPES[step.type], run.execution.body["caller"]
    full = {**request, job_type.name_member: name}
    with run.calling(job_type.operation, full):
        if step.type == "Tuning":
            job = tuning.create(run.tx, run.account, caller, full)
        else:
            job = create_job(run.tx, run.account, caller, kind=job_type.kind, request=full)
    metadata = {job_type.metadata: {"Arn": job.body["arn"]}}
    return StepResult("Starting", {"job_kind": job.kind, "job_name": name, "metadata": metadata})


def describe(tx: Transaction, job: Resource) -> dict[str, Any]:
    """The Describe answer of any kind of job as JSON, for references of later steps."""
    answer = tuning.describe(tx, job) if job.kind == tuning.KIND else describe_job(job)
    return dict(json.loads(to_json(answer)))


def do_condition(run: Run, step: Step) -> StepResult:
    """Evaluate a Condition step."""
    outcome = str(holds(step.document["Arguments"]["Conditions"], run.scope()))
    metadata = {"Condition": {"Outcome": outcome}}
    return StepResult("Succeeded", {"outcome": outcome, "metadata": metadata, "answer": {"Outcome": outcome}})


def do_fail(run: Run, step: Step) -> StepResult:
    """A Fail step: it fails with its message."""
    message = as_text(evaluate((step.document.get("Arguments") or {}).get("ErrorMessage", ""), run.scope()))
    return StepResult("Failed", {"failure_reason": message, "metadata": {"Fail": {"ErrorMessage": message}}})


def do_register(run: Run, step: Step) -> StepResult:
    """Create the model package version of a RegisterModel step; a missing group is made with the pipeline's tags."""
    from overflight.account.local.services.registry import (
        GROUP,
        create_group_record,
        create_model_package_version,
        group_name,
    )

    request = evaluate(step.document.get("Arguments") or {}, run.scope())
    group = {
        "ModelPackageGroupName": group_name(str(request.get("ModelPackageGroupName") or "")),
        "Tags": [
            {"Key": key, "Value": value} for key, value in tags_of(run.tx, run.execution.body["pipeline_arn"]).items()
        ],
    }
    if group["ModelPackageGroupName"] and run.tx.get(GROUP, str(group["ModelPackageGroupName"])) is None:
        with run.calling("CreateModelPackageGroup", group) as caller:
            create_group_record(run.tx, run.account, caller.arn, group)
    with run.calling("CreateModelPackage", request) as caller:
        answer = create_model_package_version(run.tx, run.account, caller.arn, request)
    known = json.loads(to_json({**request, **answer}))
    return StepResult("Succeeded", {"answer": known, "metadata": {"RegisterModel": {"Arn": answer["ModelPackageArn"]}}})


def do_model(run: Run, step: Step) -> StepResult:
    """Create the model of a Model step."""
    from overflight.account.local.services.models import create_model

    name = job_name(run.execution.name, step.name, 1)
    request = {"ModelName": name, **evaluate(step.document.get("Arguments") or {}, run.scope())}
    with run.calling("CreateModel", request) as caller:
        answer = create_model(run.tx, run.account, caller.arn, request)
    known = json.loads(to_json({**request, **answer}))
    return StepResult("Succeeded", {"answer": known, "metadata": {"Model": {"Arn": answer["ModelArn"]}}})


INSTANT: Mapping[str, Callable[[Run, Step], StepResult]] = {
    "Condition": do_condition,
    "Fail": do_fail,
    "RegisterModel": do_register,
    "Model": do_model,
}


def reason_of(error: Exception) -> str:
    """The FailureReason for an error that ended a step."""
    if isinstance(error, AwsError):
        return f"ClientError: {error.code}: {error.message}"
    if isinstance(error, OverflightError):
        return f"ClientError: {error}"
    return f"InternalServerError: {type(error).__name__}: {error}"


def since_s(text: str | None, now: datetime) -> float:
    """Seconds since a time of a record, 0 when there is none."""
    then = moment(text)
    return (now - then).total_seconds() if then else 0.0
