"""Endpoints with real server processes: the loop of the supervisor runs inside the test, one step after another."""

from __future__ import annotations

import json
import os
import signal
import socket
import tarfile
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from botocore.exceptions import ClientError

from overflight.account.local import endpoint_records as records
from overflight.account.local import endpoints, events, supervisor
from overflight.account.local.endpoint_servers import ServerFacts, choose_port
from overflight.account.local.services.runtime import BODY_LIMIT_BYTES
from overflight.imaging.codecs import encode_jpeg
from toy_model import painted_photo, write_model_folder

KEY = "models/toy/model.tar.gz"
PHOTO = encode_jpeg(painted_photo(640, 640, [(160, 160, 64, "red")]))


@pytest.fixture(autouse=True)
def asked(monkeypatch) -> list[object]:
    """The test is the supervisor; here is how often one was asked for."""
    calls: list[object] = []
    monkeypatch.setattr(supervisor, "ensure_supervisor", calls.append)
    return calls


@pytest.fixture(scope="module")
def archive(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("toy")
    write_model_folder(folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in sorted((folder / "model").iterdir()):
            tar.add(path, arcname=path.name)
    return folder / "model.tar.gz"


@pytest.fixture
def sagemaker(session):
    return session.client("sagemaker")


@pytest.fixture
def runtime(session):
    return session.client("sagemaker-runtime")


@pytest.fixture
def bucket(account, archive) -> Iterator[str]:
    account.objects.put_file(account.bucket, KEY, archive)
    yield account.bucket
    endpoints.stop_all(account, grace_s=5)


@pytest.fixture
def deploy(sagemaker, bucket) -> Callable[..., str]:
    """Creates model and configuration ``name`` and, unless told otherwise, the endpoint ``e`` with it."""

    def make(name: str = "c", *, endpoint: str | None = "e", key: str = KEY, variant=None, **environment: str) -> str:
        container = {"Image": "overflight:1", "ModelDataUrl": f"s3://{bucket}/{key}", "Environment": environment}
        sagemaker.create_model(
            ModelName=name,
            PrimaryContainer=container,
            ExecutionRoleArn="arn:aws:iam::000000000000:role/overflight-administrator",
        )
        full = {"VariantName": "main", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
        sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[full | (variant or {})])
        if endpoint:
            sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=name)
        return name

    return make


def settle(account, *, until: Callable[[], bool] | None = None) -> None:
    """Do what the supervisor does, until everything is at rest (or ``until`` says so)."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        busy = endpoints.advance(account)
        if until() if until else not busy:
            return
        time.sleep(0.02)
    raise AssertionError("the endpoints do not come to rest")


def status(sagemaker, name: str = "e") -> str:
    return sagemaker.describe_endpoint(EndpointName=name)["EndpointStatus"]


def reason(sagemaker, name: str = "e") -> str:
    return sagemaker.describe_endpoint(EndpointName=name).get("FailureReason", "")


def invoke(runtime, body: object = PHOTO, **options: object) -> dict:
    return runtime.invoke_endpoint(EndpointName="e", Body=body, ContentType="image/jpeg", **options)


def kill_server(account) -> ServerFacts:
    server = endpoints.server_of(account, "e")
    assert server is not None
    os.kill(server.pid, signal.SIGKILL)
    while server.alive:
        time.sleep(0.01)
    return server


def test_an_endpoint_comes_up_answers_and_goes_away(account, sagemaker, runtime, deploy, assert_fits_output_shape):
    deploy()
    assert status(sagemaker) == "Creating"
    with pytest.raises(ClientError, match="Creating"):
        invoke(runtime)
    settle(account)
    sagemaker.get_waiter("endpoint_in_service").wait(EndpointName="e", WaiterConfig={"Delay": 0, "MaxAttempts": 1})
    answer = invoke(runtime, Accept="application/json", CustomAttributes="trace=1")
    found = json.loads(answer["Body"].read())
    assert [(box["class"], box["box_xyxy_px"]) for box in found["detections"]] == [("red", [160, 160, 224, 224])]
    assert (answer["InvokedProductionVariant"], answer["CustomAttributes"]) == ("main", "trace=1")
    assert_fits_output_shape(runtime, "InvokeEndpoint", invoke(runtime))

    server = endpoints.server_of(account, "e")
    tags = sagemaker.list_tags(ResourceArn=sagemaker.describe_endpoint(EndpointName="e")["EndpointArn"])["Tags"]
    assert {"Key": "overflight:url", "Value": server.url} in tags
    assert os.getsid(server.pid) == server.pid  # its own session: it survives the terminal
    sagemaker.delete_endpoint(EndpointName="e")
    settle(account)
    assert not server.alive
    assert not (account.home / "endpoints" / "e").exists()
    assert sagemaker.list_endpoints()["Endpoints"] == []
    with account.store.read() as transaction:
        words = [e.detail["EndpointStatus"] for e in events.after(transaction, 0) if "Endpoint" in e.detail_type]
    assert words == ["CREATING", "IN_SERVICE", "DELETING"]


@pytest.mark.parametrize(
    ("body", "code"),
    [
        pytest.param(b"\xff\xd8 no photo", "ModelError", id="unreadable photo"),
        pytest.param(b"x" * (BODY_LIMIT_BYTES + 1), "ValidationError", id="above the service's limit"),
    ],
)
def test_a_body_that_cannot_be_served_is_an_error_of_aws(account, runtime, deploy, body, code):
    deploy()
    settle(account)
    with pytest.raises(ClientError) as caught:
        invoke(runtime, body)
    assert caught.value.response["Error"]["Code"] == code


def test_the_answer_of_the_server_comes_with_the_error(account, runtime, deploy):
    deploy()
    settle(account)
    with pytest.raises(ClientError) as caught:
        invoke(runtime, b"\xff\xd8 no photo")
    assert caught.value.response["OriginalStatusCode"] == 400
    assert "unreadable" in caught.value.response["OriginalMessage"]


def test_an_unknown_endpoint_is_not_found(runtime):
    with pytest.raises(ClientError, match=r"Endpoint e of account \d+ not found") as caught:
        invoke(runtime)
    assert caught.value.response["Error"]["Code"] == "ValidationError"


def test_looking_at_an_endpoint_on_its_way_brings_a_killed_supervisor_back(account, sagemaker, deploy, asked):
    deploy()
    asked.clear()
    assert status(sagemaker) == "Creating"
    assert asked == [account]
    settle(account)
    asked.clear()
    assert status(sagemaker) == "InService"
    assert asked == []


def test_asking_a_dead_server_brings_a_killed_supervisor_back(account, runtime, deploy, asked):
    deploy()
    settle(account)
    kill_server(account)
    asked.clear()
    with pytest.raises(ClientError, match="started again"):
        invoke(runtime)
    assert asked == [account]


def test_a_killed_server_is_started_again_at_the_same_address_and_given_up_when_it_keeps_dying(
    account, sagemaker, runtime, deploy, clock
):
    deploy()
    settle(account)
    first = kill_server(account)
    with pytest.raises(ClientError) as caught:
        invoke(runtime)
    assert caught.value.response["Error"]["Code"] == "ServiceUnavailable"
    settle(account)
    second = endpoints.server_of(account, "e")
    assert (second.port, second.pid != first.pid) == (first.port, True)
    assert invoke(runtime)["ContentType"] == "application/json"
    clock.advance(minutes=11)  # long ago does not count
    for _ in range(endpoints.RESTARTS_ALLOWED):
        kill_server(account)
        settle(account)
        assert status(sagemaker) == "InService"
    kill_server(account)
    settle(account)
    assert status(sagemaker) == "Failed"
    assert "died again" in reason(sagemaker)


def test_a_supervisor_that_was_killed_is_continued_without_touching_running_servers(account, sagemaker, deploy):
    deploy()
    settle(account)
    before = endpoints.server_of(account, "e")
    endpoints.advance(account)  # what a new supervisor does first: it remembers nothing of the one before
    assert endpoints.server_of(account, "e") == before


def test_a_start_whose_process_number_was_never_noted_is_ended_and_done_again(account, sagemaker, deploy):
    deploy()
    endpoints.advance(account)
    with account.store.write() as transaction:  # as if the supervisor was killed right after starting the process
        body = transaction.get(records.KIND, "e").body
        facts = ServerFacts(**body["next"]["facts"])
        forgotten = replace(facts, pid=0, created_s=0.0).to_json()
        transaction.put(records.KIND, "e", body=body | {"next": body["next"] | {"facts": forgotten}})
    settle(account)
    assert not facts.alive
    assert status(sagemaker) == "InService"


def test_an_update_switches_without_a_gap_and_ends_the_old_server(account, sagemaker, runtime, deploy):
    deploy()
    settle(account)
    old = endpoints.server_of(account, "e")
    deploy("c2", endpoint=None)
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="c2")
    described = sagemaker.describe_endpoint(EndpointName="e")
    assert described["EndpointStatus"] == "Updating"
    assert described["PendingDeploymentSummary"]["EndpointConfigName"] == "c2"
    answers = 0

    def in_service() -> bool:
        nonlocal answers
        answers += invoke(runtime)["ResponseMetadata"]["HTTPStatusCode"] == 200
        return status(sagemaker) == "InService"

    settle(account, until=in_service)
    assert answers >= 2
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointConfigName"] == "c2"
    settle(account)
    assert not old.alive
    assert endpoints.server_of(account, "e").pid != old.pid
    assert len([path for path in (account.home / "endpoints" / "e").iterdir() if path.is_dir()]) == 1


def test_a_failed_update_is_rolled_back(account, sagemaker, runtime, deploy):
    deploy()
    settle(account)
    before = endpoints.server_of(account, "e")
    deploy("bad", endpoint=None, key="models/none.tar.gz")
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="bad")
    settle(account)
    assert status(sagemaker) == "InService"
    assert "rolled back" in reason(sagemaker)
    assert "models/none.tar.gz" in reason(sagemaker)
    assert endpoints.server_of(account, "e") == before
    assert invoke(runtime)["ContentType"] == "application/json"


def test_an_update_on_a_fixed_port_hands_the_port_over(account, sagemaker, deploy):
    port = str(choose_port(None))
    deploy(SAGEMAKER_BIND_TO_PORT=port)
    settle(account)
    deploy("c2", endpoint=None, SAGEMAKER_BIND_TO_PORT=port)
    sagemaker.update_endpoint(EndpointName="e", EndpointConfigName="c2")
    settle(account)
    assert status(sagemaker) == "InService"
    assert sagemaker.describe_endpoint(EndpointName="e")["EndpointConfigName"] == "c2"
    assert endpoints.server_of(account, "e").url.endswith(f":{port}")


def test_a_port_in_use_fails_the_endpoint_with_the_port_and_the_cure(account, sagemaker, deploy):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        deploy(SAGEMAKER_BIND_TO_PORT=str(port))
        settle(account)
    assert status(sagemaker) == "Failed"
    assert f"Port {port}" in reason(sagemaker)
    assert "SAGEMAKER_BIND_TO_PORT" in reason(sagemaker)


def test_a_port_that_does_not_exist_fails_the_endpoint(account, sagemaker, deploy):
    deploy(SAGEMAKER_BIND_TO_PORT="70000")
    settle(account)
    assert status(sagemaker) == "Failed"
    assert "Port 70000" in reason(sagemaker)


def test_a_model_that_cannot_be_loaded_fails_with_the_last_words_of_the_server(account, sagemaker, deploy, tmp_path):
    model = write_model_folder(tmp_path / "model")
    (model / "model.onnx").write_bytes(b"changed after it was described")
    with tarfile.open(tmp_path / "broken.tar.gz", "w:gz") as tar:
        tar.add(model, arcname=".")
    account.objects.put_file(account.bucket, "broken.tar.gz", tmp_path / "broken.tar.gz")
    deploy(key="broken.tar.gz")
    settle(account)
    assert status(sagemaker) == "Failed"
    assert "does not match its digest" in reason(sagemaker)


def test_a_server_that_is_never_healthy_is_killed_after_its_time(account, sagemaker, deploy, clock, monkeypatch):
    monkeypatch.setattr("overflight.account.local.endpoint_servers.answers_ping", lambda port: False)
    deploy(variant={"ContainerStartupHealthCheckTimeoutInSeconds": 60})
    endpoints.advance(account)
    with account.store.read() as transaction:
        facts = ServerFacts(**transaction.get(records.KIND, "e").body["next"]["facts"])
    endpoints.advance(account)
    assert status(sagemaker) == "Creating"
    clock.advance(seconds=61)
    settle(account)
    assert status(sagemaker) == "Failed"
    assert "60 s" in reason(sagemaker)
    assert not facts.alive


def test_down_ends_all_servers_and_the_next_supervisor_brings_them_back(account, sagemaker, runtime, deploy):
    deploy()
    settle(account)
    pid = endpoints.server_of(account, "e").pid
    assert endpoints.stop_all(account) == 1
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert status(sagemaker) == "OutOfService"
    with pytest.raises(ClientError, match="OutOfService"):
        invoke(runtime)
    settle(account)
    assert status(sagemaker) == "InService"
    assert invoke(runtime)["ContentType"] == "application/json"


def test_down_ends_servers_that_a_killed_supervisor_left_running(account, sagemaker, deploy):
    deploy()
    settle(account)
    pid = endpoints.server_of(account, "e").pid
    assert not supervisor.stop_supervisor(account, timeout_s=5)
    assert not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    assert status(sagemaker) == "OutOfService"


def test_one_endpoint_with_an_unexpected_error_does_not_stop_the_others(account, monkeypatch):
    for name in ("broken", "fine"):
        with account.store.write() as transaction:
            arn = account.arn("sagemaker", f"endpoint/{name}")
            deployment = {
                "config": {"name": "c", "request": {"ProductionVariants": [{"VariantName": "main"}]}},
                "container": {},
                "model": "m",
            }
            body = records.new_body(arn, deployment=deployment, update=None)
            transaction.insert(records.KIND, name, body=body, status="Creating")
    seen = []

    def break_one(_account, endpoint):
        seen.append(endpoint.name)
        return 1 / 0 if endpoint.name == "broken" else False

    monkeypatch.setattr(endpoints, "_step", break_one)
    endpoints.advance(account)
    with account.store.read() as transaction:
        broken = transaction.get("endpoint", "broken")
    assert seen == ["broken", "fine"]
    assert broken.status == "Failed"
    assert "ZeroDivisionError" in broken.body["failure_reason"]
