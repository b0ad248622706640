"""Timing of a way to ask on Spark, after a warm-up with the same query over a few prompts."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame, SparkSession

from efficiency.cases import Case

# Task slots, and rows of the warm-up.
N_SLOTS = 2


def rates(spark: SparkSession, cases: Sequence[Case], ask: Callable[[Case, DataFrame], int]) -> dict[str, float]:
    """Measure the tokens per second of each case, then stop Spark.

    Args:
        spark: a session in local[2].
        cases: cases of one engine.
        ask: sends the prompts of rows of (generation_key, token_ids), and returns their prompt and answer tokens.
    """

    def rate(case: Case, prompts: Sequence[list[int]]) -> float:
        rows = _requests(spark, prompts).cache()
        rows.count()
        begun = time.monotonic()
        n_tokens = ask(case, rows)
        return n_tokens / (time.monotonic() - begun)

    found = {}
    for case in cases:
        rate(case, [case.warm_up] * N_SLOTS)
        found[case.name] = rate(case, case.prompts)
    spark.stop()
    return found


def _requests(spark: SparkSession, prompts: Sequence[list[int]]) -> DataFrame:
    """Return rows as the generate stage gets them, half of them for each task slot."""
    rows = [(str(number), prompt) for number, prompt in enumerate(prompts)]
    return spark.createDataFrame(rows, "generation_key string, token_ids array<int>").repartition(N_SLOTS)
