"""Questions about access: may this role do that, why, the whole matrix, and what is wrong with the policies.

Works on the identity template with the names of the context's account, or on a changed copy of the template before it
goes anywhere; asks no AWS.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.errors import NotFoundError, UsageError
from overflight.governance.activities import SESSION, Answer, answers, fill, names_of
from overflight.governance.escalation import chain_words, findings, search
from overflight.governance.matrix import Cell, cells, counts
from overflight.governance.matrix_page import write_csv, write_page
from overflight.governance.personas import Comparison, compare
from overflight.iam.access import Access, access_of
from overflight.iam.actions import find
from overflight.iam.core import Matched
from overflight.iam.explain import Explanation, explain
from overflight.iam.lint import lint_identity
from overflight.iam.roles import missing_roles
from overflight.iam.statements import compiled
from overflight.infra.templates import Resolved, load, read_template, resolve
from overflight.lifecycle.context import Context


@dataclass(frozen=True)
class Matrix:
    """The access matrix of one account.

    Attributes:
        access: Roles and policies.
        answers: Of all activities and roles.
        cells: Of all actions and roles.
    """

    access: Access
    answers: Sequence[Answer]
    cells: Sequence[Cell]

    @property
    def differences(self) -> list[dict[str, str]]:
        """Where policies and rules differ, roles that are missing first, then activities."""
        found = [
            {"role": key, "what": "the role itself", "policies": "missing", "rules": "needed"}
            for key in missing_roles(self.access.roles)
        ]
        found += [
            {
                "role": one.role,
                "what": one.activity,
                "policies": "allow" if one.allowed else "deny",
                "rules": "allow" if one.expected else "deny",
            }
            for one in self.answers
            if one.allowed != one.expected
        ]
        return found + [
            {
                "role": one.role,
                "what": f"{one.action} on {one.resource} ({one.sent})",
                "policies": "allow" if one.decision.allowed else "deny",
                "rules": "allow" if one.expected else "deny",
            }
            for one in self.cells
            if not one.as_expected
        ]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``: the activities, the counts and the differences."""
        activities: dict[str, dict[str, bool]] = {}
        for one in self.answers:
            activities.setdefault(one.activity, {})[one.role] = one.allowed
        return {
            "template": self.access.digest,
            "decisions": len(self.answers) + len(self.cells),
            "activities": activities,
            "roles": [vars(one) for one in counts(self.cells)],
            "differences": self.differences,
        }


def resolved_of_account(context: Context, template: Path | None = None) -> Resolved:
    """The identity template for the context's account: the package's, or a changed copy of it.

    Raises:
        UsageError: the file cannot be read, or is not a template that can be resolved.
        NotFoundError: there is no such file.
    """
    settings = context.names if context.is_local else context.settings
    given = {"Environment": settings.environment, **settings.identity_parameters}
    account = {"account_id": settings.account_number, "region": settings.region}
    if template is None:
        return load("identity", parameters=given, **account)
    if not template.is_file():
        raise NotFoundError("there is no such file", where=str(template), cure="Give --template a CloudFormation file")
    try:
        text = template.read_text("utf-8")
    except UnicodeDecodeError as error:
        what = f"it is not UTF-8 (byte {error.start})"
        raise UsageError(what, where=str(template), cure="Save it as UTF-8: iconv -t UTF-8") from error
    except OSError as error:
        what = f"it cannot be read ({error.strerror})"
        raise UsageError(what, where=str(template), cure="Check its owner and mode") from error
    document = read_template(text, where=str(template))
    return resolve(document, name=template.name, parameters=given, **account)


def access_of_account(context: Context, template: Path | None = None) -> Access:
    """Roles and policies of :func:`resolved_of_account`, each of them one that AWS would accept.

    Raises:
        UsageError: the file cannot be read, or is not a template that can be resolved.
        NotFoundError: there is no such file.
        InputError: a resource or a policy is not what AWS would accept, also one that no question is about.
    """
    access = access_of(resolved_of_account(context, template))
    for policy in access.policies():
        compiled(policy)
    return access


def explain_request(
    access: Access, role: str, action: str, resource: str, sent: Mapping[str, str | list[str]], *, user: str = SESSION
) -> Explanation:
    """The decision on one request with everything that was looked at.

    Args:
        access: Roles and policies.
        role: Short name.
        action: For example ``sagemaker:CreateEndpoint``.
        resource: ARN, ``*``, or the end of an ARN with names in braces as in ``activities.yaml``
            (``{sm}:endpoint/{prod}-x``).
        sent: Condition keys of the request.
        user: The person.

    Raises:
        UsageError: there is no such role or action.
    """
    if role not in access.roles:
        raise UsageError("there is no such role", where=role, cure=f"Roles: {', '.join(access.roles)}")
    if find(action) is None:
        raise UsageError(
            "AWS has no such action, or it is of a service that is not used here",
            where=action,
            cure="Write it as service:Action, for example sagemaker:CreateEndpoint",
        )
    return explain(*access.request(role, action, names_filled(access, resource), sent, session=user))


def names_filled(access: Access, resource: str) -> str:
    """``resource`` with the names in braces filled in.

    Raises:
        UsageError: a name is not known, or it is no ARN.
    """
    try:
        arn = str(fill(resource, names_of(access)))
    except (KeyError, ValueError, IndexError) as error:
        known = ", ".join(f"{{{name}}}" for name in names_of(access))
        raise UsageError("the names in braces are not known", where=resource, cure=f"Known: {known}") from error
    if arn != "*" and not arn.startswith("arn:"):
        raise UsageError(
            "is neither an ARN nor *", where=resource, cure="For example {sm}:endpoint/{prod}-cars, or the whole ARN"
        )
    return arn


def in_words(explanation: Explanation, role: str) -> str:
    """The decision in one sentence."""
    decision = explanation.decision
    if decision.allowed:
        grants = [one for one in decision.matched if one.layer == decision.layer]
        return f"{role} may: {_named(grants)} allows it" if grants else f"{role} may"
    if decision.outcome == "explicit-deny":
        return f"{role} may not: {_named(decision.matched)} denies it"
    missing = {
        "identity": "no policy of the role allows it",
        "boundary": "the boundary does not allow it",
        "session": "the session's policy does not allow it",
        "organisation": "the organisation does not allow it",
        "resource": "the resource's own policy does not let the role in",
    }
    return f"{role} may not: {missing[decision.layer]}"


def able_roles(access: Access, action: str, resource: str, sent: Mapping[str, str | list[str]]) -> list[str]:
    """Roles that the same request is allowed to."""
    return [key for key in access.roles if access.decide(key, action, resource, sent, session=SESSION).allowed]


def needed_besides(access: Access, role: str, action: str) -> list[dict[str, str]]:
    """What AWS may ask for besides an action: its dependent actions in the Service Authorization Reference.

    Some are needed only for a part of the request, ``sagemaker:AddTags`` for tags.

    Returns:
        ``action``, and ``note``: for ``iam:PassRole`` the roles of ours that ``role`` may hand to the action's service.
    """
    found = find(action)
    service = f"{action.partition(':')[0].lower()}.amazonaws.com"
    passed = [
        key
        for key, one in access.roles.items()
        if access.decide(role, "iam:PassRole", one.arn, {"iam:PassedToService": service}, session=SESSION).allowed
    ]
    passing = f"{role} may pass {', '.join(passed) or 'no role'} to {service}"
    return [
        {"action": one, "note": passing if one == "iam:PassRole" else ""} for one in (found.dependent if found else ())
    ]


def build_matrix(access: Access) -> Matrix:
    """Decide every cell."""
    return Matrix(access=access, answers=answers(access), cells=list(cells(access)))


def write_matrix(context: Context, matrix: Matrix, *, html: Path | None, csv: Path | None) -> None:
    """Write the page and the table of all decisions."""
    if html is not None:
        write_page(
            html,
            matrix.access,
            answers=matrix.answers,
            cells=matrix.cells,
            compared=compare(matrix.access),
            made=f"{context.clock():%Y-%m-%d %H:%M} UTC",
        )
    if csv is not None:
        write_csv(csv, matrix.cells)


def compare_with_aws(access: Access) -> list[Comparison]:
    """Activities that AWS's own personas may do and ours may not."""
    return [one for one in compare(access) if one.stricter]


def escalate(access: Access) -> dict[str, Any]:
    """How far everybody can come: reach by role with its chain and reason, and findings with counter-examples."""
    found = search(access)
    accepted = found.catalogue.reach
    reach = [
        {
            "who": who,
            "comes_by": found.catalogue.words(target),
            "ways": list(ways),
            "steps": chain_words(one.chain(target)),
            "accepted": accepted[who][target].why if target in accepted.get(who, {}) else "",
        }
        for who, one in found.reaches.items()
        for target, ways in one.targets.items()
    ]
    return {
        "paths": len(found.catalogue.paths),
        "reach": reach,
        "findings": [
            {"id": one.id, "who": one.who, "comes_by": one.gains, "words": one.describe()} for one in findings(found)
        ],
        "missing": missing_roles(access.roles),
        "nothing": [who for who, one in found.reaches.items() if not one.targets],
    }


def lint(resolved: Resolved) -> list[dict[str, str]]:
    """What is wrong with the shapes and sizes of a template's policies, worst first."""
    found = [
        {
            "severity": one.severity,
            "rule": one.rule,
            "where": " ".join(part for part in (one.policy, one.sid) if part),
            "what": one.what,
            "cure": one.cure,
        }
        for one in lint_identity(resolved)
    ]
    return sorted(found, key=lambda one: one["severity"] != "error")


def _named(matched: Sequence[Matched]) -> str:
    one = matched[0]
    return f"{one.sid or 'a statement'} of {one.policy}"
