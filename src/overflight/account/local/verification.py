"""Finds out whether a trail is what was written: its chain of hashes against the signed checkpoints kept apart from it.

Works on rows and lines, so that a trail in an account and one in a file are judged alike. Does not know who may ask.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, cast

from overflight.account.local.chain import COLUMNS, MISSING, MOVED, Row, Walk, walk_rows
from overflight.account.local.checkpoint_keys import PRIVATE, PUBLIC, FileSigner, PublicKey
from overflight.account.local.checkpoints import EVERY, Checkpoint, Ledger
from overflight.account.local.ledger_check import Finding, LedgerCheck, check_lines
from overflight.account.local.store import Store
from overflight.errors import InputError, StoreError

_BEGIN = 'overflight trail checkpoint --begin "REASON"'


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
            walk = walk_rows(_rows(raw), checked)
        except sqlite3.OperationalError as error:
            if "decode" not in str(error):
                raise
            usual, raw.text_factory = raw.text_factory, _with_surrogates
            try:
                walk = walk_rows(_rows(raw), checked)
            finally:
                raw.text_factory = usual
        given = raw.execute("SELECT seq FROM sqlite_sequence WHERE name = 'trail'").fetchone()
    _check_count(walk, 0 if given is None else given[0])
    return judge(walk, checked)


def verify_rows(
    rows: Iterable[Row], checked: LedgerCheck | None, *, head: str, last: int, entries: int
) -> Verification:
    """The same for rows from elsewhere, of which ``head``, ``last`` and ``entries`` say how they end."""
    walk = walk_rows(rows, checked)
    if last >= walk.expected:
        problem = f"entries {walk.expected} to {last} are missing at the end"
        walk.findings.append(Finding(walk.expected, problem, MISSING))
    elif (last, head) != (walk.expected - 1, walk.head):
        walk.findings.append(Finding(walk.expected - 1, "is not the newest entry that was exported", MOVED))
    elif entries != walk.entries and not walk.findings:
        problem = f"there are {walk.entries} entries, {entries} were exported"
        walk.findings.append(Finding(0, problem, "entries were added, or the header was edited"))
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


def judge(walk: Walk, checked: LedgerCheck | None) -> Verification:
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


def _with_surrogates(content: bytes) -> str:
    return content.decode(errors="surrogateescape")


def _rows(connection: sqlite3.Connection) -> Iterator[Row]:
    return connection.execute(f"SELECT {', '.join(COLUMNS)} FROM trail ORDER BY sequence")  # noqa: S608  # our columns


def _check_count(walk: Walk, given: Any) -> None:
    """SQLite keeps the highest number that was ever given."""
    if not isinstance(given, int) or given < walk.expected - 1:
        problem = "the count of entries that were ever written was edited"
        walk.findings.append(Finding(walk.expected, problem, "somebody wrote to the state file by hand"))
    elif given >= walk.expected:
        problem = f"entries {walk.expected} to {given} are missing at the end"
        walk.findings.append(Finding(walk.expected, problem, "the newest entries were deleted"))


def _against(walk: Walk, used: Sequence[Checkpoint]) -> tuple[list[Finding], int]:
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


def _missing_checkpoints(walk: Walk, checked: LedgerCheck) -> list[Finding]:
    """Checkpoints that entries speak of and that are not there."""
    if not (checked.present and checked.readable):
        return []
    meaning = "checkpoints were removed or written anew; if the account's folder was moved, move its checkpoints too"
    return [
        Finding(sequence, f"names checkpoint {number}, which is not in {checked.place}", meaning)
        for sequence, number, _ in walk.astray
    ]


def _missing_ledger(walk: Walk, checked: LedgerCheck) -> list[Finding]:
    """No checkpoints at all, where something shows that there were some."""
    if checked.present or not checked.readable:
        return []
    shown = []
    if walk.named:
        shown.append(f"entry {walk.named[0]} names checkpoint {walk.named[1]}")
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


def _never_written(walk: Walk, checked: LedgerCheck, covered: int) -> list[Finding]:
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


def _too_many(walk: Walk, due: Sequence[int]) -> bool:
    """Whether so many entries cannot all be without a checkpoint in an account that writes them."""
    return len(due) > 1 or walk.entries >= EVERY


def _uncovered(walk: Walk, checked: LedgerCheck, covered: int) -> list[Finding]:
    if not checked.present:
        meaning = "a cut-off end or a trail written anew cannot be found; if the folder was moved, move them there too"
        told = _missing_ledger(walk, checked)
        return [] if told else [Finding(0, f"there are no checkpoints in {checked.place}", meaning)]
    tail = walk.expected - 1 - covered
    if tail <= 0 or not checked.readable:
        return []
    problem = f"the last {tail} of {walk.entries} entries are not covered by a checkpoint"
    return [Finding(covered + 1, problem, "their removal would not be found; write one: overflight trail checkpoint")]
