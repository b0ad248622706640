"""Reader of input files inside executors: groups of files in, one row per record or rejection out."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from heapq import heapify, heapreplace
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.logins import current_logins, replace_logins
from prox_spark.readers import InputFile, InputFormat, Keys, ReadOptions, Record, Rejected, Skipped, read_file
from prox_spark.readers.files import check_unmodified
from prox_spark.readers.jsonl import to_json
from prox_spark.readers.records import derive_id
from prox_spark.udfs.arrow import hash_texts, to_batch_of_columns
from prox_spark.udfs.tasks import read_tasks, spread_tasks
from prox_spark.udfs.words import count_words_or_null

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

Item = Record | Rejected | Skipped | Keys
FoundFile = tuple[InputFile, InputFormat]

# Limits of one Arrow batch: Spark copies a batch as a whole, and texts are up to megabytes each.
_BATCH_ROWS = 2_000
_BATCH_BYTES = 16 << 20
# More tasks than this only add scheduling.
_MAX_TASKS = 4_096

ROWS = T.StructType(
    [
        T.StructField("doc_id", T.StringType()),  # null for rejections without an id, and for counts
        T.StructField("text", T.StringType()),  # null for rejections and counts
        T.StructField("content_sha256", T.StringType()),
        T.StructField("n_words", T.LongType()),
        T.StructField("url", T.StringType()),
        T.StructField("source", T.StringType()),  # the record's own, else the input's name
        T.StructField("provenance", schemas.PROVENANCE),
        T.StructField("ordinal", T.LongType()),  # number of the row in its file, from 0
        T.StructField("metadata", T.MapType(T.StringType(), T.StringType())),
        T.StructField("carried", T.StringType()),  # JSON of all other keys; null if there are none
        T.StructField("reason", T.StringType()),  # null for documents
        T.StructField("message", T.StringType()),
        T.StructField("snippet", T.StringType()),
        T.StructField("n_skipped", T.LongType()),  # number of skipped records of the kind that `message` names
        T.StructField("keys", T.StringType()),  # JSON of the types of the carried keys, in one row per file
    ]
)


def read_rows(
    spark: SparkSession,
    files: Sequence[FoundFile],
    options: ReadOptions,
    with_texts: bool = True,
    is_read_twice: bool = False,
) -> DataFrame:
    """Read files of records, one file per task up to a sane number of tasks.

    Args:
        spark: the session.
        files: at least one file, each with its format.
        options: names of columns, and limits.
        with_texts: False leaves `text` and `n_words` null, for callers that only count and compare: texts are nearly all of the
            bytes.
        is_read_twice: True fails the job if a file was changed since it was listed, because both readings must give the same
            rows. Of files that are read once, one that grows is read up to its end at that moment, and a missing one is a
            rejection.

    Returns:
        A row per record or rejection, one per file and kind of skipped records, and one per file with the types of its keys.
    """
    tasks = spread_tasks(spark, group_by_size(files, _MAX_TASKS))
    return tasks.mapInArrow(make_reader(options, with_texts, is_read_twice), ROWS)


def group_by_size(files: Sequence[FoundFile], max_groups: int) -> list[list[FoundFile]]:
    """Group files to about equal bytes, largest first: a large file that starts last would hold up the stage alone."""
    groups: list[list[FoundFile]] = [[] for _ in range(min(len(files), max_groups))]
    ordered = sorted(files, key=lambda item: (-item[0].n_bytes, item[0].uri))
    n_filled = sum(file.n_bytes > 0 for file, _ in files)
    _distribute(ordered[:n_filled], groups, lambda item: item[0].n_bytes)
    _distribute(ordered[n_filled:], groups, lambda _: 1)
    return groups


def _distribute(files: Sequence[FoundFile], groups: list[list[FoundFile]], weigh: Callable[[FoundFile], int]) -> None:
    """Append each file to the group that weighs least at that moment."""
    lightest = [(sum(map(weigh, group)), number) for number, group in enumerate(groups)]
    heapify(lightest)
    for item in files:
        weight, number = lightest[0]
        groups[number].append(item)
        heapreplace(lightest, (weight + weigh(item), number))


def make_reader(
    options: ReadOptions, with_texts: bool, is_read_twice: bool
) -> Callable[[Iterator[pa.RecordBatch]], Iterator[pa.RecordBatch]]:
    """Return the function that reads tasks, which are groups of files. Arguments are those of `read_rows`."""
    # As a part of the function they reach the workers and nothing else: no setting, no file and no plan shows them.
    logins = current_logins()

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        replace_logins(logins)
        for group in read_tasks(batches):
            for file, kind in group:
                items = read_file(file.uri, kind, options, is_read_twice)
                yield from _make_batches(items, file.source, with_texts)
                if is_read_twice:
                    check_unmodified(file)

    return read


def _make_batches(items: Iterator[Item], source: str, with_texts: bool = True) -> Iterator[pa.RecordBatch]:
    held: list[Item] = []
    n_bytes, ordinal = 0, 0
    for item in items:
        held.append(item)
        # Characters are counted instead of bytes: a bound is enough.
        n_bytes += len(item.text) if isinstance(item, Record) else 0
        if len(held) >= _BATCH_ROWS or n_bytes >= _BATCH_BYTES:
            yield _make_batch(held, source, ordinal, with_texts)
            ordinal += len(held)
            held, n_bytes = [], 0
    if held:
        yield _make_batch(held, source, ordinal, with_texts)


def _make_batch(items: list[Item], source: str, ordinal: int, with_texts: bool) -> pa.RecordBatch:
    texts = pa.array([item.text if isinstance(item, Record) else None for item in items], pa.string())
    hashes = hash_texts(texts)
    rows = [_make_row(item, digest) for item, digest in zip(items, hashes, strict=True)]
    columns = dict(zip(_Row._fields, zip(*rows, strict=True), strict=True))
    columns["source"] = tuple(value or source for value in columns["source"])
    if with_texts:
        n_words = count_words_or_null(texts)
    else:
        texts, n_words = pa.nulls(len(items), pa.string()), pa.nulls(len(items), pa.int64())
    ordinals = range(ordinal, ordinal + len(items))
    return to_batch_of_columns({**columns, "text": texts, "n_words": n_words, "ordinal": ordinals}, ROWS)


class _Row(NamedTuple):
    """The columns that are computed row by row."""

    provenance: dict[str, Any]
    doc_id: str | None = None
    content_sha256: str | None = None
    url: str | None = None
    source: str | None = None
    metadata: list[tuple[str, str]] | None = None
    carried: str | None = None
    reason: str | None = None
    message: str | None = None
    snippet: str | None = None
    n_skipped: int | None = None
    keys: str | None = None


def _make_row(item: Item, text_sha256: str | None) -> _Row:
    place = {"file": item.place.file, "offset": item.place.offset, "length": item.place.length}
    if isinstance(item, Record):
        return _Row(
            provenance=place,
            doc_id=item.doc_id or derive_id(item.url, item.text),
            content_sha256=text_sha256,
            url=item.url,
            source=item.source,
            metadata=list(item.metadata.items()) if item.metadata else None,
            carried=to_json(item.rest, item.is_exact) if item.rest else None,
        )
    if isinstance(item, Skipped):
        return _Row(provenance=place, n_skipped=item.n_records, message=item.what)
    if isinstance(item, Keys):
        return _Row(provenance=place, keys=json.dumps(item.types.to_dict()))
    return _Row(
        provenance=place,
        doc_id=item.doc_id,
        content_sha256=item.content_sha256,
        reason=str(item.reason),
        message=item.message,
        snippet=item.snippet,
    )
