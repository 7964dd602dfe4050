"""Many photographs to tiles: by processes, in shards, and so that a run that ended early goes on where it was.

Every photograph that is done is a line in a journal; a later run proves by digest that what a line names is there and
cuts only the rest. A photograph that cannot be read does not stop the others: it is named at the end. A full disk stops
the run. Nothing depends on the order in which photographs are done or on who cuts them.
"""

from __future__ import annotations

import contextlib
import json
import multiprocessing
import os
import threading
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from itertools import islice
from multiprocessing.connection import wait as wait_for
from pathlib import Path

import cv2
import numpy as np

from overflight.data.tile import cores
from overflight.data.tile_cut import CutTask, Record, cut_photo, is_whole
from overflight.errors import InputError, JobError, ResourceError
from overflight.files import canonical_json, explained_disk

JOURNAL_PREFIX = "tiles.part-"

_POOL_FROM_PIXELS = 60_000_000
# A mosaic takes up to 3 bytes a pixel and its file; few enough at a time stay below 1 GB together.
_MOSAIC_FROM_PIXELS, _MOSAICS_BYTES = 40_000_000, 600_000_000
_CHUNK_PIXELS = 40_000_000
_NAMED = 5
_JPEG = frozenset({".jpg", ".jpeg"})


@dataclass(frozen=True)
class Shard:
    """One of ``count`` jobs, from 0: it cuts the photographs whose digest falls to it."""

    index: int = 0
    count: int = 1

    def __post_init__(self) -> None:
        if not 0 <= self.index < self.count:
            raise ValueError(f"shard {self.index} of {self.count} does not exist")

    def has(self, sha256: str) -> bool:
        """Whether a photograph with this digest is cut by this job."""
        return int(sha256[:15], 16) % self.count == self.index

    @property
    def journal(self) -> str:
        """Name of its journal."""
        return f"{JOURNAL_PREFIX}{self.index:05d}-of-{self.count:05d}.jsonl"


class Journals:
    """What the journals of a folder say: where the record of each photograph stands, by key.

    Records are read when they are asked for, so a million tiles take little memory. A last line that was cut off by a
    kill counts as not written.
    """

    def __init__(self, folder: Path) -> None:
        self.paths = sorted(folder.glob(f"{JOURNAL_PREFIX}*.jsonl"))
        self._places: dict[str, tuple[Path, int]] = {}
        for path in self.paths:
            with path.open("rb") as file:
                at = 0
                for line in file:
                    key = _key(line)
                    if key:
                        self._places[key] = (path, at)
                    at += len(line)

    def __contains__(self, key: str) -> bool:
        """Whether there is a record of this key."""
        return key in self._places

    def record(self, key: str) -> Record | None:
        """The record of this key, if there is one."""
        if key not in self._places:
            return None
        path, at = self._places[key]
        with path.open("rb") as file:
            file.seek(at)
            found: Record = json.loads(file.readline())
        return found


def _key(line: bytes) -> str:
    try:
        return str(json.loads(line)["key"]) if line.endswith(b"\n") else ""
    except (ValueError, KeyError, TypeError):
        return ""


def cut_all(
    tasks: Sequence[CutTask],
    journal: Path,
    *,
    workers: int | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> int:
    """Cut many photographs and note each in ``journal``; returns how many were cut and not found done.

    Photographs that any journal beside it names and whose files are whole are not cut again. Records are read with
    :class:`Journals`.

    Args:
        tasks: The photographs.
        journal: File that lines are added to; its folder is made.
        workers: Processes; None: one per core, or one for little work. Mosaics get fewer, so that memory stays small.
        progress: Called with (photos done, photos in all).

    Raises:
        InputError: photographs cannot be read; all others are cut.
        ResourceError: the disk is full.
        JobError: a worker process was killed.
    """
    if workers is None:
        workers = cores() if sum(task.pixels for task in tasks) >= _POOL_FROM_PIXELS else 1
    for folder in {folder for task in tasks for folder in (task.images, task.labels)}:
        folder.mkdir(parents=True, exist_ok=True)
    journal.parent.mkdir(parents=True, exist_ok=True)
    known = Journals(journal.parent)
    done = cut = 0
    faults: list[str] = []
    try:
        outcomes = contextlib.closing(_outcomes(tasks, known, workers))
        with explained_disk(journal), journal.open("ab") as lines, outcomes as found:
            _end_torn_line(journal, lines.write)
            for outcome in found:
                done += 1
                if outcome.fault:
                    faults.append(outcome.fault)
                elif outcome.record is not None:
                    lines.write(f"{canonical_json(outcome.record)}\n".encode())
                    lines.flush()
                    cut += 1
                if progress is not None:
                    progress(done, len(tasks))
    except ResourceError as error:
        ready = f"{done - len(faults)} of {len(tasks)} photos are cut and will not be cut again"
        cure = f"Free some space and run the same command again: {ready}"
        raise ResourceError(error.what, where=error.where, cure=cure) from error
    except BrokenProcessPool as error:
        raise JobError(
            "a worker process that cuts photos was killed",
            where="prepare",
            cure="It probably ran out of memory: free some and run again (what is cut stays), or set "
            "OVERFLIGHT_WORKERS=1",
        ) from error
    if faults:
        raise _unreadable(faults, len(tasks))
    return cut


def _unreadable(faults: Sequence[str], count: int) -> InputError:
    named = "; ".join(faults[:_NAMED]) + (f"; and {len(faults) - _NAMED} more" if len(faults) > _NAMED else "")
    one = len(faults) == 1
    cure = (
        f"Copy {'it' if one else 'them'} again from the card or remove {'it' if one else 'them'} and add the survey "
        f"again, then run this again: the other {count - len(faults)} are cut and will not be cut again"
    )
    what = named if one else f"{len(faults)} of {count} photos cannot be read: {named}"
    return InputError(what, cure=cure)


def _end_torn_line(journal: Path, write: Callable[[bytes], object]) -> None:
    """A line that a kill has cut off must not run into the next."""
    with journal.open("rb") as file:
        if file.seek(0, os.SEEK_END):
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                write(b"\n")


@dataclass(frozen=True)
class _Outcome:
    """Of one photograph: the new record, none when it was found done, or what is wrong with it."""

    record: Record | None = None
    fault: str = ""


_Chunk = Iterable[tuple[CutTask, Record | None]]


def _outcomes(tasks: Sequence[CutTask], known: Journals, workers: int) -> Generator[_Outcome, None, None]:
    ordinary = [task for task in tasks if task.pixels < _MOSAIC_FROM_PIXELS]
    mosaics = [task for task in tasks if task.pixels >= _MOSAIC_FROM_PIXELS]
    largest = max((3 * task.pixels + _file_bytes(task.photo) for task in mosaics), default=1)
    few = min(workers, max(1, _MOSAICS_BYTES // largest))
    for group, hands in ((ordinary, workers), (mosaics, few)):
        if hands > 1 and len(group) > 1:
            yield from _by_processes(_chunks(group, known, hands), hands)
        else:
            yield from _cut_chunk((task, known.record(task.key)) for task in group)


def _file_bytes(photo: Path) -> int:
    try:
        return photo.stat().st_size
    except OSError:
        return 0


def _chunks(tasks: Sequence[CutTask], known: Journals, workers: int) -> Iterator[_Chunk]:
    """A few photographs each: enough to use memory twice, few enough to keep all processes busy to the end."""
    at_most = max(1, len(tasks) // (2 * workers))
    chunk: list[tuple[CutTask, Record | None]] = []
    pixels = 0
    for task in tasks:
        chunk.append((task, known.record(task.key)))
        pixels += task.pixels
        if pixels >= _CHUNK_PIXELS or len(chunk) >= at_most:
            yield chunk
            chunk, pixels = [], 0
    if chunk:
        yield chunk


def _by_processes(chunks: Iterator[_Chunk], workers: int) -> Iterator[_Outcome]:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(workers, mp_context=context, initializer=_start_worker) as pool:
        running: set[Future[list[_Outcome]]] = set()
        try:
            while True:
                running |= {pool.submit(_cut_listed, chunk) for chunk in islice(chunks, 2 * workers - len(running))}
                if not running:
                    return
                finished, running = wait(running, return_when=FIRST_COMPLETED)
                for future in finished:
                    yield from future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def _cut_listed(chunk: _Chunk) -> list[_Outcome]:
    return list(_cut_chunk(chunk))


def _cut_chunk(chunk: _Chunk) -> Iterator[_Outcome]:
    buffer = np.empty(0, dtype=np.uint8)
    for task, record in chunk:
        if record is not None and is_whole(task, record):
            yield _Outcome()
            continue
        if len(buffer) < 3 * task.pixels and task.photo.suffix.lower() in _JPEG:
            buffer = np.empty(3 * task.pixels, dtype=np.uint8)  # getting memory anew costs 10 ms a photo
        try:
            yield _Outcome(cut_photo(task, buffer=buffer))
        except InputError as error:
            yield _Outcome(fault=f"{error.where}: {error.what}")


def _start_worker() -> None:
    """One thread for each process; none outlives the run, not even one that was killed."""
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_end_with, args=(parent.sentinel,), daemon=True).start()


def _end_with(sentinel: int) -> None:
    wait_for([sentinel])
    os._exit(1)
