"""The trail as a file: JSON Lines that can be verified without the account, or CloudTrail's form for people's tools.

The first line is a header with the checkpoints and the public keys, then there is one canonical line for each entry.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from overflight.account.local import trail
from overflight.account.local.chain import COLUMNS, Row
from overflight.account.local.checkpoint_keys import PublicKey, public_from_text
from overflight.account.local.checkpoints import Ledger
from overflight.account.local.ledger_check import Finding, LedgerCheck, check_lines
from overflight.account.local.store import Store, time_text
from overflight.account.local.trail_lines import JSON_COLUMNS, file_rows
from overflight.account.local.verification import Verification, verify_rows
from overflight.account.trail_entry import to_record
from overflight.errors import InputError
from overflight.files import atomic_write, canonical_json

SCHEMA = "overflight.trail/1"
_LONGEST_HEADER_BYTES = 32 * 1024 * 1024  # some 70 thousand checkpoints
_AS_BYTES = "surrogateescape"
_CURE = "Give a file that `overflight trail export` wrote"


def export_lines(store: Store, ledger: Ledger, out: Path, *, account_id: str, time: datetime, by: str) -> int:
    """Write the whole trail with what proves it; returns the number of entries.

    Raises:
        InputError: a public key beside the checkpoints cannot be read.
        ResourceError: the disk is full; nothing was written.
    """
    points, keys = ledger.lines(), ledger.public_keys()
    with store.read() as transaction, atomic_write(out) as handle, contextlib.ExitStack() as stack:
        raw = cast("sqlite3.Connection", transaction.connection.connection.driver_connection)
        usual, raw.text_factory = raw.text_factory, _as_it_is
        stack.callback(setattr, raw, "text_factory", usual)
        count, last = raw.execute("SELECT COUNT(*), MAX(sequence) FROM trail").fetchone()
        head = raw.execute("SELECT hash FROM trail ORDER BY sequence DESC LIMIT 1").fetchone()
        header = {
            "schema": SCHEMA,
            "account": account_id,
            "exported_at": time_text(time),
            "exported_by": by,
            "entries": count,
            "last": last or 0,
            "hash": str(head[0]).encode(errors="replace").decode() if head else trail.GENESIS,
            "keys": [{"id": key.id, "public_key": key.text} for key in keys],
            "checkpoints": points,
        }
        handle.write(canonical_json(header).encode(errors="replace") + b"\n")
        for row in raw.execute(f"SELECT {', '.join(COLUMNS)} FROM trail ORDER BY sequence"):  # noqa: S608  # our columns
            handle.write(_line(row).encode(errors=_AS_BYTES) + b"\n")
    return int(count)


def export_cloudtrail(store: Store, out: Path, *, account_id: str, region: str) -> int:
    """Write the whole trail as a log file of CloudTrail (``{"Records": [...]}``); returns the number of entries.

    Raises:
        ResourceError: the disk is full; nothing was written.
    """
    count = 0
    with atomic_write(out) as handle:
        handle.write(b'{"Records":[')
        for entry in trail.stream(store):
            record = to_record(entry, account_id=account_id, region=region)
            handle.write((b",\n" if count else b"\n") + json.dumps(record, ensure_ascii=False).encode())
            count += 1
        handle.write(b"\n]}\n")
    return count


def verify_file(
    path: Path, *, public_keys: Sequence[PublicKey] | None = None, chain_only: bool = False
) -> Verification:
    """Whether an export is what was exported, and what was written in the first place.

    Args:
        path: The file.
        public_keys: The only keys to trust; None trusts those in the file, which proves only that it fits itself.
        chain_only: Leave the checkpoints out.

    Raises:
        InputError: it is no export.
    """
    try:
        with path.open("rb") as handle:
            header = _header(handle.readline(_LONGEST_HEADER_BYTES), path)
            keys = public_keys
            if keys is None:
                keys = [public_from_text(key, str(path)) for key in header.keys]
            checked = check_lines(header.checkpoints, keys, place=str(path), present=bool(header.checkpoints))
            _check_account(checked, header)
            if public_keys is None:
                _warn_own_keys(checked)
            judged = None if chain_only else checked
            return verify_rows(file_rows(handle), judged, head=header.hash, last=header.last, entries=header.entries)
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), cure=_CURE) from error


@dataclass(frozen=True)
class _Header:
    """The first line: what people and later lines are held against."""

    account: str
    entries: int
    last: int
    hash: str
    keys: list[str]
    checkpoints: list[str]


def _header(line: bytes, path: Path) -> _Header:
    """The first line, its types checked.

    Raises:
        InputError: it is none of an export.
    """
    try:
        header = json.loads(line.decode())
        if not isinstance(header, dict) or header.get("schema") != SCHEMA:
            raise InputError(f"is no export of the schema {SCHEMA}", where=str(path), cure=_CURE)
        header["keys"] = [key["public_key"] for key in header["keys"]]
        if type(header["checkpoints"]) is not list:
            raise TypeError("checkpoints")
        made = _Header(**{name.name: header[name.name] for name in fields(_Header)})
    except (KeyError, TypeError, ValueError, RecursionError) as error:
        raise InputError("has no header of an exported trail", where=str(path), cure=_CURE) from error
    numbers, texts = (made.entries, made.last), [made.account, made.hash, *made.keys, *made.checkpoints]
    if any(type(one) is not int or abs(one) >= 2**63 for one in numbers) or any(type(one) is not str for one in texts):
        raise InputError("has no header of an exported trail", where=str(path), cure=_CURE)
    return made


def _check_account(checked: LedgerCheck, header: _Header) -> None:
    others = sorted({point.account for point in checked.used} - {header.account})
    if others:
        problem = f"the header says that the account is {header.account[:20]!a}, checkpoints say {others[0]}"
        checked.findings.append(
            Finding(0, problem, "the header was edited, or checkpoints of another account put there")
        )


def _warn_own_keys(checked: LedgerCheck) -> None:
    problem = "the keys that its checkpoints are checked with are in the file itself"
    meaning = "compare their ids with what the account's owner told you, or give --public-key"
    checked.warnings.append(Finding(0, problem, meaning))


def _line(row: Row) -> str:
    entry = dict(zip(COLUMNS, row, strict=True))
    entry["read_only"] = bool(row[5]) if row[5] in (0, 1) else row[5]
    for name in JSON_COLUMNS:
        entry[name] = _opened(entry[name])
    return json.dumps(
        {name: value for name, value in entry.items() if value != "" or name not in trail.LATER},
        sort_keys=True,
        separators=(",", ":"),
        ensure_ascii=False,
        default=str,
    )


def _opened(text: Any) -> Any:
    """The document that a canonical text stands for; any other text stays itself, so that its hash can be checked."""
    try:
        value = json.loads(text)
        return value if isinstance(value, dict) and canonical_json(value) == text else text
    except (TypeError, ValueError, RecursionError):
        return text


def _as_it_is(content: bytes) -> str:
    """Text of SQLite, also when somebody put something there that is no UTF-8."""
    return content.decode(errors=_AS_BYTES)
