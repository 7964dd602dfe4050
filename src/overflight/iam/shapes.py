"""Shapes of policies and of the resources that carry them: what has to be text, a list or a mapping to be read at all.

Knows the properties that ``reading`` reads, and the elements of a policy document; not which values AWS takes there
(``statements`` and ``lint`` do). Sources: IAM User Guide, "Grammar of the IAM JSON policy language"; CloudFormation
template reference of each type.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from overflight.errors import InputError

Found = Iterator[tuple[str, str]]
"""Path inside what is checked, and what is wrong there."""

_Check = Callable[[Any, str], Found]


@dataclass(frozen=True)
class Problem:
    """One place of a template that cannot be read.

    Attributes:
        logical_id: Resource.
        path: Place inside it, ``Properties/Policies/0``; "" for the resource as a whole.
        what: One sentence without its subject.
    """

    logical_id: str
    path: str
    what: str

    @property
    def where(self) -> str:
        """The whole path in the template."""
        return "/".join(part for part in ("Resources", self.logical_id, self.path) if part)


def check_resources(resources: Mapping[str, Mapping[str, Any]], *, prefix: str) -> None:
    """Refuse resources that cannot be read, or of which one would hide another.

    Args:
        resources: By logical id, of a resolved template.
        prefix: First part of all names.

    Raises:
        InputError: with logical id and path of the first problem, and how many there are.
    """
    found = resource_problems(resources, prefix=prefix)
    if found:
        more = f" (and {len(found) - 1} more: see overflight access lint)" if len(found) > 1 else ""
        raise InputError(f"{found[0].what}{more}", where=found[0].where, cure="Correct the template")


def resource_problems(resources: Mapping[str, Mapping[str, Any]], *, prefix: str) -> list[Problem]:
    """Everything for which roles and policies cannot be read from resources; names are compared where all can be."""
    found = [
        Problem(logical_id, path, what)
        for logical_id, resource in resources.items()
        for path, what in _resource(resource)
    ]
    return found or list(_doubled(resources, prefix))


def document_problems(document: Any, path: str = "") -> Found:
    """What makes a policy document unreadable: its statements are no mappings, an element is no text."""
    if not isinstance(document, Mapping):
        yield path, _not(document, "a policy document")
        return
    if "Statement" not in document:
        yield _at(path, "Statement"), "is missing: the policy has no Statement"
        return
    statements, here = document["Statement"], _at(path, "Statement")
    if isinstance(statements, Mapping):
        yield from statement_problems(statements, here)
    elif isinstance(statements, list | tuple):
        for n, one in enumerate(statements):
            yield from statement_problems(one, _at(here, n))
    else:
        yield here, _not(statements, "a statement or a list of statements")


def statement_problems(statement: Any, path: str = "") -> Found:
    """What makes one statement unreadable."""
    if not isinstance(statement, Mapping):
        yield path, _not(statement, "a statement")
        return
    for element in ("Effect", "Sid"):
        if element in statement:
            yield from _text(statement[element], _at(path, element))
    for element in ("Action", "NotAction", "Resource", "NotResource"):
        if element in statement:
            yield from _texts(statement[element], _at(path, element))
    for element in ("Principal", "NotPrincipal"):
        if statement.get(element, "*") != "*":
            yield from _mapping(_texts, statement[element], _at(path, element))
    if "Condition" in statement:
        yield from _mapping(_operator, statement["Condition"], _at(path, "Condition"))


def _operator(keys: Any, path: str) -> Found:
    yield from _mapping(_values, keys, path)


def _resource(resource: Mapping[str, Any]) -> Found:
    properties = resource.get("Properties", {})
    if not isinstance(properties, Mapping):
        yield "Properties", _not(properties, "a mapping")
    elif resource.get("Type") in _READ:
        yield from _record(*_READ[resource["Type"]])(properties, "Properties")


def _doubled(resources: Mapping[str, Mapping[str, Any]], prefix: str) -> Iterator[Problem]:
    """Two resources under one name: the second would hide the first, and AWS would not create it."""
    first: dict[tuple[str, str], str] = {}
    for logical_id, resource in resources.items():
        for kind, name, path in _names(logical_id, resource["Type"], resource.get("Properties", {}), prefix):
            other = first.setdefault((kind, name.lower()), logical_id)  # IAM compares names without case
            if other != logical_id:
                yield Problem(logical_id, path, f"{other} is {kind} {name} too")


def _names(logical_id: str, kind: str, properties: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, str, str]]:
    if kind == "AWS::IAM::Role":
        name = str(properties.get("RoleName", logical_id))
        yield "the role named", name, "Properties/RoleName"
        yield "the role with the key", key_of(properties, name, prefix), "Properties/Tags"
    elif kind == "AWS::IAM::ManagedPolicy":
        name = str(properties.get("ManagedPolicyName", logical_id))
        yield "the managed policy", name, "Properties/ManagedPolicyName"
    elif kind == "AWS::S3::BucketPolicy":
        yield "the policy of the bucket", str(properties["Bucket"]), "Properties/Bucket"
    elif kind in {"AWS::SNS::TopicPolicy", "AWS::SQS::QueuePolicy"}:
        element = "Topics" if kind == "AWS::SNS::TopicPolicy" else "Queues"
        for one in properties[element]:
            yield f"the policy of {element[:-1].lower()}", str(one), f"Properties/{element}"


def key_of(properties: Mapping[str, Any], name: str, prefix: str) -> str:
    """Short name of a role: its tag ``overflight:role``, else its name without the prefix."""
    tags = {str(tag["Key"]): str(tag["Value"]) for tag in properties.get("Tags", ())}
    return tags.get("overflight:role", name.removeprefix(f"{prefix}-"))


def _text(value: Any, path: str) -> Found:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        yield path, _not(value, "text")


def _texts(value: Any, path: str) -> Found:
    if not isinstance(value, list | tuple):
        yield from _text(value, path)
        return
    for n, one in enumerate(value):
        yield from _text(one, _at(path, n))


def _values(value: Any, path: str) -> Found:
    for one in value if isinstance(value, list | tuple) else (value,):
        if not isinstance(one, str | int | float):  # a bool is an int, and AWS reads it as text
            yield path, _not(one, "a value of a condition")


def _number(value: Any, path: str) -> Found:
    if isinstance(value, bool) or not re.fullmatch(r"\d{1,9}", str(value)):
        yield path, _not(value, "a whole number")


def _list(check: _Check) -> _Check:
    def checked(value: Any, path: str) -> Found:
        if not isinstance(value, list | tuple):
            yield path, _not(value, "a list")
            return
        for n, one in enumerate(value):
            yield from check(one, _at(path, n))

    return checked


def _record(needed: Mapping[str, _Check], others: Mapping[str, _Check]) -> _Check:
    def checked(value: Any, path: str) -> Found:
        if not isinstance(value, Mapping):
            yield path, _not(value, "a mapping")
            return
        for name in needed:
            if name not in value:
                yield _at(path, name), "is missing"
        for name, check in {**needed, **others}.items():
            if name in value:
                yield from check(value[name], _at(path, name))

    return checked


def _mapping(check: _Check, value: Any, path: str) -> Found:
    if not isinstance(value, Mapping):
        yield path, _not(value, "a mapping")
        return
    for key, item in value.items():
        yield from check(item, _at(path, key))


def _at(path: str, part: str | int) -> str:
    return f"{path}/{part}" if path else str(part)


def _not(value: Any, wanted: str) -> str:
    kinds = (
        (bool, "true or false"),
        ((int, float), "a number"),
        (str, "text"),
        ((list, tuple), "a list"),
        (Mapping, "a mapping"),
    )
    seen = next((words for kind, words in kinds if isinstance(value, kind)), "nothing")
    return f"is {seen}, not {wanted}"


_POLICY: Mapping[str, _Check] = {"PolicyName": _text, "PolicyDocument": document_problems}
_READ: Mapping[str, tuple[Mapping[str, _Check], Mapping[str, _Check]]] = {
    "AWS::IAM::Role": (
        {"AssumeRolePolicyDocument": document_problems},
        {
            "RoleName": _text,
            "Path": _text,
            "Description": _text,
            "MaxSessionDuration": _number,
            "PermissionsBoundary": _text,
            "ManagedPolicyArns": _list(_text),
            "Policies": _list(_record(_POLICY, {})),
            "Tags": _list(_record({"Key": _text, "Value": _text}, {})),
        },
    ),
    "AWS::IAM::ManagedPolicy": (
        {"PolicyDocument": document_problems},
        {"ManagedPolicyName": _text, "Path": _text, "Roles": _list(_text)},
    ),
    "AWS::IAM::Policy": ({"PolicyDocument": document_problems}, {"PolicyName": _text, "Roles": _list(_text)}),
    "AWS::IAM::RolePolicy": ({"PolicyDocument": document_problems}, {"PolicyName": _text, "RoleName": _text}),
    "AWS::S3::Bucket": ({}, {"BucketName": _text}),
    "AWS::S3::BucketPolicy": ({"Bucket": _text, "PolicyDocument": document_problems}, {}),
    "AWS::KMS::Key": ({"KeyPolicy": document_problems}, {}),
    "AWS::SNS::TopicPolicy": ({"Topics": _list(_text), "PolicyDocument": document_problems}, {}),
    "AWS::SQS::QueuePolicy": ({"Queues": _list(_text), "PolicyDocument": document_problems}, {}),
    "AWS::ECR::Repository": ({}, {"RepositoryName": _text, "RepositoryPolicyText": document_problems}),
}
"""By type of resource: properties that it needs and properties that it may have, of those that are read."""
