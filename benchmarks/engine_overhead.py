"""What the engine adds to a step beyond starting its process: a chain of steps against plain ``subprocess.run``.

Run: ``python benchmarks/engine_overhead.py [--steps 40]``. Both run the same command the same number of times, one
after the other, alternating in blocks so that the load of the machine hits both; the engine runs in its supervisor
process as always.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from pathlib import Path
from typing import Any

from overflight.account.local.login import local_session
from overflight.account.local.supervisor import stop_supervisor
from overflight.account.session import local_account
from overflight.settings import load_settings

COMMAND = [sys.executable, "-S", "-c", "pass"]
ROLE = "arn:aws:iam::000000000000:role/overflight-administrator"
IMAGE = "000000000000.dkr.ecr.eu-central-1.amazonaws.com/overflight:bench"


def chain(steps: int, bucket: str) -> str:
    """A definition in which every step reads what the one before it has written."""
    listed: list[dict[str, Any]] = []
    for number in range(steps):
        output = {"S3Uri": f"s3://{bucket}/bench/{number}", "LocalPath": "/opt/ml/processing/output/o"}
        arguments: dict[str, Any] = {
            "ProcessingResources": {
                "ClusterConfig": {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 1}
            },
            "AppSpecification": {"ImageUri": IMAGE, "ContainerEntrypoint": COMMAND},
            "ProcessingOutputConfig": {
                "Outputs": [{"OutputName": "o", "S3Output": {**output, "S3UploadMode": "EndOfJob"}}]
            },
        }
        step: dict[str, Any] = {"Name": f"S{number}", "Type": "Processing", "Arguments": arguments}
        if number:
            step["DependsOn"] = [f"S{number - 1}"]
        listed.append(step)
    return json.dumps({"Version": "2020-12-01", "Steps": listed})


def execute(client: Any) -> float:
    """Seconds from the start of the first step to the end of the last, as the execution's steps say."""
    arn = client.start_pipeline_execution(PipelineName="bench", ClientRequestToken=uuid.uuid4().hex)
    arn = arn["PipelineExecutionArn"]
    while (told := client.describe_pipeline_execution(PipelineExecutionArn=arn))[
        "PipelineExecutionStatus"
    ] == "Executing":
        time.sleep(0.1)
    assert told["PipelineExecutionStatus"] == "Succeeded", told.get("FailureReason")
    pages = client.get_paginator("list_pipeline_execution_steps").paginate(PipelineExecutionArn=arn)
    steps = [one for page in pages for one in page["PipelineExecutionSteps"]]
    begin, end = min(one["StartTime"] for one in steps), max(one["EndTime"] for one in steps)
    return float((end - begin).total_seconds())


def plain(steps: int) -> float:
    """Seconds for the same command, the same number of times, without anything around it."""
    begin = time.perf_counter()
    for _ in range(steps):
        subprocess.run(COMMAND, check=True)
    return time.perf_counter() - begin


def main() -> int:
    """Print one line for each, and the difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=20, help="length of the chain")
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        account = local_account(load_settings(home=Path(folder) / "home", platform="local"))
        client = local_session(account, role="administrator", user="bench").client("sagemaker")
        client.create_pipeline(
            PipelineName="bench",
            PipelineDefinition=chain(given.steps, account.bucket),
            RoleArn=ROLE,
            ClientRequestToken=uuid.uuid4().hex,
        )
        try:
            execute(client)  # starts the supervisor and loads botocore's model into it
            rounds = [(execute(client), plain(given.steps)) for _ in range(given.rounds)]
        finally:
            stop_supervisor(account)
            account.close()
    engine, peer = (statistics.median(column) / given.steps * 1000 for column in zip(*rounds, strict=True))
    print(f"engine            {engine:7.1f} ms per step  ({given.steps} steps, median of {given.rounds} rounds)")
    print(f"subprocess.run    {peer:7.1f} ms per step  (same command, same run)")
    print(f"overhead          {engine - peer:7.1f} ms per step  (goal: at most 50 ms)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
