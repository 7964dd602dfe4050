"""Runs the jobs that the store says are waiting: one thread and one process for each, at most one per core.

Knows the life of one job (folders, process, outputs, status). Knows nothing of pipelines; the order of waiting jobs is
the order of their creation.
"""

from __future__ import annotations

import contextlib
import logging
import re
import shutil
import signal
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overflight.account.local.job_access import access_environment, require_access
from overflight.account.local.job_files import JobFiles, JobRefused, collect, prepare, read_message, store_checkpoints
from overflight.account.local.job_records import KINDS, PROCESSING, TRAINING, change_job
from overflight.account.local.processes import (
    JobProcess,
    ProcessMark,
    end_processes,
    find_leftovers,
    job_environment,
)
from overflight.account.local.store import Resource, time_text
from overflight.errors import OverflightError

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

log = logging.getLogger(__name__)

IMAGE_ENTRYPOINT = ("overflight-job",)
_DAY_S = 86400
_TAIL_BYTES, _LINE_CHARS = 4096, 400
_TIMEOUT, _STOP, _SHUTDOWN = "MaxRuntimeExceeded", "Stopped", "shutdown"
INTERNAL_ERROR = "SageMaker.JOB_INTERNAL_ERROR"


@dataclass(frozen=True)
class Ending:
    """How a job ended, in the words of its record."""

    status: str
    secondary: str
    values: Mapping[str, Any]


class JobRunner:
    """Starts, watches and ends the jobs of one account.

    Args:
        account: The account.
        slots: How many jobs run at once.
        grace_s: Time between SIGTERM and SIGKILL (AWS: 120 s).
        min_free_bytes: A job is refused when the disk has less left.
        entrypoint: What a training image without ContainerEntrypoint would run; ``train`` is appended.
        wake: Set whenever a job has ended.
    """

    def __init__(
        self,
        account: LocalAccount,
        *,
        slots: int,
        grace_s: float = 120.0,
        min_free_bytes: int = 64 * 1024 * 1024,
        entrypoint: Sequence[str] = IMAGE_ENTRYPOINT,
        wake: threading.Event | None = None,
    ) -> None:
        self.wake = wake or threading.Event()
        self._account = account
        self._slots = slots
        self._grace_s = grace_s
        self._min_free_bytes = min_free_bytes
        self._entrypoint = tuple(entrypoint)
        self._lock = threading.Lock()
        self._threads: dict[tuple[str, str], threading.Thread] = {}
        self._processes: dict[tuple[str, str], JobProcess] = {}
        self._closing = False

    def recover(self) -> int:
        """End what a dead supervisor left running and let its jobs start again; returns how many jobs.

        Checkpoints they had written are stored first, so that training goes on where it was.
        """
        account = self._account
        with account.store.read() as tx:
            open_jobs = [one for kind in KINDS for one in tx.list(kind, statuses=("InProgress", "Stopping"))]
        marks = [ProcessMark(**one.body["process"]) for one in open_jobs if one.body.get("process")]
        if not open_jobs:
            return 0
        ended = end_processes(find_leftovers(account.home / "jobs", marks), grace_s=min(self._grace_s, 5.0))
        if ended:
            log.warning("ended %d processes of an earlier supervisor", ended)
        for job in open_jobs:
            self._reset(job)
        return len(open_jobs)

    def _reset(self, job: Resource) -> None:
        account, files = self._account, self._files(job)
        if job.kind == TRAINING:
            try:
                store_checkpoints(files, account)
            except (JobRefused, OverflightError, OSError) as error:
                log.warning("%s: its checkpoints could not be stored: %s", job.name, error)
        with account.store.write() as tx:
            fresh = tx.get(job.kind, job.name)
            if fresh is None:
                return
            if fresh.status == "Stopping":
                change_job(
                    tx, account, fresh, status="Stopped", secondary="Stopped", ended_at=self._now(), process=None
                )
            elif fresh.status == "InProgress" and (fresh.body["secondary"] != "Starting" or fresh.body.get("process")):
                change_job(tx, account, fresh, secondary="Starting", process=None)

    def advance(self) -> bool:
        """Start waiting jobs and stop those marked ``Stopping``; True while there is any work."""
        with self._lock:  # before the store is read: a job that ends in between is then seen as ended
            running = set(self._threads)
        with self._account.store.read() as tx:
            jobs = [one for kind in KINDS for one in tx.list(kind, statuses=("InProgress", "Stopping"))]
        for job in sorted(jobs, key=lambda one: one.created_at):
            key = (job.kind, job.name)
            if key in running:
                with self._lock:
                    process = self._processes.get(key)
                if process is not None and job.status == "Stopping":
                    process.stop(_STOP, grace_s=self._grace_s)
            elif job.status == "Stopping" or job.body["secondary"] != "Starting":
                self._reset(job)
            elif self.running() < self._slots and not self._closing:
                self._launch(job)
        return bool(jobs)

    def running(self) -> int:
        """How many jobs run now."""
        with self._lock:
            return len(self._threads)

    def shutdown(self) -> None:
        """End all processes without ending their jobs: they start again with the next supervisor."""
        with self._lock:
            self._closing = True
            processes, threads = list(self._processes.values()), list(self._threads.values())
        for process in processes:
            process.stop(_SHUTDOWN, grace_s=min(self._grace_s, 10.0))
        for thread in threads:
            thread.join(timeout=self._grace_s + 30)

    def _launch(self, job: Resource) -> None:
        key = (job.kind, job.name)
        thread = threading.Thread(target=self._run, args=(job,), name=job.name, daemon=True)
        with self._lock:
            self._threads[key] = thread
        thread.start()

    def _run(self, job: Resource) -> None:
        key = (job.kind, job.name)
        try:
            ending = self._life(job)
        except JobRefused as error:
            ending = _failed(str(error))
        except Exception as error:
            log.exception("%s: unexpected error", job.name)
            ending = _failed(f"InternalServerError: {type(error).__name__}: {error}", exception_type=INTERNAL_ERROR)
        try:
            self._finish(job, ending)
        finally:
            with self._lock:
                self._processes.pop(key, None)
                self._threads.pop(key, None)
            self.wake.set()

    def _life(self, job: Resource) -> Ending | None:
        """Run one job to its end; None when only this supervisor ends and the job shall start again."""
        files, objects = self._files(job), self._account.objects
        require_access(self._account, job, files)
        prepare(files, objects, min_free_bytes=self._min_free_bytes)
        process = self._spawn(job, files)
        with self._lock:
            self._processes[job.kind, job.name] = process
            closing = self._closing
        try:
            if closing:
                process.stop(_SHUTDOWN, grace_s=0.1)
            if not self._record_start(job, process):
                process.stop(_STOP, grace_s=self._grace_s)
            timer = threading.Timer(_limit_s(job), process.stop, (_TIMEOUT,), {"grace_s": self._grace_s})
            timer.daemon = True
            timer.start()
            code = process.wait()
            timer.cancel()
        except BaseException:
            process.stop(_SHUTDOWN, grace_s=0.1)
            process.wait()
            raise
        if process.stopped_because == _SHUTDOWN:
            return None
        return self._ending(job, files, code, process.stopped_because)

    def _spawn(self, job: Resource, files: JobFiles) -> JobProcess:
        command = _command(job, self._entrypoint)
        given = {
            **(job.body["request"].get("Environment") or {}),
            "AWS_REGION": self._account.region,
            ("PROCESSING" if job.kind == PROCESSING else "TRAINING") + "_JOB_NAME": job.name,
            **access_environment(self._account, job),
        }
        try:
            return JobProcess(command, job_environment(given, files.root), folder=files.folder, log=files.log)
        except OSError as error:
            raise JobRefused(f"ClientError: cannot start '{command[0]}': {error.strerror or error}") from error

    def _record_start(self, job: Resource, process: JobProcess) -> bool:
        """Write who runs the job; False when it was asked to stop meanwhile."""
        account = self._account
        with account.store.write() as tx:
            fresh = tx.get(job.kind, job.name)
            if fresh is None:
                return False
            mark = {"pid": process.mark.pid, "created_s": process.mark.created_s}
            secondary = "Training" if fresh.status == "InProgress" else ""
            change_job(tx, account, fresh, secondary=secondary, process=mark, started_at=self._now())
            return fresh.status == "InProgress"

    def _ending(self, job: Resource, files: JobFiles, code: int, stopped: str) -> Ending:
        failure, message = read_message(files, "failure"), read_message(files, "message")
        values: dict[str, Any] = {"exit_code": code, "exit_message": message}
        if job.kind == TRAINING:
            values["metrics"] = final_metrics(job, files, self._now())
        if not stopped and code == 0:
            collect(files, self._account, succeeded=True)
            return Ending("Completed", "Completed", values)
        if stopped:
            with contextlib.suppress(JobRefused):
                collect(files, self._account, succeeded=False)
            if stopped == _TIMEOUT:
                values["failure_reason"] = f"ClientError: the job ran longer than its limit of {_limit_s(job)} s"
                return Ending("Stopped", "MaxRuntimeExceeded", values)
            return Ending("Stopped", "Stopped", values)
        if job.kind == TRAINING:
            store_checkpoints(files, self._account)
        if code < 0:
            name = signal.Signals(-code).name
            hint = " (out of memory?)" if -code == signal.SIGKILL else ""
            return _failed(
                f"InternalServerError: the job's process was killed by {name}{hint}",
                exception_type=INTERNAL_ERROR,
                **values,
            )
        reason = failure or f"{last_line(files.log)} (log: {files.log})".lstrip()
        return _failed(f"AlgorithmError: {reason}, exit code: {code}", **values)

    def _finish(self, job: Resource, ending: Ending | None) -> None:
        account = self._account
        with account.store.write() as tx:
            fresh = tx.get(job.kind, job.name)
            if fresh is None:
                shutil.rmtree(self._files(job).folder, ignore_errors=True)
                return
            if ending is None and fresh.status == "InProgress":
                change_job(tx, account, fresh, secondary="Starting", process=None)
                return
            ending = ending or Ending("Stopped", "Stopped", {})
            change_job(
                tx,
                account,
                fresh,
                status=ending.status,
                secondary=ending.secondary,
                **{"ended_at": self._now(), "process": None, **ending.values},
            )

    def _files(self, job: Resource) -> JobFiles:
        return job_files(self._account, job)

    def _now(self) -> str:
        return time_text(self._account.clock())


def job_files(account: LocalAccount, job: Resource) -> JobFiles:
    """The folder of a job's record."""
    return JobFiles(job.kind, job.name, account.home / "jobs" / job.name, job.body["request"])


def _failed(reason: str, **values: Any) -> Ending:
    return Ending("Failed", "Failed", {"failure_reason": reason[:1024], **values})


def _limit_s(job: Resource) -> int:
    return int((job.body["request"].get("StoppingCondition") or {}).get("MaxRuntimeInSeconds", _DAY_S))


def _command(job: Resource, entrypoint: Sequence[str]) -> list[str]:
    request = job.body["request"]
    if job.kind == PROCESSING:
        given = request.get("AppSpecification") or {}
        return [*(given.get("ContainerEntrypoint") or entrypoint), *(given.get("ContainerArguments") or ())]
    given = request.get("AlgorithmSpecification") or {}
    if given.get("ContainerEntrypoint"):
        return [*given["ContainerEntrypoint"], *(given.get("ContainerArguments") or ())]
    return [*entrypoint, "train"]


def last_line(path: Path) -> str:
    """The last line with text in a log, for programs that end without saying why in ``output/failure``."""
    try:
        with path.open("rb") as handle:
            handle.seek(max(0, path.stat().st_size - _TAIL_BYTES))
            lines = [line for line in handle.read().decode(errors="replace").splitlines() if line.strip()]
    except OSError:
        return ""
    return lines[-1].strip()[:_LINE_CHARS] if lines else ""


def final_metrics(job: Resource, files: JobFiles, now: str) -> list[dict[str, Any]]:
    """Last value of each metric that the job's MetricDefinitions find in its log; what was not printed is absent."""
    definitions = (job.body["request"].get("AlgorithmSpecification") or {}).get("MetricDefinitions") or ()
    if not definitions or not files.log.is_file():
        return []
    text = files.log.read_text(errors="replace")
    found = []
    for one in definitions:
        value = None
        try:
            for match in re.finditer(one["Regex"], text, flags=re.MULTILINE):
                value = float(match.group(1))
        except (re.error, ValueError, IndexError) as error:
            log.warning("%s: metric %s cannot be read: %s", job.name, one["Name"], error)
            continue
        if value is not None and value - value == 0:  # finite
            found.append({"MetricName": one["Name"], "Value": value, "Timestamp": now})
    return found
