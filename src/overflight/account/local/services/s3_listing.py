"""S3: what is in a bucket, in the order of the keys' bytes, folded at a delimiter, in pages."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.local.objects import NULL_VERSION, ObjectInfo, after_prefix, object_info
from overflight.account.local.s3_protocol import accept_only, bucket_of, quoted, whole_second
from overflight.account.local.wire import AwsError, Call, operation

_MOST_KEYS = 1000
_NEWEST_ID = 2**62
_O = tables.objects


@dataclass(frozen=True)
class _Position:
    """Everything up to here has been listed: the keys before ``key``, and its versions from ``row_id`` up."""

    key: str
    row_id: int = 0


@dataclass(frozen=True)
class _Item:
    """A line of the listing: an object, or the prefix that stands for several."""

    info: ObjectInfo | None
    prefix: str
    position: _Position


@dataclass(frozen=True)
class _Page:
    items: list[_Item]
    truncated: bool

    @property
    def objects(self) -> list[ObjectInfo]:
        return [item.info for item in self.items if item.info is not None]

    @property
    def prefixes(self) -> list[str]:
        return [item.prefix for item in self.items if item.info is None]


@operation("s3", "ListObjectsV2")
def list_objects_v2(call: Call) -> dict[str, Any]:
    """Latest versions of the keys under a prefix."""
    accept_only(
        call,
        "Bucket",
        "Prefix",
        "Delimiter",
        "MaxKeys",
        "ContinuationToken",
        "StartAfter",
        "FetchOwner",
        "EncodingType",
    )
    bucket = bucket_of(call, call.transaction)
    params, encode = call.params, _encoder(call)
    start = _Position(params.get("StartAfter", ""))
    if "ContinuationToken" in params:
        start = _position(params["ContinuationToken"])
    latest = sa.select(_O).where(_O.c.bucket == bucket.name, _O.c.is_latest, sa.not_(_O.c.delete_marker))
    page = _page(call, latest.order_by(_O.c.key), lambda p: _O.c.key > p.key, start=start)
    owner = {"Owner": {"ID": call.account.account_id}} if params.get("FetchOwner") else {}
    contents = [{**_entry(info, encode), **owner} for info in page.objects]
    response: dict[str, Any] = {
        "IsTruncated": page.truncated,
        "Name": bucket.name,
        "Prefix": encode(params.get("Prefix", "")),
        "MaxKeys": params.get("MaxKeys", _MOST_KEYS),
        "KeyCount": len(page.items),
        **_folded(call, page, encode),
    }
    if contents:
        response["Contents"] = contents
    response |= {name: params[name] for name in ("ContinuationToken", "StartAfter", "EncodingType") if name in params}
    if page.truncated:
        response["NextContinuationToken"] = _token(page.items[-1].position)
    return response


@operation("s3", "ListObjectVersions")
def list_object_versions(call: Call) -> dict[str, Any]:
    """All versions and delete markers under a prefix; of one key the newest first."""
    accept_only(call, "Bucket", "Prefix", "Delimiter", "MaxKeys", "KeyMarker", "VersionIdMarker", "EncodingType")
    bucket = bucket_of(call, call.transaction)
    params, encode = call.params, _encoder(call)
    versions = sa.select(_O, _O.c.id).where(_O.c.bucket == bucket.name).order_by(_O.c.key, _O.c.id.desc())
    page = _page(
        call,
        versions,
        lambda p: sa.or_(_O.c.key > p.key, sa.and_(_O.c.key == p.key, _O.c.id < p.row_id)),
        start=_marked(call, bucket.name),
    )
    response: dict[str, Any] = {
        "IsTruncated": page.truncated,
        "Name": bucket.name,
        "Prefix": encode(params.get("Prefix", "")),
        "KeyMarker": encode(params.get("KeyMarker", "")),
        "VersionIdMarker": params.get("VersionIdMarker", ""),
        "MaxKeys": params.get("MaxKeys", _MOST_KEYS),
        **_folded(call, page, encode),
    }
    named = [(info, {"VersionId": info.version_id, "IsLatest": info.is_latest}) for info in page.objects]
    owner = {"Owner": {"ID": call.account.account_id}}
    kept = [{**_entry(info, encode), **name, **owner} for info, name in named if not info.delete_marker]
    marks = [
        {"Key": encode(info.key), "LastModified": whole_second(info.last_modified), **name, **owner}
        for info, name in named
        if info.delete_marker
    ]
    response |= {key: found for key, found in (("Versions", kept), ("DeleteMarkers", marks)) if found}
    if page.truncated:
        last = page.items[-1]
        response["NextKeyMarker"] = encode(last.info.key if last.info else last.prefix)
        response["NextVersionIdMarker"] = last.info.version_id if last.info else ""
    return response


def _page(
    call: Call, statement: sa.Select[Any], after: Callable[[_Position], sa.ColumnElement[bool]], *, start: _Position
) -> _Page:
    """Up to ``MaxKeys`` items after ``start``; whole groups are skipped, not read."""
    prefix, delimiter = call.params.get("Prefix", ""), call.params.get("Delimiter", "")
    wanted = min(call.params.get("MaxKeys", _MOST_KEYS), _MOST_KEYS)
    if wanted < 0:
        raise AwsError("InvalidArgument", "Argument max-keys must be an integer between 0 and 2147483647")
    if wanted == 0:
        return _Page([], truncated=False)
    inside = statement.where(_O.c.key >= prefix, _O.c.key < after_prefix(prefix))
    items: list[_Item] = []
    position, more = start, True
    while more and len(items) <= wanted:
        more = False
        left = inside.where(after(position)).limit(wanted + 1 - len(items))
        with call.transaction.connection.execute(left) as rows:
            for row in rows:
                item = _item(object_info(row), row.id, prefix=prefix, delimiter=delimiter)
                items.append(item)
                position = item.position
                if item.info is None:  # the rest of the group is skipped by a new query
                    more = True
                    break
    return _Page(items[:wanted], truncated=len(items) > wanted)


def _item(info: ObjectInfo, row_id: int, *, prefix: str, delimiter: str) -> _Item:
    end = info.key.find(delimiter, len(prefix)) if delimiter else -1
    if end < 0:
        return _Item(info, "", _Position(info.key, row_id))
    group = info.key[: end + len(delimiter)]
    return _Item(None, group, _Position(after_prefix(group)))


def _entry(info: ObjectInfo, encode: Callable[[str], str]) -> dict[str, Any]:
    return {
        "Key": encode(info.key),
        "LastModified": whole_second(info.last_modified),
        "ETag": quoted(info.etag),
        "Size": info.size_bytes,
        "StorageClass": "STANDARD",
    }


def _folded(call: Call, page: _Page, encode: Callable[[str], str]) -> dict[str, Any]:
    response: dict[str, Any] = {}
    if "Delimiter" in call.params:
        response["Delimiter"] = encode(call.params["Delimiter"])
    if page.prefixes:
        response["CommonPrefixes"] = [{"Prefix": encode(prefix)} for prefix in page.prefixes]
    return response


def _encoder(call: Call) -> Callable[[str], str]:
    if call.params.get("EncodingType") == "url":
        return lambda text: quote(text, safe="/")
    return str


def _token(position: _Position) -> str:
    key = position.key.rstrip("\U0010ffff")
    kind = "p" if key != position.key else "k"
    return base64.urlsafe_b64encode(f"{kind}{key}".encode()).decode()


def _position(token: str) -> _Position:
    try:
        text = base64.b64decode(token, altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        text = ""
    if not text or text[0] not in "kp":
        raise AwsError("InvalidArgument", "The continuation token provided is incorrect")
    return _Position(text[1:] if text[0] == "k" else after_prefix(text[1:]))


def _marked(call: Call, bucket: str) -> _Position:
    """Where ``KeyMarker`` and ``VersionIdMarker`` say that the last page ended."""
    key, version_id = call.params.get("KeyMarker", ""), call.params.get("VersionIdMarker", "")
    if not version_id:
        delimiter = call.params.get("Delimiter", "")
        return _Position(after_prefix(key) if delimiter and key.endswith(delimiter) else key)
    statement = sa.select(_O.c.id).where(_O.c.bucket == bucket, _O.c.key == key, _O.c.version_id == version_id)
    row_id = call.transaction.connection.execute(statement).scalar()
    if row_id is None and version_id != NULL_VERSION:
        raise AwsError("InvalidArgument", "Invalid version id specified")
    return _Position(key, row_id or _NEWEST_ID)
