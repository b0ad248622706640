"""What the readers yield: records, rejections, counts of what was passed over, and the types of keys."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, field
from typing import Any

from prox_spark.errors import ReasonCode
from prox_spark.readers.json_types import JsonType

SNIPPET_CHARS = 200
# Beginning of the message of a record without the text column: when all records say so, the recipe is wrong, not they.
NO_SUCH_COLUMN = "no column"

_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class Beside:
    """Another file for each file of documents, of the same documents; see `BesideConfig`.

    Attributes:
        column: takes what the other file says of a document.
        path: what to replace in the path of a file of documents, where it comes last, and by what.
        key: key of the id in the other file's rows.
        value: key of the value in them; None: the file lists documents.
        not_for: glob of names of files that have none.
    """

    column: str
    path: tuple[tuple[str, str], ...]
    key: str = "id"
    value: str | None = None
    not_for: str | None = None

    @property
    def has_star(self) -> bool:
        """True if a folder in the path may be any: there are as many other files as such folders."""
        return any("/*/" in new for _, new in self.path)


@dataclass(frozen=True)
class ReadOptions:
    """What a reader must know of `InputConfig`.

    Attributes:
        text_column: key of the text; `a.b` is key b of the object a where no key has the whole name. Likewise the others.
        id_column: key of the id; None for `doc_id`, else `id`, where a record has one.
        id_from_path: an id is so many last parts of the file's path and the number of the line, whatever else a record has.
        ids_of_file: ids are unique within a file only, and the file becomes part of them.
        url_column: key of the URL; None for `url`.
        source_column: key of the source; None for `source`.
        keep_source: the recipe names no source: a record's own is the source.
        as_json: keys whose values are carried as JSON text.
        max_keys: an object with more distinct keys is carried as JSON text.
        folder_columns: names of folders called NAME=VALUE that are columns.
        beside: what other files have for the documents.
        max_text_chars: longest text, in code points.
        max_window_bytes: largest window of a zstd frame, which takes so much memory.
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
    """Where something lies in the input; the columns of `schemas.PROVENANCE`."""

    file: str
    offset: int | None = None
    length: int | None = None


@dataclass(slots=True)
class Record:
    """A document as the file has it.

    Attributes:
        text: always encodable as UTF-8.
        place: where it lies.
        doc_id: None where the record has none.
        url: None where the record has none.
        source: None where the record has none.
        rest: all other keys; values are JSON.
        metadata: WARC headers.
        is_exact: `rest` may hold what JSON parsers lose, such as NaN.
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
        reason: for programs.
        message: for people.
        place: where it lies.
        snippet: its first characters, encodable as UTF-8.
        doc_id: where it could be read.
        content_sha256: of the raw bytes or text; None for a file.
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
        types: as if all of them were one object's.
        place: the file.
    """

    types: JsonType
    place: Place


@dataclass(frozen=True)
class Skipped:
    """Records that are no documents by their kind: counted by kind, not quarantined.

    Attributes:
        n_records: how many of this kind.
        place: the file.
        what: the kind, as the summary names it, such as `image/*`, `revisit` or `request`.
    """

    n_records: int
    place: Place
    what: str


def sha256(content: bytes) -> str:
    """Hex digest."""
    return hashlib.sha256(content).hexdigest()


def derive_id(url: str | None, text: str) -> str:
    """Return the id of a document that has none of its own."""
    return sha256(f"{url or ''}\n{text}".encode())


def snippet(content: bytes | str) -> str:
    """The first characters, in a form that every column can hold."""
    if isinstance(content, bytes):
        # Four bytes a character at most: no need to decode megabytes for 200 characters.
        content = content[: 4 * SNIPPET_CHARS].decode("utf-8", "backslashreplace")
    return repair(content[:SNIPPET_CHARS])


def repair(text: str) -> str:
    """Half surrogate pairs (a JSON escape cut in two) become U+FFFD: neither Arrow nor Java can hold them."""
    return _SURROGATE.sub("\ufffd", text)


def too_long(text_chars: int, options: ReadOptions) -> str:
    """The message of text_too_long."""
    return f"the text has {text_chars:,} characters, more than input.max_text_chars = {options.max_text_chars:,}"
