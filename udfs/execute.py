"""Execution of programs on Arrow batches: usual documents as byte ranges of the batch, odd ones document by document."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Any, Final

import numpy as np
import pyarrow as pa

from prox_spark.programs import ChunkProgram, Diagnostic, DiagnosticCode, Execution, Gates, Program, execute_chunks
from prox_spark.programs.reference import run_reference_programs
from prox_spark.udfs.fast_path import FastPath
from prox_spark.udfs.programs import ARROW_EXECUTION, Batch, to_operation

# Getters of the fields of structs, in the order in which Arrow takes them.
_REMOVED, _NORMALIZED = (
    attrgetter(*(field.name for field in ARROW_EXECUTION.field(name).type.value_type))
    for name in ("removed", "normalized")
)
_CODES: Final = {str(code): code for code in DiagnosticCode}


@dataclass(frozen=True)
class ExecuteReference:
    """The reference executor, one document after the other; arguments and result are those of `ExecuteStrict`."""

    threshold_2: float
    error_op: int

    def __call__(self, texts: pa.Array, words_before: pa.Array, chunks: pa.Array) -> pa.Array:
        """Execute the programs of a batch."""
        return _execute_one_by_one(texts, words_before, chunks, self.execute)

    def execute(self, text: str, _words_before: int | None, chunks: Sequence[ChunkProgram]) -> Execution:
        """Execute the programs of one document; its words are counted anew, by white space alone."""
        return run_reference_programs(text, chunks, threshold_2=self.threshold_2, error_op=self.error_op)


@dataclass(frozen=True)
class ExecuteStrict:
    """The strict executor: each chunk's program on its own lines; see `programs.execute_chunks`.

    Attributes:
        gates: limits beyond which the outcome is not trusted.
    """

    gates: Gates

    def __call__(self, texts: pa.Array, words_before: pa.Array, chunks: pa.Array) -> pa.Array:
        """Execute the programs of a batch.

        Args:
            texts: strings.
            words_before: numbers of their words, as by `count_words`; null where they have not been counted.
            chunks: lists of `CHUNK` with disjoint lines; null for no chunks.

        Returns:
            Structs of `EXECUTION`.
        """
        texts = texts.cast(pa.string())  # where Spark is set to send large strings
        batch = Batch.of(texts, words_before, chunks)
        if self.gates.max_errors < 1:
            batch.is_odd[:] = True  # even a program without errors is discarded
        done = FastPath(batch, self.gates).execute()
        odd = np.flatnonzero(batch.is_odd)
        if not len(odd):
            return done
        rows = pa.array(odd)
        words = pa.array(batch.words[odd])
        others = _execute_one_by_one(texts.take(rows), words, chunks.take(rows), self.execute)
        order = np.arange(len(done))
        order[odd] = len(done) + np.arange(len(odd))
        return pa.concat_arrays([done, others]).take(pa.array(order))

    def execute(self, text: str, words_before: int | None, chunks: Sequence[ChunkProgram]) -> Execution:
        """Execute the programs of one document."""
        return execute_chunks(text, chunks, self.gates, words_before)


def _execute_one_by_one(
    texts: pa.Array,
    words_before: pa.Array,
    chunks: pa.Array,
    execute: Callable[[str, int | None, Sequence[ChunkProgram]], Execution],
) -> pa.StructArray:
    """Execute the programs of each document in Python."""
    columns = (texts.to_pylist(), words_before.to_pylist(), chunks.to_pylist())
    rows = [
        _make_row(execute(text, n_words, [_read_program(chunk) for chunk in own or ()]))
        for text, n_words, own in zip(*columns, strict=True)
    ]
    return pa.array(rows, ARROW_EXECUTION)


def _read_program(chunk: dict[str, Any]) -> ChunkProgram:
    ops = tuple(map(to_operation, chunk["ops"]))
    findings = tuple(Diagnostic(_CODES[f["code"]], f["op_index"], f["detail"]) for f in chunk["diagnostics"])
    return ChunkProgram(chunk["chunk_index"], chunk["line_start"], chunk["line_end"], Program(ops, findings))


def _make_row(done: Execution) -> dict[str, Any]:
    findings: dict[int, list[dict[str, Any]]] = {}
    for f in done.diagnostics:
        findings.setdefault(f.chunk_index, []).append({"code": str(f.code), "op_index": f.op_index, "detail": f.detail})
    return {
        "text": done.text,
        "status": str(done.status),
        "words_before": done.words_before,
        "words_after": done.words_after,
        "removed": list(map(_REMOVED, done.removed)),
        "normalized": list(map(_NORMALIZED, done.normalized)),
        "chunk_outcomes": [
            {
                "chunk_index": outcome.chunk_index,
                "diagnostics": findings.get(outcome.chunk_index, []),
                "status": str(outcome.status),
                "reason": outcome.reason,
            }
            for outcome in done.chunk_outcomes
        ],
    }
