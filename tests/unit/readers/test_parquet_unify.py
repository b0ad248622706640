from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prox_spark.readers.parquet.casts import cast, to_texts
from prox_spark.readers.parquet.kinds import TIMESTAMP, to_spark
from prox_spark.readers.parquet.unify import Bounds, Seen, count_leaves, unify

pytestmark = pytest.mark.unit

NONE = Bounds(has_values=False)
SMALL = Bounds(True, -(1 << 53), 1 << 53)
DOUBLE, STRING, INT = pa.float64(), pa.string(), pa.int64()


def struct(**fields: Any) -> Any:
    return pa.struct(list(fields.items()))


def one_type(*seen: Any) -> tuple[Any, list[str]]:
    """Unify the types of files a, b, c …; each is a type or a pair of a type and the bounds of its values."""
    notes: list[str] = []
    pairs = [one if isinstance(one, tuple) else (one, Bounds()) for one in seen]
    found = [Seen(kind, file, lambda _, b=bounds: b) for (kind, bounds), file in zip(pairs, "abcdefgh", strict=False)]
    return unify("x", found, notes), notes


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ([pa.int8(), pa.int32()], pa.int32()),
        ([pa.uint8(), pa.int8()], pa.int16()),
        ([pa.uint32(), pa.int32()], INT),
        ([pa.uint64(), INT], pa.decimal128(20, 0)),
        ([pa.int32(), pa.float32()], DOUBLE),
        ([pa.float16(), pa.float32()], pa.float32()),
        ([pa.float32(), DOUBLE], DOUBLE),
        # Doubles only if the footers show that all values are exact.
        ([(INT, SMALL), DOUBLE], DOUBLE),
        ([(INT, Bounds(True, 0, (1 << 53) + 1)), DOUBLE], STRING),
        ([INT, DOUBLE], STRING),
        ([(pa.uint64(), SMALL), DOUBLE], DOUBLE),
        ([INT, (INT, SMALL), STRING], STRING),
        ([pa.decimal128(5, 2), pa.decimal128(10, 0)], pa.decimal128(12, 2)),
        ([pa.decimal128(5, 2), INT], pa.decimal128(21, 2)),
        ([pa.decimal128(38, 10), pa.decimal128(38, 0)], STRING),
        ([pa.decimal128(5, 2), DOUBLE], STRING),
        ([pa.decimal128(15, 0), DOUBLE], DOUBLE),
        ([pa.bool_(), INT], STRING),
        ([pa.bool_(), pa.bool_()], pa.bool_()),
        ([pa.date32(), pa.timestamp("ms")], TIMESTAMP),
        ([pa.timestamp("ns"), pa.timestamp("s", "Asia/Tokyo")], TIMESTAMP),
        ([pa.timestamp("us"), STRING], STRING),
        ([pa.timestamp("us"), INT], STRING),
        # Milliseconds beyond the range of microseconds.
        ([(pa.timestamp("ms"), Bounds(True, 0, 1 << 62))], STRING),
        ([(pa.timestamp("ms"), Bounds(True, 0, 1 << 40))], TIMESTAMP),
        # Unmarked bytes are text if the footers show no bytes that are not UTF-8.
        ([(pa.binary(), Bounds(True, "é".encode(), "ü".encode())), STRING], STRING),
        ([(pa.binary(), Bounds(True, b"\x00", b"\xff\xfe")), STRING], pa.binary()),
        # Footers truncate long values within a character.
        ([(pa.binary(), Bounds(True, ("é" * 40).encode()[:63], b"z")), STRING], STRING),
        ([pa.binary(), INT], STRING),
        # A column that is all null takes the other's type, whatever type it has itself.
        ([pa.null(), INT], INT),
        ([pa.null()], STRING),
        ([(pa.int32(), NONE), STRING], STRING),
        ([(DOUBLE, NONE), pa.list_(INT)], pa.list_(INT)),
        ([(pa.binary(), NONE), pa.date32()], pa.date32()),
        ([(pa.int32(), NONE), (INT, NONE)], INT),
        ([pa.null(), struct(a=INT)], struct(a=INT)),
        # Parts
        ([struct(a=pa.null(), b=pa.int8()), struct(c=pa.list_(pa.null()), b=INT)], struct(a=STRING, b=INT, c=pa.list_(STRING))),
        ([struct(a=INT), struct(A=INT)], struct(a=INT, A=INT)),
        ([pa.list_(INT), pa.large_list(pa.null()), pa.list_(STRING, 2)], pa.list_(STRING)),
        ([pa.list_(struct(a=INT)), pa.list_(struct(b=INT))], pa.list_(struct(a=INT, b=INT))),
        ([pa.map_(STRING, INT), pa.map_(STRING, STRING)], pa.map_(STRING, STRING)),
        ([pa.map_(STRING, pa.null())], pa.map_(STRING, STRING)),
        ([struct(a=INT), STRING], STRING),
        ([struct(a=INT), pa.map_(STRING, INT)], STRING),
        ([pa.list_(INT), INT], STRING),
    ],
)  # fmt: skip
def test_type_is_the_narrowest_that_holds_all_values_in_whatever_order(seen: list[Any], expected: Any) -> None:
    found = {one_type(*order)[0] for order in permutations(seen)}
    # The order of fields is that of the files.
    assert {sorted_fields(kind) for kind in found} == {sorted_fields(expected)}


def sorted_fields(kind: Any) -> Any:
    if pa.types.is_struct(kind):
        return struct(**{name: sorted_fields(kind.field(name).type) for name in sorted(kind.names)})
    return pa.list_(sorted_fields(kind.value_type)) if pa.types.is_list(kind) else kind


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (pa.uint8(), pa.int16()),
        (pa.uint16(), pa.int32()),
        (pa.uint32(), INT),
        (pa.uint64(), pa.decimal128(20, 0)),
        (pa.float16(), pa.float32()),
        (pa.decimal256(38, 2), pa.decimal128(38, 2)),
        (pa.decimal256(39, 2), STRING),
        (pa.decimal128(5, -2), pa.decimal128(7, 0)),
        (pa.decimal128(2, 5), pa.decimal128(5, 5)),
        (pa.date64(), pa.date32()),
        (pa.time32("s"), STRING),
        (pa.time64("ns"), STRING),
        (pa.duration("ms"), STRING),
        (pa.month_day_nano_interval(), STRING),
        (pa.large_string(), STRING),
        (pa.string_view(), STRING),
        (pa.large_binary(), pa.binary()),
        (pa.binary(16), pa.binary()),
        (pa.uuid(), pa.binary()),
        (pa.json_(), STRING),
        (pa.bool8(), pa.bool_()),
        (pa.dictionary(pa.int8(), pa.large_string()), STRING),
        (pa.list_(pa.float32(), 4), pa.list_(pa.float32())),
        (pa.large_list(pa.dictionary(pa.int8(), pa.uint8())), pa.list_(pa.int16())),
        (pa.struct([pa.field("a", pa.uint8(), nullable=False)]), struct(a=pa.int16())),
    ],
)
def test_type_that_spark_has_not_is_the_nearest_it_has(kind: Any, expected: Any) -> None:
    assert to_spark(kind) == expected


@pytest.mark.parametrize(
    ("seen", "note"),
    [
        ([pa.int32(), INT], "column x: int32 (a) and int64 (b), carried as int64"),
        ([INT, STRING, DOUBLE], "column x: int64 (a), string (b) and double (c), carried as string"),
        ([struct(a=pa.bool_()), struct(a=INT)], "column x.a: bool (a) and int64 (b), carried as string"),
        ([pa.list_(INT), STRING], "column x: list (a) and string (b), carried as string"),
        ([pa.duration("us")], "column x: duration[us], carried as string"),
        (
            [(pa.timestamp("ns"), Bounds(True, 1_000, 1_001))],
            "column x: nanoseconds, carried as microseconds: digits are cut off",
        ),
    ],
)
def test_what_is_carried_as_another_type_is_said(seen: list[Any], note: str) -> None:
    assert one_type(*seen)[1] == [note]


@pytest.mark.parametrize(
    "seen",
    [
        [STRING, pa.large_string(), pa.dictionary(pa.int8(), STRING), pa.null()],
        [pa.uint8(), pa.int16()],
        [pa.timestamp("us"), pa.timestamp("ms", "UTC")],
        [(pa.timestamp("ns"), Bounds(True, 1_000, 2_000))],
        [(pa.int32(), NONE), STRING],
    ],
)
def test_what_is_carried_as_it_is_needs_no_word(seen: list[Any]) -> None:
    assert one_type(*seen)[1] == []


def test_bounds_are_those_of_the_leaf() -> None:
    kind = struct(s=STRING, m=pa.map_(STRING, INT), n=INT)
    asked: list[int] = []

    def bounds(leaf: int) -> Bounds:
        asked.append(leaf)
        return SMALL

    other = struct(n=DOUBLE)
    assert unify("x", [Seen(kind, "a", bounds, 5), Seen(other, "b")], []).field("n").type == DOUBLE
    assert set(asked) == {5 + 3} and count_leaves(kind) == 4


# Values

AT = datetime(2024, 3, 5, 10, 20, 30, 123456)


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        (pa.array([1.0, 0.1, 1e22, None, float("nan"), float("-inf")]), ["1.0", "0.1", "1e+22", None, "NaN", "-Infinity"]),
        (pa.array([0.1, 138598256.0], pa.float32()), ["0.1", "138598256.0"]),
        (pa.array([1.5, None, float("nan")], pa.float16()), ["1.5", None, "NaN"]),
        (pa.array([[1.5, None]], pa.list_(pa.float16())), ["[1.5,null]"]),
        (pa.array([1 << 64 - 1, 5], pa.uint64()), ["9223372036854775808", "5"]),
        (pa.array([True, None]), ["true", None]),
        (pa.array([Decimal("0.0000000001"), Decimal("-12.5")], pa.decimal128(38, 10)), ["0.0000000001", "-12.5000000000"]),
        (pa.array([Decimal("1E40")], pa.decimal256(50, 2)), ["1" + 40 * "0" + ".00"]),
        (pa.array([date(1, 1, 1), date(9999, 12, 31)]), ["0001-01-01", "9999-12-31"]),
        (pa.array([AT, datetime(1, 1, 1)]), ["2024-03-05T10:20:30.123456", "0001-01-01T00:00:00"]),
        (pa.array([AT], pa.timestamp("us", "America/New_York")), ["2024-03-05T10:20:30.123456Z"]),
        (pa.array([1_500], pa.timestamp("ms")), ["1970-01-01T00:00:01.5"]),
        (pa.array([1 << 62], pa.timestamp("ms")), ["4611686018427387904 ms"]),
        (pa.array([time(10, 20, 30), time(0, 0, 0, 500)]), ["10:20:30", "00:00:00.0005"]),
        (pa.array([0, -90_500, 3_661_000], pa.duration("ms")), ["PT0S", "-PT1M30.5S", "PT1H1M1S"]),
        (pa.array([(1 << 63) - 1], pa.duration("s")), ["PT2562047788015215H30M7S"]),
        (pa.array([1], pa.duration("ns")), ["PT0.000000001S"]),
        (pa.array([b"\xc3\xa9", b"\xff"]), ["é", r"\xff"]),
        (pa.array(["p", None]).dictionary_encode(), ["p", None]),
        (pa.array(['{"a": 1}'], pa.json_()), ['{"a": 1}']),
        (pa.array([[1, None], None, []]), ["[1,null]", None, "[]"]),
        (pa.array([{"a": 1, "b": None}, None]), ['{"a":1}', None]),
        (pa.array([[("k", 1), ("l", None)]], pa.map_(STRING, pa.int8())), ['{"k":1,"l":null}']),
    ],
)  # fmt: skip
def test_text_of_a_value_is_exact(array: Any, expected: list[str | None]) -> None:
    assert to_texts(array).to_pylist() == expected


def test_json_of_a_value_with_odd_parts_is_exact() -> None:
    row = {
        "s": "é",
        "b": b"\xff",
        "d": Decimal("1.50"),
        "t": AT,
        "f": float("nan"),
        "u": 1 << 63,
        "l": [0.5, None],
        "w": timedelta(seconds=5),
    }
    kind = struct(
        s=pa.dictionary(pa.int8(), STRING), b=pa.binary(), d=pa.decimal128(5, 2), t=pa.timestamp("us", "UTC"), f=pa.float32(),
        u=pa.uint64(), l=pa.list_(pa.float32(), 2), w=pa.duration("us"),
    )  # fmt: skip
    assert to_texts(pa.array([row, None], kind)).to_pylist() == [
        '{"s":"é","b":"/w==","d":"1.50","t":"2024-03-05T10:20:30.123456Z","f":"NaN","u":9223372036854775808,"l":[0.5,null],"w":"PT5S"}',
        None,
    ]


@pytest.mark.parametrize(
    ("array", "target", "expected"),
    [
        # Before 1970, dropped digits make a time earlier, not later.
        (pa.array([-1, 1_709_634_030_123_456_789, None], pa.timestamp("ns")), TIMESTAMP,
         [datetime(1969, 12, 31, 23, 59, 59, 999_999, UTC), AT.replace(tzinfo=UTC), None]),
        (pa.array([1], pa.timestamp("s", "Asia/Tokyo")), TIMESTAMP, [datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)]),
        (pa.array([date(1, 1, 1)]), TIMESTAMP, [datetime(1, 1, 1, tzinfo=UTC)]),
        (pa.array([(1 << 64) - 1], pa.uint64()), pa.decimal128(22, 2), [Decimal("18446744073709551615.00")]),
        (pa.array([-1.25, None], pa.float16()), DOUBLE, [-1.25, None]),
        (pa.array(["é"]), pa.binary(), ["é".encode()]),
        (pa.array([None, None], pa.int32()), pa.list_(INT), [None, None]),
        (pa.array([[1], None, [2, 3]], pa.list_view(pa.int8())), pa.list_(INT), [[1], None, [2, 3]]),
        (pa.array([[1, 2], None, [3, 4]], pa.list_(pa.int8(), 2)), pa.list_(INT), [[1, 2], None, [3, 4]]),
        (pa.array([{"b": 1, "a": None}, None]), struct(a=STRING, b=INT, c=DOUBLE), [{"a": None, "b": 1, "c": None}, None]),
        (pa.array([[("k", 1)], None, []], pa.map_(STRING, pa.int8())), pa.map_(STRING, STRING), [[("k", "1")], None, []]),
        (pa.array([[{"a": [1]}, None]]), pa.list_(struct(a=pa.list_(STRING), b=INT)), [[{"a": ["1"], "b": None}, None]]),
    ],
)  # fmt: skip
@pytest.mark.parametrize("cut", [0, 1])
def test_values_are_cast_with_their_nulls_and_parts(array: Any, target: Any, expected: list[Any], cut: int) -> None:
    # Slices of arrays have offsets at all depths.
    found = cast(array.slice(cut), target)
    found.validate(full=True)
    assert (found.type, found.to_pylist()) == (target, expected[cut:])


INTEGERS = {kind: st.integers(-(1 << bits - 1), (1 << bits - 1) - 1) for kind, bits in ((pa.int8(), 8), (pa.int32(), 32), (INT, 64))}  # fmt: skip
SCALARS: dict[Any, st.SearchStrategy[Any]] = {
    **INTEGERS,
    pa.uint64(): st.integers(0, (1 << 64) - 1),
    pa.float32(): st.floats(width=32, allow_nan=False, allow_infinity=False),
    DOUBLE: st.floats(allow_nan=False, allow_infinity=False),
    pa.decimal128(20, 3): st.decimals(-(10**16), 10**16, places=3),
    pa.bool_(): st.booleans(),
    STRING: st.text(max_size=5),
    pa.date32(): st.dates(),
    pa.timestamp("us"): st.datetimes(),
    pa.null(): st.none(),
}


def columns() -> st.SearchStrategy[Any]:
    def of(kind: Any) -> st.SearchStrategy[Any]:
        return st.lists(st.none() | SCALARS[kind], min_size=1, max_size=4).map(lambda values: pa.array(values, kind))

    return st.sampled_from(list(SCALARS)).flatmap(of)


def known_bounds(array: Any) -> Callable[[int], Bounds]:
    values = [value for value in array.to_pylist() if value is not None]
    is_integer = pa.types.is_integer(array.type)
    return lambda _: Bounds(bool(values), min(values), max(values)) if values and is_integer else Bounds(bool(values))


@settings(max_examples=400, deadline=None)
@given(st.lists(columns(), min_size=1, max_size=4))
def test_no_value_of_any_column_is_lost(arrays: list[Any]) -> None:
    kind = unify("x", [Seen(array.type, "f", known_bounds(array)) for array in arrays], [])
    for array in arrays:
        for before, after in zip(array.to_pylist(), cast(array, kind).to_pylist(), strict=True):
            assert comes_back(before, after), (array.type, kind, before, after)


def comes_back(before: Any, after: Any) -> bool:
    """Return True if the cast value equals the value or its text."""
    if before is None or after is None:
        return before is after
    if isinstance(after, str) and isinstance(before, float):
        return float(after) == before or float(np.float32(after)) == before
    if isinstance(after, str) and isinstance(before, (int, Decimal)) and not isinstance(before, bool):
        return Decimal(after) == before
    if isinstance(after, str) and isinstance(before, date):
        return after == re.sub(r"(\.\d*?)0+$", r"\1", before.isoformat())
    if isinstance(after, str):
        return after == (str(before).lower() if isinstance(before, bool) else before)
    if isinstance(after, datetime):
        before = before if isinstance(before, datetime) else datetime(before.year, before.month, before.day)
        return after == before.replace(tzinfo=UTC)
    return bool(after == before)
