"""The record of every call, allowed or denied: append-only, each entry sealed with the hash of the one before.

Knows how to add and read entries; that some were changed, removed or added is found in ``verification``.
Bodies of objects are replaced by size and digest, values whose name says that they are secret by ``***``.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import os
import re
import uuid
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, cast

import sqlalchemy as sa

from overflight.account.local import tables
from overflight.account.local.store import Sealed, Store, Transaction, time_text
from overflight.account.trail_entry import Entry
from overflight.errors import StoreError
from overflight.files import canonical_json, sha256_bytes

GENESIS = "0" * 64
LATER = ("details", "event_id")  # columns since schema 2: sealed only where they hold something
_LONGEST_TEXT = 16 * 1024  # characters; longer texts are recorded by digest
_LARGEST_NUMBER_BITS = 1024  # Python refuses to write out numbers of some thousand digits
_SECRET = re.compile(r"secret|passw|credential|private_?key|session_?token|api_?key|access_?key|customer_?key", re.I)


def append(
    transaction: Transaction,
    *,
    time: datetime,
    caller: str,
    service: str,
    operation: str,
    read_only: bool,
    request_id: str,
    parameters: dict[str, Any],
    error: str = "",
    message: str = "",
    details: Mapping[str, Any] | None = None,
) -> int:
    """Add an entry in the transaction of the change it records; returns its sequence number.

    ``details`` become canonical JSON like the parameters; secrets in them are replaced.
    """
    if transaction.anchor is not None and not transaction.sealed:
        details = {**(details or {}), "checkpoint": transaction.anchor}
    last = transaction.connection.execute(_LAST).first()
    row: dict[str, Any] = {
        "sequence": 1 if last is None else last.sequence + 1,
        "time": time_text(time),
        "caller": encodable(caller),
        "service": service,
        "operation": operation,
        "read_only": read_only,
        "request_id": request_id,
        "parameters": canonical_json(parameters),
        "error": encodable(error),
        "message": encodable(message),
        "details": canonical_json(recordable(dict(details))) if details else "",
        "event_id": event_id(time),
        "prev_hash": GENESIS if last is None else last.hash,
    }
    row["hash"] = seal(row)
    transaction.connection.execute(_APPEND, row)
    decided = not error and operation == "UpdateModelPackage" and "ModelApprovalStatus" in parameters
    transaction.sealed.append(Sealed(row["sequence"], row["hash"], "approval decision" if decided else ""))
    return cast("int", row["sequence"])


def stream(
    store: Store, *, since: datetime | None = None, until: datetime | None = None, newest_first: bool = False
) -> Iterator[Entry]:
    """All entries of a time (both ends included), read in pages: writers are never kept waiting."""
    after, before = 0, None
    while True:
        with store.read() as transaction:
            page = entries(transaction, after=after, before=before, since=since, until=until, newest_first=newest_first)
        yield from page
        if not page:
            return
        if newest_first:
            before = page[-1].sequence
        else:
            after = page[-1].sequence


def entries(
    transaction: Transaction,
    *,
    after: int = 0,
    limit: int = 1000,
    before: int | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    newest_first: bool = False,
) -> list[Entry]:
    """Entries with a sequence number above ``after`` and below ``before``, oldest first unless told otherwise.

    Raises:
        StoreError: an entry was edited so that it cannot be read.
    """
    table = tables.trail
    found = (
        sa.select(*(table.c[name.name] for name in dataclasses.fields(Entry)))
        .where(table.c.sequence > after)
        .limit(limit)
    )
    found = found.order_by(table.c.sequence.desc() if newest_first else table.c.sequence)
    found = found if before is None else found.where(table.c.sequence < before)
    found = found if since is None else found.where(table.c.time >= time_text(since))
    found = found if until is None else found.where(table.c.time <= time_text(until))
    try:
        return [_entry(row) for row in transaction.connection.execute(found)]
    except sa.exc.OperationalError as error:
        if "decode" not in str(error.orig):
            raise
        raise _edited("an entry") from error


def _entry(row: Any) -> Entry:
    """By place, because a question may read every entry there is."""
    sequence, time, caller, service, operation, read_only, request_id, parameters, error, message = row[:10]
    try:
        moment, asked, details = datetime.fromisoformat(time), json.loads(parameters), json.loads(row[12] or "{}")
    except (TypeError, ValueError, RecursionError) as problem:
        raise _edited(f"entry {sequence}") from problem
    texts = (caller, service, operation, request_id, error, message, row[10], row[11], row[13])
    if moment.tzinfo is None or type(asked) is not dict or type(details) is not dict or set(map(type, texts)) != {str}:
        raise _edited(f"entry {sequence}")
    return Entry(
        sequence,
        moment,
        caller,
        service,
        operation,
        read_only,
        request_id,
        asked,
        error,
        message,
        row[10],
        row[11],
        details,
        row[13],
    )


def _edited(which: str) -> StoreError:
    return StoreError(
        f"{which} of the trail cannot be read any more: it was edited", cure="See: overflight trail verify"
    )


def event_id(time: datetime) -> str:
    """A UUID of version 7: 48 bits of Unix time in milliseconds, then 74 random bits (RFC 9562, section 5.7)."""
    value = int(time.timestamp() * 1000) << 80 | int.from_bytes(os.urandom(10), "big")
    value = value & ~(0xF << 76) | 0x7 << 76
    return str(uuid.UUID(int=value & ~(0x3 << 62) | 0x2 << 62))


def recordable(value: Any, *, name: str = "") -> Any:
    """``value`` as it may stand in the trail: JSON, bodies as size and digest, secrets as ``***``.

    Takes whatever a caller can send: nothing in a parameter may keep its call out of the trail.
    """
    if name and _SECRET.search(name) and isinstance(value, str | bytes):
        return "***"
    if isinstance(value, dict):
        return {encodable(str(key)): recordable(item, name=str(key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [recordable(item, name=name) for item in value]
    if isinstance(value, bytes | bytearray):
        return {"bytes": len(value), "sha256": sha256_bytes(bytes(value))}
    return _plain(value)


def encodable(text: str) -> str:
    """The text, with what UTF-8 cannot hold (halves of surrogate pairs) written out as an escape."""
    return text if text.isascii() else text.encode(errors="backslashreplace").decode()


def _plain(value: Any) -> Any:
    if isinstance(value, str):
        text = encodable(value)
        return (
            text if len(value) <= _LONGEST_TEXT else {"characters": len(value), "sha256": sha256_bytes(text.encode())}
        )
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, int) and value.bit_length() > _LARGEST_NUMBER_BITS:
        return f"<a number of {value.bit_length()} bits>"
    if isinstance(value, bool | int | float) or value is None:
        return value
    if isinstance(value, datetime):
        try:
            return time_text(value)
        except (OverflowError, ValueError):  # year 1 or 9999 in a zone in which it is not one of them any more
            return value.isoformat()
    return f"<{type(value).__name__}>"


def seal(row: Mapping[str, Any]) -> str:
    """Hash of an entry: over the canonical JSON of its columns, without the hash and without empty later columns."""
    sealed = {key: value for key, value in row.items() if key != "hash" and (value or key not in LATER)}
    return hashlib.sha256(canonical_json(sealed).encode()).hexdigest()


_LAST = sa.select(tables.trail.c.sequence, tables.trail.c.hash).order_by(tables.trail.c.sequence.desc()).limit(1)
_APPEND = sa.insert(tables.trail)
