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

# The engines of this Python worker, which runs one task after the other.
_ENGINES: dict[str, Any] = {}


def measure(cases: Sequence[Case], batch_rows: int) -> dict[str, float]:
    """Measure the tokens per second of each case in local[2], with both engines started before.

    Args:
        cases: cases of one engine.
        batch_rows: rows of an Arrow batch; Spark's default is 10,000.
    """
    spark = build_session(cases[0].recipe)
    spark.conf.set("spark.sql.execution.arrow.maxRecordsPerBatch", batch_rows)
    return rates(spark, cases, _ask)


def _ask(case: Case, rows: DataFrame) -> int:
    udf = GenerateBatches(case.generate.spec, case.request)
    return int(rows.mapInPandas(udf, "tokens long").agg(F.sum("tokens")).collect()[0][0])


class GenerateBatches:
    """A function for `mapInPandas` over token_ids: it returns the prompt and answer tokens of each batch."""

    def __init__(self, spec: EngineSpec, request: dict[str, Any]) -> None:
        self.spec = spec
        self.request = request

    def __call__(self, batches: Iterator[pd.DataFrame]) -> Iterator[pd.DataFrame]:
        """Generate batch by batch, as such UDFs usually do."""
        llm, parameters = engine_of_this_worker(self.spec), sampling(self.request)
        for batch in batches:
            prompts = [{"prompt_token_ids": ids.tolist()} for ids in batch["token_ids"]]
            yield pd.DataFrame({"tokens": [n_tokens(llm.generate(prompts, parameters, use_tqdm=False))]})


def engine_of_this_worker(spec: EngineSpec) -> Any:
    """Return this worker's engine, started on first use; the workers share cores and KV cache memory equally."""
    if spec.key not in _ENGINES:
        context = TaskContext.get()
        assert context
        cores = sorted(os.sched_getaffinity(0))[context.partitionId() :: N_SLOTS]
        _ENGINES[spec.key] = engine(spec, format_cores(cores) if spec.device == "cpu" else None, kv_share=1 / N_SLOTS)
    return _ENGINES[spec.key]
