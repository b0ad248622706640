"""Reads input files inside executors: a number of a group of files in, one row per record or rejection out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from prox_spark.ingest import InputFile, InputFormat, ReadOptions, Record, Rejected, Skipped, read_file
from prox_spark.ingest.jsonl import rest_json

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

# What one Arrow batch holds at most: Spark copies a batch as a whole, and texts are up to megabytes each.
_BATCH_ROWS = 2_000
_BATCH_BYTES = 16 << 20
# More tasks than this only cost scheduling.
_MAX_TASKS = 4_096

_PLACE = [("file", pa.string()), ("offset", pa.int64()), ("length", pa.int64())]
_ROWS = pa.schema(
    [
        ("doc_id", pa.string()),  # null where the record has none
        ("text", pa.string()),  # null for rejections and counts
        ("content_sha256", pa.string()),  # rejections only: Spark computes that of texts
        ("url", pa.string()),
        ("source", pa.string()),  # the record's own, else the input's name
        ("provenance", pa.struct(_PLACE)),
        ("metadata", pa.map_(pa.string(), pa.string())),
        ("rest", pa.string()),  # JSON of all other keys; null where there are none
        ("reason", pa.string()),  # null for documents
        ("message", pa.string()),
        ("snippet", pa.string()),
        ("n_skipped", pa.int64()),  # null but in the one row per file that counts what is no document by its kind
    ]
)
# The same for Spark, as DDL: mapInArrow takes it, and the two stand side by side.
ROWS_DDL = (
    "doc_id string, text string, content_sha256 string, url string, source string, "
    "provenance struct<file: string, offset: bigint, length: bigint>, metadata map<string, string>, rest string, "
    "reason string, message string, snippet string, n_skipped bigint"
)


def read_rows(spark: SparkSession, files: Sequence[tuple[InputFile, InputFormat]], options: ReadOptions) -> DataFrame:
    """Reads files of records, one file per task as far as that is sane.

    Args:
        spark: the session.
        files: at least one, each with its format.
        options: how columns are named, and limits.

    Returns:
        Columns of `ROWS_DDL`; a row per record or rejection, and a row per file with skipped records.
    """
    groups = group_by_size(files, _MAX_TASKS)
    # One row per partition, without a shuffle that would put two numbers into one.
    return spark.range(0, len(groups), 1, len(groups)).mapInArrow(_reader(groups, options), ROWS_DDL)


def group_by_size(
    files: Sequence[tuple[InputFile, InputFormat]], max_groups: int
) -> list[list[tuple[InputFile, InputFormat]]]:
    """Groups of about equal bytes, largest first: a large file that starts last would hold up the stage alone."""
    groups: list[list[tuple[InputFile, InputFormat]]] = [[] for _ in range(min(len(files), max_groups))]
    sizes = [0] * len(groups)
    for item in sorted(files, key=lambda item: (-item[0].n_bytes, item[0].uri)):
        smallest = sizes.index(min(sizes)) if item[0].n_bytes else min(range(len(groups)), key=lambda i: len(groups[i]))
        groups[smallest].append(item)
        sizes[smallest] += item[0].n_bytes
    return groups


def _reader(
    groups: list[list[tuple[InputFile, InputFormat]]], options: ReadOptions
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            for number in batch.column("id").to_pylist():
                for file, kind in groups[number]:
                    yield from _batches(_row(item, file) for item in read_file(file.uri, kind, options))

    return read


def _batches(rows: Iterator[dict[str, Any]]) -> Iterator[pa.RecordBatch]:
    held: list[dict[str, Any]] = []
    n_bytes = 0
    for row in rows:
        held.append(row)
        # Characters stand for bytes: a bound is needed, not a measure.
        n_bytes += len(row.get("text") or "") + len(row.get("rest") or "")
        if len(held) >= _BATCH_ROWS or n_bytes >= _BATCH_BYTES:
            yield pa.RecordBatch.from_pylist(held, schema=_ROWS)
            held, n_bytes = [], 0
    if held:
        yield pa.RecordBatch.from_pylist(held, schema=_ROWS)


def _row(item: Record | Rejected | Skipped, file: InputFile) -> dict[str, Any]:
    place = {"file": item.place.file, "offset": item.place.offset, "length": item.place.length}
    if isinstance(item, Record):
        return {
            "doc_id": item.doc_id,
            "text": item.text,
            "url": item.url,
            "source": item.source or file.source,
            "provenance": place,
            "metadata": list(item.metadata.items()) if item.metadata else None,
            "rest": rest_json(item.rest),
        }
    if isinstance(item, Skipped):
        return {"provenance": place, "n_skipped": item.n_records}
    return {
        "doc_id": item.doc_id,
        "content_sha256": item.content_sha256,
        "provenance": place,
        "reason": str(item.reason),
        "message": item.message,
        "snippet": item.snippet,
    }
