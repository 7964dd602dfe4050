"""MLflow's pages: a real server, asked by HTTP."""

from __future__ import annotations

import json
import socket

import httpx
import psutil
import pytest

from overflight.errors import ResourceError
from overflight.tracking.reading import find_execution_run
from overflight.tracking.runs import open_step
from overflight.tracking.server import server_status, start_server, stop_server


def test_a_port_in_use_is_said_with_the_way_out(home):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(ResourceError, match=rf"port {port} is in use by another program.*--port"):
            start_server(home / "mlflow", port=port)
    assert server_status(home / "mlflow") is None


@pytest.mark.parametrize(
    "state",
    ["", "{}", json.dumps({"port": 1, "pid": 1, "processes": [[1, 0.0]]})],
    ids=["empty", "damaged", "another process has the id now"],
)
def test_a_stale_state_means_that_nothing_runs(home, state):
    (home / "mlflow/server.json").write_text(state)
    assert server_status(home / "mlflow") is None
    assert not stop_server(home / "mlflow")
    assert psutil.pid_exists(1)


def test_nothing_runs_where_nothing_was_started(tmp_path):
    assert server_status(tmp_path) is None
    assert not stop_server(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_server_shows_runs_and_stops(home, tracking, tmp_path):
    with open_step(tracking, step="train", folder=tmp_path / "job") as run:
        run.log_metrics({"map50": 0.5}, on_execution=True)
        run.log_text("hello", "notes/a.txt")
    execution = find_execution_run(tracking.tracking_uri, "exec00000001")
    assert execution is not None
    folder = home / "mlflow"
    server = start_server(folder, port=0)
    try:
        assert start_server(folder, port=0) == server  # one is enough
        assert server_status(folder) == server.as_dict()
        launcher = psutil.Process(server.pid)
        assert len([launcher, *launcher.children(recursive=True)]) == 2
        with httpx.Client(base_url=server.url) as client:
            assert client.get("/health").status_code == 200
            found = client.get("/api/2.0/mlflow/runs/get", params={"run_id": execution.run_id}).json()
            assert found["run"]["data"]["metrics"][0]["value"] == 0.5
            artefact = {"path": "notes/a.txt", "run_uuid": execution.steps[0].run_id}
            assert client.get("/get-artifact", params=artefact).text == "hello"
            assert client.get("/", headers={"Host": "evil.example"}).status_code == 403
        over_http = tracking.model_copy(update={"tracking_uri": server.url, "step": "Evaluate"})
        with open_step(over_http, step="evaluate", folder=tmp_path / "job") as run:
            run.log_metrics({"recall": 0.25})
            run.log_text("there", "b.txt")
        assert {step.name for step in (find_execution_run(server.url, "exec00000001") or execution).steps} == {
            "Train",
            "Evaluate",
        }
    finally:
        assert stop_server(folder)
    assert server_status(folder) is None
    assert not any(psutil.pid_exists(pid) for pid, _ in server.processes)
