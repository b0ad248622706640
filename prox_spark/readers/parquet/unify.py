"""One type for a column that has several types in several files: the narrowest that holds all values, else text."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pyarrow as pa
import pyarrow.types as pat

from prox_spark.readers.parquet import kinds
from prox_spark.readers.parquet.kinds import BINARY, STRING, TIMESTAMP

_DOUBLE: Final = pa.float64()
_INTEGERS: Final = (pa.int8(), pa.int16(), pa.int32(), pa.int64())
# Decimal digits of the largest value of each.
_DIGITS: Final = dict(zip(_INTEGERS, (3, 5, 10, 19), strict=True))
# Doubles hold every integer up to here.
_EXACT: Final = 1 << 53
# Writers that truncate the bounds in footers keep at least this many bytes.
_MIN_CUT_BYTES: Final = 15
# Largest times, in each unit, that 64 bits hold in microseconds.
_MAX_TICKS: Final = {"s": (1 << 63) // 10**6, "ms": (1 << 63) // 10**3}


@dataclass(frozen=True)
class Bounds:
    """The bounds of a leaf column's values, from the footers.

    Attributes:
        has_values: False if every value is null; True also if that is unknown.
        low: least value: an int for integers and for timestamps (in their unit), bytes for binary; None if unknown.
        high: greatest value, likewise.
    """

    has_values: bool = True
    low: Any = None
    high: Any = None

    def are_within(self, limit: int) -> bool:
        """Return True if every value is known to be between -limit and limit."""
        return not self.has_values or (self.low is not None and self.low >= -limit and self.high <= limit)


UNKNOWN: Final = Bounds()


@dataclass(frozen=True)
class Seen:
    """A type of a column, or of a part of one, in some of the files.

    Attributes:
        kind: the type as the files have it.
        file: one of the files, for messages.
        bounds: returns the bounds of a leaf column by its number from 0; called only if the result depends on it.
        leaf: number of its first leaf column.
    """

    kind: Any
    file: str
    bounds: Callable[[int], Bounds] = lambda _: UNKNOWN
    leaf: int = 0

    def select_part(self, kind: Any, leaf: int) -> Seen:
        """Return the type of a part of the column, whose first leaf is the given number of leaves further."""
        return Seen(kind, self.file, self.bounds, self.leaf + leaf)

    @property
    def has_values(self) -> bool:
        """False if this is a leaf whose values are all null."""
        return kinds.is_nested(self.kind) or self.bounds(self.leaf).has_values


def unify(name: str, seen: Sequence[Seen], notes: list[str]) -> Any:
    """Find the type that carries a column of several files.

    Args:
        name: the column, or the path to a part of it, for notes.
        seen: its types in the files; at least one.
        notes: takes a sentence for each column whose type differs from a file's.

    Returns:
        A type as `kinds.replace_null` returns it. `casts.cast` can cast each of `seen` to it.
    """
    there = [one for one in seen if not pat.is_null(kinds.unwrap(one.kind))]
    if _count_kinds(there) > 1:
        there = [one for one in there if one.has_values] or there
    if not there:
        return STRING
    stored = [kinds.unwrap(one.kind) for one in there]
    if all(map(pat.is_struct, stored)):
        return _unify_structs(name, there, notes)
    if all(map(kinds.is_list, stored)):
        elements = [one.select_part(kind.value_type, 0) for one, kind in zip(there, stored, strict=True)]
        return pa.list_(pa.field("element", unify(f"{name}[]", elements, notes)))
    if all(map(pat.is_map, stored)):
        return _unify_maps(name, there, notes)
    found = _find_narrowest(there)
    _note(name, there, found, notes)
    return found


def count_leaves(kind: Any) -> int:
    """Return the number of leaf columns that a Parquet file has for a column of a type."""
    kind = kinds.unwrap(kind)
    if pat.is_struct(kind):
        return sum(count_leaves(field.type) for field in kind)
    if pat.is_map(kind):
        return count_leaves(kind.key_type) + count_leaves(kind.item_type)
    return count_leaves(kind.value_type) if kinds.is_list(kind) else 1


def _count_kinds(seen: Iterable[Seen]) -> int:
    """Count the different types, with all structs as one."""
    return len({kinds.name_kind(kinds.to_spark(one.kind)) for one in seen})


def _unify_structs(name: str, seen: Sequence[Seen], notes: list[str]) -> Any:
    fields: dict[str, list[Seen]] = {}
    for one in seen:
        leaf = 0
        kind = kinds.unwrap(one.kind)
        for key, field in zip(make_distinct(field.name for field in kind), kind, strict=True):
            fields.setdefault(key, []).append(one.select_part(field.type, leaf))
            leaf += count_leaves(field.type)
    return pa.struct([pa.field(key, unify(f"{name}.{key}", parts, notes)) for key, parts in fields.items()])


def _unify_maps(name: str, seen: Sequence[Seen], notes: list[str]) -> Any:
    keys, items = [], []
    for one in seen:
        kind = kinds.unwrap(one.kind)
        keys.append(one.select_part(kind.key_type, 0))
        items.append(one.select_part(kind.item_type, count_leaves(kind.key_type)))
    return pa.map_(unify(f"the keys of {name}", keys, notes), unify(f"{name}[]", items, notes))


def make_distinct(names: Iterable[str]) -> list[str]:
    """Return the names of a file's columns with numbers added to repeated ones, which Parquet allows.

    Example:
        >>> make_distinct(["a", "b", "a"])
        ['a', 'b', 'a_2']
    """
    found: dict[str, None] = {}
    for name in names:
        new, n = name, 1
        while new in found:
            n += 1
            new = f"{name}_{n}"
        found[new] = None
    return list(found)


def _find_narrowest(seen: Sequence[Seen]) -> Any:
    """Return the narrowest type that holds all values of some leaves, or string."""
    found = {kinds.to_spark(one.kind) for one in seen}
    if TIMESTAMP in found and not all(map(_fits_microseconds, seen)):
        return STRING
    if len(found) == 1:
        return found.pop()
    if any(map(kinds.is_nested, found)):
        return STRING
    if found == {BINARY, STRING}:
        return STRING if all(map(_may_be_text, seen)) else BINARY
    if found == {pa.date32(), TIMESTAMP}:
        return TIMESTAMP
    return _find_narrowest_number(found, seen)


def _find_narrowest_number(found: set[Any], seen: Sequence[Seen]) -> Any:
    floats = {kind for kind in found if pat.is_floating(kind)}
    decimals = {kind for kind in found if pat.is_decimal(kind)}
    if found - floats - decimals - _DIGITS.keys():
        return STRING
    if floats:
        return _DOUBLE if all(map(_fits_double, seen)) else STRING
    if not decimals:
        return max(found, key=_INTEGERS.index)
    scale = max(kind.scale for kind in decimals)
    digits = max(kind.precision - kind.scale if kind in decimals else _DIGITS[kind] for kind in found)
    return pa.decimal128(digits + scale, scale) if digits + scale <= 38 else STRING


def _fits_double(one: Seen) -> bool:
    kind = kinds.to_spark(one.kind)
    if pat.is_floating(kind):
        return True
    if pat.is_integer(kind) and kind.bit_width <= 32:
        return True
    stored = kinds.unwrap(one.kind)
    # A double keeps 15 decimal digits, but not exactly those after the point, which are no sums of powers of two.
    if pat.is_decimal(stored):
        return bool(stored.scale == 0 and stored.precision <= 15)
    return one.bounds(one.leaf).are_within(_EXACT)


def _fits_microseconds(one: Seen) -> bool:
    kind = kinds.unwrap(one.kind)
    limit = _MAX_TICKS.get(kind.unit) if pat.is_timestamp(kind) else None
    bounds = one.bounds(one.leaf) if limit else UNKNOWN
    return limit is None or bounds.low is None or bounds.are_within(limit)


def _may_be_text(one: Seen) -> bool:
    """Return False only if the footers show bytes that are not UTF-8."""
    bounds = one.bounds(one.leaf) if kinds.is_binary(kinds.unwrap(one.kind)) else UNKNOWN
    return all(_begins_as_text(value) for value in (bounds.low, bounds.high) if value is not None)


def _begins_as_text(value: bytes) -> bool:
    # Footers truncate long values, perhaps within a character, and may increment the last byte.
    is_cut = len(value) > _MIN_CUT_BYTES
    try:
        codecs.getincrementaldecoder("utf-8")().decode(value[:-4] if is_cut else value, final=not is_cut)
    except UnicodeDecodeError:
        return False
    return True


def _note(name: str, seen: Sequence[Seen], found: Any, notes: list[str]) -> None:
    """Add a note if values are carried as another type than in their files, or lose digits."""
    files: dict[str, str] = {}
    for one in seen:
        files.setdefault(kinds.name_kind(one.kind), one.file)
    if any(kinds.to_spark(one.kind) != found or (found == STRING and not kinds.is_text(one.kind)) for one in seen):
        *most, last = files if len(files) == 1 else (f"{kind} ({file})" for kind, file in files.items())
        listed = f"{', '.join(most)} and {last}" if most else last
        notes.append(f"column {name}: {listed}, carried as {kinds.name_kind(found)}")
    elif any(map(_has_nanoseconds, seen)):
        notes.append(f"column {name}: nanoseconds, carried as microseconds: digits are cut off")


def _has_nanoseconds(one: Seen) -> bool:
    kind = kinds.unwrap(one.kind)
    if not (pat.is_timestamp(kind) and kind.unit == "ns"):
        return False
    bounds = one.bounds(one.leaf)
    return any(value is not None and value % 1000 for value in (bounds.low, bounds.high))
