"""Rules of SageMaker that its published model cannot express, one function for each.

Each looks at one step at a time and skips what is a reference, since that is known only later.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

from overflight.account.shapes import Finding, is_reference
from overflight.pipelines.step_kinds import RETRY_EXCEPTIONS
from overflight.pipelines.structure import Node

# ISO 8601: at least one of years to days, or a time of day part.
_DURATION = re.compile(r"P(?=.)(\d+Y)?(\d+M)?(\d+W)?(\d+D)?(T(?=\d)(\d+H)?(\d+M)?(\d+S)?)?")
# A literal job name gets "-" and the execution's 12 characters appended; the service allows 63 in all.
_JOB_NAME_CHARS = 63 - 13
_JOB_NAMES = ("ProcessingJobName", "TrainingJobName", "HyperParameterTuningJobName", "TransformJobName")
_PROCESSING_ROOT = "/opt/ml/processing"


def check_step(node: Node) -> Iterator[Finding]:
    """All rules that apply to the step's kind."""
    path = f"Steps.{node.name}"
    yield from _check_retries(node, path)
    yield from _check_cache(node, path)
    for name in _JOB_NAMES:
        literal = node.arguments.get(name)
        if isinstance(literal, str) and len(literal) > _JOB_NAME_CHARS:
            yield Finding(
                f"{path}.Arguments.{name}", f"{len(literal)} characters: with its suffix it gets longer than 63"
            )
    if node.type == "Training":
        yield from _check_training(node.arguments, f"{path}.Arguments")
    elif node.type == "Tuning":
        yield from _check_tuning(node.arguments, f"{path}.Arguments")
    elif node.type == "Processing":
        yield from _check_processing(node, path)
    elif node.type == "RegisterModel":
        yield from _check_register(node.arguments, f"{path}.Arguments")


def _check_training(job: Mapping[str, Any], path: str) -> Iterator[Finding]:
    resources, stopping = job.get("ResourceConfig"), job.get("StoppingCondition")
    if not resources and "HyperParameterTuningResourceConfig" not in job:
        yield Finding(f"{path}.ResourceConfig", "is missing: the job would have no machine")
    if not stopping:
        yield Finding(f"{path}.StoppingCondition", "is missing: the job would have no time limit")
    elif isinstance(stopping, Mapping) and not is_reference(stopping) and "MaxRuntimeInSeconds" not in stopping:
        yield Finding(f"{path}.StoppingCondition.MaxRuntimeInSeconds", "is missing: the job would have no time limit")
    if not job.get("AlgorithmSpecification"):
        yield Finding(f"{path}.AlgorithmSpecification", "is missing: the job would have no program")
    if job.get("EnableManagedSpotTraining") is True:
        yield from _check_spot(job, path)
    yield from _check_unique(job.get("InputDataConfig"), "ChannelName", f"{path}.InputDataConfig")


def _check_spot(job: Mapping[str, Any], path: str) -> Iterator[Finding]:
    stopping, resources = job.get("StoppingCondition"), job.get("ResourceConfig")
    stopping = stopping if isinstance(stopping, Mapping) else {}
    run_s, wait_s = stopping.get("MaxRuntimeInSeconds"), stopping.get("MaxWaitTimeInSeconds")
    if wait_s is None:
        yield Finding(f"{path}.StoppingCondition.MaxWaitTimeInSeconds", "is required for spot training")
    elif isinstance(run_s, int) and isinstance(wait_s, int) and wait_s < run_s:
        yield Finding(
            f"{path}.StoppingCondition.MaxWaitTimeInSeconds", f"{wait_s} s is less than MaxRuntimeInSeconds, {run_s} s"
        )
    if not job.get("CheckpointConfig"):
        yield Finding(f"{path}.CheckpointConfig", "is missing: spot training would start over after an interruption")
    if isinstance(resources, Mapping) and resources.get("KeepAlivePeriodInSeconds"):
        yield Finding(
            f"{path}.ResourceConfig.KeepAlivePeriodInSeconds", "a warm pool cannot be used with spot training"
        )


def _check_tuning(arguments: Mapping[str, Any], path: str) -> Iterator[Finding]:
    single, several = arguments.get("TrainingJobDefinition"), arguments.get("TrainingJobDefinitions")
    if (single is None) == (several is None):
        yield Finding(path, "exactly one of TrainingJobDefinition and TrainingJobDefinitions is needed")
    if isinstance(single, Mapping):
        yield from _check_training(single, f"{path}.TrainingJobDefinition")
    for index, entry in enumerate(several if isinstance(several, list) else ()):
        if isinstance(entry, Mapping):
            yield from _check_training(entry, f"{path}.TrainingJobDefinitions[{index}]")


def _check_processing(node: Node, path: str) -> Iterator[Finding]:
    arguments = node.arguments
    config = arguments.get("ProcessingOutputConfig")
    outputs = config.get("Outputs") if isinstance(config, Mapping) else None
    inputs = arguments.get("ProcessingInputs")
    yield from _check_unique(inputs, "InputName", f"{path}.Arguments.ProcessingInputs")
    yield from _check_unique(outputs, "OutputName", f"{path}.Arguments.ProcessingOutputConfig.Outputs")
    yield from _check_local_paths(inputs, "S3Input", f"{path}.Arguments.ProcessingInputs")
    yield from _check_local_paths(outputs, "S3Output", f"{path}.Arguments.ProcessingOutputConfig.Outputs")
    yield from _check_property_files(node, outputs, f"{path}.PropertyFiles")


def _check_local_paths(entries: Any, member: str, path: str) -> Iterator[Finding]:
    for index, entry in enumerate(entries if isinstance(entries, list) else ()):
        place = entry.get(member) if isinstance(entry, Mapping) else None
        local = place.get("LocalPath") if isinstance(place, Mapping) else None
        if not isinstance(local, str):
            continue
        parts = local.split("/")
        if ".." in parts or not f"{local}/".startswith(f"{_PROCESSING_ROOT}/"):
            yield Finding(f"{path}[{index}].{member}.LocalPath", f"{local!r} is not below {_PROCESSING_ROOT}")


def _check_property_files(node: Node, outputs: Any, path: str) -> Iterator[Finding]:
    files = node.document.get("PropertyFiles")
    if files is None:
        return
    if not isinstance(files, list):
        yield Finding(path, "a list is needed")
        return
    listed = outputs if isinstance(outputs, list) else []
    existing = [entry.get("OutputName") for entry in listed if isinstance(entry, Mapping)]
    yield from _check_unique(files, "PropertyFileName", path)
    for index, entry in enumerate(files):
        if not isinstance(entry, Mapping) or entry.keys() != {"PropertyFileName", "OutputName", "FilePath"}:
            yield Finding(f"{path}[{index}]", "an object with PropertyFileName, OutputName and FilePath is needed")
            continue
        if entry["OutputName"] not in existing:
            yield Finding(f"{path}[{index}].OutputName", f"the step has no output {entry['OutputName']!r}")
        file = entry["FilePath"]
        if not isinstance(file, str) or not file or file.startswith("/") or ".." in file.split("/"):
            yield Finding(f"{path}[{index}].FilePath", f"{file!r} is not a path inside the output")


def _check_register(arguments: Mapping[str, Any], path: str) -> Iterator[Finding]:
    if not arguments.get("ModelPackageGroupName") and not arguments.get("ModelPackageName"):
        yield Finding(f"{path}.ModelPackageGroupName", "is missing: the package would belong to no group")
    if arguments.get("ModelPackageGroupName") and "Tags" in arguments:
        yield Finding(f"{path}.Tags", "are refused for a version in a group, which carries the group's tags")
    if "CertifyForMarketplace" in arguments:
        yield Finding(f"{path}.CertifyForMarketplace", "is refused inside a pipeline")
    if not arguments.get("InferenceSpecification") and not arguments.get("SourceUri"):
        yield Finding(f"{path}.InferenceSpecification", "is missing: there would be no model in the package")


def _check_unique(entries: Any, member: str, path: str) -> Iterator[Finding]:
    listed = entries if isinstance(entries, list) else []
    names = Counter(entry.get(member) for entry in listed if isinstance(entry, Mapping) and _is_text(entry.get(member)))
    for name, count in names.items():
        if count > 1:
            yield Finding(path, f"{member} {name!r} is used {count} times")


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _check_cache(node: Node, path: str) -> Iterator[Finding]:
    cache = node.document.get("CacheConfig")
    if cache is None:
        return
    if not isinstance(cache, Mapping) or cache.keys() - {"Enabled", "ExpireAfter"}:
        yield Finding(f"{path}.CacheConfig", "an object with Enabled and ExpireAfter is needed")
        return
    if not isinstance(cache.get("Enabled"), bool):
        yield Finding(f"{path}.CacheConfig.Enabled", "true or false is needed")
    expiry = cache.get("ExpireAfter")
    if expiry is not None and not (_is_text(expiry) and _DURATION.fullmatch(str(expiry))):
        yield Finding(f"{path}.CacheConfig.ExpireAfter", f"{expiry!r} is not an ISO 8601 duration such as P30D")


def _check_retries(node: Node, path: str) -> Iterator[Finding]:
    policies = node.document.get("RetryPolicies")
    if policies is None:
        return
    if not isinstance(policies, list):
        yield Finding(f"{path}.RetryPolicies", "a list is needed")
        return
    for index, policy in enumerate(policies):
        if isinstance(policy, Mapping):
            yield from _check_retry(policy, f"{path}.RetryPolicies[{index}]")
        else:
            yield Finding(f"{path}.RetryPolicies[{index}]", "an object is needed")


def _check_retry(policy: Mapping[str, Any], path: str) -> Iterator[Finding]:
    members = {"ExceptionType", "IntervalSeconds", "BackoffRate", "MaxAttempts", "ExpireAfterMin"}
    for member in policy.keys() - members:
        yield Finding(f"{path}.{member}", "is not a member of a retry policy")
    exceptions = policy.get("ExceptionType")
    if not isinstance(exceptions, list) or not exceptions:
        yield Finding(f"{path}.ExceptionType", "a list with at least one exception is needed")
    else:
        for name in exceptions:
            if not _is_text(name) or name not in RETRY_EXCEPTIONS:
                yield Finding(f"{path}.ExceptionType", f"{name!r} is not one of {', '.join(sorted(RETRY_EXCEPTIONS))}")
    if (policy.get("MaxAttempts") is None) == (policy.get("ExpireAfterMin") is None):
        yield Finding(path, "exactly one of MaxAttempts and ExpireAfterMin is needed")
    for member, low in (("IntervalSeconds", 1), ("BackoffRate", 1), ("MaxAttempts", 1), ("ExpireAfterMin", 1)):
        value = policy.get(member)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float) or value < low):
            yield Finding(f"{path}.{member}", f"{value!r}: a number of at least {low} is needed")
