"""Doc and chunk refiner are different models: one engine after the other, where they don't fit side by side. Real vLLM."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
from pyspark.sql import functions as F

from prox_spark.config import Recipe
from prox_spark.engine.host.executor import Owner, locate_owner_directory
from prox_spark.engine.life.record import read_records
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake

pytestmark = [pytest.mark.engine, pytest.mark.spark, pytest.mark.long]

PAGES = [{"id": f"page-{n}", "text": "\n".join(f"Line {m} of page {n}." for m in range(4))} for n in range(5)]


@contextmanager
def most_engines_at_once(executor: Owner) -> Iterator[list[int]]:
    """Watches an executor; the first number is the most of its engines that were alive at one time."""
    most, stop = [0], threading.Event()

    def watch() -> None:
        while not stop.wait(0.05):
            found = read_records(locate_owner_directory(executor)).values()
            alive = [r.engine for r in found if r.engine and r.engine.supervisor.is_alive()]
            most[0] = max(most[0], len(alive))

    thread = threading.Thread(target=watch)
    thread.start()
    yield most
    stop.set()
    thread.join()


def test_two_refiners_answer_one_after_the_other(
    spark: Any, lake_root: str, tmp_path: Path, tiny_refiners: dict[str, str]
) -> None:
    (tmp_path / "pages.jsonl").write_text("\n".join(map(json.dumps, PAGES)))
    engine = {"device": "cpu", "max_num_seqs": 8, "cpu_kv_cache_gib": 0.25, "side_by_side": False, "max_restarts": 0}
    recipe = Recipe.parse(
        {
            "lake": {"root": lake_root},
            "input": {"paths": [str(tmp_path / "pages.jsonl")]},
            "refiners": tiny_refiners,
            "apply": {"drop_threshold": 1.0},  # all are kept, so that the chunk refiner is asked
            "engine": engine,
            "self_test": {"enabled": False},  # random weights write no programs
        }
    )
    ingest(spark, recipe)
    jvm = Owner.of(psutil.Process(int(spark.sparkContext._jvm.java.lang.ProcessHandle.current().pid())))
    with most_engines_at_once(jvm) as most:
        summary = refine_lake(spark, recipe)
    assert most == [1]
    assert summary.run.engine_total("starts") == 2 and sum(summary.statuses.values()) == len(PAGES)
    generations = spark.read.format("delta").load(f"{lake_root}/generations").where(F.col("error_code").isNull())
    answered = {(row["stage"], row["refiner"]) for row in generations.select("stage", "refiner").distinct().collect()}
    assert answered == {("doc", "tiny-random-doc"), ("chunk", "tiny-random-chunk")}
    assert generations.count() == 2 * len(PAGES)
