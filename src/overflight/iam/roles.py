"""One role: its policies, what AWS tells of its sessions in every request, and which services may run as it.

Knows no account and no template.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from overflight.iam.core import ContextValue, Decision, Policy, PolicySet, Request
from overflight.iam.evaluate import evaluate

USER_TAG = "overflight-user"
"""Session tag with the person's name; locally the name of the session stands for it."""

PERSONAS = ("data-scientist", "ml-engineer", "approver", "auditor", "admin")
"""Keys of the roles that people take."""

JOB_ROLES = ("prepare", "train", "evaluate", "register", "experiment", "deploy", "serve", "watch")
"""Keys of the roles that services take; the product names them when it creates a job, a pipeline or an endpoint."""


@dataclass(frozen=True)
class Role:
    """One role of the template.

    Attributes:
        key: Short name, ``data-scientist``; the name without the prefix.
        name: Name in the account, ``overflight-data-scientist``.
        arn: ARN of the role.
        kind: ``persona`` (people act as it) or ``execution`` (services run as it), from its tag ``overflight:kind``.
        description: One sentence from the template.
        policies: Identity policies, inline and managed.
        boundary: Permission boundary.
        trust: Who may assume it.
        tags: Become ``aws:PrincipalTag/...`` of its sessions.
    """

    key: str
    name: str
    arn: str
    kind: str
    description: str
    policies: tuple[Policy, ...]
    boundary: Policy | None
    trust: Policy
    tags: Mapping[str, str]


def missing_roles(keys: Collection[str]) -> list[str]:
    """Keys of the roles that Overflight works with and that are not among ``keys``."""
    return [key for key in (*PERSONAS, *JOB_ROLES) if key not in keys]


def session_arn(role: Role, session: str) -> str:
    """ARN of a session of ``role``: without the role's path."""
    parts = role.arn.split(":", 5)
    return f"arn:{parts[1]}:sts::{parts[4]}:assumed-role/{role.name}/{session}"


def principal_keys(role: Role, account_id: str, session: str) -> dict[str, ContextValue]:
    """Condition keys (lower case) that AWS takes from the caller of every request.

    Source: IAM User Guide, "AWS global condition context keys". With a session its name stands for the person: source
    identity and the tag ``overflight-user``, as the trust policies demand it in AWS.
    """
    keys: dict[str, ContextValue] = {
        "aws:principalarn": role.arn,
        "aws:principalaccount": account_id,
        "aws:principaltype": "AssumedRole",
        "aws:principalisawsservice": "false",
        "aws:viaawsservice": "false",
        "aws:securetransport": "true",
    }
    keys.update((f"aws:principaltag/{key.lower()}", value) for key, value in role.tags.items())
    if session:
        keys["aws:userid"] = f"{role.name}:{session}"
        keys["aws:sourceidentity"] = session
        keys[f"aws:principaltag/{USER_TAG}"] = session
    return keys


def trusts_service(role: Role, service: str, context: Mapping[str, ContextValue] = MappingProxyType({})) -> Decision:
    """Whether a service (``sagemaker.amazonaws.com``) may run as ``role``.

    Args:
        role: The role.
        service: Service principal.
        context: What the service tells of its customer: ``aws:SourceAccount``, ``aws:SourceArn``.
    """
    return evaluate(Request(service, "sts:AssumeRole", role.arn, context), PolicySet(resource=role.trust))
