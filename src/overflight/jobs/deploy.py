"""Job ``deploy``: checks a package's approval against the evidence as it is now, and only then makes what serves.

The one job that calls AWS, as the role ``deploy``. Writes the output ``deployment``: ``decision.json`` (passed or not
and why) and ``report.json`` (people, evidence, what was made). A refusal is a decision and ends the job well; that
nothing was deployed is said by the pipeline. The rules are ``governance.approvals``; no part of it reads an alias of
MLflow.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from overflight.account.aws_errors import in_our_words
from overflight.account.clock import utc_now
from overflight.account.session import open_job_session
from overflight.errors import JobError, NotFoundError, UsageError
from overflight.files import write_json
from overflight.governance.approvals import (
    EVENT_SOURCE,
    ONE_PERSON,
    Evidence,
    FourEyes,
    Parties,
    one_person,
    people_text,
    person_of,
    record_of,
    why_not_valid,
)
from overflight.governance.containers import container_digest
from overflight.governance.evidence import gather, parties_of, starter_of
from overflight.jobs.contract import JobFolders
from overflight.jobs.environ import settings_from
from overflight.jobs.serving_calls import create_config, remove, serve, take_back, wait_in_service
from overflight.settings import PREFIX

OUTPUT = "deployment"
DECISION_FILE = "decision.json"
REPORT_FILE = "report.json"
EVENT = "Model Deployment Decision"
_NONE = "none"

log = logging.getLogger(__name__)


class DeploySettings(BaseModel):
    """Settings from ``OVERFLIGHT_<FIELD>``.

    Attributes:
        package_arn: Model package version to serve; not needed to delete.
        endpoint_name: Full name of the endpoint, ``overflight-<target>-...``.
        target: Environment that the endpoint belongs to.
        action: ``deploy`` or ``delete``.
        instance_type: Machine of the endpoint.
        pinned_evidence: SHA-256 of the artefact that must be served, or ``none``.
        port: Of the local server; 0 takes a free one.
        four_eyes: Whether the approver must be another person, or only another role.
        serve_role_arn: Role of the model.
        execution_arn: Execution that this job belongs to: whoever started it deploys.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    package_arn: str = _NONE
    endpoint_name: str = Field(pattern=r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
    target: Literal["dev", "staging", "prod"] = "dev"
    action: Literal["deploy", "delete"] = "deploy"
    instance_type: str = Field("ml.c7i.large", pattern=r"^ml\.[a-z0-9-]+\.[a-z0-9-]+$")
    pinned_evidence: str = Field(_NONE, pattern=r"^(none|[0-9a-f]{64})$")
    port: int = Field(0, ge=0, le=65535)
    four_eyes: FourEyes = "persons"
    serve_role_arn: str = ""
    execution_arn: str = Field(pattern=r"^arn:aws[a-z-]*:sagemaker:")


@dataclass(frozen=True)
class Verdict:
    """Whether the package may be deployed.

    Attributes:
        reasons: Why not; empty when it may.
        evidence: As it is now.
        parties: Who trained, registered, approved and deploys it.
        event: Id of the event of the approval.
    """

    reasons: tuple[str, ...]
    evidence: Evidence = field(default_factory=Evidence)
    parties: Parties | None = None
    event: str = ""


def run(folders: JobFolders, environ: Mapping[str, str]) -> str:
    """Deploy or delete; returns the exit message.

    Raises:
        UsageError: a setting is not allowed.
        JobError: the endpoint did not come up.
        OverflightError: the account refuses something that the role ``deploy`` needs.
    """
    settings = settings_from(environ, DeploySettings)
    _require_name(settings)
    session = open_job_session(environ)
    output = folders.output(OUTPUT)
    sagemaker, events = session.client("sagemaker"), session.client("events")
    deployer = starter_of(sagemaker, settings.execution_arn)
    if settings.action == "delete":
        remove(sagemaker, settings.endpoint_name)
        message = f"endpoint {settings.endpoint_name} was deleted"
        _write(output, settings, Verdict(()), deployer=deployer, message=message)
        _announce(events, settings, (), deployer=deployer)
        return message
    verdict = judge(sagemaker, session.client("s3"), settings, deployer=deployer)
    _announce(events, settings, verdict.reasons, deployer=deployer)
    if verdict.reasons:
        message = f"{settings.package_arn}: {'; '.join(verdict.reasons)}"
        _write(output, settings, verdict, deployer=deployer, message=message)
        log.error("refused: %s", message)
        return f"refused: {message}"
    config = _make(sagemaker, settings, deployer=deployer, evidence=verdict.evidence)
    message = f"endpoint {settings.endpoint_name} serves {settings.package_arn} as {config}"
    _write(output, settings, verdict, deployer=deployer, message=message)
    return message


def judge(sagemaker: Any, s3: Any, settings: DeploySettings, *, deployer: str) -> Verdict:
    """Look at the package, its people and its evidence as they are now.

    Args:
        sagemaker: Client of SageMaker.
        s3: Client of S3.
        settings: What is asked for.
        deployer: ARN of whoever started the deployment.
    """
    if not deployer:
        return Verdict((f"nobody is known to have started {settings.execution_arn}",))
    try:
        with in_our_words(settings.package_arn):
            facts = sagemaker.describe_model_package(ModelPackageName=settings.package_arn)
    except (NotFoundError, UsageError) as error:
        return Verdict((f"there is no such model package ({error.what})",))
    decided_by = str((facts.get("LastModifiedBy") or {}).get("IamIdentity", {}).get("Arn", ""))
    record = record_of(facts)
    approver = person_of(record.approved_by or decided_by)
    evidence = gather(sagemaker, s3, facts)
    parties = parties_of(sagemaker, facts, evidence, approver=approver, deployer=person_of(deployer))
    reasons = why_not_valid(
        status=facts["ModelApprovalStatus"],
        record=record,
        decided_by=decided_by,
        evidence=evidence,
        parties=parties,
        mode=settings.four_eyes,
    )
    if settings.pinned_evidence not in {_NONE, evidence.artefact_sha256}:
        reasons.append("the artefact is not the one that was looked at when the deployment was started")
    return Verdict(tuple(reasons), evidence, parties, record.event)


def _make(sagemaker: Any, settings: DeploySettings, *, deployer: str, evidence: Evidence) -> str:
    """Model, configuration and endpoint; the server itself refuses any other model than the one just checked.

    Raises:
        JobError: the package was changed meanwhile, or the endpoint did not come up.
    """
    environment = {"OVERFLIGHT_SERVE_MODEL_SHA256": evidence.model_sha256}
    if settings.port:
        environment["SAGEMAKER_BIND_TO_PORT"] = str(settings.port)
    values = {"env": settings.target, "project": PREFIX, "owner": person_of(deployer).user}
    tags = [{"Key": key, "Value": value} for key, value in values.items()]
    config = create_config(
        sagemaker,
        package_arn=settings.package_arn,
        endpoint=settings.endpoint_name,
        role_arn=settings.serve_role_arn,
        instance_type=settings.instance_type,
        environment=environment,
        tags=tags,
        now=utc_now(),
    )
    now = container_digest(sagemaker.describe_model_package(ModelPackageName=settings.package_arn))
    if now != evidence.container_sha256:
        take_back(sagemaker, config)
        raise JobError(
            "its container was changed while it was being deployed",
            where=settings.package_arn,
            cure="See: overflight models show",
        )
    serve(sagemaker, endpoint=settings.endpoint_name, config=config, tags=tags)
    log.info("waiting for %s", settings.endpoint_name)
    wait_in_service(sagemaker, endpoint=settings.endpoint_name, config=config)
    return config


def _require_name(settings: DeploySettings) -> None:
    prefix = f"{PREFIX}-{settings.target}-"
    if not settings.endpoint_name.startswith(prefix):
        raise UsageError(
            f"an endpoint of the environment {settings.target} is called {prefix}...",
            where=settings.endpoint_name,
            cure="Start the deployment with `overflight deploy`, which names it",
        )
    if settings.action == "deploy" and not settings.package_arn.startswith("arn:"):
        raise UsageError("a deployment needs a model package", where="PackageArn", cure="Give the ARN of a package")


def _write(folder: Path, settings: DeploySettings, verdict: Verdict, *, deployer: str, message: str) -> None:
    parties = verdict.parties
    report = {
        "schema": "overflight.deployment/1",
        "action": settings.action,
        "message": message,
        "endpoint": settings.endpoint_name,
        "environment": settings.target,
        "package_arn": settings.package_arn,
        "execution_arn": settings.execution_arn,
        "four_eyes": settings.four_eyes,
        "deployed_by": deployer,
        "approval_event": verdict.event,
        "evidence": verdict.evidence.as_dict(),
        "people": people_text(parties) if parties else "",
        "note": ONE_PERSON if parties and one_person(parties) else "",
    }
    write_json(folder / REPORT_FILE, report)
    write_json(
        folder / DECISION_FILE,
        {
            "schema": "overflight.decision/1",
            "passed": not verdict.reasons,
            "reason": "; ".join(verdict.reasons) or message,
            "reasons": list(verdict.reasons),
        },
    )


def _announce(events: Any, settings: DeploySettings, reasons: tuple[str, ...], *, deployer: str) -> None:
    detail = {
        "action": settings.action,
        "endpoint": settings.endpoint_name,
        "environment": settings.target,
        "package_arn": settings.package_arn,
        "execution_arn": settings.execution_arn,
        "deployed_by": deployer,
        "passed": not reasons,
        "reasons": list(reasons),
    }
    entry = {"Source": EVENT_SOURCE, "DetailType": EVENT, "Detail": json.dumps(detail)}
    answer = events.put_events(Entries=[entry])
    if answer["FailedEntryCount"]:
        log.warning("the decision could not be announced: %s", answer["Entries"])
