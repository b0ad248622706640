"""A refiner's answers and the baselines held against labels: everything that `prox-spark evaluate` says. Pure Python."""

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

# A baseline says 0 or 1, or a share that is no tuned probability.
_BASELINE_THRESHOLD = 0.5
_SHOWN_THRESHOLDS = tuple(n / 10 for n in range(1, 10))


@dataclass(frozen=True, slots=True)
class Prediction:
    """What a method makes of a label's text.

    Attributes:
        drop_probability: 0..1; None: it was not asked, or gave no answer.
        removed: numbers of the lines it removes, counted as the label counts; None: it was not asked.
    """

    drop_probability: float | None = None
    removed: frozenset[int] | None = None


@dataclass(frozen=True, slots=True)
class MethodScores:
    """A row of the tables.

    Attributes:
        documents: None where there are no labels of documents, or the method says nothing about them.
        lines: likewise of lines; those without words don't count.
        lines_with_blank: the same with lines without words counted, too.
    """

    name: str
    documents: DocumentScores | None
    lines: LineScores | None
    lines_with_blank: LineScores | None


@dataclass(frozen=True, slots=True)
class Evaluation:
    """All figures.

    Attributes:
        refiners: name by stage.
        threshold: documents are dropped from this probability on.
        n_labels: all of them.
        n_unanswered: labels of documents that have no verdict (no words, over the context, a failed request) and are left out.
        n_unanswered_chunks: chunks without a program, likewise; their lines stay.
        methods: the refiner first, then the baselines.
        label_sets: the refiner's figures by label set.
        programs: None without labels of lines.
        curve: by threshold, thinned out where there are many; empty without labels of documents.
        shown: the same at 0.1, 0.2, … 0.9, exactly.
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
        """JSON-ready data."""
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
    """Holds predictions and baselines against labels.

    Args:
        labels: one or more.
        predictions: the refiner's, one for each label.
        programs: of the refiner.
        baselines: held against the same labels as the refiner.
        refiners: name by stage.
        threshold: of the refiner's drop probability.
        n_unanswered_chunks: chunks for which there is no program.
    """
    pairs = list(zip(labels, predictions, strict=True))
    judged = _judged(pairs)
    documents, lines = [label for label, _ in judged], [label for label in labels if label.ops is not None]
    keep, n_words = _keep(documents), _words(documents)
    drop = np.array([prediction.drop_probability for _, prediction in judged], dtype=float)
    curve = compute_threshold_curve(keep, drop, n_words) if documents else ()
    by_set = {name: [pair for pair in pairs if pair[0].label_set == name] for name in _label_sets(labels)}
    name = " + ".join(dict.fromkeys(refiners.values()))
    return Evaluation(
        refiners,
        threshold,
        len(labels),
        sum(label.keep is not None for label in labels) - len(documents),
        n_unanswered_chunks,
        (
            _refiner_scores(name, pairs, threshold),
            *(_baseline_scores(baseline, documents, lines) for baseline in baselines),
        ),
        tuple(_refiner_scores(label_set, of, threshold) for label_set, of in by_set.items()),
        programs if lines else None,
        thin_curve(curve),
        compute_threshold_curve(keep, drop, n_words, _SHOWN_THRESHOLDS) if documents else (),
        max(curve, key=lambda point: point.f1, default=None),
        measure_calibration(keep, drop) if documents else None,
    )


def _judged(pairs: Sequence[tuple[Label, Prediction]]) -> list[tuple[Label, Prediction]]:
    return [pair for pair in pairs if pair[0].keep is not None and pair[1].drop_probability is not None]


def _refiner_scores(name: str, pairs: Sequence[tuple[Label, Prediction]], threshold: float) -> MethodScores:
    judged = _judged(pairs)
    lined = [pair for pair in pairs if pair[0].ops is not None]
    drops = [prediction.drop_probability for _, prediction in judged]
    removed = [prediction.removed or frozenset() for _, prediction in lined]
    return _scores(name, [label for label, _ in judged], drops, threshold, [label for label, _ in lined], removed)


def _baseline_scores(baseline: Baseline, documents: Sequence[Label], lines: Sequence[Label]) -> MethodScores:
    if baseline.drops is None:
        documents = []
    if baseline.removes is None:
        lines = []
    drops = [baseline.drops(label.text) for label in documents if baseline.drops]
    removed = [_removed(label, baseline.removes) for label in lines if baseline.removes]
    return _scores(baseline.name, documents, drops, _BASELINE_THRESHOLD, lines, removed)


def _removed(label: Label, removes: Callable[[list[str]], list[bool]]) -> frozenset[int]:
    flags = zip(label.line_numbers, removes(label.text.split("\n")), strict=True)
    return frozenset(number for number, gone in flags if gone)


def _scores(
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
        score_documents(_keep(documents), drop, _words(documents), threshold) if documents else None,
        score_lines(lines, removed) if lines else None,
        score_lines(lines, removed, count_blank=True) if lines else None,
    )


def _keep(documents: Sequence[Label]) -> Array:
    return np.array([label.keep for label in documents], dtype=bool)


def _words(documents: Sequence[Label]) -> Array:
    return np.array([count_words(label.text) for label in documents], dtype=float)


def _label_sets(labels: Sequence[Label]) -> list[str]:
    return sorted({label.label_set for label in labels})
