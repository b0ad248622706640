"""The strict executor's short way for documents whose programs have nothing wrong with them, which nearly all have not.

What `execute_strict` finds out about ranges, overlaps and errors costs several times what the edits cost. Where none of that
can come up, this way makes the same outcome; a test holds both against the pure-Python executor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.programs import DocumentStatus, Gates, OpName, Verdict
from udfs.columns import EXECUTION, let, words_in

if TYPE_CHECKING:
    from pyspark.sql import Column

_REMOVED = T.ArrayType(schemas.REMOVED_SPAN)


def is_plain(chunks: Column, lines: Column) -> Column:
    """Do the programs only keep, or remove lines of their own chunks, each once and in order.

    Args:
        chunks: array of `columns.CHUNK`, disjoint and in order.
        lines: of the text.
    """

    def is_fine(ops: Column, chunk: Column, op: Column, i: Column) -> Column:
        before = F.coalesce(F.get(ops, i - 1)["line_end"], chunk["line_start"] - 1)
        inside = (op["line_start"] > before) & (op["line_end"] <= chunk["line_end"]) & (op["line_end"] < F.size(lines))
        removes = (op["op"] == str(OpName.REMOVE_LINES)) & inside & (op["line_start"] <= op["line_end"])
        # Null, when a line number is, is not fine.
        return F.coalesce(removes, F.lit(False))

    def is_plain_chunk(chunk: Column) -> Column:
        ops = chunk["ops"]
        keeps = (F.size(ops) == 1) & (F.get(ops, F.lit(0))["op"] == str(OpName.KEEP_CHUNK))
        fine = F.forall(F.transform(ops, lambda op, i: is_fine(ops, chunk, op, i)), lambda fine: fine)
        return (F.size(chunk["diagnostics"]) == 0) & (chunk["line_start"] >= 0) & (keeps | fine)

    return F.forall(chunks, is_plain_chunk)


def execute_plain(text: Column, words_before: Column, chunks: Column, lines: Column, gates: Gates) -> Column:
    """Executes plain programs; arguments and result as in `execute_strict`, with the lines of the text."""

    def spans_of(chunk: Column) -> Column:
        def span(op: Column, i: Column) -> Column:
            removed = F.struct(op["line_start"], op["line_end"], chunk["chunk_index"], i)
            return F.when(op["op"] == str(OpName.REMOVE_LINES), removed.cast(schemas.REMOVED_SPAN))

        return F.transform(chunk["ops"], span)

    def staying(spans: Column) -> Column:
        """The lines between the spans, as arrays of lines."""

        def between(i: Column) -> Column:
            first = F.coalesce(F.get(spans, i - 1)["line_end"] + 1, F.lit(0)).cast("int")
            stop = F.coalesce(F.get(spans, i)["line_start"], F.size(lines)).cast("int")
            return F.slice(lines, first + 1, F.greatest(stop - first, F.lit(0)))

        return F.transform(F.sequence(F.lit(0), F.size(spans)), between)

    def outcome(spans: Column) -> Column:
        removes = F.size(spans) > 0
        return let(words_before - words_in(lines, spans), lambda words_left: with_words(spans, removes, words_left))

    def with_words(spans: Column, removes: Column, words_left: Column) -> Column:
        too_few = words_left / F.greatest(words_before, F.lit(1)) <= gates.min_word_ratio
        blanked = (words_before == 0) | too_few | (words_left <= gates.min_words)
        status = (
            F.when((words_before > 0) & too_few, str(DocumentStatus.BLANKED_RATIO))
            .when(blanked, str(DocumentStatus.BLANKED_SHORT))
            .when(removes, str(DocumentStatus.EDITED))
            .otherwise(str(DocumentStatus.KEPT_UNCHANGED))
        )
        whole = F.when(removes, F.array_join(F.flatten(staying(spans)), "\n")).otherwise(text)
        nothing = F.lit(None)
        return F.struct(
            F.when(blanked, "").otherwise(whole),
            status,
            F.when(blanked, 0).otherwise(words_left),
            spans,
            F.array(),
            F.transform(
                chunks, lambda chunk: F.struct(chunk["chunk_index"], F.array(), F.lit(str(Verdict.APPLIED)), nothing)
            ),
        ).cast(EXECUTION)

    spans = F.filter(F.flatten(F.transform(chunks, spans_of)), lambda span: span.isNotNull())
    return let(spans.cast(_REMOVED), outcome)
