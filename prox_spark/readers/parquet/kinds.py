"""Arrow types, and the types of the lake's tables that columns of these types become."""

from __future__ import annotations

from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pat

STRING: Final = pa.string()
BINARY: Final = pa.binary()
# An instant; times without a zone count as UTC. Delta's type without a zone is a table feature that old readers refuse.
TIMESTAMP: Final = pa.timestamp("us", tz="UTC")
_SIGNED: Final = {8: pa.int8(), 16: pa.int16(), 32: pa.int32(), 64: pa.int64()}
_MAX_DIGITS: Final = 38


def to_spark(kind: Any) -> Any:
    """Return the nearest type of Spark's that holds every value of a type. Null stays null, and fields keep their names.

    Args:
        kind: an Arrow type of a Parquet file's column.

    Returns:
        string, binary, bool, intN, float, double, decimal128, date32, `TIMESTAMP`, or list, map and struct of these.
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
    # Strings of every width, and times, durations and intervals, for which Delta has no types.
    return STRING


def unwrap(kind: Any) -> Any:
    """Return the type of the values inside a dictionary, an extension (UUID, JSON and others), or runs."""
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
    """Return the type with string in place of null throughout, because a column must have a type."""
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
    """Return True if the values are text, or bytes that may be text, because old Parquet writers did not mark text."""
    kind = unwrap(kind)
    return _is_string(kind) or is_binary(kind)


def is_text_or_null(kind: Any) -> bool:
    """Return True if the values are text or all null."""
    return is_text(kind) or bool(pat.is_null(unwrap(kind)))


def is_binary(kind: Any) -> bool:
    """Return True if the values are bytes, of a fixed length or not."""
    is_view = getattr(pat, "is_binary_view", lambda _: False)
    return bool(pat.is_binary(kind) or pat.is_large_binary(kind) or pat.is_fixed_size_binary(kind) or is_view(kind))


def is_list(kind: Any) -> bool:
    """Return True if the values are lists of any of Arrow's kinds."""
    is_views = (getattr(pat, name, lambda _: False) for name in ("is_list_view", "is_large_list_view"))
    return bool(
        pat.is_list(kind) or pat.is_large_list(kind) or pat.is_fixed_size_list(kind) or any(f(kind) for f in is_views)
    )


def is_nested(kind: Any) -> bool:
    """Return True if the values are lists, maps or structs."""
    return bool(pat.is_nested(kind))


def name_kind(kind: Any) -> str:
    """Return the name of a type in messages, without the parts of nested types."""
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
    # Arrow allows negative scales, which SQL does not: 123E+2 has -2.
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
