"""How far a query of Spark has come, wherever its tasks run."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_DESCRIPTION = "spark.job.description"
# Of all that Spark remembers, a thousand queries, that which runs is among these.
_NEWEST = 200


@contextmanager
def described(spark: SparkSession, description: str) -> Iterator[None]:
    """What Spark's page calls the queries of this thread for the block."""
    context = spark.sparkContext
    before = context.getLocalProperty(_DESCRIPTION)
    context.setLocalProperty(_DESCRIPTION, description)
    try:
        yield
    finally:
        context.setLocalProperty(_DESCRIPTION, before)  # None unsets it


def rows_put_out(spark: SparkSession, description: str, function: str) -> int | None:
    """Rows that the tasks of a running query have had from a function of `mapInArrow`, as the executors' heartbeats say.

    Args:
        spark: the session.
        description: of the query, see `described`.
        function: name of the function, or of its class.

    Returns:
        Their number so far; None before the first heartbeat with a row, and when the query has ended.

    What Spark's page shows of a query has no public API but that page's: this is what the page reads (Spark 4.1,
    sql/execution/ui/SQLAppStatusStore). It may be missing on a platform; whoever calls this lives with any error.
    """
    store = spark._jsparkSession.sharedState().statusStore()
    newest = store.executionsList(max(0, store.executionsCount() - _NEWEST), _NEWEST)
    # Delta runs the query that writes within another of the same description.
    found = [
        _rows(store, query.executionId(), f"MapInArrow {function}(")
        for query in _each(newest)
        if query.description() == description and query.completionTime().isEmpty()
    ]
    return max((n for n in found if n is not None), default=None)


def _rows(store: Any, query: int, node: str) -> int | None:
    metrics = store.executionMetrics(query)
    values = [
        metrics.get(metric.accumulatorId())
        for of in _each(store.planGraph(query).allNodes())
        if node in of.desc()  # PythonMapInArrow in Spark 3.5, and other names where an accelerator runs it
        for metric in _each(of.metrics())
        if metric.name() == "number of output rows"
    ]
    told = [int(value.get().replace(",", "")) for value in values if value.isDefined()]
    return sum(told) if told else None


def _each(sequence: Any) -> Iterator[Any]:
    """The elements of a sequence of Scala's."""
    iterator = sequence.iterator()
    while iterator.hasNext():
        yield iterator.next()
