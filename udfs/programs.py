"""Programs of documents in Arrow: their types in Spark, and a batch laid out flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.programs import Operation, OpName
from prox_spark.spark_versions import to_arrow_type
from prox_spark.udfs.arrow import Flags, Numbers, flatten, to_flags, to_numbers
from prox_spark.udfs.edits import Lines, Spans
from prox_spark.udfs.words import count_words_of

# Input of an executor for a chunk: columns of `programs`; the diagnostics are the parser's.
CHUNK: Final = T.StructType(
    [
        schemas.PROGRAMS.schema[name]
        for name in ("chunk_index", "line_start", "line_end", "generation_key", "ops", "diagnostics")
    ]
)
# Result of an executor for a chunk; the diagnostics are the parser's and the executor's.
CHUNK_OUTCOME: Final = T.StructType(
    [
        schemas.PROGRAMS.schema["chunk_index"],
        schemas.PROGRAMS.schema["diagnostics"],
        schemas.PROGRAMS.schema["status"],
        T.StructField("reason", T.StringType()),
    ]
)


def _strip_comments(kind: T.StructType) -> T.StructType:
    """Return the type without comments, as it comes back from Arrow: with them Spark sees a different type in a UDF's result."""

    def strip(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(strip, value))
        if isinstance(value, dict):
            return {key: {} if key == "metadata" else strip(item) for key, item in value.items()}
        return value

    return T.StructType.fromJson(strip(kind.jsonValue()))


# Result of an executor for a document.
EXECUTION: Final = _strip_comments(
    T.StructType(
        [
            *(
                schemas.REFINED.schema[name]
                for name in ("text", "status", "words_before", "words_after", "removed", "normalized")
            ),
            T.StructField("chunk_outcomes", T.ArrayType(CHUNK_OUTCOME)),
        ]
    )
)
ARROW_EXECUTION: Final = to_arrow_type(EXECUTION)

# A dict is many times as fast as a look-up in the enumeration.
_OPERATIONS: Final = {str(name): name for name in OpName}


@dataclass
class Batch:
    """Documents, their chunks and the chunks' operations, each a flat array.

    Attributes:
        texts: text of each document.
        words: number of words of each document.
        lines: lines of the documents.
        is_odd: for each document, True where something was found that the fast path can't handle.
        chunk_doc: number of each chunk's document.
        chunk_index: index of each chunk in its document.
        first_line: first line of each chunk, clipped to existing lines.
        last_line: last line of each chunk, included, clipped likewise.
        op_chunk: number of each operation's chunk.
        op_doc: number of each operation's document.
        op_index: position of each operation in its program.
        ops: the operations, structs of `schemas.OPERATION`.
    """

    texts: pa.StringArray
    words: Numbers
    lines: Lines
    is_odd: Flags
    chunk_doc: Numbers
    chunk_index: pa.Array
    first_line: Numbers
    last_line: Numbers
    op_chunk: Numbers
    op_doc: Numbers
    op_index: Numbers
    ops: pa.StructArray

    @classmethod
    def of(cls, texts: pa.Array, words_before: pa.Array, chunks: pa.Array) -> Batch:
        """Lay out a batch. A document without words gets no chunks: it becomes empty, whatever its programs are."""
        words = to_numbers(words_before)
        if unknown := words_before.null_count:
            rows = np.flatnonzero(to_flags(words_before.is_null()))
            words[rows] = count_words_of(texts.take(pa.array(rows)) if unknown < len(texts) else texts)
        chunks = pc.if_else(pa.array(words > 0), chunks, pa.scalar(None, chunks.type))
        lines = Lines(texts)
        chunk_doc, chunk = flatten(chunks)
        op_chunk, ops = flatten(pc.struct_field(chunk, "ops"))
        n_findings = pc.fill_null(pc.list_value_length(pc.struct_field(chunk, "diagnostics")), 0)
        starts, ends = pc.struct_field(chunk, "line_start"), pc.struct_field(chunk, "line_end")
        is_odd = np.zeros(len(texts), np.bool_)
        is_odd[chunk_doc[to_flags(pc.or_(pc.greater(n_findings, 0), pc.or_(starts.is_null(), ends.is_null())))]] = True
        first_line = np.maximum(to_numbers(starts), 0)
        last_line = np.maximum(np.minimum(to_numbers(ends), lines.n_lines[chunk_doc] - 1), -1)
        # Where chunks share lines, one works on the other's result.
        spans = Spans(chunk_doc, first_line, last_line)
        is_odd[spans.select(first_line <= last_line).sort().find_overlapping()] = True
        first_op = np.searchsorted(op_chunk, np.arange(len(chunk_doc)))
        return cls(
            texts,
            words,
            lines,
            is_odd,
            chunk_doc,
            pc.struct_field(chunk, "chunk_index"),
            first_line,
            last_line,
            op_chunk,
            chunk_doc[op_chunk],
            np.arange(len(op_chunk)) - first_op[op_chunk],
            ops,
        )

    def get_op_field(self, name: str) -> pa.Array:
        """Return a field of all operations."""
        return pc.struct_field(self.ops, name)

    def find_operations(self, *names: OpName) -> Flags:
        """Return for each operation whether it has one of these names."""
        return to_flags(pc.is_in(self.get_op_field("op"), pa.array([str(name) for name in names])))


def to_operation(op: dict[str, Any]) -> Operation:
    """Return a struct of `schemas.OPERATION` as an `Operation`."""
    return Operation(_OPERATIONS[op["op"]], op["line_start"], op["line_end"], op["source_str"], op["target_str"])
