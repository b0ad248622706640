"""Frames and columns that every reader and writer of the tables needs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa
from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema

from prox_spark.places import absolute, is_table_name

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def to_frame(spark: SparkSession, rows: Sequence[Mapping[str, object]], schema: T.StructType) -> DataFrame:
    """Return a frame of a few rows that are part of its plan, so that no Python worker is needed for them.

    Args:
        spark: the session.
        rows: values by column, with structs as dicts and maps as lists of pairs.
        schema: of the frame.
    """
    return spark.createDataFrame(pa.Table.from_pylist(list(rows), to_arrow_schema(schema)), schema)


def read_delta(spark: SparkSession, place: str) -> DataFrame:
    """Read a Delta table by its name in a catalog (of three parts on Databricks), its path or its URI.

    Raises:
        AnalysisException: there is none.
    """
    return spark.read.table(place) if is_table_name(place) else spark.read.format("delta").load(absolute(place))


def quarantine_id(*parts: Column) -> Column:
    """Return the key of a quarantine row: the SHA-256 over what identifies it, so that the same finding is stored once."""
    return F.sha2(F.concat_ws("\x1f", *(F.coalesce(part.cast("string"), F.lit("\x00")) for part in parts)), 256)
