"""Columns of Spark in types that the lake's tables may have: those that every reader of Delta knows, of any version."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

if TYPE_CHECKING:
    from pyspark.sql import Column

    # Returns the function that changes the values of a type, or None if they stay as they are.
    Change = Callable[[T.DataType], Callable[[Column], Column] | None]

# Spark has these types from 4.0 and 3.4 on. In an older one no column has such a type.
_VARIANT = getattr(T, "VariantType", ())
_WITHOUT_ZONE = getattr(T, "TimestampNTZType", ())
_KEPT = (T.BooleanType, T.BinaryType, T.DateType, T.TimestampType, T.NumericType, T.UserDefinedType)


def fit_type(value: Column, kind: T.DataType) -> Column:
    """Return a column as a type that the lake's tables have.

    A VARIANT becomes JSON text. A timestamp without a zone becomes an instant of UTC, whatever the session's zone. Times,
    intervals and columns of the type of null become strings. A string with a collation or a length loses it.

    Args:
        value: the column.
        kind: its type.
    """
    return change_leaves(value, kind, _choose_fit)


def change_leaves(value: Column, kind: T.DataType, change: Change) -> Column:
    """Return a column with changed leaves: the values in it that are neither structs nor arrays nor maps.

    Args:
        value: the column.
        kind: its type.
        change: returns, for the type of a leaf, the function that changes it, or None.
    """
    if not _is_changed(kind, change):
        return value
    if isinstance(kind, T.StructType):
        # Numbers for names, because Spark can't tell apart two names that differ in letter case only. A cast goes by position.
        numbered = value.cast(T.StructType([T.StructField(f"_{n}", f.dataType) for n, f in enumerate(kind.fields)]))
        fields = (
            change_leaves(numbered.getField(f"_{n}"), field.dataType, change).alias(field.name)
            for n, field in enumerate(kind.fields)
        )
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(kind, T.ArrayType):
        element = kind.elementType
        return F.transform(value, lambda item: change_leaves(item, element, change))
    if isinstance(kind, T.MapType):
        key, item = kind.keyType, kind.valueType
        entries = F.transform(
            F.map_entries(value),
            lambda pair: F.struct(change_leaves(pair["key"], key, change), change_leaves(pair["value"], item, change)),
        )
        return F.map_from_entries(entries)
    changed = change(kind)
    return changed(value) if changed else value


def _is_changed(kind: T.DataType, change: Change) -> bool:
    if isinstance(kind, T.StructType):
        return any(_is_changed(field.dataType, change) for field in kind.fields)
    if isinstance(kind, T.ArrayType):
        return _is_changed(kind.elementType, change)
    if isinstance(kind, T.MapType):
        return _is_changed(kind.keyType, change) or _is_changed(kind.valueType, change)
    return change(kind) is not None


def _choose_fit(kind: T.DataType) -> Callable[[Column], Column] | None:
    if isinstance(kind, _KEPT) or kind == T.StringType():
        return None
    if isinstance(kind, _VARIANT):
        return F.to_json
    return _to_instant if isinstance(kind, _WITHOUT_ZONE) else to_string


def to_string(value: Column) -> Column:
    """Return the value as Spark writes it."""
    return value.cast("string")


def _to_instant(value: Column) -> Column:
    # A cast would use the session's zone, in which hours are missing where clocks were put forward.
    seconds = F.extract(F.lit("SECOND"), value)
    parts = (F.year(value), F.month(value), F.day(value), F.hour(value), F.minute(value), seconds)
    return F.make_timestamp_ltz(*parts, F.lit("UTC"))
