"""What becomes of documents: their status, text and lineage, decided by the parsed answers to their prompts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.config import ApplyConfig
from prox_spark.pipeline.applying.execute import execute_programs
from prox_spark.pipeline.asking.stored_answers import NO_GENERATION
from prox_spark.programs import DocumentStatus, OpName, ProgramStatus
from prox_spark.schemas import DOCUMENT_KEY
from prox_spark.udfs.parse import DOC_STAGE
from prox_spark.udfs.programs import CHUNK

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Condition on a row of `decide_outcomes`: every prompt of the document has its answer.
IS_ANSWERED = f"NOT (failure.reason <=> '{NO_GENERATION}')"
_PROGRAM = T.StructType([schemas.PROGRAMS.schema[name] for name in (*CHUNK.names, "status")])


def decide_outcomes(documents: DataFrame, parsed: DataFrame, config: ApplyConfig, drop_threshold: float) -> DataFrame:
    """Decide every document by the parsed answers to its prompts.

    Args:
        documents: `DOCUMENT_KEY` and text.
        parsed: columns of `prox_spark.udfs.parse.PARSED`. A text without words has no rows.
        config: semantics and gates.
        drop_threshold: a document is dropped from this probability of dropping on.

    Returns:
        One row per document: `DOCUMENT_KEY`, text, status, drop_probability, words_before, words_after, removed, normalized,
        programs (rows of that table) and failure, a struct of stage, reason and message, null unless quarantined.
    """
    is_doc = F.col("chunk_index") == DOC_STAGE
    stage = F.when(is_doc, "doc").otherwise("chunk")
    error = F.struct(
        "chunk_index",
        stage.alias("stage"),
        F.col("error_code").alias("reason"),
        F.col("error_message").alias("message"),
    )
    chunk = F.struct(*CHUNK.names)
    by_document = parsed.groupBy(*DOCUMENT_KEY).agg(
        F.first(F.when(is_doc, F.struct("generation_key", "drop_probability")), ignorenulls=True).alias("verdict"),
        F.min(F.when(is_doc & F.col("error_code").isNotNull(), error)).alias("doc_error"),
        F.min(F.when(~is_doc & F.col("error_code").isNotNull(), error)).alias("chunk_error"),
        F.sort_array(F.collect_list(F.when(~is_doc, chunk))).alias("chunks"),
    )
    dropped = F.coalesce(F.col("verdict.drop_probability") >= drop_threshold, F.lit(False))
    failure = F.coalesce("doc_error", F.when(~dropped, F.col("chunk_error")))
    decided = by_document.select(
        *DOCUMENT_KEY,
        "verdict",
        dropped.alias("dropped"),
        F.when(failure.isNotNull(), failure.dropFields("chunk_index")).alias("failure"),
        F.when(~dropped & failure.isNull(), F.col("chunks")).otherwise(_none_of(CHUNK)).alias("chunks"),
    )
    status = (
        F.when(F.col("failure").isNotNull(), str(DocumentStatus.QUARANTINED))
        .when(F.col("dropped"), str(DocumentStatus.DROPPED_DOC))
        .otherwise(F.col("status"))
    )
    gone = F.col("failure").isNotNull() | F.coalesce("dropped", F.lit(False))
    return execute_programs(documents, decided, config).select(
        *DOCUMENT_KEY,
        F.when(gone, "").otherwise(F.col("text")).alias("text"),
        status.alias("status"),
        F.col("verdict.drop_probability").alias("drop_probability"),
        "words_before",
        F.when(gone, 0).otherwise(F.col("words_after")).alias("words_after"),
        "removed",
        "normalized",
        F.when(F.col("failure").isNull(), _programs_of()).alias("programs"),
        "failure",
    )


def _programs_of() -> Column:
    """Return the rows of `programs` of a document: its verdict, and its chunks with the findings of the executor."""
    op = F.when(F.col("dropped"), str(OpName.DROP_DOC)).otherwise(str(OpName.KEEP_DOC))
    nothing = F.lit(None)
    operation = F.struct(op, nothing, nothing, nothing, nothing).cast(schemas.OPERATION)
    verdict = F.struct(
        F.lit(DOC_STAGE), nothing, nothing, F.col("verdict.generation_key"), F.array(operation), F.array(),
        F.lit(str(ProgramStatus.APPLIED)),
    ).cast(_PROGRAM)  # fmt: skip

    def with_findings(chunk: Column, found: Column) -> Column:
        parsed = (chunk[name] for name in CHUNK.names if name != "diagnostics")
        return F.struct(*parsed, found["diagnostics"], found["status"]).cast(_PROGRAM)

    none = _none_of(_PROGRAM)
    chunks = F.coalesce(F.zip_with("chunks", "chunk_outcomes", with_findings), none)
    return F.concat(F.when(F.col("verdict").isNotNull(), F.array(verdict)).otherwise(none), chunks)


def _none_of(kind: T.StructType) -> Column:
    return F.array().cast(T.ArrayType(kind))
