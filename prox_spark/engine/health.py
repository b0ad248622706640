"""What a running server says of itself over its Unix socket. Standard library only: the supervisor asks, too."""

from __future__ import annotations

import http.client
import re
import socket
from dataclasses import dataclass

_COUNTS = re.compile(
    r"^vllm:(num_requests_running|num_requests_waiting|request_success_total)(?:\{[^}]*\})? (\S+)", re.M
)


@dataclass(frozen=True)
class Load:
    """How busy a server is.

    Attributes:
        n_open: requests that it decodes or holds back.
        n_answered: requests answered since its start.
    """

    n_open: float
    n_answered: float


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


def load(socket_path: str) -> Load | None:
    """Requests at a server; None when it does not say."""
    body = request(socket_path, "/metrics")
    if body is None:
        return None
    counts = {"num_requests_running": 0.0, "num_requests_waiting": 0.0, "request_success_total": 0.0}
    for name, value in _COUNTS.findall(body):
        counts[name] += float(value)
    return Load(counts["num_requests_running"] + counts["num_requests_waiting"], counts["request_success_total"])
