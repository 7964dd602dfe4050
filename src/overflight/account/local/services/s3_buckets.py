"""S3: buckets."""

from __future__ import annotations

import re
from typing import Any

import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.local.objects import Bucket, find_bucket
from overflight.account.local.s3_protocol import accept_only, bucket_of
from overflight.account.local.store import time_text
from overflight.account.local.wire import AwsError, Call, operation

_NAME = re.compile(r"^(?!\d+\.\d+\.\d+\.\d+$)(?!.*\.\.)[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")


@operation("s3", "CreateBucket")
def create_bucket(call: Call) -> dict[str, Any]:
    """A new, empty bucket without versioning."""
    accept_only(call, "Bucket", "CreateBucketConfiguration")
    name, region = call.params["Bucket"], call.account.region
    if not _NAME.match(name):
        raise AwsError("InvalidBucketName", f"The specified bucket is not valid: {name}")
    constraint = call.params.get("CreateBucketConfiguration", {}).get("LocationConstraint", "")
    if constraint != ("" if region == "us-east-1" else region):
        raise AwsError(
            "IllegalLocationConstraintException",
            f"The {constraint or 'unspecified'} location constraint is incompatible for the region {region}",
        )
    if find_bucket(call.transaction, name) is not None:
        raise AwsError(
            "BucketAlreadyOwnedByYou",
            "Your previous request to create the named bucket succeeded and you already own it.",
            409,
        )
    row = {"name": name, "region": region, "versioning": "", "created_at": time_text(call.account.clock())}
    call.transaction.connection.execute(sa.insert(tables.buckets), row)
    return {"Location": f"/{name}" if region == "us-east-1" else f"http://{name}.s3.amazonaws.com/"}


@operation("s3", "HeadBucket")
def head_bucket(call: Call) -> dict[str, Any]:
    """Whether the bucket exists."""
    return {"BucketRegion": bucket_of(call, call.transaction).region, "AccessPointAlias": False}


@operation("s3", "GetBucketLocation")
def get_bucket_location(call: Call) -> dict[str, Any]:
    """The bucket's region; nothing for us-east-1, as in AWS."""
    region = bucket_of(call, call.transaction).region
    return {} if region == "us-east-1" else {"LocationConstraint": region}


@operation("s3", "ListBuckets")
def list_buckets(call: Call) -> dict[str, Any]:
    """All buckets by name, in pages if asked."""
    accept_only(call, "MaxBuckets", "ContinuationToken", "Prefix", "BucketRegion")
    prefix, after = call.params.get("Prefix", ""), call.params.get("ContinuationToken", "")
    limit = call.params.get("MaxBuckets", 10_000)
    table = tables.buckets
    statement = sa.select(table).where(table.c.name > after, table.c.name.startswith(prefix, autoescape=True))
    if "BucketRegion" in call.params:
        statement = statement.where(table.c.region == call.params["BucketRegion"])
    rows = call.transaction.connection.execute(statement.order_by(table.c.name).limit(limit + 1)).all()
    found = [find_bucket(call.transaction, row.name) for row in rows[:limit]]
    response: dict[str, Any] = {
        "Buckets": [
            {"Name": bucket.name, "CreationDate": bucket.created_at, "BucketRegion": bucket.region}
            for bucket in found
            if bucket is not None
        ],
        "Owner": {"ID": call.account.account_id},
    }
    if len(rows) > limit:
        response["ContinuationToken"] = rows[limit - 1].name
    if prefix:
        response["Prefix"] = prefix
    return response


@operation("s3", "DeleteBucket")
def delete_bucket(call: Call) -> dict[str, Any]:
    """Remove an empty bucket."""
    bucket = bucket_of(call, call.transaction)
    for table in (tables.objects, tables.uploads):
        statement = sa.select(table.c.key).where(table.c.bucket == bucket.name).limit(1)
        if call.transaction.connection.execute(statement).first() is not None:
            raise AwsError("BucketNotEmpty", "The bucket you tried to delete is not empty", 409)
    call.transaction.connection.execute(sa.delete(tables.buckets).where(tables.buckets.c.name == bucket.name))
    return {}


@operation("s3", "PutBucketVersioning")
def put_bucket_versioning(call: Call) -> dict[str, Any]:
    """Switch versioning on or suspend it."""
    accept_only(call, "Bucket", "VersioningConfiguration", "ContentMD5")
    bucket = bucket_of(call, call.transaction)
    status = call.params["VersioningConfiguration"].get("Status")
    if status not in {"Enabled", "Suspended"} or "MFADelete" in call.params["VersioningConfiguration"]:
        raise AwsError("MalformedXML", "Status must be Enabled or Suspended, without MFADelete (local account)")
    table = tables.buckets
    call.transaction.connection.execute(sa.update(table).where(table.c.name == bucket.name).values(versioning=status))
    return {}


@operation("s3", "GetBucketVersioning")
def get_bucket_versioning(call: Call) -> dict[str, Any]:
    """Status of versioning; absent when it was never switched on."""
    bucket: Bucket = bucket_of(call, call.transaction)
    return {"Status": bucket.versioning} if bucket.versioning else {}
