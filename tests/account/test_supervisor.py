"""The supervisor as a process: one per folder, killed at any moment, stopped without leftovers."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
from pipeline_tools import Pipelines, definition, processing, training_request

from overflight.account.local import supervisor
from overflight.account.local.login import local_session
from overflight.account.local.processes import find_leftovers
from overflight.account.local.supervisor import ensure_supervisor, stop_supervisor, supervisor_status
from overflight.account.session import local_account


@pytest.fixture
def pipelines(settings) -> Iterator[Pipelines]:
    """A real clock, and every call may start the real supervisor."""
    account = local_account(settings)
    yield Pipelines(account, local_session(account, role="administrator", user="ada").client("sagemaker"))
    stop_supervisor(account, timeout_s=15)
    assert supervisors_of(account) == []
    assert find_leftovers(account.home / "jobs") == []
    account.close()


def supervisors_of(account) -> list[int]:
    found = []
    for one in psutil.process_iter():
        try:
            if str(account.home) in one.cmdline() and one.status() != psutil.STATUS_ZOMBIE:
                found.append(one.pid)
        except psutil.Error:
            continue
    return found


def wait_until(done: Callable[[], bool], timeout_s: float = 40.0) -> None:
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "did not happen"
        time.sleep(0.02)


def ended(pipelines: Pipelines, arn: str) -> bool:
    """As a command sees it: by looking, which also brings a killed supervisor back."""
    told = pipelines.client.describe_pipeline_execution(PipelineExecutionArn=arn)
    return told["PipelineExecutionStatus"] not in {"Executing", "Stopping"}


def test_starting_an_execution_starts_the_supervisor_and_it_outlives_nothing(pipelines):
    assert not supervisor_status(pipelines.account).running
    arn = pipelines.start(definition(processing("A"), processing("B", DependsOn=["A"])))
    wait_until(lambda: ended(pipelines, arn))
    assert pipelines.steps(arn) == {"A": "Succeeded", "B": "Succeeded"}
    status = supervisor_status(pipelines.account)
    assert status.running
    assert supervisors_of(pipelines.account) == [status.pid]
    assert stop_supervisor(pipelines.account, timeout_s=15)
    assert not supervisor_status(pipelines.account).running
    assert supervisors_of(pipelines.account) == []


def test_there_is_one_supervisor_however_many_ask_for_it(pipelines):
    code = (
        "import sys; from overflight.account.session import local_account;"
        "from overflight.account.local.supervisor import ensure_supervisor;"
        "from overflight.settings import load_settings;"
        "ensure_supervisor(local_account(load_settings(home=sys.argv[1])))"
    )
    asking = [subprocess.Popen([sys.executable, "-c", code, str(pipelines.account.home)]) for _ in range(4)]
    for _ in range(5):
        ensure_supervisor(pipelines.account)
    assert [one.wait(timeout=30) for one in asking] == [0] * 4
    assert len(supervisors_of(pipelines.account)) == 1


def test_a_second_supervisor_started_by_hand_gives_way(pipelines):
    ensure_supervisor(pipelines.account)
    first = supervisor_status(pipelines.account).pid
    account = pipelines.account
    arguments = ["--home", str(account.home), "--region", account.region, "--account-id", account.account_id]
    done = subprocess.run(
        [sys.executable, "-m", "overflight.account.local.supervisor", *arguments],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert "another supervisor" in done.stderr
    assert supervisor_status(account).pid == first


def _story(pipelines: Pipelines, folder: str) -> str:
    """Three steps whose artefacts depend on nothing but their inputs."""
    bucket = pipelines.account.bucket
    prepare = processing(
        "Prepare",
        "import time; time.sleep(0.15); (ml/'processing/output/out/data.txt').write_text('data' * 1000)",
        outputs={"out": f"s3://{bucket}/{folder}/data"},
    )
    train = {
        "Name": "Train",
        "Type": "Training",
        "Arguments": training_request(
            "import time; c = ml/'checkpoints/n'; start = int(c.read_text()) if c.exists() else 0\n"
            "for n in range(start, 4):\n    time.sleep(0.1); c.write_text(str(n + 1))\n"
            "(ml/'model/w').write_text((ml/'input/data/train/data.txt').read_text() + c.read_text())",
            bucket,
            InputDataConfig=[
                {
                    "ChannelName": "train",
                    "DataSource": {
                        "S3DataSource": {
                            "S3DataType": "S3Prefix",
                            "S3Uri": {"Get": "Steps.Prepare.ProcessingOutputConfig.Outputs['out'].S3Output.S3Uri"},
                        }
                    },
                }
            ],
            OutputDataConfig={"S3OutputPath": f"s3://{bucket}/{folder}/model"},
            CheckpointConfig={"S3Uri": f"s3://{bucket}/{folder}/checkpoints"},
        ),
    }
    evaluate = processing(
        "Evaluate",
        "(ml/'processing/output/out/e').write_bytes((ml/'processing/input/m/model.tar.gz').read_bytes())",
        inputs={"m": {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}},
        outputs={"out": f"s3://{bucket}/{folder}/evaluation"},
    )
    return definition(prepare, train, evaluate)


def _artefacts(pipelines: Pipelines, folder: str) -> set[str]:
    return set(pipelines.keys(folder).values())


@pytest.mark.parametrize("seed", [1, *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(2, 6))])
def test_killed_at_random_moments_it_resumes_and_the_artefacts_are_the_same(pipelines, seed):
    calm = pipelines.start(_story(pipelines, "calm"))
    wait_until(lambda: ended(pipelines, calm))
    assert pipelines.status(calm) == "Succeeded", pipelines.reason(calm)

    generator = random.Random(seed)
    arn = pipelines.start(_story(pipelines, "wild"))
    for _ in range(3):
        moment = time.monotonic() + generator.uniform(0.0, 1.2)
        wait_until(lambda at=moment: time.monotonic() > at)
        pid = supervisor_status(pipelines.account).pid
        if pid is not None:
            os.kill(pid, signal.SIGKILL)
            wait_until(lambda dead=pid: not psutil.pid_exists(dead) or _is_zombie(dead))
        ended(pipelines, arn)  # looking starts it again
    wait_until(lambda: ended(pipelines, arn))
    assert pipelines.status(arn) == "Succeeded", pipelines.reason(arn)
    assert pipelines.steps(arn) == dict.fromkeys(("Prepare", "Train", "Evaluate"), "Succeeded")
    assert _artefacts(pipelines, "wild/") == _artefacts(pipelines, "calm/")


def _is_zombie(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


def test_told_to_end_it_leaves_executions_open_and_the_next_one_goes_on(pipelines):
    arn = pipelines.start(_story(pipelines, "x"))
    wait_until(lambda: pipelines.steps(arn).get("Train") == "Executing")
    assert stop_supervisor(pipelines.account, timeout_s=15, stop_work=False)
    assert find_leftovers(pipelines.account.home / "jobs") == []
    assert pipelines.status(arn) == "Executing"
    wait_until(lambda: ended(pipelines, arn))
    assert pipelines.status(arn) == "Succeeded"


def test_down_stops_the_work_for_good(pipelines):
    arn = pipelines.start(definition(processing("Long", "import time; time.sleep(60)")))
    wait_until(lambda: pipelines.steps(arn).get("Long") == "Executing")
    assert stop_supervisor(pipelines.account, timeout_s=15)
    assert pipelines.status(arn) == "Stopped"
    assert pipelines.steps(arn) == {"Long": "Stopped"}
    ensure_supervisor(pipelines.account)
    time.sleep(0.5)
    assert pipelines.status(arn) == "Stopped"


def test_down_without_a_supervisor_settles_what_a_dead_one_left(pipelines):
    arn = pipelines.start(definition(processing("Long", "import time; time.sleep(60)")))
    wait_until(lambda: pipelines.steps(arn).get("Long") == "Executing")
    pid = supervisor_status(pipelines.account).pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not supervisor_status(pipelines.account).running)
    assert find_leftovers(pipelines.account.home / "jobs") != []
    assert not stop_supervisor(pipelines.account, timeout_s=15)
    assert find_leftovers(pipelines.account.home / "jobs") == []
    assert pipelines.status(arn) == "Stopped"


def test_it_clears_up_and_ends_by_itself_when_there_is_nothing_to_do(pipelines):
    account = pipelines.account
    torn = account.home / "s3" / "tmp" / "torn.tmp"  # what a writer left that was killed long ago
    torn.parent.mkdir(parents=True)
    torn.write_bytes(b"x")
    os.utime(torn, (1, 1))
    arguments = ["--home", str(account.home), "--region", account.region, "--account-id", account.account_id]
    done = subprocess.run(
        [sys.executable, "-m", "overflight.account.local.supervisor", *arguments, "--idle-s", "0.2"],
        capture_output=True,
        check=False,
        text=True,
        timeout=30,
    )
    assert done.returncode == 0
    assert "nothing to do" in done.stderr
    assert not supervisor_status(account).running
    assert not torn.exists()


def test_a_direct_job_is_run_without_any_pipeline(pipelines):
    arguments = processing("x", "(ml/'output/message').write_text('fine')")["Arguments"]
    role = "arn:aws:iam::000000000000:role/overflight-administrator"
    pipelines.client.create_processing_job(ProcessingJobName="direct", RoleArn=role, **arguments)
    waiter = pipelines.client.get_waiter("processing_job_completed_or_stopped")
    waiter.wait(ProcessingJobName="direct", WaiterConfig={"Delay": 0, "MaxAttempts": 20000})
    assert pipelines.client.describe_processing_job(ProcessingJobName="direct")["ExitMessage"] == "fine"


def test_looking_at_an_unfinished_job_brings_a_killed_supervisor_back(pipelines):
    arguments = processing("x", "import time; time.sleep(1)")["Arguments"]
    role = "arn:aws:iam::000000000000:role/overflight-administrator"
    pipelines.client.create_processing_job(ProcessingJobName="direct", RoleArn=role, **arguments)
    wait_until(lambda: supervisor_status(pipelines.account).running)
    os.kill(supervisor_status(pipelines.account).pid or 0, signal.SIGKILL)
    describe = pipelines.client.describe_processing_job
    wait_until(lambda: describe(ProcessingJobName="direct")["ProcessingJobStatus"] == "Completed")


def test_it_ends_when_its_folder_is_removed(pipelines, tmp_path):
    arn = pipelines.start(definition(processing("Long", "import time; time.sleep(60)")))
    wait_until(lambda: pipelines.steps(arn).get("Long") == "Executing")
    pid = supervisor_status(pipelines.account).pid
    assert pid is not None
    pipelines.account.home.rename(tmp_path / "moved")
    try:
        wait_until(lambda: _is_zombie(pid))
        assert find_leftovers(pipelines.account.home / "jobs") == []
    finally:
        (tmp_path / "moved").rename(pipelines.account.home)


def test_errors_that_do_not_go_away_end_it_with_the_traceback(account, monkeypatch, caplog):
    monkeypatch.setattr(supervisor, "_FAILURES_LIMIT", 3)
    monkeypatch.setattr(supervisor, "_HEARTBEAT_S", 0.01)
    one = supervisor.Supervisor(account, supervisor.SupervisorOptions(slots=1))
    (account.home / "supervisor.lock").touch()
    monkeypatch.setattr(one, "_advance_tuning", lambda: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        one.run()
    assert caplog.text.count("unexpected error") == 2


def test_the_signal_to_end_waits_for_no_lock_that_the_interrupted_loop_may_hold(account):
    one = supervisor.Supervisor(account, supervisor.SupervisorOptions(slots=1))
    told = threading.Thread(target=one.stop, daemon=True)
    with getattr(one._wake, "_cond"):  # noqa: B009  # held by Event.wait and Event.clear of the loop
        told.start()
        told.join(timeout=5)
        assert not told.is_alive()


def test_stale_facts_of_a_dead_supervisor_mean_none(account):
    (account.home / "supervisor.json").write_text(
        '{"pid": 1, "created_s": 5.0, "started": "2026-01-01T00:00:00+00:00"}'
    )
    assert not supervisor.supervisor_status(account).running
    (account.home / "supervisor.json").write_text("{")
    assert not supervisor.supervisor_status(account).running
