"""Arrow UDF from a model's answers to programs, by the parser of the recipe's semantics. It sees answers, never texts."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

import pyarrow as pa
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.programs import DocVerdict, Program, parse, parse_verdict, read_reference
from prox_spark.udfs.arrow import to_batch

# Chunk index of the document stage's answer, which is stored beside the chunks' answers.
DOC_STAGE: Final = -1

_PROMPT: Final = [
    schemas.PROGRAMS.schema[n] for n in ("doc_id", "content_sha256", "chunk_index", "line_start", "line_end")
]
_GENERATION: Final = [
    schemas.GENERATIONS.schema[n] for n in ("generation_key", "drop_probability", "error_code", "error_message")
]
STORED_ANSWERS: Final = T.StructType([*_PROMPT, *_GENERATION, schemas.GENERATIONS.schema["output_text"]])
PARSED: Final = T.StructType(
    [*_PROMPT, *_GENERATION, schemas.PROGRAMS.schema["ops"], schemas.PROGRAMS.schema["diagnostics"]]
)


@dataclass(frozen=True)
class ParseAnswers:
    """A function for `mapInArrow` over STORED_ANSWERS that returns one row of PARSED per answer.

    A chunk's answer becomes operations and findings. A document's free-text answer (of a refiner that was not constrained to
    two answers) becomes a drop probability of 1 or 0, null when the verdict is unknown.

    Args:
        semantics: parser that reads the chunks' answers.
    """

    semantics: Literal["strict", "reference"]

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield one parsed batch per batch, with its rows in the same order."""
        for batch in batches:
            yield to_batch([self._make_row(row) for row in batch.to_pylist()], PARSED)

    def _make_row(self, row: dict[str, Any]) -> tuple[object, ...]:
        output = row["output_text"]
        if row["chunk_index"] == DOC_STAGE:
            if row["drop_probability"] is None and output is not None:
                row["drop_probability"] = {DocVerdict.DROP: 1.0, DocVerdict.KEEP: 0.0}.get(parse_verdict(output))
            program = Program()
        else:
            program = self._read(output or "", range(row["line_start"], row["line_end"] + 1))
        row["ops"] = [asdict(op) for op in program.ops]
        row["diagnostics"] = [asdict(finding) for finding in program.diagnostics]
        return tuple(row[name] for name in PARSED.names)

    def _read(self, output: str, lines: range) -> Program:
        if self.semantics == "reference":
            return read_reference(output.strip(" "))  # the released job stores answers stripped
        return parse(output, lines)
