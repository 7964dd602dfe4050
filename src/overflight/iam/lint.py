"""What is wrong with policies: shapes that are banned because they grant more, or less, than they read.

The rules are tables: ``lint_statements`` for one statement, ``lint_sets`` for a policy and for all policies of a role.
Knows nothing of who should have access; that is for the matrix. A finding is banned whatever it leads to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from overflight.iam.access import Access, access_of
from overflight.iam.lint_model import Finding, Kind, PolicyView, view
from overflight.iam.lint_sets import (
    MANAGED_POLICIES_PER_ROLE,
    MANAGED_POLICY_SIZE,
    SESSION_DURATION_S,
    SIZES,
    Holder,
    lint_document,
    lint_holder,
    size,
)
from overflight.iam.lint_statements import RULES
from overflight.iam.roles import Role, missing_roles
from overflight.iam.shapes import resource_problems
from overflight.infra.templates import Resolved

_WORKING_DAY_S = 8 * 3600


def lint_policy(document: Mapping[str, Any], *, name: str, kind: Kind) -> list[Finding]:
    """Everything that is wrong with one policy, looked at alone.

    Args:
        document: Policy document.
        name: Name for the findings.
        kind: What it is attached to.
    """
    policy = view(document, name=name, kind=kind)
    alone = Holder(name, "", (policy,), ()) if kind in {"identity", "session"} else Holder(name, "", (), (policy,))
    return [*_one_policy(policy), *lint_holder(alone)]


def lint_access(access: Access) -> list[Finding]:
    """Everything that is wrong with the policies of an account; those of a role are judged together.

    Each policy is reported once, however many roles it is attached to.
    """
    views: dict[tuple[str, Kind], PolicyView] = {}

    def seen(name: str, document: Mapping[str, Any], kind: Kind) -> PolicyView:
        return views.setdefault((name, kind), view(document, name=name, kind=kind))

    of_roles: list[Finding] = []
    organisation = tuple(seen(one.name, one.document, "organisation") for one in access.organisation)
    for role in access.roles.values():
        grants = tuple(seen(_own(role, one.name, access), one.document, "identity") for one in role.policies)
        limits = organisation
        if role.boundary is None:
            what = "the role has no permission boundary"
            of_roles.append(Finding("no-boundary", role.name, "", "", what, "Set PermissionsBoundary"))
        else:
            limits = (seen(role.boundary.name, role.boundary.document, "boundary"), *organisation)
        trust = seen(role.trust.name, role.trust.document, "trust")
        of_roles += lint_holder(Holder(role.name, role.arn, grants, limits, trust, frozenset(role.tags)))
    for policy in access.resource_policies.values():
        seen(policy.name, policy.document, "resource")
    return [*(finding for policy in views.values() for finding in _one_policy(policy)), *dict.fromkeys(of_roles)]


def lint_resources(resources: Mapping[str, Mapping[str, Any]]) -> list[Finding]:
    """Quotas and settings of the IAM resources of a resolved template, which ``Access`` does not keep."""
    found: list[Finding] = []
    for logical_id, resource in resources.items():
        properties = resource.get("Properties", {})
        if resource["Type"] == "AWS::IAM::ManagedPolicy":
            count = size(properties["PolicyDocument"])
            if count > MANAGED_POLICY_SIZE:
                what = f"it has {count} characters; a managed policy takes {MANAGED_POLICY_SIZE}"
                found.append(Finding("size", logical_id, "", "PolicyDocument", what, "Split it"))
        if resource["Type"] == "AWS::IAM::Role":
            found += _role(logical_id, properties)
    return found


def lint_template(resolved: Resolved) -> list[Finding]:
    """Everything that is wrong with the identities of one resolved template (parameters Prefix and Environment).

    Where a resource has not the shape of its type, or two have one name, only that is told: the rest cannot be read.
    """
    prefix = str(resolved.parameters.get("Prefix", "overflight"))
    problems = resource_problems(resolved.resources, prefix=prefix)
    if problems:
        cure = "Write it as the template reference of its type says"
        return [
            Finding("unreadable", one.logical_id, "", one.path, f"{one.path or 'it'} {one.what}", cure)
            for one in problems
        ]
    return [*lint_access(access_of(resolved)), *lint_resources(resolved.resources)]


def lint_identity(resolved: Resolved) -> list[Finding]:
    """Everything that is wrong with a copy of our own template: :func:`lint_template`, and roles that are missing."""
    found = lint_template(resolved)
    if any(one.rule == "unreadable" for one in found):
        return found
    cure = "Put the role back"
    missing = [
        Finding("role-missing", resolved.name, "", "Resources", f"no role has the tag overflight:role={key}", cure)
        for key in missing_roles(access_of(resolved).roles)
    ]
    return [*missing, *found]


def _own(role: Role, policy: str, access: Access) -> str:
    """Inline policies of two roles may have the same name; a managed policy keeps its own."""
    shared = sum(one.name == policy for other in access.roles.values() for one in other.policies) > 1
    return policy if shared and policy.startswith(access.prefix) else f"{role.name}/{policy}"


def _one_policy(policy: PolicyView) -> Iterator[Finding]:
    yield from lint_document(policy)
    for rule in RULES:
        if policy.kind in rule.kinds:
            for one in policy.statements:
                for path, what in rule.check(one):
                    place = f"Statement/{one.index}/{path}"
                    yield Finding(rule.id, policy.name, one.sid, place, what, rule.cure, rule.severity)


def _role(logical_id: str, properties: Mapping[str, Any]) -> Iterator[Finding]:
    def found(rule: str, path: str, what: str, cure: str) -> Finding:
        return Finding(rule, logical_id, "", path, what, cure)

    inline = sum(size(one["PolicyDocument"]) for one in properties.get("Policies", ()))
    if inline > SIZES["identity"]:
        what = f"its inline policies have {inline} characters together; AWS takes {SIZES['identity']}"
        yield found("size", "Policies", what, "Make some of them managed policies")
    managed = len(properties.get("ManagedPolicyArns", ()))
    if managed > MANAGED_POLICIES_PER_ROLE:
        what = f"{managed} managed policies are attached; AWS takes {MANAGED_POLICIES_PER_ROLE}"
        yield found("too-many-policies", "ManagedPolicyArns", what, "Join some of them")
    shortest, longest = SESSION_DURATION_S
    duration = int(properties.get("MaxSessionDuration", shortest))
    if not shortest <= duration <= longest:
        what = f"a session of {duration} s is outside {shortest} to {longest} s"
        yield found("session-duration", "MaxSessionDuration", what, "Give a number in that range")
    trust = view(properties["AssumeRolePolicyDocument"], name=logical_id, kind="trust").statements
    if duration > _WORKING_DAY_S and any("AWS" in one.principals for one in trust):
        what = f"people stay signed in for {duration} s"
        yield replace(
            found("session-duration", "MaxSessionDuration", what, f"Give {_WORKING_DAY_S} or less"), severity="warning"
        )
