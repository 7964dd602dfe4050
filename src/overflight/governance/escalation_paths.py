"""The ways of escalation and the reach that is accepted, as ``escalation.yaml`` says them.

Reads the data and fills in the names of an account; decides nothing and searches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.resources import files
from types import MappingProxyType
from typing import Any

import yaml

from overflight.iam.access import Access
from overflight.iam.actions import pass_role_dependants

ATTACKER = "mallory"
"""Name of the attacker's sessions."""

VICTIM = "alice"
"""Name of the person whose things the attacker is after."""

STRANGER = "999999999999"
"""Account of an attacker outside ours."""

OUTSIDE = "outside"
"""Key of that attacker where roles are listed."""

SAGEMAKER = "sagemaker.amazonaws.com"


@dataclass(frozen=True, eq=False)
class Step:
    """One call of a way; two objects are never equal.

    Attributes:
        actions: Any one of them will do.
        at: ARNs, any one of which will do; empty: all that fit the action.
        fixed: Condition keys (lower case) that the step is about; None: absent.
        passes: Service that the role is handed to, or "".
        pass_role: Whether AWS asks for ``iam:PassRole``.
        works_as: ARNs that the service may act for besides the one that was asked for.
    """

    actions: tuple[str, ...]
    at: tuple[str, ...] = ()
    fixed: Mapping[str, str | None] = field(default_factory=dict)
    passes: str = ""
    pass_role: bool = True
    works_as: tuple[str, ...] = ()


@dataclass(frozen=True)
class Way:
    """One way of a path.

    Attributes:
        path: Id of the path, ``E07``.
        key: Id and name, ``E07 keeps its role``; the id alone for the main way.
        steps: All are needed; each may be done with any role that the attacker holds.
        passed: Whether the rights of the role that a step passes are gained.
        roles: Roles that are gained for certain.
        capability: Capability that is gained, or "".
        trust: ``person``, ``role`` or ``outside``: a trust policy alone decides; ``name``: a person chooses a name.
    """

    path: str
    key: str
    steps: tuple[Step, ...]
    passed: bool
    roles: tuple[str, ...]
    capability: str
    trust: str


@dataclass(frozen=True)
class Path:
    """One of the paths E01 to E25, in words."""

    id: str
    title: str
    gives: str
    guard: str
    cure: str
    ways: tuple[Way, ...]


@dataclass(frozen=True)
class Accepted:
    """A reach that is meant.

    Attributes:
        by: Keys of the ways by which it is meant.
        why: Why that is accepted.
    """

    by: tuple[str, ...]
    why: str


@dataclass(frozen=True)
class Catalogue:
    """All paths for one account.

    Attributes:
        paths: By id.
        names: Names that an attacker tries for things of any type.
        capabilities: In words, by key.
        reach: What each role may come by: by role, by target (role or capability).
        unlisted: Actions that take a role without the reference saying so.
    """

    paths: Mapping[str, Path]
    names: tuple[str, ...]
    capabilities: Mapping[str, str]
    reach: Mapping[str, Mapping[str, Accepted]]
    unlisted: Mapping[str, bool]

    @property
    def ways(self) -> tuple[Way, ...]:
        """The ways of all paths, in order."""
        return tuple(way for path in self.paths.values() for way in path.ways)

    def words(self, target: str) -> str:
        """A target in words."""
        return self.capabilities.get(target, f"the rights of {target}")


@cache
def _data() -> dict[str, Any]:
    text = files("overflight.governance").joinpath("escalation.yaml").read_text(encoding="utf-8")
    found: dict[str, Any] = yaml.safe_load(text)
    return found


def actions_that_take_a_role() -> frozenset[str]:
    """Actions of SageMaker that hand over a role: those of the reference and those of ``unlisted``."""
    listed = {action for action in pass_role_dependants() if action.startswith("sagemaker:")}
    return frozenset(listed | set(_data()["unlisted"]))


def catalogue(access: Access) -> Catalogue:
    """The paths with the names of an account filled in."""
    data = _data()
    names = _Names(
        MappingProxyType(
            {
                "partition": next((role.arn.split(":")[1] for role in access.roles.values()), "aws"),
                "account": access.account_id,
                "region": access.region,
                "prefix": access.prefix,
                "env": access.environment,
                "bucket": access.bucket,
                "audit": access.audit_bucket,
                "me": ATTACKER,
                "other": VICTIM,
            }
        ),
        data,
        tuple(arn for arn in access.resource_policies if ":kms:" in arn),
    )
    paths = {
        key: Path(
            key,
            one["title"],
            one["gives"],
            one["guard"],
            one["cure"],
            tuple(names.way(key, way) for way in one["ways"]),
        )
        for key, one in data["paths"].items()
    }
    reach = {
        role: MappingProxyType({target: Accepted(tuple(one["by"]), one["why"]) for target, one in accepted.items()})
        for role, accepted in data["reach"].items()
    }
    return Catalogue(
        paths=MappingProxyType(paths),
        names=tuple(names.fill(one) for one in data["names"]),
        capabilities=MappingProxyType(data["capabilities"]),
        reach=MappingProxyType(reach),
        unlisted=MappingProxyType(data["unlisted"]),
    )


@dataclass(frozen=True)
class _Names:
    values: Mapping[str, str]
    data: Mapping[str, Any]
    keys: tuple[str, ...]

    def fill(self, text: str) -> str:
        return text.format_map(self.values)

    def arns(self, classes: list[str]) -> tuple[str, ...]:
        found: list[str] = []
        for one in classes:
            if one == "keys":
                found += self.keys
            else:
                found += [self.fill(arn) for arn in ([one] if one.startswith("arn:") else self.data["resources"][one])]
        return tuple(found)

    def way(self, path: str, way: Mapping[str, Any]) -> Way:
        obtains = way.get("obtains", ())
        steps = [step for one in way.get("steps", ()) for step in self.steps(one)]
        return Way(
            path=path,
            key=f"{path} {way['name']}" if "name" in way else path,
            steps=tuple(steps),
            passed=obtains == "passed",
            roles=() if obtains == "passed" else tuple(obtains),
            capability=way.get("gives", ""),
            trust=way.get("trust", ""),
        )

    def steps(self, step: Mapping[str, Any]) -> list[Step]:
        fixed = {
            key.lower(): None if value is None else self.fill(str(value)) for key, value in step.get("with", {}).items()
        }
        return [
            Step(
                actions=self.actions(step),
                at=self.arns(step.get("at", [])),
                fixed=MappingProxyType(fixed),
                passes=step.get("passes", ""),
                pass_role=step.get("pass_role", True),
                works_as=self.arns(step.get("works_as", [])),
            )
        ]

    def actions(self, step: Mapping[str, Any]) -> tuple[str, ...]:
        if "rest" in step:
            return tuple(sorted(actions_that_take_a_role() - self.named()))
        if "elsewhere" in step:
            listed = {one for one in pass_role_dependants() if one.partition(":")[0] in self.data["principals"]}
            return tuple(sorted(listed | set(self.data["further"])))
        return tuple(step["actions"])

    def named(self) -> set[str]:
        """Actions that some step with a role names itself."""
        return {
            action
            for path in self.data["paths"].values()
            for way in path["ways"]
            for step in way.get("steps", ())
            if "passes" in step
            for action in step.get("actions", ())
        }


def principal_of(action: str) -> str:
    """How the service of an action calls itself in a trust policy."""
    service = action.partition(":")[0]
    return SAGEMAKER if service == "sagemaker" else str(_data()["principals"][service])
