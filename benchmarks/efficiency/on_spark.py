"""Timing a way of asking on Spark: the same query over a few prompts before, so that all is warm."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

from pyspark.sql import DataFrame, SparkSession

from efficiency.cases import Case

# Task slots, and rows that warm them up.
N_SLOTS = 2


def rates(spark: SparkSession, cases: Sequence[Case], ask: Callable[[Case, DataFrame], int]) -> dict[str, float]:
    """Tokens per second of each case; stops Spark.

    Args:
        spark: in local[2].
        cases: of one engine.
        ask: sends the prompts of rows of (generation_key, token_ids); returns the tokens that were read and written.
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
    """Rows as the generate stage gets them, half of them for each task slot."""
    rows = [(str(number), prompt) for number, prompt in enumerate(prompts)]
    return spark.createDataFrame(rows, "generation_key string, token_ids array<int>").repartition(N_SLOTS)
