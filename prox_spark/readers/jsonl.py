"""The reader of JSON Lines: one object per line."""

from __future__ import annotations

import codecs
import json
from collections.abc import Iterable, Iterator
from math import isfinite
from typing import Any, NamedTuple

import orjson

from prox_spark.errors import ReasonCode
from prox_spark.readers.json_types import JsonType
from prox_spark.readers.records import (
    NO_SUCH_COLUMN,
    Keys,
    Place,
    ReadOptions,
    Record,
    Rejected,
    cut_snippet,
    describe_too_long,
    repair,
    sha256,
)
from prox_spark.readers.signatures import explain_content
from prox_spark.readers.streams import Gap, read_blocks

# A character takes up to 12 bytes in JSON (a surrogate pair of escapes), which leaves room for the other columns.
_LINE_BYTES_PER_CHAR = 12
_MIN_LINE_BYTES = 64 << 20


def read_jsonl(uri: str, options: ReadOptions) -> Iterator[Record | Rejected | Keys]:
    """Yield a record or a rejection for every line that isn't blank, and at the end the types of the records' keys.

    A part of the file that can't be decompressed is one rejection, and reading continues after it.

    Args:
        uri: the file, plain or compressed.
        options: how columns are named, and limits.

    Raises:
        OSError: the file can't be opened or its store fails.
    """
    seen = JsonType()
    try:
        yield from _read_records(uri, options, seen)
    except OSError:
        yield Keys(seen, Place(uri))
        raise
    yield Keys(seen, Place(uri))


def _read_records(uri: str, options: ReadOptions, seen: JsonType) -> Iterator[Record | Rejected]:
    max_bytes = max(_MIN_LINE_BYTES, _LINE_BYTES_PER_CHAR * options.max_text_chars)
    first, doubt = True, None
    for line in cut_lines(read_blocks(uri, options.max_window_bytes), max_bytes):
        place = Place(uri, line.number, line.n_bytes)
        if line.gap:
            where = f" past line {line.n_before:,}" if line.n_before else ""
            message = f"the file can't be read{where}: {line.gap.message}"
            yield Rejected(ReasonCode.UNREADABLE_FILE, message, Place(uri, line.number))
            continue
        content = line.content.strip()
        # A line beside a gap is a record if it is a whole object. Half an object counts as part of the gap.
        if not content or (line.is_torn and not _is_object(content)):
            continue
        if first and (why := _explain_no_lines(content)):
            # If the next line is a record, only this one is damaged.
            doubt, first = (
                Rejected(ReasonCode.INVALID_RECORD, why, Place(uri, line.number), cut_snippet(content)),
                False,
            )
            damaged = content, place
            continue
        if doubt and not _is_object(content):
            yield doubt
            return
        if doubt:
            yield parse(*damaged, options, seen)
        first, doubt = False, None
        if line.n_bytes > max_bytes:
            message = (
                f"the line has {line.n_bytes:,} bytes, more than the {max_bytes:,} that input.max_text_chars allows"
            )
            yield Rejected(ReasonCode.TEXT_TOO_LONG, message, place, cut_snippet(content), None, sha256(content))
        else:
            yield parse(content, place, options, seen)
    if doubt:
        yield doubt


class Line(NamedTuple):
    """A line of a file, or a gap between lines.

    Attributes:
        content: bytes without the line end; only the beginning of a line that is too long.
        n_bytes: length of the whole line; 0 for a gap.
        number: its number from 1; None after a gap, because the number of lines in the gap is unknown.
        gap: the part of the file that can't be read; None for a line.
        n_before: number of lines that were read before a gap.
        is_torn: the line is next to a gap, and may be half a line.
    """

    content: bytes
    n_bytes: int
    number: int | None
    gap: Gap | None = None
    n_before: int = 0
    is_torn: bool = False


def cut_lines(blocks: Iterable[bytes | Gap], max_bytes: int) -> Iterator[Line]:
    r"""Cut blocks at b"\n" and nowhere else: str.splitlines would also cut at U+2028, which JSON strings may hold.

    Args:
        blocks: content of the file; no block is empty.
        max_bytes: only this many bytes of a longer line are yielded, and it is never held in memory as a whole.
    """
    parts: list[bytes] = []
    n_read, n_bytes = 0, 0
    is_counted, is_torn, at_start = True, False, True
    for block in blocks:
        if isinstance(block, Gap):
            if n_bytes:
                yield Line(b"".join(parts), n_bytes, n_read + 1 if is_counted else None, is_torn=True)
            yield Line(b"", 0, n_read + 1, block, n_read)
            parts, n_bytes, is_counted, is_torn = [], 0, False, True
            continue
        if at_start:
            block, at_start = block.removeprefix(codecs.BOM_UTF8), False
        *whole, tail = block.split(b"\n")
        for piece in whole:
            room = max(0, max_bytes - n_bytes)
            n_read += 1
            content = b"".join([*parts, piece[:room]]) if parts else piece[:room]
            yield Line(content, n_bytes + len(piece), n_read if is_counted else None, is_torn=is_torn)
            parts, n_bytes, is_torn = [], 0, False
        if tail:
            parts.append(tail[: max(0, max_bytes - n_bytes)])
            n_bytes += len(tail)
    if n_bytes:
        yield Line(b"".join(parts), n_bytes, n_read + 1 if is_counted else None, is_torn=is_torn)


def _is_object(content: bytes) -> bool:
    try:
        return isinstance(orjson.loads(content), dict)
    except orjson.JSONDecodeError:
        return False


def parse(line: bytes, place: Place, options: ReadOptions, seen: JsonType) -> Record | Rejected:
    """Parse a line into a record, or a rejection if it is none.

    Args:
        line: the line without its end.
        place: its place in the input.
        options: how columns are named, and limits.
        seen: takes in the types of the keys that are no columns of ours.
    """
    try:
        data = orjson.loads(line)
    except orjson.JSONDecodeError:
        return _parse_exactly(line, place, options, seen)
    made = _make_record(data, line, place, options, is_unicode=True)
    if not isinstance(made, Record):
        return made
    # orjson makes a double of an integer over 64 bits. Printed, such a double has an exponent.
    id_is_exact = made.doc_id is None or "e+" not in made.doc_id[-5:]
    if not seen.add_fields(made.rest, options.max_keys) or not id_is_exact:
        return _parse_exactly(line, place, options, seen)
    return made


def _parse_exactly(line: bytes, place: Place, options: ReadOptions, seen: JsonType) -> Record | Rejected:
    """Parse like `parse`, but keep every digit and accept what pandas does: half surrogate pairs, NaN, tabs in strings."""
    try:
        # A byte order mark may stand in the middle of a file that was concatenated.
        data = json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8"), strict=False)
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the line is not UTF-8: {error.reason}"
        return Rejected(ReasonCode.INVALID_UTF8, message, place, cut_snippet(line), None, sha256(line))
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {error}"
        return Rejected(ReasonCode.INVALID_RECORD, message, place, cut_snippet(line), None, sha256(line))
    made = _make_record(data, line, place, options, is_unicode=False)
    if isinstance(made, Record):
        try:
            to_json(made.rest, exactly=True)
        except RecursionError:
            message = "the record has too many objects or arrays in each other"
            return Rejected(ReasonCode.INVALID_RECORD, message, place, cut_snippet(line), made.doc_id, sha256(line))
        if not line.isascii() or b"\\" in line:
            made.rest = _repair_all(made.rest)
        seen.add_fields(made.rest, options.max_keys)
    return made


def _repair_all(value: Any) -> Any:
    """Return the value with half surrogate pairs replaced, also in its keys. Only the text is worth rejecting a document for."""
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, list):
        return [_repair_all(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        new = repair(key)
        while new in found:
            new += "\ufffd"
        found[new] = _repair_all(item)
    return found


def _make_record(data: Any, line: bytes, place: Place, options: ReadOptions, is_unicode: bool) -> Record | Rejected:
    """Make a record of a parsed line by taking our columns out of it.

    Args:
        data: the parsed value. The keys of our columns are removed from it.
        line: the line itself, for a rejection.
        place: its place in the input.
        options: how columns are named, and limits.
        is_unicode: the parser guarantees that no string has half a surrogate pair.
    """

    def reject(reason: ReasonCode, message: str, shown: bytes | str = line, doc_id: str | None = None) -> Rejected:
        return Rejected(reason, message, place, cut_snippet(shown), doc_id, sha256(line))

    if not isinstance(data, dict):
        return reject(ReasonCode.INVALID_RECORD, f"a JSON object is needed, not {_name_kind(data)}")
    # One key may serve several columns, so all are looked up before any is removed.
    text, has_text = _look_up(data, options.text_column)
    identity = _find_id(data, place, options)
    url = _find_string(data, options.url_column or "url")
    source = _find_string(data, options.source_column or "source") if options.keep_source else _ABSENT
    doc_id = identity.doc_id

    if identity.problem:
        return reject(ReasonCode.INVALID_RECORD, identity.problem)
    if not has_text:
        message = f"{NO_SUCH_COLUMN} {options.text_column!r} (input.text_column); {_list_columns(data)}"
        return reject(ReasonCode.NULL_TEXT, message, doc_id=doc_id)
    if text is None:
        return reject(ReasonCode.NULL_TEXT, f"{options.text_column!r} is null", doc_id=doc_id)
    if not isinstance(text, str):
        message = f"{options.text_column!r} must be a string, not {_name_kind(text)}"
        return reject(ReasonCode.INVALID_RECORD, message, doc_id=doc_id)
    if len(text) > options.max_text_chars:
        return reject(ReasonCode.TEXT_TOO_LONG, describe_too_long(len(text), options), text, doc_id)
    if not is_unicode and repair(text) != text:
        message = f"{options.text_column!r} has half of a surrogate pair, such as \\ud800: no valid Unicode"
        return reject(ReasonCode.INVALID_UTF8, message, text, doc_id)

    # An id that is unique within its file only stays a column.
    for key in (options.text_column, None if options.ids_of_file else identity.key, url.key, source.key):
        data.pop(key, None)
    for key in options.as_json:
        if key in data and not isinstance(data[key], (str, type(None))):
            data[key] = to_json(data[key], exactly=not is_unicode)
    return Record(text, place, doc_id, url.value, source.value, data, is_exact=not is_unicode)


def to_json(value: Any, exactly: bool = False) -> str:
    """Return a value as JSON text for Spark.

    Half surrogate pairs in it are replaced. Only the text is worth rejecting a document for.

    Args:
        value: a value of types that JSON has.
        exactly: keep NaN and Infinity, which become null otherwise.

    Raises:
        RecursionError: the value has some thousand levels.
    """
    if not exactly:
        try:
            return orjson.dumps(value).decode()
        except TypeError:  # Integers over 64 bits, half surrogate pairs, hundreds of levels.
            pass
    # Non-ASCII text without escapes takes half the bytes in most scripts.
    return repair(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class _Found(NamedTuple):
    """A scalar of the record. `key` is the key to remove from the record; None if it stays."""

    value: str | None
    key: str | None


class _Identity(NamedTuple):
    """The id of a record, the key that holds it, and why there is no id if the recipe demands one."""

    doc_id: str | None
    key: str | None
    problem: str | None


_ABSENT = _Found(None, None)


def _look_up(data: dict[str, Any], name: str) -> tuple[Any, bool]:
    """Return the value of a key (of `a.b` that of key b in object a), and True if the key is there."""
    if name in data:
        return data[name], True
    value: Any = data
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None, False
        value = value[part]
    return value, True


def _find_id(data: dict[str, Any], place: Place, options: ReadOptions) -> _Identity:
    """Find the id. A default key that holds none stays in the record."""
    if options.id_from_path:
        if place.offset is None:
            problem = "the line comes after a damaged part of the file: its number, which input.id_from_path needs, is unknown"
            return _Identity(None, None, problem)
        return _Identity(_derive_id_from_path(place.file, place.offset, options.id_from_path), None, None)
    named = options.id_column
    for key in (named,) if named else ("doc_id", "id"):
        value, _ = _look_up(data, key) if named else (data.get(key), True)
        if isinstance(value, float) and not isfinite(value):
            continue  # pandas writes NaN for a missing value
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            doc_id = value if isinstance(value, str) else json.dumps(value)
            if not doc_id.isascii() and repair(doc_id) != doc_id:
                return _Identity(None, None, f"the id in {key!r} has half of a surrogate pair")
            return _Identity(f"{place.file}#{doc_id}" if options.ids_of_file else doc_id, key, None)
    if named:
        value, is_there = _look_up(data, named)
        # `pipeline.inputs` tells a mistyped option from a record without an id by how the message begins.
        if not is_there:
            return _Identity(None, None, f"{NO_SUCH_COLUMN} {named!r} (input.id_column); {_list_columns(data)}")
        problem = f"the id in {named!r} must be a string or a number, not {_name_kind(value)}"
        return _Identity(None, None, problem)
    return _Identity(None, None, None)


def _derive_id_from_path(file: str, line_number: int, n_parts: int) -> str:
    """Return the last parts of the file's path and the line's number, from 0 as in the data sets that name documents so."""
    return "/".join([*file.split("/")[-n_parts:], str(line_number - 1)])


def _find_string(data: dict[str, Any], name: str) -> _Found:
    """Find a scalar and return it as a string. Anything else stays in the record."""
    value, is_there = _look_up(data, name)
    if value is None:
        return _Found(None, name if is_there else None)
    if isinstance(value, str):
        return _Found(value if value.isascii() else repair(value), name)
    if isinstance(value, int) and not isinstance(value, bool):
        return _Found(str(value), name)
    return _ABSENT


def _explain_no_lines(first_line: bytes) -> str | None:
    """Explain why a file that begins with this line holds no JSON Lines. Return None if it may hold some."""
    if first_line in (b"[", b"{") or first_line.startswith(b"[{"):
        return (
            "the file is one JSON document over many lines or an array; JSON Lines with one object per line is "
            "needed. `jq -c '.[]?' FILE` makes an array such lines, `jq -c . FILE` an object."
        )
    return explain_content(first_line)


def _list_columns(data: dict[str, Any]) -> str:
    return "the record has " + (repair(", ".join(map(repr, data))) or "none")


def _name_kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
