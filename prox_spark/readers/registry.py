"""The formats that input files can have. Every format is registered here and nowhere else.

To add a format of records:

1. Write its reader: a function from a file's URI and `ReadOptions` to the items of `records.py`. `jsonl.py` is an example.
   A damaged part is a `Rejected`. Errors that end the file are raised; `read_file` turns them into a rejection.
2. Add a member to `InputFormat` and an entry to `FORMATS`. Names, contents, messages and `read_file` follow from them.
3. Allow the new name in `InputConfig.format` and in the command line's `--format`. A test fails where it is missing.
"""

from __future__ import annotations

import errno
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import zstandard

from prox_spark.errors import ReasonCode
from prox_spark.readers import jsonl, warc
from prox_spark.readers.beside import join_beside
from prox_spark.readers.records import Item, Place, ReadOptions, Record, Rejected
from prox_spark.readers.signatures import looks_like_json

# Errors that reading a damaged, cut-off or unreadable file raises.
_READ_ERRORS = (EOFError, OSError, zlib.error, zstandard.ZstdError)
# Errors that another attempt would meet, too.
_LASTING = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


class InputFormat(StrEnum):
    """A format of input files. The value is the one that `input.format` takes in a recipe."""

    JSONL = "jsonl"
    PARQUET = "parquet"
    DELTA = "delta"
    WARC = "warc"
    WET = "wet"

    @property
    def is_table(self) -> bool:
        """True if the data have columns and are read as a table; `read_file` reads the other formats."""
        return FORMATS[self].read is None


@dataclass(frozen=True)
class Format:
    """What the package knows of a format.

    Attributes:
        suffixes: ends of file names in lower case, without that of a compression.
        matches: returns True if a file's first bytes, decompressed, are of this format. It gets some kilobytes.
        read: yields the items of a file; None for tables, which have a way of their own.
    """

    suffixes: tuple[str, ...]
    matches: Callable[[bytes], bool]
    read: Callable[[str, ReadOptions], Iterator[Item]] | None


def _is_wet(head: bytes) -> bool:
    return b"\nwarc-type: conversion" in head.lower()


FORMATS: dict[InputFormat, Format] = {
    # A JSON array is one document, which no reader takes apart, but its row in quarantine says so.
    InputFormat.JSONL: Format((".jsonl", ".ndjson", ".jsonlines", ".jl", ".json"), looks_like_json, jsonl.read_jsonl),
    InputFormat.PARQUET: Format((".parquet", ".parq", ".pq"), lambda head: head.startswith(b"PAR1"), None),
    # A Delta table is a folder; `pipeline.inputs` tells it by its _delta_log.
    InputFormat.DELTA: Format((), lambda _: False, None),
    InputFormat.WARC: Format((".warc",), lambda head: head.startswith(b"WARC/") and not _is_wet(head), warc.read_warc),
    InputFormat.WET: Format((".wet",), lambda head: head.startswith(b"WARC/") and _is_wet(head), warc.read_wet),
}


def read_file(uri: str, kind: InputFormat, options: ReadOptions, is_read_twice: bool = False) -> Iterator[Item]:
    """Yield the items of a file in its order, joined with what lies beside it.

    A damaged file never ends the run: one `unreadable_file` stands for what can't be read of it.

    Args:
        uri: absolute local path or URI.
        kind: one of the record formats.
        options: how columns are named, and limits.
        is_read_twice: raise a passing error of the store, for Spark to try again, because both readings must be the same.

    Raises:
        ProxSparkError: the packages that WARC needs are not installed.
        OSError: the store failed, and the file is read twice.
    """
    items = _read(uri, kind, options, is_read_twice)
    return join_beside(items, uri, options) if options.beside or options.folder_columns else items


def _read(uri: str, kind: InputFormat, options: ReadOptions, is_read_twice: bool) -> Iterator[Item]:
    read = FORMATS[kind].read
    if read is None:
        raise ValueError(f"{kind} is a format of tables: {uri} can't be read as a file of records")
    n_records = 0
    try:
        for item in read(uri, options):
            n_records += isinstance(item, (Record, Rejected))
            yield item
    except _READ_ERRORS as error:
        if is_read_twice and isinstance(error, OSError) and _find_errno(error) not in _LASTING:
            raise
        what = "the file can't be read" if not n_records else f"the file can't be read past record {n_records:,}"
        yield Rejected(ReasonCode.UNREADABLE_FILE, f"{what}: {error}", Place(uri))


def _find_errno(error: OSError) -> int | None:
    """Return the number of an error, or of its cause if the error only words it better."""
    cause = error.__cause__
    return cause.errno if error.errno is None and isinstance(cause, OSError) else error.errno
