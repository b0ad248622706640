"""Running Spark queries: their description, and the rows that their tasks have put out so far."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from prox_spark.spark_driver import is_connect

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DESCRIPTION = "spark.job.description"
# Spark keeps 1,000 queries; the running one is among the newest 200.
_NEWEST = 200


@contextmanager
def job_description(spark: SparkSession, description: str) -> Iterator[None]:
    """Set the description of this thread's queries, as Spark's page shows it, for the block. Spark Connect has none."""
    if is_connect(spark):
        yield
        return
    context = spark.sparkContext
    before = context.getLocalProperty(_DESCRIPTION)
    context.setLocalProperty(_DESCRIPTION, description)
    try:
        yield
    finally:
        context.setLocalProperty(_DESCRIPTION, before)  # None unsets it


@contextmanager
def watch_tasks(spark: SparkSession) -> Iterator[Callable[[], tuple[int, int]]]:
    """Yield a function that returns the numbers of tasks done and of all tasks, in the stages that are under way.

    They are of all queries, because Spark does not report them by query.
    """
    if not is_connect(spark):
        yield lambda: _count_tasks(spark)
        return
    running: dict[str | None, tuple[int, int]] = {}  # by operation

    # Spark Connect calls it with these names while it waits for an operation.
    def note(stages: Sequence[Any] | None, inflight_tasks: int, operation_id: str | None, done: bool) -> None:
        if done:
            running.pop(operation_id, None)
        else:
            begun = [stage for stage in stages or () if not stage.done]
            running[operation_id] = (sum(s.num_completed_tasks for s in begun), sum(s.num_tasks for s in begun))

    spark.registerProgressHandler(note)
    try:
        yield lambda: _add_up(running.values())
    finally:
        spark.removeProgressHandler(note)


def _count_tasks(spark: SparkSession) -> tuple[int, int]:
    tracker = spark.sparkContext.statusTracker()
    stages = [tracker.getStageInfo(stage) for stage in tracker.getActiveStageIds()]
    return _add_up((stage.numCompletedTasks, stage.numTasks) for stage in stages if stage)


def _add_up(counts: Iterable[tuple[int, int]]) -> tuple[int, int]:
    found = list(counts)
    return sum(done for done, _ in found), sum(n for _, n in found)


def count_output_rows(spark: SparkSession, description: str, function: str) -> int | None:
    """Count the rows that a function of `mapInArrow` has put out in a running query, by the executors' heartbeats.

    Args:
        spark: the session.
        description: description of the query, see `job_description`.
        function: name of the function, or of its class.

    Returns:
        The number of rows so far; None before the first heartbeat with a row, and after the end of the query.

    Spark offers these figures by no API but its page's. This reads what the page reads (Spark 4.1,
    sql/execution/ui/SQLAppStatusStore). A platform may lack it, so callers must expect any error.
    """
    store = spark._jsparkSession.sharedState().statusStore()
    newest = store.executionsList(max(0, store.executionsCount() - _NEWEST), _NEWEST)
    # Delta runs the writing query within another one with the same description.
    found = [
        _count_rows(store, query.executionId(), f"MapInArrow {function}(")
        for query in _iterate(newest)
        if query.description() == description and query.completionTime().isEmpty()
    ]
    return max((n for n in found if n is not None), default=None)


def _count_rows(store: Any, query: int, node: str) -> int | None:
    metrics = store.executionMetrics(query)
    values = [
        metrics.get(metric.accumulatorId())
        for planned in _iterate(store.planGraph(query).allNodes())
        if node in planned.desc()  # PythonMapInArrow in Spark 3.5, and other names where an accelerator runs it
        for metric in _iterate(planned.metrics())
        if metric.name() == "number of output rows"
    ]
    counts = [int(value.get().replace(",", "")) for value in values if value.isDefined()]
    return sum(counts) if counts else None


def _iterate(sequence: Any) -> Iterator[Any]:
    """Yield the elements of a Scala sequence."""
    iterator = sequence.iterator()
    while iterator.hasNext():
        yield iterator.next()
