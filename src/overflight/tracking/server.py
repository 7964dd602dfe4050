"""MLflow's pages over the local account: ``mlflow server`` as a child process, started with its public options only.

Two processes (MLflow's launcher and one worker), job consumers off, bound to this machine. What runs is remembered in
``server.json`` by process id and start time, so another command can find and stop it. Does not import MLflow unless its
database has to be created first.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from overflight.errors import ResourceError
from overflight.files import write_json
from overflight.tracking.database import QUIET_ENVIRONMENT, artifact_location, ensure_database
from overflight.tracking.locks import exclusive

HOST = "127.0.0.1"
READY_S = 60.0
_STATE = "server.json"
_LOG = "server.log"
_POLL_S = 0.1
_CREATED_TOLERANCE_S = 0.05


@dataclass(frozen=True)
class MlflowServer:
    """A running ``mlflow server``.

    Attributes:
        folder: Folder of the database; state and log lie beside it.
        url: Address of the pages.
        port: TCP port on this machine.
        pid: Process id of MLflow's launcher.
        processes: ``(pid, start time in Unix seconds)`` of every process of the server.
    """

    folder: Path
    url: str
    port: int
    pid: int
    processes: tuple[tuple[int, float], ...]

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {"url": self.url, "port": self.port, "pid": self.pid, "log": str(self.folder / _LOG)}

    def wait(self) -> None:
        """Return when the server has ended."""
        psutil.wait_procs(_alive(self.processes))

    def stop(self) -> bool:
        """Stop it; False when it was not running any more."""
        return stop_server(self.folder)


def start_server(folder: Path, *, port: int = 5001, ready_s: float = READY_S) -> MlflowServer:
    """Start MLflow's pages over ``folder/mlflow.db`` and return when they answer.

    The server outlives the caller until it is stopped; one that runs already is returned as it is.

    Args:
        folder: Folder of database and artefacts; made when missing.
        port: TCP port on 127.0.0.1; 0 takes any free one.
        ready_s: Longest wait for the first answer (s).

    Raises:
        ResourceError: the port is in use, MLflow is not installed, or the server did not start.
        StoreError: the database cannot be created.
    """
    folder = folder.absolute()
    ensure_database(folder / "mlflow.db")
    with exclusive(folder / f"{_STATE}.lock"):
        running = _read_state(folder)
        if running is not None:
            return running
        port = _free_port(port)
        process = _spawn(folder, port)
        try:
            _wait_ready(process, folder, port, ready_s)
            server = MlflowServer(folder, f"http://{HOST}:{port}", port, process.pid, _tree(process.pid))
            write_json(
                folder / _STATE,
                {
                    "schema": "overflight.mlflow-server/1",
                    "port": port,
                    "pid": process.pid,
                    "processes": server.processes,
                },
            )
        except BaseException:
            _end(_alive(_tree(process.pid)))
            raise
        process.returncode = 0  # it is meant to outlive this object, whose finaliser would warn of that
    return server


def stop_server(folder: Path) -> bool:
    """Stop the server of ``folder``; False when none runs."""
    folder = folder.absolute()
    if not (folder / _STATE).exists():
        return False
    with exclusive(folder / f"{_STATE}.lock"):
        server = _read_state(folder)
        (folder / _STATE).unlink(missing_ok=True)
        if server is None:
            return False
        members = {process.pid: process for process in _alive(server.processes)}
        for process in list(members.values()):
            with contextlib.suppress(psutil.Error):  # ended meanwhile
                members |= {child.pid: child for child in process.children(recursive=True)}
        _end(list(members.values()))
    return True


def server_status(folder: Path) -> dict[str, Any] | None:
    """Address, port and process of the running server of ``folder``, or None."""
    server = _read_state(folder.absolute())
    return None if server is None else server.as_dict()


def _read_state(folder: Path) -> MlflowServer | None:
    try:
        state = json.loads((folder / _STATE).read_text())
        processes = tuple((int(pid), float(created)) for pid, created in state["processes"])
        port, pid = int(state["port"]), int(state["pid"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):  # none, or damaged: nothing can be said to run
        return None
    if not _alive(processes):
        return None
    return MlflowServer(folder, f"http://{HOST}:{port}", port, pid, processes)


def _spawn(folder: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "mlflow", "server", "--host", HOST, "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{folder / 'mlflow.db'}"]
    command += ["--artifacts-destination", str(artifact_location(f"sqlite:///{folder / 'mlflow.db'}"))]
    command += ["--allowed-hosts", f"localhost:{port},{HOST}:{port}"]
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "_MLFLOW_"))}
    environ = kept | QUIET_ENVIRONMENT | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "PYTHONWARNINGS": "ignore"}
    with (folder / _LOG).open("wb") as log:
        return subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            cwd=folder,
            env=environ,
            start_new_session=True,
        )


def _wait_ready(
    process: subprocess.Popen[bytes],
    folder: Path,
    port: int,
    ready_s: float,
    monotonic: Callable[[], float] = time.monotonic,
) -> None:
    end = monotonic() + ready_s
    while not _healthy(port):
        if process.poll() is not None:
            raise ResourceError(
                f"mlflow server ended with code {process.returncode}: {_last_line(folder / _LOG)}",
                where=str(folder / _LOG),
                cure="The log says why",
            )
        if monotonic() > end:
            raise ResourceError(
                f"mlflow server did not answer within {ready_s:.0f} s",
                where=str(folder / _LOG),
                cure="Try again; the first start on a cold disk is the slowest",
            )
        time.sleep(_POLL_S)


def _healthy(port: int) -> bool:
    connection = http.client.HTTPConnection(HOST, port, timeout=2)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):  # not listening yet
        return False
    finally:
        connection.close()


def _free_port(port: int) -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ResourceError(
                f"port {port} is in use by another program",
                where=f"{HOST}:{port}",
                cure=f"Choose another one, for example --port {port + 1 if port < 65535 else 5001}",
            ) from error
        return int(probe.getsockname()[1])


def _tree(pid: int) -> tuple[tuple[int, float], ...]:
    try:
        launcher = psutil.Process(pid)
        members = [launcher, *launcher.children(recursive=True)]
        return tuple((member.pid, member.create_time()) for member in members)
    except psutil.NoSuchProcess:
        return ()


def _alive(processes: tuple[tuple[int, float], ...]) -> list[psutil.Process]:
    found = []
    for pid, created in processes:
        with contextlib.suppress(psutil.Error):  # gone
            process = psutil.Process(pid)
            same = abs(process.create_time() - created) < _CREATED_TOLERANCE_S
            if same and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def _end(processes: list[psutil.Process], *, patience_s: float = 5.0) -> None:
    for process in processes:
        with contextlib.suppress(psutil.Error):  # ended meanwhile
            process.terminate()
    _, stubborn = psutil.wait_procs(processes, timeout=patience_s)
    for process in stubborn:
        with contextlib.suppress(psutil.Error):  # ended meanwhile
            process.kill()
    psutil.wait_procs(stubborn, timeout=patience_s)


def _last_line(path: Path) -> str:
    lines = [line for line in path.read_text(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else "no output"
