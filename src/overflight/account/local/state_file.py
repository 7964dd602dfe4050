"""The state file as a file: made complete, checked before use, and its failures explained.

Knows SQLite's files and error codes; not what the tables mean. The file is made under another name and linked into
place, so an empty or partial file is never a beginning but always damage, and is never overwritten.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from pathlib import Path
from typing import NoReturn

import sqlalchemy as sa

from overflight.account.local import tables
from overflight.errors import OverflightError, ResourceError, StoreError

NAME = "state.db"
BUSY_TIMEOUT_S = 30.0
_RESTORE = "Restore {path} from a copy, or move {home} away and run the command again to start an empty account"


def check(home: Path, path: Path) -> None:
    """Refuse a state file that is cut off, foreign or of a newer schema version; bring an older one up to date.

    Raises:
        StoreError: with the cure. Damage that only reading finds is a ``sqlite3.DatabaseError``.
    """
    _refuse_truncated(home, path)
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S)
    try:
        application = connection.execute("PRAGMA application_id").fetchone()[0]
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    finally:
        connection.close()
    where = str(path)
    known = not 0 < version <= tables.SCHEMA_VERSION or set(tables.metadata.tables) <= names
    if application != tables.APPLICATION_ID or not known:
        cure = _RESTORE.format(path=path, home=home)
        raise StoreError("is not the state of a local account", where=where, cure=cure)
    if 0 < version < tables.SCHEMA_VERSION:
        _migrate(path)
    elif version != tables.SCHEMA_VERSION:
        raise StoreError(
            f"has schema version {version}, this Overflight reads version {tables.SCHEMA_VERSION}",
            where=where,
            cure="Use the Overflight that wrote it, or set OVERFLIGHT_HOME to another folder",
        )


def _migrate(path: Path) -> None:
    """Bring the tables to this version in one transaction; the first of several processes does it."""
    connection = sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_TIMEOUT_S, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        version = connection.execute("PRAGMA user_version").fetchone()[0]
        for target in range(version + 1, tables.SCHEMA_VERSION + 1):
            for statement in tables.MIGRATIONS[target]:
                connection.execute(statement)
        connection.execute(f"PRAGMA user_version={max(version, tables.SCHEMA_VERSION)}")
        connection.execute("COMMIT")
    finally:
        connection.close()


def explain(error: Exception, origin: object, *, home: Path, path: Path) -> NoReturn:
    """Raise what the reader can act on for an error of SQLite, or the error itself when it is our own mistake."""
    code = getattr(origin, "sqlite_errorcode", 0) & 0xFF
    where, cure = str(path), _RESTORE.format(path=path, home=home)
    explained: OverflightError
    if code == sqlite3.SQLITE_FULL:
        explained = ResourceError("no space left on the disk", where=where, cure="Free some space and run it again")
    elif code in {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}:
        explained = StoreError(
            f"another process has kept the state locked for {BUSY_TIMEOUT_S:.0f} s",
            where=where,
            cure="Wait for it to end, or stop it with `overflight down`",
        )
    elif code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}:
        explained = StoreError(f"the state file is damaged ({origin})", where=where, cure=cure)
    elif code in {sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM}:
        explained = StoreError(
            f"the state file cannot be opened for writing ({origin})",
            where=where,
            cure="Check owner and mode of the file and of its folder, or set OVERFLIGHT_HOME to another folder",
        )
    elif code == sqlite3.SQLITE_IOERR:
        explained = StoreError(f"the disk failed ({origin})", where=where, cure="Check the disk. " + cure)
    else:
        raise error
    raise explained from error


def make_folder(home: Path) -> None:
    """Make the folder of the account.

    Raises:
        StoreError: it cannot be made or written.
    """
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StoreError(
            f"the folder of the local account cannot be made ({error.strerror})",
            where=str(home),
            cure="Set OVERFLIGHT_HOME to a folder that can be written",
        ) from error
    if not os.access(home, os.W_OK | os.X_OK):
        raise StoreError(
            "the folder of the local account cannot be written",
            where=str(home),
            cure="Change its mode, or set OVERFLIGHT_HOME to a folder that can be written",
        )


def create(home: Path, path: Path) -> None:
    """Make the state file complete under another name, then link it into place; the first of several processes wins."""
    blobs = home / "s3" / "blobs"
    if path.with_name(f"{NAME}-wal").exists() or (blobs.is_dir() and any(blobs.iterdir())):
        if path.exists():  # another process made it this moment
            return
        raise StoreError(
            "the state file is missing although the folder holds an account",
            where=str(path),
            cure=_RESTORE.format(path=path, home=home),
        )
    temporary = home / f".{NAME}.{os.getpid()}-{threading.get_ident()}.tmp"
    temporary.unlink(missing_ok=True)
    engine = sa.create_engine(
        "sqlite://", creator=lambda: sqlite3.connect(temporary, isolation_level=None), poolclass=sa.NullPool
    )
    try:
        with engine.connect() as connection:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            connection.exec_driver_sql("PRAGMA synchronous=OFF")  # one flush at the end instead
            connection.exec_driver_sql("BEGIN")
            connection.exec_driver_sql(f"PRAGMA application_id={tables.APPLICATION_ID}")
            connection.exec_driver_sql(f"PRAGMA user_version={tables.SCHEMA_VERSION}")
            tables.metadata.create_all(connection)
            connection.commit()
        with temporary.open("rb") as handle:
            os.fsync(handle.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    except sa.exc.DBAPIError as error:
        explain(error, error.orig, home=home, path=path)
    except OSError as error:
        raise StoreError(
            f"the state file cannot be made ({error.strerror})",
            where=str(path),
            cure="Set OVERFLIGHT_HOME to a folder on a local disk (with hard links and free space)",
        ) from error
    finally:
        temporary.unlink(missing_ok=True)


def _refuse_truncated(home: Path, path: Path) -> None:
    """Refuse a state file that is shorter than its header says, unless the log still holds the missing pages."""
    if _log_bytes(path):
        return
    with path.open("rb") as handle:
        header = handle.read(100)
    size = path.stat().st_size
    page_bytes = int.from_bytes(header[16:18], "big")
    page_bytes = 65536 if page_bytes == 1 else page_bytes
    expected = int.from_bytes(header[28:32], "big") * page_bytes
    cut_off = len(header) < 100 or (header.startswith(b"SQLite format 3\0") and size < expected)
    if cut_off and not _log_bytes(path):  # else another process has begun to write since, header first
        raise StoreError(
            f"the state file is cut off ({size} of {max(expected, 100)} bytes)",
            where=str(path),
            cure=_RESTORE.format(path=path, home=home),
        )


def _log_bytes(path: Path) -> int:
    """Size of SQLite's log; 0 when there is none, because the last process that used it took it along."""
    try:
        return path.with_name(f"{NAME}-wal").stat().st_size
    except FileNotFoundError:
        return 0
