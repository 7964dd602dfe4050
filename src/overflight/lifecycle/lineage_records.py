"""What lineage reads: Describe and List calls and small documents in S3, where "it is not there" is an answer.

Nothing is written, nothing is guessed: a record that was deleted comes back as None, a refusal of access stays an
error, because an answer without what one may not see would look complete.
"""

from __future__ import annotations

import hashlib
import tarfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from botocore.exceptions import ClientError

from overflight.account.objects import S3Uri
from overflight.errors import UsageError
from overflight.files import sha256_bytes
from overflight.governance.documents import LARGEST_BYTES, Document, read_document
from overflight.lifecycle.context import Context

# How SageMaker and S3 say that something does not exist; DescribeEndpoint and its like answer ValidationException.
_MISSING = frozenset(
    {"ResourceNotFound", "ResourceNotFoundException", "ValidationException", "NoSuchKey", "NoSuchBucket", "404"}
)
LARGEST_ARCHIVE_BYTES = 1_000_000_000
_DESCRIPTION = "model.json"
_LARGEST_DESCRIPTION_BYTES = 4_000_000


@dataclass(frozen=True)
class Archive:
    """What a packed model says of itself.

    Attributes:
        sha256: Of the archive as it lies in S3 now, "" when it was not read to its end.
        size_bytes: Of the archive.
        description: Content of ``model.json``, empty when there is none.
        digest: SHA-256 of ``model.json``, which the evaluation names.
        problem: Why something is missing, "" when nothing is.
    """

    sha256: str = ""
    size_bytes: int = 0
    description: dict[str, Any] = field(default_factory=dict)
    digest: str = ""
    problem: str = ""


@dataclass(frozen=True)
class Records:
    """Reads one account.

    Attributes:
        context: The account.
        problems: What is wrong with documents that were read, by address.
    """

    context: Context
    problems: dict[str, str] = field(default_factory=dict)

    def describe(self, operation: str, **given: str) -> dict[str, Any] | None:
        """Answer of a Describe call, None when there is no such thing.

        Raises:
            ClientError: anything else, refusals included.
        """
        try:
            return dict(getattr(self.context.client("sagemaker"), operation)(**given))
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise

    def items(self, operation: str, member: str, **given: str) -> Iterator[dict[str, Any]]:
        """Entries of all pages of a List call; none when what is asked about does not exist."""
        try:
            for page in self.context.client("sagemaker").get_paginator(operation).paginate(**given):
                yield from page[member]
        except ClientError as error:
            if error.response["Error"]["Code"] not in _MISSING:
                raise

    def tags(self, arn: str) -> dict[str, str]:
        """Tags of a resource by key."""
        return {tag["Key"]: tag["Value"] for tag in self.items("list_tags", "Tags", ResourceArn=arn)}

    def document(self, uri: str) -> dict[str, Any] | None:
        """The members of a JSON object in S3 that have their known shape, None when it is not there or not JSON."""
        body = self._open(uri)
        if body is None:
            return None
        stream, size = body
        found = Document(readable=False, problem=f"has {size / 1e6:.0f} MB and was not read")
        if size <= LARGEST_BYTES:
            found = read_document(uri.rsplit("/", 1)[1], stream.read())
        if found.problem:
            self.problems[uri] = f"{uri.rsplit('/', 1)[1]} {found.problem}"
        return found.content if found.readable else None

    def lines(self, uri: str) -> Iterator[bytes]:
        """Lines of a text in S3 without their ends, none when it is not there."""
        body = self._open(uri)
        if body is not None:
            yield from body[0].iter_lines(chunk_size=1024 * 1024)

    def archive(self, uri: str) -> Archive:
        """Digest and description of a packed model, read once without unpacking it to disk."""
        body = self._open(uri)
        if body is None:
            return Archive(problem="The artefact is not in S3 any more.")
        stream, size = body
        if size > LARGEST_ARCHIVE_BYTES:
            return Archive(size_bytes=size, problem=f"The artefact has {size / 1e9:.1f} GB and was not read.")
        hashed: Any = _Hashed(stream)  # tarfile asks for a write method too, which a stream that is read never needs
        problem, content = "", b""
        try:
            with tarfile.open(fileobj=hashed, mode="r|gz") as tar:
                for member in tar:
                    if member.name.removeprefix("./") == _DESCRIPTION and member.size < _LARGEST_DESCRIPTION_BYTES:
                        file = tar.extractfile(member)
                        content = file.read() if file else b""
                        break
            found = read_document(_DESCRIPTION, content) if content else Document()
            description, problem = found.content, f"Its model.json {found.problem}." if found.problem else ""
        except (tarfile.TarError, EOFError, zlib.error, ValueError, OverflowError, OSError) as error:
            description, problem = {}, f"The artefact cannot be read ({error})."
        hashed.drain()
        if not description and not problem:
            problem = "The artefact holds no model.json: what made it is not recorded in it."
        return Archive(hashed.hexdigest(), size, description, sha256_bytes(content) if content else "", problem)

    def _open(self, uri: str) -> tuple[Any, int] | None:
        try:
            place = S3Uri.parse(uri)
            answer = self.context.client("s3").get_object(Bucket=place.bucket, Key=place.key)
        except UsageError:
            return None
        except ClientError as error:
            if error.response["Error"]["Code"] in _MISSING:
                return None
            raise
        return answer["Body"], int(answer["ContentLength"])


class _Hashed:
    """A stream that hashes what is read from it."""

    def __init__(self, stream: IO[bytes]) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()

    def read(self, size: int = -1) -> bytes:
        """The next bytes."""
        chunk = self._stream.read(size) if size >= 0 else self._stream.read()
        self._digest.update(chunk)
        return chunk

    def drain(self) -> None:
        """Read what is left."""
        while self.read(1024 * 1024):
            pass

    def hexdigest(self) -> str:
        """SHA-256 of everything that was read."""
        return self._digest.hexdigest()
