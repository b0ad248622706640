"""Columns of the input that are not ours: named so that Delta takes them, typed, and fitted to what the lake has."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.errors import LakeError
from prox_spark.tables import RESERVED, UNFIT

if TYPE_CHECKING:
    from pyspark.sql import Column, DataFrame, SparkSession


def clean_names(names: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Names that Delta takes: without unfit characters, distinct in letter case too, `input_` before reserved ones.

    Example:
        >>> clean_names(["Title", "title", "a b", "text"], reserved=["text"])
        ['Title', 'title_2', 'a_b', 'input_text']
    """
    ours, used, out = {name.lower() for name in reserved}, set[str](), []
    for name in names:
        base = UNFIT.sub("_", name) or "_"
        base = f"input_{base}" if base.lower() in ours else base
        new, n = base, 1
        while new.lower() in used or new.lower() in ours:
            n += 1
            new = f"{base}_{n}"
        used.add(new.lower())
        out.append(new)
    return out


def clean_type(kind: T.DataType) -> T.DataType:
    """The type with clean names in its structs and string for what is null throughout. Positions stay."""
    if isinstance(kind, T.StructType):
        names = clean_names(kind.names)
        return T.StructType(
            [T.StructField(name, clean_type(field.dataType)) for name, field in zip(names, kind.fields, strict=True)]
        )
    if isinstance(kind, T.ArrayType):
        return T.ArrayType(clean_type(kind.elementType))
    if isinstance(kind, T.MapType):
        return T.MapType(clean_type(kind.keyType), clean_type(kind.valueType))
    return T.StringType() if isinstance(kind, T.NullType) else kind


def clean_struct(schema: T.StructType, names: Sequence[str]) -> Column:
    """These columns of a frame as one struct with clean names; a null string where there are none."""
    if not names:
        return F.lit(None).cast("string")
    return F.struct(
        *(
            # A cast between structs goes by position: that is how inner names change.
            F.col(f"`{name.replace('`', '``')}`").cast(clean_type(schema[name].dataType)).alias(new)
            for name, new in zip(names, clean_names(names, RESERVED), strict=True)
        )
    )


def parse_carried(spark: SparkSession, rows: DataFrame) -> DataFrame:
    """Turns `carried` from JSON into a struct whose types hold every value of the rows.

    All rows are looked at, not a sample: a key that only the last row has is carried too. `rows` should be persisted.
    """
    if not isinstance(rows.schema["carried"].dataType, T.StringType):
        return rows
    objects = rows.where(F.col("carried").isNotNull()).select("carried")
    # `title` and `Title` are two keys; Spark takes them for one column unless told.
    with _case_sensitive(spark):
        found = spark.read.json(objects.rdd.map(lambda row: row[0])).schema
    if not found.fields:
        return rows
    inner = clean_type(found)
    assert isinstance(inner, T.StructType)
    names = clean_names(found.names, RESERVED)
    clean = T.StructType([T.StructField(n, f.dataType) for n, f in zip(names, inner.fields, strict=True)])
    return rows.withColumn("carried", F.from_json("carried", found).cast(clean))


def fit_to(table: DataFrame, rows: DataFrame) -> DataFrame:
    """Takes the columns out of `carried`, those that the table already has in its types.

    Args:
        table: the documents table as it is.
        rows: with `carried` as a struct or a null string.

    Raises:
        LakeError: a value can't be held by the type that the table's column has.
    """
    carried = rows.schema["carried"].dataType
    if not isinstance(carried, T.StructType):
        return rows.drop("carried")
    existing = {field.name.lower(): field for field in table.schema.fields}
    columns, lost = {}, {}
    for field in carried.fields:
        value, old = F.col("carried").getField(field.name), existing.get(field.name.lower())
        name = old.name if old else field.name
        columns[name] = value
        if old and old.dataType != field.dataType:
            columns[name] = _fit(value, field.dataType, old.dataType)
            lost[name] = (field.dataType, old.dataType, _loses(value, field.dataType, old.dataType))
    if lost:
        _check_nothing_lost(rows, lost)
    return rows.withColumns(columns).drop("carried")


def _check_nothing_lost(rows: DataFrame, columns: dict[str, tuple[T.DataType, T.DataType, Column]]) -> None:
    found = rows.agg(*(F.max(loses).alias(name) for name, (_, _, loses) in columns.items())).first()
    for name, (new, old, _) in columns.items():
        if found is not None and found[name]:
            raise LakeError(
                f"column {name} of the lake's documents is {_named(old)}, and the input has values of type "
                f"{_named(new)} in it that {_named(old)} can't hold. Rename it in the input, or ingest into another "
                "lake; nothing was written."
            )


def _fit(value: Column, new: T.DataType, old: T.DataType) -> Column:
    """The value as the old type, its fields in the old order; those that only the new type has follow, for Delta to add."""
    if isinstance(new, T.StructType) and isinstance(old, T.StructType):
        news = {field.name.lower(): field for field in new.fields}
        fields = []
        for known in old.fields:
            field = news.pop(known.name.lower(), None)
            if field:
                inner = _fit(value.getField(field.name), field.dataType, known.dataType)
            else:
                inner = F.lit(None).cast(known.dataType)
            fields.append(inner.alias(known.name))
        fields += [value.getField(field.name).alias(field.name) for field in news.values()]
        return F.when(value.isNotNull(), F.struct(*fields))
    if isinstance(new, T.ArrayType) and isinstance(old, T.ArrayType):
        return F.transform(value, _with_types(_fit, new.elementType, old.elementType))
    if isinstance(new, T.MapType) and isinstance(old, T.MapType) and new.keyType == old.keyType:
        fit = _with_types(_fit, new.valueType, old.valueType)
        return F.transform_values(value, lambda _, item: fit(item))
    if isinstance(old, T.StringType) and _is_nested(new):
        return F.to_json(value)
    return value if new == old else _try_cast(value, new, old)


def _loses(value: Column, new: T.DataType, old: T.DataType) -> Column:
    """Does `_fit` change the value: true where a value does not come back from the old type as it was."""
    if isinstance(new, T.StructType) and isinstance(old, T.StructType):
        olds = {field.name.lower(): field.dataType for field in old.fields}
        parts = [
            _loses(value.getField(field.name), field.dataType, olds[field.name.lower()])
            for field in new.fields
            if field.name.lower() in olds
        ]
        return F.greatest(F.lit(False), F.lit(False), *parts)
    if isinstance(new, T.ArrayType) and isinstance(old, T.ArrayType):
        return F.coalesce(F.exists(value, _with_types(_loses, new.elementType, old.elementType)), F.lit(False))
    if isinstance(new, T.MapType) and isinstance(old, T.MapType) and new.keyType == old.keyType:
        loses = _with_types(_loses, new.valueType, old.valueType)
        return F.coalesce(F.exists(F.map_values(value), loses), F.lit(False))
    if new == old or (isinstance(old, T.StringType) and _is_nested(new)):
        return F.lit(False)
    if _is_nested(new) or _is_nested(old):
        return value.isNotNull()
    there = _try_cast(value, new, old)
    return value.isNotNull() & ~_try_cast(there, old, new).eqNullSafe(value)


def _with_types(
    function: Callable[[Column, T.DataType, T.DataType], Column], new: T.DataType, old: T.DataType
) -> Callable[[Column], Column]:
    return lambda value: function(value, new, old)


def _try_cast(value: Column, have: T.DataType, want: T.DataType) -> Column:
    """Null where the value is none of the type; with `have` and `want` too far apart always."""
    if _is_nested(have) or _is_nested(want):
        return F.lit(None).cast(want)
    # try_cast is of Spark 4.0, where cast raises; in 3.5 cast gives null.
    return value.try_cast(want) if hasattr(type(value), "try_cast") else value.cast(want)


def _is_nested(kind: T.DataType) -> bool:
    return isinstance(kind, (T.StructType, T.ArrayType, T.MapType))


def _named(kind: T.DataType) -> str:
    name = kind.simpleString()
    return name if len(name) < 200 else f"{name[:200]}…"


@contextmanager
def _case_sensitive(spark: SparkSession) -> Iterator[None]:
    key = "spark.sql.caseSensitive"
    before = spark.conf.get(key)
    spark.conf.set(key, "true")
    try:
        yield
    finally:
        spark.conf.set(key, before)
