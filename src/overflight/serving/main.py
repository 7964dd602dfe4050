"""The program ``overflight-serve``: serve the model folder under ``OVERFLIGHT_ML_ROOT`` until told to stop.

It binds its port before it loads the model, so a port in use is reported at once and ``/ping`` answers 503 while
loading. SIGTERM drains: nothing new is admitted, what was admitted is answered, and the process ends within 25 s
(SageMaker kills it after 30 s). It does not know where the model folder came from.
"""

from __future__ import annotations

import errno
import logging
import os
import socket
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import FrameType

import uvicorn
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from overflight.errors import OverflightError, RefusedError, ResourceError, UsageError
from overflight.logs import set_up
from overflight.serving.admission import Gate
from overflight.serving.app import create_app
from overflight.serving.predictor import Predictor

DRAIN_LIMIT_S = 20.0
_CLOSE_LIMIT_S = 3

log = logging.getLogger(__name__)


class ServeSettings(BaseModel):
    """Settings of one server, from its environment.

    Attributes:
        ml_root: Folder that holds ``model/`` (``OVERFLIGHT_ML_ROOT``).
        port: ``SAGEMAKER_BIND_TO_PORT``; 0 lets the system choose.
        host: ``OVERFLIGHT_BIND_HOST``; a container must be reachable from outside, a laptop's server must not.
        workers: Photos worked on at the same time (``OVERFLIGHT_SERVE_WORKERS``).
        threads: Threads of one inference, 0 for all cores (``OVERFLIGHT_SERVE_THREADS``).
        max_waiting: Photos that may wait (``OVERFLIGHT_SERVE_MAX_WAITING``).
        max_body_bytes: Largest photo (``OVERFLIGHT_SERVE_MAX_BODY_BYTES``).
        model_sha256: Digest of the only ``model.json`` that may be served (``OVERFLIGHT_SERVE_MODEL_SHA256``); a
            deployment sets it to the one that was approved. Empty serves any.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    ml_root: Path = Path("/opt/ml")
    port: int = Field(8080, ge=0, le=65535)
    host: str = "0.0.0.0"  # noqa: S104 - inside a container; locally the endpoint sets OVERFLIGHT_BIND_HOST=127.0.0.1
    workers: int = Field(2, ge=1, le=64)
    threads: int = Field(0, ge=0, le=256)
    max_waiting: int = Field(16, ge=0, le=10_000)
    max_body_bytes: int = Field(32 * 1024 * 1024, ge=1024)
    model_sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")


_VARIABLES = {
    "OVERFLIGHT_ML_ROOT": "ml_root",
    "SAGEMAKER_BIND_TO_PORT": "port",
    "OVERFLIGHT_BIND_HOST": "host",
    "OVERFLIGHT_SERVE_WORKERS": "workers",
    "OVERFLIGHT_SERVE_THREADS": "threads",
    "OVERFLIGHT_SERVE_MAX_WAITING": "max_waiting",
    "OVERFLIGHT_SERVE_MAX_BODY_BYTES": "max_body_bytes",
    "OVERFLIGHT_SERVE_MODEL_SHA256": "model_sha256",
}


class DrainingServer(uvicorn.Server):
    """uvicorn, but SIGTERM first drains the gate: health checks see 503 while admitted photos are finished."""

    def __init__(self, config: uvicorn.Config, *, gate: Gate) -> None:
        super().__init__(config)
        self._gate = gate
        self._drain_until_s: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signal handler: the first signal drains, a second one stops at once."""
        del sig, frame
        if self._gate.draining:
            self.should_exit = True
        self._gate.draining = True
        self._drain_until_s = time.monotonic() + DRAIN_LIMIT_S

    async def on_tick(self, counter: int) -> bool:
        """Every 0.1 s: leave when everything admitted was answered, or the time is up."""
        if self._drain_until_s is not None and (self._gate.in_flight == 0 or time.monotonic() > self._drain_until_s):
            self.should_exit = True
        return await super().on_tick(counter)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve; returns the exit code. SageMaker starts containers with the argument ``serve``, which changes nothing."""
    set_up("INFO")
    arguments = sys.argv[1:] if arguments is None else arguments
    try:
        if [word for word in arguments if word != "serve"]:
            raise UsageError(
                f"unknown arguments {list(arguments)}", where="overflight-serve", cure=f"Set {', '.join(_VARIABLES)}"
            )
        return serve(settings_from(os.environ))
    except OverflightError as error:
        log.error("%s", error)
        return error.exit_code


def settings_from(environ: Mapping[str, str]) -> ServeSettings:
    """Settings from the environment.

    Raises:
        UsageError: a value cannot be used; the message names the variable.
    """
    given = {field: environ[name] for name, field in _VARIABLES.items() if environ.get(name)}
    try:
        return ServeSettings.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        name = next(name for name, field in _VARIABLES.items() if field == first["loc"][0])
        raise UsageError(f"{first['msg']} (got {first['input']!r})", where=name, cure="Correct or unset it") from error


def bind(host: str, port: int) -> socket.socket:
    """A socket bound to ``host``:``port``.

    Raises:
        ResourceError: the port is in use, not allowed, or the address does not exist.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host, port))
        bound.listen(128)
    except OSError as error:
        bound.close()
        what = f"port {port} is already in use" if error.errno == errno.EADDRINUSE else f"cannot bind: {error.strerror}"
        cure = "Stop the program that uses it, or set SAGEMAKER_BIND_TO_PORT to a free port"
        raise ResourceError(what, where=f"{host}:{port}", cure=cure) from error
    return bound


def serve(settings: ServeSettings) -> int:
    """Serve until a signal comes.

    Raises:
        OverflightError: the port cannot be bound or the model cannot be loaded.
    """
    listening = bind(settings.host, settings.port)
    gate = Gate(workers=settings.workers, max_waiting=settings.max_waiting)
    config = uvicorn.Config(
        create_app(gate, max_body_bytes=settings.max_body_bytes),
        log_config=None,
        log_level="warning",
        access_log=False,
        lifespan="off",
        timeout_graceful_shutdown=_CLOSE_LIMIT_S,
    )
    server = DrainingServer(config, gate=gate)
    failures: list[OverflightError] = []
    loader = threading.Thread(target=_load, args=(settings, gate, server, failures), name="load", daemon=True)
    loader.start()
    log.info("listening on http://%s:%d", *listening.getsockname()[:2])
    server.run(sockets=[listening])
    gate.close()
    if failures:
        raise failures[0]
    if gate.in_flight:
        log.error("%d photos could not be answered within %.0f s", gate.in_flight, DRAIN_LIMIT_S)
        logging.shutdown()
        os._exit(1)  # a thread still works on a photo; waiting for it would outlast SageMaker's patience
    log.info("stopped")
    return 0


def _load(settings: ServeSettings, gate: Gate, server: uvicorn.Server, failures: list[OverflightError]) -> None:
    """Load the model beside the running server; a failure ends the server."""
    start = time.perf_counter()
    try:
        predictor = Predictor(settings.ml_root / "model", threads=settings.threads or None)
        if settings.model_sha256 and predictor.digest != settings.model_sha256:
            raise RefusedError(
                f"is the model {predictor.digest[:12]}, approved and deployed was {settings.model_sha256[:12]}",
                where=str(settings.ml_root / "model"),
                cure="Somebody replaced the artefact: have the package looked at and approved again",
            )
    except OverflightError as error:
        failures.append(error)
    except Exception as error:  # a thread's error must reach the main thread, or /ping stays 503 for ever
        log.critical("loading the model failed", exc_info=True)
        failures.append(OverflightError(f"{type(error).__name__}: {error}", where=str(settings.ml_root)))
    else:
        gate.detector = predictor
        log.info("model %s ready after %.1f s", predictor.digest[:12], time.perf_counter() - start)
    if failures:
        server.should_exit = True


if __name__ == "__main__":
    sys.exit(main())
