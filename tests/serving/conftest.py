"""A model folder with a detector whose answers are known, and real server processes."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from toy_model import write_model_folder

STILLS = Path(__file__).parents[2].parent / "shared/data/stills-4k"


@dataclass
class Server:
    """A running ``overflight-serve``."""

    process: subprocess.Popen[bytes]
    url: str
    log: Path

    def wait_ready(self) -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{self.url}/ping", timeout=5).status_code == 200:
                    return
            time.sleep(0.05)
        raise AssertionError(f"not ready: {self.log.read_text()}")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory) -> Path:
    return write_model_folder(tmp_path_factory.mktemp("toy") / "model")


@pytest.fixture(params=["caliterra_cc0/*.jpg", "labelled_4k/images/*"])
def still(request) -> Path:
    """A real drone still of 4000 px."""
    found = sorted(STILLS.glob(request.param))
    if not found:
        pytest.skip(f"no photographs at {STILLS}")
    return found[0]


@pytest.fixture(scope="module")
def start_server(tmp_path_factory) -> Iterator[Callable[..., Server]]:
    """Starts servers on free ports; whatever still runs at the end is killed."""
    started: list[Server] = []

    def start(model: Path, *, port: int | None = None, ready: bool = True, **environment: str) -> Server:
        folder = tmp_path_factory.mktemp("server")
        (folder / "model").symlink_to(model)
        port = port or free_port()
        log = folder / "log.txt"
        environ = {
            **os.environ,
            "OVERFLIGHT_ML_ROOT": str(folder),
            "SAGEMAKER_BIND_TO_PORT": str(port),
            "OVERFLIGHT_BIND_HOST": "127.0.0.1",
            **environment,
        }
        with log.open("wb") as output:
            process = subprocess.Popen(
                [str(Path(sys.executable).with_name("overflight-serve")), "serve"],
                env=environ,
                stdout=output,
                stderr=subprocess.STDOUT,
            )
        server = Server(process, f"http://127.0.0.1:{port}", log)
        started.append(server)
        if ready:
            server.wait_ready()
        return server

    yield start
    for server in started:
        if server.process.poll() is None:
            server.process.kill()
        server.process.wait(10)
