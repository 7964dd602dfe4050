"""What goes wrong around a step: faults of the service, killed workers, time limits, stops, a second try."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections import namedtuple

import psutil
import pytest
from pipeline_tools import (
    Pipelines,
    condition,
    definition,
    equals,
    make_pipelines,
    processing,
    token,
    training_request,
)

from overflight.account.local.engine import Engine, StepFault
from overflight.account.local.executions import job_name
from overflight.account.local.job_records import PROCESSING, change_job
from overflight.account.local.job_runner import JobRunner
from overflight.account.local.processes import ProcessMark, mark_of
from overflight.account.local.retries import next_retry

THROTTLED = {"ExceptionType": ["Step.THROTTLING"], "IntervalSeconds": 10, "BackoffRate": 2.0, "MaxAttempts": 2}
KILLED = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR"], "IntervalSeconds": 1, "MaxAttempts": 1}


@pytest.fixture
def pipelines(account, session, monkeypatch) -> Pipelines:
    return make_pipelines(account, session, monkeypatch)


class Faults:
    """Raises the given exception types one after the other, then nothing."""

    def __init__(self, *types: str) -> None:
        self.left = list(types)
        self.calls: list[tuple[str, int]] = []

    def __call__(self, step: str, attempt: int) -> None:
        self.calls.append((step, attempt))
        if self.left:
            kind = self.left.pop(0)
            raise StepFault(kind, "injected")


@pytest.mark.parametrize(
    ("types", "status", "attempts"),
    [
        pytest.param(["Step.THROTTLING"], "Succeeded", 2, id="one fault"),
        pytest.param(["Step.THROTTLING"] * 2, "Succeeded", 3, id="as many as allowed"),
        pytest.param(["Step.THROTTLING"] * 3, "Failed", 3, id="one too many"),
        pytest.param(["Step.SERVICE_FAULT"], "Failed", 1, id="a type that no policy names"),
    ],
)
def test_a_step_is_tried_again_as_its_policies_say(pipelines, clock, types, status, attempts):
    faults = Faults(*types)
    arn = pipelines.start(definition(processing("S", RetryPolicies=[THROTTLED])))
    pipelines.follow(faults=faults, each=lambda: clock.advance(seconds=5))
    assert pipelines.steps(arn) == {"S": status}
    assert faults.calls == [("S", number + 1) for number in range(attempts)]
    assert pipelines.listed(arn)["S"]["AttemptCount"] == attempts
    if status == "Failed":
        assert "injected" in pipelines.reason(arn)


def test_the_delays_grow(pipelines, clock):
    begin, tried = clock.now, []

    def faults(_step: str, _attempt: int) -> None:
        tried.append((clock.now - begin).total_seconds())
        raise StepFault("Step.THROTTLING", "injected")

    pipelines.start(definition(processing("S", RetryPolicies=[THROTTLED])))
    pipelines.follow(faults=faults, each=lambda: clock.advance(seconds=1))
    assert tried == [0, 10, 30]


@pytest.mark.parametrize(
    ("policy", "used", "elapsed_s", "delay_s"),
    [
        ({"MaxAttempts": 3, "IntervalSeconds": 2, "BackoffRate": 3.0}, 0, 0, 2.0),
        ({"MaxAttempts": 3, "IntervalSeconds": 2, "BackoffRate": 3.0}, 2, 0, 18.0),
        ({"MaxAttempts": 3}, 3, 0, None),
        ({}, 4, 0, 16.0),
        ({}, 5, 0, None),
        ({"ExpireAfterMin": 1, "IntervalSeconds": 10, "BackoffRate": 1.0}, 99, 49.0, 10.0),
        ({"ExpireAfterMin": 1, "IntervalSeconds": 10, "BackoffRate": 1.0}, 0, 51.0, None),
    ],
)
def test_arithmetic_of_retry_policies(policy, used, elapsed_s, delay_s):
    found = next_retry([{"ExceptionType": ["T"], **policy}], "T", used={0: used}, elapsed_s=elapsed_s)
    assert (found.delay_s if found else None) == delay_s
    assert next_retry([{"ExceptionType": ["T"], **policy}], "", used={}, elapsed_s=0) is None


ONCE = "f = pathlib.Path(os.environ['F']); first = not f.exists(); f.touch();"


def test_a_killed_worker_is_an_internal_error_and_can_be_tried_again(pipelines, clock, tmp_path):
    code = ONCE + "first and os.kill(os.getpid(), 9)"
    again = processing("Again", code, environment={"F": str(tmp_path / "a")}, RetryPolicies=[KILLED])
    never = processing("Never", code, environment={"F": str(tmp_path / "b")})
    arn = pipelines.start(definition(again, never))
    pipelines.follow(each=lambda: clock.advance(seconds=1))
    assert pipelines.steps(arn) == {"Again": "Succeeded", "Never": "Failed"}
    listed = pipelines.listed(arn)
    assert "killed by SIGKILL" in listed["Never"]["FailureReason"]
    assert listed["Again"]["AttemptCount"] == 2
    second = job_name(arn.rsplit("/", 1)[1], "Again", 2)
    assert listed["Again"]["Metadata"]["ProcessingJob"]["Arn"].endswith(f"/{second}")


def test_a_failing_program_is_not_tried_again(pipelines):
    arn = pipelines.run(definition(processing("S", "1/0", RetryPolicies=[KILLED])))
    assert "AlgorithmError: ZeroDivisionError: division by zero (log: " in pipelines.reason(arn)
    assert pipelines.listed(arn)["S"]["AttemptCount"] == 1
    assert pipelines.status(arn) == "Failed"


def test_a_job_over_its_time_gets_sigterm_then_sigkill(pipelines):
    polite = "import time, signal, sys; signal.signal(15, lambda *_: sys.exit(0)); time.sleep(60)"
    stubborn = "import time, signal; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": training_request(stubborn, pipelines.account.bucket, StoppingCondition={"MaxRuntimeInSeconds": 1}),
    }
    arn = pipelines.start(definition(processing("Polite", polite, limit_s=1), train))
    begin = time.monotonic()
    pipelines.follow(grace_s=0.5)
    assert time.monotonic() - begin < 20
    assert pipelines.steps(arn) == {"Polite": "Failed", "Train": "Failed"}
    listed = pipelines.listed(arn)
    assert "limit of 1 s" in listed["Train"]["FailureReason"]
    name = listed["Train"]["Metadata"]["TrainingJob"]["Arn"].rsplit("/", 1)[1]
    told = pipelines.client.describe_training_job(TrainingJobName=name)
    assert (told["TrainingJobStatus"], told["SecondaryStatus"]) == ("Stopped", "MaxRuntimeExceeded")


def test_a_stopped_execution_ends_its_jobs_and_starts_nothing_more(pipelines):
    child = "import subprocess, time; subprocess.Popen(['sleep', '60']); time.sleep(60)"
    arn = pipelines.start(definition(processing("Long", child), processing("Next", DependsOn=["Long"])))
    asked = []

    def stop_when_running() -> None:
        if pipelines.steps(arn) == {"Long": "Executing"} and not asked:
            asked.append(pipelines.client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token()))
            assert pipelines.status(arn) == "Stopping"

    pipelines.follow(each=stop_when_running, grace_s=5)
    assert pipelines.status(arn) == "Stopped"
    assert pipelines.steps(arn) == {"Long": "Stopped"}
    assert not _processes_of(pipelines)


def _processes_of(pipelines: Pipelines) -> list[psutil.Process]:
    found = []
    for one in psutil.process_iter():
        try:
            if one.environ().get("OVERFLIGHT_ML_ROOT", "").startswith(str(pipelines.account.home)):
                found.append(one)
        except (psutil.Error, OSError):
            continue
    return [one for one in found if one.status() != psutil.STATUS_ZOMBIE]


def test_a_failed_execution_goes_on_from_its_last_finished_step(pipelines, tmp_path):
    count = "f = pathlib.Path(os.environ['F']); f.open('a').write('x');"
    text = definition(
        processing("Good", count, environment={"F": str(tmp_path / "good")}),
        processing("Bad", ONCE + "first and 1/0", environment={"F": str(tmp_path / "bad")}, DependsOn=["Good"]),
        condition("Gate", [equals(1, 1)], then=[processing("End", DependsOn=["Bad"])]),
    )
    arn = pipelines.run(text)
    assert pipelines.steps(arn) == {"Good": "Succeeded", "Gate": "Succeeded", "Bad": "Failed"}
    pipelines.client.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token())
    assert pipelines.status(arn) == "Executing"
    pipelines.follow()
    assert pipelines.status(arn) == "Succeeded"
    assert pipelines.steps(arn) == dict.fromkeys(("Good", "Gate", "Bad", "End"), "Succeeded")
    assert (tmp_path / "good").read_text() == "x"
    assert pipelines.reason(arn) == ""


def test_a_stopped_execution_can_go_on(pipelines):
    arn = pipelines.start(definition(processing("A")))
    pipelines.client.stop_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token())
    pipelines.follow()
    assert (pipelines.status(arn), pipelines.steps(arn)) == ("Stopped", {})
    pipelines.client.retry_pipeline_execution(PipelineExecutionArn=arn, ClientRequestToken=token())
    pipelines.follow()
    assert pipelines.steps(arn) == {"A": "Succeeded"}


def test_a_full_disk_fails_the_job_with_the_figures_and_is_not_tried_again(pipelines, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _path: usage(10**9, 10**9 - 10**6, 10**6))
    every = {"ExceptionType": ["SageMaker.JOB_INTERNAL_ERROR", "Step.SERVICE_FAULT"], "MaxAttempts": 3}
    arn = pipelines.run(definition(processing("S", RetryPolicies=[every])))
    listed = pipelines.listed(arn)["S"]
    assert (listed["StepStatus"], listed["AttemptCount"]) == ("Failed", 1)
    assert "disk full" in listed["FailureReason"]
    assert "1 MB are free" in listed["FailureReason"]


def test_an_unexpected_error_fails_that_execution_and_no_other(pipelines, monkeypatch):
    broken, fine = pipelines.start(definition(processing("B"))), pipelines.start(definition(processing("F")))

    def faults(step: str, _attempt: int) -> None:
        if step == "B":
            raise RuntimeError("a bug")

    pipelines.follow(faults=faults)
    assert pipelines.status(broken) == "Failed"
    assert "RuntimeError: a bug" in pipelines.reason(broken)
    assert pipelines.status(fine) == "Succeeded"


def test_outputs_of_a_failed_job_are_not_stored(pipelines):
    code = "(ml/'processing/output/out/half.txt').write_text('x'); raise SystemExit(1)"
    arn = pipelines.run(definition(processing("S", code, outputs={"out": f"s3://{pipelines.account.bucket}/half"})))
    assert pipelines.status(arn) == "Failed"
    assert pipelines.keys("half") == {}


def test_training_goes_on_from_its_checkpoints(pipelines, tmp_path):
    code = (
        "c = ml/'checkpoints/n.txt'; n = int(c.read_text()) if c.exists() else 0; c.write_text(str(n + 1));"
        "n or os.kill(os.getpid(), 9); (ml/'model/n.txt').write_text(str(n + 1))"
    )
    checkpoints = {"S3Uri": f"s3://{pipelines.account.bucket}/checkpoints/t"}
    arguments = training_request(code, pipelines.account.bucket, CheckpointConfig=checkpoints)
    policy = {**KILLED, "IntervalSeconds": 0}
    arn = pipelines.run(
        definition({"Name": "T", "Type": "Training", "Arguments": arguments, "RetryPolicies": [policy]})
    )
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    assert pipelines.read("checkpoints/t/n.txt") == "2"


def test_a_job_that_was_killed_together_with_its_supervisor_is_run_again(pipelines):
    """What a dead supervisor leaves: a record that says the job runs, and the process of that record."""
    arn = pipelines.start(definition(processing("S")))
    Engine(pipelines.account).advance()
    stray = subprocess.Popen(["sleep", "60"], start_new_session=True)
    mark = mark_of(stray.pid)
    with pipelines.account.store.write() as tx:
        (job,) = tx.list(PROCESSING)
        values = {"process": {"pid": mark.pid, "created_s": mark.created_s}, "started_at": "2026-03-01T12:00:00+00:00"}
        change_job(tx, pipelines.account, job, secondary="Training", **values)
    folder = pipelines.account.home / "jobs" / job.name
    for name in ("opt/ml/output", "opt/ml/processing/output/out"):
        (folder / name).mkdir(parents=True)
        (folder / name / "half.txt").write_text("half")
    (folder / "log.txt").write_text("first attempt\n")
    assert JobRunner(pipelines.account, slots=1).recover() == 1
    assert mark.find() is None
    stray.wait(timeout=5)
    pipelines.follow()
    assert pipelines.status(arn) == "Succeeded"
    assert pipelines.listed(arn)["S"]["AttemptCount"] == 1
    left = [path.relative_to(folder).as_posix() for path in folder.rglob("half.txt")]
    assert left == ["earlier/1/ml/output/half.txt"]
    assert (folder / "log.txt").read_text() == "first attempt\n"


def test_another_process_with_the_same_number_is_left_alone():
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert ProcessMark(other.pid, mark_of(other.pid).created_s - 100).find() is None
        assert mark_of(other.pid).find() is not None
    finally:
        other.kill()
        other.wait()
