"""The parameters of a template: defaults, and the checks that CloudFormation makes on what is given.

Knows neither resources nor functions.

Source: AWS CloudFormation user guide, "CloudFormation template Parameters syntax".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, NoReturn

from overflight.errors import UsageError

_LISTS = re.compile(r"CommaDelimitedList|List<.+>")


def check_parameters(
    declared: Mapping[str, Mapping[str, Any]], given: Mapping[str, str | Sequence[str]], *, where: str
) -> dict[str, str | list[str]]:
    """Value of every declared parameter: text, or a list of text for the list types.

    Args:
        declared: Section ``Parameters`` of the template.
        given: Values by name; a list type takes a list or text with commas.
        where: Name of the template, for messages.

    Raises:
        UsageError: a value is missing, unknown or not allowed.
    """
    for name in given:
        if name not in declared:
            raise UsageError(
                f"the template has no parameter {name}",
                where=where,
                cure=f"Parameters: {', '.join(sorted(declared)) or 'none'}",
            )
    return {name: _value(name, rules, given, f"{where}, parameter {name}") for name, rules in declared.items()}


def _value(
    name: str, rules: Mapping[str, Any], given: Mapping[str, str | Sequence[str]], where: str
) -> str | list[str]:
    kind = str(rules.get("Type", ""))
    if kind.startswith("AWS::SSM::"):
        raise UsageError(f"values of type {kind} are in AWS, not here", where=where, cure="Make it a String")
    if name not in given and "Default" not in rules:
        raise UsageError("no value is given and it has no default", where=where, cure="Give a value")
    value = given.get(name, rules.get("Default"))
    if _LISTS.fullmatch(kind):
        parts = str(value).split(",") if isinstance(value, str | int | float) else _listed(value, rules, where)
        items = [part.strip() for part in parts] if parts != [""] else []
        for item in items:
            _check(item, rules, "Number" if kind == "List<Number>" else "String", where)
        return items
    if not isinstance(value, str | int | float) or isinstance(value, bool):
        _refuse(f"{value!r} is not text", rules, where, "Give one value, in quotes")
    _check(str(value), rules, kind, where)
    return str(value)


def _listed(value: Any, rules: Mapping[str, Any], where: str) -> list[str]:
    if not isinstance(value, list | tuple):
        _refuse(f"{value!r} is not a list", rules, where, "Give a list, or text with commas")
    return [str(part) for part in value]


def _check(value: str, rules: Mapping[str, Any], kind: str, where: str) -> None:
    listed = rules.get("AllowedValues", [])
    if not isinstance(listed, list):
        raise UsageError("AllowedValues is not a list", where=where, cure="Write a list")
    allowed = [str(item) for item in listed]
    if allowed and value not in allowed:
        _refuse(f"{value!r} is not allowed", rules, where, f"Allowed: {', '.join(allowed)}")
    pattern = rules.get("AllowedPattern")
    if pattern is not None and not _pattern(str(pattern), where).fullmatch(value):
        _refuse(f"{value!r} does not match the pattern {pattern}", rules, where, "Give a value that matches")
    if kind == "Number":
        _check_number(value, rules, where)
    elif not _bound(rules, "MinLength", 0, where) <= len(value) <= _bound(rules, "MaxLength", len(value), where):
        low, high = rules.get("MinLength", 0), rules.get("MaxLength", "any number of")
        _refuse(f"{value!r} has {len(value)} characters", rules, where, f"Give {low} to {high} characters")


def _check_number(value: str, rules: Mapping[str, Any], where: str) -> None:
    try:
        number = float(value)
    except ValueError:
        _refuse(f"{value!r} is not a number", rules, where, "Give a number")
    if not _bound(rules, "MinValue", number, where) <= number <= _bound(rules, "MaxValue", number, where):
        low, high = rules.get("MinValue", "any"), rules.get("MaxValue", "any")
        _refuse(f"{value} is outside {low} to {high}", rules, where, "Give a number in that range")


def _pattern(text: str, where: str) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except re.error as error:
        raise UsageError(f"AllowedPattern is no regular expression: {error}", where=where, cure="Correct it") from error


def _bound(rules: Mapping[str, Any], name: str, default: float, where: str) -> float:
    try:
        return float(rules.get(name, default))
    except (TypeError, ValueError) as error:
        raise UsageError(f"{name} is not a number", where=where, cure="Give a number") from error


def _refuse(what: str, rules: Mapping[str, Any], where: str, cure: str) -> NoReturn:
    raise UsageError(what, where=where, cure=str(rules.get("ConstraintDescription", cure)))
