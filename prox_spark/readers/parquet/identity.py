"""Texts, ids, URLs and sources from the columns that have these roles."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.types as pat

from prox_spark.readers.parquet import kinds
from prox_spark.readers.parquet.casts import to_texts, unwrap_array
from prox_spark.readers.parquet.kinds import BINARY, STRING
from prox_spark.readers.parquet.leaves import change_leaves

# Doubles hold every integer up to here.
_EXACT = float(1 << 53)


def to_raw_texts(array: Any) -> Any:
    """Return a column of text as strings with the file's bytes, which are not checked to be UTF-8."""
    array = unwrap_array(array)
    if kinds.is_binary(array.type):
        array = array.cast(BINARY)
    elif not pat.is_string(array.type):
        return array.cast(STRING)
    return pa.StringArray.from_buffers(
        len(array), array.buffers()[1], array.buffers()[2], array.buffers()[0], offset=array.offset
    )


def find_invalid_rows(array: Any) -> list[int]:
    """Return the row numbers of the strings that are not valid UTF-8."""
    if is_valid(array):
        return []
    there = array.cast(BINARY).to_pylist()
    return [row for row, value in enumerate(there) if value is not None and not _is_utf8(value)]


def is_valid(array: Any) -> bool:
    """Return True if all strings of an array, also nested ones, are valid UTF-8."""
    try:
        array.validate(full=True)
    except pa.ArrowInvalid:
        return False
    return True


def repair_strings(array: Any) -> Any:
    """Return the array with U+FFFD for bytes that are not UTF-8, because nothing could read such strings in the lake."""
    return array if is_valid(array) else change_leaves(array, _repair)


def to_id_texts(array: Any) -> Any:
    """Return ids as text: whole numbers without a point, UUIDs as usual, other bytes in hex if they are no text.

    A whole number may be a double, because pandas makes doubles of integers if one is missing.
    """
    if isinstance(array.type, pa.BaseExtensionType) and array.type.extension_name == "arrow.uuid":
        return pa.array([None if value is None else str(value) for value in array.to_pylist()], STRING)
    array = unwrap_array(array)
    if pat.is_floating(array.type):
        return _write_whole_numbers(array)
    if kinds.is_binary(array.type):
        there = array.to_pylist()
        return pa.array([None if v is None else v.decode() if _is_printable(v) else v.hex() for v in there], STRING)
    return array if pat.is_string(array.type) else to_texts(array)


def to_scalar_texts(array: Any) -> Any:
    """Return URLs or sources as text that is valid UTF-8."""
    array = unwrap_array(array)
    return repair_strings(to_raw_texts(array) if kinds.is_text(array.type) else to_texts(array))


def _repair(array: Any) -> Any:
    if not pat.is_string(array.type):
        return array
    there = array.cast(BINARY).to_pylist()
    return pa.array([None if value is None else value.decode("utf-8", "replace") for value in there], STRING)


def _write_whole_numbers(array: Any) -> Any:
    numbers = array.cast(pa.float64()).fill_null(float("nan")).to_numpy(zero_copy_only=False)
    is_whole = (np.abs(numbers) <= _EXACT) & (np.floor(numbers) == numbers)
    whole = pa.array(np.where(is_whole, numbers, 0).astype(np.int64)).cast(STRING)
    written = pc.if_else(pa.array(is_whole), whole, to_texts(array))
    return pc.if_else(pa.array(~np.isnan(numbers)), written, pa.scalar(None, STRING))


def _is_utf8(value: bytes) -> bool:
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _is_printable(value: bytes) -> bool:
    return _is_utf8(value) and value.decode("utf-8").isprintable()
