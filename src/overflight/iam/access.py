"""The roles of one account with everything that limits them: read from the resolved template, asked for decisions.

Knows CloudFormation's resource types of IAM, S3, KMS, SNS, SQS and ECR; not how a template is resolved nor what a call
needs.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from overflight.errors import InputError
from overflight.iam.core import ContextValue, Decision, Policy, PolicySet, Request
from overflight.iam.evaluate import evaluate
from overflight.iam.patterns import arn_account, role_arn_of
from overflight.infra.references import reference
from overflight.infra.templates import Resolved, load

USER_TAG = "overflight-user"
"""Session tag with the person's name; locally the name of the session stands for it."""


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

    def role_of(self, arn: str) -> Role | None:
        """The role behind a role ARN or session ARN; None where it is none of ours."""
        wanted = role_arn_of(arn)
        for role in self.roles.values():
            if role.arn == wanted or (wanted != arn and session_arn(role, "") == f"{arn.rpartition('/')[0]}/"):
                return role
        return None


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
        InputError: a role names a policy that the template does not have.
    """
    reader = _Reader(resources, f"arn:{partition}", account_id, region, arns)
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
    given = {**parameters, "Prefix": prefix, "Environment": environment}
    resolved = load("identity", parameters=given, account_id=account_id, region=region, partition=partition)
    return access_of(resolved, organisation=organisation)


def access_of(resolved: Resolved, *, organisation: tuple[Policy, ...] = ()) -> Access:
    """Roles and policies of a resolved identity template, ours or a changed copy of it.

    Raises:
        InputError: a role names a policy that the template does not have.
    """

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
        prefix=str(resolved.parameters.get("Prefix", "overflight")),
        environment=str(resolved.parameters.get("Environment", "dev")),
        bucket=buckets.get("DataBucket", ""),
        audit_bucket=buckets.get("AuditBucket", ""),
        arns=keys,
        organisation=organisation,
        partition=resolved.stack.partition,
    )


@dataclass(frozen=True)
class _Reader:
    resources: Mapping[str, Mapping[str, Any]]
    arn: str
    account_id: str
    region: str
    arns: Mapping[str, str]

    def of(self, kind: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
        return [(name, one.get("Properties", {})) for name, one in self.resources.items() if one["Type"] == kind]

    def role(self, logical_id: str, properties: Mapping[str, Any], prefix: str, managed: Mapping[str, Policy]) -> Role:
        name = str(properties.get("RoleName", logical_id))
        arn = f"{self.arn}:iam::{self.account_id}:role{properties.get('Path', '/')}{name}"
        tags = {str(tag["Key"]): str(tag["Value"]) for tag in properties.get("Tags", ())}
        boundary = properties.get("PermissionsBoundary")
        where = f"role {name}"
        return Role(
            key=tags.get("overflight:role", name.removeprefix(f"{prefix}-")),
            name=name,
            arn=arn,
            kind=tags.get("overflight:kind", ""),
            description=str(properties.get("Description", "")),
            policies=(
                *(Policy(str(one["PolicyName"]), one["PolicyDocument"]) for one in properties.get("Policies", ())),
                *(_named(managed, str(one), where) for one in properties.get("ManagedPolicyArns", ())),
                *self.attached(name, managed),
            ),
            boundary=_named(managed, str(boundary), where) if boundary else None,
            trust=Policy(f"{name} (trust)", properties["AssumeRolePolicyDocument"]),
            tags=MappingProxyType(tags),
        )

    def managed(self) -> dict[str, Policy]:
        found = {}
        for logical_id, properties in self.of("AWS::IAM::ManagedPolicy"):
            name = str(properties.get("ManagedPolicyName", logical_id))
            arn = f"{self.arn}:iam::{self.account_id}:policy{properties.get('Path', '/')}{name}"
            found[self.arns.get(logical_id, arn)] = Policy(name, properties["PolicyDocument"])
        return found

    def attached(self, role: str, managed: Mapping[str, Policy]) -> Iterable[Policy]:
        """Policies that name the role themselves."""
        for kind in ("AWS::IAM::Policy", "AWS::IAM::RolePolicy"):
            for logical_id, properties in self.of(kind):
                if role in (properties.get("Roles") or [properties.get("RoleName")]):
                    yield Policy(str(properties.get("PolicyName", logical_id)), properties["PolicyDocument"])
        for policy, (_, properties) in zip(managed.values(), self.of("AWS::IAM::ManagedPolicy"), strict=True):
            if role in properties.get("Roles", ()):
                yield policy

    def resource_policies(self) -> dict[str, Policy]:
        found = {}
        for logical_id, properties in self.of("AWS::S3::BucketPolicy"):
            found[f"{self.arn}:s3:::{properties['Bucket']}"] = Policy(logical_id, properties["PolicyDocument"])
        for logical_id, properties in self.of("AWS::KMS::Key"):
            arn = self.arns.get(logical_id, f"{self.arn}:kms:{self.region}:{self.account_id}:key/{logical_id}")
            found[arn] = Policy(logical_id, properties["KeyPolicy"])
        for logical_id, properties in self.of("AWS::SNS::TopicPolicy"):
            found |= {str(arn): Policy(logical_id, properties["PolicyDocument"]) for arn in properties["Topics"]}
        for logical_id, properties in self.of("AWS::SQS::QueuePolicy"):
            names = [str(queue).rpartition("/")[2] for queue in properties["Queues"]]
            found |= {
                f"{self.arn}:sqs:{self.region}:{self.account_id}:{name}": Policy(
                    logical_id, properties["PolicyDocument"]
                )
                for name in names
            }
        for logical_id, properties in self.of("AWS::ECR::Repository"):
            if "RepositoryPolicyText" in properties:
                name = str(properties.get("RepositoryName", logical_id)).lower()
                arn = f"{self.arn}:ecr:{self.region}:{self.account_id}:repository/{name}"
                found[arn] = Policy(logical_id, properties["RepositoryPolicyText"])
        return found


def _named(managed: Mapping[str, Policy], arn: str, where: str) -> Policy:
    if arn not in managed:
        raise InputError(
            f"the policy {arn} is not in the template",
            where=where,
            cure="Write it into the template: nothing is fetched",
        )
    return managed[arn]


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
