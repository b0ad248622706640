"""Days before 1582-10-15 from writers that counted in the Julian calendar: Spark 2, and Spark 3 in legacy mode.

For such a writer the day before was 1582-10-04, which today's calendar calls 1582-10-14. The writer meant the date and not the
day. Spark's own reader restores the date; pyarrow and pandas do not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.types as pat

from prox_spark.readers.parquet.leaves import change_leaves

# 1582-10-15 in days from 1970-01-01.
_FIRST_NEW_DAY: Final = -141_427
# Days from the beginning of the Julian day numbers to 1970-01-01.
_JULIAN_DAY: Final = 2_440_588
_DAY_MICROSECONDS: Final = 86_400 * 10**6
_SPARK: Final = b"org.apache.spark."


def is_julian(metadata: Mapping[bytes, bytes] | None) -> bool:
    """Return True if a file's metadata say that its writer counted in that calendar, or was a Spark that did."""
    said = metadata or {}
    if _SPARK + b"legacyDateTime" in said or _SPARK + b"legacyINT96" in said:
        return True
    version = said.get(_SPARK + b"version")
    if version is None:
        return _SPARK + b"sql.parquet.row.metadata" in said
    return version.startswith((b"1.", b"2."))


def to_new_calendar(array: Any) -> Any:
    """Return the array with its dates and timestamps in microseconds, also nested ones, in today's calendar."""
    return change_leaves(array, _rebase)


def _rebase(array: Any) -> Any:
    kind = array.type
    is_date = pat.is_date32(kind)
    if not (is_date or (pat.is_timestamp(kind) and kind.unit == "us")):
        return array
    ticks = array.view(pa.int32() if is_date else pa.int64())
    numbers = ticks.fill_null(0).to_numpy(zero_copy_only=False).astype(np.int64)
    days, rest = np.divmod(numbers, 1 if is_date else _DAY_MICROSECONDS)
    is_old = days < _FIRST_NEW_DAY
    if not is_old.any():
        return array
    days[is_old] = _shift_to_same_date(days[is_old])
    rebased = days if is_date else days * _DAY_MICROSECONDS + rest
    mask = array.is_null().to_numpy(zero_copy_only=False)
    return pa.array(rebased, ticks.type, mask=mask).view(kind)


def _shift_to_same_date(days: Any) -> Any:
    """Return the days that have the same dates in today's calendar as these have in the Julian one.

    Source: E. G. Richards, Calendars, in: Explanatory Supplement to the Astronomical Almanac, 3rd edition, 15.11.3.
    """
    # Counted in periods of four years that begin on March 1, so that a leap day is the last day.
    since = days + _JULIAN_DAY + 32_082
    years = (4 * since + 3) // 1461
    day_of_year = since - 1461 * years // 4
    # In today's calendar the same year began on another day.
    years -= 4800
    century = years // 100
    begin = 365 * years + years // 4 - century + century // 4
    # 0000-03-01 in days from 1970-01-01.
    return begin + day_of_year - 719_468
