"""Progress of a generation stage on the terminal while Spark is busy."""

from __future__ import annotations

import logging
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prox_spark.engine.driver import find_local_executor
from prox_spark.engine.host.executor import Owner
from prox_spark.engine.life.resident import find_running_engines
from prox_spark.engine.spec import EngineSpec
from prox_spark.engine.wire.health import read_metrics
from prox_spark.engine.wire.metrics import Growth, Metrics
from prox_spark.watching.spark_rows import described, rows_put_out

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)
_SECONDS = 5.0
# "Now" of what is heard of every ten seconds.
_RECENT_SECONDS = 30.0


@dataclass(frozen=True)
class Work:
    """What a stage asks.

    Attributes:
        n_prompts, n_tokens: how many prompts there are, and tokens in them.
        function: the name of what Spark's tasks run.
    """

    n_prompts: int
    n_tokens: int
    function: str


@contextmanager
def engine_progress(spark: SparkSession, label: str, work: Work, spec: EngineSpec) -> Iterator[None]:
    """Logs a line every few seconds.

    In local mode the engine itself says how many prompts it has answered and how fast. On a cluster, whose engines the driver
    can't reach, and with a remote engine the rows stand for it that Spark has had from its tasks.

    Args:
        spark: the session.
        label: what is being done.
        work: how much of it.
        spec: of the engine.
    """
    owner = None if spec.config.endpoint else find_local_executor(spark)
    description = f"prox_spark: {label} ({uuid.uuid4().hex[:8]})"  # no other query of the application has it

    def source() -> _Engines | _Rows:
        return _Engines(owner, work, spec) if owner else _Rows(spark, work, description)

    LOG.info("%s: %s prompts", label, f"{work.n_prompts:,}")
    stop = threading.Event()
    thread = threading.Thread(target=_log, args=(label, source, stop), name="prox-spark-progress", daemon=True)
    thread.start()
    try:
        with described(spark, description):
            yield
    finally:
        stop.set()
        thread.join()


def _log(label: str, source: Callable[[], _Engines | _Rows], stop: threading.Event) -> None:
    try:
        of = source()
        while not stop.wait(_SECONDS):
            LOG.info("%s: %s", label, of.told())
    except Exception:  # the run is not to fail, nor to look as if it did, for want of a line about it
        LOG.debug("%s: no more progress is told", label, exc_info=True)


class _Engines:
    """As the engines of the driver's own host say."""

    def __init__(self, owner: Owner, work: Work, spec: EngineSpec) -> None:
        self._owner, self._work, self._spec = owner, work, spec
        self._begun = time.monotonic()
        engines = self._metrics()
        self._growth, self._since = Growth(engines), self._begun if engines else None

    def told(self) -> str:
        now = time.monotonic()
        if not (engines := self._metrics()):
            return f"the engine is starting, {now - self._begun:.0f} s so far"
        if self._since is None:
            self._since = now - _SECONDS  # it began within the last interval
        added = self._growth.update(engines)
        return self._rates(self._growth.total, now - self._since, added)

    def _rates(self, total: Metrics, seconds: float, added: Metrics) -> str:
        hits = total.cached_tokens / total.cacheable_tokens if total.cacheable_tokens else 0.0
        return (
            f"{total.answered:,.0f} of {self._work.n_prompts:,} prompts, {total.tokens / seconds:,.0f} tokens/s "
            f"(now {added.tokens / _SECONDS:,.0f}), window {total.in_flight / self._spec.window_size:.0%} full, "
            f"prefix cache {hits:.0%}"
        )

    def _metrics(self) -> dict[str, Metrics]:
        found = {engine.engine_id: read_metrics(engine.socket) for engine in find_running_engines(self._owner)}
        return {engine_id: of for engine_id, of in found.items() if of}


class _Rows:
    """As Spark says. It knows rows, not tokens: a prompt stands for the mean of all.

    Rows come in batches, as `prox_spark.udfs.generate` puts them out, and are heard of with the executors' next heartbeat: of small tasks
    nothing is known before they end. Rates count from the first rows on, and so without the start of the engines.
    """

    def __init__(self, spark: SparkSession, work: Work, description: str) -> None:
        self._spark, self._work, self._description = spark, work, description
        self._begun = time.monotonic()
        self._heard: list[tuple[float, int]] = []  # when, and how many rows there were

    def told(self) -> str:
        now = time.monotonic()
        n_rows = self._n_rows()
        if n_rows is not None or self._heard:
            # Between the end of the query and that of its commit it is no longer found.
            self._heard.append((now, max(n_rows or 0, self._heard[-1][1] if self._heard else 0)))
        return ", ".join([*self._rates(), self._tasks(), f"{now - self._begun:,.0f} s"])

    def _n_rows(self) -> int | None:
        try:
            return rows_put_out(self._spark, self._description, self._work.function)
        except Exception:  # a platform without what is asked there; tasks are told of by all
            LOG.debug("Spark does not say how many rows there are", exc_info=True)
            return None

    def _rates(self) -> list[str]:
        if not self._heard:
            return []
        *earlier, (now, n_rows) = self._heard
        told = [f"{n_rows:,} of {self._work.n_prompts:,} prompts"]
        if earlier:
            recent = next((heard for heard in earlier if heard[0] > now - _RECENT_SECONDS), earlier[-1])
            told.append(f"about {self._speed(earlier[0]):,.0f} prompt tokens/s (now {self._speed(recent):,.0f})")
        return told

    def _speed(self, since: tuple[float, int]) -> float:
        (then, before), (now, n_rows) = since, self._heard[-1]
        return (n_rows - before) / (now - then) * self._work.n_tokens / self._work.n_prompts

    def _tasks(self) -> str:
        """Of all queries: tasks are not told by query, and waves overlap."""
        tracker = self._spark.sparkContext.statusTracker()
        stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
        done, total = (sum(getattr(s, name) for s in stages if s) for name in ("numCompletedTasks", "numTasks"))
        return f"{done} of {total} tasks of the application done"
