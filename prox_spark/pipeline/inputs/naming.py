"""Names of the columns that carry the input's own. Delta accepts them, and a key has the same name in every ingest.

The metadata of each such column, and of each field of a struct in it, holds its key. So `title` and `Title`, or `a b` and
`a_b`, keep a column each, whatever the order of the files.
"""

from __future__ import annotations

from collections.abc import Iterable

from pyspark.sql import types as T

from prox_spark.lake.columns import RESERVED, UNFIT

# Metadata of a column: the key of the input that it carries.
KEY = "prox_spark.key"
# The column that carries a whole record whose keys are data.
WHOLE_RECORD = "input_json"
# The column that identifies a row of the input during an ingest.
ROW_ID = "_row_id"

_MAX_NAME_CHARS = 200


def clean_names(names: Iterable[str], reserved: Iterable[str] = ()) -> list[str]:
    """Return names that Delta accepts: without unfit characters, distinct in any letter case, reserved ones after `input_`.

    Example:
        >>> clean_names(["Title", "title", "a b", "text"], reserved=["text"])
        ['Title', 'title_2', 'a_b', 'input_text']
    """
    ours = {fold(name) for name in reserved}
    used = set(ours)
    return [_find_free_name(_make_base(name, ours), used) for name in names]


def clean_type(kind: T.DataType) -> T.DataType:
    """Return the type with clean names in its structs, and with string instead of the type of null. Positions stay."""
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


def name_columns(found: T.StructType, table: T.StructType) -> T.StructType:
    """Return the type with the names under which the table has, or will have, its fields. Positions stay.

    Args:
        found: fields by the input's own keys.
        table: schema of `documents`.
    """
    return _name_fields(found, table, frozenset({*RESERVED, WHOLE_RECORD, ROW_ID}))


def _name_fields(found: T.StructType, table: T.StructType, reserved: frozenset[str]) -> T.StructType:
    ours = {fold(name) for name in reserved}
    known = {_read_key(field): field for field in table.fields if field.name not in reserved}
    used = ours | {fold(field.name) for field in table.fields}
    named = []
    for field in found.fields:
        base = _make_base(field.name, ours)
        old = known.get(field.name) or _find_legacy_field(base, table, reserved)
        name = old.name if old else _find_free_name(base, used)
        kind = _name_type(field.dataType, old.dataType if old else None)
        named.append(T.StructField(name, kind, True, {KEY: field.name}))
    return T.StructType(named)


def _name_type(found: T.DataType, table: T.DataType | None) -> T.DataType:
    if isinstance(found, T.StructType):
        return _name_fields(found, table if isinstance(table, T.StructType) else T.StructType(), frozenset())
    if isinstance(found, T.ArrayType):
        return T.ArrayType(_name_type(found.elementType, table.elementType if isinstance(table, T.ArrayType) else None))
    if isinstance(found, T.MapType):
        value = table.valueType if isinstance(table, T.MapType) else None
        return T.MapType(clean_type(found.keyType), _name_type(found.valueType, value))
    return T.StringType() if isinstance(found, T.NullType) else found


def _read_key(field: T.StructField) -> str | None:
    return field.metadata.get(KEY) if field.metadata else None


def _find_legacy_field(base: str, table: T.StructType, reserved: frozenset[str]) -> T.StructField | None:
    """Return the column of this name whose metadata has no key: an older version made it, or it is a partition column."""
    return next(
        (f for f in table.fields if f.name == base and f.name not in reserved and not f.metadata.get(KEY)), None
    )


def _make_base(name: str, ours: set[str]) -> str:
    base = UNFIT.sub("_", name)[:_MAX_NAME_CHARS] or "_"
    return f"input_{base}" if fold(base) in ours else base


def _find_free_name(base: str, used: set[str]) -> str:
    new, n = base, 1
    while fold(new) in used:
        n += 1
        new = f"{base}_{n}"
    used.add(fold(new))
    return new


def fold(name: str) -> str:
    """Return the form in which Spark compares a name: each letter in upper case and then in lower case, as Java does it."""
    return "".join(map(_fold_letter, name))


def _fold_letter(letter: str) -> str:
    # Java maps a letter to exactly one letter, or leaves it.
    upper = letter.upper() if len(letter.upper()) == 1 else letter
    lower = upper.lower()
    return lower if len(lower) == 1 else lower[0]


def quote(name: str) -> str:
    """Return a column's name with the quotes with which Spark reads any name."""
    return f"`{name.replace('`', '``')}`"
