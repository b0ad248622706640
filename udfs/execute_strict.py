"""The strict executor as column expressions: the outcome of `programs.execute_chunks` without a Python worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.programs import DiagnosticCode, DocumentStatus, Gates, OpName
from prox_spark.programs.operations import EDITS, KEEPS
from prox_spark.programs.strict import GROWTH_CHARS, GROWTH_FACTOR, MIN_SOURCE_CHARS
from udfs.columns import (
    CHUNK,
    EXECUTION,
    FINDINGS,
    NORMALIZED,
    SPANS,
    count_words,
    errors_in,
    finding,
    first_takers,
    gaps,
    joined,
    let,
    lines_of,
    numbered,
    printed,
    removed_spans,
    replaced,
    snippet,
    span,
    strip,
    too_many,
    verdict,
)
from udfs.execute_plain import execute_plain, is_plain

if TYPE_CHECKING:
    from pyspark.sql import Column

_EDITS: Final = [str(name) for name in EDITS]
_KEEPS: Final = [str(name) for name in KEEPS]


def execute_strict(text: Column, words_before: Column, chunks: Column, gates: Gates) -> Column:
    """Executes the programs of a document's chunks, each on its own lines; see `programs.execute_chunks`.

    Args:
        text: the document.
        words_before: its words, as `count_words` counts them.
        chunks: array of `columns.CHUNK`, their lines disjoint; null is none.
        gates: when the outcome is not trusted.

    Returns:
        `columns.EXECUTION`.
    """
    none = F.array().cast(T.ArrayType(CHUNK))
    chunks = F.when(words_before > 0, F.coalesce(chunks, none)).otherwise(none)
    edits = F.exists(chunks, lambda chunk: F.exists(chunk["ops"], lambda op: ~op["op"].isin(_KEEPS)))
    # Most documents are kept as they are, and their lines need not be cut.
    lines = F.when(edits, lines_of(text)).otherwise(F.array().cast("array<string>"))

    def outcome(lines: Column) -> Column:
        odd = let(
            F.transform(chunks, lambda chunk: _work(chunk, lines, gates)),
            lambda works: _outcome(text, words_before, lines, works, gates),
        )
        return F.when(is_plain(chunks, lines), execute_plain(text, words_before, chunks, lines, gates)).otherwise(odd)

    return let(lines, outcome)


def _work(chunk: Column, lines: Column, gates: Gates) -> Column:
    """One chunk's edits, prepared on the side so that a discarded program leaves no trace."""
    first = F.greatest(chunk["line_start"], F.lit(0)).cast("long")
    last = (F.least(chunk["line_end"] + 1, F.size(lines)) - 1).cast("long")

    def outcome(ops: Column, plans: Column, taken: Column, normal: Column) -> Column:
        keep = F.get(F.filter(ops, lambda op: op["op"].isin(_KEEPS)), 0)
        mixed = keep.isNotNull() & F.exists(ops, lambda op: op["op"].isin(_EDITS))
        note = finding(DiagnosticCode.KEEP_WITH_EDITS, keep["op_index"], printed(keep))
        findings = F.concat(
            chunk["diagnostics"],
            F.filter(F.transform(plans, lambda plan: plan["finding"]), lambda f: f.isNotNull()),
            F.when(mixed, F.array(note)).otherwise(F.array().cast(FINDINGS)),
            normal["findings"],
        )
        return let(
            findings, lambda findings: let(errors_in(findings), lambda errors: result(findings, errors, taken, normal))
        )

    def result(findings: Column, errors: Column, taken: Column, normal: Column) -> Column:
        discarded_for = F.when(F.size(errors) >= gates.max_errors, too_many(errors, gates.max_errors))
        applied = discarded_for.isNull()
        hits = F.size(normal["normalized"]) > 0
        return F.struct(
            chunk["chunk_index"].alias("chunk_index"),
            F.when(applied, taken).otherwise(F.array().cast(SPANS)).alias("taken"),
            F.when(applied, normal["normalized"]).otherwise(F.array().cast(NORMALIZED)).alias("normalized"),
            # The lines of the chunk are replaced as a whole when a string in them was.
            F.when(applied & hits, normal["text"]).alias("text"),
            F.when(applied & hits, normal["n_new_words"]).otherwise(0).cast("long").alias("n_new_words"),
            span(first, last).alias("own"),
            verdict(chunk["chunk_index"], findings, discarded_for).alias("verdict"),
        )

    def with_plans(ops: Column, plans: Column) -> Column:
        removals = F.filter(F.transform(plans, lambda plan: plan["removal"]), lambda r: r.isNotNull())
        return let(
            first_takers(removals),
            lambda taken: let(
                _normalize(chunk["chunk_index"], ops, lines, first, last, taken),
                lambda normal: outcome(ops, plans, taken, normal),
            ),
        )

    return let(
        numbered(chunk["ops"]),
        lambda ops: let(
            F.transform(ops, lambda op: _plan(op, first, last)),
            lambda plans: with_plans(ops, plans),
        ),
    )


def _plan(op: Column, first: Column, last: Column) -> Column:
    """What an operation removes of the chunk's own lines, and the finding where it can't as it stands."""
    start, end = F.coalesce(op["line_start"], first), F.coalesce(op["line_end"], last)
    inside = span(F.greatest(start, first), F.least(end, last), op["op_index"])
    removes = (op["op"] == str(OpName.REMOVE_LINES)) & ((first <= last) | op["line_start"].isNotNull())
    reaches = (start <= end) & (inside["line_start"] <= inside["line_end"])
    code = (
        F.when(~removes, F.lit(None))
        .when(start > end, str(DiagnosticCode.RANGE_REVERSED))
        .when(~reaches, str(DiagnosticCode.RANGE_OUTSIDE))
        .when((start < first) | (end > last), str(DiagnosticCode.RANGE_CLIPPED))
    )
    where = F.concat(printed(op), F.lit(" against lines "), first.cast("string"), F.lit(" to "), last.cast("string"))
    misplaced = finding(
        DiagnosticCode.MISPLACED_DROP, op["op_index"], F.lit("a chunk's program can't drop the document")
    )
    found = F.when(op["op"] == str(OpName.DROP_DOC), misplaced).when(
        code.isNotNull(), finding(code, op["op_index"], where)
    )
    return F.struct(F.when(removes & reaches, inside).alias("removal"), found.alias("finding"))


def _normalize(chunk_index: Column, ops: Column, lines: Column, first: Column, last: Column, taken: Column) -> Column:
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
            hit = F.struct(chunk_index, op["op_index"], source, target, n_hits).cast(NORMALIZED.elementType)
            n_chars = F.length(state["text"]) + n_hits * (F.length(target) - F.length(source))
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

    def folded(normalizations: Column, before: Column) -> Column:
        nothing = _state(before, F.array().cast(NORMALIZED), F.array().cast(FINDINGS))
        limit = GROWTH_FACTOR * F.length(before) + GROWTH_CHARS
        return let(
            F.aggregate(normalizations, nothing, lambda state, op: replace(state, op, limit)),
            lambda state: F.struct(
                state["text"].alias("text"),
                state["normalized"].alias("normalized"),
                state["findings"].alias("findings"),
                F.when(F.size(state["normalized"]) > 0, _new_words(before, state))
                .otherwise(0)
                .cast("long")
                .alias("n_new_words"),
            ),
        )

    none = _state(F.lit(None).cast("string"), F.array().cast(NORMALIZED), F.array().cast(FINDINGS))
    without = F.struct(
        none["text"].alias("text"),
        none["normalized"].alias("normalized"),
        none["findings"].alias("findings"),
        F.lit(0).cast("long").alias("n_new_words"),
    )
    return let(
        F.filter(ops, lambda op: op["op"] == str(OpName.NORMALIZE)),
        lambda normalizations: F.when(F.size(normalizations) == 0, without).otherwise(
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


def _outcome(text: Column, words_before: Column, lines: Column, works: Column, gates: Gates) -> Column:
    """Puts the chunks together and holds the whole against the gates."""
    taken = F.flatten(F.transform(works, lambda work: work["taken"]))
    n_new_words = F.aggregate(works, F.lit(0).cast("long"), lambda n, work: n + work["n_new_words"])

    def put_together(taken: Column) -> Column:
        # Lines are counted where they changed: counting the whole text again would cost more than all the rest.
        words_left = words_before + n_new_words - count_words(joined(lines, taken))
        return let(
            F.struct(
                _text(text, lines, works, taken).alias("text"),
                F.when(F.size(taken) > 0, words_left).otherwise(words_before + n_new_words).alias("words_after"),
            ),
            judged,
        )

    def judged(result: Column) -> Column:
        words_after = result["words_after"]
        status = (
            F.when(words_before == 0, str(DocumentStatus.BLANKED_SHORT))
            .when(words_after / words_before <= gates.min_word_ratio, str(DocumentStatus.BLANKED_RATIO))
            .when(words_after <= gates.min_words, str(DocumentStatus.BLANKED_SHORT))
            .when(result["text"] != text, str(DocumentStatus.EDITED))
            .when(
                F.exists(works, lambda work: work["verdict"]["reason"].isNotNull()),
                str(DocumentStatus.PROGRAM_DISCARDED),
            )
            .otherwise(str(DocumentStatus.KEPT_UNCHANGED))
        )
        return let(status, lambda status: execution(result, status))

    def execution(result: Column, status: Column) -> Column:
        blanked = status.isin(str(DocumentStatus.BLANKED_RATIO), str(DocumentStatus.BLANKED_SHORT))
        return F.struct(
            F.when(blanked, "").otherwise(result["text"]),
            status,
            F.when(blanked, 0).otherwise(result["words_after"]),
            F.flatten(F.transform(works, lambda work: removed_spans(work["taken"], work["chunk_index"]))),
            F.flatten(F.transform(works, lambda work: work["normalized"])),
            F.transform(works, lambda work: work["verdict"]),
        ).cast(EXECUTION)

    return let(F.sort_array(taken), put_together)


def _text(text: Column, lines: Column, works: Column, taken: Column) -> Column:
    replaced_chunks = F.filter(works, lambda work: work["text"].isNotNull())

    def piece(start: Column, text: Column) -> Column:
        return F.struct(start.alias("line_start"), text.alias("text"))

    def with_replaced(chunks: Column) -> Column:
        whole = F.transform(chunks, lambda work: work["own"])
        elsewhere = F.filter(
            taken, lambda s: ~F.exists(whole, lambda own: s["line_start"].between(own["line_start"], own["line_end"]))
        )
        staying = gaps(F.lit(0).cast("long"), F.size(lines).cast("long") - 1, F.sort_array(F.concat(whole, elsewhere)))
        pieces = F.concat(
            F.transform(staying, lambda gap: piece(gap["line_start"], joined(lines, F.array(gap)))),
            F.transform(chunks, lambda work: piece(work["own"]["line_start"], work["text"])),
        )
        return F.array_join(F.transform(F.sort_array(pieces), lambda p: p["text"]), "\n")

    staying = gaps(F.lit(0).cast("long"), F.size(lines).cast("long") - 1, taken)
    return (
        F.when(F.exists(works, lambda work: work["text"].isNotNull()), let(replaced_chunks, with_replaced))
        .when(F.size(taken) > 0, joined(lines, staying))
        .otherwise(text)
    )
