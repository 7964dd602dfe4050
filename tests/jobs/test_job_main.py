"""The entry point of the containers: which job runs, and how it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from overflight.errors import UsageError
from overflight.jobs.main import JOBS, job_name

PROGRAM = Path(sys.executable).with_name("overflight-job")


@pytest.mark.parametrize("name", JOBS)
def test_every_job_is_known_by_its_name(name):
    assert job_name([name]) == name


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ([], "exactly one job name is needed, got 0"),
        (["train", "evaluate"], "exactly one job name is needed, got 2"),
        (["tidy"], "tidy: no such job"),
    ],
    ids=["none", "two", "unknown"],
)
def test_other_arguments_are_refused_with_the_list_of_names(arguments, what):
    with pytest.raises(UsageError, match=what) as caught:
        job_name(arguments)
    assert caught.value.cure == "Give one of: validate, prepare, train, evaluate, deploy"


def test_the_program_ends_with_the_exit_code_of_the_error(tmp_path):
    done = subprocess.run(
        [PROGRAM, "tidy"], capture_output=True, text=True, check=False, env={"OVERFLIGHT_ML_ROOT": str(tmp_path)}
    )
    assert (done.returncode, done.stderr) == (2, "")
    assert "tidy: no such job. Give one of: validate, prepare, train, evaluate, deploy" in done.stdout
    assert list(tmp_path.iterdir()) == []


STOPPED = """
import sys, time, types
from overflight.jobs import main
job = types.ModuleType("job")
def run(folders, environ):
    try:
        print("at work", flush=True)
        time.sleep(60)
    finally:
        print("closed", flush=True)
job.run = run
sys.modules["overflight.jobs.evaluate"] = job
sys.exit(main.main(["evaluate"]))
"""


def test_a_stop_request_lets_the_job_close_what_it_opened(tmp_path):
    environ = {**os.environ, "OVERFLIGHT_ML_ROOT": str(tmp_path)}
    with subprocess.Popen([sys.executable, "-c", STOPPED], stdout=subprocess.PIPE, text=True, env=environ) as job:
        assert job.stdout is not None
        assert job.stdout.readline() == "at work\n"
        job.send_signal(signal.SIGTERM)
        assert job.stdout.read() == "closed\n"
    assert job.returncode == 128 + signal.SIGTERM
