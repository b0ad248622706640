"""Casts of Arrow arrays to the types that `unify` found. A value is cast exactly or not at all."""

from __future__ import annotations

import re
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from prox_spark.readers.parquet import kinds
from prox_spark.readers.parquet.json_text import write_json_texts
from prox_spark.readers.parquet.kinds import BINARY, STRING, TIMESTAMP
from prox_spark.readers.parquet.leaves import replace_parts
from prox_spark.readers.parquet.unify import make_distinct

# From here on 32-bit floats don't hold every whole number.
_ALL_DIGITS: Final = 1 << 24
# Ticks per second of each of Arrow's units of time.
_PER_SECOND: Final = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}


def cast(array: Any, target: Any) -> Any:
    """Return an array as another type.

    Args:
        array: values from a Parquet file.
        target: the type that `unify` found for the column.

    Raises:
        pa.ArrowInvalid, pa.ArrowNotImplementedError: the type can't hold a value, although the footers said that it could.
    """
    if array.type == target:
        return array
    if array.null_count == len(array):
        return pa.nulls(len(array), target)
    array = unwrap_array(array)
    kind = array.type
    if kind == target:
        return array
    if target == STRING:
        return to_texts(array)
    if pat.is_struct(kind) and pat.is_struct(target):
        return _cast_struct(array, target)
    if pat.is_map(kind) and pat.is_map(target):
        return replace_parts(array, target, [cast(array.keys, target.key_type), cast(array.items, target.item_type)])
    if kinds.is_list(kind) and pat.is_list(target):
        return replace_parts(array, target, [cast(array.values, target.value_type)])
    if target == TIMESTAMP:
        return _to_instants(array)
    if target == BINARY and not kinds.is_binary(kind):
        return array.cast(pa.string()).cast(BINARY)
    if pat.is_float16(kind) and pat.is_floating(target):
        return _widen(array, target)
    return array.cast(target)


def unwrap_array(array: Any) -> Any:
    """Return the array with dictionaries, extensions, runs, views and lists of fixed length as plain values and lists."""
    while array.type != (stored := kinds.unwrap(array.type)):
        if isinstance(array, pa.ExtensionArray):
            is_flag = array.type.extension_name == "arrow.bool8"
            array = array.storage.cast(stored) if is_flag else array.storage
        elif pat.is_dictionary(array.type):
            array = array.dictionary_decode()
        else:
            array = pc.run_end_decode(array)
    if kinds.is_list(array.type) and not (pat.is_list(array.type) or pat.is_large_list(array.type)):
        plain_list = pa.list_(array.type.value_type)
        if pat.is_fixed_size_list(array.type):
            return array.cast(plain_list)
        return pa.array(array.to_pylist(), plain_list)  # Arrow 26 casts a list view to an invalid array.
    return array


def to_texts(array: Any) -> Any:
    r"""Return values as text: strings as they are, numbers as in JSON, times in ISO 8601, nested values as JSON.

    Bytes that are not UTF-8 become `\\xff`.
    """
    array = unwrap_array(array)
    kind = array.type
    if kinds.is_nested(kind):
        return _to_strings(write_json_texts(cast(array, _find_json_kind(kind))))
    if kinds.is_binary(kind):
        return _decode_bytes(array.cast(BINARY))
    if pat.is_decimal(kind):
        return _to_strings(None if v is None else format(v, "f") for v in array.to_pylist())
    if pat.is_floating(kind):
        return _write_floats(array)
    if pat.is_timestamp(kind):
        return _write_timestamps(array)
    if pat.is_time(kind):
        return _strip_zeros(array.cast(STRING))
    if pat.is_duration(kind):
        ticks = array.view(pa.int64()).to_pylist()
        return _to_strings(None if n is None else _write_duration(n, _PER_SECOND[kind.unit]) for n in ticks)
    return array.cast(STRING)


def _cast_struct(array: Any, target: Any) -> Any:
    names = make_distinct(field.name for field in array.type)
    places = {name: place for place, name in enumerate(names)}
    children = []
    for field in target:
        place = places.get(field.name)
        if place is None:
            children.append(pa.nulls(len(array), field.type))
        else:
            children.append(cast(array.field(place), field.type))
    mask = array.is_null() if array.null_count else None
    return pa.StructArray.from_arrays(children, fields=list(target), mask=mask)


def _to_instants(array: Any) -> Any:
    """Return timestamps, with a zone or without, as instants in microseconds of UTC, and dates as their midnights."""
    if pat.is_date(array.type):
        return array.cast(pa.timestamp("us")).view(TIMESTAMP)
    unit = array.type.unit
    if unit == "us":
        return array.view(TIMESTAMP)
    if unit != "ns":
        return array.cast(pa.timestamp("us", array.type.tz)).view(TIMESTAMP)
    # Arrow truncates towards 1970, which would make earlier times later.
    ticks = array.view(pa.int64())
    nanoseconds = ticks.fill_null(0).to_numpy(zero_copy_only=False)
    microseconds = pa.array(np.floor_divide(nanoseconds, 1000), mask=_find_nulls(ticks))
    return microseconds.view(TIMESTAMP)


def _widen(array: Any, target: Any) -> Any:
    # pyarrow 15, which Databricks 16 brings, has no cast from float16.
    values = array.to_numpy(zero_copy_only=False).astype(target.to_pandas_dtype())
    return pa.array(values, target, mask=_find_nulls(array))


def _find_nulls(array: Any) -> Any:
    return array.is_null().to_numpy(zero_copy_only=False) if array.null_count else None


def _find_json_kind(kind: Any) -> Any:
    """Return the type with string in place of types that JSON lacks; bytes stay binary."""
    kind = kinds.unwrap(kind)
    if pat.is_struct(kind):
        names = make_distinct(field.name for field in kind)
        return pa.struct([pa.field(name, _find_json_kind(field.type)) for name, field in zip(names, kind, strict=True)])
    if pat.is_map(kind):
        return pa.map_(STRING, _find_json_kind(kind.item_type))
    if kinds.is_list(kind):
        return pa.list_(pa.field("element", _find_json_kind(kind.value_type)))
    if pat.is_float16(kind):
        return pa.float64()  # Older versions of pyarrow make a NumPy scalar of it, which is nothing for `json`.
    if pat.is_boolean(kind) or pat.is_integer(kind) or pat.is_floating(kind) or pat.is_null(kind):
        return kind
    return BINARY if kinds.is_binary(kind) else STRING


def _decode_bytes(array: Any) -> Any:
    try:
        return array.cast(STRING)
    except pa.ArrowInvalid:
        return _to_strings(None if v is None else v.decode("utf-8", "backslashreplace") for v in array.to_pylist())


def _write_floats(array: Any) -> Any:
    # The shortest text that reads back as the same number of its width: 0.1 of 32 bits is 0.1. Large whole numbers keep all
    # digits, because 138598256 is not 138598260.
    dtype = {16: np.float16, 32: np.float32, 64: np.float64}[array.type.bit_width]
    numbers = array.to_numpy(zero_copy_only=False).astype(dtype)
    names = {"nan": "NaN", "inf": "Infinity", "-inf": "-Infinity"}
    written = (str(number) if abs(number) < _ALL_DIGITS else repr(float(number)) for number in numbers)
    return pa.array([names.get(text, text) for text in written], STRING, mask=_find_nulls(array))


def _write_timestamps(array: Any) -> Any:
    unit, ticks = array.type.unit, array.view(pa.int64())
    written = ticks.view(pa.timestamp(unit)).cast(STRING)
    is_beyond = pc.starts_with(written, "<")  # Arrow does not print years beyond its range.
    written = _strip_zeros(pc.replace_substring(written, " ", "T", max_replacements=1))
    written = pc.binary_join_element_wise(written, "Z", "") if array.type.tz else written
    return pc.if_else(is_beyond, pc.binary_join_element_wise(ticks.cast(STRING), unit, " "), written)


def _strip_zeros(written: Any) -> Any:
    """Remove the zeros at the end of fractions of seconds."""
    written = pc.replace_substring_regex(written, r"(\.[0-9]*[1-9])0+$", r"\1")
    return pc.replace_substring_regex(written, r"\.0+$", "")


def _write_duration(ticks: int, per_second: int) -> str:
    """Return a duration in ISO 8601 as Java's Duration and pandas read it.

    Example:
        >>> _write_duration(-90_500, 1000), _write_duration(0, 1)
        ('-PT1M30.5S', 'PT0S')
    """
    seconds, rest = divmod(abs(ticks), per_second)
    digits = len(str(per_second)) - 1
    fraction = re.sub(r"\.?0*$", "", f".{rest:0{digits}d}") if digits else ""
    hours, minutes, seconds = seconds // 3600, seconds // 60 % 60, seconds % 60
    parts = [f"{hours}H" if hours else "", f"{minutes}M" if minutes else ""]
    if seconds or fraction or not any(parts):
        parts.append(f"{seconds}{fraction}S")
    return f"{'-' if ticks < 0 else ''}PT{''.join(parts)}"


def _to_strings(values: Any) -> Any:
    return pa.array(list(values), STRING)
