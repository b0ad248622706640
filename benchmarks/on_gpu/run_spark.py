"""prox_spark on a standalone cluster of one executor: the document stage alone, and both stages, after a warm-up."""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from on_gpu.arithmetic import Load
from on_gpu.engine_times import EngineTimes
from prox_spark.config import LakeConfig, Recipe
from prox_spark.engine.host.executor import list_owner_directories
from prox_spark.engine.life.record import read_records
from prox_spark.engine.wire.health import request
from prox_spark.lake.lake import Lake
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake

# Thresholds that drop every document, and none: the verdicts of random weights mean nothing.
DROP_ALL, DROP_NONE = 0.0, 1.0


@dataclass(frozen=True)
class Refined:
    """Figures of a run.

    Attributes:
        seconds: seconds of the run.
        engine_seconds: seconds of these with prompts in the engine.
        loads: requests by stage.
        times: times of the engine.
        parts: seconds by part of the run; parts of two waves overlap.
        statuses: documents by status.
    """

    seconds: float
    engine_seconds: float
    loads: dict[str, Load]
    times: EngineTimes
    parts: dict[str, float]
    statuses: dict[str, int]


def take_in(spark: SparkSession, recipe: Recipe) -> float:
    """Ingest into the recipe's lake, and return the seconds."""
    begun = time.monotonic()
    ingest(spark, recipe)
    return time.monotonic() - begun


def warm(spark: SparkSession, recipe: Recipe, folder: Path, n: int) -> float:
    """Ingest and refine a few documents in another lake, which starts the engine, and return the seconds."""
    begun = time.monotonic()
    pages = folder / "warm.jsonl"
    texts = [f"Page {number} is about nothing in particular.\nIt has {number} lines or so." for number in range(n)]
    pages.write_text("".join(json.dumps({"id": text[:8], "text": text}) + "\n" for text in texts))
    own = _of(recipe, folder / "warm", DROP_NONE).model_copy(
        update={"input": recipe.input.model_copy(update={"paths": [str(pages)]})}
    )
    ingest(spark, own)
    refine_lake(spark, own)
    return time.monotonic() - begun


def refine_copy(spark: SparkSession, recipe: Recipe, root: Path, drop_threshold: float) -> Refined:
    """Refine a copy of the recipe's lake.

    Args:
        spark: session of the cluster.
        recipe: recipe of the ingested lake.
        root: folder of the copy.
        drop_threshold: `DROP_ALL` leaves the chunk stage without documents.
    """
    shutil.copytree(str(recipe.lake.root), root)
    own = _of(recipe, root, drop_threshold)
    before = engine_times()
    begun = time.monotonic()
    done = refine_lake(spark, own)
    seconds = time.monotonic() - begun
    rows = (
        Lake(spark, own.lake)
        .read("generations")
        .groupBy("stage")
        .agg(
            F.count("*").alias("prompts"),
            *(F.sum(name).alias(name) for name in ("prompt_tokens", "output_tokens")),
            F.coalesce(F.sum("cached_tokens"), F.lit(0)).alias("cached_tokens"),
            F.sum(F.col("prompt_tokens").cast("long") * F.col("prompt_tokens")).alias("squares"),
        )
        .collect()
    )
    loads = {row["stage"]: Load(**{name: row[name] for name in Load.__dataclass_fields__}) for row in rows}
    times = engine_times() - before
    return Refined(seconds, done.run.engine_seconds, loads, times, dict(done.run.seconds), done.statuses)


def engine_times() -> EngineTimes:
    """Return the summed times of all engines on this host that answer."""
    texts = [
        request(record.engine.socket, "/metrics") or ""
        for directory, is_alive in list_owner_directories()
        if is_alive
        for record in read_records(directory).values()
        if record.engine
    ]
    return EngineTimes.read("\n".join(texts))


def _of(recipe: Recipe, root: Path, drop_threshold: float) -> Recipe:
    return recipe.model_copy(
        update={
            "lake": LakeConfig(root=str(root)),
            "apply": recipe.apply.model_copy(update={"drop_threshold": drop_threshold}),
        }
    )
