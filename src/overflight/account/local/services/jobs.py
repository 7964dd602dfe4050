"""SageMaker's calls about processing, training and tuning jobs.

Knows requests and answers; the records are made in ``job_records`` and ``tuning``, and the supervisor runs what they
say.
"""

from __future__ import annotations

from typing import Any

from overflight.account.local import tuning
from overflight.account.local.job_records import PROCESSING, RUNNING, TRAINING, create_job, describe_job, request_stop
from overflight.account.local.services._common import ordered, page, require, selected
from overflight.account.local.store import Resource
from overflight.account.local.wire import AwsError, Call, keep_going, operation

_SERVICE = "sagemaker"
_PROCESSING_SUMMARY = (
    "ProcessingJobName", "ProcessingJobArn", "CreationTime", "ProcessingEndTime", "LastModifiedTime",
    "ProcessingJobStatus", "FailureReason", "ExitMessage",
)  # fmt: skip
_TRAINING_SUMMARY = (
    "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingEndTime", "LastModifiedTime", "TrainingJobStatus",
    "SecondaryStatus",
)  # fmt: skip


@operation(_SERVICE, "CreateProcessingJob", starts_work=True)
def create_processing_job(call: Call) -> dict[str, Any]:
    """Record a processing job; the supervisor runs it."""
    job = create_job(call.transaction, call.account, call.caller.arn, kind=PROCESSING, request=call.params)
    return {"ProcessingJobArn": job.body["arn"]}


@operation(_SERVICE, "CreateTrainingJob", starts_work=True)
def create_training_job(call: Call) -> dict[str, Any]:
    """Record a training job; the supervisor runs it."""
    for missing in ("OutputDataConfig", "ResourceConfig", "StoppingCondition"):
        if missing not in call.params:
            raise AwsError("ValidationException", f"{missing} is required for a training job.")
    job = create_job(call.transaction, call.account, call.caller.arn, kind=TRAINING, request=call.params)
    return {"TrainingJobArn": job.body["arn"]}


@operation(_SERVICE, "CreateHyperParameterTuningJob", starts_work=True)
def create_tuning_job(call: Call) -> dict[str, Any]:
    """Record a tuning job; the supervisor creates its trials."""
    job = tuning.create(call.transaction, call.account, call.caller.arn, call.params)
    return {"HyperParameterTuningJobArn": job.body["arn"]}


@operation(_SERVICE, "DescribeProcessingJob")
def describe_processing_job(call: Call) -> dict[str, Any]:
    """Everything known of one processing job."""
    return describe_job(_seen(call, PROCESSING, call.params["ProcessingJobName"]))


@operation(_SERVICE, "DescribeTrainingJob")
def describe_training_job(call: Call) -> dict[str, Any]:
    """Everything known of one training job, those of pipelines and tuning jobs included."""
    return describe_job(_seen(call, TRAINING, call.params["TrainingJobName"]))


@operation(_SERVICE, "DescribeHyperParameterTuningJob")
def describe_tuning_job(call: Call) -> dict[str, Any]:
    """Everything known of one tuning job, its best trial included."""
    return tuning.describe(call.transaction, _seen(call, tuning.KIND, call.params["HyperParameterTuningJobName"]))


@operation(_SERVICE, "StopProcessingJob", starts_work=True)
def stop_processing_job(call: Call) -> dict[str, Any]:
    """Ask a processing job to stop."""
    return _stop(call, _job(call, PROCESSING, call.params["ProcessingJobName"]))


@operation(_SERVICE, "StopTrainingJob", starts_work=True)
def stop_training_job(call: Call) -> dict[str, Any]:
    """Ask a training job to stop."""
    return _stop(call, _job(call, TRAINING, call.params["TrainingJobName"]))


@operation(_SERVICE, "StopHyperParameterTuningJob", starts_work=True)
def stop_tuning_job(call: Call) -> dict[str, Any]:
    """Ask a tuning job and its trials to stop."""
    job = _job(call, tuning.KIND, call.params["HyperParameterTuningJobName"])
    tuning.request_stop(call.transaction, call.account, job)
    return {}


@operation(_SERVICE, "ListProcessingJobs")
def list_processing_jobs(call: Call) -> dict[str, Any]:
    """Processing jobs, newest first unless asked otherwise."""
    return _list(call, PROCESSING, "ProcessingJobSummaries", _PROCESSING_SUMMARY)


@operation(_SERVICE, "ListTrainingJobs")
def list_training_jobs(call: Call) -> dict[str, Any]:
    """Training jobs, newest first unless asked otherwise."""
    return _list(call, TRAINING, "TrainingJobSummaries", _TRAINING_SUMMARY)


@operation(_SERVICE, "ListTrainingJobsForHyperParameterTuningJob")
def list_trials(call: Call) -> dict[str, Any]:
    """The trials of one tuning job."""
    job = _job(call, tuning.KIND, call.params["HyperParameterTuningJobName"])
    trials = _with_status(call.transaction.list(TRAINING, parent=job.name), call)
    if call.params.get("SortBy") == "FinalObjectiveMetricValue":
        none_last = float("inf") if call.params.get("SortOrder") != "Descending" else float("-inf")
        trials.sort(key=lambda one: value if (value := tuning.objective_of(job, one)) is not None else none_last)
        if call.params.get("SortOrder") == "Descending":
            trials.reverse()
    else:
        trials = ordered(trials, call.params, default_by="Name", default_order="Ascending")
    items, token = page(trials, call.params, key=lambda one: one.name)
    return _paged({"TrainingJobSummaries": [tuning.trial_summary(job, one) for one in items]}, token)


def _job(call: Call, kind: str, name: str) -> Resource:
    return require(call.transaction, kind, name, f"Requested resource not found: {name}.", code="ResourceNotFound")


def _seen(call: Call, kind: str, name: str) -> Resource:
    """The job; looking at an unfinished one brings a supervisor back that was killed."""
    job = _job(call, kind, name)
    if job.status in RUNNING:
        keep_going(call)
    return job


def _stop(call: Call, job: Resource) -> dict[str, Any]:
    if job.status != "InProgress":
        message = f"The job {job.name} is in status {job.status}; only jobs in progress can be stopped."
        raise AwsError("ValidationException", message)
    request_stop(call.transaction, call.account, job)
    return {}


def _list(call: Call, kind: str, member: str, summary: tuple[str, ...]) -> dict[str, Any]:
    jobs = ordered(selected(_with_status(call.transaction.list(kind), call), call.params), call.params)
    items, token = page(jobs, call.params, key=lambda one: one.name)
    known = [describe_job(one) for one in items]
    return _paged({member: [{key: one[key] for key in summary if key in one} for one in known]}, token)


def _with_status(jobs: list[Resource], call: Call) -> list[Resource]:
    wanted = call.params.get("StatusEquals")
    return [one for one in jobs if not wanted or one.status == wanted]


def _paged(answer: dict[str, Any], token: str | None) -> dict[str, Any]:
    return {**answer, "NextToken": token} if token else answer
