"""Progress of a generation stage on the terminal while Spark is busy."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

from prox_spark.engine.executor import Owner
from prox_spark.engine.health import metrics
from prox_spark.engine.local import local_executor
from prox_spark.engine.metrics import Growth, Metrics
from prox_spark.engine.resident import running
from prox_spark.engine.spec import EngineSpec

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)
_SECONDS = 5.0


class EngineProgress:
    """Logs a line every few seconds, within a `with` block.

    In local mode the engine itself says how many prompts it has answered and how fast; on a cluster, whose engines the
    driver can't reach, the tasks that have ended stand for them.

    Args:
        spark: the session.
        label: what is being done.
        n_prompts: how many prompts there are.
        spec: of the engine.
    """

    def __init__(self, spark: SparkSession, label: str, n_prompts: int, spec: EngineSpec) -> None:
        self._spark = spark
        self._label = label
        self._n_prompts = n_prompts
        self._spec = spec
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
        owner = None if self._spec.config.endpoint else local_executor(self._spark)
        engines = self._metrics(owner) if owner else {}
        growth, since = Growth(engines), self._begun if engines else None
        while not self._stop.wait(_SECONDS):
            if owner is None:
                LOG.info("%s: %s", self._label, self._tasks())
            elif engines := self._metrics(owner):
                since = since or time.monotonic() - _SECONDS  # it began within the last interval
                added = growth.update(engines)
                LOG.info("%s: %s", self._label, self._rates(growth.total, time.monotonic() - since, added))
            else:
                LOG.info("%s: the engine is starting, %.0f s so far", self._label, time.monotonic() - self._begun)

    def _rates(self, total: Metrics, seconds: float, added: Metrics) -> str:
        hits = total.cached_tokens / total.cacheable_tokens if total.cacheable_tokens else 0.0
        return (
            f"{total.answered:,.0f} of {self._n_prompts:,} prompts, {total.tokens / seconds:,.0f} tokens/s "
            f"(now {added.tokens / _SECONDS:,.0f}), window {total.in_flight / self._spec.window_size:.0%} full, "
            f"prefix cache {hits:.0%}"
        )

    def _tasks(self) -> str:
        tracker = self._spark.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        done, total = (sum(getattr(s, name) for s in stages if s) for name in ("numCompletedTasks", "numTasks"))
        return f"{done} of {total} tasks done, {time.monotonic() - self._begun:,.0f} s"

    @staticmethod
    def _metrics(owner: Owner) -> dict[str, Metrics]:
        found = {engine.engine_id: metrics(engine.socket) for engine in running(owner)}
        return {engine_id: of for engine_id, of in found.items() if of}
