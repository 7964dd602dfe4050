"""An endpoint whose machine went down answers again with the next prediction."""

import os
import signal
import tarfile
import time

import pytest

from overflight.account.local.endpoints import server_of
from overflight.account.local.supervisor import supervisor_status
from overflight.account.session import local_account
from overflight.imaging.codecs import encode_jpeg
from overflight.lifecycle.context import Context
from overflight.lifecycle.endpoints import describe_endpoint, wake
from overflight.lifecycle.predict import predict
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.system import down
from overflight.settings import Settings
from toy_model import painted_photo, write_model_folder

NAME = "overflight-dev-squares"  # people say "squares"


@pytest.fixture
def context(tmp_path):
    context = Context(Settings(home=tmp_path / ".overflight"))
    yield context
    down(context)


def deploy_toy(context, folder):
    write_model_folder(folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in sorted((folder / "model").iterdir()):
            tar.add(path, arcname=path.name)
    account = local_account(context.settings)
    account.objects.put_file(account.bucket, "runs/toy/train/model.tar.gz", folder / "model.tar.gz")
    sagemaker = context.client("sagemaker")
    container = {"Image": "overflight:1", "ModelDataUrl": f"s3://{account.bucket}/runs/toy/train/model.tar.gz"}
    role = "arn:aws:iam::000000000000:role/overflight-serve"
    sagemaker.create_model(ModelName=NAME, PrimaryContainer=container, ExecutionRoleArn=role)
    variant = {"VariantName": "main", "ModelName": NAME, "InitialInstanceCount": 1, "InstanceType": "ml.m5.large"}
    sagemaker.create_endpoint_config(EndpointConfigName="c", ProductionVariants=[variant])
    sagemaker.create_endpoint(EndpointName=NAME, EndpointConfigName="c")
    waiter = sagemaker.get_waiter("endpoint_in_service")
    waiter.wait(EndpointName=NAME, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
    return account


def test_supervisor_and_server_killed_at_once_come_back(context, tmp_path):
    account = deploy_toy(context, tmp_path)
    wake(context, "squares")  # nothing to do
    before = server_of(account, NAME)
    for pid in (supervisor_status(account).pid, before.pid):
        os.kill(pid, signal.SIGKILL)
    while before.alive or supervisor_status(account).running:
        time.sleep(0.02)
    assert describe_endpoint(context, "squares")["status"] == "InService"  # the store cannot know
    photo = tmp_path / "a.jpg"
    photo.write_bytes(encode_jpeg(painted_photo(640, 640, [(160, 160, 64, "red")])))
    (found,) = predict(context, "squares", [photo], out=tmp_path / "out", form="json", progress=Silent())
    assert found.counts == {"red": 1}
    assert server_of(account, NAME).pid != before.pid
