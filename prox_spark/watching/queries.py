"""Running Spark queries: their description, and the rows that their tasks have put out so far."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DESCRIPTION = "spark.job.description"
# Spark keeps 1,000 queries; the running one is among the newest 200.
_NEWEST = 200


@contextmanager
def job_description(spark: SparkSession, description: str) -> Iterator[None]:
    """Set the description of this thread's queries, as Spark's page shows it, for the block."""
    context = spark.sparkContext
    before = context.getLocalProperty(_DESCRIPTION)
    context.setLocalProperty(_DESCRIPTION, description)
    try:
        yield
    finally:
        context.setLocalProperty(_DESCRIPTION, before)  # None unsets it


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
