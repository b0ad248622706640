"""One way to read a file of any record format; a damaged file is a rejection, never the end of the run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from prox_spark.errors import ReasonCode
from prox_spark.ingest import jsonl, warc
from prox_spark.ingest.beside import join_beside
from prox_spark.ingest.files import corrupt_errors
from prox_spark.ingest.formats import InputFormat
from prox_spark.ingest.records import Keys, Place, ReadOptions, Record, Rejected, Skipped

Reader = Callable[[str, ReadOptions], Iterator[Record | Rejected | Skipped | Keys]]

_READERS: dict[InputFormat, Reader] = {
    InputFormat.JSONL: jsonl.read,
    InputFormat.WARC: warc.read_warc,
    InputFormat.WET: warc.read_wet,
}


def read_file(uri: str, kind: InputFormat, options: ReadOptions) -> Iterator[Record | Rejected | Skipped | Keys]:
    """Yields what a file holds, in its order, with what lies beside it; one `unreadable_file` where the rest can't be read.

    Args:
        uri: absolute local path or URI.
        kind: one of the record formats.
        options: how columns are named, and limits.

    Raises:
        ProxSparkError: the readers of WARC are not installed.
    """
    items = _read(uri, kind, options)
    return join_beside(items, uri, options) if options.beside or options.folder_columns else items


def _read(uri: str, kind: InputFormat, options: ReadOptions) -> Iterator[Record | Rejected | Skipped | Keys]:
    n_records = 0
    try:
        for item in _READERS[kind](uri, options):
            n_records += isinstance(item, (Record, Rejected))
            yield item
    except corrupt_errors() as error:
        what = "the file can't be read" if not n_records else f"the file can't be read past record {n_records:,}"
        yield Rejected(ReasonCode.UNREADABLE_FILE, f"{what}: {error}", Place(uri))
