"""The HTTP contract of the server, against a detector that the test holds in its hand."""

from __future__ import annotations

import asyncio
import json
import threading

import httpx
import pytest

from overflight.errors import InputError, JobError
from overflight.serving.admission import Gate
from overflight.serving.app import ATTRIBUTES_HEADER, DIGEST_HEADER, create_app
from overflight.serving.detections import Detections, no_detections
from overflight.serving.schema import from_json

LIMIT_BYTES = 4096


class HandHeldDetector:
    """Answers without boxes, fails as told, or waits until it is let go."""

    digest = "d" * 64

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.go = threading.Event()
        self.go.set()
        self.seen: list[bytes] = []

    def predict(self, photo: bytes, /) -> Detections:
        assert self.go.wait(30)
        self.seen.append(photo)
        if self.error is not None:
            raise self.error
        return no_detections(("car",), width_px=10, height_px=5, model_digest=self.digest)


@pytest.fixture
def detector() -> HandHeldDetector:
    return HandHeldDetector()


@pytest.fixture
def gate(detector):
    gate = Gate(workers=1, max_waiting=1)
    gate.detector = detector
    yield gate
    detector.go.set()
    gate.close()


def ask(gate: Gate, *requests: tuple[str, str, dict]) -> list[httpx.Response]:
    """Send the requests one after another."""

    async def run() -> list[httpx.Response]:
        async with client_of(gate) as client:
            return [await client.request(method, path, **options) for method, path, options in requests]

    return asyncio.run(run())


def client_of(gate: Gate) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(create_app(gate, max_body_bytes=LIMIT_BYTES))
    return httpx.AsyncClient(transport=transport, base_url="http://server")


def photo(content: bytes = b"photo", media_type: str | None = "image/jpeg", **headers: str) -> tuple[str, str, dict]:
    types = {"content-type": media_type} if media_type else {}
    return "POST", "/invocations", {"content": content, "headers": {**types, **headers}}


@pytest.mark.parametrize("media_type", ["image/jpeg", "image/png", "IMAGE/JPEG; q=1", "application/octet-stream", None])
def test_a_photo_is_answered_with_the_schema(gate, detector, media_type):
    (answer,) = ask(gate, photo(media_type=media_type))
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers[DIGEST_HEADER] == detector.digest
    assert from_json(answer.content).classes == ("car",)
    assert detector.seen == [b"photo"]


@pytest.mark.parametrize(
    ("request_", "status", "says"),
    [
        pytest.param(photo(media_type="text/csv"), 415, "image/jpeg", id="another media type"),
        pytest.param(photo(b"x" * (LIMIT_BYTES + 1)), 413, str(LIMIT_BYTES), id="too large"),
        pytest.param(photo(b""), 400, "empty", id="empty body"),
        pytest.param(("GET", "/invocations", {}), 405, "", id="GET"),
        pytest.param(("GET", "/nowhere", {}), 404, "", id="unknown path"),
    ],
)
def test_what_cannot_be_served_is_refused_before_any_work(gate, detector, request_, status, says):
    (answer,) = ask(gate, request_)
    assert answer.status_code == status
    assert says in answer.text
    assert detector.seen == []
    assert gate.in_flight == 0


def test_a_body_that_lies_about_its_length_is_cut_off(gate, detector):
    async def pieces():
        for _ in range(10):
            yield b"x" * 1000

    (answer,) = ask(gate, ("POST", "/invocations", {"content": pieces(), "headers": {"content-type": "image/jpeg"}}))
    assert answer.status_code == 413
    assert (detector.seen, gate.in_flight) == ([], 0)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        pytest.param(InputError("unreadable image: cut off", where="photo", cure="Copy it again"), 400, id="bad photo"),
        pytest.param(JobError("the network's output is not finite", cure="Train again"), 500, id="bad model"),
    ],
)
def test_an_expected_error_says_what_where_and_what_to_do(gate, detector, error, status):
    detector.error = error
    (answer,) = ask(gate, photo())
    assert answer.status_code == status
    expected = {"what": error.what, "where": error.where, "cure": error.cure}
    assert answer.json() == {"error": {key: value for key, value in expected.items() if value}}
    assert gate.in_flight == 0


@pytest.mark.parametrize(
    ("attributes", "echoed"),
    [("trace=1", "trace=1"), ("x" * 1024, "x" * 1024), ("x" * 1025, None)],
    ids=["short", "longest", "too long"],
)
def test_custom_attributes_are_echoed(gate, attributes, echoed):
    (answer,) = ask(gate, photo(**{ATTRIBUTES_HEADER: attributes}))
    assert answer.headers.get(ATTRIBUTES_HEADER) == echoed


def test_ping_says_whether_photos_are_welcome(gate, detector):
    ping = ("GET", "/ping", {})
    gate.detector = None
    loading = ask(gate, ping, photo())
    gate.detector = detector
    ready = ask(gate, ping, photo())
    gate.draining = True
    draining = ask(gate, ping, photo())
    assert [[a.status_code for a in pair] for pair in (loading, ready, draining)] == [
        [503, 503],
        [200, 200],
        [503, 503],
    ]
    assert int(loading[1].headers["retry-after"]) >= 1
    assert "shutting down" in draining[1].json()["error"]["what"]


def test_more_photos_than_may_wait_are_turned_away_while_ping_and_the_others_are_served(gate, detector):
    async def run() -> tuple[httpx.Response, httpx.Response, list[httpx.Response]]:
        detector.go.clear()
        async with client_of(gate) as client:
            method, path, options = photo()
            admitted = [asyncio.create_task(client.request(method, path, **options)) for _ in range(2)]
            while gate.in_flight < 2:
                await asyncio.sleep(0)
            shed = await client.request(method, path, **options)
            ping = await client.get("/ping")
            detector.go.set()
            return shed, ping, await asyncio.gather(*admitted)

    shed, ping, admitted = asyncio.run(run())
    assert shed.status_code == 503
    assert int(shed.headers["retry-after"]) >= 1
    assert ping.status_code == 200
    assert [answer.status_code for answer in admitted] == [200, 200]


def test_a_photo_that_waited_too_long_is_dropped_unseen(detector):
    seconds = iter([0.0, 100.0])
    gate = Gate(workers=1, max_waiting=1, deadline_s=55, clock=lambda: next(seconds))
    gate.detector = detector
    (answer,) = ask(gate, photo())
    gate.close()
    assert answer.status_code == 504
    assert detector.seen == []


def test_metrics_count_requests_by_answer(gate):
    *_, metrics = ask(gate, photo(), photo(), photo(media_type="text/csv"), ("GET", "/metrics", {}))
    assert 'overflight_requests_total{code="200"} 2' in metrics.text
    assert 'overflight_requests_total{code="415"} 1' in metrics.text
    assert "overflight_tiles_total 2" in metrics.text


@pytest.mark.parametrize(
    "change",
    [{"schema": "x/1"}, {"width_px": 0}, {"extra": 1}, {"detections": [{"class_id": 0}]}],
    ids=["schema", "size", "unknown field", "box without fields"],
)
def test_an_answer_of_another_schema_is_refused(gate, change):
    (answer,) = ask(gate, photo())
    with pytest.raises(InputError):
        from_json(json.dumps(answer.json() | change))
