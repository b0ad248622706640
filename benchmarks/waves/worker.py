"""A process for the build on PYTHONPATH: it ingests, refines, refines again, and prints its figures as JSON.

    python worker.py RECIPE LAKE

The build logs the end of each wave's document stage: the time of a wave is that from one such line to the next.
"""

from __future__ import annotations

import itertools
import json
import logging
import sys
import time
from typing import Any

from prox_spark.config import Recipe
from prox_spark.pipeline.ingest import ingest
from prox_spark.pipeline.refine import refine_lake
from prox_spark.session import build_session

# The loggers of the generate stage, by layout of the build.
LOGGERS = ("prox_spark.pipeline.asking.generate", "prox_spark.pipeline.generate")
# Reading the live heap takes a full collection, so it is read once in ten waves.
_WAVES_BETWEEN_LOOKS = 10


class Waves(logging.Handler):
    """The end of each wave's document stage, and the JVM's live heap then."""

    def __init__(self, jvm: Any) -> None:
        super().__init__()
        self._runtime, self._system = jvm.java.lang.Runtime.getRuntime(), jvm.java.lang.System
        self.ended: list[float] = []
        self.heap: dict[int, int] = {}

    def emit(self, record: logging.LogRecord) -> None:
        """Note the time of a line about the document stage."""
        if record.getMessage().startswith("doc stage"):
            self.ended.append(time.time())
            if len(self.ended) % _WAVES_BETWEEN_LOOKS == 5:
                self._system.gc()
                self.heap[len(self.ended)] = self._runtime.totalMemory() - self._runtime.freeMemory()


def read_bytes(spark: Any, ended: list[float]) -> list[int]:
    """Return the bytes of files and persisted rows that the tasks of each wave read."""
    store = spark.sparkContext._jsc.sc().statusStore()
    defaults = (getattr(store, f"stageList$default${n}")() for n in (2, 3, 4, 5))
    stages = store.stageList(None, *defaults)
    found = [0] * (len(ended) - 1)
    for number in range(stages.size()):
        stage = stages.apply(number)
        if stage.submissionTime().isEmpty():
            continue
        at = stage.submissionTime().get().getTime() / 1000
        for wave, (begin, end) in enumerate(itertools.pairwise(ended)):
            if begin <= at < end:
                found[wave] += stage.inputBytes()
    return found


def main() -> None:
    """Run the benchmark of one build."""
    recipe = Recipe.load(sys.argv[1], overrides=[f"lake.root={sys.argv[2]}"])
    spark = build_session(recipe)
    begun = time.monotonic()
    ingest(spark, recipe)
    ingested = time.monotonic() - begun
    waves = Waves(spark._jvm)
    for name in LOGGERS:
        logging.getLogger(name).setLevel(logging.INFO)
        logging.getLogger(name).addHandler(waves)
    done = refine_lake(spark, recipe)
    n_bytes = read_bytes(spark, waves.ended)
    again = refine_lake(spark, recipe)
    assert not again.n_pending and not again.run.engine_total("starts")
    tables = ("documents", "generations", "programs", "refined")
    details = (f"DESCRIBE DETAIL delta.`{sys.argv[2]}/{table}`" for table in tables)
    files = {table: spark.sql(detail).first()["numFiles"] for table, detail in zip(tables, details, strict=True)}
    waves_seconds = [end - begin for begin, end in zip(waves.ended, waves.ended[1:], strict=False)]
    figures = {
        "ingest": ingested, "refine": done.run.total_seconds, "waves": waves_seconds, "bytes": n_bytes, "heap": waves.heap,
        "unchanged": again.run.total_seconds, "files": files, "statuses": done.statuses,
    }  # fmt: skip
    spark.stop()
    print(json.dumps(figures), flush=True)


if __name__ == "__main__":
    main()
