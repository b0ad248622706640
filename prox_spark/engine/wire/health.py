"""Questions to a running server over its Unix socket.

Uses the standard library only, because the supervisor asks too.
"""

from __future__ import annotations

import http.client
import json
import socket
from typing import Any

from prox_spark.engine.wire.metrics import Metrics


def request(socket_path: str, path: str, seconds: float = 5.0) -> str | None:
    """Send a GET over a Unix socket and return the body of a 200 answer; None for any other outcome."""
    status, body = exchange(socket_path, "GET", path, seconds=seconds)
    return body if status == 200 else None


def exchange(
    socket_path: str, method: str, path: str, content: dict[str, Any] | None = None, seconds: float = 5.0
) -> tuple[int, str]:
    """Send a request over a Unix socket, with any content as JSON, and return status and body.

    Status 0 without an answer.
    """
    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        connection.sock.connect(socket_path)
        body = json.dumps(content) if content else None
        connection.request(method, path, body, {"Content-Type": "application/json"} if content else {})
        response = connection.getresponse()
        return response.status, response.read().decode()
    except (OSError, http.client.HTTPException):
        return 0, ""
    finally:
        connection.close()


def is_healthy(socket_path: str, seconds: float = 5.0) -> bool:
    """Return True if the server at a Unix socket answers its health check."""
    return request(socket_path, "/health", seconds) is not None


def read_metrics(socket_path: str, seconds: float = 5.0) -> Metrics | None:
    """Read a server's metrics; None where it does not answer or does not count."""
    body = request(socket_path, "/metrics", seconds)
    return None if body is None else Metrics.read(body)
