"""S3: large objects in parts. Parts lie in a folder of their upload until it is completed or aborted."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from overflight.account.local import tables
from overflight.account.local.blobs import Blob, BlobFolder
from overflight.account.local.objects import find_object
from overflight.account.local.s3_protocol import (
    accept_only,
    base64_digest,
    bucket_of,
    byte_range,
    check_key,
    copy_source,
    quoted,
    receive_body,
    require_listing,
    same_etag,
    stream_of,
    versioned,
    whole_second,
)
from overflight.account.local.services.s3 import metadata_of, refuse_overwrite, store_version
from overflight.account.local.store import Transaction, time_text, to_json
from overflight.account.local.wire import AwsError, Call, operation

_SMALLEST_PART_BYTES = 5 * 1024 * 1024
_MOST_PARTS = 10_000


@operation("s3", "CreateMultipartUpload")
def create_multipart_upload(call: Call) -> dict[str, Any]:
    """An empty upload."""
    accept_only(call, "Bucket", "Key", "ContentType", "Metadata")
    check_key(call.params["Key"])
    bucket = bucket_of(call, call.transaction)
    upload_id = secrets.token_urlsafe(32)
    row = {
        "upload_id": upload_id,
        "bucket": bucket.name,
        "key": call.params["Key"],
        "content_type": call.params.get("ContentType", ""),
        "metadata": to_json(metadata_of(call)),
        "created_at": time_text(call.account.clock()),
    }
    call.transaction.connection.execute(sa.insert(tables.uploads), row)
    return {"Bucket": bucket.name, "Key": call.params["Key"], "UploadId": upload_id}


def _receive_part(call: Call) -> Blob:
    accept_only(call, "Bucket", "Key", "UploadId", "PartNumber", "Body", "ContentMD5", "ChecksumSHA256")
    return receive_body(call, _open_upload(call))


@operation("s3", "UploadPart", prepare=_receive_part)
def upload_part(call: Call) -> dict[str, Any]:
    """Keep one part, replacing an earlier one of the same number."""
    _keep_part(call)
    return {"ETag": quoted(call.prepared.md5)}


def _copy_part(call: Call) -> Blob:
    accept_only(call, "Bucket", "Key", "UploadId", "PartNumber", "CopySource", "CopySourceRange", "CopySourceIfMatch")
    folder = _open_upload(call)
    source = copy_source(call.params["CopySource"])
    with call.account.store.read() as transaction:
        bucket_of(call, transaction, name=source.bucket)
        info = find_object(transaction, source.bucket, source.key, source.version_id)
    if info is None or info.delete_marker:
        require_listing(call, source.bucket)
        raise AwsError("NoSuchKey", f"The specified key does not exist: {source.key}", 404)
    if not same_etag(call.params.get("CopySourceIfMatch", "*"), info.etag):
        raise AwsError("PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    start, stop = byte_range(call.params.get("CopySourceRange"), info.size_bytes) or (0, info.size_bytes)
    return folder.receive(stream_of(call.account.objects.blobs.path(info.sha256), start, stop))


@operation("s3", "UploadPartCopy", prepare=_copy_part)
def upload_part_copy(call: Call) -> dict[str, Any]:
    """A range of an existing object as a part."""
    _keep_part(call)
    modified = whole_second(call.account.clock())
    return {"CopyPartResult": {"ETag": quoted(call.prepared.md5), "LastModified": modified}}


@dataclass(frozen=True)
class _Whole:
    blob: Blob
    etag: str


def _assemble(call: Call) -> _Whole:
    accept_only(call, "Bucket", "Key", "UploadId", "MultipartUpload", "IfMatch", "IfNoneMatch", "ChecksumSHA256")
    folder = _open_upload(call)
    wanted = call.params.get("MultipartUpload", {}).get("Parts", [])
    numbers = [part.get("PartNumber", 0) for part in wanted]
    if not numbers:
        raise AwsError("MalformedXML", "You must specify at least one part")
    if numbers != sorted(set(numbers)):
        raise AwsError("InvalidPartOrder", "The list of parts was not in ascending order.")
    with call.account.store.read() as transaction:
        table = tables.parts
        statement = sa.select(table).where(table.c.upload_id == call.params["UploadId"])
        kept = {row.number: row for row in transaction.connection.execute(statement)}
    for part in wanted:
        row = kept.get(part.get("PartNumber"))
        if row is None or not same_etag(part.get("ETag", ""), row.etag):
            raise AwsError("InvalidPart", f"Part {part.get('PartNumber')} was not found or its ETag did not match.")
    chosen = [kept[number] for number in numbers]
    if any(row.size_bytes < _SMALLEST_PART_BYTES for row in chosen[:-1]):
        raise AwsError("EntityTooSmall", "Your proposed upload is smaller than the minimum allowed size")
    blob = call.account.objects.blobs.receive(_Chain([folder.path(row.sha256) for row in chosen]))
    if call.params.get("ChecksumSHA256") not in {None, base64_digest(blob.sha256)}:
        raise AwsError("BadDigest", "The ChecksumSHA256 you specified did not match what we received.")
    digests = b"".join(bytes.fromhex(row.etag) for row in chosen)
    etag = f"{hashlib.md5(digests, usedforsecurity=False).hexdigest()}-{len(chosen)}"
    call.notes["Body"] = {"bytes": blob.size_bytes, "sha256": blob.sha256}
    return _Whole(blob, etag)


@operation("s3", "CompleteMultipartUpload", prepare=_assemble)
def complete_multipart_upload(call: Call) -> dict[str, Any]:
    """Make the parts one object."""
    bucket = bucket_of(call, call.transaction)
    upload = _upload(call, call.transaction)
    refuse_overwrite(call, call.transaction)
    whole: _Whole = call.prepared
    info = store_version(
        call,
        bucket,
        whole.blob,
        content_type=upload.content_type,
        metadata=json.loads(upload.metadata),
        etag=whole.etag,
    )
    _forget(call)
    location = f"https://{bucket.name}.s3.{bucket.region}.amazonaws.com/{info.key}"
    return {
        "Location": location,
        "Bucket": bucket.name,
        "Key": info.key,
        "ETag": quoted(info.etag),
        **versioned(bucket, info),
    }


@operation("s3", "AbortMultipartUpload")
def abort_multipart_upload(call: Call) -> dict[str, Any]:
    """Forget an upload and its parts."""
    bucket_of(call, call.transaction)
    _upload(call, call.transaction)
    _forget(call)
    return {}


class _Chain:
    """Several files read one after the other."""

    def __init__(self, paths: list[Path]) -> None:
        self._chunks = self._read_all(paths)

    def read(self, _size: int, /) -> bytes:
        return next(self._chunks, b"")

    @staticmethod
    def _read_all(paths: list[Path]) -> Iterator[bytes]:
        for path in paths:
            with path.open("rb") as handle:
                while chunk := handle.read(1024 * 1024):
                    yield chunk


def _upload(call: Call, transaction: Transaction) -> Any:
    table = tables.uploads
    statement = sa.select(table).where(
        table.c.upload_id == call.params["UploadId"],
        table.c.bucket == call.params["Bucket"],
        table.c.key == call.params["Key"],
    )
    row = transaction.connection.execute(statement).first()
    if row is None:
        raise AwsError(
            "NoSuchUpload",
            "The specified upload does not exist. The upload ID may be invalid, or the upload may have been aborted or "
            "completed.",
            404,
        )
    return row


def _open_upload(call: Call) -> BlobFolder:
    number = call.params.get("PartNumber", 1)
    if not 1 <= number <= _MOST_PARTS:
        raise AwsError("InvalidArgument", f"Part number must be an integer between 1 and {_MOST_PARTS}, inclusive")
    with call.account.store.read() as transaction:
        bucket_of(call, transaction)
        _upload(call, transaction)
    return call.account.objects.parts_folder(call.params["UploadId"])


def _keep_part(call: Call) -> None:
    _upload(call, call.transaction)  # it may have been aborted while the part was on its way
    blob: Blob = call.prepared
    row = {
        "upload_id": call.params["UploadId"],
        "number": call.params["PartNumber"],
        "etag": blob.md5,
        "sha256": blob.sha256,
        "size_bytes": blob.size_bytes,
        "last_modified": time_text(call.account.clock()),
    }
    keys = ["upload_id", "number"]
    values = {name: value for name, value in row.items() if name not in keys}
    statement = upsert(tables.parts).values(row).on_conflict_do_update(index_elements=keys, set_=values)
    call.transaction.connection.execute(statement)


def _forget(call: Call) -> None:
    upload_id = call.params["UploadId"]
    for table in (tables.parts, tables.uploads):
        call.transaction.connection.execute(sa.delete(table).where(table.c.upload_id == upload_id))
    folder = call.account.objects.parts_folder(upload_id).folder
    call.cleanups.append(lambda: shutil.rmtree(folder, ignore_errors=True))
