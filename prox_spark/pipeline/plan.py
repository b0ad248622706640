"""Which documents a run is about, in which waves, and whether all of them came out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.buckets import EVERY, Buckets, bucket_of
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
        n_pending: their number.
    """

    stages: RefinerStages
    waves: list[Wave]
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
        pending = Pending.of(lake, run, asks)
        counts = pending.per_bucket()
        n_pending = sum(n for n, _ in counts.values())
        LOG.info("plan: %s documents to %s", f"{n_pending:,}", run.command)
    return Plan(stages, waves(counts, run.recipe.waves.documents, pending.documents), n_pending)


@dataclass(frozen=True)
class Pending:
    """Documents at the pinned version without a row in `refined` or `quarantine` for their text and the recipe.

    Attributes:
        all_documents: rows of `documents`.
        refined: rows of that table.
        quarantined: rows of `quarantine` that stand.
        recipe_fingerprint: of the run.
    """

    all_documents: DataFrame
    refined: DataFrame
    quarantined: DataFrame
    recipe_fingerprint: str | None

    @classmethod
    def of(cls, lake: Lake, run: Run, asks: bool) -> Pending:
        """Read the tables.

        Args:
            lake: where they are.
            run: which versions of the tables, and which recipe.
            asks: whether the run can ask a model: then those that a time-out or a failing server brought into quarantine are pending
                too.
        """
        documents, refined, quarantine = (
            lake.read(name, run.versions_in[name]) for name in ("documents", "refined", "quarantine")
        )
        quarantined = quarantine.where(F.col("recipe_fingerprint") == run.recipe_fingerprint)
        if asks:
            quarantined = quarantined.where(F.col("reason") != ReasonCode.REQUEST_TIMEOUT.value)
        return cls(documents, refined, quarantined.select(*DOCUMENT), run.recipe_fingerprint)

    def documents(self, buckets: Buckets = EVERY) -> DataFrame:
        """Return those of some buckets."""
        refined = buckets.of(self.refined)
        done = refined.where(F.col("recipe_fingerprint") == self.recipe_fingerprint).select(*DOCUMENT)
        # With a row in `refined`, of another recipe or text, it is not yet where it belongs: in quarantine alone.
        quarantined = self.quarantined.join(refined.select("doc_id"), on="doc_id", how="left_anti")
        return buckets.of(self.all_documents).join(done.unionByName(quarantined), on=DOCUMENT, how="left_anti")

    def per_bucket(self) -> dict[int, tuple[int, bool]]:
        """Return for each bucket how many documents are pending, and if some of them replace a row of `refined`."""
        replaced = self.refined.select("doc_id", F.lit(True).alias("is_replaced"))
        rows = (
            self.documents()
            .select("doc_id", bucket_of(F.col("doc_id")).alias("bucket"))
            .join(replaced, on="doc_id", how="left")
            .groupBy("bucket")
            .agg(F.count("*").alias("n"), F.count("is_replaced").alias("n_replaced"))
            .collect()
        )
        return {row["bucket"]: (row["n"], row["n_replaced"] > 0) for row in rows}


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
