"""Finds out whether a trail is what was written: its chain of hashes, and the signed checkpoints kept apart from it.

Works on rows and lines, so that a trail in an account and one in a file are judged alike; reads each row once and keeps
none. Does not know who may ask.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from json.encoder import encode_basestring as quoted
from typing import Any, cast

from overflight.account.local import trail
from overflight.account.local.checkpoint_keys import PRIVATE, PUBLIC, FileSigner, PublicKey
from overflight.account.local.checkpoints import EVERY, Checkpoint, Ledger
from overflight.account.local.ledger_check import Finding, LedgerCheck, check_lines
from overflight.account.local.store import Store
from overflight.errors import InputError, StoreError

COLUMNS = (
    "sequence", "time", "caller", "service", "operation", "read_only", "request_id", "parameters", "error", "message",
    "details", "event_id", "prev_hash", "hash",
)  # fmt: skip  # one row of the trail, in the order in which Row has it
Row = tuple[Any, ...]
_EDITED = "what it says now is not what was sealed: a field was changed after it was written"
_MISSING = "entries were deleted"
_DECISION, _DECIDED, _NAMED = "UpdateModelPackage", '"ModelApprovalStatus":', '"checkpoint":'
_BEGIN = 'overflight trail checkpoint --begin "REASON"'
_MOVED = "an entry before it was changed, removed, added or put in another place, and not all later ones sealed again"


@dataclass(frozen=True)
class Verification:
    """What was found.

    Attributes:
        entries: How many there are.
        head: Hash of the newest; zeros without any.
        first_time: Of the first entry, ISO 8601; "" without any.
        last_time: Of the newest.
        findings: What shows that the trail or its checkpoints are not what was written.
        warnings: What cannot be proved, without being wrong.
        checkpoints: How many of this trail there are.
        covered: Entries proved by checkpoints: all up to this number.
        keys: Ids of the keys that were trusted.
    """

    entries: int
    head: str
    first_time: str
    last_time: str
    findings: list[Finding]
    warnings: list[Finding]
    checkpoints: int
    covered: int
    keys: list[str]

    @property
    def intact(self) -> bool:
        """Whether nothing was found."""
        return not self.findings


@dataclass
class _Walk:
    """What one pass over the rows leaves behind."""

    entries: int = 0
    head: str = trail.GENESIS
    expected: int = 1
    first_time: str = ""
    last_time: str = ""
    findings: list[Finding] = field(default_factory=list)
    hashes: dict[int, str] = field(default_factory=dict)  # of the entries that checkpoints speak of
    anchors: list[tuple[int, int, str]] = field(default_factory=list)  # entry, number and digest of a checkpoint
    due: list[int] = field(default_factory=list)  # entries after which a checkpoint is written
    identified: list[int] = field(default_factory=list)  # those of them by a version that writes checkpoints


def verify(
    store: Store, ledger: Ledger | None = None, *, public_keys: Sequence[PublicKey] | None = None
) -> Verification:
    """Whether the trail of an account is intact.

    Args:
        store: The account's state.
        ledger: Its checkpoints; None looks at the chain only.
        public_keys: The only keys to trust; None trusts those that lie beside the checkpoints.
    """
    checked = None if ledger is None else check_ledger(ledger, public_keys=public_keys)
    with store.read() as transaction:
        raw = cast("sqlite3.Connection", transaction.connection.connection.driver_connection)
        try:
            walk = _walk(_rows(raw), checked)
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            with_surrogates: Callable[[bytes], str] = lambda content: content.decode(errors="surrogateescape")  # noqa: E731
            usual, raw.text_factory = raw.text_factory, with_surrogates
            try:
                walk = _walk(_rows(raw), checked)
            finally:
                raw.text_factory = usual
        given = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trail'").fetchone()
    _check_count(walk, 0 if given is None else given[0])
    return judge(walk, checked)


def verify_rows(rows: Iterable[Row], checked: LedgerCheck | None, *, head: str, last: int) -> Verification:
    """The same for rows from elsewhere, of which ``head`` and ``last`` say how they end."""
    walk = _walk(rows, checked)
    if last >= walk.expected:
        problem = f"entries {walk.expected} to {last} are missing at the end"
        walk.findings.append(Finding(walk.expected, problem, _MISSING))
    elif head != walk.head:
        walk.findings.append(Finding(walk.expected - 1, "is not the newest entry that was exported", _MOVED))
    return judge(walk, checked)


def check_ledger(ledger: Ledger, *, public_keys: Sequence[PublicKey] | None = None) -> LedgerCheck:
    """Whether the checkpoints of a folder are what was written there."""
    place = str(ledger.path)
    try:
        lines, keys = ledger.lines(), list(ledger.public_keys() if public_keys is None else public_keys)
        checked = check_lines(lines, keys, place=place, present=ledger.path.exists())
        checked.keyed = (ledger.folder / PRIVATE).exists() or any(ledger.folder.glob("*.pub"))
        own = [key for key in ledger.public_keys() if key.source.endswith(PUBLIC)]
        if own and (ledger.folder / PRIVATE).exists() and FileSigner(ledger.folder).public.raw != own[0].raw:
            problem = f"{PUBLIC} does not belong to {PRIVATE}"
            checked.findings.append(
                Finding(0, problem, "one of the two was replaced: checkpoints signed with it prove nothing")
            )
    except (InputError, StoreError, OSError) as error:
        unread = Finding(0, "the checkpoints cannot be read", str(error))
        return LedgerCheck(place=place, present=True, readable=False, findings=[unread])
    return checked


def judge(walk: _Walk, checked: LedgerCheck | None) -> Verification:
    """Rows against checkpoints."""
    findings, warnings, covered = list(walk.findings), [], 0
    used: list[Checkpoint] = [] if checked is None else checked.used
    if checked is not None:
        findings += checked.findings
        warnings += checked.warnings
        findings += _missing_checkpoints(walk, checked) + _missing_ledger(walk, checked)
        against, covered = _against(walk, used)
        findings += against
        findings += [] if findings else _never_written(walk, checked, covered)
        warnings += _uncovered(walk, checked, covered)
    return Verification(
        entries=walk.entries,
        head=walk.head,
        first_time=walk.first_time,
        last_time=walk.last_time,
        findings=findings,
        warnings=warnings,
        checkpoints=len(used),
        covered=covered,
        keys=[] if checked is None else checked.keys,
    )


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


def _rows(connection: sqlite3.Connection) -> Iterator[Row]:
    return connection.execute(f"SELECT {', '.join(COLUMNS)} FROM trail ORDER BY sequence")  # noqa: S608  # our columns


def _walk(rows: Iterable[Row], checked: LedgerCheck | None) -> _Walk:
    walk, wanted = _Walk(), set() if checked is None else {point.sequence for point in checked.used}
    previous, expected, note = trail.GENESIS, 1, walk.findings.append
    row: Row = ()
    for row in rows:
        sequence, hash_, prev_hash = row[0], row[13], row[12]
        if sequence > expected:
            note(Finding(expected, f"entries {expected} to {sequence - 1} are missing", _MISSING))
        elif sequence < expected:
            note(Finding(sequence, "stands before the first entry", "an entry was added"))
        elif prev_hash != previous:
            note(Finding(expected, "does not follow from the entry before", _MOVED))
        if hash_ != _sealed(row):
            note(Finding(sequence, "was edited", _EDITED))
        if sequence in wanted:
            walk.hashes[sequence] = hash_
        if not sequence % EVERY or row[4] == _DECISION or (row[10] and _NAMED in str(row[10])):
            _note_checkpoints(walk, row)
        if not walk.entries:
            walk.first_time = row[1]
        walk.entries += 1
        if sequence >= expected:
            previous, expected = hash_, sequence + 1
    walk.head, walk.expected, walk.last_time = previous, expected, row[1] if row else ""
    return walk


def _sealed(row: Row) -> str:
    try:
        return hashlib.sha256(row_text(row).encode()).hexdigest()
    except (TypeError, ValueError):  # a field of another type, or no UTF-8: nothing that was ever written
        return ""


def _note_checkpoints(walk: _Walk, row: Row) -> None:
    """Whether a checkpoint was due after the entry, and which one the entry names."""
    if not row[0] % EVERY or (not row[8] and _DECIDED in str(row[7])):
        walk.due.append(row[0])
        walk.identified += [row[0]] if row[11] else []
    try:
        anchor = json.loads(row[10]).get("checkpoint")
        walk.anchors.append((row[0], int(anchor["number"]), str(anchor["sha256"])))
    except (ValueError, TypeError, KeyError, AttributeError):
        return  # it names none, or the entry was edited, which its hash shows


def _check_count(walk: _Walk, given: Any) -> None:
    """SQLite keeps the highest number that was ever given."""
    if not isinstance(given, int) or given < walk.expected - 1:
        problem = "the count of entries that were ever written was edited"
        walk.findings.append(Finding(walk.expected, problem, "somebody wrote to the state file by hand"))
    elif given >= walk.expected:
        problem = f"entries {walk.expected} to {given} are missing at the end"
        walk.findings.append(Finding(walk.expected, problem, "the newest entries were deleted"))


def _against(walk: _Walk, used: Sequence[Checkpoint]) -> tuple[list[Finding], int]:
    """Where the trail is not what checkpoints say, and up to where it is."""
    covered = 0
    wrong: list[Checkpoint] = []
    gone: list[Checkpoint] = []
    for point in used:
        there = walk.hashes.get(point.sequence)
        if there == point.hash and not wrong:
            covered = max(covered, point.sequence)
        elif there is None and point.sequence >= walk.expected:
            gone.append(point)
        elif there != point.hash:
            wrong.append(point)
    findings = []
    if wrong:
        first, more = wrong[0], f" and {len(wrong) - 1} more" if len(wrong) > 1 else ""
        problem = f"is not what checkpoint {first.number} of {first.time}{more} proves"
        meaning = f"the trail was written anew after entry {covered}: its own hashes fit, those that were signed do not"
        findings.append(Finding(first.sequence, problem, meaning))
    if gone:
        last = max(gone, key=lambda point: point.sequence)
        problem = (
            f"entries {walk.expected} to {last.sequence} are missing: checkpoint {last.number} of {last.time} has them"
        )
        meaning = (
            "the end of the trail was cut off, or the folder was replaced by an older copy or a new account; "
            'if you did that yourself: overflight trail checkpoint --begin "REASON"'
        )
        findings.append(Finding(walk.expected, problem, meaning))
    return findings, covered


def _missing_checkpoints(walk: _Walk, checked: LedgerCheck) -> list[Finding]:
    """Checkpoints that entries speak of and that are not there."""
    if not (checked.present and checked.readable):
        return []
    meaning = "checkpoints were removed or written anew; if the account's folder was moved, move its checkpoints too"
    return [
        Finding(sequence, f"names checkpoint {number}, which is not in {checked.place}", meaning)
        for sequence, number, digest in walk.anchors
        if sequence > checked.begins_after and checked.digests.get(number) != digest
    ]


def _missing_ledger(walk: _Walk, checked: LedgerCheck) -> list[Finding]:
    """No checkpoints at all, where something shows that there were some."""
    if checked.present or not checked.readable:
        return []
    shown = []
    if walk.anchors:
        shown.append(f"entry {walk.anchors[-1][0]} names checkpoint {walk.anchors[-1][1]}")
    if checked.keyed:
        shown.append("the keys that signed them are there")
    if _too_many(walk, walk.due):
        shown.append(f"{len(walk.due)} were due in {walk.entries} entries")
    problem = f"there are no checkpoints in {checked.place}, but {' and '.join(shown)}"
    meaning = (
        "they were removed, or the folder was moved without them: then move them there too. Without them nothing shows "
        f"whether the trail was cut off or written anew. To begin anew: {_BEGIN}; "
        "to look at the chain only: overflight trail verify --without-checkpoints"
    )
    return [Finding(0, problem, meaning)] if shown else []


def _never_written(walk: _Walk, checked: LedgerCheck, covered: int) -> list[Finding]:
    """Checkpoints that should be there; a single one may be missing because a process died before it wrote it."""
    if not (checked.present and checked.readable):
        return []
    last = [number for number in walk.due if number > max(covered, checked.begins_after)]
    if len(last) > 1 or (not checked.used and _too_many(walk, last)):
        problem = f"the last {walk.expected - 1 - covered} entries are without a checkpoint: {len(last)} were due"
        meaning = (
            f"checkpoints were removed, or could not be written. Write one: overflight trail checkpoint, or {_BEGIN}"
        )
        return [Finding(covered + 1, problem, meaning)]
    first = checked.used[0] if checked.used else None
    if first is None or first.begins:
        return []
    early = [number for number in walk.identified if number < first.sequence]
    if len(early) < 2:
        return []
    problem = f"the first checkpoint is for entry {first.sequence}, but {len(early)} were due before it"
    meaning = f"earlier checkpoints were removed, or could not be written; to accept what is there: {_BEGIN}"
    return [Finding(first.sequence, problem, meaning)]


def _too_many(walk: _Walk, due: Sequence[int]) -> bool:
    """Whether so many entries cannot all be without a checkpoint in an account that writes them."""
    return len(due) > 1 or walk.entries >= EVERY


def _uncovered(walk: _Walk, checked: LedgerCheck, covered: int) -> list[Finding]:
    if not checked.present:
        meaning = "a cut-off end or a trail written anew cannot be found; if the folder was moved, move them there too"
        told = _missing_ledger(walk, checked)
        return [] if told else [Finding(0, f"there are no checkpoints in {checked.place}", meaning)]
    tail = walk.expected - 1 - covered
    if tail <= 0 or not checked.readable:
        return []
    problem = f"the last {tail} of {walk.entries} entries are not covered by a checkpoint"
    return [Finding(covered + 1, problem, "their removal would not be found; write one: overflight trail checkpoint")]
