"""Does a file hold what S3 says an object holds? Checksums and ETags of S3, whole and by part.

Knows S3's rules for checksums; makes no call. CRC32C and CRC64NVME need the library ``awscrt`` and are passed over
without it. Rules: AWS, "Checking object integrity for data uploads in Amazon S3"; an ETag is the MD5 of the content
only when the object went up in one piece and is not encrypted with KMS or a key of the customer.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

_CHUNK_BYTES = 1024 * 1024
# Members of S3's requests and answers, in the order in which we trust them.
MEMBERS = {
    "ChecksumSHA256": "sha256",
    "ChecksumSHA512": "sha512",
    "ChecksumSHA1": "sha1",
    "ChecksumCRC64NVME": "crc64nvme",
    "ChecksumCRC32C": "crc32c",
    "ChecksumCRC32": "crc32",
    "ChecksumMD5": "md5",
}
_ETAG = re.compile(r"([0-9a-f]{32})(?:-([1-9]\d{0,4}))?")
_DIRECTORY_BUCKET = "--x-s3"


class Hasher(Protocol):
    """What ``hashlib`` gives, as far as it is needed here."""

    def update(self, data: bytes, /) -> None:
        """Take more of the content."""

    def digest(self) -> bytes:
        """Checksum of what was taken so far."""


@dataclass(frozen=True)
class Proof:
    """What the content must come to.

    Attributes:
        algorithm: Such as ``sha256``.
        digest: The expected checksum.
        parts: 0: of the whole content; else the checksum of the checksums of so many parts.
    """

    algorithm: str
    digest: bytes
    parts: int = 0

    def __str__(self) -> str:
        return f"{self.algorithm} of {self.parts} parts" if self.parts else self.algorithm


class _Crc:
    """A cyclic redundancy check as a hasher."""

    def __init__(self, function: Any, width_bytes: int) -> None:
        self._function, self._width_bytes, self._value = function, width_bytes, 0

    def update(self, data: bytes, /) -> None:
        self._value = self._function(data, self._value)

    def digest(self) -> bytes:
        return int(self._value).to_bytes(self._width_bytes, "big")


def hasher(algorithm: str) -> Hasher | None:
    """A new hasher, or None when this machine has no library for the algorithm."""
    if algorithm in {"sha1", "sha256", "sha512", "md5"}:
        return hashlib.new(algorithm, usedforsecurity=False)
    if algorithm == "crc32":
        return _Crc(zlib.crc32, 4)
    if algorithm in {"crc32c", "crc64nvme"}:
        try:
            function = getattr(importlib.import_module("awscrt.checksums"), algorithm)
        except (ImportError, AttributeError):
            return None
        return _Crc(function, 4 if algorithm == "crc32c" else 8)
    return None


def proofs(facts: Mapping[str, Any], *, bucket: str) -> list[Proof]:
    """What an answer of GetObject or HeadObject (with ``ChecksumMode``) lets us check, the best first.

    Of the whole before of parts, checksums before the ETag; algorithms without a library are left out.
    """
    etag = _ETAG.fullmatch(str(facts.get("ETag", "")).strip('"'))
    parts = int(etag[2] or 0) if etag else 0
    kind = facts.get("ChecksumType")
    checksums = [_checksum(algorithm, facts.get(name), kind, parts) for name, algorithm in MEMBERS.items()]
    found = [proof for proof in checksums if proof is not None]
    if etag is not None and _etag_is_md5(facts, bucket):
        found.append(Proof("md5", bytes.fromhex(etag[1]), parts))
    return sorted((proof for proof in found if hasher(proof.algorithm)), key=lambda proof: proof.parts > 0)


def matches(path: Path, proof: Proof, part_sizes: Sequence[int] = ()) -> bool:
    """Whether the file's content is what ``proof`` says; ``part_sizes``: bytes of each part, where it has parts."""
    if not proof.parts:
        return _digest(path, proof.algorithm, [path.stat().st_size])[0] == proof.digest
    whole = _new(proof.algorithm)
    for digest in _digest(path, proof.algorithm, part_sizes):
        whole.update(digest)
    return len(part_sizes) == proof.parts and whole.digest() == proof.digest


def digest_of(path: Path, algorithm: str) -> bytes | None:
    """Checksum of a file's content; None when this machine has no library for the algorithm."""
    return _digest(path, algorithm, [path.stat().st_size])[0] if hasher(algorithm) else None


def even_parts(size_bytes: int, part_bytes: int, parts: int) -> list[int] | None:
    """Sizes of ``parts`` parts of ``part_bytes`` each, the last one smaller; None when these do not make the size."""
    if part_bytes < 1 or -(-size_bytes // part_bytes) != parts:
        return None
    return [part_bytes] * (parts - 1) + [size_bytes - part_bytes * (parts - 1)]


def _checksum(algorithm: str, value: Any, kind: str | None, etag_parts: int) -> Proof | None:
    """The proof of one member of the answer; None where it is missing, no checksum, or of what is not said."""
    if not isinstance(value, str):
        return None
    text, dash, parts = value.partition("-")
    try:
        digest = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    if dash:
        return Proof(algorithm, digest, int(parts)) if parts.isdecimal() and int(parts) else None
    if etag_parts and kind != "FULL_OBJECT":  # other services than S3 leave out "-N": of the whole or of the parts?
        return Proof(algorithm, digest, etag_parts) if kind == "COMPOSITE" else None
    return Proof(algorithm, digest)


def _etag_is_md5(facts: Mapping[str, Any], bucket: str) -> bool:
    encryption = facts.get("ServerSideEncryption")
    return (
        encryption in {None, "", "AES256"}
        and not facts.get("SSECustomerAlgorithm")
        and not bucket.endswith(_DIRECTORY_BUCKET)
    )


def _digest(path: Path, algorithm: str, sizes: Sequence[int]) -> list[bytes]:
    """Checksums of consecutive pieces of the file."""
    digests = []
    with path.open("rb") as handle:
        for size in sizes:
            piece, left = _new(algorithm), size
            while left and (data := handle.read(min(left, _CHUNK_BYTES))):
                piece.update(data)
                left -= len(data)
            digests.append(piece.digest())
    return digests


def _new(algorithm: str) -> Hasher:
    made = hasher(algorithm)
    if made is None:
        raise ValueError(f"no library for {algorithm}")
    return made
