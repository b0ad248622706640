"""Native columns against the pure-Python executors: every field of the outcome, on recorded and on random programs."""

from __future__ import annotations

import gzip
import json
import os
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from pyspark.sql import functions as F
from pyspark.sql import types as T
from random_programs import orderly_chunks, random_answer, random_chunks, random_text
from short_runs import UNCOMPILED

from prox_spark.config import ApplyConfig
from prox_spark.pipeline.execute import chunks_of, executed
from prox_spark.programs import (
    ChunkProgram,
    Execution,
    Gates,
    Operation,
    OpName,
    Program,
    execute_chunks,
    read_reference,
    run_reference,
)
from prox_spark.programs.words import count_words as count_words_in_python
from udfs.columns import CHUNK, WHITE_SPACE, count_by_white_space, count_words
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


@pytest.fixture(scope="module", autouse=True)
def generated_code(spark: Any) -> Iterator[None]:
    """Spark's own way, which short runs leave out: what is tested here is what it makes of the expressions."""
    left_out = {name: spark.conf.get(name) for name in UNCOMPILED}
    for name in left_out:
        spark.conf.unset(name)
    yield
    for name, value in left_out.items():
        spark.conf.set(name, value)


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
    spark: Any, rows: Sequence[tuple[int, str, list[dict[str, Any]]]], execute: Any, count: Any = count_words
) -> dict[int, dict[str, Any]]:
    frame = spark.createDataFrame(list(rows), INPUT)
    done = frame.select("i", execute(F.col("text"), count(F.col("text")), F.col("chunks")).alias("execution"))
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
        found = native(spark, rows, lambda *columns, s=settings: execute_reference(*columns, *s), count_by_white_space)
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


@pytest.mark.parametrize("gates", [Gates(), Gates(0.0, 0, 1)])
@pytest.mark.parametrize("make_chunks", [random_chunks, orderly_chunks])
def test_strict_outcomes_of_random_programs_are_the_same(spark: Any, gates: Gates, make_chunks: Any) -> None:
    rng = random.Random(20240917)
    texts = [random_text(rng) for _ in range(N_RANDOM)]
    cases = [(i, text, make_chunks(rng, text)) for i, text in enumerate(texts)]
    rows = [(i, t, [chunk_row(c.chunk_index, c.line_start, c.line_end, c.program) for c in cs]) for i, t, cs in cases]
    found = native(spark, rows, lambda *columns: execute_strict(*columns, gates))
    wanted = {i: expected(execute_chunks(text, chunks, gates)) for i, text, chunks in cases}
    assert differences(found, wanted) == []
    assert len({row["status"] for row in wanted.values()}) >= 3, "the cases are too alike"


def test_orderly_programs_reach_what_the_short_way_does() -> None:
    rng = random.Random(20240917)
    texts = [random_text(rng) for _ in range(500)]
    outcomes = [expected(execute_chunks(text, orderly_chunks(rng, text), Gates(0.0, 0, 1))) for text in texts]
    plain = [row for row in outcomes if all(not verdict["diagnostics"] for verdict in row["verdicts"])]
    hits = [[done["n_hits"] for done in row["normalized"]] for row in plain]
    assert sum(1 in n_hits for n_hits in hits) > 30, "a string that is there once"
    assert sum(any(n > 1 for n in n_hits) for n_hits in hits) > 20, "a string that is there more often"
    assert sum(bool(row["removed"] and row["normalized"]) for row in plain) > 20, "lines removed and strings replaced"
    starts = [[span["line_start"] for span in row["removed"]] for row in plain]
    assert sum(found != sorted(found) for found in starts) > 10, "lines removed in another order than theirs"
    assert len(outcomes) - len(plain) > 20, "a string that is not there"


def test_reference_outcomes_of_random_programs_are_the_same(spark: Any) -> None:
    rng = random.Random(20240918)
    texts = [random_text(rng) for _ in range(N_RANDOM)]
    cases = [(i, text, [random_answer(rng, text) for _ in range(rng.randrange(4))]) for i, text in enumerate(texts)]
    rows = [
        (i, text, [chunk_row(n, None, None, read_reference(answer)) for n, answer in enumerate(answers)])
        for i, text, answers in cases
    ]
    found = native(spark, rows, execute_reference, count_by_white_space)
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
    chunks = [chunk_row(0, None, None, read_reference(answer))]
    found = native(spark, [(0, text, chunks)], execute_reference, count_by_white_space)
    wanted = expected(run_reference(text, [answer]))
    assert differences(found, {0: wanted}) == [] and wanted["status"] == "program_discarded"


def test_words_are_those_of_python(spark: Any) -> None:
    every = "".join(map(chr, [*range(1, 0xD800), *range(0xE000, 0x11000)]))
    assert sorted(WHITE_SPACE) == sorted(c for c in map(chr, range(0x110000)) if c.isspace())
    texts = [every, "", " ", "\u3000", "a", " a b\u2003c\x1fd\x0be ", "\x00 \x00", "a\u200bb \ufeff c", "😀 😀"]
    assert counts(spark, count_by_white_space, texts) == [len(text.split()) for text in texts]
    assert counts(spark, count_words, texts) == [count_words_in_python(text) for text in texts]


def test_words_of_scripts_without_blanks_are_those_of_python(spark: Any) -> None:
    each = [f"a{chr(code)}b" for code in [*range(0xD800), *range(0xE000, 0x20000), 0x2A6DF, 0x3FFFD, 0xE0100, 0x10FFFF]]
    signs = "我a" + "_" * 400_000 + "b" + "。" * 400_000
    rng = random.Random(20240919)
    mixed = [
        "".join(rng.choices([*"a 2.가我。「カーｶﾞน้ក្𠀀😀\n\u3000\u200b\u0301"], k=rng.randrange(30))) for _ in range(5000)
    ]
    texts = [*each, *mixed, signs]
    assert counts(spark, count_words, texts) == [count_words_in_python(text) for text in texts]


def counts(spark: Any, count: Any, texts: Sequence[str]) -> list[int]:
    frame = spark.createDataFrame(list(enumerate(texts)), "i int, text string")
    found = {row["i"]: row["n"] for row in frame.select("i", count(F.col("text")).alias("n")).collect()}
    return [found[i] for i in range(len(texts))]


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
