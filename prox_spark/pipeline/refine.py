"""The main job: what is new in a lake goes through both refiners and comes out refined."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.errors import ConservationError, ReasonCode
from prox_spark.lineage import Run, recorded
from prox_spark.pipeline.apply import ApplyStage
from prox_spark.pipeline.generate import GenerateStage, book_generations, prompts_of
from prox_spark.pipeline.stages import RefinerStages
from prox_spark.tables import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)
_KEY = ["doc_id", "content_sha256"]


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
            run, busy = self.run, sum(self.run.seconds.get(stage, 0.0) for stage in ("doc", "chunk"))
            tokens = run.prompt_tokens + run.output_tokens
            head = (
                f"refine: {self.n_pending:,} of {total:,} documents in {run.total_seconds:.0f} s, {run.counts['generations']:,} "
                f"generations, {run.prompt_tokens:,} prompt + {run.output_tokens:,} output tokens"
            )
            if tokens:
                head += f" ({tokens / busy:,.0f} tokens/s of the engine stages, start included), {run.engine_starts} engine start(s)"
        return "\n".join([head, *(f"  {status:<18}{n:>9,}" for status, n in self.statuses.items())])


def refine_lake(spark: SparkSession, recipe: Recipe) -> RefineSummary:
    """Refines the documents of a lake that this recipe has not refined yet.

    plan → (doc stage → chunk stage → apply) per wave → conservation check. Every stage commits; a run that was killed pays
    only for what is missing.

    Raises:
        LakeError: there are no documents.
        RefinerError, EngineError: a model can't be had or its engine failed.
        ConservationError: documents are not the sum over the statuses.
    """
    lake = Lake(spark, recipe.lake)
    lake.read("documents")  # a lake that was never ingested into is said so, not made
    lake.ensure()
    with recorded(lake, Run("refine", recipe)) as run:
        with run.stage("plan"):
            stages = RefinerStages.of(recipe)
            recipe = run.recipe = stages.completed(recipe)
            run.recipe_fingerprint = stages.fingerprint(recipe)
            run.versions_in = lake.versions()
            pending = _pending(lake, run)
            n_pending = pending.count()
            LOG.info("plan: %s documents to refine", f"{n_pending:,}")
        run.counts["generations"] = 0
        if n_pending:
            try:
                _refine_in_waves(lake, recipe, stages, run, pending, n_pending)
            finally:
                with suppress(Exception):  # of a failed run too it is worth knowing what it cost
                    book_generations(lake, run)
        statuses = _conserved(lake, run)
        run.counts |= {"pending": n_pending, "documents": sum(statuses.values()), **statuses}
    return RefineSummary(run, n_pending, statuses)


def _refine_in_waves(
    lake: Lake, recipe: Recipe, stages: RefinerStages, run: Run, pending: DataFrame, n_pending: int
) -> None:
    generate, apply = GenerateStage(lake, run), ApplyStage(lake, recipe, stages, run)
    for wave, n_waves, documents in _waves(pending, n_pending, recipe.waves.documents):
        of_waves = f"wave {wave + 1} of {n_waves}" if n_waves > 1 else ""
        with run.stage("doc"):
            generate(documents, stages.doc, wave, f"doc stage {of_waves}".strip())
        with run.stage("chunk"):
            verdicts = lake.read("generations").where(F.col("drop_probability") < recipe.generation.chunk_below)
            keys = prompts_of(documents, stages.doc).join(
                verdicts.select("generation_key"), on="generation_key", how="left_semi"
            )
            kept = documents.join(keys.select(*_KEY), on=_KEY, how="left_semi")
            generate(kept, stages.chunk, wave, f"chunk stage {of_waves}".strip())
        with run.stage("apply"):
            apply(documents)


def _pending(lake: Lake, run: Run) -> DataFrame:
    """Documents at the pinned version without a row in `refined` or `quarantine` for this text and recipe.

    Those that a time-out brought into quarantine are asked again.
    """
    versions = run.versions_in
    mine = F.col("recipe_fingerprint") == run.recipe_fingerprint
    done = lake.read("refined", versions["refined"]).where(mine).select(*_KEY)
    final = mine & (F.col("reason") != ReasonCode.REQUEST_TIMEOUT.value)
    quarantined = lake.read("quarantine", versions["quarantine"]).where(final).select(*_KEY)
    return lake.read("documents", versions["documents"]).join(done.unionByName(quarantined), on=_KEY, how="left_anti")


def _waves(pending: DataFrame, n_pending: int, size: int) -> Iterator[tuple[int, int, DataFrame]]:
    """Cuts by a hash of the id, evenly and without an order to keep."""
    n_waves = math.ceil(n_pending / size)
    for wave in range(n_waves):
        chosen = F.pmod(F.xxhash64("doc_id"), F.lit(n_waves)) == wave
        yield wave, n_waves, pending.where(chosen) if n_waves > 1 else pending


def _conserved(lake: Lake, run: Run) -> dict[str, int]:
    """Every document has exactly one status under this recipe.

    Returns:
        Number of documents per status, most frequent first.

    Raises:
        ConservationError: some have none or two.
    """
    documents = lake.read("documents", run.versions_in["documents"]).select(*_KEY)
    mine = F.col("recipe_fingerprint") == run.recipe_fingerprint
    refined = lake.read("refined").where(mine).select(*_KEY, "status")
    quarantined = lake.read("quarantine").where(mine).select(*_KEY, F.lit("quarantined").alias("status"))
    rows = (
        documents.join(refined.unionByName(quarantined), on=_KEY, how="left")
        .groupBy(F.coalesce("status", F.lit("(none)")).alias("status"))
        .count()
        .orderBy(F.desc("count"), "status")
        .collect()
    )
    statuses = {row["status"]: row["count"] for row in rows}
    n_documents = documents.count()
    if "(none)" in statuses or sum(statuses.values()) != n_documents:
        raise ConservationError(
            f"{n_documents:,} documents went in, their statuses sum to {sum(statuses.values()):,}: {statuses}. "
            "The tables were changed by another writer during the run, or this is a bug; generations are kept, run again."
        )
    return statuses
