"""SageMaker models: an image and an artefact under one name, or a reference to an approved model package.

Knows the requests and answers of CreateModel, DescribeModel, ListModels and DeleteModel. A model is only a record: its
artefact is read when an endpoint starts. The operations are registered by ``services/endpoints``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local.services._common import check_request, ordered, page, require, selected, without_none
from overflight.account.local.services._tags import forget_tags, keep_tags
from overflight.account.local.store import Resource, ResourceExists, Transaction, to_json
from overflight.account.local.wire import AwsError, Call, operation

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

KIND = "model"


def invalid(message: str) -> AwsError:
    """SageMaker's ValidationException."""
    return AwsError("ValidationException", message)


def create_model(tx: Transaction, account: LocalAccount, caller_arn: str, request: Mapping[str, Any]) -> dict[str, Any]:
    """Record a model; used by the operation CreateModel and by Model steps of pipelines.

    Args:
        tx: The transaction to write in.
        account: The account it belongs to.
        caller_arn: Who creates it.
        request: A CreateModel request.

    Returns:
        ``{"ModelArn": ...}``.

    Raises:
        AwsError: ``ValidationException`` when the name is taken or not allowed, there is no container, or a container
            refers to a model package that does not exist or is not approved.
    """
    name = str(request["ModelName"])
    check_request("CreateModel", request)
    arn = account.arn("sagemaker", f"model/{name}")
    primary, several = request.get("PrimaryContainer"), list(request.get("Containers") or ())
    given = several if primary is None else [primary]
    if not given or (primary is not None and several):
        raise invalid("Exactly one of PrimaryContainer and Containers must be given.")
    for container in given:
        if container.get("ModelPackageName"):
            _approved_package(tx, account, container["ModelPackageName"])
        elif not container.get("Image"):
            raise invalid("Container Image or ModelPackageName must be given.")
    body = {"request": json.loads(to_json(dict(request))), "arn": arn, "caller": caller_arn}
    try:
        tx.insert(KIND, name, body=body)
    except ResourceExists as error:
        raise invalid(f'Cannot create already existing model "{arn}".') from error
    keep_tags(tx, arn, request.get("Tags") or [])
    return {"ModelArn": arn}


def container_of(tx: Transaction, account: LocalAccount, model_name: str) -> dict[str, Any]:
    """The first container of a model; a reference to a package is replaced by the package's container.

    Raises:
        AwsError: the model or its package does not exist, or the package is no longer approved.
    """
    request = require_model(tx, account, model_name).body["request"]
    container = dict(request.get("PrimaryContainer") or request["Containers"][0])
    reference = container.get("ModelPackageName")
    if not reference:
        return container
    package = _approved_package(tx, account, reference)
    specification = package.body.get("InferenceSpecification") or {}
    containers = specification.get("Containers") or []
    if not containers:
        raise invalid(f'Model package "{package.name}" has no inference specification.')
    environment = {**(containers[0].get("Environment") or {}), **(container.get("Environment") or {})}
    return {**containers[0], **container, "Environment": environment}


def require_model(tx: Transaction, account: LocalAccount, name: str) -> Resource:
    """The model, or ``ValidationException`` as from SageMaker."""
    arn = account.arn("sagemaker", f"model/{name}")
    return require(tx, KIND, name, f'Could not find model "{arn}".')


def _approved_package(tx: Transaction, account: LocalAccount, reference: str) -> Resource:
    arn = reference if reference.startswith("arn:") else account.arn("sagemaker", f"model-package/{reference}")
    package = require(tx, "model-package", arn, f"ModelPackage {arn} does not exist.")
    status = package.body["ModelApprovalStatus"]
    if status != "Approved":
        raise invalid(
            f'Model package "{arn}" is {status}: only a model package with ModelApprovalStatus Approved can be used '
            "for a model."
        )
    return package


@operation("sagemaker", "CreateModel")
def answer_create_model(call: Call) -> dict[str, Any]:
    """The operation CreateModel."""
    return create_model(call.transaction, call.account, call.caller.arn, call.params)


@operation("sagemaker", "DescribeModel")
def answer_describe_model(call: Call) -> dict[str, Any]:
    """The operation DescribeModel."""
    model = require_model(call.transaction, call.account, call.params["ModelName"])
    request = {key: value for key, value in model.body["request"].items() if key != "Tags"}
    return {**request, "ModelArn": model.body["arn"], "CreationTime": model.created_at}


@operation("sagemaker", "ListModels")
def answer_list_models(call: Call) -> dict[str, Any]:
    """The operation ListModels."""
    found = ordered(selected(call.transaction.list(KIND), call.params), call.params)
    items, token = page(found, call.params, key=lambda model: model.name)
    models = [{"ModelName": item.name, "ModelArn": item.body["arn"], "CreationTime": item.created_at} for item in items]
    return without_none({"Models": models, "NextToken": token})


@operation("sagemaker", "DeleteModel")
def answer_delete_model(call: Call) -> dict[str, Any]:
    """The operation DeleteModel: endpoints that use the model go on."""
    model = require_model(call.transaction, call.account, call.params["ModelName"])
    call.transaction.delete(KIND, model.name)
    forget_tags(call.transaction, model.body["arn"])
    return {}
