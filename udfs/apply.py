"""Arrow UDF: a document and the model's answers to its programs and its refined text. Needs no model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.config import ApplyConfig
from prox_spark.programs import (
    ChunkProgram,
    DocumentStatus,
    Execution,
    Gates,
    Operation,
    OpName,
    Program,
    Verdict,
    execute_chunks,
    parse,
    read_reference,
    run_reference,
)
from udfs.arrow import to_batch

# The document stage stands beside the chunks as chunk -1.
DOC_STAGE = -1

ANSWER = T.StructType(
    [
        T.StructField("chunk_index", T.IntegerType()),
        T.StructField("line_start", T.IntegerType()),
        T.StructField("line_end", T.IntegerType()),
        T.StructField("generation_key", T.StringType()),
        T.StructField("output_text", T.StringType()),
        T.StructField("drop_probability", T.DoubleType()),
        T.StructField("error_code", T.StringType()),
        T.StructField("error_message", T.StringType()),
    ]
)
_PROGRAM_COLUMNS = ("chunk_index", "line_start", "line_end", "generation_key", "ops", "diagnostics", "status")
_REFINED_COLUMNS = ("text", "status", "drop_probability", "words_before", "words_after", "removed", "normalized")

APPLIED = T.StructType(
    [
        T.StructField("doc_id", T.StringType()),
        T.StructField("content_sha256", T.StringType()),
        *(schemas.REFINED.schema[name] for name in _REFINED_COLUMNS),
        T.StructField(
            "programs", T.ArrayType(T.StructType([schemas.PROGRAMS.schema[name] for name in _PROGRAM_COLUMNS]))
        ),
        T.StructField("stage", T.StringType()),
        T.StructField("reason", T.StringType()),
        T.StructField("message", T.StringType()),
        T.StructField("snippet", T.StringType()),
    ]
)


@dataclass(frozen=True)
class Applied:
    """What became of one document: an execution, its programs, and for a quarantined one the reason."""

    execution: Execution
    programs: Sequence[Mapping[str, Any]] = ()
    drop_probability: float | None = None
    stage: str | None = None
    reason: str | None = None
    message: str | None = None


@dataclass(frozen=True)
class Apply:
    """For `mapInArrow` over (doc_id, content_sha256, text, answers): one row of APPLIED per document.

    Args:
        config: semantics and thresholds, all set.
    """

    config: ApplyConfig

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Streams; rows out are rows in."""
        for batch in batches:
            documents = zip(
                *(batch.column(name).to_pylist() for name in ("doc_id", "content_sha256", "text", "answers")),
                strict=True,
            )
            yield to_batch([self._row(*document) for document in documents], APPLIED)

    def document(self, text: str, answers: Sequence[Mapping[str, Any]]) -> Applied:
        """Decides one document.

        Args:
            text: the raw text.
            answers: dicts with the fields of ANSWER; none for a text without words.
        """
        for answer in sorted(answers, key=lambda answer: int(answer["chunk_index"])):
            if answer["error_code"]:
                stage = "doc" if answer["chunk_index"] == DOC_STAGE else "chunk"
                nothing = Execution("", DocumentStatus.QUARANTINED)
                return Applied(nothing, stage=stage, reason=answer["error_code"], message=answer["error_message"])
        verdicts = [answer for answer in answers if answer["chunk_index"] == DOC_STAGE]
        chunks = sorted(
            (a for a in answers if a["chunk_index"] != DOC_STAGE), key=lambda answer: int(answer["chunk_index"])
        )
        probability = verdicts[0]["drop_probability"] if verdicts else None
        if probability is not None and probability >= self._drop_threshold:
            dropped = Execution("", DocumentStatus.DROPPED_DOC, words_before=len(text.split()))
            return Applied(dropped, [_verdict_program(verdicts[0], OpName.DROP_DOC)], probability)
        execution, programs = self._execute(text, chunks)
        documents = [_verdict_program(verdict, OpName.KEEP_DOC) for verdict in verdicts]
        return Applied(execution, documents + _program_rows(chunks, programs, execution), probability)

    @property
    def _drop_threshold(self) -> float:
        assert self.config.drop_threshold is not None, "the recipe was not completed by its refiners' cards"
        return self.config.drop_threshold

    def _execute(self, text: str, chunks: Sequence[Mapping[str, Any]]) -> tuple[Execution, list[Program]]:
        outputs = [chunk["output_text"] for chunk in chunks]
        if self.config.semantics == "reference":
            outputs = [output.strip(" ") for output in outputs]  # as the released job stores them
            ratio, errors = self.config.min_word_ratio, self.config.max_errors
            execution = run_reference(text, outputs, threshold_2=round(1 - ratio, 12), error_op=errors)
            return execution, [read_reference(output) for output in outputs]
        programs = [
            parse(output, range(chunk["line_start"], chunk["line_end"] + 1))
            for output, chunk in zip(outputs, chunks, strict=True)
        ]
        parsed = [
            ChunkProgram(chunk["chunk_index"], chunk["line_start"], chunk["line_end"], program)
            for chunk, program in zip(chunks, programs, strict=True)
        ]
        gates = Gates(self.config.min_word_ratio, self.config.min_words, self.config.max_errors)
        return execute_chunks(text, parsed, gates), programs

    def _row(
        self, doc_id: str, content_sha256: str, text: str, answers: Sequence[Mapping[str, Any]] | None
    ) -> tuple[object, ...]:
        result = self.document(text, answers or [])
        execution = result.execution
        return (
            doc_id,
            content_sha256,
            execution.text,
            execution.status,
            result.drop_probability,
            execution.words_before,
            execution.words_after,
            [asdict(span) for span in execution.removed],
            [asdict(normalization) for normalization in execution.normalized],
            result.programs,
            result.stage,
            result.reason,
            result.message,
            text[:200] if result.reason else None,
        )


def _verdict_program(verdict: Mapping[str, Any], op: OpName) -> dict[str, Any]:
    row = {"chunk_index": DOC_STAGE, "generation_key": verdict["generation_key"], "ops": [asdict(Operation(op))]}
    return {**row, "line_start": None, "line_end": None, "diagnostics": [], "status": Verdict.APPLIED}


def _program_rows(
    chunks: Sequence[Mapping[str, Any]], programs: Sequence[Program], execution: Execution
) -> list[dict[str, Any]]:
    rows = []
    # A text that is blank has no chunks and no verdicts; else there is one for each.
    for chunk, program, verdict in zip(chunks, programs, execution.verdicts, strict=True):
        findings = [asdict(finding) for finding in execution.diagnostics if finding.chunk_index == verdict.chunk_index]
        rows.append(
            {
                **{name: chunk[name] for name in ("chunk_index", "line_start", "line_end", "generation_key")},
                "ops": [asdict(op) for op in program.ops],
                "diagnostics": [{key: finding[key] for key in ("code", "op_index", "detail")} for finding in findings],
                "status": verdict.verdict,
            }
        )
    return rows
