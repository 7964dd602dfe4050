"""A folder that mirrors a prefix in S3: what is fetched, kept and proved, and what goes wrong on the way."""

from __future__ import annotations

import fcntl
import hashlib
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
import weakref
from pathlib import Path

import pytest
from botocore.response import StreamingBody
from hypothesis import given
from hypothesis import settings as settings_of_test
from hypothesis import strategies as st

from overflight.account.mirror import RECORD, cache_folder, mirror
from overflight.account.object_fetch import missing_ranges
from overflight.account.objects import S3Uri
from overflight.errors import (
    NotFoundError,
    RefusedError,
    ResourceError,
    StoreError,
    UsageError,
)

KIB = 1024


def files_in(folder):
    found = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    return {name: path.read_bytes() for name, path in found.items() if not name.startswith(RECORD)}


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "mirror"


@pytest.fixture
def s3(session):
    return session.client("s3")


@pytest.fixture
def put(account):
    def put(**objects):
        for key, content in objects.items():
            account.objects.put_bytes(account.bucket, f"s/{key}", content)

    return put


@pytest.fixture
def source(account):
    return S3Uri(account.bucket, "s")


SURVEY = {"data.yaml": b"names: [car]", "images/a 1.JPG": b"a" * 5000, "images/ü.jpg": b"b" * 7, "labels/a 1.txt": b""}


def test_a_prefix_becomes_a_folder(s3, source, put, folder):
    put(**SURVEY)
    told = []
    done = mirror(s3, source, folder, progress=told.append)
    assert files_in(folder) == SURVEY
    assert (done.files, done.bytes, done.fetched, done.reused) == (4, 5019, 4, 0)
    assert (done.skipped, done.unverified, done.alike, done.removed) == ((), (), (), 0)
    assert (told[0].files_done, told[0].listing) == (0, True)
    assert (told[-1].files_done, told[-1].files_listed, told[-1].bytes_done, told[-1].bytes_listed) == (
        4, 4, 5019, 5019,
    )  # fmt: skip


def test_only_reading_calls_are_made_and_they_are_in_the_trail(s3, account, source, put, folder):
    put(**SURVEY, large=os.urandom(40 * KIB))
    calls = []
    s3.meta.events.register("provide-client-params.s3.*", lambda model, **_: calls.append(model.name))
    before = account.objects.list(account.bucket)
    mirror(s3, source, folder, part_bytes=16 * KIB)
    assert set(calls) == {"ListObjectsV2", "GetObject", "HeadObject"}
    assert account.objects.list(account.bucket) == before
    with account.store.read() as transaction:
        rows = transaction.connection.exec_driver_sql("SELECT operation, read_only FROM trail").all()
    assert sorted(row.operation for row in rows) == sorted(calls)
    assert all(row.read_only for row in rows)


def test_a_second_run_fetches_only_what_is_new_changed_or_damaged_here(s3, account, source, put, folder):
    put(**SURVEY, gone=b"1", **{"deep/er/gone": b"2"})
    mirror(s3, source, folder)
    put(**{"new": b"new", "data.yaml": b"names: [bus]"})
    for key in ("s/gone", "s/deep/er/gone"):
        s3.delete_object(Bucket=account.bucket, Key=key)
    (folder / "images/ü.jpg").write_bytes(b"x" * 7)
    again = mirror(s3, source, folder)
    assert files_in(folder) == {**SURVEY, "data.yaml": b"names: [bus]", "new": b"new"}
    assert (again.files, again.fetched, again.reused, again.removed) == (5, 3, 2, 2)
    assert not (folder / "deep").exists()
    assert mirror(s3, source, folder).fetched == 0


def test_only_what_is_wanted_and_later_the_rest(s3, source, put, folder):
    put(**SURVEY)
    labels = mirror(s3, source, folder, wanted=lambda name: not name.startswith("images/"))
    assert set(files_in(folder)) == {"data.yaml", "labels/a 1.txt"}
    assert labels.files == 2
    assert mirror(s3, source, folder).fetched == 2
    assert mirror(s3, source, folder, wanted=lambda _name: False).files == 4


def test_objects_that_cannot_be_files_are_named_and_the_others_come(s3, account, source, put, folder):
    good = {"a/b": b"1", "c": b"2"}
    long = "x" * 256
    put(**good, **{"../evil": b"", "x//y": b"", "a/.": b"", f"l/{long}": b"", ".overflight-mirror/z": b"", "a": b"f"})
    put(**{"folder/": b"", "full/": b"x"})
    done = mirror(s3, source, folder)
    assert files_in(folder) == good
    why = {remark.key: remark.why for remark in done.skipped}
    assert set(why) == {
        f"s/{key}" for key in ("../evil", "x//y", "a/.", f"l/{long}", ".overflight-mirror/z", "a", "full/")
    }
    assert "cannot be a path" in why["s/../evil"]
    assert "longer than the 255 bytes" in why[f"s/l/{long}"]
    assert "own record" in why["s/.overflight-mirror/z"]
    assert "file and folder" in why["s/a"]
    assert not (folder.parent / "evil").exists()


class Bucket:
    """A client of a bucket in memory: each object holds its own key."""

    def __init__(self, keys):
        self.keys = sorted(keys, key=str.encode)

    def list_objects_v2(self, **request):
        first = int(request.get("ContinuationToken", 0))
        page = self.keys[first : first + 3]
        contents = [{"Key": key, "Size": len(key.encode()), "ETag": f'"{md5(key)}"'} for key in page]
        more = {"NextContinuationToken": str(first + 3)} if first + 3 < len(self.keys) else {}
        return {"Contents": contents, "IsTruncated": bool(more), **more}

    def get_object(self, **request):
        content = request["Key"].encode()
        body = StreamingBody(io.BytesIO(content), len(content))
        return {"Body": body, "ContentLength": len(content), "ETag": f'"{md5(request["Key"])}"'}


def md5(key):
    return hashlib.md5(key.encode()).hexdigest()


PARTS = st.sampled_from(["", ".", "..", "a", "A", "b.jpg", "\0", "x" * 256, "\u00e9", "e\u0301", "\x1b[31m", RECORD])
KEYS = st.lists(PARTS | st.text(max_size=4), min_size=1, max_size=4).map("/".join).filter(bool)


@settings_of_test(max_examples=25)
@given(st.lists(KEYS, min_size=1, max_size=12, unique=True))
def test_every_key_is_a_file_or_is_named_and_none_leaves_the_folder(keys):
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "in" / "mirror"
        done = mirror(Bucket(keys), S3Uri("b"), folder, workers=2)
        found = files_in(folder)
        assert {name.encode() for name in found} == set(found.values())
        assert sorted([*found, *(remark.key for remark in done.skipped)]) == sorted(keys)
        assert done.files == len(found)
        assert [path.name for path in Path(place).rglob("*") if "mirror" not in path.parts] == ["in"]
        assert mirror(Bucket(keys), S3Uri("b"), folder).fetched == 0


class Entry(dict):
    """A line of a listing that can be counted while somebody holds it."""

    __hash__ = object.__hash__
    __eq__ = object.__eq__


def test_no_more_than_two_pages_of_the_listing_are_held(folder):
    alive, most, pages = weakref.WeakSet(), [0], 40

    class Endless:
        def list_objects_v2(self, **request):
            page = int(request.get("ContinuationToken", 0))
            most[0] = max(most[0], len(alive))
            entries = [Entry(Key=f"{page:02}/{n:02}", Size=0, ETag='"0"') for n in range(50)]
            alive.update(entries)
            return {"Contents": entries, "IsTruncated": page + 1 < pages, "NextContinuationToken": str(page + 1)}

    assert mirror(Endless(), S3Uri("b"), folder, wanted=lambda name: name.endswith("7")).files == pages * 5
    assert 50 <= most[0] <= 100


def test_a_file_can_become_a_folder_and_back(s3, account, source, put, folder):
    put(a=b"1")
    mirror(s3, source, folder)
    s3.delete_object(Bucket=account.bucket, Key="s/a")
    put(**{"a/b": b"2"})
    mirror(s3, source, folder)
    assert files_in(folder) == {"a/b": b"2"}
    s3.delete_object(Bucket=account.bucket, Key="s/a/b")
    put(a=b"3")
    mirror(s3, source, folder)
    assert files_in(folder) == {"a": b"3"}


NAMES = {"A.jpg": b"1", "a.jpg": b"2", "caf\u00e9": b"3", "cafe\u0301": b"4", "B/x": b"5", "b": b"6"}


def test_names_that_differ_only_in_case_are_reported(s3, source, put, folder):
    put(**NAMES)
    done = mirror(s3, source, folder)
    assert files_in(folder) == NAMES
    assert [remark.key for remark in done.alike] == ["s/a.jpg", "s/caf\u00e9"]


def test_a_disk_that_ignores_case_gets_one_of_them(s3, source, put, folder, monkeypatch):
    monkeypatch.setattr("overflight.account.mirror._ignores_case", lambda _record: True)
    put(**NAMES)
    done = mirror(s3, source, folder)
    assert set(files_in(folder)) == {"A.jpg", "cafe\u0301", "B/x"}
    assert [remark.key for remark in done.skipped] == ["s/a.jpg", "s/b", "s/caf\u00e9"]


@pytest.mark.parametrize(
    ("prefix", "cure"),
    [
        pytest.param("none", "There is s3://{bucket}/s/", id="prefix"),
        pytest.param("s/data.yaml", "This is one object", id="object"),
        pytest.param("s/image", "There is s3://{bucket}/s/images/", id="similar"),
    ],
)
def test_nothing_there(s3, account, folder, prefix, cure):
    source = S3Uri(account.bucket)
    for key, content in SURVEY.items():
        account.objects.put_bytes(account.bucket, f"s/{key}", content)
    with pytest.raises(NotFoundError, match="there are no objects") as caught:
        mirror(s3, S3Uri(source.bucket, prefix), folder)
    assert caught.value.cure.startswith(cure.format(bucket=source.bucket))
    assert caught.value.where == f"s3://{source.bucket}/{prefix}/"


def test_a_source_that_is_empty_now_leaves_the_mirror_alone(s3, account, source, put, folder):
    put(a=b"1")
    mirror(s3, source, folder)
    s3.delete_object(Bucket=account.bucket, Key="s/a")
    with pytest.raises(NotFoundError):
        mirror(s3, source, folder)
    assert files_in(folder) == {"a": b"1"}


def test_refusals_come_in_our_words(s3, account, loader, folder):
    from overflight.account.local.login import local_session

    admin = local_session(account, role="admin", user="x", loader=loader).client("s3")
    with pytest.raises(RefusedError, match=r"s3:ListBucket"):
        mirror(admin, S3Uri(account.bucket, "s"), folder)
    with pytest.raises(NotFoundError, match="NoSuchBucket"):
        mirror(s3, S3Uri("none-such", "s"), folder.parent / "other")


def test_the_folder_is_the_mirrors_alone(s3, source, put, folder, tmp_path):
    put(a=b"1")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/a").write_text("precious")
    with pytest.raises(UsageError, match="holds no mirror"):
        mirror(s3, source, tmp_path / "mine")
    assert (tmp_path / "mine/a").read_text() == "precious"
    mirror(s3, source, folder)
    with pytest.raises(StoreError, match="this folder mirrors s3://"):
        mirror(s3, source / "images", folder)
    with (folder / RECORD / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(ResourceError, match="another process"):
            mirror(s3, source, folder)
    (folder / RECORD / "ledger.db").write_bytes(b"not a database" * 100)
    with pytest.raises(StoreError, match="Remove"):
        mirror(s3, source, folder)


def test_a_folder_that_cannot_be_made(s3, source, put, tmp_path):
    put(a=b"1")
    (tmp_path / "file").write_text("")
    with pytest.raises(ResourceError, match="cannot be written"):
        mirror(s3, source, tmp_path / "file" / "mirror")


@pytest.mark.parametrize("bucket", ["..", ".", "a\0b", "x" * 300])
def test_a_bucket_that_is_none_has_no_folder(tmp_path, bucket):
    with pytest.raises(UsageError, match="no name of a bucket"):
        cache_folder(tmp_path, S3Uri(bucket, "k"))


def test_too_little_disk_is_seen_before_anything_is_fetched(s3, source, put, folder, monkeypatch):
    put(**SURVEY)
    monkeypatch.setattr("shutil.disk_usage", lambda _path: type("Usage", (), {"free": 1})())
    with pytest.raises(ResourceError, match="are needed"):
        mirror(s3, source, folder)
    assert files_in(folder) == {}


def test_a_source_has_its_own_folder_below_home(s3, account, put, tmp_path):
    put(**SURVEY)
    address = S3Uri.parse(f"s3://{account.bucket}/s/")
    folder = cache_folder(tmp_path, address)
    done = mirror(s3, address, folder)
    assert files_in(folder) == SURVEY
    assert done.files == 4
    assert folder == cache_folder(tmp_path, S3Uri(account.bucket, "s"))
    assert folder.parent == tmp_path / "cache/sources" / account.bucket
    assert folder != cache_folder(tmp_path, S3Uri(account.bucket, "t"))


# --- killed


@given(
    st.integers(0, 200), st.integers(1, 50), st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=6)
)
def test_what_is_there_and_what_is_missing_make_the_whole(size, part_bytes, spans):
    there = sorted((start, min(start + length, size)) for start, length in spans if start < size)
    gaps = missing_ranges(there, size, part_bytes)
    covered = [position for start, stop in there for position in range(start, stop)]
    fetched = [position for start, stop in gaps for position in range(start, stop)]
    assert set(covered) | set(fetched) == set(range(size))
    assert len(fetched) == len(set(fetched))
    assert not set(covered) & set(fetched)
    assert all(0 < stop - start <= part_bytes for start, stop in gaps)


RANGES = 60
CHILD = """
import sys, time
from pathlib import Path
from overflight.account import object_fetch
from overflight.account.mirror import mirror
from overflight.account.objects import S3Uri
from overflight.account.session import open_session
from overflight.settings import load_settings
settings = load_settings(home=sys.argv[1], user="ada")
object_fetch.os.fsync = lambda _descriptor: time.sleep(0.1)  # a slow disk: time enough to kill
mirror(open_session(settings).client("s3"), S3Uri(settings.bucket, "s"), Path(sys.argv[2]), part_bytes=65536, workers=2)
"""


def test_a_killed_mirror_goes_on_where_it_was(session, account, put, folder, settings):
    s3, source = session.client("s3"), S3Uri(account.bucket, "s")
    put(big=os.urandom(RANGES * 65536), **{f"n{number:03}": b"x" * 1000 for number in range(5)})
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(settings.home), str(folder)])
    deadline = time.monotonic() + 60
    while ranges_noted(folder) < 10:
        assert child.poll() is None, "the child ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.005)
    child.send_signal(signal.SIGKILL)
    child.wait()
    noted = ranges_noted(folder)
    assert 10 <= noted < RANGES
    assert not (folder / "big").exists()
    spans = []
    s3.meta.events.register("provide-client-params.s3.GetObject", lambda params, **_: spans.append(params.get("Range")))
    done = mirror(s3, source, folder, part_bytes=65536)
    assert done.files == 6
    assert len([span for span in spans if span]) == RANGES - noted
    assert (folder / "big").read_bytes() == account.objects.get_path(account.bucket, "s/big").read_bytes()


def ranges_noted(folder: Path) -> int:
    import sqlite3

    path = folder / RECORD / "ledger.db"
    if not path.exists():
        return 0
    connection = sqlite3.connect(f"{path.as_uri()}?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM ranges").fetchone()[0])
    except sqlite3.OperationalError:
        return 0
    finally:
        connection.close()
