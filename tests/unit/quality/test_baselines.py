from __future__ import annotations

import logging
import sys

import pytest

from prox_spark.quality.baselines import Baseline, compute_short_line_share, is_short, load_baselines

pytestmark = pytest.mark.unit

PROSE = (
    "The river had been rising since the morning, and by noon the lower meadow could no longer be crossed on foot. "
    "Nobody in the village was surprised, because it had been the same in every spring that they remembered. "
    "What was new was that the old bridge had to be closed to carts. It was to be repaired with money of the county. "
    "That was said each year. This time the planks were there before the water had gone down again."
)
PAGE = f"Home | About | Contact\n{PROSE}\nShare this\nThis site uses cookies to remember who you are and what you like."


def find_baseline(name: str) -> Baseline:
    return next(baseline for baseline in load_baselines() if baseline.name == name)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("Home | About | Contact", True),
        ("Read more", True),
        ("He left.", False),
        ("“Really?”", False),
        ("one two three four five six seven eight nine", True),
        ("one two three four five six seven eight nine ten", False),
        ("", False),
        ("   ", False),
    ],
)
def test_short_lines_have_few_words_and_no_end_of_a_sentence(line: str, expected: bool) -> None:
    assert is_short(line) == expected


def test_pages_of_short_lines_are_dropped() -> None:
    assert compute_short_line_share("Home\nAbout us\nIt was a long day.") == pytest.approx(3 / 8)
    assert compute_short_line_share(" \n") == 1.0


def test_the_trivial_baselines_do_all_or_nothing() -> None:
    keep, remove = find_baseline("keep everything"), find_baseline("remove everything")
    assert keep.drops and keep.removes and remove.drops and remove.removes
    assert (keep.drops("a"), keep.removes(["a", ""])) == (0.0, [False, False])
    assert (remove.drops("a"), remove.removes(["a", ""])) == (1.0, [True, True])


def test_without_datatrove_its_filters_are_left_out_and_that_is_said_once(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)
    with caplog.at_level(logging.INFO, logger="prox_spark"):
        assert [baseline.name for baseline in load_baselines()] == [
            "keep everything",
            "remove everything",
            "short lines",
        ]
    (record,) = caplog.records
    assert "prox-spark[evaluate]" in record.getMessage()


@pytest.mark.extra
def test_filters_of_datatrove_keep_prose_and_drop_a_menu() -> None:
    for name in ("C4", "Gopher", "FineWeb"):
        drops = find_baseline(name).drops
        assert drops and (drops(PROSE), drops("Home\nAbout\nContact"), drops("  ")) == (0.0, 1.0, 1.0), name
    removes = find_baseline("C4").removes
    assert removes and removes(PAGE.split("\n")) == [True, False, True, True]
