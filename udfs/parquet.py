"""Reader of Parquet inside executors: row groups in, one row per document or rejection out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import pyarrow as pa
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_type

from prox_spark.errors import first_line
from prox_spark.logins import current_logins, replace_logins
from prox_spark.readers.parquet import Piece, ReadPlan, Rows
from prox_spark.readers.parquet.footers import UNREADABLE, open_parquet
from prox_spark.spark_versions import to_arrow_schema
from prox_spark.udfs.ingest import ROWS
from prox_spark.udfs.parquet_rows import make_rows, reject_file
from prox_spark.udfs.tasks import read_tasks, spread_tasks

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# Bytes that are decoded at once, by the row group's average size of a row; single rows may be longer.
_DECODED_BYTES: Final = 2 << 20
_MIN_ROWS, _MAX_ROWS = 16, 2_000
# Limit of one Arrow batch: Spark copies a batch as a whole.
_BATCH_BYTES: Final = 16 << 20


def read_parquet(spark: SparkSession, plan: ReadPlan) -> DataFrame:
    """Read the files of a plan.

    Returns:
        Columns of `prox_spark.udfs.ingest.ROWS`; `carried` is a struct with the input's own names, or a null string.
    """
    tasks = spread_tasks(spark, plan.tasks or ((),))
    return tasks.mapInArrow(make_reader(replace(plan, tasks=())), _make_row_type(plan))


def _make_row_type(plan: ReadPlan) -> T.StructType:
    carried = T.StringType() if plan.carried is None else from_arrow_type(plan.carried)
    return T.StructType([T.StructField("carried", carried) if f.name == "carried" else f for f in ROWS.fields])


def make_reader(plan: ReadPlan) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that reads tasks, which are pieces of files. The tasks of the plan itself are not used."""
    logins = current_logins()  # As in `prox_spark.udfs.ingest`.

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        replace_logins(logins)
        schema = to_arrow_schema(_make_row_type(plan))
        if plan.carried is not None:
            schema = schema.set(schema.get_field_index("carried"), pa.field("carried", plan.carried))
        for pieces in read_tasks(batches):
            for piece in pieces:
                yield from _read_piece(piece, plan, schema)

    return read


def _read_piece(piece: Piece, plan: ReadPlan, schema: pa.Schema) -> Iterator[pa.RecordBatch]:
    if piece.problem:
        yield reject_file(piece.uri, piece.problem, schema)
        return
    layout = plan.layouts[piece.layout]
    with ExitStack() as stack:
        try:
            file = stack.enter_context(open_parquet(piece.uri))
        except UNREADABLE as error:
            yield reject_file(piece.uri, f"the file can't be read any more: {first_line(error)}", schema)
            return
        for part in piece.rows:
            for columns, row in _read_rows(file, part):
                if isinstance(columns, str):
                    yield reject_file(piece.uri, columns, schema, row)
                    continue
                columns += [pa.repeat(value, len(columns[0])) for value in piece.folders]
                rows = make_rows(columns, row, (piece.uri, piece.source), layout, plan, schema)
                yield from _split_batch(rows)


def _read_rows(file: Any, part: Rows) -> Iterator[tuple[list[Any] | str, int]]:
    """Yield the columns of a part of a row group, some rows at a time, and a message where the rest can't be read.

    Args:
        file: a `pyarrow.parquet.ParquetFile`.
        part: the rows to read.

    Yields:
        (columns or message, number of its first row in the file).
    """
    group = file.metadata.row_group(part.group)
    batch_rows = min(max(_DECODED_BYTES * group.num_rows // max(group.total_byte_size, 1), _MIN_ROWS), _MAX_ROWS)
    batches = file.iter_batches(batch_size=batch_rows, row_groups=[part.group], use_threads=False)
    # Row numbers within the row group.
    at, end, problem = 0, part.skipped + part.n, "it ends there"
    while at < end:
        try:
            batch = next(batches, None)
        except UNREADABLE as error:
            batch, problem = None, first_line(error)
        if batch is None:
            lost = max(at, part.skipped)
            row = part.first - part.skipped + lost
            yield f"row group {part.group} of the file can't be read: {problem}. {end - lost:,} rows are lost", row
            return
        begin = max(part.skipped - at, 0)
        wanted = batch.slice(begin, max(end - at - begin, 0))
        if len(wanted):
            yield wanted.columns, part.first - part.skipped + at + begin
        at += len(batch)


def _split_batch(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    if batch.nbytes <= _BATCH_BYTES or len(batch) < 2:
        yield batch
        return
    half = len(batch) // 2
    yield from _split_batch(batch.slice(0, half))
    yield from _split_batch(batch.slice(half))
