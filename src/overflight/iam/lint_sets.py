"""Lint rules about a whole policy, and about all policies of a role together.

What one statement leaves open another may close, so these rules look at the set: an approval channel that nothing
guards, production that is protected by its tag alone. Quotas are IAM's defaults, not what can be asked for.

Sources: IAM User Guide, "IAM and AWS STS quotas"; S3 User Guide, "Bucket policies"; KMS guide, "Key policies"; Service
Authorization Reference for SageMaker.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from overflight.iam.actions import expand, wildcard_only
from overflight.iam.lint_model import Finding, Kind, PolicyView, Statement, variables

SIZES: Mapping[Kind, int] = {
    "identity": 10240,
    "boundary": 6144,
    "session": 2048,
    "organisation": 5120,
    "resource": 20480,
    "trust": 2048,
}
"""Most characters of one policy by kind, without white space. ``identity`` is the sum of a role's inline policies."""

MANAGED_POLICY_SIZE = 6144
MANAGED_POLICIES_PER_ROLE = 10
SESSION_DURATION_S = (3600, 43200)

_DECISIONS = ("sagemaker:CreateModelPackage", "sagemaker:UpdateModelPackage")
_STATUS = "sagemaker:modelapprovalstatus"
_CHANNELS = {
    "the lifecycle stage (sagemaker:ModelLifeCycle)": "sagemaker:modellifecycle:",
    "the approval in the metadata (sagemaker:CustomerMetadataProperties/approv...)": (
        "sagemaker:customermetadataproperties/approv"
    ),
}
_ALIASES = ("sagemaker-mlflow:SetRegisteredModelAlias", "sagemaker-mlflow:TransitionModelVersionStage")
_ENVIRONMENT_TAG = re.compile(r"[a-z0-9-]+:(resource|request)tag/.+")


@dataclass(frozen=True)
class Holder:
    """Whoever holds policies: a role, or one policy looked at alone.

    Attributes:
        name: For findings.
        arn: ARN of the role; "" for a policy alone.
        grants: Identity policies.
        limits: Boundary, session policy and policies of the organisation.
        trust: Who may assume the role; None for a policy alone.
        tags: Keys of the role's tags.
    """

    name: str
    arn: str
    grants: tuple[PolicyView, ...]
    limits: tuple[PolicyView, ...]
    trust: PolicyView | None = None
    tags: frozenset[str] = frozenset()

    def statements(self, *, limits: bool) -> Iterator[tuple[PolicyView, Statement]]:
        """Statements with their policy; those of the limits too where asked for."""
        for policy in (*self.grants, *(self.limits if limits else ())):
            for one in policy.statements:
                yield policy, one


def size(document: Mapping[str, Any]) -> int:
    """Characters of a policy as IAM counts them: without white space."""
    return len(re.sub(r"\s", "", json.dumps(document, separators=(",", ":"))))


def lint_document(policy: PolicyView) -> Iterator[Finding]:
    """Rules about one document as a whole: version, Sids, size, text that was not filled in."""

    def found(rule: str, path: str, what: str, cure: str) -> Finding:
        return Finding(rule, policy.name, "", path, what, cure)

    if policy.document.get("Version") != "2012-10-17":
        yield found("version", "Version", "without version 2012-10-17 policy variables are plain text", "Write it")
    for path, what in policy.shapes:
        yield found("form", path, f"{path} {what}", "Write it as AWS reads it")
    if not policy.statements and not policy.shapes:
        yield found("form", "Statement", "the policy has no statement", "Write one")
    sids = [one.sid for one in policy.statements if one.sid]
    for twice in sorted({sid for sid in sids if sids.count(sid) > 1}):
        yield found("sid-twice", "Statement", f"two statements are called {twice}", "Rename one")
    limit = SIZES[policy.kind]
    if size(policy.document) > limit:
        what = f"it has {size(policy.document)} characters; AWS takes {limit}"
        yield found("size", "", what, "Shorten it, or split it")
    for path, text in _texts(policy.document, ""):
        for name in re.findall(r"\$\{([^}]*)\}", text):
            if name not in {"*", "?", "$"} and (":" not in name or name.startswith("AWS::")):
                yield found("placeholder-left", path, f"${{{name}}} was not filled in", "Write !Sub before the text")


def _texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, str):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield f"{path}/{key}".lstrip("/"), key
            yield from _texts(item, f"{path}/{key}".lstrip("/"))
    elif isinstance(value, Sequence):
        for i, item in enumerate(value):
            yield from _texts(item, f"{path}/{i}")


def lint_holder(holder: Holder) -> Iterator[Finding]:
    """Rules about all policies that one holder has."""
    yield from approval_channels(holder)
    yield from alias_channel(holder)
    yield from production_by_tag(holder)
    yield from never_set(holder)
    yield from limited_away(holder)


def approval_channels(holder: Holder) -> Iterator[Finding]:
    """Whoever may write packages but not decide has status, lifecycle and metadata closed (X11, X12)."""
    for action in _DECISIONS:
        allows = [(policy, one) for policy, one in holder.statements(limits=False) if one.allow and _on(one, action)]
        denies = [one for _, one in holder.statements(limits=True) if one.deny and _on(one, action)]
        if not allows or any(_full(one, holder.arn) for one in denies):
            continue
        if any("Approved" in test.values for _, one in allows for test in one.tested(_STATUS) if test.positive):
            continue  # this holder is meant to decide
        channels = {"the status (sagemaker:ModelApprovalStatus)": _STATUS, **_CHANNELS}
        open_channels = [
            name
            for name, key in channels.items()
            if not any(one.tested(key) for one in denies) and not all(one.tested(key) for _, one in allows)
        ]
        if open_channels:
            policy, one = allows[0]
            yield Finding(
                "approval-channel-open",
                policy.name,
                one.sid,
                f"Statement/{one.index}",
                f"{action} leaves open {' and '.join(open_channels)}",
                "Deny each channel in a statement of its own: keys inside one statement are joined by AND",
            )


def alias_channel(holder: Holder) -> Iterator[Finding]:
    """An alias or stage in MLflow is an approval where anything follows it (X16)."""
    denies = [one for _, one in holder.statements(limits=True) if one.deny]
    for policy, one in holder.statements(limits=False):
        for action in _ALIASES:
            if (
                one.allow
                and _on(one, action)
                and not any(_on(deny, action) and _full(deny, holder.arn) for deny in denies)
            ):
                yield Finding(
                    "alias-channel-open",
                    policy.name,
                    one.sid,
                    f"Statement/{one.index}/Action/{action}",
                    f"{action} is an approval wherever something serves by alias or stage",
                    "Deny it",
                )


def production_by_tag(holder: Holder) -> Iterator[Finding]:
    """A Deny on the tag of production needs a Deny on its names: what has no tag yet slips through (X01, X02)."""
    by_name: set[str] = set()
    for _, one in holder.statements(limits=True):
        if one.deny and any("prod" in resource for resource in one.resources):
            by_name |= one.known_actions
    for policy, one in holder.statements(limits=True):
        tests = [
            test
            for test in one.tests
            if _ENVIRONMENT_TAG.fullmatch(test.key) and test.positive and any("prod" in value for value in test.values)
        ]
        if not one.deny or not tests:
            continue
        bare = sorted(action for action in one.known_actions - by_name if not wildcard_only(action))
        if bare:
            example = ", ".join(bare[:3]) + (f" and {len(bare) - 3} more" if len(bare) > 3 else "")
            yield Finding(
                "production-by-tag-only",
                policy.name,
                one.sid,
                f"Statement/{one.index}/{tests[0].path}",
                f"something of production without the tag slips through for {example}",
                "Deny the same actions on the names of production too",
            )


def never_set(holder: Holder) -> Iterator[Finding]:
    """A key of the caller that the trust policy lets nobody set is always absent: the statement grants nothing.

    The tags of a session are those of the role and those that are passed when it is assumed; the trust policy must
    allow that. A person's own tags stay behind. Source: IAM User Guide, "Pass session tags in AWS STS".
    """
    if holder.trust is None:
        return
    trusted = {action for one in holder.trust.statements if one.allow for action in one.known_actions}
    tags = {f"aws:principaltag/{key.lower()}" for key in holder.tags}
    for policy, one in holder.statements(limits=False):
        texts = [*one.resources, *(value for test in one.tests for value in test.values)]
        keys = {key for text in texts for key in variables(text)} | {test.key for test in one.tests if test.positive}
        for key in sorted(keys if one.allow else ()):
            missing = ""
            if key.startswith("aws:principaltag/") and key not in tags and "sts:TagSession" not in trusted:
                missing = "sts:TagSession"
            if key == "aws:sourceidentity" and "sts:SetSourceIdentity" not in trusted:
                missing = "sts:SetSourceIdentity"
            if missing or key == "aws:username":
                why = (
                    f"the trust policy of {holder.name} does not allow {missing}"
                    if missing
                    else "a role has no user name"
                )
                yield Finding(
                    "value-never-set",
                    policy.name,
                    one.sid,
                    f"Statement/{one.index}",
                    f"{key} never has a value, so the statement grants nothing: {why}",
                    "Allow it in the trust policy, with a condition on the value"
                    if missing
                    else "Use aws:PrincipalTag",
                )


def limited_away(holder: Holder) -> Iterator[Finding]:
    """A grant that the boundary or the organisation takes away whole: people read a right that nobody has."""
    lost = [
        (
            {action for one in limit.statements if one.allow for action in one.known_actions},
            {action for one in limit.statements if one.deny and _full(one, holder.arn) for action in one.known_actions},
        )
        for limit in holder.limits
        if all(one.actions for one in limit.statements)
    ]
    for policy, one in holder.statements(limits=False):
        for pattern in one.actions if one.allow and one.known_actions else ():
            matched = set(expand(pattern))
            for allowed, denied in lost:
                if matched and not (matched & allowed) - denied:
                    yield Finding(
                        "limited-away",
                        policy.name,
                        one.sid,
                        f"Statement/{one.index}/Action/{pattern}",
                        f"the boundary of {holder.name} never lets {pattern} through",
                        "Take it out here, or let it through there",
                    )


def _on(one: Statement, action: str) -> bool:
    return action in one.known_actions


def _full(one: Statement, arn: str) -> bool:
    """Whether a Deny leaves this holder no way: no condition, or only one that excepts other principals."""
    if "*" not in one.resources:
        return False
    if not one.tests:
        return True
    others = [test for test in one.tests if test.key == "aws:principalarn" and test.negated and arn not in test.values]
    return len(others) == len(one.tests)
