"""Who may come in: readiness, draining, the number of requests that may wait, and the threads that work on them.

Used from one event loop; the worker threads touch only what is documented here as safe. It knows photos as bytes and a
predictor as a function, and nothing of HTTP.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Protocol

from overflight.serving.detections import Detections


class Detector(Protocol):
    """What a loaded model offers: :class:`overflight.serving.predictor.Predictor`."""

    def predict(self, photo: bytes, /) -> Detections:
        """Boxes on one photo."""
        ...

    @property
    def digest(self) -> str:
        """Digest of the model folder."""
        ...


class OverloadedError(Exception):
    """More requests wait than allowed, or the server is loading or draining.

    Args:
        reason: Sentence for the client.
        retry_after_s: When to try again.
    """

    def __init__(self, reason: str, *, retry_after_s: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after_s = retry_after_s


class DeadlineError(Exception):
    """A request waited longer than its deadline and was dropped before any work was done for it."""


@dataclass
class Metrics:
    """Counters since the start; written by the event loop only."""

    requests: Counter[int] = field(default_factory=Counter)
    tiles: int = 0
    seconds: dict[str, float] = field(default_factory=lambda: {"decode": 0.0, "infer": 0.0, "merge": 0.0})

    def record(self, found: Detections) -> None:
        """Count one answered photo."""
        self.tiles += found.tiles
        self.seconds["decode"] += found.timings.decode_ms / 1e3
        self.seconds["infer"] += found.timings.infer_ms / 1e3
        self.seconds["merge"] += found.timings.merge_ms / 1e3


class Gate:
    """Admits requests, bounded, and runs them on a few threads.

    Args:
        workers: Photos worked on at the same time.
        max_waiting: Further photos that may wait for a worker; more are turned away at once.
        deadline_s: A photo that waited longer is dropped unseen (SageMaker gives up after 60 s).
        clock: Monotonic seconds.

    Attributes:
        detector: The loaded model, or None while loading.
        draining: True after SIGTERM: nothing new is admitted.
        in_flight: Admitted and not yet answered.
    """

    def __init__(
        self,
        *,
        workers: int = 2,
        max_waiting: int = 16,
        deadline_s: float = 55.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.detector: Detector | None = None
        self.draining = False
        self.in_flight = 0
        self.metrics = Metrics()
        self._capacity = workers + max_waiting
        self._deadline_s = deadline_s
        self._clock = clock
        self._pool = ThreadPoolExecutor(max_workers=workers, thread_name_prefix="predict")

    @property
    def ready(self) -> bool:
        """Loaded and not draining."""
        return self.detector is not None and not self.draining

    def enter(self) -> None:
        """Admit one request; every successful call needs one :meth:`leave`.

        Raises:
            OverloadedError: loading, draining, or too many wait.
        """
        if self.draining:
            raise OverloadedError("the server is shutting down", retry_after_s=5)
        if self.detector is None:
            raise OverloadedError("the model is still loading", retry_after_s=2)
        if self.in_flight >= self._capacity:
            raise OverloadedError(f"{self.in_flight} photos are already waiting or being worked on", retry_after_s=1)
        self.in_flight += 1

    def leave(self) -> None:
        """The request admitted by :meth:`enter` was answered."""
        self.in_flight -= 1

    async def predict(self, photo: bytes) -> Detections:
        """Boxes on ``photo``, worked out on a thread of the pool.

        Raises:
            DeadlineError: it waited too long for a thread.
            InputError: the bytes are no readable image.
        """
        admitted = self._clock()
        detector = self.detector
        if detector is None:
            raise OverloadedError("the model is still loading", retry_after_s=2)

        def work() -> Detections:
            if self._clock() - admitted > self._deadline_s:
                raise DeadlineError
            return detector.predict(photo)

        found = await asyncio.get_running_loop().run_in_executor(self._pool, work)
        self.metrics.record(found)
        return found

    def close(self) -> None:
        """Let the threads go; work that has not begun is dropped."""
        self._pool.shutdown(wait=False, cancel_futures=True)
