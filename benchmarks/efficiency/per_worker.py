"""The usual way: a pandas UDF that calls `LLM.generate` on each Arrow batch, with an engine in every Python worker."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from typing import Any

import pandas as pd
from pyspark import TaskContext
from pyspark.sql import DataFrame
from pyspark.sql import functions as F

from efficiency.cases import Case, n_tokens, sampling
from efficiency.on_spark import N_SLOTS, rates
from efficiency.plain import engine
from prox_spark.engine.host.cores import format_cores
from prox_spark.engine.spec import EngineSpec
from prox_spark.session import build_session

# Of this Python worker, which serves one task after the other.
_ENGINES: dict[str, Any] = {}


def measure(cases: Sequence[Case], batch_rows: int) -> dict[str, float]:
    """Tokens per second of each case in local[2], both engines started before.

    Args:
        cases: of one engine.
        batch_rows: rows of an Arrow batch; Spark's default is 10,000.
    """
    spark = build_session(cases[0].recipe)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", batch_rows)
    return rates(spark, cases, _ask)


def _ask(case: Case, rows: DataFrame) -> int:
    udf = GenerateBatches(case.generate.spec, case.request)
    return int(rows.mapInPandas(udf, "tokens long").agg(F.sum("tokens")).collect()[0][0])


class GenerateBatches:
    """For `mapInPandas` over token_ids: tokens read and written per batch."""

    def __init__(self, spec: EngineSpec, request: dict[str, Any]) -> None:
        self.spec = spec
        self.request = request

    def __call__(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """As such UDFs are written."""
        llm, parameters = engine_of_this_worker(self.spec), sampling(self.request)
        for batch in batches:
            prompts = [{"prompt_token_ids": ids.tolist()} for ids in batch["token_ids"]]
            yield pd.DataFrame({"tokens": [n_tokens(llm.generate(prompts, parameters, use_tqdm=False))]})


def engine_of_this_worker(spec: EngineSpec) -> Any:
    """Started on first use. The workers divide the machine as a careful user has them do: cores, and memory for the KV cache."""
    if spec.key not in _ENGINES:
        context = TaskContext.get()
        assert context
        cores = sorted(os.sched_getaffinity(0))[context.partitionId() :: N_SLOTS]
        _ENGINES[spec.key] = engine(spec, format_cores(cores) if spec.device == "cpu" else None, kv_share=1 / N_SLOTS)
    return _ENGINES[spec.key]
