"""A process for the build on PYTHONPATH: it applies programs in the ways that stdin names, and times them.

A line of stdin is `make N`, `time N WAY` or `differ N`; the answer is a line of JSON.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
from common.builds import import_first
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from applying.made import DOCUMENT, make, to_batch
from prox_spark import schemas
from prox_spark.config import ApplyConfig, Recipe
from prox_spark.programs import ChunkProgram, Operation, OpName, Program, execute_chunks
from prox_spark.session import build_session

gather_chunks = import_first(
    "prox_spark.pipeline.applying.execute.gather_chunks",
    "prox_spark.pipeline.execute.chunks_of",
)
execute_programs = import_first(
    "prox_spark.pipeline.applying.execute.execute_programs",
    "prox_spark.pipeline.execute.executed",
)
CONFIG = ApplyConfig(drop_threshold=0.5)
# Programs are joined to texts as in a wave: by a broadcast, up to 200,000 documents.
BROADCAST = {"spark.sql.autoBroadcastJoinThreshold": "512m"}


class ExecuteInPython:
    """A function for `mapInArrow`: the pure-Python strict executor on the same rows. Only this build's is asked."""

    def __init__(self, columns: T.StructType) -> None:
        self.columns = columns

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            rows = []
            for row in batch.to_pylist():
                chunks = [
                    ChunkProgram(c["chunk_index"], c["line_start"], c["line_end"], _program(c["ops"]))
                    for c in row["chunks"] or []
                ]
                done = execute_chunks(row["text"], chunks)
                spans = [_fields(span) for span in done.removed]
                replaced = [_fields(normalization) for normalization in done.normalized]
                chunk_outcomes = [
                    {"chunk_index": one.chunk_index, "diagnostics": [], "status": str(one.status), "reason": one.reason}
                    for one in done.chunk_outcomes
                ]
                counts = (done.words_before, done.words_after)
                outcome = (done.text, str(done.status), *counts, spans, replaced, chunk_outcomes)
                rows.append(
                    (
                        row["doc_id"],
                        row["content_sha256"],
                        dict(zip(self.columns["execution"].dataType.names, outcome, strict=True)),
                    )
                )
            yield to_batch(rows, self.columns)


def _program(ops: list[dict[str, Any]]) -> Program:
    return Program(
        tuple(Operation(OpName(op["op"]), *(op[name] for name in schemas.OPERATION.names[1:])) for op in ops)
    )


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__slots__}


def ways(spark: SparkSession, root: Path) -> dict[str, Callable[[], DataFrame]]:
    """Return the timed ways: functions that return the frame to write."""

    def read(name: str) -> DataFrame:
        return spark.read.format("delta").load(str(root / name))

    def joined() -> DataFrame:
        chunks = gather_chunks(read("programs"))
        return read("documents").join(chunks, on=["doc_id", "content_sha256"], how="left")

    def in_python() -> DataFrame:
        # Imported here: older builds, which are not asked for this way, have no such module.
        from prox_spark.udfs.programs import EXECUTION

        columns = T.StructType([*DOCUMENT.fields[:2], T.StructField("execution", EXECUTION)])
        rows = joined().select("doc_id", "content_sha256", "text", "chunks")
        return rows.mapInArrow(ExecuteInPython(columns), columns).select("doc_id", "content_sha256", "execution.*")

    return {
        "copy": lambda: read("documents"),
        "join": joined,
        "apply": lambda: execute_programs(read("documents"), gather_chunks(read("programs")), CONFIG),
        "python": in_python,
    }


def count_differences(spark: SparkSession, root: Path) -> int:
    """Count the documents for which `apply` and the pure-Python executor differ."""
    fields = ("text", "status", "words_before", "words_after", "removed", "normalized", "chunk_outcomes.status")
    one, other = (
        ways(spark, root)[name]().select("doc_id", F.xxhash64(*fields).alias(name)) for name in ("apply", "python")
    )
    return one.join(other, on="doc_id").where("apply <> python").count()


def peak_of_workers(pid: int) -> int:
    """Return the largest peak memory of the living Python workers, in bytes."""
    peak = 0
    for child in psutil.Process(pid).children(recursive=True):
        with suppress(psutil.Error, OSError):  # the process may end meanwhile
            if "pyspark.daemon" in " ".join(child.cmdline()):
                lines = Path(f"/proc/{child.pid}/status").read_text().splitlines()
                peak = max(peak, *(int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM:")))
    return peak


def answer(spark: SparkSession, folder: Path, command: str, n: str, *more: str) -> dict[str, Any]:
    """Carry out one line of stdin."""
    root = folder / n
    if command == "make":
        make(spark, root, int(n))
        documents = spark.read.format("delta").load(str(root / "documents"))
        size, median = documents.agg(F.sum(F.octet_length("text")), F.median(F.length("text"))).first()
        n_programs = spark.read.format("delta").load(str(root / "programs")).count()
        return {"bytes": size, "median": median, "programs": n_programs}
    if command == "differ":
        return {"differ": count_differences(spark, root)}
    target = folder / f"out-{spark.sparkContext.applicationId}"
    begun = time.monotonic()
    ways(spark, root)[more[0]]().write.format("delta").save(str(target))
    seconds = time.monotonic() - begun
    shutil.rmtree(target)
    jvm = spark.sparkContext._gateway.proc.pid
    return {"seconds": seconds, "peak": peak_of_workers(jvm)}


def main() -> None:
    """Answer until stdin ends."""
    folder = Path(sys.argv[1])
    spark = build_session(Recipe.parse({"spark": {"driver_memory": "4g", "conf": BROADCAST}}))
    for line in sys.stdin:
        print(json.dumps(answer(spark, folder, *line.split())), flush=True)
    spark.stop()


if __name__ == "__main__":
    main()
