"""Checkpoints of the trail: when they are written, and that no manipulation of trail or checkpoints goes unseen."""

from __future__ import annotations

import base64
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
import textwrap

import boto3
import pytest
from botocore.stub import Stubber
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from overflight.account.local import chain, trail
from overflight.account.local.checkpoint_keys import FileSigner, KmsSigner, PublicKey, read_public, write_public
from overflight.account.local.checkpoints import Checkpointer, Ledger, parse
from overflight.account.local.store import Store
from overflight.account.local.verification import verify
from overflight.errors import InputError, StoreError, UsageError

NOW = "2026-03-01T12:00:00.000000+00:00"


@pytest.fixture
def ledger(tmp_path):
    return Ledger(tmp_path / "keys" / "account")


@pytest.fixture
def store(tmp_path, clock, ledger):
    opened = Store(tmp_path / "home", clock=clock)
    opened.listener = Checkpointer(ledger, account_id="000000000000", clock=clock)
    yield opened
    opened.close()


def append(transaction, store, operation="GetObject", error="", parameters=None):
    trail.append(
        transaction,
        time=store._clock(),
        caller="arn:aws:sts::000000000000:assumed-role/overflight-approver/ada",
        service="sagemaker",
        operation=operation,
        read_only=False,
        request_id="r",
        parameters=parameters or {},
        error=error,
    )


def add(store, count, *, operation="GetObject", error="", **parameters):
    for _ in range(count):
        with store.write() as transaction:
            append(transaction, store, operation, error, parameters)


def decide(store):
    add(store, 1, operation="UpdateModelPackage", ModelApprovalStatus="Approved")


@pytest.fixture
def used(store):
    """Nine entries; checkpoints after 3 and 6, which entries 4 and 7 name."""
    for _ in range(2):
        add(store, 2)
        decide(store)
    add(store, 3)
    return store


def checkpoints(ledger):
    return [parse(line, "") for line in ledger.lines()]


def problems(store, ledger, **options):
    return [(finding.sequence, finding.problem) for finding in verify(store, ledger, **options).findings]


def alter(store, *statements):
    with sqlite3.connect(store.path) as connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


def reseal(store, after=0):
    """Give all entries after one the hashes that fit: what a forger who knows the code does."""
    connection = sqlite3.connect(store.path)
    connection.row_factory = sqlite3.Row
    previous = trail.GENESIS
    for row in connection.execute("SELECT * FROM trail ORDER BY sequence").fetchall():
        values = {**dict(row), "read_only": bool(row["read_only"]), "prev_hash": previous}
        if row["sequence"] > after:
            values["hash"] = trail.seal(values)
            connection.execute(
                "UPDATE trail SET prev_hash = ?, hash = ? WHERE sequence = ?",
                (previous, values["hash"], row["sequence"]),
            )
        previous = values["hash"]
    connection.commit()
    connection.close()


# --- when they are written


def test_an_approval_decision_is_covered_at_once(used, ledger):
    first, second = checkpoints(ledger)
    assert (first.sequence, second.sequence) == (3, 6)
    assert first.reason == "approval decision"
    assert second.prev == first.digest
    found = verify(used, ledger)
    assert found.findings == []
    assert (found.entries, found.checkpoints, found.covered) == (9, 2, 6)
    assert [warning.problem for warning in found.warnings] == [
        "the last 3 of 9 entries are not covered by a checkpoint"
    ]


@pytest.mark.parametrize(
    ("operation", "error", "parameters"),
    [
        pytest.param("UpdateModelPackage", "AccessDeniedException", {"ModelApprovalStatus": "Approved"}, id="refused"),
        pytest.param("UpdateModelPackage", "", {"ApprovalDescription": "x"}, id="no decision"),
        pytest.param("DescribeModelPackage", "", {}, id="a read"),
    ],
)
def test_other_calls_wait_for_their_turn(store, ledger, operation, error, parameters):
    add(store, 1, operation=operation, error=error, **parameters)
    assert ledger.lines() == []
    assert not ledger.folder.exists()


def test_every_256th_entry_is_covered(store, ledger):
    add(store, 513)
    assert [(point.sequence, point.reason) for point in checkpoints(ledger)] == [
        (256, "every 256 entries"),
        (512, "every 256 entries"),
    ]
    with store.read() as transaction:
        named = [entry for entry in trail.entries(transaction) if entry.details]
    assert [(entry.sequence, entry.details["checkpoint"]["number"]) for entry in named] == [(257, 1), (513, 2)]
    assert verify(store, ledger).findings == []


def test_the_first_entry_of_a_process_names_the_checkpoint_of_another(store, ledger, clock):
    decide(store)
    store.listener = Checkpointer(ledger, account_id="000000000000", clock=clock)
    add(store, 2)
    with store.read() as transaction:
        named = [entry.details.get("checkpoint") for entry in trail.entries(transaction)]
    assert named == [None, {"number": 1, "sha256": checkpoints(ledger)[0].digest}, None]
    assert verify(store, ledger).findings == []


@pytest.mark.parametrize("content", ["nothing\n", '{"number": 1}\n', ""])
def test_checkpoints_that_cannot_be_read_keep_no_account_from_being_opened(ledger, clock, content):
    ledger.folder.mkdir(parents=True)
    ledger.path.write_text(content)
    assert Checkpointer(ledger, account_id="000000000000", clock=clock).anchor is None


def test_details_of_another_type_are_found(used, ledger):
    alter(
        used, "UPDATE trail SET details = x'ff' WHERE sequence = 2", "UPDATE trail SET details = 7 WHERE sequence = 5"
    )
    assert (2, "was edited") in problems(used, ledger)


def test_an_entry_that_is_rolled_back_names_no_checkpoint_and_the_next_one_does(store, ledger):
    def fail_after_an_entry() -> None:
        with store.write() as transaction:
            append(transaction, store)
            raise RuntimeError("stop")

    decide(store)
    with pytest.raises(RuntimeError, match="stop"):
        fail_after_an_entry()
    add(store, 2)
    with store.read() as transaction:
        assert [bool(entry.details) for entry in trail.entries(transaction)] == [False, True, False]


def test_a_checkpoint_that_cannot_be_written_fails_no_call_and_is_shown(store, ledger, caplog):
    ledger.folder.parent.mkdir(parents=True)
    ledger.folder.write_text("a file where the folder should be")
    decide(store)
    assert "no checkpoint of the trail was written at entry 1" in caplog.text
    ledger.folder.unlink()
    found = verify(store, ledger)
    assert found.findings == []
    assert [warning.problem for warning in found.warnings] == [f"there are no checkpoints in {ledger.path}"]


def test_nothing_is_written_twice_for_the_same_entry(used, ledger, clock):
    writer = used.listener
    assert writer.write(6, "x", reason="asked for")[1] is False
    made, new = writer.write(9, verify(used).head, reason="asked for")
    assert (new, made.number) == (True, 3)
    assert verify(used, ledger).covered == 9


def test_the_key_is_its_owners_alone_and_the_folder_too(used, ledger):
    assert stat.S_IMODE((ledger.folder / "checkpoint.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(ledger.folder.stat().st_mode) == 0o700
    assert [key.id for key in ledger.public_keys()] == [checkpoints(ledger)[0].key]


def test_half_a_line_that_a_power_cut_left_is_dropped(used, ledger):
    with ledger.path.open("ab") as handle:
        handle.write(b'{"account":"0000')
    assert problems(used, ledger) == []
    decide(used)
    assert [point.number for point in checkpoints(ledger)] == [1, 2, 3]
    assert problems(used, ledger) == []


@pytest.mark.parametrize(
    "reason",
    [
        pytest.param("x" * 501, id="too long"),
        pytest.param("x" * 70_000, id="longer than what is read at once"),
        pytest.param("two\nlines", id="two lines"),
        pytest.param("half a \ud800 pair", id="no UTF-8"),
        pytest.param("  ", id="nothing"),
    ],
)
def test_a_reason_is_one_line_of_text(used, ledger, reason):
    before = ledger.lines()
    with pytest.raises(UsageError, match="one line of at most 500 characters"):
        used.listener.write(9, verify(used).head, reason=reason, begins=True)
    assert ledger.lines() == before


def test_after_a_line_of_any_length_the_next_checkpoint_is_written(used, ledger):
    key, last = FileSigner(ledger.folder), checkpoints(ledger)[-1]
    unsigned = {**vars(last), "number": 3, "sequence": 9, "hash": verify(used).head, "prev": last.digest}
    unsigned |= {"reason": "ä" * 70_000, "signature": ""}
    signature = base64.b64encode(key.sign(type(last)(**unsigned).message)).decode()
    with ledger.path.open("ab") as handle:
        handle.write(type(last)(**{**unsigned, "signature": signature}).line.encode() + b"\n" + b"half" * 50_000)
    decide(used)
    assert [point.number for point in checkpoints(ledger)] == [1, 2, 3, 4]
    assert problems(used, ledger) == []


@pytest.mark.parametrize(
    "line",
    [
        b"x" * 100_000,
        b"[" * 100_000,
        b'{"number":' + b"9" * 5000 + b"}",
        b"\xff\x00",
        b"",
    ],
    ids=["no JSON", "nested", "a number", "no text", "empty"],
)
def test_a_last_line_that_cannot_be_read_is_said_with_what_it_stops(used, ledger, caplog, line):
    with ledger.path.open("ab") as handle:
        handle.write(line + b"\n")
    decide(used)
    assert "no checkpoint of the trail was written at entry 10" in caplog.text
    found = [finding for finding in verify(used, ledger).findings if "is no checkpoint" in finding.problem]
    assert [finding.problem for finding in found] == [f"line 3 of {ledger.path} is no checkpoint"]
    assert "approval decisions are not covered" in found[0].meaning
    assert "--begin" in found[0].meaning


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("key", "\ud800"),
        ("reason", "\ud800"),
        ("number", 10**30),
        ("sequence", -1),
        ("time", "\x1b[2J"),
        ("hash", None),
    ],
)
def test_what_no_checkpoint_holds_is_no_checkpoint(used, ledger, field, value):
    rewrite(ledger, lambda lines: [lines[0], {**lines[1], field: value}])
    assert (0, f"line 2 of {ledger.path} is no checkpoint") in problems(used, ledger)


# --- manipulations of the trail


@pytest.mark.parametrize(
    ("statements", "found"),
    [
        pytest.param(["UPDATE trail SET error = 'x' WHERE sequence = 2"], [(2, "was edited")], id="edited"),
        pytest.param(["UPDATE trail SET caller = x'ff' WHERE sequence = 2"], [(2, "was edited")], id="another type"),
        pytest.param(
            ["UPDATE trail SET caller = CAST(x'ff' AS TEXT) WHERE sequence = 2"], [(2, "was edited")], id="no UTF-8"
        ),
        pytest.param(["UPDATE trail SET read_only = 7 WHERE sequence = 2"], [(2, "was edited")], id="no boolean"),
        pytest.param(["DELETE FROM trail WHERE sequence = 2"], [(2, "entries 2 to 2 are missing")], id="deleted"),
        pytest.param(
            [
                "UPDATE trail SET sequence = -1 WHERE sequence = 7",
                "UPDATE trail SET sequence = 7 WHERE sequence = 8",
                "UPDATE trail SET sequence = 8 WHERE sequence = -1",
            ],
            [
                (7, "does not follow from the entry before"),
                (7, "was edited"),
                (8, "does not follow from the entry before"),
                (8, "was edited"),
                (9, "does not follow from the entry before"),
            ],
            id="swapped",
        ),
        pytest.param(
            [
                "UPDATE trail SET sequence = 10 WHERE sequence = 9",
                "INSERT INTO trail SELECT 9, time, caller, service, operation, read_only, request_id, parameters, "
                "error, message, prev_hash, hash, details, event_id FROM trail WHERE sequence = 8",
            ],
            [
                (9, "does not follow from the entry before"),
                (9, "was edited"),
                (10, "was edited"),
                (11, "the count of entries that were ever written was edited"),
            ],
            id="inserted",
        ),
        pytest.param(
            ["INSERT INTO trail SELECT 0, time, caller, service, operation, read_only, request_id, parameters, "
             "error, message, prev_hash, hash, details, event_id FROM trail WHERE sequence = 1"],
            [(0, "stands before the first entry"), (0, "was edited")],
            id="put in front",
        ),
        pytest.param(
            ["DELETE FROM trail WHERE sequence > 7"], [(8, "entries 8 to 9 are missing at the end")], id="cut off"
        ),
        pytest.param(
            ["UPDATE sqlite_sequence SET seq = 2 WHERE name = 'trail'"],
            [(10, "the count of entries that were ever written was edited")],
            id="the count edited",
        ),
    ],
)  # fmt: skip
def test_the_chain_shows_it(used, ledger, statements, found):
    alter(used, *statements)
    assert problems(used, ledger) == found
    assert all(finding.meaning for finding in verify(used, ledger).findings)


def test_a_cut_off_end_with_the_count_edited_is_shown_by_the_checkpoints_alone(used, ledger):
    alter(used, "DELETE FROM trail WHERE sequence > 4", "UPDATE sqlite_sequence SET seq = 4 WHERE name = 'trail'")
    assert verify(used).findings == []
    assert problems(used, ledger) == [(5, f"entries 5 to 6 are missing: checkpoint 2 of {NOW} has them")]


def test_removed_entirely_and_begun_anew(used, ledger):
    alter(used, "DELETE FROM trail", "DELETE FROM sqlite_sequence WHERE name = 'trail'")
    add(used, 2)
    assert verify(used).findings == []
    assert problems(used, ledger) == [(3, f"entries 3 to 6 are missing: checkpoint 2 of {NOW} has them")]


def test_a_trail_written_anew_with_fitting_hashes_is_shown_by_the_checkpoints_alone(used, ledger):
    alter(used, "UPDATE trail SET caller = 'somebody else' WHERE sequence = 2")
    reseal(used)
    assert verify(used).findings == []
    found = verify(used, ledger)
    assert [(one.sequence, one.problem) for one in found.findings] == [
        (3, f"is not what checkpoint 1 of {NOW} and 1 more proves")
    ]
    assert found.findings[0].meaning.startswith("the trail was written anew after entry 0")
    assert found.covered == 0


def test_written_anew_after_a_checkpoint_says_after_which_entry(used, ledger):
    alter(used, "UPDATE trail SET caller = 'somebody else' WHERE sequence = 5")
    reseal(used)
    found = verify(used, ledger)
    assert [one.sequence for one in found.findings] == [6]
    assert "after entry 3" in found.findings[0].meaning
    assert found.covered == 3


def test_an_older_copy_of_the_whole_folder_is_found(used, ledger, clock, tmp_path):
    used.close()
    shutil.copytree(used.home, tmp_path / "copy")
    decide(used)
    used.close()
    shutil.rmtree(used.home)
    shutil.copytree(tmp_path / "copy", used.home)
    again = Store(used.home, clock=clock)
    assert problems(again, ledger) == [(10, f"entries 10 to 10 are missing: checkpoint 3 of {NOW} has them")]
    again.listener = Checkpointer(ledger, account_id="000000000000", clock=clock)
    add(again, 3)  # work that goes on covers nothing up
    assert [sequence for sequence, _ in problems(again, ledger)] == [10]
    again.close()


# --- manipulations of the checkpoints


def rewrite(ledger, change):
    lines = [json.loads(line) for line in ledger.lines()]
    ledger.path.write_text(
        "".join(json.dumps(line, sort_keys=True, separators=(",", ":")) + "\n" for line in change(lines))
    )


def resigned(ledger, key):
    """All checkpoints signed with another key, with fitting links."""
    previous, made = "0" * 64, []
    public = PublicKey(key.public_key().public_bytes_raw())
    for point in checkpoints(ledger):
        unsigned = type(point)(**{**vars(point), "key": public.id, "prev": previous})
        signature = base64.b64encode(key.sign(unsigned.message)).decode()
        made.append(type(point)(**{**vars(unsigned), "signature": signature}))
        previous = made[-1].digest
    ledger.path.write_text("".join(point.line + "\n" for point in made))
    return public


@pytest.mark.parametrize(
    ("change", "says"),
    [
        pytest.param(lambda lines: [{**lines[0], "hash": "0" * 64}, lines[1]], "of checkpoint 1", id="edited"),
        pytest.param(lambda lines: [{**lines[0], "signature": "?"}, lines[1]], "of checkpoint 1", id="no base64"),
        pytest.param(lambda lines: [{"number": 1}, lines[1]], "line 1 of", id="no checkpoint"),
        pytest.param(lambda lines: [{**lines[0], "number": "1"}, lines[1]], "line 1 of", id="text for a number"),
        pytest.param(lambda lines: lines[1:], "checkpoints 1 to 1 are missing", id="first removed"),
        pytest.param(lambda lines: lines[:1], "names checkpoint 2, which is not in", id="last removed"),
        pytest.param(lambda lines: [], "names checkpoint 1, which is not in", id="emptied"),
        pytest.param(lambda lines: lines[::-1], "checkpoints 1 to 1 are missing", id="reordered"),
        pytest.param(lambda lines: [*lines, lines[1]], "checkpoint 2 stands where", id="repeated"),
    ],
)  # fmt: skip
def test_changed_checkpoints_are_found(used, ledger, change, says):
    rewrite(ledger, change)
    found = verify(used, ledger).findings
    assert any(says in finding.problem for finding in found), found
    assert all(finding.meaning for finding in found)


def test_another_way_to_write_the_same_checkpoint_is_an_edit(used, ledger):
    ledger.path.write_text(ledger.path.read_text().replace('":', '": '))
    assert any("is not written as it was signed" in problem for _, problem in problems(used, ledger))


def test_signed_again_with_another_key(used, ledger):
    public = resigned(ledger, Ed25519PrivateKey.generate())
    found = [problem for _, problem in problems(used, ledger)]
    assert any(f"checkpoint 1 is signed with the key {public.id}" in problem for problem in found)
    assert any("names checkpoint 1" in problem for problem in found)


def test_signed_again_with_another_key_whose_public_half_was_put_there(used, ledger):
    public = resigned(ledger, Ed25519PrivateKey.generate())
    write_public(public, ledger.folder / "checkpoint.pub")
    found = [problem for _, problem in problems(used, ledger)]
    assert "checkpoint.pub does not belong to checkpoint.key" in found
    assert any("names checkpoint 1" in problem for problem in found)


def test_only_the_given_keys_are_trusted(used, ledger, tmp_path):
    own = ledger.public_keys()
    assert problems(used, ledger, public_keys=own) == []
    other = PublicKey(Ed25519PrivateKey.generate().public_key().public_bytes_raw())
    assert [sequence for sequence, _ in problems(used, ledger, public_keys=[other])] == [3, 6]


def strip_anchors(store):
    """What a forger does before he gives all entries new hashes: no entry names a checkpoint any more."""
    alter(store, "UPDATE trail SET details = ''")
    reseal(store)


def gone(store, ledger):
    (found,) = verify(store, ledger).findings
    assert found.sequence == 0
    assert "--begin" in found.meaning
    assert "--without-checkpoints" in found.meaning
    return found.problem.partition(f"there are no checkpoints in {ledger.path}, but ")[2]


def test_removing_the_folder_is_found_by_what_entries_name(used, ledger):
    shutil.rmtree(ledger.folder)
    assert gone(used, ledger) == "entry 7 names checkpoint 2 and 2 were due in 9 entries"


def test_removing_the_checkpoints_is_found_by_the_keys_that_signed_them(store, ledger):
    add(store, 1)
    decide(store)
    ledger.path.unlink()
    assert gone(store, ledger) == "the keys that signed them are there"
    (ledger.folder / "checkpoint.key").unlink()
    assert gone(store, ledger) == "the keys that signed them are there"


@pytest.mark.parametrize("cut", [shutil.rmtree, lambda folder: (folder / "checkpoints.jsonl").write_bytes(b"")])
def test_a_long_trail_without_checkpoints_is_none_that_was_ever_written(store, ledger, cut):
    add(store, 300)
    alter(store, "UPDATE trail SET caller = 'somebody else' WHERE sequence = 2")
    strip_anchors(store)
    cut(ledger.folder)
    (found,) = verify(store, ledger).findings
    assert "1 were due" in found.problem
    assert "--begin" in found.meaning


def test_checkpoints_cut_off_behind_entries_without_names_are_missed_where_they_were_due(store, ledger):
    add(store, 800)
    strip_anchors(store)
    assert checkpoints(ledger)[-1].sequence == 768
    ledger.path.write_text(ledger.lines()[0] + "\n")
    assert problems(store, ledger) == [(257, "the last 544 entries are without a checkpoint: 2 were due")]


def test_checkpoints_that_begin_late_are_told(store, ledger):
    add(store, 520)
    strip_anchors(store)
    shutil.rmtree(ledger.folder)
    store.listener.write(520, verify(store).head, reason="asked for")
    assert problems(store, ledger) == [(520, "the first checkpoint is for entry 520, but 2 were due before it")]


def test_after_beginning_anew_the_trail_is_judged_from_there_and_that_is_told(used, ledger):
    ledger.path.unlink()
    used.listener.write(9, verify(used).head, reason="disk was replaced", begins=True)
    found = verify(used, ledger)
    assert (found.findings, found.covered) == ([], 9)
    assert "checkpoints begin at entry 9" in found.warnings[0].problem
    assert "disk was replaced" in found.warnings[0].problem


def test_a_trail_of_a_version_without_checkpoints_is_told_how_to_begin(store, ledger):
    store.listener = None
    add(store, 300)
    alter(store, "UPDATE trail SET event_id = ''")
    reseal(store)
    assert gone(store, ledger) == "1 were due in 300 entries"
    store.listener = Checkpointer(ledger, account_id="000000000000", clock=store._clock)
    add(store, 212)
    assert problems(store, ledger) == []


def test_a_trail_that_was_begun_anew_on_purpose_is_judged_from_there(used, ledger):
    alter(used, "DELETE FROM trail", "DELETE FROM sqlite_sequence WHERE name = 'trail'")
    add(used, 2)
    used.listener.write(2, verify(used).head, reason="folder deleted for a course", begins=True)
    decide(used)
    found = verify(used, ledger)
    assert found.findings == []
    assert "2 checkpoints are of an earlier trail in this place" in found.warnings[0].problem
    assert (found.checkpoints, found.covered) == (2, 3)
    alter(used, "UPDATE trail SET caller = 'somebody else' WHERE sequence = 2")
    reseal(used)
    assert [sequence for sequence, _ in problems(used, ledger)] == [2]


def test_damaged_keys_are_said(used, ledger):
    (ledger.folder / "checkpoint.pub").write_text("nothing")
    assert problems(used, ledger) == [(0, "the checkpoints cannot be read")]
    (ledger.folder / "checkpoint.key").write_text("nothing")
    with pytest.raises(StoreError, match="holds no ed25519 key"):
        FileSigner(ledger.folder)


# --- several processes, and processes that die

WRITER = textwrap.dedent(
    """
    import os, sys
    from pathlib import Path
    from overflight.account.clock import utc_now
    from overflight.account.local import trail
    from overflight.account.local.checkpoints import Checkpointer, Ledger
    from overflight.account.local.store import Store

    home, keys, count, dies = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3]), sys.argv[4] == "dies"
    store = Store(home, clock=utc_now)
    store.listener = Checkpointer(Ledger(keys), account_id="000000000000", clock=utc_now)
    if dies:
        store.listener.write = lambda *_, **__: os._exit(9)
    for n in range(count):
        with store.write() as transaction:
            trail.append(
                transaction, time=utc_now(), caller=f"process {os.getpid()}", service="sagemaker",
                operation="UpdateModelPackage" if n % 40 == 39 else "GetObject", read_only=False, request_id=str(n),
                parameters={"ModelApprovalStatus": "Approved"} if n % 40 == 39 else {},
            )
    """
)


def start_writer(store, ledger, count, dies=""):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(store.home), str(ledger.folder), str(count), dies or "lives"]
    )


def test_two_processes_write_at_once(store, ledger):
    writers = [start_writer(store, ledger, 300) for _ in range(2)]
    assert [writer.wait(60) for writer in writers] == [0, 0]
    found = verify(store, ledger)
    assert found.findings == []
    assert found.entries == 600
    assert found.checkpoints >= 8
    with store.read() as transaction:
        callers = [entry.caller for entry in trail.entries(transaction)]
    assert len(set(callers)) == 2


def test_killed_between_commit_and_checkpoint(store, ledger):
    assert start_writer(store, ledger, 60, "dies").wait(60) == 9
    found = verify(store, ledger)
    assert (found.entries, found.findings) == (40, [])
    assert found.warnings
    assert start_writer(store, ledger, 40).wait(60) == 0
    found = verify(store, ledger)
    assert (found.entries, found.covered, found.findings, found.warnings) == (80, 80, [], [])


# --- hashing in one go


@given(
    texts=st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=10, max_size=10),
    sequence=st.integers(1, 2**53),
    read_only=st.booleans(),
)
def test_the_quick_text_of_a_row_is_the_canonical_one(texts, sequence, read_only):
    names = [name for name in chain.COLUMNS if name not in {"sequence", "read_only", "hash", "prev_hash"}]
    row = {**dict(zip(names, texts, strict=True)), "sequence": sequence, "read_only": read_only, "prev_hash": "0" * 64}
    quick = chain.row_text(tuple({**row, "hash": ""}[name] for name in chain.COLUMNS))
    assert trail.sha256_bytes(quick.encode()) == trail.seal(row)


# --- KMS


@pytest.fixture
def kms():
    return boto3.client("kms", region_name="eu-central-1", aws_access_key_id="x", aws_secret_access_key="x")


def public_der(key):
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def test_a_key_in_kms_signs_the_message_itself(store, ledger, kms):
    add(store, 2)
    head, secret, arn = verify(store).head, Ed25519PrivateKey.generate(), "arn:aws:kms:eu-central-1:1:key/k"
    kept = {"KeyId": arn, "PublicKey": public_der(secret), "KeySpec": "ECC_NIST_EDWARDS25519"}
    answer = {**kept, "KeyUsage": "SIGN_VERIFY", "SigningAlgorithms": ["ED25519_SHA_512", "ED25519_PH_SHA_512"]}
    sent = []

    def keep(params, **_):
        sent.append(params)

    kms.meta.events.register("provide-client-params.kms.Sign", keep)
    with Stubber(kms) as stub:
        stub.add_response("get_public_key", answer, {"KeyId": "alias/trail"})
        signer = KmsSigner(kms, "alias/trail")
        expected = store.listener.ledger  # the message is known only when the time is: sign what is asked for

        class Local:
            public = signer.public

            def sign(self, message):
                stub.add_response(
                    "sign",
                    {"KeyId": arn, "Signature": secret.sign(message), "SigningAlgorithm": "ED25519_SHA_512"},
                    {
                        "KeyId": "alias/trail",
                        "Message": message,
                        "MessageType": "RAW",
                        "SigningAlgorithm": "ED25519_SHA_512",
                    },
                )
                return signer.sign(message)

        made, _ = store.listener.write(2, head, reason="asked for", signer=lambda _: Local())
        stub.assert_no_pending_responses()
    assert expected is ledger
    assert sent[0]["Message"] == made.message
    assert len(made.message) <= 4096
    assert [path.name for path in ledger.folder.glob("*.pub")] == [f"kms-{signer.public.id}.pub"]
    assert verify(store, ledger).findings == []
    assert verify(store, ledger).covered == 2


def test_a_kms_key_of_another_kind_is_refused(kms):
    answer = {
        "KeyId": "k",
        "PublicKey": public_der(ec.generate_private_key(ec.SECP256R1())),
        "KeySpec": "ECC_NIST_P256",
        "SigningAlgorithms": ["ECDSA_SHA_256"],
    }
    with Stubber(kms) as stub:
        stub.add_response("get_public_key", answer, {"KeyId": "k"})
        with pytest.raises(InputError, match="ECC_NIST_P256 cannot sign with ed25519"):
            KmsSigner(kms, "k")


def test_a_public_key_is_read_from_pem_and_nothing_else(tmp_path):
    (tmp_path / "a").write_text("nothing")
    with pytest.raises(InputError, match="holds no ed25519 public key"):
        read_public(tmp_path / "a")
    with pytest.raises(InputError, match="cannot be read"):
        read_public(tmp_path / "b")


def test_the_accounts_own_checkpoints_lie_outside_of_its_folder(account, settings):
    assert account.trail_keys == settings.trail_keys_path
    assert not account.trail_keys.is_relative_to(account.home)
    assert account.trail_keys.is_relative_to(os.environ["XDG_STATE_HOME"])
