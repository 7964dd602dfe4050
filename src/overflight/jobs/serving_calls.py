"""The SageMaker calls that make and remove what serves: model, configuration and endpoint under names of one form.

Takes a client of SageMaker; decides nothing about who may.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from overflight.errors import JobError

_NAME_CHARS = 42  # of the endpoint's name in its configurations' names: 63 less a hyphen and 20 digits of time
_ENDED = frozenset({"InService", "Failed", "OutOfService"})


def create_config(
    sagemaker: Any,
    *,
    package_arn: str,
    endpoint: str,
    role_arn: str,
    instance_type: str,
    environment: Mapping[str, str],
    tags: Sequence[Mapping[str, str]],
    now: datetime,
) -> str:
    """Model and endpoint configuration under one new name ``<endpoint>-<time>``; returns the name."""
    name = f"{endpoint[:_NAME_CHARS]}-{now:%Y%m%d%H%M%S%f}"
    container: dict[str, Any] = {"ModelPackageName": package_arn}
    if environment:
        container["Environment"] = dict(environment)
    sagemaker.create_model(ModelName=name, Containers=[container], ExecutionRoleArn=role_arn, Tags=list(tags))
    variant = {
        "VariantName": "main",
        "ModelName": name,
        "InitialInstanceCount": 1,
        "InstanceType": instance_type,
        "InitialVariantWeight": 1.0,
    }
    sagemaker.create_endpoint_config(EndpointConfigName=name, ProductionVariants=[variant], Tags=list(tags))
    return name


def serve(sagemaker: Any, *, endpoint: str, config: str, tags: Sequence[Mapping[str, str]]) -> None:
    """Create the endpoint, or switch the one of that name over without a gap."""
    if exists(sagemaker, endpoint):
        sagemaker.update_endpoint(EndpointName=endpoint, EndpointConfigName=config)
    else:
        sagemaker.create_endpoint(EndpointName=endpoint, EndpointConfigName=config, Tags=list(tags))


def wait_in_service(sagemaker: Any, *, endpoint: str, config: str, wait: Callable[[float], None] = time.sleep) -> None:
    """Return when the endpoint serves ``config``.

    Raises:
        JobError: it did not come up; the message carries the reason.
    """
    for facts in _states(sagemaker, endpoint, wait):
        if facts["EndpointStatus"] in _ENDED:
            break
    if facts["EndpointStatus"] != "InService" or facts["EndpointConfigName"] != config:
        raise JobError(
            facts.get("FailureReason", "it did not come up"),
            where=f"endpoint {endpoint}",
            cure=f"Log: overflight endpoints logs {endpoint}; remove it: overflight endpoints delete {endpoint}",
        )


def remove(sagemaker: Any, endpoint: str, *, wait: Callable[[float], None] = time.sleep) -> None:
    """Delete the endpoint with its configurations and models; returns when it is gone.

    Raises:
        botocore.exceptions.ClientError: there is none of this name, or the account refuses.
    """
    sagemaker.delete_endpoint(EndpointName=endpoint)
    pause_s = 0.1
    while exists(sagemaker, endpoint):
        wait(pause_s)
        pause_s = min(5.0, pause_s * 1.5)
    prefix = f"{endpoint[:_NAME_CHARS]}-"
    in_use = _configs_in_use(sagemaker)  # of longer names that begin alike
    pages = sagemaker.get_paginator("list_endpoint_configs").paginate(NameContains=prefix)
    for config in [item["EndpointConfigName"] for page in pages for item in page["EndpointConfigs"]]:
        if re.fullmatch(re.escape(prefix) + r"\d{20}", config) and config not in in_use:
            take_back(sagemaker, config)


def take_back(sagemaker: Any, config: str) -> None:
    """Delete a configuration that :func:`create_config` made and nothing serves, with its model."""
    sagemaker.delete_endpoint_config(EndpointConfigName=config)
    sagemaker.delete_model(ModelName=config)


def exists(sagemaker: Any, endpoint: str) -> bool:
    """Whether there is an endpoint of this name."""
    try:
        sagemaker.describe_endpoint(EndpointName=endpoint)
    except sagemaker.exceptions.ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            return False
        raise
    return True


def _configs_in_use(sagemaker: Any) -> set[str]:
    pages = sagemaker.get_paginator("list_endpoints").paginate()
    names = [item["EndpointName"] for page in pages for item in page["Endpoints"]]
    return {sagemaker.describe_endpoint(EndpointName=name)["EndpointConfigName"] for name in names}


def _states(sagemaker: Any, endpoint: str, wait: Callable[[float], None]) -> Any:
    """What DescribeEndpoint answers, again and again: often at first, every 15 s later."""
    pause_s = 0.1
    while True:
        yield sagemaker.describe_endpoint(EndpointName=endpoint)
        wait(pause_s)
        pause_s = min(15.0, pause_s * 1.3)
