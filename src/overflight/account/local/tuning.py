"""Hyperparameter tuning jobs: Random and Grid search whose trials are ordinary training jobs.

Knows ranges, draws and the choice of the best trial; the trials run like any training job. Bayesian and Hyperband are
refused: they are not pretended. Source: CreateHyperParameterTuningJob in SageMaker's API reference.
"""

from __future__ import annotations

import itertools
import json
import logging
import math
import random
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local import job_records
from overflight.account.local.job_records import TRAINING, create_job, describe_job
from overflight.account.local.services._tags import keep_tags
from overflight.account.local.store import Resource, ResourceExists, Transaction, time_text, to_json
from overflight.account.local.wire import AwsError
from overflight.files import sha256_bytes

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

log = logging.getLogger(__name__)

KIND = "tuning-job"
STRATEGIES = ("Random", "Grid")
_NAME_LIMIT = 63
_TRIAL_MEMBERS = (
    "RoleArn", "InputDataConfig", "VpcConfig", "OutputDataConfig", "ResourceConfig", "StoppingCondition",
    "EnableNetworkIsolation", "EnableManagedSpotTraining", "CheckpointConfig", "Environment",
)  # fmt: skip
_OPEN = ("InProgress", "Stopping")


def create(tx: Transaction, account: LocalAccount, caller_arn: str, request: Mapping[str, Any]) -> Resource:
    """Record a new tuning job; its trials are created by :func:`advance`.

    Raises:
        AwsError: ``ResourceInUse``, or ``ValidationException`` for what the local account cannot search.
    """
    name = str(request["HyperParameterTuningJobName"])
    config = request["HyperParameterTuningJobConfig"]
    if config["Strategy"] not in STRATEGIES or "TrainingJobDefinition" not in request:
        known = " and ".join(STRATEGIES)
        raise AwsError("ValidationException", f"The local account tunes one training job definition by {known} only.")
    draws(config)
    body = {
        "request": json.loads(to_json(dict(request))),
        "caller": caller_arn,
        "arn": account.arn("sagemaker", f"hyper-parameter-tuning-job/{name}"),
        "started_at": time_text(account.clock()),
    }
    try:
        job = tx.insert(KIND, name, body=body, status="InProgress")
    except ResourceExists as error:
        raise AwsError("ResourceInUse", f"{body['arn']} exists already.") from error
    keep_tags(tx, body["arn"], request.get("Tags") or [])
    return job


def draws(config: Mapping[str, Any]) -> list[dict[str, str]]:
    """Hyperparameters of all trials, in order; equal seeds give equal draws.

    Args:
        config: HyperParameterTuningJobConfig.

    Raises:
        AwsError: a range that cannot be read, or a grid over something else than categories.
    """
    ranges = config.get("ParameterRanges") or {}
    limit = config["ResourceLimits"].get("MaxNumberOfTrainingJobs")
    categories = {one["Name"]: one["Values"] for one in ranges.get("CategoricalParameterRanges") or ()}
    numbers = [*(ranges.get("IntegerParameterRanges") or ()), *(ranges.get("ContinuousParameterRanges") or ())]
    if config["Strategy"] == "Grid":
        if numbers or not categories:
            raise AwsError("ValidationException", "Grid search needs categorical parameter ranges only.")
        grid = [dict(zip(categories, values, strict=True)) for values in itertools.product(*categories.values())]
        return grid[:limit]
    if not limit:
        raise AwsError("ValidationException", "Random search needs ResourceLimits.MaxNumberOfTrainingJobs.")
    generator = random.Random(int(config.get("RandomSeed", 0)))
    return [_draw(ranges, generator) for _ in range(int(limit))]


def _draw(ranges: Mapping[str, Any], generator: random.Random) -> dict[str, str]:
    values: dict[str, str] = {}
    for one in ranges.get("IntegerParameterRanges") or ():
        low, high = _bounds(one, int)
        values[one["Name"]] = str(min(max(round(_scaled(one, generator)), int(low)), int(high)))
    for one in ranges.get("ContinuousParameterRanges") or ():
        values[one["Name"]] = repr(_scaled(one, generator))
    for one in ranges.get("CategoricalParameterRanges") or ():
        values[one["Name"]] = generator.choice(list(one["Values"]))
    return values


def _bounds(one: Mapping[str, Any], kind: Callable[[str], float]) -> tuple[float, float]:
    try:
        low, high = kind(one["MinValue"]), kind(one["MaxValue"])
        if not -math.inf < low <= high < math.inf:
            raise ValueError(f"from {low} to {high}")
    except ValueError as error:
        raise _unusable(one, error) from error
    return low, high


def _scaled(one: Mapping[str, Any], generator: random.Random) -> float:
    low, high = _bounds(one, float)
    try:
        scaling = one.get("ScalingType", "Auto")
        if scaling == "Logarithmic":
            return math.exp(generator.uniform(math.log(low), math.log(high)))
        if scaling == "ReverseLogarithmic":
            return 1 - math.exp(generator.uniform(math.log(1 - high), math.log(1 - low)))
    except ValueError as error:
        raise _unusable(one, error) from error
    return generator.uniform(low, high)


def _unusable(one: Mapping[str, Any], error: ValueError) -> AwsError:
    return AwsError("ValidationException", f"The range of {one['Name']} cannot be used: {error}.")


def advance(account: LocalAccount) -> bool:
    """Create trials, notice their ends and finish tuning jobs; True while any is open."""
    with account.store.read() as tx:
        names = [one.name for one in tx.list(KIND, statuses=_OPEN)]
    for name in names:
        try:
            with account.store.write() as tx:
                job = tx.get(KIND, name)
                if job is not None and job.status in _OPEN:
                    _advance_one(tx, account, job)
        except Exception as error:  # one broken job must not stop the others
            log.exception("tuning job %s: unexpected error", name)
            with account.store.write() as tx:
                if (broken := tx.get(KIND, name)) is not None:
                    reason = f"InternalServerError: {type(error).__name__}: {error}"[:1024]
                    _finish(tx, account, broken, "Failed", reason)
    return bool(names)


def _advance_one(tx: Transaction, account: LocalAccount, job: Resource) -> None:
    trials = tx.list(TRAINING, parent=job.name)
    running = [one for one in trials if one.status in job_records.RUNNING]
    if job.status == "Stopping":
        for one in running:
            job_records.request_stop(tx, account, one)
        if not [one for one in tx.list(TRAINING, parent=job.name) if one.status in job_records.RUNNING]:
            _finish(tx, account, job, "Stopped", "")
        return
    config = job.body["request"]["HyperParameterTuningJobConfig"]
    planned = draws(config)
    free = int(config["ResourceLimits"]["MaxParallelTrainingJobs"]) - len(running)
    for number in range(len(trials), min(len(planned), len(trials) + free)):
        _create_trial(tx, account, job, number, planned[number])
        running.append(job)
    if not running and len(trials) == len(planned):
        if best_trial(job, trials) is None:
            _finish(tx, account, job, "Failed", "ClientError: no training job reported the objective metric")
        else:
            _finish(tx, account, job, "Completed", "")


def _create_trial(
    tx: Transaction, account: LocalAccount, job: Resource, number: int, values: Mapping[str, str]
) -> None:
    definition = job.body["request"]["TrainingJobDefinition"]
    tail = f"-{number + 1:03d}-{sha256_bytes(job.name.encode())[:8]}"
    algorithm = dict(definition["AlgorithmSpecification"])
    request = {
        **{key: definition[key] for key in _TRIAL_MEMBERS if key in definition},
        "TrainingJobName": job.name[: _NAME_LIMIT - len(tail)].rstrip("-") + tail,
        "AlgorithmSpecification": algorithm,
        "HyperParameters": {**(definition.get("StaticHyperParameters") or {}), **values},
    }
    if "CheckpointConfig" in request:  # each trial keeps its own
        kept = request["CheckpointConfig"]
        request["CheckpointConfig"] = {**kept, "S3Uri": f"{kept['S3Uri'].rstrip('/')}/{request['TrainingJobName']}"}
    trial = create_job(tx, account, job.body["caller"], kind=TRAINING, request=request, parent=job.name)
    body = {**trial.body, "tuning_job_arn": job.body["arn"], "tuned": dict(values)}
    tx.put(TRAINING, trial.name, body=body)


def _finish(tx: Transaction, account: LocalAccount, job: Resource, status: str, reason: str) -> None:
    ended = {"ended_at": time_text(account.clock()), "failure_reason": reason}
    tx.put(KIND, job.name, body={**job.body, **ended}, status=status)


def request_stop(tx: Transaction, _account: LocalAccount, job: Resource) -> Resource:
    """Mark a running tuning job ``Stopping``; its trials follow."""
    return tx.put(KIND, job.name, status="Stopping") if job.status == "InProgress" else job


def objective_of(job: Resource, trial: Resource) -> float | None:
    """Final value of the objective metric of one trial, or None when it did not report any."""
    name = job.body["request"]["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["MetricName"]
    return next((one["Value"] for one in trial.body.get("metrics") or () if one["MetricName"] == name), None)


def best_trial(job: Resource, trials: list[Resource]) -> Resource | None:
    """The completed trial with the best objective (the earlier one of equals), or None."""
    kind = job.body["request"]["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]["Type"]
    sign = -1.0 if kind == "Minimize" else 1.0
    best: tuple[float, Resource] | None = None
    for trial in trials:
        value = objective_of(job, trial)
        if trial.status == "Completed" and value is not None and (best is None or sign * value > best[0]):
            best = (sign * value, trial)
    return best[1] if best else None


def trial_summary(job: Resource, trial: Resource) -> dict[str, Any]:
    """One item of ``ListTrainingJobsForHyperParameterTuningJob``."""
    known, value = describe_job(trial), objective_of(job, trial)
    objective = job.body["request"]["HyperParameterTuningJobConfig"]["HyperParameterTuningJobObjective"]
    summary: dict[str, Any] = {
        key: known[key]
        for key in (
            "TrainingJobName", "TrainingJobArn", "CreationTime", "TrainingStartTime", "TrainingEndTime",
            "TrainingJobStatus", "FailureReason",
        )
        if key in known
    }  # fmt: skip
    summary |= {"TuningJobName": job.name, "TunedHyperParameters": trial.body["tuned"]}
    if value is not None:
        summary["FinalHyperParameterTuningJobObjectiveMetric"] = {**objective, "Value": value}
        summary["ObjectiveStatus"] = "Succeeded"
    else:
        summary["ObjectiveStatus"] = "Pending" if trial.status in job_records.RUNNING else "Failed"
    return summary


def describe(tx: Transaction, job: Resource) -> dict[str, Any]:
    """The answer of ``DescribeHyperParameterTuningJob``."""
    trials = tx.list(TRAINING, parent=job.name)
    states = [one.status for one in trials]
    summaries = [trial_summary(job, one) for one in trials]
    best = best_trial(job, trials)
    answer: dict[str, Any] = {
        **{key: value for key, value in job.body["request"].items() if key not in {"Tags"}},
        "HyperParameterTuningJobArn": job.body["arn"],
        "HyperParameterTuningJobStatus": job.status,
        "CreationTime": job.created_at,
        "LastModifiedTime": job.modified_at,
        "TrainingJobStatusCounters": {
            "Completed": states.count("Completed"),
            "InProgress": sum(state in job_records.RUNNING for state in states),
            "RetryableError": 0,
            "NonRetryableError": states.count("Failed"),
            "Stopped": states.count("Stopped"),
        },
        "ObjectiveStatusCounters": {
            word: sum(one["ObjectiveStatus"] == word for one in summaries)
            for word in ("Succeeded", "Pending", "Failed")
        },
    }
    if best is not None:
        answer["BestTrainingJob"] = trial_summary(job, best)
    if job.body.get("failure_reason"):
        answer["FailureReason"] = job.body["failure_reason"]
    if job.body.get("ended_at"):
        answer["HyperParameterTuningEndTime"] = job.modified_at
    return answer
