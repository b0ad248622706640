"""What Spark 3.5 and 4.0 lack of Spark 4.1, by other means of theirs. The rest of the product asks for no version."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
import pyspark
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas import types as spark_arrow
from pyspark.storagelevel import StorageLevel

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession

    # Takes arrays of one length and returns another.
    Compute = Callable[..., pa.Array]

VERSION: Final = tuple(int(part) for part in pyspark.__version__.split(".")[:2])

# Settings under which rows are written: Spark 3.5 refuses dates before 1582 and times before 1900 unless it is told the calendar.
_REBASING = ("spark.sql.parquet.datetimeRebaseModeInWrite", "spark.sql.parquet.int96RebaseModeInWrite")
WRITE_SETTINGS: Final = dict.fromkeys(_REBASING if VERSION < (4, 0) else (), "CORRECTED")

# Spark 4.2 wants to be told the zone of instants. The versions before it know no other than UTC.
_ZONE: Final = {"timezone": "UTC"} if VERSION >= (4, 2) else {}


def to_arrow_type(kind: T.DataType) -> pa.DataType:
    """Return Spark's type as Arrow's, with instants in UTC."""
    return spark_arrow.to_arrow_type(kind, **_ZONE)


def to_arrow_schema(schema: T.StructType) -> pa.Schema:
    """Return Spark's schema as Arrow's, with instants in UTC."""
    return spark_arrow.to_arrow_schema(schema, **_ZONE)


def create_frame(spark: SparkSession, rows: Sequence[Mapping[str, object]], schema: T.StructType) -> DataFrame:
    """Return a frame of a few rows that are part of its plan, so that no Python worker is needed for them.

    Args:
        spark: the session.
        rows: values by column, with structs as dicts and maps as lists of pairs.
        schema: of the frame.
    """
    table = pa.Table.from_pylist(list(rows), to_arrow_schema(schema))
    if VERSION >= (4, 0):
        return spark.createDataFrame(table, schema)
    values = table.to_pylist(maps_as_pydicts="strict")
    return spark.createDataFrame([tuple(row.values()) for row in values], schema)


def collect_arrow(frame: DataFrame) -> pa.Table:
    """Return the rows of a frame as an Arrow table."""
    if VERSION >= (4, 0):
        return frame.toArrow()
    return pa.Table.from_batches(frame._collect_as_arrow(), to_arrow_schema(frame.schema))


def checkpoint_on_disk(frame: DataFrame) -> DataFrame:
    """Return the frame with a checkpoint on the executors' disks, written when its rows are first computed.

    Spark 3.5 keeps it in memory where there is room.
    """
    level = {"storageLevel": StorageLevel.DISK_ONLY} if VERSION >= (4, 0) else {}
    return frame.localCheckpoint(eager=False, **level)


def with_arrow_column(rows: DataFrame, name: str, compute: Compute, kind: T.DataType, *inputs: Column) -> DataFrame:
    """Return rows with one more column that is computed over Arrow arrays in Python workers.

    Args:
        rows: before Spark 4.1 all their columns travel through the workers.
        name: of the new column.
        compute: makes an array of `kind` out of the arrays of the inputs.
        kind: type of the new column, without comments.
        inputs: columns of `rows`, or made of them.
    """
    if VERSION >= (4, 1):

        def compute_arrays(*arrays: pa.Array) -> pa.Array:  # Spark wants a function, and it may be any callable.
            return compute(*arrays)

        return rows.withColumn(name, F.arrow_udf(compute_arrays, kind)(*inputs))
    n_inputs, schema = len(inputs), T.StructType([*rows.schema.fields, T.StructField(name, kind)])

    def append(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return _append_column(batches, n_inputs, name, compute)

    given = (column.alias(f"_input_{n}") for n, column in enumerate(inputs))
    return rows.select("*", *given).mapInArrow(append, schema)


def _append_column(
    batches: Iterator[pa.RecordBatch], n_inputs: int, name: str, compute: Compute
) -> Iterator[pa.RecordBatch]:
    """Put the column that is computed from the last columns of each batch in their place."""
    for batch in batches:
        columns: list[Any] = batch.columns
        kept, inputs = columns[:-n_inputs], columns[-n_inputs:]
        yield pa.RecordBatch.from_arrays([*kept, compute(*inputs)], [*batch.schema.names[:-n_inputs], name])
