"""One pass over a survey: what its photographs and labels are like, as columns."""

from __future__ import annotations

from collections.abc import Callable

from overflight.data.profile.tables import Profile
from overflight.data.reading import Read

Progress = Callable[[int, int], None]


def measure(
    read: Read, *, workers: int | None = None, progress: Progress | None = None, scaled: bool = True
) -> Profile:
    """The profile of a survey or source as read; photographs not decoded yet are decoded now."""
    raise LookupError(f"{read.subject.name}: in the making")
