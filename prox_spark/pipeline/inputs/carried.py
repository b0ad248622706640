"""Columns of the input beside our own: their types, their names, and how they fit the columns of the lake."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.errors import LakeError
from prox_spark.lake.columns import RESERVED
from prox_spark.pipeline.inputs.naming import KEY, WHOLE_RECORD, fold, name_columns
from prox_spark.readers.json_types import JsonType

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame

_JSON_OPTIONS = {
    # Jackson's own limits would make a longer or deeper record null; the readers have limits of their own.
    "maxStringLen": str((1 << 31) - 1),
    "maxNumLen": "100000",
    "maxNestingDepth": "5000",
    # By default Spark writes what it can't parse under a name that a key of the input may have.
    "columnNameOfCorruptRecord": "\x00 what cannot be parsed \x00",
}
_NUMBERS = {"integer": "number", "long": "number", "big": "number", "double": "number"}


@dataclass(frozen=True)
class CarriedJson:
    """The way in which the JSON of `carried` becomes columns.

    Attributes:
        types: types of all keys, over all records that are read.
        as_json: keys that the recipe wants as JSON text.
        max_keys: as in the recipe, for the messages of `list_notes`.
    """

    types: JsonType
    as_json: Sequence[str]
    max_keys: int

    def list_notes(self) -> list[str]:
        """Return notes on keys that are carried as JSON text, because no column has a type for all of their values."""
        if "wide" in self.types.kinds:
            return [
                f"the records have more than {self.max_keys:,} different keys (input.max_keys): each is carried as JSON text, in {WHOLE_RECORD}"
            ]
        absent = [key for key in self.as_json if self.types.fields and key not in self.types.fields]
        lost = [f"input.as_json: no record has a key {key!r}" for key in absent]
        return [*lost, *self._list_notes(self.types, "")]

    def _list_notes(self, seen: JsonType, above: str) -> Iterator[str]:
        for key, known in seen.fields.items():
            name = f"{above}{key}"
            kinds = known.kinds - {"null"}
            if "wide" in kinds:
                yield f"{name} has more than {self.max_keys:,} different keys (input.max_keys): carried as JSON text"
            elif isinstance(to_spark_type(known), T.StringType) and kinds - {"string"}:
                named = sorted({_NUMBERS.get(kind, kind) for kind in kinds})
                yield f"{name} is {' or '.join(named)}{'' if len(named) > 1 else ' of many digits'}: carried as text"
            else:
                yield from self._list_notes(known, f"{name}.")

    def parse(self, rows: DataFrame, table: T.StructType) -> DataFrame:
        """Turn `carried` from JSON into a struct that holds every value of the rows, under the names that the table has."""
        if "wide" in self.types.kinds:
            return rows.withColumn("carried", F.struct(F.col("carried").alias(WHOLE_RECORD)))
        if not self.types.fields:
            return rows.withColumn("carried", F.lit(None).cast("string"))
        ours = [field for field in table.fields if field.name not in RESERVED]
        found = _to_struct(self.types, T.StructType(ours))
        named = name_columns(self._rename_text_keys(found, table), table)
        return rows.withColumn("carried", F.from_json("carried", found, _JSON_OPTIONS).cast(named))

    def name(self, rows: DataFrame, table: T.StructType) -> DataFrame:
        """Rename the fields of `carried` to the names that the table has for them, if it is a struct, as in rows of tables."""
        found = rows.schema["carried"].dataType
        if not isinstance(found, T.StructType):
            return rows
        # A cast between structs goes by position, so it can change inner names.
        named = name_columns(self._rename_text_keys(found, table), table)
        return rows.withColumn("carried", F.col("carried").cast(named))

    def _rename_text_keys(self, found: T.StructType, table: T.StructType) -> T.StructType:
        """Rename keys that are to be carried as text although the table has them as another type."""
        # A key with the name of a column of ours, such as `metadata`, gets another name anyway.
        others = (f for f in table.fields if f.name not in RESERVED and not isinstance(f.dataType, T.StringType))
        typed = {field.metadata.get(KEY, field.name) for field in others}
        # No key of an input has such a name. The column becomes `meta_json`, for example.
        renamed = {key: f"{key}\x00json" for key in self.as_json if key in typed}
        return T.StructType([T.StructField(renamed.get(f.name, f.name), f.dataType) for f in found.fields])


def to_spark_type(seen: JsonType, table: T.DataType | None = None) -> T.DataType:
    """Return the narrowest type that holds all values as they are, or string for their JSON text if there is no such type.

    Args:
        seen: types of the values.
        table: type of the lake's column. If it is string, the values stay as the input writes them, with their keys.
    """
    kinds = seen.kinds - {"null"}
    if isinstance(table, T.StringType):
        return table
    if kinds == {"object"}:
        inner = table if isinstance(table, T.StructType) else T.StructType()
        if seen.fields:
            return _to_struct(seen, inner)
        # An object without fields fits any struct.
        return _restore_keys(inner) if inner.fields else T.StringType()
    if kinds == {"array"}:
        element = table.elementType if isinstance(table, T.ArrayType) else None
        return T.ArrayType(to_spark_type(seen.element or JsonType(), element))
    if kinds == {"boolean"}:
        return T.BooleanType()
    if kinds and kinds <= {"integer", "long"}:
        return T.LongType()
    if kinds and kinds <= {"integer", "double"}:
        return T.DoubleType()
    return T.StringType()


def _to_struct(seen: JsonType, table: T.StructType) -> T.StructType:
    kinds = {field.metadata.get(KEY, field.name): field.dataType for field in table.fields}
    # The order tells apart names that collide, so it must not depend on which file came first.
    fields = sorted(seen.fields.items())
    return T.StructType([T.StructField(key, to_spark_type(known, kinds.get(key))) for key, known in fields])


def _restore_keys(table: T.StructType) -> T.StructType:
    """Return a struct of the lake with the input's own keys as names."""
    return T.StructType(
        [T.StructField(f.metadata.get(KEY, f.name), _restore_keys_within(f.dataType)) for f in table.fields]
    )


def _restore_keys_within(kind: T.DataType) -> T.DataType:
    if isinstance(kind, T.StructType):
        return _restore_keys(kind)
    return T.ArrayType(_restore_keys_within(kind.elementType)) if isinstance(kind, T.ArrayType) else kind


def fit_to(table: DataFrame, rows: DataFrame, check: bool) -> DataFrame:
    """Replace `carried` by its fields as columns. Those that the table already has get the table's types.

    Args:
        table: the documents table as it is.
        rows: rows with `carried` as a struct or a null string.
        check: True to look at all values where types differ.

    Raises:
        LakeError: the type of the table's column can't hold a value.
    """
    carried = rows.schema["carried"].dataType
    if not isinstance(carried, T.StructType):
        return rows.drop("carried")
    existing = {fold(field.name): field for field in table.schema.fields}
    columns, lost = {}, {}
    for field in carried.fields:
        value, old = F.col("carried").getField(field.name), existing.get(fold(field.name))
        name = old.name if old else field.name
        columns[name] = value
        if old and not _is_same(field.dataType, old.dataType):
            columns[name] = _fit(value, field.dataType, old.dataType)
            lost[name] = (field, old.dataType, _is_lost(value, field.dataType, old.dataType))
    if lost and check:
        _check_nothing_lost(rows, lost)
    # Selected instead of added, because a column of the input may itself be called `carried`.
    others = [name for name in rows.columns if name != "carried"]
    return rows.select(*others, *(value.alias(name) for name, value in columns.items()))


def _check_nothing_lost(rows: DataFrame, columns: dict[str, tuple[T.StructField, T.DataType, Column]]) -> None:
    found = rows.agg(*(F.max(loses).alias(name) for name, (_, _, loses) in columns.items())).first()
    for name, (field, old, _) in columns.items():
        if found is not None and found[name]:
            new, key = field.dataType, field.metadata.get(KEY, name)
            raise LakeError(
                f"column {name} of the lake's documents is {_describe_type(old)}, and the input has values of type "
                f"{_describe_type(new)} in it that {_describe_type(old)} can't hold. Set input.as_json=[{key}], which "
                f"carries these values as JSON text in {name}_json; else rename it in the input, or ingest into another lake. "
                "Nothing was written."
            )


def _fit(value: Column, new: T.DataType, old: T.DataType) -> Column:
    """Return the value as the old type, its fields in the old order. Fields that only the new type has follow, for Delta to add."""
    if isinstance(new, T.StructType) and isinstance(old, T.StructType):
        news = {fold(field.name): field for field in new.fields}
        fields = []
        for known in old.fields:
            field = news.pop(fold(known.name), None)
            if field:
                inner = _fit(value.getField(field.name), field.dataType, known.dataType)
            else:
                inner = F.lit(None).cast(known.dataType)
            fields.append(inner.alias(known.name))
        fields += [value.getField(field.name).alias(field.name) for field in news.values()]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(new, T.ArrayType) and isinstance(old, T.ArrayType):
        return F.transform(value, _bind_types(_fit, new.elementType, old.elementType))
    if isinstance(new, T.MapType) and isinstance(old, T.MapType) and new.keyType == old.keyType:
        fit = _bind_types(_fit, new.valueType, old.valueType)
        return F.transform_values(value, lambda _, item: fit(item))
    if isinstance(old, T.StringType) and _is_nested(new):
        return F.to_json(value)
    return value if _is_same(new, old) else _try_cast(value, new, old)


def _is_lost(value: Column, new: T.DataType, old: T.DataType) -> Column:
    """Return True for a value that `_fit` changes: it does not come back from the old type as it was."""
    if isinstance(new, T.StructType) and isinstance(old, T.StructType):
        olds = {fold(field.name): field.dataType for field in old.fields}
        parts = [
            _is_lost(value.getField(field.name), field.dataType, olds[fold(field.name)])
            for field in new.fields
            if fold(field.name) in olds
        ]
        return F.greatest(F.lit(False), F.lit(False), *parts)
    if isinstance(new, T.ArrayType) and isinstance(old, T.ArrayType):
        return F.coalesce(F.exists(value, _bind_types(_is_lost, new.elementType, old.elementType)), F.lit(False))
    if isinstance(new, T.MapType) and isinstance(old, T.MapType) and new.keyType == old.keyType:
        loses = _bind_types(_is_lost, new.valueType, old.valueType)
        return F.coalesce(F.exists(F.map_values(value), loses), F.lit(False))
    if _is_same(new, old) or (isinstance(old, T.StringType) and _is_nested(new)):
        return F.lit(False)
    if _is_nested(new) or _is_nested(old):
        return value.isNotNull()
    there = _try_cast(value, new, old)
    return value.isNotNull() & ~_try_cast(there, old, new).eqNullSafe(value)


def _bind_types(
    function: Callable[[Column, T.DataType, T.DataType], Column], new: T.DataType, old: T.DataType
) -> Callable[[Column], Column]:
    return lambda value: function(value, new, old)


def _try_cast(value: Column, have: T.DataType, want: T.DataType) -> Column:
    """Return the value as another type, and null if it is no value of that type. A nested type always gives null."""
    if _is_nested(have) or _is_nested(want):
        return F.lit(None).cast(want)
    # Spark 4.0 has try_cast, and its cast raises. In 3.5 cast gives null.
    return value.try_cast(want) if hasattr(type(value), "try_cast") else value.cast(want)


def _is_same(new: T.DataType, old: T.DataType) -> bool:
    """Return True if both types hold the same values. Their metadata and whether they allow nulls don't count."""
    return bool(new.simpleString() == old.simpleString())


def _is_nested(kind: T.DataType) -> bool:
    return isinstance(kind, (T.StructType, T.ArrayType, T.MapType))


def _describe_type(kind: T.DataType) -> str:
    name = kind.simpleString()
    return name if len(name) < 200 else f"{name[:200]}…"
