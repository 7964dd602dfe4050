"""Folders and documents in S3 through a client."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import given
from hypothesis import strategies as st

from overflight.account.objects import (
    S3Uri,
    download_folder,
    list_keys,
    list_prefixes,
    read_bytes,
    read_json,
    upload_folder,
    write_bytes,
    write_json,
)
from overflight.errors import AccountError, InputError, NotFoundError, RefusedError, ResourceError, UsageError


@pytest.fixture
def s3(session):
    return session.client("s3")


@pytest.fixture
def bucket(account):
    return account.bucket


@pytest.fixture
def folder(tmp_path):
    for name, content in {"survey.json": "{}", "photos/b.jpg": "b", "photos/a.jpg": "a", "labels/ü 1.txt": ""}.items():
        path = tmp_path / "survey" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return tmp_path / "survey"


@given(st.from_regex(r"[a-z0-9]{3,10}", fullmatch=True), st.text(max_size=30))
def test_an_address_reads_back(bucket_name, key):
    assert S3Uri.parse(str(S3Uri(bucket_name, key))) == S3Uri(bucket_name, key)


@pytest.mark.parametrize("text", ["", "s3:/b/k", "s3://", "s3:///k", "b/k", "https://b/k", "/local/path"])
def test_what_is_no_address(text):
    with pytest.raises(UsageError, match="Write s3://bucket/key"):
        S3Uri.parse(text)


@pytest.mark.parametrize(
    ("start", "name", "expected"),
    [("s3://b", "x", "s3://b/x"), ("s3://b/a", "x", "s3://b/a/x"), ("s3://b/a/", "/x/y", "s3://b/a/x/y")],
)
def test_addresses_below_an_address(start, name, expected):
    assert str(S3Uri.parse(start) / name) == expected


def test_a_folder_goes_up_with_its_manifest_last(s3, bucket, folder):
    seen, order = [], []
    s3.meta.events.register("provide-client-params.s3.PutObject", lambda params, **_: order.append(params["Key"]))
    keys = upload_folder(
        s3, folder, bucket, "surveys/x/", last=("survey.json",), progress=lambda done, total: seen.append((done, total))
    )
    assert keys == [f"surveys/x/{name}" for name in ("labels/ü 1.txt", "photos/a.jpg", "photos/b.jpg", "survey.json")]
    assert list(list_keys(s3, bucket, "surveys/")) == sorted(keys)
    assert order[-1] == "surveys/x/survey.json"
    assert seen[0] == (0, 4)
    assert seen[-1] == (4, 4)


def test_a_folder_comes_down_as_it_went_up(s3, bucket, folder, tmp_path):
    (folder / "large").write_bytes(os.urandom(9 * 1024 * 1024))
    upload_folder(s3, folder, bucket, "x")
    seen = []
    files = download_folder(s3, bucket, "x", tmp_path / "back", progress=lambda done, total: seen.append(done))
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    assert [path.relative_to(tmp_path / "back").as_posix() for path in files] == names
    assert all((tmp_path / "back" / name).read_bytes() == (folder / name).read_bytes() for name in names)
    assert seen[-1] == 5


def test_folders_below_a_prefix(s3, bucket, folder):
    upload_folder(s3, folder, bucket, "surveys/x/1")
    upload_folder(s3, folder, bucket, "surveys/y/1")
    assert list_prefixes(s3, bucket, "surveys/") == ["surveys/x/", "surveys/y/"]
    assert list_prefixes(s3, bucket) == ["surveys/"]


def test_documents(s3, bucket):
    write_json(s3, bucket, "a.json", {"ü": [1, 2.5, None]})
    assert read_json(s3, bucket, "a.json") == {"ü": [1, 2.5, None]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(s3, bucket, "a.json", {"x": float("nan")})
    write_bytes(s3, bucket, "b", b"not json")
    assert read_bytes(s3, bucket, "b") == b"not json"
    with pytest.raises(InputError, match="is not JSON"):
        read_json(s3, bucket, "b")


@pytest.mark.parametrize(
    "call",
    [
        pytest.param(lambda s3, bucket, path: read_bytes(s3, bucket, "none"), id="key"),
        pytest.param(lambda s3, bucket, path: list(list_keys(s3, "none-such")), id="bucket"),
        pytest.param(lambda s3, bucket, path: list_prefixes(s3, "none-such"), id="bucket of prefixes"),
        pytest.param(lambda s3, bucket, path: write_bytes(s3, "none-such", "k", b""), id="bucket to write to"),
        pytest.param(lambda s3, bucket, path: download_folder(s3, bucket, "none", path), id="prefix"),
        pytest.param(lambda s3, bucket, path: upload_folder(s3, path, "none-such", "x"), id="bucket for a folder"),
    ],
)
def test_what_there_is_not(s3, bucket, folder, call):
    with pytest.raises(NotFoundError) as caught:
        call(s3, bucket, folder)
    assert caught.value.where.startswith("s3://")


def test_a_folder_that_cannot_go_up(s3, bucket, tmp_path, folder):
    with pytest.raises(InputError, match="not a folder with files"):
        upload_folder(s3, tmp_path / "none", bucket, "x")
    with pytest.raises(InputError, match=r"lacks manifest\.json"):
        upload_folder(s3, folder, bucket, "x", last=("manifest.json",))
    assert list(list_keys(s3, bucket)) == []


@pytest.mark.skipif(sys.platform == "darwin", reason="macOS takes only UTF-8 as names of files")
def test_a_file_whose_name_is_not_utf8_is_named_and_nothing_goes_up(s3, bucket, folder):
    Path(os.fsdecode(bytes(folder) + b"/\xff.jpg")).write_bytes(b"x")
    with pytest.raises(InputError, match=r"udcff\.jpg'?: the name of a file is not UTF-8"):
        upload_folder(s3, folder, bucket, "x")
    assert list(list_keys(s3, bucket)) == []


def test_a_key_cannot_leave_the_folder(s3, bucket, tmp_path):
    write_bytes(s3, bucket, "x/../../evil", b"evil")
    with pytest.raises(InputError, match="cannot be a path"):
        download_folder(s3, bucket, "x", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_too_little_disk_is_seen_before(s3, bucket, folder, tmp_path, monkeypatch):
    upload_folder(s3, folder, bucket, "x")
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1})())
    with pytest.raises(ResourceError, match="are needed"):
        download_folder(s3, bucket, "x", tmp_path / "back")
    assert not (tmp_path / "back").exists()


def test_a_refusal_and_a_lost_network_come_in_our_words(s3, bucket, account, loader):
    from overflight.account.local.login import local_session

    intern = local_session(account, role="intern", user="x", loader=loader).client("s3")
    with pytest.raises(RefusedError, match=r"OVERFLIGHT_ROLE"):
        read_bytes(intern, bucket, "k")

    def fail(**_):
        raise EndpointConnectionError(endpoint_url="https://s3")

    s3.meta.events.register("provide-client-params.s3.GetObject", fail)
    with pytest.raises(AccountError, match=r"Could not connect"):
        read_bytes(s3, bucket, "k")
