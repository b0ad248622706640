"""Frames and columns that every reader and writer of the tables needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.places import absolute, is_table_name

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def read_delta(spark: SparkSession, place: str) -> DataFrame:
    """Read a Delta table by its name in a catalog (of three parts on Databricks), its path or its URI.

    Raises:
        AnalysisException: there is none.
    """
    return spark.read.table(place) if is_table_name(place) else spark.read.format("delta").load(absolute(place))


def quarantine_id(*parts: Column) -> Column:
    """Return the key of a quarantine row: the SHA-256 over what identifies it, so that the same finding is stored once."""
    return F.sha2(F.concat_ws("\x1f", *(F.coalesce(part.cast("string"), F.lit("\x00")) for part in parts)), 256)
