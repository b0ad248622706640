"""Progress lines of a generation stage while Spark is busy."""

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
from prox_spark.watching.queries import count_output_rows, job_description, watch_tasks

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)
_SECONDS = 5.0
# The current speed is the mean over this time: executors report their rows every ten seconds.
_RECENT_SECONDS = 30.0


@dataclass(frozen=True)
class Workload:
    """The prompts of a stage.

    Attributes:
        n_prompts: number of prompts.
        n_tokens: number of tokens in all prompts.
        function: name of the function that Spark's tasks run on them.
    """

    n_prompts: int
    n_tokens: int
    function: str


@contextmanager
def engine_progress(spark: SparkSession, label: str, work: Workload, spec: EngineSpec) -> Iterator[None]:
    """Log a progress line every few seconds, for the block.

    In local mode the engine itself reports its answers and its speed. The driver can't reach the engines of a cluster,
    or a remote one: there the rows that Spark's tasks have put out stand for the answers.

    Args:
        spark: the session.
        label: name of the stage and wave, which begins each line.
        work: the prompts of the stage.
        spec: specification of the engine.
    """
    owner = None if spec.config.endpoint else find_local_executor(spark)
    description = f"prox_spark: {label} ({uuid.uuid4().hex[:8]})"  # unique in the application

    def start() -> _EngineProgress | _RowProgress:
        return _EngineProgress(owner, work, spec) if owner else _RowProgress(spark, work, description, count_tasks)

    LOG.info("%s: %s prompts", label, f"{work.n_prompts:,}")
    stop = threading.Event()
    thread = threading.Thread(target=_log, args=(label, start, stop), name="prox-spark-progress", daemon=True)
    with watch_tasks(spark) as count_tasks, job_description(spark, description):
        thread.start()
        try:
            yield
        finally:
            stop.set()
            thread.join()


def _log(label: str, start: Callable[[], _EngineProgress | _RowProgress], stop: threading.Event) -> None:
    try:
        progress = start()
        while not stop.wait(_SECONDS):
            LOG.info("%s: %s", label, progress.describe())
    except Exception:  # a missing progress line must not end the run, nor look like a failure of it
        LOG.debug("%s: no more progress is reported", label, exc_info=True)


class _EngineProgress:
    """Progress by the metrics of the engines on the driver's own host."""

    def __init__(self, owner: Owner, work: Workload, spec: EngineSpec) -> None:
        self._owner, self._work, self._spec = owner, work, spec
        self._begun = time.monotonic()
        engines = self._read_metrics()
        self._growth, self._since = Growth(engines), self._begun if engines else None

    def describe(self) -> str:
        now = time.monotonic()
        if not (engines := self._read_metrics()):
            return f"the engine is starting, {now - self._begun:.0f} s so far"
        if self._since is None:
            self._since = now - _SECONDS  # the engine became ready within the last interval
        added = self._growth.update(engines)
        return self._describe_rates(self._growth.total, now - self._since, added)

    def _describe_rates(self, total: Metrics, seconds: float, added: Metrics) -> str:
        hits = total.cached_tokens / total.cacheable_tokens if total.cacheable_tokens else 0.0
        return (
            f"{total.answered:,.0f} of {self._work.n_prompts:,} prompts, {total.tokens / seconds:,.0f} tokens/s "
            f"(now {added.tokens / _SECONDS:,.0f}), window {total.in_flight / self._spec.window_size:.0%} full, "
            f"prefix cache {hits:.0%}"
        )

    def _read_metrics(self) -> dict[str, Metrics]:
        found = {engine.engine_id: read_metrics(engine.socket) for engine in find_running_engines(self._owner)}
        return {engine_id: metrics for engine_id, metrics in found.items() if metrics}


class _RowProgress:
    """Progress by Spark's row counts; each prompt counts as the mean number of tokens, since Spark counts no tokens.

    `prox_spark.udfs.generate` puts rows out in batches, and executors report them with their next heartbeat: a small
    task is not seen before it ends. Speeds count from the first rows on, so they leave out the start of the engines.
    """

    def __init__(
        self, spark: SparkSession, work: Workload, description: str, count_tasks: Callable[[], tuple[int, int]]
    ) -> None:
        self._spark, self._work, self._description, self._count_tasks = spark, work, description, count_tasks
        self._begun = time.monotonic()
        self._samples: list[tuple[float, int]] = []  # monotonic seconds, and rows by then

    def describe(self) -> str:
        now = time.monotonic()
        n_rows = self._count_rows()
        if n_rows is not None or self._samples:
            # A query that has ended, and is not committed yet, is no longer found.
            self._samples.append((now, max(n_rows or 0, self._samples[-1][1] if self._samples else 0)))
        return ", ".join([*self._describe_rates(), self._describe_tasks(), f"{now - self._begun:,.0f} s"])

    def _count_rows(self) -> int | None:
        try:
            return count_output_rows(self._spark, self._description, self._work.function)
        except Exception:  # the platform lacks these figures; the tasks are reported everywhere
            LOG.debug("Spark does not say how many rows there are", exc_info=True)
            return None

    def _describe_rates(self) -> list[str]:
        if not self._samples:
            return []
        *earlier, (now, n_rows) = self._samples
        parts = [f"{n_rows:,} of {self._work.n_prompts:,} prompts"]
        if earlier:
            recent = next((sample for sample in earlier if sample[0] > now - _RECENT_SECONDS), earlier[-1])
            speed, speed_now = self._measure_speed(earlier[0]), self._measure_speed(recent)
            parts.append(f"about {speed:,.0f} prompt tokens/s (now {speed_now:,.0f})")
        return parts

    def _measure_speed(self, since: tuple[float, int]) -> float:
        (then, before), (now, n_rows) = since, self._samples[-1]
        return (n_rows - before) / (now - then) * self._work.n_tokens / self._work.n_prompts

    def _describe_tasks(self) -> str:
        done, total = self._count_tasks()
        return f"{done} of {total} tasks of the application done"
