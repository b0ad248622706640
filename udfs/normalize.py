"""String replacements in the lines of a chunk, as column expressions."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pyspark.sql import functions as F

from prox_spark.programs import DiagnosticCode, OpName
from prox_spark.programs.strict import GROWTH_CHARS, GROWTH_FACTOR, MIN_SOURCE_CHARS
from udfs.columns import (
    FINDINGS,
    NORMALIZED,
    count_words,
    empty,
    finding,
    gaps,
    grown,
    joined,
    let,
    lines_of,
    printed,
    replaced,
    snippet,
    strip,
)

if TYPE_CHECKING:
    from pyspark.sql import Column


def normalize(chunk_index: Column, ops: Column, lines: Column, first: Column, last: Column, taken: Column) -> Column:
    """Replaces strings in the lines of a chunk that stay, in the order of the program.

    Returns:
        A struct: text of the lines that stay (null without normalisations), normalized, findings, n_new_words.
    """

    def replace(state: Column, op: Column, limit: Column) -> Column:
        source, target = F.coalesce(op["source_str"], F.lit("")), F.coalesce(op["target_str"], F.lit(""))

        def noted(code: DiagnosticCode | Column, detail: Column) -> Column:
            findings = F.concat(state["findings"], F.array(finding(code, op["op_index"], detail)))
            return _state(state["text"], state["normalized"], findings)

        def done(text: Column, n_hits: Column) -> Column:
            n_chars = grown(state["text"], source, target, n_hits)
            hit = F.struct(chunk_index, op["op_index"], source, target, n_hits).cast(NORMALIZED.elementType)
            too_long = F.concat(
                n_chars.cast("string"), F.lit(" characters, the limit is "), limit.cast("string"), F.lit(": ")
            )
            return F.when(
                n_chars > limit, noted(DiagnosticCode.TEXT_GROWTH, F.concat(too_long, snippet(printed(op))))
            ).otherwise(_state(text, F.concat(state["normalized"], F.array(hit)), state["findings"]))

        problem = (
            F.when(F.length(strip(source)) < MIN_SOURCE_CHARS, str(DiagnosticCode.SOURCE_TOO_SHORT))
            .when(F.contains(target, F.lit("\n")), str(DiagnosticCode.LINE_BREAK))
            .when(F.contains(source, F.lit("\n")), str(DiagnosticCode.SOURCE_ABSENT))
            .when(~F.contains(state["text"], source), str(DiagnosticCode.SOURCE_ABSENT))
        )
        return let(
            problem,
            lambda problem: F.when(problem.isNotNull(), noted(problem, snippet(printed(op)))).otherwise(
                replaced(state["text"], source, target, done)
            ),
        )

    def with_words(state: Column, n_new_words: Column) -> Column:
        fields = (state[name].alias(name) for name in ("text", "normalized", "findings"))
        return F.struct(*fields, n_new_words.cast("long").alias("n_new_words"))

    def folded(normalizations: Column, before: Column) -> Column:
        nothing = _state(before, empty(NORMALIZED), empty(FINDINGS))
        limit = GROWTH_FACTOR * F.length(before) + GROWTH_CHARS
        return let(
            F.aggregate(normalizations, nothing, lambda state, op: replace(state, op, limit)),
            lambda state: with_words(
                state, F.when(F.size(state["normalized"]) > 0, _new_words(before, state)).otherwise(0)
            ),
        )

    none = _state(F.lit(None).cast("string"), empty(NORMALIZED), empty(FINDINGS))
    return let(
        F.filter(ops, lambda op: op["op"] == str(OpName.NORMALIZE)),
        lambda normalizations: F.when(F.size(normalizations) == 0, with_words(none, F.lit(0))).otherwise(
            let(joined(lines, gaps(first, last, taken)), lambda before: folded(normalizations, before))
        ),
    )


def _new_words(before: Column, state: Column) -> Column:
    """How many words a chunk gained, counted in the lines that hold a replaced string: the others are as they were."""

    def count(old: Column, new: Column) -> Column:
        hit = F.filter(
            F.sequence(F.lit(0), F.size(old) - 1),
            lambda i: F.exists(state["normalized"], lambda done: F.contains(F.get(old, i), done["source_str"])),
        )
        return let(
            hit,
            lambda hit: (
                count_words(F.array_join(F.transform(hit, lambda i: F.get(new, i)), "\n"))
                - count_words(F.array_join(F.transform(hit, lambda i: F.get(old, i)), "\n"))
            ),
        )

    return let(lines_of(before), lambda old: let(lines_of(state["text"]), lambda new: count(old, new)))


def _state(text: Column, normalized: Column, findings: Column) -> Column:
    return F.struct(text.alias("text"), normalized.alias("normalized"), findings.alias("findings"))
