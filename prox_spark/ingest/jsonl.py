"""JSON Lines: one object per line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterator
from typing import Any, BinaryIO

from prox_spark.errors import ReasonCode
from prox_spark.ingest.files import open_text
from prox_spark.ingest.records import (
    NO_SUCH_COLUMN,
    Place,
    ReadOptions,
    Record,
    Rejected,
    repair,
    sha256,
    snippet,
    too_long,
)

_BLOCK_BYTES = 1 << 20
# A character takes up to 12 bytes in JSON (a surrogate pair of escapes); the other columns of a line have room too.
_LINE_BYTES_PER_CHAR = 12
_MIN_LINE_BYTES = 64 << 20


def read(uri: str, options: ReadOptions) -> Iterator[Record | Rejected]:
    """Yields a record or a rejection for every line that isn't blank.

    Args:
        uri: the file, plain, .gz or .zst.
        options: how columns are named, and limits.

    Raises:
        EOFError, OSError and others: the file is cut off or damaged; see `files.corrupt_errors`.
    """
    max_bytes = max(_MIN_LINE_BYTES, _LINE_BYTES_PER_CHAR * options.max_text_chars)
    first = True
    with open_text(uri) as stream:
        for number, line, n_bytes in lines(stream, max_bytes):
            content = line.strip()
            if not content:
                continue
            place = Place(uri, number, n_bytes)
            if first and _is_one_document(content):
                yield Rejected(
                    ReasonCode.INVALID_RECORD,
                    "the file is one JSON document over many lines or an array; JSON Lines with one object per line is "
                    "needed. `jq -c '.[]?' FILE` makes an array such lines, `jq -c . FILE` an object.",
                    Place(uri, number),
                    snippet(content),
                )
                return
            first = False
            if n_bytes > max_bytes:
                message = (
                    f"the line has {n_bytes:,} bytes, more than the {max_bytes:,} that input.max_text_chars allows"
                )
                yield Rejected(ReasonCode.TEXT_TOO_LONG, message, place, snippet(content), None, sha256(content))
            else:
                yield parse(content, place, options)


def lines(stream: BinaryIO, max_bytes: int) -> Iterator[tuple[int, bytes, int]]:
    r"""Cuts at b"\n" and nowhere else: str.splitlines would also cut at U+2028, which JSON strings may hold.

    Yields:
        (line number from 1, the line without its end, its length in bytes). A line longer than `max_bytes` comes with
        its first `max_bytes` bytes only: it is never held in memory as a whole. Where the stream fails, what was read
        of the last line is not yielded: half an object is no record.
    """
    parts: list[bytes] = []
    number, n_bytes = 1, 0
    at_start = True
    # read1 where there is one: read() would wait for a full block and lose it when the stream fails within.
    read_block = getattr(stream, "read1", stream.read)
    while block := read_block(_BLOCK_BYTES):
        if at_start and block:
            block = block.removeprefix(codecs.BOM_UTF8)
            at_start = False
        *whole, tail = block.split(b"\n")
        for piece in whole:
            room = max(0, max_bytes - n_bytes)
            yield number, b"".join([*parts, piece[:room]]), n_bytes + len(piece)
            number, parts, n_bytes = number + 1, [], 0
        if tail:
            parts.append(tail[: max(0, max_bytes - n_bytes)])
            n_bytes += len(tail)
    if n_bytes:
        yield number, b"".join(parts), n_bytes


def parse(line: bytes, place: Place, options: ReadOptions) -> Record | Rejected:
    """A line as a record, or why it is none."""

    def rejected(reason: ReasonCode, message: str, shown: bytes | str = line, doc_id: str | None = None) -> Rejected:
        return Rejected(reason, message, place, snippet(shown), doc_id, sha256(line))

    try:
        decoded = line.decode("utf-8")
    except UnicodeDecodeError as error:
        return rejected(ReasonCode.INVALID_UTF8, f"byte {error.start} of the line is not UTF-8: {error.reason}")
    try:
        data = json.loads(decoded)
    except (ValueError, RecursionError) as error:
        return rejected(ReasonCode.INVALID_RECORD, f"not JSON: {error}")
    if not isinstance(data, dict):
        return rejected(ReasonCode.INVALID_RECORD, f"a JSON object is needed, not {_kind(data)}")

    doc_id, problem = _take_id(data, options)
    if problem:
        return rejected(ReasonCode.INVALID_RECORD, problem)
    if options.text_column not in data:
        message = f"{NO_SUCH_COLUMN} {options.text_column!r} (input.text_column); {_columns(data)}"
        return rejected(ReasonCode.NULL_TEXT, message, doc_id=doc_id)
    text = data.pop(options.text_column)
    if text is None:
        return rejected(ReasonCode.NULL_TEXT, f"{options.text_column!r} is null", doc_id=doc_id)
    if not isinstance(text, str):
        message = f"{options.text_column!r} must be a string, not {_kind(text)}"
        return rejected(ReasonCode.INVALID_RECORD, message, doc_id=doc_id)
    if len(text) > options.max_text_chars:
        return rejected(ReasonCode.TEXT_TOO_LONG, too_long(len(text), options), text, doc_id)
    if repair(text) != text:
        message = f"{options.text_column!r} has half of a surrogate pair, such as \\ud800: no valid Unicode"
        return rejected(ReasonCode.INVALID_UTF8, message, text, doc_id)

    url = _take_string(data, options.url_column or "url")
    source = _take_string(data, "source") if options.keep_source else None
    return Record(text, place, doc_id, url, source, data)


def rest_json(rest: dict[str, Any]) -> str | None:
    """The keys that are no columns of ours as JSON for Spark; None where there are none.

    Half surrogate pairs in them are replaced: only the text is worth losing a document for.
    """
    if not rest:
        return None
    # Non-ASCII as it is, not as escapes: half the bytes for most scripts.
    return repair(json.dumps(rest, ensure_ascii=False, separators=(",", ":")))


def _take_id(data: dict[str, Any], options: ReadOptions) -> tuple[str | None, str | None]:
    """(id, problem). The id's key is taken out of `data`; a default key that holds no id stays in it."""
    named = options.id_column
    for key in (named,) if named else ("doc_id", "id"):
        value = data.get(key)
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            doc_id = value if isinstance(value, str) else json.dumps(value)
            if repair(doc_id) != doc_id:
                return None, f"the id in {key!r} has half of a surrogate pair"
            del data[key]
            return doc_id, None
    if named:
        # The beginning is what tells a mistyped option from a record without an id.
        if named not in data:
            return None, f"{NO_SUCH_COLUMN} {named!r} (input.id_column); {_columns(data)}"
        return None, f"the id in {named!r} must be a string or a number, not {_kind(data[named])}"
    return None, None


def _take_string(data: dict[str, Any], key: str) -> str | None:
    """A scalar as a string, taken out of `data`; anything else stays in it."""
    value = data.get(key)
    if value is None:
        data.pop(key, None)
        return None
    if isinstance(value, (str, int)) and not isinstance(value, bool):
        del data[key]
        return repair(str(value))
    return None


def _is_one_document(first_line: bytes) -> bool:
    return first_line in (b"[", b"{") or first_line.startswith(b"[{")


def _columns(data: dict[str, Any]) -> str:
    return "the record has " + (repair(", ".join(map(repr, data))) or "none")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
