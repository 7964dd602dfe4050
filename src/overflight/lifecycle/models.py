"""Model packages as a person looks at them: list, find, describe.

Decides nothing (``lifecycle.approvals`` does) and reads no artefact.
"""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from overflight.account.objects import S3Uri, read_json
from overflight.errors import NotFoundError
from overflight.governance.evidence import artefact_address, metrics_address, starter_of
from overflight.lifecycle.context import Context


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
    facts = package_facts(context, arn)
    properties = facts.get("CustomerMetadataProperties", {})
    execution_arn = properties.get("execution_arn", "")
    return {
        "package": f"{facts['ModelPackageGroupName']}/{facts['ModelPackageVersion']}",
        "arn": arn,
        "status": facts["ModelApprovalStatus"],
        "decision": facts.get("ApprovalDescription", ""),
        "created": facts["CreationTime"],
        "registered_by": _identity(facts.get("CreatedBy", {})),
        "trained_by": starter_of(context.client("sagemaker"), execution_arn),
        "decided_by": _identity(facts.get("LastModifiedBy", {})),
        "run": execution_arn.rsplit("/", 1)[-1],
        "survey": properties.get("survey_uri", ""),
        "model_data": artefact_address(facts),
        "containers": (facts.get("InferenceSpecification") or {}).get("Containers") or [],
        "metrics": package_metrics(context, facts).get("metrics", {}),
        "properties": properties,
    }


def package_metrics(context: Context, facts: dict[str, Any]) -> dict[str, Any]:
    """Content of the evaluation.json that the package points to; empty when it points to none, or it is gone."""
    uri = metrics_address(facts)
    if not uri:
        return {}
    place = S3Uri.parse(uri)
    try:
        return dict(read_json(context.client("s3"), place.bucket, place.key))
    except NotFoundError:
        return {}


def package_facts(context: Context, arn: str) -> dict[str, Any]:
    """Answer of DescribeModelPackage.

    Raises:
        NotFoundError: there is no such package.
    """
    try:
        return dict(context.client("sagemaker").describe_model_package(ModelPackageName=arn))
    except ClientError as error:
        if error.response["Error"]["Code"] == "ValidationException":
            raise NotFoundError(
                "there is no such model package", where=arn, cure="See: overflight models list"
            ) from error
        raise


def _identity(user_context: dict[str, Any]) -> str:
    return str(user_context.get("IamIdentity", {}).get("Arn", ""))
