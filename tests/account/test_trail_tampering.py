"""Whatever is written into the trail's table or an export by hand: it is found, in words, and never a traceback."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
import textwrap

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from overflight.account.local import chain, trail, trail_lines
from overflight.account.local.checkpoints import Checkpointer, Ledger
from overflight.account.local.store import Store
from overflight.account.local.trail_file import export_lines, verify_file
from overflight.account.local.verification import verify
from overflight.errors import InputError, StoreError
from overflight.files import canonical_json

WHO = "arn:aws:sts::000000000000:assumed-role/overflight-approver/ada"
SHARED = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def written(tmp_path_factory, module_clock):
    """Folder of an account with six entries, a checkpoint after the third, and its export."""
    folder = tmp_path_factory.mktemp("written")
    ledger, store = Ledger(folder / "keys"), Store(folder / "home", clock=module_clock)
    store.listener = Checkpointer(ledger, account_id="000000000000", clock=module_clock)
    for n in range(1, 7):
        with store.write() as transaction:
            trail.append(
                transaction,
                time=module_clock(),
                caller=WHO,
                service="sagemaker",
                operation="UpdateModelPackage" if n == 3 else "DescribeModelPackage",
                read_only=n != 3,
                request_id=f"r{n}",
                parameters={"ModelApprovalStatus": "Approved"} if n == 3 else {"Größe": [1, {"a": 'b"},"error":"'}]},
                error="ValidationException" if n == 5 else "",
                message="a\\b\n" if n == 5 else "",
                details={"role": "approver", "decision": {"outcome": "allow"}} if n != 6 else None,
            )
    export_lines(store, ledger, folder / "trail.jsonl", account_id="000000000000", time=module_clock(), by="a/b")
    store.close()
    return folder


@pytest.fixture(scope="module")
def module_clock():
    from datetime import UTC, datetime

    return lambda: datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
def tampered(written, tmp_path, module_clock):
    """Change a copy of the account's table; the opened store and its checkpoints."""
    opened = []

    def change(*statements):
        home = tmp_path / f"home{len(opened)}"
        shutil.copytree(written / "home", home)
        with sqlite3.connect(home / "state.db") as connection:
            for statement in statements:
                connection.execute(*([statement] if isinstance(statement, str) else statement))
        connection.close()
        opened.append(Store(home, clock=module_clock))
        return opened[-1], Ledger(written / "keys")

    yield change
    for store in opened:
        store.close()


def edited(found):
    return [finding.sequence for finding in found.findings if finding.problem == "was edited"]


@pytest.mark.parametrize("column", chain.COLUMNS[1:])
@pytest.mark.parametrize(
    "value",
    ["X'ff00'", "X''", "CAST(X'ff' AS TEXT)", "7.5", "'[1]'", "''", "9e999"],
    ids=["bytes", "no bytes", "no UTF-8", "number", "list", "empty", "infinity"],
)
def test_any_type_in_any_column_is_an_edit(tampered, tmp_path, column, value):
    store, ledger = tampered(f"UPDATE trail SET {column} = {value} WHERE sequence IN (1, 6)")
    unchanged = value == "''" and column in {"error", "message", "details"}
    found = verify(store, ledger)
    assert edited(found) == ([1] if unchanged and column == "details" else [] if unchanged else [1, 6])
    json.dumps(vars(found), default=vars).encode()
    out = tmp_path / "out.jsonl"
    export_lines(store, ledger, out, account_id="000000000000", time=store._clock(), by="a/b")
    assert edited(verify_file(out)) == edited(found)


def test_a_hash_emptied_beside_what_cannot_be_hashed_is_an_edit(tampered):
    store, ledger = tampered("UPDATE trail SET caller = X'ff', hash = '' WHERE sequence = 6")
    assert 6 in edited(verify(store, ledger))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("parameters", "[1]"),
        ("parameters", "5"),
        ("parameters", "[" * 100_000),
        ("parameters", "x"),
        ("details", "[1]"),
        ("details", "true"),
        ("details", "[" * 100_000),
        ("details", b"\xff\x00"),
        ("time", "nonsense"),
        ("time", "2026-03-01"),
        ("time", b"\xff"),
        ("caller", b"\xff"),
        ("hash", b"\xff"),
    ],
)
def test_an_entry_that_cannot_be_read_is_said_with_its_number(tampered, column, value):
    store, ledger = tampered((f"UPDATE trail SET {column} = ? WHERE sequence = 2", (value,)))
    with pytest.raises(StoreError, match=r"entry 2 of the trail cannot be read any more: it was edited"):
        list(trail.stream(store))
    assert edited(verify(store, ledger)) == [2]


def test_text_that_is_no_utf8_cannot_be_read(tampered):
    store, _ = tampered("UPDATE trail SET message = CAST(X'ff' AS TEXT) WHERE sequence = 2")
    with pytest.raises(StoreError, match=r"cannot be read any more: it was edited"):
        list(trail.stream(store))


VALUES = st.one_of(
    st.none(), st.integers(-(2**63), 2**63 - 1), st.floats(), st.binary(max_size=8), st.text(max_size=8),
    st.sampled_from(["{}", "[]", '{"checkpoint":{"number":1e999,"sha256":""}}', '{"checkpoint":{}}', "\x1b[2J"]),
)  # fmt: skip


@SHARED
@given(number=st.integers(1, 6), column=st.sampled_from(chain.COLUMNS), value=VALUES)
def test_any_change_of_any_column_is_found(written, module_clock, number, column, value):
    connection = sqlite3.connect(written / "home" / "state.db")
    rows = connection.execute(f"SELECT {', '.join(chain.COLUMNS)} FROM trail ORDER BY sequence").fetchall()
    connection.close()
    place = chain.COLUMNS.index(column)
    changed = [(*row[:place], value, *row[place + 1 :]) if row[0] == number else row for row in rows]
    before = rows[number - 1][place]
    walk = chain.walk_rows(changed, None)
    same = type(value) is type(before) and value == before
    assert bool(walk.findings) or same or (column == "read_only" and value is bool(before))
    json.dumps([vars(finding) for finding in walk.findings] + [walk.first_time, walk.last_time, walk.head]).encode()


# --- files


def lines_of(written):
    return (written / "trail.jsonl").read_bytes().splitlines(keepends=True)


def outcome(path, content):
    path.write_bytes(content)
    try:
        found = verify_file(path)
    except InputError:
        return "no export"
    json.dumps(vars(found), default=vars).encode()
    return "intact" if found.intact else "found"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("last", "1e999"), ("last", '"6"'), ("last", "6.0"), ("last", "true"), ("last", "9" * 40), ("entries", "[]"),
        ("hash", "5"), ("keys", "5"), ("keys", "[5]"), ("keys", '[{"public_key":5}]'), ("keys", '[{"public_key":"x"}]'),
        ("checkpoints", "[5]"), ("checkpoints", "{}"), ("account", "null"), ("last", "[" * 5000), ("schema", '"x"'),
    ],
)  # fmt: skip
def test_a_header_of_other_types_is_no_header(written, tmp_path, field, value):
    first, *rest = lines_of(written)
    header = json.loads(first)
    text = "{" + ",".join(f'"{key}":{value if key == field else json.dumps(header[key])}' for key in header) + "}"
    assert outcome(tmp_path / "f", b"".join([text.encode(), b"\n", *rest])) == "no export"


@pytest.mark.parametrize(
    ("field", "value"),
    [("last", 5), ("last", 7), ("last", -1), ("entries", 5), ("entries", 7), ("hash", "x"), ("account", "111122223333"),
     ("checkpoints", ["x"]), ("checkpoints", ["[" * 100_000]), ("checkpoints", ["\ud800"]),
     ("checkpoints", []), ("keys", [])],
)  # fmt: skip
def test_what_a_header_says_is_held_against_the_entries(written, tmp_path, field, value):
    first, *rest = lines_of(written)
    header = json.dumps(json.loads(first) | {field: value}).encode() + b"\n"
    assert outcome(tmp_path / "f", b"".join([header, *rest])) == "found"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("time", 5), ("time", None), ("time", "\x1b[2J"), ("time", "\ud800"), ("sequence", "1"), ("sequence", 1.0),
        ("sequence", True), ("sequence", 10**30), ("sequence", -(2**63)), ("sequence", None), ("details", 5),
        ("details", []), ("details", None), ("details", 0), ("details", {"checkpoint": {"number": 1}}),
        ("parameters", 5), ("parameters", []), ("hash", None), ("hash", "\ud800"), ("prev_hash", 5), ("read_only", 1),
        ("read_only", "true"), ("event_id", False), ("caller", ["x"]), ("comment", "one more"),
    ],
)  # fmt: skip
def test_a_member_of_another_type_is_an_edit_of_its_entry(written, tmp_path, field, value):
    for number in (1, 6):  # what stands first and last is shown
        lines = lines_of(written)
        lines[number] = json.dumps(json.loads(lines[number]) | {field: value}).encode() + b"\n"
        assert outcome(tmp_path / "f", b"".join(lines)) == "found"


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"[" * 200_000, id="nested"),
        pytest.param(b'{"parameters":' * 100_000, id="nested objects"),
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no text"),
        pytest.param(b"9" * 100_000, id="a number"),
        pytest.param(b"x" * 17 * 1024 * 1024, id="longer than any entry"),
        pytest.param(b'{"caller":"' + b"\\\\" * 400_000, id="backslashes"),
        pytest.param(b'{"caller":"a","details":{' + b'},"error":"' * 100_000, id="cut anywhere"),
    ],
)
def test_a_line_of_anything_is_found_and_the_others_are_still_read(written, tmp_path, line):
    lines = lines_of(written)
    lines[2] = line + b"\n"
    (tmp_path / "f").write_bytes(b"".join(lines))
    found = verify_file(tmp_path / "f")
    assert found.entries == 6
    assert edited(found) == [2]


def test_a_member_that_is_there_twice_is_an_edit(written, tmp_path):
    lines = lines_of(written)
    lines[1] = lines[1].replace(b'{"caller":', b'{"caller":"arn:somebody else","caller":')
    assert outcome(tmp_path / "f", b"".join(lines)) == "found"


def test_an_export_written_in_another_way_is_the_same(written, tmp_path):
    first, *rest = (json.loads(line) for line in lines_of(written))
    loose = [json.dumps(dict(reversed(entry.items())), indent=None).encode() + b"\n" for entry in rest]
    assert outcome(tmp_path / "f", json.dumps(first).encode() + b"\n" + b"".join(loose)) == "intact"


@SHARED
@given(data=st.data())
def test_any_changed_bytes_of_an_export_are_found(written, tmp_path, data):
    content = bytearray((written / "trail.jsonl").read_bytes())
    begin = data.draw(st.integers(0, len(content) - 1))
    how = data.draw(st.sampled_from(["replace", "remove", "insert"]))
    piece = data.draw(st.binary(min_size=1, max_size=6))
    if how == "remove":
        del content[begin : begin + len(piece)]
    else:
        content[begin : begin + (len(piece) if how == "replace" else 0)] = piece
    said = outcome(tmp_path / "f", bytes(content))
    assert said != "intact" or meaning(bytes(content)) == meaning((written / "trail.jsonl").read_bytes())


def meaning(content):
    """What an export says, without what nobody can prove: when and by whom it was written, and names of keys."""
    first, *rest = (json.loads(line) for line in content.split(b"\n") if line)
    kept = {key: first[key] for key in ("schema", "account", "entries", "last", "hash", "checkpoints")}
    return kept, [key["public_key"] for key in first["keys"]], rest


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)
INNER = st.sampled_from(["error", "parameters", "prev_hash", '"},'])
DOCUMENTS = st.dictionaries(
    INNER, st.recursive(st.text('",:{}er\\', max_size=4), lambda inner: st.dictionaries(INNER, inner, max_size=3))
)
ENTRIES = st.fixed_dictionaries(
    dict.fromkeys(("caller", "error", "message", "operation", "request_id", "service", "event_id"), TEXTS)
    | {"sequence": st.integers(1, 2**40), "read_only": st.booleans(), "time": st.just("2026-03-01T12:00:00.000000Z")}
    | {"hash": st.just("a" * 64), "prev_hash": st.just("b" * 64), "details": DOCUMENTS, "parameters": DOCUMENTS}
)


@settings(max_examples=60)
@given(entry=ENTRIES, without=st.sets(st.sampled_from(["details", "event_id"])))
def test_cutting_a_line_gives_what_parsing_it_gives(entry, without):
    line = canonical_json({name: value for name, value in entry.items() if name not in without})
    assert trail_lines.cut(line) in (None, trail_lines.parsed(line))


def test_lines_of_real_entries_are_cut(written):
    cut = [trail_lines.cut(line.decode().rstrip("\n")) for line in lines_of(written)[1:]]
    assert [row and row[0] for row in cut] == [1, 2, 3, 4, 5, 6]


def test_a_huge_file_of_faults_takes_little_memory(written, tmp_path):
    (tmp_path / "f").write_bytes(lines_of(written)[0] + b'{"sequence":5}\n' * 10_000 + b"y" * 80_000_000)
    measure = textwrap.dedent(
        """
        import resource, sys
        from pathlib import Path
        from overflight.account.local.trail_file import verify_file

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        found = verify_file(Path(sys.argv[1]))
        print(len(found.findings), (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
        """
    )
    done = subprocess.run([sys.executable, "-c", measure, tmp_path / "f"], capture_output=True, text=True, check=True)
    findings, grown_mib = map(int, done.stdout.split())
    assert 1000 <= findings < 1010
    assert grown_mib < 100
