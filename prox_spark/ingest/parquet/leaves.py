"""Values without parts, wherever in an array they are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from prox_spark.ingest.parquet import kinds


def change_leaves(array: Any, change: Callable[[Any], Any]) -> Any:
    """Return an array with the values in it changed that have no parts.

    Args:
        array: without what Arrow adds to types, see `casts.flat`.
        change: from an array without parts to another of its type.
    """
    kind = array.type
    if pat.is_struct(kind):
        parts = [change_leaves(array.field(place), change) for place in range(kind.num_fields)]
        mask = array.is_null() if array.null_count else None
        return pa.StructArray.from_arrays(parts, fields=list(kind), mask=mask)
    if pat.is_map(kind):
        keys, items = (change_leaves(part, change) for part in (array.keys, array.items))
        return pa.MapArray.from_arrays(offsets(array), keys, items).cast(kind)
    if kinds.is_list(kind):
        return type(array).from_arrays(offsets(array), change_leaves(array.values, change), type=kind)
    return change(array)


def offsets(array: Any) -> Any:
    """Return where the lists or maps of an array begin in its values; null where there is none."""
    if not array.null_count:
        return array.offsets
    is_there = pa.concat_arrays([array.is_valid(), pa.array([True])])
    return pc.if_else(is_there, array.offsets, pa.scalar(None, array.offsets.type))
