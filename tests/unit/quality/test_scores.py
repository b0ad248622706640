"""Figures of documents, lines and programs, computed by hand or by plain counting."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.labels import Label, make_removals
from prox_spark.quality.documents import (
    compute_auc,
    compute_threshold_curve,
    measure_calibration,
    score_documents,
    thin_curve,
)
from prox_spark.quality.lines import score_lines
from prox_spark.quality.programs import score_programs
from prox_spark.quality.scores import Score

pytestmark = pytest.mark.unit

# Four documents: the second one to keep has a higher drop probability than the first one to drop.
KEEP = np.array([True, True, False, False])
DROP = np.array([0.1, 0.6, 0.4, 0.9])
WORDS = np.array([10.0, 20.0, 30.0, 40.0])


def make_label(text: str, *gone: int, first_line: int = 0) -> Label:
    flags = [number in gone for number in range(text.count("\n") + 1)]
    return Label("l", "set", text, first_line, ops=make_removals(flags, first_line))


@pytest.mark.parametrize(
    ("counts", "precision", "recall", "f1"),
    [
        ((3, 1, 2), 3 / 4, 3 / 5, 2 / 3),
        ((0, 0, 0), 1.0, 1.0, 1.0),  # nothing to find, nothing said
        ((0, 2, 0), 0.0, 0.0, 0.0),  # nothing to find, something said
        ((0, 0, 2), 0.0, 0.0, 0.0),  # something to find, nothing said
    ],
)
def test_score_of_counts(counts: tuple[int, int, int], precision: float, recall: float, f1: float) -> None:
    score = Score.of(*counts)
    assert (score.precision, score.recall, score.f1) == pytest.approx((precision, recall, f1))


def test_documents_at_a_threshold() -> None:
    scores = score_documents(KEEP, DROP, WORDS, 0.5)
    assert (scores.keep.n_found, scores.keep.n_false, scores.keep.n_missed) == (1, 1, 1)
    assert scores.keep.f1 == 0.5 and scores.words_kept == 0.4 and scores.n_keep == 2
    # A probability that equals the threshold drops, as in a run.
    assert score_documents(KEEP, DROP, WORDS, 0.6).keep.n_found == 1
    assert score_documents(KEEP, DROP, WORDS, 0.61).keep.n_found == 2


@pytest.mark.parametrize(
    ("drop", "expected"),
    [
        (DROP, 3 / 4),  # of the four pairs one is the wrong way round
        (np.array([0.1, 0.2, 0.3, 0.4]), 1.0),
        (np.array([0.4, 0.3, 0.2, 0.1]), 0.0),
        (np.array([0.5, 0.5, 0.5, 0.5]), 0.5),
        (np.array([0.1, 0.5, 0.5, 0.9]), 7 / 8),  # a tie is half a pair
    ],
)
def test_area_under_the_curve(drop: np.ndarray, expected: float) -> None:
    assert compute_auc(KEEP, drop) == pytest.approx(expected)


def test_area_under_the_curve_needs_both_classes() -> None:
    assert compute_auc(np.array([True, True]), np.array([0.1, 0.2])) is None


def test_curve_has_a_point_for_every_threshold_that_matters() -> None:
    curve = compute_threshold_curve(KEEP, DROP, WORDS)
    assert [point.threshold for point in curve] == [0.1, 0.4, 0.6, 0.9, 1.0]
    assert [point.recall for point in curve] == [0.0, 0.5, 0.5, 1.0, 1.0]
    assert [point.precision for point in curve] == pytest.approx([0.0, 1.0, 1 / 2, 2 / 3, 1 / 2])
    assert [point.words_kept for point in curve] == pytest.approx([0.0, 0.1, 0.4, 0.6, 1.0])


@given(
    st.lists(
        st.tuples(st.booleans(), st.floats(0, 1) | st.sampled_from([0.0, 0.25, 0.5, 1.0]), st.integers(0, 10**6)),
        min_size=1,
        max_size=40,
    )
)
def test_curve_is_what_counting_at_each_of_its_thresholds_finds(documents: list[tuple[bool, float, int]]) -> None:
    keep, drop, n_words = (np.array(column) for column in zip(*documents, strict=True))
    curve = compute_threshold_curve(keep, drop, n_words.astype(float))
    assert [point.threshold for point in curve] == sorted({*drop.tolist(), 1.0})
    for point in curve:
        kept = [document for document in documents if document[1] < point.threshold]
        n_found, n_to_keep = sum(stays for stays, _, _ in kept), sum(stays for stays, _, _ in documents)
        score = Score.of(n_found, len(kept) - n_found, n_to_keep - n_found)
        assert (point.precision, point.recall, point.f1) == (score.precision, score.recall, score.f1)
        words_kept, all_words = sum(words for _, _, words in kept), sum(words for _, _, words in documents)
        assert point.words_kept == (words_kept / all_words if all_words else 0.0)


def test_long_curve_is_thinned_and_keeps_its_ends() -> None:
    drop = np.linspace(0.0, 0.999, 2000)
    whole = compute_threshold_curve(drop < 0.5, drop, np.ones(2000))
    curve = thin_curve(whole)
    assert len(whole) == 2001 and len(curve) == 500 and (curve[0].threshold, curve[-1].threshold) == (0.0, 1.0)
    assert max(point.f1 for point in curve) > 0.99


def test_calibration_counts_documents_by_bin() -> None:
    keep = np.array([True, True, False, True])
    found = measure_calibration(keep, np.array([0.05, 0.05, 0.05, 0.75]))
    assert [(b.low, b.n_documents) for b in found.bins] == [(0.2, 1), (0.9, 3)]
    assert found.bins[1].mean_probability == pytest.approx(0.95) and found.bins[1].share_to_keep == pytest.approx(2 / 3)
    assert found.error == pytest.approx((0.75 + 3 * (0.95 - 2 / 3)) / 4)


def test_a_certain_document_is_in_the_last_bin() -> None:
    assert measure_calibration(np.array([True]), np.array([0.0])).bins[0].high == 1.0


def test_lines_micro_and_macro() -> None:
    # Three lines of which the first goes; four of which the last two go, numbered from 7 on.
    labels = [make_label("a a\nb\nc", 0), make_label("a\nb b b\nc\nd", 2, 3, first_line=7)]
    scores = score_lines(labels, [frozenset({0, 1}), frozenset({9})])
    assert (scores.n_texts, scores.n_lines, scores.n_to_remove) == (2, 7, 3)
    removed, kept = scores.removed, scores.kept
    assert (removed.micro.n_found, removed.micro.n_false, removed.micro.n_missed) == (2, 1, 1)
    assert removed.macro_f1 == pytest.approx(2 / 3) and removed.macro_precision == 0.75 and removed.macro_recall == 0.75
    assert (kept.micro.n_found, kept.micro.n_false, kept.micro.n_missed) == (3, 1, 1)
    assert kept.macro_f1 == pytest.approx((2 / 3 + 4 / 5) / 2)
    assert scores.words_kept == pytest.approx(6 / 10) and scores.words_to_keep == pytest.approx(6 / 10)


def test_agreement_on_nothing_counts_as_one_and_is_told() -> None:
    scores = score_lines([make_label("a\nb"), make_label("a\nb", 0)], [frozenset(), frozenset()])
    assert scores.removed.macro_f1 == 0.5 and scores.removed.n_empty == 1
    assert scores.kept.n_empty == 0
    assert scores.removed.micro.f1 == 0.0


def test_blank_lines_count_only_when_asked_for() -> None:
    text = "menu\n\nprose\n  \nprose"
    labels, removed = [make_label(text, 0)], [frozenset({0, 1, 3})]
    assert score_lines(labels, removed).removed.micro.f1 == 1.0
    with_blank = score_lines(labels, removed, count_blank=True)
    assert with_blank.n_lines == 5 and with_blank.removed.micro.precision == pytest.approx(1 / 3)


def test_programs_are_valid_with_an_operation_and_without_a_finding() -> None:
    scores = score_programs([(1, []), (2, ["range_clipped"]), (0, []), (0, ["stray_text", "stray_text"])])
    assert (scores.n_programs, scores.n_valid, scores.validity) == (4, 1, 0.25)
    assert scores.findings == {"no_operation": 2, "range_clipped": 1, "stray_text": 1}
