"""From the local event log to MLflow: by a background thread while the job works, or later by :func:`replay`.

MLflow is imported in that thread. An address that does not answer costs nothing but log lines: events stay in the log
and are tried again. Does not know what the events mean.
"""

from __future__ import annotations

import logging
import os
import re
import threading
from dataclasses import dataclass
from pathlib import Path

from overflight.errors import InputError, ResourceError
from overflight.tracking.events import EventLog, mark_uploaded, pending_logs, read_events, uploaded_bytes
from overflight.tracking.locks import try_lock
from overflight.tracking.mlflow_runs import Target, apply, find_or_create_target, is_refusal

FIRST_RETRY_S = 1.0
LAST_RETRY_S = 30.0

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class UploadReport:
    """How far an event log has reached MLflow.

    Attributes:
        uploaded: Events written to MLflow by this process.
        waiting: Events that are still only in the log.
        refused: Why single events were not accepted, one sentence each; they stay in the log and are not tried again.
        problem: The last failure to reach MLflow, empty when there was none.
    """

    uploaded: int
    waiting: int
    refused: tuple[str, ...]
    problem: str = ""


class Upload:
    """One event log on its way to one tracking address; used by one thread at a time."""

    def __init__(self, path: Path, tracking_uri: str) -> None:
        self.path = path
        self.tracking_uri = tracking_uri
        self.uploaded = 0
        self.refused: list[str] = []
        self._offset = uploaded_bytes(path)
        self._target: Target | None = None

    def pump(self) -> None:
        """Upload everything the log holds by now.

        Raises:
            Exception: MLflow cannot be reached; nothing is lost, call again later.
        """
        for event in read_events(self.path, offset=self._offset):
            if self._target is None:
                self._target = self._connect()
            try:
                apply(self._target, event)
                self.uploaded += 1
            except Exception as error:
                if not is_refusal(error):
                    raise
                self.refused.append(f"{event.kind}: {_one_line(error)}" if event.kind else "an unreadable line")
                log.warning("MLflow does not take one fact (%s); it stays in %s", self.refused[-1], self.path)
            self._offset = event.end
            mark_uploaded(self.path, self._offset)

    def waiting(self) -> int:
        """Number of events that are not uploaded."""
        return sum(1 for _ in read_events(self.path, offset=self._offset))

    def _connect(self) -> Target:
        first = next(read_events(self.path), None)
        if first is None or first.kind != "open":
            raise InputError(
                "does not begin with the event 'open'", where=str(self.path), cure="It is no event log of a step"
            )
        return find_or_create_target(self.tracking_uri, first)


class Uploader:
    """A daemon thread that uploads one event log while the job goes on."""

    def __init__(
        self, path: Path, tracking_uri: str, *, first_retry_s: float = FIRST_RETRY_S, last_retry_s: float = LAST_RETRY_S
    ) -> None:
        self._upload = Upload(path, tracking_uri)
        self._retries_s = (first_retry_s, last_retry_s)
        self._wake = threading.Event()
        self._stopping = threading.Event()
        self._problem = ""
        self._thread = threading.Thread(target=self._run, name="tracking", daemon=True)

    def start(self) -> None:
        """Begin; MLflow is imported in the thread."""
        self._thread.start()

    def notify(self) -> None:
        """Say that the log has grown."""
        self._wake.set()

    def stop(self, timeout_s: float) -> UploadReport:
        """Upload what is left, for at most ``timeout_s`` (s); a failing address ends the wait at once."""
        self._stopping.set()
        self._wake.set()
        self._thread.join(timeout_s)
        problem = self._problem
        if self._thread.is_alive():
            problem = f"not done after {timeout_s:.0f} s"
        return UploadReport(self._upload.uploaded, self._upload.waiting(), tuple(self._upload.refused), problem)

    def _run(self) -> None:
        pause_s = self._retries_s[0]
        while True:
            stopping = self._stopping.is_set()
            self._wake.clear()
            try:
                self._upload.pump()
                self._problem = ""
                pause_s = self._retries_s[0]
            except Exception as error:  # noqa: BLE001 - tracking never stops a training: said here, tried again, kept in the log
                if not self._problem:
                    log.warning("MLflow cannot be reached, the job goes on without it: %s", _one_line(error))
                self._problem = _one_line(error)
                if not stopping:
                    self._stopping.wait(pause_s)
                    pause_s = min(pause_s * 2, self._retries_s[1])
                    self._wake.set()
            if stopping:
                return
            self._wake.wait()


def replay(path: Path, tracking_uri: str, *, unfinished_status: str = "KILLED") -> UploadReport:
    """Upload what is left of an event log after its job has ended, or has been killed.

    A log without an end gets one, at the time of its last event. Repeating it changes nothing.

    Args:
        path: The event log (``events-*.jsonl``).
        tracking_uri: MLflow's address.
        unfinished_status: MLflow status of a step whose log has no end.

    Raises:
        ResourceError: the job still writes the log, or MLflow cannot be reached.
        InputError: there is no such log, or it is none.
    """
    if not path.is_file():
        raise InputError("no such event log", where=str(path), cure="Name a file events-*.jsonl of a job's folder")
    lock = try_lock(lock_of(path))
    if lock is None:
        raise ResourceError("its job still runs", where=str(path), cure="Wait until the job has ended")
    try:
        _end(path, unfinished_status)
        upload = Upload(path, tracking_uri)
        try:
            upload.pump()
        except InputError:
            raise
        except Exception as error:
            raise ResourceError(
                f"MLflow cannot be reached: {_one_line(error)}",
                where=tracking_uri,
                cure="Start it or correct MLFLOW_TRACKING_URI, then replay again; nothing is lost",
            ) from error
        return UploadReport(upload.uploaded, upload.waiting(), tuple(upload.refused))
    finally:
        os.close(lock)


def replay_pending(folder: Path, tracking_uri: str) -> dict[Path, UploadReport]:
    """:func:`replay` for every event log below ``folder`` that needs it and whose job has ended.

    Raises:
        ResourceError: MLflow cannot be reached; what was not uploaded stays where it is.
        InputError: a file is named like an event log and is none.
    """
    reports = {}
    for path in pending_logs(folder):
        lock = try_lock(lock_of(path))
        if lock is not None:  # else its job still runs
            os.close(lock)
            reports[path] = replay(path, tracking_uri)
    return reports


def lock_of(path: Path) -> Path:
    """The lock a job holds while it writes the event log ``path``."""
    return path.with_name(path.name + ".lock")


def _end(path: Path, status: str) -> None:
    last = None
    for event in read_events(path):
        last = event if event.kind else last
    if last is not None and last.kind != "finish":
        events = EventLog(path)
        events.append("finish", last.at_ms, {"status": status})
        events.close()


def _one_line(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    text = re.sub(r"://[^/@\s]+@", "://", text)  # addresses may carry a password
    return text if len(text) <= 300 else text[:297] + "..."
