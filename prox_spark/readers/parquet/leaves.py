"""Changes to the leaf values of nested arrays."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from prox_spark.readers.parquet import kinds


def change_leaves(array: Any, change: Callable[[Any], Any]) -> Any:
    """Return an array with its leaf values changed.

    Args:
        array: values as `casts.unwrap_array` returns them.
        change: takes an array of leaf values and returns another of the same type.
    """
    kind = array.type
    if pat.is_struct(kind):
        parts = [change_leaves(array.field(place), change) for place in range(kind.num_fields)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)
    if pat.is_map(kind):
        return replace_parts(array, kind, [change_leaves(part, change) for part in (array.keys, array.items)])
    if kinds.is_list(kind):
        return replace_parts(array, kind, [change_leaves(array.values, change)])
    return change(array)


def replace_parts(array: Any, kind: Any, parts: Sequence[Any]) -> Any:
    """Return the lists or maps of an array with their values replaced.

    Args:
        array: lists or maps.
        kind: type of the result, list or map.
        parts: the values; for maps the keys and the values.
    """
    if pat.is_map(kind):
        values = pa.StructArray.from_arrays(parts, fields=[kind.key_field, kind.item_field])
    else:
        (values,) = parts
    # `from_arrays` marks nulls in the offsets, which adds the values under a null to the list before it.
    offsets = pa.array(array.offsets.to_numpy(), pa.int64() if pat.is_large_list(kind) else pa.int32())
    validity = array.is_valid().buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(
        kind, len(array), [validity, offsets.buffers()[1]], null_count=array.null_count, children=[values]
    )
