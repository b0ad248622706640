"""The strict executor as column expressions: the outcome of `programs.execute_chunks` without a Python worker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from pyspark.sql import functions as F

from prox_spark.programs import DiagnosticCode, DocumentStatus, Gates, OpName
from prox_spark.programs.operations import EDITS, KEEPS
from udfs.columns import (
    EXECUTION,
    FINDINGS,
    LINES,
    NORMALIZED,
    SPANS,
    empty,
    errors_in,
    executable,
    finding,
    first_takers,
    gaps,
    joined,
    let,
    lines_of,
    numbered,
    printed,
    removed_spans,
    span,
    staying,
    too_many,
    verdict,
    words_in,
)
from udfs.execute_plain import execute_plain, is_plain
from udfs.normalize import normalize

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
    chunks = executable(chunks, words_before)
    edits = F.exists(chunks, lambda chunk: F.exists(chunk["ops"], lambda op: ~op["op"].isin(_KEEPS)))
    # Most documents are kept as they are, and their lines need not be cut.
    lines = F.when(edits, lines_of(text)).otherwise(empty(LINES))

    def outcome(lines: Column) -> Column:
        odd = let(
            F.transform(chunks, lambda chunk: _work(chunk, lines, gates)),
            lambda works: _outcome(text, words_before, lines, works, gates),
        )
        plain = F.when(is_plain(chunks, lines), execute_plain(text, words_before, chunks, lines, gates))
        return F.coalesce(plain, odd)

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
            F.when(mixed, F.array(note)).otherwise(empty(FINDINGS)),
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
            F.when(applied, taken).otherwise(empty(SPANS)).alias("taken"),
            F.when(applied, normal["normalized"]).otherwise(empty(NORMALIZED)).alias("normalized"),
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
                normalize(chunk["chunk_index"], ops, lines, first, last, taken),
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


def _outcome(text: Column, words_before: Column, lines: Column, works: Column, gates: Gates) -> Column:
    """Puts the chunks together and holds the whole against the gates."""
    taken = F.flatten(F.transform(works, lambda work: work["taken"]))
    n_new_words = F.aggregate(works, F.lit(0).cast("long"), lambda n, work: n + work["n_new_words"])

    def put_together(taken: Column) -> Column:
        # Lines are counted where they changed: counting the whole text again would cost more than all the rest.
        words_after = words_before + n_new_words - words_in(lines, taken)
        return let(
            F.struct(_text(text, lines, works, taken).alias("text"), words_after.alias("words_after")),
            judged,
        )

    def judged(result: Column) -> Column:
        words_after = result["words_after"]
        status = (
            F.when(words_after / words_before <= gates.min_word_ratio, str(DocumentStatus.BLANKED_RATIO))
            .when(words_after <= gates.min_words, str(DocumentStatus.BLANKED_SHORT))
            .when(result["text"] != text, str(DocumentStatus.EDITED))
            .when(
                F.exists(works, lambda work: work["verdict"]["reason"].isNotNull()),
                str(DocumentStatus.PROGRAM_DISCARDED),
            )
            .otherwise(str(DocumentStatus.KEPT_UNCHANGED))
        )
        return let(status, lambda status: execution(result, status))

    def removed_by(work: Column) -> Column:
        return removed_spans(work["taken"], lambda taker: (work["verdict"]["chunk_index"], taker))

    def execution(result: Column, status: Column) -> Column:
        blanked = status.isin(str(DocumentStatus.BLANKED_RATIO), str(DocumentStatus.BLANKED_SHORT))
        return F.struct(
            F.when(blanked, "").otherwise(result["text"]),
            status,
            F.when(blanked, 0).otherwise(result["words_after"]),
            F.flatten(F.transform(works, removed_by)),
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
        around = gaps(F.lit(0).cast("long"), F.size(lines).cast("long") - 1, F.sort_array(F.concat(whole, elsewhere)))
        pieces = F.concat(
            F.transform(around, lambda gap: piece(gap["line_start"], joined(lines, F.array(gap)))),
            F.transform(chunks, lambda work: piece(work["own"]["line_start"], work["text"])),
        )
        return F.array_join(F.transform(F.sort_array(pieces), lambda p: p["text"]), "\n")

    return (
        F.when(F.exists(works, lambda work: work["text"].isNotNull()), let(replaced_chunks, with_replaced))
        .when(F.size(taken) > 0, staying(lines, taken))
        .otherwise(text)
    )
