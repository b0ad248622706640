"""What the terminal says of a stage whose engines the driver can't reach."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyspark.sql import functions as F
from waiting import wait_until

from prox_spark.config import EngineConfig
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import find
from prox_spark.report import progress

pytestmark = pytest.mark.spark


def test_rows_stand_for_prompts_while_the_query_runs(
    spark: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "_SECONDS", 0.2)
    caplog.set_level(logging.INFO, progress.LOG.name)
    go_on = tmp_path / "go-on"

    def trickle(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """A third of each batch at once, the rest when a file is there."""
        for batch in batches:
            first = batch.num_rows // 3
            yield batch.slice(0, first)
            while not go_on.exists():
                time.sleep(0.1)
            yield batch.slice(first)

    # Wide rows: Spark's Python workers send what they have put out in pieces of 64 KiB.
    rows = spark.range(600, numPartitions=1).select("id", F.repeat(F.lit("x"), F.lit(1000)).alias("text"))
    answers = rows.mapInArrow(trickle, "id long, text string")
    remote = EngineSpec(find("web-135m"), EngineConfig(endpoint="http://127.0.0.1:9/v1"))

    def generate() -> None:
        work = progress.Work(n_prompts=600, n_tokens=60_000, function="trickle")
        with progress.engine_progress(spark, "doc stage", work, remote):
            answers.write.format("delta").save(str(tmp_path / "answers"))

    with ThreadPoolExecutor(1) as driver:
        query = driver.submit(generate)
        try:
            wait_until(lambda: "200 of 600" in caplog.text or query.done(), "the rows are told", 60)
        finally:
            go_on.touch()
        query.result()
    first, *later = (record.getMessage() for record in caplog.records)
    assert first == "doc stage: 600 prompts" and "doc stage: 0 of 600 prompts" in later[0]
    told = next(line for line in later if "200 of 600" in line)
    assert re.search(r"about [1-9][\d,]* prompt tokens/s \(now [1-9][\d,]*\), 0 of 1 tasks done", told)
    assert spark.read.format("delta").load(str(tmp_path / "answers")).count() == 600
    assert spark.sparkContext.getLocalProperty("spark.job.description") is None
