"""Tasks of a session of Spark Connect, which tells of them while a query runs. Classic sessions are in tests/spark/test_progress.py."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from prox_spark.watching.queries import job_description, watch_tasks

pytestmark = pytest.mark.unit


class FakeConnectSession:
    """A session of Spark Connect that calls its handlers when it is told to."""

    def __init__(self) -> None:
        self.handlers: list[Callable[..., None]] = []
        self.registerProgressHandler = self.handlers.append
        self.removeProgressHandler = self.handlers.remove

    def tell(self, operation: str, *stages: tuple[int, int], done: bool = False) -> None:
        told = [
            SimpleNamespace(num_completed_tasks=completed, num_tasks=n, done=completed == n) for completed, n in stages
        ]
        for handler in self.handlers:
            handler(stages=told, inflight_tasks=1, operation_id=operation, done=done)


FakeConnectSession.__module__ = "pyspark.sql.connect.session"


def test_tasks_of_all_operations_that_run_are_counted() -> None:
    session: Any = FakeConnectSession()
    with watch_tasks(session) as count_tasks, job_description(session, "a stage"):
        assert count_tasks() == (0, 0)
        session.tell("a", (3, 3), (1, 8))  # A stage that is done counts no more.
        session.tell("b", (2, 4))
        assert count_tasks() == (3, 12)
        session.tell("a", (3, 3), (8, 8), done=True)
        assert count_tasks() == (2, 4)
    assert session.handlers == []
