"""Processes of jobs: start one in its own session, end it politely and then for good, find those left behind.

Knows commands, environments and signals; nothing of AWS, stores or what the programs do.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

ML_ROOT_VARIABLE = "OVERFLIGHT_ML_ROOT"
_HOST_VARIABLES = (
    "HOME",
    "LANG",
    "LC_ALL",
    "TMPDIR",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "SSL_CERT_FILE",
)


def job_environment(given: Mapping[str, str], root: Path) -> dict[str, str]:
    """The environment of a job: a minimal host environment, what the request sets, and the folder it works in.

    ``PATH`` starts with the folder of the running interpreter, so that ``python`` and our own programs are this
    installation's.
    """
    environment = {name: os.environ[name] for name in _HOST_VARIABLES if name in os.environ}
    folder = str(Path(sys.executable).parent)
    environment["PATH"] = os.pathsep.join([folder, os.environ.get("PATH", os.defpath)])
    environment["PYTHONUNBUFFERED"] = "1"
    environment |= given
    environment[ML_ROOT_VARIABLE] = str(root)
    return environment


@dataclass(frozen=True)
class ProcessMark:
    """What identifies a process beyond the reuse of its number: pid and time of creation (s since the epoch)."""

    pid: int
    created_s: float

    def find(self) -> psutil.Process | None:
        """The process, while it is this one and not a later one with the same number."""
        try:
            process = psutil.Process(self.pid)
            if abs(process.create_time() - self.created_s) < 1.0 and process.status() != psutil.STATUS_ZOMBIE:
                return process
        except psutil.Error:
            return None
        return None


def mark_of(pid: int) -> ProcessMark:
    """The mark of a running process; creation time 0 when it has ended already."""
    try:
        return ProcessMark(pid, psutil.Process(pid).create_time())
    except psutil.Error:
        return ProcessMark(pid, 0.0)


class JobProcess:
    """One running job: a process in its own session whose output goes to a file.

    Args:
        command: Program and arguments.
        environment: The complete environment.
        folder: Working directory.
        log: File that receives standard output and error.

    Raises:
        OSError: the program cannot be started.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], *, folder: Path, log: Path) -> None:
        self.stopped_because = ""
        self._lock = threading.Lock()
        self._killer: threading.Timer | None = None
        with log.open("ab") as handle:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.mark = mark_of(self._process.pid)

    def stop(self, reason: str, *, grace_s: float) -> None:
        """Ask the job to end (SIGTERM to its whole session) and kill it ``grace_s`` later; the first reason counts."""
        with self._lock:
            if self.stopped_because or self._process.returncode is not None:
                return
            self.stopped_because = reason
            _signal_group(self._process.pid, signal.SIGTERM)
            self._killer = threading.Timer(grace_s, _signal_group, (self._process.pid, signal.SIGKILL))
            self._killer.daemon = True
            self._killer.start()

    def wait(self) -> int:
        """Block until the job has ended; returns its exit code, or minus the signal that ended it.

        Whatever it left running in its session is killed.
        """
        code = self._process.wait()
        with self._lock:
            if self._killer is not None:
                self._killer.cancel()
        _signal_group(self._process.pid, signal.SIGKILL)
        return code


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):  # nobody is left (macOS: only zombies are left)
        return


def find_leftovers(jobs_folder: Path, known: Iterable[ProcessMark] = ()) -> list[psutil.Process]:
    """Processes of jobs below ``jobs_folder`` that still run, by the given marks and by their environment.

    The environment finds what the marks cannot: a process that was started just before the mark was to be written, and
    children whose parent is gone.
    """
    found = {process.pid: process for mark in known if (process := mark.find())}
    prefix = str(jobs_folder) + os.sep
    for process in psutil.process_iter():
        try:
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get(ML_ROOT_VARIABLE, "").startswith(prefix):
                found[process.pid] = process
        except (psutil.Error, OSError):  # not ours to read, or gone
            continue
    return list(found.values())


def end_processes(processes: Iterable[psutil.Process], *, grace_s: float) -> int:
    """SIGTERM, then SIGKILL to those that still run after ``grace_s``; returns how many there were."""
    listed = list(processes)
    for process in listed:
        _quietly(process.terminate)
    _, alive = psutil.wait_procs(listed, timeout=grace_s)
    for process in alive:
        _quietly(process.kill)
    psutil.wait_procs(alive, timeout=grace_s)
    return len(listed)


def _quietly(action: Callable[[], None]) -> None:
    try:
        action()
    except psutil.NoSuchProcess:
        return
