"""Tiny pipelines of real processes: builders of steps and a supervisor's loop inside the test."""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
import threading
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from overflight.account.local import tuning
from overflight.account.local.account import LocalAccount
from overflight.account.local.engine import Engine, Faults, no_faults
from overflight.account.local.executions import EXECUTION, OPEN, WAITING, steps_of
from overflight.account.local.job_runner import JobRunner
from overflight.account.local.store import Resource
from overflight.files import sha256_bytes

ROLE = "arn:aws:iam::000000000000:role/overflight-administrator"
IMAGE = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/overflight:test"
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
ML = "import os, pathlib; ml = pathlib.Path(os.environ['OVERFLIGHT_ML_ROOT'])"


_PROGRAMS = Path(tempfile.mkdtemp(prefix="overflight-test-"))
atexit.register(shutil.rmtree, _PROGRAMS, ignore_errors=True)


def program(code: str) -> list[str]:
    """A command that runs ``code``; equal code gives an equal command."""
    path = _PROGRAMS / f"{sha256_bytes(code.encode())[:16]}.py"
    path.write_text(ML + "\n" + code + "\n")
    return ["python", "-S", str(path)]


def processing(
    name: str,
    code: str = "pass",
    *,
    inputs: Mapping[str, Any] | None = None,
    outputs: Mapping[str, Any] | None = None,
    environment: Mapping[str, Any] | None = None,
    limit_s: int = 60,
    command: Sequence[Any] | None = None,
    **beside: Any,
) -> dict[str, Any]:
    """A Processing step that runs ``code`` in Python; ``ml`` is its root."""
    arguments: dict[str, Any] = {
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        "AppSpecification": {
            "ImageUri": IMAGE,
            "ContainerEntrypoint": list(command) if command else program(code),
        },
        "StoppingCondition": {"MaxRuntimeInSeconds": limit_s},
        "Environment": dict(environment or {}),
    }
    if inputs:
        arguments["ProcessingInputs"] = [
            {
                "InputName": key,
                "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{key}", "S3DataType": "S3Prefix"},
            }
            for key, uri in inputs.items()
        ]
    if outputs:
        arguments["ProcessingOutputConfig"] = {
            "Outputs": [
                {
                    "OutputName": key,
                    "S3Output": {
                        "S3Uri": uri,
                        "LocalPath": f"/opt/ml/processing/output/{key}",
                        "S3UploadMode": "EndOfJob",
                    },
                }
                for key, uri in outputs.items()
            ]
        }
    return {"Name": name, "Type": "Processing", "Arguments": arguments, **beside}


def training_request(code: str, bucket: str, **more: Any) -> dict[str, Any]:
    """Arguments of CreateTrainingJob (without the name) that run ``code`` in Python."""
    return {
        "AlgorithmSpecification": {
            "TrainingImage": IMAGE,
            "TrainingInputMode": "File",
            "ContainerEntrypoint": program(code),
        },
        "OutputDataConfig": {"S3OutputPath": f"s3://{bucket}/models"},
        "ResourceConfig": CLUSTER,
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
        "RoleArn": ROLE,
        **more,
    }


def condition(
    name: str, conditions: Sequence[Mapping[str, Any]], then: Sequence[Any] = (), otherwise: Sequence[Any] = ()
) -> dict[str, Any]:
    arguments = {"Conditions": list(conditions), "IfSteps": list(then), "ElseSteps": list(otherwise)}
    return {"Name": name, "Type": "Condition", "Arguments": arguments}


def equals(left: Any, right: Any) -> dict[str, Any]:
    return {"Type": "Equals", "LeftValue": left, "RightValue": right}


def fail(name: str, message: Any) -> dict[str, Any]:
    return {"Name": name, "Type": "Fail", "Arguments": {"ErrorMessage": message}}


def definition(*steps: Mapping[str, Any], parameters: Sequence[Mapping[str, Any]] = ()) -> str:
    return json.dumps({"Version": "2020-12-01", "Metadata": {}, "Parameters": list(parameters), "Steps": list(steps)})


def token() -> str:
    return uuid.uuid4().hex


class Pipelines:
    """A SageMaker client of a local account, with the supervisor's loop run inside the test."""

    def __init__(self, account: LocalAccount, client: Any) -> None:
        self.account = account
        self.client = client
        self.entrypoint: tuple[str, ...] = ("no-entry-point",)

    def create(self, name: str, text: str) -> None:
        self.client.create_pipeline(
            PipelineName=name, PipelineDefinition=text, RoleArn=ROLE, ClientRequestToken=token()
        )

    def start(self, text: str, *, name: str = "", parallel: int = 0, **parameters: str) -> str:
        """Create a pipeline and start it; the execution's ARN."""
        name = name or f"p{uuid.uuid4().hex[:6]}"
        self.create(name, text)
        return self.again(name, parallel=parallel, **parameters)

    def again(self, name: str, *, parallel: int = 0, **parameters: str) -> str:
        more: dict[str, Any] = {"ParallelismConfiguration": {"MaxParallelExecutionSteps": parallel}} if parallel else {}
        values = [{"Name": key, "Value": value} for key, value in parameters.items()]
        started = self.client.start_pipeline_execution(
            PipelineName=name, PipelineParameters=values, ClientRequestToken=token(), **more
        )
        return str(started["PipelineExecutionArn"])

    def run(self, text: str, *, name: str = "", **parameters: str) -> str:
        arn = self.start(text, name=name, **parameters)
        self.follow()
        return arn

    def follow(
        self,
        *,
        faults: Faults = no_faults,
        slots: int = 2,
        grace_s: float = 5.0,
        each: Callable[[], None] = lambda: None,
        timeout_s: float = 60.0,
    ) -> None:
        """Advance everything until nothing is open any more."""
        wake = threading.Event()
        engine = Engine(self.account, slots=slots, faults=faults)
        runner = JobRunner(self.account, slots=slots, grace_s=grace_s, wake=wake, entrypoint=self.entrypoint)
        deadline = time.monotonic() + timeout_s
        while True:
            busy = engine.advance()
            busy |= tuning.advance(self.account)
            busy |= runner.advance()
            if not busy and not runner.running():
                return
            each()
            assert time.monotonic() < deadline, "did not end"
            wake.wait(0.02)
            wake.clear()

    def status(self, arn: str) -> str:
        return str(self.record(arn).status)

    def reason(self, arn: str) -> str:
        return str(self.record(arn).body["failure_reason"])

    def record(self, arn: str) -> Resource:
        with self.account.store.read() as tx:
            found = tx.get(EXECUTION, arn.rsplit("/", 1)[1])
        assert found is not None
        return found

    def is_open(self, arn: str) -> bool:
        return self.status(arn) in OPEN

    def steps(self, arn: str) -> dict[str, str]:
        """Status by step name, of the steps that were started."""
        with self.account.store.read() as tx:
            known = steps_of(tx, arn.rsplit("/", 1)[1])
        return {name: one.status for name, one in known.items() if one.status != WAITING}

    def listed(self, arn: str) -> dict[str, dict[str, Any]]:
        """The steps as the API lists them, by name."""
        pages = self.client.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
        return {one["StepName"]: one for page in pages for one in page["PipelineExecutionSteps"]}

    def keys(self, prefix: str) -> dict[str, str]:
        """Digest by key of the objects below a prefix."""
        return {one.key: one.sha256 for one in self.account.objects.list(self.account.bucket, prefix)}

    def read(self, key: str) -> str:
        return self.account.objects.get_path(self.account.bucket, key).read_text()


def make_pipelines(account: LocalAccount, session: Any, monkeypatch: Any) -> Pipelines:
    """Without a supervisor of its own: the test runs the loop."""
    monkeypatch.setattr("overflight.account.local.supervisor.ensure_supervisor", lambda _account: None)
    return Pipelines(account, session.client("sagemaker"))
