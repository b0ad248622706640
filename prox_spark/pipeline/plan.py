"""Which documents a run is about, in which waves, and whether all of them came out."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.errors import ConservationError, ReasonCode
from prox_spark.lineage import Run
from prox_spark.pipeline.execute import DOCUMENT
from prox_spark.pipeline.stages import RefinerStages
from prox_spark.tables import Lake

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)
_NONE = "(none)"


@dataclass(frozen=True)
class Plan:
    """What a run is about.

    Attributes:
        stages: its refiners.
        pending: the documents it is to bring under its recipe.
        n_pending: their number.
    """

    stages: RefinerStages
    pending: DataFrame
    n_pending: int


def ingested_lake(spark: SparkSession, recipe: Recipe) -> Lake:
    """The lake of a recipe, with all its tables.

    Raises:
        LakeError: nothing was ever ingested into it; it is not made.
    """
    lake = Lake(spark, recipe.lake)
    lake.read("documents")
    lake.ensure()
    return lake


def plan(lake: Lake, run: Run, asks: bool) -> Plan:
    """Fixes what the run is about: its recipe, completed by the refiners' cards, and the versions of the tables.

    Args:
        lake: where the documents are.
        run: gets the completed recipe, its fingerprint and the versions.
        asks: whether the run can ask a model, see `pending_documents`.

    Raises:
        RefinerError: a refiner can't be had.
        RecipeError: thresholds that contradict each other.
    """
    with run.stage("plan"):
        stages = RefinerStages.of(run.recipe, asks)
        run.recipe = stages.completed(run.recipe)
        run.recipe_fingerprint = stages.fingerprint(run.recipe)
        run.versions_in = lake.versions()
        pending = pending_documents(lake, run, asks)
        n_pending = pending.count()
        LOG.info("plan: %s documents to %s", f"{n_pending:,}", run.command)
    return Plan(stages, pending, n_pending)


def pending_documents(lake: Lake, run: Run, asks: bool) -> DataFrame:
    """Documents at the pinned version without a row in `refined` or `quarantine` for this text and recipe.

    Args:
        lake: where they are.
        run: which versions of the tables, and which recipe.
        asks: whether the run can ask a model: then those that a time-out or a failing server brought into quarantine are pending too.
    """
    versions = run.versions_in
    mine = F.col("recipe_fingerprint") == run.recipe_fingerprint
    refined = lake.read("refined", versions["refined"])
    final = mine & (F.col("reason") != ReasonCode.REQUEST_TIMEOUT.value) if asks else mine
    quarantined = (
        lake.read("quarantine", versions["quarantine"])
        .where(final)
        .select(*DOCUMENT)
        # With a row in `refined`, of another recipe or text, it is not yet where it belongs: in quarantine alone.
        .join(refined.select("doc_id"), on="doc_id", how="left_anti")
    )
    done = refined.where(mine).select(*DOCUMENT).unionByName(quarantined)
    return lake.read("documents", versions["documents"]).join(done, on=DOCUMENT, how="left_anti")


@dataclass(frozen=True)
class Wave:
    """Documents that are refined and committed together; prints as ` wave 2 of 5`, the only one as nothing."""

    number: int
    n_waves: int
    documents: DataFrame

    def __str__(self) -> str:
        return f" wave {self.number + 1} of {self.n_waves}" if self.n_waves > 1 else ""


def waves(pending: DataFrame, n_pending: int, size: int) -> Iterator[Wave]:
    """Cuts documents by a hash of the id, evenly and without an order to keep."""
    n_waves = math.ceil(n_pending / size)
    for number in range(n_waves):
        chosen = F.pmod(F.xxhash64("doc_id"), F.lit(n_waves)) == number
        yield Wave(number, n_waves, pending.where(chosen) if n_waves > 1 else pending)


def conserved(lake: Lake, run: Run, n_waiting: int = 0) -> dict[str, int]:
    """Every document has exactly one status under this recipe.

    Args:
        lake: its tables as they are now.
        run: which documents and which recipe.
        n_waiting: documents that the run has said to be without a status, as `waiting`.

    Returns:
        Number of documents per status, most frequent first.

    Raises:
        ConservationError: some have none or two.
    """
    documents = lake.read("documents", run.versions_in["documents"]).select(*DOCUMENT)
    mine = F.col("recipe_fingerprint") == run.recipe_fingerprint
    refined = lake.read("refined").where(mine).select(*DOCUMENT, "status")
    quarantined = lake.read("quarantine").where(mine).select(*DOCUMENT, F.lit("quarantined").alias("status"))
    rows = (
        documents.join(refined.unionByName(quarantined), on=DOCUMENT, how="left")
        .groupBy(F.coalesce("status", F.lit(_NONE)).alias("status"))
        .count()
        .orderBy(F.desc("count"), "status")
        .collect()
    )
    statuses = {row["status"]: row["count"] for row in rows}
    n_documents = documents.count()
    if statuses.pop(_NONE, 0) != n_waiting or sum(statuses.values()) + n_waiting != n_documents:
        raise ConservationError(
            f"{n_documents:,} documents went in, their statuses sum to {sum(statuses.values()):,}: {statuses}. "
            "The tables were changed by another writer during the run, or this is a bug; generations are kept, run again."
        )
    return statuses | ({"waiting": n_waiting} if n_waiting else {})
