"""A model package with all its evidence, as the training pipeline leaves one, made in a moment: nothing is trained."""

from __future__ import annotations

import json
import tarfile
from dataclasses import dataclass
from pathlib import Path

from overflight.account.local.account import LocalAccount
from overflight.account.local.executions import NewExecution, change_execution, create_execution
from overflight.account.local.services.registry import create_model_package_version
from overflight.account.session import local_account
from overflight.files import canonical_json, sha256_bytes, sha256_file
from overflight.lifecycle.context import Context
from overflight.settings import Settings
from toy_model import write_model_folder

MANIFEST = b'{"path": "photos/a.jpg", "sha256": "00"}\n'
CLASSES = ["red", "blue"]
MAP50, MIN_MAP50 = 0.81, 0.5


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
        artefact_run: Execution id that the artefact comes from; the same run by default.
    """
    settings, account = context.settings, local_account(context.settings)
    model = write_model_folder(folder / "model")
    with tarfile.open(folder / "model.tar.gz", "w:gz") as tar:
        for path in sorted(model.iterdir()):
            tar.add(path, arcname=path.name)
    execution_arn = start_of(account, trainer or person(settings, "data-scientist"))
    run = execution_arn.rsplit("/", 1)[1]
    artefact_key = f"runs/{artefact_run or run}/train/job/output/model.tar.gz"
    account.objects.put_file(account.bucket, artefact_key, folder / "model.tar.gz")
    survey = "surveys/squares/" + sha256_bytes(MANIFEST + f"{canonical_json(CLASSES)}\n".encode())[:12]
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
    request = {
        "ModelPackageGroupName": group,
        "ModelApprovalStatus": "PendingManualApproval",
        "InferenceSpecification": {
            "Containers": [{"Image": "overflight/serve:1", "ModelDataUrl": f"{bucket}/{artefact_key}"}],
            "SupportedContentTypes": ["image/jpeg"],
            "SupportedResponseMIMETypes": ["application/json"],
        },
        "ModelMetrics": {
            "ModelQuality": {"Statistics": {"ContentType": "application/json", "S3Uri": f"{bucket}/{toy.metrics_key}"}}
        },
        "CustomerMetadataProperties": {
            "execution_arn": execution_arn,
            "survey_uri": f"{bucket}/{survey}",
            "evaluation_uri": f"{bucket}/{evaluation}",
            "map50": str(map50),
            "min_map50": str(MIN_MAP50),
        },
    }
    with account.store.write() as tx:
        made = create_model_package_version(tx, account, registrant or person(settings, "register", run), request)
    return ToyPackage(**{**vars(toy), "arn": made["ModelPackageArn"]})


def start_of(account: LocalAccount, caller_arn: str, *, pipeline: str = "overflight-dev-train") -> str:
    """ARN of a finished execution that ``caller_arn`` started and that ran nothing."""
    new = NewExecution(
        pipeline=pipeline,
        definition=json.dumps({"Version": "2020-12-01", "Parameters": [], "Steps": []}),
        values={},
        caller_arn=caller_arn,
        role_arn=account.role_arn("register"),
    )
    with account.store.write() as tx:
        execution = create_execution(tx, account, new)
        change_execution(tx, account, execution, status="Succeeded")
    return str(execution.body["arn"])
