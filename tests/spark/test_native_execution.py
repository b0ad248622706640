"""Native columns against the pure-Python executors: every field of the outcome, on recorded and on random programs."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T

from prox_spark.config import ApplyConfig
from prox_spark.pipeline.execute import chunks_of, executed
from prox_spark.programs import (
    ChunkProgram,
    Diagnostic,
    DiagnosticCode,
    Execution,
    Gates,
    Operation,
    OpName,
    Program,
    execute_chunks,
    read_reference,
    run_reference,
)
from udfs.columns import CHUNK, WHITE_SPACE, count_words
from udfs.execute_reference import execute_reference
from udfs.execute_strict import execute_strict

pytestmark = pytest.mark.spark

VECTORS = Path(__file__).parents[1] / "data" / "reference" / "executor_vectors.jsonl.gz"
# The long profile: PROX_SPARK_RANDOM_PROGRAMS=10000 make test ARGS="-k native".
N_RANDOM = int(os.environ.get("PROX_SPARK_RANDOM_PROGRAMS", "500"))
INPUT = T.StructType(
    [
        T.StructField("i", T.IntegerType()),
        T.StructField("text", T.StringType()),
        T.StructField("chunks", T.ArrayType(CHUNK)),
    ]
)
# Line breaks of all kinds that Python or Java know, white space of either, characters of one to four bytes, NUL.
PIECES = [
    *WHITE_SPACE,
    "\n",
    "\n",
    "\n",
    "\r\n",
    "\x00",
    "\u200b",
    "\ufeff",
    "é",
    "中",
    "😀",
    "e\u0301",
    "a",
    "Ab",
    "(",
    '"',
]
PIECES += [
    "cookie notice",
    " Read more",
    "share | tweet ",
    "word",
    "aa",
    "aaa",
    "one two three four five six",
    "\\",
    ",",
] * 3
CODES = [DiagnosticCode.STRAY_TEXT, DiagnosticCode.UNKNOWN_OPERATION, DiagnosticCode.TRUNCATED_TAIL]


def chunk_row(index: int, start: int | None, end: int | None, program: Program) -> dict[str, Any]:
    findings = [asdict(finding) for finding in program.diagnostics]
    ops = [asdict(op) for op in program.ops]
    lines = {"chunk_index": index, "line_start": start, "line_end": end}
    return {**lines, "generation_key": None, "ops": ops, "diagnostics": findings}


def expected(execution: Execution) -> dict[str, Any]:
    """A pure-Python outcome in the shape of `columns.EXECUTION`."""
    verdicts = [
        {
            "chunk_index": verdict.chunk_index,
            "diagnostics": [
                {"code": str(f.code), "op_index": f.op_index, "detail": f.detail}
                for f in execution.diagnostics
                if f.chunk_index == verdict.chunk_index
            ],
            "status": str(verdict.verdict),
            "reason": verdict.reason,
        }
        for verdict in execution.verdicts
    ]
    return {
        "text": execution.text,
        "status": str(execution.status),
        "words_after": execution.words_after,
        "removed": [asdict(span) for span in execution.removed],
        "normalized": [asdict(done) for done in execution.normalized],
        "verdicts": verdicts,
    }


def native(
    spark: Any, rows: Sequence[tuple[int, str, list[dict[str, Any]]]], execute: Any
) -> dict[int, dict[str, Any]]:
    frame = spark.createDataFrame(list(rows), INPUT)
    done = frame.select("i", execute(F.col("text"), count_words(F.col("text")), F.col("chunks")).alias("execution"))
    return {row["i"]: row["execution"].asDict(recursive=True) for row in done.collect()}


def differences(found: dict[int, dict[str, Any]], wanted: dict[int, dict[str, Any]]) -> list[tuple[int, str, Any, Any]]:
    assert found.keys() == wanted.keys()
    return [
        (i, field, found[i][field], wanted[i][field])
        for i in wanted
        for field in wanted[i]
        if found[i][field] != wanted[i][field]
    ]


def check_vectors(spark: Any, path: Path) -> int:
    groups = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for i, vector in enumerate(map(json.loads, lines)):
            groups[vector["threshold_1"], vector["threshold_2"], vector["error_op"]].append((i, vector))
    n_checked = 0
    for settings, vectors in groups.items():
        rows = [(i, v["text"], [chunk_row(0, None, None, read_reference(v["program"]))]) for i, v in vectors]
        found = native(spark, rows, lambda *columns, s=settings: execute_reference(*columns, *s))
        assert [(i, found[i]["text"]) for i, v in vectors] == [(i, v["expected"]) for i, v in vectors]
        wanted = {i: expected(run_reference(v["text"], v["program"], *settings)) for i, v in vectors}
        assert differences(found, wanted) == []
        n_checked += len(vectors)
    return n_checked


def test_every_recorded_vector_comes_out_the_same(spark: Any) -> None:
    assert check_vectors(spark, VECTORS) == 1500


@pytest.mark.shared
def test_every_recorded_vector_of_real_pages_comes_out_the_same(spark: Any, shared_dir: Path) -> None:
    assert check_vectors(spark, shared_dir / "reference" / "executor_vectors.jsonl.gz") == 2000


def random_text(rng: random.Random) -> str:
    pieces = rng.choices(PIECES, k=rng.randrange(60))
    if rng.random() < 0.5:  # the gates blank short texts: half of the texts have words to spare
        pieces += ["\n", "more words that make this text long enough to be kept " * 3]
    return "".join(pieces)


def random_string(rng: random.Random, text: str) -> str:
    if text and rng.random() < 0.7:
        start = rng.randrange(len(text))
        return text[start : start + rng.randrange(1, 9)]
    return "".join(rng.choices([*PIECES, "\n"], k=rng.randrange(4)))


def random_ops(rng: random.Random, text: str, first: int, last: int) -> list[Operation]:
    ops = []
    for _ in range(rng.choice([0, 1, 1, 2, 3, 6])):
        kind = rng.random()
        if kind < 0.45:
            start = rng.randrange(max(first - 1, 0), last + 2)
            end = start + rng.choice([-1, 0, 0, 0, 1, 2, 40, 2**31])
            ops.append(Operation(OpName.REMOVE_LINES, start, end))
        elif kind < 0.9:
            target = rng.choice(["", "", "x", "\n", "longer than it was", "aa", "g" * 3000])
            ops.append(Operation(OpName.NORMALIZE, source_str=random_string(rng, text), target_str=target))
        else:
            ops.append(
                Operation(rng.choice([OpName.REMOVE_LINES, OpName.KEEP_CHUNK, OpName.DROP_DOC, OpName.KEEP_DOC]))
            )
    return ops


def random_chunks(rng: random.Random, text: str) -> list[ChunkProgram]:
    """Disjoint chunks in order, now and then with lines of none between them or past the end."""
    chunks: list[ChunkProgram] = []
    n_lines, start = text.count("\n") + 1, 0
    while start < n_lines and len(chunks) < 4:
        end = start + rng.choice([0, 1, 3, 10])
        found = [Diagnostic(rng.choice(CODES), None, "as parsed") for _ in range(rng.choice([0, 0, 0, 1, 2]))]
        program = Program(tuple(random_ops(rng, text, start, end)), tuple(found))
        chunks.append(ChunkProgram(len(chunks), start, end, program))
        start = end + rng.choice([1, 1, 1, 2])
    return chunks


@pytest.mark.parametrize("gates", [Gates(), Gates(0.0, 0, 1)])
def test_strict_outcomes_of_random_programs_are_the_same(spark: Any, gates: Gates) -> None:
    rng = random.Random(20240917)
    texts = [random_text(rng) for _ in range(N_RANDOM)]
    cases = [(i, text, random_chunks(rng, text)) for i, text in enumerate(texts)]
    rows = [(i, t, [chunk_row(c.chunk_index, c.line_start, c.line_end, c.program) for c in cs]) for i, t, cs in cases]
    found = native(spark, rows, lambda *columns: execute_strict(*columns, gates))
    wanted = {i: expected(execute_chunks(text, chunks, gates)) for i, text, chunks in cases}
    assert differences(found, wanted) == []
    assert len({row["status"] for row in wanted.values()}) >= 4, "the cases are too alike"


def random_answer(rng: random.Random, text: str) -> str:
    calls = []
    for _ in range(rng.choice([0, 1, 2, 2, 3, 6])):
        start = rng.choice([-3, 0, 1, 2, 5, 30, 10**12, 10**30])
        end = start + rng.choice([-2, 0, 0, 1, 5])
        source = random_string(rng, text).split("\n")[0]
        calls.append(
            rng.choice(
                [
                    f"remove_lines(start={start}, end={end})",
                    f"remove_lines(line_start={start}, line_end={end})",
                    f'normalize(source_str="{source}", target_str="{rng.choice(["", "x", "y z"])}")',
                    f'normalize(source_str="{source}")',
                    "remove_lines(all=True)",
                    "keep_chunk()",
                    f"remove_lines(start={start}",
                    "something else",
                ][0 : rng.choice([4, 4, 4, 8])]
            )
        )
    return "\n".join(calls)


def test_reference_outcomes_of_random_programs_are_the_same(spark: Any) -> None:
    rng = random.Random(20240918)
    texts = [random_text(rng) for _ in range(N_RANDOM)]
    cases = [(i, text, [random_answer(rng, text) for _ in range(rng.randrange(4))]) for i, text in enumerate(texts)]
    rows = [
        (i, text, [chunk_row(n, None, None, read_reference(answer)) for n, answer in enumerate(answers)])
        for i, text, answers in cases
    ]
    found = native(spark, rows, execute_reference)
    wanted = {i: expected(run_reference(text, answers)) for i, text, answers in cases}
    assert differences(found, wanted) == []
    assert len({row["status"] for row in wanted.values()}) >= 4, "the cases are too alike"


def test_replacements_that_would_swell_a_text_past_all_bounds_are_refused_alike(spark: Any) -> None:
    def normalize(source: str, target: str) -> Operation:
        return Operation(OpName.NORMALIZE, source_str=source, target_str=target)

    swollen = "ab" * 490_000
    program = Program((normalize("ab", "abababab"), normalize("ab", "x" * 1100)))
    [row] = [(0, swollen, [chunk_row(0, 0, 0, program)])]
    found = native(spark, [row], lambda *columns: execute_strict(*columns, Gates(0.0, 0)))
    assert (
        differences(found, {0: expected(execute_chunks(swollen, [ChunkProgram(0, 0, 0, program)], Gates(0.0, 0)))})
        == []
    )
    text = "a" * 100_000 + " word" * 20
    answer = f'normalize(source_str="a", target_str="{"b" * 600}")\nnormalize(source_str="b", target_str="{"c" * 40}")'
    found = native(spark, [(0, text, [chunk_row(0, None, None, read_reference(answer))])], execute_reference)
    wanted = expected(run_reference(text, [answer]))
    assert differences(found, {0: wanted}) == [] and wanted["status"] == "program_discarded"


def test_words_are_those_of_python(spark: Any) -> None:
    every = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x11000)]))
    assert sorted(WHITE_SPACE) == sorted(c for c in map(chr, range(0x110000)) if c.isspace())
    texts = [every, "", " ", "\u3000", "a", " a b\u2003c\x1fd\x0be ", "\x00 \x00", "a\u200bb \ufeff c", "😀 😀"]
    frame = spark.createDataFrame(list(enumerate(texts)), "i int, text string")
    counted = {row["i"]: row["n"] for row in frame.select("i", count_words(F.col("text")).alias("n")).collect()}
    assert counted == {i: len(text.split()) for i, text in enumerate(texts)}


@pytest.mark.parametrize("semantics", ["strict", "reference"])
def test_plan_has_no_python_worker_and_does_not_shuffle_texts(spark: Any, semantics: str) -> None:
    nothing = F.lit(None)
    identity = (F.col("id").cast("string").alias("doc_id"), F.lit("sha").alias("content_sha256"))
    ops = F.array(F.struct(F.lit("remove_lines"), F.lit(1), F.lit(1), nothing, nothing))
    fields = F.struct(F.lit(0), F.lit(0), F.lit(3), nothing, ops, F.array()).cast(CHUNK)
    programs = spark.range(5).select(*identity, fields.alias("chunk")).select("doc_id", "content_sha256", "chunk.*")
    documents = spark.range(5).select(*identity, F.repeat(F.lit("some words in a line\n"), 20).alias("text"))
    done = executed(documents, chunks_of(programs), ApplyConfig(drop_threshold=0.5, semantics=semantics))
    assert {row["text"].count("\n") for row in done.collect()} == {19}
    plan = done._jdf.queryExecution().executedPlan().toString().partition("== Initial Plan ==")[0]
    assert "Python" not in plan and "Arrow" not in plan
    # The one shuffle gathers the programs of a document; the documents are joined where they are.
    assert plan.count("Exchange hashpartitioning") == 1 and plan.count("BroadcastHashJoin") == 1
