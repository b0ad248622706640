"""The settings of a run: a recipe whose open thresholds the cards of its refiners have filled in."""

from __future__ import annotations

from dataclasses import dataclass

from prox_spark.config import Recipe


@dataclass(frozen=True)
class Settings:
    """A recipe whose open fields the cards of its refiners have filled in. `RefinerStages.settle` makes it.

    Attributes:
        recipe: with both thresholds set; the table `runs` keeps it.
        drop_threshold: a document is dropped from this probability of dropping on, 0 to 1.
        chunk_below: the chunk stage asks about documents below this probability, at least `drop_threshold`.
        fingerprint: SHA-256 over all that decides what a document becomes.
    """

    recipe: Recipe
    drop_threshold: float
    chunk_below: float
    fingerprint: str
