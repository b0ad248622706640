"""Other thresholds or the other semantics over stored generations: the tables are derived anew, no engine is started."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.frames import persisted, persisted_rows
from prox_spark.interpreted import planned_for
from prox_spark.lake.tables import Lake
from prox_spark.pipeline.applying.commit import ApplyStage
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.asking.wave_prompts import WavePrompts, kept, prompts_of
from prox_spark.pipeline.plan import conserved, ingested_lake, plan
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
        n_waiting: those of them that lack a generation; only `refine` can help them.
        statuses: of all documents of the lake under this recipe.
        moves: between what `refined` held before and what it holds now, most documents first.
    """

    run: Run
    n_pending: int
    n_waiting: int
    statuses: dict[str, int]
    moves: list[Move]

    def summary(self) -> str:
        """For the terminal."""
        total = sum(self.statuses.values())
        if self.n_pending == 0:
            return "\n".join(
                [f"apply: nothing to derive, all {total:,} documents are under this recipe", *self._statuses()]
            )
        lines = [f"apply: {self.n_pending:,} of {total:,} documents in {self.run.total_seconds:.0f} s, no engine"]
        lines += self._statuses()
        words = sum(move.words_before for move in self.moves), sum(move.words_after for move in self.moves)
        lines.append(f"words left: {words[0]:,} before, {words[1]:,} now")
        moved = [move for move in self.moves if move.before != move.after]
        lines.append(f"{sum(move.n_documents for move in moved):,} documents moved:")
        lines += [
            f"  {move.before:<18}→ {move.after:<18}{move.n_documents:>9,}   words {move.words_before:,} → {move.words_after:,}"
            for move in moved
        ]
        if self.n_waiting:
            lines.append(
                f"{self.n_waiting:,} documents wait: a model was never asked what this recipe needs. "
                "Run `prox-spark refine` with the same recipe; they are as they were"
            )
        return "\n".join(lines)

    def _statuses(self) -> list[str]:
        return [f"  {status:<18}{n:>9,}" for status, n in self.statuses.items()]


def apply_lake(spark: SparkSession, recipe: Recipe) -> ApplySummary:
    """Derives `programs`, `refined` and `quarantine` from stored generations, for documents not yet under this recipe.

    Raises:
        LakeError: there are no documents.
        RefinerError: a refiner's tokenizer can't be had; it tells which generation belongs to which document.
        ConservationError: documents are not the sum over the statuses.
    """
    lake = ingested_lake(spark, recipe)
    with recorded(lake, Run("apply", recipe)) as run:
        todo = plan(lake, run, asks=False)
        n_waiting = 0
        with run.stage("apply"):
            apply = ApplyStage(lake, todo.stages, run)
            for wave in todo.waves:
                with (
                    planned_for(spark, todo.n_documents),
                    persisted_rows(wave.documents) as documents,
                    stored_prompts(lake, todo.stages, documents, run.recipe) as prompts,
                ):
                    n_waiting += apply(wave, documents, prompts, lake.read("generations"))
        statuses = conserved(lake, run, todo, n_waiting)
        run.counts |= {"pending": todo.n_pending, "documents": sum(statuses.values()), **statuses}
        with planned_for(spark, todo.n_documents):
            moves = _moves(lake, run.versions_in["refined"]) if todo.n_pending else []
    return ApplySummary(run, todo.n_pending, n_waiting, statuses, moves)


@contextmanager
def stored_prompts(lake: Lake, stages: RefinerStages, documents: DataFrame, recipe: Recipe) -> Iterator[WavePrompts]:
    """The prompts whose answers decide about some documents under a recipe.

    Args:
        lake: where the answers are.
        stages: whose prompts.
        documents: `DOCUMENT_KEY` and text.
        recipe: completed.
    """
    # Both stages read them, and making them means reading all texts through a tokenizer.
    with persisted(prompts_of(documents, stages.doc)) as doc:
        keeping = kept(documents, doc, lake.read("generations"), recipe.drop_threshold)
        yield WavePrompts(doc, prompts_of(keeping, stages.chunk))


def _moves(lake: Lake, version: int) -> list[Move]:
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
