"""Columns of the input that are not ours: typed, named, and fitted to what the lake has."""

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
    # Jackson's own limits would make a record null that has more; the readers have theirs.
    "maxStringLen": str((1 << 31) - 1),
    "maxNumLen": "100000",
    "maxNestingDepth": "5000",
    # By default a key of this name is taken for the place of what can't be parsed.
    "columnNameOfCorruptRecord": "\x00 what cannot be parsed \x00",
}
_NUMBERS = {"integer": "number", "long": "number", "big": "number", "double": "number"}


@dataclass(frozen=True)
class CarriedJson:
    """How the JSON of `carried` becomes columns.

    Attributes:
        types: of all its keys, over all records that are read.
        as_json: keys that the recipe has as JSON text.
        max_keys: as in the recipe, for the words of `notes`.
    """

    types: JsonType
    as_json: Sequence[str]
    max_keys: int

    def list_notes(self) -> list[str]:
        """Say which keys are carried as JSON text because no column has a type for all of their values."""
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
        """Turn `carried` from JSON into a struct that holds every value of the rows, with the names that the table has."""
        if "wide" in self.types.kinds:
            return rows.withColumn("carried", F.struct(F.col("carried").alias(WHOLE_RECORD)))
        if not self.types.fields:
            return rows.withColumn("carried", F.lit(None).cast("string"))
        ours = [field for field in table.fields if field.name not in RESERVED]
        found = _to_struct(self.types, T.StructType(ours))
        named = name_columns(self._rename_text_keys(found, table), table)
        return rows.withColumn("carried", F.from_json("carried", found, _JSON_OPTIONS).cast(named))

    def name(self, rows: DataFrame, table: T.StructType) -> DataFrame:
        """Give the fields of a `carried` that is a struct, as tables have it, the names that the table has for them."""
        found = rows.schema["carried"].dataType
        if not isinstance(found, T.StructType):
            return rows
        # A cast between structs goes by position: that is how inner names change.
        named = name_columns(self._rename_text_keys(found, table), table)
        return rows.withColumn("carried", F.col("carried").cast(named))

    def _rename_text_keys(self, found: T.StructType, table: T.StructType) -> T.StructType:
        """Rename keys that are to be text and that the table has as something else."""
        # Columns of ours, such as `metadata`, are no columns of the input: a key of such a name has another one anyway.
        others = (f for f in table.fields if f.name not in RESERVED and not isinstance(f.dataType, T.StringType))
        typed = {field.metadata.get(KEY, field.name) for field in others}
        # No key of an input is called so, and the column is `meta_json`.
        renamed = {key: f"{key}\x00json" for key in self.as_json if key in typed}
        return T.StructType([T.StructField(renamed.get(f.name, f.name), f.dataType) for f in found.fields])


def to_spark_type(seen: JsonType, table: T.DataType | None = None) -> T.DataType:
    """Return the narrowest type that holds all values as they are; string, for their JSON text, where there is none else.

    Args:
        seen: what there is.
        table: what the lake's column is. Where it is a string, so is what comes: as the input has it, keys and all.
    """
    kinds = seen.kinds - {"null"}
    if isinstance(table, T.StringType):
        return table
    if kinds == {"object"}:
        inner = table if isinstance(table, T.StructType) else T.StructType()
        if seen.fields:
            return _to_struct(seen, inner)
        # An object without fields is one of any type.
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
    # In one order, whichever file came first: names that collide are told apart by it.
    fields = sorted(seen.fields.items())
    return T.StructType([T.StructField(key, to_spark_type(known, kinds.get(key))) for key, known in fields])


def _restore_keys(table: T.StructType) -> T.StructType:
    """Return a struct of the lake with the input's own keys for names."""
    return T.StructType(
        [T.StructField(f.metadata.get(KEY, f.name), _restore_keys_within(f.dataType)) for f in table.fields]
    )


def _restore_keys_within(kind: T.DataType) -> T.DataType:
    if isinstance(kind, T.StructType):
        return _restore_keys(kind)
    return T.ArrayType(_restore_keys_within(kind.elementType)) if isinstance(kind, T.ArrayType) else kind


def fit_to(table: DataFrame, rows: DataFrame, check: bool) -> DataFrame:
    """Take the columns out of `carried`, those that the table already has in its types.

    Args:
        table: the documents table as it is.
        rows: with `carried` as a struct or a null string.
        check: look at all values where types differ.

    Raises:
        LakeError: a value can't be held by the type that the table's column has.
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
    # Selected, not added: a column of the input may itself be called `carried`.
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
    """The value as the old type, its fields in the old order; those that only the new type has follow, for Delta to add."""
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
    """Does `_fit` change the value: true where a value does not come back from the old type as it was."""
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
    """Null where the value is none of the type; with `have` and `want` too far apart always."""
    if _is_nested(have) or _is_nested(want):
        return F.lit(None).cast(want)
    # try_cast is of Spark 4.0, where cast raises; in 3.5 cast gives null.
    return value.try_cast(want) if hasattr(type(value), "try_cast") else value.cast(want)


def _is_same(new: T.DataType, old: T.DataType) -> bool:
    """True if the two hold the same values, whatever they remember of keys and nulls."""
    return bool(new.simpleString() == old.simpleString())


def _is_nested(kind: T.DataType) -> bool:
    return isinstance(kind, (T.StructType, T.ArrayType, T.MapType))


def _describe_type(kind: T.DataType) -> str:
    name = kind.simpleString()
    return name if len(name) < 200 else f"{name[:200]}…"
