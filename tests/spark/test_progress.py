"""The terminal's progress lines of a stage whose engines the driver can't reach."""

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
from prox_spark.watching import progress
from prox_spark.watching.queries import job_description

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
    texts = spark.range(600, numPartitions=1).select("id", F.expr("repeat('x', 1000) AS text"))
    answers = texts.mapInArrow(trickle, "id long, text string")
    remote = EngineSpec(find("web-135m"), EngineConfig(endpoint="http://127.0.0.1:9/v1"))

    def generate() -> None:
        work = progress.Workload(n_prompts=600, n_tokens=60_000, function="trickle")
        with job_description(spark, "mine"):
            with progress.engine_progress(spark, "doc stage", work, remote):
                answers.write.format("delta").save(str(tmp_path / "answers"))
            assert spark.sparkContext.getLocalProperty("spark.job.description") == "mine"

    with ThreadPoolExecutor(1) as driver:
        query = driver.submit(generate)
        try:
            wait_until(lambda: caplog.text.count("200 of 600") > 2 or query.done(), "the rows are told", 60)
        finally:
            go_on.touch()
        query.result()
    lines = [record.getMessage() for record in caplog.records]
    assert lines[0] == "doc stage: 600 prompts"
    assert re.fullmatch(r"doc stage: 0 of \d tasks of the application done, \d+ s", lines[1]), (
        "nothing is said of what is not known"
    )
    rows = [int(told[1]) for line in lines if (told := re.match(r"doc stage: (\d+) of 600 prompts", line))]
    assert rows == sorted(rows) and {200} <= set(rows) <= {200, 600}
    assert all(re.search(r"about [\d,]+ prompt tokens/s \(now [\d,]+\)", line) for line in lines[-2:])
    assert spark.read.format("delta").load(str(tmp_path / "answers")).count() == 600
