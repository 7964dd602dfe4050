"""Executes pipeline definitions: a state machine whose whole state is in the store.

:meth:`Engine.advance` does everything that can be done now and returns; nothing is remembered between two calls that
the store does not hold, so a supervisor that was killed is replaced by the next one. Jobs are created as records here
and run by the job runner. Knows nothing of processes. Source of the semantics: SageMaker developer guide,
"Pipelines".
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from overflight.account.local import step_cache, tuning
from overflight.account.local.executions import (
    ACTIVE,
    DEFINITION,
    EXECUTION,
    OPEN,
    WAITING,
    change_execution,
    change_step,
    moment,
    steps_of,
)
from overflight.account.local.graph import Step, final_status, plan, read_steps
from overflight.account.local.job_records import request_stop
from overflight.account.local.retries import RETRIED_STEP_TYPES, exception_type_of, next_retry
from overflight.account.local.step_actions import (
    INSTANT,
    Run,
    StepResult,
    describe,
    reason_of,
    record_calls,
    resolve,
    since_s,
    start_job,
)
from overflight.account.local.store import Resource, Transaction, time_text
from overflight.account.local.wire import AwsError
from overflight.errors import OverflightError

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

log = logging.getLogger(__name__)

_JOB_DONE = frozenset({"Completed", "Failed", "Stopped"})


class StepFault(Exception):  # noqa: N818  # a fault of the service, not of this program
    """A fault of the service while a step is started, with one of the exception types that retry policies name."""

    def __init__(self, exception_type: str, message: str) -> None:
        super().__init__(message)
        self.exception_type = exception_type


Faults = Callable[[str, int], None]
"""Called with step name and attempt before a step starts; raises :class:`StepFault` to inject one (tests)."""


def no_faults(_step: str, _attempt: int) -> None:
    """Nothing goes wrong on its own."""


class Engine:
    """Advances all executions of one account.

    Args:
        account: The account.
        slots: How many job steps of one execution run at once, at most.
        faults: Injects faults of the service.
    """

    def __init__(self, account: LocalAccount, *, slots: int = 2, faults: Faults = no_faults) -> None:
        self._account = account
        self._slots = slots
        self._faults = faults
        self._graphs: dict[str, dict[str, Step]] = {}
        self.next_due: datetime | None = None

    def advance(self) -> bool:
        """Do what can be done now; True while any execution is open. ``next_due`` is set to the next retry's time."""
        self.next_due = None
        with self._account.store.read() as tx:
            open_ones = [one.name for one in tx.list(EXECUTION, statuses=OPEN)]
        self._graphs = {name: graph for name, graph in self._graphs.items() if name in open_ones}
        for name in open_ones:
            try:
                with self._account.store.write() as tx:
                    self._advance_one(tx, name)
            except Exception as error:  # one broken execution must not stop the others
                log.exception("execution %s: unexpected error", name)
                self._give_up(name, error)
        return bool(open_ones)

    def _give_up(self, name: str, error: Exception) -> None:
        reason = str(error) if isinstance(error, OverflightError) else f"{type(error).__name__}: {error}"
        with self._account.store.write() as tx:
            execution = tx.get(EXECUTION, name)
            if execution is None or execution.status not in OPEN:
                return
            for step, record in steps_of(tx, name).items():
                if record.status in ACTIVE:
                    self._stop_job(tx, record)
                    change_step(tx, self._account, execution, step, status="Stopped", ended_at=self._now())
            reason = f"InternalServerError: {reason}"[:1024]
            change_execution(tx, self._account, execution, status="Failed", failure_reason=reason)

    def _advance_one(self, tx: Transaction, name: str) -> None:
        execution = tx.get(EXECUTION, name)
        if execution is None or execution.status not in OPEN:
            return
        run = Run(tx, self._account, execution=execution, steps=self._graph(tx, name), records=steps_of(tx, name))
        for step, record in list(run.records.items()):
            if record.status in ACTIVE:
                self._poll(run, step, record)
        if execution.status == "Stopping":
            self._stop(run)
            return
        while self._start_ready(run):
            pass
        self._finish(run)

    def _graph(self, tx: Transaction, name: str) -> dict[str, Step]:
        if name not in self._graphs:
            kept = tx.get(DEFINITION, name)
            self._graphs[name] = read_steps(json.loads(kept.body["definition"] if kept else "{}"))
        return self._graphs[name]

    # -- steps that run ------------------------------------------------------------------------------------------

    def _poll(self, run: Run, name: str, record: Resource) -> None:
        if record.body.get("retry_at"):
            if run.execution.status == "Executing":
                self._retry_when_due(run, name, record)
            return
        job = run.tx.get(record.body["job_kind"], record.body["job_name"])
        if job is None:
            self._failed(run, name, "ClientError: the step's job was deleted", "")
        elif job.status not in _JOB_DONE:
            if record.status == "Starting" and job.body.get("started_at"):
                self._change(run, name, "Executing")
        elif job.status == "Completed":
            self._succeeded(run, name, describe(run.tx, job))
        elif job.status == "Failed":
            reason = job.body.get("failure_reason") or "the job failed"
            self._failed(run, name, reason, job.body.get("exception_type", ""))
        elif job.body.get("failure_reason"):  # stopped by its time limit
            self._failed(run, name, job.body["failure_reason"], "")
        else:
            self._change(run, name, "Stopped", ended_at=self._now(), failure_reason="The step's job was stopped.")

    def _retry_when_due(self, run: Run, name: str, record: Resource) -> None:
        due = moment(record.body["retry_at"])
        if due is not None and due > self._account.clock():
            self.next_due = due if self.next_due is None else min(due, self.next_due)
            return
        self._start(run, run.steps[name])

    def _succeeded(self, run: Run, name: str, answer: dict[str, Any]) -> None:
        record = self._change(run, name, "Succeeded", ended_at=self._now(), answer=answer)
        key = record.body.get("cache_key")
        if key:
            step_cache.remember(run.tx, self._account, key, step=record.body, execution_arn=run.execution.body["arn"])

    def _failed(self, run: Run, name: str, reason: str, exception_type: str, **values: Any) -> None:
        step, body = run.steps[name], run.records[name].body
        now = self._account.clock()
        used = {int(key): value for key, value in (body.get("retries") or {}).items()}
        policies = step.document.get("RetryPolicies") or () if step.type in RETRIED_STEP_TYPES else ()
        retry = next_retry(policies, exception_type, used=used, elapsed_s=since_s(body.get("first_started_at"), now))
        if retry is not None and run.execution.status == "Executing":
            used[retry.policy] = used.get(retry.policy, 0) + 1
            due = now + timedelta(seconds=retry.delay_s)
            log.info("step %s: %s; again in %.1f s", name, reason, retry.delay_s)
            self._change(
                run,
                name,
                "Starting",
                retry_at=time_text(due),
                retries={str(k): v for k, v in used.items()},
                failure_reason=reason[:1024],
            )
            self.next_due = due if self.next_due is None else min(due, self.next_due)
            return
        self._change(run, name, "Failed", ended_at=self._now(), failure_reason=reason[:1024], retry_at=None, **values)

    # -- steps that start ----------------------------------------------------------------------------------------

    def _start_ready(self, run: Run) -> bool:
        """Start what may start; True when a step ended at once, so that others may have become ready."""
        ready = plan(run.steps, _statuses(run), _outcomes(run)).ready
        ended = False
        for name in ready:
            step = run.steps[name]
            if step.type not in INSTANT and self._active(run) >= self._limit(run):
                continue
            self._start(run, step)
            ended |= run.records[name].status not in ACTIVE
        return ended

    def _active(self, run: Run) -> int:
        return sum(record.status in ACTIVE for record in run.records.values())

    def _limit(self, run: Run) -> int:
        return min(int(run.execution.body.get("max_parallel") or self._slots), self._slots)

    def _start(self, run: Run, step: Step) -> None:
        before = run.records.get(step.name)
        attempt = (before.body.get("attempts", 0) if before else 0) + 1
        first = (before.body.get("first_started_at") if before else None) or self._now()
        started = (before.body.get("started_at") if before else None) or self._now()
        base = {
            "type": step.type,
            "attempts": attempt,
            "first_started_at": first,
            "started_at": started,
            "retry_at": None,
            "failure_reason": None,
            "display_name": step.document.get("DisplayName"),
            "description": step.document.get("Description"),
        }
        self._change(run, step.name, "Starting", **base)
        try:
            try:
                with _savepoint(run.tx):
                    self._faults(step.name, attempt)
                    result = self._act(run, step, attempt)
            finally:  # beside the savepoint: refused calls stay in the trail
                record_calls(run)
        except StepFault as error:
            self._failed(run, step.name, f"{error.exception_type}: {error}", error.exception_type)
            return
        except (OverflightError, AwsError) as error:
            code = error.code if isinstance(error, AwsError) else ""
            self._failed(run, step.name, reason_of(error), exception_type_of(code))
            return
        values = dict(result.values)
        if result.status not in ACTIVE:
            values["ended_at"] = self._now()
        self._change(run, step.name, result.status, **values)

    def _act(self, run: Run, step: Step, attempt: int) -> StepResult:
        if step.type in INSTANT:
            return INSTANT[step.type](run, step)
        request, name = resolve(run, step, attempt)
        config = step.document.get("CacheConfig") or {}
        if not config.get("Enabled") or step.type not in step_cache.CACHED_STEP_TYPES:
            return start_job(run, step, request, name)
        key = step_cache.cache_key(self._account, step.type, request)
        hit = step_cache.find(run.tx, self._account, key, config)
        if hit is not None:
            values = {
                "answer": hit.body["answer"],
                "metadata": hit.body["metadata"],
                "attempts": 0,
                "cache_source": hit.body["execution_arn"],
                "cache_key": None,
            }
            return StepResult("Succeeded", values)
        result = start_job(run, step, request, name)
        return StepResult(result.status, {**result.values, "cache_key": key})

    # -- ends ----------------------------------------------------------------------------------------------------

    def _stop(self, run: Run) -> None:
        for name, record in list(run.records.items()):
            if record.status not in ACTIVE:
                continue
            if record.body.get("retry_at") or not self._stop_job(run.tx, record):
                self._change(run, name, "Stopped", ended_at=self._now(), retry_at=None)
            elif record.status != "Stopping":
                self._change(run, name, "Stopping")
        if not self._active(run):
            change_execution(run.tx, self._account, run.execution, status="Stopped")

    def _stop_job(self, tx: Transaction, record: Resource) -> bool:
        """Ask a step's job to stop; True while it has not ended yet."""
        kind, name = record.body.get("job_kind"), record.body.get("job_name")
        job = tx.get(kind, name) if kind and name else None
        if job is None:
            return False
        stop = tuning.request_stop if job.kind == tuning.KIND else request_stop
        return stop(tx, self._account, job).status not in _JOB_DONE

    def _finish(self, run: Run) -> None:
        statuses = _statuses(run)
        now_planned = plan(run.steps, statuses, _outcomes(run))
        if now_planned.ready or self._active(run) or not now_planned.is_done(run.steps, statuses):
            return
        status = final_status(run.steps, statuses)
        reason = ""
        if status != "Succeeded":
            bad = next(name for name, word in statuses.items() if word in {"Failed", "Stopped"})
            why = run.records[bad].body.get("failure_reason") or statuses[bad]
            reason = f"Step failure: One or multiple steps failed. {bad}: {why}"[:1024]
        change_execution(run.tx, self._account, run.execution, status=status, failure_reason=reason)

    def _change(self, run: Run, name: str, status: str, **values: Any) -> Resource:
        record = change_step(run.tx, self._account, run.execution, name, status=status, **values)
        run.records[name] = record
        return record

    def _now(self) -> str:
        return time_text(self._account.clock())


def _statuses(run: Run) -> dict[str, str]:
    return {name: record.status for name, record in run.records.items() if record.status != WAITING}


def _outcomes(run: Run) -> dict[str, str]:
    return {
        name: record.body["outcome"]
        for name, record in run.records.items()
        if record.status == "Succeeded" and record.body.get("outcome")
    }


@contextmanager
def _savepoint(tx: Transaction) -> Iterator[None]:
    """Undo what a step wrote when it fails half way, and keep the rest of the transaction."""
    tx.connection.exec_driver_sql("SAVEPOINT step")
    try:
        yield
    except BaseException:
        tx.connection.exec_driver_sql("ROLLBACK TO step")
        tx.connection.exec_driver_sql("RELEASE step")
        raise
    tx.connection.exec_driver_sql("RELEASE step")
