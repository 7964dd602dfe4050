"""Why a request was decided as it was: every statement about the action, and what of it did not fit.

Knows statements and conditions; the decision itself is ``evaluate``'s.
"""

from __future__ import annotations

from dataclasses import dataclass

from overflight.iam.conditions import Condition
from overflight.iam.core import Decision, Layer, Policy, PolicySet, Request
from overflight.iam.evaluate import evaluate, facts_of
from overflight.iam.patterns import Lookup
from overflight.iam.statements import Statement, caller_of, compiled


@dataclass(frozen=True)
class Considered:
    """One statement that is about the action.

    Attributes:
        layer: Where its policy is attached.
        policy: Name of the policy.
        sid: Sid of the statement, "" without one.
        effect: ``Allow`` or ``Deny``.
        applies: Whether it took part in the decision.
        why_not: What did not fit, one entry each; empty when it applies.
    """

    layer: Layer
    policy: str
    sid: str
    effect: str
    applies: bool
    why_not: tuple[str, ...]


@dataclass(frozen=True)
class Explanation:
    """A decision with all that was looked at.

    Attributes:
        decision: The decision.
        considered: Statements about the action, layer by layer.
    """

    decision: Decision
    considered: tuple[Considered, ...]


def explain(request: Request, policies: PolicySet) -> Explanation:
    """The decision on ``request`` and every statement about its action.

    Raises:
        InputError: a policy that AWS would not accept.
    """
    lookup, resource = facts_of(request)
    caller = caller_of(request.principal_arn, policies.boundary is not None)
    layers: list[tuple[Layer, Policy]] = [
        *(("organisation", one) for one in policies.organisation),
        *(("identity", one) for one in policies.identity),
        *((("boundary", policies.boundary),) if policies.boundary else ()),
        *((("session", policies.session),) if policies.session else ()),
        *((("resource", policies.resource),) if policies.resource else ()),
    ]
    considered = []
    for layer, policy in layers:
        denies, allows = compiled(policy).about(request.action.lower())
        for statement in (*denies, *allows):
            reasons = _misfits(statement, resource, lookup)
            if layer == "resource" and not statement.reach(caller):
                reasons = ("it is not about this caller", *reasons)
            effect = "Deny" if statement.deny else "Allow"
            considered.append(Considered(layer, policy.name, statement.sid, effect, not reasons, tuple(reasons)))
    return Explanation(evaluate(request, policies), tuple(considered))


def _misfits(statement: Statement, resource: str, lookup: Lookup) -> tuple[str, ...]:
    reasons = []
    if not statement.fits(resource, lookup):
        reasons.append(f"it is not about {resource}")
    reasons += [_unfulfilled(one, lookup) for one in statement.conditions if not one.holds(lookup)]
    return tuple(reasons)


def _unfulfilled(condition: Condition, lookup: Lookup) -> str:
    values = lookup(condition.key)
    if condition.null is not None:
        return f"{condition.key} is {'absent' if values is None else 'present'}"
    sent = "absent" if values is None else " and ".join(repr(value) for value in values)
    return f"{condition.operator} on {condition.key}, which is {sent}"
