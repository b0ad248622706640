"""Answers of models, made up, and what becomes of documents by them."""

from __future__ import annotations

from typing import Any

from pyspark.sql import DataFrame

from prox_spark.config import ApplyConfig
from prox_spark.pipeline.applying.outcomes import decide_outcomes
from prox_spark.udfs.parse import DOC_STAGE, PARSED, STORED_ANSWERS, ParseAnswers

Answers = list[dict[str, Any]]


def verdict(drop_probability: float | None = 0.1, **fields: Any) -> dict[str, Any]:
    return answer(DOC_STAGE, "keep_doc()", None, None, drop_probability=drop_probability, **fields)


def answer(index: int, output: str | None, start: int | None, end: int | None, **fields: Any) -> dict[str, Any]:
    lines = {"chunk_index": index, "line_start": start, "line_end": end}
    return lines | {"generation_key": f"key {index}", "output_text": output} | fields


def chunk(index: int, output: str | None, start: int = 0, end: int = 5, **fields: Any) -> dict[str, Any]:
    return answer(index, output, start, end, **fields)


def run(spark: Any, cases: dict[str, tuple[str, Answers]], **apply: Any) -> dict[str, dict[str, Any]]:
    documents = spark.createDataFrame(
        [(name, "sha", text) for name, (text, _) in cases.items()], "doc_id string, content_sha256 string, text string"
    )
    return outcomes_of(spark, documents, {name: answers for name, (_, answers) in cases.items()}, **apply)


def outcomes_of(
    spark: Any, documents: DataFrame, answers: dict[str, Answers], **apply: Any
) -> dict[str, dict[str, Any]]:
    config = ApplyConfig(**apply)
    rows = [
        tuple(({"doc_id": name, "content_sha256": "sha"} | row).get(column) for column in STORED_ANSWERS.names)
        for name, rows in answers.items()
        for row in rows
    ]
    parsed = spark.createDataFrame(rows, STORED_ANSWERS).mapInArrow(ParseAnswers(config.semantics), PARSED)
    decided = decide_outcomes(documents, parsed, config, 0.5)
    return {row["doc_id"]: row.asDict(recursive=True) for row in decided.collect()}
