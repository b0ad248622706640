"""The footers of Parquet files: columns, row groups, and bounds of values. They are read before any row."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq
import pyarrow.types as pat

from prox_spark.errors import first_line
from prox_spark.readers.files import open_raw
from prox_spark.readers.parquet import kinds
from prox_spark.readers.parquet.calendar import is_julian
from prox_spark.readers.parquet.unify import Bounds

LOG = logging.getLogger(__name__)

# Reading a footer takes kilobytes, and on a store mostly waiting.
_THREADS: Final = 16
_LOG_SECONDS: Final = 10
# Column chunks are read piece by piece, because a row group may be larger than a worker's memory.
_READ_BYTES: Final = 1 << 20
_NOT_PARQUET: Final = "the file can't be read as Parquet"
_MAGIC, _ENCRYPTED = b"PAR1", b"PARE"
# Errors that Arrow raises for files that are damaged, cut off, or no Parquet.
UNREADABLE: Final = (OSError, pa.ArrowException, EOFError, UnicodeDecodeError)


@dataclass(frozen=True)
class RowGroup:
    """A row group of a file, which is read independently.

    Attributes:
        n_rows: number of its rows.
        n_bytes: size of its decompressed pages.
    """

    n_rows: int
    n_bytes: int


@dataclass(frozen=True)
class Footer:
    """The footer of a file.

    Attributes:
        uri: the file.
        schema: its columns. Equal schemas are the same object.
        groups: its row groups, in order.
        old_calendar: days before 1582-10-15 are counted in the Julian calendar.
        bounds: bounds by leaf number, for the leaf columns whose type alone does not decide how they are carried.
    """

    uri: str
    schema: Any
    groups: tuple[RowGroup, ...]
    old_calendar: bool = False
    bounds: dict[int, Bounds] = field(default_factory=dict)

    @property
    def n_rows(self) -> int:
        """Return the number of rows of the file."""
        return sum(group.n_rows for group in self.groups)


@contextmanager
def open_parquet(uri: str) -> Iterator[Any]:
    """Open a file for reading piece by piece.

    Yields:
        A `pyarrow.parquet.ParquetFile`.

    Raises:
        OSError, pa.ArrowException: see `UNREADABLE`.
    """
    with open_raw(uri) as raw:
        yield pq.ParquetFile(
            raw,
            pre_buffer=False,
            buffer_size=_READ_BYTES,
            page_checksum_verification=True,
            # The default of nanoseconds holds the years 1677 to 2262 only, and others wrap around.
            coerce_int96_timestamp_unit="us",
        )


def read_footers(uris: Sequence[str]) -> tuple[list[Footer], dict[str, str]]:
    """Read the footers of all files, several at a time.

    Returns:
        The footers that can be read, in the given order, and for each other file the reason why it can't be read.
    """
    schemas: dict[bytes, Any] = {}
    found: list[Footer] = []
    broken: dict[str, str] = {}
    for uri, footer in zip(uris, _map_in_threads(_read_footer, uris, "footers"), strict=True):
        if isinstance(footer, str):
            broken[uri] = footer
        else:
            key = footer.schema.remove_metadata().serialize().to_pybytes()
            schema = schemas.setdefault(key, footer.schema.remove_metadata())
            found.append(Footer(footer.uri, schema, footer.groups, footer.old_calendar, footer.bounds))
    return found, broken


def read_bounds(uris: Sequence[str], leaves: Sequence[int]) -> dict[int, Bounds]:
    """Return the bounds of leaf columns over files of one schema.

    Args:
        uris: the files. The bounds of a file that can't be read any more are unknown.
        leaves: numbers of the columns.
    """

    def read(uri: str) -> dict[int, Bounds]:
        try:
            with open_parquet(uri) as file:
                return {leaf: _read_file_bounds(file.metadata, leaf) for leaf in leaves}
        except UNREADABLE:
            return {leaf: Bounds() for leaf in leaves}

    found = list(_map_in_threads(read, uris, "bounds of values"))
    return {leaf: merge_bounds(one[leaf] for one in found) for leaf in leaves}


def merge_bounds(bounds: Iterable[Bounds]) -> Bounds:
    """Return the bounds that hold all of these."""
    filled = [one for one in bounds if one.has_values]
    if not filled:
        return Bounds(has_values=False)
    if any(one.low is None for one in filled):
        return Bounds()
    return Bounds(True, min(one.low for one in filled), max(one.high for one in filled))


def _read_footer(uri: str) -> Footer | str:
    try:
        with open_parquet(uri) as file:
            metadata, schema = file.metadata, file.schema_arrow
            groups = [metadata.row_group(place) for place in range(metadata.num_row_groups)]
            if any(group.num_rows < 0 for group in groups):
                return f"{_NOT_PARQUET}: its footer is damaged, a row group has {min(g.num_rows for g in groups)} rows"
            return Footer(
                uri,
                schema,
                tuple(RowGroup(group.num_rows, group.total_byte_size) for group in groups),
                is_julian(metadata.metadata),
                {leaf: _read_file_bounds(metadata, leaf) for leaf in _find_watched(schema)},
            )
    except UNREADABLE as error:
        return _explain_unreadable(uri, error)


def _explain_unreadable(uri: str, error: BaseException) -> str:
    try:
        with open_raw(uri) as raw:
            begin = raw.read(4)
            raw.seek(max(raw.seek(0, 2) - 4, 0))
            end = raw.read(4)
    except OSError as problem:
        return f"the file can't be read: {first_line(problem)}"
    if not begin:
        return "the file is empty: it has not one byte"
    if begin == _ENCRYPTED or end == _ENCRYPTED:
        return "the file is encrypted: decrypt it first, no key can be given here"
    if begin == _MAGIC != end:
        return "the file is cut off, or still being written: it begins as Parquet does, and its footer is missing"
    return f"{_NOT_PARQUET}: {first_line(error)}"


def _find_watched(schema: Any) -> Iterator[int]:
    """Yield the leaf numbers of timestamps in other units than microseconds, whose values microseconds may not hold."""
    leaf = 0
    for column in schema:
        for kind in _walk_leaf_kinds(column.type):
            if pat.is_timestamp(kind) and kind.unit != "us":
                yield leaf
            leaf += 1


def _walk_leaf_kinds(kind: Any) -> Iterator[Any]:
    kind = kinds.unwrap(kind)
    if pat.is_struct(kind):
        for part in kind:
            yield from _walk_leaf_kinds(part.type)
    elif pat.is_map(kind):
        yield from _walk_leaf_kinds(kind.key_type)
        yield from _walk_leaf_kinds(kind.item_type)
    elif kinds.is_list(kind):
        yield from _walk_leaf_kinds(kind.value_type)
    else:
        yield kind


def _read_file_bounds(metadata: Any, leaf: int) -> Bounds:
    return merge_bounds(_read_group_bounds(metadata.row_group(place), leaf) for place in range(metadata.num_row_groups))


def _read_group_bounds(group: Any, leaf: int) -> Bounds:
    if not group.num_rows:
        return Bounds(has_values=False)
    column = group.column(leaf)
    statistics = column.statistics
    if statistics is None:
        return Bounds()
    if statistics.has_null_count and statistics.null_count == column.num_values:
        return Bounds(has_values=False)
    if not statistics.has_min_max:
        return Bounds()
    # Python's own types raise for timestamps beyond its years, but only they give unsigned integers correctly.
    as_stored = statistics.logical_type.type == "TIMESTAMP"
    low, high = (statistics.min_raw, statistics.max_raw) if as_stored else (statistics.min, statistics.max)
    is_ordered = isinstance(low, (int, bytes)) and type(low) is type(high) and not isinstance(low, bool)
    return Bounds(True, low, high) if is_ordered else Bounds()


def _map_in_threads(read: Any, uris: Sequence[str], what: str) -> Iterator[Any]:
    """Yield results in the order of the files, and log the progress if that takes long."""
    last = time.monotonic()
    with ThreadPoolExecutor(min(_THREADS, len(uris) or 1)) as pool:
        for n_read, result in enumerate(pool.map(read, uris), start=1):
            yield result
            if time.monotonic() - last > _LOG_SECONDS:
                last = time.monotonic()
                LOG.info("parquet: %s of %s of %s files read", what, f"{n_read:,}", f"{len(uris):,}")
