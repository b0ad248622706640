"""Other thresholds or the other semantics over stored generations: the tables are derived again, and no engine is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.frames import persisted, persisted_rows, planned_for
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.applying.commit import ApplyAnswers
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.wave_prompts import WavePrompts, keep_documents, make_prompts
from prox_spark.pipeline.plan import check_conservation, make_plan, open_lake
from prox_spark.runs.run import Run, recorded

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

_NOTHING = "(not refined)"


@dataclass(frozen=True)
class Move:
    """Documents that went from one status to another, with their words before and after the run."""

    before: str
    after: str
    n_documents: int
    words_before: int
    words_after: int


@dataclass(frozen=True)
class ApplySummary:
    """What an apply run did.

    Attributes:
        run: its row in `runs`.
        n_pending: documents that had no row under this recipe.
        n_waiting: those of them that lack a generation, which only `refine` can make.
        statuses: number of documents of the lake under this recipe by status.
        moves: between what `refined` held before and what it holds now, most documents first.
    """

    run: Run
    n_pending: int
    n_waiting: int
    statuses: dict[str, int]
    moves: list[Move]


def apply_lake(spark: SparkSession, recipe: Recipe) -> ApplySummary:
    """Derive `programs`, `refined` and `quarantine` from stored generations, for documents not yet under this recipe.

    Raises:
        LakeError: there are no documents.
        RefinerError: a refiner's tokenizer can't be had. It tells which generation belongs to which document.
        ConservationError: documents are not the sum over the statuses.
    """
    lake = open_lake(spark, recipe)
    with recorded(lake, "apply", recipe) as run:
        plan = make_plan(lake, run, recipe, asks=False)
        n_waiting = 0
        with run.timed("apply"):
            apply = ApplyAnswers(lake, plan.stages, plan.settings, plan.versions, run.run_id)
            for wave in plan.waves:
                with (
                    planned_for(spark, plan.n_documents),
                    persisted_rows(wave.documents) as documents,
                    stored_prompts(lake, plan.stages, documents, plan.settings.drop_threshold) as prompts,
                ):
                    n_waiting += apply(wave, documents, prompts, lake.read("generations"))
        statuses = check_conservation(lake, run.run_id, plan, n_waiting)
        run.count(pending=plan.n_pending, documents=sum(statuses.values()), **statuses)
        with planned_for(spark, plan.n_documents):
            moves = _find_moves(lake, plan.versions["refined"]) if plan.n_pending else []
    return ApplySummary(run, plan.n_pending, n_waiting, statuses, moves)


@contextmanager
def stored_prompts(
    lake: Lake, stages: RefinerStages, documents: DataFrame, drop_threshold: float
) -> Iterator[WavePrompts]:
    """Make the prompts whose answers decide about some documents.

    Args:
        lake: with the answers.
        stages: of the prompts.
        documents: `DOCUMENT_KEY` and text.
        drop_threshold: documents from this probability of dropping on need no answer of the chunk stage.
    """
    # Both stages read the prompts, and making them takes all texts through a tokenizer.
    with persisted(make_prompts(documents, stages.doc)) as doc:
        kept = keep_documents(documents, doc, lake.read("generations"), drop_threshold)
        yield WavePrompts(doc, make_prompts(kept, stages.chunk))


def _find_moves(lake: Lake, version: int) -> list[Move]:
    def read(side: str, version: int | None) -> DataFrame:
        columns = (F.col("status").alias(f"status_{side}"), F.col("words_after").alias(f"words_{side}"))
        return lake.read("refined", version).select("doc_id", *columns)

    rows = (
        read("before", version)
        .join(read("after", None), on="doc_id", how="full")
        .groupBy(F.coalesce("status_before", F.lit(_NOTHING)), F.coalesce("status_after", F.lit(_NOTHING)))
        .agg(
            F.count("*").alias("n"),
            F.coalesce(F.sum("words_before"), F.lit(0)),
            F.coalesce(F.sum("words_after"), F.lit(0)),
        )
        .orderBy(F.desc("n"))
        .collect()
    )
    return [Move(*row) for row in rows]
