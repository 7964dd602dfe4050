"""Condition blocks of policy statements: every operator of AWS, compiled once and tested against a request's keys.

Knows no statement and no layer. Rules: IAM User Guide, "IAM JSON policy elements: Condition operators" and
"Conditions with multiple context keys or values".
"""

from __future__ import annotations

import base64
import binascii
import ipaddress
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from overflight.errors import InputError
from overflight.iam.patterns import Lookup, Template, template

Test = Callable[[str, Lookup], bool | None]
"""Whether one value of the request fits one value of the policy; None: cannot be said, no match either way."""

_DATE = re.compile(r"\d{4}(-\d{2}(-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d+)?)?(Z|[+-]\d{2}:\d{2})?)?)?)?")
_EPOCH = re.compile(r"-?\d+(\.\d+)?")
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?")


@dataclass(frozen=True, slots=True)
class Condition:
    """One operator on one key.

    Attributes:
        operator: As written, ``ForAllValues:StringLike``.
        key: Condition key in lower case.
        tests: One for each value of the policy.
        negated: Whether no value may fit.
        quantifier: ``all``, ``any``, or "" for a key with one value.
        if_exists: Whether an absent key fulfils it.
        null: For ``Null``: the presence that fulfils it (True: absent); None for other operators.
    """

    operator: str
    key: str
    tests: tuple[Test, ...]
    negated: bool
    quantifier: str
    if_exists: bool
    null: frozenset[bool] | None

    def holds(self, lookup: Lookup) -> bool:
        """Whether the request fulfils it."""
        values = lookup(self.key)
        if self.null is not None:
            return (values is None) in self.null
        if values is None:
            return self.if_exists or self.quantifier == "all" or (self.negated and not self.quantifier)
        if self.quantifier == "all":
            return all(self._fits(value, lookup) for value in values)
        if self.quantifier == "any":
            return any(self._fits(value, lookup) for value in values)
        return len(values) == 1 and self._fits(values[0], lookup)

    def _fits(self, value: str, lookup: Lookup) -> bool:
        for test in self.tests:
            fits = test(value, lookup)
            if fits and not self.negated:
                return True
            # "is not False": an unresolved variable or a value of the wrong kind fulfils no negated operator either.
            if fits is not False and self.negated:
                return False
        return self.negated


def compile_conditions(block: Mapping[str, Any], *, variables: bool, where: str) -> tuple[Condition, ...]:
    """Compile the Condition element of a statement; all of the result must hold.

    Args:
        block: Operator -> key -> value or list of values.
        variables: Whether ``${...}`` means something (version 2012-10-17).
        where: Policy and statement, for errors.

    Raises:
        InputError: an operator that AWS does not have.
    """
    return tuple(
        _condition(operator, key, texts(values), variables=variables, where=where)
        for operator, keys in block.items()
        for key, values in keys.items()
    )


def texts(value: Any) -> tuple[str, ...]:
    """Value or list of a policy as texts; JSON's true and numbers as AWS reads them."""
    values = value if isinstance(value, (list, tuple)) else (value,)
    return tuple(("true" if one else "false") if isinstance(one, bool) else str(one) for one in values)


def _condition(operator: str, key: str, values: tuple[str, ...], *, variables: bool, where: str) -> Condition:
    prefix, colon, name = operator.rpartition(":")
    quantifier = {"forallvalues": "all", "foranyvalue": "any", "": ""}.get(prefix.lower())
    base = name.lower()
    if_exists = base.endswith("ifexists")
    base = base.removesuffix("ifexists")
    if base == "null" and not colon and not if_exists:
        wanted = frozenset(value.lower() == "true" for value in values)
        return Condition(operator, key.lower(), (), False, "", False, wanted)
    made = _OPERATORS.get(base)
    if quantifier is None or made is None:
        raise InputError(f'unknown condition operator "{operator}"', where=where)
    make, negated = made
    tests = tuple(make(value, variables) for value in values)
    return Condition(operator, key.lower(), tests, negated, quantifier or "", if_exists, None)


def _string_equals(value: str, variables: bool) -> Test:
    wanted = template(value, variables=variables, wildcards=False)
    if wanted.text is not None:
        text = wanted.text
        return lambda given, _: given == text
    return wanted.matches


def _string_equals_ignore_case(value: str, variables: bool) -> Test:
    wanted = template(value, variables=variables, wildcards=False)

    def test(given: str, lookup: Lookup) -> bool | None:
        text = wanted.resolve(lookup)
        return None if text is None else given.lower() == text.lower()

    return test


def _string_like(value: str, variables: bool) -> Test:
    return template(value, variables=variables).matches


def _arn_like(value: str, variables: bool) -> Test:
    wanted: Template = template(value, variables=variables, arn=True)
    return wanted.matches


def _boolean(value: str, variables: bool) -> Test:
    wanted = template(value, variables=variables, wildcards=False)

    def test(given: str, lookup: Lookup) -> bool | None:
        text = wanted.resolve(lookup)
        return text is not None and given.lower() in {"true", "false"} and given.lower() == text.lower()

    return test


def _binary(value: str, _: bool) -> Test:
    wanted = _bytes(value)
    return lambda given, _: wanted is not None and _bytes(given) == wanted


def _bytes(text: str) -> bytes | None:
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def _address(value: str, _: bool) -> Test:
    try:
        network = ipaddress.ip_network(value, strict=False)
    except ValueError:
        return _never

    def test(given: str, _: Lookup) -> bool | None:
        try:
            address = ipaddress.ip_address(given)
        except ValueError:
            return None
        return address.version == network.version and address in network

    return test


def _never(_: str, __: Lookup) -> bool | None:
    return None


def _ordered(parse: Callable[[str], float | None], compare: Callable[[float, float], bool]) -> Callable[..., Test]:
    def make(value: str, _: bool) -> Test:
        wanted = parse(value)
        if wanted is None:
            return _never
        limit = wanted

        def test(given: str, _: Lookup) -> bool | None:
            number = parse(given)
            return None if number is None else compare(number, limit)

        return test

    return make


def number_of(text: str) -> float | None:
    """Integer or decimal; None where it is none."""
    return float(text) if _NUMBER.fullmatch(text) else None


def seconds_of(text: str) -> float | None:
    """Seconds since 1970 of a W3C date (a part of ISO 8601) or of epoch seconds; None where it is neither.

    Four digits are a year: as seconds they would lie in the first hours of 1970, where no policy puts a limit.
    """
    if not _DATE.fullmatch(text):
        return float(text) if _EPOCH.fullmatch(text) else None
    try:
        moment = datetime.fromisoformat(text + "-01-01"[len(text) - len("2026") :])
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


_COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "equals": lambda given, limit: given == limit,
    "notequals": lambda given, limit: given == limit,
    "lessthan": lambda given, limit: given < limit,
    "lessthanequals": lambda given, limit: given <= limit,
    "greaterthan": lambda given, limit: given > limit,
    "greaterthanequals": lambda given, limit: given >= limit,
}

_OPERATORS: Mapping[str, tuple[Callable[[str, bool], Test], bool]] = {
    "stringequals": (_string_equals, False),
    "stringnotequals": (_string_equals, True),
    "stringequalsignorecase": (_string_equals_ignore_case, False),
    "stringnotequalsignorecase": (_string_equals_ignore_case, True),
    "stringlike": (_string_like, False),
    "stringnotlike": (_string_like, True),
    "bool": (_boolean, False),
    "binaryequals": (_binary, False),
    "ipaddress": (_address, False),
    "notipaddress": (_address, True),
    "arnequals": (_arn_like, False),
    "arnlike": (_arn_like, False),
    "arnnotequals": (_arn_like, True),
    "arnnotlike": (_arn_like, True),
    **{f"numeric{name}": (_ordered(number_of, test), name == "notequals") for name, test in _COMPARISONS.items()},
    **{f"date{name}": (_ordered(seconds_of, test), name == "notequals") for name, test in _COMPARISONS.items()},
}


def values_of(value: str | Sequence[str]) -> tuple[str, ...] | None:
    """Values of one condition key as a tuple; None where the list is empty: AWS sends no empty key."""
    return (value,) if isinstance(value, str) else tuple(value) or None
