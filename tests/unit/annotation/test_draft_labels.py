"""The UDF that makes rows of `labels` of stored answers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from prox_spark.annotation import QUESTIONS
from prox_spark.udfs.annotate import ANSWER, DRAFTS, DraftLabels

pytestmark = pytest.mark.unit

SCORES = [question.name for question in QUESTIONS if question.asks_for_score]


def draft(finish_reason: str) -> dict[str, Any]:
    answers = [
        dict.fromkeys(ANSWER.names)
        | {"question": name, "generation_key": name, "output_text": "3", "finish_reason": finish_reason}
        for name in SCORES
    ]
    document = {"doc_id": "d", "content_sha256": "s", "text": "A page.", "answers": answers}
    (batch,) = DraftLabels(0.9)(iter([pa.RecordBatch.from_pylist([document])]))
    (row,) = batch.to_pylist()
    assert row.keys() == set(DRAFTS.names)
    return row  # type: ignore[no-any-return]


def test_an_answer_that_was_cut_at_the_limit_makes_no_label() -> None:
    whole, cut = draft("stop"), draft("length")
    assert (whole["keep"], whole["edu"], whole["reason"]) == (True, 3, None)
    assert (cut["keep"], cut["edu"], cut["reason"]) == (None, None, "cut")
