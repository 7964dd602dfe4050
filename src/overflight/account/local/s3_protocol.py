"""What the S3 operations have in common: finding buckets and objects or saying so in S3's words, bodies, ranges, ETags.

Knows the S3 protocol; where contents and rows are is in ``objects`` and ``blobs``.
"""

from __future__ import annotations

import base64
import io
import os
import re
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn, cast
from urllib.parse import parse_qs, unquote

from botocore.response import StreamingBody

from overflight.account.checksums import MEMBERS, digest_of
from overflight.account.local.blobs import Blob, BlobFolder
from overflight.account.local.objects import Bucket, ObjectInfo, find_bucket, find_object
from overflight.account.local.store import Transaction
from overflight.account.local.wire import AwsError, Call, authorised

_IN_MEMORY_BYTES = 1024 * 1024
_RANGE = re.compile(r"^bytes=(\d*)-(\d*)$")

# Accepted and without effect on what is kept: checksums are compared where a body comes with them, the rest is about
# storage, cost or ownership in AWS.
HARMLESS = frozenset(
    {
        "ACL", "BucketKeyEnabled", "CacheControl", "ChecksumAlgorithm", *MEMBERS, "ChecksumType",
        "ContentDisposition", "ContentEncoding", "ContentLanguage",
        "ContentLength", "ExpectedBucketOwner", "ExpectedSourceBucketOwner", "Expires", "MpuObjectSize", "RequestPayer",
        "SSEKMSEncryptionContext", "SSEKMSKeyId", "ServerSideEncryption", "StorageClass",
    }
)  # fmt: skip


def accept_only(call: Call, *names: str) -> None:
    """Refuse parameters that ask for something the local account does not do, instead of ignoring them."""
    for name in call.params:
        if name not in names and name not in HARMLESS:
            raise AwsError(
                "NotImplemented",
                f"A header you provided implies functionality that is not implemented: {name} (local account)",
                501,
            )


def bucket_of(call: Call, transaction: Transaction, *, name: str | None = None) -> Bucket:
    """The bucket of the call, or ``NoSuchBucket`` (``404`` for Head operations, whose answers have no body)."""
    wanted = name or call.params["Bucket"]
    bucket = find_bucket(transaction, wanted)
    if bucket is None:
        fail(call, "NoSuchBucket", f"The specified bucket does not exist: {wanted}", 404)
    return bucket


def object_of(call: Call, transaction: Transaction) -> ObjectInfo:
    """The object or version of the call that is not deleted, after its preconditions."""
    version_id = call.params.get("VersionId")
    found = find_object(transaction, call.params["Bucket"], call.params["Key"], version_id)
    if found is None and version_id is not None:
        fail(call, "NoSuchVersion", "The specified version does not exist.", 404)
    if found is not None and found.delete_marker and version_id is not None:
        fail(call, "MethodNotAllowed", "The specified method is not allowed against this resource.", 405)
    if found is None or found.delete_marker:
        require_listing(call, call.params["Bucket"])
        fail(call, "NoSuchKey", f"The specified key does not exist: {call.params['Key']}", 404)
    if "IfMatch" in call.params and not same_etag(call.params["IfMatch"], found.etag):
        fail(call, "PreconditionFailed", "At least one of the pre-conditions you specified did not hold", 412)
    if "IfNoneMatch" in call.params and same_etag(call.params["IfNoneMatch"], found.etag):
        fail(call, "304", "Not Modified", 304)
    return found


def require_listing(call: Call, bucket: str) -> None:
    """Answer 403 to who may not list the bucket: S3 does not tell them that a key is missing.

    Source: GetObject in Amazon S3's API reference, "Permissions". The request has no prefix, so a right to list that
    asks for one does not count.
    """
    try:
        authorised(replace(call, operation="ListObjectsV2", params={"Bucket": bucket}))
    except AwsError as error:
        error.code = "403" if call.operation.startswith("Head") else error.code
        raise


def fail(call: Call, code: str, message: str, status: int) -> NoReturn:
    """Raise S3's error; a Head operation has only the status to say it with."""
    if call.operation.startswith("Head"):
        words = {404: "Not Found", 405: "Method Not Allowed", 412: "Precondition Failed", 304: "Not Modified"}
        raise AwsError(str(status), words.get(status, message), status)
    raise AwsError(code, message, status)


def check_key(key: str) -> None:
    """Refuse keys that S3 refuses."""
    if len(key.encode()) > 1024:
        raise AwsError("KeyTooLongError", "Your key is too long: at most 1024 bytes of UTF-8")


def same_etag(given: str, etag: str) -> bool:
    """Whether an ETag as given by a client (quoted or not, or ``*``) is this one."""
    return given == "*" or given.strip('"') == etag


def quoted(etag: str) -> str:
    """An ETag as it travels."""
    return f'"{etag}"'


def whole_second(moment: datetime) -> datetime:
    """S3 tells times of modification in whole seconds."""
    return moment.replace(microsecond=0)


def versioned(bucket: Bucket, info: ObjectInfo) -> dict[str, Any]:
    """``VersionId`` where the bucket has or had versioning."""
    return {"VersionId": info.version_id} if bucket.versioning else {}


def base64_digest(hex_digest: str) -> str:
    """A digest as S3's checksum members carry it."""
    return base64.b64encode(bytes.fromhex(hex_digest)).decode()


def receive_body(call: Call, folder: BlobFolder) -> Blob:
    """Keep the body of the call, check the digests that came with it, and note size and digest for the trail."""
    body = call.params.get("Body", b"")
    if hasattr(body, "signal_transferring"):
        body.signal_transferring()  # boto3's progress callbacks begin here; botocore does this before it sends
    if isinstance(body, str):
        body = body.encode()
    blob = folder.keep(bytes(body)) if isinstance(body, bytes | bytearray) else folder.receive(body)
    call.notes["Body"] = {"bytes": blob.size_bytes, "sha256": blob.sha256}
    for name in ("ContentMD5", *MEMBERS):
        if name in call.params and checksum_of(name, blob, folder) not in {None, call.params[name]}:
            raise AwsError("BadDigest", f"The {name} you specified did not match what we received.")
    return blob


def checksum_of(name: str, blob: Blob, folder: BlobFolder) -> str | None:
    """The checksum of a content as the member ``name`` carries it; None where a library for it is missing."""
    known = {"ContentMD5": blob.md5, "ChecksumMD5": blob.md5, "ChecksumSHA256": blob.sha256}
    if name in known:
        return base64_digest(known[name])
    digest = digest_of(folder.path(blob.sha256), MEMBERS[name])
    return None if digest is None else base64.b64encode(digest).decode()


@dataclass(frozen=True)
class Source:
    """What a copy is made of."""

    bucket: str
    key: str
    version_id: str | None


def copy_source(value: str | dict[str, str]) -> Source:
    """``CopySource`` as boto3 takes it: a dict, or ``bucket/key?versionId=...`` in URL encoding."""
    if isinstance(value, dict):
        return Source(value["Bucket"], value["Key"], value.get("VersionId"))
    path, _, query = value.partition("?versionId=")
    bucket, _, key = unquote(path).lstrip("/").partition("/")
    version = parse_qs(f"versionId={query}").get("versionId", [None])[0]
    if not key:
        raise AwsError("InvalidArgument", "Copy Source must mention the source bucket and key: sourcebucket/sourcekey")
    return Source(bucket, key, version)


def byte_range(given: str | None, size_bytes: int) -> tuple[int, int] | None:
    """First and one-past-last byte that a ``Range`` asks for; None for the whole (S3 ignores what it cannot read)."""
    match = _RANGE.match(given or "")
    if match is None or match.groups() == ("", ""):
        return None
    first, last = match.groups()
    if not first:
        start, stop = max(0, size_bytes - int(last)), size_bytes
    else:
        start, stop = int(first), min(size_bytes, int(last) + 1 if last else size_bytes)
    if last and first and int(last) < start:
        return None
    if start >= size_bytes or stop <= start:
        raise AwsError("InvalidRange", "The requested range is not satisfiable", 416)
    return start, stop


class _Slice(io.RawIOBase):
    """Bytes ``start`` to ``stop`` of a file; closes itself at the end and when it is forgotten."""

    def __init__(self, path: Path, start: int, stop: int) -> None:
        super().__init__()
        self._descriptor = os.open(path, os.O_RDONLY)
        self._position, self._stop = start, stop

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        if self._descriptor < 0:
            return 0
        data = os.pread(self._descriptor, min(len(buffer), self._stop - self._position), self._position)
        buffer[: len(data)] = data
        self._position += len(data)
        if not data or self._position >= self._stop:
            self._release()
        return len(data)

    def close(self) -> None:
        self._release()
        super().close()

    def _release(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1


def stream_of(path: Path, start: int, stop: int) -> StreamingBody:
    """The bytes ``start`` to ``stop`` of a content as the body of an answer."""
    if stop - start <= _IN_MEMORY_BYTES:
        with path.open("rb") as handle:
            handle.seek(start)
            raw: io.IOBase = io.BytesIO(handle.read(stop - start))
    else:
        raw = io.BufferedReader(_Slice(path, start, stop), 256 * 1024)
    return StreamingBody(cast("Any", raw), stop - start)
