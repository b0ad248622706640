"""The reader of Parquet from any writer. It makes one schema of many files, casts types that Spark lacks, and names damage."""

from prox_spark.readers.parquet.pieces import Piece, Rows
from prox_spark.readers.parquet.plan import Layout, ParquetFolder, ReadPlan, plan_reading

__all__ = ["Layout", "ParquetFolder", "Piece", "ReadPlan", "Rows", "plan_reading"]
