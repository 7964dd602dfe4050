"""Endpoints as a person handles them: deploy an approved package, list, show, wake, delete.

Knows the SageMaker calls and the names, not how a server is started. What serves is always a model package by its ARN:
nothing here follows an alias.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any

from botocore.exceptions import ClientError

from overflight.account.local.endpoints import server_of
from overflight.account.local.supervisor import ensure_supervisor
from overflight.account.session import local_account
from overflight.errors import JobError, NotFoundError, RefusedError, UsageError
from overflight.governance.approvals import record_of
from overflight.jobs.serving_calls import remove
from overflight.lifecycle.context import Context
from overflight.lifecycle.deployments import run_deployment
from overflight.lifecycle.models import package_facts
from overflight.lifecycle.progress import Progress, Silent
from overflight.pipelines.deploy import NONE
from overflight.settings import PREFIX, Settings

_NAME = re.compile(r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")
_FULL_NAME = re.compile(rf"{PREFIX}-(dev|staging|prod)-.")
_PRODUCTION = f"{PREFIX}-prod-"


def endpoint_name(settings: Settings, name: str, *, production: bool = False) -> str:
    """Full name of an endpoint that people call ``cars``: ``overflight-dev-cars``; a full name stays as it is.

    Raises:
        UsageError: the name cannot be used, or a full name of another environment was given with ``production``.
    """
    environment = "prod" if production else settings.environment
    full = name if _FULL_NAME.match(name) else f"{PREFIX}-{environment}-{name.removeprefix(f'{PREFIX}-')}"
    if not _NAME.match(full):
        raise UsageError(
            f"an endpoint's name has letters, digits and single hyphens, with {PREFIX}-{environment}- at most 63",
            where=name,
            cure="Try --name cars",
        )
    if production and not full.startswith(_PRODUCTION):
        raise UsageError(
            "is not the name of an endpoint in production", where=name, cure="Leave --prod or the prefix out"
        )
    return full


def deploy(
    context: Context,
    package_arn: str,
    *,
    name: str,
    progress: Progress,
    port: int | None = None,
    instance_type: str = "ml.c7i.large",
    production: bool = False,
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Serve an approved package as endpoint ``name``; an endpoint of that name is switched over without a gap.

    The deploy pipeline does it, as its own role and after checking the approval again; the context's role only starts
    it.

    Raises:
        UsageError: the name cannot be used.
        RefusedError: the package is not approved, or its approval does not hold any more.
        JobError: the endpoint did not come up; the message carries the reason.
    """
    full = endpoint_name(context.settings, name, production=production)
    facts = package_facts(context, package_arn)
    package = f"{facts['ModelPackageGroupName']}/{facts['ModelPackageVersion']}"
    if facts["ModelApprovalStatus"] != "Approved":
        raise RefusedError(
            f"it is {facts['ModelApprovalStatus']}, not Approved",
            where=package,
            cure=f"Ask an approver: overflight --as approver models approve {package} --reason ...",
        )
    parameters = {
        "PackageArn": package_arn,
        "EndpointName": full,
        "Environment": full.split("-")[1],
        "Action": "deploy",
        "InstanceType": instance_type,
        "PinnedEvidence": record_of(facts).artefact_sha256 or NONE,
        "Port": port or 0,
    }
    run_deployment(context, parameters, where=package, progress=progress, wait=wait)
    return describe_endpoint(context, full)


def wake(context: Context, name: str, *, patience_s: float = 60.0, wait: Callable[[float], None] = time.sleep) -> None:
    """Bring a local endpoint back that ``overflight down``, a crash or a restart of the machine put out of service.

    Raises:
        NotFoundError: there is none of this name.
        JobError: it did not come back.
    """
    facts = describe_endpoint(context, name)
    name = facts["endpoint"]
    if not context.is_local or facts["status"] not in {"OutOfService", "InService"}:
        return
    account = local_account(context.settings)
    if facts["status"] == "InService" and server_of(account, name) is not None:
        return
    ensure_supervisor(account)  # a machine that lost its power leaves "InService" in the store, and nobody behind it
    pause_s = 0.2
    up = False
    for _ in range(int(patience_s / pause_s)):
        facts = describe_endpoint(context, name)
        up = facts["status"] == "InService" and server_of(account, name) is not None
        if up or facts["status"] == "Failed":
            break
        wait(pause_s)
    if not up:
        raise JobError(
            facts["reason"] or f"it is {facts['status']}",
            where=f"endpoint {name}",
            cure=f"Log: overflight endpoints logs {name}",
        )


def list_endpoints(context: Context) -> list[dict[str, Any]]:
    """All endpoints by name."""
    pages = context.client("sagemaker").get_paginator("list_endpoints").paginate(SortBy="Name", SortOrder="Ascending")
    return [_describe(context, item["EndpointName"]) for page in pages for item in page["Endpoints"]]


def describe_endpoint(context: Context, name: str) -> dict[str, Any]:
    """Status, address, package and age of an endpoint, given by its short or its full name.

    Raises:
        NotFoundError: there is none of this name.
    """
    return _describe(context, endpoint_name(context.settings, name))


def _describe(context: Context, name: str) -> dict[str, Any]:
    sagemaker = context.client("sagemaker")
    try:
        facts = sagemaker.describe_endpoint(EndpointName=name)
    except ClientError as error:
        raise _missing(name, error) from error
    config = sagemaker.describe_endpoint_config(EndpointConfigName=facts["EndpointConfigName"])
    model = sagemaker.describe_model(ModelName=config["ProductionVariants"][0]["ModelName"])
    containers = model.get("Containers") or [model["PrimaryContainer"]]
    tags = sagemaker.list_tags(ResourceArn=facts["EndpointArn"])["Tags"]
    url = next((tag["Value"] for tag in tags if tag["Key"] == "overflight:url"), "")
    return {
        "endpoint": name,
        "status": facts["EndpointStatus"],
        "url": url,
        "arn": facts["EndpointArn"],
        "package": containers[0].get("ModelPackageName", ""),
        "config": facts["EndpointConfigName"],
        "created": facts["CreationTime"],
        "modified": facts["LastModifiedTime"],
        "reason": facts.get("FailureReason", ""),
    }


def delete_endpoint(
    context: Context, name: str, *, progress: Progress | None = None, wait: Callable[[float], None] = time.sleep
) -> None:
    """Stop and remove an endpoint with its configurations and models; returns when it is gone.

    One in production is removed by the deploy pipeline, which the context's role starts.

    Raises:
        NotFoundError: there is none of this name.
    """
    full = describe_endpoint(context, name)["endpoint"]
    if full.startswith(_PRODUCTION):
        parameters = {"EndpointName": full, "Environment": "prod", "Action": "delete"}
        run_deployment(context, parameters, where=full, progress=progress or Silent(), wait=wait)
        return
    remove(context.client("sagemaker"), full, wait=wait)


def endpoint_log(context: Context, name: str) -> list[str]:
    """Log lines of the endpoint's server."""
    name = endpoint_name(context.settings, name)
    logs = context.client("logs")
    group = "/aws/sagemaker/Endpoints" if context.is_local else f"/aws/sagemaker/Endpoints/{name}"
    prefix = {"logStreamNamePrefix": f"{name}/"} if context.is_local else {}
    streams = logs.describe_log_streams(logGroupName=group, **prefix)["logStreams"]
    return [
        event["message"]
        for stream in streams
        for event in logs.get_log_events(logGroupName=group, logStreamName=stream["logStreamName"], startFromHead=True)[
            "events"
        ]
    ]


def _missing(name: str, error: ClientError) -> Exception:
    if error.response["Error"]["Code"] == "ValidationException":
        return NotFoundError("there is no such endpoint", where=name, cure="See: overflight endpoints list")
    return error
