"""The trail as a file: JSON Lines that can be verified without the account, or CloudTrail's form for people's tools.

The first line is a header with the checkpoints and the public keys, then there is one canonical line for each entry.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any, cast

from overflight.account.local import trail
from overflight.account.local.checkpoint_keys import PublicKey, public_from_text
from overflight.account.local.checkpoints import Ledger
from overflight.account.local.ledger_check import Finding, LedgerCheck, check_lines
from overflight.account.local.store import Store, time_text
from overflight.account.local.verification import COLUMNS, Row, Verification, verify_rows
from overflight.account.trail_entry import to_record
from overflight.errors import InputError
from overflight.files import atomic_write, canonical_json

SCHEMA = "overflight.trail/1"
_JSON_COLUMNS = ("parameters", "details")
_CURE = "Give a file that `overflight trail export` wrote"


def export_lines(store: Store, ledger: Ledger, out: Path, *, account_id: str, time: datetime, by: str) -> int:
    """Write the whole trail with what proves it; returns the number of entries.

    Raises:
        InputError: a public key beside the checkpoints cannot be read.
        ResourceError: the disk is full; nothing was written.
    """
    points, keys = ledger.lines(), ledger.public_keys()
    with store.read() as transaction, atomic_write(out) as handle:
        raw = cast("sqlite3.Connection", transaction.connection.connection.driver_connection)
        count, last = raw.execute("SELECT COUNT(*), MAX(sequence) FROM trail").fetchone()
        head = raw.execute("SELECT hash FROM trail ORDER BY sequence DESC LIMIT 1").fetchone()
        header = {
            "schema": SCHEMA,
            "account": account_id,
            "exported_at": time_text(time),
            "exported_by": by,
            "entries": count,
            "last": last or 0,
            "hash": head[0] if head else trail.GENESIS,
            "keys": [{"id": key.id, "public_key": key.text} for key in keys],
            "checkpoints": points,
        }
        handle.write(canonical_json(header).encode() + b"\n")
        for row in raw.execute(f"SELECT {', '.join(COLUMNS)} FROM trail ORDER BY sequence"):  # noqa: S608  # our columns
            handle.write(_line(row).encode() + b"\n")
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
        with path.open(encoding="utf-8", errors="surrogateescape") as handle:
            header = _header(handle.readline(), path)
            keys = public_keys
            if keys is None:
                keys = [public_from_text(str(key["public_key"]), str(path)) for key in header["keys"]]
            points = [str(line) for line in header["checkpoints"]]
            checked = check_lines(points, keys, place=str(path), present=bool(points))
            if public_keys is None:
                _warn_own_keys(checked)
            judged = None if chain_only else checked
            return verify_rows(_file_rows(handle), judged, head=str(header["hash"]), last=int(header["last"]))
    except OSError as error:
        raise InputError(f"cannot be read ({error.strerror})", where=str(path), cure=_CURE) from error
    except (KeyError, TypeError, ValueError) as error:
        raise InputError("has no header of an exported trail", where=str(path), cure=_CURE) from error


def _header(line: str, path: Path) -> dict[str, Any]:
    header = json.loads(line)
    if not isinstance(header, dict) or header.get("schema") != SCHEMA:
        raise InputError(f"is no export of the schema {SCHEMA}", where=str(path), cure=_CURE)
    return header


def _warn_own_keys(checked: LedgerCheck) -> None:
    problem = "the keys that its checkpoints are checked with are in the file itself"
    meaning = "compare their ids with what the account's owner told you, or give --public-key"
    checked.warnings.append(Finding(0, problem, meaning))


def _line(row: Row) -> str:
    entry = dict(zip(COLUMNS, row, strict=True))
    entry["read_only"] = bool(row[5]) if row[5] in (0, 1) else row[5]
    for name in _JSON_COLUMNS:
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
    except (TypeError, ValueError):
        return text


def _file_rows(lines: Iterator[str]) -> Iterator[Row]:
    sequence = 0
    for line in lines:
        try:
            entry = json.loads(line)
            for name in _JSON_COLUMNS:
                if isinstance(entry.get(name), dict):
                    entry[name] = canonical_json(entry[name])
            sequence = int(entry["sequence"])
            yield tuple(entry.get(name, "") for name in COLUMNS)
        except (ValueError, TypeError, KeyError, AttributeError):  # no entry any more: its hash cannot fit
            sequence += 1
            yield (sequence, *[None] * (len(COLUMNS) - 1))
