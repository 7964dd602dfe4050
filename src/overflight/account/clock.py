"""The clock as a value: everything in the account that needs the time is given one.

Knows nothing of time zones other than UTC.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]
"""A function without arguments that returns an aware UTC datetime."""


def utc_now() -> datetime:
    """The time of this machine, aware, in UTC."""
    return datetime.now(UTC)
