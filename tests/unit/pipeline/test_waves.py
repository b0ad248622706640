"""Waves as ranges of buckets, and what a run remembers of its prompts. No Spark: documents are numbers of them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from prox_spark.lake.buckets import EVERY, Buckets
from prox_spark.pipeline.asking.generate import AskedBefore
from prox_spark.pipeline.waves import cut_waves
from prox_spark.schemas import N_BUCKETS

pytestmark = pytest.mark.unit

COUNTS = st.dictionaries(
    st.integers(0, N_BUCKETS - 1), st.tuples(st.integers(1, 5), st.booleans()), min_size=1, max_size=200
)


def choose(buckets: Buckets) -> Any:
    return buckets


@given(COUNTS, st.integers(1, 300))
def test_every_document_is_in_one_wave_and_waves_are_about_as_large_as_asked(
    counts: dict[int, tuple[int, bool]], size: int
) -> None:
    made = cut_waves(counts, size, choose)
    assert [wave.number for wave in made] == list(range(len(made)))
    assert {wave.n_waves for wave in made} == {len(made)}
    parts = [[b for b in counts if wave.buckets.first <= b <= wave.buckets.last] for wave in made]
    assert sorted(b for part in parts for b in part) == sorted(counts)
    for wave, part in zip(made, parts, strict=True):
        n = sum(counts[b][0] for b in part)
        assert 0 < n <= size + max(counts[b][0] for b in part)
        assert wave.replaces == any(counts[b][1] for b in part)


def test_the_only_wave_has_every_bucket() -> None:
    (wave,) = cut_waves({3: (2, False), 70: (1, False)}, 3, choose)
    assert wave.documents is EVERY
    assert str(wave) == ""


def test_nothing_pending_makes_no_wave() -> None:
    assert cut_waves({}, 10, choose) == []


def test_what_was_asked_may_be_stored_and_nothing_else() -> None:
    asked = AskedBefore()
    looked = []

    def stored() -> Any:
        looked.append("looked")
        return np.array([9, 5])

    assert not asked.may_hold("doc", np.array([1, 2]), stored)
    asked.add("doc", np.array([1, 2]))
    assert not asked.may_hold("doc", np.array([3]), stored)
    assert asked.may_hold("doc", np.array([2, 3]), stored)
    assert asked.may_hold("doc", np.array([3, 5]), stored)
    assert not asked.may_hold("chunk", np.array([2]), stored)
    assert len(looked) == 2  # once for each stage


def test_where_the_table_has_too_many_answers_every_prompt_may_have_one() -> None:
    asked = AskedBefore()
    assert asked.may_hold("doc", np.array([1]), lambda: None)
    asked.add("doc", np.array([1]))
    assert asked.may_hold("doc", np.array([7]), lambda: np.array([], np.int64))
