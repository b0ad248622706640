"""The main job: documents that are new in a lake go through both refiners and come out refined."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prox_spark.config import Recipe
from prox_spark.errors import ConservationError
from prox_spark.frames import planned_for
from prox_spark.lake.lake import Lake
from prox_spark.lake.log_store import warn_of_log_store
from prox_spark.pipeline.applying.commit import ApplyAnswers
from prox_spark.pipeline.asking.answer_wave import answer_wave
from prox_spark.pipeline.asking.generate import GenerateMissing
from prox_spark.pipeline.asking.gpu_profile import count_gpus_per_executor
from prox_spark.pipeline.asking.self_test import SelfTest
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.plan import Plan, check_conservation, make_plan, open_lake
from prox_spark.pipeline.waves import Turn, Wave, run_one_by_one, run_staggered
from prox_spark.runs.run import Run, recorded
from prox_spark.spark_driver import is_local, refuse_local_engine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession


@dataclass(frozen=True)
class RefineSummary:
    """What a refine run did.

    Attributes:
        run: its row in `runs`.
        n_pending: documents that were new or changed, or had never seen this recipe.
        statuses: number of documents of the lake under this recipe by status. They sum to the documents of the lake.
    """

    run: Run
    n_pending: int
    statuses: dict[str, int]


def refine_lake(spark: SparkSession, recipe: Recipe) -> RefineSummary:
    """Refine the documents of a lake that this recipe has not refined yet.

    The run plans, takes each wave through doc stage, chunk stage and apply, and checks conservation. Every stage commits, so
    a run that was killed pays only for what is missing. On a cluster waves overlap, see `run_staggered`.

    Raises:
        ConnectError: the session is one of Spark Connect, and the recipe names no remote engine.
        LakeError: there are no documents.
        RefinerError, EngineError: a model can't be had or its engine failed.
        SelfTestError: a refiner's answers to the fixed sample are not those of a refiner.
        ConservationError: documents are not the sum over the statuses.
    """
    refuse_local_engine(spark, recipe.engine.endpoint)
    lake = open_lake(spark, recipe)
    warn_of_log_store(spark, recipe.lake)
    with recorded(lake, "refine", recipe) as run:
        plan = make_plan(lake, run, recipe, asks=True)
        run.count(generations=0)
        if plan.n_pending:
            with planned_for(spark, plan.n_pending / len(plan.waves), plan.n_documents):
                _refine_in_waves(lake, plan, run)
        statuses = check_conservation(lake, run.run_id, plan)
        run.count(pending=plan.n_pending, documents=sum(statuses.values()), **statuses)
    return RefineSummary(run, plan.n_pending, statuses)


def _refine_in_waves(lake: Lake, plan: Plan, run: Run) -> None:
    stages, settings = plan.stages, plan.settings
    generate = GenerateMissing(lake, run, SelfTest(lake, run, settings.recipe.self_test))
    apply = ApplyAnswers(lake, stages, settings, plan.versions, run.run_id)

    def refine(wave: Wave, turn: Turn) -> None:
        with (
            answer_wave(wave, turn, generate, stages, settings, run) as answered,
            turn("apply"),
            run.timed("apply"),
        ):
            lost = apply(wave, answered.documents, answered.prompts, answered.generations)
        if lost:
            raise ConservationError(
                f"{lost:,} documents have prompts without a generation: the table generations was changed during the run. "
                "Nothing was derived from them; run again"
            )

    if _can_overlap(lake.spark, stages):
        run_staggered(lake.spark, plan.waves, refine, run.run_id)
    else:
        run_one_by_one(plan.waves, refine)


def _can_overlap(spark: SparkSession, stages: RefinerStages) -> bool:
    """True if both stages may be under way at once.

    They may not if their engines take turns, nor with two engines on a CPU, which have the same cores. Nor in local mode with
    an engine of its own: it most often has the cores of Spark's tasks, so there is nothing to gain, and its metrics would
    count both stages.
    """
    doc, chunk = stages.doc.generate.spec, stages.chunk.generate.spec
    if doc.config.endpoint:
        return True
    on_gpus = doc.config.device == "cuda" or (
        doc.config.device == "auto" and count_gpus_per_executor(spark.sparkContext) > 0
    )
    together = doc.settings_key == chunk.settings_key or (doc.config.side_by_side and on_gpus)
    return together and not is_local(spark)
