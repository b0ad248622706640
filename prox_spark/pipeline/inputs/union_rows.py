"""Rows of several tables as one frame, whatever columns each of them carries."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T
from pyspark.sql.pandas.types import from_arrow_type

from prox_spark.readers.parquet.unify import Seen, unify
from prox_spark.spark_versions import to_arrow_type

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame


def union_rows(frames: Sequence[tuple[str, DataFrame]], notes: list[str]) -> DataFrame:
    """Return the rows of all frames with one type of `carried`, which holds the values of each.

    Args:
        frames: at least one, in the columns of `prox_spark.udfs.ingest.ROWS` with `carried` as a struct or a null string; each with
            its name for notes.
        notes: gets a sentence for each value that is carried as another type than a frame has it.
    """
    types = [frame.schema["carried"].dataType for _, frame in frames]
    if all(kind == types[0] for kind in types):
        return reduce(lambda a, b: a.unionByName(b), (frame for _, frame in frames))
    seen: dict[str, list[Seen]] = {}
    for (name, _), kind in zip(frames, types, strict=True):
        for field in kind.fields if isinstance(kind, T.StructType) else ():
            seen.setdefault(field.name, []).append(Seen(to_arrow_type(field.dataType), name))
    carried = T.StructType(
        [T.StructField(name, from_arrow_type(unify(name, kinds, notes))) for name, kinds in seen.items()]
    )
    fitted = (
        frame.withColumn("carried", _cast(F.col("carried"), kind, carried))
        for (_, frame), kind in zip(frames, types, strict=True)
    )
    return reduce(lambda a, b: a.unionByName(b), fitted)


def _cast(value: Column, have: T.DataType, want: T.DataType) -> Column:
    """Return a value as the type that `unify` found for it."""
    if have == want:
        return value
    if isinstance(have, T.StructType) and isinstance(want, T.StructType):
        return F.when(value.isNotNull(), F.struct(*_cast_fields(value, have, want)))
    if isinstance(have, T.ArrayType) and isinstance(want, T.ArrayType):
        return F.transform(value, _make_cast(have.elementType, want.elementType))
    if isinstance(have, T.MapType) and isinstance(want, T.MapType) and have.keyType == want.keyType:
        cast_value = _make_cast(have.valueType, want.valueType)
        return F.transform_values(value, lambda _, item: cast_value(item))
    if isinstance(have, (T.StructType, T.ArrayType, T.MapType)):
        return F.to_json(value)
    return F.lit(None).cast(want) if isinstance(want, T.StructType) else value.cast(want)


def _make_cast(have: T.DataType, want: T.DataType) -> Callable[[Column], Column]:
    return lambda value: _cast(value, have, want)


def _cast_fields(value: Column, have: T.StructType, want: T.StructType) -> list[Column]:
    # Numbers for names, because Spark can't tell apart two names that differ in letter case only. A cast goes by position.
    numbered = value.cast(T.StructType([T.StructField(f"_{n}", f.dataType) for n, f in enumerate(have.fields)]))
    places = {field.name: n for n, field in enumerate(have.fields)}
    fields = []
    for field in want.fields:
        place = places.get(field.name)
        if place is None:
            fields.append(F.lit(None).cast(field.dataType).alias(field.name))
        else:
            there = numbered.getField(f"_{place}")
            fields.append(_cast(there, have.fields[place].dataType, field.dataType).alias(field.name))
    return fields
