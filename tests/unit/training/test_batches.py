from __future__ import annotations

from collections import Counter

import pytest

from prox_spark.training.batches import Source, cut_batches, plan_batches
from prox_spark.training.examples import Example

pytestmark = pytest.mark.unit


def source(name: str, lengths: list[int], share: float = 1.0) -> Source:
    return Source([Example("chunk", f"{name}{i}", [0] * (n - 1), [1]) for i, n in enumerate(lengths)], share)


def names(batches: list[list[Example]]) -> list[list[str]]:
    return [[example.label_set for example in batch] for batch in batches]


def test_plan_is_the_same_for_the_same_seed_and_longer_plans_begin_with_shorter_ones() -> None:
    sources = [source("a", list(range(5, 60))), source("b", list(range(3, 40)))]
    plan = plan_batches(sources, 200, 40, seed=1)
    assert names(plan) == names(plan_batches(sources, 200, 40, seed=1))
    assert names(plan[:11]) == names(plan_batches(sources, 200, 11, seed=1))
    assert names(plan) != names(plan_batches(sources, 200, 40, seed=2))
    assert len(plan) == 40


def test_no_batch_is_larger_than_its_budget_but_for_one_example_that_is() -> None:
    for batch in plan_batches([source("a", [10, 20, 30, 500])], 100, 50, seed=0):
        assert len(batch) * max(example.n_tokens for example in batch) <= 100 or len(batch) == 1


def test_sources_get_their_shares_of_tokens() -> None:
    sources = [source("long", [90] * 7), source("short", [9] * 50, share=0.5)]
    tokens = Counter[str]()
    for batch in plan_batches(sources, 400, 200, seed=0):
        for example in batch:
            tokens[example.label_set.rstrip("0123456789")] += example.n_tokens
    assert tokens["short"] / tokens["long"] == pytest.approx(0.5, rel=0.1)


def test_every_example_is_seen_once_before_any_is_seen_twice() -> None:
    seen = Counter(name for batch in names(plan_batches([source("a", [10] * 30)], 50, 16, seed=3)) for name in batch)
    assert len(seen) == 30 and set(seen.values()) == {2, 3}, "80 places for 30 examples"


def test_batches_are_of_like_length() -> None:
    (source_,) = [source("a", [50, 10, 49, 11])]
    assert [[e.n_tokens for e in batch] for batch in cut_batches(source_.examples, 100)] == [[10, 11], [49, 50]]
    assert cut_batches([], 100) == []
