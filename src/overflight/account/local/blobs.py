"""Contents of objects as read-only files named by their SHA-256: ``s3/blobs/<first two digits>/<sha256>``.

Knows bytes and digests; not which object has which content. A content is written to a temporary name, flushed to disk
and renamed, so a file under ``blobs`` is complete; equal contents are kept once.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol, cast

from overflight.errors import InputError
from overflight.files import explained_disk, sha256_file

_CHUNK_BYTES = 1024 * 1024
_READ_ONLY = 0o444


class Readable(Protocol):
    """Anything with ``read(size)``."""

    def read(self, size: int, /) -> Any:
        """Up to ``size`` bytes (or text); empty at the end."""


@dataclass(frozen=True)
class Blob:
    """A content that is kept: SHA-256 and MD5 in hex digits, and its size."""

    sha256: str
    md5: str
    size_bytes: int


class BlobFolder:
    """The contents of one account.

    Args:
        folder: ``<home>/s3``; made when first written to.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def path(self, sha256: str) -> Path:
        """Where the content of this digest is kept, whether it exists or not."""
        return self.folder / "blobs" / sha256[:2] / sha256

    def keep(self, content: bytes) -> Blob:
        """Keep bytes that are in memory.

        Raises:
            ResourceError: the disk is full; nothing is kept.
        """
        blob = Blob(hashlib.sha256(content).hexdigest(), _md5(content), len(content))
        if self._is_there(blob):
            return blob
        with self._temporary() as (handle, temporary):
            handle.write(content)
            self._seal(handle, temporary, blob)
        return blob

    def receive(self, stream: Readable) -> Blob:
        """Keep what a stream gives, in chunks; text is encoded as UTF-8.

        Raises:
            ResourceError: the disk is full; nothing is kept.
        """
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with self._temporary() as (handle, temporary):
            while chunk := stream.read(_CHUNK_BYTES):
                data = chunk.encode() if isinstance(chunk, str) else bytes(chunk)
                sha256.update(data)
                md5.update(data)
                size += len(data)
                handle.write(data)
            blob = Blob(sha256.hexdigest(), md5.hexdigest(), size)
            if not self._is_there(blob):
                self._seal(handle, temporary, blob)
        return blob

    def take(self, path: Path, *, move: bool = False) -> Blob:
        """Keep a file: a copy of it, or with ``move`` the file itself (on the same disk nothing is copied).

        Raises:
            InputError: not a readable regular file.
            ResourceError: the disk is full; nothing is kept and the file stays.
        """
        if not path.is_file():
            raise InputError("is not a file", where=str(path), cure="Give an existing file")
        if not move or path.is_symlink() or path.stat().st_nlink > 1:
            with path.open("rb") as source:
                blob = self.receive(source)
            if move:
                path.unlink()
            return blob
        blob = self._measure(path)
        if self._is_there(blob):
            path.unlink()
            return blob
        target = self._ready(blob)
        os.utime(path)  # the file may be old, the content is new here: a sweep that runs now leaves it alone
        path.chmod(_READ_ONLY)
        try:
            path.replace(target)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            with path.open("rb") as source:
                self.receive(source)
            path.unlink()
        return blob

    def is_intact(self, sha256: str) -> bool:
        """Whether the content is there and is still what its name says; reads all of it."""
        path = self.path(sha256)
        return path.is_file() and sha256_file(path) == sha256

    def all(self) -> Iterator[Path]:
        """Every content file, in no particular order."""
        yield from (self.folder / "blobs").glob("[0-9a-f][0-9a-f]/*")

    def _measure(self, path: Path) -> Blob:
        sha256, md5, size = hashlib.sha256(), hashlib.md5(usedforsecurity=False), 0
        with path.open("rb") as handle:
            while chunk := handle.read(_CHUNK_BYTES):
                sha256.update(chunk)
                md5.update(chunk)
                size += len(chunk)
            os.fsync(handle.fileno())
        return Blob(sha256.hexdigest(), md5.hexdigest(), size)

    def _is_there(self, blob: Blob) -> bool:
        path = self.path(blob.sha256)
        try:
            if path.stat().st_size != blob.size_bytes:
                return False  # damaged: the good content replaces it
            os.utime(path)  # young again: a sweep that runs now leaves it alone
        except OSError:
            return False
        return True

    def _ready(self, blob: Blob) -> Path:
        target = self.path(blob.sha256)
        if not target.parent.is_dir():
            target.parent.mkdir(parents=True, exist_ok=True)
        return target

    def _seal(self, handle: BinaryIO, temporary: Path, blob: Blob) -> None:
        handle.flush()
        os.fsync(handle.fileno())
        os.fchmod(handle.fileno(), _READ_ONLY)
        temporary.replace(self._ready(blob))

    @contextlib.contextmanager
    def _temporary(self) -> Iterator[tuple[BinaryIO, Path]]:
        folder = self.folder / "tmp"
        with explained_disk(folder):
            folder.mkdir(parents=True, exist_ok=True)
            descriptor, name = tempfile.mkstemp(dir=folder, suffix=".tmp")
            temporary = Path(name)
            try:
                with os.fdopen(descriptor, "wb") as handle:
                    yield cast("BinaryIO", handle), temporary
            finally:
                temporary.unlink(missing_ok=True)


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
