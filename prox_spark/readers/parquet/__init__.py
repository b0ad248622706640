"""Parquet as any writer makes it: columns of many files as one schema, types that Spark has not, what is damaged named."""

from prox_spark.readers.parquet.pieces import Piece, Rows
from prox_spark.readers.parquet.plan import Layout, ParquetFolder, ReadPlan, plan_reading

__all__ = ["Layout", "ParquetFolder", "Piece", "ReadPlan", "Rows", "plan_reading"]
