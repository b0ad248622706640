"""prox_spark on a standalone cluster of one executor: the document stage alone, and both stages, warm."""

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

# Thresholds that drop every document, and none: what random weights say of a document means nothing.
DROP_ALL, DROP_NONE = 0.0, 1.0


@dataclass(frozen=True)
class Refined:
    """What a run did.

    Attributes:
        seconds: of all of it.
        engine_seconds: of these, with prompts in the engine.
        loads: by stage.
        times: of the engine.
        parts: seconds by part of the run; those of two waves overlap.
        statuses: of the documents.
    """

    seconds: float
    engine_seconds: float
    loads: dict[str, Load]
    times: EngineTimes
    parts: dict[str, float]
    statuses: dict[str, int]


def take_in(spark: SparkSession, recipe: Recipe) -> float:
    """Ingests into the recipe's lake. Returns seconds."""
    begun = time.monotonic()
    ingest(spark, recipe)
    return time.monotonic() - begun


def warm(spark: SparkSession, recipe: Recipe, folder: Path, n: int) -> float:
    """Ingests and refines a few documents in a lake of their own, for which the engine starts. Returns seconds."""
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
    """Refines a copy of the recipe's lake.

    Args:
        spark: of the cluster.
        recipe: whose lake is ingested.
        root: of the copy.
        drop_threshold: `DROP_ALL` leaves the chunk stage nothing to do.
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
    """Of the engines of all executors on this host that answer, added up."""
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
