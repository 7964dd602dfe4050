"""The state of the local account: resources, counters, transactions, several processes, damaged files."""

from __future__ import annotations

import errno
import gc
import os
import random
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
import warnings
import weakref
from datetime import UTC, datetime
from pathlib import Path

import pytest

from overflight.account.clock import utc_now
from overflight.account.local.store import ResourceExists, ResourceMissing, Store, to_json
from overflight.account.local.verification import verify
from overflight.errors import ResourceError, StoreError


@pytest.fixture
def store(tmp_path, clock):
    opened = Store(tmp_path / "home", clock=clock)
    yield opened
    opened.close()


# --- resources


def test_a_resource_comes_back_as_it_was_put(store, clock):
    body = {"text": "Grüße", "list": [1, 2.5, None, True], "when": clock(), "path": Path("a/b")}
    with store.write() as transaction:
        given = transaction.insert("pipeline", "train", body=body, parent="p", status="Active")
    with store.read() as transaction:
        found = transaction.get("pipeline", "train")
    assert found == given
    assert found.body == {**body, "when": "2026-03-01T12:00:00.000000+00:00", "path": "a/b"}
    assert (found.parent, found.status, found.revision) == ("p", "Active", 1)
    assert found.created_at == found.modified_at == clock()


def test_an_update_keeps_what_is_not_given_and_counts_the_revision(store, clock):
    with store.write() as transaction:
        transaction.insert("job", "a", body={"n": 1}, parent="p", status="InProgress")
    clock.advance(minutes=1)
    with store.write() as transaction:
        changed = transaction.put("job", "a", status="Completed")
    assert (changed.body, changed.parent, changed.status, changed.revision) == ({"n": 1}, "p", "Completed", 2)
    assert (changed.modified_at - changed.created_at).total_seconds() == 60


def test_an_empty_status_is_a_value_and_not_a_gap(store):
    with store.write() as transaction:
        transaction.insert("job", "a", body={}, status="InProgress")
        assert transaction.put("job", "a", status="", body={}).status == ""


def test_names_are_unique_within_a_kind(store):
    with store.write() as transaction:
        transaction.insert("a", "same", body={})
        transaction.insert("b", "same", body={})
        with pytest.raises(ResourceExists, match="a same"):
            transaction.insert("a", "same", body={"other": 1})
        assert transaction.get("a", "same").body == {}


def test_only_what_exists_can_be_changed_or_deleted(store):
    with store.write() as transaction:
        with pytest.raises(ResourceMissing, match="job x"):
            transaction.put("job", "x", body={})
        assert transaction.get("job", "x") is None
        assert not transaction.delete("job", "x")
        transaction.insert("job", "x", body={})
        assert transaction.delete("job", "x")
        assert transaction.get("job", "x") is None


@pytest.mark.parametrize(
    ("filters", "names"),
    [
        pytest.param({}, ["c", "a", "b"], id="in the order of creation"),
        pytest.param({"parent": "one"}, ["c", "b"], id="of one parent"),
        pytest.param({"statuses": ["Done"]}, ["a", "b"], id="in one status"),
        pytest.param({"statuses": {"Done", "New"}, "parent": "one"}, ["c", "b"], id="both filters"),
        pytest.param({"statuses": []}, [], id="no status matches nothing"),
        pytest.param({"parent": "none"}, [], id="no such parent"),
    ],
)
def test_listing(store, filters, names):
    with store.write() as transaction:
        transaction.insert("job", "c", body={}, parent="one", status="New")
        transaction.insert("job", "a", body={}, parent="two", status="Done")
        transaction.insert("job", "b", body={}, parent="one", status="Done")
        transaction.insert("other", "z", body={})
        assert [found.name for found in transaction.list("job", **filters)] == names


def test_counters_count_from_one_each_for_itself(store):
    with store.write() as transaction:
        assert [transaction.next_number("a"), transaction.next_number("a"), transaction.next_number("b")] == [1, 2, 1]


def test_json_refuses_what_it_cannot_give_back():
    assert to_json({"t": datetime(2026, 1, 2, tzinfo=UTC)}) == '{"t":"2026-01-02T00:00:00.000000+00:00"}'
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json({"x": float("nan")})
    with pytest.raises(TypeError, match="object cannot be kept as JSON"):
        to_json({"x": object()})


# --- transactions


def test_an_error_rolls_everything_back(store):
    def fail_halfway() -> None:
        with store.write() as transaction:
            transaction.insert("job", "a", body={})
            transaction.next_number("n")
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_halfway()
    with store.write() as transaction:
        assert transaction.get("job", "a") is None
        assert transaction.next_number("n") == 1


def test_a_reader_sees_one_moment(store):
    with store.read() as reading:
        assert reading.list("job") == []
        with store.write() as writing:
            writing.insert("job", "a", body={})
        assert reading.list("job") == []
    with store.read() as reading:
        assert len(reading.list("job")) == 1


def test_a_transaction_inside_a_transaction_is_refused_instead_of_waiting_for_itself(store):
    with pytest.raises(RuntimeError, match="pass the transaction on"), store.write(), store.write():
        pass


def test_the_store_works_on_after_a_refused_nesting(store):
    with pytest.raises(RuntimeError), store.write(), store.write():
        pass
    with store.write() as transaction:
        transaction.insert("job", "a", body={})


def test_threads_do_not_lose_updates(store):
    def count() -> None:
        for _ in range(25):
            with store.write() as transaction:
                transaction.next_number("n")

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with store.write() as transaction:
        assert transaction.next_number("n") == 101


def test_the_version_of_the_data_tells_of_changes_by_others(store, clock):
    before = store.data_version()
    assert store.data_version() == before
    other = Store(store.home, clock=clock)
    with other.write() as transaction:
        transaction.insert("job", "a", body={})
    other.close()
    after = store.data_version()
    assert after != before
    with store.write() as transaction:
        transaction.insert("job", "b", body={})
    assert store.data_version() != after


def test_a_forgotten_store_closes_its_files(tmp_path, clock):
    store = Store(tmp_path / "home", clock=clock)
    with store.write() as transaction:
        transaction.insert("job", "a", body={})
    seen = weakref.ref(store)
    del store
    gc.collect()
    assert seen() is None
    assert not (tmp_path / "home" / "state.db-wal").exists()  # the last connection to close takes the log with it


def test_a_store_can_be_used_on_both_sides_of_a_fork(store):
    with store.write() as transaction:
        transaction.insert("job", "parent", body={})
    child = os.fork()
    if child == 0:  # pragma: no cover  # another process
        with store.write() as transaction:
            transaction.insert("job", "child", body={})
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    with store.read() as transaction:
        assert [found.name for found in transaction.list("job")] == ["parent", "child"]


def test_a_fork_while_another_thread_writes_is_told_so_and_does_not_wait_for_ever(store, monkeypatch):
    monkeypatch.setattr("overflight.account.local.state_file.BUSY_TIMEOUT_S", 0.1)
    writing, forked = threading.Event(), threading.Event()

    def write():
        with store.write():
            writing.set()
            forked.wait(timeout=10)

    thread = threading.Thread(target=write)
    thread.start()
    writing.wait(timeout=10)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # a fork beside a thread is what is tested here
        child = os.fork()
    if child == 0:  # pragma: no cover  # another process
        signal.alarm(20)
        try:
            with store.write():
                os._exit(1)
        except StoreError:  # SQLite has copied the lock of the thread that does not exist here
            os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    forked.set()
    thread.join()


# --- several processes

_COUNTER = """
    import sys
    from pathlib import Path
    from overflight.account.clock import utc_now
    from overflight.account.local.store import Store

    store = Store(Path(sys.argv[1]), clock=utc_now)
    for _ in range(50):
        with store.write() as transaction:
            row = transaction.get("sum", "n")
            if row is None:
                transaction.insert("sum", "n", body={"value": 1})
            else:
                transaction.put("sum", "n", body={"value": row.body["value"] + 1})
            transaction.next_number("n")
"""


def _start(program: str, *arguments: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", textwrap.dedent(program), *arguments], stdout=subprocess.PIPE)


def test_four_processes_at_once_lose_no_update_not_even_the_creation(tmp_path):
    home = tmp_path / "home"
    processes = [_start(_COUNTER, str(home)) for _ in range(4)]
    assert [process.wait() for process in processes] == [0, 0, 0, 0]
    for process in processes:
        process.stdout.close()
    store = Store(home, clock=utc_now)
    with store.write() as transaction:
        assert transaction.get("sum", "n").body == {"value": 200}
        assert transaction.next_number("n") == 201
    store.close()
    assert sorted(path.name for path in home.iterdir() if path.suffix == ".tmp") == []


_WRITER = """
    import sys, itertools
    from overflight.account.session import open_session
    from overflight.settings import load_settings

    session = open_session(load_settings(home=sys.argv[1]))
    s3 = session.client("s3")
    bucket = s3.list_buckets()["Buckets"][0]["Name"]
    print("ready", flush=True)
    for n in itertools.count():
        s3.put_object(Bucket=bucket, Key=f"{sys.argv[2]}/{n}", Body=b"content %d" % n)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_store(tmp_path, account):
    account.close()
    chance = random.Random(5)
    for attempt in range(4):
        process = _start(_WRITER, str(account.home), str(attempt))
        assert process.stdout.readline() == b"ready\n"
        time.sleep(chance.uniform(0.01, 0.25))
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
    with sqlite3.connect(account.store.path) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
        done = connection.execute("SELECT json_extract(parameters, '$.Key') FROM trail WHERE operation = 'PutObject'")
        recorded = sorted(row[0] for row in done)
        there = sorted(row[0] for row in connection.execute("SELECT key FROM objects"))
    connection.close()
    assert recorded == there  # a change and its record: both or neither
    assert len(there) > 4
    assert verify(account.store).findings == []
    assert account.objects.verify() == []


# --- folders and files that cannot be used


def _fill(home: Path, rows: int = 400) -> Path:
    store = Store(home, clock=utc_now)
    with store.write() as transaction:
        for n in range(rows):
            transaction.insert("job", f"job-{n}", body={"text": "x" * 500})
    store.close()
    return store.path


def _garbage(path: Path) -> None:
    path.write_bytes(b"this is no database at all, " * 200)


def _cut(path: Path) -> None:
    with path.open("r+b") as handle:
        handle.truncate(path.stat().st_size // 2)


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _stub(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:50])


def _foreign(path: Path) -> None:
    path.unlink()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE other (x)")
    connection.close()


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        pytest.param(_garbage, "damaged|cut off", id="garbage"),
        pytest.param(_cut, "cut off", id="truncated"),
        pytest.param(_empty, "cut off", id="empty file"),
        pytest.param(_stub, "cut off", id="only the begin of the header"),
        pytest.param(_foreign, "not the state of a local account", id="another program's database"),
    ],
)
def test_a_damaged_state_file_is_named_and_left_alone(tmp_path, damage, words):
    path = _fill(tmp_path / "home")
    damage(path)
    content = path.read_bytes()
    with pytest.raises(StoreError, match=words) as caught:
        Store(path.parent, clock=utc_now)
    assert caught.value.where == str(path)
    assert "move" in caught.value.cure
    assert str(path.parent) in caught.value.cure
    assert path.read_bytes() == content


def test_damage_inside_the_file_is_found_when_it_is_read(tmp_path):
    path = _fill(tmp_path / "home")
    content = bytearray(path.read_bytes())
    content[8192:-4096] = b"\xa5" * (len(content) - 8192 - 4096)
    path.write_bytes(content)

    def read_all() -> None:
        store = Store(path.parent, clock=utc_now)
        with store.read() as transaction:
            transaction.list("job")

    with pytest.raises(StoreError, match="damaged"):
        read_all()


def test_a_newer_state_is_not_touched(tmp_path):
    path = _fill(tmp_path / "home", rows=1)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    with pytest.raises(StoreError, match="schema version 99, this Overflight reads version 2"):
        Store(path.parent, clock=utc_now)


def test_a_lost_state_file_is_not_replaced_by_an_empty_one(tmp_path):
    path = _fill(tmp_path / "home", rows=1)
    (path.parent / "s3" / "blobs" / "ab").mkdir(parents=True)
    path.unlink()
    with pytest.raises(StoreError, match="missing although the folder holds an account"):
        Store(path.parent, clock=utc_now)
    assert not path.exists()


def test_a_file_in_place_of_the_folder(tmp_path):
    (tmp_path / "home").write_text("in the way")
    with pytest.raises(StoreError, match="cannot be made") as caught:
        Store(tmp_path / "home", clock=utc_now)
    assert "OVERFLIGHT_HOME" in caught.value.cure


@pytest.mark.parametrize("code", [errno.EPERM, errno.ENOTSUP], ids=["not permitted", "not supported"])
def test_a_disk_without_hard_links_is_said(tmp_path, monkeypatch, code):
    def refused(*_names):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "link", refused)
    with pytest.raises(StoreError, match=r"cannot be made .* OVERFLIGHT_HOME"):
        Store(tmp_path / "home", clock=utc_now)
    assert not any(path.name == "state.db" for path in (tmp_path / "home").iterdir())


def test_a_folder_that_cannot_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr("os.access", lambda path, mode: False)
    with pytest.raises(StoreError, match="cannot be written"):
        Store(tmp_path / "home", clock=utc_now)


def test_a_full_disk_is_said_and_nothing_is_changed(store):
    with store.write() as transaction:
        transaction.insert("job", "a", body={})
        pages = transaction.connection.exec_driver_sql("PRAGMA page_count").scalar_one()

    def write_too_much() -> None:
        with store.write() as transaction:
            transaction.connection.exec_driver_sql(f"PRAGMA max_page_count={pages}")
            transaction.insert("job", "b", body={"text": "x" * 1_000_000})

    with pytest.raises(ResourceError, match="no space left"):
        write_too_much()
    store.close()
    with store.read() as transaction:
        assert [found.name for found in transaction.list("job")] == ["a"]


def test_a_lock_that_is_never_released_is_said(store, monkeypatch):
    monkeypatch.setattr("overflight.account.local.state_file.BUSY_TIMEOUT_S", 0.05)
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="another process has kept the state locked"), store.write():
        pass
    other.close()
