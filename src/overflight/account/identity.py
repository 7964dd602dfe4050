"""The roles and policies of an account as its settings describe them: the identity template that goes to AWS.

Knows which settings are the template's parameters; nothing of decisions.
"""

from __future__ import annotations

from overflight.iam.access import Access, load_access
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
