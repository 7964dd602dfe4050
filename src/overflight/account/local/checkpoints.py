"""Signed checkpoints of the trail, kept apart from it: number and hash of an entry, proved by a signature.

The hash chain of the trail alone cannot show that its end was cut off or that all of it was written anew; a checkpoint
that lies elsewhere can. Each also carries the digest of the checkpoint before, and the next entry of the trail carries
the checkpoint's own digest: neither can lose something without the other showing it.
"""

from __future__ import annotations

import base64
import contextlib
import fcntl
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from overflight.account.clock import Clock
from overflight.account.local.checkpoint_keys import PUBLIC, FileSigner, PublicKey, Signer, read_public, write_public
from overflight.account.local.store import Sealed, time_text
from overflight.errors import InputError, OverflightError, UsageError
from overflight.files import canonical_json, sha256_bytes

EVERY = 256  # entries
FILE, _LOCK = "checkpoints.jsonl", "checkpoints.lock"
GENESIS = "0" * 64
_BLOCK_BYTES = 64 * 1024
_LONGEST_REASON = 500  # characters: KMS signs messages of up to 4096 bytes
_LARGEST = 2**63  # numbers of entries are below, as SQLite's are
log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkpoint:
    """One signed statement: at this time the entry ``sequence`` of the trail had the hash ``hash``.

    Attributes:
        number: 1, 2, 3 ... without gaps.
        sequence: Number of the newest entry then.
        hash: Its hash, 64 hex digits.
        time: ISO 8601, UTC.
        account: 12 digits.
        reason: Why it was written: ``every 256 entries``, ``approval decision``, ``asked for``, ``export`` ...
        begins: Whether it begins a new trail in this place: those before belong to an earlier one.
        key: Id of the key that signed it.
        prev: SHA-256 of the line before; zeros for the first.
        signature: Base64 of the 64 bytes over the canonical JSON of all fields above.
    """

    number: int
    sequence: int
    hash: str
    time: str
    account: str
    reason: str
    begins: bool
    key: str
    prev: str
    signature: str

    @property
    def line(self) -> str:
        """Canonical JSON, without the line's end."""
        return canonical_json(vars(self))

    @property
    def digest(self) -> str:
        """SHA-256 of the line: what the next one and the trail carry."""
        return sha256_bytes(self.line.encode())

    @property
    def raw_signature(self) -> bytes:
        """The 64 bytes; empty when the text is no base64, which fits nothing."""
        try:
            return base64.b64decode(self.signature, validate=True)
        except ValueError:
            return b""

    @property
    def message(self) -> bytes:
        """What is signed."""
        return canonical_json({key: value for key, value in vars(self).items() if key != "signature"}).encode()


class Ledger:
    """The file ``checkpoints.jsonl`` of a folder; several processes may add to it at once.

    Args:
        folder: Made at the first checkpoint, readable only for its owner.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / FILE

    def add(
        self,
        sealed: tuple[int, str],
        *,
        time: str,
        account_id: str,
        reason: str,
        signer: Callable[[Path], Signer] = FileSigner,
        begins: bool = False,
    ) -> tuple[Checkpoint, bool]:
        """Add a checkpoint for the entry (number, hash); the existing one and False when that entry is covered already.

        Args:
            sealed: Number and hash of the entry.
            time: ISO 8601, UTC.
            account_id: 12 digits.
            reason: Why it is written: one line of at most 500 characters.
            signer: Makes the signer for the folder; asked only when something is to be signed.
            begins: Begin a new trail in this place.

        Raises:
            OSError: the folder or the file cannot be written; nothing was added.
            InputError: the last line is no checkpoint.
            StoreError: the key cannot be read.
            UsageError: the reason is too long, or not one line of text.
        """
        if len(reason) > _LONGEST_REASON or not reason.isprintable() or not reason.strip():
            raise UsageError(
                f"the reason of a checkpoint is one line of at most {_LONGEST_REASON} characters",
                where=ascii(reason[:40]),
                cure="Say it shorter; what is longer belongs into a document that the reason names",
            )
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        with self._locked():
            last = self._last()
            if last is not None and not begins and last.sequence >= sealed[0]:
                return last, False
            key = signer(self.folder)
            self._keep_public(key.public)
            unsigned = Checkpoint(
                number=1 if last is None else last.number + 1,
                sequence=sealed[0],
                hash=sealed[1],
                time=time,
                account=account_id,
                reason=reason,
                begins=begins,
                key=key.public.id,
                prev=GENESIS if last is None else last.digest,
                signature="",
            )
            signature = base64.b64encode(key.sign(unsigned.message)).decode()
            made = Checkpoint(**{**vars(unsigned), "signature": signature})
            self._append(made.line)
        return made, True

    def lines(self) -> list[str]:
        """The whole lines as they are; empty without the file.

        Raises:
            OSError: it cannot be read.
        """
        try:
            content = self.path.read_bytes().decode(errors="replace")
        except FileNotFoundError:
            return []
        return content.split("\n")[:-1]  # behind the last line's end: nothing, or what a power cut left

    def public_keys(self) -> list[PublicKey]:
        """The public keys that lie beside the checkpoints.

        Raises:
            InputError: a file ``*.pub`` holds no key.
        """
        return [read_public(path) for path in sorted(self.folder.glob("*.pub"))]

    def _keep_public(self, key: PublicKey) -> None:
        own = self.folder / PUBLIC
        path = own if key.source == str(own) else self.folder / f"kms-{key.id}.pub"
        if not path.exists():
            write_public(key, path)

    def _append(self, line: str) -> None:
        """One line, whole or not at all, on the disk when this returns."""
        content = line.encode() + b"\n"
        descriptor = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        try:
            size = os.fstat(descriptor).st_size
            try:
                if os.write(descriptor, content) != len(content):
                    raise OSError(f"no room for {len(content)} bytes")
                os.fsync(descriptor)
            except OSError:
                os.ftruncate(descriptor, size)
                raise
        finally:
            os.close(descriptor)

    def _last(self) -> Checkpoint | None:
        """The newest checkpoint; half a line that a power cut left behind is dropped."""
        try:
            with self.path.open("r+b") as handle:
                size = handle.seek(0, os.SEEK_END)
                end = _newline_before(handle, size)
                if end + 1 < size:
                    handle.truncate(end + 1)
                if end < 0:
                    return None
                begin = _newline_before(handle, end) + 1
                handle.seek(begin)
                line = handle.read(end - begin)
        except FileNotFoundError:
            return None
        return parse(line.decode(errors="replace"), str(self.path))

    @contextlib.contextmanager
    def _locked(self) -> Iterator[None]:
        with (self.folder / _LOCK).open("ab") as handle:  # closing it gives the lock back, also when the process dies
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield


def parse(line: str, where: str) -> Checkpoint:
    """A line as a checkpoint.

    Raises:
        InputError: it is none.
    """
    try:
        value = json.loads(line)
        made = Checkpoint(**value)
        _check_fields(made)
    except (ValueError, TypeError, RecursionError) as error:
        raise InputError(
            "a line is no checkpoint", where=where, cure=f"See: overflight trail verify; {error}"
        ) from error
    return made


def _check_fields(point: Checkpoint) -> None:
    """Types, and that all of it can be hashed and shown.

    Raises:
        ValueError: something else was never written.
    """
    types = {"number": int, "sequence": int, "begins": bool}
    for name, value in vars(point).items():
        if type(value) is not types.get(name, str):
            raise ValueError(f"{name} is of another type")
        if type(value) is int and not 0 <= value < _LARGEST:
            raise ValueError(f"{name} is out of range")
        if type(value) is str and name != "reason" and not (value.isascii() and value.isprintable()):
            raise ValueError(f"{name} is no plain text")
    point.reason.encode()


def _newline_before(handle: IO[bytes], end: int) -> int:
    """Where the last end of a line before ``end`` is; -1 without one. Read in blocks, however long the line is."""
    while end > 0:
        begin = max(0, end - _BLOCK_BYTES)
        handle.seek(begin)
        found = handle.read(end - begin).rfind(b"\n")
        if found >= 0:
            return begin + found
        end = begin
    return -1


class Checkpointer:
    """Writes the checkpoints that are due, after the commit of the entries; see :class:`TrailListener`.

    A failure never fails the call: it is logged, and ``trail verify`` shows the entries that no checkpoint
    covers.

    Args:
        ledger: Where they are kept.
        account_id: 12 digits.
        clock: Gives the times.
    """

    def __init__(self, ledger: Ledger, *, account_id: str, clock: Clock) -> None:
        self.ledger = ledger
        self.anchor: Mapping[str, Any] | None = self._newest()  # of another process: its own next entry may never come
        self._account_id = account_id
        self._clock = clock
        self._one_at_a_time = threading.Lock()

    def _newest(self) -> Mapping[str, Any] | None:
        try:
            lines = self.ledger.lines()
            point = parse(lines[-1], str(self.ledger.path)) if lines else None
        except (OSError, InputError):  # verify says so; calls go on
            return None
        return None if point is None else {"number": point.number, "sha256": sha256_bytes(lines[-1].encode())}

    def committed(self, sealed: Sequence[Sealed], *, anchored: Mapping[str, Any] | None) -> None:
        """Write a checkpoint when one of the entries deserves it."""
        if anchored is not None and self.anchor == anchored:
            self.anchor = None
        reason = next((entry.reason for entry in sealed if entry.reason), "")
        if not reason and not any(entry.sequence % EVERY == 0 for entry in sealed):
            return
        try:
            with self._one_at_a_time:
                self.write(sealed[-1].sequence, sealed[-1].hash, reason=reason or f"every {EVERY} entries")
        except (OSError, OverflightError) as error:
            log.warning("no checkpoint of the trail was written at entry %d: %s", sealed[-1].sequence, error)

    def write(
        self,
        sequence: int,
        hash_: str,
        *,
        reason: str,
        signer: Callable[[Path], Signer] = FileSigner,
        begins: bool = False,
    ) -> tuple[Checkpoint, bool]:
        """Add a checkpoint now; see :meth:`Ledger.add`."""
        made, new = self.ledger.add(
            (sequence, hash_),
            time=time_text(self._clock()),
            account_id=self._account_id,
            reason=reason,
            signer=signer,
            begins=begins,
        )
        if new:
            self.anchor = {"number": made.number, "sha256": made.digest}
        return made, new
