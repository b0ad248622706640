"""Rows to Arrow batches under a Spark schema: one statement of a UDF's columns serves Spark and Arrow."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache

import pyarrow as pa
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema


def to_batch(rows: Sequence[Sequence[object]], schema: T.StructType) -> pa.RecordBatch:
    """A batch of rows.

    Args:
        rows: values in the order of the schema; structs as dicts, maps as lists of pairs.
        schema: of the UDF's result.
    """
    fields = _arrow(schema.json())
    columns = zip(*rows, strict=True) if rows else ([] for _ in fields)
    return pa.RecordBatch.from_arrays(
        [pa.array(c, f.type) for c, f in zip(columns, fields, strict=True)], schema=fields
    )


@lru_cache(maxsize=16)
def _arrow(schema_json: str) -> pa.Schema:
    return to_arrow_schema(T.StructType.fromJson(json.loads(schema_json)))
