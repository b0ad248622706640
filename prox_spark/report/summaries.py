"""Summaries of runs, which the terminal shows at the end of a command."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from prox_spark.readers import describe_passed_over

if TYPE_CHECKING:
    from prox_spark.pipeline.annotate import AnnotateSummary
    from prox_spark.pipeline.apply import ApplySummary
    from prox_spark.pipeline.compare import Comparison
    from prox_spark.pipeline.induce import InduceSummary
    from prox_spark.pipeline.ingest import IngestSummary
    from prox_spark.pipeline.refine import RefineSummary
    from prox_spark.training.adapt import Adaptation

_MAX_NAMED = 8


def describe_ingest(done: IngestSummary) -> str:
    """Describe what an ingest found and did."""
    lines = [
        f"{done.n_read:,} records read into {done.lake} in {done.seconds['total']:.1f} s",
        f"  {done.n_new:,} new, {done.n_changed:,} changed, {done.n_unchanged:,} unchanged, "
        f"{done.n_duplicates:,} duplicates",
    ]
    if done.quarantined:
        lines.append(f"  {_list_counts(done.quarantined, 'in quarantine')}")
    if done.skipped:
        lines.append(f"  {_list_counts(done.skipped, 'passed over')}")
    if done.passed_over:
        lines.append(f"  {describe_passed_over(done.passed_over)}")
    lines += [f"  {note}" for note in done.notes]
    if not (done.n_new or done.n_changed or done.n_unchanged):
        lines.append(f"  WARNING: not one document was ingested: {_explain_nothing(done)}")
    versions = ", ".join(f"{table} {version}" for table, version in done.versions_out.items())
    return "\n".join([*lines, f"  table versions: {versions}"])


def describe_refine(done: RefineSummary) -> str:
    """Describe what a refine run did."""
    total = sum(done.statuses.values())
    if done.n_pending == 0:
        head = f"refine: nothing new among {total:,} documents; no engine was started"
    elif not done.run.counts["generations"]:
        head = (
            f"refine: {done.n_pending:,} of {total:,} documents in {done.run.total_seconds:.0f} s from stored answers, because "
            "they are new under this recipe; no engine was started"
        )
    else:
        run = done.run
        prompt_tokens, output_tokens = run.engine_total("prompt_tokens"), run.engine_total("output_tokens")
        head = (
            f"refine: {done.n_pending:,} of {total:,} documents in {run.total_seconds:.0f} s, {run.counts['generations']:,} "
            f"generations, {prompt_tokens:,} prompt + {output_tokens:,} output tokens"
        )
        if busy := run.engine_seconds:
            starts, restarts, resent = map(run.engine_total, ("starts", "restarts", "resent"))
            head += f" ({(prompt_tokens + output_tokens) / busy:,.0f} tokens/s), {starts} engine start(s)"
            head += f", {restarts} of them restart(s), {resent:,} request(s) sent again" if restarts or resent else ""
    return "\n".join([head, *_list_statuses(done.statuses)])


def describe_apply(done: ApplySummary) -> str:
    """Describe what an apply run did, and which documents moved."""
    total = sum(done.statuses.values())
    if done.n_pending == 0:
        return "\n".join(
            [f"apply: nothing to derive, all {total:,} documents are under this recipe", *_list_statuses(done.statuses)]
        )
    lines = [f"apply: {done.n_pending:,} of {total:,} documents in {done.run.total_seconds:.0f} s, no engine"]
    lines += _list_statuses(done.statuses)
    words = sum(move.words_before for move in done.moves), sum(move.words_after for move in done.moves)
    lines.append(f"words left: {words[0]:,} before, {words[1]:,} now")
    moved = [move for move in done.moves if move.before != move.after]
    lines.append(f"{sum(move.n_documents for move in moved):,} documents moved{':' if moved else ''}")
    lines += [
        f"  {move.before:<18}→ {move.after:<18}{move.n_documents:>9,}   words {move.words_before:,} → {move.words_after:,}"
        for move in moved
    ]
    if done.n_waiting:
        lines.append(
            f"{done.n_waiting:,} documents wait and are as they were, because no model has answered yet what this recipe needs. "
            "Run `prox-spark refine` with the same recipe"
        )
    return "\n".join(lines)


def describe_comparison(found: Comparison) -> str:
    """Describe how far two settings agree, with examples of where they don't."""

    def describe_share(part: int, whole: int) -> str:
        return f"{part:,} of {whole:,} ({part / whole:.1%})" if whole else "none"

    a, b = found.config_a.model_dump(), found.config_b.model_dump()
    differing = [name for name in a if a[name] != b[name]]
    lines = [
        f"compare: {found.n_documents:,} documents",
        *(
            f"  {side}: " + ", ".join(f"apply.{name}={values[name]}" for name in differing)
            for side, values in (("A", a), ("B", b))
            if differing
        ),
        *([] if differing else ["  A and B have the same settings of `apply`: name others by --with"]),
        f"  same status      {describe_share(found.same_status, found.n_documents)}",
        f"  same text        {describe_share(found.same_text, found.n_documents)}",
        f"  same lines kept  {describe_share(found.same_lines, found.n_lines)}",
        f"  words left       A {found.words_a:,}, B {found.words_b:,}",
        f"  {'A':<18}  {'B':<18}{'documents':>9}",
        *(f"  {a:<18}  {b:<18}{n:>9,}" for a, b, n in found.statuses),
    ]
    if found.n_waiting:
        lines.append(f"  left out: {found.n_waiting:,} documents that one of the settings has no generations for")
    for example in found.examples:
        lines.append(f"{example.doc_id}: A {example.status_a}, B {example.status_b}")
        lines += [f"  only {side} removes: {line[:100]}" for side, line in example.lines]
    return "\n".join(lines)


def describe_annotate(done: AnnotateSummary) -> str:
    """Describe what an annotate run did."""
    run, made = done.run, sum(done.n_labels.values())
    sets = ", ".join(done.n_labels)
    if done.n_documents is None:
        lines = [f"annotate: {made:,} labels imported into the set {sets}, {run.total_seconds:.0f} s"]
    else:
        tokens = run.engine_total("prompt_tokens") + run.engine_total("output_tokens")
        busy = run.engine_seconds
        cost = f"{run.counts['generations']:,} answers, {tokens:,} tokens in {busy:.0f} s"
        cost += f" ({tokens / busy:,.0f} tokens/s)" if busy else ""
        lines = [
            f"annotate: {done.n_documents:,} documents, {made:,} labels in the set {sets}, {run.total_seconds:.0f} s",
            f"  paid for: {cost}" if tokens else "  everything was answered before; no engine was started",
            *(f"  rejected, {reason:<18}{n:>9,}" for reason, n in done.rejected.items()),
        ]
    if done.exported:
        lines.append(f"  exported: {done.exported[1]:,} labels into {done.exported[0]}")
    return "\n".join(lines)


def describe_induce(done: InduceSummary) -> str:
    """Describe how far the induced programs get."""
    figures = {
        "exact": done.n_exact,
        "exact to within white space": done.n_exact_but_white_space,
        "with leftovers": done.n_with_leftovers,
        **{f"  {kind}": n for kind, n in done.leftovers.items()},
    }
    n_ops = sum(done.operations.values())
    by_name = ", ".join(f"{name} {n:,}" for name, n in done.operations.items())
    lines = [
        f"induce: {done.n_pairs:,} pairs in {done.seconds:.1f} s into {done.output}",
        *(f"  {name:<30}{n:>9,}{n / max(done.n_pairs, 1):>8.1%}" for name, n in figures.items()),
        f"  {n_ops / max(done.n_pairs, 1):.1f} operations per pair: {by_name or 'none'}",
    ]
    if done.without_pair:
        reasons = ", ".join(f"{reason} {n:,}" for reason, n in done.without_pair.items())
        n_more = sum(done.without_pair.values()) - len(done.named)
        lines.append(f"  {sum(done.without_pair.values()):,} rows without a pair: {reasons}")
        lines += [f"    {name}" for name in (*done.named, *([f"and {n_more:,} more"] if n_more else []))]
    return "\n".join(lines)


def describe_adapt(done: Adaptation) -> str:
    """Describe what training made, with figures on the validation examples."""
    figures = "".join(f"\n  {name:<38}{value:>9.4f}" for name, value in done.metrics.items())
    return f"adapt: {done.steps:,} steps; the refiner is {done.directory}{figures}"


def _explain_nothing(done: IngestSummary) -> str:
    if done.quarantined:
        return "see `SELECT reason, message, provenance FROM quarantine`"
    if done.skipped:
        return "all records are of kinds that hold no text of a page"
    return "the input has no records"


def _list_counts(counts: Mapping[str, int], what: str) -> str:
    """Return a sum and its parts, the largest first: `184 passed over: 120 image/*, 55 revisit, 9 request`."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    parts = [f"{n:,} {name}" for name, n in ranked[:_MAX_NAMED]]
    if rest := sum(n for _, n in ranked[_MAX_NAMED:]):
        parts.append(f"{rest:,} others")
    return f"{sum(counts.values()):,} {what}: {', '.join(parts)}"


def _list_statuses(statuses: Mapping[str, int]) -> list[str]:
    return [f"  {status:<18}{n:>9,}" for status, n in statuses.items()]
