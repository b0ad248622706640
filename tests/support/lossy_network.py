"""A way to an HTTP server on which some answers get lost: the server did what it was asked, and nobody hears of it."""

from __future__ import annotations

import http.client
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from urllib.parse import urlsplit

# These belong to a connection, and not to the message.
_OF_CONNECTION = {"connection", "expect", "keep-alive", "transfer-encoding"}


class LossyNetwork(ThreadingHTTPServer):
    """Passes requests on.

    Args:
        target: URL of the server.
        loses: returns True for the method, path and header of a request whose answer is to be lost.

    Attributes:
        n_lost: number of the answers that were lost.
    """

    daemon_threads = True

    def __init__(self, target: str, loses: Callable[[str, str, Mapping[str, str]], bool]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        parts = urlsplit(target)
        self.target = (str(parts.hostname), int(parts.port or 80))
        self.loses = loses
        self.n_lost = 0
        self.lock = Lock()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


class _Handler(BaseHTTPRequestHandler):
    server: LossyNetwork
    protocol_version = "HTTP/1.1"

    def _pass_on(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        connection = http.client.HTTPConnection(*self.server.target, timeout=60)
        connection.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OF_CONNECTION:
                connection.putheader(name, value)  # The name of the host, too: it is part of what was signed.
        connection.endheaders(body or None)
        answer = connection.getresponse()
        content = answer.read()
        with self.server.lock:
            is_lost = self.server.loses(self.command, self.path, dict(self.headers.items()))
            self.server.n_lost += is_lost
        if is_lost:
            self.close_connection = True
            return
        self.send_response_only(answer.status)
        kept = [(name, value) for name, value in answer.getheaders() if name.lower() not in _OF_CONNECTION]
        if not any(name.lower() == "content-length" for name, _ in kept):
            kept.append(("Content-Length", str(len(content))))
        for name, value in kept:
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = _pass_on

    def log_message(self, format: str, *args: object) -> None:
        """Log nothing."""


@contextmanager
def lossy_network(target: str, loses: Callable[[str, str, Mapping[str, str]], bool]) -> Iterator[LossyNetwork]:
    """Yield a running network."""
    network = LossyNetwork(target, loses)
    Thread(target=network.serve_forever, daemon=True).start()
    try:
        yield network
    finally:
        network.shutdown()
        network.server_close()
