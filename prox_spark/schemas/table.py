"""What the schemas of all tables are made of."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import types as T


def field(name: str, data_type: T.DataType, comment: str) -> T.StructField:
    """A column with its comment; every column may be null."""
    return T.StructField(name, data_type, True, {"comment": comment})


N_BUCKETS = 1 << 16

BUCKET = field(
    "doc_bucket",
    T.IntegerType(),
    "pmod(xxhash64(doc_id), 65536): what a wave is a range of, and the order in which ingest writes rows; null in rows of an older lake",
)


@dataclass(frozen=True)
class Table:
    """A table's name, schema and the columns that identify a row."""

    name: str
    schema: T.StructType
    key: tuple[str, ...]

    @property
    def columns(self) -> list[str]:
        """Column names in order."""
        return self.schema.names
