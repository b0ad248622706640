"""Programs over Arrow batches against the pure-Python executors: every field of the outcome, on recorded and random programs."""

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

import pyarrow as pa
import pytest
from pyspark.sql import types as T
from random_programs import orderly_chunks, random_answer, random_chunks, random_text

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
from prox_spark.programs.words import count_words
from prox_spark.spark_versions import to_arrow_type
from prox_spark.udfs import execute as columnar
from prox_spark.udfs.execute import ExecuteReference, ExecuteStrict
from prox_spark.udfs.programs import CHUNK

pytestmark = pytest.mark.unit

VECTORS = Path(__file__).parents[2] / "data" / "reference" / "executor_vectors.jsonl.gz"
# The long profile: PROX_SPARK_RANDOM_PROGRAMS=10000 make test ARGS="-k test_execute".
N_RANDOM = int(os.environ.get("PROX_SPARK_RANDOM_PROGRAMS", "2000"))
CHUNKS = to_arrow_type(T.ArrayType(CHUNK))

Document = tuple[str, Sequence[ChunkProgram] | None]


def read(answers: Sequence[str]) -> list[ChunkProgram]:
    """Return chunks as the reference executor takes them, without lines."""
    return [ChunkProgram(n, None, None, read_reference(answer)) for n, answer in enumerate(answers)]  # type: ignore[arg-type]


def run(execute: ExecuteStrict | ExecuteReference, documents: Sequence[Document], words: bool = True) -> list[Any]:
    texts = pa.array([text for text, _ in documents], pa.string())
    n_words = pa.array([count_words(text) if words else None for text, _ in documents], pa.int64())
    done = execute(texts, n_words, pa.array([rows(chunks) for _, chunks in documents], CHUNKS))
    done.validate(full=True)
    return done.to_pylist()


def rows(chunks: Sequence[ChunkProgram] | None) -> list[dict[str, Any]] | None:
    return chunks and [
        {
            "chunk_index": chunk.chunk_index,
            "line_start": chunk.line_start,
            "line_end": chunk.line_end,
            "generation_key": None,
            "ops": [asdict(op) for op in chunk.program.ops],
            "diagnostics": [asdict(finding) for finding in chunk.program.diagnostics],
        }
        for chunk in chunks
    ]


def expected(execution: Execution) -> dict[str, Any]:
    """Return a pure-Python outcome as a row of `EXECUTION`."""
    chunk_outcomes = [
        {
            "chunk_index": outcome.chunk_index,
            "diagnostics": [
                {"code": str(f.code), "op_index": f.op_index, "detail": f.detail}
                for f in execution.diagnostics
                if f.chunk_index == outcome.chunk_index
            ],
            "status": str(outcome.status),
            "reason": outcome.reason,
        }
        for outcome in execution.chunk_outcomes
    ]
    return {
        "text": execution.text,
        "status": str(execution.status),
        "words_before": execution.words_before,
        "words_after": execution.words_after,
        "removed": [asdict(span) for span in execution.removed],
        "normalized": [asdict(done) for done in execution.normalized],
        "chunk_outcomes": chunk_outcomes,
    }


def normalize(source: str, target: str) -> Operation:
    return Operation(OpName.NORMALIZE, source_str=source, target_str=target)


def remove(first: int, last: int) -> Operation:
    return Operation(OpName.REMOVE_LINES, first, last)


# Against the pure-Python executors


def check_vectors(path: Path) -> int:
    groups = defaultdict(list)
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        for vector in map(json.loads, lines):
            groups[vector["threshold_2"], vector["error_op"]].append(vector)
    n_checked = 0
    for settings, vectors in groups.items():
        # The product never uses the first threshold, which leaves texts as they are.
        usual = [vector for vector in vectors if vector["threshold_1"] == 0]
        found = run(ExecuteReference(*settings), [(v["text"], read([v["program"]])) for v in usual])
        assert [row["text"] for row in found] == [vector["expected"] for vector in usual]
        wanted = [expected(run_reference(v["text"], v["program"], 0.0, *settings)) for v in usual]
        assert found == wanted
        n_checked += len(usual)
    return n_checked


def test_every_recorded_vector_comes_out_the_same() -> None:
    assert check_vectors(VECTORS) > 1000


@pytest.mark.shared
def test_every_recorded_vector_of_real_pages_comes_out_the_same(shared_dir: Path) -> None:
    assert check_vectors(shared_dir / "reference" / "executor_vectors.jsonl.gz") > 1000


@pytest.mark.parametrize("gates", [Gates(), Gates(0.0, 0, 1)])
@pytest.mark.parametrize("make_chunks", [random_chunks, orderly_chunks])
def test_random_programs_come_out_the_same(gates: Gates, make_chunks: Any) -> None:
    rng = random.Random(20240917)
    texts = [random_text(rng) for _ in range(N_RANDOM)]
    documents = [(text, make_chunks(rng, text)) for text in texts]
    wanted = [expected(execute_chunks(text, chunks, gates)) for text, chunks in documents]
    assert run(ExecuteStrict(gates), documents) == wanted
    assert run(ExecuteStrict(gates), documents[:200], words=False) == wanted[:200]
    assert len({row["status"] for row in wanted}) >= 3, "the cases are too alike"


def test_random_answers_come_out_the_same_the_reference_way() -> None:
    rng = random.Random(20240918)
    texts = [random_text(rng) for _ in range(N_RANDOM)]
    documents = [(text, [random_answer(rng, text) for _ in range(rng.randrange(4))]) for text in texts]
    found = run(ExecuteReference(0.95, 2), [(text, read(answers)) for text, answers in documents])
    wanted = [expected(run_reference(text, answers)) for text, answers in documents]
    assert found == wanted
    assert len({row["status"] for row in wanted}) >= 4, "the cases are too alike"


def test_replacements_that_would_swell_a_text_past_all_bounds_are_refused_alike() -> None:
    swollen = "ab" * 490_000
    chunks = [ChunkProgram(0, 0, 0, Program((normalize("ab", "abababab"), normalize("ab", "x" * 1100))))]
    gates = Gates(0.0, 0)
    assert run(ExecuteStrict(gates), [(swollen, chunks)]) == [expected(execute_chunks(swollen, chunks, gates))]
    text = "a" * 100_000 + " word" * 20
    answer = f'normalize(source_str="a", target_str="{"b" * 600}")\nnormalize(source_str="b", target_str="{"c" * 40}")'
    [found] = run(ExecuteReference(0.95, 2), [(text, read([answer]))])
    assert found == expected(run_reference(text, [answer])) and found["status"] == "program_discarded"


# The fast path of whole batches


def test_usual_programs_take_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    # Programs as refiners write them; the slow path is for odd ones.
    monkeypatch.setattr(columnar, "_execute_one_by_one", None)
    text = "Cookies!\nthe heron waits for fish\n\nthe heron waits for fish\nShare\nTweet"
    programs: list[tuple[Operation, ...]] = [
        (),
        (Operation(OpName.KEEP_CHUNK),),
        (remove(0, 0),),
        (remove(5, 5),),
        (remove(4, 4), remove(5, 5), remove(0, 0)),
        (remove(0, 5),),
        (remove(2, 2),),
        (normalize("heron", "crane"),),
        (normalize(" heron", ""), remove(1, 1)),
        (normalize("waits for", "waits for"),),
        (normalize("Tweet", "Tweet it to all"),),
        (normalize("sea gull", "gull"), remove(0, 0)),
        (normalize("Share", ""), normalize("sea gull", "gull"), normalize("Tweet", "Post")),
    ]
    documents: list[Document] = [(text, [ChunkProgram(0, 0, 5, Program(ops))]) for ops in programs]
    documents += [("", []), ("\n \n", [ChunkProgram(0, 0, 2, Program((remove(0, 0),)))]), (text, None), (text, [])]
    split = [ChunkProgram(0, 0, 2, Program((remove(1, 2),))), ChunkProgram(1, 3, 5, Program((remove(3, 3),)))]
    documents += [(text, split), ("中文" * 20 + "\nab", [ChunkProgram(0, 0, 1, Program((remove(1, 1),)))])]
    gates = Gates(0.05, 3)
    found = run(ExecuteStrict(gates), documents)
    assert found == [expected(execute_chunks(text, chunks or [], gates)) for text, chunks in documents]
    # A slice of a larger column begins in the middle of its buffer.
    for begin in (1, 5, 11):
        part = documents[begin : begin + 6]
        columns = [
            pa.array([text for text, _ in documents], pa.string()),
            pa.array([count_words(text) for text, _ in documents], pa.int64()),
            pa.array([rows(chunks) for _, chunks in documents], CHUNKS),
        ]
        done = ExecuteStrict(gates)(*(column.slice(begin, len(part)) for column in columns))
        assert done.to_pylist() == found[begin : begin + 6]


def test_replacement_sees_what_an_earlier_one_made() -> None:
    text = "one aab\ntwo ab\nthree " + "words " * 20
    programs = [
        (normalize("aa", "a"), normalize("ab", "x")),  # in the same line as before, and in another
        (normalize("one aa", "one a"), normalize("a ab", "x")),
        (normalize("two", "one aab"), normalize("one aab", "x")),
        (normalize("ab", "aab"), normalize("aab", "aaab"), normalize("aaab", "b")),
        (normalize("aab", "g" * 4000), normalize("ab", "h" * 4000), normalize("three", "i" * 4000)),
    ]
    documents: list[Document] = [(text, [ChunkProgram(0, 0, 2, Program(ops))]) for ops in programs]
    gates = Gates(0.0, 0, 1)
    assert run(ExecuteStrict(gates), documents) == [expected(execute_chunks(t, c or [], gates)) for t, c in documents]


def test_batch_of_nothing_is_one() -> None:
    assert run(ExecuteStrict(Gates()), []) == [] == run(ExecuteReference(0.95, 2), [])


def test_chunks_that_no_parser_makes_come_out_the_same() -> None:
    text = "aa aa\nab " + "word " * 20
    programs: list[list[ChunkProgram]] = [
        [ChunkProgram(0, 0, -2, Program((normalize("ab", "x"),)))],
        [ChunkProgram(0, 0, -(2**31), Program((normalize("ab", "x"),)))],
        [
            ChunkProgram(0, 0, 1, Program((normalize("aa", "bb"),))),
            ChunkProgram(1, 0, 1, Program((normalize("bb", "cc"),))),
        ],
        [ChunkProgram(0, 0, 1, Program((remove(0, 0),))), ChunkProgram(1, 0, 1, Program((normalize("aa", "x"),)))],
        [ChunkProgram(0, 1, 1, Program((remove(1, 1),))), ChunkProgram(1, 0, 0, Program((normalize("aa", "x"),)))],
    ]
    documents: list[Document] = [(text, chunks) for chunks in programs]
    for gates in (Gates(0.0, 0, 1), Gates(0.0, 0, 0)):
        assert run(ExecuteStrict(gates), documents) == [
            expected(execute_chunks(t, c or [], gates)) for t, c in documents
        ]


def test_many_replacements_come_out_the_same() -> None:
    contents = "\n".join(f"Chapter {n} {'.' * 60} {n}" for n in range(80))
    programs = [
        (normalize("..", ""),),
        (normalize("..", "--"), normalize("Chapter", "")),
        (normalize("Chapter 7", "x"),),
    ]
    documents: list[Document] = [(contents, [ChunkProgram(0, 0, 79, Program(ops))]) for ops in programs]
    gates = Gates()
    assert run(ExecuteStrict(gates), documents) == [expected(execute_chunks(t, c or [], gates)) for t, c in documents]
