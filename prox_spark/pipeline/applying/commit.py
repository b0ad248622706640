"""From `documents` and `generations` to `programs`, `refined` and `quarantine`. Deterministic, needs no engine."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import ReasonCode
from prox_spark.frames import persisted
from prox_spark.lake.buckets import bucket_of
from prox_spark.lake.tables import Lake, quarantine_id
from prox_spark.pipeline.applying.execute import executed
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.stored_answers import NO_GENERATION, parsed_answers
from prox_spark.pipeline.asking.wave_prompts import WavePrompts
from prox_spark.pipeline.plan import Wave
from prox_spark.programs import DocumentStatus, OpName, Verdict
from prox_spark.runs.run import Run
from prox_spark.schemas import DOCUMENT_KEY
from prox_spark.udfs.parse import DOC_STAGE
from prox_spark.udfs.programs import CHUNK

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

# Of a row of `outcomes`: no prompt of the document lacks its answer.
IS_ANSWERED = f"NOT (failure.reason <=> '{NO_GENERATION}')"
# By a table's number of commits its small files are joined.
_COMPACT_EVERY = 32
_COMMITS_OF_WAVE = {"generations": 2, "programs": 1, "refined": 1}
# What a row of `refined` is replaced for.
_IS_OTHER = "NOT (old.content_sha256 <=> new.content_sha256 AND old.recipe_fingerprint <=> new.recipe_fingerprint)"
_PROGRAM = T.StructType([schemas.PROGRAMS.schema[name] for name in (*CHUNK.names, "status")])


@dataclass(frozen=True)
class ApplyStage:
    """Derives the tables right of `generations` for some documents.

    Args:
        lake: read from and written to.
        stages: whose answers.
        run: whom to book the rows to; its recipe says the semantics and thresholds.
    """

    lake: Lake
    stages: RefinerStages
    run: Run

    def __call__(self, wave: Wave, documents: DataFrame, prompts: WavePrompts, generations: DataFrame) -> int:
        """Applies what the models said and commits the derived tables.

        In this order: programs, quarantine, refined; a document that is in `refined` is done.

        Args:
            wave: which buckets, and if its documents replace rows.
            documents: its own, persisted.
            prompts: theirs.
            generations: with the answers to them.

        Returns:
            Number of documents left out because a prompt of theirs was never answered.
        """
        parsed = parsed_answers(generations, self.stages, prompts, self.run.recipe)
        with persisted(outcomes(documents, parsed, self.run.recipe)) as applied:
            n_waiting = self._commit(wave, documents, applied)
        self._compact(wave)
        return n_waiting

    def _commit(self, wave: Wave, documents: DataFrame, applied: DataFrame) -> int:
        reasons = {row["reason"]: row["count"] for row in applied.groupBy("failure.reason").count().collect()}
        n_waiting = reasons.pop(NO_GENERATION, 0)
        if not reasons:
            return n_waiting
        run_id = self.run.run_id
        answered = applied.where(IS_ANSWERED)
        self._add(schemas.PROGRAMS, self._programs(answered), wave, may_match=self._has_programs)
        if self._has_timed_out:
            stamped = applied.select(*DOCUMENT_KEY).withColumns(self._stamp())
            self.lake.remove(schemas.QUARANTINE, stamped, (*DOCUMENT_KEY, "recipe_fingerprint"), run_id)
        if reasons.keys() - {None}:
            quarantined = self._quarantined(answered, documents)
            self.lake.insert_new(schemas.QUARANTINE, quarantined, run_id)
            if wave.replaces:
                # What an earlier text or recipe made of them is not what this one does.
                self.lake.remove(schemas.REFINED, quarantined.select("doc_id"), ("doc_id",), run_id)
        if None in reasons:
            self._add(schemas.REFINED, self._refined(answered, documents), wave, may_match=wave.replaces)
        return n_waiting

    def _add(self, table: schemas.Table, rows: DataFrame, wave: Wave, may_match: bool) -> None:
        """Commit the rows of a wave: appended where the table has no row with their keys, as far as is known, else merged."""
        run_id = self.run.run_id
        if not may_match and table.name not in self.lake.beside_others:
            self.lake.append_alone(table, rows, run_id, wave.buckets)
        elif table == schemas.PROGRAMS:
            self.lake.insert_new(table, rows, run_id, wave.buckets)
        else:
            self.lake.upsert(table, rows, run_id, F.expr(_IS_OTHER), wave.buckets)

    def _compact(self, wave: Wave) -> None:
        """Join small files now and then: by the number of commits, whether one run has made them or many."""
        for name, n_commits in _COMMITS_OF_WAVE.items():
            n_before = self.run.versions_in[name] + n_commits * wave.number
            if name in self.lake.written and n_before // _COMPACT_EVERY != (n_before + n_commits) // _COMPACT_EVERY:
                self.lake.compact(name, self.run.run_id)

    @cached_property
    def _has_programs(self) -> bool:
        """Did the table have rows of the recipe when the run began: then some may be of its documents, left by a run that was killed."""
        programs = self.lake.read("programs", self.run.versions_in["programs"])
        return not programs.where(F.col("recipe_fingerprint") == self.run.recipe_fingerprint).isEmpty()

    @cached_property
    def _has_timed_out(self) -> bool:
        """Did an earlier run quarantine documents for a time-out or a failing server, which this one may have answers for."""
        quarantine = self.lake.read("quarantine", self.run.versions_in["quarantine"])
        mine = quarantine.where(F.col("recipe_fingerprint") == self.run.recipe_fingerprint)
        return not mine.where(F.col("reason") == ReasonCode.REQUEST_TIMEOUT.value).isEmpty()

    def _programs(self, applied: DataFrame) -> DataFrame:
        rows = applied.select(*DOCUMENT_KEY, F.inline("programs"))
        return rows.withColumns(self._stamp() | _bucket()).select(*schemas.PROGRAMS.columns)

    def _quarantined(self, applied: DataFrame, documents: DataFrame) -> DataFrame:
        raw = documents.select("doc_id", "provenance", F.substring("text", 1, 200).alias("snippet"))
        return (
            applied.where(F.col("failure").isNotNull())
            .select(*DOCUMENT_KEY, "failure.*")
            .join(raw, on="doc_id", how="left")
            .withColumns(self._stamp())
            .withColumn(
                "quarantine_id", quarantine_id(*map(F.col, (*DOCUMENT_KEY, "stage", "reason", "recipe_fingerprint")))
            )
            .select(*schemas.QUARANTINE.columns)
        )

    def _refined(self, applied: DataFrame, documents: DataFrame) -> DataFrame:
        ours = [name for name in schemas.REFINED.columns if name in applied.columns]
        # `n_words` is here as words_before.
        ours_only = {*schemas.REFINED.columns, "ingested_at", "n_words", "input_hash"}
        carried = [name for name in documents.columns if name not in ours_only]
        version = self.run.versions_in["documents"]
        return (
            applied.where(F.col("failure").isNull())
            .select(*ours)
            .join(documents.select(*DOCUMENT_KEY, *carried), on=DOCUMENT_KEY, how="inner")
            .withColumns({**self._stamp(), **_bucket(), "documents_version": F.lit(version).cast("long")})
            .select(*schemas.REFINED.columns, *carried)
        )

    def _stamp(self) -> dict[str, Column]:
        return {"recipe_fingerprint": F.lit(self.run.recipe_fingerprint), "run_id": F.lit(self.run.run_id)}


def outcomes(documents: DataFrame, parsed: DataFrame, recipe: Recipe) -> DataFrame:
    """Decides every document by what was parsed of the answers to its prompts.

    Args:
        documents: `DOCUMENT_KEY` and text.
        parsed: columns of `prox_spark.udfs.parse.PARSED`; none for a text without words.
        recipe: thresholds and semantics, completed.

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
    dropped = F.coalesce(F.col("verdict.drop_probability") >= recipe.drop_threshold, F.lit(False))
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
    return executed(documents, decided, recipe.apply).select(
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
    """Rows of `programs` for a document: its verdict, and its chunks with what the executor found."""
    op = F.when(F.col("dropped"), str(OpName.DROP_DOC)).otherwise(str(OpName.KEEP_DOC))
    nothing = F.lit(None)
    operation = F.struct(op, nothing, nothing, nothing, nothing).cast(schemas.OPERATION)
    verdict = F.struct(
        F.lit(DOC_STAGE), nothing, nothing, F.col("verdict.generation_key"), F.array(operation), F.array(),
        F.lit(str(Verdict.APPLIED)),
    ).cast(_PROGRAM)  # fmt: skip

    def with_findings(chunk: Column, found: Column) -> Column:
        parsed = (chunk[name] for name in CHUNK.names if name != "diagnostics")
        return F.struct(*parsed, found["diagnostics"], found["status"]).cast(_PROGRAM)

    none = _none_of(_PROGRAM)
    chunks = F.coalesce(F.zip_with("chunks", "verdicts", with_findings), none)
    return F.concat(F.when(F.col("verdict").isNotNull(), F.array(verdict)).otherwise(none), chunks)


def _bucket() -> dict[str, Column]:
    return {schemas.BUCKET.name: bucket_of(F.col("doc_id"))}


def _none_of(kind: T.StructType) -> Column:
    return F.array().cast(T.ArrayType(kind))
