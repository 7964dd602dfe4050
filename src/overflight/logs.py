"""One way to write log lines: UTC time, level, logger name, message, on stderr.

Library modules use ``logging.getLogger(__name__)`` and never print; only programs call :func:`set_up`.
"""

from __future__ import annotations

import logging
import sys
import time
from typing import TextIO


def set_up(level: str = "WARNING", *, stream: TextIO | None = None) -> None:
    """Send all log records of the process to ``stream`` (default stderr) from ``level`` upwards."""
    handler = logging.StreamHandler(stream or sys.stderr)
    formatter = logging.Formatter("%(asctime)s %(levelname)-7s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
