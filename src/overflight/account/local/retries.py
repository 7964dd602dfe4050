"""When a failed step is tried again: RetryPolicies of a pipeline definition.

Pure arithmetic. Source: SageMaker developer guide, "Retry policy for pipeline steps" (defaults: interval 1 s, back-
off rate 2, five attempts; delays grow as ``IntervalSeconds * BackoffRate ** n``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

RETRIED_STEP_TYPES = frozenset({"Processing", "Training", "Tuning", "Model", "RegisterModel"})
_INTERVAL_S, _BACKOFF, _ATTEMPTS = 1, 2.0, 5


@dataclass(frozen=True)
class Retry:
    """One more try: after ``delay_s``, counted against policy number ``policy``."""

    policy: int
    delay_s: float


def next_retry(
    policies: Sequence[Mapping[str, Any]], exception_type: str, *, used: Mapping[int, int], elapsed_s: float
) -> Retry | None:
    """Whether and when a step that failed with ``exception_type`` is tried again.

    Args:
        policies: ``RetryPolicies`` of the step; the first that names the exception type decides.
        exception_type: Such as ``Step.THROTTLING``, or "" for a failure that no policy can name.
        used: Retries so far, by policy number.
        elapsed_s: Time since the step was first started (s).
    """
    for number, policy in enumerate(policies):
        if exception_type not in policy.get("ExceptionType", ()):
            continue
        so_far = used.get(number, 0)
        interval_s = float(policy.get("IntervalSeconds", _INTERVAL_S))
        delay_s = interval_s * float(policy.get("BackoffRate", _BACKOFF)) ** so_far
        if "ExpireAfterMin" in policy:
            within = elapsed_s + delay_s <= float(policy["ExpireAfterMin"]) * 60
        else:
            within = so_far < int(policy.get("MaxAttempts", _ATTEMPTS))
        return Retry(number, delay_s) if within else None
    return None


def exception_type_of(code: str) -> str:
    """Exception type for the error code of a service's answer, or "" when no policy can name it."""
    if code in {"ThrottlingException", "Throttling", "TooManyRequestsException"}:
        return "Step.THROTTLING"
    if code in {"InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException"}:
        return "Step.SERVICE_FAULT"
    return {"ResourceLimitExceeded": "SageMaker.RESOURCE_LIMIT", "CapacityError": "SageMaker.CAPACITY_ERROR"}.get(
        code, ""
    )
