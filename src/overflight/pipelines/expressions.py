"""Values of a pipeline definition that are known only while it runs: parameters, references, functions, conditions.

Each expression knows its JSON (``to_document``) in the form of SageMaker's definition version 2020-12-01 and nothing
else: neither whether what it points to exists (``pipelines.check``) nor its value (whoever executes the definition).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from overflight.errors import UsageError

ParameterType: TypeAlias = Literal["String", "Integer", "Float", "Boolean"]
ComparisonKind: TypeAlias = Literal["Equals", "GreaterThan", "GreaterThanOrEqualTo", "LessThan", "LessThanOrEqualTo"]
ExecutionName: TypeAlias = Literal[
    "StartDateTime",
    "CurrentDateTime",
    "PipelineName",
    "PipelineArn",
    "PipelineExecutionId",
    "PipelineExecutionArn",
    "TrainingJobName",
    "ProcessingJobName",
]
Primitive: TypeAlias = str | int | float | bool


class Expression(ABC):
    """Something that becomes a value when the pipeline runs."""

    @abstractmethod
    def to_document(self) -> dict[str, Any]:
        """The JSON object that stands for it."""


Value: TypeAlias = Primitive | Expression


@dataclass(frozen=True)
class Parameter(Expression):
    """A parameter of the pipeline: declared once, used as a value anywhere.

    Args:
        name: ``[A-Za-z0-9-_]{1,64}``.
        type: How a value must be written when an execution is started.
        default: Value when the execution gives none; None means that every execution must give one.
        choices: The only values allowed; empty means any.
    """

    name: str
    type: ParameterType = "String"
    default: Primitive | None = None
    choices: tuple[Primitive, ...] = ()

    def to_document(self) -> dict[str, Any]:
        """The reference to its value."""
        return {"Get": f"Parameters.{self.name}"}

    def declaration(self) -> dict[str, Any]:
        """Its entry in the definition's ``Parameters``."""
        document: dict[str, Any] = {"Name": self.name, "Type": self.type}
        if self.default is not None:
            document["DefaultValue"] = self.default
        if self.choices:
            document["EnumValues"] = list(self.choices)
        return document


@dataclass(frozen=True)
class ExecutionValue(Expression):
    """A fact about the running execution, such as ``PipelineExecutionId``."""

    name: ExecutionName

    def to_document(self) -> dict[str, Any]:
        """The reference to its value."""
        return {"Get": f"Execution.{self.name}"}


@dataclass(frozen=True)
class StepProperty(Expression):
    """A member of what the step's Describe operation answers, such as ``ModelArtifacts.S3ModelArtifacts``.

    Outputs of processing steps are addressed by name: ``ProcessingOutputConfig.Outputs['dataset'].S3Output.S3Uri``.
    """

    step: str
    path: str

    def to_document(self) -> dict[str, Any]:
        """The reference to its value."""
        return {"Get": f"Steps.{self.step}.{self.path}"}


@dataclass(frozen=True)
class Join(Expression):
    """The values as text, with ``on`` between them. One value alone turns a number into text."""

    on: str
    values: tuple[Value, ...]

    def to_document(self) -> dict[str, Any]:
        """The function call."""
        return {"Std:Join": {"On": self.on, "Values": render(self.values)}}


@dataclass(frozen=True)
class JsonGet(Expression):
    """A value inside a property file of a processing step, at a dotted path such as ``metrics.map50.value``."""

    step: str
    property_file: str
    path: str

    def to_document(self) -> dict[str, Any]:
        """The function call."""
        reference = {"Get": f"Steps.{self.step}.PropertyFiles.{self.property_file}"}
        return {"Std:JsonGet": {"PropertyFile": reference, "Path": self.path}}


@dataclass(frozen=True)
class Comparison:
    """Two values compared; ordering kinds are for numbers."""

    kind: ComparisonKind
    left: Value
    right: Value

    def to_document(self) -> dict[str, Any]:
        """The condition's JSON."""
        return {"Type": self.kind, "LeftValue": render(self.left), "RightValue": render(self.right)}


@dataclass(frozen=True)
class In:
    """The value is one of ``values``."""

    query: Value
    values: tuple[Value, ...]

    def to_document(self) -> dict[str, Any]:
        """The condition's JSON."""
        return {"Type": "In", "QueryValue": render(self.query), "Values": render(self.values)}


@dataclass(frozen=True)
class Not:
    """The condition does not hold."""

    condition: Condition

    def to_document(self) -> dict[str, Any]:
        """The condition's JSON."""
        return {"Type": "Not", "Expression": self.condition.to_document()}


@dataclass(frozen=True)
class Or:
    """At least one condition holds; the list in a Condition step is joined by "and"."""

    conditions: tuple[Condition, ...]

    def to_document(self) -> dict[str, Any]:
        """The condition's JSON."""
        return {"Type": "Or", "Conditions": [condition.to_document() for condition in self.conditions]}


Condition: TypeAlias = Comparison | In | Not | Or


def output_uri(step: str, output: str) -> StepProperty:
    """S3 address of the output ``output`` of the processing step ``step``."""
    return StepProperty(step, f"ProcessingOutputConfig.Outputs['{output}'].S3Output.S3Uri")


def as_text(value: Value) -> Value:
    """``value`` for a member that must be text: numbers and references to numbers are joined into a string."""
    if isinstance(value, Parameter) and value.type == "String":
        return value
    if isinstance(value, Expression) and not isinstance(value, Parameter | JsonGet):
        return value
    return value if isinstance(value, str) else Join("", (value,))


def render(value: Any) -> Any:
    """JSON of any nesting of mappings, sequences, primitives and expressions; members that are None are left out.

    Raises:
        UsageError: a value that JSON or a definition cannot hold, such as NaN or a date.
    """
    if isinstance(value, Expression):
        return value.to_document()
    if isinstance(value, Mapping):
        return {str(name): render(member) for name, member in value.items() if member is not None}
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return [render(member) for member in value]
    if isinstance(value, str | bool | int) or (isinstance(value, float) and value - value == 0):
        return value
    raise UsageError(
        f"{value!r} cannot stand in a pipeline definition", cure="Use text, numbers, booleans or expressions"
    )
