"""Patterns of policies: wildcards, policy variables, actions and ARNs, compiled once and matched often.

Knows nothing of statements, conditions or layers. A wildcard in the resource type (``end*/x``) is matched like any
other, though AWS says that none may stand there: our own policies should write types out. Rules: IAM User Guide, "IAM
JSON policy elements: Action / Resource", "IAM policy elements: Variables and tags", "Identify AWS resources with ARNs".
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

Lookup = Callable[[str], Sequence[str] | None]
"""Values of a condition key (lower case) in the request; None where it is absent."""

_ARN_COLONS = 5
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
_WITH_DEFAULT = re.compile(r"^\s*([^,]*?)\s*,\s*'(.*)'\s*$", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Variable:
    """``${key}`` or ``${key, 'default'}`` in a policy.

    Attributes:
        key: Condition key in lower case.
        default: Text that stands in where the key is absent, or None.
    """

    key: str
    default: str | None


@dataclass(frozen=True, slots=True)
class Wild:
    """``*`` or ``?``."""

    sign: str


Token = str | Variable | Wild


@dataclass(frozen=True, slots=True)
class Template:
    """A text of a policy, cut at its wildcards and variables.

    Attributes:
        tokens: Literal texts, variables and wildcards in order.
        text: The text where it has neither variables nor wildcards, else None.
        pattern: The regular expression where it has wildcards and no variables, else None.
        arn: Whether it is an ARN: then a wildcard stays within its segment, except in the last one.
    """

    tokens: tuple[Token, ...]
    text: str | None
    pattern: re.Pattern[str] | None
    arn: bool

    def resolve(self, lookup: Lookup) -> str | None:
        """Text with its variables filled in and its wildcards as they are; None where a variable has no value."""
        if self.text is not None:
            return self.text
        parts = []
        for token in self.tokens:
            part = _value(token, lookup) if isinstance(token, Variable) else _plain(token)
            if part is None:
                return None
            parts.append(part)
        return "".join(parts)

    def matches(self, value: str, lookup: Lookup) -> bool | None:
        """Whether ``value`` fits; None where a variable has no value. Values of variables are literal text."""
        if self.text is not None:
            return value == self.text
        if self.pattern is not None:
            return self.pattern.fullmatch(value) is not None
        tokens: list[Token] = []
        for token in self.tokens:
            part = _value(token, lookup) if isinstance(token, Variable) else token
            if part is None:
                return None
            tokens.append(part)
        return _compiled(_source(tokens, self.arn)).fullmatch(value) is not None


def template(text: str, *, variables: bool, wildcards: bool = True, arn: bool = False) -> Template:
    """Cut a text of a policy at its variables and wildcards.

    Args:
        text: As written in the policy.
        variables: Whether ``${...}`` means something: only in policies of version 2012-10-17.
        wildcards: Whether ``*`` and ``?`` mean something.
        arn: Whether it is an ARN, in which a wildcard stays within its segment.
    """
    tokens: list[Token] = []
    start = 0
    if variables:
        for found in _VARIABLE.finditer(text):
            _cut(text[start : found.start()], wildcards, tokens)
            inner = found.group(1)
            tokens.append(inner if inner in {"*", "?", "$"} else _variable(inner))
            start = found.end()
    _cut(text[start:], wildcards, tokens)
    if all(isinstance(token, str) for token in tokens):
        return Template(tuple(tokens), "".join(map(_plain, tokens)), None, arn)  # type: ignore[arg-type]
    if any(isinstance(token, Variable) for token in tokens):
        return Template(tuple(tokens), None, None, arn)
    return Template(tuple(tokens), None, _compiled(_source(tokens, arn)), arn)


def resource_template(text: str, *, variables: bool) -> Template:
    """Pattern of a Resource element: ``*``, or an ARN; one that ends in ``*`` before its sixth part takes the rest."""
    return template(text, variables=variables, arn=text.strip("*") != "")


def action_pattern(patterns: Sequence[str]) -> re.Pattern[str]:
    """One expression for a list of actions, to be matched with an action in lower case: actions have no case."""
    sources = [
        "".join(".*" if sign == "*" else "." if sign == "?" else re.escape(sign) for sign in one.lower())
        for one in patterns
    ]
    return _compiled("|".join(f"(?:{source})" for source in sources) or r"(?!)")


def arn_account(arn: str) -> str:
    """Account in an ARN; "" where it has none."""
    parts = arn.split(":", _ARN_COLONS)
    return parts[4] if len(parts) > _ARN_COLONS else ""


def role_arn_of(principal_arn: str) -> str:
    """ARN of the role behind a session ARN; any other ARN as it is. A session's ARN does not tell the role's path."""
    parts = principal_arn.split(":", _ARN_COLONS)
    if len(parts) <= _ARN_COLONS or parts[2] != "sts" or not parts[5].startswith("assumed-role/"):
        return principal_arn
    return f"arn:{parts[1]}:iam::{parts[4]}:role/{parts[5].split('/')[1]}"


def _variable(inner: str) -> Variable:
    found = _WITH_DEFAULT.match(inner)
    return Variable(found.group(1).lower(), found.group(2)) if found else Variable(inner.strip().lower(), None)


def _value(token: Variable, lookup: Lookup) -> str | None:
    # A key with several values cannot stand in for a text.
    values = lookup(token.key)
    return values[0] if values is not None and len(values) == 1 else token.default


def _plain(token: str | Wild) -> str:
    return token if isinstance(token, str) else token.sign


def _cut(text: str, wildcards: bool, tokens: list[Token]) -> None:
    if not wildcards:
        if text:
            tokens.append(text)
        return
    tokens += [Wild(part) if part in {"*", "?"} else part for part in re.split(r"([*?])", text) if part]


def _source(tokens: Sequence[Token], arn: bool) -> str:
    parts = []
    colons = 0
    for place, token in enumerate(tokens):
        if isinstance(token, str):
            colons += token.count(":")
            parts.append(re.escape(token))
        elif isinstance(token, Wild):
            open_ended = not arn or colons >= _ARN_COLONS or (place == len(tokens) - 1 and token.sign == "*")
            one = "." if open_ended else "[^:]"
            parts.append(f"{one}*" if token.sign == "*" else one)
    return "".join(parts)


@lru_cache(maxsize=8192)
def _compiled(source: str) -> re.Pattern[str]:
    return re.compile(source, re.DOTALL)
