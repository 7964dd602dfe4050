"""Finds out whether checkpoints are what was signed: each line's form, signature, place and link to the line before.

Knows nothing of the trail they speak of.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from overflight.account.local.checkpoint_keys import PublicKey
from overflight.account.local.checkpoints import GENESIS, Checkpoint, parse
from overflight.errors import InputError
from overflight.files import sha256_bytes

_FORGED = "it was edited or forged: what it says was not signed with this key"
_STUCK = (
    f"{_FORGED}. It is the last line: no checkpoint is written any more, and approval decisions are not covered. "
    'Move the folder away, keep it, and begin anew: overflight trail checkpoint --begin "REASON"'
)
_REMOVED = "checkpoints were removed, added or put in another order"


@dataclass(frozen=True)
class Finding:
    """One place where something is not what was written, or cannot be proved.

    Attributes:
        sequence: Number of the entry it concerns; 0 concerns none.
        problem: What is seen.
        meaning: What it means.
    """

    sequence: int
    problem: str
    meaning: str = ""


@dataclass
class LedgerCheck:
    """What the lines of a ledger gave.

    Attributes:
        place: Where they are, for people.
        present: Whether there is such a file.
        readable: Whether it and the keys could be read.
        keyed: Whether keys lie there, which are made with the first checkpoint.
        used: Checkpoints of the present trail with good signatures, oldest first.
        digests: Number -> SHA-256 of the line, of all lines that could be read.
        begins_after: Entries up to this number are of an earlier trail's time.
        keys: Ids of the trusted keys.
        findings: What is wrong.
        warnings: What people should know.
    """

    place: str
    present: bool
    readable: bool = True
    keyed: bool = False
    used: list[Checkpoint] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)
    begins_after: int = 0
    keys: list[str] = field(default_factory=list)
    findings: list[Finding] = field(default_factory=list)
    warnings: list[Finding] = field(default_factory=list)


def check_lines(lines: Sequence[str], keys: Sequence[PublicKey], *, place: str, present: bool) -> LedgerCheck:
    """Judge the lines of a ledger with the keys that are trusted."""
    checked = LedgerCheck(place=place, present=present, keys=[key.id for key in keys])
    by_id = {key.id: key for key in keys}
    before: Checkpoint | None = None
    previous, expected = GENESIS, 1
    for number, line in enumerate(lines, start=1):
        digest = sha256_bytes(line.encode(errors="surrogatepass"))
        try:
            point = parse(line, place)
        except InputError:
            meaning = _STUCK if number == len(lines) else _FORGED
            checked.findings.append(Finding(0, f"line {number} of {place} is no checkpoint", meaning))
            previous, expected = digest, expected + 1
            continue
        good = _check_link(checked, point, line, previous=previous, expected=expected)
        good &= _check_order(checked, point, before)
        if _check_signature(checked, point, line, by_id):
            before = point
            if point.begins and good:
                _begin(checked, point)
            checked.used.append(point)
        checked.digests[point.number] = digest
        previous, expected = digest, point.number + 1
    return checked


def _check_link(checked: LedgerCheck, point: Checkpoint, line: str, *, previous: str, expected: int) -> bool:
    if point.number != expected:
        gap = f"checkpoints {expected} to {point.number - 1} are missing before checkpoint {point.number}"
        order = f"checkpoint {point.number} stands where checkpoint {expected} should"
        checked.findings.append(Finding(point.sequence, gap if point.number > expected else order, _REMOVED))
    elif point.prev != previous:
        problem = f"checkpoint {point.number} does not follow from the one before"
        checked.findings.append(Finding(point.sequence, problem, _REMOVED))
    elif line != point.line:
        problem = f"checkpoint {point.number} is not written as it was signed"
        checked.findings.append(Finding(point.sequence, problem, _FORGED))
    else:
        return True
    return False


def _check_order(checked: LedgerCheck, point: Checkpoint, before: Checkpoint | None) -> bool:
    if before is None or point.begins or (point.sequence > before.sequence and point.time >= before.time):
        return True
    problem = f"checkpoint {point.number} is for an entry or a time that checkpoint {before.number} has passed already"
    checked.findings.append(Finding(point.sequence, problem, _REMOVED))
    return False


def _check_signature(checked: LedgerCheck, point: Checkpoint, line: str, keys: Mapping[str, PublicKey]) -> bool:
    key = keys.get(point.key)
    if key is None:
        trusted = ", ".join(keys) or "none"
        problem = f"checkpoint {point.number} is signed with the key {point.key}, trusted: {trusted}"
        meaning = "somebody else signed it, or its public key (*.pub beside the checkpoints) was removed or replaced"
        checked.findings.append(Finding(point.sequence, problem, meaning))
        return False
    if line == point.line and key.fits(point.message, point.raw_signature):
        return True
    problem = f"the signature of checkpoint {point.number} does not fit"
    checked.findings.append(Finding(point.sequence, problem, _FORGED))
    return False


def _begin(checked: LedgerCheck, point: Checkpoint) -> None:
    """A signed new beginning: what was before is of an earlier trail in the same place."""
    if checked.used:
        last = checked.used[-1]
        problem = (
            f"{len(checked.used)} checkpoints are of an earlier trail in this place, the last for entry "
            f"{last.sequence} of {last.time}; a new one was begun at {point.time} ({point.reason})"
        )
        checked.warnings.append(Finding(0, problem, "right if the account's folder was deleted or moved on purpose"))
    else:
        problem = f"checkpoints begin at entry {point.sequence} of {point.time} ({point.reason})"
        meaning = "nothing proves what the entries up to it were before; right if somebody began anew on purpose"
        checked.warnings.append(Finding(0, problem, meaning))
    checked.used.clear()
    checked.begins_after = point.sequence
