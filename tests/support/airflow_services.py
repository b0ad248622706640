"""Airflow's scheduler, DAG processor and API server as processes, and its REST API."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

from airflow_home import AIRFLOW, AirflowHome
from waiting import wait_until

_ENDED = ("success", "failed")


class AirflowServices:
    """The services of a home, while the context lasts."""

    def __init__(self, home: AirflowHome) -> None:
        with socket.socket() as one, socket.socket() as other:
            one.bind(("127.0.0.1", 0))
            other.bind(("127.0.0.1", 0))
            port, log_port = one.getsockname()[1], other.getsockname()[1]
        self._url = f"http://127.0.0.1:{port}"
        self._processes: list[subprocess.Popen[bytes]] = []
        self._token = ""
        self._home = home.having(
            AIRFLOW__API__PORT=str(port),
            AIRFLOW__API__HOST="127.0.0.1",
            AIRFLOW__API__WORKERS="1",
            AIRFLOW__API_AUTH__JWT_SECRET=secrets.token_hex(32),
            AIRFLOW__API__SECRET_KEY=secrets.token_hex(32),
            AIRFLOW__CORE__EXECUTION_API_SERVER_URL=f"{self._url}/execution/",
            AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS="True",
            AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION="False",
            AIRFLOW__CORE__EXECUTOR="LocalExecutor",
            AIRFLOW__CORE__PARALLELISM="2",
            AIRFLOW__LOGGING__WORKER_LOG_SERVER_PORT=str(log_port),
        )

    def __enter__(self) -> AirflowServices:
        for service in ("api-server", "dag-processor", "scheduler"):
            with self._log(service).open("wb") as log:
                command = [str(AIRFLOW / "airflow"), service]
                self._processes.append(
                    subprocess.Popen(command, env=self._home.environment, cwd=self._home.folder, stdout=log, stderr=log)
                )
        return self

    def __exit__(self, *_: object) -> None:
        for process in reversed(self._processes):
            process.terminate()
        for process in self._processes:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()

    def _log(self, service: str) -> Path:
        return self._home.folder / f"{service}.log"

    def read_logs(self) -> str:
        """Return the last lines of the services and of the tasks."""
        tasks = sorted((self._home.folder / "logs").rglob("attempt=*.log"))
        logs = [self._log("scheduler"), self._log("api-server"), self._log("dag-processor"), *tasks]
        return "\n\n".join(f"== {log.name}\n{log.read_text()[-3000:]}" for log in logs if log.exists())

    def wait_until(self, condition: Callable[[], object], what: str, seconds: float) -> None:
        """Wait until the condition holds. A failure shows the logs."""
        try:
            wait_until(condition, what, seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}\n{self.read_logs()}") from None

    def call(self, path: str, body: dict[str, Any] | None = None) -> Any:
        """Call the REST API and return its answer."""
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {self._token}"}
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self._url + path, data, headers), timeout=30) as answer:
            return json.load(answer)

    def trigger(self, dag_id: str) -> str:
        """Start a run of a DAG as soon as it is known. Return the run's id."""

        def is_known() -> bool:
            try:
                self._token = self._token or self.call("/auth/token")["access_token"]
                return bool(self.call(f"/api/v2/dags/{dag_id}")["dag_id"])
            except URLError:  # Not there yet, or 404.
                return False

        self.wait_until(is_known, f"the DAG {dag_id} is there", 180)
        return str(self.call(f"/api/v2/dags/{dag_id}/dagRuns", {"logical_date": None})["dag_run_id"])

    def wait_for_end(self, dag_id: str, run_id: str, seconds: float) -> str:
        """Wait until a run has ended and return its state."""
        path = f"/api/v2/dags/{dag_id}/dagRuns/{run_id}"
        self.wait_until(lambda: self.call(path)["state"] in _ENDED, f"{run_id} ends", seconds)
        return str(self.call(path)["state"])

    def read_tries(self, dag_id: str, run_id: str) -> dict[str, int]:
        """Return the number of tries of each task."""
        tasks = self.call(f"/api/v2/dags/{dag_id}/dagRuns/{run_id}/taskInstances")["task_instances"]
        return {task["task_id"]: task["try_number"] for task in tasks}
