"""A local copy of what lies under a prefix in S3: listed, fetched where it is missing, proved; the source is only read.

Knows keys, files and ETags; not what the files mean. Calls ListObjectsV2, GetObject and HeadObject and nothing else. A
killed run goes on where it was: complete files stay, and of large ones only the missing ranges are fetched. The record
lies in ``.overflight-mirror`` in the folder. Listing comes first, so that files, bytes and clashes of names are known
before anything is fetched; neither needs memory for all keys.
"""

from __future__ import annotations

import contextlib
import fcntl
import re
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overflight.account.aws_errors import in_our_words
from overflight.account.mirror_fetch import RECORD, fetch_missing, part_path
from overflight.account.mirror_ledger import Known, Ledger, Listed
from overflight.account.object_fetch import Item
from overflight.account.objects import S3Uri, printable, unsafe_name
from overflight.account.patience import Patience
from overflight.errors import AccountError, NotFoundError, OverflightError, ResourceError, UsageError
from overflight.files import explained_disk, require_disk, sha256_bytes

if TYPE_CHECKING:
    S3Client = Any  # the typed client is not among the installed stubs

_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,253}[A-Za-z0-9]")


@dataclass(frozen=True)
class Standing:
    """How far a mirror is; ``*_listed`` grow until ``listing`` is over. Bytes of files count as they are complete."""

    files_done: int = 0
    bytes_done: int = 0
    files_listed: int = 0
    bytes_listed: int = 0
    listing: bool = True


@dataclass(frozen=True, order=True)
class Remark:
    """An object and what is to be said of it, in one sentence without its name; ``key`` is as in S3, not escaped."""

    key: str
    why: str


@dataclass(frozen=True)
class Mirrored:
    """What a folder holds now.

    Attributes:
        files: Files in the folder.
        bytes: Their bytes.
        fetched: Files fetched by this run.
        reused: Files that were there and are unchanged in the source.
        removed: Files that are no longer in the source and were removed from the folder.
        skipped: Objects that cannot be files, one by one; "folders" of consoles (empty keys with ``/``) are not named.
        unverified: Files whose content S3 gives no usable checksum for; size and ETag were compared.
        alike: Files whose names differ only in upper and lower case or in the form of accents; both are there.
    """

    files: int
    bytes: int
    fetched: int
    reused: int
    removed: int = 0
    skipped: tuple[Remark, ...] = ()
    unverified: tuple[Remark, ...] = ()
    alike: tuple[Remark, ...] = ()


def cache_folder(home: Path, uri: S3Uri) -> Path:
    """Where the mirror of an address lies below the home folder.

    Raises:
        UsageError: the bucket's name is none.
    """
    if not _BUCKET.fullmatch(uri.bucket):
        raise UsageError("is no name of a bucket", where=printable(uri.bucket), cure="Write s3://bucket/prefix")
    address = S3Uri(uri.bucket, uri.key.rstrip("/"))
    return home / "cache" / "sources" / uri.bucket / sha256_bytes(str(address).encode())[:16]


def mirror(
    s3: S3Client,
    uri: S3Uri,
    folder: Path,
    *,
    progress: Callable[[Standing], None] | None = None,
    workers: int = 8,
    part_bytes: int = 16 * 1024 * 1024,
    wanted: Callable[[str], bool] | None = None,
    requester_pays: bool = False,
    patience: Patience | None = None,
) -> Mirrored:
    """Make ``folder`` hold every object below ``uri`` as a file, complete, proved and current.

    Args:
        s3: S3 client.
        uri: Bucket and prefix; the prefix is taken as a folder, with or without a slash at its end.
        folder: A new or empty folder, or one that mirrored the same address before.
        progress: Called in the calling thread.
        workers: Requests at once.
        part_bytes: Larger objects are fetched in ranges of this size.
        wanted: Says of a name below the prefix whether it is fetched (default: all). Unwanted files of an earlier run
            stay as long as the source still has them unchanged.
        requester_pays: Agree to pay for the requests, where the bucket's owner asks that.
        patience: How often to try again; see :class:`Patience`.

    Raises:
        NotFoundError: no such bucket, or nothing below the prefix.
        InputError: an object changed meanwhile, came damaged twice, or is archived.
        UsageError: the folder holds other files.
        ResourceError: not enough disk, or another process writes the same mirror.
        StoreError: the record of the mirror is damaged or of another address.
        OverflightError: what S3 refused, in our words.
    """
    base = uri.key.rstrip("/") + "/" if uri.key.strip("/") else ""
    extra = {"RequestPayer": "requester"} if requester_pays else {}
    source = f"s3://{uri.bucket}/{base}"
    with _locked(folder), contextlib.closing(Ledger(folder / RECORD / "ledger.db", source=source)) as ledger:
        run = _Run(
            s3=s3,
            bucket=uri.bucket,
            base=base,
            folder=folder,
            ledger=ledger,
            extra=extra,
            patience=replace(patience or Patience(), stop=threading.Event()),
            progress=progress or (lambda _standing: None),
        )
        run.list_all(wanted or (lambda _name: True))
        removed = run.settle_names()
        fetched = run.fetch_all(workers=workers, part_bytes=part_bytes)
        unverified = tuple(Remark(base + name, why) for name, why in ledger.unproved())
    files = run.standing.files_listed
    return Mirrored(
        files=files,
        bytes=run.standing.bytes_listed,
        fetched=fetched,
        reused=files - fetched,
        removed=removed,
        skipped=tuple(sorted(run.skipped)),
        unverified=unverified,
        alike=tuple(run.alike),
    )


@dataclass
class _Run:
    """One run of :func:`mirror`; only the calling thread touches it."""

    s3: S3Client
    bucket: str
    base: str
    folder: Path
    ledger: Ledger
    extra: dict[str, Any]
    patience: Patience
    progress: Callable[[Standing], None]
    skipped: list[Remark] = field(default_factory=list)
    alike: list[Remark] = field(default_factory=list)
    standing: Standing = field(default_factory=Standing)

    def list_all(self, wanted: Callable[[str], bool]) -> None:
        """Note every object that can and shall be a file; files that are current count as done."""
        self.ledger.begin()
        found = False
        for page in self._pages():
            found = found or not all(_is_marker(entry) for entry in page)
            listed = [item for entry in page if (item := self._listed(entry)) is not None]
            known = self.ledger.known([item.name for item in listed])
            current = {item.name for item in listed if self._is_current(item, known.get(item.name))}
            listed = [item for item in listed if item.name in current or wanted(item.name)]
            changed = [i.name for i in listed if i.name in known and _differs(i, known[i.name])]
            for name in changed:
                part_path(self.folder, name).unlink(missing_ok=True)
            self.ledger.list_page(listed, kept=current, changed=changed)
            there = [item.size for item in listed if item.name in current]
            self._tell(
                files_done=self.standing.files_done + len(there),
                bytes_done=self.standing.bytes_done + sum(there),
                files_listed=self.standing.files_listed + len(listed),
                bytes_listed=self.standing.bytes_listed + sum(item.size for item in listed),
            )
        if not found:
            raise NotFoundError("there are no objects", where=f"s3://{self.bucket}/{self.base}", cure=self._hint())

    def settle_names(self) -> int:
        """Skip what cannot be a file beside the others, remove what is gone; the number of files removed."""
        ignores_case = _ignores_case(self.folder / RECORD)
        for name in self.ledger.also_folders(folded=ignores_case):
            self._drop(name)
            self.skipped.append(Remark(self.base + name, "there are objects below it, so it would be file and folder"))
        for first, *others in self.ledger.alike():
            for name in others:
                why = f"differs from {printable(first)} only in upper and lower case or in the form of accents"
                if ignores_case:
                    self.ledger.forget(name)  # not its file: on this disk that is the first one's
                    self.skipped.append(Remark(self.base + name, f"{why}, which this disk cannot keep apart"))
                else:
                    self.alike.append(Remark(self.base + name, why))
        return sum(self._drop(name) for name in self.ledger.gone())

    def fetch_all(self, *, workers: int, part_bytes: int) -> int:
        """Fetch what is missing; the number of files."""
        totals = self.ledger.totals()
        require_disk(self.folder, totals.missing)
        self._tell(
            files_done=totals.files_done,
            bytes_done=totals.bytes_done,
            files_listed=totals.files,
            bytes_listed=totals.size,
            listing=False,
        )

        def item_of(listed: Listed) -> Item:
            part, target = part_path(self.folder, listed.name), self.folder / listed.name
            return Item(self.bucket, self.base + listed.name, listed.size, listed.etag, part, target, self.extra)

        def on_file(listed: Listed) -> None:
            standing = self.standing
            self._tell(files_done=standing.files_done + 1, bytes_done=standing.bytes_done + listed.size)

        fetch_missing(
            self.s3,
            self.ledger,
            item_of,
            workers=workers,
            part_bytes=part_bytes,
            patience=self.patience,
            on_file=on_file,
        )
        return self.standing.files_done - totals.files_done

    def _pages(self) -> Iterator[list[dict[str, Any]]]:
        """The listing, page by page; each page is tried again by itself."""
        token: dict[str, str] = {}
        where = f"s3://{self.bucket}/{self.base}"
        with in_our_words(where):
            while True:
                request = {"Bucket": self.bucket, "Prefix": self.base, **token, **self.extra}
                page = self.patience.call(partial(self.s3.list_objects_v2, **request))
                yield page.get("Contents", [])
                if not page.get("IsTruncated"):
                    return
                following = {"ContinuationToken": page["NextContinuationToken"]}
                if following == token:
                    raise AccountError("the listing turns in a circle", where=where, cure="Check the service")
                token = following

    def _listed(self, entry: dict[str, Any]) -> Listed | None:
        """The object as a file below the folder; None, with a remark, when it cannot be one."""
        key, size = entry["Key"], int(entry["Size"])
        name = key[len(self.base) :]
        if _is_marker(entry):
            return None
        why = unsafe_name(name)
        if not why and name.split("/")[0].casefold() == RECORD:
            why = "the name is that of the mirror's own record"
        if why:
            self.skipped.append(Remark(key, why))
            return None
        return Listed(name, size, str(entry.get("ETag", "")).strip('"'))

    def _is_current(self, item: Listed, known: Known | None) -> bool:
        if known is None or not known.done or _differs(item, known):
            return False
        try:
            status = (self.folder / item.name).lstat()
        except OSError:
            return False
        return (status.st_size, status.st_mtime_ns) == (item.size, known.mtime_ns)

    def _drop(self, name: str) -> bool:
        """Remove a file and what the ledger knows of it; whether there was one."""
        path = self.folder / name
        part_path(self.folder, name).unlink(missing_ok=True)
        try:
            path.unlink()
            there = True
        except OSError as error:
            if path.is_file():
                what = f"cannot be removed ({error.strerror})"
                raise ResourceError(what, where=str(path), cure="Check the owner of its folder") from error
            there = False
        self.ledger.forget(name)
        with contextlib.suppress(OSError):  # ends at the first folder that is not empty
            for parent in list(path.relative_to(self.folder).parents)[:-1]:
                (self.folder / parent).rmdir()
        return there

    def _hint(self) -> str:
        """What there is instead."""
        above = self.base.rstrip("/").rpartition("/")[0]
        above = f"{above}/" if above else ""
        request = {"Bucket": self.bucket, "Prefix": above, "Delimiter": "/", **self.extra}
        try:
            with in_our_words(above):
                page = self.patience.call(partial(self.s3.list_objects_v2, **request))
        except OverflightError:  # a right to this prefix only: the hint is not worth an error
            return "Check bucket and prefix"
        if any(entry["Key"] == self.base.rstrip("/") for entry in page.get("Contents", [])):
            return "This is one object: give the folder that holds it"
        names = [entry["Prefix"] for entry in page.get("CommonPrefixes", [])]
        near = get_close_matches(self.base, names, n=3) or names[:3]
        listed = ", ".join(f"s3://{self.bucket}/{name}" for name in near)
        return f"There is {listed}" if listed else "Check bucket and prefix"

    def _tell(self, **changes: Any) -> None:
        self.standing = replace(self.standing, **changes)
        self.progress(self.standing)


def _is_marker(entry: dict[str, Any]) -> bool:
    """Whether the object only makes a "folder" visible in consoles."""
    return entry["Key"].endswith("/") and not entry["Size"]


def _differs(item: Listed, known: Known) -> bool:
    return (item.size, item.etag) != (known.size, known.etag)


def _ignores_case(record: Path) -> bool:
    """Whether the disk takes upper and lower case for the same."""
    (record / "probe").touch()
    return (record / "PROBE").exists()


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """The folder as ours alone, with its record; refuses a folder that holds something else."""
    record = folder / RECORD
    with contextlib.ExitStack() as held:
        try:
            with explained_disk(folder):
                if not record.is_dir() and folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
                    what, cure = (
                        "is no empty folder and holds no mirror",
                        "Give a new folder: nothing of yours is mixed up",
                    )
                    raise UsageError(what, where=str(folder), cure=cure)
                (record / "parts").mkdir(parents=True, exist_ok=True)
                handle = held.enter_context((record / "lock").open("w"))
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            what = "another process is fetching the same source"
            raise ResourceError(what, where=str(folder), cure="Wait until it has finished and try again") from error
        except OSError as error:
            what = f"the folder cannot be written ({error.strerror})"
            raise ResourceError(what, where=str(folder), cure="Check its owner and mode") from error
        yield  # closing the file gives the lock back, and so does the end of the process
