"""A mirror of S3 over a network that fails: real sockets and botocore, a server that misbehaves when told to."""

from __future__ import annotations

import base64
import errno
import hashlib
import itertools
import os
import time
import zlib

import boto3
import pytest
from moto import mock_aws
from s3_server import Stored, serving

from overflight.account.mirror import RECORD, Remark, mirror
from overflight.account.objects import S3Uri
from overflight.account.patience import Patience
from overflight.errors import AccountError, InputError, RefusedError, ResourceError

KIB = 1024


def quick(**given_values):
    """Patience that does not wait."""
    return Patience(first_s=0.0, **given_values)


def files_in(folder):
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(RECORD)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mirror"


@pytest.fixture(scope="module")
def running():
    with serving() as held:
        yield held


@pytest.fixture
def server(running):
    running.reset()
    return running


BUCKET = S3Uri("b")


def test_a_large_object_comes_in_ranges_of_one_and_the_same_content(server, folder):
    content = os.urandom(100 * KIB)
    server.objects["big"] = Stored(content)
    done = mirror(server.client(), BUCKET, folder, part_bytes=30 * KIB)
    assert files_in(folder) == {"big": content}
    edges = [0, 30 * KIB, 60 * KIB, 90 * KIB, 100 * KIB]
    assert sorted(server.gets("big")) == [(a, b - 1) for a, b in itertools.pairwise(edges)]
    assert all(asked.headers["If-Match"] == f'"{server.objects["big"].tag}"' for asked in server.asked if asked.key)
    assert done.unverified == ()


@pytest.mark.parametrize("part_bytes", [10**6, 300 * KIB], ids=["whole", "in ranges"])
def test_a_cut_connection_is_continued_at_the_byte_reached(server, folder, part_bytes):
    content = os.urandom(600 * KIB)
    server.objects["a"] = Stored(content)
    server.cuts["a"] = [300 * KIB if part_bytes == 10**6 else 100, 10]
    mirror(server.client(), BUCKET, folder, part_bytes=part_bytes, workers=1, patience=quick())
    assert files_in(folder) == {"a": content}
    if part_bytes == 10**6:
        assert server.gets("a")[0] is None
        assert server.gets("a")[1:] == [(300 * KIB, 600 * KIB - 1), (300 * KIB + 10, 600 * KIB - 1)]


def test_a_connection_that_breaks_again_and_again_ends_in_our_words(server, folder):
    server.objects["a"] = Stored(b"x" * 1000)
    server.cuts["a"] = [0] * 9
    with pytest.raises(AccountError, match="b/a"):
        mirror(server.client(), BUCKET, folder, patience=quick(attempts=4))
    assert len(server.gets("a")) == 4
    assert files_in(folder) == {}


def test_a_read_that_hangs_is_given_up_and_tried_again(server, folder):
    server.objects["a"] = Stored(b"x" * 1000)
    seen = []

    def hang(asked):
        if asked.key and not seen:
            seen.append(asked)
            time.sleep(0.6)

    server.before = hang
    mirror(server.client(read_timeout=0.2), BUCKET, folder, patience=quick())
    assert len(server.gets("a")) == 2


@pytest.mark.parametrize(
    "refusal",
    [
        (503, "SlowDown", "Please reduce your request rate.", {}),
        (500, "InternalError", "We encountered an internal error.", {}),
        (400, "RequestTimeout", "Your socket connection was not read from.", {}),
    ],
    ids=lambda refusal: refusal[1],
)
def test_what_passes_is_tried_again_while_listing_and_fetching(server, folder, refusal):
    server.objects["a"] = Stored(b"content")
    server.refusals = [refusal] * 3
    mirror(server.client(), BUCKET, folder, patience=quick())
    server.refusals = [refusal] * 3
    server.objects["a"] = Stored(b"newer")
    server.before = lambda asked: None
    mirror(server.client(), BUCKET, folder, patience=quick())
    assert files_in(folder) == {"a": b"newer"}


def test_throttling_without_end_is_told(server, folder):
    server.objects["a"] = Stored(b"content")
    server.refusals = [(503, "SlowDown", "Please reduce your request rate.", {})] * 50
    with pytest.raises(ResourceError, match=r"SlowDown.*Wait a moment"):
        mirror(server.client(), BUCKET, folder, patience=quick(attempts=5))
    assert len(server.asked) == 5


def test_waits_double_up_to_a_limit(monkeypatch):
    waits = []
    patience = Patience(first_s=1.0, longest_s=5.0, draw=lambda: 1.0)
    monkeypatch.setattr(patience.stop, "wait", waits.append)
    for tries in range(1, 6):
        patience.wait(tries)
    assert waits == [1.0, 2.0, 4.0, 5.0, 5.0]


@pytest.mark.parametrize("part_bytes", [10**6, 10 * KIB], ids=["whole", "in ranges"])
def test_an_object_that_changes_meanwhile_is_noticed(server, folder, part_bytes):
    server.objects["a"] = Stored(b"x" * 40 * KIB)

    def change(asked):
        if asked.key:
            server.objects["a"] = Stored(b"y" * 40 * KIB)

    server.before = change
    with pytest.raises(InputError, match=r"changed while it was read.*[Rr]un the same command again"):
        mirror(server.client(), BUCKET, folder, part_bytes=part_bytes, patience=quick())
    assert files_in(folder) == {}
    server.before = None
    mirror(server.client(), BUCKET, folder, part_bytes=part_bytes)
    assert files_in(folder) == {"a": b"y" * 40 * KIB}


def test_an_object_that_vanishes_meanwhile_is_told(server, folder):
    server.objects["a"] = Stored(b"x")
    server.before = lambda asked: asked.key and server.objects.clear()
    with pytest.raises(InputError, match="was removed while"):
        mirror(server.client(), BUCKET, folder, patience=quick())


def test_a_service_that_ignores_ranges_is_found_out(server, folder):
    server.objects["a"] = Stored(b"x" * 40 * KIB)
    server.ignores_ranges = True
    with pytest.raises(AccountError, match="answered with the whole object"):
        mirror(server.client(), BUCKET, folder, part_bytes=10 * KIB)


def b64(digest):
    return base64.b64encode(digest).decode()


CONTENT = bytes(range(256)) * 400
HALVES = (CONTENT[: 60 * KIB], CONTENT[60 * KIB :])
UNEVEN = (CONTENT[: 50 * KIB], CONTENT[50 * KIB : 90 * KIB], CONTENT[90 * KIB :])


def in_parts(parts, function=lambda part: hashlib.md5(part).digest()):
    return b"".join(function(part) for part in parts)


def etag_of(parts):
    return f"{hashlib.md5(in_parts(parts)).hexdigest()}-{len(parts)}"


def crc(data):
    return zlib.crc32(data).to_bytes(4, "big")


KMS = {"x-amz-server-side-encryption": "aws:kms"}
PROVED = {
    "SHA-256": Stored(CONTENT, {"x-amz-checksum-sha256": b64(hashlib.sha256(CONTENT).digest())}, "opaque"),
    "SHA-1": Stored(CONTENT, {"x-amz-checksum-sha1": b64(hashlib.sha1(CONTENT).digest())}, "opaque"),
    "CRC32": Stored(CONTENT, {"x-amz-checksum-crc32": b64(crc(CONTENT)), **KMS}, "opaque"),
    "MD5 as ETag": Stored(CONTENT),
    "ETag of even parts": Stored(CONTENT, {}, etag_of(HALVES), part_sizes=tuple(map(len, HALVES))),
    "ETag of uneven parts": Stored(CONTENT, {}, etag_of(UNEVEN), part_sizes=tuple(map(len, UNEVEN))),
    "CRC32 of parts": Stored(
        CONTENT,
        {"x-amz-checksum-crc32": b64(crc(in_parts(HALVES, crc))) + "-2", **KMS},
        "opaque-2",
        part_sizes=tuple(map(len, HALVES)),
    ),
}
BOTH_WAYS = pytest.mark.parametrize("part_bytes", [10**6, 64 * KIB], ids=["whole", "in ranges"])


@BOTH_WAYS
@pytest.mark.parametrize("stored", PROVED.values(), ids=PROVED)
def test_what_is_proved_by(server, folder, stored, part_bytes):
    server.objects["a"] = stored
    done = mirror(server.client(response_checksum_validation="when_required"), BUCKET, folder, part_bytes=part_bytes)
    assert files_in(folder) == {"a": CONTENT}
    assert done.unverified == ()


@BOTH_WAYS
@pytest.mark.parametrize("stored", PROVED.values(), ids=PROVED)
def test_one_wrong_byte_is_fetched_again(server, folder, stored, part_bytes):
    server.objects["a"] = stored
    server.corrupt["a"] = 1
    mirror(server.client(), BUCKET, folder, part_bytes=part_bytes, patience=quick())
    assert files_in(folder) == {"a": CONTENT}


@BOTH_WAYS
def test_wrong_bytes_twice_are_an_error_and_no_file(server, folder, part_bytes):
    server.objects["a"] = PROVED["SHA-256"]
    server.corrupt["a"] = 99
    with pytest.raises(InputError, match="does not match its checksum"):
        mirror(server.client(), BUCKET, folder, part_bytes=part_bytes, patience=quick())
    assert files_in(folder) == {}


@pytest.mark.parametrize(
    "stored",
    [
        pytest.param(Stored(CONTENT, KMS, "0" * 32), id="KMS: the ETag is no MD5"),
        pytest.param(
            Stored(CONTENT, {"x-amz-server-side-encryption-customer-algorithm": "AES256"}, "0" * 32), id="SSE-C"
        ),
        pytest.param(Stored(CONTENT, {}, f"{'0' * 32}-3"), id="parts of unknown size"),
        pytest.param(Stored(CONTENT, {"x-amz-checksum-xxhash3": "AAAAAAAAAAA="}, "opaque"), id="unknown algorithm"),
    ],
)
def test_what_cannot_be_proved_is_said(server, folder, stored):
    server.objects["a"] = stored
    (remark,) = mirror(server.client(), BUCKET, folder).unverified
    assert isinstance(remark, Remark)
    assert remark.key == "a"
    assert "size and ETag were compared" in remark.why
    assert mirror(server.client(), BUCKET, folder).unverified == (remark,)


@pytest.mark.parametrize(
    ("refusal", "kind", "words"),
    [
        pytest.param(
            (
                403,
                "AccessDenied",
                "User: arn:aws:iam::1:user/a is not authorized to perform: kms:Decrypt on resource: k",
                {},
            ),
            RefusedError,
            "Ask an administrator for kms:Decrypt on k",
            id="kms",
        ),
        pytest.param(
            (403, "InvalidObjectState", "The operation is not valid for the object's storage class", {}),
            InputError,
            "archived",
            id="glacier",
        ),
        pytest.param((403, "AccessDenied", "Access Denied", {}), RefusedError, "requester pay", id="requester pays"),
        pytest.param((400, "ExpiredToken", "expired", {}), AccountError, "aws sso login", id="expired"),
    ],
)
def test_an_object_that_cannot_be_read(server, folder, refusal, kind, words):
    server.objects["a"] = Stored(b"x")
    server.before = lambda asked: server.refusals.append(refusal) if asked.key else None
    with pytest.raises(kind, match=words) as caught:
        mirror(server.client(), BUCKET, folder)
    assert caught.value.where == "s3://b/a"


def test_the_requester_pays_when_told_to(server, folder):
    server.objects["a"] = Stored(b"x" * 100)
    mirror(server.client(), BUCKET, folder, requester_pays=True, part_bytes=60)
    assert {asked.headers.get("x-amz-request-payer") for asked in server.asked} == {"requester"}


def test_a_listing_comes_in_pages_and_an_error_stops_everything(server, folder):
    server.page = 7
    server.objects = {f"k{n:03}": Stored(b"%d" % n) for n in range(50)}
    assert mirror(server.client(), BUCKET, folder).files == 50
    assert sum(not asked.key for asked in server.asked) == 8
    server.objects = {f"n{n:03}": Stored(b"%d" % n) for n in range(200)}
    server.before = lambda asked: asked.key == "n020" and server.refusals.append((403, "AccessDenied", "no", {}))
    with pytest.raises(RefusedError):
        mirror(server.client(), BUCKET, folder, workers=2)
    assert len({asked.key for asked in server.asked if asked.key.startswith("n")}) < 60


def test_ranges_of_an_older_content_are_not_used(server, folder):
    server.objects["a"] = Stored(b"x" * 100)
    server.refusals = []
    server.before = lambda asked: asked.span == (50, 59) and server.refusals.append((403, "AccessDenied", "no", {}))
    with pytest.raises(RefusedError):
        mirror(server.client(), BUCKET, folder, part_bytes=10, workers=1)
    server.before = None
    server.objects["a"] = Stored(b"y" * 100)
    mirror(server.client(), BUCKET, folder, part_bytes=10)
    assert files_in(folder) == {"a": b"y" * 100}


def test_a_full_disk_is_told_as_such(server, folder, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    server.objects["a"] = Stored(b"x")
    monkeypatch.setattr("overflight.account.object_fetch.os.pwrite", full)
    with pytest.raises(ResourceError, match="no space left"):
        mirror(server.client(), BUCKET, folder, patience=quick())
    assert len(server.gets("a")) == 1


def test_what_boto3_uploads_to_another_s3_is_mirrored_and_proved(folder, tmp_path, monkeypatch):
    for name in ("AWS_CONFIG_FILE", "AWS_SHARED_CREDENTIALS_FILE"):
        monkeypatch.setenv(name, os.devnull)
    (tmp_path / "large").write_bytes(os.urandom(9 * KIB * KIB))
    with mock_aws():
        s3 = boto3.Session("testing", "testing", region_name="us-east-1").client("s3")
        s3.create_bucket(Bucket="survey")
        s3.put_object(Bucket="survey", Key="2026/a b.txt", Body=b"small")
        s3.upload_file(str(tmp_path / "large"), "survey", "2026/large")
        done = mirror(s3, S3Uri("survey", "2026"), folder, part_bytes=4 * KIB * KIB)
    assert files_in(folder) == {"a b.txt": b"small", "large": (tmp_path / "large").read_bytes()}
    assert done.unverified == ()
