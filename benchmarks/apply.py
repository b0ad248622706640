"""Applying programs as native columns, beside a plain copy of the table and beside the pure-Python executor as a UDF.

    python benchmarks/apply.py [--documents 20000 200000] [--rounds 2]

Makes a Delta table of documents (lines of the demo's sample, lengths log-normal around 2,000 characters) and one of random
valid programs, then times in turn, on local[2]: (a) read the documents and write them again, (b) read both, apply as native
columns, write the refined rows, (c) the same with the pure-Python executor in `mapInArrow`. Prints seconds, MB/s of text and
ratios to the copy, the best of the rounds, and how many outcomes of (b) and (c) differ. One document in ten has programs that the
native step takes the long way with (ranges that overlap, strings that are not there); (b) reads the words of a document from the
table, (c) counts them.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.config import ApplyConfig, Recipe
from prox_spark.demo import PAGES
from prox_spark.pipeline.execute import chunks_of, executed
from prox_spark.programs import ChunkProgram, Operation, OpName, Program, execute_chunks
from prox_spark.programs.words import count_words
from prox_spark.session import build_session
from udfs.arrow import to_batch
from udfs.columns import EXECUTION

CHUNK_CHARS = 3_000
DOCUMENT = T.StructType(
    [schemas.DOCUMENTS.schema[name] for name in ("doc_id", "content_sha256", "text", "n_words", "url", "source")]
)
MADE = T.StructType([*DOCUMENT.fields, T.StructField("programs", T.ArrayType(schemas.PROGRAMS.schema))])


class Make:
    """For `mapInArrow` over `id`: documents with their programs, the same for the same id."""

    def __init__(self, lines: list[str]) -> None:
        self.lines = lines

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for batch in batches:
            yield to_batch([self._row(i) for i in batch.column("id").to_pylist()], MADE)

    def _row(self, i: int) -> tuple[object, ...]:
        rng = random.Random(i)
        length = min(rng.lognormvariate(7.2, 1.0), 500_000)
        lines: list[str] = []
        size = 0
        while size < length:
            start = rng.randrange(len(self.lines))
            for line in self.lines[start : start + rng.randrange(3, 12)]:
                lines.append(line)
                size += len(line) + 1
        doc_id, text = f"doc-{i:07d}", "\n".join(lines)
        programs = [self._program(doc_id, rng, lines, n, *chunk) for n, chunk in enumerate(_chunks(lines))]
        return doc_id, f"{i:064x}", text, count_words(text), f"https://example.org/{i}", "benchmark", programs

    def _program(
        self, doc_id: str, rng: random.Random, lines: list[str], n: int, first: int, last: int
    ) -> dict[str, Any]:
        row = dict.fromkeys(schemas.PROGRAMS.columns)
        # As refiners write them: in the order of the lines, one chunk in ten apart.
        starts = [rng.randint(first, last) for _ in range(rng.choice([0, 1, 1, 2, 3, 4]))]
        starts = starts if rng.random() < 0.1 else sorted(set(starts))
        ends = [
            min(start + rng.randrange(4), after - 1)
            for start, after in zip(starts, [*starts[1:], last + 1], strict=False)
        ]
        ops = [self._op(rng, lines, start, max(start, end)) for start, end in zip(starts, ends, strict=True)]
        ops = ops or [dict.fromkeys(schemas.OPERATION.names) | {"op": "keep_chunk"}]
        sha = f"{int(doc_id[4:]):064x}"
        return row | {
            "doc_id": doc_id, "content_sha256": sha, "chunk_index": n, "line_start": first, "line_end": last,
            "ops": ops, "diagnostics": [], "status": "applied", "generation_key": sha, "recipe_fingerprint": "r",
        }  # fmt: skip

    def _op(self, rng: random.Random, lines: list[str], start: int, end: int) -> dict[str, Any]:
        op = dict.fromkeys(schemas.OPERATION.names)
        if rng.random() < 0.75:
            return op | {"op": "remove_lines", "line_start": start, "line_end": end}
        line = lines[start] or "nothing here"
        begin = rng.randrange(len(line))
        source = line[begin : begin + rng.randrange(3, 25)]
        return op | {"op": "normalize", "source_str": source, "target_str": rng.choice(["", "", " ", "…"])}


def _chunks(lines: list[str]) -> Iterator[tuple[int, int]]:
    first = size = 0
    for number, line in enumerate(lines):
        size += len(line) + 1
        if size > CHUNK_CHARS or number == len(lines) - 1:
            yield first, number
            first, size = number + 1, 0


class ExecuteInPython:
    """For `mapInArrow`: the pure-Python strict executor on the same rows."""

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
                verdicts = [
                    {"chunk_index": v.chunk_index, "diagnostics": [], "status": str(v.verdict), "reason": v.reason}
                    for v in done.verdicts
                ]
                outcome = (done.text, str(done.status), done.words_after, spans, replaced, verdicts)
                rows.append(
                    (
                        row["doc_id"],
                        row["content_sha256"],
                        dict(zip(EXECUTION.names, outcome, strict=True)),
                        done.words_before,
                    )
                )
            yield to_batch(rows, self.columns)


def _program(ops: list[dict[str, Any]]) -> Program:
    return Program(
        tuple(Operation(OpName(op["op"]), *(op[name] for name in schemas.OPERATION.names[1:])) for op in ops)
    )


def _fields(item: Any) -> dict[str, Any]:
    return {name: getattr(item, name) for name in item.__slots__}


def make(spark: SparkSession, root: Path, n: int) -> None:
    """Writes `documents` and `programs` below a folder."""
    lines = [
        line
        for page in PAGES.read_text(encoding="utf-8", errors="replace").splitlines()
        if page.startswith("{") and page.endswith("}")
        for line in _text(page).split("\n")
    ]
    made = spark.range(0, n, 1, 8).mapInArrow(Make(lines), MADE)
    made.write.format("delta").save(str(root / "made"))
    made = spark.read.format("delta").load(str(root / "made"))
    made.drop("programs").write.format("delta").save(str(root / "documents"))
    made.select(F.inline("programs")).write.format("delta").save(str(root / "programs"))


def _text(page: str) -> str:
    try:
        return json.loads(page).get("text") or ""
    except ValueError:  # the sample holds broken records on purpose
        return ""


def ways(spark: SparkSession, root: Path, config: ApplyConfig) -> dict[str, Callable[[], DataFrame]]:
    """The three, as frames to be written."""

    def read(name: str) -> DataFrame:
        return spark.read.format("delta").load(str(root / name))

    def native() -> DataFrame:
        return executed(read("documents"), chunks_of(read("programs")), config)

    def in_python() -> DataFrame:
        columns = T.StructType(
            [*DOCUMENT.fields[:2], T.StructField("execution", EXECUTION), schemas.REFINED.schema["words_before"]]
        )
        joined = read("documents").join(
            F.broadcast(chunks_of(read("programs"))), on=["doc_id", "content_sha256"], how="left"
        )
        rows = joined.select("doc_id", "content_sha256", "text", "chunks").mapInArrow(ExecuteInPython(columns), columns)
        return rows.select("doc_id", "content_sha256", "execution.*", "words_before")

    return {"copy": lambda: read("documents"), "native": native, "python": in_python}


def count_differences(spark: SparkSession, root: Path, config: ApplyConfig) -> int:
    """Documents that native columns and the pure-Python executor make something else of."""
    native, python = (
        ways(spark, root, config)[name]().select("doc_id", F.xxhash64("text", "status", "words_after").alias("outcome"))
        for name in ("native", "python")
    )
    return native.join(python.withColumnRenamed("outcome", "other"), on="doc_id").where("outcome <> other").count()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--documents", type=int, nargs="+", default=[20_000, 200_000])
    parser.add_argument("--rounds", type=int, default=2)
    args = parser.parse_args()
    broadcast = {"spark.sql.autoBroadcastJoinThreshold": "512m"}
    spark = build_session(Recipe.parse({"spark": {"driver_memory": "4g", "conf": broadcast}}))
    root = Path(tempfile.mkdtemp(prefix="prox-spark-bench-"))
    try:
        for n in args.documents:
            make(spark, root / str(n), n)
            documents = spark.read.format("delta").load(str(root / str(n) / "documents"))
            size, median = documents.agg(F.sum(F.octet_length("text")), F.median(F.length("text"))).first()
            n_programs = spark.read.format("delta").load(str(root / str(n) / "programs")).count()
            print(
                f"{n:,} documents, {size / 1e6:,.0f} MB of text, median {median:,.0f} characters, {n_programs:,} programs"
            )
            best: dict[str, float] = {}
            for turn in range(args.rounds):
                for name, frame in ways(spark, root / str(n), ApplyConfig(drop_threshold=0.5)).items():
                    target = root / "out"
                    begun = time.monotonic()
                    frame().write.format("delta").save(str(target))
                    seconds = time.monotonic() - begun
                    shutil.rmtree(target)
                    best[name] = min(best.get(name, seconds), seconds)
                    print(f"  round {turn + 1}  {name:<8}{seconds:8.1f} s", flush=True)
            n_different = count_differences(spark, root / str(n), ApplyConfig(drop_threshold=0.5))
            print(f"  {n_different:,} documents come out of native and python differently")
            for name, seconds in best.items():
                print(
                    f"  {name:<8}{seconds:8.1f} s {size / 1e6 / seconds:8,.0f} MB/s   {seconds / best['copy']:5.2f} × the copy",
                    flush=True,
                )
    finally:
        spark.stop()
        shutil.rmtree(root, ignore_errors=True)


if __name__ == "__main__":
    main()
