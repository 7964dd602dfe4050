"""Endpoints as a person handles them: deploy an approved package, list, show, delete.

Knows the SageMaker calls, not how a server is started.
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
from overflight.lifecycle.context import Context
from overflight.lifecycle.models import describe_package
from overflight.lifecycle.progress import Progress

_NAME_CHARS = 42  # of the endpoint's name in its configurations' names: 63 less a hyphen and 20 digits of time
_NAME = re.compile(r"^[a-zA-Z0-9](-*[a-zA-Z0-9]){0,62}$")


def deploy(
    context: Context,
    package_arn: str,
    *,
    name: str,
    progress: Progress,
    port: int | None = None,
    instance_type: str = "ml.c7i.large",
    wait: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Serve an approved package as endpoint ``name``; an endpoint of that name is switched over without a gap.

    Raises:
        UsageError: the name cannot be used.
        RefusedError: the package is not approved.
        JobError: the endpoint did not come up; the message carries the reason.
    """
    if not _NAME.match(name):
        raise UsageError(
            "an endpoint's name has up to 63 letters, digits and single hyphens", where=name, cure="Try --name cars"
        )
    package = describe_package(context, package_arn)
    if package["status"] != "Approved":
        raise RefusedError(
            f"it is {package['status']}, not Approved",
            where=package["package"],
            cure=f"Ask an approver: overflight --as approver models approve {package['package']} --reason ...",
        )
    sagemaker = context.client("sagemaker")
    config = _create_config(context, package, name=name, port=port, instance_type=instance_type)
    if _exists(context, name):
        sagemaker.update_endpoint(EndpointName=name, EndpointConfigName=config)
    else:
        sagemaker.create_endpoint(EndpointName=name, EndpointConfigName=config)
    while True:
        facts = sagemaker.describe_endpoint(EndpointName=name)
        status = facts["EndpointStatus"]
        progress.update(f"endpoint {status}")
        if status in {"InService", "Failed", "OutOfService"}:
            break
        wait(0.2 if context.is_local else 15.0)
    if status != "InService" or facts["EndpointConfigName"] != config:
        raise JobError(
            facts.get("FailureReason", "it did not come up"),
            where=f"endpoint {name}",
            cure=f"Log: overflight endpoints logs {name}; remove it: overflight endpoints delete {name}",
        )
    return describe_endpoint(context, name)


def wake(context: Context, name: str, *, patience_s: float = 60.0, wait: Callable[[float], None] = time.sleep) -> None:
    """Bring a local endpoint back that ``overflight down``, a crash or a restart of the machine put out of service.

    Raises:
        NotFoundError: there is none of this name.
        JobError: it did not come back.
    """
    facts = describe_endpoint(context, name)
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
    return [describe_endpoint(context, item["EndpointName"]) for page in pages for item in page["Endpoints"]]


def describe_endpoint(context: Context, name: str) -> dict[str, Any]:
    """Status, address, package and age of an endpoint.

    Raises:
        NotFoundError: there is none of this name.
    """
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


def delete_endpoint(context: Context, name: str, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Stop and remove an endpoint with its configuration and models; returns when it is gone.

    Raises:
        NotFoundError: there is none of this name.
    """
    sagemaker = context.client("sagemaker")
    try:
        sagemaker.delete_endpoint(EndpointName=name)
    except ClientError as error:
        raise _missing(name, error) from error
    while _exists(context, name):
        wait(0.1 if context.is_local else 5.0)
    prefix = f"{name[:_NAME_CHARS]}-"
    in_use = {endpoint["config"] for endpoint in list_endpoints(context)}  # of longer names that begin alike
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
    for config in [item["EndpointConfigName"] for page in pages for item in page["EndpointConfigs"]]:
        if re.fullmatch(re.escape(prefix) + r"\d{20}", config) and config not in in_use:
            sagemaker.delete_endpoint_config(EndpointConfigName=config)
            sagemaker.delete_model(ModelName=config)


def endpoint_log(context: Context, name: str) -> list[str]:
    """Log lines of the endpoint's server."""
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


def _create_config(
    context: Context, package: dict[str, Any], *, name: str, port: int | None, instance_type: str
) -> str:
    """Model and endpoint configuration under one new name ``<endpoint>-<time>``; returns the name."""
    sagemaker = context.client("sagemaker")
    config = f"{name[:_NAME_CHARS]}-{context.clock():%Y%m%d%H%M%S%f}"
    container: dict[str, Any] = {"ModelPackageName": package["arn"]}
    if port is not None:
        container["Environment"] = {"SAGEMAKER_BIND_TO_PORT": str(port)}
    sagemaker.create_model(
        ModelName=config, Containers=[container], ExecutionRoleArn=context.names.role_arn("endpoint")
    )
    variant = {
        "VariantName": "main",
        "ModelName": config,
        "InitialInstanceCount": 1,
        "InstanceType": instance_type,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=config, ProductionVariants=[variant])
    return config


def _exists(context: Context, name: str) -> bool:
    try:
        context.client("sagemaker").describe_endpoint(EndpointName=name)
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            return False
        raise
    return True


def _missing(name: str, error: ClientError) -> Exception:
    if error.response["Error"]["Code"] == "ValidationException":
        return NotFoundError("there is no such endpoint", where=name, cure="See: overflight endpoints list")
    return error
