"""Arrow arrays of rows, structs and lists. A UDF states its columns once, as a Spark schema, for Spark and Arrow."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray
from pyspark.sql import types as T

from prox_spark.spark_versions import to_arrow_schema

Numbers = NDArray[np.int64]
Flags = NDArray[np.bool_]


def to_batch(rows: Sequence[Sequence[object]], schema: T.StructType) -> pa.RecordBatch:
    """Return rows as a batch.

    Args:
        rows: values in the order of the schema; structs as dicts, maps as lists of pairs.
        schema: schema of the UDF's result.
    """
    columns = zip(*rows, strict=True) if rows else ([] for _ in schema.names)
    return to_batch_of_columns(dict(zip(schema.names, columns, strict=True)), schema)


def to_batch_of_columns(columns: Mapping[str, Iterable[object]], schema: T.StructType) -> pa.RecordBatch:
    """Return columns as a batch.

    Args:
        columns: columns by name, in any order: Arrow arrays of the schema's type, or values as `to_batch` takes them.
        schema: schema of the UDF's result.
    """
    fields = _make_arrow_schema(schema.json())
    arrays = (columns[field.name] for field in fields)
    return pa.RecordBatch.from_arrays(
        [a if isinstance(a, pa.Array) else pa.array(a, f.type) for a, f in zip(arrays, fields, strict=True)],
        schema=fields,
    )


def hash_texts(texts: pa.StringArray) -> list[str | None]:
    """Return the SHA-256 of each text's UTF-8 bytes, hex; None for null. The bytes are hashed without copying them."""
    offsets = np.frombuffer(texts.buffers()[1], np.int32)[texts.offset : texts.offset + len(texts) + 1].tolist()
    data = memoryview(texts.buffers()[2] or b"")
    there = texts.is_valid().to_pylist()
    return [
        hashlib.sha256(data[begin:end]).hexdigest() if is_there else None
        for begin, end, is_there in zip(offsets, offsets[1:], there, strict=False)
    ]


def flatten(lists: pa.Array) -> tuple[Numbers, pa.Array]:
    """Return the values of all lists, and for each value the number of its list."""
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    return np.repeat(np.arange(len(lists)), lengths), pc.list_flatten(lists)


def make_lists(kind: pa.ListType, owners: Numbers, n: int, values: pa.Array) -> pa.ListArray:
    """Return one list for each of n owners; the values are in the order of their owners."""
    offsets = np.searchsorted(owners, np.arange(n + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(offsets), values, type=kind)


def make_structs(kind: pa.StructType, columns: Mapping[str, Any]) -> pa.StructArray:
    """Return structs of columns by name; a column is an Arrow array or convertible to one, and is cast to the field's type."""
    arrays = []
    for one in kind:
        column = columns[one.name]
        column = column if isinstance(column, pa.Array) else pa.array(column)
        arrays.append(column if column.type == one.type else column.cast(one.type))
    return pa.StructArray.from_arrays(arrays, fields=list(kind))


def to_numbers(array: pa.Array) -> Numbers:
    """Return an array of integers as int64, 0 for null."""
    return array.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)


def to_flags(array: pa.Array) -> Flags:
    """Return an array of booleans, False for null."""
    return array.fill_null(False).to_numpy(zero_copy_only=False)


@lru_cache(maxsize=16)
def _make_arrow_schema(schema_json: str) -> pa.Schema:
    return to_arrow_schema(T.StructType.fromJson(json.loads(schema_json)))
