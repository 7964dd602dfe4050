"""One object of S3 into one file: whole or in ranges, continued where a connection broke, proved before it counts.

Knows GetObject and HeadObject and calls nothing else. What is fetched goes to a partial file; only a proved file gets
its name. Runs in several threads at once, each with a range of its own.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from botocore.exceptions import BotoCoreError, ClientError, IncompleteReadError

from overflight.account.aws_errors import in_our_words
from overflight.account.checksums import Proof, even_parts, matches, proofs
from overflight.account.objects import printable
from overflight.account.patience import Patience, Stopped, passes
from overflight.errors import AccountError, InputError, ResourceError
from overflight.files import explained_disk

if TYPE_CHECKING:
    S3Client = Any  # the typed client is not among the installed stubs

_CHUNK_BYTES = 256 * 1024
_MOST_PARTS_ASKED = 1000
_AGAIN = "Run the same command again: only what is missing is fetched"


class Mismatch(Exception):  # noqa: N818 - the caller decides whether it is an error: it tries once more
    """The bytes fetched are not the object's."""


@dataclass(frozen=True)
class Item:
    """An object to fetch.

    Attributes:
        bucket: Its bucket.
        key: Its key.
        size: Bytes, as listed.
        etag: As listed, without quotes; every request asks for this very content.
        part: The partial file.
        target: The file it becomes.
        extra: Further parameters of every request, such as ``RequestPayer``.
    """

    bucket: str
    key: str
    size: int
    etag: str
    part: Path
    target: Path
    extra: Mapping[str, Any]

    @property
    def where(self) -> str:
        """Its address, as messages show it."""
        return f"s3://{self.bucket}/{printable(self.key)}"

    @property
    def request(self) -> dict[str, Any]:
        """Parameters that all requests have in common."""
        return {"Bucket": self.bucket, "Key": self.key, "IfMatch": f'"{self.etag}"', **self.extra}


def fetch_whole(s3: S3Client, item: Item, patience: Patience) -> str:
    """Fetch, prove and name an object in one piece; an empty one needs no request.

    Returns:
        Why its content could not be checked, or "".

    Raises:
        InputError: it changed or vanished meanwhile, or came damaged twice.
        Stopped: called off.
    """
    for last in (False, True):
        with _on_disk(item.part):
            item.part.write_bytes(b"")
        facts = fetch_range(s3, item, 0, item.size, patience) if item.size else None
        try:
            return finish(s3, item, facts, patience)
        except Mismatch:
            if last:
                raise damaged(item) from None
    raise AssertionError("unreachable")


def fetch_range(s3: S3Client, item: Item, start: int, stop: int, patience: Patience) -> dict[str, Any] | None:
    """Write bytes ``start`` to ``stop`` (one past the last) of the object into its partial file, and flush them.

    Returns:
        The answer of S3 when it was asked for the whole object, without its body; else None.

    Raises:
        InputError: the object changed or vanished since it was listed.
        Stopped: called off.
    """
    facts: dict[str, Any] | None = None
    position, tries = start, 0
    with _on_disk(item.part):
        handle = item.part.open("r+b", buffering=0)
    with in_our_words(item.where), handle:
        while position < stop:
            before = position
            try:
                answer = _get(s3, item, position, stop)
                if position == 0 and stop == item.size:
                    facts = {name: value for name, value in answer.items() if name != "Body"}
                with contextlib.closing(answer["Body"]) as body:
                    while position < stop:
                        data = _read(body, min(_CHUNK_BYTES, stop - position), patience)
                        _write(handle.fileno(), data, position, item.part)
                        position += len(data)
            except (ClientError, BotoCoreError, OSError) as error:
                tries = 1 if position > before else tries + 1
                if tries >= patience.attempts or not passes(error):
                    _explain(error, item)
                    raise
                patience.wait(tries)
        if stop - start < item.size:
            # A range is noted as there and not looked at again before the end. A whole file needs no flush: after a
            # power cut its size is not the noted one.
            with _on_disk(item.part):
                os.fsync(handle.fileno())
    return facts


def finish(s3: S3Client, item: Item, facts: Mapping[str, Any] | None, patience: Patience) -> str:
    """Prove the partial file and give it its name.

    Args:
        s3: S3 client.
        item: The object.
        facts: What S3 answered for the whole object with ``ChecksumMode``; None: it is asked.
        patience: See :class:`Patience`.

    Returns:
        Why the content could not be checked, or "".

    Raises:
        Mismatch: the content is another one; the partial file is removed.
        InputError: the object changed or vanished since it was listed.
    """
    with in_our_words(item.where):
        try:
            unproved = _prove(s3, item, facts, patience) if item.size else ""
        except Mismatch:
            item.part.unlink(missing_ok=True)
            raise
        except ClientError as error:
            _explain(error, item)
            raise
    with _on_disk(item.target):
        item.target.parent.mkdir(parents=True, exist_ok=True)
        item.part.replace(item.target)
    return unproved


def damaged(item: Item) -> InputError:
    """The error of an object that came damaged again and again."""
    return InputError(
        "was fetched twice and does not match its checksum in S3",
        where=item.where,
        cure="Check the network (a proxy may change what passes), or upload the object again",
    )


def make_partial(item: Item) -> bool:
    """Make the partial file of an object, of its full size and without content, unless it is there; whether made."""
    with contextlib.suppress(FileNotFoundError):
        if item.part.stat().st_size == item.size:
            return False
    with _on_disk(item.part), item.part.open("wb") as handle:
        handle.truncate(item.size)
    return True


def missing_ranges(there: list[tuple[int, int]], size: int, part_bytes: int) -> list[tuple[int, int]]:
    """Ranges of at most ``part_bytes`` that are not covered by ``there`` (sorted by start), first and one past last."""
    gaps, position = [], 0
    for start, stop in [*there, (size, size)]:
        while position < min(start, size):
            end = min(position + part_bytes, start)
            gaps.append((position, end))
            position = end
        position = max(position, stop)
    return gaps


def _get(s3: S3Client, item: Item, position: int, stop: int) -> dict[str, Any]:
    """The answer for these bytes, after a look at whether it is what was asked for."""
    whole = position == 0 and stop == item.size
    part = {"ChecksumMode": "ENABLED"} if whole else {"Range": f"bytes={position}-{stop - 1}"}
    answer: dict[str, Any] = s3.get_object(**item.request, **part)
    etag, length = str(answer.get("ETag", "")).strip('"'), answer.get("ContentLength", stop - position)
    spans = str(answer.get("ContentRange", ""))
    if (etag and etag != item.etag) or (whole and length != item.size):
        answer["Body"].close()
        raise _changed(item)
    if not whole and spans.partition("/")[0] != f"bytes {position}-{stop - 1}":
        answer["Body"].close()
        what = f"asked for bytes {position}-{stop - 1}, the service answered with {spans or 'the whole object'}"
        raise AccountError(what, where=item.where, cure="Check what stands between this machine and S3")
    return answer


def _read(body: Any, size: int, patience: Patience) -> bytes:
    if patience.stop.is_set():
        raise Stopped
    data = bytes(body.read(size))
    if not data:
        raise IncompleteReadError(actual_bytes=0, expected_bytes=size)
    return data


def _write(descriptor: int, data: bytes, position: int, path: Path) -> None:
    with _on_disk(path):
        view = memoryview(data)
        while view:
            written = os.pwrite(descriptor, view, position)
            view, position = view[written:], position + written


@contextlib.contextmanager
def _on_disk(path: Path) -> Iterator[None]:
    """Errors of the own disk, which trying again does not cure and which are no errors of the network."""
    try:
        with explained_disk(path):
            yield
    except OSError as error:
        what = f"the disk does not do it ({error.strerror})"
        raise ResourceError(what, where=str(path), cure="Check the disk and the owner of the folder") from error


def _prove(s3: S3Client, item: Item, facts: Mapping[str, Any] | None, patience: Patience) -> str:
    if facts is None:
        facts = patience.call(partial(s3.head_object, **item.request, ChecksumMode="ENABLED"))
    found = proofs(facts, bucket=item.bucket)
    if not found:
        return "S3 gives no checksum that can be computed here, and the ETag is none: size and ETag were compared"
    best = found[0]
    if not best.parts:
        if not _holds(item, best):
            raise Mismatch
        return ""
    sizes = _part_sizes(s3, item, best.parts, patience, even=True)
    if sizes is not None and _holds(item, best, sizes):
        return ""
    sizes = _part_sizes(s3, item, best.parts, patience, even=False)
    if sizes is None:
        return f"its checksum ({best}) is of parts whose sizes S3 does not tell: size and ETag were compared"
    if not _holds(item, best, sizes):
        raise Mismatch
    return ""


def _holds(item: Item, proof: Proof, sizes: Sequence[int] = ()) -> bool:
    with _on_disk(item.part):
        return matches(item.part, proof, sizes)


def _part_sizes(s3: S3Client, item: Item, parts: int, patience: Patience, *, even: bool) -> list[int] | None:
    """Bytes of each part that the object was uploaded in: all like the first one, or each one asked for."""
    if not even and parts > _MOST_PARTS_ASKED:
        return None
    # Not ``IfMatch``: some services compare it with the part's own ETag. A changed object shows as a mismatch.
    request = {"Bucket": item.bucket, "Key": item.key, **item.extra}
    sizes: list[int] = []
    for number in range(1, 2 if even else parts + 1):
        try:
            head = patience.call(partial(s3.head_object, **request, PartNumber=number))
        except ClientError as error:
            _explain(error, item)
            return None  # a service that knows no parts
        sizes.append(int(head["ContentLength"]))
    if even:
        return even_parts(item.size, sizes[0], parts)
    return sizes if sum(sizes) == item.size else None


def _explain(error: Exception, item: Item) -> None:
    """Raise what an error means for this object, if it means more than its code says."""
    if isinstance(error, OSError):
        raise AccountError(f"the connection failed ({error})", where=item.where, cure="Try again") from error
    if not isinstance(error, ClientError):
        return
    status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode")
    code = error.response.get("Error", {}).get("Code", "")
    if code in {"PreconditionFailed", "412"} or status == 412:
        raise _changed(item) from error
    if code in {"NoSuchKey", "404"}:
        raise InputError("was removed while the source was read", where=item.where, cure=_AGAIN) from error


def _changed(item: Item) -> InputError:
    return InputError("changed while it was read", where=item.where, cure=_AGAIN)
