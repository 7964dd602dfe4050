"""Trying again where trying again helps: throttling, failures of the service, connections that break.

Knows which errors of AWS calls pass by themselves. botocore tries a request again until its answer begins; what breaks
while a body is read is ours to continue.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar

from botocore import exceptions as aws
from botocore.exceptions import BotoCoreError, ClientError

T = TypeVar("T")

_PASSING_CODES = frozenset(
    {
        "SlowDown", "Throttling", "ThrottlingException", "ThrottledException", "RequestLimitExceeded", "RequestTimeout",
        "TooManyRequestsException", "RequestThrottled", "BandwidthLimitExceeded", "InternalError", "ServiceUnavailable",
        "503 SlowDown", "ProvisionedThroughputExceededException",
    }
)  # fmt: skip
_PASSING = (aws.HTTPClientError, aws.ResponseStreamingError, aws.IncompleteReadError, OSError)
_LASTING = (aws.SSLError, aws.ProxyConnectionError)


class Stopped(Exception):  # noqa: N818 - no error: somebody else's error or the user has ended the work
    """The work was called off while it waited."""


@dataclass(frozen=True)
class Patience:
    """How often and how long to wait; the waits double and are drawn at random below that ("full jitter").

    Attributes:
        attempts: Tries without any progress before giving up.
        first_s: Upper limit of the first wait.
        longest_s: Upper limit of any wait.
        stop: Set to call everything off; ends a wait at once.
        draw: Random number from 0 to 1.
    """

    attempts: int = 6
    first_s: float = 0.5
    longest_s: float = 20.0
    stop: threading.Event = field(default_factory=threading.Event)
    draw: Callable[[], float] = random.random

    def wait(self, tries: int) -> None:
        """Wait after ``tries`` failures in a row.

        Raises:
            Stopped: called off.
        """
        if self.stop.wait(min(self.longest_s, self.first_s * 2 ** (tries - 1)) * self.draw()):
            raise Stopped

    def call(self, work: Callable[[], T]) -> T:
        """The result of ``work``, tried again after errors that pass; the last error as it is.

        Raises:
            Stopped: called off.
        """
        tries = 0
        while True:
            if self.stop.is_set():
                raise Stopped
            try:
                return work()
            except (ClientError, BotoCoreError, OSError) as error:
                tries += 1
                if tries >= self.attempts or not passes(error):
                    raise
            self.wait(tries)


def passes(error: Exception) -> bool:
    """Whether the same request may well succeed in a moment."""
    if isinstance(error, ClientError):
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        code = error.response.get("Error", {}).get("Code", "")
        # 501 is "not implemented": it stays
        return code in _PASSING_CODES or status == 429 or (status >= 500 and status != 501)
    return isinstance(error, _PASSING) and not isinstance(error, _LASTING)
