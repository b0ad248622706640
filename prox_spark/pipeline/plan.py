"""The plan of a run: its settings, its documents and their waves; and whether all documents came out."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import ConservationError
from prox_spark.frames import planned_for
from prox_spark.lake.lake import Lake
from prox_spark.lake.tables import TOLD_APART
from prox_spark.pipeline.asking.settings import Settings
from prox_spark.pipeline.asking.stages import RefinerStages, settle_run
from prox_spark.pipeline.standing import count_settled
from prox_spark.pipeline.waves import Wave, cut_waves
from prox_spark.runs.run import Run

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

LOG = logging.getLogger(__name__)
# A killed run without a model loses little, and each wave looks through all stored answers.
_WAVES_WITHOUT_MODEL = 10


@dataclass(frozen=True)
class Plan:
    """The settings, table versions and waves of a run.

    Attributes:
        stages: its refiners.
        settings: its recipe, completed.
        versions: of the tables that it reads.
        waves: the documents that it brings under its recipe; none if all are.
        n_documents: of the lake.
        n_pending: of the waves.
        statuses: number of the other documents by status.
    """

    stages: RefinerStages
    settings: Settings
    versions: dict[str, int]
    waves: list[Wave]
    n_documents: int
    n_pending: int
    statuses: dict[str, int]


def open_lake(spark: SparkSession, recipe: Recipe) -> Lake:
    """Return the lake of a recipe, with all its tables.

    Raises:
        LakeError: nothing was ever ingested into it. The lake is not made.
    """
    lake = Lake(spark, recipe.lake)
    with planned_for(spark, 0):
        lake.read("documents")
        lake.ensure()
    return lake


def make_plan(lake: Lake, run: Run, recipe: Recipe, asks: bool) -> Plan:
    """Fix what a run is about: its settings and the versions of the tables.

    Args:
        lake: with the documents.
        run: told of both.
        recipe: what the user wrote.
        asks: True if the run can ask a model, see `Standing.of`.

    Raises:
        RefinerError: a refiner can't be had.
        RecipeError: thresholds contradict each other.
    """
    with run.timed("plan"):
        stages, settings = settle_run(run, recipe, asks)
        with planned_for(lake.spark, 0):  # Only the log is read.
            versions = lake.versions()
            run.read_at(versions)
            n_documents = lake.read("documents", versions["documents"]).count()
        found = count_settled(lake, run.run_id, settings.fingerprint, versions, n_documents, asks)
        run.read_at(found.versions)
        n_pending = found.counts.n_pending
        LOG.info("plan: %s documents to %s", f"{n_pending:,}", run.command)
    size = settings.recipe.waves.documents * (1 if asks else _WAVES_WITHOUT_MODEL)
    waves = cut_waves(found.counts.pending, size, found.pending)
    return Plan(stages, settings, found.versions, waves, n_documents, n_pending, found.counts.statuses)


def check_conservation(lake: Lake, run_id: str, plan: Plan, n_waiting: int = 0) -> dict[str, int]:
    """Check that every document has exactly one status under the recipe, also if other runs have written meanwhile.

    Args:
        lake: with its tables as they are now.
        run_id: goes into commits that remove doubled rows.
        plan: of the run.
        n_waiting: documents that the run left without a status, because a model was never asked what they need.

    Returns:
        Number of documents per status, most frequent first, and of those that wait as `waiting`.

    Raises:
        ConservationError: some documents have no status or two.
    """
    n_without, statuses = 0, plan.statuses
    if plan.n_pending:
        versions = plan.versions | lake.versions((*TOLD_APART, schemas.QUARANTINE.name))
        counts = count_settled(lake, run_id, plan.settings.fingerprint, versions, plan.n_documents).counts
        n_without, statuses = counts.n_pending, counts.statuses
    statuses = dict(sorted(statuses.items(), key=lambda item: (-item[1], item[0])))
    n_decided = sum(statuses.values())
    if n_without != n_waiting or n_decided + n_waiting != plan.n_documents:
        raise ConservationError(
            f"{plan.n_documents:,} documents went in, {n_decided:,} have a status: {statuses}, {n_without:,} have none"
            f"{f' where {n_waiting:,} wait' if n_waiting else ''}. "
            "The tables were changed by another writer during the run, or this is a bug; generations are kept, run again."
        )
    return statuses | ({"waiting": n_waiting} if n_waiting else {})
