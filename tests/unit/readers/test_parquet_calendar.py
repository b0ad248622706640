from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from prox_spark.readers.parquet.calendar import is_julian, to_new_calendar

pytestmark = pytest.mark.unit

# Spark's own table (RebaseDateTime.julianGregDiffs): the difference that is added to old-calendar days from each day on.
FROM_DAY = [-719164, -682945, -646420, -609895, -536845, -500320, -463795, -390745, -354220, -317695, -244645, -208120, -171595, -141427]  # fmt: skip
ADDED = [2, 1, 0, -1, -2, -3, -4, -5, -6, -7, -8, -9, -10, 0]


def test_every_day_since_year_1_is_moved_as_spark_moves_it() -> None:
    days = np.arange(FROM_DAY[0], FROM_DAY[-1] + 1000, dtype=np.int32)
    moved = to_new_calendar(pa.array(days).view(pa.date32())).view(pa.int32()).to_numpy()
    assert (moved == days + np.array(ADDED)[np.searchsorted(FROM_DAY, days, side="right") - 1]).all()


def test_times_keep_their_time_of_day_and_parts_are_moved_too() -> None:
    noon, day = 43_200 * 10**6, 86_400 * 10**6
    times = pa.array([-141_428 * day + noon, None, 0]).view(pa.timestamp("us"))
    moved = to_new_calendar(
        pa.array([{"t": [-141_428 * day + noon, None]}, None], pa.struct([("t", pa.list_(times.type))]))
    )
    assert to_new_calendar(times).cast(pa.string()).to_pylist() == [
        "1582-10-04 12:00:00.000000",
        None,
        "1970-01-01 00:00:00.000000",
    ]
    assert [str(t) for t in moved.to_pylist()[0]["t"]] == ["1582-10-04 12:00:00", "None"]
    assert to_new_calendar(pa.array([date(2024, 3, 5)])).to_pylist() == [date(2024, 3, 5)]


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        (None, False),
        ({}, False),
        ({b"org.apache.spark.version": b"4.1.2"}, False),
        ({b"org.apache.spark.version": b"4.1.2", b"org.apache.spark.legacyDateTime": b""}, True),
        ({b"org.apache.spark.version": b"3.5.9", b"org.apache.spark.legacyINT96": b""}, True),
        ({b"org.apache.spark.version": b"2.4.8", b"org.apache.spark.sql.parquet.row.metadata": b"{}"}, True),
        ({b"org.apache.spark.sql.parquet.row.metadata": b"{}"}, True),
        ({b"pandas": b"{}"}, False),
    ],
)  # fmt: skip
def test_writer_says_in_which_calendar_it_counted(metadata: dict[bytes, bytes] | None, expected: bool) -> None:
    assert is_julian(metadata) is expected
