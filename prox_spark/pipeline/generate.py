"""From documents to `generations`: the only costly part, paid for once per distinct prompt."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.errors import ReasonCode
from prox_spark.lineage import Run
from prox_spark.pipeline.profile import generation_profile
from prox_spark.pipeline.stages import RefinerStage
from prox_spark.report.progress import EngineProgress
from prox_spark.tables import Lake
from udfs.generate import ANSWERS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# A task that fails takes the answers it holds with it: this many are asked again at most.
_PROMPTS_PER_TASK = 4096


@dataclass(frozen=True)
class GenerateStage:
    """Generates what a stage lacks.

    Args:
        lake: where generations are looked up and appended.
        run: whom to book them to.
    """

    lake: Lake
    run: Run

    def __call__(self, prompts: DataFrame, stage: RefinerStage, wave: int, label: str) -> int:
        """Asks the engine for the prompts that have no generation yet, and commits the answers.

        Args:
            prompts: of the stage, with token ids.
            stage: which refiner asks what.
            wave: number of the wave, for the commit.
            label: for the progress line.

        Returns:
            Number of generations committed. With none missing no engine is started.
        """
        name = stage.builder.stage
        missing = self._missing(prompts).persist()
        try:
            n_missing = missing.count()
            if n_missing == 0:
                return 0
            with EngineProgress(self.lake.spark, label, n_missing):
                rows = self._answered(missing, n_missing, stage)
                self.lake.append("generations", rows, self.run.run_id, commit=(f"{self.run.run_id}/{name}", wave))
            return n_missing
        finally:
            missing.unpersist()

    def _missing(self, prompts: DataFrame) -> DataFrame:
        """Prompts without an answer, once each."""
        return (
            prompts.where(F.col("skip_reason").isNull())
            .select("generation_key", "token_ids")
            .dropDuplicates(["generation_key"])
            .join(answered(self.lake).select("generation_key"), on="generation_key", how="left_anti")
        )

    def _answered(self, missing: DataFrame, n_missing: int, stage: RefinerStage) -> DataFrame:
        spark = self.lake.spark
        n_slots = spark.sparkContext.defaultParallelism
        n_tasks = min(n_missing, max(n_slots, math.ceil(n_missing / _PROMPTS_PER_TASK)))
        profile = generation_profile(spark.sparkContext, stage.generate.spec.config)
        options = {"profile": profile} if profile else {}
        answers = missing.repartition(n_tasks).mapInArrow(stage.generate, ANSWERS, **options)
        return answers.withColumns(
            {
                "stage": F.lit(stage.builder.stage),
                "refiner": F.lit(stage.refiner.card.name),
                "model_fingerprint": F.lit(stage.builder.model_fingerprint),
                "prompt_fingerprint": F.lit(stage.builder.prompt_fingerprint),
                "sampling": F.lit(stage.builder.sampling),
                "run_id": F.lit(self.run.run_id),
            }
        ).select(*schemas.GENERATIONS.columns)


def answered(lake: Lake) -> DataFrame:
    """Generations that stand. A request that ran out of time is asked again by the next run."""
    return lake.read("generations").where(~F.col("error_code").eqNullSafe(ReasonCode.REQUEST_TIMEOUT.value))


def book_generations(lake: Lake, run: Run) -> None:
    """Adds to a run what it paid for: generations, tokens, and engines that no earlier run had."""
    generations = lake.read("generations")
    mine = F.col("run_id") == run.run_id
    totals = (
        generations.where(mine)
        .agg(
            F.count("*").alias("n"),
            F.coalesce(F.sum("prompt_tokens"), F.lit(0)).alias("prompt_tokens"),
            F.coalesce(F.sum("output_tokens"), F.lit(0)).alias("output_tokens"),
        )
        .first()
    )
    engines = generations.where(mine & F.col("engine_id").isNotNull()).select("engine_id").distinct()
    before = generations.where(~mine).select("engine_id")
    run.counts["generations"] = totals["n"]
    run.prompt_tokens, run.output_tokens = totals["prompt_tokens"], totals["output_tokens"]
    run.engine_starts = engines.join(before, on="engine_id", how="left_anti").count() if totals["n"] else 0
