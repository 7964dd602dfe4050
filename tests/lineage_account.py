"""A local account in which a model was made without training: real survey, data set, pipeline, package, endpoint.

The jobs are programs that put prepared folders in place; everything else is recorded by the account itself.
"""

from __future__ import annotations

import json
import shutil
import sys
import tarfile
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from factories import make_survey_source
from overflight.account.local.engine import Engine
from overflight.account.local.job_runner import JobRunner
from overflight.account.session import local_account
from overflight.data.dataset import DatasetRequest, build_dataset
from overflight.data.tile import TileRules
from overflight.files import sha256_file
from overflight.jobs.code import code_identity
from overflight.jobs.contract import seal
from overflight.lifecycle.context import Context
from overflight.lifecycle.progress import Silent
from overflight.lifecycle.survey_versions import SurveyVersion
from overflight.lifecycle.surveys import add_survey
from toy_model import write_model_folder

ROLES = "arn:aws:iam::000000000000:role/overflight"
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
GROUP = "overflight-cars"
TAGS = [{"Key": "env", "Value": "dev"}, {"Key": "project", "Value": "overflight"}, {"Key": "owner", "Value": "anna"}]
PUT = """
import os, pathlib, shutil, sys
ml = pathlib.Path(os.environ["OVERFLIGHT_ML_ROOT"])
shutil.copytree(sys.argv[1], ml / sys.argv[2], dirs_exist_ok=True)
"""


@dataclass(frozen=True)
class Made:
    """What the fixture made; ``names`` are ARNs and addresses by what they are."""

    context: Context
    survey: SurveyVersion
    names: dict[str, str]


def make_account(context: Context, work: Path, *, on_model: Callable[[Path], None] = lambda _: None) -> Made:
    """Survey, run, package (approved), model, configuration and endpoint; no supervisor runs, so nothing serves."""
    survey = add_survey(
        context, make_survey_source(work / "source", flights=4, photos=3), name="meadow", progress=Silent()
    )
    folders = _prepared(context, survey, work)
    on_model(folders["train"])
    bucket = context.names.bucket
    sagemaker = context.client("sagemaker")
    sagemaker.create_pipeline(
        PipelineName="overflight-dev-train",
        PipelineDefinition=json.dumps(_definition(bucket, folders, work)),
        RoleArn=f"{ROLES}-register",
        ClientRequestToken=uuid.uuid4().hex,
    )
    execution = sagemaker.start_pipeline_execution(
        PipelineName="overflight-dev-train",
        PipelineParameters=[{"Name": "SurveyUri", "Value": survey.uri}],
        ClientRequestToken=uuid.uuid4().hex,
    )["PipelineExecutionArn"]
    run_everything(context)
    steps = sagemaker.list_pipeline_execution_steps(PipelineExecutionArn=execution, SortOrder="Ascending")
    failed = [step for step in steps["PipelineExecutionSteps"] if step["StepStatus"] != "Succeeded"]
    assert failed == [], failed
    package = next(
        s["Metadata"]["RegisterModel"]["Arn"] for s in steps["PipelineExecutionSteps"] if s["StepName"] == "Register"
    )
    return Made(context, survey, {"execution": execution, "package": package, "run": execution.rsplit("/", 1)[1]})


def approve_and_serve(made: Made, *, endpoint: str = "overflight-dev-cars", evidence: bool = True) -> None:
    """Approve the package, by default with an event and digests, and make an endpoint of it."""
    archive = next(uri for uri in _keys(made.context) if uri.endswith("model.tar.gz"))
    body = made.context.client("s3").get_object(Bucket=made.context.names.bucket, Key=archive)["Body"].read()
    work = made.context.settings.home_path / "read.tar.gz"
    work.write_bytes(body)
    metadata = {
        "approval_event": "0197-event",
        "approved_by": "arn:aws:sts::000000000000:assumed-role/overflight-approver/berta",
        "approval_artefact_sha256": sha256_file(work),
        "approval_survey": made.survey.digest,
    }
    sagemaker = made.context.client("sagemaker")
    sagemaker.update_model_package(
        ModelPackageArn=made.names["package"],
        ModelApprovalStatus="Approved",
        ApprovalDescription="Looked at 40 photographs of the test flights [event 0197-event]",
        **({"CustomerMetadataProperties": metadata} if evidence else {}),
    )
    serve(made, endpoint, {"ModelPackageName": made.names["package"]})


def serve(made: Made, endpoint: str, container: dict[str, Any]) -> None:
    """A model, a configuration of the same name and an endpoint."""
    sagemaker = made.context.client("sagemaker")
    name = f"{endpoint}-1"
    sagemaker.create_model(ModelName=name, Containers=[container], ExecutionRoleArn=f"{ROLES}-serve", Tags=TAGS)
    variant = {"VariantName": "main", "ModelName": name, "InitialInstanceCount": 1, "InstanceType": "ml.c7i.large"}
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=TAGS)
    sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=name, Tags=TAGS)


def run_everything(context: Context) -> None:
    """The supervisor's loop, in this process, until nothing is left to do."""
    account, wake = local_account(context.settings, clock=context.clock), threading.Event()
    engine, runner = Engine(account, slots=2), JobRunner(account, slots=2, grace_s=5.0, wake=wake)
    while True:
        busy = engine.advance() | runner.advance()
        if not busy and not runner.running():
            return
        wake.wait(0.02)
        wake.clear()


def _keys(context: Context) -> list[str]:
    listed = context.client("s3").list_objects_v2(Bucket=context.names.bucket, Prefix="runs/")
    return [item["Key"] for item in listed["Contents"]]


def _prepared(context: Context, survey: SurveyVersion, work: Path) -> dict[str, Path]:
    """What each job is going to write, by its name."""
    stored = work / "stored"
    bucket, prefix = survey.uri.removeprefix("s3://").split("/", 1)
    account = local_account(context.settings, clock=context.clock)
    for item in account.objects.list(bucket, prefix):
        target = stored / item.key.removeprefix(f"{prefix}/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(account.objects.get_path(bucket, item.key), target)
    folders = {name: work / "made" / name for name in ("validate", "prepare", "train", "evaluate")}
    request = DatasetRequest(rules=TileRules(tile_px=160, overlap_px=32), workers=1)
    dataset = build_dataset(stored, folders["prepare"], request=request)
    model = write_model_folder(
        folders["train"], dataset_digest=dataset["digest"], seed=7, epochs=3, code=code_identity(),
        weights="yolo11n.pt", weights_sha256="ab" * 32,
    )  # fmt: skip
    for name, document in {
        "validate/decision.json": {"passed": True, "reasons": ["no errors"]},
        "evaluate/evaluation.json": {
            "metrics": {"map50": {"value": 0.8125, "low": 0.7, "high": 0.9}},
            "model_digest": sha256_file(model / "model.json"),
            "dataset_digest": dataset["digest"],
        },
    }.items():
        path = work / "made" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document))
    for name in ("validate", "prepare", "evaluate"):
        seal(folders[name])
    return folders


def _definition(bucket: str, folders: dict[str, Path], work: Path) -> dict[str, Any]:
    program = work / "put.py"
    program.write_text(PUT)
    runs = {"Std:Join": {"On": "/", "Values": [f"s3://{bucket}/runs", {"Get": "Execution.PipelineExecutionId"}]}}
    survey = {"Get": "Parameters.SurveyUri"}

    def below(step: str) -> dict[str, Any]:
        return {"Std:Join": {"On": "/", "Values": [runs, step]}}

    def command(step: str, target: str) -> list[str]:
        return [sys.executable, "-S", str(program), str(folders[step]), target]

    def processing(name: str, output: str, inputs: dict[str, Any], *after: str) -> dict[str, Any]:
        step = name.lower()
        entries = [
            {
                "InputName": key,
                "S3Input": {"S3Uri": uri, "LocalPath": f"/opt/ml/processing/input/{key}", "S3DataType": "S3Prefix"},
            }
            for key, uri in inputs.items()
        ]
        local = f"processing/output/{output}"
        out = {"S3Uri": below(step), "LocalPath": f"/opt/ml/{local}", "S3UploadMode": "EndOfJob"}
        return {
            "Name": name, "Type": "Processing", "DependsOn": list(after), "Arguments": {
                "ProcessingResources": {"ClusterConfig": CLUSTER},
                "AppSpecification": {"ImageUri": "overflight/jobs:0.1.0", "ContainerEntrypoint": command(step, local)},
                "ProcessingInputs": entries,
                "ProcessingOutputConfig": {"Outputs": [{"OutputName": output, "S3Output": out}]},
                "Environment": {"OVERFLIGHT_SEED": "7", "OVERFLIGHT_EXECUTION_ID": "x"},
                "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "Tags": TAGS,
                "RoleArn": f"{ROLES}-evaluate" if name == "Evaluate" else f"{ROLES}-prepare",
            },
        }  # fmt: skip

    channel = {"S3DataSource": {"S3DataType": "S3Prefix", "S3Uri": below("prepare")}}
    train = {
        "Name": "Train", "Type": "Training", "DependsOn": ["Prepare"], "Arguments": {
            "AlgorithmSpecification": {
                "TrainingImage": "overflight/jobs:0.1.0", "TrainingInputMode": "File",
                "ContainerEntrypoint": command("train", "model"),
            },
            "InputDataConfig": [{"ChannelName": "dataset", "DataSource": channel}],
            "HyperParameters": {"epochs": "3", "seed": "7", "model": "yolo11n"},
            "OutputDataConfig": {"S3OutputPath": below("train")}, "ResourceConfig": CLUSTER,
            "StoppingCondition": {"MaxRuntimeInSeconds": 60}, "RoleArn": f"{ROLES}-train", "Tags": TAGS,
        },
    }  # fmt: skip
    artefact = {"Get": "Steps.Train.ModelArtifacts.S3ModelArtifacts"}
    statistics = {
        "ContentType": "application/json",
        "S3Uri": {"Std:Join": {"On": "/", "Values": [below("evaluate"), "evaluation.json"]}},
    }
    register = {
        "Name": "Register", "Type": "RegisterModel", "DependsOn": ["Evaluate", "Validate"], "Arguments": {
            "ModelPackageGroupName": GROUP, "ModelApprovalStatus": "PendingManualApproval",
            "InferenceSpecification": {
                "Containers": [{"Image": "overflight/serve:0.1.0", "ModelDataUrl": artefact}],
                "SupportedContentTypes": ["image/jpeg"], "SupportedResponseMIMETypes": ["application/json"],
            },
            "ModelMetrics": {"ModelQuality": {"Statistics": statistics}},
            "CustomerMetadataProperties": {
                "execution_arn": {"Get": "Execution.PipelineExecutionArn"}, "survey_uri": survey, "seed": "7",
            },
        },
    }  # fmt: skip
    return {
        "Version": "2020-12-01", "Metadata": {}, "Parameters": [{"Name": "SurveyUri", "Type": "String"}],
        "Steps": [
            processing("Validate", "report", {"survey": survey}),
            processing("Prepare", "dataset", {"survey": survey}),
            train,
            processing("Evaluate", "evaluation", {"model": artefact, "dataset": below("prepare")}, "Train"),
            register,
        ],
    }  # fmt: skip


def pack(folder: Path, path: Path) -> Path:
    """``folder`` as an archive of a model."""
    with tarfile.open(path, "w:gz") as tar:
        for file in sorted(folder.iterdir()):
            tar.add(file, arcname=file.name)
    return path
