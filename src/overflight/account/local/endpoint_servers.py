"""Server processes of endpoints: unpack a model, find a port, start, ask for health, end.

Knows folders, ports, processes and SageMaker's ``/ping``; nothing of the store or of what an endpoint is.
"""

from __future__ import annotations

import contextlib
import http.client
import logging
import os
import shutil
import signal
import socket
import sys
import tarfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil

from overflight.account.local.job_files import JobRefused, split_uri
from overflight.account.local.processes import ProcessMark, job_environment, mark_of
from overflight.errors import NotFoundError, OverflightError
from overflight.files import require_disk

if TYPE_CHECKING:
    from overflight.account.local.objects import ObjectStore

logger = logging.getLogger(__name__)

HOST = "127.0.0.1"
PORT_VARIABLE = "SAGEMAKER_BIND_TO_PORT"
LOG_LINES = 5
SERVER_VARIABLES = "OVERFLIGHT_SERVE_"  # how the server's own settings begin
_PING_TIMEOUT_S = 2.0


class StartRefused(Exception):  # noqa: N818  # it becomes a FailureReason, not an error of the program
    """The server cannot be started; the text is the endpoint's FailureReason."""


@dataclass(frozen=True)
class ServerFacts:
    """One server process.

    Attributes:
        pid: Process number; 0 before the process was started.
        created_s: When it was created, seconds since the epoch: tells it from a later process of the same number.
        port: TCP port on 127.0.0.1.
        folder: Its folder; ``opt/ml`` below it is what the server sees as ``/opt/ml``.
        started_at: ISO time at which it was started.
        config: Name of the endpoint configuration it serves.
    """

    pid: int
    created_s: float
    port: int
    folder: str
    started_at: str
    config: str

    @property
    def url(self) -> str:
        """Address of the server."""
        return f"http://{HOST}:{self.port}"

    @property
    def process(self) -> psutil.Process | None:
        """The process, while it runs and is still the same one."""
        return ProcessMark(self.pid, self.created_s).find() if self.pid > 0 else None

    @property
    def alive(self) -> bool:
        """Whether the process runs and is still the same one."""
        return self.process is not None

    def to_json(self) -> dict[str, Any]:
        """JSON values for the store."""
        return asdict(self)


def ml_root(folder: Path) -> Path:
    """What the server in ``folder`` sees as ``/opt/ml``."""
    return folder / "opt" / "ml"


def unpack_model(container: Mapping[str, Any], objects: ObjectStore, target: Path) -> None:
    """Put the model artefact of a container definition into ``target``.

    Raises:
        StartRefused: the artefact is missing, was changed, is no archive or would write outside ``target``.
    """
    source = (container.get("ModelDataSource") or {}).get("S3DataSource") or {}
    uri = container.get("ModelDataUrl") or source.get("S3Uri")
    target.mkdir(parents=True, exist_ok=True)
    if not uri:
        raise StartRefused("The model has no model data (ModelDataUrl or ModelDataSource).")
    try:
        bucket, key = split_uri(uri)
        if source.get("CompressionType") == "None":
            objects.link_prefix(bucket, key, target)
            return
        info = objects.info(bucket, key)
        expected = container.get("ModelDataETag")
        if expected and expected.strip('"') != info.etag:
            raise StartRefused(f"{uri} has the ETag {info.etag}, not {expected} as registered: it was replaced.")
        _extract(objects.get_path(bucket, key, version_id=info.version_id), target)
    except NotFoundError as error:
        raise StartRefused(f"Could not find model data at {uri}.") from error
    except (tarfile.TarError, zlib.error, EOFError, OSError) as error:
        raise StartRefused(f"{uri} cannot be unpacked as tar.gz: {error}") from error
    except (JobRefused, OverflightError) as error:
        raise StartRefused(str(error)) from error


def _extract(archive: Path, target: Path) -> None:
    """Unpack with Python's filter ``data``: no absolute names, no ``..``, no links out, no devices."""
    with tarfile.open(archive, mode="r:gz") as tar:
        members = tar.getmembers()
        require_disk(target, sum(member.size for member in members))
        tar.extractall(target, members=members, filter="data")


def choose_port(requested: int | None) -> int:
    """A free port on 127.0.0.1; the requested one when there is a request.

    Raises:
        StartRefused: the requested port is in use or not allowed.
    """
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, requested or 0))
            probe.listen(1)
        except (OSError, OverflowError) as error:
            why = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
            raise StartRefused(
                f"Port {requested} on {HOST} cannot be used ({why}). Stop the program that uses it, or "
                f"deploy with another port ({PORT_VARIABLE} in the model's Environment)."
            ) from error
        return int(probe.getsockname()[1])


def start_server(folder: Path, *, port: int, environment: Mapping[str, str], log: Path) -> ProcessMark:
    """Start ``overflight-serve`` in its own session; it goes on when this process ends.

    Only the server's settings are taken from ``environment``. A container on AWS gets all of it, but there the image is
    what it says; here ``PYTHONPATH`` alone would run the code of whoever wrote a package, in the name of the server.

    Raises:
        StartRefused: the program cannot be started.
    """
    program = Path(sys.executable).with_name("overflight-serve")
    settings = {name: value for name, value in environment.items() if name.startswith(SERVER_VARIABLES)}
    if left_out := sorted(environment.keys() - settings.keys() - {PORT_VARIABLE}):
        logger.warning("the server in %s does not get the variables %s", folder, ", ".join(left_out))
    given = {**settings, PORT_VARIABLE: str(port), "OVERFLIGHT_BIND_HOST": HOST}
    log.parent.mkdir(parents=True, exist_ok=True)
    flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    try:
        pid = os.posix_spawn(
            str(program),
            [str(program), "serve"],
            job_environment(given, ml_root(folder)),
            file_actions=[
                (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
                (os.POSIX_SPAWN_OPEN, 1, str(log), flags, 0o644),
                (os.POSIX_SPAWN_DUP2, 1, 2),
            ],
            setsid=True,
        )
    except OSError as error:
        raise StartRefused(f"{program} cannot be started: {error.strerror}. Run `make setup` again.") from error
    return mark_of(pid)


def answers_ping(port: int) -> bool:
    """Whether the server says that it is ready."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_PING_TIMEOUT_S)
    try:
        connection.request("GET", "/ping")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def ask_to_end(server: ServerFacts) -> None:
    """SIGTERM: the server finishes what it has admitted."""
    _signal(server, signal.SIGTERM)


def kill(server: ServerFacts) -> None:
    """SIGKILL to the server and what it started."""
    _signal(server, signal.SIGKILL)


def reap(server: ServerFacts) -> None:
    """Take the exit status of a server that this process started and that has ended, so that no zombie stays."""
    try:
        process = psutil.Process(server.pid)
        same = abs(process.create_time() - server.created_s) < 1.0  # else the number belongs to another child by now
        if server.pid > 0 and same and process.status() == psutil.STATUS_ZOMBIE:
            os.waitpid(server.pid, os.WNOHANG)
    except (psutil.NoSuchProcess, ChildProcessError):  # gone already, or started by an earlier supervisor
        return


def remove_folder(server: ServerFacts) -> None:
    """Remove the folder of a server that has ended."""
    shutil.rmtree(server.folder, ignore_errors=True)


def last_lines(log: Path, *, since_byte: int = 0) -> str:
    """The last lines of the log, for a FailureReason."""
    if not log.is_file():
        return "it wrote no log"
    with log.open("rb") as handle:
        size = handle.seek(0, os.SEEK_END)
        handle.seek(max(since_byte, size - 4096))
        lines = handle.read().decode(errors="replace").strip().splitlines()
    return " | ".join(lines[-LOG_LINES:]) or "it wrote no log"


def _signal(server: ServerFacts, number: signal.Signals) -> None:
    if not server.alive:
        return
    with contextlib.suppress(ProcessLookupError, PermissionError):  # gone between the question and the signal
        os.killpg(server.pid, number)
