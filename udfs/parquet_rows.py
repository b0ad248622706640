"""Conversion of a Parquet file's columns into rows of documents and rejections, column by column."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from prox_spark.errors import InputError, ReasonCode, first_line
from prox_spark.readers.parquet import Layout, ReadPlan, kinds
from prox_spark.readers.parquet.calendar import to_new_calendar
from prox_spark.readers.parquet.casts import cast, to_texts, unwrap_array
from prox_spark.readers.parquet.identity import (
    find_invalid_rows,
    repair_strings,
    to_id_texts,
    to_raw_texts,
    to_scalar_texts,
)
from prox_spark.readers.parquet.roles import find, take_values
from prox_spark.readers.records import NO_SUCH_COLUMN, SNIPPET_CHARS, ReadOptions, derive_id, describe_too_long, sha256
from prox_spark.udfs.arrow import hash_texts
from prox_spark.udfs.words import count_words_or_null

_STRING: Final = pa.string()
# Rows that are no documents, with the reason and the message of each.
Problems = dict[int, tuple[ReasonCode, str]]


def make_rows(
    columns: list[Any], first_row: int, place: tuple[str, str], layout: Layout, plan: ReadPlan, schema: pa.Schema
) -> pa.RecordBatch:
    """Return a document or rejection for each row of a part of a file.

    Args:
        columns: at least one column, as read by Arrow; columns of folders come last.
        first_row: number of the first row in the file.
        place: the file, and the source of documents that have no source of their own.
        layout: the file's layout.
        plan: the plan of reading.
        schema: schema of the result.
    """
    n, (uri, default_source) = len(columns[0]), place
    if layout.old_calendar:
        columns = [to_new_calendar(unwrap_array(column)) for column in columns]
    problems: Problems = {}
    text = _find_texts(columns, layout, plan.options, problems)
    doc_id = _find_ids(columns, layout, plan.options, problems)
    url, source = (
        to_scalar_texts(take_values(columns, way)) if way else pa.nulls(n, _STRING)
        for way in (layout.roles.url, layout.roles.source)
    )
    carried = _carry(columns, layout, plan, uri)
    hashes = hash_texts(text)
    snippets = {}
    if problems:
        snippets = {row: _make_snippet(text[row]) for row in problems if text[row].is_valid}
        _hash_others(hashes, carried, problems)
        # A null alone would only hide bytes that are no text: they are removed by copying.
        text = text.take(pa.array([None if row in problems else row for row in range(n)], pa.int32()))
    if plan.options.ids_of_file:
        doc_id = pc.binary_join_element_wise(pa.scalar(uri), doc_id, "#")
    numbers = pa.array(np.arange(first_row, first_row + n, dtype=np.int64))
    return _fill_batch(
        {
            "doc_id": _derive_ids(doc_id, url, text),
            "text": text,
            "content_sha256": pa.array(hashes, _STRING),
            "n_words": count_words_or_null(text),
            "url": url,
            "source": pc.if_else(pc.equal(source, "").fill_null(True), default_source, source),
            "provenance": _make_places(uri, numbers),
            "ordinal": numbers,
            "carried": carried,
            "reason": _scatter_values({row: str(reason) for row, (reason, _) in problems.items()}, n),
            "message": _scatter_values({row: message for row, (_, message) in problems.items()}, n),
            "snippet": _scatter_values(snippets, n),
        },
        n,
        schema,
    )


def reject_file(uri: str, message: str, schema: pa.Schema, row: int | None = None) -> pa.RecordBatch:
    """Return the rejection of a file, or of the rest of a row group from a row on, that can't be read."""
    rejection = {
        "provenance": _make_places(uri, pa.array([row], pa.int64())),
        "reason": pa.array([str(ReasonCode.UNREADABLE_FILE)]),
        "message": pa.array([message]),
    }
    return _fill_batch(rejection, 1, schema)


def _fill_batch(columns: Mapping[str, Any], n: int, schema: pa.Schema) -> pa.RecordBatch:
    """Return the columns as a batch; missing columns are null."""
    arrays = [columns[f.name] if f.name in columns else pa.nulls(n, f.type) for f in schema]
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def _find_texts(columns: list[Any], layout: Layout, options: ReadOptions, problems: Problems) -> Any:
    """Return the texts as strings that may hold any bytes; note the problems of rows."""
    n, name = len(columns[0]), options.text_column
    if layout.roles.text is None:
        message = f"{NO_SUCH_COLUMN} {name!r} (input.text_column); the file has {', '.join(map(repr, layout.names))}"
        problems |= dict.fromkeys(range(n), (ReasonCode.NULL_TEXT, message))
        return pa.nulls(n, _STRING)
    values = take_values(columns, layout.roles.text)
    if not kinds.is_text_or_null(values.type):
        message = f"{name!r} must be a string, not {kinds.name_kind(values.type)}"
        problems |= {row: (ReasonCode.INVALID_RECORD, message) for row in range(n)}
        return pa.nulls(n, _STRING)
    text = to_raw_texts(values)
    for row in _list_rows(text.is_null()):
        problems[row] = (ReasonCode.NULL_TEXT, f"{name!r} is null")
    for row in find_invalid_rows(text):
        problems[row] = (ReasonCode.INVALID_UTF8, f"{name!r} is not valid UTF-8")
    if (pc.max(pc.binary_length(text)).as_py() or 0) > options.max_text_chars:
        n_chars = pc.utf8_length(text)
        for row in _list_rows(pc.greater(n_chars, options.max_text_chars)):
            problems.setdefault(row, (ReasonCode.TEXT_TOO_LONG, describe_too_long(n_chars[row].as_py(), options)))
    return text


def _find_ids(columns: list[Any], layout: Layout, options: ReadOptions, problems: Problems) -> Any:
    """Return the ids, null where there is none; note the rows that lack the id column of the recipe."""
    n, name = len(columns[0]), options.id_column
    if not layout.roles.doc_ids:
        if name:
            message = _say_why_no_id(columns, layout, name)
            problems |= {row: (ReasonCode.INVALID_RECORD, message) for row in range(n) if row not in problems}
        return pa.nulls(n, _STRING)
    ids = pa.nulls(n, _STRING)
    for way in layout.roles.doc_ids:
        some = to_id_texts(take_values(columns, way))
        some = pc.if_else(ids.is_null(), some, pa.scalar(None, _STRING))
        if invalid := find_invalid_rows(some):
            message = "the id is not valid UTF-8"
            problems |= {row: (ReasonCode.INVALID_UTF8, message) for row in invalid if row not in problems}
            some = pc.if_else(_mark_rows(invalid, n), pa.scalar(None, _STRING), some)
        ids = pc.coalesce(ids, pc.if_else(pc.equal(some, ""), pa.scalar(None, _STRING), some))
    if name and ids.null_count:
        message = f"no id in {name!r} (input.id_column)"
        for row in _list_rows(ids.is_null()):
            problems.setdefault(row, (ReasonCode.INVALID_RECORD, message))
    return ids


def _say_why_no_id(columns: list[Any], layout: Layout, name: str) -> str:
    if find([(column, values.type) for column, values in zip(layout.names, columns, strict=True)], name) is None:
        return f"{NO_SUCH_COLUMN} {name!r} (input.id_column); the file has {', '.join(map(repr, layout.names))}"
    return f"the id in {name!r} must be a string or a number"


def _carry(columns: list[Any], layout: Layout, plan: ReadPlan, uri: str) -> Any:
    """Return the carried columns as one struct, in types that hold the values of all files."""
    n = len(columns[0])
    if plan.carried is None:
        return pa.nulls(n, _STRING)
    arrays = []
    for field, place in zip(plan.carried, layout.carried, strict=True):
        try:
            arrays.append(
                pa.nulls(n, field.type) if place is None else repair_strings(cast(columns[place], field.type))
            )
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise InputError(
                f"column {field.name!r} of {uri} has values that {kinds.name_kind(field.type)} can't hold, which its footer does not "
                f"say: {first_line(error)}. Set input.as_json=[{field.name}], which carries the column as text."
            ) from error
    return pa.StructArray.from_arrays(arrays, fields=list(plan.carried))


def _hash_others(hashes: list[str | None], carried: Any, problems: Problems) -> None:
    """Hash the other columns of rows without text, to identify them."""
    for row in problems:
        if hashes[row] is None:
            others = to_texts(carried.slice(row, 1))[0].as_py()
            hashes[row] = sha256((others or "").encode())


def _derive_ids(ids: Any, url: Any, text: Any) -> Any:
    """Return the ids; a document without an id gets one derived from its URL and text."""
    rows = _list_rows(pc.and_(ids.is_null(), text.is_valid())) if ids.null_count else []
    if not rows:
        return ids
    made = {row: derive_id(url[row].as_py(), text[row].as_py()) for row in rows}
    return pc.coalesce(ids, _scatter_values(made, len(ids)))


def _make_places(uri: str, numbers: Any) -> Any:
    n = len(numbers)
    parts = [pa.repeat(pa.scalar(uri), n), numbers, pa.nulls(n, pa.int64())]
    return pa.StructArray.from_arrays(parts, names=["file", "offset", "length"])


def _make_snippet(text: Any) -> str:
    # A character has at most four bytes: megabytes need not be decoded for 200 characters.
    return text.as_buffer().to_pybytes()[: 4 * SNIPPET_CHARS].decode("utf-8", "replace")[:SNIPPET_CHARS]


def _scatter_values(values: Mapping[int, str], n: int) -> Any:
    """Return an array with values at their rows and null elsewhere."""
    return pa.array([values.get(row) for row in range(n)], _STRING) if values else pa.nulls(n, _STRING)


def _mark_rows(rows: Iterable[int], n: int) -> Any:
    flags = np.zeros(n, dtype=np.bool_)
    flags[list(rows)] = True
    return pa.array(flags)


def _list_rows(flags: Any) -> list[int]:
    return pc.indices_nonzero(flags.fill_null(False)).to_pylist()
