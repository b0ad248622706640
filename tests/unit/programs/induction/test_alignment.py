from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.programs.induction import alignment
from prox_spark.programs.induction.alignment import Pairs, align

pytestmark = pytest.mark.unit

ITEMS = st.lists(st.sampled_from("abcdefgh"), max_size=30)
FEW = st.lists(st.sampled_from("ab"), max_size=30)


def longest(old: list[str], new: list[str]) -> int:
    """Return the length of a longest common subsequence, by the textbook's table."""
    row = [0] * (len(new) + 1)
    for item in old:
        diagonal = 0
        for k, other in enumerate(new, 1):
            above = row[k]
            row[k] = diagonal + 1 if item == other else max(row[k], row[k - 1])
            diagonal = above
    return row[-1]


def check(old: list[str], new: list[str], pairs: Pairs) -> None:
    assert all(old[i] == new[k] for i, k in pairs)
    assert all(a < b and c < d for (a, c), (b, d) in pairwise(pairs))


@given(ITEMS | FEW, ITEMS | FEW, st.sets(st.integers(0, 30), max_size=6))
def test_pairs_are_a_longest_common_subsequence(old: list[str], new: list[str], starts: set[int]) -> None:
    pairs = align(old, new, starts)
    check(old, new, pairs)
    assert len(pairs) == longest(old, new)


@given(ITEMS | FEW, ITEMS | FEW, st.integers(1, 200))
def test_pairs_are_a_common_subsequence_however_little_is_compared_at_once(
    old: list[str], new: list[str], max_cells: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(alignment, "MAX_CELLS", max_cells)
        patch.setattr(alignment, "_WINDOW", 8)
        check(old, new, align(old, new))


def test_what_is_too_large_is_cut_at_what_both_have_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alignment, "MAX_CELLS", 9)
    old, new = list("xxAyyBzzC"), list("AqqyyBrrC")
    assert [old[i] for i, _ in align(old, new)] == list("AyyBC")


@pytest.mark.parametrize(
    ("old", "new"),
    [("the dog . the big cat", "the big cat"), ("a x a y a", "a"), ("x a b y a b z", "x a b z")],
)
def test_removed_items_are_one_run_where_they_can_be(old: str, new: str) -> None:
    kept = {i for i, _ in align(old.split(), new.split())}
    removed = [i for i in range(len(old.split())) if i not in kept]
    assert removed == list(range(removed[0], removed[-1] + 1))


def test_a_removed_run_moves_back_to_a_place_where_it_may_start() -> None:
    old, new = ["x", "a", "b", "a", "y"], ["x", "a", "y"]
    assert align(old, new) == [(0, 0), (1, 1), (4, 2)]
    assert align(old, new, starts=[1]) == [(0, 0), (3, 1), (4, 2)]
