"""Tracking of one step: what a job calls to record parameters, metrics, data, environment and artefacts.

Every call appends to the local event log and returns at once; a background thread brings the log to MLflow (one run
per pipeline execution, one nested run per step). A job is never slowed or stopped by MLflow: what could not be uploaded
stays in the log, one line says so, and :func:`overflight.tracking.uploader.replay` uploads it later. Without a tracking
address nothing is recorded: every call is then a no-op. Does not know what the job computes.
"""

from __future__ import annotations

import logging
import math
import os
import time
import uuid
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Literal, Self

from overflight.tracking.environment import Environment, read_environment
from overflight.tracking.events import EventLog
from overflight.tracking.locks import try_lock
from overflight.tracking.reading import RunFacts, close_execution, find_execution_run
from overflight.tracking.settings import TrackingSettings
from overflight.tracking.uploader import Uploader, UploadReport, lock_of

__all__ = ["RunFacts", "StepRun", "close_execution", "find_execution_run", "now_ms", "open_step"]

Context = Literal["training", "validation", "test"]
Status = Literal["FINISHED", "FAILED", "KILLED"]

_STOPPED = 143  # exit code of a program that SIGTERM ended

log = logging.getLogger(__name__)


def now_ms() -> int:
    """Unix time (ms)."""
    return time.time_ns() // 1_000_000


class StepRun:
    """One step's record. A context manager: leaving it normally finishes the step, by an error fails it."""

    def __init__(
        self, events: EventLog | None, uploader: Uploader | None, *, drain_s: float, clock_ms: Callable[[], int]
    ) -> None:
        self._events = events
        self._path = None if events is None else events.path
        self._uploader = uploader
        self._drain_s = drain_s
        self._clock_ms = clock_ms
        self._lock = None if events is None else try_lock(lock_of(events.path))

    @property
    def event_log(self) -> Path | None:
        """The local event log, None when nothing is recorded."""
        return self._path

    def log_params(self, values: Mapping[str, object], *, on_execution: bool = False) -> None:
        """Settings of the step; each is written once. ``on_execution``: to the execution's run as well."""
        if values:
            self._append("params", {"values": _texts(values), "on_execution": on_execution})

    def log_metrics(self, values: Mapping[str, float], *, step: int = 0, on_execution: bool = False) -> None:
        """Figures of one epoch (``step``). What is not a finite number is left out and said in the log."""
        finite = {name: float(value) for name, value in values.items() if math.isfinite(value)}
        if missing := sorted(values.keys() - finite.keys()):
            log.warning("not finite and therefore not tracked at step %d: %s", step, ", ".join(missing))
        if finite:
            self._append("metrics", {"values": finite, "step": step, "on_execution": on_execution})

    def log_dataset(
        self,
        *,
        digest: str,
        name: str,
        source_uri: str,
        context: Context,
        lineage: Mapping[str, str] | None = None,
        profile: Mapping[str, object] | None = None,
    ) -> None:
        """Data the step read, as an MLflow dataset input of the step and of the execution.

        Args:
            digest: SHA-256 (64 hex digits); MLflow's own field keeps the first 36, tag and profile keep all.
            name: Name of the survey or dataset.
            source_uri: ``s3://...`` or a folder.
            context: What it was used for.
            lineage: Digests of what it was made from, for example ``{"survey": "..."}``.
            profile: Counts worth showing (photos, boxes, flights); must fit JSON.
        """
        body = {"digest": digest, "name": name, "source_uri": source_uri, "context": context}
        more = {"lineage": _texts(lineage or {}), "profile": dict(profile or {}), "on_execution": True}
        self._append("dataset", body | more)

    def log_environment(self, *, seed: int | None = None, environment: Environment | None = None) -> None:
        """Interpreter, machine, library versions, state of the source code, and the seed."""
        if self._events is None:
            return
        facts = (environment or read_environment()).as_params()
        self.log_params(facts | ({} if seed is None else {"seed": str(seed)}))
        if commit := facts.get("env.git_commit"):
            self.set_tags({"mlflow.source.git.commit": commit})

    def log_artifacts(self, source: Path, path: str = "") -> None:
        """Keep a file, or all files of a folder, below ``path`` of the run; it must stay until the step has ended."""
        self._append("artifacts", {"source": str(source.absolute()), "path": path})

    def log_text(self, text: str, path: str) -> None:
        """Keep ``text`` as the artefact ``path``."""
        self._append("text", {"text": text, "path": path})

    def set_tag(self, name: str, value: object, *, on_execution: bool = False) -> None:
        """Set one tag."""
        self.set_tags({name: value}, on_execution=on_execution)

    def set_tags(self, values: Mapping[str, object], *, on_execution: bool = False) -> None:
        """Set tags; a tag may change."""
        if values:
            self._append("tags", {"values": _texts(values), "on_execution": on_execution})

    def finish(self, status: Status = "FINISHED") -> UploadReport | None:
        """End the step and wait (at most ``drain_s``) for the last uploads; further calls do nothing."""
        if self._events is None:
            return None
        self._append("finish", {"status": status})
        events, self._events = self._events, None
        events.close()
        report = None if self._uploader is None else self._uploader.stop(self._drain_s)
        if report is not None and report.waiting:
            log.warning(
                "%d of the tracked facts are not in MLflow (%s); they are kept in %s and can be replayed",
                report.waiting, report.problem, events.path,
            )  # fmt: skip
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        return report

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.finish("FINISHED")
        else:
            self.set_tag("overflight.failure", f"{kind.__name__}: {error}"[:1000])
            stopped = not issubclass(kind, Exception) or getattr(error, "exit_code", 0) == _STOPPED
            self.finish("KILLED" if stopped else "FAILED")

    def _append(self, kind: str, body: dict[str, Any]) -> None:
        if self._events is None:
            return
        self._events.append(kind, self._clock_ms(), body)
        if self._uploader is not None:
            self._uploader.notify()


def open_step(
    tracking: TrackingSettings,
    *,
    step: str,
    folder: Path,
    log_id: str | None = None,
    clock_ms: Callable[[], int] = now_ms,
    uploads: bool = True,
) -> StepRun:
    """Begin to record a step.

    Args:
        tracking: Addresses and names; not enabled gives a run that records nothing.
        step: Name of the step unless ``tracking`` names it.
        folder: Where the event log is written (``events-<log id>.jsonl``).
        log_id: Names this attempt; random by default.
        clock_ms: Source of the time (Unix time, ms).
        uploads: False writes the event log only.
    """
    if not tracking.enabled:
        return StepRun(None, None, drain_s=0.0, clock_ms=clock_ms)
    log_id = log_id or uuid.uuid4().hex
    name = tracking.step or step
    events = EventLog(folder / f"events-{log_id[:12]}.jsonl")
    opened = {
        "log_id": log_id,
        "step": name,
        "run_name": name,
        "experiment": tracking.experiment,
        "execution_id": tracking.execution_id,
        "execution_arn": tracking.execution_arn,
        "tracking_uri": tracking.public_uri,
    }
    events.append("open", clock_ms(), opened)
    uploader = Uploader(events.path, tracking.tracking_uri) if uploads else None
    run = StepRun(events, uploader, drain_s=tracking.drain_s, clock_ms=clock_ms)
    if uploader is not None:
        uploader.start()
    return run


def _texts(values: Mapping[str, object]) -> dict[str, str]:
    return {str(name): str(value) for name, value in values.items()}
