"""A job for a cluster: the generate stage over 64 prompts in as many tasks as there are slots. Prints who asked which engine,
with engines on CPU and then with engines on GPUs.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import psutil
import pyarrow as pa
from pyspark.sql import SparkSession

from prox_spark.config import EngineConfig
from prox_spark.engine.host.executor import find_owner
from prox_spark.engine.life.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.pipeline.asking.gpu_profile import make_generation_profile
from prox_spark.refiners import find
from prox_spark.udfs.generate import Generate

refiner = find("web-135m")
assert refiner.model_fingerprint  # hashed on the driver, once, as a run does


@dataclass(frozen=True)
class Ask:
    """Asks as the generate stage does, and says who answered."""

    spec: EngineSpec

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        answers = [row for batch in Generate(self.spec, "{}")(batches) for row in batch.to_pylist()]
        engine = connect(self.spec)
        (server,) = psutil.Process(engine.pid).children()
        row = {
            "executor": find_owner().pid,
            "python_worker": os.getpid(),
            "gpus": list(self.spec.gpus),
            "engines": sorted({answer["engine_id"] for answer in answers}),
            "engine": engine.engine_id,
            "CUDA_VISIBLE_DEVICES": server.environ().get("CUDA_VISIBLE_DEVICES"),
        }
        yield pa.RecordBatch.from_pydict({"row": [json.dumps(row)]})


def tasks(spark: SparkSession, device: str) -> list[dict[str, Any]]:
    """What each task says."""
    config = EngineConfig(device=device, max_num_seqs=2)
    profile = make_generation_profile(spark.sparkContext, config)
    assert profile is make_generation_profile(spark.sparkContext, config), "each stage would need executors of its own"
    prompts = spark.range(64).selectExpr("string(id) AS generation_key", "array(int(id)) AS token_ids")
    slots = prompts.repartition(spark.sparkContext.defaultParallelism)
    rows = slots.mapInArrow(Ask(EngineSpec(refiner, config)), "row string", profile=profile).collect()
    return [json.loads(row["row"]) for row in rows]


session = SparkSession.builder.getOrCreate()
print(json.dumps({device: tasks(session, device) for device in ("cpu", "cuda")}))
