"""Files: complete or as they were before, whatever goes wrong; not enough disk is said with its cure."""

from __future__ import annotations

import errno
import math

import pytest

from overflight import files
from overflight.errors import ResourceError, UsageError
from overflight.files import atomic_write, canonical_json, require_disk, sha256_bytes, sha256_file, write_json


def test_a_file_appears_complete_and_alone(tmp_path):
    write_json(tmp_path / "new" / "a.json", {"b": [1, "ü"]})
    assert (tmp_path / "new" / "a.json").read_text(encoding="utf-8") == '{\n  "b": [\n    1,\n    "ü"\n  ]\n}\n'
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.json"]
    assert sha256_file(tmp_path / "new" / "a.json") == sha256_bytes((tmp_path / "new" / "a.json").read_bytes())


def test_an_interrupted_write_leaves_the_old_content(tmp_path):
    (tmp_path / "a").write_bytes(b"old")

    def interrupted():
        with atomic_write(tmp_path / "a") as handle:
            handle.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


@pytest.mark.parametrize("where", ["fsync", "mkstemp"])
@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT], ids=["full", "quota"])
def test_a_full_disk_is_said_and_leaves_the_old_content(tmp_path, monkeypatch, where, code):
    def full(*_args, **_options):
        raise OSError(code, "full")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(files.os if where == "fsync" else files.tempfile, where, full)
    with pytest.raises(ResourceError, match=r"no space left on the disk \(\d+ MB free\)\. Free some space"):
        files.write_bytes(tmp_path / "a", b"new")
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_a_place_where_no_file_can_be_is_said(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    (tmp_path / "folder").mkdir()
    for name in ("file/a/b", "file/a", "folder", "n" * 300):
        with pytest.raises(UsageError, match="no file can be written here") as refused:
            files.write_bytes(tmp_path / name, b"")
        assert refused.value.where == str(tmp_path / name)
        assert refused.value.cure
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder"]


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.EPERM], ids=["forbidden", "read-only", "refused"])
def test_a_folder_that_cannot_be_written_is_said(tmp_path, monkeypatch, code):
    def refused(*_args, **_options):
        raise OSError(code, "not here")

    monkeypatch.setattr(files.tempfile, "mkstemp", refused)
    with pytest.raises(UsageError, match=r"no file can be written here \(not here\)"):
        files.write_bytes(tmp_path / "a", b"")


def test_errors_of_the_disk_itself_and_of_what_is_being_written_stay_what_they_are(tmp_path, monkeypatch):
    def unreadable():
        with atomic_write(tmp_path / "a"):
            (tmp_path / "none").read_bytes()

    with pytest.raises(FileNotFoundError):
        unreadable()

    def broken(*_args, **_options):
        raise OSError(errno.EIO, "broken")

    monkeypatch.setattr(files.tempfile, "mkstemp", broken)
    with pytest.raises(OSError, match="broken"):
        files.write_bytes(tmp_path / "a", b"")


def test_too_little_disk_is_refused_before_anything_is_done(tmp_path):
    require_disk(tmp_path / "not" / "there" / "yet", 1)
    with pytest.raises(ResourceError, match=r"1000000000000000000 MB are needed .* OVERFLIGHT_HOME"):
        require_disk(tmp_path, 10**24)


def test_equal_values_have_one_text_and_numbers_are_finite():
    assert canonical_json({"b": 1, "a": ["ü"]}) == canonical_json({"a": ["ü"], "b": 1}) == '{"a":["ü"],"b":1}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        canonical_json([math.nan])
