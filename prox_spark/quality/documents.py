"""Figures of the document stage. The positive class is *keep*: a document that should stay and that stays is a hit.

A document is dropped if its drop probability is at least the threshold, as in a run. `keep`, `drop` and `n_words` are
arrays with an entry per document: its label (True: keep), its probability of dropping (0..1) and its number of words.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from prox_spark.quality.scores import Score

Array: TypeAlias = NDArray[Any]
N_BINS = 10
# Without a limit a curve would have as many points as there are distinct probabilities.
_MAX_POINTS = 500


@dataclass(frozen=True, slots=True)
class DocumentScores:
    """Figures of the document stage at one threshold.

    Attributes:
        n_documents: documents that are labelled and answered.
        n_keep: number of these that should be kept.
        keep: score of the documents kept at the threshold.
        auc: chance that a document to keep has a lower drop probability than one to drop, a tie counting half; None if
            all documents are of one class.
        words_kept: share of all words that are in kept documents, 0..1.
    """

    n_documents: int
    n_keep: int
    keep: Score
    auc: float | None
    words_kept: float


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """The same figures at one threshold of a curve."""

    threshold: float
    precision: float
    recall: float
    f1: float
    words_kept: float


@dataclass(frozen=True, slots=True)
class CalibrationBin:
    """Documents with similar probabilities of keeping (1 - that of dropping), and the share of them labelled keep."""

    low: float
    high: float
    n_documents: int
    mean_probability: float
    share_to_keep: float


@dataclass(frozen=True, slots=True)
class Calibration:
    """The bins that hold documents, and the expected calibration error.

    The error is the mean over documents of the distance between their bin's mean probability and share to keep.
    """

    bins: tuple[CalibrationBin, ...]
    error: float


def score_documents(keep: Array, drop: Array, n_words: Array, threshold: float) -> DocumentScores:
    """Score one or more documents at a threshold."""
    ((score, words_kept),) = _score_at(keep, drop, n_words, [threshold])
    return DocumentScores(len(keep), int(np.sum(keep)), score, compute_auc(keep, drop), words_kept)


def _score_at(keep: Array, drop: Array, n_words: Array, thresholds: Sequence[float]) -> Iterator[tuple[Score, float]]:
    """Yield the score of the kept documents and their share of the words for each threshold, by one sort."""
    order = np.argsort(drop)
    # Entry i of a running sum is about the i documents with the lowest drop probabilities.
    n_to_keep = np.concatenate([[0], np.cumsum(keep[order])])
    words = np.concatenate([[0], np.cumsum(n_words[order])])
    n_kept = np.searchsorted(drop[order], thresholds)
    for n, n_found, words_kept in zip(n_kept.tolist(), n_to_keep[n_kept].tolist(), words[n_kept].tolist(), strict=True):
        yield Score.of(n_found, n - n_found, int(n_to_keep[-1]) - n_found), _divide(words_kept, float(words[-1]))


def compute_auc(keep: Array, drop: Array) -> float | None:
    """Return the area under the ROC curve, from ranks (Mann and Whitney); None if all documents are of one class."""
    n_keep, n_drop = int(np.sum(keep)), int(np.sum(~keep))
    if not (n_keep and n_drop):
        return None
    _, index, counts = np.unique(drop, return_inverse=True, return_counts=True)
    mean_ranks = np.cumsum(counts) - (counts - 1) / 2
    above = np.sum(mean_ranks[index][~keep]) - n_drop * (n_drop + 1) / 2
    return float(above / (n_keep * n_drop))


def compute_threshold_curve(
    keep: Array, drop: Array, n_words: Array, thresholds: Sequence[float] | None = None
) -> tuple[CurvePoint, ...]:
    """Return the points at some thresholds; without any, at every one that makes a difference, in rising order."""
    if thresholds is None:
        thresholds = np.union1d(drop, [1.0]).tolist()
    return tuple(
        CurvePoint(threshold, score.precision, score.recall, score.f1, words_kept)
        for threshold, (score, words_kept) in zip(thresholds, _score_at(keep, drop, n_words, thresholds), strict=True)
    )


def thin_curve(curve: tuple[CurvePoint, ...]) -> tuple[CurvePoint, ...]:
    """Return at most 500 points of a curve, evenly chosen, with both ends."""
    if len(curve) <= _MAX_POINTS:
        return curve
    return tuple(curve[index] for index in np.linspace(0, len(curve) - 1, _MAX_POINTS).round().astype(int))


def measure_calibration(keep: Array, drop: Array) -> Calibration:
    """Compare probabilities of keeping with labels in ten bins of equal width."""
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


def _divide(part: float, whole: float) -> float:
    return part / whole if whole else 0.0
