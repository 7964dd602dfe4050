"""The program ``overflight-serve`` as a real process over real HTTP."""

from __future__ import annotations

import logging
import signal
import socket
import threading
import time

import httpx
import pytest

from overflight.imaging.codecs import encode_jpeg
from overflight.serving.main import main, settings_from
from overflight.serving.schema import from_json
from toy_model import painted_photo, write_model_folder

JPEG = {"content-type": "image/jpeg"}


@pytest.fixture
def root_logger():
    """The program sets up logging for its process; here that is the tests' process, so put it back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.fixture(scope="module")
def server(start_server, model_folder):
    return start_server(model_folder, OVERFLIGHT_SERVE_MAX_BODY_BYTES=str(8 * 1024 * 1024))


def test_a_photo_comes_back_with_its_boxes(server):
    rgb = painted_photo(1280, 960, [(160, 160, 64, "red"), (496, 320, 64, "blue")])
    answer = httpx.post(f"{server.url}/invocations", content=encode_jpeg(rgb), headers=JPEG, timeout=60)
    found = from_json(answer.content)
    assert sorted(found.label(i) for i in range(len(found))) == ["blue", "red"]
    assert found.tiles == 6
    assert answer.headers["x-overflight-model-digest"] == found.model_digest


def test_a_real_still_passes(server, still):
    answer = httpx.post(f"{server.url}/invocations", content=still.read_bytes(), headers=JPEG, timeout=60)
    assert answer.status_code == 200, answer.text
    assert from_json(answer.content).tiles >= 40


def test_an_unreadable_photo_is_explained_and_the_server_goes_on(server):
    answer = httpx.post(f"{server.url}/invocations", content=b"\xff\xd8 no photo", headers=JPEG, timeout=60)
    assert answer.status_code == 400
    assert answer.json()["error"]["what"]
    assert httpx.get(f"{server.url}/ping").status_code == 200


def test_a_client_that_sends_too_much_reads_the_answer_instead_of_a_broken_pipe(server):
    body = b"x" * (20 * 1024 * 1024)
    answer = httpx.post(f"{server.url}/invocations", content=body, headers=JPEG, timeout=60)
    assert answer.status_code == 413


def test_a_port_in_use_is_reported_with_its_number_and_a_cure(server, start_server, model_folder):
    port = int(server.url.rsplit(":", 1)[1])
    second = start_server(model_folder, port=port, ready=False)
    assert second.process.wait(60) == 7
    said = second.log.read_text()
    assert f"port {port} is already in use" in said
    assert "SAGEMAKER_BIND_TO_PORT" in said
    assert "Traceback" not in said


def test_a_damaged_model_ends_the_server_with_a_message(start_server, tmp_path):
    model = write_model_folder(tmp_path / "model")
    (model / "model.onnx").write_bytes(b"damaged")
    broken = start_server(model, ready=False)
    assert broken.process.wait(60) == 3
    assert "does not match its digest" in broken.log.read_text()
    assert "Traceback" not in broken.log.read_text()


def test_a_model_that_was_not_approved_ends_the_server_with_both_digests(start_server, model_folder):
    """A deployment names the model it has checked: whoever swaps the artefact afterwards gets no server."""
    server = start_server(model_folder, ready=False, OVERFLIGHT_SERVE_MODEL_SHA256="0" * 64)
    assert server.process.wait(60) == 5
    assert "approved and deployed was 000000000000" in server.log.read_text()


def test_sigterm_finishes_what_was_admitted_refuses_the_rest_and_ends(start_server, tmp_path):
    slow = start_server(write_model_folder(tmp_path / "model", extra_work=300), OVERFLIGHT_SERVE_THREADS="1")
    body = encode_jpeg(painted_photo(640, 640, [(160, 160, 64, "red")]))
    answers: list[httpx.Response] = []

    def send() -> None:
        answers.append(httpx.post(f"{slow.url}/invocations", content=body, headers=JPEG, timeout=60))

    senders = [threading.Thread(target=send) for _ in range(3)]
    for sender in senders:
        sender.start()
    while "overflight_in_flight 3" not in httpx.get(f"{slow.url}/metrics").text:
        time.sleep(0.01)
    slow.process.send_signal(signal.SIGTERM)
    while httpx.get(f"{slow.url}/ping").status_code != 503:
        time.sleep(0.01)
    refused = httpx.post(f"{slow.url}/invocations", content=body, headers=JPEG, timeout=60)
    for sender in senders:
        sender.join(60)
    assert refused.status_code == 503
    assert [answer.status_code for answer in answers] == [200, 200, 200]
    assert slow.process.wait(25) == 0


def test_a_server_that_is_idle_ends_at_once(start_server, model_folder):
    idle = start_server(model_folder)
    idle.process.send_signal(signal.SIGTERM)
    assert idle.process.wait(25) == 0
    with socket.socket() as probe, pytest.raises(OSError):  # noqa: PT011 - any refusal will do
        probe.connect(("127.0.0.1", int(idle.url.rsplit(":", 1)[1])))


@pytest.mark.usefixtures("root_logger")
@pytest.mark.parametrize(
    ("environment", "arguments", "says"),
    [
        ({"SAGEMAKER_BIND_TO_PORT": "http"}, ["serve"], "SAGEMAKER_BIND_TO_PORT"),
        ({"SAGEMAKER_BIND_TO_PORT": "70000"}, [], "SAGEMAKER_BIND_TO_PORT"),
        ({}, ["--help-me"], "--help-me"),
    ],
    ids=["a word", "out of range", "an unknown argument"],
)
def test_settings_that_cannot_be_used_are_named(monkeypatch, capfd, environment, arguments, says):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert main(arguments) == 2
    assert says in capfd.readouterr().err


def test_in_a_container_it_listens_on_8080_for_everyone():
    settings = settings_from({})
    assert (settings.host, settings.port, str(settings.ml_root)) == ("0.0.0.0", 8080, "/opt/ml")
