"""The chain of hashes of a trail: one pass over its rows, from an account or a file, and what does not fit in it.

Takes rows of any content: whoever changed the trail could put anything into any place. Knows the checkpoints' place in
the chain, not whether they are genuine. Reads each row once, keeps none, and lists a bounded number of faults.
"""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Any

from overflight.account.local import trail
from overflight.account.local.checkpoints import EVERY
from overflight.account.local.ledger_check import Finding, LedgerCheck

COLUMNS = (
    "sequence", "time", "caller", "service", "operation", "read_only", "request_id", "parameters", "error", "message",
    "details", "event_id", "prev_hash", "hash",
)  # fmt: skip  # one row of the trail, in the order in which Row has it
Row = tuple[Any, ...]
MISSING = "entries were deleted"
MOVED = "an entry before it was changed, removed, added or put in another place, and not all later ones sealed again"
_EDITED = "what it says now is not what was sealed: a field was changed after it was written"
_DECISION, _DECIDED, _NAMED = "UpdateModelPackage", '"ModelApprovalStatus":', '"checkpoint":'
_MOST = 1000  # faults that are listed; more are counted
_LARGEST = 2**63  # SQLite's numbers are below
_LONGEST_TIME = 40  # characters
_TYPES = (int, str, str, str, str, int, *[str] * 8)  # of a row of SQLite
_FILE_TYPES = (int, str, str, str, str, bool, *[str] * 8)  # of JSON


@dataclass
class Walk:
    """What one pass over the rows leaves behind.

    Attributes:
        entries: How many there are.
        head: Hash of the newest.
        expected: Number that the next entry would have.
        first_time: Of the first entry.
        last_time: Of the newest.
        findings: What does not fit.
        hashes: Of the entries that checkpoints speak of.
        named: Entry, number and digest of the checkpoint that was named last.
        astray: The same of those that checkpoints do not bear out.
        due: Entries after which a checkpoint is written.
        identified: Those of them by a version that writes checkpoints.
    """

    entries: int = 0
    head: str = trail.GENESIS
    expected: int = 1
    first_time: str = ""
    last_time: str = ""
    findings: list[Finding] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)
    named: tuple[int, int, str] | None = None
    astray: list[tuple[int, int, str]] = field(default_factory=list)
    due: array[int] = field(default_factory=lambda: array("q"))
    identified: array[int] = field(default_factory=lambda: array("q"))
    _more: int = 0

    def note(self, sequence: int, problem: str, meaning: str) -> None:
        """Add a finding, or count it when there are many already."""
        if len(self.findings) < _MOST:
            self.findings.append(Finding(sequence, problem, meaning))
        else:
            self._more += 1

    def close(self) -> None:
        """Say how many findings were counted only."""
        if self._more:
            self.findings.append(Finding(0, f"{self._more} more faults are in it", f"the first {_MOST} are listed"))


def walk_rows(rows: Iterable[Row], checked: LedgerCheck | None) -> Walk:
    """One pass over the rows of a trail, oldest first, whatever is in them."""
    walk, wanted = Walk(), set() if checked is None else {point.sequence for point in checked.used}
    previous, expected = trail.GENESIS, 1
    row: Row = ()
    for row in _typed(rows):
        sequence, hash_, prev_hash = row[0], row[13], row[12]
        if sequence > expected:
            walk.note(expected, f"entries {expected} to {sequence - 1} are missing", MISSING)
        elif sequence < expected:
            walk.note(sequence, "stands before the first entry", "an entry was added")
        elif prev_hash != previous:
            walk.note(expected, "does not follow from the entry before", MOVED)
        if hash_ != _sealed(row):
            walk.note(sequence, "was edited", _EDITED)
        if sequence in wanted:
            walk.hashes[sequence] = hash_
        if not sequence % EVERY or row[4] == _DECISION or _NAMED in row[10]:
            _note_checkpoints(walk, row, checked)
        if not walk.entries:
            walk.first_time = row[1]
        walk.entries += 1
        if sequence >= expected:
            previous, expected = hash_, sequence + 1
    walk.head, walk.expected, walk.last_time = previous, expected, row[1] if row else ""
    walk.close()
    return walk


def row_text(row: Row) -> str:
    """What the hash of an entry is made of: the canonical JSON of :func:`trail.seal`, put together from known keys.

    Raises:
        TypeError: a field is not of its type, which no written entry has.
    """
    sequence, time, caller, service, operation, read_only, request_id, parameters, error, message = row[:10]
    details, event_id, prev_hash = row[10:13]
    if read_only not in (0, 1):
        raise TypeError("read_only")
    detailed = f'"details":{quoted(details)},' if details else ""
    identified = f'"event_id":{quoted(event_id)},' if event_id else ""
    return (
        f'{{"caller":{quoted(caller)},{detailed}"error":{quoted(error)},{identified}"message":{quoted(message)},'
        f'"operation":{quoted(operation)},"parameters":{quoted(parameters)},"prev_hash":{quoted(prev_hash)},'
        f'"read_only":{"true" if read_only else "false"},"request_id":{quoted(request_id)},"sequence":{sequence},'
        f'"service":{quoted(service)},"time":{quoted(time)}}}'
    )


def _typed(rows: Iterable[Row]) -> Iterator[Row]:
    """The rows with all columns of their types; one that is not gives a row that no hash fits."""
    last = 0
    for row in rows:
        types = tuple(map(type, row))
        if types in (_TYPES, _FILE_TYPES) and _is_plain(row):
            last = row[0]
            yield row
        else:
            last = row[0] if type(row[0]) is int and abs(row[0]) < _LARGEST else last + 1
            previous, own = (text if type(text) is str and text.isascii() else "" for text in row[12:14])
            yield (last, _shown(row[1]), "", "", "", None, "", "", "", "", "", "", previous, own)


def _is_plain(row: Row) -> bool:
    """Whether the fields that are shown and counted with can be."""
    time = row[1]
    return (
        -_LARGEST < row[0] < _LARGEST
        and len(time) <= _LONGEST_TIME
        and time.isascii()
        and time.isprintable()
        and row[12].isascii()
        and row[13].isascii()
    )


def _shown(time: Any) -> str:
    """A time of any type as text that every terminal can show."""
    return ascii(time[:_LONGEST_TIME] if isinstance(time, str | bytes) else time)[: 4 * _LONGEST_TIME]


def _sealed(row: Row) -> str | None:
    """The hash that the row should have; None when there is none."""
    try:
        return hashlib.sha256(row_text(row).encode()).hexdigest()
    except (TypeError, ValueError):  # a field of another type, or no UTF-8: nothing that was ever written
        return None


def _note_checkpoints(walk: Walk, row: Row, checked: LedgerCheck | None) -> None:
    """Whether a checkpoint was due after the entry, and which one the entry names."""
    sequence = row[0]
    if not sequence % EVERY or (not row[8] and _DECIDED in row[7]):
        walk.due.append(sequence)
        if row[11]:
            walk.identified.append(sequence)
    try:
        anchor = json.loads(row[10])["checkpoint"]
        number, digest = anchor["number"], anchor["sha256"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return  # it names none, or the entry was edited, which its hash shows
    if type(number) is not int or not 0 < number < _LARGEST or type(digest) is not str:
        return
    walk.named = (sequence, number, digest)
    known = checked is None or sequence <= checked.begins_after or checked.digests.get(number) == digest
    if not known and len(walk.astray) < _MOST:
        walk.astray.append(walk.named)
