"""Writing files so that a reader sees the old content or the new one, never half of it; digests of files.

Knows nothing of what the files mean.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from overflight.errors import ResourceError, UsageError

_NO_PLACE = {
    *(errno.EACCES, errno.EEXIST, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG, errno.ENOENT, errno.ENOTDIR),
    *(errno.ENOTEMPTY, errno.EPERM, errno.EROFS),
}
_CHUNK_BYTES = 1024 * 1024


@contextlib.contextmanager
def atomic_write(path: Path, *, fsync: bool = True) -> Iterator[IO[bytes]]:
    """A binary file handle whose content appears at ``path`` only when the block ends without an error.

    Written to a temporary name in the same folder, flushed to disk, then renamed.

    Raises:
        ResourceError: the disk is full.
        UsageError: no file can be written there: it is a folder, a part of the path is a file, or it is forbidden.
    """
    with explained_disk(path):
        with _explained_place(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name[:40]}.", suffix=".tmp")
        temporary = Path(name)
        try:
            with os.fdopen(descriptor, "wb") as handle:
                yield handle
                handle.flush()
                if fsync:
                    os.fsync(handle.fileno())
            with _explained_place(path):
                temporary.chmod(0o644)
                temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise


@contextlib.contextmanager
def _explained_place(path: Path) -> Iterator[None]:
    """Turn the error of a path where no file can be written into one that says so."""
    try:
        yield
    except OSError as error:
        if error.errno not in _NO_PLACE:
            raise
        folder = error.errno == errno.EISDIR
        what = "it is a folder" if folder else (error.strerror or str(error)).lower()
        raise UsageError(
            f"no file can be written here ({what})",
            where=str(path),
            cure="Name a file in a folder that you may write in",
        ) from error


@contextlib.contextmanager
def explained_disk(path: Path) -> Iterator[None]:
    """Turn the error of a full disk, or of a used up quota, while ``path`` is written into one that says what to do.

    Raises:
        ResourceError: with the figures and the cure.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in {errno.ENOSPC, errno.EDQUOT}:
            raise
        raise ResourceError(
            f"no space left on the disk ({_free_bytes(path) / 1e6:.0f} MB free)",
            where=str(path),
            cure="Free some space and run the same command again; nothing was half written",
        ) from error


def _free_bytes(path: Path) -> int:
    existing = path
    while not existing.exists():
        existing = existing.parent
    return shutil.disk_usage(existing).free


def write_bytes(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically."""
    with atomic_write(path) as handle:
        handle.write(content)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` as UTF-8 to ``path`` atomically."""
    write_bytes(path, text.encode())


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text. Refuses NaN and infinity."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON (no NaN) atomically."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def sha256_bytes(content: bytes) -> str:
    """SHA-256 of ``content`` as 64 hex digits."""
    return hashlib.sha256(content).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of the file's content as 64 hex digits, read in chunks."""
    digest = hashlib.sha256()
    with path.open("rb") as handle:
        while chunk := handle.read(_CHUNK_BYTES):
            digest.update(chunk)
    return digest.hexdigest()


def require_disk(folder: Path, needed_bytes: int) -> None:
    """Refuse early when ``folder``'s disk has less than ``needed_bytes`` free.

    Raises:
        ResourceError: with the figures and the cure.
    """
    free = _free_bytes(folder)
    if free < needed_bytes:
        raise ResourceError(
            f"{needed_bytes / 1e6:.0f} MB are needed and {free / 1e6:.0f} MB are free",
            where=str(folder),
            cure="Free some space or set OVERFLIGHT_HOME to a folder on a larger disk",
        )
