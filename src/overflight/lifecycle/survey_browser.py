"""The pages of ``survey browse`` over HTTP on this machine only; photographs are scaled when they are asked for.

Answers nothing but the files of the folder and ``/full/ROW.jpg``, and only to requests that name this machine, so that
no other web site can read photographs through a person's browser. It does not write the pages.
"""

from __future__ import annotations

import re
import sys
import threading
from collections.abc import Sequence
from functools import partial
from http import HTTPStatus
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from overflight.data.profile.browse import full_picture
from overflight.data.reading import Read
from overflight.errors import InputError, UsageError

HOST = "127.0.0.1"
_AT_ONCE = 2
_FULL = re.compile(r"/full/(\d{1,9})\.jpg")
_HEADERS = {
    "Cache-Control": "no-cache",
    "Content-Security-Policy": "default-src 'self'; style-src 'self' 'unsafe-inline'",
    # Other pages may not take photos.js as a script, nor show photographs: the host in such requests is this machine's.
    "Cross-Origin-Resource-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


class BrowseServer(ThreadingHTTPServer):
    """Serves ``folder`` and the photographs ``keys`` of ``read``; ``url`` is where.

    Args:
        folder: What ``write_browser`` wrote.
        read: The survey.
        keys: Photo keys by row.
        port: 0 takes a free one.

    Raises:
        UsageError: the port is in use or not allowed.
    """

    daemon_threads = True
    # Two servers on one port would share its requests by chance.
    allow_reuse_address = False

    def __init__(self, folder: Path, read: Read, keys: Sequence[str], *, port: int = 0) -> None:
        self.read, self.keys = read, keys
        # A full photograph takes its pixels in memory; a page of 100 must not decode all at once.
        self.decoding = threading.BoundedSemaphore(_AT_ONCE)
        try:
            super().__init__((HOST, port), partial(_Handler, directory=str(folder)))
        except OSError as error:
            cure = "Choose another with --port, or leave it out"
            raise UsageError(f"port {port} cannot be used: {error.strerror}", where=HOST, cure=cure) from error

    @property
    def url(self) -> str:
        """Address of the pages."""
        return f"http://{HOST}:{self.server_address[1]}/"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A browser that turns the page hangs up in the middle of pictures: that is no error."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def until_interrupted(self) -> None:
        """Serve until Ctrl-C."""
        try:
            self.serve_forever()
        except KeyboardInterrupt:
            pass
        finally:
            self.server_close()


class _Handler(SimpleHTTPRequestHandler):
    server: BrowseServer

    def do_GET(self) -> None:
        if not self._is_local():
            self.send_error(HTTPStatus.FORBIDDEN, "only for this machine")
            return
        found = _FULL.fullmatch(self.path.partition("?")[0])
        if found is None:
            super().do_GET()
        else:
            self._send_full(int(found[1]))

    def do_HEAD(self) -> None:
        if self._is_local():
            super().do_HEAD()
        else:
            self.send_error(HTTPStatus.FORBIDDEN, "only for this machine")

    def list_directory(self, path: Any) -> None:
        """Folders are not listed."""
        del path
        self.send_error(HTTPStatus.NOT_FOUND)

    def end_headers(self) -> None:
        for name, value in _HEADERS.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the library's
        """Requests are not logged."""

    def _send_full(self, row: int) -> None:
        try:
            if row >= len(self.server.keys):
                raise InputError("there is no such photograph", where=str(row))
            with self.server.decoding:
                data = full_picture(self.server.read, self.server.keys[row])
        except (InputError, OSError) as error:
            self.send_error(HTTPStatus.NOT_FOUND, explain=str(error))
            return
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "image/jpeg")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _is_local(self) -> bool:
        host = self.headers.get("Host", "").rpartition(":")[0] or self.headers.get("Host", "")
        return host in {HOST, "localhost"}
