"""Arrow types as the lake's tables can have them: which type of Spark's a column of one file becomes."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pat

STRING: Final = pa.string()
BINARY: Final = pa.binary()
# An instant: what has no time zone is one of UTC's. Delta's own type without a zone would be a feature that old readers refuse.
TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
_SIGNED: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_MAX_DIGITS: Final = 38


def to_spark(kind: Any) -> Any:
    """Return the nearest type that Spark has and that holds every value; null stays null. Its names are those of the column.

    Args:
        kind: an Arrow type as a Parquet file gives it.

    Returns:
        string, binary, bool, intN, float, double, decimal128, date32, `TIMESTAMP`, or list, map and struct of such.
    """
    kind = unwrap(kind)
    if pat.is_null(kind) or pat.is_boolean(kind) or pat.is_float32(kind) or pat.is_float64(kind):
        return kind
    if pat.is_float16(kind):
        return pa.float32()
    if pat.is_signed_integer(kind):
        return kind
    if pat.is_unsigned_integer(kind):
        return _SIGNED.get(2 * kind.bit_width, pa.decimal128(20, 0))
    if is_binary(kind):
        return BINARY
    if pat.is_decimal(kind):
        return _to_decimal(kind)
    if pat.is_date(kind):
        return pa.date32()
    if pat.is_timestamp(kind):
        return TIMESTAMP
    if pat.is_struct(kind):
        return pa.struct([pa.field(field.name, to_spark(field.type)) for field in kind])
    if pat.is_map(kind):
        return pa.map_(to_spark(kind.key_type), to_spark(kind.item_type))
    if is_list(kind):
        return pa.list_(pa.field("element", to_spark(kind.value_type)))
    # Strings of every width; times, durations and intervals, which Delta has no types for.
    return STRING


def unwrap(kind: Any) -> Any:
    """Return the type below what Arrow adds to it: of a dictionary, an extension (UUID, JSON and others), or runs."""
    while True:
        if pat.is_dictionary(kind) or pat.is_run_end_encoded(kind):
            kind = kind.value_type
        elif isinstance(kind, pa.BaseExtensionType):
            if kind.extension_name == "arrow.bool8":
                return pa.bool_()
            kind = kind.storage_type
        else:
            return kind


def replace_null(kind: Any) -> Any:
    """Return the type with string in place of null throughout: a column can't be of no type."""
    if pat.is_null(kind):
        return STRING
    if pat.is_struct(kind):
        return pa.struct([pa.field(field.name, replace_null(field.type)) for field in kind])
    if pat.is_map(kind):
        return pa.map_(replace_null(kind.key_type), replace_null(kind.item_type))
    if pat.is_list(kind):
        return pa.list_(pa.field("element", replace_null(kind.value_type)))
    return kind


def is_text(kind: Any) -> bool:
    """True if the values are characters, or bytes that may be: Parquet writers of old put no mark on text."""
    kind = unwrap(kind)
    return _is_string(kind) or is_binary(kind)


def is_text_or_null(kind: Any) -> bool:
    """True if it is text, or would be had it values."""
    return is_text(kind) or bool(pat.is_null(unwrap(kind)))


def is_binary(kind: Any) -> bool:
    """True if the values are bytes, of a fixed length or not."""
    is_view = getattr(pat, "is_binary_view", lambda _: False)
    return bool(pat.is_binary(kind) or pat.is_large_binary(kind) or pat.is_fixed_size_binary(kind) or is_view(kind))


def is_list(kind: Any) -> bool:
    """True if the values are lists, of whichever of Arrow's kinds."""
    is_views = (getattr(pat, name, lambda _: False) for name in ("is_list_view", "is_large_list_view"))
    return bool(
        pat.is_list(kind) or pat.is_large_list(kind) or pat.is_fixed_size_list(kind) or any(f(kind) for f in is_views)
    )


def is_nested(kind: Any) -> bool:
    """True if the values have parts: lists, maps, structs."""
    return bool(pat.is_nested(kind))


def name_kind(kind: Any) -> str:
    """Return the type as messages call it; of a nested one only which it is."""
    kind = unwrap(kind)
    for is_kind, name in _NAMES:
        if is_kind(kind):
            return name
    if pat.is_decimal(kind):
        return f"decimal({kind.precision},{kind.scale})"
    return "timestamp" if kind == TIMESTAMP else str(kind)


def _is_string(kind: Any) -> bool:
    is_view = getattr(pat, "is_string_view", lambda _: False)
    return bool(pat.is_string(kind) or pat.is_large_string(kind) or is_view(kind))


def _to_decimal(kind: Any) -> Any:
    # Arrow allows scales that SQL does not: 123E+2 has -2.
    scale = max(kind.scale, 0)
    digits = max(kind.precision + scale - kind.scale, scale)
    return pa.decimal128(digits, scale) if digits <= _MAX_DIGITS else STRING


_NAMES: Final = (
    (pat.is_struct, "struct"),
    (pat.is_map, "map"),
    (is_list, "list"),
    (_is_string, "string"),
    (is_binary, "binary"),
    (pat.is_float16, "float16"),
    (pat.is_date, "date"),
)
