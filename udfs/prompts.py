"""Arrow UDF from documents to the prompts that a refiner reads. CPU only."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
from pyspark.sql import types as T

from prox_spark.prompts import Prompt, PromptBuilder
from prox_spark.udfs.arrow import to_batch

PROMPTS = T.StructType(
    [
        T.StructField("doc_id", T.StringType()),
        T.StructField("content_sha256", T.StringType()),
        T.StructField("generation_key", T.StringType()),
        T.StructField("chunk_index", T.IntegerType()),
        T.StructField("line_start", T.IntegerType()),
        T.StructField("line_end", T.IntegerType()),
        T.StructField("skip_reason", T.StringType()),
        T.StructField("token_ids", T.ArrayType(T.IntegerType(), containsNull=False)),
    ]
)


@dataclass(frozen=True)
class BuildPrompts:
    """A function for `mapInArrow` over (doc_id, content_sha256, text, first_line) that returns a row of PROMPTS per prompt.

    Args:
        builder: the prompt builder of a stage.
        with_token_ids: False leaves the token ids empty where only the keys are needed, as in `apply`.
    """

    builder: PromptBuilder
    with_token_ids: bool = True

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield a batch of prompts for each batch of documents."""
        for batch in batches:
            columns = ("doc_id", "content_sha256", "text", "first_line")
            rows = [
                self._make_row(doc_id, sha, prompt)
                for doc_id, sha, text, first_line in zip(*(batch.column(c).to_pylist() for c in columns), strict=True)
                for prompt in self.builder.build_prompts(text, first_line)
            ]
            yield to_batch(rows, PROMPTS)

    def _make_row(self, doc_id: str, content_sha256: str, prompt: Prompt) -> tuple[object, ...]:
        lines = (prompt.chunk_index, prompt.line_start, prompt.line_end)
        token_ids = prompt.token_ids if self.with_token_ids else []
        return doc_id, content_sha256, prompt.key, *lines, prompt.skip_reason, token_ids
