"""``model.tar.gz`` to a folder, without trusting it: nothing is written outside, devices and links out are refused.

Does not know what the files mean; the model folder checks its own digests.
"""

from __future__ import annotations

import shutil
import tarfile
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from overflight.errors import InputError
from overflight.files import require_disk

ARCHIVE = "model.tar.gz"
_CURE = "Train again: the archive was damaged or is not ours"


@contextmanager
def unpacked_model(folder: Path, work: Path) -> Iterator[Path]:
    """The model in ``folder/model.tar.gz``, unpacked below ``work`` while the block runs.

    Raises:
        InputError: no archive, a damaged one, or one that writes outside its folder.
        ResourceError: the disk is too small.
    """
    archive = folder / ARCHIVE
    if not archive.is_file():
        raise InputError(f"there is no {ARCHIVE}", where=str(folder), cure="Check the step's inputs")
    work.mkdir(parents=True, exist_ok=True)
    target = Path(tempfile.mkdtemp(dir=work, prefix="model-"))
    try:
        _unpack(archive, target)
        yield target
    finally:
        shutil.rmtree(target)


def _unpack(archive: Path, target: Path) -> None:
    try:
        with tarfile.open(archive, "r:gz") as tar:
            require_disk(target, sum(member.size for member in tar.getmembers()))
            tar.extractall(target, filter="data")
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise InputError(f"cannot be unpacked: {error}", where=str(archive), cure=_CURE) from error
