"""Values without parts, wherever in an array they are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.types as pat

from prox_spark.readers.parquet import kinds


def change_leaves(array: Any, change: Callable[[Any], Any]) -> Any:
    """Return an array with the values in it changed that have no parts.

    Args:
        array: without what Arrow adds to types, see `casts.unwrap_array`.
        change: from an array without parts to another of its type.
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
    """Return the lists or maps of an array with other values in them.

    Args:
        array: of lists or maps.
        kind: the type of the result, list or map.
        parts: the values; of maps the keys and the values.
    """
    if pat.is_map(kind):
        values = pa.StructArray.from_arrays(parts, fields=[kind.key_field, kind.item_field])
    else:
        (values,) = parts
    # `from_arrays` takes nulls in the offsets, and then adds what lies under a null to the list before it.
    offsets = pa.array(array.offsets.to_numpy(), pa.int64() if pat.is_large_list(kind) else pa.int32())
    validity = array.is_valid().buffers()[1] if array.null_count else None
    return pa.Array.from_buffers(
        kind, len(array), [validity, offsets.buffers()[1]], null_count=array.null_count, children=[values]
    )
