"""Columns in the names of folders, as Hive and Spark write them: `day=2024-03-05/lang=en/part-0.parquet`."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from datetime import date
from typing import Any, Final
from urllib.parse import unquote

import pyarrow as pa

from prox_spark.readers.parquet.kinds import STRING

_NULL: Final = "__HIVE_DEFAULT_PARTITION__"
_NAME_AND_VALUE: Final = re.compile(r"([^=]+)=(.*)")


def read_folder_values(uri: str, root: str | None) -> dict[str, str | None]:
    """Return the values in the names of the folders of a file, by column; None for Hive's null.

    Args:
        uri: the file.
        root: the folder below which such names count; None if they count nowhere.

    Example:
        >>> read_folder_values("/pages/day=1/site=a%2Fb/p.parquet", "/pages")
        {'day': '1', 'site': 'a/b'}
    """
    if root is None:
        return {}
    parts = uri[len(root.rstrip("/")) + 1 :].split("/")[:-1]
    found = (match.groups() for match in map(_NAME_AND_VALUE.fullmatch, parts) if match)
    return {_decode(name): None if value == _NULL else _decode(value) for name, value in found}


def find_folder_kind(values: Iterable[str | None]) -> Any:
    """Return the type that holds all values of a column and prints them unchanged: int, bigint, date, double, or string."""
    there = {value for value in values if value is not None}
    if not there:
        return STRING
    for kind, parse in _PARSERS.items():
        if all(_round_trips(value, parse) for value in there):
            return kind
    return STRING


def parse_folder_value(value: str | None, kind: Any) -> Any:
    """Return the value in a folder's name as an Arrow scalar of a type."""
    if value is None:
        return pa.scalar(None, kind)
    return pa.scalar(_PARSERS.get(kind, str)(value), kind)


def _parse_integer(value: str, bits: int) -> int:
    number = int(value)
    if not -(1 << bits - 1) <= number < 1 << bits - 1:
        raise ValueError(value)
    return number


def _parse_fraction(value: str) -> float:
    # `nan` is no number here: it is also the code of the language Min Nan.
    if value[-1:].isalpha():
        raise ValueError(value)
    return float(value)


_PARSERS: Final[dict[Any, Callable[[str], Any]]] = {
    pa.int32(): lambda value: _parse_integer(value, 32),
    pa.int64(): lambda value: _parse_integer(value, 64),
    pa.date32(): date.fromisoformat,
    pa.float64(): _parse_fraction,
}


def _round_trips(value: str, parse: Callable[[str], Any]) -> bool:
    # Python reads 007 and 1_0 as 7 and 10, which are not the folders' names.
    try:
        return str(parse(value)) == value
    except ValueError:
        return False


def _decode(name: str) -> str:
    try:
        return unquote(name, errors="strict")
    except UnicodeDecodeError:
        return name
