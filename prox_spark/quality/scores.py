"""Precision, recall and F1 of one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Score:
    """Precision, recall and F1 of one class, with their counts.

    If the class has no members and none was found, all three are 1, since the answer is right. If only one of the two
    holds they are 0, the one that is 0/0 included.

    Attributes:
        n_found: members that were found (true positives).
        n_false: others that were taken for members (false positives).
        n_missed: members that were not found (false negatives).
    """

    precision: float
    recall: float
    f1: float
    n_found: int
    n_false: int
    n_missed: int

    @classmethod
    def of(cls, n_found: int, n_false: int, n_missed: int) -> Self:
        """Return the score of counts."""
        if n_found + n_false + n_missed == 0:
            return cls(1.0, 1.0, 1.0, 0, 0, 0)
        precision = n_found / (n_found + n_false) if n_found else 0.0
        recall = n_found / (n_found + n_missed) if n_found else 0.0
        f1 = 2 * n_found / (2 * n_found + n_false + n_missed)
        return cls(precision, recall, f1, n_found, n_false, n_missed)

    @property
    def is_empty(self) -> bool:
        """True if the class has no members and none was found."""
        return self.n_found + self.n_false + self.n_missed == 0
