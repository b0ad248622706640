"""Buckets of documents by a hash of their ids. Files of the tables are in their order, and waves are ranges of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.schemas import BUCKET, N_BUCKETS

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


@dataclass(frozen=True)
class Buckets:
    """A range of buckets.

    Attributes:
        first: from 0.
        last: included.
    """

    first: int = 0
    last: int = N_BUCKETS - 1

    def of(self, rows: DataFrame) -> DataFrame:
        """Return the rows of a table that are in the range. Its bounds are literals, so Delta skips files and Parquet pages.

        Args:
            rows: of a table with `doc_id`. Rows of an older lake have no bucket or no such column.
        """
        if self == EVERY:
            return rows
        by_hash = bucket_of(F.col("doc_id")).between(self.first, self.last)
        if BUCKET.name not in rows.columns:
            return rows.where(by_hash)
        bucket = F.col(BUCKET.name)
        return rows.where(bucket.between(self.first, self.last) | (bucket.isNull() & by_hash))

    def condition(self, alias: str = "") -> str:
        """Return the SQL condition that holds for rows in the range and for rows without a bucket.

        Args:
            alias: of the table in a MERGE.
        """
        if self == EVERY:
            return "TRUE"
        bucket = f"{alias}.{BUCKET.name}" if alias else BUCKET.name
        return f"({bucket} BETWEEN {self.first} AND {self.last} OR {bucket} IS NULL)"


EVERY = Buckets()


def bucket_of(doc_id: Column) -> Column:
    """Return the bucket of a document, 0 to `N_BUCKETS` - 1."""
    return F.pmod(F.xxhash64(doc_id), F.lit(N_BUCKETS)).cast("int")
