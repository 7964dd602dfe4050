"""Training runs: start the pipeline, follow it, look at it, stop and resume it.

Talks to SageMaker Pipelines through boto3 only; whether AWS or the local account executes it is not known here.
"""

from __future__ import annotations

import json
import logging
import re
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from botocore.exceptions import ClientError

from overflight.account.objects import S3Uri
from overflight.errors import JobError, NotFoundError, OverflightError
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Progress
from overflight.pipelines.check import require_valid
from overflight.pipelines.definition import to_json
from overflight.pipelines.deploy import NAME as DEPLOY_PIPELINE
from overflight.pipelines.train import TrainPipelineConfig, train_pipeline
from overflight.settings import Settings
from overflight.tracking.reading import close_execution
from overflight.tracking.settings import OFF

log = logging.getLogger(__name__)

TRAIN = "train"  # the pipeline's name in an environment is made of it: overflight-dev-train
FINISHED = frozenset({"Succeeded", "Failed", "Stopped", "CompletedWithFailures"})
# "<time> <level> <logger> photos 7/13", as overflight.logs writes it; the first three words are optional.
_COUNTED = re.compile(r"^(?:\S+Z \w+ +[\w.]+ )?(?P<text>.*\b(?P<done>\d+)/(?P<total>\d+))\s*$")
_LOG_GROUPS = {
    "ProcessingJob": "/aws/sagemaker/ProcessingJobs",
    "TrainingJob": "/aws/sagemaker/TrainingJobs",
    "TuningJob": "/aws/sagemaker/TrainingJobs",
}


@dataclass(frozen=True)
class Step:
    """One step of an execution as the service reports it."""

    name: str
    status: str
    started: datetime | None
    ended: datetime | None
    reason: str
    cached: bool
    attempts: int
    job_arn: str
    job_kind: str

    @property
    def seconds(self) -> float | None:
        """Duration (s), None while it runs or when it never ran."""
        if self.started is None or self.ended is None:
            return None
        return (self.ended - self.started).total_seconds()

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "step": self.name,
            "status": self.status,
            "seconds": self.seconds,
            "reason": self.reason,
            "cached": self.cached,
            "attempts": self.attempts,
            "job": self.job_arn,
        }


def training_definition(settings: Settings) -> str:
    """Definition (JSON text) of the training pipeline in the account and environment of ``settings``."""
    config = TrainPipelineConfig(
        name=settings.name(TRAIN),
        bucket=settings.bucket,
        environment=settings.environment,
        prepare_role_arn=settings.role_arn("prepare"),
        train_role_arn=settings.role_arn("train"),
        evaluate_role_arn=settings.role_arn("evaluate"),
    )
    return to_json(train_pipeline(config))


def publish_pipeline(context: Context) -> str:
    """Create the training pipeline, or update it when its definition has changed; returns its name.

    Only who may publish pipelines needs to: a pipeline that is as it should be is left alone.

    Raises:
        UsageError: the definition fails our own checks (nothing was sent).
    """
    name = context.names.name(TRAIN)
    definition, role_arn = training_definition(context.names), context.names.role_arn("register")
    for warning in require_valid(json.loads(definition)):
        log.warning("pipeline %s: %s: %s", name, warning.path, warning.message)
    sagemaker = context.client("sagemaker")
    try:
        current = sagemaker.describe_pipeline(PipelineName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] not in {"ResourceNotFound", "ResourceNotFoundException"}:
            raise
        sagemaker.create_pipeline(
            PipelineName=name,
            PipelineDefinition=definition,
            RoleArn=role_arn,
            ClientRequestToken=_token(),
            PipelineDescription="From a survey of drone photographs to a model package that waits for approval",
            Tags=context.tags,
        )
    else:
        if current["PipelineDefinition"] != definition:
            sagemaker.update_pipeline(PipelineName=name, PipelineDefinition=definition, RoleArn=role_arn)
    return name


def start_run(
    context: Context,
    parameters: dict[str, str | int | float],
    *,
    publisher: Context | None = None,
    parallel: int = 2,
) -> str:
    """Start the training pipeline with ``parameters``; returns the execution's ARN.

    Args:
        context: Who starts it.
        parameters: Parameters of the pipeline.
        publisher: Who publishes the pipeline when it is missing or of another version; None: who starts it.
        parallel: Steps at once.
    """
    name = publish_pipeline(publisher or context)
    given = {"Owner": context.settings.user, **parameters}
    answer = context.client("sagemaker").start_pipeline_execution(
        PipelineName=name,
        PipelineParameters=[{"Name": key, "Value": str(value)} for key, value in given.items()],
        ClientRequestToken=_token(),
        ParallelismConfiguration={"MaxParallelExecutionSteps": parallel},
    )
    return str(answer["PipelineExecutionArn"])


def steps_of(context: Context, execution_arn: str) -> list[Step]:
    """Steps of an execution that started so far, in order of their start."""
    pages = (
        context.client("sagemaker")
        .get_paginator("list_pipeline_execution_steps")
        .paginate(PipelineExecutionArn=execution_arn, SortOrder="Ascending")
    )
    return [_step(item) for page in pages for item in page["PipelineExecutionSteps"]]


def output_uri(context: Context, step: Step, output: str) -> S3Uri:
    """Where a processing step left its output of this name: in an earlier run's folder when the step came from there.

    Raises:
        NotFoundError: the step has no such output.
    """
    name = step.job_arn.rsplit("/", 1)[1]
    job = context.client("sagemaker").describe_processing_job(ProcessingJobName=name)
    for item in job["ProcessingOutputConfig"]["Outputs"]:
        if item["OutputName"] == output:
            return S3Uri.parse(item["S3Output"]["S3Uri"])
    raise NotFoundError(f"step {step.name} has no output {output!r}", where=name, cure="See: overflight pipeline show")


def follow(
    context: Context, execution_arn: str, *, progress: Progress, wait: Callable[[float], None] = time.sleep
) -> list[Step]:
    """Report an execution until it ends; returns its steps.

    Raises:
        JobError: it failed or was stopped; the message carries the first reason and the command that shows the log.
    """
    sagemaker = context.client("sagemaker")
    begun: set[str] = set()
    ended: set[str] = set()
    tail = _LogTail(context)
    while True:
        status = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
        steps = steps_of(context, execution_arn)
        for step in steps:
            if step.name not in begun:
                begun.add(step.name)
                progress.begin(step.name)
            if step.ended is None and step.job_arn:
                for text, done, total in tail.news(step):
                    progress.update(text, done, total)
            if step.ended is not None and step.name not in ended:
                ended.add(step.name)
                note = "from an earlier run" if step.cached else step.status.lower()
                progress.end(step.name, step.seconds or 0.0, f"{note}: {step.reason}" if step.reason else note)
        if status["PipelineExecutionStatus"] in FINISHED:
            break
        try:
            wait(0.25 if context.is_local else 10.0)
        except KeyboardInterrupt as interrupt:
            run = execution_arn.rsplit("/", 1)[1]
            words = f"the run goes on. Look: overflight runs show {run}; end it: overflight runs stop {run}"
            raise KeyboardInterrupt(words) from interrupt
    if status["PipelineExecutionStatus"] != "Succeeded":
        _close_tracking(context, execution_arn, status["PipelineExecutionStatus"])
        raise _failed(execution_arn, status, steps)
    return steps


def _close_tracking(context: Context, execution_arn: str, status: str) -> None:
    """Tell MLflow that the run did not succeed: its jobs may all have ended well before a gate refused."""
    given = _parameters_of(context, execution_arn)
    uri = given.get("MlflowTrackingUri", OFF)
    if uri == OFF:
        return
    try:
        close_execution(
            uri,
            execution_arn.rsplit("/", 1)[1],
            status="KILLED" if status == "Stopped" else "FAILED",
            end_ms=int(context.clock().timestamp() * 1000),
            experiment=given["MlflowExperiment"],
        )
    except OverflightError as error:  # the run's own failure is what must be reported
        log.warning("the end of the run could not be told to MLflow: %s", error)


def _parameters_of(context: Context, execution_arn: str) -> dict[str, str]:
    answer = context.client("sagemaker").list_pipeline_parameters_for_execution(PipelineExecutionArn=execution_arn)
    return {item["Name"]: item["Value"] for item in answer["PipelineParameters"]}


def list_runs(context: Context, *, limit: int = 20) -> list[dict[str, Any]]:
    """Executions of all pipelines, newest first."""
    sagemaker = context.client("sagemaker")
    rows: list[dict[str, Any]] = []
    for page in sagemaker.get_paginator("list_pipelines").paginate():
        for pipeline in page["PipelineSummaries"]:
            answer = sagemaker.list_pipeline_executions(
                PipelineName=pipeline["PipelineName"], SortOrder="Descending", MaxResults=limit
            )
            rows += [
                {
                    "run": item["PipelineExecutionArn"].rsplit("/", 1)[1],
                    "pipeline": pipeline["PipelineName"],
                    "status": item["PipelineExecutionStatus"],
                    "started": item["StartTime"],
                    "arn": item["PipelineExecutionArn"],
                }
                for item in answer["PipelineExecutionSummaries"]
            ]
    return sorted(rows, key=lambda row: row["started"], reverse=True)[:limit]


def find_run(context: Context, run: str) -> str:
    """ARN of a run given as ARN, id, the first characters of an id, or ``latest`` (the newest that is no deployment).

    Raises:
        NotFoundError: none or several match.
    """
    if run.startswith("arn:"):
        return run
    rows = list_runs(context, limit=100)
    newest = sorted(rows, key=lambda row: row["pipeline"] == DEPLOY_PIPELINE)[:1]  # stable: newest first stays
    matching = newest if run == "latest" else [row for row in rows if row["run"].startswith(run)]
    if len(matching) != 1:
        problem = "no run has this id" if not matching else f"{len(matching)} runs begin like this"
        raise NotFoundError(problem, where=run, cure="See: overflight runs list")
    return str(matching[0]["arn"])


def describe_run(context: Context, execution_arn: str) -> dict[str, Any]:
    """Status, who started it, parameters and steps of one run."""
    sagemaker = context.client("sagemaker")
    facts = sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn)
    return {
        "run": execution_arn.rsplit("/", 1)[1],
        "arn": execution_arn,
        "status": facts["PipelineExecutionStatus"],
        "reason": facts.get("FailureReason", ""),
        "started": facts["CreationTime"],
        "modified": facts["LastModifiedTime"],
        "started_by": started_by(facts),
        "parameters": _parameters_of(context, execution_arn),
        "steps": [step.as_dict() for step in steps_of(context, execution_arn)],
    }


def started_by(execution: dict[str, Any]) -> str:
    """ARN of whoever started an execution, from its DescribePipelineExecution answer."""
    return str(execution.get("CreatedBy", {}).get("IamIdentity", {}).get("Arn", ""))


def run_logs(context: Context, execution_arn: str, *, step: str | None = None) -> Iterator[tuple[str, str]]:
    """(step, line) of every log line, step by step, or of one step only.

    Raises:
        NotFoundError: the execution has no such step.
    """
    steps = steps_of(context, execution_arn)
    chosen = [item for item in steps if item.job_arn and (step is None or item.name == step)]
    if step is not None and not chosen:
        names = ", ".join(item.name for item in steps if item.job_arn)
        raise NotFoundError("this run has no log of such a step", where=step, cure=f"Steps with a log: {names}")
    for item in chosen:
        for line in _LogTail(context).lines(item):
            yield item.name, line


def stop_run(context: Context, execution_arn: str) -> None:
    """Ask an execution to stop; its running jobs are terminated."""
    context.client("sagemaker").stop_pipeline_execution(PipelineExecutionArn=execution_arn, ClientRequestToken=_token())


def resume_run(context: Context, execution_arn: str) -> None:
    """Go on with a failed or stopped execution after its last finished step."""
    context.client("sagemaker").retry_pipeline_execution(
        PipelineExecutionArn=execution_arn, ClientRequestToken=_token()
    )


class _LogTail:
    """Reads the log of jobs from where it stopped the last time."""

    def __init__(self, context: Context) -> None:
        self._logs = context.client("logs")
        self._tokens: dict[str, str] = {}

    def lines(self, step: Step) -> list[str]:
        """Lines of the step's job that were not returned before; none while it has no log yet."""
        job = step.job_arn.rsplit("/", 1)[1]
        group = _LOG_GROUPS[step.job_kind]
        try:
            streams = self._logs.describe_log_streams(logGroupName=group, logStreamNamePrefix=f"{job}/")["logStreams"]
        except ClientError as error:
            if error.response["Error"]["Code"] == "ResourceNotFoundException":
                return []
            raise
        found: list[str] = []
        for stream in streams:
            name = stream["logStreamName"]
            while True:
                token = self._tokens.get(name)
                more = {"nextToken": token} if token else {}
                answer = self._logs.get_log_events(logGroupName=group, logStreamName=name, startFromHead=True, **more)
                found += [event["message"] for event in answer["events"]]
                self._tokens[name] = answer["nextForwardToken"]
                if answer["nextForwardToken"] == token or not answer["events"]:
                    break
        return found

    def news(self, step: Step) -> list[tuple[str, int | None, int | None]]:
        """The newest progress line (``... images 40/240``) among the new log lines, parsed, if there is one."""
        for line in reversed(self.lines(step)):
            if match := _COUNTED.search(line):
                return [(match["text"], int(match["done"]), int(match["total"]))]
        return []


def _step(item: dict[str, Any]) -> Step:
    metadata = item.get("Metadata", {})
    kind = next((name for name in _LOG_GROUPS if name in metadata), "")
    return Step(
        name=item["StepName"],
        status=item["StepStatus"],
        started=item.get("StartTime"),
        ended=item.get("EndTime"),
        reason=item.get("FailureReason", ""),
        cached="CacheHitResult" in item,
        attempts=item.get("AttemptCount", 1),
        job_arn=metadata[kind]["Arn"] if kind else "",
        job_kind=kind,
    )


def _failed(execution_arn: str, status: dict[str, Any], steps: list[Step]) -> JobError:
    run = execution_arn.rsplit("/", 1)[1]
    broken = next((step for step in steps if step.status == "Failed"), None)
    reason = (broken.reason if broken else "") or status.get("FailureReason", "") or "no reason was given"
    where = f"run {run}, step {broken.name}" if broken else f"run {run}"
    show = f"overflight runs logs {run}" + (f" --step {broken.name}" if broken and broken.job_arn else "")
    state = status["PipelineExecutionStatus"].lower()
    cure = f"Log: {show}; go on with: overflight runs resume {run}"
    if broken is not None and not broken.job_arn:  # a gate refused: what it saw says more than any log
        cure = f"What the gate saw: overflight runs report {run}; all steps: overflight runs show {run}"
    return JobError(f"{state}: {reason}", where=where, cure=cure)


def _token() -> str:
    return uuid.uuid4().hex
