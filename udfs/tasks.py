"""Tasks of readers as rows of a frame: each task of Spark gets the work of one, and not the list of all."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.spark_versions import create_frame

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_COLUMN: Final = "task"
_NUMBERED: Final = T.StructType(
    [T.StructField("id", T.LongType(), False), T.StructField(_COLUMN, T.BinaryType(), False)]
)


def spread_tasks(spark: SparkSession, tasks: Sequence[Any]) -> DataFrame:
    """Return a frame with a partition per task, for a reader that calls `read_tasks`.

    An executor gets all tasks once, by a broadcast. In the closure of the reader each task of Spark would get all of them, and
    a parallelized collection would need one more Python worker for each.

    Args:
        spark: the session.
        tasks: at least one, of what can be pickled.
    """
    rows = [{"id": number, _COLUMN: pickle.dumps(task)} for number, task in enumerate(tasks)]
    numbered = create_frame(spark, rows, _NUMBERED)
    # A range and a join, because a shuffle could put two tasks into one partition.
    numbers = spark.range(0, len(tasks), 1, len(tasks))
    return numbers.join(F.broadcast(numbered), on="id", how="inner").select(_COLUMN)


def to_batch_of_tasks(tasks: Sequence[Any]) -> pa.RecordBatch:
    """Return tasks as Spark hands them to a reader."""
    return pa.RecordBatch.from_pydict({_COLUMN: pa.array([pickle.dumps(task) for task in tasks], pa.binary())})


def read_tasks(batches: Iterable[pa.RecordBatch]) -> Iterator[Any]:
    """Yield the tasks of a partition."""
    for batch in batches:
        yield from map(pickle.loads, batch.column(_COLUMN).to_pylist())
