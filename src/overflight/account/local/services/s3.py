"""S3: objects, one at a time or a list to delete."""

from __future__ import annotations

import hashlib
from typing import Any

from overflight.account.checksums import MEMBERS
from overflight.account.local.blobs import Blob
from overflight.account.local.objects import (
    DEFAULT_CONTENT_TYPE,
    NULL_VERSION,
    Bucket,
    ObjectInfo,
    add_version,
    drop_version,
    find_object,
)
from overflight.account.local.s3_protocol import (
    accept_only,
    base64_digest,
    bucket_of,
    byte_range,
    check_key,
    checksum_of,
    copy_source,
    fail,
    object_of,
    quoted,
    receive_body,
    require_listing,
    same_etag,
    stream_of,
    versioned,
    whole_second,
)
from overflight.account.local.store import Transaction
from overflight.account.local.wire import AwsError, Call, operation

_READ = ("Bucket", "Key", "VersionId", "Range", "IfMatch", "IfNoneMatch", "ChecksumMode")
_WRITE = ("Bucket", "Key", "Body", "ContentType", "Metadata", "ContentMD5", "ChecksumSHA256", "IfMatch", "IfNoneMatch")


def _receive(call: Call) -> Blob:
    accept_only(call, *_WRITE)
    check_key(call.params["Key"])
    with call.account.store.read() as transaction:
        bucket_of(call, transaction)
    return receive_body(call, call.account.objects.blobs)


@operation("s3", "PutObject", prepare=_receive)
def put_object(call: Call) -> dict[str, Any]:
    """Keep a body under a key."""
    bucket = bucket_of(call, call.transaction)
    refuse_overwrite(call, call.transaction)
    blob: Blob = call.prepared
    info = store_version(call, bucket, blob, content_type=call.params.get("ContentType"), metadata=metadata_of(call))
    response = {"ETag": quoted(info.etag), **versioned(bucket, info)}
    # Without one of the caller's own boto3 sends a CRC32, after the parameters were taken here.
    algorithm = call.params.get("ChecksumAlgorithm", "CRC32")
    name = next((name for name in MEMBERS if name in call.params), f"Checksum{algorithm}")
    checksum = checksum_of(name, blob, call.account.objects.blobs) if name in MEMBERS else None
    if checksum is not None:
        response |= {name: checksum, "ChecksumType": "FULL_OBJECT"}
    return response


@operation("s3", "GetObject")
def get_object(call: Call) -> dict[str, Any]:
    """Content and description of an object, or a range of it."""
    accept_only(call, *_READ)
    bucket = bucket_of(call, call.transaction)
    info = object_of(call, call.transaction)
    response, start, stop = _described(call, bucket, info)
    path = call.account.objects.blobs.path(info.sha256)
    try:
        return {**response, "Body": stream_of(path, start, stop)}
    except FileNotFoundError as error:
        raise AwsError("InternalError", f"The content of the object is missing: {path}", 500) from error


@operation("s3", "HeadObject")
def head_object(call: Call) -> dict[str, Any]:
    """Description of an object."""
    accept_only(call, *_READ)
    bucket = bucket_of(call, call.transaction)
    return _described(call, bucket, object_of(call, call.transaction))[0]


def _described(call: Call, bucket: Bucket, info: ObjectInfo) -> tuple[dict[str, Any], int, int]:
    try:
        part = byte_range(call.params.get("Range"), info.size_bytes)
    except AwsError as error:
        fail(call, error.code, error.message, error.status)
    start, stop = part or (0, info.size_bytes)
    response: dict[str, Any] = {
        "AcceptRanges": "bytes",
        "LastModified": whole_second(info.last_modified),
        "ContentLength": stop - start,
        "ETag": quoted(info.etag),
        "ContentType": info.content_type,
        "Metadata": info.metadata,
        **versioned(bucket, info),
    }
    if part is not None:
        response["ContentRange"] = f"bytes {start}-{stop - 1}/{info.size_bytes}"
        response["ResponseMetadata"] = {"HTTPStatusCode": 206}
    if call.params.get("ChecksumMode") == "ENABLED" and part is None:
        response |= {"ChecksumSHA256": base64_digest(info.sha256), "ChecksumType": "FULL_OBJECT"}
    return response, start, stop


def _find_source(call: Call) -> tuple[ObjectInfo, Blob]:
    accept_only(
        call, "Bucket", "Key", "CopySource", "MetadataDirective", "Metadata", "ContentType", "CopySourceIfMatch"
    )
    check_key(call.params["Key"])
    source = copy_source(call.params["CopySource"])
    with call.account.store.read() as transaction:
        bucket_of(call, transaction, name=source.bucket)
        bucket_of(call, transaction)
        info = find_object(transaction, source.bucket, source.key, source.version_id)
    if info is None or info.delete_marker:
        require_listing(call, source.bucket)
        raise AwsError("NoSuchKey", f"The specified key does not exist: {source.key}", 404)
    if not same_etag(call.params.get("CopySourceIfMatch", "*"), info.etag):
        raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    md5 = info.etag
    if "-" in md5:  # a multipart upload: the copy is made in one piece and gets a plain ETag
        with call.account.objects.blobs.path(info.sha256).open("rb") as handle:
            md5 = hashlib.file_digest(handle, "md5").hexdigest()
    return info, Blob(info.sha256, md5, info.size_bytes)


@operation("s3", "CopyObject", prepare=_find_source)
def copy_object(call: Call) -> dict[str, Any]:
    """The content of one object under another key; nothing is copied on the disk."""
    source, blob = call.prepared
    bucket = bucket_of(call, call.transaction)
    replace = call.params.get("MetadataDirective") == "REPLACE"
    same = (source.bucket, source.key) == (bucket.name, call.params["Key"]) and source.is_latest
    if same and not replace:
        raise AwsError(
            "InvalidRequest",
            "This copy request is illegal because it is trying to copy an object to itself without changing the "
            "object's metadata, storage class, website redirect location or encryption attributes.",
        )
    info = store_version(
        call,
        bucket,
        blob,
        content_type=call.params.get("ContentType") if replace else source.content_type,
        metadata=metadata_of(call) if replace else source.metadata,
    )
    result = {"ETag": quoted(info.etag), "LastModified": whole_second(info.last_modified)}
    response = {"CopyObjectResult": result, **versioned(bucket, info)}
    if source.version_id != NULL_VERSION:
        response["CopySourceVersionId"] = source.version_id
    return response


@operation("s3", "DeleteObject")
def delete_object(call: Call) -> dict[str, Any]:
    """Mark a key as deleted (versioning) or remove it; with a version, remove that version for good."""
    accept_only(call, "Bucket", "Key", "VersionId")
    bucket = bucket_of(call, call.transaction)
    return _delete(call, bucket, call.params["Key"], call.params.get("VersionId"))


@operation("s3", "DeleteObjects")
def delete_objects(call: Call) -> dict[str, Any]:
    """Up to 1000 deletions in one call."""
    accept_only(call, "Bucket", "Delete")
    bucket = bucket_of(call, call.transaction)
    wanted = call.params["Delete"]["Objects"]
    if not 1 <= len(wanted) <= 1000:
        raise AwsError("MalformedXML", "The list of objects to delete must have 1 to 1000 entries")
    deleted = []
    for item in wanted:
        done = _delete(call, bucket, item["Key"], item.get("VersionId"))
        entry = {"Key": item["Key"]}
        if "VersionId" in item:
            entry["VersionId"] = item["VersionId"]
        if done.get("DeleteMarker"):
            entry |= {"DeleteMarker": True, "DeleteMarkerVersionId": done["VersionId"]}
        deleted.append(entry)
    return {} if call.params["Delete"].get("Quiet") else {"Deleted": deleted}


def _delete(call: Call, bucket: Bucket, key: str, version_id: str | None) -> dict[str, Any]:
    if version_id is not None:
        gone = drop_version(call.transaction, bucket.name, key, version_id)
        marker = {"DeleteMarker": True} if gone is not None and gone.delete_marker else {}
        return {"VersionId": version_id, **marker}
    if not bucket.versioning:
        drop_version(call.transaction, bucket.name, key, NULL_VERSION)
        return {}
    marked = add_version(call.transaction, bucket, key, time=call.account.clock(), blob=None)
    return {"DeleteMarker": True, "VersionId": marked.version_id}


def metadata_of(call: Call) -> dict[str, str]:
    """User metadata as S3 gives it back: names in lower case."""
    return {name.lower(): value for name, value in call.params.get("Metadata", {}).items()}


def refuse_overwrite(call: Call, transaction: Transaction) -> None:
    """The conditions of a write: only if absent (``IfNoneMatch="*"``), only if it still is this one (``IfMatch``)."""
    if "IfMatch" not in call.params and "IfNoneMatch" not in call.params:
        return
    found = find_object(transaction, call.params["Bucket"], call.params["Key"])
    etag = None if found is None or found.delete_marker else found.etag
    if "IfNoneMatch" in call.params and etag is not None:
        raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    if "IfMatch" not in call.params:
        return
    if etag is None:
        raise AwsError("NoSuchKey", "The specified key does not exist.", 404)
    if not same_etag(call.params["IfMatch"], etag):
        raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)


def store_version(
    call: Call,
    bucket: Bucket,
    blob: Blob,
    *,
    content_type: str | None,
    metadata: dict[str, str],
    etag: str | None = None,
) -> ObjectInfo:
    """The row of a new version, once its content is known to be on the disk."""
    if not call.account.objects.blobs.path(blob.sha256).is_file():
        raise AwsError("InternalError", f"The content {blob.sha256} is missing: send it again", 500)
    return add_version(
        call.transaction,
        bucket,
        call.params["Key"],
        time=call.account.clock(),
        blob=blob,
        etag=etag,
        content_type=content_type or DEFAULT_CONTENT_TYPE,
        metadata=metadata,
    )
