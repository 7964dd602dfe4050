"""The decision: which of the policies that apply to a request allow it, and which forbid it.

Pure: no account, no clock, no network. Rules: IAM User Guide, "Policy evaluation logic" (and its pages for one account,
several accounts and resource policies), "Permissions boundaries for IAM entities", "Session policies", "NotPrincipal";
KMS Developer Guide, "Key policies". It knows nothing of resource control policies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from overflight.iam.actions import supplied, wildcard_only
from overflight.iam.conditions import values_of
from overflight.iam.core import Decision, Layer, Matched, Policy, PolicySet, Request
from overflight.iam.patterns import Lookup, arn_account, role_arn_of
from overflight.iam.statements import Caller, Compiled, Reach, Statement, caller_of, compiled

_TRUSTED = frozenset(
    {
        "sts:assumerole",
        "sts:assumerolewithsaml",
        "sts:assumerolewithwebidentity",
        "sts:setsourceidentity",
        "sts:tagsession",
    }
)
"""Actions on a role that its trust policy decides."""


def evaluate(request: Request, policies: PolicySet) -> Decision:
    """Decide one request.

    An explicit Deny of any layer wins. Then every level of the organisation, the session policy and the boundary must
    allow, and identity or resource policy must grant: both across accounts; the key policy must delegate for ``kms:``
    and the trust policy for ``sts:AssumeRole``. A grant of the resource policy to the very session (or user) is not
    limited by boundary and session policy.

    Args:
        request: What is asked; ``principal_arn`` may be a service (``sagemaker.amazonaws.com``): then only the
            resource policy counts.
        policies: All policies that apply.

    Raises:
        InputError: a policy that AWS would not accept.
    """
    action = request.action.lower()
    lookup, resource = facts_of(request)
    caller = caller_of(request.principal_arn, policies.boundary is not None)
    own: list[tuple[Layer, Policy]] = []
    if not caller.service:
        own = [
            *(("organisation", policy) for policy in policies.organisation),
            *(("identity", policy) for policy in policies.identity),
            *((("boundary", policies.boundary),) if policies.boundary else ()),
            *((("session", policies.session),) if policies.session else ()),
        ]
    weighed = [(layer, compiled(policy)) for layer, policy in own]
    of_resource = compiled(policies.resource) if policies.resource else None

    denies = [
        Matched(layer, policy.name, one.sid, "Deny")
        for layer, policy in weighed
        for one in policy.about(action)[0]
        if one.applies(resource, lookup)
    ]
    if of_resource:
        denies += [
            Matched("resource", of_resource.name, one.sid, "Deny")
            for one in of_resource.about(action)[0]
            if one.reach(caller) and one.applies(resource, lookup)
        ]
    if denies and action != "sts:getcalleridentity":  # the one call that no policy can forbid
        return Decision("explicit-deny", denies[0].layer, tuple(denies))

    if action == "sts:getcalleridentity":
        return Decision("allow", "identity")
    allows: dict[Layer, list[Matched]] = {}
    for layer, policy in weighed:
        found = _allows(policy, layer, policy.about(action)[1], resource, lookup)
        if not found and layer == "organisation":  # every level must allow, each by itself
            return _missing("organisation")
        allows.setdefault(layer, []).extend(found)
    named = _named(of_resource, action, caller, resource, lookup)
    return _granted(request, caller, policies, allows=allows, named=named)


def _granted(
    request: Request,
    caller: Caller,
    policies: PolicySet,
    *,
    allows: Mapping[Layer, list[Matched]],
    named: Mapping[Reach, list[Matched]],
) -> Decision:
    """The decision when nothing denies and every level of the organisation allows."""
    if caller.service:
        return Decision("allow", "resource", tuple(named["service"])) if "service" in named else _missing("resource")
    exact = named.get("exact", [])
    limit = _limit(policies, allows)
    across = (request.resource_account or arn_account(request.resource) or caller.account) != caller.account
    if exact and limit and not across:
        return Decision("allow", "resource", tuple(exact))
    direct = exact + named.get("role", [])
    delegated = named.get("account", [])
    identity = allows.get("identity", [])
    granting: Layer = "resource" if direct and not across else "identity"
    if granting == "identity":
        needs_policy = across or _closed(request.action.lower(), request.resource)
        if not identity:
            return _missing("identity")
        if needs_policy and not direct and not delegated:
            return _missing("resource")
    if limit:
        return _missing(limit)
    # Direct grants of the resource stand alone within the account; else both sides carry the decision.
    carried = direct if granting == "resource" else identity + direct + delegated
    limits = [one for layer, found in allows.items() if layer != "identity" for one in found]
    return Decision("allow", granting, (*carried, *limits))


def _limit(policies: PolicySet, allows: Mapping[Layer, list[Matched]]) -> Layer | None:
    """The layer that lacks an Allow, of those that only limit."""
    if policies.session and not allows.get("session"):
        return "session"
    return "boundary" if policies.boundary and not allows.get("boundary") else None


def _missing(layer: Layer) -> Decision:
    return Decision("implicit-deny", layer)


def _closed(action: str, resource: str) -> bool:
    """Whether identity policies count only when the resource's own policy delegates to the account."""
    return action in _TRUSTED or (action.startswith("kms:") and ":key/" in resource)


def _allows(
    policy: Compiled, layer: Layer, statements: Iterable[Statement], resource: str, lookup: Lookup
) -> list[Matched]:
    return [Matched(layer, policy.name, one.sid, "Allow") for one in statements if one.applies(resource, lookup)]


def _named(
    policy: Compiled | None, action: str, caller: Caller, resource: str, lookup: Lookup
) -> dict[Reach, list[Matched]]:
    """Allows of the resource policy by the way in which they name the caller."""
    found: dict[Reach, list[Matched]] = {}
    for one in policy.about(action)[1] if policy else ():
        reach = one.reach(caller)
        if reach and one.applies(resource, lookup):
            found.setdefault(reach, []).append(Matched("resource", policy.name if policy else "", one.sid, "Allow"))
    return found


def facts_of(request: Request) -> tuple[Lookup, str]:
    """Condition keys of the request as AWS supplies them for the action, and the resource that it is decided on."""
    action = request.action.lower()
    resource = "*" if wildcard_only(action) else request.resource
    supply = supplied(action, resource)
    given = {key.lower(): value for key, value in request.context.items()}
    if request.principal_arn.startswith("arn:"):
        given.setdefault("aws:principalarn", role_arn_of(request.principal_arn))
        given.setdefault("aws:principalaccount", arn_account(request.principal_arn))

    def lookup(key: str) -> Sequence[str] | None:
        value = given.get(key)
        if value is None or (supply is not None and not supply.has(key)):
            return None
        return values_of(value)

    return lookup, resource
