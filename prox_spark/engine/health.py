"""What a running server says of itself over its Unix socket. Standard library only: the supervisor asks, too."""

from __future__ import annotations

import http.client
import socket

from prox_spark.engine.metrics import Metrics


def request(socket_path: str, path: str, seconds: float = 5.0) -> str | None:
    """GET over a Unix socket: the body of a 200 answer, None for anything else."""
    connection = http.client.HTTPConnection("localhost", timeout=seconds)
    try:
        connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        connection.sock.settimeout(seconds)
        connection.sock.connect(socket_path)
        connection.request("GET", path)
        response = connection.getresponse()
        return response.read().decode() if response.status == 200 else None
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def is_healthy(socket_path: str, seconds: float = 5.0) -> bool:
    """Does the server at a Unix socket answer its health check."""
    return request(socket_path, "/health", seconds) is not None


def metrics(socket_path: str, seconds: float = 5.0) -> Metrics | None:
    """What a server has done and holds; None when it does not say."""
    body = request(socket_path, "/metrics", seconds)
    return None if body is None else Metrics.read(body)
