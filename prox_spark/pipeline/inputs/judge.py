"""Classification of the rows of an input: new, changed, unchanged and so on. It compares hashes, so texts are not shuffled."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from pyspark.sql import Window
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.errors import NOTES, ReasonCode
from prox_spark.lake.frames import quarantine_id
from prox_spark.pipeline.inputs.naming import ROW_ID

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

STAGE = "ingest"

# By default `to_json` omits microseconds, and writes times in the session's zone.
EXACT_JSON = {"timestampFormat": "yyyy-MM-dd'T'HH:mm:ss.SSSSSSXXX", "timeZone": "UTC"}
_NULL_PARTITION = "__HIVE_DEFAULT_PARTITION__"
_DUPLICATE_MESSAGE = (
    "another record of this input has the same id and another text; the first in the input's order was kept. Where ids are "
    "unique within a file only, set input.id_scope=file, or take another column by --id-column"
)


class Arrival(StrEnum):
    """What becomes of a row of the input."""

    NEW = "new"
    CHANGED = "changed"
    UNCHANGED = "unchanged"
    DUPLICATE = "duplicate"
    REJECTED = "rejected"
    NOTE = "note"


def is_aside() -> Column:
    """Return True for a row that is not a record but a count of what was passed over, or the types of a file's keys."""
    return F.col("n_skipped").isNotNull() | F.col("keys").isNotNull()


def is_document() -> Column:
    """Return True for a row of the input that is a document, judged or not."""
    return F.col("reason").isNull() & ~is_aside()


def reject_null_partitions(rows: DataFrame) -> DataFrame:
    """Reject documents whose source is Hive's name for null, which a table partitioned by source would read as null."""
    is_null = (F.col("source") == _NULL_PARTITION) & is_document()
    message = (
        f"the source is {_NULL_PARTITION}, which this lake, partitioned by source, would read as null. Set input.source, or "
        "ingest into a lake that is not partitioned"
    )
    return rows.withColumns(
        {
            "reason": F.when(is_null, F.lit(str(ReasonCode.INVALID_RECORD))).otherwise(F.col("reason")),
            "message": F.when(is_null, F.lit(message)).otherwise(F.col("message")),
        }
    )


def judge(rows: DataFrame, documents: DataFrame) -> DataFrame:
    """Decide what becomes of each document and rejection, given the documents that the lake has.

    Args:
        rows: columns `inputs.ROW_COLUMNS` and `ROW_ID`.
        documents: the table as it is.

    Returns:
        `ROW_ID`, `arrival` (decided by the text), `reason` and `message` (a second text under one id gets its own),
        `content_sha256`, `file`, `offset`, `doc_id`; `known_file`, the file that the lake's document of this id came from;
        `is_same`, true if the url, source and carried columns are known to be the same, too.
    """
    narrow = rows.where(~is_aside()).select(
        ROW_ID,
        "doc_id",
        "content_sha256",
        "reason",
        "message",
        "ordinal",
        F.col("provenance.file").alias("file"),
        F.col("provenance.offset").alias("offset"),
        hash_input(rows).alias("input_hash"),
    )
    is_rejected = F.col("reason").isNotNull()
    keyed = narrow.withColumns(
        # Two rows are the same if they have the same document id or, as rejections, the same finding.
        {"is_rejected": is_rejected, "key": F.when(is_rejected, make_finding_id()).otherwise(F.col("doc_id"))}
    ).withColumns(
        {
            "nth": _number_rows("is_rejected", "key"),
            "nth_of_content": _number_rows("is_rejected", "key", "content_sha256"),
        }
    )
    known = documents.select(
        F.lit(False).alias("is_rejected"),
        F.col("doc_id").alias("key"),
        F.col("content_sha256").alias("known_sha256"),
        F.col("input_hash").alias("known_hash"),
        F.col("provenance.file").alias("known_file"),
    )
    return (
        keyed.join(known, on=["is_rejected", "key"], how="left")
        .withColumn("arrival", _decide_arrival())
        .withColumns(_reject_duplicate_ids())
        .withColumn("is_same", F.col("known_hash").eqNullSafe(F.col("input_hash")) & F.col("known_hash").isNotNull())
        .select(
            *(ROW_ID, "arrival", "reason", "message", "content_sha256"),
            *("file", "offset", "doc_id", "known_file", "is_same"),
        )
    )


def hash_input(rows: DataFrame) -> Column:
    """Return a hash of all columns in which documents with the same text may differ, as the input has them."""
    is_json = isinstance(rows.schema["carried"].dataType, T.StringType)
    # A hash ignores nulls, so they become values.
    parts = [F.coalesce(F.col(name), F.lit("\x00")) for name in ("url", "source")]
    carried = F.col("carried") if is_json else F.to_json("carried", EXACT_JSON)
    return F.xxhash64(*parts, F.coalesce(carried, F.lit("")))


def make_finding_id() -> Column:
    """Return the key in quarantine of a rejected row: of `reason`, `file`, `offset`, `doc_id` and `content_sha256`."""
    # Two findings about one record, or two gaps in one place, differ in their messages.
    says = F.col("content_sha256").isNull() | F.col("reason").isin(*map(str, NOTES))
    message = F.when(says, F.col("message"))
    content = F.concat_ws("\x1f", F.col("content_sha256"), message)
    return quarantine_id(F.lit(STAGE), *map(F.col, ("reason", "file", "offset", "doc_id")), content)


def _number_rows(*columns: str) -> Column:
    """Number rows from 1 in the order of the input. Rows of Delta tables have no order, so their values decide."""
    order = ("file", "offset", "ordinal", "content_sha256", "input_hash", ROW_ID)
    return F.row_number().over(Window.partitionBy(*columns).orderBy(*order))


def _decide_arrival() -> Column:
    return (
        # The same content a second time, under the same id or as the same finding.
        F.when(F.col("nth_of_content") > 1, F.lit(str(Arrival.DUPLICATE)))
        .when(F.col("reason").isin(*map(str, NOTES)), F.lit(str(Arrival.NOTE)))
        .when(F.col("is_rejected") | (F.col("nth") > 1), F.lit(str(Arrival.REJECTED)))
        .when(F.col("known_sha256").isNull(), F.lit(str(Arrival.NEW)))
        .when(F.col("known_sha256") != F.col("content_sha256"), F.lit(str(Arrival.CHANGED)))
        .otherwise(F.lit(str(Arrival.UNCHANGED)))
    )


def _reject_duplicate_ids() -> dict[str, Column]:
    second = (F.col("arrival") == str(Arrival.REJECTED)) & ~F.col("is_rejected")
    return {
        "reason": F.when(second, F.lit(str(ReasonCode.DUPLICATE_ID))).otherwise(F.col("reason")),
        "message": F.when(second, F.lit(_DUPLICATE_MESSAGE)).otherwise(F.col("message")),
    }
