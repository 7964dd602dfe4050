"""What one photograph's file says: digest, header, metadata and, where it was decoded, measures of its pixels.

The values are facts; what is too dark or too blurred is decided by ``overflight.data.checks``. A file that cannot be
used is a fact too (``fault``), never an exception. It does not know labels.
"""

from __future__ import annotations

import hashlib
import os
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from overflight.data.files import SourceFiles
from overflight.data.metadata import PhotoMetadata, metadata_of
from overflight.data.pixel_facts import PixelFacts, pixel_facts
from overflight.errors import InputError
from overflight.imaging.header import Header, ImageFault, read_header

__all__ = [
    "MAX_PHOTO_BYTES",
    "PhotoFacts",
    "PixelFacts",
    "Progress",
    "decode_again",
    "in_order",
    "photo_facts",
    "read_facts",
]

MAX_PHOTO_BYTES = 1_000_000_000
MAX_WORKERS = 8
SAID_AT_MOST = 200

Progress = Callable[[int, int], None]
T = TypeVar("T")
R = TypeVar("R")


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


def photo_facts(data: bytes, *, key: str, decode: bool, scaled: bool = True) -> PhotoFacts:
    """Facts of a photograph from its whole file; never raises on a broken one.

    Args:
        data: The file.
        key: Its path relative to the source's root.
        decode: Also decode it and measure its pixels.
        scaled: Reduce a JPEG while it is decoded (see ``overflight.data.pixel_facts``).
    """
    digest = hashlib.sha256(data).hexdigest()
    facts = PhotoFacts(key, len(data), digest, header=None, metadata=PhotoMetadata())
    try:
        header = read_header(data)
    except InputError as error:
        return _with_fault(facts, error)
    # The raw blocks were read and may hold a preview of 60 KB each: 100,000 photographs would not fit into memory.
    header, metadata = replace(header, exif=b"", xmp=b""), metadata_of(header)
    facts = replace(facts, header=header, metadata=metadata)
    if not decode:
        return facts
    return _decoded(data, facts, header, scaled=scaled)


def read_facts(
    files: SourceFiles,
    keys: Sequence[str],
    *,
    decode: bool,
    workers: int | None = None,
    progress: Progress | None = None,
    scaled: bool = True,
) -> dict[str, PhotoFacts]:
    """Facts by photo key, in the order of ``keys``, whatever the number of threads.

    At most ``workers`` files are in memory at a time. A file that cannot be opened, or is no longer there, has a fault.

    Args:
        files: Where the keys are.
        keys: Photographs to read.
        decode: Also decode them and measure their pixels.
        workers: Threads; by default one per processor, at most 8.
        progress: Called with (photographs done, photographs in all) from the calling thread.
        scaled: Reduce JPEG while it is decoded (see ``overflight.data.pixel_facts``).
    """
    found: dict[str, PhotoFacts] = {}
    walk = in_order(keys, lambda key: _of_file(files, key, decode=decode, scaled=scaled), workers=workers)
    for key, facts in zip(keys, walk, strict=True):
        found[key] = facts
        if progress is not None:
            progress(len(found), len(keys))
    return found


def decode_again(files: SourceFiles, facts: PhotoFacts, *, scaled: bool = True) -> PhotoFacts:
    """``facts`` with the measures of its pixels; its file is read, but neither hashed nor its header read again."""
    if facts.header is None or facts.fault:
        return facts
    try:
        data = files.read(facts.key, max_bytes=MAX_PHOTO_BYTES)
    except InputError as error:
        return replace(facts, fault="unreadable", fault_what=error.what)
    return _decoded(data, facts, facts.header, scaled=scaled)


def in_order(items: Sequence[T], call: Callable[[T], R], *, workers: int | None = None) -> Iterator[R]:
    """Results of ``call`` in the order of ``items``, computed by threads; only a few results wait at a time.

    Args:
        items: What to call it with.
        call: Runs in any thread.
        workers: Threads; by default one per processor, at most 8.
    """
    threads = max(1, min(workers or min(os.cpu_count() or 1, MAX_WORKERS), len(items) or 1))
    waiting: deque[Future[R]] = deque()
    with ThreadPoolExecutor(threads) as pool:
        for item in items:
            # Two per thread keep all busy while the oldest is waited for; only their small results wait.
            if len(waiting) >= 2 * threads:
                yield waiting.popleft().result()
            waiting.append(pool.submit(call, item))
        while waiting:
            yield waiting.popleft().result()


def _of_file(files: SourceFiles, key: str, *, decode: bool, scaled: bool) -> PhotoFacts:
    try:
        data = files.read(key, max_bytes=MAX_PHOTO_BYTES)
    except InputError as error:
        facts = PhotoFacts(key, 0, "", header=None, metadata=PhotoMetadata())
        return replace(facts, fault="unreadable", fault_what=error.what)
    return photo_facts(data, key=key, decode=decode, scaled=scaled)


def _decoded(data: bytes, facts: PhotoFacts, header: Header, *, scaled: bool) -> PhotoFacts:
    try:
        return replace(facts, pixels=pixel_facts(data, header, where=facts.key, scaled=scaled))
    except InputError as error:
        return _with_fault(facts, error)
    except MemoryError:
        what = f"{header.width_px}x{header.height_px} px do not fit into memory"
        return replace(facts, fault="unreadable", fault_what=what)


def _with_fault(facts: PhotoFacts, error: InputError) -> PhotoFacts:
    """The catalogue has no code of its own for pictures that are too large: they cannot be read."""
    code = error.code if isinstance(error, ImageFault) and error.code != "too-large" else "unreadable"
    what = str(error.what).removeprefix("unreadable image: ")
    return replace(facts, fault=code, fault_what=what[:SAID_AT_MOST])
