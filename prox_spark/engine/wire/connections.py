"""HTTP to the resident engine: keep-alive connections over its Unix socket.

The client implements only the part of HTTP that the engine speaks (a Content-Length on every answer). A general client
takes three times the CPU time per request, and with a fast engine the window waits for exactly that time.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

_CONTENT_LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)


class BrokenConnection(ConnectionError):
    """The server took the request and the connection ended without an answer."""


class Connections:
    """A pool of connections, one for each request in flight. Use it within one event loop.

    Args:
        path: path of the Unix socket.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._all: set[_Connection] = set()
        self._idle: list[_Connection] = []

    async def post(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Send a JSON body and return the answer's status and body. Cancelling it also ends the request in the server.

        Raises:
            BrokenConnection: the request was sent and will get no answer.
            OSError: the request was not sent, because nothing listens on the socket.
        """
        connection = self._idle.pop() if self._idle else await self._connect()
        try:
            answer = await connection.exchange(
                b"POST %b HTTP/1.1\r\nHost: engine\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
                % (path.encode(), len(body), body)
            )
        except BaseException:
            connection.close()
            raise
        if not connection.is_closed:
            self._idle.append(connection)
        return answer

    def close(self) -> None:
        """Close all connections, which ends the requests on them."""
        for connection in list(self._all):
            connection.close()

    async def _connect(self) -> _Connection:
        loop = asyncio.get_running_loop()
        _, connection = await loop.create_unix_connection(lambda: _Connection(self), self._path)
        self._all.add(connection)
        return connection

    def _forget(self, connection: _Connection) -> None:
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection(asyncio.Protocol):
    """A connection that carries one request after the other."""

    def __init__(self, pool: Connections) -> None:
        self._pool = pool
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._received = b""
        self.is_closed = False

    def exchange(self, request: bytes) -> asyncio.Future[tuple[int, bytes]]:
        self._answer = asyncio.get_running_loop().create_future()
        self._received = b""
        if self.is_closed:
            self._answer.set_exception(BrokenConnection("the connection was closed"))
        else:
            self._transport.write(request)
        return self._answer

    def close(self) -> None:
        self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A cast, because uvloop's transport has the methods, but is no subclass.
        self._transport = cast(asyncio.WriteTransport, transport)

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, end_of_head, body = self._received.partition(b"\r\n\r\n")
        if not end_of_head or self._answer is None or self._answer.done():
            return
        length = _CONTENT_LENGTH.search(head)
        if length is None:
            self._answer.set_exception(BrokenConnection(f"an answer without a length: {head[:200]!r}"))
        elif len(body) >= int(length[1]):
            self._answer.set_result((int(head[9:12]), body))

    def connection_lost(self, _: Exception | None) -> None:
        self.is_closed = True
        self._pool._forget(self)
        if self._answer and not self._answer.done():
            self._answer.set_exception(BrokenConnection("the server closed the connection"))
