"""How documents stand under a recipe: refined, quarantined or pending."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.errors import ReasonCode
from prox_spark.frames import planned_for
from prox_spark.lake.buckets import EVERY, Buckets, bucket_of
from prox_spark.lake.lake import Lake
from prox_spark.lake.tables import TOLD_APART
from prox_spark.pipeline.inputs.naming import quote
from prox_spark.programs import DocumentStatus
from prox_spark.schemas import DOCUMENT_KEY

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

# Columns beside those of documents, which may have any name.
_STATUS = "status of the document"
_REPLACED = "row of refined"
_STAYS = "stays in quarantine"


@dataclass(frozen=True)
class Standing:
    """How documents stand under a recipe.

    Attributes:
        documents: rows of that table.
        refined: rows of that table.
        quarantined: `DOCUMENT_KEY` of the documents that are in quarantine under the recipe, and whether they stay there.
        recipe_fingerprint: of the recipe.
    """

    documents: DataFrame
    refined: DataFrame
    quarantined: DataFrame
    recipe_fingerprint: str

    @classmethod
    def of(cls, lake: Lake, recipe_fingerprint: str, versions: Mapping[str, int], asks: bool = False) -> Standing:
        """Read the tables.

        Args:
            lake: with the tables.
            recipe_fingerprint: of the recipe.
            versions: of the tables.
            asks: True if the run can ask a model. Then documents are pending whose request timed out or whose server failed.
        """
        documents, refined, quarantine = (
            lake.read(name, versions[name]) for name in ("documents", "refined", "quarantine")
        )
        stays = F.lit(True) if not asks else ~F.col("reason").eqNullSafe(ReasonCode.REQUEST_TIMEOUT.value)
        of_recipe = quarantine.where(F.col("recipe_fingerprint") == recipe_fingerprint)
        quarantined = of_recipe.groupBy(*DOCUMENT_KEY).agg(F.max(stays).alias(_STAYS))
        return cls(documents, refined, quarantined, recipe_fingerprint)

    def rows(self, buckets: Buckets = EVERY) -> DataFrame:
        """Return documents with `_STATUS`, null while pending, and `_REPLACED`, null if `refined` has no row of the document."""
        replaced = buckets.of(self.refined).select(
            "doc_id", F.struct("content_sha256", "recipe_fingerprint", "status").alias(_REPLACED)
        )
        row, stays = F.col(f"`{_REPLACED}`"), F.col(f"`{_STAYS}`")
        is_refined = (row["content_sha256"] == F.col("content_sha256")) & (
            row["recipe_fingerprint"] == self.recipe_fingerprint
        )
        # A document that is in both tables, because another run wrote beside this one, is pending.
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
        """Return the pending documents of some buckets, in the columns of their table."""
        return self.rows(buckets).where(F.col(_STATUS).isNull()).select(*map(quote, self.documents.columns))

    def count(self) -> Counts:
        """Count documents by how they stand."""
        bucket = F.when(F.col(_STATUS).isNull(), bucket_of(F.col("doc_id")))
        rows = (
            self.rows()
            .groupBy(_STATUS, bucket.alias("bucket"))
            .agg(F.count("*").alias("n"), F.count(F.col(f"`{_REPLACED}`")).alias("n_replaced"))
            .collect()
        )
        return Counts(
            {row["bucket"]: (row["n"], row["n_replaced"] > 0) for row in rows if row[_STATUS] is None},
            {row[_STATUS]: row["n"] for row in rows if row[_STATUS] is not None},
        )


@dataclass(frozen=True)
class Counts:
    """Numbers of documents by how they stand.

    Attributes:
        pending: by bucket, how many are pending, and whether some of these replace a row of `refined`.
        statuses: by status, how many have one.
    """

    pending: dict[int, tuple[int, bool]]
    statuses: dict[str, int]

    @property
    def n_pending(self) -> int:
        """Number of pending documents."""
        return sum(n for n, _ in self.pending.values())

    @property
    def n_decided(self) -> int:
        """Number of documents with a status."""
        return sum(self.statuses.values())


@dataclass(frozen=True)
class Settled:
    """How documents stand once no row is doubled.

    Attributes:
        counts: of all documents.
        versions: of the tables.
        pending: returns the pending documents of some buckets.
    """

    counts: Counts
    versions: dict[str, int]
    pending: Callable[[Buckets], DataFrame]


def count_settled(
    lake: Lake, run_id: str, recipe_fingerprint: str, versions: dict[str, int], n_documents: int, asks: bool = False
) -> Settled:
    """Count documents by how they stand, after removing rows that concurrent runs have doubled.

    Args:
        lake: with the tables.
        run_id: goes into the commits that remove rows.
        recipe_fingerprint: of the recipe.
        versions: of the tables.
        n_documents: of the lake.
        asks: see `Standing.of`.
    """
    with planned_for(lake.spark, n_documents):
        # First the tables that others were seen to change, then all of them if the numbers don't add up.
        for names in (lake.beside_others, TOLD_APART):
            if lake.settle(run_id, names):
                versions = versions | lake.versions(TOLD_APART)
            standing = Standing.of(lake, recipe_fingerprint, versions, asks)
            counts = standing.count()
            if counts.n_pending + counts.n_decided == n_documents:
                break
    return Settled(counts, versions, standing.pending)
