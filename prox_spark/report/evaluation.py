"""An evaluation on the terminal and as files."""

from __future__ import annotations

import json
import logging
from pathlib import Path

from prox_spark.quality.evaluation import Evaluation, MethodScores
from prox_spark.report.terminal import print_rows

LOG = logging.getLogger(__name__)
Row = tuple[object, ...]


def print_evaluation(evaluation: Evaluation) -> None:
    """Print all tables. Those without labels are left out."""
    refiners = ", ".join(f"{stage} stage by {name}" for stage, name in evaluation.refiners.items())
    print(f"evaluate: {evaluation.n_labels:,} labels, {refiners}")
    _print_documents(evaluation)
    _print_lines(evaluation)
    _print_programs(evaluation)
    if len(evaluation.label_sets) > 1:
        _print_label_sets(evaluation)


def write_evaluation(evaluation: Evaluation, folder: Path) -> None:
    """Write evaluation.json, and plots if matplotlib is installed."""
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps(evaluation.as_json(), indent=2)
    (folder / "evaluation.json").write_text(text + "\n", encoding="utf-8")
    try:
        from prox_spark.report.plots import write_plots
    except ImportError as error:
        LOG.info("no plots are written: %s (pip install 'prox-spark[evaluate]')", error)
        return
    write_plots(evaluation, folder)


def _print_documents(evaluation: Evaluation) -> None:
    scored = [(of.name, of.documents) for of in evaluation.methods if of.documents]
    if not scored:
        print("\nDocuments: no labels with a verdict")
        return
    of_refiner = scored[0][1]
    print(
        f"\nDocuments: {of_refiner.n_documents:,}, {of_refiner.n_keep:,} of them to keep. Precision, recall and F1 of keeping; "
        f"a document is dropped from {evaluation.threshold:g} on, by baselines from 0.5 on"
    )
    if evaluation.n_unanswered:
        print(f"{evaluation.n_unanswered:,} documents without a verdict of the refiner are left out")
    columns = ("method", "precision", "recall", "F1", "AUC", "words kept")
    print_rows(
        columns,
        [(name, s.keep.precision, s.keep.recall, s.keep.f1, s.auc, s.words_kept) for name, s in scored],
    )
    if evaluation.best and evaluation.calibration:
        best = evaluation.best
        print(
            f"\nThresholds: the best F1 on these labels is {best.f1:.3f}, at {best.threshold:.3f}; "
            f"calibration error {evaluation.calibration.error:.3f}"
        )
        print_rows(
            ("threshold", *columns[1:4], "words kept"),
            [(f"{p.threshold:g}", p.precision, p.recall, p.f1, p.words_kept) for p in evaluation.shown],
        )


def _print_lines(evaluation: Evaluation) -> None:
    scored = [(of.name, of.lines) for of in evaluation.methods if of.lines]
    if not scored:
        print("\nLines: no labels with operations")
        return
    of_refiner = scored[0][1]
    print(
        f"\nLines: {of_refiner.n_lines:,} with words in {of_refiner.n_texts:,} texts, {of_refiner.n_to_remove:,} of them to remove; "
        f"then {of_refiner.words_to_keep:.1%} of the words stay. Blank lines don't count.\n"
        "Macro F1 is the mean over texts; it counts as 1 where label and method agree that there is no such line (`empty` texts)"
    )
    if evaluation.n_unanswered_chunks:
        print(f"{evaluation.n_unanswered_chunks:,} chunks have no program; their lines stay")
    for title, name in (("removed lines", "removed"), ("kept lines", "kept")):
        rows: list[Row] = []
        for method, scores in scored:
            of_class = getattr(scores, name)
            micro = of_class.micro
            rows.append(
                (method, micro.precision, micro.recall, micro.f1, of_class.macro_precision, of_class.macro_recall,
                 of_class.macro_f1, of_class.n_empty, scores.words_kept)
            )  # fmt: skip
        print_rows(
            (title, "precision", "recall", "F1", "macro precision", "macro recall", "macro F1", "empty", "words kept"),
            rows,
        )


def _print_programs(evaluation: Evaluation) -> None:
    if programs := evaluation.programs:
        findings = ", ".join(f"{code} {n:,}" for code, n in programs.findings.items()) or "no findings"
        print(
            f"\nPrograms: {programs.n_valid:,} of {programs.n_programs:,} valid ({programs.validity:.1%}); {findings}"
        )


def _print_label_sets(evaluation: Evaluation) -> None:
    print("\nThe refiner by label set")
    columns = ("label set", "documents", "F1", "AUC", "texts with lines", "removed F1", "macro", "kept F1", "macro ")
    print_rows(columns, map(_make_row, evaluation.label_sets))


def _make_row(of: MethodScores) -> Row:
    documents, lines = of.documents, of.lines
    return (
        of.name,
        *((documents.n_documents, documents.keep.f1, documents.auc) if documents else (0, None, None)),
        *(
            (lines.n_texts, lines.removed.micro.f1, lines.removed.macro_f1, lines.kept.micro.f1, lines.kept.macro_f1)
            if lines
            else (0, None, None, None, None)
        ),
    )
