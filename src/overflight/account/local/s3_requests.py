"""What S3's calls ask for in IAM's words; used by ``requests``.

Source: Amazon S3 user guide, "Required permissions for Amazon S3 API operations".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from overflight.account.aws_errors import S3_ACTIONS
from overflight.account.local.s3_protocol import copy_source

_OF_OBJECTS = frozenset(
    {
        "AbortMultipartUpload",
        "CompleteMultipartUpload",
        "CreateMultipartUpload",
        "DeleteObject",
        "GetObject",
        "GetObjectAttributes",
        "HeadObject",
        "ListParts",
        "PutObject",
        "UploadPart",
    }
)  # the others are about the bucket
_OF_VERSIONS = frozenset({"GetObject", "HeadObject", "DeleteObject"})
_LIST_KEYS = {"Prefix": "s3:prefix", "Delimiter": "s3:delimiter", "MaxKeys": "s3:max-keys"}
_WRITE_KEYS = {
    "ACL": "s3:x-amz-acl",
    "IfMatch": "s3:if-match",
    "IfNoneMatch": "s3:if-none-match",
    "ServerSideEncryption": "s3:x-amz-server-side-encryption",
    "SSEKMSKeyId": "s3:x-amz-server-side-encryption-aws-kms-key-id",
    "StorageClass": "s3:x-amz-storage-class",
    "MetadataDirective": "s3:x-amz-metadata-directive",
}
_EVERYWHERE = "*"
_Parts = tuple[str, str, dict[str, str]]


def s3_needs(operation: str, params: Mapping[str, Any]) -> Iterator[_Parts]:
    """Action, resource and condition keys of everything that one operation of S3 needs."""
    if operation == "ListBuckets":
        yield "s3:ListAllMyBuckets", _EVERYWHERE, {}
    elif operation == "DeleteObjects":
        yield from _deletions(params)
    elif operation in {"CopyObject", "UploadPartCopy"}:
        yield from _copy(params)
    else:
        yield _plain(operation, params)


def object_arn(bucket: str, key: str) -> str:
    """ARN of an object."""
    return f"arn:aws:s3:::{bucket}/{key}"


def bucket_arn(bucket: str) -> str:
    """ARN of a bucket."""
    return f"arn:aws:s3:::{bucket}"


def _plain(operation: str, params: Mapping[str, Any]) -> _Parts:
    action = S3_ACTIONS.get(operation, operation)
    bucket = str(params.get("Bucket") or "")
    if operation in _OF_OBJECTS:
        version = {"s3:VersionId": str(params["VersionId"])} if params.get("VersionId") else {}
        if version and operation in _OF_VERSIONS:
            action += "Version"
        return f"s3:{action}", object_arn(bucket, str(params["Key"])), {**_given(params, _WRITE_KEYS), **version}
    return f"s3:{action}", bucket_arn(bucket) if bucket else _EVERYWHERE, _given(params, _LIST_KEYS)


def _deletions(params: Mapping[str, Any]) -> Iterator[_Parts]:
    for item in params["Delete"]["Objects"]:
        one = {"Bucket": params["Bucket"], "Key": item["Key"], "VersionId": item.get("VersionId")}
        yield _plain("DeleteObject", one)


def _copy(params: Mapping[str, Any]) -> Iterator[_Parts]:
    source = copy_source(params["CopySource"])
    yield _plain("GetObject", {"Bucket": source.bucket, "Key": source.key, "VersionId": source.version_id})
    named = {"s3:x-amz-copy-source": f"/{source.bucket}/{source.key}"}
    yield "s3:PutObject", object_arn(params["Bucket"], params["Key"]), {**_given(params, _WRITE_KEYS), **named}


def _given(params: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, str]:
    return {key: str(params[member]) for member, key in names.items() if params.get(member) is not None}
