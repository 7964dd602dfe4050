"""S3 of the local account where moto is no measure: AWS's documented answers, and what happens to the files."""

from __future__ import annotations

import base64
import hashlib
import os
import stat
import zlib

import pytest
from botocore.exceptions import ClientError

from overflight.account.local import blobs
from overflight.errors import ResourceError

MIB = 1024 * 1024


@pytest.fixture
def s3(session):
    return session.client("s3")


@pytest.fixture
def bucket(account):
    return account.bucket


def code_of(caught):
    return caught.value.response["Error"]["Code"], caught.value.response["ResponseMetadata"]["HTTPStatusCode"]


def files_of(account):
    return sorted(path for path in (account.home / "s3").rglob("*") if path.is_file())


def test_the_accounts_bucket_exists_with_versioning(s3, bucket, settings):
    assert bucket == settings.bucket
    assert s3.get_bucket_versioning(Bucket=bucket)["Status"] == "Enabled"


def test_a_content_is_one_read_only_file_named_by_its_digest(s3, bucket, account):
    for key in ("a", "b", "a"):
        s3.put_object(Bucket=bucket, Key=key, Body=b"same")
    digest = hashlib.sha256(b"same").hexdigest()
    (path,) = files_of(account)
    assert path == account.home / "s3" / "blobs" / digest[:2] / digest
    assert stat.S_IMODE(path.stat().st_mode) == 0o444


def test_checksums_are_given_when_asked_for(s3, bucket):
    expected = base64.b64encode(hashlib.sha256(b"x").digest()).decode()
    put = s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumAlgorithm="SHA256")
    assert put["ChecksumSHA256"] == expected
    assert s3.head_object(Bucket=bucket, Key="k", ChecksumMode="ENABLED")["ChecksumSHA256"] == expected
    assert "ChecksumSHA256" not in s3.head_object(Bucket=bucket, Key="k")
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumSHA256=expected)
    crc = base64.b64encode(zlib.crc32(b"x").to_bytes(4, "big")).decode()
    s3.put_object(Bucket=bucket, Key="k", Body=b"x", ChecksumCRC32=crc)


@pytest.mark.parametrize("name", ["ChecksumSHA256", "ContentMD5", "ChecksumCRC32", "ChecksumSHA1"])
def test_a_wrong_checksum_is_refused(s3, bucket, name):
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", **{name: base64.b64encode(b"0" * 32).decode()})
    assert code_of(caught) == ("BadDigest", 400)
    assert s3.list_objects_v2(Bucket=bucket)["KeyCount"] == 0


def test_what_has_no_effect_here_is_refused_and_not_ignored(s3, bucket):
    with pytest.raises(ClientError, match="Tagging") as caught:
        s3.put_object(Bucket=bucket, Key="k", Body=b"x", Tagging="a=b")
    assert code_of(caught) == ("NotImplemented", 501)


def test_reading_a_delete_marker_itself(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    marker = s3.delete_object(Bucket=bucket, Key="k")["VersionId"]
    with pytest.raises(ClientError) as caught:
        s3.get_object(Bucket=bucket, Key="k", VersionId=marker)
    assert code_of(caught) == ("MethodNotAllowed", 405)
    undone = s3.delete_object(Bucket=bucket, Key="k", VersionId=marker)
    assert (undone["DeleteMarker"], undone["VersionId"]) == (True, marker)


def test_deleting_quietly(s3, bucket, assert_fits_output_shape):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    response = s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": "k"}], "Quiet": True})
    assert_fits_output_shape(s3, "DeleteObjects", response)
    assert "Deleted" not in response


def test_suspended_versioning_keeps_old_versions_and_one_null_version(s3, bucket):
    old = s3.put_object(Bucket=bucket, Key="k", Body=b"old")["VersionId"]
    s3.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Suspended"})
    for body in (b"one", b"two"):
        s3.put_object(Bucket=bucket, Key="k", Body=body)
    listed = s3.list_object_versions(Bucket=bucket)["Versions"]
    assert [(item["VersionId"], item["IsLatest"]) for item in listed] == [("null", True), (old, False)]
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"two"


def test_versions_come_in_pages(s3, bucket):
    for n in range(7):
        s3.put_object(Bucket=bucket, Key=f"k{n % 2}", Body=b"%d" % n)
    s3.delete_object(Bucket=bucket, Key="k0")
    whole = s3.list_object_versions(Bucket=bucket)
    pages = s3.get_paginator("list_object_versions").paginate(Bucket=bucket, PaginationConfig={"PageSize": 3})
    found = list(pages)
    for name in ("Versions", "DeleteMarkers"):
        assert [item for page in found for item in page.get(name, [])] == whole[name]
    assert [len(page.get("Versions", [])) + len(page.get("DeleteMarkers", [])) for page in found] == [3, 3, 2]


def test_no_keys_are_a_page_too(s3, bucket, account):
    account.objects.put_bytes(bucket, "k", b"x")
    page = s3.list_objects_v2(Bucket=bucket, MaxKeys=0)
    assert (page["KeyCount"], page["IsTruncated"], page["MaxKeys"]) == (0, False, 0)


def test_a_token_that_is_none_is_refused(s3, bucket):
    with pytest.raises(ClientError) as caught:
        s3.list_objects_v2(Bucket=bucket, ContinuationToken="?")
    assert code_of(caught) == ("InvalidArgument", 400)


def test_a_key_that_is_too_long(s3, bucket):
    with pytest.raises(ClientError) as caught:
        s3.put_object(Bucket=bucket, Key="ü" * 513, Body=b"x")
    assert code_of(caught) == ("KeyTooLongError", 400)


def test_copying_onto_itself_needs_a_change(s3, bucket):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    source = {"Bucket": bucket, "Key": "k"}
    with pytest.raises(ClientError) as caught:
        s3.copy_object(Bucket=bucket, Key="k", CopySource=source)
    assert code_of(caught) == ("InvalidRequest", 400)
    s3.copy_object(Bucket=bucket, Key="k", CopySource=source, MetadataDirective="REPLACE", Metadata={"a": "b"})
    assert s3.head_object(Bucket=bucket, Key="k")["Metadata"] == {"a": "b"}


def test_a_large_copy_is_made_of_parts(s3, bucket, tmp_path):
    content = os.urandom(11 * MIB)
    (tmp_path / "large").write_bytes(content)
    s3.upload_file(str(tmp_path / "large"), bucket, "from/ü 1")
    s3.copy({"Bucket": bucket, "Key": "from/ü 1"}, bucket, "to")
    assert s3.get_object(Bucket=bucket, Key="to")["Body"].read() == content
    s3.copy_object(Bucket=bucket, Key="whole", CopySource={"Bucket": bucket, "Key": "from/ü 1"})
    assert s3.head_object(Bucket=bucket, Key="whole")["ETag"] == f'"{hashlib.md5(content).hexdigest()}"'


def test_parts_are_gone_after_completing_and_aborting(s3, bucket, account):
    for end in ("complete", "abort"):
        where = {
            "Bucket": bucket,
            "Key": "k",
            "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"],
        }
        etag = s3.upload_part(**where, PartNumber=1, Body=b"part")["ETag"]
        if end == "complete":
            s3.complete_multipart_upload(**where, MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": etag}]})
        else:
            s3.abort_multipart_upload(**where)
        with pytest.raises(s3.exceptions.NoSuchUpload):
            s3.upload_part(**where, PartNumber=2, Body=b"x")
    assert [path.name for path in files_of(account)] == [hashlib.sha256(b"part").hexdigest()]


@pytest.mark.parametrize(
    ("numbers", "wrong", "code"),
    [
        pytest.param([2, 1], "", "InvalidPartOrder", id="order"),
        pytest.param([1, 2], '"wrong"', "InvalidPart", id="etag"),
        pytest.param([1, 3], "", "InvalidPart", id="missing part"),
        pytest.param([1, 2], "", "EntityTooSmall", id="small first part"),
        pytest.param([], "", "MalformedXML", id="no parts"),
    ],
)
def test_parts_that_do_not_fit_together(s3, bucket, numbers, wrong, code):
    where = {"Bucket": bucket, "Key": "k", "UploadId": s3.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]}
    etags = {n: s3.upload_part(**where, PartNumber=n, Body=b"small")["ETag"] for n in (1, 2)}
    parts = [{"PartNumber": n, "ETag": wrong or etags.get(n, '"none"')} for n in numbers]
    with pytest.raises(ClientError) as caught:
        s3.complete_multipart_upload(**where, MultipartUpload={"Parts": parts})
    assert code_of(caught) == (code, 400)


def test_a_large_answer_can_be_left_unread(s3, bucket, account):
    account.objects.put_bytes(bucket, "k", os.urandom(3 * MIB))
    body = s3.get_object(Bucket=bucket, Key="k")["Body"]
    assert len(body.read(10)) == 10
    body.close()
    del body
    part = s3.get_object(Bucket=bucket, Key="k", Range=f"bytes=1-{2 * MIB}")["Body"]
    assert sum(len(chunk) for chunk in part.iter_chunks(100_000)) == 2 * MIB


def test_a_full_disk_leaves_the_old_object_and_no_scraps(s3, bucket, account, monkeypatch):
    s3.put_object(Bucket=bucket, Key="k", Body=b"old")

    def full(_descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(blobs.os, "fsync", full)
    with pytest.raises(ResourceError, match="no space left"):
        s3.put_object(Bucket=bucket, Key="k", Body=b"new")
    assert s3.get_object(Bucket=bucket, Key="k")["Body"].read() == b"old"
    assert len(files_of(account)) == 1


def test_a_lost_content_is_an_error_of_the_account(s3, bucket, account):
    s3.put_object(Bucket=bucket, Key="k", Body=b"x")
    account.objects.get_path(bucket, "k").unlink()
    with pytest.raises(ClientError, match="content of the object is missing") as caught:
        s3.get_object(Bucket=bucket, Key="k")
    assert code_of(caught) == ("InternalError", 500)
