"""Mirrors of S3: listing a million keys in bounded memory, and fetching beside boto3's ``download_file``.

The listing is answered by a client that makes its pages up, so that it measures ours: ledger, names and memory. The
objects for fetching lie in a local account, fetched in turns by ``mirror`` and by ``download_file`` in as many threads.
The mirror does more: it proves every content once it is on the disk, flushes ranges and its ledger, and can go on after
a kill; ``download_file`` proves small objects on the way and large ones not at all::

    python benchmarks/mirror.py [--keys 1000000] [--files 400] [--file-kb 500] [--rounds 3] [--folder DIR]
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from overflight.account.mirror import mirror
from overflight.account.objects import S3Uri
from overflight.account.session import local_account, open_session
from overflight.settings import load_settings

_PAGE = 1000
_WORKERS = 8


class ListedOnly:
    """A client whose bucket has any number of keys, made up page by page."""

    def __init__(self, keys: int) -> None:
        self._keys = keys

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        """A page of photographs in folders of a thousand."""
        first = int(request.get("ContinuationToken", 0))
        last = min(first + _PAGE, self._keys)
        contents = [
            {"Key": f"survey/flight-{n // 1000:04}/DJI_{n:07}.JPG", "Size": 9_000_000, "ETag": f'"{n:032x}"'}
            for n in range(first, last)
        ]
        more = {"NextContinuationToken": str(last)} if last < self._keys else {}
        return {"Contents": contents, "IsTruncated": bool(more), **more}


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--keys", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--file-kb", type=int, default=500)
    parser.add_argument("--large-mb", type=int, default=200, help="size of the one large object")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", type=Path, help="where to work (default: a temporary folder)")
    parser.add_argument("--listing-only", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.listing_only:
        list_keys(given.keys, given.folder)
        return
    with tempfile.TemporaryDirectory(dir=given.folder) as folder:
        for keys in (given.keys // 10, given.keys):  # a process of its own: the peak is of this work alone
            place = str(Path(folder) / f"listing-{keys}")
            command = [sys.executable, __file__, "--listing-only", "--keys", str(keys), "--folder", place]
            subprocess.run(command, check=True)
        fetch(Path(folder), given)


def list_keys(keys: int, folder: Path) -> None:
    """List ``keys`` objects without fetching any; prints seconds and growth of the resident memory."""
    before = psutil.Process().memory_info().rss
    s3 = ListedOnly(keys)
    pages_s = -time.perf_counter()
    for first in range(0, keys, _PAGE):
        s3.list_objects_v2(ContinuationToken=str(first))
    pages_s += time.perf_counter()
    began = time.perf_counter()
    # The disk would have to hold all of it: ask for nothing, after every key has been seen, named and compared.
    mirror(s3, S3Uri("bucket", "survey"), folder, wanted=lambda _name: False)
    seen_s = time.perf_counter() - began - pages_s
    began = time.perf_counter()
    noted = 0
    try:
        mirror(_Fails(keys), S3Uri("bucket", "survey"), folder)
    except _Fetched as stop:
        noted = stop.listed
    noted_s = time.perf_counter() - began - pages_s
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    print(
        f"listing {keys:>9,} keys: seen {seen_s:6.1f} s, noted {noted_s:6.1f} s ({noted:,} in the ledger), "
        f"peak memory +{(peak - before) / 1e6:.0f} MB",
        flush=True,
    )


class _Fetched(Exception):  # noqa: N818 - the end of what is measured
    def __init__(self, listed: int) -> None:
        super().__init__()
        self.listed = listed


class _Fails(ListedOnly):
    """Ends the run at the first object fetched, when everything is in the ledger."""

    def list_objects_v2(self, **request: Any) -> dict[str, Any]:
        """A page of objects without content beyond a byte, so that the disk is large enough."""
        page = super().list_objects_v2(**request)
        for entry in page["Contents"]:
            entry["Size"] = 1
        return page

    def get_object(self, **_request: Any) -> dict[str, Any]:
        """Nothing."""
        raise _Fetched(self._keys)


def fetch(folder: Path, given: argparse.Namespace) -> None:
    """Fetch the same objects with ``mirror`` and with ``download_file``, in turns; prints MB/s and objects/s."""
    settings = load_settings(home=folder / "home")
    account = local_account(settings)
    s3 = open_session(settings).client("s3")
    for n in range(given.files):
        account.objects.put_bytes(account.bucket, f"small/{n:05}.jpg", os.urandom(given.file_kb * 1000))
    account.objects.put_bytes(account.bucket, "large/one.zip", os.urandom(given.large_mb * 1_000_000))
    for name, size in (("small", given.files * given.file_kb / 1e3), ("large", float(given.large_mb))):
        ours, theirs, again = [], [], []
        for number in range(given.rounds):
            place = folder / f"{name}-{number}"
            ours.append(_seconds(partial(mirror, s3, S3Uri(account.bucket, name), place)))
            again.append(_seconds(partial(mirror, s3, S3Uri(account.bucket, name), place)))
            theirs.append(_seconds(partial(_download, s3, account.bucket, name, place)))
        count = given.files if name == "small" else 1
        for title, seconds in (("mirror", ours), ("download_file", theirs), ("mirror again", again)):
            middle = statistics.median(seconds)
            spread = f"{min(seconds):.2f} to {max(seconds):.2f} s"
            rate = f"{size / middle:7.0f} MB/s {count / middle:8.0f} objects/s"
            print(f"{name} ({count} objects, {size:.0f} MB) {title:14} {rate}  {spread}")
    account.close()


def _download(s3: Any, bucket: str, name: str, place: Path) -> None:
    target = place.with_name(f"{place.name}-boto3")
    target.mkdir()
    pages = s3.get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=f"{name}/")
    keys = [item["Key"] for page in pages for item in page["Contents"]]
    with ThreadPoolExecutor(_WORKERS) as pool:
        list(pool.map(lambda key: s3.download_file(bucket, key, str(target / Path(key).name)), keys))


def _seconds(work: Any) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


if __name__ == "__main__":
    main()
