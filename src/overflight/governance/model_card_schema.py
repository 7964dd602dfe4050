"""Whether the content of a model card fits AWS's schema: names, enumerations, lengths, and the size of the whole.

``model_card_schema.json`` holds AWS's facts as a JSON Schema; here is the small part of JSON Schema (draft 7) that it
uses. A keyword that is not understood is an error, not a rule that silently passes. It knows nothing of what a card
says. Limits of the whole: SageMaker API Reference, ``ModelCard`` and ``ModelPackageModelCard`` (100,000 characters in
one line).
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

from overflight.errors import InputError

MAX_CONTENT_CHARS: Final = 100_000
STATUSES: Final = ("Draft", "PendingReview", "Approved", "Archived")

_TYPES: Mapping[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "boolean": lambda value: isinstance(value, bool),
    "number": lambda value: isinstance(value, (int, float)) and not isinstance(value, bool),
    "array": lambda value: isinstance(value, list),
    "object": lambda value: isinstance(value, dict),
}
_CURE = "Shorten the facts file, or report this as a fault of Overflight"
_NO_RULES = frozenset({"$schema", "$comment", "title", "definitions"})


@cache
def card_schema(*, package: bool = False) -> Mapping[str, Any]:
    """The schema; with ``package`` that of a model package's own card.

    That one has no details of the package and knows only creator and artefact in its overview.
    """
    schema: dict[str, Any] = json.loads(
        files("overflight.governance").joinpath("model_card_schema.json").read_text(encoding="utf-8")
    )
    if package:
        del schema["properties"]["model_package_details"]
        schema["properties"]["model_overview"] = {"$ref": "#/definitions/package_model_overview"}
    return schema


def content_text(content: Mapping[str, Any], *, package: bool = False) -> str:
    """``content`` as the API takes it: valid, one line.

    Raises:
        InputError: it does not fit the schema, or is too long.
    """
    found = list(problems(content, card_schema(package=package)))
    if found:
        raise InputError(f"does not fit AWS's schema: {'; '.join(found[:5])}", where="model card", cure=_CURE)
    text = json.dumps(content, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    if len(text) > MAX_CONTENT_CHARS:
        raise InputError(
            f"has {len(text):,} characters, {MAX_CONTENT_CHARS:,} are allowed", where="model card", cure=_CURE
        )
    return text


def problems(
    value: Any, schema: Mapping[str, Any], *, root: Mapping[str, Any] | None = None, at: str = ""
) -> list[str]:
    """Everything in ``value`` that ``schema`` does not allow, as ``path: what``.

    Raises:
        ValueError: the schema uses a keyword that is not understood here.
    """
    return list(_problems(value, schema, root or schema, at or "card"))


def _problems(value: Any, schema: Mapping[str, Any], root: Mapping[str, Any], at: str) -> Iterator[str]:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix("#/definitions/")
        yield from _problems(value, root["definitions"][name], root, at)
        return
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield f"{at}: is not of type {' or '.join(kinds)}"
        return
    for keyword, rule in schema.items():
        if keyword not in _RULES and keyword not in _NO_RULES | {"type"}:
            raise ValueError(f"keyword {keyword!r} is not understood")
        if keyword in _RULES:
            yield from _RULES[keyword](value, rule, schema, root, at)


def _enum(value: Any, rule: Any, *rest: Any) -> Iterator[str]:
    if value not in rule:
        yield f"{rest[-1]}: {value!r} is not one of {', '.join(map(str, rule))}"


def _max_length(value: Any, rule: Any, *rest: Any) -> Iterator[str]:
    if isinstance(value, str) and len(value) > rule:
        yield f"{rest[-1]}: has {len(value)} characters, {rule} are allowed"


def _pattern(value: Any, rule: Any, *rest: Any) -> Iterator[str]:
    if isinstance(value, str) and not re.search(rule, value):
        yield f"{rest[-1]}: does not match {rule}"


def _max_items(value: Any, rule: Any, *rest: Any) -> Iterator[str]:
    if isinstance(value, list) and len(value) > rule:
        yield f"{rest[-1]}: has {len(value)} entries, {rule} are allowed"


def _items(value: Any, rule: Any, _schema: Any, root: Mapping[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from _problems(item, rule, root, f"{at}[{index}]")


def _required(value: Any, rule: Any, *rest: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for name in rule:
            if name not in value:
                yield f"{rest[-1]}: has no {name}"


def _properties(value: Any, rule: Any, _schema: Any, root: Mapping[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in value.keys() & rule.keys():
            yield from _problems(value[name], rule[name], root, f"{at}.{name}")


def _property_names(value: Any, rule: Any, _schema: Any, root: Mapping[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in value:
            yield from _problems(name, rule, root, f"{at}, name {name!r}")


def _additional(value: Any, rule: Any, schema: Any, root: Mapping[str, Any], at: str) -> Iterator[str]:
    if isinstance(value, dict):
        for name in sorted(value.keys() - schema.get("properties", {}).keys()):
            if rule is False:
                yield f"{at}: knows no {name}"
            else:
                yield from _problems(value[name], rule, root, f"{at}.{name}")


_RULES: Mapping[str, Callable[..., Iterator[str]]] = {
    "enum": _enum,
    "maxLength": _max_length,
    "pattern": _pattern,
    "maxItems": _max_items,
    "items": _items,
    "required": _required,
    "properties": _properties,
    "propertyNames": _property_names,
    "additionalProperties": _additional,
}
