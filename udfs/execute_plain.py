"""The strict executor's short way for documents whose programs have nothing wrong with them, which nearly all have not.

What `execute_strict` finds out about ranges, overlaps and errors costs several times what the edits cost. Where none of that
can come up, this way makes the same outcome; a test holds both against the pure-Python executor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.programs import DocumentStatus, Gates, OpName, Verdict
from prox_spark.programs.strict import MIN_SOURCE_CHARS
from udfs.columns import EXECUTION, NORMALIZED, REMOVED, count_words, empty, let, replaced, strip, words_in

if TYPE_CHECKING:
    from pyspark.sql import Column


def is_plain(chunks: Column, lines: Column) -> Column:
    """Do programs keep their chunk, or remove lines of it, each once, and replace strings by none that are longer.

    Args:
        chunks: array of `columns.CHUNK`.
        lines: of the text; none where all programs keep.

    Returns:
        Also false where chunks leave lines out or are out of order.
    """

    def removes(spans: Column, chunk: Column, span: Column, i: Column) -> Column:
        before = F.coalesce(F.get(spans, i - 1)["line_end"], chunk["line_start"] - 1)
        apart = (span["line_start"] > before) & (span["line_start"] <= span["line_end"])
        # Null, when a line number is, is not fine.
        return F.coalesce(apart & (span["line_end"] <= chunk["line_end"]), F.lit(False))

    def replaces(op: Column) -> Column:
        source, target = op["source_str"], op["target_str"]
        fits = (F.length(target) <= F.length(source)) & (F.length(strip(source)) >= MIN_SOURCE_CHARS)
        return F.coalesce(fits & ~F.contains(F.concat(source, target), F.lit("\n")), F.lit(False))

    def is_plain_chunk(chunk: Column, i: Column) -> Column:
        ops = chunk["ops"]
        keeps = (F.size(ops) == 1) & (F.get(ops, F.lit(0))["op"] == str(OpName.KEEP_CHUNK))
        removals = F.filter(ops, lambda op: op["op"] == str(OpName.REMOVE_LINES))
        spans = F.sort_array(F.transform(removals, lambda op: F.struct(op["line_start"], op["line_end"])))
        normalizations = F.filter(ops, lambda op: op["op"] == str(OpName.NORMALIZE))
        edits = let(
            spans,
            lambda spans: (
                (F.size(spans) + F.size(normalizations) == F.size(ops))
                & F.forall(F.transform(spans, lambda span, i: removes(spans, chunk, span, i)), lambda fine: fine)
                & F.forall(normalizations, replaces)
            ),
        )
        follows = chunk["line_start"] == F.coalesce(F.get(chunks, i - 1)["line_end"] + 1, F.lit(0))
        follows = follows & (chunk["line_end"] >= chunk["line_start"])
        return (F.size(chunk["diagnostics"]) == 0) & follows & (keeps | edits)

    n_lines = F.get(chunks, F.size(chunks) - 1)["line_end"] + 1
    whole = (F.size(lines) == 0) | (n_lines == F.size(lines))
    return whole & F.forall(F.transform(chunks, is_plain_chunk), lambda plain: plain)


def execute_plain(text: Column, words_before: Column, chunks: Column, lines: Column, gates: Gates) -> Column:
    """Executes plain programs; arguments and result as in `execute_strict`, with the lines of the text.

    Returns:
        Null where a string to be replaced is not there.
    """

    def outcome(works: Column) -> Column:
        removed = F.flatten(F.transform(works, lambda work: work["removed"]))
        normalized = F.flatten(F.transform(works, lambda work: work["normalized"]))
        n_new_words = F.aggregate(works, F.lit(0).cast("long"), lambda n, work: n + work["n_new_words"])
        words_left = words_before + n_new_words - words_in(lines, removed)
        new_text = F.concat_ws("\n", F.transform(works, lambda work: work["text"]))
        whole = F.when(F.size(lines) > 0, new_text).otherwise(text)
        parts = F.struct(
            removed.alias("removed"), normalized.alias("normalized"), words_left.alias("words"), whole.alias("text")
        )
        return F.when(F.forall(works, lambda work: ~work["absent"]), let(parts, judged))

    def judged(parts: Column) -> Column:
        too_few = parts["words"] / F.greatest(words_before, F.lit(1)) <= gates.min_word_ratio
        blanked = (words_before == 0) | too_few | (parts["words"] <= gates.min_words)
        status = (
            F.when((words_before > 0) & too_few, str(DocumentStatus.BLANKED_RATIO))
            .when(blanked, str(DocumentStatus.BLANKED_SHORT))
            .when(parts["text"] != text, str(DocumentStatus.EDITED))
            .otherwise(str(DocumentStatus.KEPT_UNCHANGED))
        )
        applied = F.lit(str(Verdict.APPLIED))
        return F.struct(
            F.when(blanked, "").otherwise(parts["text"]),
            status,
            F.when(blanked, 0).otherwise(parts["words"]),
            parts["removed"],
            parts["normalized"],
            F.transform(chunks, lambda chunk: F.struct(chunk["chunk_index"], F.array(), applied, F.lit(None))),
        ).cast(EXECUTION)

    return let(F.transform(chunks, lambda chunk: _work(chunk, lines)), outcome)


def _work(chunk: Column, lines: Column) -> Column:
    """One chunk's edits. Text is null where none of its lines stay."""

    def span(op: Column, i: Column) -> Column:
        removed = F.struct(op["line_start"], op["line_end"], chunk["chunk_index"], i).cast(REMOVED.elementType)
        return F.when(op["op"] == str(OpName.REMOVE_LINES), removed)

    def normalization(op: Column, i: Column) -> Column:
        fields = chunk["chunk_index"], i, op["source_str"], op["target_str"], F.lit(0)
        return F.when(op["op"] == str(OpName.NORMALIZE), F.struct(*fields).cast(NORMALIZED.elementType))

    def staying(spans: Column) -> Column:
        """The lines around the spans, a text for each gap that has any."""

        def between(i: Column) -> Column:
            first = F.coalesce(F.get(spans, i - 1)["line_end"] + 1, chunk["line_start"]).cast("int")
            stop = F.coalesce(F.get(spans, i)["line_start"], chunk["line_end"] + 1).cast("int")
            return F.when(stop > first, F.concat_ws("\n", F.slice(lines, first + 1, stop - first)))

        return F.filter(F.transform(F.sequence(F.lit(0), F.size(spans)), between), lambda text: text.isNotNull())

    def edited(spans: Column) -> Column:
        texts = F.when(F.size(lines) > 0, staying(F.sort_array(spans))).otherwise(F.array().cast("array<string>"))
        before = let(texts, lambda texts: F.when(F.size(texts) > 0, F.concat_ws("\n", texts)))
        start = _state(before, empty(NORMALIZED), F.lit(0).cast("long"), F.lit(False))
        normalizations = F.filter(F.transform(chunk["ops"], normalization), lambda one: one.isNotNull())
        return let(
            F.aggregate(normalizations, start, _replace),
            lambda state: F.struct(*(state[name] for name in _STATE), spans.alias("removed")),
        )

    return let(F.filter(F.transform(chunk["ops"], span), lambda span: span.isNotNull()), edited)


_STATE = ("text", "normalized", "n_new_words", "absent")


def _state(*columns: Column) -> Column:
    return F.struct(*(column.alias(name) for name, column in zip(_STATE, columns, strict=True)))


def _replace(state: Column, op: Column) -> Column:
    """One replacement. Nearly every string is there once, and then only the line around it is looked at."""
    text, source, target = state["text"], op["source_str"], op["target_str"]

    def with_hits(new_text: Column, n_hits: Column, n_new_words: Column) -> Column:
        hit = F.struct(*(op[name] for name in NORMALIZED.elementType.names[:-1]), n_hits).cast(NORMALIZED.elementType)
        return _state(
            new_text, F.concat(state["normalized"], F.array(hit)), state["n_new_words"] + n_new_words, state["absent"]
        )

    def once(head: Column, tail: Column) -> Column:
        begin, end = F.substring_index(head, "\n", -1), F.substring_index(tail, "\n", 1)
        n_new_words = count_words(F.concat(begin, target, end)) - count_words(F.concat(begin, source, end))
        return with_hits(F.concat(head, target, tail), F.lit(1), n_new_words)

    def by_hits(head: Column, tail: Column) -> Column:
        n_around = F.octet_length(head).cast("long") + F.octet_length(tail)
        often = replaced(
            text, source, target, lambda new, n_hits: with_hits(new, n_hits, count_words(new) - count_words(text))
        )
        absent = _state(text, state["normalized"], state["n_new_words"], F.lit(True))
        return (
            F.when(n_around + F.octet_length(source) == F.octet_length(text), once(head, tail))
            # Cut at a string that is not there, the text is whole.
            .when(F.coalesce(n_around == 2 * F.octet_length(text).cast("long"), F.lit(True)), absent)
            .otherwise(often)
        )

    head, tail = (F.call_function("substring_index", text, source, F.lit(i)) for i in (1, -1))
    return let(head, lambda head: let(tail, lambda tail: by_hits(head, tail)))
