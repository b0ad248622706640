"""Arrow UDF from a teacher's answers about a document to its labels."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Final

import pyarrow as pa
from pyspark.sql import types as T

from prox_spark import schemas
from prox_spark.annotation import QUESTIONS, Draft, StoredAnswer, draft_chunk, draft_document
from prox_spark.udfs.arrow import to_batch

# One answer about a document; its lines are null unless the answer is about a chunk.
ANSWER: Final = T.StructType(
    [
        T.StructField("question", T.StringType()),
        schemas.PROGRAMS.schema["line_start"],
        schemas.PROGRAMS.schema["line_end"],
        *(
            schemas.GENERATIONS.schema[name]
            for name in ("generation_key", "output_text", "finish_reason", "error_message")
        ),
    ]
)
_OWN: Final = ("label_set", "origin", "run_id")
DRAFTS: Final = T.StructType([field for field in schemas.LABELS.schema if field.name not in _OWN])
_PROGRAM_NAMES: Final = [question.name for question in QUESTIONS if not question.asks_for_score]


@dataclass(frozen=True)
class DraftLabels:
    """A function for `mapInArrow` over (doc_id, content_sha256, text, answers).

    It returns a row of DRAFTS for the document and one for each chunk.

    Args:
        max_removed_share: largest share of a chunk's words that its program may remove.
    """

    max_removed_share: float

    def __call__(self, batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        """Yield a batch of labels for each batch of documents."""
        for batch in batches:
            yield to_batch([row for document in batch.to_pylist() for row in self._make_rows(document)], DRAFTS)

    def _make_rows(self, document: dict[str, Any]) -> Iterator[tuple[object, ...]]:
        about: dict[tuple[int, int] | None, dict[str, dict[str, Any]]] = {}
        for answer in document["answers"]:
            lines = None if answer["line_start"] is None else (answer["line_start"], answer["line_end"])
            about.setdefault(lines, {})[answer["question"]] = answer
        for lines in sorted(about, key=lambda lines: lines or (-1, -1)):
            answers = {
                name: StoredAnswer(row["output_text"], row["error_message"], is_cut=row["finish_reason"] == "length")
                for name, row in about[lines].items()
            }
            label_id, text = document["doc_id"], document["text"]
            if lines is None:
                draft = draft_document(text, answers)
            else:
                label_id += f":{lines[0]}-{lines[1]}"
                chunk = range(lines[0], lines[1] + 1)
                draft = draft_chunk(text, chunk, answers, _PROGRAM_NAMES, self.max_removed_share)
            keys = [row["generation_key"] for row in about[lines].values()]
            yield self._make_row(document, label_id, draft, keys)

    @staticmethod
    def _make_row(document: dict[str, Any], label_id: str, draft: Draft, keys: list[str]) -> tuple[object, ...]:
        ops = None if draft.ops is None else [asdict(op) for op in draft.ops]
        row = {**document, "label_id": label_id, "generation_keys": sorted(keys)}
        row |= {name: getattr(draft, name) for name in ("text", "first_line", "keep", "edu", "format", "message")}
        row |= {"ops": ops, "reason": draft.reason}
        return tuple(row[name] for name in DRAFTS.names)
