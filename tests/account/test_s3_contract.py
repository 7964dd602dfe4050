"""S3 where moto is faithful: every test runs against the local account and against moto, and must find the same."""

from __future__ import annotations

import base64
import hashlib
import io
import itertools
import os
import zlib

import boto3
import pytest
from botocore.exceptions import ClientError
from moto import mock_aws

from overflight.account.session import open_session
from overflight.settings import load_settings

MIB = 1024 * 1024


@pytest.fixture(scope="module", params=["local", "moto"])
def s3(request, tmp_path_factory):
    """One client per platform for the whole file; every test has buckets of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("OVERFLIGHT_", "AWS_"))]:
            patch.delenv(name)
        if request.param == "local":
            yield open_session(load_settings(home=tmp_path_factory.mktemp("s3") / "home")).client("s3")
            return
        patch.setenv("AWS_CONFIG_FILE", os.devnull)
        patch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)
        with mock_aws():
            yield boto3.Session("testing", "testing", region_name="eu-central-1").client("s3")


def new_bucket(s3):
    name = f"bucket-{next(_NUMBERS)}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name


_NUMBERS = itertools.count()


@pytest.fixture
def plain(s3):
    return new_bucket(s3)


@pytest.fixture
def versioned(s3):
    name = new_bucket(s3)
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    return name


@pytest.fixture
def fits(assert_fits_output_shape, s3):
    def check(operation, response):
        assert_fits_output_shape(s3, operation, response)
        return response

    return check


def code_of(caught):
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


# --- buckets


def test_buckets_are_made_found_and_removed(s3, fits):
    where = {"LocationConstraint": "eu-central-1"}
    fits("CreateBucket", s3.create_bucket(Bucket="one", CreateBucketConfiguration=where))
    assert fits("HeadBucket", s3.head_bucket(Bucket="one"))["BucketRegion"] == "eu-central-1"
    assert "one" in [bucket["Name"] for bucket in fits("ListBuckets", s3.list_buckets())["Buckets"]]
    assert s3.get_bucket_location(Bucket="one")["LocationConstraint"] == "eu-central-1"
    s3.get_waiter("bucket_exists").wait(Bucket="one")
    fits("DeleteBucket", s3.delete_bucket(Bucket="one"))
    with pytest.raises(ClientError) as caught:
        s3.head_bucket(Bucket="one")
    assert code_of(caught) == ("404", 404)


def test_a_bucket_cannot_be_made_twice(s3, plain):
    with pytest.raises(s3.exceptions.BucketAlreadyOwnedByYou) as caught:
        s3.create_bucket(Bucket=plain, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    assert code_of(caught) == ("BucketAlreadyOwnedByYou", 409)


def test_a_bucket_with_objects_is_not_removed(s3, plain):
    s3.put_object(Bucket=plain, Key="k", Body=b"x")
    with pytest.raises(ClientError) as caught:
        s3.delete_bucket(Bucket=plain)
    assert code_of(caught) == ("BucketNotEmpty", 409)


def test_a_bucket_needs_the_region_of_the_session(s3):
    with pytest.raises(ClientError) as caught:
        s3.create_bucket(Bucket="somewhere")
    assert code_of(caught) == ("IllegalLocationConstraintException", 400)


def test_versioning_is_off_until_switched_on_and_can_be_suspended(s3, plain, fits):
    assert "Status" not in fits("GetBucketVersioning", s3.get_bucket_versioning(Bucket=plain))
    for status in ("Enabled", "Suspended"):
        response = s3.put_bucket_versioning(Bucket=plain, VersioningConfiguration={"Status": status})
        fits("PutBucketVersioning", response)
        assert s3.get_bucket_versioning(Bucket=plain)["Status"] == status


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda s3: s3.put_object(Bucket="none", Key="k", Body=b""), id="PutObject"),
        pytest.param(lambda s3: s3.get_object(Bucket="none", Key="k"), id="GetObject"),
        pytest.param(lambda s3: s3.delete_object(Bucket="none", Key="k"), id="DeleteObject"),
        pytest.param(lambda s3: s3.list_objects_v2(Bucket="none"), id="ListObjectsV2"),
        pytest.param(lambda s3: s3.list_object_versions(Bucket="none"), id="ListObjectVersions"),
        pytest.param(lambda s3: s3.get_bucket_versioning(Bucket="none"), id="GetBucketVersioning"),
        pytest.param(lambda s3: s3.create_multipart_upload(Bucket="none", Key="k"), id="CreateMultipartUpload"),
        pytest.param(lambda s3: s3.delete_bucket(Bucket="none"), id="DeleteBucket"),
    ],
)
def test_there_is_no_such_bucket(s3, call):
    with pytest.raises(ClientError) as caught:
        call(s3)
    assert code_of(caught) == ("NoSuchBucket", 404)


# --- objects


@pytest.mark.parametrize(
    "body",
    [
        pytest.param((bytes, b"bytes"), id="bytes"),
        pytest.param((bytearray, b"array"), id="bytearray"),
        pytest.param((bytes, b""), id="empty"),
        pytest.param((io.BytesIO, b"stream"), id="stream"),
        pytest.param((bytes.decode, "Größe".encode()), id="text"),
    ],
)
def test_an_object_comes_back(s3, plain, fits, body):
    wrap, content = body
    put = fits(
        "PutObject", s3.put_object(Bucket=plain, Key="a/b c+ü.bin", Body=wrap(content), ContentType="image/jpeg")
    )
    assert put["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'
    got = fits("GetObject", s3.get_object(Bucket=plain, Key="a/b c+ü.bin"))
    assert got["Body"].read() == content
    assert (got["ContentLength"], got["ETag"], got["ContentType"]) == (len(content), put["ETag"], "image/jpeg")
    assert "VersionId" not in put
    assert "VersionId" not in got


def test_metadata_and_defaults(s3, plain, fits):
    s3.put_object(Bucket=plain, Key="k", Body=b"x", Metadata={"Flight": "Harbour-1"})
    head = fits("HeadObject", s3.head_object(Bucket=plain, Key="k"))
    assert head["Metadata"] == {"flight": "Harbour-1"}
    assert head["ContentType"] == "binary/octet-stream"
    assert (head["ContentLength"], head["AcceptRanges"]) == (1, "bytes")
    assert head["LastModified"].microsecond == 0


@pytest.mark.parametrize(
    ("asked", "content"),
    [
        pytest.param("bytes=0-0", "0", id="first byte"),
        pytest.param("bytes=2-4", "234", id="middle"),
        pytest.param("bytes=7-", "789", id="to the end"),
        pytest.param("bytes=-3", "789", id="the last three"),
        pytest.param("bytes=8-99", "89", id="beyond the end"),
    ],
)
def test_ranges(s3, plain, fits, asked, content):
    s3.put_object(Bucket=plain, Key="k", Body=b"0123456789")
    got = fits("GetObject", s3.get_object(Bucket=plain, Key="k", Range=asked))
    assert got["Body"].read().decode() == content
    assert got["ContentRange"] == f"bytes {content[0]}-{content[-1]}/10"
    assert got["ContentLength"] == len(content)
    assert got["ResponseMetadata"]["HTTPStatusCode"] == 206


def test_a_range_outside_of_the_object(s3, plain):
    s3.put_object(Bucket=plain, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=plain, Key="k", Range="bytes=10-")
    assert code_of(caught) == ("InvalidRange", 416)


def test_there_is_no_such_key(s3, plain):
    with pytest.raises(s3.exceptions.NoSuchKey) as caught:
        s3.get_object(Bucket=plain, Key="none")
    assert code_of(caught) == ("NoSuchKey", 404)
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=plain, Key="none")
    assert code_of(caught) == ("404", 404)


def test_writing_only_what_is_not_there_yet(s3, plain):
    s3.put_object(Bucket=plain, Key="k", Body=b"first", IfNoneMatch="*")
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=plain, Key="k", Body=b"second", IfNoneMatch="*")
    assert code_of(caught) == ("PreconditionFailed", 412)
    assert s3.get_object(Bucket=plain, Key="k")["Body"].read() == b"first"


def test_reading_only_what_still_is_the_same(s3, plain):
    etag = s3.put_object(Bucket=plain, Key="k", Body=b"x")["ETag"]
    assert s3.get_object(Bucket=plain, Key="k", IfMatch=etag)["Body"].read() == b"x"
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=plain, Key="k", IfMatch='"other"')
    assert code_of(caught) == ("PreconditionFailed", 412)


def test_a_range_of_what_still_is_the_same(s3, plain, fits):
    etag = s3.put_object(Bucket=plain, Key="k", Body=b"0123456789")["ETag"]
    got = fits("GetObject", s3.get_object(Bucket=plain, Key="k", Range="bytes=3-5", IfMatch=etag))
    assert (got["Body"].read(), got["ContentRange"], got["ETag"]) == (b"345", "bytes 3-5/10", etag)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=plain, Key="k", Range="bytes=3-5", IfMatch='"other"')
    assert code_of(caught) == ("PreconditionFailed", 412)
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=plain, Key="k", IfNoneMatch=etag)
    assert code_of(caught) == ("304", 304)


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        pytest.param({"IfMatch": '"other"'}, 412, id="changed"),
        pytest.param({"Range": "bytes=10-"}, 416, id="range outside"),
    ],
)
def test_a_head_says_it_with_its_status_only(s3, plain, asked, status):
    s3.put_object(Bucket=plain, Key="k", Body=b"0123456789")
    with pytest.raises(ClientError) as caught:
        s3.head_object(Bucket=plain, Key="k", **asked)
    assert code_of(caught) == (str(status), status)


def test_a_head_of_a_range(s3, plain, fits):
    s3.put_object(Bucket=plain, Key="k", Body=b"0123456789")
    head = fits("HeadObject", s3.head_object(Bucket=plain, Key="k", Range="bytes=2-4"))
    assert (head["ContentLength"], head["ContentRange"]) == (3, "bytes 2-4/10")
    assert head["ResponseMetadata"]["HTTPStatusCode"] == 206


@pytest.mark.parametrize(
    ("asked", "answered"),
    [
        pytest.param({}, ("ChecksumCRC32", zlib.crc32(b"x").to_bytes(4, "big")), id="boto3's own CRC32"),
        pytest.param({"ChecksumAlgorithm": "SHA1"}, ("ChecksumSHA1", hashlib.sha1(b"x").digest()), id="SHA-1"),
        pytest.param({"ChecksumAlgorithm": "SHA256"}, ("ChecksumSHA256", hashlib.sha256(b"x").digest()), id="SHA-256"),
    ],
)
def test_an_upload_is_answered_with_its_checksum(s3, plain, fits, asked, answered):
    name, checksum = answered
    put = fits("PutObject", s3.put_object(Bucket=plain, Key="k", Body=b"x", **asked))
    assert put[name] == base64.b64encode(checksum).decode()


def test_a_checksum_comes_with_the_whole_object_and_not_with_a_range(s3, plain, fits):
    s3.put_object(Bucket=plain, Key="k", Body=b"0123456789", ChecksumAlgorithm="SHA256")
    expected = base64.b64encode(hashlib.sha256(b"0123456789").digest()).decode()
    for got in (
        fits("GetObject", s3.get_object(Bucket=plain, Key="k", ChecksumMode="ENABLED")),
        fits("HeadObject", s3.head_object(Bucket=plain, Key="k", ChecksumMode="ENABLED")),
    ):
        assert got["ChecksumSHA256"] == expected
    part = s3.get_object(Bucket=plain, Key="k", Range="bytes=0-4", ChecksumMode="ENABLED")
    assert "ChecksumSHA256" not in part


def test_copies(s3, plain, versioned, fits):
    s3.put_object(Bucket=plain, Key="from", Body=b"x", Metadata={"a": "1"}, ContentType="text/plain")
    copied = s3.copy_object(Bucket=versioned, Key="kept", CopySource={"Bucket": plain, "Key": "from"})
    assert fits("CopyObject", copied)["CopyObjectResult"]["ETag"] == f'"{hashlib.md5(b"x").hexdigest()}"'
    assert copied["VersionId"]
    s3.copy_object(
        Bucket=plain, Key="new", CopySource=f"{plain}/from", MetadataDirective="REPLACE", Metadata={"b": "2"}
    )
    kept, new = s3.head_object(Bucket=versioned, Key="kept"), s3.head_object(Bucket=plain, Key="new")
    assert (kept["Metadata"], kept["ContentType"]) == ({"a": "1"}, "text/plain")
    assert new["Metadata"] == {"b": "2"}
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=plain, Key="c", CopySource=f"{plain}/none")
    assert code_of(caught) == ("NoSuchKey", 404)


def test_deleting_without_versions(s3, plain, fits):
    s3.put_object(Bucket=plain, Key="k", Body=b"x")
    response = fits("DeleteObject", s3.delete_object(Bucket=plain, Key="k"))
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 204
    fits("DeleteObject", s3.delete_object(Bucket=plain, Key="k"))  # again: no error
    assert s3.list_object_versions(Bucket=plain).get("DeleteMarkers") is None


def test_deleting_many(s3, plain, fits):
    for key in ("a", "b", "c"):
        s3.put_object(Bucket=plain, Key=key, Body=b"x")
    response = s3.delete_objects(Bucket=plain, Delete={"Objects": [{"Key": "a"}, {"Key": "b"}, {"Key": "none"}]})
    assert [item["Key"] for item in fits("DeleteObjects", response)["Deleted"]] == ["a", "b", "none"]
    assert [item["Key"] for item in s3.list_objects_v2(Bucket=plain)["Contents"]] == ["c"]


# --- versions


def test_every_write_is_a_version(s3, versioned, fits):
    one = s3.put_object(Bucket=versioned, Key="k", Body=b"one")["VersionId"]
    two = s3.put_object(Bucket=versioned, Key="k", Body=b"two")["VersionId"]
    assert one != two
    assert s3.get_object(Bucket=versioned, Key="k")["VersionId"] == two
    assert s3.get_object(Bucket=versioned, Key="k", VersionId=one)["Body"].read() == b"one"
    listed = fits("ListObjectVersions", s3.list_object_versions(Bucket=versioned))
    assert [(item["VersionId"], item["IsLatest"]) for item in listed["Versions"]] == [(two, True), (one, False)]


def test_deleting_hides_and_can_be_undone(s3, versioned, fits):
    s3.put_object(Bucket=versioned, Key="k", Body=b"one")
    gone = fits("DeleteObject", s3.delete_object(Bucket=versioned, Key="k"))
    assert gone["DeleteMarker"]
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=versioned, Key="k")
    assert s3.list_objects_v2(Bucket=versioned)["KeyCount"] == 0
    (marker,) = fits("ListObjectVersions", s3.list_object_versions(Bucket=versioned))["DeleteMarkers"]
    assert (marker["VersionId"], marker["IsLatest"]) == (gone["VersionId"], True)
    undone = s3.delete_object(Bucket=versioned, Key="k", VersionId=gone["VersionId"])
    assert undone["VersionId"] == gone["VersionId"]
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"one"


def test_a_version_can_be_removed_for_good(s3, versioned):
    one = s3.put_object(Bucket=versioned, Key="k", Body=b"one")["VersionId"]
    two = s3.put_object(Bucket=versioned, Key="k", Body=b"two")["VersionId"]
    s3.delete_object(Bucket=versioned, Key="k", VersionId=two)
    assert s3.get_object(Bucket=versioned, Key="k")["Body"].read() == b"one"
    s3.delete_object(Bucket=versioned, Key="k", VersionId=one)
    with pytest.raises(s3.exceptions.NoSuchKey):
        s3.get_object(Bucket=versioned, Key="k")


# --- listing

KEYS = ("a.txt", "dir/1", "dir/2", "dir/sub/3", "dir.txt", "dir0", "z", "ä", "日本", "\U0001d56b")


@pytest.fixture
def filled(s3, plain):
    for key in KEYS:
        s3.put_object(Bucket=plain, Key=key, Body=key.encode())
    return plain


@pytest.mark.parametrize(
    "params",
    [
        pytest.param({}, id="all"),
        pytest.param({"Prefix": "dir"}, id="prefix"),
        pytest.param({"Prefix": "dir/"}, id="folder"),
        pytest.param({"Delimiter": "/"}, id="folded"),
        pytest.param({"Prefix": "dir/", "Delimiter": "/"}, id="folder folded"),
        pytest.param({"Prefix": "none"}, id="nothing"),
        pytest.param({"StartAfter": "dir/1"}, id="after a key"),
        pytest.param({"StartAfter": "dir/15", "Prefix": "dir/"}, id="after a missing key"),
        pytest.param({"Delimiter": "i"}, id="another delimiter"),
    ],
)
def test_a_listing_is_the_sorted_keys_folded(s3, filled, fits, params):
    response = fits("ListObjectsV2", s3.list_objects_v2(Bucket=filled, **params))
    prefix, delimiter = params.get("Prefix", ""), params.get("Delimiter")
    keys, groups = [], []
    for key in sorted(KEYS, key=str.encode):
        if not key.startswith(prefix) or key <= params.get("StartAfter", ""):
            continue
        head, found, _ = key[len(prefix) :].partition(delimiter) if delimiter else (key, "", "")
        if found and prefix + head + found not in groups:
            groups.append(prefix + head + found)
        if not found:
            keys.append(key)
    assert [item["Key"] for item in response.get("Contents", [])] == keys
    assert [item["Prefix"] for item in response.get("CommonPrefixes", [])] == groups
    assert (response["KeyCount"], response["IsTruncated"]) == (len(keys) + len(groups), False)
    assert all(item["Size"] == len(item["Key"].encode()) for item in response.get("Contents", []))


@pytest.mark.parametrize("size", [1, 2, 3, 7])
@pytest.mark.parametrize("delimiter", [{}, {"Delimiter": "/"}], ids=["flat", "folded"])
def test_pages_add_up_to_the_whole(s3, filled, size, delimiter):
    whole = s3.list_objects_v2(Bucket=filled, **delimiter)
    pages = list(
        s3.get_paginator("list_objects_v2").paginate(Bucket=filled, PaginationConfig={"PageSize": size}, **delimiter)
    )
    for name in ("Contents", "CommonPrefixes"):
        assert [item for page in pages for item in page.get(name, [])] == whole.get(name, [])
    assert all(page["KeyCount"] <= size for page in pages)


# --- large objects


def test_an_upload_in_parts(s3, plain, fits):
    parts = [os.urandom(5 * MIB), os.urandom(100)]
    created = fits("CreateMultipartUpload", s3.create_multipart_upload(Bucket=plain, Key="k", Metadata={"a": "b"}))
    where = {"Bucket": plain, "Key": "k", "UploadId": created["UploadId"]}
    done = []
    for number, body in enumerate(parts, 1):
        answer = fits("UploadPart", s3.upload_part(**where, PartNumber=number, Body=body))
        assert answer["ETag"] == f'"{hashlib.md5(body).hexdigest()}"'
        done.append({"PartNumber": number, "ETag": answer["ETag"]})
    completed = s3.complete_multipart_upload(**where, MultipartUpload={"Parts": done})
    digest = hashlib.md5(b"".join(hashlib.md5(body).digest() for body in parts)).hexdigest()
    assert fits("CompleteMultipartUpload", completed)["ETag"] == f'"{digest}-2"'
    got = s3.get_object(Bucket=plain, Key="k")
    assert got["Body"].read() == b"".join(parts)
    assert got["Metadata"] == {"a": "b"}


def test_an_aborted_upload_is_gone(s3, plain, fits):
    upload = s3.create_multipart_upload(Bucket=plain, Key="k")["UploadId"]
    s3.upload_part(Bucket=plain, Key="k", UploadId=upload, PartNumber=1, Body=b"x")
    fits("AbortMultipartUpload", s3.abort_multipart_upload(Bucket=plain, Key="k", UploadId=upload))
    with pytest.raises(ClientError) as caught:
        s3.abort_multipart_upload(Bucket=plain, Key="k", UploadId=upload)
    assert code_of(caught) == ("NoSuchUpload", 404)


def test_files_of_any_size_go_up_and_come_down(s3, plain, tmp_path):
    for name, size in (("small", 10), ("large", 17 * MIB + 1)):
        content = os.urandom(size)
        (tmp_path / name).write_bytes(content)
        told = []
        s3.upload_file(str(tmp_path / name), plain, name, Callback=told.append)
        assert sum(told) == size
        s3.download_file(plain, name, str(tmp_path / "back"))
        assert (tmp_path / "back").read_bytes() == content
