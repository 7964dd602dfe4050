"""Fetching what a mirror's ledger lists as missing: several objects, and several ranges of a large one, at once.

Knows the order of the work and what is noted when; the calls are in ``object_fetch``. The queue is short, whatever the
number of objects, and only the calling thread touches the ledger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overflight.account.mirror_ledger import Ledger, Listed
from overflight.account.object_fetch import (
    Item,
    Mismatch,
    damaged,
    fetch_range,
    fetch_whole,
    finish,
    make_partial,
    missing_ranges,
)
from overflight.account.patience import Patience
from overflight.files import sha256_bytes

if TYPE_CHECKING:
    S3Client = Any  # the typed client is not among the installed stubs

RECORD = ".overflight-mirror"
_WINDOW = 4  # tasks waiting per worker


def part_path(folder: Path, name: str) -> Path:
    """Where a file of a mirror is until it is complete; names of any length get one."""
    return folder / RECORD / "parts" / f"{sha256_bytes(name.encode())[:32]}.part"


def fetch_missing(
    s3: S3Client,
    ledger: Ledger,
    item_of: Callable[[Listed], Item],
    *,
    workers: int,
    part_bytes: int,
    patience: Patience,
    on_file: Callable[[Listed], None],
) -> None:
    """Fetch every missing file; the first error ends it, when the requests on their way have noticed.

    Args:
        s3: S3 client.
        ledger: Says what is missing, and is told what is there.
        item_of: The object and the paths of a listed name.
        workers: Requests at once.
        part_bytes: Larger objects are fetched in ranges of this size.
        patience: See :class:`Patience`; its ``stop`` is set when an error ends the work.
        on_file: Called in the calling thread when a file is complete.

    Raises:
        OverflightError: of the object that failed.
    """
    with ThreadPoolExecutor(max_workers=workers) as pool:
        fetching = _Fetching(s3, ledger, pool, _WINDOW * workers, part_bytes, patience, on_file)
        try:
            for listed in ledger.missing():
                fetching.start(listed, item_of(listed))
            fetching.end()
        except BaseException:
            patience.stop.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@dataclass
class _Large:
    """An object whose ranges are on their way; ``left`` of them are not there yet."""

    listed: Listed
    item: Item
    left: int
    tries: int


@dataclass
class _Fetching:
    s3: S3Client
    ledger: Ledger
    pool: ThreadPoolExecutor
    window: int
    part_bytes: int
    patience: Patience
    on_file: Callable[[Listed], None]
    waiting: dict[Future[Any], Callable[[Future[Any]], None]] = field(default_factory=dict)
    again: deque[_Large] = field(default_factory=deque)

    def start(self, listed: Listed, item: Item, tries: int = 1) -> None:
        """Queue an object; returns when the queue has room again."""
        if item.size <= self.part_bytes:
            self._add(partial(fetch_whole, self.s3, item, self.patience), partial(self._whole, listed, item))
        else:
            if make_partial(item):
                self.ledger.drop_ranges(listed.name)
            gaps = missing_ranges(self.ledger.ranges(listed.name), item.size, self.part_bytes)
            large = _Large(listed, item, len(gaps), tries)
            if not gaps:
                self._finish(large)
            for start, stop in gaps:
                work = partial(fetch_range, self.s3, item, start, stop, self.patience)
                self._add(work, partial(self._range, large, start, stop))
        while self.again:
            large = self.again.popleft()
            self.start(large.listed, large.item, large.tries + 1)

    def end(self) -> None:
        """Wait for everything queued."""
        while self.waiting:
            self._take()
            while self.again:
                large = self.again.popleft()
                self.start(large.listed, large.item, large.tries + 1)

    def _add(self, work: Callable[[], Any], then: Callable[[Future[Any]], None]) -> None:
        self.waiting[self.pool.submit(work)] = then
        while len(self.waiting) > self.window:
            self._take()

    def _take(self) -> None:
        finished, _ = wait(self.waiting, return_when=FIRST_COMPLETED)
        for future in finished:
            self.waiting.pop(future)(future)

    def _whole(self, listed: Listed, item: Item, future: Future[str]) -> None:
        self._note(listed, item, future.result())

    def _range(self, large: _Large, start: int, stop: int, future: Future[Any]) -> None:
        future.result()
        self.ledger.add_range(large.listed.name, start, stop)
        large.left -= 1
        if not large.left:
            self._finish(large)

    def _finish(self, large: _Large) -> None:
        work = partial(finish, self.s3, large.item, None, self.patience)
        self.waiting[self.pool.submit(work)] = partial(self._finished, large)

    def _finished(self, large: _Large, future: Future[str]) -> None:
        try:
            self._note(large.listed, large.item, future.result())
        except Mismatch:
            if large.tries > 1:
                raise damaged(large.item) from None
            self.again.append(large)

    def _note(self, listed: Listed, item: Item, unproved: str) -> None:
        self.ledger.complete(listed.name, mtime_ns=item.target.stat().st_mtime_ns, unproved=unproved)
        self.on_file(listed)
