"""From programs to text: the programs of a document are gathered, joined to its text and executed by an Arrow UDF."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.config import ApplyConfig
from prox_spark.programs import Gates
from prox_spark.schemas import DOCUMENT_KEY
from prox_spark.spark_versions import with_arrow_column
from prox_spark.udfs.execute import ExecuteReference, ExecuteStrict
from prox_spark.udfs.programs import CHUNK, EXECUTION

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def gather_chunks(programs: DataFrame) -> DataFrame:
    """Gather the programs of each document.

    Args:
        programs: columns of `prox_spark.udfs.programs.CHUNK` and `DOCUMENT_KEY`, one row per chunk.

    Returns:
        `DOCUMENT_KEY` and `chunks`, an array of these structs in order.
    """
    chunk = F.struct(*CHUNK.names)
    return programs.groupBy(*DOCUMENT_KEY).agg(F.sort_array(F.collect_list(chunk)).alias("chunks"))


def execute_programs(documents: DataFrame, chunks: DataFrame, config: ApplyConfig) -> DataFrame:
    """Execute programs on their documents.

    Args:
        documents: `DOCUMENT_KEY`, text, and n_words where the table has it.
        chunks: as `gather_chunks` returns it; may have further columns.
        config: semantics and gates.

    Returns:
        One row per document: `DOCUMENT_KEY`, the fields of `prox_spark.udfs.programs.EXECUTION`, columns of `chunks`.

    No text is shuffled if Spark takes `chunks` for small enough to broadcast (`spark.sql.autoBroadcastJoinThreshold`).
    """
    others = [name for name in chunks.columns if name not in DOCUMENT_KEY]
    rows = documents.select(*DOCUMENT_KEY, "text", _known_words(documents).alias("n_words")).join(
        chunks, on=DOCUMENT_KEY, how="left"
    )
    inputs = (F.col(name) for name in ("text", "n_words", "chunks"))
    executed = with_arrow_column(rows, "execution", _make_executor(config), EXECUTION, *inputs)
    return executed.select(*DOCUMENT_KEY, "execution.*", *others)


def _make_executor(config: ApplyConfig) -> ExecuteReference | ExecuteStrict:
    """Return the executor that the recipe asks for."""
    gates = Gates(config.min_word_ratio, config.min_words, config.max_errors)
    if config.semantics == "reference":
        return ExecuteReference(round(1 - gates.min_word_ratio, 12), gates.max_errors)
    return ExecuteStrict(gates)


def _known_words(documents: DataFrame) -> Column:
    """Return the words that ingest counted; null if the executor would count differently or the lake has no such column."""
    # A lake of an older version has no such column, or a column of its input by that name. The comment tells them apart.
    ours = schemas.DOCUMENTS.schema["n_words"]
    found = next((f for f in documents.schema if (f.name, f.dataType) == (ours.name, ours.dataType)), None)
    comment = found.metadata.get("comment") if found else None
    if comment == ours.metadata["comment"]:
        return F.col("n_words")
    if comment == schemas.N_WORDS_BY_WHITE_SPACE:
        is_ascii = F.octet_length("text") == F.length("text")
        return F.when(is_ascii, F.col("n_words"))
    return F.lit(None).cast("bigint")
