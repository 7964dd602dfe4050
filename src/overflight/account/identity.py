"""The roles and policies of an account as its settings describe them: the identity template that goes to AWS.

Knows which settings are the template's parameters, and which roles have a right by the text of their policies.
Decisions are ``iam``'s.
"""

from __future__ import annotations

from overflight.iam.access import Access, load_access
from overflight.iam.statements import compiled
from overflight.settings import PREFIX, Settings


def access_for(settings: Settings) -> Access:
    """Roles, boundary and resource policies of the account of ``settings``.

    Raises:
        UsageError: the template does not take the settings' values.
    """
    sources = {"SourceBuckets": settings.source_buckets} if settings.source_buckets else {}
    return load_access(
        account_id=settings.account_number,
        region=settings.region,
        prefix=PREFIX,
        environment=settings.environment,
        parameters=sources,
    )


def who_might(access: Access, action: str, resource: str) -> dict[str, tuple[str, ...]]:
    """Roles whose own policies have a statement for ``action`` on ``resource``, by kind (``persona``, ``execution``).

    For refusals of AWS, which do not tell the condition keys of the request: conditions count as fulfilled where they
    allow and as not fulfilled where they deny.
    """
    found: dict[str, list[str]] = {"persona": [], "execution": []}
    for role in access.roles.values():
        limits = (*role.policies, role.boundary) if role.boundary else role.policies
        allows = [one for policy in role.policies for one in compiled(policy).about(action.lower())[1]]
        denies = [one for policy in limits for one in compiled(policy).about(action.lower())[0] if not one.conditions]
        if any(one.fits(resource, _nothing) for one in allows) and not any(
            one.fits(resource, _nothing) for one in denies
        ):
            found.setdefault(role.kind, []).append(role.key)
    return {kind: tuple(keys) for kind, keys in found.items()}


def _nothing(_key: str) -> None:
    return None
