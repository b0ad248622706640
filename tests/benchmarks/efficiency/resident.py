"""Our generate stage: one resident engine that all task slots feed."""

from __future__ import annotations

import time
from collections.abc import Sequence

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from efficiency.cases import Case
from prox_spark.session import build_session
from udfs.generate import ANSWERS


def measure(cases: Sequence[Case]) -> dict[str, float]:
    """Tokens per second of each case in local[2], the engine started before.

    Raises:
        AssertionError: a request failed.
    """
    spark = build_session(cases[0].recipe)
    rates = {}
    for case in cases:
        _asked(spark, case, [case.warm_up] * 2)
        rates[case.name] = _asked(spark, case, case.prompts)
    spark.stop()
    return rates


def _asked(spark: SparkSession, case: Case, prompts: Sequence[list[int]]) -> float:
    """Tokens per second."""
    rows = requests(spark, prompts).cache()
    rows.count()
    begun = time.monotonic()
    tokens = F.sum(F.col("prompt_tokens") + F.col("output_tokens"))
    answers = rows.mapInArrow(case.generate, ANSWERS).agg(tokens, F.count("error_code"))
    n_tokens, n_errors = answers.collect()[0]
    assert n_errors == 0, f"{n_errors} requests failed"
    return float(n_tokens / (time.monotonic() - begun))


def requests(spark: SparkSession, prompts: Sequence[list[int]]) -> DataFrame:
    """Rows as the generate stage gets them, half of them for each task slot."""
    rows = [(str(number), prompt) for number, prompt in enumerate(prompts)]
    return spark.createDataFrame(rows, "generation_key string, token_ids array<int>").repartition(2)
