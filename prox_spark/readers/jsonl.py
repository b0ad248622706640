"""JSON Lines: one object per line."""

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
    repair,
    sha256,
    snippet,
    too_long,
)
from prox_spark.readers.signatures import say_what_it_is
from prox_spark.readers.streams import Gap, read_blocks

# A character takes up to 12 bytes in JSON (a surrogate pair of escapes); the other columns of a line have room too.
_LINE_BYTES_PER_CHAR = 12
_MIN_LINE_BYTES = 64 << 20


def read(uri: str, options: ReadOptions) -> Iterator[Record | Rejected | Keys]:
    """Yield a record or a rejection for every line that isn't blank, and at the end what keys the records had.

    A part of the file that can't be decompressed is one rejection, and reading goes on behind it.

    Args:
        uri: the file, plain or compressed.
        options: how columns are named, and limits.

    Raises:
        OSError: the file can't be opened or its store fails.
    """
    seen = JsonType()
    try:
        yield from _records(uri, options, seen)
    except OSError:
        yield Keys(seen, Place(uri))
        raise
    yield Keys(seen, Place(uri))


def _records(uri: str, options: ReadOptions, seen: JsonType) -> Iterator[Record | Rejected]:
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
        # A whole line beside a gap is a record; half an object never is one, and is part of the gap.
        if not content or (line.is_torn and not _is_object(content)):
            continue
        if first and (why := _why_no_lines(content)):
            # If the next line is a record, only this one is damaged.
            doubt, first = Rejected(ReasonCode.INVALID_RECORD, why, Place(uri, line.number), snippet(content)), False
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
            yield Rejected(ReasonCode.TEXT_TOO_LONG, message, place, snippet(content), None, sha256(content))
        else:
            yield parse(content, place, options, seen)
    if doubt:
        yield doubt


class Line(NamedTuple):
    """A line of a file, or a gap between lines.

    Attributes:
        content: without its end; of a line that is too long the beginning.
        n_bytes: of the whole line; 0 for a gap.
        number: from 1; None behind a gap, where nobody knows it.
        gap: a part of the file that can't be read.
        n_before: lines before it that were read.
        is_torn: it stands beside a gap, and may be half a line.
    """

    content: bytes
    n_bytes: int
    number: int | None
    gap: Gap | None = None
    n_before: int = 0
    is_torn: bool = False


def cut_lines(blocks: Iterable[bytes | Gap], max_bytes: int) -> Iterator[Line]:
    r"""Cut at b"\n" and nowhere else: str.splitlines would also cut at U+2028, which JSON strings may hold.

    Args:
        blocks: of the file, none of them empty.
        max_bytes: a longer line comes with so many of its bytes only, and is never held in memory as a whole.
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
    """Return a line as a record, or why it is none.

    Args:
        line: without its end.
        place: where it lies.
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
    # orjson makes a double of an integer over 64 bits; printed, such a double has an exponent.
    id_is_exact = made.doc_id is None or "e+" not in made.doc_id[-5:]
    if not seen.add_fields(made.rest, options.max_keys) or not id_is_exact:
        return _parse_exactly(line, place, options, seen)
    return made


def _parse_exactly(line: bytes, place: Place, options: ReadOptions, seen: JsonType) -> Record | Rejected:
    """As `parse`, by a parser that keeps every digit and takes what pandas takes: half surrogate pairs, NaN, tabs in strings."""
    try:
        # A byte order mark may stand in mid-file, where files were put together.
        data = json.loads(line.removeprefix(codecs.BOM_UTF8).decode("utf-8"), strict=False)
    except UnicodeDecodeError as error:
        message = f"byte {error.start} of the line is not UTF-8: {error.reason}"
        return Rejected(ReasonCode.INVALID_UTF8, message, place, snippet(line), None, sha256(line))
    except (ValueError, RecursionError) as error:
        message = f"not JSON: {error}"
        return Rejected(ReasonCode.INVALID_RECORD, message, place, snippet(line), None, sha256(line))
    made = _make_record(data, line, place, options, is_unicode=False)
    if isinstance(made, Record):
        try:
            to_json(made.rest, exactly=True)
        except RecursionError:
            message = "the record has too many objects or arrays in each other"
            return Rejected(ReasonCode.INVALID_RECORD, message, place, snippet(line), made.doc_id, sha256(line))
        if not line.isascii() or b"\\" in line:
            made.rest = _repaired(made.rest)
        seen.add_fields(made.rest, options.max_keys)
    return made


def _repaired(value: Any) -> Any:
    """Return the value without half surrogate pairs, in its keys too: only the text is worth losing a document for."""
    if isinstance(value, str):
        return repair(value)
    if isinstance(value, list):
        return [_repaired(item) for item in value]
    if not isinstance(value, dict):
        return value
    found: dict[str, Any] = {}
    for key, item in value.items():
        new = repair(key)
        while new in found:
            new += "\ufffd"
        found[new] = _repaired(item)
    return found


def _make_record(data: Any, line: bytes, place: Place, options: ReadOptions, is_unicode: bool) -> Record | Rejected:
    """Take our columns out of a parsed line.

    Args:
        data: what the parser returned; the keys of our columns are taken out of it.
        line: names the record in a rejection.
        place: where it lies.
        options: how columns are named, and limits.
        is_unicode: the parser has made sure that no string holds half a surrogate pair.
    """

    def rejected(reason: ReasonCode, message: str, shown: bytes | str = line, doc_id: str | None = None) -> Rejected:
        return Rejected(reason, message, place, snippet(shown), doc_id, sha256(line))

    if not isinstance(data, dict):
        return rejected(ReasonCode.INVALID_RECORD, f"a JSON object is needed, not {_kind(data)}")
    # One key may serve several columns, so all are looked up before any is taken out.
    text, has_text = _look_up(data, options.text_column)
    identity = _find_id(data, place, options)
    url = _find_string(data, options.url_column or "url")
    source = _find_string(data, options.source_column or "source") if options.keep_source else _ABSENT
    doc_id = identity.doc_id

    if identity.problem:
        return rejected(ReasonCode.INVALID_RECORD, identity.problem)
    if not has_text:
        message = f"{NO_SUCH_COLUMN} {options.text_column!r} (input.text_column); {_columns(data)}"
        return rejected(ReasonCode.NULL_TEXT, message, doc_id=doc_id)
    if text is None:
        return rejected(ReasonCode.NULL_TEXT, f"{options.text_column!r} is null", doc_id=doc_id)
    if not isinstance(text, str):
        message = f"{options.text_column!r} must be a string, not {_kind(text)}"
        return rejected(ReasonCode.INVALID_RECORD, message, doc_id=doc_id)
    if len(text) > options.max_text_chars:
        return rejected(ReasonCode.TEXT_TOO_LONG, too_long(len(text), options), text, doc_id)
    if not is_unicode and repair(text) != text:
        message = f"{options.text_column!r} has half of a surrogate pair, such as \\ud800: no valid Unicode"
        return rejected(ReasonCode.INVALID_UTF8, message, text, doc_id)

    # An id that is no id of the lake stays a column.
    for key in (options.text_column, None if options.ids_of_file else identity.key, url.key, source.key):
        data.pop(key, None)
    for key in options.as_json:
        if key in data and not isinstance(data[key], (str, type(None))):
            data[key] = to_json(data[key], exactly=not is_unicode)
    return Record(text, place, doc_id, url.value, source.value, data, is_exact=not is_unicode)


def to_json(value: Any, exactly: bool = False) -> str:
    """Return a value as JSON text for Spark.

    Half surrogate pairs in it are replaced: only the text is worth losing a document for.

    Args:
        value: of which types JSON has.
        exactly: NaN and Infinity stay what they are; else they are null.

    Raises:
        RecursionError: some thousand levels.
    """
    if not exactly:
        try:
            return orjson.dumps(value).decode()
        except TypeError:  # integers over 64 bits, half surrogate pairs, hundreds of levels
            pass
    # Non-ASCII as it is, not as escapes: half the bytes for most scripts.
    return repair(json.dumps(value, ensure_ascii=False, separators=(",", ":")))


class _Found(NamedTuple):
    """A scalar of the record; `key` is what to take out of it, None where it stays."""

    value: str | None
    key: str | None


class _Identity(NamedTuple):
    doc_id: str | None
    key: str | None
    problem: str | None


_ABSENT = _Found(None, None)


def _look_up(data: dict[str, Any], name: str) -> tuple[Any, bool]:
    """Return the value of a key, or of `a.b` the key b of the object a, and whether there is one."""
    if name in data:
        return data[name], True
    value: Any = data
    for part in name.split("."):
        if not isinstance(value, dict) or part not in value:
            return None, False
        value = value[part]
    return value, True


def _find_id(data: dict[str, Any], place: Place, options: ReadOptions) -> _Identity:
    """Find the id; a default key that holds none stays in the record."""
    if options.id_from_path:
        return _Identity(_id_from_path(place, options.id_from_path), None, None)
    named = options.id_column
    for key in (named,) if named else ("doc_id", "id"):
        value, _ = _look_up(data, key) if named else (data.get(key), True)
        if isinstance(value, float) and not isfinite(value):
            continue  # pandas writes NaN for a gap
        if isinstance(value, (str, int, float)) and not isinstance(value, bool) and value != "":
            doc_id = value if isinstance(value, str) else json.dumps(value)
            if not doc_id.isascii() and repair(doc_id) != doc_id:
                return _Identity(None, None, f"the id in {key!r} has half of a surrogate pair")
            return _Identity(f"{place.file}#{doc_id}" if options.ids_of_file else doc_id, key, None)
    if named:
        value, is_there = _look_up(data, named)
        # The beginning is what tells a mistyped option from a record without an id.
        if not is_there:
            return _Identity(None, None, f"{NO_SUCH_COLUMN} {named!r} (input.id_column); {_columns(data)}")
        problem = f"the id in {named!r} must be a string or a number, not {_kind(value)}"
        return _Identity(None, None, problem)
    return _Identity(None, None, None)


def _id_from_path(place: Place, n_parts: int) -> str:
    """Return the last parts of the file's path and the number of the line, from 0 as those count who name documents so."""
    assert place.offset is not None
    return "/".join([*place.file.split("/")[-n_parts:], str(place.offset - 1)])


def _find_string(data: dict[str, Any], name: str) -> _Found:
    """Find a scalar as a string; anything else stays in the record."""
    value, is_there = _look_up(data, name)
    if value is None:
        return _Found(None, name if is_there else None)
    if isinstance(value, str):
        return _Found(value if value.isascii() else repair(value), name)
    if isinstance(value, int) and not isinstance(value, bool):
        return _Found(str(value), name)
    return _ABSENT


def _why_no_lines(first_line: bytes) -> str | None:
    """Say why a file that begins with this line holds no JSON Lines; None: it may."""
    if first_line in (b"[", b"{") or first_line.startswith(b"[{"):
        return (
            "the file is one JSON document over many lines or an array; JSON Lines with one object per line is "
            "needed. `jq -c '.[]?' FILE` makes an array such lines, `jq -c . FILE` an object."
        )
    return say_what_it_is(first_line)


def _columns(data: dict[str, Any]) -> str:
    return "the record has " + (repair(", ".join(map(repr, data))) or "none")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "an array", str: "a string", bool: "a boolean", type(None): "null"}
    return names.get(type(value), "a number")
