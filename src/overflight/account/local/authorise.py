"""The second stage of a call: may this caller do this? A port, and the implementation that asks the account's policies.

The policies are those of the identity template that goes to AWS (``infra/templates/identity.yaml``), the decision is
``overflight.iam``'s. Knows AWS's words for a refusal; not what a call needs, that is ``requests``.

One principal has no policies: ``administrator``, the owner of the folder, who could change its files anyway. Like AWS's
root user it may do everything, and every call of it is in the trail.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from overflight.account.local.requests import SAGEMAKER, Asked, Context, Need, handed_over, needs, surroundings
from overflight.account.local.stored import StoredFacts
from overflight.iam import core

if TYPE_CHECKING:
    from overflight.account.local.wire import Call, Caller
    from overflight.iam.access import Access

OWNER = "administrator"

_GIVES_ROLE = frozenset({"iam:PassRole", "sts:AssumeRole"})
_KINDS: Mapping[core.Layer, str] = {
    "identity": "identity-based policy",
    "boundary": "permissions boundary",
    "session": "session policy",
    "organisation": "service control policy",
    "resource": "resource-based policy",
}


@dataclass(frozen=True)
class Decision:
    """Allowed or not, and why.

    Attributes:
        allowed: Whether the call may be done.
        message: Empty, or what AWS would answer, with the statement that denied.
        record: What the trail keeps: outcome, layer, policy, sid, action, resource.
        personas: Roles of people that could do what was denied.
        services: Roles of services that could, where no role of people can.
    """

    allowed: bool
    message: str = ""
    record: Mapping[str, str] = field(default_factory=dict)
    personas: tuple[str, ...] = ()
    services: tuple[str, ...] = ()


class Authoriser(Protocol):
    """Decides each call before it is done; must not change anything."""

    def decide(self, call: Call, /) -> Decision:
        """Whether ``call.caller`` may do ``call.service:call.operation`` with ``call.params``."""

    def decide_needs(self, caller: Caller, needed: Sequence[Need], context: Context | None = None, /) -> Decision:
        """Whether the caller may do all of these; ``context`` are keys of every one of them."""

    def fault(self, call: Call, /) -> str:
        """Why SageMaker could not use a role that the call hands over; "" when it can use them all."""

    def role_fault(self, role_arn: str, source_arn: str, /) -> str:
        """Why SageMaker could not act as this role for the resource ``source_arn``; "" when it can."""

    def knows(self, role: str, /) -> bool:
        """Whether there is a role of this short name."""


class TemplateAuthoriser:
    """Decides by the roles and policies of the identity template.

    Args:
        load: Gives them; called once, when the first call arrives that is not the owner's.
    """

    def __init__(self, load: Callable[[], Access]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._access: Access | None = None
        self._told = False

    def newly_loaded(self) -> Access | None:
        """The roles and policies once, after they were loaded: for the trail, which records when access changes."""
        if self._told or self._access is None:
            return None
        self._told = True
        return self._access

    @property
    def access(self) -> Access:
        """The roles and policies."""
        if self._access is None:
            with self._lock:
                if self._access is None:
                    self._access = self._load()
        return self._access

    def decide(self, call: Call) -> Decision:
        """See :class:`Authoriser`: everything that the call needs must be allowed."""
        if call.caller.role == OWNER:
            return _OWNERS
        context = surroundings(now=call.account.clock(), region=call.account.region)
        return self.decide_needs(call.caller, needs(_asked(call), StoredFacts(call)), context)

    def decide_needs(self, caller: Caller, needed: Sequence[Need], context: Context | None = None) -> Decision:
        """See :class:`Authoriser`."""
        if caller.role == OWNER:
            return _OWNERS
        if caller.role not in self.access.roles:
            known = (OWNER, *self._of_kind("persona"))
            return Decision(False, _unknown(caller, known), {"outcome": "no-such-role"}, known)
        if context:
            needed = [Need(one.action, one.resource, {**context, **one.context}) for one in needed]
        first: Mapping[str, str] = {"outcome": "allow"}
        for number, need in enumerate(needed):
            decision = self._decided(caller.role, caller.user, need)
            if not decision.allowed:
                return self._denied(caller, need, decision, needed)
            if number == 0:
                first = _record(need, decision)
        return Decision(allowed=True, record=first)

    def fault(self, call: Call) -> str:
        """See :class:`Authoriser`."""
        found = (self.role_fault(role, source) for role, source in handed_over(_asked(call)))
        return next(filter(None, found), "")

    def role_fault(self, role_arn: str, source_arn: str) -> str:
        """See :class:`Authoriser`: the trust policy must let SageMaker in for this resource of this account.

        The owner's role needs none: it is the role of whoever works alone.
        """
        from overflight.iam.access import trusts_service  # with it come PyYAML and the templates

        if role_arn == self._owners_arn():
            return ""
        role = self.access.role_of(role_arn)
        told = {"aws:SourceAccount": self.access.account_id, "aws:SourceArn": source_arn}
        if role is not None and trusts_service(role, SAGEMAKER, told).allowed:
            return ""
        return (
            f"Could not assume role {role_arn}. Please ensure that the role exists and allows principal '{SAGEMAKER}' "
            f"to assume the role (for {source_arn})."
        )

    def knows(self, role: str) -> bool:
        """See :class:`Authoriser`."""
        return role == OWNER or role in self.access.roles

    def _owners_arn(self) -> str:
        return f"arn:aws:iam::{self.access.account_id}:role/{self.access.prefix}-{OWNER}"

    def _decided(self, role: str, session: str, need: Need) -> core.Decision:
        if need.action in _GIVES_ROLE and need.resource == self._owners_arn():
            return core.Decision("implicit-deny", "identity")  # a policy with role/* must not give the owner away
        return self.access.decide(role, need.action, need.resource, need.context, session=session)

    def _denied(self, caller: Caller, need: Need, decision: core.Decision, needed: Sequence[Need]) -> Decision:
        able = {
            kind: tuple(key for key in self._of_kind(kind) if self._all_allowed(key, caller.user, needed))
            for kind in ("persona", "execution")
        }
        return Decision(
            allowed=False,
            message=denial(caller.arn, need, decision),
            record=_record(need, decision),
            personas=able["persona"],
            services=() if able["persona"] else able["execution"],
        )

    def _all_allowed(self, role: str, session: str, needed: Sequence[Need]) -> bool:
        return all(self._decided(role, session, one).allowed for one in needed)

    def _of_kind(self, kind: str) -> tuple[str, ...]:
        return tuple(key for key, role in self.access.roles.items() if role.kind == kind)


_OWNERS = Decision(allowed=True, record={"outcome": "allow", "layer": "owner"})


def denial(principal_arn: str, need: Need, decision: core.Decision) -> str:
    """A refusal in AWS's words, and the statement behind it, which AWS does not tell.

    Source: IAM user guide, "Troubleshoot access denied error messages".
    """
    quoted = f'"{need.resource}"' if need.action.startswith("s3:") else need.resource
    text = f"User: {principal_arn} is not authorized to perform: {need.action} on resource: {quoted}"
    kind = _KINDS[decision.layer]
    if decision.outcome == "explicit-deny":
        article = "an" if kind[0] in "aeiou" else "a"
        text += f" with an explicit deny in {article} {kind}"
    else:
        text += f" because no {kind} allows the {need.action} action"
    named = decision.matched[0] if decision.matched and decision.outcome == "explicit-deny" else None
    return f"{text} (statement {named.sid or 'without a name'} of {named.policy})" if named else text


def _record(need: Need, decision: core.Decision) -> dict[str, str]:
    """The trail's account of a decision; the statement is the one that denied, or the first that allowed."""
    found = decision.matched[0] if decision.matched else None
    return {
        "outcome": decision.outcome,
        "layer": decision.layer,
        "policy": found.policy if found else "",
        "sid": found.sid if found else "",
        "action": need.action,
        "resource": need.resource,
    }


def _unknown(caller: Caller, known: Sequence[str]) -> str:
    return (
        f"User: {caller.arn} is not authorized to perform anything because there is no role {caller.role!r} in this "
        f"account: set OVERFLIGHT_ROLE to one of {', '.join(known)}"
    )


def _asked(call: Call) -> Asked:
    return Asked(call.service, call.operation, call.params, call.account.account_id, call.account.region)
