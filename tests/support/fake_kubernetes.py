"""A FAKE Kubernetes API server that keeps what it is given and starts nothing. Spark's own client talks to it."""

from __future__ import annotations

import json
import re
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

_PATH = re.compile(r"/api/v1/namespaces/(?P<namespace>[^/]+)/(?P<kind>[a-z]+)(?:/(?P<name>[^/]+))?$")
_KINDS = {
    "pods": "Pod",
    "services": "Service",
    "configmaps": "ConfigMap",
    "persistentvolumeclaims": "PersistentVolumeClaim",
}
_VERBS = {"POST": "create", "PUT": "update", "PATCH": "patch", "DELETE": "delete", "GET": "get"}


@dataclass
class FakeKubernetes:
    """What was asked of the server.

    Attributes:
        url: of the server.
        objects: what was made, by kind (`pods`) and name.
        asked: the verb and kind of every request, as a Role names them.
    """

    url: str = ""
    objects: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    asked: set[tuple[str, str]] = field(default_factory=set)
    ended: threading.Event = field(default_factory=threading.Event)

    def made(self, kind: str) -> list[dict[str, Any]]:
        """Return what was made of a kind."""
        return list(self.objects.get(kind, {}).values())


@contextmanager
def run_fake_kubernetes() -> Iterator[FakeKubernetes]:
    """Run the server, and end it."""
    api = FakeKubernetes()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Bound", (_Handler,), {"api": api}))
    server.daemon_threads = True
    api.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield api
    finally:
        api.ended.set()
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    api: FakeKubernetes
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Log nothing."""

    def _serve(self) -> None:
        parts = urlsplit(self.path)
        found, query = _PATH.match(parts.path), parse_qs(parts.query)
        length = int(self.headers.get("Content-Length") or 0)
        body = json.loads(self.rfile.read(length)) if length else {}
        if found is None or found["kind"] not in _KINDS:
            self._answer(404, {"kind": "Status", "status": "Failure", "code": 404, "message": f"no {parts.path}"})
            return
        kind, name = found["kind"], found["name"]
        watches = query.get("watch") == ["true"]
        self.api.asked.add((self._find_verb(name, watches), kind))
        if self.headers.get("Upgrade"):  # without web sockets clients watch by plain HTTP
            self._answer(200, {})
        elif watches:
            self._watch()
        elif self.command == "POST":
            self._answer(201, self._keep(kind, body))
        elif name is None:
            items = [] if self.command == "DELETE" else self.api.made(kind)
            self._answer(
                200,
                {
                    "kind": f"{_KINDS[kind]}List",
                    "apiVersion": "v1",
                    "metadata": {"resourceVersion": "1"},
                    "items": items,
                },
            )
        elif self.command in ("PATCH", "PUT") and body.get("kind"):
            self._answer(200, self._keep(kind, body))
        elif name in self.api.objects.get(kind, {}):
            self._answer(200, self.api.objects[kind][name])
        else:
            self._answer(404, {"kind": "Status", "status": "Failure", "code": 404, "message": f"no {kind} {name}"})

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve

    def _find_verb(self, name: str | None, watches: bool) -> str:
        if watches:
            return "watch"
        if name is None and self.command in ("GET", "DELETE"):
            return "list" if self.command == "GET" else "deletecollection"
        return _VERBS[self.command]

    def _keep(self, kind: str, made: dict[str, Any]) -> dict[str, Any]:
        made = {"kind": _KINDS[kind], "apiVersion": "v1", **made}
        made["metadata"] |= {
            "uid": str(uuid.uuid4()),
            "resourceVersion": "1",
            "creationTimestamp": "2026-01-01T00:00:00Z",
        }
        self.api.objects.setdefault(kind, {})[made["metadata"]["name"]] = made
        return made

    def _answer(self, status: int, body: dict[str, Any]) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _watch(self) -> None:
        """Keep the connection open and tell of nothing."""
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self.api.ended.wait()
        self.close_connection = True
