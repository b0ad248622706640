"""Programs to text as native columns: no Python worker, and no shuffle of the texts where the programs fit a broadcast."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from pyspark import SparkContext
from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.config import ApplyConfig
from prox_spark.programs import Gates
from udfs.columns import CHUNK, count_by_white_space, count_words, is_ascii
from udfs.execute_reference import execute_reference
from udfs.execute_strict import execute_strict

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

DOCUMENT = ["doc_id", "content_sha256"]


def chunks_of(programs: DataFrame) -> DataFrame:
    """Gathers the programs of each document.

    Args:
        programs: columns of `columns.CHUNK` and `DOCUMENT`, one row per chunk.

    Returns:
        `DOCUMENT` and `chunks`, an array of `columns.CHUNK` in order.
    """
    chunk = F.struct(*CHUNK.names)
    return programs.groupBy(*DOCUMENT).agg(F.sort_array(F.collect_list(chunk)).alias("chunks"))


def executed(documents: DataFrame, chunks: DataFrame, config: ApplyConfig) -> DataFrame:
    """Executes programs on their documents.

    Args:
        documents: `DOCUMENT`, text, and n_words where the table has it.
        chunks: as `chunks_of` returns it; may have further columns.
        config: semantics and gates.

    Returns:
        One row per document: `DOCUMENT`, words_before, the fields of `columns.EXECUTION`, columns of `chunks`.

    The texts are not shuffled when Spark takes `chunks` for small enough to broadcast (`spark.sql.autoBroadcastJoinThreshold`).
    """
    others = [name for name in chunks.columns if name not in DOCUMENT]
    return (
        documents.withColumn("words_before", _words(documents, config.semantics))
        .select(*DOCUMENT, "text", "words_before")
        .join(chunks, on=DOCUMENT, how="left")
        .withColumn("execution", execution(config))
        .select(*DOCUMENT, "words_before", "execution.*", *others)
    )


def _words(documents: DataFrame, semantics: str) -> Column:
    """Words as the semantics counts them: as ingest did, where that is the same."""
    text = F.col("text")
    counted = count_by_white_space(text) if semantics == "reference" else count_words(text)
    # A lake of an older version has no such column, or one of its input by that name, which the comment tells.
    ours = schemas.DOCUMENTS.schema["n_words"]
    found = next((f for f in documents.schema if (f.name, f.dataType) == (ours.name, ours.dataType)), None)
    comment = found.metadata.get("comment") if found else None
    if comment == ours.metadata["comment"] and semantics != "reference":
        return F.coalesce("n_words", counted)
    if comment in (ours.metadata["comment"], schemas.N_WORDS_BY_WHITE_SPACE):
        return F.coalesce(F.when(is_ascii(text), F.col("n_words")), counted)
    return counted


def execution(config: ApplyConfig) -> Column:
    """The executor that the recipe names, over the columns text, words_before and chunks."""
    gates = Gates(config.min_word_ratio, config.min_words, config.max_errors)
    return _execution(SparkContext._active_spark_context, config.semantics, gates)


# Thousands of calls into the JVM make the expression, which takes a second or two: once per application is enough.
@lru_cache(maxsize=8)
def _execution(_context: SparkContext, semantics: str, gates: Gates) -> Column:
    columns = (F.col("text"), F.col("words_before"), F.col("chunks"))
    if semantics == "reference":
        threshold_2 = round(1 - gates.min_word_ratio, 12)
        return execute_reference(*columns, threshold_2=threshold_2, error_op=gates.max_errors)
    return execute_strict(*columns, gates)
