"""Parts of every schema: columns, the hash bucket, and tables."""

from __future__ import annotations

from dataclasses import dataclass

from pyspark.sql import types as T


def field(name: str, data_type: T.DataType, comment: str) -> T.StructField:
    """Return a column with its comment; every column may be null."""
    return T.StructField(name, data_type, True, {"comment": comment})


N_BUCKETS = 1 << 16

BUCKET = field(
    "doc_bucket",
    T.IntegerType(),
    "pmod(xxhash64(doc_id), 65536); a wave is a range of buckets, and ingest writes rows in their order; null in rows "
    "of an older lake",
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
