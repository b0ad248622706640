"""From documents to `generations`: the only costly part, paid for once per distinct prompt."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.engine.local import engines_since, known_engines, local_executor
from prox_spark.engine.usage import AnswerSums, EngineWave, last_engines, spans_of
from prox_spark.errors import ReasonCode
from prox_spark.lineage import Run
from prox_spark.pipeline.profile import generation_profile
from prox_spark.pipeline.stages import RefinerStage
from prox_spark.report.progress import Work, engine_progress
from prox_spark.tables import Lake
from udfs.generate import ANSWERS

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

LOG = logging.getLogger(__name__)
# A task that fails takes the answers it holds with it: this many are asked again at most.
_PROMPTS_PER_TASK = 4096


@dataclass(frozen=True)
class GenerateStage:
    """Generates what a stage lacks.

    Args:
        lake: where generations are looked up and appended.
        run: whom to book them to.
        before_asking: called with a stage whenever it is about to ask an engine.
    """

    lake: Lake
    run: Run
    before_asking: Callable[[RefinerStage], None] | None = None

    def __call__(self, prompts: DataFrame, stage: RefinerStage, wave: int, label: str) -> int:
        """Asks the engine for the prompts that have no generation yet, and commits the answers.

        Args:
            prompts: of the stage, with token ids.
            stage: which refiner asks what.
            wave: number of the wave, for the commit; those of a stage of a run come in rising order.
            label: for the progress line.

        Returns:
            Number of generations committed. With none missing no engine is started.
        """
        name = stage.builder.name
        missing = self._missing(prompts).persist()
        try:
            n_missing, n_tokens = missing.select(F.count("*"), F.sum(F.size("token_ids"))).first()
            if n_missing == 0:
                return 0
            if self.before_asking:
                self.before_asking(stage)
            work = Work(n_missing, n_tokens, type(stage.generate).__name__)
            with (
                engine_progress(self.lake.spark, label, work, stage.generate.spec),
                self._failure_booked(stage, wave),
            ):
                rows = self._answered(missing, n_missing, stage, wave)
                # Delta takes a version that is not above the last one for a repeated commit, and -1 for the one before the first.
                self.lake.append("generations", rows, self.run.run_id, commit=(f"{self.run.run_id}/{name}", wave + 1))
            self._book(stage, wave, label)
            return n_missing
        finally:
            missing.unpersist()

    def _missing(self, prompts: DataFrame) -> DataFrame:
        """Prompts without an answer, once each."""
        # At its version: Spark forgets persisted frames over a table that grows.
        known = answered(self.lake, self.lake.version("generations"))
        return (
            prompts.where(F.col("skip_reason").isNull())
            .select("generation_key", "token_ids")
            .dropDuplicates(["generation_key"])
            .join(known.select("generation_key"), on="generation_key", how="left_anti")
        )

    def _answered(self, missing: DataFrame, n_missing: int, stage: RefinerStage, wave: int) -> DataFrame:
        spark = self.lake.spark
        n_slots = spark.sparkContext.defaultParallelism
        n_tasks = min(n_missing, max(n_slots, math.ceil(n_missing / _PROMPTS_PER_TASK)))
        profile = generation_profile(spark.sparkContext, stage.generate.spec.config)
        options = {"profile": profile} if profile else {}
        generate = replace(stage.generate, run_id=self.run.run_id)
        answers = missing.repartition(n_tasks).mapInArrow(generate, ANSWERS, **options)
        return answers.withColumns(
            {
                "stage": F.lit(stage.builder.name),
                "refiner": F.lit(stage.refiner.card.name),
                "model_fingerprint": F.lit(stage.builder.model_fingerprint),
                "prompt_fingerprint": F.lit(stage.builder.prompt_fingerprint),
                "sampling": F.lit(stage.builder.sampling),
                "run_id": F.lit(self.run.run_id),
                "wave": F.lit(wave),
            }
        ).select(*schemas.GENERATIONS.columns)

    def _book(self, stage: RefinerStage, wave: int, label: str) -> None:
        """Adds to the run what was paid for. Read from what was committed: a task that ran twice counts once."""
        generations = self.lake.read("generations")
        mine = F.col("run_id") == self.run.run_id
        name = stage.builder.name
        sums = sums_by_engine(generations.where(mine & (F.col("wave") == wave) & (F.col("stage") == name)))
        last = last_engines(s.engine_id for s in sums if s.engine_id)
        run = self.run
        with run.booking:
            run.counts["generations"] = run.counts.get("generations", 0) + sum(s.prompts for s in sums)
            if last and not run.engines:
                run.engines |= self._earlier_engines()
            done = EngineWave.of(wave, name, sums, run.engines, stage.generate.spec.window_size)
            run.engines |= {family: max(n, run.engines.get(family, 0)) for family, n in last.items()}
            run.engine_waves.append(done)
            run.engine_spans += spans_of(sums)
        LOG.info("%s: %s", label, done)

    @contextmanager
    def _failure_booked(self, stage: RefinerStage, wave: int) -> Iterator[None]:
        """Adds to the run the engines that were started in vain, as far as the driver knows: its own, in local mode.

        On a cluster what the executors knew is lost with the tasks that failed, but for the error's message.
        """
        executor = None if stage.generate.spec.config.endpoint else local_executor(self.lake.spark)
        before = known_engines(executor)
        try:
            yield
        except BaseException:
            if new := known_engines(executor) - before:
                sums = [AnswerSums(engine_id) for engine_id in sorted(new)]
                window_size = stage.generate.spec.window_size
                failed = EngineWave.of(wave, stage.builder.name, sums, last_engines(before), window_size)
                with self.run.booking:
                    self.run.engine_waves.append(failed)
            raise

    def _earlier_engines(self) -> dict[str, int]:
        """The last of each family that answered other runs of this session: in a notebook an engine lives through many.

        Delta knows for each file of `generations` from when to when its answers are, and reads only the latest ones.
        """
        since = F.timestamp_seconds(F.lit(engines_since(self.lake.spark)))
        others = (F.col("run_id") != self.run.run_id) & F.col("engine_id").isNotNull() & (F.col("answered_at") >= since)
        rows = self.lake.read("generations").where(others).select("engine_id").distinct().collect()
        return last_engines(row["engine_id"] for row in rows)


def answered(lake: Lake, version: int | None = None) -> DataFrame:
    """Generations that stand. A request that ran out of time, or that its server failed, is asked again when it next comes up."""
    return lake.read("generations", version).where(~F.col("error_code").eqNullSafe(ReasonCode.REQUEST_TIMEOUT.value))


def sums_by_engine(answers: DataFrame) -> list[AnswerSums]:
    """What each engine did, of rows of `generations`."""
    told = F.col("cached_tokens").isNotNull()
    answered_at = F.col("answered_at").cast("double")
    rows = answers.groupBy("engine_id").agg(
        F.count("*").alias("prompts"),
        F.count("error_code").alias("errors"),
        F.sum("prompt_tokens").alias("prompt_tokens"),
        F.sum("output_tokens").alias("output_tokens"),
        F.min(answered_at - F.col("request_seconds")).alias("begun"),
        F.max(answered_at).alias("ended"),
        F.coalesce(F.sum("request_seconds"), F.lit(0.0)).alias("request_seconds"),
        F.coalesce(F.sum("queue_seconds"), F.lit(0.0)).alias("queue_seconds"),
        F.count("queue_seconds").alias("queued"),
        F.coalesce(F.sum("cached_tokens"), F.lit(0)).alias("cached_tokens"),
        F.coalesce(F.sum(F.when(told, F.col("prompt_tokens"))), F.lit(0)).alias("cacheable_tokens"),
        F.coalesce(F.sum(F.col("n_sends") - 1), F.lit(0)).alias("resent"),
    )
    return [AnswerSums(**row.asDict()) for row in rows.collect()]
