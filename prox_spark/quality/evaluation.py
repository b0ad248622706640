"""A refiner's answers and the baselines compared with labels: all figures of `prox-spark evaluate`. Pure Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from prox_spark.labels import Label
from prox_spark.programs.words import count_words
from prox_spark.quality.baselines import Baseline
from prox_spark.quality.documents import (
    Array,
    Calibration,
    CurvePoint,
    DocumentScores,
    compute_threshold_curve,
    measure_calibration,
    score_documents,
    thin_curve,
)
from prox_spark.quality.lines import LineScores, score_lines
from prox_spark.quality.programs import ProgramScores

# A baseline's probability is 0 or 1, or a share that nobody has tuned a threshold for.
_BASELINE_THRESHOLD = 0.5
_SHOWN_THRESHOLDS = tuple(n / 10 for n in range(1, 10))


@dataclass(frozen=True, slots=True)
class Prediction:
    """The result of a method for a label's text.

    Attributes:
        drop_probability: 0..1; None: the method was not asked, or gave no answer.
        removed: numbers of the removed lines, counted as the label counts; None: the method was not asked.
    """

    drop_probability: float | None = None
    removed: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class MethodScores:
    """A row of the tables: the figures of one method.

    Attributes:
        documents: None without labels of documents, or if the method does not judge them.
        lines: likewise for lines; lines without words don't count.
        lines_with_blank: the same, with lines without words counted.
    """

    name: str
    documents: DocumentScores | None
    lines: LineScores | None
    lines_with_blank: LineScores | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures of an evaluation.

    Attributes:
        refiners: name of the refiner by stage.
        threshold: documents with at least this drop probability are dropped.
        n_labels: number of labels.
        n_unanswered: labels of documents without a verdict (no words, over the context, a failed request); they are
            left out of all figures.
        n_unanswered_chunks: chunks without a program, for the same reasons; their lines stay.
        methods: figures of the refiner, then of each baseline.
        label_sets: the refiner's figures by label set.
        programs: None without labels of lines.
        curve: points by threshold, at most 500; empty without labels of documents.
        shown: points at exactly 0.1, 0.2, … 0.9; empty without labels of documents.
        best: the point of the curve with the highest F1.
        calibration: None without labels of documents.
    """

    refiners: dict[str, str]
    threshold: float
    n_labels: int
    n_unanswered: int
    n_unanswered_chunks: int
    methods: tuple[MethodScores, ...]
    label_sets: tuple[MethodScores, ...]
    programs: ProgramScores | None
    curve: tuple[CurvePoint, ...]
    shown: tuple[CurvePoint, ...]
    best: CurvePoint | None
    calibration: Calibration | None

    def as_json(self) -> dict[str, Any]:
        """Return the figures as data for JSON."""
        return asdict(self)


def evaluate_predictions(
    labels: Sequence[Label],
    predictions: Sequence[Prediction],
    programs: ProgramScores,
    baselines: Sequence[Baseline],
    refiners: dict[str, str],
    threshold: float,
    n_unanswered_chunks: int = 0,
) -> Evaluation:
    """Score a refiner's predictions and the baselines against labels.

    Args:
        labels: one or more labels.
        predictions: the refiner's prediction for each label.
        programs: figures of the refiner's programs.
        baselines: methods to score on the same labels as the refiner.
        refiners: name of the refiner by stage.
        threshold: documents with at least this drop probability are dropped.
        n_unanswered_chunks: chunks without a program.
    """
    pairs = list(zip(labels, predictions, strict=True))
    judged = _select_judged(pairs)
    documents, lines = [label for label, _ in judged], [label for label in labels if label.ops is not None]
    keep, n_words = _to_flags(documents), _count_words(documents)
    drop = np.array([prediction.drop_probability for _, prediction in judged], dtype=float)
    curve = compute_threshold_curve(keep, drop, n_words) if documents else ()
    by_set = _group_by_label_set(pairs)
    name = " + ".join(dict.fromkeys(refiners.values()))
    return Evaluation(
        refiners,
        threshold,
        len(labels),
        sum(label.keep is not None for label in labels) - len(documents),
        n_unanswered_chunks,
        (
            _score_refiner(name, pairs, threshold),
            *(_score_baseline(baseline, documents, lines) for baseline in baselines),
        ),
        tuple(_score_refiner(label_set, members, threshold) for label_set, members in by_set.items()),
        programs if lines else None,
        thin_curve(curve),
        compute_threshold_curve(keep, drop, n_words, _SHOWN_THRESHOLDS) if documents else (),
        max(curve, key=lambda point: point.f1, default=None),
        measure_calibration(keep, drop) if documents else None,
    )


def _select_judged(pairs: Sequence[tuple[Label, Prediction]]) -> list[tuple[Label, Prediction]]:
    return [pair for pair in pairs if pair[0].keep is not None and pair[1].drop_probability is not None]


def _score_refiner(name: str, pairs: Sequence[tuple[Label, Prediction]], threshold: float) -> MethodScores:
    judged = _select_judged(pairs)
    lined = [pair for pair in pairs if pair[0].ops is not None]
    drops = [prediction.drop_probability for _, prediction in judged]
    removed = [prediction.removed or frozenset() for _, prediction in lined]
    return _score_method(name, [label for label, _ in judged], drops, threshold, [label for label, _ in lined], removed)


def _score_baseline(baseline: Baseline, documents: Sequence[Label], lines: Sequence[Label]) -> MethodScores:
    if baseline.drops is None:
        documents = []
    if baseline.removes is None:
        lines = []
    drops = [baseline.drops(label.text) for label in documents if baseline.drops]
    removed = [_find_removed(label, baseline.removes) for label in lines if baseline.removes]
    return _score_method(baseline.name, documents, drops, _BASELINE_THRESHOLD, lines, removed)


def _find_removed(label: Label, removes: Callable[[list[str]], list[bool]]) -> frozenset[int]:
    flags = zip(label.line_numbers, removes(label.text.split("\n")), strict=True)
    return frozenset(number for number, gone in flags if gone)


def _score_method(
    name: str,
    documents: Sequence[Label],
    drops: Sequence[float | None],
    threshold: float,
    lines: Sequence[Label],
    removed: Sequence[frozenset[int]],
) -> MethodScores:
    drop = np.array(drops, dtype=float)
    return MethodScores(
        name,
        score_documents(_to_flags(documents), drop, _count_words(documents), threshold) if documents else None,
        score_lines(lines, removed) if lines else None,
        score_lines(lines, removed, count_blank=True) if lines else None,
    )


def _to_flags(documents: Sequence[Label]) -> Array:
    return np.array([label.keep for label in documents], dtype=bool)


def _count_words(documents: Sequence[Label]) -> Array:
    return np.array([count_words(label.text) for label in documents], dtype=float)


def _group_by_label_set(
    pairs: Sequence[tuple[Label, Prediction]],
) -> dict[str, list[tuple[Label, Prediction]]]:
    groups: dict[str, list[tuple[Label, Prediction]]] = {}
    for label, prediction in pairs:
        groups.setdefault(label.label_set, []).append((label, prediction))
    return dict(sorted(groups.items()))
