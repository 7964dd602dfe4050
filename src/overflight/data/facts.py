"""What one photograph's file says: digest, header, metadata and, where it was decoded, measures of its pixels.

The values are facts; what is too dark or too blurred is decided by ``overflight.data.checks``. A file that cannot be
used is a fact too (``fault``), never an exception. It does not know labels.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from overflight.data.files import SourceFiles
from overflight.data.metadata import PhotoMetadata, metadata_of
from overflight.data.pixel_facts import PixelFacts, pixel_facts
from overflight.errors import InputError
from overflight.imaging.header import Header, ImageFault, read_header

__all__ = ["MAX_PHOTO_BYTES", "PhotoFacts", "PixelFacts", "Progress", "photo_facts", "read_facts"]

MAX_PHOTO_BYTES = 1_000_000_000
MAX_WORKERS = 8
SAID_AT_MOST = 200

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class PhotoFacts:
    """One photograph.

    Attributes:
        key: Path relative to the source's root.
        bytes: Size of the file.
        sha256: Of the file, 64 hex digits; empty when it could not be opened.
        header: None when the file cannot be read as a picture.
        metadata: What EXIF and XMP say.
        pixels: None when it was not decoded (not asked for, or damaged).
        fault: Code of a finding when the file cannot be used (``zero-bytes``, ``truncated``, ``unreadable``), else "".
        fault_what: One sentence about the fault.
    """

    key: str
    bytes: int
    sha256: str
    header: Header | None
    metadata: PhotoMetadata
    pixels: PixelFacts | None = None
    fault: str = ""
    fault_what: str = ""

    @property
    def size_wh_px(self) -> tuple[int, int] | None:
        """Width and height of the upright photograph."""
        return None if self.header is None else (self.header.width_px, self.header.height_px)


def photo_facts(data: bytes, *, key: str, decode: bool) -> PhotoFacts:
    """Facts of a photograph from its whole file; never raises on a broken one.

    Args:
        data: The file.
        key: Its path relative to the source's root.
        decode: Also decode it and measure its pixels.
    """
    digest = hashlib.sha256(data).hexdigest()
    facts = PhotoFacts(key, len(data), digest, header=None, metadata=PhotoMetadata())
    try:
        header = read_header(data)
    except InputError as error:
        return _with_fault(facts, error)
    facts = replace(facts, header=header, metadata=metadata_of(header))
    if not decode:
        return facts
    try:
        return replace(facts, pixels=pixel_facts(data, header, where=key))
    except InputError as error:
        return _with_fault(facts, error)
    except MemoryError:
        what = f"{header.width_px}x{header.height_px} px do not fit into memory"
        return replace(facts, fault="unreadable", fault_what=what)


def read_facts(
    files: SourceFiles,
    keys: Sequence[str],
    *,
    decode: bool,
    workers: int | None = None,
    progress: Progress | None = None,
) -> dict[str, PhotoFacts]:
    """Facts by photo key, in the order of ``keys``, whatever the number of threads.

    At most ``workers`` files are in memory at a time. A file that cannot be opened, or is no longer there, has a fault.

    Args:
        files: Where the keys are.
        keys: Photographs to read.
        decode: Also decode them and measure their pixels.
        workers: Threads; by default one per processor, at most 8.
        progress: Called with (photographs done, photographs in all) from the calling thread.
    """
    found: dict[str, PhotoFacts] = {}
    threads = max(1, min(workers or min(os.cpu_count() or 1, MAX_WORKERS), len(keys) or 1))
    waiting: deque[Future[PhotoFacts]] = deque()

    def take() -> None:
        facts = waiting.popleft().result()
        found[facts.key] = facts
        if progress is not None:
            progress(len(found), len(keys))

    with ThreadPoolExecutor(threads) as pool:
        for key in keys:
            # Two per thread keep all busy while the oldest is waited for; only their small results wait.
            if len(waiting) >= 2 * threads:
                take()
            waiting.append(pool.submit(_of_file, files, key, decode=decode))
        while waiting:
            take()
    return found


def _of_file(files: SourceFiles, key: str, *, decode: bool) -> PhotoFacts:
    try:
        data = files.read(key, max_bytes=MAX_PHOTO_BYTES)
    except InputError as error:
        facts = PhotoFacts(key, 0, "", header=None, metadata=PhotoMetadata())
        return replace(facts, fault="unreadable", fault_what=error.what)
    return photo_facts(data, key=key, decode=decode)


def _with_fault(facts: PhotoFacts, error: InputError) -> PhotoFacts:
    """The catalogue has no code of its own for pictures that are too large: they cannot be read."""
    code = error.code if isinstance(error, ImageFault) and error.code != "too-large" else "unreadable"
    what = str(error.what).removeprefix("unreadable image: ")
    return replace(facts, fault=code, fault_what=what[:SAID_AT_MOST])
