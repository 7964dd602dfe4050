"""What one call asks for in IAM's words: actions, the ARNs of their resources, and the condition keys of the request.

A pure function of the call and of what is stored about the resource it names. Knows no role and no policy. What can be
data is in ``requests.json``. Sources: Service Authorization Reference (actions, resource types and condition keys of
each service), Amazon S3 user guide "Required permissions for Amazon S3 API operations", SageMaker developer guide
"Amazon SageMaker AI API permissions", IAM user guide "AWS global condition context keys".
"""

from __future__ import annotations

import functools
import importlib.resources
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from overflight.account.local.s3_requests import s3_needs
from overflight.iam.core import ContextValue

SAGEMAKER = "sagemaker.amazonaws.com"
_MEMBER = re.compile(r"\{(\w+)\}")
_PACKAGE_MEMBERS = frozenset({"ModelPackageArn", "ModelPackageName"})
_METADATA = "CustomerMetadataProperties"
Context = dict[str, ContextValue]


@dataclass(frozen=True)
class Need:
    """One thing that the caller must be allowed.

    Attributes:
        action: IAM's name, for example ``s3:ListBucket``.
        resource: ARN, or ``*`` for an action without resource types.
        context: Condition keys and their values.
    """

    action: str
    resource: str
    context: Mapping[str, ContextValue] = field(default_factory=dict)


@dataclass(frozen=True)
class Asked:
    """A call as the authoriser sees it.

    Attributes:
        service: botocore's name of the service.
        operation: AWS's name of the operation.
        params: The caller's parameters.
        account_id: 12 digits.
        region: Region of the account.
    """

    service: str
    operation: str
    params: Mapping[str, Any]
    account_id: str
    region: str

    def arn(self, resource: str) -> str:
        """ARN of a resource of SageMaker."""
        return f"arn:aws:sagemaker:{self.region}:{self.account_id}:{resource}"


class Stored(Protocol):
    """What is known about resources that exist already."""

    def tags(self, arn: str) -> Mapping[str, str]:
        """Tags of a resource; empty where there is none."""

    def package(self, arn: str) -> Mapping[str, Any]:
        """Members of a model package; empty where there is none."""

    def execution_arn(self, name: str) -> str:
        """ARN of a pipeline execution given by its id; "" where there is none."""


def needs(asked: Asked, stored: Stored) -> tuple[Need, ...]:
    """Everything that must be allowed for a call; empty for a call that needs no permission.

    An operation that is not known here needs the action of its own name on every resource.
    """
    special = _SPECIAL.get(asked.service)
    if special is not None:
        return special(asked)
    return tuple(_sagemaker(asked, stored))


def surroundings(*, now: datetime, region: str) -> Context:
    """Keys that every request to the local account carries; its calls never cross a network."""
    return {
        "aws:CurrentTime": now.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "aws:EpochTime": str(int(now.timestamp())),
        "aws:RequestedRegion": region,
        "aws:SecureTransport": "true",
        "aws:ViaAWSService": "false",
        "aws:PrincipalIsAWSService": "false",
    }


# -- SageMaker -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Table:
    resources: Mapping[str, list[str]]
    roles: tuple[str, ...]
    lists: frozenset[str]
    keys: Mapping[str, tuple[tuple[tuple[str, ...], str], ...]]  # first member -> (path, condition key)


@functools.cache
def _table() -> _Table:
    text = importlib.resources.files("overflight.account.local").joinpath("requests.json").read_text("utf-8")
    data = json.loads(text)
    keys: dict[str, list[tuple[tuple[str, ...], str]]] = {}
    for path, key in data["keys"].items():
        parts = tuple(path.split("."))
        keys.setdefault(parts[0], []).append((parts, key))
    return _Table(
        resources=data["resources"],
        roles=tuple(data["roles"]),
        lists=frozenset(data["lists"]),
        keys={first: tuple(found) for first, found in keys.items()},
    )


def _sagemaker(asked: Asked, stored: Stored) -> Iterator[Need]:
    creates = asked.operation.startswith("Create")
    action = f"sagemaker:{asked.operation}"
    context = _request_keys(asked)
    resources = [_resource(asked, stored, one) for one in _table().resources.get(asked.operation, ("*",))]
    for resource in dict.fromkeys(resources):
        known: Context = {} if creates or resource == "*" else _stored_keys(asked, stored, resource)
        yield Need(action, resource, {**known, **context})
    if asked.params.get("Tags") and creates:
        tagging = {**_tag_keys(asked.params["Tags"]), "sagemaker:TaggingAction": asked.operation}
        yield Need("sagemaker:AddTags", resources[0], tagging)
    for role, source in handed_over(asked):
        yield Need("iam:PassRole", role, {"iam:PassedToService": SAGEMAKER, "iam:AssociatedResourceArn": source})
    location = asked.params.get("PipelineDefinitionS3Location")
    if location:  # the service reads it for the caller
        key = f"arn:aws:s3:::{location['Bucket']}/{location['ObjectKey']}"
        yield Need("s3:GetObjectVersion" if location.get("VersionId") else "s3:GetObject", key)


def handed_over(asked: Asked) -> list[tuple[str, str]]:
    """Roles that SageMaker shall act as, each with the ARN of what it shall act for."""
    if asked.service != "sagemaker":
        return []
    found = [str(role) for path in _table().roles for role in _at(asked.params, tuple(path.split(".")))]
    if not found:
        return []
    source = _resource(asked, None, _table().resources.get(asked.operation, ["*"])[0])
    return [(role, source) for role in dict.fromkeys(found)]


def _resource(asked: Asked, stored: Stored | None, template: str) -> str:
    """The ARN that a template of the table stands for, as the account names that resource."""
    found = _MEMBER.search(template)
    if found is None:
        return template
    member = found[1]
    value = str(asked.params.get(member) or "*")
    is_arn = value.startswith("arn:")
    if template == found[0]:
        return value if is_arn or stored is None else (stored.execution_arn(value) or value)
    if is_arn and member in _PACKAGE_MEMBERS:
        return value
    name = value.rsplit("/", 1)[-1] if is_arn else value
    resource = template.replace(found[0], name)
    return asked.arn(resource.lower() if template.startswith("pipeline/") else resource)


def _request_keys(asked: Asked) -> Context:
    """Condition keys that the parameters determine; the evaluator drops those that an action does not have."""
    table, context = _table(), Context()
    for member, value in asked.params.items():
        for path, key in table.keys.get(member, ()):
            values = [_text(one) for one in _at(value, path[1:])]
            if not values:
                continue
            if key in table.lists:
                context[key] = [*context.get(key, ()), *values]
            else:
                context[key] = values[0] if len(values) == 1 else values
    for name, value in (asked.params.get(_METADATA) or {}).items():
        context[f"sagemaker:{_METADATA}/{name}"] = _text(value)
    models = [one["ModelName"] for one in asked.params.get("ProductionVariants") or () if one.get("ModelName")]
    arns = [asked.arn(f"model/{name}") for name in models]
    if arns:
        context["sagemaker:ModelArn"] = arns[0] if len(arns) == 1 else arns
    if asked.params.get("Tags"):
        context |= _tag_keys(asked.params["Tags"])
    if asked.params.get("TagKeys"):
        context["aws:TagKeys"] = list(asked.params["TagKeys"])
    return context


def _stored_keys(asked: Asked, stored: Stored, resource: str) -> Context:
    """Tags of an existing resource, and the state of a model package. Never used for what is yet to be created."""
    context: Context = {}
    for name, value in stored.tags(resource).items():
        context[f"aws:ResourceTag/{name}"] = context[f"sagemaker:ResourceTag/{name}"] = value
    if asked.operation == "UpdateModelPackage":
        package = stored.package(resource)
        for name, value in (package.get(_METADATA) or {}).items():
            context[f"sagemaker:Current{_METADATA}/{name}"] = str(value)
        for member, value in (package.get("ModelLifeCycle") or {}).items():
            if member in {"Stage", "StageStatus"}:
                context[f"sagemaker:CurrentModelLifeCycle{member}"] = str(value)
    return context


def _tag_keys(tags: list[Mapping[str, str]]) -> Context:
    keys: Context = {f"aws:RequestTag/{tag['Key']}": tag["Value"] for tag in tags}
    return {**keys, "aws:TagKeys": [tag["Key"] for tag in tags]}


def ambiguous_tags(params: Mapping[str, Any]) -> str:
    """Why the tags of a request cannot be decided about; "" when they can.

    IAM compares the names of condition keys, and so the keys of tags, without case: of ``env=prod`` and ``ENV=dev`` a
    condition would see one. Source: IAM user guide, "Tags for AWS Identity and Access Management resources" (case of
    tag keys).
    """
    keys = [str(tag.get("Key", "")) for tag in params.get("Tags") or () if isinstance(tag, Mapping)]
    for given in (keys, list(dict.fromkeys(params.get("TagKeys") or ()))):
        seen: dict[str, str] = {}
        for key in given:
            if key.lower() in seen:
                return f"Tag keys must be unique whatever their case is: {seen[key.lower()]!r} and {key!r}"
            seen[key.lower()] = key
    return ""


def _at(value: Any, path: tuple[str, ...]) -> Iterator[Any]:
    """All values at a path; lists on the way are walked through."""
    if isinstance(value, list | tuple):
        for one in value:
            yield from _at(one, path)
    elif not path:
        if value is not None:
            yield value
    elif isinstance(value, Mapping) and path[0] in value:
        yield from _at(value[path[0]], path[1:])


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


# -- other services ------------------------------------------------------------------------------------------------


def _s3(asked: Asked) -> tuple[Need, ...]:
    return tuple(Need(*one) for one in s3_needs(asked.operation, asked.params))


def _logs(asked: Asked) -> tuple[Need, ...]:
    action = f"logs:{asked.operation}"
    if asked.operation == "DescribeLogGroups":  # without resource types
        return (Need(action, "*"),)
    group = asked.params.get("logGroupName") or str(asked.params.get("logGroupIdentifier") or "").rsplit(":", 1)[-1]
    if not group:
        return (Need(action, "*"),)
    resource = f"arn:aws:logs:{asked.region}:{asked.account_id}:log-group:{group}"
    if asked.operation == "GetLogEvents":
        resource += f":log-stream:{asked.params.get('logStreamName', '')}"
    return (Need(action, resource),)


def _events(asked: Asked) -> tuple[Need, ...]:
    if asked.operation != "PutEvents":
        return (Need(f"events:{asked.operation}", "*"),)
    found = []
    for entry in asked.params.get("Entries") or ():
        bus = str(entry.get("EventBusName") or "default").rsplit("/", 1)[-1]
        context: Context = {"events:eventBusInvocation": "false"}
        for member, key in (("Source", "events:source"), ("DetailType", "events:detail-type")):
            if entry.get(member):
                context[key] = str(entry[member])
        found.append(
            Need("events:PutEvents", f"arn:aws:events:{asked.region}:{asked.account_id}:event-bus/{bus}", context)
        )
    return tuple(found) or (Need("events:PutEvents", "*"),)


def _sts(asked: Asked) -> tuple[Need, ...]:
    if asked.operation == "GetCallerIdentity":  # needs no permission, and cannot be denied (STS API reference)
        return ()
    if asked.operation != "AssumeRole":
        return (Need(f"sts:{asked.operation}", "*"),)
    context: Context = {"sts:RoleSessionName": str(asked.params["RoleSessionName"])}
    if asked.params.get("ExternalId"):
        context["sts:ExternalId"] = str(asked.params["ExternalId"])
    if asked.params.get("Tags"):
        context |= _tag_keys(asked.params["Tags"])
    return (Need("sts:AssumeRole", str(asked.params["RoleArn"]), context),)


_SPECIAL: Mapping[str, Callable[[Asked], tuple[Need, ...]]] = {
    "s3": _s3,
    "logs": _logs,
    "events": _events,
    "sts": _sts,
    "cloudtrail": lambda asked: (Need(f"cloudtrail:{asked.operation}", "*"),),
}
