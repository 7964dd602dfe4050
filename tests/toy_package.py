"""A model package with all its evidence, as the training pipeline leaves one, made in a moment: nothing is trained.

The records are those of a run of the real definition: jobs, steps and the package that its step Register made.
"""

from __future__ import annotations

import json
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from overflight.account.local.account import LocalAccount
from overflight.account.local.executions import EXECUTION, NewExecution, change_execution, change_step, create_execution
from overflight.account.local.job_records import PROCESSING, TRAINING, create_job
from overflight.account.local.services.registry import create_model_package_version
from overflight.account.session import local_account
from overflight.files import canonical_json, sha256_bytes, sha256_file
from overflight.lifecycle.context import Context
from overflight.lifecycle.runs import training_definition
from overflight.settings import Settings
from toy_model import write_model_folder

MANIFEST = b'{"path": "photos/a.jpg", "sha256": "00"}\n'
CLASSES = ["red", "blue"]
MAP50, MIN_MAP50 = 0.81, 0.5
CLUSTER = {"InstanceCount": 1, "InstanceType": "ml.m5.xlarge", "VolumeSizeInGB": 10}
NAMES = Settings(environment="dev")


@dataclass(frozen=True)
class ToyPackage:
    """Where everything is; the keys are those of the account's bucket."""

    account: LocalAccount
    arn: str
    execution_arn: str
    artefact_key: str
    metrics_key: str
    decision_key: str
    manifest_key: str

    def put(self, key: str, content: bytes) -> None:
        """Write an object past every role, as somebody with the folder in their hands would."""
        self.account.objects.put_bytes(self.account.bucket, key, content)


def person(settings: Settings, role: str, user: str | None = None) -> str:
    """ARN of somebody's session."""
    return f"arn:aws:sts::{settings.account_number}:assumed-role/overflight-{role}/{user or settings.user}"


def register_toy(
    context: Context,
    folder: Path,
    *,
    trainer: str = "",
    registrant: str = "",
    group: str = "overflight-toy",
    map50: float = MAP50,
    gate: bool = True,
    model_digest: str = "",
    artefact_run: str = "",
    by_hand: bool = False,
    pipeline: str = "overflight-dev-train",
    changes: Mapping[str, Any] | None = None,
    metadata: Mapping[str, str] | None = None,
    metrics_uri: str = "",
) -> ToyPackage:
    """A package that waits for approval.

    Args:
        context: Any view of the account.
        folder: For the model's files.
        trainer: ARN of whoever started the run; a data scientist with the context's user by default.
        registrant: ARN of whoever registered it; the pipeline's role by default.
        group: Group to register in.
        map50: Measured accuracy.
        gate: What the gate decided.
        model_digest: Of the model that was measured; the one in the artefact by default.
        artefact_run: Execution id that the artefact comes from, out of the step cache; the same run by default.
        by_hand: The run has all its jobs, but somebody else's call registered the package.
        pipeline: Pipeline of the run.
        changes: Members of the container, of the inference specification or of the request that differ from what the
            run's definition names.
        metadata: Entries of the metadata that differ; an empty one is left out.
        metrics_uri: Metrics that the package points to; those of the run by default.
    """
    settings, account = context.settings, local_account(context.settings)
    model = write_model_folder(folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, arcname=path.name)
    survey = "surveys/squares/" + sha256_bytes(MANIFEST + f"{canonical_json(CLASSES)}\n".encode())[:12]
    execution_arn = start_of(
        account,
        trainer or person(settings, "data-scientist"),
        pipeline=pipeline,
        definition=training_definition(NAMES),
        values={"SurveyUri": f"s3://{account.bucket}/{survey}", "MinMap50": MIN_MAP50},
    )
    run = execution_arn.rsplit("/", 1)[1]
    made_in = artefact_run or run
    artefact_key = f"runs/{made_in}/train/toy-train-{made_in}/output/model.tar.gz"
    account.objects.put_file(account.bucket, artefact_key, folder / "model.tar.gz")
    evaluation = f"runs/{run}/evaluate"
    measured = {
        "metrics": {"map50": {"value": map50, "low": map50 - 0.1, "high": map50 + 0.1}},
        "model_digest": model_digest or sha256_file(model / "model.json"),
    }
    toy = ToyPackage(
        account,
        "",
        execution_arn,
        artefact_key,
        f"{evaluation}/evaluation.json",
        f"{evaluation}/decision.json",
        f"{survey}/manifest.jsonl",
    )
    toy.put(f"{survey}/survey.json", json.dumps({"schema": "overflight.survey/1", "classes": CLASSES}).encode())
    toy.put(toy.manifest_key, MANIFEST)
    toy.put(toy.metrics_key, json.dumps(measured).encode())
    toy.put(toy.decision_key, json.dumps({"passed": gate, "reasons": ["of the toy"]}).encode())
    bucket = f"s3://{account.bucket}"
    declared = _declared()
    container = {**declared["Containers"][0], "ModelDataUrl": f"{bucket}/{artefact_key}"}
    request = {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {**declared, "Containers": [container]},
        "ModelMetrics": {
            "ModelQuality": {
                "Statistics": {
                    "ContentType": "application/json",
                    "S3Uri": metrics_uri or f"{bucket}/{toy.metrics_key}",
                }
            }
        },
        "CustomerMetadataProperties": {
            "execution_arn": execution_arn,
            "survey_uri": f"{bucket}/{survey}",
            "evaluation_uri": f"{bucket}/{evaluation}",
            "map50": str(map50),
            "min_map50": str(MIN_MAP50),
            **(metadata or {}),
        },
    }
    kept = request["CustomerMetadataProperties"]
    request["CustomerMetadataProperties"] = {name: value for name, value in kept.items() if value}
    for name, value in (changes or {}).items():
        of_request = name in {"AdditionalInferenceSpecifications"}
        of_specification = name == "Containers" or name.startswith("Supported")
        place = request if of_request else request["InferenceSpecification"] if of_specification else container
        place[name] = value
    with account.store.write() as tx:
        made = create_model_package_version(tx, account, registrant or person(settings, "register", run), request)
    _record_steps(account, run, artefact_run, evaluation, package_arn="" if by_hand else made["ModelPackageArn"])
    return ToyPackage(**{**vars(toy), "arn": made["ModelPackageArn"]})


def _declared() -> dict[str, Any]:
    """InferenceSpecification of the step Register in the real definition."""

    def every(steps):
        for step in steps:
            yield step
            for branch in ("IfSteps", "ElseSteps"):
                yield from every(step["Arguments"].get(branch, ()))

    steps = json.loads(training_definition(NAMES))["Steps"]
    return dict(next(one for one in every(steps) if one["Name"] == "Register")["Arguments"]["InferenceSpecification"])


def _record_steps(account: LocalAccount, run: str, artefact_run: str, evaluation: str, *, package_arn: str) -> None:
    """Jobs and steps that the engine would have left; the artefact of another run is a hit of the step cache."""
    bucket = f"s3://{account.bucket}"
    made_in = artefact_run or run
    output = {"S3Uri": f"{bucket}/{evaluation}", "LocalPath": "/opt/ml/processing/output/e", "S3UploadMode": "EndOfJob"}
    training = {
        "TrainingJobName": f"toy-train-{made_in}",
        "AlgorithmSpecification": {"TrainingImage": "overflight/jobs:1", "TrainingInputMode": "File"},
        "HyperParameters": {"recipe": "default", "sagemaker_program": "x"},
        "OutputDataConfig": {"S3OutputPath": f"{bucket}/runs/{made_in}/train"},
        "ResourceConfig": CLUSTER,
        "RoleArn": account.role_arn("train"),
        "StoppingCondition": {"MaxRuntimeInSeconds": 60},
    }
    measuring = {
        "ProcessingJobName": f"toy-evaluate-{run}",
        "ProcessingResources": {"ClusterConfig": CLUSTER},
        "AppSpecification": {"ImageUri": "overflight/jobs:1"},
        "ProcessingOutputConfig": {"Outputs": [{"OutputName": "evaluation", "S3Output": output}]},
        "RoleArn": account.role_arn("evaluate"),
    }
    with account.store.write() as tx:
        execution = tx.get(EXECUTION, run)
        assert execution is not None
        arns = {
            kind: create_job(tx, account, person(NAMES, "register", run), kind=kind, request=request).body["arn"]
            for kind, request in ((TRAINING, training), (PROCESSING, measuring))
        }
        steps: dict[str, dict[str, Any]] = {
            "Train": {"type": "Training", "metadata": {"TrainingJob": {"Arn": arns[TRAINING]}}},
            "Evaluate": {"type": "Processing", "metadata": {"ProcessingJob": {"Arn": arns[PROCESSING]}}},
        }
        if artefact_run:
            source = execution.body["arn"].replace(run, artefact_run)
            steps["Train"] |= {"cache_source": source}
        if package_arn:
            steps["Register"] = {"type": "RegisterModel", "metadata": {"RegisterModel": {"Arn": package_arn}}}
        times = {"started_at": "2026-11-20T13:10:00+00:00", "ended_at": "2026-11-20T13:20:00+00:00", "attempts": 1}
        for name, values in steps.items():
            change_step(tx, account, execution, name, status="Succeeded", **times, **values)


def start_of(
    account: LocalAccount,
    caller_arn: str,
    *,
    pipeline: str = "overflight-dev-train",
    definition: str = "",
    values: Mapping[str, Any] | None = None,
) -> str:
    """ARN of a finished execution that ``caller_arn`` started and that ran nothing."""
    new = NewExecution(
        pipeline=pipeline,
        definition=definition or json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": []}),
        values=dict(values or {}),
        caller_arn=caller_arn,
        role_arn=account.role_arn("register"),
    )
    with account.store.write() as tx:
        execution = create_execution(tx, account, new)
        change_execution(tx, account, execution, status="Succeeded")
    return str(execution.body["arn"])
