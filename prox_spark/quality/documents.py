"""Figures of the document stage. The positive class is *keep*: a document that should stay and that stays is a hit.

A document is dropped when its drop probability is at least the threshold, as in a run. `keep` and `drop` are arrays of the
same length here: what the label says (boolean) and the probability of dropping (0..1).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prox_spark.quality.scores import Score

Array: TypeAlias = NDArray[Any]
N_BINS = 10
# A curve of a point per document would be as long as the labels.
_MAX_POINTS = 500


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """How well documents were judged.

    Attributes:
        n_documents: labelled and answered.
        n_keep: of these, should be kept.
        keep: score of the documents kept at the threshold.
        auc: chance that a document to keep has the lower drop probability than one to drop, ties half; None with one class only.
        words_kept: share of the documents' words in those kept.
    """

    n_documents: int
    n_keep: int
    keep: Score
    auc: float | None
    words_kept: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The same at one threshold of many."""

    threshold: float
    precision: float
    recall: float
    f1: float
    words_kept: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Documents with a similar probability of keeping (1 - that of dropping): are as many of them to be kept as it says?"""

    low: float
    high: float
    n_documents: int
    mean_probability: float
    share_to_keep: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """Bins that hold documents, and the expected calibration error: mean distance of the two columns, by documents."""

    bins: tuple[CalibrationBin, ...]
    error: float


def score_documents(keep: Array, drop: Array, n_words: Array, threshold: float) -> DocumentScores:
    """Scores of one or more documents at a threshold; `n_words` are their words."""
    score, words_kept = _at(keep, drop, n_words, threshold)
    return DocumentScores(len(keep), int(np.sum(keep)), score, compute_auc(keep, drop), words_kept)


def _at(keep: Array, drop: Array, n_words: Array, threshold: float) -> tuple[Score, float]:
    kept = drop < threshold
    score = Score.of(int(np.sum(keep & kept)), int(np.sum(~keep & kept)), int(np.sum(keep & ~kept)))
    return score, _share(np.sum(n_words[kept]), np.sum(n_words))


def compute_auc(keep: Array, drop: Array) -> float | None:
    """Area under the ROC curve, from ranks (Mann and Whitney)."""
    n_keep, n_drop = int(np.sum(keep)), int(np.sum(~keep))
    if not (n_keep and n_drop):
        return None
    _, index, counts = np.unique(drop, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    above = np.sum(mean_ranks[index][~keep]) - n_drop * (n_drop + 1) / 2
    return float(above / (n_keep * n_drop))


def compute_threshold_curve(
    keep: Array, drop: Array, n_words: Array, thresholds: Iterable[float] | None = None
) -> tuple[CurvePoint, ...]:
    """Scores at some thresholds, or, rising, at every one that makes a difference."""
    points = []
    for threshold in np.union1d(drop, [1.0]) if thresholds is None else thresholds:
        score, words_kept = _at(keep, drop, n_words, threshold)
        points.append(CurvePoint(float(threshold), score.precision, score.recall, score.f1, words_kept))
    return tuple(points)


def thin_curve(curve: tuple[CurvePoint, ...]) -> tuple[CurvePoint, ...]:
    """At most 500 points of a curve, evenly chosen, both ends among them."""
    if len(curve) <= _MAX_POINTS:
        return curve
    return tuple(curve[index] for index in np.linspace(0, len(curve) - 1, _MAX_POINTS).round().astype(int))


def measure_calibration(keep: Array, drop: Array) -> Calibration:
    """Ten bins of equal width over the probability of keeping."""
    probability = 1 - drop
    bin_of = np.minimum((probability * N_BINS).astype(int), N_BINS - 1)
    bins = []
    for number in range(N_BINS):
        inside = bin_of == number
        if n := int(np.sum(inside)):
            mean, share = float(np.mean(probability[inside])), float(np.mean(keep[inside]))
            bins.append(CalibrationBin(number / N_BINS, (number + 1) / N_BINS, n, mean, share))
    error = sum(b.n_documents * abs(b.mean_probability - b.share_to_keep) for b in bins) / len(keep)
    return Calibration(tuple(bins), error)


def _share(part: Any, whole: Any) -> float:
    return float(part / whole) if whole else 0.0
