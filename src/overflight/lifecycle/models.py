"""Model packages as a person handles them: list, show, approve, reject.

An approval is refused when the approver's role also started the training or registered the package. Rules about who may
call what are the account's; this module adds only what no policy language can say.
"""

from __future__ import annotations

import json
from typing import Any

from botocore.exceptions import ClientError

from overflight.account.objects import S3Uri
from overflight.errors import NotFoundError, RefusedError, UsageError
from overflight.lifecycle.context import Context
from overflight.lifecycle.runs import started_by


def list_packages(context: Context) -> list[dict[str, Any]]:
    """All model packages, newest first."""
    sagemaker = context.client("sagemaker")
    rows = []
    for page in sagemaker.get_paginator("list_model_package_groups").paginate():
        for group in page["ModelPackageGroupSummaryList"]:
            packages = sagemaker.get_paginator("list_model_packages").paginate(
                ModelPackageGroupName=group["ModelPackageGroupName"]
            )
            rows += [
                {
                    "package": f"{item['ModelPackageGroupName']}/{item['ModelPackageVersion']}",
                    "status": item["ModelApprovalStatus"],
                    "created": item["CreationTime"],
                    "arn": item["ModelPackageArn"],
                }
                for page in packages
                for item in page["ModelPackageSummaryList"]
            ]
    return sorted(rows, key=lambda row: row["created"], reverse=True)


def find_package(context: Context, package: str) -> str:
    """ARN of a package given as ARN, ``group/version``, ``group`` (its newest version) or ``latest``.

    Raises:
        NotFoundError: there is none.
    """
    if package.startswith("arn:"):
        return package
    group, _, version = package.partition("/")
    for row in list_packages(context):
        row_group, row_version = row["package"].rsplit("/", 1)
        if package == "latest" or (group == row_group and version in {"", row_version}):
            return str(row["arn"])
    raise NotFoundError("there is no such model package", where=package, cure="See: overflight models list")


def describe_package(context: Context, arn: str) -> dict[str, Any]:
    """What an approver needs: status, who registered and who trained it, data, metrics with intervals, artefact."""
    facts = _describe(context, arn)
    properties = facts.get("CustomerMetadataProperties", {})
    execution_arn = properties.get("execution_arn", "")
    container = facts["InferenceSpecification"]["Containers"][0]
    return {
        "package": f"{facts['ModelPackageGroupName']}/{facts['ModelPackageVersion']}",
        "arn": arn,
        "status": facts["ModelApprovalStatus"],
        "decision": facts.get("ApprovalDescription", ""),
        "created": facts["CreationTime"],
        "registered_by": _identity(facts.get("CreatedBy", {})),
        "trained_by": _trained_by(context, execution_arn),
        "decided_by": _identity(facts.get("LastModifiedBy", {})),
        "run": execution_arn.rsplit("/", 1)[-1],
        "survey": properties.get("survey_uri", ""),
        "model_data": container.get("ModelDataUrl", ""),
        "metrics": package_metrics(context, facts).get("metrics", {}),
        "properties": properties,
    }


def package_metrics(context: Context, facts: dict[str, Any]) -> dict[str, Any]:
    """Content of the evaluation.json that the package points to; empty when it points to none."""
    uri = facts.get("ModelMetrics", {}).get("ModelQuality", {}).get("Statistics", {}).get("S3Uri")
    if not uri:
        return {}
    place = S3Uri.parse(uri)
    body = context.client("s3").get_object(Bucket=place.bucket, Key=place.key)["Body"].read()
    return dict(json.loads(body))


def approve(context: Context, arn: str, *, reason: str) -> dict[str, Any]:
    """Approve a package in the name of the context's role.

    Raises:
        UsageError: no reason was given.
        RefusedError: the same role trained or registered it, or it is decided already.
    """
    return _decide(context, arn, status="Approved", reason=reason)


def reject(context: Context, arn: str, *, reason: str) -> dict[str, Any]:
    """Reject a package, or take an approval back.

    Raises:
        UsageError: no reason was given.
    """
    return _decide(context, arn, status="Rejected", reason=reason)


def _decide(context: Context, arn: str, *, status: str, reason: str) -> dict[str, Any]:
    if not reason.strip():
        raise UsageError("a decision needs a reason", where=arn, cure='Add --reason "what you looked at and found"')
    facts = describe_package(context, arn)
    if facts["status"] == status:
        raise RefusedError(f"it is {status.lower()} already: {facts['decision']}", where=facts["package"])
    caller = context.client("sts").get_caller_identity()["Arn"]
    if status == "Approved":
        for deed in ("trained", "registered"):
            if _role(facts[f"{deed}_by"]) == _role(caller):
                raise RefusedError(
                    f"the role {_role(caller)!r} {deed} it and may not approve it",
                    where=facts["package"],
                    cure="Ask another role: overflight --as approver models approve PACKAGE --reason ...",
                )
    context.client("sagemaker").update_model_package(
        ModelPackageArn=arn, ModelApprovalStatus=status, ApprovalDescription=reason.strip()
    )
    return describe_package(context, arn)


def _describe(context: Context, arn: str) -> dict[str, Any]:
    try:
        return dict(context.client("sagemaker").describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            raise NotFoundError(
                "there is no such model package", where=arn, cure="See: overflight models list"
            ) from error
        raise


def _trained_by(context: Context, execution_arn: str) -> str:
    if not execution_arn:
        return ""
    answer = context.client("sagemaker").describe_pipeline_execution(PipelineExecutionArn=execution_arn)
    return started_by(answer)


def _identity(user_context: dict[str, Any]) -> str:
    return str(user_context.get("IamIdentity", {}).get("Arn", ""))


def _role(arn: str) -> str:
    """``.../assumed-role/overflight-approver/anna`` -> ``overflight-approver``; other ARNs: their last part."""
    resource = arn.rsplit(":", 1)[-1]
    parts = resource.split("/")
    return parts[1] if parts[0] in {"assumed-role", "role"} and len(parts) > 1 else parts[-1]
