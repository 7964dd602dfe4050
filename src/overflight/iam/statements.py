"""Policy documents compiled for fast matching: statements with their actions, resources, conditions and principals.

Knows how one statement applies to one request; not how layers of policies combine.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Literal

from overflight.errors import InputError
from overflight.iam.conditions import Condition, compile_conditions, texts
from overflight.iam.core import Policy
from overflight.iam.patterns import Lookup, Template, action_pattern, arn_account, resource_template, role_arn_of
from overflight.iam.shapes import document_problems

Reach = Literal["", "account", "role", "exact", "service"]
"""How a Principal element names the caller: not at all, by account, by role or ``*``, by its very ARN, as a service."""

_ACCOUNT = re.compile(r"\d{12}")
_ROOT = re.compile(r"arn:[^:]+:iam::(\d{12}):root")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, in the forms in which policies name principals.

    Attributes:
        arn: ARN of the request's principal, or the name of a service.
        role_arn: ARN of the role behind a session; else ``arn``.
        account: Account of the principal; "" for a service.
        bounded: Whether a permission boundary is attached.
    """

    arn: str
    role_arn: str
    account: str
    bounded: bool

    @property
    def service(self) -> bool:
        """Whether it is a service principal such as ``sagemaker.amazonaws.com``."""
        return not self.arn.startswith("arn:")


@lru_cache(maxsize=4096)
def caller_of(principal: str, bounded: bool) -> Caller:
    """The caller behind an ARN, or behind the name of a service."""
    return Caller(principal, role_arn_of(principal), arn_account(principal), bounded)


@dataclass(frozen=True, slots=True)
class Principals:
    """A Principal or NotPrincipal element."""

    names: frozenset[str]
    accounts: frozenset[str]
    services: frozenset[str]
    everybody: bool

    def reach(self, caller: Caller) -> Reach:
        """Closest form in which the element names the caller."""
        if caller.service:
            return "service" if self.everybody or caller.arn in self.services else ""
        if caller.arn in self.names:
            # A role's own ARN stands for all its sessions: a grant to it is limited like an identity policy.
            return "role" if ":role/" in caller.arn else "exact"
        if self.everybody or caller.role_arn in self.names or _by_path(caller, self.names):
            return "role"
        return "account" if caller.account in self.accounts else ""

    def spares(self, caller: Caller) -> bool:
        """Whether, as NotPrincipal of a Deny, it leaves the caller alone: it must list the role and its account."""
        if caller.service or self.everybody:
            return self.everybody or caller.arn in self.services
        return caller.account in self.accounts and (caller.role_arn in self.names or _by_path(caller, self.names))


@dataclass(frozen=True, slots=True)
class Statement:
    """One compiled statement; ``resources`` is None where it is about every resource."""

    sid: str
    deny: bool
    actions: re.Pattern[str]
    not_action: bool
    resources: tuple[Template, ...] | None
    not_resource: bool
    conditions: tuple[Condition, ...]
    principals: Principals | None
    not_principal: bool

    def applies(self, resource: str, lookup: Lookup) -> bool:
        """Whether resource and conditions fit; the action has been looked up, the principal is asked for apart."""
        # Loops instead of any() and all(): this is the inner loop of every decision.
        if not self.fits(resource, lookup):
            return False
        for condition in self.conditions:  # noqa: SIM110
            if not condition.holds(lookup):
                return False
        return True

    def fits(self, resource: str, lookup: Lookup) -> bool:
        """Whether the statement is about the resource."""
        if self.resources is None:
            return True
        for one in self.resources:
            matches = one.matches(resource, lookup)
            if matches and not self.not_resource:
                return True
            if matches is not False and self.not_resource:  # an unresolved variable matches nothing here either
                return False
        return self.not_resource

    def reach(self, caller: Caller) -> Reach:
        """How the statement of a resource policy names the caller; "" where it does not apply to it."""
        if self.principals is None:
            return ""
        if not self.not_principal:
            return self.principals.reach(caller)
        return "" if self.principals.spares(caller) and not caller.bounded else "role"


@dataclass(frozen=True)
class Compiled:
    """A compiled policy; ``by_action`` remembers which statements are about an action."""

    name: str
    statements: tuple[Statement, ...]
    by_action: dict[str, tuple[tuple[Statement, ...], tuple[Statement, ...]]] = field(default_factory=dict)

    def about(self, action: str) -> tuple[tuple[Statement, ...], tuple[Statement, ...]]:
        """Denies and Allows that are about ``action`` (lower case)."""
        found = self.by_action.get(action)
        if found is None:
            about = [one for one in self.statements if bool(one.actions.fullmatch(action)) != one.not_action]
            found = tuple(one for one in about if one.deny), tuple(one for one in about if not one.deny)
            self.by_action[action] = found
        return found


@lru_cache(maxsize=1024)
def compiled(policy: Policy) -> Compiled:
    """The policy ready for matching; policies are remembered by identity.

    Raises:
        InputError: it is not a policy document that AWS would accept.
    """
    document = policy.document
    for path, what in document_problems(document):
        raise InputError(what, where=f"{policy.name}, {path}" if path else policy.name)
    statements = document["Statement"]
    listed = [statements] if isinstance(statements, Mapping) else statements
    variables = str(document.get("Version", "2008-10-17")) == "2012-10-17"
    made = tuple(
        _statement(one, variables=variables, where=f"{policy.name}, {_label(one, n)}")
        for n, one in enumerate(listed, 1)
    )
    return Compiled(policy.name, made)


def _label(statement: Mapping[str, Any], number: int) -> str:
    return f'statement "{statement["Sid"]}"' if statement.get("Sid") else f"statement {number}"


def _check(statement: Mapping[str, Any], where: str) -> None:
    """Refuse what AWS refuses, where reading it loosely would open or close more than is written."""
    if statement.get("Effect") not in {"Allow", "Deny"}:
        raise InputError(f"Effect must be Allow or Deny, not {statement.get('Effect')!r}", where=where)
    if ("Action" in statement) == ("NotAction" in statement):
        raise InputError("a statement needs either Action or NotAction", where=where)
    if "Resource" in statement and "NotResource" in statement:
        raise InputError("a statement has either Resource or NotResource", where=where)
    if not statement.keys() & {
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
    }:  # trust policies have no Resource
        raise InputError("a statement of a role needs Resource or NotResource", where=where)
    if "NotPrincipal" in statement and statement["Effect"] == "Allow":
        raise InputError("NotPrincipal goes with Deny only", where=where)


def _statement(statement: Mapping[str, Any], *, variables: bool, where: str) -> Statement:
    _check(statement, where)
    resources = None
    if "Resource" in statement or "NotResource" in statement:
        listed = texts(statement.get("Resource", statement.get("NotResource")))
        if "*" not in listed or "NotResource" in statement:
            resources = tuple(resource_template(one, variables=variables) for one in listed)
    principals = statement.get("Principal", statement.get("NotPrincipal"))
    return Statement(
        sid=str(statement.get("Sid", "")),
        deny=statement["Effect"] == "Deny",
        actions=action_pattern(texts(statement.get("Action", statement.get("NotAction")))),
        not_action="NotAction" in statement,
        resources=resources,
        not_resource="NotResource" in statement,
        conditions=compile_conditions(statement.get("Condition") or {}, variables=variables, where=where),
        principals=None if principals is None else _principals(principals),
        not_principal="NotPrincipal" in statement,
    )


def _principals(element: Any) -> Principals:
    if element == "*":
        return Principals(frozenset(), frozenset(), frozenset(), True)
    arns = texts(element.get("AWS", ()))
    roots = {found.group(1) for one in arns if (found := _ROOT.fullmatch(one))}
    return Principals(
        names=frozenset(one for one in arns if one.startswith("arn:")),
        accounts=frozenset(roots | {one for one in arns if _ACCOUNT.fullmatch(one)}),
        services=frozenset(texts(element.get("Service", ()))),
        everybody="*" in arns,
    )


def _by_path(caller: Caller, names: frozenset[str]) -> bool:
    # A session's ARN drops the path of its role; a role's name is unique in its account.
    if caller.arn == caller.role_arn:
        return False
    stem, _, name = caller.role_arn.partition(":role/")
    return any(one.startswith(f"{stem}:role/") and one.rpartition("/")[2] == name for one in names)
