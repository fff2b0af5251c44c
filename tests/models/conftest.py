"""A real HTTP server for weights, and the ways a real one misbehaves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest


class WeightsServer(ThreadingHTTPServer):
    """Serves `content` at every path. `requests` lists the Range header (or None) of each request."""

    daemon_threads = True

    def __init__(self, content: bytes) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.content = content
        self.requests: list[str | None] = []
        self.cut_after: list[int] = []  # for each coming answer: bytes sent before the connection is cut
        self.ranges = True
        self.status = 200
        self.pause: threading.Event | None = None  # the second half of an answer waits for it
        self.redirect = ""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/weights.safetensors"

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore clients that disconnect early, because some tests do."""


class _Handler(BaseHTTPRequestHandler):
    server: WeightsServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        server = self.server
        wanted = self.headers.get("Range")
        server.requests.append(wanted)
        if server.redirect:
            self.send_response(302)
            self.send_header("Location", server.redirect)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        if server.status != 200:
            self.send_error(server.status)
            return
        content, start = server.content, 0
        if wanted and server.ranges:
            start = int(wanted.removeprefix("bytes=").removesuffix("-"))
            if start >= len(content):
                self.send_error(416)
                return
            self.send_response(206)
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        else:
            self.send_response(200)
        body = content[start:]
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if server.cut_after:
            self.wfile.write(body[: server.cut_after.pop(0)])
            self.close_connection = True
            return
        half = len(body) // 2 if server.pause else 0
        self.wfile.write(body[:half])
        if server.pause:
            self.wfile.flush()
            server.pause.wait()
        self.wfile.write(body[half:])

    def log_message(self, *arguments: object) -> None:
        """Print nothing."""


@contextmanager
def serving(content: bytes) -> Iterator[WeightsServer]:
    with WeightsServer(content) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield server
        finally:
            if server.pause:
                server.pause.set()
            server.shutdown()
            thread.join()


@pytest.fixture(scope="session")
def weights_server() -> Callable[[bytes], AbstractContextManager[WeightsServer]]:
    """`with weights_server(content) as server:` serves at `server.url`."""
    return serving
