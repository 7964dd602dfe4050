"""SageMaker endpoints and their configurations as records: created, described, changed and deleted by calls.

A call only changes the record and its status; :mod:`overflight.account.local.endpoints` makes servers follow it. Knows
no processes. One production variant per endpoint is served here; capture, autoscaling and serverless settings are kept
and described, not acted on.
"""

from __future__ import annotations

import json
from datetime import datetime
from typing import TYPE_CHECKING, Any

from overflight.account.local import endpoint_records as records
from overflight.account.local.services import models
from overflight.account.local.services._common import ordered, page, require, selected, without_none
from overflight.account.local.services._tags import forget_tags, keep_tags
from overflight.account.local.services.models import (
    answer_create_model,
    answer_delete_model,
    answer_describe_model,
    answer_list_models,
    create_model,
    invalid,
)
from overflight.account.local.store import Resource, ResourceExists, Transaction, to_json
from overflight.account.local.wire import Call, keep_going, operation

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

__all__ = [  # the wire looks for the operations on models in this module too
    "answer_create_model",
    "answer_delete_model",
    "answer_describe_model",
    "answer_list_models",
    "create_model",
]

CONFIG = "endpoint-config"
_BUSY = ("Creating", "Updating", "Deleting")


def _require_config(tx: Transaction, account: LocalAccount, name: str) -> Resource:
    arn = account.arn("sagemaker", f"endpoint-config/{name}")
    return require(tx, CONFIG, name, f'Could not find endpoint configuration "{arn}".')


def _require_endpoint(call: Call) -> Resource:
    name = call.params["EndpointName"]
    arn = call.account.arn("sagemaker", f"endpoint/{name}")
    return require(call.transaction, records.KIND, name, f'Could not find endpoint "{arn}".')


@operation("sagemaker", "CreateEndpointConfig")
def _create_config(call: Call) -> dict[str, Any]:
    name = call.params["EndpointConfigName"]
    arn = call.account.arn("sagemaker", f"endpoint-config/{name}")
    variants = call.params["ProductionVariants"]
    if len(variants) != 1:
        raise invalid(
            f"The local account serves exactly one production variant per endpoint, {len(variants)} were given."
        )
    model_name = variants[0].get("ModelName")
    if not model_name:
        raise invalid("ModelName must be given: inference components are not available in the local account.")
    models.require_model(call.transaction, call.account, model_name)
    body = {"request": json.loads(to_json(call.params)), "arn": arn}
    try:
        call.transaction.insert(CONFIG, name, body=body)
    except ResourceExists as error:
        raise invalid(f'Cannot create already existing endpoint configuration "{arn}".') from error
    keep_tags(call.transaction, arn, call.params.get("Tags") or [])
    return {"EndpointConfigArn": arn}


@operation("sagemaker", "DescribeEndpointConfig")
def _describe_config(call: Call) -> dict[str, Any]:
    config = _require_config(call.transaction, call.account, call.params["EndpointConfigName"])
    request = {key: value for key, value in config.body["request"].items() if key != "Tags"}
    return {**request, "EndpointConfigArn": config.body["arn"], "CreationTime": config.created_at}


@operation("sagemaker", "ListEndpointConfigs")
def _list_configs(call: Call) -> dict[str, Any]:
    found = ordered(selected(call.transaction.list(CONFIG), call.params), call.params)
    items, token = page(found, call.params, key=lambda config: config.name)
    configs = [
        {"EndpointConfigName": item.name, "EndpointConfigArn": item.body["arn"], "CreationTime": item.created_at}
        for item in items
    ]
    return without_none({"EndpointConfigs": configs, "NextToken": token})


@operation("sagemaker", "DeleteEndpointConfig")
def _delete_config(call: Call) -> dict[str, Any]:
    config = _require_config(call.transaction, call.account, call.params["EndpointConfigName"])
    call.transaction.delete(CONFIG, config.name)
    forget_tags(call.transaction, config.body["arn"])
    return {}


@operation("sagemaker", "CreateEndpoint", starts_work=True)
def _create_endpoint(call: Call) -> dict[str, Any]:
    name = call.params["EndpointName"]
    config = _require_config(call.transaction, call.account, call.params["EndpointConfigName"])
    arn = call.account.arn("sagemaker", f"endpoint/{name}")
    body = records.new_body(arn, deployment=_deployment(call, config), update=call.params.get("DeploymentConfig"))
    try:
        endpoint = call.transaction.insert(records.KIND, name, body=body, status="Creating")
    except ResourceExists as error:
        raise invalid(f'Cannot create already existing endpoint "{arn}".') from error
    keep_tags(call.transaction, arn, call.params.get("Tags") or [])
    _announce(call, endpoint)
    return {"EndpointArn": arn}


@operation("sagemaker", "UpdateEndpoint", starts_work=True)
def _update_endpoint(call: Call) -> dict[str, Any]:
    endpoint = _require_endpoint(call)
    if endpoint.status in _BUSY:
        raise invalid(f'Cannot update in-progress endpoint "{endpoint.body["arn"]}" (status {endpoint.status}).')
    config = _require_config(call.transaction, call.account, call.params["EndpointConfigName"])
    body = records.with_update(
        endpoint.body, deployment=_deployment(call, config), update=call.params.get("DeploymentConfig")
    )
    _announce(call, call.transaction.put(records.KIND, endpoint.name, body=body, status="Updating"))
    return {"EndpointArn": endpoint.body["arn"]}


@operation("sagemaker", "DeleteEndpoint", starts_work=True)
def _delete_endpoint(call: Call) -> dict[str, Any]:
    endpoint = _require_endpoint(call)
    if endpoint.status != "Deleting":
        _announce(call, call.transaction.put(records.KIND, endpoint.name, status="Deleting"))
    return {}


@operation("sagemaker", "DescribeEndpoint")
def _describe_endpoint(call: Call) -> dict[str, Any]:
    endpoint = _require_endpoint(call)
    if endpoint.status in _BUSY:
        keep_going(call)
    body = endpoint.body
    live = body["live"] or body["target"]
    request = live["config"]["request"]
    pending = None
    if endpoint.status == "Updating":
        variants = [
            {"VariantName": variant["VariantName"]}
            for variant in body["target"]["config"]["request"]["ProductionVariants"]
        ]
        pending = {"EndpointConfigName": body["target"]["config"]["name"], "ProductionVariants": variants}
    return without_none(
        {
            "EndpointName": endpoint.name,
            "EndpointArn": body["arn"],
            "EndpointConfigName": live["config"]["name"],
            "ProductionVariants": [_variant_summary(live, endpoint.created_at)],
            "DataCaptureConfig": _capture_summary(request.get("DataCaptureConfig")),
            "EndpointStatus": endpoint.status,
            "FailureReason": body["failure_reason"] or None,
            "CreationTime": endpoint.created_at,
            "LastModifiedTime": endpoint.modified_at,
            "LastDeploymentConfig": body["deployment_config"] or None,
            "AsyncInferenceConfig": request.get("AsyncInferenceConfig"),
            "PendingDeploymentSummary": pending,
        }
    )


@operation("sagemaker", "ListEndpoints")
def _list_endpoints(call: Call) -> dict[str, Any]:
    wanted = call.params.get("StatusEquals")
    listed = call.transaction.list(records.KIND, statuses=[wanted] if wanted else None)
    found = ordered(selected(listed, call.params), call.params)
    items, token = page(found, call.params, key=lambda endpoint: endpoint.name)
    endpoints = [
        {
            "EndpointName": item.name,
            "EndpointArn": item.body["arn"],
            "CreationTime": item.created_at,
            "LastModifiedTime": item.modified_at,
            "EndpointStatus": item.status,
        }
        for item in items
    ]
    return without_none({"Endpoints": endpoints, "NextToken": token})


def _deployment(call: Call, config: Resource) -> dict[str, Any]:
    """What is to be served, as it is now: later changes of configuration and model do not reach a running endpoint."""
    request = config.body["request"]
    model_name = request["ProductionVariants"][0]["ModelName"]
    container = models.container_of(call.transaction, call.account, model_name)
    model = models.require_model(call.transaction, call.account, model_name)
    return {
        "config": {"name": config.name, "request": request},
        "container": container,
        "model": model_name,
        "role_arn": model.body["request"].get("ExecutionRoleArn", ""),
    }


def _announce(call: Call, endpoint: Resource) -> None:
    event = records.state_change(endpoint)
    call.emit(
        source=event["source"], detail_type=event["detail_type"], detail=event["detail"], resources=event["resources"]
    )


def _variant_summary(live: dict[str, Any], created_at: datetime) -> dict[str, Any]:
    variant = live["config"]["request"]["ProductionVariants"][0]
    image = live["container"].get("Image")
    summary: dict[str, Any] = {"VariantName": variant["VariantName"]}
    if image:
        summary["DeployedImages"] = [{"SpecifiedImage": image, "ResolvedImage": image, "ResolutionTime": created_at}]
    if variant.get("InitialVariantWeight") is not None:
        summary |= {"CurrentWeight": variant["InitialVariantWeight"], "DesiredWeight": variant["InitialVariantWeight"]}
    if variant.get("InitialInstanceCount") is not None:
        count = variant["InitialInstanceCount"]
        summary |= {"CurrentInstanceCount": count, "DesiredInstanceCount": count}
    return summary


def _capture_summary(config: dict[str, Any] | None) -> dict[str, Any] | None:
    if not config:
        return None
    return {
        "EnableCapture": bool(config.get("EnableCapture", False)),
        "CaptureStatus": "Stopped",  # kept, not acted on: nothing is captured
        "CurrentSamplingPercentage": config["InitialSamplingPercentage"],
        "DestinationS3Uri": config["DestinationS3Uri"],
        "KmsKeyId": config.get("KmsKeyId", ""),
    }
