"""The state of the local account: one SQLite file that several processes read and write at once.

Knows resources (kind, name, JSON body), counters and transactions; not what any kind of resource means.

Why it survives ``kill -9``: every change is one transaction in write-ahead-log mode. With ``synchronous=NORMAL`` a
commit is written to the log, which the operating system keeps when the process dies, and each log frame carries a
checksum, so a torn frame is ignored at the next open. Only a power cut may lose the last commits; it cannot mix old
and new.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sqlite3
import threading
import weakref
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, Protocol, cast

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from overflight.account.clock import Clock
from overflight.account.local import state_file, tables


class ResourceExists(KeyError):  # noqa: N818  # named like the AWS conditions it becomes
    """A resource of this kind and name exists already."""


class ResourceMissing(KeyError):  # noqa: N818  # named like the AWS conditions it becomes
    """There is no resource of this kind and name."""


class Sealed(NamedTuple):
    """An entry added to the trail: its number and hash, and why it deserves a checkpoint at once, or ""."""

    sequence: int
    hash: str
    reason: str


class TrailListener(Protocol):
    """Who is told about new entries of the trail.

    Attributes:
        anchor: What the next entry carries in its details, so that the trail proves it too; None for nothing.
    """

    anchor: Mapping[str, Any] | None

    def committed(self, sealed: Sequence[Sealed], *, anchored: Mapping[str, Any] | None) -> None:
        """These entries are committed, the first of them with ``anchored`` in its details; must not raise."""


@dataclass(frozen=True)
class Resource:
    """One row of state.

    Attributes:
        kind: For example ``pipeline``, ``training-job``.
        name: Unique within the kind.
        parent: Name of the resource it belongs to, or "".
        status: AWS's status word, or "".
        body: JSON document; times in it are ISO strings.
        created_at: Aware, UTC.
        modified_at: Aware, UTC.
        revision: 1 at insertion, one more with every change.
    """

    kind: str
    name: str
    parent: str
    status: str
    body: dict[str, Any]
    created_at: datetime
    modified_at: datetime
    revision: int


def to_json(value: Any) -> str:
    """JSON text of ``value``; datetimes become ISO 8601 strings in UTC, paths strings. Refuses NaN and infinity."""
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"), default=_encode)


def time_text(moment: datetime) -> str:
    """ISO 8601 in UTC with six decimals: text order is time order."""
    return moment.astimezone(UTC).isoformat(timespec="microseconds")


def _encode(value: object) -> str:
    if isinstance(value, datetime):
        return time_text(value)
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def _resource(row: Any) -> Resource:
    return Resource(
        kind=row.kind,
        name=row.name,
        parent=row.parent,
        status=row.status,
        body=json.loads(row.body),
        created_at=datetime.fromisoformat(row.created_at),
        modified_at=datetime.fromisoformat(row.modified_at),
        revision=row.revision,
    )


class Transaction:
    """What can be done inside one :meth:`Store.write` or :meth:`Store.read`.

    Attributes:
        connection: SQLAlchemy's connection.
        sealed: Entries added to the trail so far.
        anchor: What the first of them carries in its details, see :class:`TrailListener`.
    """

    def __init__(self, connection: sa.Connection, *, clock: Clock, anchor: Mapping[str, Any] | None = None) -> None:
        self.connection = connection
        self._clock = clock
        self.sealed: list[Sealed] = []
        self.anchor = anchor

    def get(self, kind: str, name: str) -> Resource | None:
        """The resource, or None."""
        row = self.connection.execute(_GET, {"kind": kind, "name": name}).first()
        return None if row is None else _resource(row)

    def insert(self, kind: str, name: str, *, body: dict[str, Any], parent: str = "", status: str = "") -> Resource:
        """Add a resource.

        Raises:
            ResourceExists: the kind has this name already; nothing was changed.
        """
        now = time_text(self._clock())
        row = {
            "kind": kind,
            "name": name,
            "parent": parent,
            "status": status,
            "body": to_json(body),
            "created_at": now,
            "modified_at": now,
            "revision": 1,
        }
        done = self.connection.execute(_INSERT, row).first()
        if done is None:
            raise ResourceExists(f"{kind} {name}")
        return _resource(done)

    def put(
        self,
        kind: str,
        name: str,
        *,
        body: dict[str, Any] | None = None,
        parent: str | None = None,
        status: str | None = None,
    ) -> Resource:
        """Change an existing resource; None keeps what is there. The revision grows by one.

        Raises:
            ResourceMissing: no such resource.
        """
        values: dict[str, Any] = {"modified_at": time_text(self._clock()), "revision": tables.resources.c.revision + 1}
        given = {"body": None if body is None else to_json(body), "parent": parent, "status": status}
        values.update({key: value for key, value in given.items() if value is not None})
        table = tables.resources
        statement = (
            sa.update(table).where(table.c.kind == kind, table.c.name == name).values(values).returning(*table.c)
        )
        done = self.connection.execute(statement).first()
        if done is None:
            raise ResourceMissing(f"{kind} {name}")
        return _resource(done)

    def delete(self, kind: str, name: str) -> bool:
        """Remove a resource; False when there was none."""
        table = tables.resources
        done = self.connection.execute(sa.delete(table).where(table.c.kind == kind, table.c.name == name))
        return done.rowcount > 0

    def list(self, kind: str, *, parent: str | None = None, statuses: Collection[str] | None = None) -> list[Resource]:
        """Resources of a kind in the order of their creation, optionally of one parent or in some statuses."""
        table = tables.resources
        statement = sa.select(table).where(table.c.kind == kind).order_by(table.c.created_at, table.c.id)
        if parent is not None:
            statement = statement.where(table.c.parent == parent)
        if statuses is not None:
            statement = statement.where(table.c.status.in_(list(statuses)))
        return [_resource(row) for row in self.connection.execute(statement)]

    def next_number(self, counter: str) -> int:
        """1, 2, 3 ... for each counter; a number is given once, and given back when the transaction rolls back."""
        return cast("int", self.connection.execute(_NEXT, {"name": counter, "value": 1}).scalar_one())


_GET = sa.select(tables.resources).where(
    tables.resources.c.kind == sa.bindparam("kind"), tables.resources.c.name == sa.bindparam("name")
)
_INSERT = upsert(tables.resources).on_conflict_do_nothing().returning(*tables.resources.c)
_NEXT = (
    upsert(tables.counters)
    .on_conflict_do_update(index_elements=["name"], set_={"value": tables.counters.c.value + 1})
    .returning(tables.counters.c.value)
)


class Store:
    """The state file of one account folder; safe to share between threads, and between processes by opening it in each.

    Args:
        home: Folder of the account; made when missing.
        clock: Gives the times of creation and change.

    Attributes:
        listener: Told of new entries of the trail after each commit, or None.

    Raises:
        StoreError: the folder cannot be used, or the state file is damaged, foreign or newer than this version.
    """

    def __init__(self, home: Path, *, clock: Clock) -> None:
        self.home = home.absolute()
        self.path = self.home / state_file.NAME
        self._clock = clock
        self.listener: TrailListener | None = None
        self._writing = threading.Lock()
        self._writer: int | None = None
        self._watching = threading.Lock()
        self._watcher: sqlite3.Connection | None = None
        state_file.make_folder(self.home)
        if not self.path.exists():
            state_file.create(self.home, self.path)
        with self._explained():
            state_file.check(self.home, self.path)
        self._open()

    @contextlib.contextmanager
    def write(self) -> Iterator[Transaction]:
        """One transaction that sees and changes the newest state; committed at the end, rolled back on any error.

        Raises:
            StoreError: another process kept the state locked for 30 s, or the file is damaged.
            ResourceError: the disk is full; nothing was changed.
        """
        self._reopen_after_fork()
        if self._writer == threading.get_ident():
            raise RuntimeError("Store.write() inside Store.write() of the same thread: pass the transaction on instead")
        with self._writing:
            self._writer = threading.get_ident()
            try:
                with self._transaction("BEGIN IMMEDIATE") as transaction:
                    yield transaction
            finally:
                self._writer = None
        if self.listener is not None and transaction.sealed:
            self.listener.committed(transaction.sealed, anchored=transaction.anchor)

    @contextlib.contextmanager
    def read(self) -> Iterator[Transaction]:
        """One consistent view of the state; never waits for writers."""
        with self._transaction("BEGIN") as transaction:
            yield transaction

    def data_version(self) -> int:
        """A number that changes when any connection, of this process or another, has committed a change."""
        self._reopen_after_fork()
        with self._watching, self._explained():
            if self._watcher is None:
                self._watcher = _connect(self.path)
            return cast("int", self._watcher.execute("PRAGMA data_version").fetchone()[0])

    def close(self) -> None:
        """Close the kept connections; the store may be used again afterwards."""
        self._close_watcher()
        self._engine.dispose()

    def _open(self) -> None:
        self._process = os.getpid()
        self._watcher = None
        self._engine = sa.create_engine(
            "sqlite://",
            creator=functools.partial(_connect, self.path),
            poolclass=sa.QueuePool,
            pool_size=4,
            max_overflow=60,
        )
        weakref.finalize(self, self._engine.dispose)

    def _reopen_after_fork(self) -> None:
        if self._process != os.getpid():  # SQLite connections may not cross a fork, nor locks that threads held
            self._engine.dispose(close=False)
            self._writing, self._watching, self._writer = threading.Lock(), threading.Lock(), None
            self._open()

    def _close_watcher(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    @contextlib.contextmanager
    def _transaction(self, begin: str) -> Iterator[Transaction]:
        self._reopen_after_fork()
        with self._explained(), self._engine.connect() as connection:
            connection.exec_driver_sql(begin)
            try:
                anchor = None if self.listener is None else self.listener.anchor
                yield Transaction(connection, clock=self._clock, anchor=anchor)
            except BaseException:
                connection.rollback()
                raise
            connection.commit()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.DatabaseError as error:
            state_file.explain(error, error, home=self.home, path=self.path)
        except sa.exc.DBAPIError as error:
            state_file.explain(error, error.orig, home=self.home, path=self.path)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw",
        uri=True,
        timeout=state_file.BUSY_TIMEOUT_S,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=256,
    )
    connection.execute("PRAGMA synchronous=NORMAL")
    return connection
