"""Progress of a generation stage on the terminal while Spark is busy."""

from __future__ import annotations

import logging
import re
import threading
import time
from typing import TYPE_CHECKING

from prox_spark.engine.executor import Owner
from prox_spark.engine.resident import request, running

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)
_SECONDS = 5.0
_METRIC = re.compile(
    r"^vllm:(request_success_total|prompt_tokens_total|generation_tokens_total)(?:\{[^}]*\})? (\S+)", re.M
)


class EngineProgress:
    """Logs a line every few seconds, within a `with` block.

    In local mode the engine itself says how many prompts it has answered and how fast; on a cluster, whose engines the
    driver can't reach, the tasks that have ended stand for them.

    Args:
        spark: the session.
        label: what is being done.
        n_prompts: how many prompts there are.
    """

    def __init__(self, spark: SparkSession, label: str, n_prompts: int) -> None:
        self._spark = spark
        self._label = label
        self._n_prompts = n_prompts
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="prox-spark-progress", daemon=True)

    def __enter__(self) -> EngineProgress:
        LOG.info("%s: %s prompts", self._label, f"{self._n_prompts:,}")
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        owner = self._local_executor()
        before = self._metrics(owner) if owner else None
        since = self._begun if before else None
        while not self._stop.wait(_SECONDS):
            if owner is None:
                LOG.info("%s: %s", self._label, self._tasks())
            elif (now := self._metrics(owner)) is None:
                LOG.info("%s: the engine is starting, %.0f s so far", self._label, time.monotonic() - self._begun)
            else:
                since = since or time.monotonic() - _SECONDS  # it began within the last interval
                LOG.info("%s: %s", self._label, self._rate(before or {}, now, time.monotonic() - since))

    def _rate(self, before: dict[str, float], now: dict[str, float], seconds: float) -> str:
        answered, tokens = (now[name] - before.get(name, 0.0) for name in ("answered", "tokens"))
        return f"{answered:,.0f} of {self._n_prompts:,} prompts answered, {tokens / seconds:,.0f} tokens/s"

    def _tasks(self) -> str:
        tracker = self._spark.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        done, total = (sum(getattr(s, name) for s in stages if s) for name in ("numCompletedTasks", "numTasks"))
        return f"{done} of {total} tasks done, {time.monotonic() - self._begun:,.0f} s"

    def _local_executor(self) -> Owner | None:
        """The JVM whose engine this process may ask: the driver's own, in local mode."""
        if not self._spark.sparkContext.master.startswith("local["):
            return None
        import psutil

        jvm = self._spark.sparkContext._jvm
        return Owner.of(psutil.Process(int(jvm.java.lang.ProcessHandle.current().pid()))) if jvm else None

    @staticmethod
    def _metrics(owner: Owner) -> dict[str, float] | None:
        engines = running(owner)
        bodies = [request(engine.socket, "/metrics") for engine in engines]
        if not any(bodies):
            return None
        values: dict[str, float] = {"answered": 0.0, "tokens": 0.0}
        for name, value in _METRIC.findall("\n".join(body or "" for body in bodies)):
            values["answered" if name == "request_success_total" else "tokens"] += float(value)
        return values
