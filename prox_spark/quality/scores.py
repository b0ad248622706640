"""Precision, recall and F1 of one class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Self


@dataclass(frozen=True, slots=True)
class Score:
    """How well a class was found.

    Where nothing was to be found and nothing was, all three are 1: the answer is right. Where only one of the two is empty
    they are 0, also the one of the three that is 0/0.

    Attributes:
        n_found: rightly said to be of the class.
        n_false: wrongly said to be of it.
        n_missed: of it, and not said to be.
    """

    precision: float
    recall: float
    f1: float
    n_found: int
    n_false: int
    n_missed: int

    @classmethod
    def of(cls, n_found: int, n_false: int, n_missed: int) -> Self:
        """From counts."""
        if n_found + n_false + n_missed == 0:
            return cls(1.0, 1.0, 1.0, 0, 0, 0)
        precision = n_found / (n_found + n_false) if n_found else 0.0
        recall = n_found / (n_found + n_missed) if n_found else 0.0
        f1 = 2 * n_found / (2 * n_found + n_false + n_missed)
        return cls(precision, recall, f1, n_found, n_false, n_missed)

    @property
    def is_empty(self) -> bool:
        """Nothing was to be found, and nothing was."""
        return self.n_found + self.n_false + self.n_missed == 0
