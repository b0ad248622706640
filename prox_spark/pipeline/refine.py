"""The main job: what is new in a lake goes through both refiners and comes out refined."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prox_spark.config import Recipe
from prox_spark.engine.driver import is_local
from prox_spark.errors import ConservationError
from prox_spark.frames import persisted, persisted_rows
from prox_spark.interpreted import planned_for
from prox_spark.lake.tables import Lake
from prox_spark.pipeline.applying.commit import ApplyStage
from prox_spark.pipeline.asking.generate import GenerateStage
from prox_spark.pipeline.asking.gpu_profile import gpus_per_executor
from prox_spark.pipeline.asking.self_test import SelfTest
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.wave_prompts import WavePrompts, kept, prompts_of
from prox_spark.pipeline.plan import Wave, conserved, ingested_lake, plan
from prox_spark.pipeline.waves import Turn, one_by_one, staggered
from prox_spark.runs.run import Run, recorded

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class RefineSummary:
    """What a refine run did.

    Attributes:
        run: its row in `runs`.
        n_pending: documents that were new or changed, or had never seen this recipe.
        statuses: of all documents of the lake under this recipe; sums to their number.
    """

    run: Run
    n_pending: int
    statuses: dict[str, int] = field(default_factory=dict)

    def summary(self) -> str:
        """For the terminal."""
        total = sum(self.statuses.values())
        if self.n_pending == 0:
            head = f"refine: nothing new among {total:,} documents; no engine was started"
        else:
            run = self.run
            prompt_tokens, output_tokens = run.engine_total("prompt_tokens"), run.engine_total("output_tokens")
            head = (
                f"refine: {self.n_pending:,} of {total:,} documents in {run.total_seconds:.0f} s, {run.counts['generations']:,} "
                f"generations, {prompt_tokens:,} prompt + {output_tokens:,} output tokens"
            )
            if busy := run.engine_seconds:
                starts, restarts, resent = map(run.engine_total, ("starts", "restarts", "resent"))
                head += f" ({(prompt_tokens + output_tokens) / busy:,.0f} tokens/s), {starts} engine start(s)"
                head += (
                    f", {restarts} of them restart(s), {resent:,} request(s) sent again" if restarts or resent else ""
                )
        return "\n".join([head, *(f"  {status:<18}{n:>9,}" for status, n in self.statuses.items())])


def refine_lake(spark: SparkSession, recipe: Recipe) -> RefineSummary:
    """Refines the documents of a lake that this recipe has not refined yet.

    plan → (doc stage → chunk stage → apply) per wave → conservation check. Every stage commits; a run that was killed pays
    only for what is missing. On a cluster waves overlap, see `staggered`.

    Raises:
        LakeError: there are no documents.
        RefinerError, EngineError: a model can't be had or its engine failed.
        SelfTestError: a refiner's answers to the fixed sample are not those of a refiner.
        ConservationError: documents are not the sum over the statuses.
    """
    lake = ingested_lake(spark, recipe)
    with recorded(lake, Run("refine", recipe)) as run:
        todo = plan(lake, run, asks=True)
        run.counts["generations"] = 0
        if todo.n_pending:
            with planned_for(spark, todo.n_pending / len(todo.waves), todo.n_documents):
                _refine_in_waves(lake, todo.stages, run, todo.waves)
        statuses = conserved(lake, run, todo)
        run.counts |= {"pending": todo.n_pending, "documents": sum(statuses.values()), **statuses}
    return RefineSummary(run, todo.n_pending, statuses)


def _refine_in_waves(lake: Lake, stages: RefinerStages, run: Run, waves: list[Wave]) -> None:
    generate, apply = GenerateStage(lake, run, SelfTest(lake, run)), ApplyStage(lake, stages, run)

    def refine(wave: Wave, turn: Turn) -> None:
        # Texts are read from the table once, prompts are made once, and both are read by the generating and the applying side.
        with ExitStack() as stack:
            with turn("doc"), run.stage("doc"):
                # In the turn: settings of the session change for a moment, which is one wave's business at a time.
                documents = stack.enter_context(persisted_rows(wave.documents))
                doc = stack.enter_context(persisted(prompts_of(documents, stages.doc, with_token_ids=True)))
                verdicts = stack.enter_context(generate(doc, stages.doc, wave.number, f"doc stage{wave}"))
            keeping = kept(documents, doc, verdicts, run.recipe.chunk_below)
            chunk = stack.enter_context(persisted(prompts_of(keeping, stages.chunk, with_token_ids=True)))
            with turn("chunk"), run.stage("chunk"):
                programs = stack.enter_context(generate(chunk, stages.chunk, wave.number, f"chunk stage{wave}"))
            with turn("apply"), run.stage("apply"):
                lost = apply(wave, documents, WavePrompts(doc, chunk), verdicts.unionByName(programs))
        if lost:
            raise ConservationError(
                f"{lost:,} documents have prompts without a generation: the table generations was changed during the run. "
                "Nothing was derived from them; run again"
            )

    if _can_overlap(lake.spark, stages):
        staggered(lake.spark.sparkContext, waves, refine, run.run_id)
    else:
        one_by_one(waves, refine)


def _can_overlap(spark: SparkSession, stages: RefinerStages) -> bool:
    """May both stages be under way at once: not with engines that take turns.

    Nor in local mode with an engine of its own, which most often has the cores that Spark's tasks have: there is nothing to
    gain, and the engine, asked how far a stage is, would count both. Nor with two engines on a CPU, which have the same cores.
    """
    doc, chunk = stages.doc.generate.spec, stages.chunk.generate.spec
    if doc.config.endpoint:
        return True
    on_gpus = doc.config.device == "cuda" or (doc.config.device == "auto" and gpus_per_executor(spark.sparkContext) > 0)
    together = doc.settings_key == chunk.settings_key or (doc.config.side_by_side and on_gpus)
    return together and not is_local(spark.sparkContext)
