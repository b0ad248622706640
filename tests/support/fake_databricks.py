"""FakeDatabricks: the Jobs API 2.2 as far as Airflow calls it, with answers in the form that its reference documents.

https://docs.databricks.com/api/workspace/jobs/runnow and …/jobs/getrun, seen in November 2026.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

JOB_ID = 1104
RUNNING = {"life_cycle_state": "RUNNING", "state_message": "In run"}
SUCCEEDED = {"life_cycle_state": "TERMINATED", "result_state": "SUCCESS", "state_message": ""}
FAILED = {"life_cycle_state": "INTERNAL_ERROR", "result_state": "FAILED", "state_message": "Task failed."}


class ServiceError(Exception):
    """Makes the server answer 403, which Airflow does not ask again."""


@dataclass
class FakeDatabricks:
    """A server whose runs stand as the test says.

    Args:
        tell_state: returns the state of a run for the n-th question about it, from 0, or raises `ServiceError`.
        error: what the output of a failed task says.

    Attributes:
        started: bodies of the requests that have started a run. Its id is its index.
        refused: headers of requests without the token.
    """

    tell_state: Callable[[dict[str, Any], int], dict[str, str]]
    error: str = ""
    token: str = "dapi-not-a-secret"
    started: list[dict[str, Any]] = field(default_factory=list)
    cancelled: list[int] = field(default_factory=list)
    _asked: dict[int, int] = field(default_factory=dict)

    def __enter__(self) -> FakeDatabricks:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                length = int(self.headers.get("Content-Length") or 0)
                body = json.loads(self.rfile.read(length) or b"{}")
                self.answer(url.path, dict(parse_qsl(url.query)) | body)

            do_POST = do_GET

            def answer(self, path: str, body: dict[str, Any]) -> None:
                try:
                    if self.headers.get("Authorization") != f"Bearer {fake.token}":
                        raise ServiceError
                    status, content = 200, fake.reply(path.rpartition("/api/2.2/jobs/")[2], body)
                except ServiceError:
                    status, content = 403, {"error_code": "PERMISSION_DENIED", "message": "told to refuse it"}
                words = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Length", str(len(words)))
                self.end_headers()
                self.wfile.write(words)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def connection(self) -> str:
        """Airflow's connection to it, JSON."""
        port = self._server.server_port
        return json.dumps(
            {"conn_type": "databricks", "schema": "http", "host": "127.0.0.1", "port": port, "password": self.token}
        )

    def reply(self, route: str, body: dict[str, Any]) -> dict[str, Any]:
        """Return the answer to a request."""
        if route == "list":
            jobs = [{"job_id": JOB_ID, "settings": {"name": "prox_spark refine"}}]
            return {
                "jobs": [job for job in jobs if body.get("name") in (None, job["settings"]["name"])],
                "has_more": False,
            }
        if route == "run-now":
            return {"run_id": self._start(body), "number_in_job": len(self.started)}
        if route == "runs/get":
            return self._describe(int(body["run_id"]))
        if route == "runs/get-output":
            return {"error": self.error, "metadata": {"run_id": int(body["run_id"])}}
        assert route == "runs/cancel", route
        self.cancelled.append(int(body["run_id"]))
        return {}

    def _start(self, body: dict[str, Any]) -> int:
        tokens = [run["idempotency_token"] for run in self.started]
        if body["idempotency_token"] in tokens:  # As documented: the existing run is returned.
            return tokens.index(body["idempotency_token"])
        self.started.append(body)
        return len(self.started) - 1

    def _describe(self, run_id: int) -> dict[str, Any]:
        n_asked = self._asked.get(run_id, 0)
        self._asked[run_id] = n_asked + 1
        state = self.tell_state(self.started[run_id], n_asked)
        task = {"task_key": self.started[run_id]["only"][0], "run_id": run_id, "attempt_number": 0, "state": state}
        url = f"https://example.cloud.databricks.com/jobs/{JOB_ID}/runs/{run_id}"
        return {"job_id": JOB_ID, "run_id": run_id, "run_page_url": url, "state": state, "tasks": [task]}
