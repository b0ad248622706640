"""From `documents` and `generations` to `programs`, `refined` and `quarantine`. Deterministic, needs no engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.storagelevel import StorageLevel

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import ConservationError, ReasonCode
from prox_spark.lineage import Run
from prox_spark.pipeline.generate import prompts_of
from prox_spark.pipeline.stages import RefinerStage, RefinerStages
from prox_spark.programs import DocumentStatus
from prox_spark.tables import Lake, quarantine_id
from udfs.apply import ANSWER, APPLIED, DOC_STAGE, Apply

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_DOCUMENT = ["doc_id", "content_sha256"]
# Never stored: a run that meets it fails.
_NO_GENERATION = "no_generation"


@dataclass(frozen=True)
class ApplyStage:
    """Derives the tables right of `generations` for some documents.

    Args:
        lake: read from and written to.
        recipe: semantics and thresholds.
        stages: whose answers.
        run: whom to book the rows to.
    """

    lake: Lake
    recipe: Recipe
    stages: RefinerStages
    run: Run

    def __call__(self, documents: DataFrame) -> None:
        """Applies what the models said and commits the derived tables.

        In this order: programs, quarantine, refined; a document that is in `refined` is done.
        """
        applied = self.applied(documents).persist(StorageLevel.DISK_ONLY)
        try:
            reasons = {row["reason"]: row["count"] for row in applied.groupBy("reason").count().collect()}
            if lost := reasons.get(_NO_GENERATION):
                raise ConservationError(
                    f"{lost:,} documents have prompts without a generation: the table generations was changed during the run. "
                    "Nothing was derived from them; run again"
                )
            run_id = self.run.run_id
            self.lake.insert_new(schemas.PROGRAMS, self._programs(applied), run_id)
            if self._were_timed_out():
                self.lake.remove(schemas.QUARANTINE, self._stamped(applied), (*_DOCUMENT, "recipe_fingerprint"), run_id)
            if reasons.keys() != {None}:
                quarantined = self._quarantined(applied, documents)
                self.lake.insert_new(schemas.QUARANTINE, quarantined, run_id)
                # What an earlier text or recipe made of them is not what this one does.
                self.lake.remove(schemas.REFINED, quarantined.select("doc_id"), ("doc_id",), run_id)
            changed = F.expr(
                "NOT (old.content_sha256 <=> new.content_sha256 AND old.recipe_fingerprint <=> new.recipe_fingerprint)"
            )
            self.lake.upsert(schemas.REFINED, self._refined(applied, documents), run_id, changed)
        finally:
            applied.unpersist()

    def _were_timed_out(self) -> bool:
        """Is there a document that an earlier run quarantined for a time-out and this one has asked again."""
        quarantine = self.lake.read("quarantine").where(F.col("recipe_fingerprint") == self.run.recipe_fingerprint)
        return not quarantine.where(F.col("reason") == ReasonCode.REQUEST_TIMEOUT.value).isEmpty()

    def _stamped(self, applied: DataFrame) -> DataFrame:
        return applied.select(*_DOCUMENT).withColumns(self._stamp())

    def applied(self, documents: DataFrame) -> DataFrame:
        """What becomes of each document: one row of `udfs.apply.APPLIED`."""
        verdicts = self._answers(documents, self.stages.doc)
        kept = documents.join(
            verdicts.where(F.col("answer.drop_probability") < self.recipe.apply.drop_threshold).select(*_DOCUMENT),
            on=_DOCUMENT,
            how="left_semi",
        )
        answers = (
            verdicts.unionByName(self._answers(kept, self.stages.chunk))
            .groupBy(*_DOCUMENT)
            .agg(F.collect_list("answer").alias("answers"))
        )
        return (
            documents.select(*_DOCUMENT, "text")
            .join(answers, on=_DOCUMENT, how="left")
            .mapInArrow(Apply(self.recipe.apply), APPLIED)
        )

    def _answers(self, documents: DataFrame, stage: RefinerStage) -> DataFrame:
        """The stored answer to each prompt of these documents, as a struct `answer`; a skipped prompt is an error."""
        prompts = prompts_of(documents, stage)
        answer = ("output_text", "drop_probability", "error_code", "error_message")
        generations = (
            self.lake.read("generations")
            .groupBy("generation_key")
            # A prompt that timed out and was asked again has two rows: the answer counts. Equal rows: any does.
            .agg(F.min_by(F.struct(*answer), F.col("error_code").isNotNull()).alias("generation"))
        )
        code = F.coalesce(
            F.col("skip_reason"),
            F.col("generation.error_code"),
            F.when(F.col("generation").isNull(), F.lit(_NO_GENERATION)),
        )
        too_long = F.lit(f"the prompt and its answer are over {stage.refiner.card.context_tokens} tokens")
        return (
            prompts.join(generations, on="generation_key", how="left")
            .withColumns(
                {
                    "chunk_index": F.coalesce("chunk_index", F.lit(DOC_STAGE)),
                    "output_text": F.col("generation.output_text"),
                    "drop_probability": F.col("generation.drop_probability"),
                    "error_message": F.when(F.col("skip_reason").isNotNull(), too_long).otherwise(
                        F.col("generation.error_message")
                    ),
                    "error_code": code,
                }
            )
            .select(*_DOCUMENT, F.struct(*ANSWER.names).alias("answer"))
        )

    def _programs(self, applied: DataFrame) -> DataFrame:
        return (
            applied.select(*_DOCUMENT, F.explode("programs").alias("program"))
            .select(*_DOCUMENT, "program.*")
            .withColumns(self._stamp())
            .select(*schemas.PROGRAMS.columns)
        )

    def _quarantined(self, applied: DataFrame, documents: DataFrame) -> DataFrame:
        provenance = documents.select("doc_id", "provenance")
        return (
            applied.where(F.col("reason").isNotNull())
            .join(provenance, on="doc_id", how="left")
            .withColumns(self._stamp())
            .withColumn(
                "quarantine_id", quarantine_id(*map(F.col, (*_DOCUMENT, "stage", "reason", "recipe_fingerprint")))
            )
            .select(*schemas.QUARANTINE.columns)
        )

    def _refined(self, applied: DataFrame, documents: DataFrame) -> DataFrame:
        ours = [name for name in schemas.REFINED.columns if name in applied.columns]
        carried = [name for name in documents.columns if name not in schemas.REFINED.columns and name != "ingested_at"]
        return (
            applied.where(F.col("status") != DocumentStatus.QUARANTINED.value)
            .select(*ours)
            .join(documents.select(*_DOCUMENT, *carried), on=_DOCUMENT, how="inner")
            .withColumns({**self._stamp(), "documents_version": F.lit(self.run.versions_in["documents"]).cast("long")})
            .select(*schemas.REFINED.columns, *carried)
        )

    def _stamp(self) -> dict[str, Column]:
        return {"recipe_fingerprint": F.lit(self.run.recipe_fingerprint), "run_id": F.lit(self.run.run_id)}
