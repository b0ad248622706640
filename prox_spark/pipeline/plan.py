"""Which documents a run is about, in which waves, and whether all of them came out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark import schemas
from prox_spark.config import Recipe
from prox_spark.errors import ConservationError, ReasonCode
from prox_spark.interpreted import planned_for
from prox_spark.lake.buckets import EVERY, Buckets, bucket_of
from prox_spark.lake.tables import TOLD_APART, Lake
from prox_spark.pipeline.asking.stages import RefinerStages
from prox_spark.pipeline.inputs.naming import quoted
from prox_spark.programs import DocumentStatus
from prox_spark.runs.run import Run
from prox_spark.schemas import DOCUMENT_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

LOG = logging.getLogger(__name__)
# Without a model a killed run loses little, and each wave looks through all answers that were ever stored.
_WAVES_WITHOUT_MODEL = 10
# Of a row of documents beside others of any name.
_STATUS = "status of the document"
_REPLACED = "row of refined"
_STAYS = "stays in quarantine"


@dataclass(frozen=True)
class Wave:
    """Documents that are refined and committed together; prints as ` wave 2 of 5`, the only one as nothing.

    Attributes:
        number: from 0.
        n_waves: of the run.
        choose: returns the documents of some buckets.
        buckets: those of the wave.
        replaces: True if the table `refined` has rows of some of its documents, under another recipe or of another text.
    """

    number: int
    n_waves: int
    choose: Callable[[Buckets], DataFrame]
    buckets: Buckets = EVERY
    replaces: bool = True

    def __str__(self) -> str:
        return f" wave {self.number + 1} of {self.n_waves}" if self.n_waves > 1 else ""

    @property
    def documents(self) -> DataFrame:
        """The documents, read anew."""
        return self.choose(self.buckets)


@dataclass(frozen=True)
class Plan:
    """What a run is about.

    Attributes:
        stages: its refiners.
        waves: the documents it is to bring under its recipe; none where all are.
        n_documents: of the lake.
        n_pending: of the waves.
        statuses: numbers of the others.
    """

    stages: RefinerStages
    waves: list[Wave]
    n_documents: int
    n_pending: int
    statuses: dict[str, int]


def ingested_lake(spark: SparkSession, recipe: Recipe) -> Lake:
    """The lake of a recipe, with all its tables.

    Raises:
        LakeError: nothing was ever ingested into it; it is not made.
    """
    lake = Lake(spark, recipe.lake)
    with planned_for(spark, 0):
        lake.read("documents")
        lake.ensure()
    return lake


def plan(lake: Lake, run: Run, asks: bool) -> Plan:
    """Fixes what the run is about: its recipe, completed by the refiners' cards, and the versions of the tables.

    Args:
        lake: where the documents are.
        run: gets the completed recipe, its fingerprint and the versions.
        asks: whether the run can ask a model, see `Standing.of`.

    Raises:
        RefinerError: a refiner can't be had.
        RecipeError: thresholds that contradict each other.
    """
    with run.stage("plan"):
        stages = RefinerStages.of(run.recipe, asks)
        run.recipe = stages.completed(run.recipe)
        run.recipe_fingerprint = stages.fingerprint(run.recipe)
        with planned_for(lake.spark, 0):  # what is read is the log
            run.versions_in = lake.versions()
            n_documents = lake.read("documents", run.versions_in["documents"]).count()
        standing, counts, statuses = _counted(lake, run, run.versions_in, n_documents, asks)
        run.versions_in = standing.versions
        n_pending = sum(n for n, _ in counts.values())
        LOG.info("plan: %s documents to %s", f"{n_pending:,}", run.command)
    size = run.recipe.waves.documents * (1 if asks else _WAVES_WITHOUT_MODEL)
    return Plan(stages, waves(counts, size, standing.pending), n_documents, n_pending, statuses)


def _counted(
    lake: Lake, run: Run, versions: dict[str, int], n_documents: int, asks: bool = False
) -> tuple[Standing, dict[int, tuple[int, bool]], dict[str, int]]:
    """Count documents by how they stand, once rows are gone that runs beside each other have doubled."""
    with planned_for(lake.spark, n_documents):
        # Those that others were seen to change; and all, where the numbers don't add up.
        for names in (lake.beside_others, TOLD_APART):
            if lake.settle(run.run_id, names):
                versions = versions | lake.versions(TOLD_APART)
            standing = Standing.of(lake, run, versions, asks)
            counts, statuses = standing.counts()
            if sum(n for n, _ in counts.values()) + sum(statuses.values()) == n_documents:
                break
    return standing, counts, statuses


@dataclass(frozen=True)
class Standing:
    """How documents stand under a recipe.

    Attributes:
        documents: rows of that table.
        refined: rows of that table.
        quarantined: `DOCUMENT_KEY` of those that are in quarantine under the recipe, and if they stay there.
        recipe_fingerprint: of the run.
        versions: of the tables.
    """

    documents: DataFrame
    refined: DataFrame
    quarantined: DataFrame
    recipe_fingerprint: str | None
    versions: dict[str, int]

    @classmethod
    def of(cls, lake: Lake, run: Run, versions: dict[str, int], asks: bool = False) -> Standing:
        """Read the tables.

        Args:
            lake: where they are.
            run: which recipe.
            versions: of the tables.
            asks: whether the run can ask a model: then those that a time-out or a failing server brought into quarantine are pending.
        """
        documents, refined, quarantine = (
            lake.read(name, versions[name]) for name in ("documents", "refined", "quarantine")
        )
        stays = F.lit(True) if not asks else ~F.col("reason").eqNullSafe(ReasonCode.REQUEST_TIMEOUT.value)
        mine = quarantine.where(F.col("recipe_fingerprint") == run.recipe_fingerprint)
        quarantined = mine.groupBy(*DOCUMENT_KEY).agg(F.max(stays).alias(_STAYS))
        return cls(documents, refined, quarantined, run.recipe_fingerprint, versions)

    def rows(self, buckets: Buckets = EVERY) -> DataFrame:
        """Return documents with `_STATUS`, null while pending, and `_REPLACED`, null unless `refined` has a row of theirs."""
        replaced = buckets.of(self.refined).select(
            "doc_id", F.struct("content_sha256", "recipe_fingerprint", "status").alias(_REPLACED)
        )
        row, stays = F.col(f"`{_REPLACED}`"), F.col(f"`{_STAYS}`")
        is_refined = (row["content_sha256"] == F.col("content_sha256")) & (
            row["recipe_fingerprint"] == self.recipe_fingerprint
        )
        # A document that is in both tables, for another run wrote beside this one, is not where it belongs: it is pending.
        status = F.when(is_refined & stays.isNull(), row["status"]).when(
            stays & row.isNull(), str(DocumentStatus.QUARANTINED)
        )
        return (
            buckets.of(self.documents)
            .join(replaced, on="doc_id", how="left")
            .join(self.quarantined, on=DOCUMENT_KEY, how="left")
            .withColumn(_STATUS, status)
        )

    def pending(self, buckets: Buckets = EVERY) -> DataFrame:
        """Return the documents of some buckets that are pending, in the columns of their table."""
        return self.rows(buckets).where(F.col(_STATUS).isNull()).select(*map(quoted, self.documents.columns))

    def counts(self) -> tuple[dict[int, tuple[int, bool]], dict[str, int]]:
        """Return the pending documents of each bucket, and if some replace a row of `refined`; and the others by status."""
        bucket = F.when(F.col(_STATUS).isNull(), bucket_of(F.col("doc_id")))
        rows = (
            self.rows()
            .groupBy(_STATUS, bucket.alias("bucket"))
            .agg(F.count("*").alias("n"), F.count(F.col(f"`{_REPLACED}`")).alias("n_replaced"))
            .collect()
        )
        pending = {row["bucket"]: (row["n"], row["n_replaced"] > 0) for row in rows if row[_STATUS] is None}
        others = {row[_STATUS]: row["n"] for row in rows if row[_STATUS] is not None}
        return pending, others


def waves(counts: Mapping[int, tuple[int, bool]], size: int, documents: Callable[[Buckets], DataFrame]) -> list[Wave]:
    """Cut documents into waves of a size: ranges of buckets with about the same number of documents in each.

    Args:
        counts: by bucket, how many documents, and if some of them replace a row of `refined`.
        size: documents in a wave; up to a bucket's more where they can't be cut evenly.
        documents: returns those of some buckets.
    """
    n_all = sum(n for n, _ in counts.values())
    n_waves = math.ceil(n_all / size)
    n_before, parts = 0, dict[int, list[int]]()
    for bucket in sorted(counts):
        parts.setdefault(n_before * n_waves // n_all, []).append(bucket)
        n_before += counts[bucket][0]
    return [
        Wave(
            number,
            len(parts),
            documents,
            Buckets(part[0], part[-1]) if len(parts) > 1 else EVERY,
            any(counts[bucket][1] for bucket in part),
        )
        for number, part in enumerate(parts.values())
    ]


def conserved(lake: Lake, run: Run, done: Plan, n_waiting: int = 0) -> dict[str, int]:
    """Every document has exactly one status under the recipe, also where other runs have written beside this one.

    Args:
        lake: its tables as they are now.
        run: which recipe, and which version of documents.
        done: what the run was about.
        n_waiting: documents that the run has said to be without a status, as `waiting`.

    Returns:
        Number of documents per status, most frequent first.

    Raises:
        ConservationError: some have none or two.
    """
    n_without, statuses = 0, done.statuses
    if done.n_pending:
        versions = run.versions_in | lake.versions((*TOLD_APART, schemas.QUARANTINE.name))
        _, pending, statuses = _counted(lake, run, versions, done.n_documents)
        n_without = sum(n for n, _ in pending.values())
    statuses = dict(sorted(statuses.items(), key=lambda item: (-item[1], item[0])))
    n_decided = sum(statuses.values())
    if n_without != n_waiting or n_decided + n_waiting != done.n_documents:
        raise ConservationError(
            f"{done.n_documents:,} documents went in, {n_decided:,} have a status: {statuses}, {n_without:,} have none"
            f"{f' where {n_waiting:,} wait' if n_waiting else ''}. "
            "The tables were changed by another writer during the run, or this is a bug; generations are kept, run again."
        )
    return statuses | ({"waiting": n_waiting} if n_waiting else {})
