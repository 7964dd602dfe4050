"""The model registry: groups of model packages, versions in them, and their approval.

Knows SageMaker's requests, answers and the event of a change. Who may approve what is decided before a call arrives
here (``authorise``) and by the use cases; whether a model is any good is for the gates of the pipeline.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from overflight.account.local import events
from overflight.account.local.services._common import (
    check_request,
    ordered,
    page,
    require,
    selected,
    user_context,
    without_none,
)
from overflight.account.local.services._tags import add_tags, delete_tags, forget_tags, keep_tags, list_tags
from overflight.account.local.store import Resource, Transaction, to_json
from overflight.account.local.wire import AwsError, Call, operation

if TYPE_CHECKING:
    from overflight.account.local.account import LocalAccount

# The wire finds operations in the modules of its table; those on tags are written next door.
__all__ = ["GROUP", "PACKAGE", "add_tags", "create_model_package_version", "delete_tags", "list_tags"]

GROUP = "model-package-group"
PACKAGE = "model-package"
EVENT = "SageMaker Model Package State Change"
_NOT_KEPT = frozenset({"ClientToken", "Tags", "ModelPackageGroupName", "ModelPackageName"})
_SUMMARY = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "ModelApprovalStatus",
    "ModelLifeCycle",
    "ModelPackageRegistrationType",
)
_EVENT_MEMBERS = (
    "ModelPackageName",
    "ModelPackageGroupName",
    "ModelPackageVersion",
    "ModelPackageArn",
    "ModelPackageDescription",
    "InferenceSpecification",
    "ModelApprovalStatus",
    "ApprovalDescription",
    "CustomerMetadataProperties",
    "MetadataProperties",
    "ModelMetrics",
    "DriftCheckBaselines",
    "ModelLifeCycle",
    "SourceUri",
)
_UPDATABLE = (
    "ModelApprovalStatus",
    "ModelPackageRegistrationType",
    "ApprovalDescription",
    "InferenceSpecification",
    "SourceUri",
    "ModelCard",
    "ModelLifeCycle",
)
_MAX_METADATA = 50


def create_model_package_version(
    tx: Transaction, account: LocalAccount, caller_arn: str, request: Mapping[str, Any], *, create_group: bool = True
) -> dict[str, Any]:
    """Add a version to a group and publish the event of it.

    RegisterModel steps of pipelines call it as it is; the operation CreateModelPackage does not create groups.

    Args:
        tx: The transaction to write in.
        account: The account it belongs to.
        caller_arn: Who registers it.
        request: A CreateModelPackage request with a group. The same ``ClientToken`` gives the same version again.
        create_group: Make the group when it is missing, as pipelines do.

    Returns:
        ``{"ModelPackageArn": ...}``.

    Raises:
        AwsError: ``ValidationException`` when the request does not fit AWS's model of it, or the group is missing.
    """
    check_request("CreateModelPackage", request)
    group = group_name(str(request.get("ModelPackageGroupName") or ""))
    if not group or request.get("ModelPackageName"):
        raise _invalid(
            "Exactly one of ModelPackageName and ModelPackageGroupName is needed; here only groups are kept."
        )
    if request.get("Tags"):
        raise _invalid("Tags cannot be given to a version of a group: it carries the tags of its group.")
    if request.get("CertifyForMarketplace"):
        raise _invalid("CertifyForMarketplace cannot be used for a version of a group.")
    if tx.get(GROUP, group) is None:
        if not create_group:
            raise _invalid(f"ModelPackageGroup {account.arn('sagemaker', f'{GROUP}/{group}')} does not exist.")
        create_group_record(tx, account, caller_arn, {"ModelPackageGroupName": group})
    token = request.get("ClientToken")
    for known in tx.list(PACKAGE, parent=group) if token else ():
        if known.body["ClientToken"] == token:
            return {"ModelPackageArn": known.name}
    package = _insert_package(tx, account, caller_arn, group, request)
    _publish(tx, account, package, updated=[])
    return {"ModelPackageArn": package.name}


def create_group_record(
    tx: Transaction, account: LocalAccount, caller_arn: str, request: Mapping[str, Any]
) -> dict[str, Any]:
    """Make a group; used by CreateModelPackageGroup and for versions registered by a pipeline.

    Raises:
        AwsError: ``ValidationException`` when it exists already.
    """
    name = str(request["ModelPackageGroupName"])
    arn = account.arn("sagemaker", f"{GROUP}/{name}")
    if tx.get(GROUP, name) is not None:
        raise _invalid(f"Model Package Group already exists: {arn}")
    kept = {member: value for member, value in request.items() if member != "Tags"}
    body = {**kept, "ModelPackageGroupArn": arn, "CreatedBy": user_context(caller_arn)}
    tx.insert(GROUP, name, body=body, status="Completed")
    keep_tags(tx, arn, request.get("Tags") or [])
    return {"ModelPackageGroupArn": arn}


@operation("sagemaker", "CreateModelPackageGroup")
def _create_group(call: Call) -> dict[str, Any]:
    return create_group_record(call.transaction, call.account, call.caller.arn, call.params)


@operation("sagemaker", "DescribeModelPackageGroup")
def _describe_group(call: Call) -> dict[str, Any]:
    group = _require_group(call)
    return {**group.body, "CreationTime": group.created_at, "ModelPackageGroupStatus": group.status}


@operation("sagemaker", "ListModelPackageGroups")
def _list_groups(call: Call) -> dict[str, Any]:
    found = ordered(selected(call.transaction.list(GROUP), call.params), call.params, default_order="Ascending")
    items, token = page(found, call.params, key=lambda group: group.name)
    members = ("ModelPackageGroupName", "ModelPackageGroupArn", "ModelPackageGroupDescription")
    summaries = [
        {
            **without_none({member: group.body.get(member) for member in members}),
            "CreationTime": group.created_at,
            "ModelPackageGroupStatus": group.status,
        }
        for group in items
    ]
    return without_none({"ModelPackageGroupSummaryList": summaries, "NextToken": token})


@operation("sagemaker", "DeleteModelPackageGroup")
def _delete_group(call: Call) -> dict[str, Any]:
    group = _require_group(call)
    count = len(call.transaction.list(PACKAGE, parent=group.name))
    if count:
        message = f"Model Package Group {group.body['ModelPackageGroupArn']} has {count} versions; delete them first."
        raise AwsError("ConflictException", message)
    call.transaction.delete(GROUP, group.name)
    forget_tags(call.transaction, group.body["ModelPackageGroupArn"])
    return {}


@operation("sagemaker", "CreateModelPackage")
def _create_package(call: Call) -> dict[str, Any]:
    made = create_model_package_version(
        call.transaction, call.account, call.caller.arn, call.params, create_group=False
    )
    call.notes["ModelPackageArn"] = made["ModelPackageArn"]  # the trail knows then which version was registered
    return made


@operation("sagemaker", "DescribeModelPackage")
def _describe_package(call: Call) -> dict[str, Any]:
    package = _require_package(call, "ModelPackageName")
    kept = {member: value for member, value in package.body.items() if member != "ClientToken"}
    changed = {"LastModifiedTime": package.modified_at} if "LastModifiedBy" in package.body else {}
    return {
        **kept,
        **changed,
        "CreationTime": package.created_at,
        "ModelPackageStatus": package.status,
        "ModelPackageStatusDetails": {"ValidationStatuses": [], "ImageScanStatuses": []},
    }


@operation("sagemaker", "ListModelPackages")
def _list_packages(call: Call) -> dict[str, Any]:
    params = call.params
    group = group_name(params["ModelPackageGroupName"]) if params.get("ModelPackageGroupName") else None
    versions_wanted = group is not None or params.get("ModelPackageType") in ("Versioned", "Both")
    packages = call.transaction.list(PACKAGE, parent=group) if versions_wanted else []
    status = params.get("ModelApprovalStatus")
    kept = [package for package in packages if status in (None, package.body["ModelApprovalStatus"])]
    found = ordered(selected(kept, params, name=_listed_name), params, default_order="Ascending", name=_listed_name)
    items, token = page(found, params, key=lambda package: package.name)
    summaries = [
        {
            **without_none({member: package.body.get(member) for member in _SUMMARY}),
            "CreationTime": package.created_at,
            "ModelPackageStatus": package.status,
        }
        for package in items
    ]
    return without_none({"ModelPackageSummaryList": summaries, "NextToken": token})


@operation("sagemaker", "UpdateModelPackage")
def _update_package(call: Call) -> dict[str, Any]:
    package = _require_package(call, "ModelPackageArn")
    body = dict(package.body)
    body.update({member: call.params[member] for member in _UPDATABLE if member in call.params})
    metadata = {**body.get("CustomerMetadataProperties", {}), **call.params.get("CustomerMetadataProperties", {})}
    for name in call.params.get("CustomerMetadataPropertiesToRemove", ()):
        metadata.pop(name, None)
    if len(metadata) > _MAX_METADATA:
        raise _invalid(
            f"CustomerMetadataProperties would have {len(metadata)} entries; at most {_MAX_METADATA} allowed."
        )
    body.pop("CustomerMetadataProperties", None)
    if metadata:
        body["CustomerMetadataProperties"] = metadata
    added = call.params.get("AdditionalInferenceSpecificationsToAdd")
    if added:
        body["AdditionalInferenceSpecifications"] = [*body.get("AdditionalInferenceSpecifications", ()), *added]
    changed = sorted(name for name in body.keys() | package.body.keys() if body.get(name) != package.body.get(name))
    body["LastModifiedBy"] = user_context(call.caller.arn)
    updated = call.transaction.put(PACKAGE, package.name, body=_plain(body))
    _publish(call.transaction, call.account, updated, updated=changed)
    return {"ModelPackageArn": package.name}


@operation("sagemaker", "DeleteModelPackage")
def _delete_package(call: Call) -> dict[str, Any]:
    package = _require_package(call, "ModelPackageName")
    call.transaction.delete(PACKAGE, package.name)
    forget_tags(call.transaction, package.name)
    return {}


def _insert_package(
    tx: Transaction, account: LocalAccount, caller_arn: str, group: str, request: Mapping[str, Any]
) -> Resource:
    version = tx.next_number(f"{PACKAGE}/{group}")
    arn = account.arn("sagemaker", f"{PACKAGE}/{group}/{version}")
    body = {
        "ModelApprovalStatus": "PendingManualApproval",
        **{member: value for member, value in request.items() if member not in _NOT_KEPT},
        "ModelPackageName": group,
        "ModelPackageGroupName": group,
        "ModelPackageVersion": version,
        "ModelPackageArn": arn,
        "CreatedBy": user_context(caller_arn),
        "ClientToken": request.get("ClientToken", ""),
    }
    return tx.insert(PACKAGE, arn, body=_plain(body), parent=group, status="Completed")


def _publish(tx: Transaction, account: LocalAccount, package: Resource, *, updated: list[str]) -> None:
    """The event of a new or changed version, with AWS's members; times are in milliseconds since 1970."""
    modified_by = {"LastModifiedBy": package.body["LastModifiedBy"]} if "LastModifiedBy" in package.body else {}
    detail = {
        **without_none({member: package.body.get(member) for member in _EVENT_MEMBERS}),
        "CreationTime": int(package.created_at.timestamp() * 1000),
        "CreatedBy": package.body["CreatedBy"],
        "LastModifiedTime": int(package.modified_at.timestamp() * 1000),
        **modified_by,
        "ModelPackageStatus": package.status,
        "ModelPackageStatusDetails": {"ValidationStatuses": []},
        "CertifyForMarketplace": False,
        "UpdatedModelPackageFields": updated,
    }
    events.publish(
        tx,
        time=account.clock(),
        source="aws.sagemaker",
        detail_type=EVENT,
        detail=detail,
        resources=(package.name,),
    )


def _require_group(call: Call) -> Resource:
    name = group_name(call.params["ModelPackageGroupName"])
    arn = call.account.arn("sagemaker", f"{GROUP}/{name}")
    return require(call.transaction, GROUP, name, f"ModelPackageGroup {arn} does not exist.")


def _require_package(call: Call, member: str) -> Resource:
    reference = str(call.params[member])
    arn = reference if reference.startswith("arn:") else call.account.arn("sagemaker", f"{PACKAGE}/{reference}")
    return require(call.transaction, PACKAGE, arn, f"ModelPackage {arn} does not exist.")


def group_name(name_or_arn: str) -> str:
    """Name of a group from its name or ARN."""
    return name_or_arn.rsplit("/", 1)[-1] if name_or_arn.startswith("arn:") else name_or_arn


def _listed_name(package: Resource) -> str:
    return str(package.body["ModelPackageName"])


def _invalid(message: str) -> AwsError:
    return AwsError("ValidationException", message)


def _plain(body: Mapping[str, Any]) -> dict[str, Any]:
    """``body`` as it comes back from the store: times as text."""
    return dict(json.loads(to_json(dict(body))))
