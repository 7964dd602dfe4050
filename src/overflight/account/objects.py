"""Folders and small documents in S3, through any S3 client: the same calls for AWS and for the local account.

Knows keys, folders and JSON; not what the files mean. Errors come in Overflight's words.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from overflight.account.aws_errors import in_our_words
from overflight.errors import InputError, NotFoundError, UsageError
from overflight.files import require_disk
from overflight.files import write_bytes as write_file

if TYPE_CHECKING:
    S3Client = Any  # the typed client is not among the installed stubs

Progress = Callable[[int, int], None]
"""Called in the calling thread with (files done, files in all), first with 0."""

_THREADS = 8
_SMALL_BYTES = 8 * 1024 * 1024
_LONGEST_NAME_BYTES = 255
_LONGEST_SHOWN = 200


@dataclass(frozen=True, order=True)
class S3Uri:
    """``s3://bucket/key``; the key may be empty or end with a slash."""

    bucket: str
    key: str = ""

    @classmethod
    def parse(cls, text: str) -> S3Uri:
        """Read ``s3://bucket`` or ``s3://bucket/key``.

        Raises:
            UsageError: it is something else.
        """
        scheme, found, rest = text.partition("://")
        bucket, _, key = rest.partition("/")
        if scheme != "s3" or not found or not bucket:
            raise UsageError("is not an S3 address", where=text, cure="Write s3://bucket/key")
        return cls(bucket, key)

    def __str__(self) -> str:
        return f"s3://{self.bucket}/{self.key}" if self.key else f"s3://{self.bucket}"

    def __truediv__(self, name: str) -> S3Uri:
        """The address of ``name`` below this one, with one slash between."""
        key = f"{self.key.rstrip('/')}/{name.lstrip('/')}" if self.key else name.lstrip("/")
        return S3Uri(self.bucket, key)


def list_keys(s3: S3Client, bucket: str, prefix: str = "") -> Iterator[str]:
    """Keys that begin with ``prefix``, in the order of their bytes.

    Raises:
        NotFoundError: no such bucket.
    """
    for item in _contents(s3, bucket, prefix):
        yield item["Key"]


def list_prefixes(s3: S3Client, bucket: str, prefix: str = "") -> list[str]:
    """The "folders" directly below ``prefix`` (which ends with a slash or is empty), each with its slash at the end.

    Raises:
        NotFoundError: no such bucket.
    """
    with in_our_words(f"s3://{bucket}/{prefix}"):
        pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix, Delimiter="/")
        return [item["Prefix"] for page in pages for item in page.get("CommonPrefixes", [])]


def read_bytes(s3: S3Client, bucket: str, key: str) -> bytes:
    """Content of an object.

    Raises:
        NotFoundError: no such bucket or object.
    """
    with (
        in_our_words(f"s3://{bucket}/{key}"),
        contextlib.closing(s3.get_object(Bucket=bucket, Key=key)["Body"]) as body,
    ):
        return bytes(body.read())


def write_bytes(
    s3: S3Client, bucket: str, key: str, content: bytes, *, content_type: str = "application/octet-stream"
) -> None:
    """Make ``content`` the object.

    Raises:
        NotFoundError: no such bucket.
    """
    with in_our_words(f"s3://{bucket}/{key}"):
        s3.put_object(Bucket=bucket, Key=key, Body=content, ContentType=content_type)


def read_json(s3: S3Client, bucket: str, key: str) -> Any:
    """A JSON document.

    Raises:
        NotFoundError: no such bucket or object.
        InputError: the object is not JSON.
    """
    content = read_bytes(s3, bucket, key)
    try:
        return json.loads(content)
    except ValueError as error:
        raise InputError(f"is not JSON ({error})", where=f"s3://{bucket}/{key}", cure="Write it anew") from error


def write_json(s3: S3Client, bucket: str, key: str, value: Any) -> None:
    """Make ``value`` the object, as indented JSON without NaN.

    Raises:
        NotFoundError: no such bucket.
    """
    text = json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    write_bytes(s3, bucket, key, text.encode(), content_type="application/json")


def upload_folder(
    s3: S3Client,
    folder: Path,
    bucket: str,
    prefix: str,
    *,
    last: Collection[str] = (),
    progress: Progress | None = None,
) -> list[str]:
    """Make every file below ``folder`` an object ``<prefix>/<relative path>``.

    Args:
        s3: S3 client.
        folder: An existing folder; symbolic links are followed.
        bucket: Existing bucket.
        prefix: "Folder" in the bucket, with or without the slash at its end.
        last: Relative paths that go up after all others, in this order: a manifest whose presence means "complete".
        progress: See :data:`Progress`.

    Returns:
        The keys, in the order of their names with ``last`` at the end.

    Raises:
        InputError: the folder does not exist, holds no file, lacks one of ``last``, or a name is not UTF-8.
        NotFoundError: no such bucket.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    missing = [name for name in last if name not in names]
    strange = next((name for name in names if os.fsencode(name).decode(errors="replace") != name), None)
    if strange is not None:
        raise InputError("the name of a file is not UTF-8", where=ascii(str(folder / strange)), cure="Rename the file")
    if not names or missing:
        what = f"lacks {missing[0]}" if missing else "is not a folder with files"
        raise InputError(what, where=str(folder), cure="Check the folder")
    base = prefix.rstrip("/") + "/" if prefix else ""

    def send(name: str) -> None:
        path = folder / name
        if path.stat().st_size > _SMALL_BYTES:
            s3.upload_file(str(path), bucket, base + name)
            return
        with path.open("rb") as body:  # boto3's transfers start threads of their own for each file
            s3.put_object(Bucket=bucket, Key=base + name, Body=body)

    first = [name for name in names if name not in last]
    with in_our_words(f"s3://{bucket}/{base}"):
        _each(send, [first, *([name] for name in last)], progress=progress)
    return [base + name for name in [*first, *last]]


def download_folder(
    s3: S3Client, bucket: str, prefix: str, folder: Path, *, progress: Progress | None = None
) -> list[Path]:
    """Make every object below ``<prefix>/`` a file in ``folder``, each complete or absent.

    Args:
        s3: S3 client.
        bucket: Existing bucket.
        prefix: "Folder" in the bucket, with or without the slash at its end.
        folder: Made when missing; files of the same names are replaced.
        progress: See :data:`Progress`.

    Returns:
        The files, in the order of the keys.

    Raises:
        NotFoundError: nothing is there.
        InputError: a key would leave ``folder``.
        ResourceError: there is not enough disk; nothing was written.
    """
    base = prefix.rstrip("/") + "/" if prefix else ""
    items = [item for item in _contents(s3, bucket, base) if not item["Key"].endswith("/")]
    if not items:
        raise NotFoundError("there are no objects", where=f"s3://{bucket}/{base}", cure="Check bucket and prefix")
    sizes: dict[str, int] = {item["Key"]: item["Size"] for item in items}
    targets = {key: folder / _safe_name(bucket, key, base) for key in sizes}
    require_disk(folder, sum(sizes.values()))

    def fetch(key: str) -> None:
        if sizes[key] > _SMALL_BYTES:
            targets[key].parent.mkdir(parents=True, exist_ok=True)
            s3.download_file(bucket, key, str(targets[key]))
            return
        write_file(targets[key], read_bytes(s3, bucket, key))

    with in_our_words(f"s3://{bucket}/{base}"):
        _each(fetch, [list(targets)], progress=progress)
    return list(targets.values())


def _contents(s3: S3Client, bucket: str, prefix: str) -> Iterator[dict[str, Any]]:
    with in_our_words(f"s3://{bucket}/{prefix}"):
        for page in s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix):
            yield from page.get("Contents", [])


def printable(text: str) -> str:
    """A key as it may stand in a message: control characters escaped, the middle of a long one left out."""
    shown = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return (
        shown if len(shown) <= _LONGEST_SHOWN else f"{shown[: _LONGEST_SHOWN // 2]}...{shown[-_LONGEST_SHOWN // 2 :]}"
    )


def unsafe_name(name: str) -> str:
    """Why a key (below its prefix) cannot be the path of a file below a folder; "" when it can."""
    parts = name.split("/")
    if "\0" in name or any(part in {"", ".", ".."} for part in parts):
        return "the key cannot be a path below a folder"
    if any(len(part.encode(errors="surrogatepass")) > _LONGEST_NAME_BYTES for part in parts):
        return f"a part of the key is longer than the {_LONGEST_NAME_BYTES} bytes that a name of a file may have"
    return ""


def _safe_name(bucket: str, key: str, base: str) -> str:
    name = key[len(base) :]
    if why := unsafe_name(name):
        cure = "Copy the object to a key without empty, `.`, `..` or long parts"
        raise InputError(why, where=f"s3://{bucket}/{key}", cure=cure)
    return name


def _each(work: Callable[[str], None], groups: Sequence[list[str]], *, progress: Progress | None) -> None:
    """Do ``work`` for each name, several at once within a group, group after group; the first error ends it."""
    total, done = sum(len(group) for group in groups), 0
    if progress is not None:
        progress(0, total)
    with ThreadPoolExecutor(max_workers=_THREADS) as pool:
        for group in groups:
            waiting: set[Future[None]] = {pool.submit(work, name) for name in group}
            try:
                while waiting:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        future.result()
                    done += len(finished)
                    if progress is not None:
                        progress(done, total)
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
