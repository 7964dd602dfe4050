"""What a mirror knows of its source: keys, sizes, ETags, which files are complete and which ranges of a file are there.

One SQLite file, so that a million keys need no memory and a kill at any moment leaves it readable. Knows no S3. Used by
one thread. Keys are kept in the order of their UTF-8 bytes, which is S3's order.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from overflight.errors import ResourceError, StoreError

_SCHEMA = """
CREATE TABLE IF NOT EXISTS facts (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS files (
  name TEXT PRIMARY KEY, folded TEXT NOT NULL, size INTEGER NOT NULL, etag TEXT NOT NULL, run INTEGER NOT NULL,
  done INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, unproved TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS ranges (
  name TEXT NOT NULL, start INTEGER NOT NULL, stop INTEGER NOT NULL, PRIMARY KEY (name, start)
) WITHOUT ROWID;
CREATE TEMPORARY TABLE folders (name TEXT PRIMARY KEY) WITHOUT ROWID;
"""
_LIST = """
INSERT INTO files VALUES (?, ?, ?, ?, ?, ?, 0, '')
ON CONFLICT (name) DO UPDATE SET size = excluded.size, etag = excluded.etag, run = excluded.run, done = excluded.done
"""
_CLASHING = """
SELECT name FROM files WHERE run = ? AND name > ? AND name IN (SELECT name FROM folders) ORDER BY name LIMIT ?
"""
_CLASHING_FOLDED = """
SELECT name FROM files WHERE run = ? AND name > ? AND folded IN (SELECT name FROM folders) ORDER BY name LIMIT ?
"""
_GONE = "SELECT name FROM files WHERE run != ? AND name > ? ORDER BY name LIMIT ?"
_BATCH = 1000


@dataclass(frozen=True, slots=True)
class Listed:
    """An object as listed: its name below the prefix, bytes, and ETag without quotes."""

    name: str
    size: int
    etag: str


@dataclass(frozen=True, slots=True)
class Known:
    """What the ledger holds of a name; ``mtime_ns`` is the local file's, when it was complete."""

    size: int
    etag: str
    done: bool
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Totals:
    """Files and bytes listed, those of them that are complete, and the bytes still to fetch (ranges kept count)."""

    files: int
    size: int
    files_done: int
    bytes_done: int
    missing: int


class Ledger:
    """The ledger of one mirror.

    Args:
        path: The SQLite file; made when missing.
        source: Address that the folder mirrors.

    Raises:
        StoreError: the file is damaged, or belongs to another source.
    """

    def __init__(self, path: Path, *, source: str) -> None:
        self._path = path
        with self._explained():
            self._db = sqlite3.connect(path, isolation_level=None)
        self._db.create_function("fold", 1, fold, deterministic=True)
        try:
            with self._explained():
                self._db.execute("PRAGMA journal_mode=WAL")
                self._db.execute("PRAGMA synchronous=NORMAL")
                self._db.executescript(_SCHEMA)
                self._db.execute("INSERT OR IGNORE INTO facts VALUES ('source', ?), ('run', '0')", (source,))
                facts = dict(self._db.execute("SELECT name, value FROM facts"))
            if facts["source"] != source:
                what = f"this folder mirrors {facts['source']}, not {source}"
                raise StoreError(what, where=str(path.parent.parent), cure="Give another folder")
        except BaseException:
            self._db.close()
            raise
        self._run = int(facts["run"])

    def close(self) -> None:
        """Close the file; everything is written already."""
        self._db.close()

    def begin(self) -> None:
        """Begin a new listing: nothing counts as listed any more."""
        self._run += 1
        self._change("UPDATE facts SET value = ? WHERE name = 'run'", (str(self._run),))

    def known(self, names: Sequence[str]) -> dict[str, Known]:
        """What the ledger holds of these names."""
        statement = "SELECT name, size, etag, done, mtime_ns FROM files WHERE name IN (SELECT value FROM json_each(?))"
        with self._explained():
            rows = self._db.execute(statement, (json.dumps(names),)).fetchall()
        return {name: Known(size, etag, bool(done), mtime_ns) for name, size, etag, done, mtime_ns in rows}

    def list_page(self, page: Sequence[Listed], *, kept: set[str], changed: Iterable[str]) -> None:
        """Note one page of the listing, in one transaction.

        Args:
            page: The objects.
            kept: Names whose local file is complete and current.
            changed: Names whose noted ranges are of an older object.
        """
        folders = {name[:end] for item in page for name in [item.name] for end in _slashes(name)}
        with self._explained(), self._transaction():
            self._db.executemany("DELETE FROM ranges WHERE name = ?", [(name,) for name in changed])
            self._db.executemany(
                _LIST,
                [(i.name, fold(i.name), i.size, i.etag, self._run, i.name in kept) for i in page],
            )
            self._db.executemany("INSERT OR IGNORE INTO folders VALUES (?)", [(folder,) for folder in folders])

    def also_folders(self, *, folded: bool) -> Iterator[str]:
        """Names listed as an object that are a folder of others as well; ``folded``: on a disk that ignores case."""
        if folded:
            self._change("INSERT OR IGNORE INTO folders SELECT fold(name) FROM folders", ())
        return self._names(_CLASHING_FOLDED if folded else _CLASHING)

    def alike(self) -> Iterator[list[str]]:
        """Groups of listed names that differ only in upper and lower case or in the form of accents."""
        statement = (
            "SELECT json_group_array(name) FROM files WHERE run = ? GROUP BY folded HAVING count(*) > 1 ORDER BY folded"
        )
        with self._explained():
            for (names,) in self._db.execute(statement, (self._run,)):
                yield sorted(json.loads(names))

    def gone(self) -> Iterator[str]:
        """Names noted by an earlier run and not listed by this one."""
        return self._names(_GONE)

    def missing(self) -> Iterator[Listed]:
        """Objects listed whose files are not complete, by name."""
        after = ""
        statement = "SELECT name, size, etag FROM files WHERE run = ? AND NOT done AND name > ? ORDER BY name LIMIT ?"
        while True:
            with self._explained():
                rows = self._db.execute(statement, (self._run, after, _BATCH)).fetchall()
            if not rows:
                return
            for row in rows:
                yield Listed(*row)
            after = rows[-1][0]

    def totals(self) -> Totals:
        """Sums over what is listed."""
        statement = "SELECT count(*), total(size), total(done), total(done * size) FROM files WHERE run = ?"
        with self._explained():
            row = self._db.execute(statement, (self._run,)).fetchone()
            there = self._db.execute("SELECT total(stop - start) FROM ranges").fetchone()[0]
        files, size, files_done, bytes_done = (int(value) for value in row)
        return Totals(files, size, files_done, bytes_done, max(0, size - bytes_done - int(there)))

    def unproved(self) -> list[tuple[str, str]]:
        """Complete files whose content could not be checked, and why."""
        statement = "SELECT name, unproved FROM files WHERE run = ? AND done AND unproved != '' ORDER BY name"
        with self._explained():
            return self._db.execute(statement, (self._run,)).fetchall()

    def complete(self, name: str, *, mtime_ns: int, unproved: str) -> None:
        """Note that the file is there; ``unproved``: why its content could not be checked, or ""."""
        with self._explained(), self._transaction():
            self._db.execute(
                "UPDATE files SET done = 1, mtime_ns = ?, unproved = ? WHERE name = ?", (mtime_ns, unproved, name)
            )
            self._db.execute("DELETE FROM ranges WHERE name = ?", (name,))

    def forget(self, name: str) -> None:
        """Drop a name and its ranges."""
        with self._explained(), self._transaction():
            self._db.execute("DELETE FROM files WHERE name = ?", (name,))
            self._db.execute("DELETE FROM ranges WHERE name = ?", (name,))

    def ranges(self, name: str) -> list[tuple[int, int]]:
        """First and one-past-last bytes that are in the partial file, by start."""
        with self._explained():
            return self._db.execute("SELECT start, stop FROM ranges WHERE name = ? ORDER BY start", (name,)).fetchall()

    def add_range(self, name: str, start: int, stop: int) -> None:
        """Note that these bytes are in the partial file, on the disk."""
        self._change("INSERT OR REPLACE INTO ranges VALUES (?, ?, ?)", (name, start, stop))

    def drop_ranges(self, name: str) -> None:
        """Note that the partial file holds nothing."""
        self._change("DELETE FROM ranges WHERE name = ?", (name,))

    def _names(self, statement: str) -> Iterator[str]:
        """Names in batches, so that the caller may forget them on the way."""
        after = ""
        while True:
            with self._explained():
                rows = self._db.execute(statement, (self._run, after, _BATCH)).fetchall()
            if not rows:
                return
            yield from (row[0] for row in rows)
            after = rows[-1][0]

    def _change(self, statement: str, values: tuple[object, ...]) -> None:
        with self._explained():
            self._db.execute(statement, values)

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[None]:
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        where = str(self._path)
        try:
            yield
        except sqlite3.DatabaseError as error:
            if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_FULL:
                cure = "Free some space and run the same command again"
                raise ResourceError("no space left on the disk", where=where, cure=cure) from error
            cure = f"Remove {self._path.parent.parent} and run it again: everything is fetched anew"
            raise StoreError(f"the record of the mirror cannot be used ({error})", where=where, cure=cure) from error


def fold(name: str) -> str:
    """What names have in common that a disk without upper and lower case takes for one."""
    return name if name.isascii() and name.islower() else unicodedata.normalize("NFC", name).casefold()


def _slashes(name: str) -> Iterator[int]:
    end = name.rfind("/")
    while end > 0:
        yield end
        end = name.rfind("/", 0, end)
