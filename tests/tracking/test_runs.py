"""Facts of a step arrive in a real MLflow, or stay in the event log until they do."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from contextlib import nullcontext
from pathlib import Path

import pytest

from overflight.errors import InputError, JobError, ResourceError
from overflight.tracking.database import artifact_location, ensure_database, open_client
from overflight.tracking.events import pending_logs, read_events
from overflight.tracking.reading import close_execution, find_execution_run
from overflight.tracking.runs import open_step
from overflight.tracking.settings import TrackingSettings, local_tracking_uri, tracking_settings
from overflight.tracking.uploader import replay, replay_pending

SURVEY, DATASET = "5" * 64, "d" * 64


class StoppedError(JobError):
    exit_code = 143


def run_of(tracking, name="Train"):
    execution = find_execution_run(tracking.tracking_uri, tracking.execution_id)
    assert execution is not None
    return next(step for step in execution.steps if step.name == name)


def full_run(tracking, run_id):
    return open_client(tracking.tracking_uri).get_run(run_id)


# --- what arrives ---------------------------------------------------------------------------------------------------


def test_an_execution_is_one_run_with_a_nested_run_per_step(tracking, tmp_path):
    for step in ("Validate", "Train"):
        with open_step(tracking.model_copy(update={"step": step}), step="job", folder=tmp_path / step) as run:
            run.log_params({"survey": "harbour"}, on_execution=True)
            run.log_metrics({"map50": 0.5 if step == "Train" else 0.1}, on_execution=True)
    execution = find_execution_run(tracking.tracking_uri, "exec00000001")
    assert execution is not None
    assert (execution.name, execution.status) == ("exec00000001", "FINISHED")
    assert [(step.name, step.status) for step in execution.steps] == [("Validate", "FINISHED"), ("Train", "FINISHED")]
    assert execution.params == {"survey": "harbour"}
    assert execution.metrics == {"map50": 0.5}
    assert execution.tags["overflight.execution_arn"] == tracking.execution_arn
    assert execution.url_path == f"/#/experiments/{execution.experiment_id}/runs/{execution.run_id}"


def test_metrics_keep_their_epoch_and_time(tracking, tmp_path):
    times = iter(range(1_700_000_000_000, 1_800_000_000_000, 1000))
    with open_step(tracking, step="train", folder=tmp_path, clock_ms=lambda: next(times)) as run:
        for epoch in range(3):
            run.log_metrics({"train/box_loss": 1.0 / (epoch + 1), "ap50/people (all)": 0.1}, step=epoch)
    step = run_of(tracking)
    history = open_client(tracking.tracking_uri).get_metric_history(step.run_id, "train/box_loss")
    assert [(point.step, point.value) for point in history] == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]
    assert [point.timestamp for point in history] == [1_700_000_001_000, 1_700_000_002_000, 1_700_000_003_000]
    assert step.metrics["ap50/people _all_"] == 0.1
    info = full_run(tracking, step.run_id).info
    assert (info.start_time, info.end_time) == (1_700_000_000_000, 1_700_000_004_000)


def test_data_are_dataset_inputs_with_digest_lineage_and_context(tracking, tmp_path):
    with open_step(tracking, step="train", folder=tmp_path) as run:
        for context in ("training", "validation", "test"):
            run.log_dataset(
                digest=DATASET,
                name=f"harbour {context}",
                source_uri="s3://bucket/datasets/harbour",
                context=context,
                lineage={"survey": SURVEY},
                profile={"photos": 12},
            )
    inputs = full_run(tracking, run_of(tracking).run_id).inputs.dataset_inputs
    assert {tag.value for one in inputs for tag in one.tags if tag.key == "mlflow.data.context"} == {
        "training",
        "validation",
        "test",
    }
    first = inputs[0]
    assert first.dataset.digest == DATASET[:36]
    assert json.loads(first.dataset.profile) == {"sha256": DATASET, "lineage": {"survey": SURVEY}, "photos": 12}
    assert json.loads(first.dataset.source) == {"uri": "s3://bucket/datasets/harbour"}
    tags = {tag.key: tag.value for tag in first.tags}
    assert (tags["overflight.sha256"], tags["overflight.lineage.survey"]) == (DATASET, SURVEY)


def test_artefacts_lie_in_the_accounts_folder(tracking, home, tmp_path):
    (tmp_path / "plots").mkdir()
    (tmp_path / "plots/curve.png").write_bytes(b"png")
    (tmp_path / "predictions.json").write_text("[]")
    with open_step(tracking, step="evaluate", folder=tmp_path) as run:
        run.log_artifacts(tmp_path / "plots", "plots")
        run.log_artifacts(tmp_path / "predictions.json")
        run.log_text("a note", "notes/a.txt")
    step = run_of(tracking)
    folder = Path(step.artifact_uri.removeprefix("file://"))
    assert folder.is_relative_to(home / "mlflow/artifacts")
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()) == [
        "notes/a.txt",
        "plots/curve.png",
        "predictions.json",
    ]


def test_environment_is_recorded_with_seed_and_versions(tracking, tmp_path):
    with open_step(tracking, step="train", folder=tmp_path) as run:
        run.log_environment(seed=7)
    params = run_of(tracking).params
    assert params["seed"] == "7"
    assert params["env.python"] == ".".join(str(part) for part in sys.version_info[:3])
    assert {"env.mlflow", "env.numpy", "env.overflight", "env.cpu", "env.platform"} <= params.keys()


def test_many_values_at_once_are_cut_into_calls(tracking, tmp_path):
    with open_step(tracking, step="train", folder=tmp_path) as run:
        run.log_params({f"p{number}": number for number in range(250)} | {"long": "x" * 10_000})
        run.log_metrics({f"m{number}": number for number in range(2500)})
    step = run_of(tracking)
    assert (len(step.params), len(step.metrics)) == (251, 2500)
    assert step.params["long"] == "x" * 6000


# --- how a step ends ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (None, "FINISHED"),
        (ValueError("bad"), "FAILED"),
        (SystemExit(143), "KILLED"),
        (StoppedError("asked to"), "KILLED"),
        (KeyboardInterrupt(), "KILLED"),
    ],
    ids=["normally", "by an error", "stopped", "stopped between two batches", "interrupted"],
)
def test_the_end_of_the_job_is_the_end_of_the_run(tracking, tmp_path, error, status):
    with (
        nullcontext() if error is None else pytest.raises(type(error)),
        open_step(tracking, step="train", folder=tmp_path),
    ):
        if error is not None:
            raise error
    step = run_of(tracking)
    assert (step.status, "overflight.failure" in step.tags) == (status, error is not None)
    execution = find_execution_run(tracking.tracking_uri, "exec00000001")
    assert execution is not None
    assert execution.status == ("FINISHED" if error is None else "FAILED")


def test_an_execution_runs_while_a_step_runs_and_its_retried_step_counts_last(tracking, tmp_path):
    def status():
        found = find_execution_run(tracking.tracking_uri, "exec00000001")
        return found.status if found else None

    open_step(tracking, step="train", folder=tmp_path / "1").finish("FAILED")
    assert status() == "FAILED"
    second = open_step(tracking, step="train", folder=tmp_path / "2")
    second.finish()
    assert status() == "FINISHED"
    assert close_execution(tracking.tracking_uri, "exec00000001", status="FAILED", end_ms=1)
    assert status() == "FAILED"
    assert not close_execution(tracking.tracking_uri, "unknown", status="FAILED", end_ms=1)


def test_two_steps_that_start_at_once_share_one_execution_run(tracking, tmp_path):
    barrier = threading.Barrier(4)

    def work(number):
        barrier.wait()
        step = f"Step{number}"
        open_step(tracking.model_copy(update={"step": step}), step=step, folder=tmp_path / step).finish()

    threads = [threading.Thread(target=work, args=[number]) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = open_client(tracking.tracking_uri)
    experiment = client.get_experiment_by_name("overflight")
    runs = client.search_runs([experiment.experiment_id])
    assert sorted(run.data.tags["overflight.kind"] for run in runs) == ["execution"] + ["step"] * 4
    execution = find_execution_run(tracking.tracking_uri, "exec00000001")
    assert execution is not None
    assert len(execution.steps) == 4


# --- when MLflow is away, or refuses --------------------------------------------------------------------------------


def test_without_an_address_nothing_happens(tmp_path):
    with open_step(TrackingSettings(), step="train", folder=tmp_path / "none") as run:
        run.log_params({"a": 1})
        run.log_metrics({"b": 2.0})
        run.log_environment(seed=1)
        run.log_artifacts(tmp_path / "missing")
    assert run.event_log is None
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_away_does_not_stop_the_job_and_replay_completes_it(tracking, tmp_path, caplog):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        away = f"http://someone:secret@127.0.0.1:{probe.getsockname()[1]}"
        with caplog.at_level(logging.WARNING, "overflight"):
            run = open_step(tracking.model_copy(update={"tracking_uri": away}), step="train", folder=tmp_path)
            run.log_metrics({"map50": 0.25}, step=4)
            report = run.finish()
    assert report is not None
    assert (report.uploaded, report.waiting) == (0, 3)
    said = [record.getMessage() for record in caplog.records if record.name.startswith("overflight")]
    assert any("cannot be reached, the job goes on" in line for line in said)
    assert f"3 of the tracked facts are not in MLflow ({report.problem}); they are kept in {run.event_log}" in said[-1]
    assert run.event_log is not None
    assert "secret" not in " ".join(said)
    assert "secret" not in run.event_log.read_text()
    assert pending_logs(tmp_path) == [run.event_log]
    assert replay(run.event_log, tracking.tracking_uri).uploaded == 3
    assert run_of(tracking).metrics == {"map50": 0.25}
    assert pending_logs(tmp_path) == []


def test_a_refused_fact_is_said_and_the_rest_arrives(tracking, tmp_path, caplog):
    with caplog.at_level(logging.WARNING, "overflight"):
        run = open_step(tracking, step="train", folder=tmp_path)
        run.log_params({"lr": 0.1})
        run.log_params({"lr": 0.2})
        run.log_artifacts(tmp_path / "gone.txt")
        run.log_metrics({"loss": 1.0, "bad": float("nan")})
        report = run.finish()
    assert report is not None
    assert (len(report.refused), report.waiting) == (2, 0)
    assert (run_of(tracking).params, run_of(tracking).metrics) == ({"lr": "0.1"}, {"loss": 1.0})
    assert "not finite and therefore not tracked at step 0: bad" in caplog.text


CHILD = """
import sys, time
from pathlib import Path
from overflight.tracking.runs import open_step
from overflight.tracking.settings import TrackingSettings
tracking = TrackingSettings(tracking_uri=sys.argv[1], execution_id="exec00000001", step="Train")
run = open_step(tracking, step="train", folder=Path(sys.argv[2]))
for epoch in range(3):
    run.log_metrics({"loss": 1.0 / (epoch + 1)}, step=epoch)
print("said", flush=True)
time.sleep(60)
"""


def test_a_killed_job_leaves_its_events_and_replay_completes_them(tracking, tmp_path):
    command = [sys.executable, "-c", CHILD, tracking.tracking_uri, str(tmp_path / "job")]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
        assert child.stdout is not None
        assert child.stdout.readline() == "said\n"
        [path] = pending_logs(tmp_path)
        with pytest.raises(ResourceError, match="its job still runs"):
            replay(path, tracking.tracking_uri)
        os.kill(child.pid, signal.SIGKILL)
    with path.open("ab") as torn:
        torn.write(b'{"kind": "metr')
    for _ in range(2):  # the second time nothing is left to do
        report = replay(path, tracking.tracking_uri)
        assert report.waiting == 0
    step = run_of(tracking)
    assert (step.status, step.metrics) == ("KILLED", {"loss": pytest.approx(1 / 3)})
    history = open_client(tracking.tracking_uri).get_metric_history(step.run_id, "loss")
    assert [point.step for point in history] == [0, 1, 2]
    assert pending_logs(tmp_path) == []


def test_all_that_is_left_below_a_folder_is_replayed_but_for_jobs_at_work(tracking, tmp_path):
    for step in ("Validate", "Prepare"):
        settings = tracking.model_copy(update={"step": step})
        open_step(settings, step=step, folder=tmp_path / "jobs" / step, uploads=False).finish()
    at_work = open_step(tracking, step="train", folder=tmp_path / "jobs/Train", uploads=False)
    done = replay_pending(tmp_path / "jobs", tracking.tracking_uri)
    assert [path.parent.name for path in done] == ["Prepare", "Validate"]
    assert pending_logs(tmp_path) == [at_work.event_log]
    at_work.finish()
    assert list(replay_pending(tmp_path / "jobs", tracking.tracking_uri)) == [at_work.event_log]
    assert replay_pending(tmp_path / "jobs", tracking.tracking_uri) == {}


def test_uploading_twice_changes_nothing(tracking, tmp_path):
    run = open_step(tracking, step="train", folder=tmp_path, uploads=False)
    run.log_params({"lr": 0.1}, on_execution=True)
    run.log_metrics({"loss": 1.0}, on_execution=True)
    run.log_dataset(digest=DATASET, name="harbour", source_uri="/data", context="training")
    run.finish()
    path = run.event_log
    assert path is not None
    first = replay(path, tracking.tracking_uri)
    before = find_execution_run(tracking.tracking_uri, "exec00000001")
    path.with_name(path.name + ".progress.json").unlink()
    second = replay(path, tracking.tracking_uri)
    assert (first.refused, second.refused) == ((), ())
    assert find_execution_run(tracking.tracking_uri, "exec00000001") == before
    assert len(full_run(tracking, run_of(tracking).run_id).inputs.dataset_inputs) == 1


@pytest.mark.parametrize("content", [None, "", "no json\n"], ids=["missing", "empty", "not a log"])
def test_replay_refuses_what_is_no_event_log(tracking, tmp_path, content):
    path = tmp_path / "events-1.jsonl"
    if content is not None:
        path.write_text(content)
    if content == "":
        assert replay(path, tracking.tracking_uri).uploaded == 0
        return
    with pytest.raises(InputError):
        replay(path, tracking.tracking_uri)


# --- settings and database ------------------------------------------------------------------------------------------


def test_settings_come_from_the_steps_environment():
    settings = tracking_settings(
        {
            "MLFLOW_TRACKING_URI": "sqlite:////home/mlflow/mlflow.db",
            "OVERFLIGHT_EXECUTION_ARN": "arn:aws:sagemaker:eu-central-1:0:pipeline/p/execution/abc",
            "OVERFLIGHT_STEP": "Train",
        }
    )
    assert (settings.execution_id, settings.step, settings.experiment) == ("abc", "Train", "overflight")
    assert settings.enabled
    assert not tracking_settings({}).enabled
    assert not tracking_settings({"MLFLOW_TRACKING_URI": "off"}).enabled


def test_the_database_is_made_completely_or_not_at_all(empty_database):
    import sqlite3

    assert not [path for path in empty_database.parent.iterdir() if path.name.startswith(".")]
    connection = sqlite3.connect(empty_database)
    assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
    locations = connection.execute("SELECT artifact_location FROM experiments").fetchall()
    connection.close()
    assert locations == [(artifact_location(f"sqlite:///{empty_database}"),)]


def test_unknown_executions_and_accounts_are_none_and_create_nothing(tracking, tmp_path):
    assert find_execution_run(tracking.tracking_uri, "unknown") is None
    assert find_execution_run(local_tracking_uri(tmp_path / "nowhere"), "unknown") is None
    assert not (tmp_path / "nowhere").exists()


def test_an_event_log_is_read_up_to_its_torn_line(tmp_path):
    path = tmp_path / "events-1.jsonl"
    path.write_bytes(b'{"kind": "open", "at_ms": 1, "body": {}}\nrubbish\n{"kind": "fin')
    assert [event.kind for event in read_events(path)] == ["open", ""]


RACE = """
import os, sys, time
from pathlib import Path
from overflight.tracking.database import ensure_database
os.chdir(sys.argv[2])
ensure_database(Path(sys.argv[1]))
"""


@pytest.mark.slow
def test_two_processes_make_one_database_and_leave_no_files_elsewhere(tmp_path):
    database = tmp_path / "home/mlflow/mlflow.db"
    (tmp_path / "work").mkdir()
    command = [sys.executable, "-c", RACE, str(database), str(tmp_path / "work")]
    children = [subprocess.Popen(command) for _ in range(2)]
    assert [child.wait() for child in children] == [0, 0]
    assert ensure_database(database) == database
    assert {path.name for path in database.parent.iterdir()} == {"mlflow.db", "mlflow.db.lock", "artifacts"}
    assert list((tmp_path / "work").iterdir()) == []
