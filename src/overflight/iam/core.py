"""What a decision is made of: the request, the policies that apply to it, and the answer with its reason.

Knows no rule; these are in ``evaluate``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

ContextValue = str | Sequence[str]
Layer = Literal["identity", "boundary", "session", "organisation", "resource"]
Outcome = Literal["allow", "implicit-deny", "explicit-deny"]


@dataclass(frozen=True)
class Request:
    """One thing that a principal wants to do.

    Attributes:
        principal_arn: Role ARN, or ARN of a session of it (``arn:aws:sts::1:assumed-role/role/session``).
        action: For example ``sagemaker:CreateTrainingJob``; any case.
        resource: ARN, or ``*`` for an action without resource types.
        context: Condition keys of the request (any case) and their values; a missing key is absent.
        resource_account: Account that owns the resource; "" takes the principal's.
    """

    principal_arn: str
    action: str
    resource: str
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    resource_account: str = ""


@dataclass(frozen=True, eq=False)
class Policy:
    """A policy document under the name that people know it by.

    Two objects are never equal: a policy is compiled once and remembered by identity, so its document must not change.
    """

    name: str
    document: Mapping[str, Any]


@dataclass(frozen=True)
class PolicySet:
    """All policies that apply to one request.

    Attributes:
        identity: Attached to the role.
        boundary: Permission boundary of the role, or None.
        session: Session policy, or None.
        organisation: One policy for each level of the organisation; every level must allow. Empty: no organisation.
        resource: Policy of the resource, or None; of the key for ``kms:``, the trust policy for ``sts:AssumeRole``.
    """

    identity: tuple[Policy, ...] = ()
    boundary: Policy | None = None
    session: Policy | None = None
    organisation: tuple[Policy, ...] = ()
    resource: Policy | None = None


@dataclass(frozen=True)
class Matched:
    """A statement that applied; ``sid`` is "" where it has none."""

    layer: Layer
    policy: str
    sid: str
    effect: Literal["Allow", "Deny"]


@dataclass(frozen=True)
class Decision:
    """The answer.

    Attributes:
        outcome: ``explicit-deny`` when a Deny applied, ``implicit-deny`` when an Allow was missing.
        layer: Layer that denied or lacked an Allow; the layer that granted when it is allowed.
        matched: The Deny that applied, or the Allows that carried the decision; empty when nothing applied.
    """

    outcome: Outcome
    layer: Layer
    matched: tuple[Matched, ...] = ()

    @property
    def allowed(self) -> bool:
        """Whether the request may be done."""
        return self.outcome == "allow"
