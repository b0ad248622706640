"""Columns from beside a file: from other files about the same documents, and from the names of the folders it is in."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import unquote

import orjson
import pyarrow as pa
import pyarrow.parquet as pq

from prox_spark.errors import ReasonCode
from prox_spark.readers.files import list_folders, open_raw
from prox_spark.readers.json_types import JsonType
from prox_spark.readers.jsonl import to_json
from prox_spark.readers.records import Beside, Item, Keys, Place, ReadOptions, Record, Rejected, Skipped, sha256
from prox_spark.readers.streams import Gap, read_blocks

_STAR = "/*/"
_HIVE_NULL = "__HIVE_DEFAULT_PARTITION__"


def join_beside(items: Iterable[Item], uri: str, options: ReadOptions) -> Iterator[Item]:
    """Yield the items of a file, joined with the columns that other files and the folders' names have for its documents.

    Args:
        items: items of the file, in its order. The other files usually have the same order, and then no more than a row is held.
        uri: the file.
        options: `beside` says where the other files are, `folder_columns` which folders count.

    Returns:
        The items; after them a note for each other file that is missing, damaged or without rows for some documents, a count
        of its rows that no document asked for, and the types of the values.
    """
    sides = [_OtherFiles(beside, uri) for beside in options.beside if not _is_excepted(uri, beside)]
    as_json = {beside.column for beside in options.beside} & set(options.as_json)
    of_folders = pick_folder_values(uri, options.folder_columns)
    seen = JsonType()
    for item in items:
        if isinstance(item, Record):
            added: dict[str, Any] = {name: value for name, value in of_folders.items() if name not in item.rest}
            added |= {side.column: value for side in sides if (value := side.find_value(item)) is not None}
            for name in added.keys() & as_json:
                added[name] = value if isinstance(value := added[name], str) else to_json(value)
            seen.add_fields(added, options.max_keys)
            item.rest = item.rest | added
        yield item
    for side in sides:
        yield from side.report_findings()
    if seen.fields:
        yield Keys(seen, Place(uri))


def find_other_paths(uri: str, beside: Beside) -> dict[str, str] | None:
    """Return the paths of the other files by the folder that the star of `beside` stands for; by "" if it has no star.

    Return None if the path lacks a part that is to be replaced.

    Example:
        >>> signals = Beside("s", (("/documents/", "/quality_signals/"), (".json.gz", ".signals.json.gz")))
        >>> find_other_paths("s3://rp/documents/2023-06/0000/en_head.json.gz", signals)
        {'': 's3://rp/quality_signals/2023-06/0000/en_head.signals.json.gz'}
    """
    for old, new in beside.path:
        before, found, after = uri.rpartition(old)
        if not found:
            return None
        uri = f"{before}{new}{after}"
    if not beside.has_star:
        return {"": uri}
    parent, _, rest = uri.rpartition(_STAR)
    return {name: f"{parent}/{name}/{rest}" for name in list_folders(parent)}


def pick_folder_values(uri: str, names: Sequence[str]) -> dict[str, str]:
    """Return the values in the names of a file's folders called NAME=VALUE, as Hive writes them, for these names.

    Example:
        >>> pick_folder_values("/nemotron/quality=medium-high/kind=actual/x.jsonl.zstd", ["quality"])
        {'quality': 'medium-high'}
    """
    pairs = (folder.partition("=") for folder in uri.split("/")[:-1])
    return {name: unquote(value) for name, _, value in pairs if name in names and value not in ("", _HIVE_NULL)}


def _is_excepted(uri: str, beside: Beside) -> bool:
    return bool(beside.not_for) and fnmatchcase(uri.rpartition("/")[2], str(beside.not_for))


class _OtherFiles:
    """The files that one entry of `input.beside` names for one file of documents."""

    def __init__(self, beside: Beside, uri: str) -> None:
        self.column = beside.column
        self._beside = beside
        self._uri = uri
        paths = find_other_paths(uri, beside)
        self._is_nowhere = paths is None
        self._files = {name: _OtherFile(path, beside) for name, path in (paths or {}).items()}
        self._n_documents = 0

    def find_value(self, record: Record) -> Any:
        """Return the value that the other files have for a document; None if they have none."""
        self._n_documents += 1
        own = record.rest.get(self._beside.key)
        key = record.doc_id if own is None or isinstance(own, (dict, list)) else str(own)
        if self._beside.value is None:
            return next((file.has_row(key) for file in self._files.values()), None)
        found = {name: value for name, file in self._files.items() if (value := file.take(key)) is not None}
        if not self._beside.has_star:
            return found.get("")
        merged: dict[str, Any] = {}
        for name, value in found.items():
            merged |= value if isinstance(value, dict) else {name: value}
        return merged or None

    def report_findings(self) -> Iterator[Rejected | Skipped]:
        """Yield notes and counts, after all documents were joined."""
        if self._is_nowhere and self._n_documents and not self._beside.has_star:
            parts = " and ".join(repr(old) for old, _ in self._beside.path)
            yield self._note(f"the path of this file lacks {parts}", self._n_documents, self.column)
        for file in self._files.values():
            n_left = file.count_left()
            if file.n_missed:
                yield self._note(file.explain(self._n_documents), file.n_missed, file.uri)
            if n_left:
                yield Skipped(n_left, Place(file.uri), f"rows of {self.column} without a document")

    def _note(self, message: str, n_documents: int, other: str) -> Rejected:
        message = (
            f"{message}: {self.column} is null for {n_documents:,} of {self._n_documents:,} documents (input.beside)"
        )
        # The digest of the other file's name tells the notes on one file of documents apart.
        return Rejected(ReasonCode.MISSING_BESIDE, message, Place(self._uri), None, None, sha256(other.encode()))


class _OtherFile:
    """Another file, with its rows by document id."""

    def __init__(self, uri: str, beside: Beside) -> None:
        self.uri = uri
        self.n_missed = 0
        self._problem: str | None = None
        self._n_bad = 0
        self._rows = self._read(beside.key, beside.value)
        # Rows whose documents have not come yet. Several rows of one id are taken in their order.
        self._waiting: dict[str, deque[Any]] = {}
        self._listed: set[str] | None = None
        self._asked: set[str] = set()

    def take(self, key: str | None) -> Any:
        """Return the value of the next row with this id; None if there is none."""
        if key is not None:
            if queue := self._waiting.get(key):
                value = queue.popleft()
                if not queue:
                    del self._waiting[key]
                return value
            for found, value in self._rows:
                if found == key:
                    return value
                self._waiting.setdefault(found, deque()).append(value)
        self.n_missed += 1
        return None

    def has_row(self, key: str | None) -> bool | None:
        """Return True if there is a row with this id; None if the file can't tell."""
        if self._listed is None:
            self._listed = {found for found, _ in self._rows}
        if key in self._listed:
            self._asked.add(str(key))
            return True
        if self._problem or key is None:
            self.n_missed += 1
            return None
        return False

    def count_left(self) -> int:
        """Return the number of rows that no document has asked for."""
        n_left = sum(1 for _ in self._rows) + self._n_bad
        return n_left + sum(map(len, self._waiting.values())) + len((self._listed or set()) - self._asked)

    def explain(self, n_documents: int) -> str:
        """Return why documents have found no row."""
        if self._problem:
            return self._problem
        bad = f", {self._n_bad:,} rows of which hold no id or no value" if self._n_bad else ""
        missed = "not one document has a row" if self.n_missed == n_documents else "some documents have no row"
        return f"{missed} in {self.uri}{bad}"

    def _read(self, key: str, value: str | None) -> Iterator[tuple[str, Any]]:
        n_rows = 0
        try:
            for row in self._read_objects(key, value):
                n_rows += 1
                if not isinstance(row, dict) or row.get(key) is None or (value and row.get(value) is None):
                    self._n_bad += 1
                    continue
                yield str(row[key]), row[value] if value else None
        except (OSError, pa.ArrowException) as error:
            if isinstance(error.__cause__ or error, FileNotFoundError):
                self._problem = f"there is no file {self.uri}"
                return
            past = f" past row {n_rows:,}" if n_rows else ""
            self._problem = f"{self.uri} can't be read{past} ({error})"

    def _read_objects(self, key: str, value: str | None) -> Iterator[Any]:
        if self.uri.endswith(".parquet"):
            with open_raw(self.uri) as raw:
                file = pq.ParquetFile(raw)
                wanted = [name for name in (key, value) if name in file.schema_arrow.names]
                for batch in file.iter_batches(columns=wanted):
                    for row in batch.to_pylist():
                        yield orjson.loads(orjson.dumps(row, default=str))
            return
        for line in self._read_lines():
            if line.strip():
                yield _parse(line)

    def _read_lines(self) -> Iterator[bytes]:
        parts: list[bytes] = []
        for block in read_blocks(self.uri):
            if isinstance(block, Gap):
                # The row that ends in the gap is dropped; the one that begins in it fails to parse.
                self._problem, parts = f"{self.uri} is damaged ({block.message})", []
                continue
            *whole, tail = block.split(b"\n")
            for piece in whole:
                yield b"".join([*parts, piece])
                parts = []
            parts.append(tail)
        yield b"".join(parts)


def _parse(line: bytes) -> Any:
    """Return the value of a line of JSON; None if it is no JSON."""
    try:
        return orjson.loads(line)
    except ValueError:
        try:
            return json.loads(line, strict=False)
        except (ValueError, RecursionError):
            return None
