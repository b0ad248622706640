"""The reference executor as column expressions: the outcome of `programs.run_reference` without a Python worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.programs import DiagnosticCode, DocumentStatus, OpName
from prox_spark.programs.reference import MAX_CHARS, MAX_ERRORS, SHORT_WORDS
from udfs.columns import (
    EXECUTION,
    LINES,
    NORMALIZED,
    count_by_white_space,
    empty,
    errors_in,
    executable,
    finding,
    first_takers,
    grown,
    let,
    lines_of,
    numbered,
    printed,
    removed_spans,
    replaced,
    snippet,
    span,
    staying,
    too_many,
    verdict,
    words_in,
)

if TYPE_CHECKING:
    from pyspark.sql import Column

# An operation with its place in the joined program of all chunks.
_CALL: Final = T.StructType(
    [
        T.StructField("chunk_index", T.IntegerType()),
        T.StructField("op_index", T.IntegerType()),
        *schemas.OPERATION.fields,
    ]
)


def execute_reference(
    text: Column,
    words_before: Column,
    chunks: Column,
    threshold_1: float = 0.0,
    threshold_2: float = 0.95,
    error_op: int = 2,
) -> Column:
    """Executes the joined programs of a document's chunks once over the document; see `programs.run_reference`.

    Args:
        text: the document.
        words_before: its words, as `count_by_white_space` counts them.
        chunks: array of `columns.CHUNK` as `read_reference` reads them, in order; null is none.
        threshold_1: as in `run_reference`.
        threshold_2: likewise.
        error_op: likewise.

    Returns:
        `columns.EXECUTION`.
    """
    chunks = executable(chunks, words_before)

    def of_chunk(chunk: Column) -> Column:
        return F.transform(
            numbered(chunk["ops"]),
            lambda op: F.struct(chunk["chunk_index"], *(op[name] for name in _CALL.names[1:])).cast(_CALL),
        )

    def normalized(calls: Column) -> Column:
        return let(_normalize(text, calls), lambda normal: with_lines(calls, normal))

    def with_lines(calls: Column, normal: Column) -> Column:
        removals = F.filter(calls, lambda call: call["op"] == str(OpName.REMOVE_LINES))
        # Without a removal the lines need not be cut.
        lines = F.when(F.size(removals) > 0, lines_of(normal["text"])).otherwise(empty(LINES))
        return let(removals, lambda removals: let(lines, lambda lines: removed(removals, lines, normal)))

    def removed(removals: Column, lines: Column, normal: Column) -> Column:
        return let(_taken(removals, lines), lambda taken: finished(removals, lines, normal, taken))

    def finished(removals: Column, lines: Column, normal: Column, taken: Column) -> Column:
        result = F.when(F.size(taken) > 0, staying(lines, taken)).otherwise(normal["text"])
        words_kept = words_before - words_in(lines, taken, count_by_white_space)
        found = F.concat(normal["findings"], _out_of_bounds(removals, F.size(lines), error_op))
        return let(
            F.struct(
                result.alias("text"),
                # Lines are counted where they are gone; after a replacement anywhere, the whole text.
                F.when(F.size(normal["normalized"]) > 0, count_by_white_space(result))
                .otherwise(words_kept)
                .alias("words"),
                F.transform(chunks, lambda chunk: _findings(chunk, found)).alias("findings"),
            ),
            lambda outcome: judged(outcome, normal, removals, taken),
        )

    def judged(outcome: Column, normal: Column, removals: Column, taken: Column) -> Column:
        def trusted(errors: Column) -> Column:
            distrust = F.when(normal["outgrown"], str(DiagnosticCode.TEXT_GROWTH)).when(
                F.size(errors) >= error_op, too_many(errors, error_op)
            )
            return let(distrust, with_status)

        def with_status(distrust: Column) -> Column:
            ratio = outcome["words"] / words_before
            status = (
                F.when(words_before == 0, str(DocumentStatus.BLANKED_SHORT))
                .when(distrust.isNull() & (ratio <= 1 - threshold_2), str(DocumentStatus.BLANKED_RATIO))
                .when(outcome["words"] <= SHORT_WORDS, str(DocumentStatus.BLANKED_SHORT))
                .when(distrust.isNotNull() | (ratio < threshold_1), str(DocumentStatus.PROGRAM_DISCARDED))
                .when(outcome["text"] != text, str(DocumentStatus.EDITED))
                .otherwise(str(DocumentStatus.KEPT_UNCHANGED))
            )
            return let(status, lambda status: execution(status, distrust))

        def execution(status: Column, distrust: Column) -> Column:
            discarded = status == str(DocumentStatus.PROGRAM_DISCARDED)
            blanked = status.isin(str(DocumentStatus.BLANKED_RATIO), str(DocumentStatus.BLANKED_SHORT))
            reason = F.when(discarded, F.coalesce(distrust, F.lit(f"less than {threshold_1} of the words left")))
            return F.struct(
                F.when(blanked, "").when(discarded, text).otherwise(outcome["text"]),
                status,
                F.when(blanked, 0).when(discarded, words_before).otherwise(outcome["words"]),
                F.when(discarded, F.array()).otherwise(removed_spans(taken, lambda taker: _place(removals, taker))),
                F.when(discarded, F.array()).otherwise(normal["normalized"]),
                F.transform(outcome["findings"], lambda of: verdict(of["chunk_index"], of["diagnostics"], reason)),
            ).cast(EXECUTION)

        every = F.flatten(F.transform(outcome["findings"], lambda of: errors_in(of["diagnostics"])))
        return let(every, trusted)

    return let(F.flatten(F.transform(chunks, of_chunk)), normalized)


def _normalize(text: Column, calls: Column) -> Column:
    """Replaces strings in order; one that would swell the text past its limit is the last.

    Returns:
        A struct: text, normalized, outgrown, findings (structs with chunk_index).
    """
    limit = F.greatest(F.lit(MAX_CHARS), 4 * F.length(text))

    def state(text: Column, normalized: Column, outgrown: Column, findings: Column) -> Column:
        fields = (normalized.alias("normalized"), outgrown.alias("outgrown"), findings.alias("findings"))
        return F.struct(text.alias("text"), *fields)

    def replace(before: Column, call: Column) -> Column:
        def done(text: Column, n_hits: Column) -> Column:
            hit = F.struct(call["chunk_index"], call["op_index"], call["source_str"], call["target_str"], n_hits).cast(
                NORMALIZED.elementType
            )
            found = _found(call, F.lit(str(DiagnosticCode.TEXT_GROWTH)), snippet(printed(call)))
            too_long = state(before["text"], before["normalized"], F.lit(True), F.array(found))
            replaced_once = state(text, F.concat(before["normalized"], F.array(hit)), F.lit(False), before["findings"])
            n_chars = grown(before["text"], call["source_str"], call["target_str"], n_hits)
            return F.when(n_chars > limit, too_long).otherwise(replaced_once)

        absent = before["outgrown"] | ~F.contains(before["text"], call["source_str"])
        return F.when(absent, before).otherwise(replaced(before["text"], call["source_str"], call["target_str"], done))

    nothing = state(text, empty(NORMALIZED), F.lit(False), empty(_FOUND))
    return let(
        F.filter(calls, lambda call: call["op"] == str(OpName.NORMALIZE)),
        lambda normalizations: F.when(F.size(normalizations) == 0, nothing).otherwise(
            F.aggregate(normalizations, nothing, replace)
        ),
    )


_FOUND: Final = T.ArrayType(
    T.StructType([T.StructField("chunk_index", T.IntegerType()), T.StructField("finding", schemas.DIAGNOSTIC)])
)


def _found(call: Column, code: Column, detail: Column) -> Column:
    return F.struct(call["chunk_index"], finding(code, call["op_index"], detail)).cast(_FOUND.elementType)


def _findings(chunk: Column, found: Column) -> Column:
    mine = F.filter(found, lambda f: f["chunk_index"] == chunk["chunk_index"])
    return F.struct(
        chunk["chunk_index"].alias("chunk_index"),
        F.concat(chunk["diagnostics"], F.transform(mine, lambda f: f["finding"])).alias("diagnostics"),
    )


def _taken(removals: Column, lines: Column) -> Column:
    n_lines = F.size(lines).cast("long")

    def inside(call: Column, number: Column) -> Column:
        start, end = F.coalesce(call["line_start"], F.lit(0)), F.coalesce(call["line_end"], n_lines - 1)
        return span(F.greatest(start, F.lit(0)), F.least(end, n_lines - 1), number)

    return first_takers(F.filter(F.transform(removals, inside), lambda span: span["line_start"] <= span["line_end"]))


def _place(removals: Column, number: Column) -> tuple[Column, Column]:
    call = F.get(removals, number.cast("int"))
    return call["chunk_index"], call["op_index"]


def _out_of_bounds(removals: Column, n_lines: Column, error_op: int) -> Column:
    """Findings about ranges that reach past the end, one for each merged range; reversed ranges merge as well."""
    ranges = F.transform(
        F.filter(removals, lambda call: call["line_start"].isNotNull()),
        lambda call, i: F.struct(
            call["line_start"].alias("line_start"), i.alias("i"), call["line_end"].alias("line_end"), call.alias("call")
        ),
    )

    def merge(merged: Column, one: Column) -> Column:
        last = F.get(merged, F.size(merged) - 1)
        before = F.slice(merged, 1, F.greatest(F.size(merged) - 1, F.lit(0)))
        joins = one["line_start"] <= last["line_end"] + 1
        longer = F.struct(
            last["line_start"].alias("line_start"),
            last["i"].alias("i"),
            F.greatest(last["line_end"], one["line_end"]).alias("line_end"),
            last["call"].alias("call"),
        )
        return F.when(joins, F.concat(before, F.array(longer))).otherwise(F.concat(merged, F.array(one)))

    def found(merged: Column) -> Column:
        code = F.when(merged["line_start"] >= n_lines, str(DiagnosticCode.RANGE_OUTSIDE)).otherwise(
            str(DiagnosticCode.RANGE_CLIPPED)
        )
        last_line = (n_lines - 1).cast("string")
        where = F.concat(printed(merged["call"]), F.lit(" against lines 0 to "), last_line)
        return _found(merged["call"], code, where)

    def findings(ranges: Column) -> Column:
        merged = F.aggregate(ranges, F.slice(ranges, 1, 0), merge)
        outside = F.filter(merged, lambda m: (m["line_start"] >= n_lines) | (m["line_end"] >= n_lines))
        return F.transform(F.slice(outside, 1, max(MAX_ERRORS, error_op)), found)

    # Merging can only be needed where some range reaches past the end.
    return let(
        F.sort_array(ranges),
        lambda ranges: F.when(
            F.exists(ranges, lambda r: (r["line_start"] >= n_lines) | (r["line_end"] >= n_lines)), findings(ranges)
        ).otherwise(empty(_FOUND)),
    )
