"""Programs of documents as Arrow has them: their types in Spark, and a batch laid out flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from pyspark.sql import types as T
from pyspark.sql.pandas.types import to_arrow_type

from prox_spark import schemas
from prox_spark.programs import Operation, OpName
from prox_spark.udfs.arrow import Flags, Numbers, flat, numbers, true
from prox_spark.udfs.edits import Lines, Spans
from prox_spark.udfs.words import count_words_of

# What an executor reads of a chunk: columns of `programs`, diagnostics are the parser's.
CHUNK: Final = T.StructType(
    [
        schemas.PROGRAMS.schema[name]
        for name in ("chunk_index", "line_start", "line_end", "generation_key", "ops", "diagnostics")
    ]
)
# What it says of a chunk: diagnostics are the parser's and its own.
CHUNK_OUTCOME: Final = T.StructType(
    [
        schemas.PROGRAMS.schema["chunk_index"],
        schemas.PROGRAMS.schema["diagnostics"],
        schemas.PROGRAMS.schema["status"],
        T.StructField("reason", T.StringType()),
    ]
)


def _without_comments(kind: T.StructType) -> T.StructType:
    """Return the type as Arrow gives it back: Spark takes the result of a UDF for another one where fields have comments."""

    def bare(value: Any) -> Any:
        if isinstance(value, list):
            return list(map(bare, value))
        return (
            {key: bare(item) for key, item in value.items() if key != "metadata"} if isinstance(value, dict) else value
        )

    return T.StructType.fromJson(bare(kind.jsonValue()))


# What it says of a document.
EXECUTION: Final = _without_comments(
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

# Many times as fast as to ask the enumeration.
_OPERATIONS: Final = {str(name): name for name in OpName}


@dataclass
class Batch:
    """Documents, their chunks and the operations of these, flat, each with the number of what it belongs to.

    Attributes:
        texts: of the documents.
        words: of the documents.
        lines: of the documents.
        is_odd: of the documents: True where something is found that asks for the long way.
        chunk_doc: number of a chunk's document.
        chunk_index: of the chunks; so are `first_line` and `last_line`, cut to lines that are there.
        op_chunk: number of an operation's chunk.
        op_doc: number of its document.
        op_index: its position in the program.
        ops: structs of `schemas.OPERATION`.
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
        """Lay a batch out. A document without words has no chunks: it is empty, whatever its programs say."""
        words = numbers(words_before)
        if unknown := words_before.null_count:
            rows = np.flatnonzero(true(words_before.is_null()))
            words[rows] = count_words_of(texts.take(pa.array(rows)) if unknown < len(texts) else texts)
        chunks = pc.if_else(pa.array(words > 0), chunks, pa.scalar(None, chunks.type))
        lines = Lines(texts)
        chunk_doc, chunk = flat(chunks)
        op_chunk, ops = flat(pc.struct_field(chunk, "ops"))
        n_findings = pc.fill_null(pc.list_value_length(pc.struct_field(chunk, "diagnostics")), 0)
        starts, ends = pc.struct_field(chunk, "line_start"), pc.struct_field(chunk, "line_end")
        is_odd = np.zeros(len(texts), np.bool_)
        is_odd[chunk_doc[true(pc.or_(pc.greater(n_findings, 0), pc.or_(starts.is_null(), ends.is_null())))]] = True
        first_line = np.maximum(numbers(starts), 0)
        last_line = np.maximum(np.minimum(numbers(ends), lines.n_lines[chunk_doc] - 1), -1)
        # Chunks that share lines work one on what the other made.
        spans = Spans(chunk_doc, first_line, last_line)
        is_odd[spans.where(first_line <= last_line).in_order().overlapping()] = True
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

    def field(self, name: str) -> pa.Array:
        """Return a field of the operations."""
        return pc.struct_field(self.ops, name)

    def named(self, *names: OpName) -> Flags:
        """Say which operations have one of these names."""
        return true(pc.is_in(self.field("op"), pa.array([str(name) for name in names])))


def operation_of(op: dict[str, Any]) -> Operation:
    """Return a struct of `schemas.OPERATION` as the executors take it."""
    return Operation(_OPERATIONS[op["op"]], op["line_start"], op["line_end"], op["source_str"], op["target_str"])
