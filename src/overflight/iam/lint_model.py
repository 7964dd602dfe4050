"""Policies as the lint rules read them, and what a rule reports.

Reads any document leniently: what AWS would refuse is a finding, not an exception. Knows no rule.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

from overflight.iam.actions import expand
from overflight.iam.conditions import texts
from overflight.iam.shapes import statement_problems

Severity = Literal["error", "warning"]
Kind = Literal["identity", "boundary", "session", "organisation", "resource", "trust"]

_VARIABLE = re.compile(r"\$\{([^},]+)([^}]*)\}")


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Attributes:
        rule: Id of the rule, ``pass-role-any``.
        policy: Name of the policy or role.
        sid: Sid of the statement; "" for the whole policy.
        path: Place inside the document, ``Statement/2/Condition/StringLike/aws:TagKeys``.
        what: One sentence.
        cure: What to write instead.
        severity: ``error``: the shape is banned; ``warning``: it decides right, but people are worse off.
    """

    rule: str
    policy: str
    sid: str
    path: str
    what: str
    cure: str
    severity: Severity = "error"

    def __str__(self) -> str:
        """One line for people."""
        place = f"{self.policy}, {self.sid}" if self.sid else self.policy
        return f"{place}: {self.what} ({self.rule}). {self.cure}"


@dataclass(frozen=True)
class Test:
    """One operator on one key of a Condition element.

    Attributes:
        operator: As written, ``ForAllValues:StringLike``.
        base: Operator in lower case without quantifier and IfExists.
        quantifier: ``forallvalues``, ``foranyvalue`` or "".
        if_exists: Whether an absent key fulfils it.
        key: Condition key in lower case.
        written: Condition key as written.
        values: Values as text.
    """

    operator: str
    base: str
    quantifier: str
    if_exists: bool
    key: str
    written: str
    values: tuple[str, ...]

    @property
    def negated(self) -> bool:
        """Whether it is fulfilled when no value fits."""
        return (
            self.base.removeprefix("arn")
            .removeprefix("string")
            .removeprefix("numeric")
            .removeprefix("date")
            .startswith("not")
        )

    @property
    def positive(self) -> bool:
        """Whether the key must be there with a value that fits."""
        return not (self.negated or self.if_exists or self.base == "null" or self.quantifier == "forallvalues")

    @property
    def path(self) -> str:
        """Place inside the statement."""
        return f"Condition/{self.operator}/{self.written}"


@dataclass(frozen=True)
class Statement:
    """One statement; an element that is absent, or of a shape that AWS does not read, is an empty tuple or mapping.

    ``shapes`` are the elements of such a shape: path and sentence.
    """

    index: int
    sid: str
    effect: str
    actions: tuple[str, ...]
    not_actions: tuple[str, ...]
    resources: tuple[str, ...]
    not_resources: tuple[str, ...]
    principals: Mapping[str, tuple[str, ...]]
    not_principals: Mapping[str, tuple[str, ...]]
    tests: tuple[Test, ...]
    shapes: tuple[tuple[str, str], ...] = ()

    @property
    def allow(self) -> bool:
        """Whether it is an Allow."""
        return self.effect == "Allow"

    @property
    def deny(self) -> bool:
        """Whether it is a Deny."""
        return self.effect == "Deny"

    @cached_property
    def known_actions(self) -> frozenset[str]:
        """Every action of the tables that its Action element takes in."""
        return frozenset(action for pattern in self.actions for action in expand(pattern))

    def demands(self, key: str) -> bool:
        """Whether ``Null: {key: "false"}`` makes the key (any case) necessary."""
        return any(test.base == "null" and test.key == key.lower() and "false" in test.values for test in self.tests)

    def tested(self, *beginnings: str) -> list[Test]:
        """Its tests on keys that begin so (lower case)."""
        return [test for test in self.tests if test.key.startswith(beginnings)]

    def everywhere(self) -> bool:
        """Whether it is about every resource and has no condition."""
        return "*" in self.resources and not self.tests


@dataclass(frozen=True)
class PolicyView:
    """One policy.

    Attributes:
        name: Name for findings.
        kind: What it is attached to.
        document: As written.
        statements: In order.
        shapes: What stands in the place of a statement and is none: path and sentence.
    """

    name: str
    kind: Kind
    document: Mapping[str, Any]
    statements: tuple[Statement, ...]
    shapes: tuple[tuple[str, str], ...] = ()


Reported = Iterator[tuple[str, str]]
"""Path inside what is checked, and what is wrong with it."""


@dataclass(frozen=True)
class StatementRule:
    """A rule about one statement.

    Attributes:
        id: Short name: the name of its function with hyphens.
        severity: Of its findings.
        kinds: Kinds of policies that it is about.
        check: The rule.
        cure: What to write instead.
    """

    id: str
    severity: Severity
    kinds: frozenset[Kind]
    check: Callable[[Statement], Iterable[tuple[str, str]]]
    cure: str


def view(document: Mapping[str, Any], *, name: str, kind: Kind) -> PolicyView:
    """The policy ready for the rules."""
    listed = document.get("Statement", ())
    listed = listed if isinstance(listed, list | tuple) else [listed]
    statements = tuple(_statement(one, n) for n, one in enumerate(listed) if isinstance(one, Mapping))
    odd = [(n, one) for n, one in enumerate(listed) if not isinstance(one, Mapping)]
    shapes = tuple(found for n, one in odd for found in statement_problems(one, f"Statement/{n}"))
    return PolicyView(name, kind, document, statements, shapes)


def variables(text: str) -> list[str]:
    """Keys (lower case) of the policy variables in ``text`` that have no default; not ``${*}``, ``${?}``, ``${$}``."""
    return [key.strip().lower() for key, rest in _VARIABLE.findall(text) if key not in {"*", "?", "$"} and not rest]


@lru_cache(maxsize=8192)
def may_meet(one: str, other: str) -> bool:
    """Whether some ARN fits both patterns; ``${...}`` stands for anything, part by part of the ARN."""
    parts = [re.sub(r"\$\{[^}]*\}", "*", text).split(":", 5) for text in (one, other)]
    if any(len(part) < 6 for part in parts):
        return "*" in (one, other)
    return all(_meet(left, right) for left, right in zip(*parts, strict=True))


@lru_cache(maxsize=8192)
def _meet(one: str, other: str) -> bool:
    # Without recursion: a name may be longer than Python's stack is deep.
    todo, seen = [(0, 0)], set()
    while todo:
        here = i, j = todo.pop()
        if here in seen:
            continue
        seen.add(here)
        if i == len(one) or j == len(other):
            if not (one[i:] + other[j:]).strip("*"):
                return True
        elif "*" in {one[i], other[j]}:
            todo += [(i + 1, j), (i, j + 1)] if one[i] == "*" else [(i, j + 1), (i + 1, j)]
        elif one[i] == other[j] or "?" in {one[i], other[j]}:
            todo.append((i + 1, j + 1))
    return False


def _statement(statement: Mapping[str, Any], index: int) -> Statement:
    def listed(element: str) -> tuple[str, ...]:
        return texts(statement[element]) if element in statement else ()

    def principals(element: str) -> Mapping[str, tuple[str, ...]]:
        given = statement.get(element, {})
        return {"AWS": ("*",)} if given == "*" else {kind: texts(names) for kind, names in _pairs(given)}

    return Statement(
        index=index,
        sid=str(statement.get("Sid", "")),
        effect=str(statement.get("Effect", "")),
        actions=listed("Action"),
        not_actions=listed("NotAction"),
        resources=listed("Resource"),
        not_resources=listed("NotResource"),
        principals=principals("Principal"),
        not_principals=principals("NotPrincipal"),
        tests=tuple(
            _test(operator, key, texts(values))
            for operator, keys in _pairs(statement.get("Condition", {}))
            for key, values in _pairs(keys)
        ),
        shapes=tuple(statement_problems(statement)),
    )


def _pairs(value: Any) -> list[tuple[str, Any]]:
    return [(str(key), item) for key, item in value.items()] if isinstance(value, Mapping) else []


def _test(operator: str, key: str, values: tuple[str, ...]) -> Test:
    quantifier, _, name = operator.lower().rpartition(":")
    base = name.removesuffix("ifexists")
    return Test(operator, base, quantifier, base != name, key.lower(), key, values)
