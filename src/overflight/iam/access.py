"""The roles of one account with everything that limits them: read from the resolved template, asked for decisions.

It knows neither CloudFormation (``reading`` does) nor what a call needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from overflight.iam.core import ContextValue, Decision, Policy, PolicySet, Request
from overflight.iam.evaluate import evaluate
from overflight.iam.patterns import arn_account, role_arn_of
from overflight.iam.reading import TemplateReader
from overflight.iam.roles import USER_TAG, Role, principal_keys, session_arn, trusts_service
from overflight.iam.shapes import check_resources

if TYPE_CHECKING:
    from overflight.infra.templates import Resolved

__all__ = [
    "USER_TAG",
    "Access",
    "Role",
    "access_of",
    "load_access",
    "principal_keys",
    "read_access",
    "session_arn",
    "trusts_service",
]


@dataclass(frozen=True)
class Access:
    """Roles and resource policies of one account.

    Attributes:
        account_id: 12 digits.
        region: Region of the account's resources.
        prefix: First part of all names, ``overflight``.
        environment: Where people work: ``dev``, ``staging`` or ``prod``.
        bucket: Name of the data bucket.
        audit_bucket: Name of the bucket with the trail.
        roles: By short name.
        resource_policies: By ARN of bucket, key or topic.
        organisation: Policies of the organisation's levels; empty without one.
        digest: SHA-256 over everything above: changes when anybody's access changes.
    """

    account_id: str
    region: str
    prefix: str
    environment: str
    bucket: str
    audit_bucket: str
    roles: Mapping[str, Role]
    resource_policies: Mapping[str, Policy]
    organisation: tuple[Policy, ...] = ()
    digest: str = ""

    def decide(
        self,
        role: str,
        action: str,
        resource: str,
        context: Mapping[str, ContextValue] = MappingProxyType({}),
        *,
        session: str = "",
    ) -> Decision:
        """Whether ``role`` (short name) may do ``action`` on ``resource``.

        The principal's own keys (``aws:PrincipalArn``, ``aws:PrincipalTag/...``, ``aws:userid`` ...) are added; keys of
        ``context`` win over them. For ``sts:AssumeRole`` the resource policy is the trust policy of the role that is
        asked for.

        Args:
            role: Short name of the role that asks.
            action: For example ``s3:GetObject``.
            resource: ARN or ``*``.
            context: Condition keys of the request.
            session: Name of the role session; "" asks as the role itself.

        Raises:
            KeyError: there is no such role.
        """
        return evaluate(*self.request(role, action, resource, context, session=session))

    def request(
        self,
        role: str,
        action: str,
        resource: str,
        context: Mapping[str, ContextValue] = MappingProxyType({}),
        *,
        session: str = "",
    ) -> tuple[Request, PolicySet]:
        """What :meth:`decide` asks the evaluator: the complete request, and the policies that apply to it."""
        asking = self.roles[role]
        owner = arn_account(resource) or self.account_id
        keys = principal_keys(asking, self.account_id, session)
        keys["aws:requestedregion"] = self.region
        keys["aws:resourceaccount"] = owner
        keys.update((key.lower(), value) for key, value in context.items())
        principal = session_arn(asking, session) if session else asking.arn
        policies = PolicySet(
            identity=asking.policies,
            boundary=asking.boundary,
            organisation=self.organisation,
            resource=self.resource_policy(resource),
        )
        return Request(principal, action, resource, keys, owner), policies

    def resource_policy(self, resource: str) -> Policy | None:
        """Policy of the bucket, key or topic behind an ARN, trust policy of a role; None without one."""
        parts = resource.split(":", 5)
        if len(parts) <= 5:
            return None
        if parts[2] == "iam":
            role = self.role_of(resource)
            return role.trust if role else None
        whole = ":".join((*parts[:5], parts[5].partition("/")[0])) if parts[2] == "s3" else resource
        return self.resource_policies.get(whole)

    def policies(self) -> Iterator[Policy]:
        """Every policy of the account: of roles, their boundaries and trust, of resources, of the organisation."""
        for role in self.roles.values():
            yield from (*role.policies, *([role.boundary] if role.boundary else []), role.trust)
        yield from (*self.resource_policies.values(), *self.organisation)

    def role_of(self, arn: str) -> Role | None:
        """The role behind a role ARN or session ARN; None where it is none of ours."""
        wanted = role_arn_of(arn)
        for role in self.roles.values():
            if role.arn == wanted or (wanted != arn and session_arn(role, "") == f"{arn.rpartition('/')[0]}/"):
                return role
        return None


def read_access(
    resources: Mapping[str, Mapping[str, Any]],
    *,
    account_id: str,
    region: str,
    prefix: str,
    environment: str,
    bucket: str = "",
    audit_bucket: str = "",
    arns: Mapping[str, str] = MappingProxyType({}),
    organisation: tuple[Policy, ...] = (),
    partition: str = "aws",
) -> Access:
    """Read roles and resource policies from the resources of a resolved template.

    Args:
        resources: Logical id -> resource with ``Type`` and ``Properties``, everything resolved to plain values.
        account_id: 12 digits.
        region: Region of the account's resources.
        prefix: First part of all names.
        environment: Where people work.
        bucket: Data bucket; "" takes ``<prefix>-<account>-<region>``.
        audit_bucket: Bucket with the trail; "" takes ``<prefix>-audit-<account>-<region>``.
        arns: Logical id -> ARN of resources whose ARN AWS chooses (keys).
        organisation: Policies of the organisation's levels.
        partition: First part of ARNs.

    Raises:
        InputError: a resource has not the shape of its type, two have one name, or a role names a policy that the
            template does not have.
    """
    check_resources(resources, prefix=prefix)
    reader = TemplateReader(resources, f"arn:{partition}", account_id, region, arns)
    managed = reader.managed()
    roles = {
        role.key: role
        for role in (reader.role(name, one, prefix, managed) for name, one in reader.of("AWS::IAM::Role"))
    }
    access = Access(
        account_id=account_id,
        region=region,
        prefix=prefix,
        environment=environment,
        bucket=bucket or f"{prefix}-{account_id}-{region}",
        audit_bucket=audit_bucket or f"{prefix}-audit-{account_id}-{region}",
        roles=MappingProxyType(roles),
        resource_policies=MappingProxyType(reader.resource_policies()),
        organisation=organisation,
    )
    return replace(access, digest=_digest(access))


def load_access(
    *,
    account_id: str,
    region: str,
    prefix: str = "overflight",
    environment: str = "dev",
    parameters: Mapping[str, str | Sequence[str]] = MappingProxyType({}),
    organisation: tuple[Policy, ...] = (),
    partition: str = "aws",
) -> Access:
    """Roles and policies of our own template ``identity`` for one account; reads the template once per process.

    Args:
        account_id: 12 digits.
        region: Region of the account's resources.
        prefix: Parameter ``Prefix``.
        environment: Parameter ``Environment``.
        parameters: The template's other parameters; those with a default may be missing.
        organisation: Policies of the organisation's levels.
        partition: First part of ARNs.

    Raises:
        UsageError: a parameter that the template does not have or allow.
    """
    from overflight.infra.templates import load  # PyYAML is not for who only asks

    given = {**parameters, "Prefix": prefix, "Environment": environment}
    resolved = load("identity", parameters=given, account_id=account_id, region=region, partition=partition)
    return access_of(resolved, organisation=organisation)


def access_of(resolved: Resolved, *, organisation: tuple[Policy, ...] = ()) -> Access:
    """Roles and policies of a resolved identity template, ours or a changed copy of it.

    Raises:
        InputError: as for :func:`read_access`.
    """
    from overflight.infra.references import reference

    prefix = str(resolved.parameters.get("Prefix", "overflight"))
    check_resources(resolved.resources, prefix=prefix)

    def arn(logical_id: str, kind: str, properties: Mapping[str, Any]) -> str:
        return reference(
            resolved.stack, logical_id, kind, "Arn", properties.get, where=f"{resolved.name}: {logical_id}"
        )

    keys = {name: arn(name, "AWS::KMS::Key", one) for name, one in resolved.of_type("AWS::KMS::Key")}
    buckets = {name: str(one.get("BucketName", "")) for name, one in resolved.of_type("AWS::S3::Bucket")}
    return read_access(
        resolved.resources,
        account_id=resolved.stack.account_id,
        region=resolved.stack.region,
        prefix=prefix,
        environment=str(resolved.parameters.get("Environment", "dev")),
        bucket=buckets.get("DataBucket", ""),
        audit_bucket=buckets.get("AuditBucket", ""),
        arns=keys,
        organisation=organisation,
        partition=resolved.stack.partition,
    )


def _digest(access: Access) -> str:
    def plain(policy: Policy | None) -> Any:
        return None if policy is None else [policy.name, policy.document]

    roles = {
        key: [
            role.arn,
            role.kind,
            [plain(one) for one in role.policies],
            plain(role.boundary),
            plain(role.trust),
            dict(role.tags),
        ]
        for key, role in access.roles.items()
    }
    content = {
        "account": [access.account_id, access.region, access.prefix, access.environment],
        "buckets": [access.bucket, access.audit_bucket],
        "organisation": [plain(one) for one in access.organisation],
        "resources": {arn: plain(one) for arn, one in access.resource_policies.items()},
        "roles": roles,
    }
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), default=str)
    return hashlib.sha256(text.encode()).hexdigest()
