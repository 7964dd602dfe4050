"""Requests compared with AWS's own model of them, before anything is sent.

botocore's validator stops at the references of a pipeline definition and looks only at required members, names and
types. This walk takes references as wildcards and adds enumerations, lengths, bounds and patterns. It does not know
what the service checks beyond its published model (see ``pipelines.check`` for such rules), and it sends nothing.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from difflib import get_close_matches
from functools import cache
from typing import Any, Literal

from botocore.loaders import Loader
from botocore.model import ListShape, MapShape, ServiceModel, Shape, StructureShape

Severity = Literal["error", "warning"]

_REFERENCE_KEYS = frozenset({"Get", "Std:Join", "Std:JsonGet"})
_PYTHON_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "character": (str,),
    "integer": (int,),
    "long": (int,),
    "float": (int, float),
    "double": (int, float),
    "boolean": (bool,),
    "timestamp": (str, int, float, datetime),
    "blob": (str, bytes, bytearray),
}
# Java's Unicode classes in the published patterns; \w and \s are the nearest that Python's re has. They let a few more
# characters through than the service does, never fewer of those in use.
_UNICODE_CLASSES = {
    r"\p{L}": r"\w",
    r"\p{M}": r"\u0300-\u036f",
    r"\p{N}": r"\d",
    r"\p{Z}": r"\s",
    r"\p{P}": r"!-/:-@\[-`{-~\u00a1-\u00bf\u2010-\u27ff\u3000-\u303f\uff00-\uffef",
    r"\p{S}": r"$+<=>^`|~\u00a1-\u00bf\u00d7\u00f7\u2010-\u2bff\U0001f000-\U0001faff",
}


@dataclass(frozen=True)
class Finding:
    """Something wrong at ``path``; a warning may be right for a newer service than the model at hand."""

    path: str
    message: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """``error: path: message``."""
        return f"{self.severity}: {self.path}: {self.message}"


@dataclass(frozen=True)
class Rules:
    """How a walk treats what the model cannot know.

    Args:
        omitted: Required members that need not be there at the top, because the service fills them in.
        type_of_reference: The botocore type name of such a value, or "" when it is not known.
    """

    omitted: Collection[str] = ()
    type_of_reference: Callable[[Any], str] = lambda _value: ""


def is_reference(value: Any) -> bool:
    """Whether ``value`` is ``{"Get": ...}``, ``{"Std:Join": ...}`` or ``{"Std:JsonGet": ...}``."""
    return isinstance(value, Mapping) and len(value) == 1 and next(iter(value)) in _REFERENCE_KEYS


@cache
def service_model(service: str) -> ServiceModel:
    """The published model of ``service`` (``sagemaker``) in the installed botocore; read once per process."""
    return ServiceModel(Loader().load_service_model(service, "service-2"), service)


def input_shape(service: str, operation: str) -> StructureShape:
    """What ``operation`` takes."""
    return _structure(service_model(service).operation_model(operation).input_shape)


def output_shape(service: str, operation: str) -> StructureShape:
    """What ``operation`` answers."""
    return _structure(service_model(service).operation_model(operation).output_shape)


def check_request(
    service: str, operation: str, request: Any, *, path: str = "", rules: Rules | None = None
) -> list[Finding]:
    """Everything in ``request`` that the model of ``operation`` does not allow, in reading order.

    Args:
        service: Such as ``sagemaker``.
        operation: Such as ``CreateTrainingJob``.
        request: The parameters, possibly with references inside.
        path: What to put before the paths of findings.
        rules: How references and omitted members are treated.
    """
    return list(walk(input_shape(service, operation), request, path=path, rules=rules or Rules()))


def walk(shape: Shape, value: Any, *, path: str, rules: Rules) -> Iterator[Finding]:
    """Findings of one value; ``rules.omitted`` applies to this level only."""
    if is_reference(value):
        yield from _check_reference(shape, value, path, rules)
    elif isinstance(shape, StructureShape):
        yield from _walk_structure(shape, value, path, rules)
    elif isinstance(shape, ListShape):
        yield from _walk_list(shape, value, path, rules)
    elif isinstance(shape, MapShape):
        yield from _walk_map(shape, value, path, rules)
    else:
        yield from _walk_scalar(shape, value, path)


def type_at(service: str, operation: str, parts: Sequence[str | int]) -> str | None:
    """Botocore's name of the type at a path inside the answer of ``operation``; None when there is no such path.

    A part is a member's name, a key of a map, or an index (or an item's name) of a list.
    """
    shape: Shape = output_shape(service, operation)
    for part in parts:
        below = _member(shape, part)
        if below is None:
            return None
        shape = below
    return str(shape.type_name)


def _member(shape: Shape, part: str | int) -> Shape | None:
    if isinstance(shape, StructureShape):
        return shape.members.get(part) if isinstance(part, str) else None
    if isinstance(shape, ListShape):
        return shape.member
    return shape.value if isinstance(shape, MapShape) and isinstance(part, str) else None


def _check_reference(shape: Shape, value: Any, path: str, rules: Rules) -> Iterator[Finding]:
    found = rules.type_of_reference(value)
    wanted = shape.type_name
    if not found or found == wanted or (found in _PYTHON_TYPES and wanted in ("timestamp", "blob")):
        return
    numbers = {"integer", "long", "float", "double"}
    if found in numbers and wanted in numbers and not (found in ("float", "double") and wanted in ("integer", "long")):
        return
    if wanted == "string" and found in numbers | {"boolean"}:
        # Whether the service writes a lone number as text is not documented; a join always does.
        yield Finding(path, f"text is needed, the reference gives a {found}: join it with Std:Join", "warning")
    else:
        yield Finding(path, f"a {wanted} is needed, the reference gives a {found}")


def _walk_structure(shape: StructureShape, value: Any, path: str, rules: Rules) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        yield Finding(path, f"an object is needed, not {_kind(value)}")
        return
    for name in shape.required_members:
        if name not in value and name not in rules.omitted:
            yield Finding(_join(path, name), "is required and missing")
    inner = Rules(type_of_reference=rules.type_of_reference)
    for name, item in value.items():
        if name not in shape.members:
            yield Finding(_join(path, name), f"is not a member of {shape.name}{_nearest(name, shape.members)}")
        else:
            yield from walk(shape.members[name], item, path=_join(path, name), rules=inner)
    if shape.is_tagged_union and len(value) != 1:
        yield Finding(path, f"exactly one of {', '.join(shape.members)} is needed")


def _walk_list(shape: ListShape, value: Any, path: str, rules: Rules) -> Iterator[Finding]:
    if not isinstance(value, list | tuple):
        yield Finding(path, f"a list is needed, not {_kind(value)}")
        return
    yield from _check_bounds(shape, len(value), path, "items")
    for index, item in enumerate(value):
        yield from walk(shape.member, item, path=f"{path}[{index}]", rules=rules)


def _walk_map(shape: MapShape, value: Any, path: str, rules: Rules) -> Iterator[Finding]:
    if not isinstance(value, Mapping):
        yield Finding(path, f"an object is needed, not {_kind(value)}")
        return
    yield from _check_bounds(shape, len(value), path, "entries")
    for key, item in value.items():
        yield from walk(shape.key, key, path=f"{path} key {key!r}", rules=rules)
        yield from walk(shape.value, item, path=_join(path, key), rules=rules)


def _walk_scalar(shape: Shape, value: Any, path: str) -> Iterator[Finding]:
    if not _has_type(shape.type_name, value):
        yield Finding(path, f"a {shape.type_name} is needed, not {_kind(value)}")
        return
    if isinstance(value, float) and not math.isfinite(value):
        yield Finding(path, f"{value} is not a number")
        return
    if shape.type_name == "string":
        yield from _check_text(shape, value, path)
    elif shape.type_name in ("integer", "long", "float", "double"):
        yield from _check_bounds(shape, value, path, "")


def _has_type(type_name: str, value: Any) -> bool:
    allowed = _PYTHON_TYPES.get(type_name)
    if allowed is None:
        return True
    return bool in allowed if isinstance(value, bool) else isinstance(value, allowed)


def _check_text(shape: Shape, value: str, path: str) -> Iterator[Finding]:
    choices = shape.metadata.get("enum")
    if choices and value not in choices:
        newer = "InstanceType" in shape.name
        message = f"{value!r} is not one of {len(choices)} allowed values{_nearest(value, choices)}"
        yield Finding(path, message, "warning" if newer else "error")
        return
    yield from _check_bounds(shape, len(value), path, "characters")
    pattern = _pattern(shape.metadata.get("pattern", ""))
    if pattern and not pattern.fullmatch(value):
        yield Finding(path, f"{value!r} does not match {shape.metadata['pattern']}")


def _check_bounds(shape: Shape, size: float, path: str, unit: str) -> Iterator[Finding]:
    low, high = shape.metadata.get("min"), shape.metadata.get("max")
    words = f" {unit}" if unit else ""
    if low is not None and size < low:
        yield Finding(path, f"{size}{words}: at least {low} needed")
    if high is not None and size > high:
        yield Finding(path, f"{size}{words}: at most {high} allowed")


@cache
def _pattern(text: str) -> re.Pattern[str] | None:
    """The published (Java) pattern for Python; None when there is none or Python cannot express it."""
    if not text:
        return None
    # Some patterns end in a "${1,256}" that was meant for a template; the lengths are published beside them.
    text = re.sub(r"\$\{[\d,]+\}$", "", text)
    for java, python in _UNICODE_CLASSES.items():
        text = text.replace(java, python)
    try:
        return re.compile(text, re.DOTALL)
    except re.error:
        return None


def _structure(shape: Shape | None) -> StructureShape:
    if not isinstance(shape, StructureShape):
        return StructureShape("Empty", {"type": "structure", "members": {}})
    return shape


def _nearest(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name, list(known), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return f"the boolean {str(value).lower()}"
    names = {str: "text", int: "a number", float: "a number", dict: "an object", list: "a list", type(None): "null"}
    kind = names.get(type(value), type(value).__name__)
    return f"{kind} ({value!r})" if isinstance(value, str | int | float) else kind


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
