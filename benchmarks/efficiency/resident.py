"""The UDF of our generate stage, with one resident engine; reads and commits of the stage are not timed."""

from __future__ import annotations

from collections.abc import Sequence

from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from efficiency.cases import Case
from efficiency.on_spark import rates
from prox_spark.session import build_session
from prox_spark.udfs.generate import ANSWERS


def measure(cases: Sequence[Case]) -> dict[str, float]:
    """Measure the tokens per second of each case in local[2], with the engine started before.

    Raises:
        AssertionError: a request failed.
    """
    return rates(build_session(cases[0].recipe), cases, _ask)


def _ask(case: Case, rows: DataFrame) -> int:
    tokens = F.sum(F.col("prompt_tokens") + F.col("output_tokens"))
    answers = rows.mapInArrow(case.generate, ANSWERS).agg(tokens, F.count("error_code"))
    n_tokens, n_errors = answers.collect()[0]
    assert n_errors == 0, f"{n_errors} requests failed"
    return int(n_tokens)
