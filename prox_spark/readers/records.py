"""The items that readers yield: records, rejections, counts of skipped records, and the types of keys."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from prox_spark.errors import ReasonCode
from prox_spark.readers.json_types import JsonType

SNIPPET_CHARS = 200
# Begins the message of a record without the text column. If all records say so, the recipe is wrong and not the records.
NO_SUCH_COLUMN = "no column"

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Beside:
    """A second file about the documents of each file; see `BesideConfig`.

    Attributes:
        column: the column that takes the second file's value of a document.
        path: pairs of a part of the first file's path and its replacement. The last occurrence is replaced.
        key: key of the id in the second file's rows.
        value: key of the value in them; None if the file only lists documents.
        not_for: glob of the names of files without a second file.
    """

    column: str
    path: tuple[tuple[str, str], ...]
    key: str = "id"
    value: str | None = None
    not_for: str | None = None

    @property
    def has_star(self) -> bool:
        """True if a folder in the path may be any. There are then as many second files as such folders."""
        return any("/*/" in new for _, new in self.path)


@dataclass(frozen=True)
class ReadOptions:
    """The part of `InputConfig` that readers need.

    Attributes:
        text_column: key of the text. `a.b` is key b of the object a if no key has the whole name; likewise for the others.
        id_column: key of the id; None for `doc_id`, else `id`, if a record has one.
        id_from_path: if set, an id is this many last parts of the file's path and the line's number, whatever else a record has.
        ids_of_file: ids are unique within a file only, and the file becomes part of them.
        url_column: key of the URL; None for `url`.
        source_column: key of the source; None for `source`.
        keep_source: a record's own source counts, because the recipe names none.
        as_json: keys whose values are carried as JSON text.
        max_keys: an object with more distinct keys is carried as JSON text.
        folder_columns: columns whose values are in the names of folders called NAME=VALUE.
        beside: second files about the documents.
        max_text_chars: longest text, in code points.
        max_window_bytes: largest window of a zstd frame, which needs as much memory.
    """

    text_column: str = "text"
    id_column: str | None = None
    id_from_path: int | None = None
    ids_of_file: bool = False
    url_column: str | None = None
    source_column: str | None = None
    keep_source: bool = True
    as_json: tuple[str, ...] = ()
    max_keys: int = 500
    folder_columns: tuple[str, ...] = ()
    beside: tuple[Beside, ...] = ()
    max_text_chars: int = 1_000_000
    max_window_bytes: int = 2 << 30


@dataclass(slots=True)
class Place:
    """A place in the input. The fields are the columns of `schemas.PROVENANCE`."""

    file: str
    offset: int | None = None
    length: int | None = None


@dataclass(slots=True)
class Record:
    """A document as the file has it.

    Attributes:
        text: always encodable as UTF-8.
        place: its place in the input.
        doc_id: None if the record has none.
        url: None if the record has none.
        source: None if the record has none.
        rest: all other keys; values are JSON.
        metadata: WARC headers; None for other formats.
        is_exact: `rest` may hold values that JSON parsers lose, such as NaN.
    """

    text: str
    place: Place
    doc_id: str | None = None
    url: str | None = None
    source: str | None = None
    rest: dict[str, Any] = field(default_factory=dict)
    metadata: dict[str, str] | None = None
    is_exact: bool = False


@dataclass(frozen=True)
class Rejected:
    """A record, or the rest of a file, that can't become a document.

    Attributes:
        reason: code for programs.
        message: sentence for people.
        place: its place in the input.
        snippet: its first characters, encodable as UTF-8; None for a file.
        doc_id: its id, if that could be read.
        content_sha256: digest of the raw bytes or text; None for a file.
    """

    reason: ReasonCode
    message: str
    place: Place
    snippet: str | None = None
    doc_id: str | None = None
    content_sha256: str | None = None


@dataclass(frozen=True)
class Keys:
    """The types of the values in `Record.rest`, over all records of a file.

    Attributes:
        types: the types, as if all keys were one object's.
        place: the file.
    """

    types: JsonType
    place: Place


@dataclass(frozen=True)
class Skipped:
    """A count of records of a kind that holds no documents. They are not quarantined.

    Attributes:
        n_records: number of records of this kind.
        place: the file.
        what: the kind, as the summary names it, such as `image/*`, `revisit` or `request`.
    """

    n_records: int
    place: Place
    what: str


Item = Record | Rejected | Skipped | Keys


def sha256(content: bytes) -> str:
    """Return the digest in hex."""
    return hashlib.sha256(content).hexdigest()


def derive_id(url: str | None, text: str) -> str:
    """Return the id of a document that has none of its own."""
    return sha256(f"{url or ''}\n{text}".encode())


def cut_snippet(content: bytes | str) -> str:
    """Return the first characters, in a form that every column can hold."""
    if isinstance(content, bytes):
        # A character has four bytes at most: 200 characters don't need megabytes decoded.
        content = content[: 4 * SNIPPET_CHARS].decode("utf-8", "backslashreplace")
    return repair(content[:SNIPPET_CHARS])


def repair(text: str) -> str:
    """Replace half surrogate pairs (a JSON escape cut in two) by U+FFFD, because neither Arrow nor Java can hold them."""
    return _SURROGATE.sub("\ufffd", text)


def describe_too_long(text_chars: int, options: ReadOptions) -> str:
    """Return the message of text_too_long."""
    return f"the text has {text_chars:,} characters, more than input.max_text_chars = {options.max_text_chars:,}"
