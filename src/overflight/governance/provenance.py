"""Which run made a model package, as the account recorded it: never as whoever registered the package wrote it.

A package names its run in metadata that anybody who registers can type. The run answers for it only when one of its
RegisterModel steps made this very version, and artefact and metrics came out of its jobs or of those whose results it
reused. Takes a client of SageMaker; reads no file and decides about no person.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overflight.account.aws_errors import in_our_words
from overflight.errors import NotFoundError, UsageError
from overflight.files import sha256_bytes
from overflight.governance.approvals import BY_HAND
from overflight.governance.containers import unregistered
from overflight.settings import PREFIX

_OURS = re.compile(
    rf"(?P<place>arn:aws[a-z-]*:sagemaker:[a-z0-9-]+:\d{{12}}):pipeline/{PREFIX}-(?:dev|staging|prod)-train"
    r"/execution/[^/]+"
)
_ABSENT = (NotFoundError, UsageError)
_MOST_REUSES = 32  # of a result that came from a run that had it from another


@dataclass(frozen=True)
class Provenance:
    """What the account knows of the run that a package names.

    Attributes:
        execution_arn: The execution, "" when there is none.
        definition_sha256: SHA-256 of the definition that it ran.
        survey_uri: Survey that the run was started with.
        min_map50: mAP50 that its gate asked for, as text.
        reused_from: Executions whose artefact or metrics it took over.
        unexplained: Why the run does not answer for the package as it is, in sentences; empty when it does.
    """

    execution_arn: str = ""
    definition_sha256: str = ""
    survey_uri: str = ""
    min_map50: str = ""
    reused_from: tuple[str, ...] = ()
    unexplained: tuple[str, ...] = ()


@dataclass
class _Steps:
    """Steps of one execution that ended well."""

    sagemaker: Any
    execution_arn: str
    found: list[Mapping[str, Any]] = field(default_factory=list)

    def __post_init__(self) -> None:
        with in_our_words(self.execution_arn):
            pages = self.sagemaker.get_paginator("list_pipeline_execution_steps").paginate(
                PipelineExecutionArn=self.execution_arn
            )
            every = [step for page in pages for step in page["PipelineExecutionSteps"]]
        self.found = [step for step in every if step["StepStatus"] == "Succeeded"]

    def registered(self, package_arn: str) -> Mapping[str, Any] | None:
        """The RegisterModel step that made this version."""
        return next((step for step in self.found if _arn(step, "RegisterModel") == package_arn), None)

    def trained(self, artefact_uri: str) -> Mapping[str, Any] | None:
        """The Training step whose artefact this is."""
        for step in self.found:
            job = self._job(step, "TrainingJob")
            if artefact_uri and (job.get("ModelArtifacts") or {}).get("S3ModelArtifacts") == artefact_uri:
                return step
        return None

    def wrote(self, uri: str) -> Mapping[str, Any] | None:
        """The Processing step that left this file at the top of one of its outputs.

        Not below: another job may have written into a folder inside of it.
        """
        for step in self.found:
            outputs = (self._job(step, "ProcessingJob").get("ProcessingOutputConfig") or {}).get("Outputs") or ()
            folders = [str((one.get("S3Output") or {}).get("S3Uri") or "").rstrip("/") for one in outputs]
            if uri.rpartition("/")[0] in filter(None, folders):
                return step
        return None

    def _job(self, step: Mapping[str, Any], kind: str) -> Mapping[str, Any]:
        name = _arn(step, kind).rsplit("/", 1)[-1]
        if not name:
            return {}
        describe = {
            "TrainingJob": self.sagemaker.describe_training_job,
            "ProcessingJob": self.sagemaker.describe_processing_job,
        }[kind]
        try:
            with in_our_words(name):
                return dict(describe(**{f"{kind}Name": name}))
        except _ABSENT:
            return {}


def provenance_of(sagemaker: Any, facts: Mapping[str, Any], *, artefact_uri: str, metrics_uri: str) -> Provenance:
    """Follow a package to the run that registered it.

    Args:
        sagemaker: Client of SageMaker.
        facts: Answer of DescribeModelPackage.
        artefact_uri: Artefact that the package points to.
        metrics_uri: ``evaluation.json`` that the package points to.

    Raises:
        OverflightError: the account refuses to show something, or cannot be reached.
    """
    kept = facts.get("CustomerMetadataProperties") or {}
    execution_arn = str(execution(sagemaker, kept.get("execution_arn", "")).get("PipelineExecutionArn", ""))
    if not execution_arn:
        return Provenance(unexplained=tuple(unregistered(facts, {})))
    if not _is_ours(execution_arn, facts["ModelPackageArn"]):
        told = f"{execution_arn.partition(':pipeline/')[2]} is no run of the training pipeline of this account"
        return Provenance(execution_arn, unexplained=(told, *unregistered(facts, {})))
    steps = _Steps(sagemaker, execution_arn)
    text = _definition(sagemaker, execution_arn)
    document = _document(text)
    values = _values(sagemaker, execution_arn, document)
    register = steps.registered(facts["ModelPackageArn"])
    made = {
        "artefact": steps.trained(artefact_uri),
        "metrics file": steps.wrote(metrics_uri) if metrics_uri else None,
    }
    reused = tuple(
        dict.fromkeys(arn for step in made.values() if step is not None for arn in _sources(sagemaker, step))
    )
    found = [] if register else [f"the run {_id(execution_arn)} did not register it; {BY_HAND}"]
    found += [f"the {name} is no output of the run {_id(execution_arn)}" for name, step in made.items() if not step]
    found += [
        f"it reuses a result of {arn.partition(':pipeline/')[2]}, which is no run of the training pipeline"
        for arn in reused
        if not _is_ours(arn, facts["ModelPackageArn"])
    ]
    declared = _declared(document, str(register["StepName"])) if register else {}
    if register and not declared:
        found.append(f"the definition of the run {_id(execution_arn)} names no container")
    found += unregistered(facts, declared) + _other_claims(kept, values)
    return Provenance(
        execution_arn,
        sha256_bytes(text.encode()) if text else "",
        values.get("SurveyUri", ""),
        values.get("MinMap50", ""),
        reused,
        tuple(found),
    )


def execution(sagemaker: Any, execution_arn: str) -> dict[str, Any]:
    """Answer of DescribePipelineExecution, empty when there is no such execution."""
    if not execution_arn:
        return {}
    try:
        with in_our_words(execution_arn):
            return dict(sagemaker.describe_pipeline_execution(PipelineExecutionArn=execution_arn))
    except _ABSENT:  # an address that is none, written by whoever registered the package
        return {}


def movers_of(sagemaker: Any, execution_arn: str) -> tuple[str, ...]:
    """ARNs of whoever started an execution and of whoever changed it last (retried, stopped); empty without one."""
    answer = execution(sagemaker, execution_arn)
    found = [
        str((answer.get(member) or {}).get("IamIdentity", {}).get("Arn", ""))
        for member in ("CreatedBy", "LastModifiedBy")
    ]
    return tuple(dict.fromkeys(arn for arn in found if arn)) if found[0] else ()


def _other_claims(kept: Mapping[str, str], values: Mapping[str, str]) -> list[str]:
    """Where the package's metadata say something else than the run was started with."""
    found = []
    if not values.get("MinMap50"):
        found.append("its run asked for no accuracy (MinMap50)")
    elif "min_map50" in kept and not _same_number(kept["min_map50"], values["MinMap50"]):
        found.append(f"it claims a gate of mAP50 {kept['min_map50']}, its run was started with {values['MinMap50']}")
    claimed, given = kept.get("survey_uri", ""), values.get("SurveyUri", "")
    if claimed and claimed.rstrip("/") != given.rstrip("/"):
        found.append(f"it claims the survey {claimed}, its run was started with {given or 'none'}")
    return found


def _same_number(one: str, other: str) -> bool:
    try:
        return float(one) == float(other)
    except ValueError:
        return one == other


def _is_ours(execution_arn: str, package_arn: str) -> bool:
    """Whether it is a run of the training pipeline in the account and region of the package."""
    match = _OURS.fullmatch(execution_arn)
    return match is not None and package_arn.startswith(f"{match['place']}:")


def _sources(sagemaker: Any, step: Mapping[str, Any]) -> Iterator[str]:
    """Executions whose result a step took over, the nearest first."""
    seen: set[str] = set()
    for _ in range(_MOST_REUSES):
        source = str((step.get("CacheHitResult") or {}).get("SourcePipelineExecutionArn", ""))
        if not source or source in seen:
            return
        seen.add(source)
        yield source
        try:
            earlier = _Steps(sagemaker, source).found
        except _ABSENT:
            return
        step = next((one for one in earlier if one["StepName"] == step["StepName"]), {})


def _definition(sagemaker: Any, execution_arn: str) -> str:
    try:
        with in_our_words(execution_arn):
            answer = sagemaker.describe_pipeline_definition_for_execution(PipelineExecutionArn=execution_arn)
    except _ABSENT:
        return ""
    return str(answer["PipelineDefinition"])


def _values(sagemaker: Any, execution_arn: str, document: Mapping[str, Any]) -> dict[str, str]:
    """Parameters that the execution was started with, over the defaults of its definition."""
    defaults = {
        str(one["Name"]): str(one["DefaultValue"])
        for one in document.get("Parameters") or ()
        if one.get("DefaultValue") is not None
    }
    with in_our_words(execution_arn):
        pages = sagemaker.get_paginator("list_pipeline_parameters_for_execution").paginate(
            PipelineExecutionArn=execution_arn
        )
        given = {one["Name"]: one["Value"] for page in pages for one in page["PipelineParameters"]}
    return defaults | given


def _declared(document: Mapping[str, Any], name: str) -> dict[str, Any]:
    """InferenceSpecification of the RegisterModel step of this name, wherever it stands in the definition."""
    for step in _every_step(document.get("Steps") or ()):
        if step.get("Name") == name and step.get("Type") == "RegisterModel":
            return dict((step.get("Arguments") or {}).get("InferenceSpecification") or {})
    return {}


def _every_step(steps: Sequence[Mapping[str, Any]]) -> Iterator[Mapping[str, Any]]:
    for step in steps:
        yield step
        if step.get("Type") == "Condition":
            for branch in ("IfSteps", "ElseSteps"):
                yield from _every_step((step.get("Arguments") or {}).get(branch) or ())


def _document(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text) if text else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _arn(step: Mapping[str, Any], kind: str) -> str:
    return str(((step.get("Metadata") or {}).get(kind) or {}).get("Arn", ""))


def _id(execution_arn: str) -> str:
    return execution_arn.rsplit("/", 1)[-1]
