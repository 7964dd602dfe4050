"""The columns of the trail: what an entry carries, and state files of the first schema version."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import uuid
from datetime import UTC, datetime

import pytest

from overflight.account.local import trail
from overflight.account.local.store import Store
from overflight.account.local.verification import verify
from overflight.errors import StoreError
from overflight.files import canonical_json, sha256_bytes

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)
OLD_FIELDS = ("time", "caller", "service", "operation", "read_only", "request_id", "parameters", "error", "message")


@pytest.fixture
def store(tmp_path, clock):
    opened = Store(tmp_path / "home", clock=clock)
    yield opened
    opened.close()


def append(store, **changes):
    given = {
        "time": NOW,
        "caller": "arn:aws:sts::000000000000:assumed-role/overflight-auditor/ada",
        "service": "s3",
        "operation": "GetObject",
        "read_only": True,
        "request_id": "r",
        "parameters": {},
    }
    with store.write() as transaction:
        trail.append(transaction, **{**given, **changes})
    with store.read() as transaction:
        return trail.entries(transaction)[-1]


def make_version_1(path):
    """Take the state file back to what schema version 1 wrote: three entries sealed over the old columns."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("DELETE FROM trail")
    connection.execute("DELETE FROM sqlite_sequence WHERE name = 'trail'")
    connection.execute("ALTER TABLE trail DROP COLUMN details")
    connection.execute("ALTER TABLE trail DROP COLUMN event_id")
    previous = trail.GENESIS
    for sequence in (1, 2, 3):
        values = ("2026-03-01T12:00:00.000000+00:00", "arn", "s3", "PutObject", False, f"r{sequence}", "{}", "", "")
        row = {"sequence": sequence, **dict(zip(OLD_FIELDS, values, strict=True)), "prev_hash": previous}
        previous = row["hash"] = sha256_bytes(canonical_json(row).encode())
        places = ", ".join("?" * len(row))
        connection.execute(f"INSERT INTO trail ({', '.join(row)}) VALUES ({places})", tuple(row.values()))
    connection.execute("PRAGMA user_version = 1")
    connection.close()


def test_an_entry_keeps_its_details_and_seals_them(store):
    entry = append(store, details={"role": "auditor", "decision": {"outcome": "allow"}, "api_key": "x"})
    assert entry.details == {"role": "auditor", "decision": {"outcome": "allow"}, "api_key": "***"}
    with sqlite3.connect(store.path) as connection:
        connection.execute("UPDATE trail SET details = ''")
    connection.close()
    assert [finding.problem for finding in verify(store).findings] == ["was edited"]


def test_entries_without_details_have_an_empty_mapping(store):
    assert append(store).details == {}
    assert append(store, details={}).details == {}


def test_event_ids_are_uuids_of_version_7_with_the_accounts_time(store):
    first, second = append(store), append(store)
    for entry in (first, second):
        given = uuid.UUID(entry.event_id)
        assert (given.version, given.variant) == (7, uuid.RFC_4122)
        assert given.int >> 80 == int(NOW.timestamp() * 1000)
    assert first.event_id != second.event_id


def test_version_1_is_migrated_in_place_and_old_entries_keep_their_hashes(store, clock):
    store.close()
    make_version_1(store.path)
    opened = Store(store.home, clock=clock)
    with opened.read() as transaction:
        before = trail.entries(transaction)
    assert [(entry.sequence, entry.details, entry.event_id) for entry in before] == [(n, {}, "") for n in (1, 2, 3)]
    assert verify(opened).findings == []
    new = append(opened, details={"role": "auditor"})
    assert (new.sequence, new.prev_hash) == (4, before[-1].hash)
    assert verify(opened).findings == []
    opened.close()
    again = Store(store.home, clock=clock)
    with again.read() as transaction:
        assert len(trail.entries(transaction)) == 4
    again.close()


def test_a_file_of_version_1_without_a_trail_is_refused_and_left_alone(store, clock):
    store.close()
    make_version_1(store.path)
    with sqlite3.connect(store.path) as connection:
        connection.execute("DROP TABLE trail")
    connection.close()
    with pytest.raises(StoreError, match="is not the state of a local account"):
        Store(store.home, clock=clock)
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (1,)
    connection.close()


def test_several_processes_may_migrate_at_once(store, tmp_path):
    store.close()
    make_version_1(store.path)
    program = (
        "import sys\nfrom pathlib import Path\nfrom overflight.account.clock import utc_now\n"
        "from overflight.account.local.store import Store\nStore(Path(sys.argv[1]), clock=utc_now).close()\n"
    )
    running = [subprocess.Popen([sys.executable, "-c", program, str(store.home)]) for _ in range(3)]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    with sqlite3.connect(store.path) as connection:
        assert connection.execute("PRAGMA user_version").fetchone() == (2,)
        assert connection.execute("SELECT COUNT(*) FROM trail WHERE details = ''").fetchone() == (3,)
    connection.close()
