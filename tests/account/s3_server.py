"""A small S3 over HTTP on the loopback that misbehaves when told to: real sockets, real botocore, planted faults."""

from __future__ import annotations

import hashlib
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, quote, unquote, urlsplit
from xml.sax.saxutils import escape

import boto3
from botocore.config import Config

_RANGE = re.compile(r"bytes=(\d+)-(\d+)")


@dataclass
class Stored:
    """An object; ``headers`` go into every answer, ``etag`` defaults to the MD5."""

    content: bytes
    headers: dict[str, str] = field(default_factory=dict)
    etag: str = ""
    storage_class: str = "STANDARD"
    part_sizes: tuple[int, ...] = ()

    @property
    def tag(self) -> str:
        return self.etag or hashlib.md5(self.content, usedforsecurity=False).hexdigest()


@dataclass
class Asked:
    """A request as it came."""

    method: str
    key: str
    span: tuple[int, int] | None
    query: dict[str, list[str]]
    headers: dict[str, str]


@dataclass
class FakeS3:
    """What the server holds, what it was asked, and what goes wrong.

    Attributes:
        objects: By key, in one bucket whatever its name.
        asked: Every request.
        refusals: Answers (status, code, message, headers) given instead, first come first served.
        cuts: key -> after how many bytes of the next answers' bodies the connection is closed.
        corrupt: key -> how many answers have a wrong byte.
        before: Called with each request before it is answered.
        page: Keys per page of a listing.
    """

    objects: dict[str, Stored] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    refusals: list[tuple[int, str, str, dict[str, str]]] = field(default_factory=list)
    cuts: dict[str, list[int]] = field(default_factory=dict)
    corrupt: dict[str, int] = field(default_factory=dict)
    before: Any = None
    page: int = 1000
    url: str = ""
    ignores_ranges: bool = False
    clients: dict[str, Any] = field(default_factory=dict)

    def reset(self) -> None:
        """As new, but for address and clients."""
        vars(self).update(vars(FakeS3(url=self.url, clients=self.clients)))

    def client(self, **config: Any) -> Any:
        """A client of the server that does not try anything again by itself; made once for each configuration."""
        if repr(config) not in self.clients:
            settings = {"retries": {"total_max_attempts": 1}, "s3": {"addressing_style": "path"}, **config}
            session: Any = boto3.Session("key", "secret", region_name="eu-central-1")
            self.clients[repr(config)] = session.client("s3", endpoint_url=self.url, config=Config(**settings))
        return self.clients[repr(config)]

    def gets(self, key: str) -> list[tuple[int, int] | None]:
        return [asked.span for asked in self.asked if (asked.method, asked.key) == ("GET", key)]


class Handler(BaseHTTPRequestHandler):
    """Answers from ``held``."""

    held: FakeS3
    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body in one packet, else each answer waits for the client's delayed ACK

    def log_message(self, *_: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._answer(with_body=True)

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def _answer(self, *, with_body: bool) -> None:
        parts = urlsplit(self.path)
        key = unquote(parts.path).lstrip("/").partition("/")[2]
        found = _RANGE.fullmatch(self.headers.get("Range", ""))
        span = (int(found[1]), int(found[2])) if found else None
        query = parse_qs(parts.query, keep_blank_values=True)
        asked = Asked(self.command, key, span, query, dict(self.headers))
        self.held.asked.append(asked)
        if self.held.before:
            self.held.before(asked)
        if self.held.refusals:
            status, code, message, headers = self.held.refusals.pop(0)
            self._error(status, code, message, headers, with_body=with_body)
        elif not key:
            self._send(200, _listing(self.held, query), {"Content-Type": "application/xml"})
        elif key not in self.held.objects:
            self._error(404, "NoSuchKey", "The specified key does not exist.", {}, with_body=with_body)
        else:
            self._object(asked, self.held.objects[key], with_body=with_body)

    def _object(self, asked: Asked, stored: Stored, *, with_body: bool) -> None:
        wanted = self.headers.get("If-Match", "*").strip('"')
        if wanted not in {"*", stored.tag}:
            self._error(412, "PreconditionFailed", "At least one of the pre-conditions", {}, with_body=with_body)
            return
        content, status = stored.content, 200
        headers = {"ETag": f'"{stored.tag}"', **stored.headers}
        if asked.span and not self.held.ignores_ranges:
            first, last = asked.span[0], min(asked.span[1], len(content) - 1)
            headers = {name: value for name, value in headers.items() if "checksum" not in name}
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            content, status = content[first : last + 1], 206
        if "partNumber" in asked.query and stored.part_sizes:
            content, status = bytes(stored.part_sizes[int(asked.query["partNumber"][0]) - 1]), 206
        if self.held.corrupt.get(asked.key, 0) and with_body:
            self.held.corrupt[asked.key] -= 1
            content = bytes([content[0] ^ 1]) + content[1:]
        cut = self.held.cuts[asked.key].pop(0) if self.held.cuts.get(asked.key) and with_body else None
        self._send(status, content, headers, cut=cut, with_body=with_body)

    def _error(self, status: int, code: str, message: str, headers: dict[str, str], *, with_body: bool) -> None:
        body = f"<Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>".encode()
        self._send(status, body, {"Content-Type": "application/xml", **headers}, with_body=with_body)

    def _send(
        self, status: int, body: bytes, headers: dict[str, str], *, cut: int | None = None, with_body: bool = True
    ) -> None:
        self.send_response(status)
        for name, value in {**headers, "Content-Length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        if with_body:
            self.wfile.write(body[:cut])
        if cut is not None:
            self.wfile.flush()
            self.close_connection = True


@contextmanager
def serving() -> Iterator[FakeS3]:
    """A running server and what it holds."""
    held = FakeS3()
    handler = type("BoundHandler", (Handler,), {"held": held})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    held.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield held
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def _listing(held: FakeS3, query: dict[str, list[str]]) -> bytes:
    prefix, after = query.get("prefix", [""])[0], query.get("continuation-token", [""])[0]
    keys = [key for key in sorted(held.objects, key=str.encode) if key.startswith(prefix) and key > after]
    page, more = keys[: held.page], len(keys) > held.page
    contents = "".join(
        f"<Contents><Key>{quote(key, safe='/')}</Key><LastModified>2026-03-01T12:00:00.000Z</LastModified>"
        f"<ETag>&quot;{held.objects[key].tag}&quot;</ETag><Size>{len(held.objects[key].content)}</Size>"
        f"<StorageClass>{held.objects[key].storage_class}</StorageClass></Contents>"
        for key in page
    )
    token = f"<NextContinuationToken>{escape(page[-1])}</NextContinuationToken>" if more else ""
    return (
        f"<ListBucketResult><Name>b</Name><EncodingType>url</EncodingType><KeyCount>{len(page)}</KeyCount>"
        f"<IsTruncated>{str(more).lower()}</IsTruncated>{token}{contents}</ListBucketResult>"
    ).encode()
