"""Our roles beside AWS's own: what SageMaker Role Manager's personas may do of the same activities.

Knows AWS's personas as facts in ``aws_personas.yaml``, written as policies; judges neither.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from importlib.resources import files
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field

from overflight.governance.activities import answers, fill, names_of
from overflight.iam.access import Access, Role
from overflight.iam.core import Policy


class Holding(BaseModel):
    """One activity of a persona as a statement."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    actions: list[str]
    resources: list[str]
    when: dict[str, dict[str, str]] = Field(default_factory=dict)


class Persona(BaseModel):
    """A persona of AWS and the role of ours that it is held against."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    key: str
    title: str
    against: str
    holds: list[Holding]


@dataclass(frozen=True)
class Comparison:
    """One activity that the two may not do alike.

    Attributes:
        persona: AWS's persona.
        role: Our role.
        group: Heading of the activity.
        activity: Title of the activity.
        aws: Whether AWS's persona may.
        ours: Whether our role may.
    """

    persona: str
    role: str
    group: str
    activity: str
    aws: bool
    ours: bool

    @property
    def stricter(self) -> bool:
        """Whether ours forbids what AWS's allows."""
        return self.aws and not self.ours


def personas() -> tuple[Persona, ...]:
    """AWS's personas."""
    return tuple(Persona.model_validate(one) for one in _document()["personas"])


def comparison_source() -> str:
    """Where the facts about AWS's personas come from."""
    return str(_document()["source"])


@cache
def _document() -> dict[str, Any]:
    text = files("overflight.governance").joinpath("aws_personas.yaml").read_text("utf-8")
    return dict(yaml.safe_load(text))


def compare(access: Access) -> list[Comparison]:
    """Every activity for every pair of AWS's persona and our role."""
    names = names_of(access)
    theirs = replace(
        access,
        roles={one.key: _role(one, names, access) for one in personas()},
        resource_policies={arn: policy for arn, policy in access.resource_policies.items() if ":kms:" in arn},
    )
    ours = {(one.role, one.activity): one.allowed for one in answers(access)}
    against = {one.key: one for one in personas()}
    return [
        Comparison(
            persona=against[one.role].title,
            role=against[one.role].against,
            group=one.group,
            activity=one.activity,
            aws=one.allowed,
            ours=ours[against[one.role].against, one.activity],
        )
        for one in answers(theirs)
    ]


def _role(persona: Persona, names: Mapping[str, str], access: Access) -> Role:
    statements = [
        {
            "Sid": one.name,
            "Effect": "Allow",
            "Action": one.actions,
            "Resource": fill(one.resources, names),
            **({"Condition": one.when} if one.when else {}),
        }
        for one in persona.holds
    ]
    return Role(
        key=persona.key,
        name=persona.key,
        arn=f"arn:aws:iam::{access.account_id}:role/{persona.key}",
        kind="persona",
        description=f"AWS's persona {persona.title}",
        policies=(Policy(persona.key, {"Version": "2012-10-17", "Statement": statements}),),
        boundary=None,
        trust=Policy("trust", {"Version": "2012-10-17", "Statement": []}),
        tags={},
    )
