"""The access matrix: every role, every action of the services in use, four kinds of resource, four kinds of request.

What the policies decide is held against rules (``expected_access.yaml``): what no rule allows must be denied, so that
an action which AWS adds tomorrow is expected to be denied. Knows no single policy, and no drawing.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from overflight.governance.activities import SESSION, fill, names_of
from overflight.iam.access import Access
from overflight.iam.actions import Action, actions_of
from overflight.iam.core import ContextValue, Decision

READING = frozenset({"Read", "List"})


class Rule(BaseModel):
    """Cells that a rule is about; an empty list or mapping means any.

    Attributes:
        roles: Short names, or ``*``; ``-name`` takes one out.
        actions: Patterns such as ``sagemaker:Describe*``; ``-pattern`` takes actions out.
        levels: Access levels of the Service Authorization Reference.
        kinds: Kinds of resource; the kind of an action without resource types is ``none``.
        types: Resource types, for example ``pipeline``; ``-type`` takes one out.
        sent: Kinds of request.
        why: One sentence.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    roles: list[str]
    actions: list[str] = Field(default_factory=list)
    levels: list[str] = Field(default_factory=list)
    kinds: list[str] = Field(default_factory=list)
    types: list[str] = Field(default_factory=list)
    sent: list[str] = Field(default_factory=list)
    why: str = ""


class Expectation(BaseModel):
    """Kinds of resource and request, and the rules over them.

    Attributes:
        services: Prefixes of the services in the table.
        kinds: Kind of resource -> its names by placeholder (``default`` and ``<service>:<type>.<placeholder>``), or
            the whole ARN.
        tags: Kind of resource -> its tag ``env``; a missing kind has no tags.
        sent: Kind of request -> condition keys that it carries.
        allowed: What may be done; everything else may not.
        never: What nobody may do whatever ``allowed`` says: rules that hold by access level.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    services: list[str]
    kinds: dict[str, dict[str, str]]
    tags: dict[str, str]
    sent: dict[str, dict[str, str | list[str]]]
    allowed: list[Rule]
    never: list[Rule]


@dataclass(frozen=True)
class Cell:
    """One decision of the matrix.

    Attributes:
        role: Short name.
        action: For example ``sagemaker:CreateModel``.
        level: Access level of the action.
        type: Resource type, or "".
        kind: Kind of resource, ``none`` for an action without resource types.
        sent: Kind of request.
        resource: ARN or ``*``.
        decision: What the policies say.
        expected: What the rules say.
    """

    role: str
    action: str
    level: str
    type: str
    kind: str
    sent: str
    resource: str
    decision: Decision
    expected: bool

    @property
    def as_expected(self) -> bool:
        """Whether policies and rules agree."""
        return self.decision.allowed == self.expected


@cache
def expectation() -> Expectation:
    """The rules of the package."""
    text = files("overflight.governance").joinpath("expected_access.yaml").read_text("utf-8")
    return Expectation.model_validate(yaml.safe_load(text))


def cells(access: Access, roles: Sequence[str] | None = None, rules: Expectation | None = None) -> Iterator[Cell]:
    """Every cell of the matrix, role by role.

    Args:
        access: Roles and policies.
        roles: Short names; None takes all roles of ``access``.
        rules: What is expected; None takes the package's rules.
    """
    rules = rules or expectation()
    names = names_of(access)
    sent = {kind: fill(keys, names) for kind, keys in rules.sent.items()}
    actions = [action for service in rules.services for action in actions_of(service)]
    places = {action.name: list(_places(action, rules, names, access)) for action in actions}
    for role in access.roles if roles is None else roles:
        allowed = [rule for rule in rules.allowed if _for_role(rule, role)]
        never = [rule for rule in rules.never if _for_role(rule, role)]
        for action in actions:
            may = [rule for rule in allowed if _for_action(rule, action)]
            must_not = [rule for rule in never if _for_action(rule, action)]
            for type_, kind, resource in places[action.name]:
                tag = rules.tags.get(kind)
                for request, keys in sent.items():
                    expected = any(_for_cell(rule, type_, kind, request) for rule in may) and not any(
                        _for_cell(rule, type_, kind, request) for rule in must_not
                    )
                    context: dict[str, ContextValue] = dict(keys)
                    if tag and not action.name.rpartition(":")[2].startswith("Create"):
                        context["aws:ResourceTag/env"] = fill(tag, names)
                    decision = access.decide(role, action.name, resource, context, session=SESSION)
                    yield Cell(
                        role=role,
                        action=action.name,
                        level=action.level,
                        type=type_,
                        kind=kind,
                        sent=request,
                        resource=resource,
                        decision=decision,
                        expected=expected,
                    )


def broken(cells_: Sequence[Cell], rules: Expectation | None = None) -> list[tuple[Cell, Rule]]:
    """Allowed cells that a ``never`` rule is about, with the rule."""
    rules = rules or expectation()
    by_role: dict[str, list[Rule]] = {}
    found = []
    for cell in cells_:
        if not cell.decision.allowed:
            continue
        mine = by_role.setdefault(cell.role, [rule for rule in rules.never if _for_role(rule, cell.role)])
        found += [
            (cell, rule)
            for rule in mine
            if _about(rule.actions, cell.action)
            and (not rule.levels or cell.level in rule.levels)
            and _for_cell(rule, cell.type, cell.kind, cell.sent)
        ]
    return found


@dataclass(frozen=True)
class RoleCount:
    """How much a role may.

    Attributes:
        role: Short name.
        cells: Decisions made.
        allowed: Of these allowed.
        writes: Actions that change something and are allowed in at least one cell.
        production: Of these on a resource of production.
        unexpected: Cells where policies and rules differ.
    """

    role: str
    cells: int
    allowed: int
    writes: int
    production: int
    unexpected: int


def counts(cells_: Sequence[Cell]) -> list[RoleCount]:
    """One line for each role, in the order of the cells."""
    by_role: dict[str, list[Cell]] = {}
    for cell in cells_:
        by_role.setdefault(cell.role, []).append(cell)
    return [_count(role, mine) for role, mine in by_role.items()]


def _count(role: str, mine: Sequence[Cell]) -> RoleCount:
    writes = {cell.action for cell in mine if cell.decision.allowed and cell.level not in READING}
    production = {
        cell.action
        for cell in mine
        if cell.decision.allowed and cell.level not in READING and cell.kind in {"prod", "untagged"}
    }
    return RoleCount(
        role=role,
        cells=len(mine),
        allowed=sum(cell.decision.allowed for cell in mine),
        writes=len(writes),
        production=len(production),
        unexpected=sum(not cell.as_expected for cell in mine),
    )


def _places(
    action: Action, rules: Expectation, names: Mapping[str, str], access: Access
) -> Iterator[tuple[str, str, str]]:
    """(resource type, kind, ARN) of all resources that an action is tried on."""
    if not action.resource_types:
        yield "", "none", "*"
        return
    service = action.name.partition(":")[0]
    for type_, pattern in action.resource_types.items():
        for kind, texts in rules.kinds.items():
            yield type_, kind, _arn(pattern, f"{service}:{type_}", texts, names, access)


def _arn(pattern: str, type_: str, texts: Mapping[str, str], names: Mapping[str, str], access: Access) -> str:
    arn = pattern
    given = {"Partition": "aws", "Region": access.region, "Account": access.account_id}
    while "${" in arn:
        head, _, rest = arn.partition("${")
        name, _, tail = rest.partition("}")
        text = (
            given.get(name) or texts.get(f"{type_}.{name}") or texts.get(type_) or texts.get(name) or texts["default"]
        )
        filled = str(fill(text, names))
        if filled.startswith("arn:"):  # a thing whose ARN nobody can make up: a key
            return filled
        arn = head + filled + tail
    return arn


def _for_role(rule: Rule, role: str) -> bool:
    return f"-{role}" not in rule.roles and ("*" in rule.roles or role in rule.roles)


def _for_action(rule: Rule, action: Action) -> bool:
    return (not rule.levels or action.level in rule.levels) and _about(rule.actions, action.name)


def _about(patterns: Sequence[str], action: str) -> bool:
    if any(fnmatchcase(action, one[1:]) for one in patterns if one.startswith("-")):
        return False
    wanted = [one for one in patterns if not one.startswith("-")]
    return not wanted or any(fnmatchcase(action, one) for one in wanted)


def _for_cell(rule: Rule, type_: str, kind: str, sent: str) -> bool:
    def fits(wanted: Sequence[Any], value: str) -> bool:
        if f"-{value}" in wanted:
            return False
        return value in wanted or all(one.startswith("-") for one in wanted)

    return fits(rule.types, type_) and fits(rule.kinds, kind) and fits(rule.sent, sent)
