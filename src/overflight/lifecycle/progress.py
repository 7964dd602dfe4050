"""How use cases say what they are doing; the console, a notebook or a log file decides how it looks.

Knows nothing of terminals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol


class Progress(Protocol):
    """Receiver of progress: stages that begin and end, and updates in between."""

    def begin(self, stage: str) -> None:
        """A stage starts."""

    def update(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Something happened inside the current stage; ``done`` of ``total`` things where countable."""

    def end(self, stage: str, seconds: float, result: str) -> None:
        """The stage ended well after ``seconds`` (s)."""


class Silent:
    """Progress that nobody sees (``--json``, tests, notebooks)."""

    def begin(self, stage: str) -> None:
        """Ignore."""

    def update(self, text: str, done: int | None = None, total: int | None = None) -> None:
        """Ignore."""

    def end(self, stage: str, seconds: float, result: str) -> None:
        """Ignore."""


@dataclass
class Stages:
    """Times the stages of a use case and tells ``progress`` about them.

    Attributes:
        seconds: Duration (s) of each finished stage in order.
    """

    progress: Progress
    monotonic: Callable[[], float] = time.monotonic
    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def stage(self, name: str) -> Iterator[StageResult]:
        """One stage; the block sets ``.text`` of the yielded value to say what came out."""
        start = self.monotonic()
        self.progress.begin(name)
        result = StageResult()
        yield result
        self.seconds[name] = round(self.monotonic() - start, 2)
        self.progress.end(name, self.seconds[name], result.text)


@dataclass
class StageResult:
    """What a stage wants to say at its end."""

    text: str = ""
