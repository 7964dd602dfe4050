"""Which code a job ran: version and digest of the package's own files.

The digest is of what lies on the disk, so it also tells two states of the same version apart. It says nothing of the
libraries; their versions are recorded beside it. No program is started: a job has no git to ask, and a repository
around an installed package would be somebody else's.
"""

from __future__ import annotations

import functools
from pathlib import Path

import overflight
from overflight.files import canonical_json, sha256_bytes, sha256_file

_LEFT_OUT = frozenset({"__pycache__"})


@functools.cache
def code_identity(package: Path | None = None) -> dict[str, str]:
    """``version`` and ``sha256`` (64 hex digits).

    Args:
        package: Folder of the package (default: the one this process runs).
    """
    folder = package or Path(overflight.__file__).parent
    return {"version": overflight.__version__, "sha256": source_digest(folder)}


def source_digest(folder: Path) -> str:
    """SHA-256 over names and contents of every file below ``folder`` that is part of the package."""
    files = {
        path.relative_to(folder).as_posix(): sha256_file(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not _hidden(path.relative_to(folder))
    }
    return sha256_bytes(canonical_json(files).encode())


def _hidden(path: Path) -> bool:
    return any(part in _LEFT_OUT or part.startswith(".") for part in path.parts)
