"""The local event log of one step: every tracked fact, appended as one JSON line before anything is uploaded.

A line is written with one system call, so a killed process leaves at most one torn line at the end. Beside the log lies
``<log>.progress.json`` with how far it was uploaded. Knows nothing of MLflow.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.files import atomic_write

SCHEMA = "overflight.tracking-events/1"


@dataclass(frozen=True)
class Event:
    """One tracked fact.

    Attributes:
        kind: ``open``, ``params``, ``metrics``, ``dataset``, ``tags``, ``text``, ``artifacts`` or ``finish``; empty for
            a line that cannot be read.
        at_ms: When it happened (Unix time, ms).
        body: The fact itself; its keys depend on the kind.
        end: Offset in the log just behind the event (bytes).
    """

    kind: str
    at_ms: int
    body: dict[str, Any]
    end: int


class EventLog:
    """An append-only log; safe to use from several threads of one process."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._lock = threading.Lock()
        self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        size = os.fstat(self._descriptor).st_size
        if size and os.pread(self._descriptor, 1, size - 1) != b"\n":
            os.write(self._descriptor, b"\n")  # ends the torn line that a killed process left

    def append(self, kind: str, at_ms: int, body: dict[str, Any]) -> None:
        """Write one event; it survives the death of the process from here on."""
        record = {"schema": SCHEMA, "kind": kind, "at_ms": at_ms, "body": body}
        line = json.dumps(record, ensure_ascii=False, allow_nan=False).encode() + b"\n"
        with self._lock:
            os.write(self._descriptor, line)

    def close(self) -> None:
        """Flush to the disk and close."""
        with self._lock:
            if self._descriptor >= 0:
                os.fsync(self._descriptor)
                os.close(self._descriptor)
                self._descriptor = -1


def read_events(path: Path, *, offset: int = 0) -> Iterator[Event]:
    """Events behind ``offset`` (bytes). A torn last line is left out; an unreadable line has the kind ``""``."""
    with path.open("rb") as handle:
        handle.seek(offset)
        for line in handle:
            if not line.endswith(b"\n"):
                return
            offset += len(line)
            yield _parse(line, offset)


def uploaded_bytes(path: Path) -> int:
    """How much of the log ``path`` has been uploaded (bytes); 0 when nothing is known."""
    try:
        return int(json.loads(_progress(path).read_text())["uploaded_bytes"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return 0


def mark_uploaded(path: Path, uploaded: int) -> None:
    """Remember that the log is uploaded up to ``uploaded`` bytes; a lost mark only repeats harmless uploads."""
    with atomic_write(_progress(path), fsync=False) as handle:
        handle.write(json.dumps({"schema": "overflight.tracking-progress/1", "uploaded_bytes": uploaded}).encode())


def pending_logs(folder: Path) -> list[Path]:
    """Event logs below ``folder`` with events that were not uploaded or that end without ``finish``."""
    return [path for path in sorted(folder.rglob("events-*.jsonl")) if _pending(path)]


def _pending(path: Path) -> bool:
    if path.stat().st_size > uploaded_bytes(path):
        return True
    last = None
    for event in read_events(path):
        last = event.kind
    return last not in {None, "finish"}


def _parse(line: bytes, end: int) -> Event:
    try:
        record = json.loads(line)
        return Event(str(record["kind"]), int(record["at_ms"]), dict(record["body"]), end)
    except (ValueError, KeyError, TypeError):
        return Event("", 0, {}, end)


def _progress(path: Path) -> Path:
    return path.with_name(path.name + ".progress.json")
