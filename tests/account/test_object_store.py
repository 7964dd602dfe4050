"""Objects as files, as the engine uses them: put, link, verify, sweep."""

from __future__ import annotations

import os
import time

import pytest

from overflight.account.local import objects as objects_module
from overflight.errors import InputError, NotFoundError


@pytest.fixture
def objects(account):
    return account.objects


@pytest.fixture
def bucket(account):
    return account.bucket


def filled(objects, bucket, **contents):
    for key, content in contents.items():
        objects.put_bytes(bucket, key.replace("__", "/"), content)


@pytest.mark.parametrize("move", [False, True], ids=["copied", "moved"])
def test_a_file_becomes_an_object(objects, bucket, tmp_path, clock, move):
    path = tmp_path / "model.onnx"
    path.write_bytes(b"content")
    info = objects.put_file(bucket, "m/model.onnx", path, move=move, metadata={"a": "b"}, content_type="x/y")
    assert path.exists() is not move
    assert objects.get_path(bucket, "m/model.onnx").read_bytes() == b"content"
    assert (info.size_bytes, info.metadata, info.content_type, info.last_modified) == (7, {"a": "b"}, "x/y", clock())
    assert objects.info(bucket, "m/model.onnx") == info


def test_moving_a_file_copies_nothing(objects, bucket, tmp_path):
    path = tmp_path / "f"
    path.write_bytes(b"content")
    inode = path.stat().st_ino
    objects.put_file(bucket, "f", path, move=True)
    assert objects.get_path(bucket, "f").stat().st_ino == inode


def test_moving_a_file_that_has_another_name_leaves_that_one_alone(objects, bucket, tmp_path):
    path, other = tmp_path / "f", tmp_path / "other"
    path.write_bytes(b"content")
    os.link(path, other)
    objects.put_file(bucket, "f", path, move=True)
    other.write_bytes(b"changed")
    assert objects.get_path(bucket, "f").read_bytes() == b"content"
    assert not path.exists()


def test_a_file_that_is_not_there(objects, bucket, tmp_path):
    with pytest.raises(InputError, match="is not a file"):
        objects.put_file(bucket, "k", tmp_path / "none")
    with pytest.raises(NotFoundError, match="no such bucket"):
        objects.put_file("none", "k", tmp_path / "none")


def test_what_is_there(objects, bucket):
    filled(objects, bucket, a__1=b"1", a__2=b"2", b=b"3")
    assert [info.key for info in objects.list(bucket, "a/")] == ["a/1", "a/2"]
    assert [info.key for info in objects.list(bucket)] == ["a/1", "a/2", "b"]
    assert objects.exists(bucket, "b")
    assert not objects.exists(bucket, "a")
    with pytest.raises(NotFoundError, match="no such object"):
        objects.get_path(bucket, "a")


def test_old_versions_can_be_reached(objects, bucket):
    first = objects.put_bytes(bucket, "k", b"one")
    objects.put_bytes(bucket, "k", b"two")
    assert objects.get_path(bucket, "k").read_bytes() == b"two"
    assert objects.get_path(bucket, "k", version_id=first.version_id).read_bytes() == b"one"


@pytest.mark.parametrize("prefix", ["in", "in/"])
def test_a_prefix_becomes_a_folder_without_copying(objects, bucket, tmp_path, prefix):
    filled(objects, bucket, in__a=b"1", in__sub__b=b"2", inner=b"3")
    linked = objects.link_prefix(bucket, prefix, tmp_path / "job")
    assert [info.key for info in linked] == ["in/a", "in/sub/b"]
    assert sorted(str(p.relative_to(tmp_path / "job")) for p in (tmp_path / "job").rglob("*") if p.is_file()) == [
        "a",
        "sub/b",
    ]
    assert (tmp_path / "job" / "a").stat().st_ino == objects.get_path(bucket, "in/a").stat().st_ino
    objects.link_prefix(bucket, prefix, tmp_path / "job")  # again: the same


def test_the_key_of_one_object_becomes_one_file(objects, bucket, tmp_path):
    filled(objects, bucket, m__model=b"1")
    objects.link_prefix(bucket, "m/model", tmp_path)
    assert (tmp_path / "model").read_bytes() == b"1"


@pytest.mark.parametrize("way", ["symlink", "copy"])
def test_without_hard_links(objects, bucket, tmp_path, monkeypatch, way):
    filled(objects, bucket, in__a=b"1")

    def refuse(*_args, **_kwargs):
        raise OSError(18, "Invalid cross-device link")

    monkeypatch.setattr(objects_module.os, "link", refuse)
    if way == "copy":
        monkeypatch.setattr(objects_module.Path, "symlink_to", refuse)
    objects.link_prefix(bucket, "in", tmp_path)
    assert (tmp_path / "a").is_symlink() is (way == "symlink")
    assert (tmp_path / "a").read_bytes() == b"1"


@pytest.mark.parametrize("key", ["in/../out", "in/./a", "in//a", "in/a/../../../b"])
def test_a_key_cannot_leave_the_folder(objects, bucket, tmp_path, key):
    objects.put_bytes(bucket, key, b"evil")
    with pytest.raises(InputError, match="cannot be a path"):
        objects.link_prefix(bucket, "in", tmp_path / "job")
    assert not (tmp_path / "job").exists()


def test_a_key_that_is_a_file_and_a_folder(objects, bucket, tmp_path):
    filled(objects, bucket, in__a=b"1", in__a__b=b"2")
    with pytest.raises(InputError, match="file and a folder at once"):
        objects.link_prefix(bucket, "in", tmp_path / "job")


def test_nothing_to_link(objects, bucket, tmp_path):
    with pytest.raises(NotFoundError, match="no objects"):
        objects.link_prefix(bucket, "none", tmp_path)


def test_changed_and_lost_contents_are_found(objects, bucket):
    filled(objects, bucket, good=b"1", changed=b"2", lost=b"3")
    assert objects.verify() == []
    path = objects.get_path(bucket, "changed")
    path.chmod(0o644)
    path.write_bytes(b"X")
    objects.get_path(bucket, "lost").unlink()
    assert [info.key for info in objects.verify()] == ["changed", "lost"]
    assert objects.verify("other") == []


def test_sweeping_removes_only_what_nothing_needs(objects, bucket, session):
    client = session.client("s3")
    filled(objects, bucket, kept=b"kept", old=b"old")
    gone = client.list_object_versions(Bucket=bucket, Prefix="old")["Versions"][0]["VersionId"]
    path = objects.get_path(bucket, "old")
    client.delete_object(Bucket=bucket, Key="old", VersionId=gone)
    (objects.blobs.folder / "tmp" / "torn.tmp").write_bytes(b"12345")
    upload = client.create_multipart_upload(Bucket=bucket, Key="k")["UploadId"]
    client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part")
    orphan = objects.parts_folder("orphan").keep(b"orphan")
    assert objects.sweep() == 0  # all too young
    assert path.exists()
    assert objects.sweep(older_than_s=-1) == len(b"old") + 5 + orphan.size_bytes
    assert not path.exists()
    assert objects.verify() == []
    client.upload_part(Bucket=bucket, Key="k", UploadId=upload, PartNumber=1, Body=b"part")


def test_a_content_that_is_put_again_is_young_again(objects, bucket):
    blob = objects.blobs.keep(b"x")
    path = objects.blobs.path(blob.sha256)
    os.utime(path, (1, 1))
    objects.blobs.keep(b"x")
    assert path.stat().st_mtime > time.time() - 60


def test_an_old_file_that_is_moved_in_is_young_too(objects, tmp_path):
    path = tmp_path / "old"
    path.write_bytes(b"x")
    os.utime(path, (1, 1))
    blob = objects.blobs.take(path, move=True)
    assert objects.sweep() == 0
    assert objects.blobs.is_intact(blob.sha256)


def test_a_shortened_content_is_replaced_when_it_comes_again(objects, bucket):
    objects.put_bytes(bucket, "k", b"content")
    path = objects.get_path(bucket, "k")
    path.chmod(0o644)
    path.write_bytes(b"con")
    objects.put_bytes(bucket, "other", b"content")
    assert objects.verify() == []
