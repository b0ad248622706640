"""Figures of the chunk stage, line by line, for the lines to remove and for the lines to keep.

Lines without words don't count: whether a blank line is removed is a matter of a labeller's taste, changes no word, and
there are enough of them to move every figure. `count_blank` counts them, for comparison with other people's figures.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass
from statistics import fmean

from prox_spark.labels import Label
from prox_spark.programs.words import count_words
from prox_spark.quality.scores import Score


@dataclass(frozen=True, slots=True)
class LineClassScores:
    """Figures of one class of lines: those to remove, or those to keep.

    Attributes:
        micro: score over all lines of all texts; long texts weigh more.
        macro_precision, macro_recall, macro_f1: means over the texts of each text's own figure.
        n_empty: texts where neither label nor method has a line of this class: their F1 counts as 1 in the mean.
    """

    micro: Score
    macro_precision: float
    macro_recall: float
    macro_f1: float
    n_empty: int


@dataclass(frozen=True, slots=True)
class LineScores:
    """Figures of the lines of one or more texts.

    Attributes:
        n_texts: texts with lines that count.
        n_lines: lines that count.
        n_to_remove: number of these that should be removed.
        words_kept: share of the texts' words on kept lines, 0..1; replacements within a line are ignored.
        words_to_keep: the same share for the lines that the labels keep.
    """

    n_texts: int
    n_lines: int
    n_to_remove: int
    removed: LineClassScores
    kept: LineClassScores
    words_kept: float
    words_to_keep: float


def score_lines(labels: Sequence[Label], removed: Sequence[Set[int]], count_blank: bool = False) -> LineScores:
    """Score the removed lines.

    Args:
        labels: one or more labels with operations.
        removed: for each label the numbers of the removed lines, counted as the label counts.
        count_blank: count lines without words, too.
    """
    gone_scores, stay_scores = [], []
    n_lines = n_to_remove = n_words = n_words_kept = n_words_to_keep = 0
    for label, gone in zip(labels, removed, strict=True):
        words = dict(zip(label.line_numbers, map(count_words, label.text.split("\n")), strict=True))
        lines = {number for number, n in words.items() if n or count_blank}
        if not lines:
            continue  # nothing to score
        to_go, gone = label.removed_lines & lines, gone & lines
        gone_scores.append(_score(gone, to_go))
        stay_scores.append(_score(lines - gone, lines - to_go))
        n_lines += len(lines)
        n_to_remove += len(to_go)
        n_words += sum(words.values())
        n_words_kept += sum(words[number] for number in lines - gone)
        n_words_to_keep += sum(words[number] for number in lines - to_go)
    return LineScores(
        len(gone_scores),
        n_lines,
        n_to_remove,
        _score_class(gone_scores),
        _score_class(stay_scores),
        n_words_kept / n_words if n_words else 0.0,
        n_words_to_keep / n_words if n_words else 0.0,
    )


def _score(found: Set[int], wanted: Set[int]) -> Score:
    return Score.of(len(found & wanted), len(found - wanted), len(wanted - found))


def _score_class(scores: Sequence[Score]) -> LineClassScores:
    return LineClassScores(
        Score.of(sum(s.n_found for s in scores), sum(s.n_false for s in scores), sum(s.n_missed for s in scores)),
        macro_precision=_average(s.precision for s in scores),
        macro_recall=_average(s.recall for s in scores),
        macro_f1=_average(s.f1 for s in scores),
        n_empty=sum(s.is_empty for s in scores),
    )


def _average(values: Iterable[float]) -> float:
    """Return the mean, or 1.0 if there are no values, as an F1 of nothing is 1."""
    found = list(values)
    return fmean(found) if found else 1.0
