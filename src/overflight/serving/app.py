"""SageMaker's inference contract over HTTP: ``GET /ping``, ``POST /invocations``; and ``GET /metrics`` for people.

Knows HTTP and nothing of models: what it admits goes to a :class:`~overflight.serving.admission.Gate`. Contract:
SageMaker developer guide, "custom inference code with hosting services".
"""

from __future__ import annotations

import json
import logging
import time

from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from overflight.errors import InputError, OverflightError
from overflight.serving.admission import DeadlineError, Gate, OverloadedError
from overflight.serving.schema import to_document

ATTRIBUTES_HEADER = "X-Amzn-SageMaker-Custom-Attributes"
DIGEST_HEADER = "X-Overflight-Model-Digest"
MEDIA_TYPES = ("image/jpeg", "image/png", "application/octet-stream")
DISCARD_LIMIT_BYTES = 64 * 1024 * 1024
_ATTRIBUTES_LIMIT_CHARS = 1024

log = logging.getLogger(__name__)


class _TooLargeError(Exception):
    """The body is longer than allowed."""


def create_app(gate: Gate, *, max_body_bytes: int) -> Starlette:
    """The application.

    Args:
        gate: Admission and work.
        max_body_bytes: Longer bodies are answered with 413.
    """

    async def ping(_request: Request) -> Response:
        return Response(status_code=200 if gate.ready else 503)

    async def metrics(_request: Request) -> Response:
        return PlainTextResponse(_metrics_text(gate))

    async def invocations(request: Request) -> Response:
        start = time.perf_counter()
        try:
            response = await _answer(request, gate, max_body_bytes=max_body_bytes)
        except ClientDisconnect:
            log.info("the client went away before its photo had arrived")
            return Response(status_code=499)
        if gate.detector is not None:
            response.headers[DIGEST_HEADER] = gate.detector.digest
        attributes = request.headers.get(ATTRIBUTES_HEADER, "")
        if attributes and attributes.isascii() and len(attributes) <= _ATTRIBUTES_LIMIT_CHARS:
            response.headers[ATTRIBUTES_HEADER] = attributes
        gate.metrics.requests[response.status_code] += 1
        log.info("invocation: status %d, %.0f ms", response.status_code, (time.perf_counter() - start) * 1e3)
        return response

    return Starlette(
        routes=[
            Route("/ping", ping, methods=["GET"]),
            Route("/invocations", invocations, methods=["POST"]),
            Route("/metrics", metrics, methods=["GET"]),
        ]
    )


async def _answer(request: Request, gate: Gate, *, max_body_bytes: int) -> Response:
    """Turn away cheaply first (media type, size, load), then work."""
    media_type = request.headers.get("content-type", "application/octet-stream").split(";")[0].strip().lower()
    if media_type not in MEDIA_TYPES:
        await _discard(request)
        return _error(
            415, f"bodies of type {media_type} are not understood", cure=f"Send one of {', '.join(MEDIA_TYPES)}"
        )
    too_large = _error(
        413, f"the photo is larger than {max_body_bytes} bytes", cure="Send it in parts or compress it more"
    )
    if _declared_length(request) > max_body_bytes:
        await _discard(request)
        return too_large
    try:
        gate.enter()
    except OverloadedError as error:
        await _discard(request)
        answer = _error(503, error.reason, cure=f"Try again in {error.retry_after_s} s")
        answer.headers["Retry-After"] = str(error.retry_after_s)
        return answer
    try:
        return await _work(request, gate, max_body_bytes=max_body_bytes)
    except _TooLargeError:
        await _discard(request)
        return too_large
    finally:
        gate.leave()


async def _work(request: Request, gate: Gate, *, max_body_bytes: int) -> Response:
    body = await _read(request, max_body_bytes)
    if not body:
        return _error(400, "the body is empty", cure="Send the bytes of a JPEG or PNG file")
    try:
        found = await gate.predict(body)
    except InputError as error:
        return _error(400, error.what, where=error.where, cure=error.cure)
    except DeadlineError:
        return _error(504, "the photo waited too long for its turn", cure="Send fewer photos at the same time")
    except OverflightError as error:
        log.error("%s", error)
        return _error(500, error.what, where=error.where, cure=error.cure)
    return _json(200, to_document(found))


async def _read(request: Request, limit_bytes: int) -> bytes:
    chunks, length = [], 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > limit_bytes:
            raise _TooLargeError
        chunks.append(chunk)
    return b"".join(chunks)


async def _discard(request: Request) -> None:
    """Read the rest of a refused body, up to a limit: a client that is still sending would not see the answer."""
    length = 0
    while length < DISCARD_LIMIT_BYTES:
        message = await request.receive()
        if message["type"] != "http.request":
            return
        length += len(message.get("body", b""))
        if not message.get("more_body", False):
            return


def _declared_length(request: Request) -> int:
    text = request.headers.get("content-length", "0")
    return int(text) if text.isdecimal() else 0


def _error(status: int, what: str, *, where: str = "", cure: str = "") -> Response:
    error = {key: value for key, value in {"what": what, "where": where, "cure": cure}.items() if value}
    return _json(status, {"error": error})


def _json(status: int, document: object) -> Response:
    content = json.dumps(document, allow_nan=False, ensure_ascii=False).encode()
    return Response(content, status_code=status, media_type="application/json")


def _metrics_text(gate: Gate) -> str:
    """Prometheus text format 0.0.4."""
    lines = ["# TYPE overflight_requests_total counter"]
    lines += [f'overflight_requests_total{{code="{code}"}} {n}' for code, n in sorted(gate.metrics.requests.items())]
    lines += ["# TYPE overflight_tiles_total counter", f"overflight_tiles_total {gate.metrics.tiles}"]
    lines += ["# TYPE overflight_seconds_total counter"]
    lines += [f'overflight_seconds_total{{stage="{s}"}} {n:.6f}' for s, n in sorted(gate.metrics.seconds.items())]
    lines += ["# TYPE overflight_in_flight gauge", f"overflight_in_flight {gate.in_flight}"]
    lines += ["# TYPE overflight_ready gauge", f"overflight_ready {int(gate.ready)}"]
    return "\n".join(lines) + "\n"
