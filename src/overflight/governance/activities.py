"""What people do, in their words, and whether each role may: rules from ``activities.yaml`` held against the policies.

Knows activities as lists of requests; not how a decision is made (``iam``) nor how a table is drawn.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from overflight.iam.access import Access
from overflight.iam.core import ContextValue, Decision

SESSION = "anna"
"""Name of the person in every request of the table."""


class Need(BaseModel):
    """One request of an activity; names in braces are filled in for an account."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    action: str
    resource: str
    send: dict[str, str | list[str]] = Field(default_factory=dict)


class Activity(BaseModel):
    """Something that a person or a job does.

    Attributes:
        title: In the words of its people.
        needs: Requests that must all be allowed.
        may: Roles (short names) that may, by rule; nobody else.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    needs: list[Need] = Field(min_length=1)
    may: list[str]


class Group(BaseModel):
    """Activities under one heading."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    title: str
    activities: list[Activity]


@dataclass(frozen=True)
class Answer:
    """Whether a role may do an activity, and whether that is as the rule says.

    Attributes:
        role: Short name.
        activity: Title.
        group: Heading.
        allowed: What the policies say.
        expected: What the rule says.
        why: The decision that settled it: the first that was refused, or the last that was allowed.
        need: The request it was about, filled in.
    """

    role: str
    activity: str
    group: str
    allowed: bool
    expected: bool
    why: Decision
    need: Need


@cache
def groups() -> tuple[Group, ...]:
    """The groups of activities in the order of the table."""
    document = yaml.safe_load(files("overflight.governance").joinpath("activities.yaml").read_text("utf-8"))
    return tuple(Group.model_validate(one) for one in document["groups"])


def answers(access: Access, roles: Sequence[str] | None = None) -> list[Answer]:
    """Every activity for every role (default: all), in the order of the table."""
    names = tuple(access.roles) if roles is None else tuple(roles)
    filled = names_of(access)
    return [
        _answer(access, role, group.title, activity, filled)
        for group in groups()
        for activity in group.activities
        for role in names
    ]


def names_of(access: Access) -> dict[str, str]:
    """What stands for the names in braces in one account; ``sm``, ``data``, ``audit``, ``role`` begin ARNs.

    The keys are those of the template's ``DataKey`` and ``TrailKey``; where it has none, a key that does not exist.
    """
    keys = {policy.name: arn for arn, policy in access.resource_policies.items() if ":kms:" in arn}
    no_key = f"arn:aws:kms:{access.region}:{access.account_id}:key/none"
    return {
        "data_key": keys.get("DataKey", no_key),
        "trail_key": keys.get("TrailKey", no_key),
        "sm": f"arn:aws:sagemaker:{access.region}:{access.account_id}",
        "data": f"arn:aws:s3:::{access.bucket}",
        "audit": f"arn:aws:s3:::{access.audit_bucket}",
        "role": f"arn:aws:iam::{access.account_id}:role",
        "dev": f"{access.prefix}-{access.environment}",
        "prod": f"{access.prefix}-prod",
        "p": access.prefix,
        "env": access.environment,
        "region": access.region,
        "account": access.account_id,
        "user": SESSION,
    }


def fill(value: Any, names: Mapping[str, str]) -> Any:
    """``value`` with the names in braces replaced, in lists and mappings too."""
    if isinstance(value, str):
        return value.format_map(names)
    if isinstance(value, list):
        return [fill(one, names) for one in value]
    return {key: fill(one, names) for key, one in value.items()}


def filled_need(need: Need, names: Mapping[str, str]) -> Need:
    """``need`` for one account."""
    return Need(action=need.action, resource=fill(need.resource, names), send=fill(need.send, names))


def _answer(access: Access, role: str, group: str, activity: Activity, names: Mapping[str, str]) -> Answer:
    for need in activity.needs:
        asked = filled_need(need, names)
        send: Mapping[str, ContextValue] = asked.send
        decision = access.decide(role, asked.action, asked.resource, send, session=SESSION)
        if not decision.allowed:
            break
    return Answer(
        role=role,
        activity=activity.title,
        group=group,
        allowed=decision.allowed,
        expected=role in activity.may,
        why=decision,
        need=asked,
    )
