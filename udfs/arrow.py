"""Rows to Arrow batches under a Spark schema: one statement of a UDF's columns serves Spark and Arrow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
import pyarrow as pa
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_schema


def to_batch(rows: Sequence[Sequence[object]], schema: T.StructType) -> pa.RecordBatch:
    """A batch of rows.

    Args:
        rows: values in the order of the schema; structs as dicts, maps as lists of pairs.
        schema: of the UDF's result.
    """
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema.names)
    return to_columns(dict(zip(schema.names, columns, strict=True)), schema)


def to_columns(columns: Mapping[str, Iterable[object]], schema: T.StructType) -> pa.RecordBatch:
    """Return a batch of columns.

    Args:
        columns: by name, in any order: Arrow arrays of the schema's type, or values as `to_batch` takes them.
        schema: of the UDF's result.
    """
    fields = _arrow(schema.json())
    arrays = (columns[field.name] for field in fields)
    return pa.RecordBatch.from_arrays(
        [a if isinstance(a, pa.Array) else pa.array(a, f.type) for a, f in zip(arrays, fields, strict=True)],
        schema=fields,
    )


def hash_texts(texts: pa.StringArray) -> list[str | None]:
    """Return the SHA-256 of each text's UTF-8 bytes, hex; None for null. The bytes are hashed where they lie."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].tolist()
    data = memoryview(texts.buffers()[2] or b"")
    there = texts.is_valid().to_pylist()
    return [
        hashlib.sha256(data[begin:end]).hexdigest() if is_there else None
        for begin, end, is_there in zip(offsets, offsets[1:], there, strict=False)
    ]


@lru_cache(maxsize=16)
def _arrow(schema_json: str) -> pa.Schema:
    return to_arrow_schema(T.StructType.fromJson(json.loads(schema_json)))
