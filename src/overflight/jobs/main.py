"""``overflight-job NAME``: the entry point of every job container.

Sets up logging on stdout (SageMaker and the local account keep it), imports the one job that is asked for and runs it
under the container contract. Knows the names of the jobs, not what they do.
"""

from __future__ import annotations

import importlib
import logging
import signal
import sys
from collections.abc import Mapping, Sequence
from types import FrameType

from overflight.errors import OverflightError, UsageError
from overflight.jobs.contract import run_job
from overflight.logs import set_up

JOBS: Mapping[str, str] = {
    "validate": "overflight.jobs.validate",
    "prepare": "overflight.jobs.prepare",
    "train": "overflight.jobs.train",
    "evaluate": "overflight.jobs.evaluate",
    "deploy": "overflight.jobs.deploy",
}

log = logging.getLogger(__name__)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the job named by the only argument; returns the exit code."""
    set_up("INFO", stream=sys.stdout)
    try:
        name = job_name(sys.argv[1:] if arguments is None else arguments)
    except OverflightError as error:
        log.error("%s", error)
        return error.exit_code
    signal.signal(signal.SIGTERM, _stop)
    job = importlib.import_module(JOBS[name])
    return run_job(job.run)


def job_name(arguments: Sequence[str]) -> str:
    """The name in ``arguments``.

    Raises:
        UsageError: not exactly one known name.
    """
    names = ", ".join(JOBS)
    if len(arguments) != 1:
        raise UsageError(f"exactly one job name is needed, got {len(arguments)}", cure=f"Give one of: {names}")
    if arguments[0] not in JOBS:
        raise UsageError("no such job", where=arguments[0], cure=f"Give one of: {names}")
    return arguments[0]


def _stop(number: int, _frame: FrameType | None) -> None:
    """A stop request (``docker stop``, StopTrainingJob) unwinds the job so that it can close what it opened."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    sys.exit(main())
