"""The expression language of a pipeline definition: parameters, references, functions and conditions.

Pure: values come from a :class:`Scope`, files through its two readers. Knows nothing of jobs, stores or the order of
steps. Source: SageMaker developer guide, "Pipelines: parameters, properties, conditions"; where the guide is silent the
behaviour of the Python SDK's evaluator is matched (types are kept by a lone ``Get``; ``None`` is undefined).
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from overflight.errors import UsageError

_FUNCTIONS = frozenset({"Get", "Std:Join", "Std:JsonGet"})
_PARAMETER_NAME = re.compile(r"[A-Za-z0-9\-_]{1,64}")
_PATH_PART = re.compile(r"""\.?([^.\[\]'"]+)|\[(\d+)\]|\['([^']*)'\]|\["([^"]*)"\]""")
# Lists of the API that a reference indexes by one member of their items, e.g. Outputs['dataset'].
_NAME_MEMBERS = ("OutputName", "InputName", "ChannelName", "MetricName", "Name")
_MISSING = object()


class ExpressionError(UsageError):
    """A parameter, reference, function or condition that cannot be evaluated."""


@dataclass(frozen=True)
class Scope:
    """What expressions of one execution can refer to.

    Attributes:
        parameters: Values by parameter name.
        execution: Execution variables (``PipelineName``, ``StartDateTime``, ...).
        steps: Answer of the ``Describe*`` call by step name, for finished steps.
        read_property_file: ``(step, property file name) -> parsed JSON``.
        read_json: ``s3 uri -> parsed JSON``.
    """

    parameters: Mapping[str, Any] = field(default_factory=dict)
    execution: Mapping[str, Any] = field(default_factory=dict)
    steps: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    read_property_file: Callable[[str, str], Any] | None = None
    read_json: Callable[[str], Any] | None = None


def bind_parameters(declared: Sequence[Mapping[str, Any]], overrides: Mapping[str, str]) -> dict[str, Any]:
    """Values of all declared parameters: the override (text, as the API carries it) or the default.

    Raises:
        ExpressionError: unknown name, wrong type, value outside the enum, empty string, or no value at all.
    """
    known = {str(one.get("Name", "")): one for one in declared}
    if len(known) != len(declared):
        raise ExpressionError("a parameter is declared twice", where="Parameters", cure="Give each its own name")
    for name in overrides:
        if name not in known:
            names = ", ".join(sorted(known)) or "none"
            raise ExpressionError(f"unknown parameter '{name}'", where="PipelineParameters", cure=f"Known: {names}")
    return {name: _bind_one(name, one, overrides) for name, one in known.items()}


def _bind_one(name: str, declared: Mapping[str, Any], overrides: Mapping[str, str]) -> Any:
    where = f"Parameters.{name}"
    if not _PARAMETER_NAME.fullmatch(name):
        raise ExpressionError("not a parameter name", where=where, cure="Use up to 64 letters, digits, - and _")
    kind = str(declared.get("Type", "String"))
    if name in overrides:
        value = _parse(overrides[name], kind, where)
    else:
        value = declared.get("DefaultValue")
        if value is None:
            raise ExpressionError(f"parameter '{name}' is undefined", where=where, cure="Give it a value at the start")
        value = _typed(value, kind, where)
    if value == "":
        raise ExpressionError("an empty string is not a value", where=where, cure="Give a text or leave the default")
    allowed = declared.get("EnumValues")
    if allowed and not isinstance(allowed, list):
        raise ExpressionError("EnumValues is not a list", where=where)
    if allowed and not any(same(value, one) for one in allowed):
        raise ExpressionError(f"{value!r} is not one of {list(allowed)}", where=where)
    return value


def _parse(text: Any, kind: str, where: str) -> Any:
    if not isinstance(text, str):
        return _typed(text, kind, where)
    try:
        if kind == "Integer":
            return int(text)
        if kind == "Float":
            return _finite(float(text), where)
    except ValueError as error:
        raise ExpressionError(f"{text!r} is not of type {kind}", where=where) from error
    if kind == "Boolean":
        if text.lower() not in {"true", "false"}:
            raise ExpressionError(f"{text!r} is not of type Boolean", where=where, cure="Use true or false")
        return text.lower() == "true"
    return _typed(text, kind, where)


def _typed(value: Any, kind: str, where: str) -> Any:
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    fits = {
        "String": isinstance(value, str),
        "Integer": is_number and isinstance(value, int),
        "Float": is_number,
        "Boolean": isinstance(value, bool),
    }
    if kind not in fits:
        raise ExpressionError(f"unknown parameter type {kind!r}", where=where, cure=f"Known: {', '.join(fits)}")
    if not fits[kind]:
        raise ExpressionError(f"{value!r} is not of type {kind}", where=where)
    return float(value) if kind == "Float" else value


def _finite(value: float, where: str) -> float:
    if not math.isfinite(value):
        raise ExpressionError("not a finite number", where=where)
    return value


def references(value: Any) -> Iterator[str]:
    """Every ``Get`` path inside ``value``, e.g. ``Steps.Train.ModelArtifacts.S3ModelArtifacts``."""
    if isinstance(value, Mapping):
        if set(value) == {"Get"} and isinstance(value["Get"], str):
            yield value["Get"]
            return
        for part in value.values():
            yield from references(part)
    elif isinstance(value, list | tuple):
        for part in value:
            yield from references(part)


def evaluate(value: Any, scope: Scope) -> Any:
    """``value`` with every reference and function replaced; a lone ``Get`` keeps the type of what it names.

    Raises:
        ExpressionError: something it names does not exist or is undefined.
    """
    if isinstance(value, Mapping):
        if len(value) == 1 and next(iter(value)) in _FUNCTIONS:
            return _call(*next(iter(value.items())), scope)
        return {key: evaluate(part, scope) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [evaluate(part, scope) for part in value]
    return value


def _call(name: str, argument: Any, scope: Scope) -> Any:
    if name == "Get":
        return get(str(argument), scope)
    if not isinstance(argument, Mapping):
        raise ExpressionError("the function needs an object", where=name)
    if name == "Std:Join":
        values = evaluate(argument.get("Values", []), scope)
        return str(argument.get("On", "")).join(as_text(one) for one in values)
    return _json_get(argument, scope)


def _json_get(argument: Mapping[str, Any], scope: Scope) -> Any:
    path = str(argument.get("Path", ""))
    if "PropertyFile" in argument:
        reference = argument["PropertyFile"]
        target = str(reference.get("Get", "") if isinstance(reference, Mapping) else reference)
        parts = target.split(".")
        if len(parts) != 4 or parts[0] != "Steps" or parts[2] != "PropertyFiles" or not scope.read_property_file:
            raise ExpressionError("not a property file", where=f"Std:JsonGet {target}")
        where, document = target, scope.read_property_file(parts[1], parts[3])
    else:
        where = as_text(evaluate(argument.get("S3Uri", ""), scope))
        if not scope.read_json:
            raise ExpressionError("no files can be read here", where=where)
        document = scope.read_json(where)
    return follow(document, path, where=where)


def get(path: str, scope: Scope) -> Any:
    """The value of one reference, such as ``Parameters.X`` or ``Steps.N.ProcessingOutputConfig.Outputs['a'].S3Uri``.

    Raises:
        ExpressionError: the name does not exist, the step has not finished, or the value is undefined.
    """
    family, _, rest = path.partition(".")
    if family == "Parameters" and rest in scope.parameters:
        return scope.parameters[rest]
    if family == "Execution" and rest in scope.execution:
        return scope.execution[rest]
    if family == "Steps":
        step, _, inner = rest.partition(".")
        if step in scope.steps:
            return follow(scope.steps[step], inner, where=path)
        raise ExpressionError(f"step '{step}' has no result to refer to", where=path)
    raise ExpressionError("the reference does not exist", where=path)


def follow(document: Any, path: str, *, where: str) -> Any:
    """The value at ``path`` (``a.b``, ``a['b']``, ``a[0]``); lists of named items are indexed by that name.

    Raises:
        ExpressionError: the path does not exist or its value is null.
    """
    found = document
    for part in _split(path, where):
        found = _member(found, part)
        if found is _MISSING:
            raise ExpressionError(f"path '{path}' does not exist (at '{part}')", where=where)
    if found is None:
        raise ExpressionError(f"path '{path}' is undefined (null)", where=where)
    return found


def _split(path: str, where: str) -> list[str | int]:
    parts: list[str | int] = []
    position = 0
    while position < len(path):
        match = _PATH_PART.match(path, position)
        if not match:
            raise ExpressionError(f"cannot read the path '{path}'", where=where)
        name, index, single, double = match.groups()
        parts.append(int(index) if index is not None else next(p for p in (name, single, double) if p is not None))
        position = match.end()
    if not parts:
        raise ExpressionError("the path is empty", where=where)
    return parts


def _member(found: Any, part: str | int) -> Any:
    if isinstance(found, Mapping):
        return found.get(str(part), _MISSING)
    if isinstance(found, list):
        if isinstance(part, int):
            return found[part] if part < len(found) else _MISSING
        for item in found:
            if isinstance(item, Mapping) and any(item.get(member) == part for member in _NAME_MEMBERS):
                return item
    return _MISSING


def as_text(value: Any) -> str:
    """``value`` as ``Std:Join`` writes it: text unchanged, booleans as JSON words, numbers by their shortest form."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if value is None or isinstance(value, Mapping | list):
        raise ExpressionError(f"{type(value).__name__} cannot be joined into a text", where="Std:Join")
    return str(value)


def same(left: Any, right: Any) -> bool:
    """Equality without Python's ``True == 1``: a boolean equals only a boolean."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "GreaterThan": lambda left, right: left > right,
    "GreaterThanOrEqualTo": lambda left, right: left >= right,
    "LessThan": lambda left, right: left < right,
    "LessThanOrEqualTo": lambda left, right: left <= right,
}


def holds(conditions: Sequence[Mapping[str, Any]], scope: Scope) -> bool:
    """Whether all ``conditions`` of a Condition step hold (the list is AND-ed).

    Raises:
        ExpressionError: an unknown condition, an operand that cannot be evaluated, or operands that cannot be compared.
    """
    return all(_holds_one(one, scope) for one in conditions)


def _holds_one(condition: Mapping[str, Any], scope: Scope) -> bool:
    kind = str(condition.get("Type", ""))
    try:
        if kind == "Not":
            return not _holds_one(condition["Expression" if "Expression" in condition else "Condition"], scope)
        if kind == "Or":
            return any(_holds_one(one, scope) for one in condition["Conditions"])
        if kind == "In":
            value = evaluate(condition["QueryValue"], scope)
            return any(same(value, one) for one in evaluate(condition["Values"], scope))
        left, right = (evaluate(condition[side], scope) for side in ("LeftValue", "RightValue"))
    except KeyError as error:
        raise ExpressionError(f"member {error} is missing", where=f"condition {kind}") from error
    if kind == "Equals":
        return same(left, right)
    if kind not in _ORDER:
        raise ExpressionError(f"unknown condition '{kind}'", where="Conditions")
    for value in (left, right):
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ExpressionError(f"{value!r} is not a number", where=f"condition {kind}")
    return _ORDER[kind](left, right)
