"""Baselines for refiners: keep everything, remove everything, short lines, and the filters of C4, Gopher, FineWeb."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass

LOG = logging.getLogger(__name__)
# A line with fewer words, and without the end of a sentence, is taken for navigation, a button or a heading.
SHORT_LINE_WORDS = 10
_SENTENCE_ENDS = (".", "!", "?", ":", ";", ",", '"', "'", "”", "’", "…", ")")


@dataclass(frozen=True)
class Baseline:
    """A method without a model.

    Attributes:
        name: its name in tables.
        drops: returns the probability of dropping a text, 0..1; None: the method does not judge documents.
        removes: returns a flag per line of a text, true to remove; None: the method does not judge lines.
    """

    name: str
    drops: Callable[[str], float] | None = None
    removes: Callable[[list[str]], list[bool]] | None = None


def load_baselines() -> list[Baseline]:
    """Return all baselines; without the packages of the extra `evaluate` datatrove's filters are left out."""
    return [
        Baseline("keep everything", lambda text: 0.0, lambda lines: [False] * len(lines)),
        Baseline("remove everything", lambda text: 1.0, lambda lines: [True] * len(lines)),
        Baseline("short lines", compute_short_line_share, lambda lines: [is_short(line) for line in lines]),
        *_load_rule_filters(),
    ]


def is_short(line: str) -> bool:
    """Return True if a line has words, fewer than ten, and no punctuation at its end."""
    return 0 < len(line.split()) < SHORT_LINE_WORDS and not line.rstrip().endswith(_SENTENCE_ENDS)


def compute_short_line_share(text: str) -> float:
    """Return the share of words in short lines, as a probability of dropping: such pages are lists and menus."""
    n_words = len(text.split())
    short = sum(len(line.split()) for line in text.split("\n") if is_short(line))
    return short / n_words if n_words else 1.0


def _load_rule_filters() -> list[Baseline]:
    """Return datatrove's filters for English, with its defaults."""
    try:
        import spacy  # noqa: F401  (datatrove counts English words with it)
        from datatrove.data import Document
        from datatrove.pipeline.filters import (
            C4QualityFilter,
            FineWebQualityFilter,
            GopherQualityFilter,
            GopherRepetitionFilter,
        )
        from datatrove.pipeline.filters.base_filter import BaseFilter
    except ImportError as error:
        LOG.info("without the C4, Gopher and FineWeb filters: %s (pip install 'prox-spark[evaluate]')", error)
        return []
    # For single lines: C4's rules for a whole page (a curly bracket, too few sentences) are no reason to remove a line.
    c4_lines = C4QualityFilter(min_num_sentences=-1, filter_lorem_ipsum=False, filter_curly_bracket=False)

    def combine(*filters: BaseFilter) -> Callable[[str], float]:
        def passes(text: str, one: BaseFilter) -> bool:
            result = one.filter(Document(text=text, id=""))  # C4 changes the document
            return bool(result[0] if isinstance(result, tuple) else result)

        # A text without words is dropped at once: the filters divide by their number.
        return lambda text: 0.0 if text.split() and all(passes(text, one) for one in filters) else 1.0

    def is_removed_by_c4(line: str) -> bool:
        document = Document(text=line, id="")
        c4_lines.filter(document)
        return not document.text

    return [
        Baseline("C4", combine(C4QualityFilter()), lambda lines: [is_removed_by_c4(line) for line in lines]),
        Baseline("Gopher", combine(GopherQualityFilter(), GopherRepetitionFilter())),
        Baseline("FineWeb", combine(FineWebQualityFilter())),
    ]
