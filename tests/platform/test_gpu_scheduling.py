"""GPU scheduling without a GPU: a discovery script announces an address, a small cluster of processes hands it out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.platform

SCRIPT = """
import os, sys
os.environ["PYSPARK_PYTHON"] = sys.executable
from pyspark.sql import SparkSession
from prox_spark.pipeline.profile import generation_profile

builder = SparkSession.builder.master("local-cluster[1,2,1024]").config("spark.executor.cores", "2")
for who in ("worker", "executor"):
    builder = builder.config(f"spark.{who}.resource.gpu.amount", "1")
    builder = builder.config(f"spark.{who}.resource.gpu.discoveryScript", sys.argv[1])
builder = builder.config("spark.task.resource.gpu.amount", "0.5").config("spark.ui.enabled", "false")
spark = builder.getOrCreate()
profile = generation_profile(spark.sparkContext)
assert profile is generation_profile(spark.sparkContext), "a profile for each stage would mean executors for each stage"

def assigned(batches):
    import pyarrow as pa
    from prox_spark.engine.device import assigned_gpus
    for _ in batches: pass
    yield pa.RecordBatch.from_pydict({"gpus": [",".join(assigned_gpus())]})

rows = spark.range(10).repartition(2).mapInArrow(assigned, "gpus string", profile=profile).collect()
print("GPUS", sorted(row["gpus"] for row in rows), flush=True)
"""


def test_generating_tasks_are_given_the_announced_gpu_by_one_profile(tmp_path: Path) -> None:
    discovery = tmp_path / "discover.sh"
    discovery.write_text("""#!/bin/sh\necho '{"name": "gpu", "addresses": ["3"]}'\n""")
    discovery.chmod(0o755)
    command = [sys.executable, "-c", SCRIPT, str(discovery)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, cwd=tmp_path)
    assert "GPUS ['3', '3']" in done.stdout, done.stderr[-4000:]
