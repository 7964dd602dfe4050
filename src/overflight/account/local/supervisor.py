"""The one process per account folder that does what must go on after a command has returned.

Follows the store: executions, tuning jobs, jobs and endpoints. Nobody talks to it; commands make AWS calls that
change the store. It remembers nothing, so it may be killed at any moment: the next one ends what was left running and
goes on. It ends by itself when there has been nothing to do for a while. Run as ``python -m
overflight.account.local.supervisor --home ...``.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import json
import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING

import psutil

from overflight import logs
from overflight.account.local import endpoints, tuning
from overflight.account.local.engine import Engine
from overflight.account.local.executions import EXECUTION, OPEN, change_execution
from overflight.account.local.job_records import KINDS, request_stop
from overflight.account.local.job_runner import JobRunner
from overflight.account.local.processes import ProcessMark, end_processes, find_leftovers, mark_of
from overflight.errors import OverflightError
from overflight.files import write_json
from overflight.settings import load_settings

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

_MODULE = "overflight.account.local.supervisor"
log = logging.getLogger(_MODULE)  # its own name also when it runs as a program
_LOCK, _FACTS, _LOG = "supervisor.lock", "supervisor.json", "supervisor.log"
_FAST_S, _SLOW_S, _HEARTBEAT_S, _SOON_S = 0.02, 0.25, 1.0, 0.05
_LOG_LIMIT_BYTES = 5_000_000
_FAILURES_LIMIT = 30  # it then ends with the traceback in its log; the next command starts another


@dataclass(frozen=True)
class SupervisorStatus:
    """Whether a supervisor runs for an account folder, and since when (aware, UTC)."""

    running: bool
    pid: int | None
    started_at: datetime | None
    log: Path


@dataclass(frozen=True)
class SupervisorOptions:
    """How a supervisor works.

    Attributes:
        slots: Jobs at once; by default one per core.
        grace_s: Time a job has between SIGTERM and SIGKILL.
        idle_s: It ends after so long without work and endpoints.
    """

    slots: int
    grace_s: float = 30.0
    idle_s: float = 600.0


# -- seen from commands --------------------------------------------------------------------------------------------


def ensure_supervisor(account: LocalAccount) -> None:
    """Start a supervisor unless one runs.

    The lock that makes it the only one is taken here and handed over open, so there is no moment in which a second one
    could start, or in which none feels responsible.
    """
    with _try_lock(account.home) as lock:
        if lock is None:
            return
        log_path = account.home / _LOG
        if log_path.exists() and log_path.stat().st_size > _LOG_LIMIT_BYTES:
            log_path.replace(log_path.with_suffix(".log.1"))
        command = [sys.executable, "-m", _MODULE, "--home", str(account.home), "--region", account.region]
        command += ["--account-id", account.account_id, "--environment", account.environment]
        command += ["--lock", str(lock.fileno())]
        command += ["--trail-keys", str(account.trail_keys.parent)] if account.trail_keys else []
        with log_path.open("ab") as handle:
            process = subprocess.Popen(
                command,
                cwd=account.home,
                stdin=subprocess.DEVNULL,
                stdout=handle,
                stderr=handle,
                start_new_session=True,
                pass_fds=(lock.fileno(),),
            )
        _write_facts(account.home, process.pid, started=account.clock())
    # Collects the exit status when the supervisor ends before this program does.
    threading.Thread(target=process.wait, name="supervisor-reaper", daemon=True).start()


def supervisor_status(account: LocalAccount) -> SupervisorStatus:
    """Whether a supervisor runs now."""
    facts, log_path = _read_facts(account.home), account.home / _LOG
    if facts is None or facts[0].find() is None:
        return SupervisorStatus(running=False, pid=None, started_at=None, log=log_path)
    return SupervisorStatus(running=True, pid=facts[0].pid, started_at=facts[1], log=log_path)


def _running(home: Path) -> ProcessMark | None:
    facts = _read_facts(home)
    return facts[0] if facts is not None and facts[0].find() is not None else None


def _signal(mark: ProcessMark, number: signal.Signals) -> None:
    process = mark.find()
    if process is not None:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def _read_facts(home: Path) -> tuple[ProcessMark, datetime] | None:
    try:
        facts = json.loads((home / _FACTS).read_text())
        mark = ProcessMark(int(facts["pid"]), float(facts["created_s"]))
        return mark, datetime.fromisoformat(facts["started"])
    except (OSError, ValueError, KeyError):
        return None


def _write_facts(home: Path, pid: int, *, started: datetime) -> None:
    facts = {"pid": pid, "created_s": mark_of(pid).created_s, "started": started.isoformat()}
    write_json(home / _FACTS, facts)


def stop_supervisor(account: LocalAccount, *, timeout_s: float = 60.0, stop_work: bool = True) -> bool:
    """End the supervisor and everything that it has started; returns whether one was running.

    Args:
        account: The account.
        timeout_s: After so long it is killed.
        stop_work: Mark executions and jobs as stopping first, so that they do not go on with the next supervisor.
            Otherwise they stay open and resume.
    """
    deadline = time.monotonic() + timeout_s
    if stop_work:
        mark_everything_stopping(account)
    mark = _running(account.home)
    if mark is not None:
        if stop_work:
            _wait(lambda: not _open_work(account), min(deadline, time.monotonic() + timeout_s * 0.7))
        _signal(mark, signal.SIGTERM)
        if not _wait(lambda: mark.find() is None, deadline):
            _signal(mark, signal.SIGKILL)
            _wait(lambda: mark.find() is None, time.monotonic() + 5)
    end_processes(find_leftovers(account.home / "jobs"), grace_s=5.0)
    with _try_lock(account.home) as free:
        if free is not None:  # a supervisor that was killed has left its servers running: end them here
            endpoints.stop_all(account, grace_s=5.0)
    if stop_work and _open_work(account):
        with _try_lock(account.home) as free:
            if free is not None:  # nobody is there to finish it: do it here
                _settle(account)
        if _open_work(account):  # started by another program meanwhile
            ensure_supervisor(account)
    return mark is not None


def mark_everything_stopping(account: LocalAccount) -> None:
    """Ask all executions, tuning jobs and jobs to stop."""
    with account.store.write() as tx:
        for execution in tx.list(EXECUTION, statuses=("Executing",)):
            change_execution(tx, account, execution, status="Stopping")
        for job in tx.list(tuning.KIND, statuses=("InProgress",)):
            tuning.request_stop(tx, account, job)
        for kind in KINDS:
            for job in tx.list(kind, statuses=("InProgress",)):
                request_stop(tx, account, job)


def _open_work(account: LocalAccount) -> bool:
    with account.store.read() as tx:
        return bool(
            tx.list(EXECUTION, statuses=OPEN)
            or any(tx.list(kind, statuses=("InProgress", "Stopping")) for kind in (*KINDS, tuning.KIND))
        )


def _settle(account: LocalAccount) -> None:
    """Finish what is marked as stopping when no process is left to wait for."""
    runner = JobRunner(account, slots=0)
    runner.recover()
    runner.advance()
    tuning.advance(account)
    Engine(account).advance()


def _wait(done: Callable[[], bool], deadline: float) -> bool:
    while not done():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.03)
    return True


@contextlib.contextmanager
def _try_lock(home: Path) -> Iterator[IO[bytes] | None]:
    """The lock of the folder's only supervisor, held inside the block; None when another process holds it."""
    with (home / _LOCK).open("ab") as handle:  # never unlocked by name: closing the last copy of the handle does it
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield None
            return
        yield handle


# -- the process itself --------------------------------------------------------------------------------------------


class Supervisor:
    """The main loop.

    Args:
        account: The account.
        options: How it works.
    """

    def __init__(self, account: LocalAccount, options: SupervisorOptions) -> None:
        self._account = account
        self._options = options
        self._wake = threading.Event()
        self._stopping = False
        self._soon = False  # an endpoint is on its way: look again soon, although the store says nothing new
        self._failures = 0
        self._engine = Engine(account, slots=options.slots)
        self._runner = JobRunner(account, slots=options.slots, grace_s=options.grace_s, wake=self._wake)

    def stop(self) -> None:
        """Leave the loop within a quarter of a second; safe in a signal handler, because it takes no lock."""
        self._stopping = True

    def run(self) -> bool:
        """Follow the store until told to stop or idle for long; then end all processes. True when told."""
        self._runner.recover()
        idle_since, quiet_s = time.monotonic(), _FAST_S
        version, last = -1, 0.0
        try:
            while not self._stopping:
                woken = self._wake.wait(quiet_s)
                self._wake.clear()
                newest = self._account.store.data_version()
                if not (woken or newest != version or self._is_due(last)):
                    quiet_s = min(quiet_s * 1.2, _SLOW_S)
                    continue
                if woken or newest != version or self._soon:
                    quiet_s = _FAST_S
                version, last = newest, time.monotonic()
                if not (self._account.home / _LOCK).exists():
                    log.warning("%s is gone: the supervisor ends", self._account.home)
                    return True
                if self._advance():
                    idle_since = time.monotonic()
                elif time.monotonic() - idle_since > self._options.idle_s:
                    log.info("nothing to do for %.0f s: the supervisor ends", self._options.idle_s)
                    return False
            return True
        finally:
            self._runner.shutdown()
            endpoints.stop_all(self._account)

    def _is_due(self, last: float) -> bool:
        due = self._engine.next_due
        beat_s = _SOON_S if self._soon else _HEARTBEAT_S
        return time.monotonic() - last >= beat_s or (due is not None and due <= self._account.clock())

    def _advance(self) -> bool:
        """One round of everything; an error in one part is logged and the others go on. True while there is work."""
        busy = failed = False
        for part in (self._engine.advance, self._advance_tuning, self._runner.advance, self._advance_endpoints):
            try:
                busy |= part()
            except Exception:  # it must go on: the next round tries again
                self._failures += 1
                if self._failures >= _FAILURES_LIMIT:
                    raise
                log.exception("unexpected error %d of at most %d in a row", self._failures, _FAILURES_LIMIT)
                busy = failed = True
        if not failed:
            self._failures = 0
        return busy

    def _advance_tuning(self) -> bool:
        return tuning.advance(self._account)

    def _advance_endpoints(self) -> bool:
        self._soon = endpoints.advance(self._account)
        with self._account.store.read() as tx:
            return self._soon or bool(tx.list("endpoint"))


def main(arguments: Sequence[str] | None = None) -> int:
    """The program: exit code 0, also when another supervisor holds the folder already."""
    from overflight.account.session import local_account

    parser = argparse.ArgumentParser(prog="overflight-supervisor", description=__doc__)
    parser.add_argument("--home", type=Path, required=True)
    parser.add_argument("--region", required=True)
    parser.add_argument("--account-id", required=True)
    parser.add_argument("--environment", default="dev")
    parser.add_argument("--trail-keys", type=Path, help="folder of the trail's keys and checkpoints")
    parser.add_argument("--lock", type=int, help="open file that holds the lock already")
    parser.add_argument("--slots", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--grace-s", type=float, default=SupervisorOptions.grace_s)
    parser.add_argument("--idle-s", type=float, default=SupervisorOptions.idle_s)
    given = parser.parse_args(arguments)
    logs.set_up("INFO")
    options = SupervisorOptions(slots=given.slots, grace_s=given.grace_s, idle_s=given.idle_s)
    lock = None if given.lock is None else os.fdopen(given.lock, "ab")
    try:
        settings = load_settings(
            home=given.home,
            region=given.region,
            account_id=given.account_id,
            environment=given.environment,
            platform="local",
            role="administrator",
            trail_keys=given.trail_keys,
        )
        account = local_account(settings)
        while _serve_once(account, options, lock):
            lock = None
    except OverflightError as error:
        log.error("%s", error)
        return error.exit_code
    except Exception:
        log.exception("the supervisor ended unexpectedly")
        return 1
    account.close()
    return 0


def _serve_once(account: LocalAccount, options: SupervisorOptions, lock: IO[bytes] | None) -> bool:
    """Be the folder's supervisor until told to stop or idle; True when work came in the moment it gave up the lock."""
    with contextlib.ExitStack() as stack:
        if lock is None:
            lock = stack.enter_context(_try_lock(account.home))
        else:
            stack.enter_context(lock)
            os.set_inheritable(lock.fileno(), False)  # jobs and servers must not keep it open
        if lock is None:
            log.info("another supervisor follows %s", account.home)
            return False
        supervisor = Supervisor(account, options)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: supervisor.stop())
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        _write_facts(account.home, os.getpid(), started=account.clock())
        log.info("supervisor %d follows %s with %d slots", os.getpid(), account.home, options.slots)
        try:
            log.info("swept %.1f MB that nothing needs any more", account.objects.sweep() / 1e6)
            told_to_stop = supervisor.run()
        finally:
            (account.home / _FACTS).unlink(missing_ok=True)
            log.info("supervisor %d ended", os.getpid())
    # Whoever committed work before the lock was free has seen it taken and relies on us.
    return not told_to_stop and _open_work(account)


if __name__ == "__main__":
    sys.exit(main())
