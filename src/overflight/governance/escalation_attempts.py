"""What an attacker can do with one role: each step tried with every value that the policies themselves mention.

Asks the policy evaluator; knows nothing of chains. An attacker chooses names, tags, container, machine and whatever
else the request carries; not who is asking, what tags a thing already has, or what a service says about itself.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from overflight.governance.escalation_paths import (
    ATTACKER,
    STRANGER,
    VICTIM,
    Catalogue,
    Step,
    principal_of,
)
from overflight.iam.access import USER_TAG, Access, Role, principal_keys, trusts_service
from overflight.iam.actions import condition_keys, find, wildcard_only
from overflight.iam.conditions import texts, values_of
from overflight.iam.core import ContextValue, Policy, PolicySet, Request
from overflight.iam.evaluate import evaluate
from overflight.iam.patterns import action_pattern
from overflight.iam.statements import compiled

_NOT_CHOSEN = re.compile(
    r"aws:(principal|resource|source|multifactorauth|securetransport|userid|requestedregion|tagkeys|viaaws|called)"
    r"|sagemaker:(current|taggingaction|resourcetag)|kms:viaservice|iam:(passedtoservice|associatedresourcearn)"
)
"""Beginnings of condition keys that the attacker does not choose, or that follow from what was chosen."""

_ROLE_TAG = "aws:requesttag/overflight-role"
_ENV_TAG = "aws:requesttag/env"
_VALUES_OF_A_CONDITION = 3
_MAY_ASSUME = Policy(
    "may assume anything",
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:*", "Resource": "*"}]},
)
_TYPE_PART = re.compile(r"\$\{([^}]*)\}")


@dataclass(frozen=True)
class Move:
    """One allowed call of the attacker.

    Attributes:
        actor: Role it is made with; ``outside`` for somebody outside the account.
        action: For example ``sagemaker:CreatePipeline``.
        resource: ARN or ``*``.
        context: Condition keys that were sent.
        passes: Role that is handed over, or "".
    """

    actor: str
    action: str
    resource: str
    context: Mapping[str, ContextValue] = field(default_factory=dict)
    passes: str = ""

    def describe(self) -> str:
        """The call in words: who, which action, on what, with which keys, which role goes along."""
        name = self.resource if self.resource == "*" else self.resource.split(":", 5)[-1]
        sent = ", ".join(
            f"{key} {value if isinstance(value, str) else ' '.join(value)}"
            for key, value in self.context.items()
            if key != "aws:tagkeys"
        )
        handed = f", handing over the role {self.passes}" if self.passes else ""
        return f"{self.actor}: {self.action} on {name}{handed}{f' ({sent})' if sent else ''}"


@dataclass(frozen=True)
class Attempts:
    """Steps tried on one account; every answer is remembered."""

    access: Access
    catalogue: Catalogue
    _known: dict[tuple[str, str, Step | None], Move | None] = field(default_factory=dict)
    _options: dict[tuple[str, str, Step], tuple[Move, ...]] = field(default_factory=dict)
    _statements: dict[int, list[_Wanted]] = field(default_factory=dict)
    _relevant: dict[tuple[int, str], list[_Wanted]] = field(default_factory=dict)

    def can(self, role: str, step: Step) -> Move | None:
        """A call that does the step with this role, or None; a role that goes along is not looked at."""
        return next((move for action in step.actions for move in self.options(role, action, step)), None)

    def passing(self, role: str, step: Step, passed: str) -> Move | None:
        """A call that does the step and lets a service run as ``passed``, or None."""
        key = (role, passed, step)
        if key not in self._known:
            self._known[key] = self._passing(role, step, passed)
        return self._known[key]

    def _passing(self, role: str, step: Step, passed: str) -> Move | None:
        target = self.access.roles[passed]
        for action in step.actions:
            for move in self.options(role, action, step):
                if self._handed(role, step, action, move.resource, target):
                    return Move(role, action, move.resource, move.context, passed)
        return None

    def options(self, role: str, action: str, step: Step) -> tuple[Move, ...]:
        """Allowed calls of one action of a step: one for each resource."""
        key = (role, action, step)
        if key not in self._options:
            self._options[key] = tuple(self._allowed(role, action, step))
        return self._options[key]

    def assumes(self, role: str, target: str) -> Move | None:
        """A session of ``role`` assumes ``target``."""
        key = (role, target, None)
        if key not in self._known:
            self._known[key] = self._assumes(role, target)
        return self._known[key]

    def _assumes(self, role: str, target: str) -> Move | None:
        wanted = self.access.roles[target]
        session = _session(self.access.roles[role])
        for context in self._contexts([wanted.trust], "sts:AssumeRole", {"sts:rolesessionname": ATTACKER}):
            sent = {**context, "aws:multifactorauthpresent": "true"}
            if self.access.decide(role, "sts:AssumeRole", wanted.arn, sent, session=session).allowed:
                return Move(role, "sts:AssumeRole", wanted.arn, context)
        return None

    def person_assumes(self, persona: str, target: str) -> Move | None:
        """The person who is meant to be ``persona`` assumes another role, with a policy that lets them try."""
        return self._person(persona, target, "sts:AssumeRole", {"sts:rolesessionname": ATTACKER})

    def takes_a_name(self, persona: str) -> Move | None:
        """The person behind ``persona`` gives the session another person's name, or another role's tag."""
        name = f"aws:requesttag/{USER_TAG}"
        tried: list[tuple[str, dict[str, ContextValue]]] = [
            ("sts:AssumeRole", {"sts:rolesessionname": VICTIM}),
            ("sts:SetSourceIdentity", {"sts:sourceidentity": VICTIM}),
            ("sts:TagSession", {name: VICTIM, "aws:tagkeys": [USER_TAG]}),
            # The tag that says which role somebody may have, for the next role.
            ("sts:TagSession", {name: ATTACKER, _ROLE_TAG: "approver", "aws:tagkeys": [USER_TAG, "overflight-role"]}),
        ]
        for action, sent in tried:
            move = self._person(persona, persona, action, {"sts:rolesessionname": ATTACKER, **sent})
            if move:
                return move
        return None

    def outsider_assumes(self, target: str) -> Move | None:
        """Somebody of another account assumes ``target``, themselves or by a service that does not say for whom."""
        wanted = self.access.roles[target]
        partition = wanted.arn.split(":")[1]
        stranger = f"arn:{partition}:iam::{STRANGER}:role/stranger"
        own = {
            "aws:principaltag/overflight-role": target,
            f"aws:principaltag/{USER_TAG}": ATTACKER,
            "aws:multifactorauthpresent": "true",
            "aws:principalaccount": STRANGER,
        }
        policies = PolicySet(identity=(_MAY_ASSUME,), resource=wanted.trust)
        for context in self._contexts([wanted.trust], "sts:AssumeRole", {"sts:rolesessionname": ATTACKER}):
            request = Request(stranger, "sts:AssumeRole", wanted.arn, {**context, **own}, self.access.account_id)
            if evaluate(request, policies).allowed:
                return Move("outside", "sts:AssumeRole", wanted.arn, context)
        for service in sorted(_services(wanted.trust)):
            source = f"arn:{partition}:{service.partition('.')[0]}:{self.access.region}:{STRANGER}:x/x"
            said = {"aws:SourceAccount": STRANGER, "aws:SourceArn": source}
            if trusts_service(wanted, service, said).allowed:
                return Move("outside", "sts:AssumeRole", wanted.arn, {"service": service, **said})
        return None

    def _person(self, persona: str, target: str, action: str, fixed: Mapping[str, ContextValue]) -> Move | None:
        wanted = self.access.roles[target]
        person = f"arn:{wanted.arn.split(':')[1]}:iam::{self.access.account_id}:user/{ATTACKER}"
        own = {
            "aws:principaltag/overflight-role": persona,
            f"aws:principaltag/{USER_TAG}": ATTACKER,
            "aws:multifactorauthpresent": "true",
        }
        policies = PolicySet(identity=(_MAY_ASSUME,), resource=wanted.trust)
        for context in self._contexts([wanted.trust], action, fixed):
            if evaluate(Request(person, action, wanted.arn, {**context, **own}), policies).allowed:
                return Move(persona, action, wanted.arn, context)
        return None

    def _handed(self, role: str, step: Step, action: str, resource: str, target: Role) -> bool:
        service = principal_of(action)
        if step.pass_role and self.catalogue.unlisted.get(action, True):
            sent = {"iam:PassedToService": service, "iam:AssociatedResourceArn": resource}
            session = _session(self.access.roles[role])
            if not self.access.decide(role, "iam:PassRole", target.arn, sent, session=session).allowed:
                return False
        made = resource if resource != "*" else f"arn:aws:{action.partition(':')[0]}:::x"
        # A validation's own jobs and models are named by the service: the package itself does not run as the role.
        sources = step.works_as if not step.pass_role and ":model-package" in resource else (made, *step.works_as)
        account = {"aws:SourceAccount": self.access.account_id}
        return any(trusts_service(target, service, {**account, "aws:SourceArn": one}).allowed for one in sources)

    def _allowed(self, role: str, action: str, step: Step) -> Iterator[Move]:
        asking = self.access.roles[role]
        session = _session(asking)
        for resource in dict.fromkeys(step.at or self._resources(asking, action)):
            if not self._hopeful(asking, action, resource):
                continue
            limits = [*asking.policies, *([asking.boundary] if asking.boundary else [])]
            policy = self.access.resource_policy(resource)
            for context in self._contexts([*limits, *([policy] if policy else [])], action, step.fixed):
                if self.access.decide(role, action, resource, context, session=session).allowed:
                    yield Move(role, action, resource, context)
                    break

    def _hopeful(self, role: Role, action: str, resource: str) -> bool:
        """Whether a context may help: something allows on the resource, and nothing denies whatever is sent."""
        asked = "*" if wildcard_only(action) else resource
        keys = principal_keys(role, self.access.account_id, _session(role))

        def lookup(key: str) -> tuple[str, ...] | None:
            return values_of(keys[key]) if key in keys else None

        own = [compiled(policy).about(action.lower()) for policy in role.policies]
        limits = [compiled(role.boundary).about(action.lower())] if role.boundary else []
        if any(not one.conditions and one.fits(asked, lookup) for denies, _ in (*own, *limits) for one in denies):
            return False
        if any(one.fits(asked, lookup) for _, allows in own for one in allows):
            return True
        policy = self.access.resource_policy(resource)
        return policy is not None and bool(compiled(policy).about(action.lower())[1])

    def _resources(self, role: Role, action: str) -> list[str]:
        """ARNs that fit the action: its types under the attacker's names, and what the role's own policies name."""
        known = find(action)
        if known is not None and not known.resource_types:
            return ["*"]
        types = known.resource_types.values() if known else ()
        place = {"Partition": role.arn.split(":")[1], "Region": self.access.region, "Account": self.access.account_id}
        arns = [_named(arn, name, place) for arn in types for name in self.catalogue.names]
        for policy in role.policies:
            for one in self._about(policy, action):
                named = [_instance(arn) for arn in one.resources if "${" not in arn]
                arns += [arn for arn in named if any(_of_type(kind).fullmatch(arn) for kind in types)]
        return arns or ["*"]

    def _contexts(
        self, policies: Iterable[Policy], action: str, fixed: Mapping[str, ContextValue | None]
    ) -> Iterator[dict[str, ContextValue]]:
        """All combinations of what the policies mention for an action; what is missing altogether comes first."""
        values: dict[str, list[str | None]] = {}
        if _sends(action, _ENV_TAG):
            values[_ENV_TAG] = [self.access.environment, "prod", None]
        for policy in policies:
            for one in self._about(policy, action):
                for key, found in one.values.items():
                    if key not in fixed and not _NOT_CHOSEN.match(key) and _sends(action, key):
                        values.setdefault(key, [None, "x"]).extend(found)
        chosen = {key: list(dict.fromkeys(found)) for key, found in values.items() if key not in fixed}
        for combination in itertools.product(*chosen.values()):
            sent = dict(zip(chosen, combination, strict=True)) | dict(fixed)
            tags = [key.partition("/")[2] for key, value in sent.items() if key.startswith("aws:requesttag/") and value]
            if tags and "aws:tagkeys" not in sent:
                sent["aws:tagkeys"] = tags
            yield {key: value for key, value in sent.items() if value is not None}

    def _about(self, policy: Policy, action: str) -> list[_Wanted]:
        """Statements of a policy that are about an action."""
        key = (id(policy), action)
        if key not in self._relevant:
            if id(policy) not in self._statements:
                self._statements[id(policy)] = [_wanted(one) for one in _statements(policy)]
            self._relevant[key] = [
                one
                for one in self._statements[id(policy)]
                if bool(one.actions.fullmatch(action.lower())) != one.not_action
            ]
        return self._relevant[key]


@dataclass(frozen=True)
class _Wanted:
    """What a statement says that an attacker can use: its resources, and values of its conditions by key."""

    allow: bool
    actions: re.Pattern[str]
    not_action: bool
    resources: tuple[str, ...]
    values: Mapping[str, tuple[str, ...]]


def _wanted(statement: Mapping[str, Any]) -> _Wanted:
    values: dict[str, tuple[str, ...]] = {}
    for operator, block in (statement.get("Condition") or {}).items():
        for key, given in block.items():
            name = operator.rpartition(":")[2].lower()
            if name.startswith("null"):
                found: tuple[str, ...] = ()
            elif name.startswith("bool"):
                found = ("true", "false")
            else:
                plain = [_instance(one) for one in texts(given) if "${" not in one]
                found = tuple(plain[:_VALUES_OF_A_CONDITION])
            values[key.lower()] = (*values.get(key.lower(), ()), *found)
    return _Wanted(
        allow=statement["Effect"] == "Allow",
        actions=action_pattern(texts(statement.get("Action", statement.get("NotAction")))),
        not_action="NotAction" in statement,
        resources=tuple(texts(statement.get("Resource", ()))),
        values=values,
    )


def _instance(pattern: str) -> str:
    """Something that fits a pattern."""
    return pattern.replace("*", "x").replace("?", "x")


def _named(arn: str, name: str, place: Mapping[str, str]) -> str:
    """ARN of a resource type with a name in all its parts."""
    return _TYPE_PART.sub(lambda part: place.get(part.group(1), name), arn)


@cache
def _of_type(arn: str) -> re.Pattern[str]:
    """Expression for the ARNs of a resource type."""
    parts = _TYPE_PART.split(arn)  # text, name of a part, text, ...
    return re.compile("[^:/]*".join(re.escape(text) for text in parts[::2]))


def _sends(action: str, key: str) -> bool:
    """Whether a request of the action can carry a condition key (lower case)."""
    if (
        find(action) is None
        or key.startswith("sts:")
        or (key.startswith("aws:") and not key.startswith("aws:requesttag/"))
    ):
        return True
    return any(key.startswith(re.split(r"[$<]", one.lower())[0]) for one in condition_keys(action))


def _session(role: Role) -> str:
    # The sessions of services carry no person's name.
    return ATTACKER if role.kind == "persona" else ""


def _statements(policy: Policy) -> list[Mapping[str, Any]]:
    listed = policy.document["Statement"]
    return [listed] if isinstance(listed, Mapping) else list(listed)


def _services(trust: Policy) -> set[str]:
    """Services that a trust policy names."""
    return {
        service
        for one in _statements(trust)
        if isinstance(one.get("Principal"), Mapping)
        for service in texts(one["Principal"].get("Service", ()))
    }
