"""Roles and resource policies as CloudFormation writes them: resources of a resolved template read into our own words.

Knows CloudFormation's resource types of IAM, S3, KMS, SNS, SQS and ECR; not how a template is resolved.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from overflight.errors import InputError
from overflight.iam.core import Policy
from overflight.iam.roles import Role
from overflight.iam.shapes import key_of


@dataclass(frozen=True)
class TemplateReader:
    """Roles and resource policies in the resources of a resolved template; their shapes have been checked.

    Attributes:
        resources: By logical id.
        arn: Beginning of all ARNs, ``arn:aws``.
        account_id: 12 digits.
        region: Region of the resources.
        arns: ARNs that AWS chooses, by logical id.
    """

    resources: Mapping[str, Mapping[str, Any]]
    arn: str
    account_id: str
    region: str
    arns: Mapping[str, str]

    def of(self, kind: str) -> Iterable[tuple[str, Mapping[str, Any]]]:
        """Logical id and properties of the resources of one type."""
        return [(name, one.get("Properties", {})) for name, one in self.resources.items() if one["Type"] == kind]

    def role(self, logical_id: str, properties: Mapping[str, Any], prefix: str, managed: Mapping[str, Policy]) -> Role:
        """The role that the resource ``logical_id`` makes.

        Raises:
            InputError: it names a policy that the template does not have.
        """
        name = str(properties.get("RoleName", logical_id))
        arn = f"{self.arn}:iam::{self.account_id}:role{properties.get('Path', '/')}{name}"
        tags = {str(tag["Key"]): str(tag["Value"]) for tag in properties.get("Tags", ())}
        boundary = properties.get("PermissionsBoundary")
        where = f"role {name}"
        return Role(
            key=key_of(properties, name, prefix),
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
        """Managed policies of the template, by ARN."""
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
        """Policies of buckets, keys, topics, queues and image repositories, by the ARN of these."""
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
