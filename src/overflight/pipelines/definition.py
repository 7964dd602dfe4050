"""A pipeline as data: typed steps, emitted as SageMaker's pipeline definition (version 2020-12-01).

Pure: from dataclasses to JSON, the same text for the same input. It knows the form of each step, not whether the
service would accept its content (``pipelines.check``), and neither clients nor accounts.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeAlias

from overflight.pipelines.expressions import Condition, Parameter, Value, render

VERSION = "2020-12-01"

RetryException: TypeAlias = Literal[
    "Step.SERVICE_FAULT",
    "Step.THROTTLING",
    "SageMaker.JOB_INTERNAL_ERROR",
    "SageMaker.CAPACITY_ERROR",
    "SageMaker.RESOURCE_LIMIT",
]


@dataclass(frozen=True)
class RetryPolicy:
    """When a step is tried again: exactly one of ``max_attempts`` and ``expire_after_min`` limits it."""

    exceptions: tuple[RetryException, ...]
    interval_s: int = 1
    backoff_rate: float = 2.0
    max_attempts: int | None = None
    expire_after_min: int | None = None

    def to_document(self) -> dict[str, Any]:
        """Entry of ``RetryPolicies``."""
        return compact(
            ExceptionType=list(self.exceptions),
            IntervalSeconds=self.interval_s,
            BackoffRate=self.backoff_rate,
            MaxAttempts=self.max_attempts,
            ExpireAfterMin=self.expire_after_min,
        )


@dataclass(frozen=True)
class Cache:
    """Reuse the result of an earlier run with the same inputs, at most ``expire_after`` old (ISO 8601, ``P30D``)."""

    enabled: bool = True
    expire_after: str | None = None

    def to_document(self) -> dict[str, Any]:
        """Value of ``CacheConfig``."""
        return compact(Enabled=self.enabled, ExpireAfter=self.expire_after)


@dataclass(frozen=True)
class DependsOn:
    """An explicit dependency on ``step``; with a trigger the step runs when the other one failed or was stopped."""

    step: str
    trigger: Literal["Failed", "Stopped", "Any"] | None = None

    def to_document(self) -> Any:
        """Entry of ``DependsOn``: the name alone, or an object with the trigger."""
        return self.step if self.trigger is None else {"Step": self.step, "Trigger": self.trigger}


@dataclass(frozen=True, kw_only=True)
class Step(ABC):
    """What all steps share. Names match ``[A-Za-z0-9-_]{1,64}``."""

    type: ClassVar[str]
    name: str
    display_name: str | None = None
    description: str | None = None
    depends_on: tuple[DependsOn, ...] = ()

    @abstractmethod
    def arguments(self) -> dict[str, Any]:
        """Value of ``Arguments``; may contain expressions."""

    def beside(self) -> dict[str, Any]:
        """Members that stand beside ``Arguments``."""
        return {}

    def to_document(self) -> dict[str, Any]:
        """Entry of ``Steps``."""
        head = compact(Name=self.name, Type=self.type, DisplayName=self.display_name, Description=self.description)
        document = {**head, "Arguments": render(self.arguments()), **self.beside()}
        if self.depends_on:
            document["DependsOn"] = [dependency.to_document() for dependency in self.depends_on]
        return document


@dataclass(frozen=True, kw_only=True)
class RetriedStep(Step):
    """A step the service may try again."""

    retries: tuple[RetryPolicy, ...] = ()

    def beside(self) -> dict[str, Any]:
        """Retry policies, if there are any."""
        return {"RetryPolicies": [policy.to_document() for policy in self.retries]} if self.retries else {}


@dataclass(frozen=True, kw_only=True)
class ConditionStep(Step):
    """Goes on with ``if_steps`` when all conditions hold, else with ``else_steps``; the others never run."""

    type: ClassVar[str] = "Condition"
    conditions: tuple[Condition, ...]
    if_steps: tuple[Step, ...] = ()
    else_steps: tuple[Step, ...] = ()

    def arguments(self) -> dict[str, Any]:
        """Conditions (joined by "and") and both branches."""
        return {
            "Conditions": [condition.to_document() for condition in self.conditions],
            "IfSteps": [step.to_document() for step in self.if_steps],
            "ElseSteps": [step.to_document() for step in self.else_steps],
        }


@dataclass(frozen=True, kw_only=True)
class FailStep(Step):
    """Ends the execution as failed with a message."""

    type: ClassVar[str] = "Fail"
    message: Value

    def arguments(self) -> dict[str, Any]:
        """The message."""
        return {"ErrorMessage": self.message}


def to_document(pipeline: Pipeline) -> dict[str, Any]:
    """The definition as plain data."""
    return {
        "Version": VERSION,
        "Metadata": {},
        "Parameters": [parameter.declaration() for parameter in pipeline.parameters],
        "Steps": [step.to_document() for step in pipeline.steps],
    }


def to_json(pipeline: Pipeline) -> str:
    """The definition as text: what CreatePipeline takes and the local account executes."""
    return json.dumps(to_document(pipeline), indent=2, ensure_ascii=False, allow_nan=False) + "\n"


@dataclass(frozen=True)
class Pipeline:
    """A pipeline: its name, what a person may set, and its steps in reading order."""

    name: str
    parameters: tuple[Parameter, ...]
    steps: tuple[Step, ...]
    description: str = ""


def compact(**members: Any) -> dict[str, Any]:
    """The members that are not None: absent settings are left to the service's defaults."""
    return {name: value for name, value in members.items() if value is not None}
