"""Objects of the local account: rows that give bucket, key and version a content, and files that hold the contents.

Knows versions and digests; not the S3 protocol (``services/s3``). Also used without any client by what runs inside the
account, such as the engine that moves files into and out of job folders.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.sqlite import insert as upsert

from overflight.account.clock import Clock
from overflight.account.local import tables
from overflight.account.local.blobs import Blob, BlobFolder
from overflight.account.local.store import Store, Transaction, time_text, to_json
from overflight.errors import InputError, NotFoundError

NULL_VERSION = "null"
DEFAULT_CONTENT_TYPE = "binary/octet-stream"
_SWEEP_AGE_S = 3600.0


@dataclass(frozen=True)
class Bucket:
    """A bucket; ``versioning`` is "", "Enabled" or "Suspended"."""

    name: str
    region: str
    versioning: str
    created_at: datetime


@dataclass(frozen=True)
class ObjectInfo:
    """One version of one object.

    Attributes:
        bucket: Its bucket.
        key: Its key.
        version_id: "null" in a bucket without versioning.
        etag: MD5 in hex digits (multipart: MD5 of the parts' MD5s, "-", number of parts), without quotes.
        sha256: Digest of the content, 64 hex digits; "" for a delete marker.
        size_bytes: Size of the content.
        content_type: As given at the upload.
        metadata: As given at the upload.
        last_modified: Aware, UTC.
        is_latest: Whether it is what the key gives without a version.
        delete_marker: Whether it marks the key as deleted.
    """

    bucket: str
    key: str
    version_id: str
    etag: str
    sha256: str
    size_bytes: int
    content_type: str
    metadata: dict[str, str]
    last_modified: datetime
    is_latest: bool
    delete_marker: bool


def object_info(row: Any) -> ObjectInfo:
    """A row of the table ``objects`` as a value."""
    columns = row._mapping
    fields = {name: columns[name] for name in ObjectInfo.__dataclass_fields__}
    fields["metadata"] = json.loads(fields["metadata"])
    fields["last_modified"] = datetime.fromisoformat(fields["last_modified"])
    return ObjectInfo(**fields)


def find_bucket(transaction: Transaction, name: str) -> Bucket | None:
    """The bucket, or None."""
    row = transaction.connection.execute(_BUCKET, {"name": name}).first()
    if row is None:
        return None
    return Bucket(row.name, row.region, row.versioning, datetime.fromisoformat(row.created_at))


def find_object(transaction: Transaction, bucket: str, key: str, version_id: str | None = None) -> ObjectInfo | None:
    """The latest or the given version, which may be a delete marker; None when there is none."""
    if version_id is None:
        row = transaction.connection.execute(_LATEST, {"b": bucket, "k": key}).first()
    else:
        row = transaction.connection.execute(_VERSION, {"b": bucket, "k": key, "v": version_id}).first()
    return None if row is None else object_info(row)


def add_version(
    transaction: Transaction,
    bucket: Bucket,
    key: str,
    *,
    time: datetime,
    blob: Blob | None,
    etag: str | None = None,
    content_type: str = DEFAULT_CONTENT_TYPE,
    metadata: dict[str, str] | None = None,
) -> ObjectInfo:
    """Make a content the latest version of a key (None: a delete marker); without versioning it replaces the old."""
    version_id = secrets.token_urlsafe(24) if bucket.versioning == "Enabled" else NULL_VERSION
    where = {"b": bucket.name, "k": key}
    if version_id == NULL_VERSION:
        transaction.connection.execute(_DROP, {**where, "v": NULL_VERSION})
    if bucket.versioning:
        transaction.connection.execute(_AGE, where)
    row = {
        "bucket": bucket.name,
        "key": key,
        "version_id": version_id,
        "etag": "" if blob is None else etag or blob.md5,
        "sha256": "" if blob is None else blob.sha256,
        "size_bytes": 0 if blob is None else blob.size_bytes,
        "content_type": content_type,
        "metadata": to_json(metadata or {}),
        "last_modified": time_text(time),
        "is_latest": True,
        "delete_marker": blob is None,
    }
    return object_info(transaction.connection.execute(_ADD, row).one())


def drop_version(transaction: Transaction, bucket: str, key: str, version_id: str) -> ObjectInfo | None:
    """Remove one version for good; the newest of the others becomes the latest. None when there was none."""
    gone = find_object(transaction, bucket, key, version_id)
    if gone is None:
        return None
    where = {"b": bucket, "k": key}
    transaction.connection.execute(_DROP, {**where, "v": version_id})
    if gone.is_latest:
        transaction.connection.execute(_PROMOTE, where)
    return gone


def after_prefix(prefix: str) -> str:
    """A text that comes after every key with this prefix and before all later ones, in the order of UTF-8 bytes."""
    return prefix + "\U0010ffff" * 257  # longer than any key (1024 bytes) can be


class ObjectStore:
    """Files behind S3.

    Args:
        store: State of the account; contents lie beside it in ``s3/``.
        clock: Gives the times of modification.
    """

    def __init__(self, store: Store, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.blobs = BlobFolder(store.home / "s3")
        self._uploads = store.home / "s3" / "uploads"

    def parts_folder(self, upload_id: str) -> BlobFolder:
        """Where the parts of one unfinished upload are kept."""
        return BlobFolder(self._uploads / upload_id)

    def ensure_bucket(self, name: str, *, region: str) -> None:
        """Make the bucket, with versioning, unless it exists."""
        with self._store.read() as transaction:
            if find_bucket(transaction, name) is not None:
                return
        row = {"name": name, "region": region, "versioning": "Enabled", "created_at": time_text(self._clock())}
        with self._store.write() as transaction:
            transaction.connection.execute(upsert(tables.buckets).on_conflict_do_nothing(), row)

    def put_file(
        self,
        bucket: str,
        key: str,
        path: Path,
        *,
        move: bool = False,
        metadata: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Make a file's content an object; with ``move`` the file is gone afterwards and nothing is copied on one disk.

        Raises:
            NotFoundError: no such bucket.
            InputError: ``path`` is not a file.
            ResourceError: the disk is full; nothing was changed.
        """
        with self._store.read() as transaction:
            self._bucket(transaction, bucket)
        blob = self.blobs.take(path, move=move)
        with self._store.write() as transaction:
            return add_version(
                transaction,
                self._bucket(transaction, bucket),
                key,
                time=self._clock(),
                blob=blob,
                content_type=content_type or DEFAULT_CONTENT_TYPE,
                metadata=metadata,
            )

    def put_bytes(
        self,
        bucket: str,
        key: str,
        content: bytes,
        *,
        metadata: dict[str, str] | None = None,
        content_type: str | None = None,
    ) -> ObjectInfo:
        """Make bytes an object; raises as :meth:`put_file`."""
        with self._store.read() as transaction:
            self._bucket(transaction, bucket)
        blob = self.blobs.keep(content)
        with self._store.write() as transaction:
            return add_version(
                transaction,
                self._bucket(transaction, bucket),
                key,
                time=self._clock(),
                blob=blob,
                content_type=content_type or DEFAULT_CONTENT_TYPE,
                metadata=metadata,
            )

    def info(self, bucket: str, key: str, *, version_id: str | None = None) -> ObjectInfo:
        """What is known of an object.

        Raises:
            NotFoundError: no such bucket, object or version, or it is deleted.
        """
        with self._store.read() as transaction:
            self._bucket(transaction, bucket)
            found = find_object(transaction, bucket, key, version_id)
        if found is None or found.delete_marker:
            raise NotFoundError("there is no such object", where=f"s3://{bucket}/{key}", cure="Check bucket and key")
        return found

    def get_path(self, bucket: str, key: str, *, version_id: str | None = None) -> Path:
        """The read-only file with an object's content; raises as :meth:`info`."""
        return self.blobs.path(self.info(bucket, key, version_id=version_id).sha256)

    def exists(self, bucket: str, key: str) -> bool:
        """Whether the key has a latest version that is not deleted."""
        with self._store.read() as transaction:
            found = find_object(transaction, bucket, key)
        return found is not None and not found.delete_marker

    def link_prefix(self, bucket: str, prefix: str, target: Path) -> list[ObjectInfo]:
        """Make every object under ``prefix`` a file in ``target``, named by the rest of its key.

        ``prefix`` is a folder (``a/b`` gives what is under ``a/b/``) or the key of one object, which keeps its name.
        Files are hard links to the read-only contents, else symbolic links, else copies.

        Raises:
            NotFoundError: nothing is there.
            InputError: a key would leave ``target`` (``..``) or is a file and a folder at once.
        """
        folder = prefix if not prefix or prefix.endswith("/") else f"{prefix}/"
        found = self.list(bucket, folder)
        if not found and prefix and self.exists(bucket, prefix):
            found, folder = [self.info(bucket, prefix)], prefix[: prefix.rfind("/") + 1]
        if not found:
            raise NotFoundError("there are no objects", where=f"s3://{bucket}/{prefix}", cure="Check bucket and prefix")
        names = [(info, _safe_name(info, folder)) for info in found if not info.key.endswith("/")]
        target.mkdir(parents=True, exist_ok=True)
        for info, name in names:
            path = target / name
            try:
                path.parent.mkdir(parents=True, exist_ok=True)
                _link(self.blobs.path(info.sha256), path)
            except (FileExistsError, NotADirectoryError, IsADirectoryError) as error:
                raise InputError(
                    "is a file and a folder at once",
                    where=f"s3://{bucket}/{info.key}",
                    cure="Remove one of the two objects",
                ) from error
        return [info for info, _ in names]

    def verify(self, bucket: str | None = None) -> list[ObjectInfo]:
        """Versions whose content is missing or no longer matches its digest; reads every content once."""
        table = tables.objects
        statement = sa.select(table).where(sa.not_(table.c.delete_marker)).order_by(table.c.bucket, table.c.key)
        if bucket is not None:
            statement = statement.where(table.c.bucket == bucket)
        with self._store.read() as transaction:
            infos = [object_info(row) for row in transaction.connection.execute(statement)]
        intact = {digest: self.blobs.is_intact(digest) for digest in {info.sha256 for info in infos}}
        return [info for info in infos if not intact[info.sha256]]

    def sweep(self, *, older_than_s: float = _SWEEP_AGE_S) -> int:
        """Remove contents, parts and temporary files that nothing needs and nobody wrote lately; bytes freed."""
        limit = time.time() - older_than_s  # file times come from the machine, not from the account's clock
        freed = 0
        with self._store.write() as transaction:  # no object can gain a content while this runs
            used = set(transaction.connection.execute(sa.select(tables.objects.c.sha256).distinct()).scalars())
            used |= set(transaction.connection.execute(sa.select(tables.uploads.c.upload_id)).scalars())
            for path in self._candidates(used):
                with contextlib.suppress(FileNotFoundError):
                    status = path.stat()
                    if status.st_mtime < limit:
                        path.unlink()
                        freed += status.st_size
        return freed

    def _candidates(self, used: set[str]) -> Iterator[Path]:
        yield from (path for path in self.blobs.all() if path.name not in used)
        yield from (self.blobs.folder / "tmp").glob("*.tmp")
        for upload in self._uploads.glob("*"):
            if upload.name not in used:
                yield from (path for path in upload.rglob("*") if path.is_file())

    def _bucket(self, transaction: Transaction, name: str) -> Bucket:
        bucket = find_bucket(transaction, name)
        if bucket is None:
            raise NotFoundError("there is no such bucket", where=f"s3://{name}", cure="Check the name or create it")
        return bucket

    def list(self, bucket: str, prefix: str = "") -> list[ObjectInfo]:
        """Latest versions of the keys that begin with ``prefix``, in the order of the keys.

        Raises:
            NotFoundError: no such bucket.
        """
        with self._store.read() as transaction:
            self._bucket(transaction, bucket)
            rows = transaction.connection.execute(_LIST, {"b": bucket, "p": prefix, "e": after_prefix(prefix)}).all()
        return [object_info(row) for row in rows]


def _safe_name(info: ObjectInfo, folder: str) -> PurePosixPath:
    name = info.key[len(folder) :]
    parts = name.split("/")
    if not name or "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise InputError(
            "the key cannot be a path below a folder",
            where=f"s3://{info.bucket}/{info.key}",
            cure="Copy the object to a key without empty, `.` or `..` parts",
        )
    return PurePosixPath(name)


def _link(source: Path, path: Path) -> None:
    try:
        os.link(source, path)
    except FileExistsError:
        if path.is_dir():
            raise
        path.unlink()
        _link(source, path)
    except (FileNotFoundError, NotADirectoryError):
        raise
    except OSError:  # another disk, too many links, or a file system without hard links
        try:
            path.symlink_to(source)
        except FileExistsError:
            raise
        except OSError:
            shutil.copyfile(source, path)


_O = tables.objects
_BUCKET = sa.select(tables.buckets).where(tables.buckets.c.name == sa.bindparam("name"))
_KEY = (_O.c.bucket == sa.bindparam("b"), _O.c.key == sa.bindparam("k"))
_LATEST = sa.select(_O).where(*_KEY, _O.c.is_latest)
_VERSION = sa.select(_O).where(*_KEY, _O.c.version_id == sa.bindparam("v"))
_DROP = sa.delete(_O).where(*_KEY, _O.c.version_id == sa.bindparam("v"))
_AGE = sa.update(_O).where(*_KEY, _O.c.is_latest).values(is_latest=sa.false())
_ADD = sa.insert(_O).returning(_O)
_NEWEST = sa.select(sa.func.max(_O.c.id)).where(*_KEY).scalar_subquery()
_PROMOTE = sa.update(_O).where(_O.c.id == _NEWEST).values(is_latest=sa.true())
_LIST = (
    sa.select(_O)
    .where(
        _O.c.bucket == sa.bindparam("b"),
        _O.c.is_latest,
        sa.not_(_O.c.delete_marker),
        _O.c.key >= sa.bindparam("p"),
        _O.c.key < sa.bindparam("e"),
    )
    .order_by(_O.c.key)
)
