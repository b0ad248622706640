"""One way to read a file of any record format; a damaged file is a rejection, never the end of the run."""

from __future__ import annotations

import errno
from collections.abc import Callable, Iterator

from prox_spark.errors import ReasonCode
from prox_spark.readers import jsonl, warc
from prox_spark.readers.beside import join_beside
from prox_spark.readers.files import corrupt_errors
from prox_spark.readers.formats import InputFormat
from prox_spark.readers.records import Keys, Place, ReadOptions, Record, Rejected, Skipped

Reader = Callable[[str, ReadOptions], Iterator[Record | Rejected | Skipped | Keys]]

_READERS: dict[InputFormat, Reader] = {
    InputFormat.JSONL: jsonl.read,
    InputFormat.WARC: warc.read_warc,
    InputFormat.WET: warc.read_wet,
}


# What is wrong with a file the next time, too.
_LASTING = (errno.ENOENT, errno.EACCES, errno.EPERM, errno.ELOOP, errno.EISDIR, errno.ENOTDIR, errno.ENAMETOOLONG)


def read_file(
    uri: str, kind: InputFormat, options: ReadOptions, is_read_twice: bool = False
) -> Iterator[Record | Rejected | Skipped | Keys]:
    """Yields what a file holds, in its order, with what lies beside it; one `unreadable_file` where the rest can't be read.

    Args:
        uri: absolute local path or URI.
        kind: one of the record formats.
        options: how columns are named, and limits.
        is_read_twice: what a store fails at for a moment is raised, for Spark to try again: both readings must be the same.

    Raises:
        ProxSparkError: the readers of WARC are not installed.
        OSError: the store failed while a file was read that is read twice.
    """
    items = _read(uri, kind, options, is_read_twice)
    return join_beside(items, uri, options) if options.beside or options.folder_columns else items


def _read(
    uri: str, kind: InputFormat, options: ReadOptions, is_read_twice: bool
) -> Iterator[Record | Rejected | Skipped | Keys]:
    n_records = 0
    try:
        for item in _READERS[kind](uri, options):
            n_records += isinstance(item, (Record, Rejected))
            yield item
    except corrupt_errors() as error:
        if is_read_twice and isinstance(error, OSError) and _errno(error) not in _LASTING:
            raise
        what = "the file can't be read" if not n_records else f"the file can't be read past record {n_records:,}"
        yield Rejected(ReasonCode.UNREADABLE_FILE, f"{what}: {error}", Place(uri))


def _errno(error: OSError) -> int | None:
    """Return the number of an error, or of the one that it says in better words."""
    cause = error.__cause__
    return cause.errno if error.errno is None and isinstance(cause, OSError) else error.errno
