from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest

from prox_spark.config import ApplyConfig
from prox_spark.errors import ReasonCode
from prox_spark.programs import DocumentStatus, Operation, OpName, RemovedSpan, Verdict, execute_reference
from udfs.apply import ANSWER, APPLIED, DOC_STAGE, Applied, Apply
from udfs.arrow import to_batch

pytestmark = pytest.mark.unit

LINES = [f"line {number} holds enough words to stay" for number in range(6)]
PAGE = "\n".join(LINES)


def verdict(drop_probability: float | None = 0.1, **fields: Any) -> dict[str, Any]:
    return answer(DOC_STAGE, "keep_doc()", None, None, drop_probability=drop_probability, **fields)


def answer(index: int, output: str | None, start: int | None, end: int | None, **fields: Any) -> dict[str, Any]:
    row = dict.fromkeys(ANSWER.names)
    row |= {"chunk_index": index, "line_start": start, "line_end": end, "generation_key": f"key {index}"}
    return row | {"output_text": output} | fields


def chunk(index: int, output: str | None, start: int = 0, end: int = 5, **fields: Any) -> dict[str, Any]:
    return answer(index, output, start, end, **fields)


def apply(*answers: dict[str, Any], text: str = PAGE, **config: Any) -> Applied:
    return Apply(ApplyConfig(**({"drop_threshold": 0.5} | config))).document(text, answers)


def without(*numbers: int) -> str:
    return "\n".join(line for number, line in enumerate(LINES) if number not in numbers)


@pytest.mark.parametrize(
    ("probability", "threshold", "is_dropped"),
    [(0.5, 0.5, True), (0.4999, 0.5, False), (0.9, 0.95, False), (1.0, 1.0, True), (0.0, 0.0, True)],
)
def test_a_document_is_dropped_from_the_threshold_on(probability: float, threshold: float, is_dropped: bool) -> None:
    applied = apply(verdict(probability), chunk(0, "keep_chunk()"), drop_threshold=threshold)
    assert (applied.execution.status is DocumentStatus.DROPPED_DOC) is is_dropped
    assert applied.drop_probability == probability


def test_a_dropped_document_has_no_text_and_one_program() -> None:
    applied = apply(verdict(0.9))
    assert (applied.execution.text, applied.execution.words_before, applied.execution.words_after) == ("", 42, 0)
    (program,) = applied.programs
    assert (program["chunk_index"], program["ops"][0]["op"]) == (DOC_STAGE, "drop_doc")


def test_the_programs_of_a_dropped_document_are_not_run() -> None:
    applied = apply(verdict(0.9), chunk(0, "remove_lines(0, 2)"))
    assert applied.execution.removed == () and len(applied.programs) == 1


def test_a_document_whose_chunks_are_kept_stays_as_it_is() -> None:
    applied = apply(verdict(), chunk(0, "keep_chunk()"))
    assert (applied.execution.status, applied.execution.text) == (DocumentStatus.KEPT_UNCHANGED, PAGE)
    assert [program["ops"][0]["op"] for program in applied.programs] == ["keep_doc", "keep_chunk"]


def test_a_document_without_chunks_stays_as_it_is() -> None:
    assert apply(verdict()).execution.status is DocumentStatus.KEPT_UNCHANGED


def test_the_programs_of_all_chunks_edit_the_document() -> None:
    applied = apply(
        verdict(),
        chunk(0, "remove_lines(1, 1)", 0, 2),
        chunk(1, 'remove_lines(4, 4)\nnormalize("5 holds", "5 has")', 3, 5),
    )
    assert applied.execution.status is DocumentStatus.EDITED
    assert applied.execution.text == without(1, 4).replace("5 holds", "5 has")
    assert applied.execution.removed == (RemovedSpan(1, 1, 0, 0), RemovedSpan(4, 4, 1, 0))


def test_the_answers_may_come_in_any_order() -> None:
    answers = [chunk(1, "remove_lines(4, 4)", 3, 5), verdict(), chunk(0, "remove_lines(1, 1)", 0, 2)]
    applied = apply(*answers)
    assert applied.execution.text == without(1, 4)
    assert [program["chunk_index"] for program in applied.programs] == [DOC_STAGE, 0, 1]


def test_a_program_works_on_the_lines_of_its_chunk_alone() -> None:
    applied = apply(verdict(), chunk(0, "remove_lines(1, 1)", 0, 2), chunk(1, "remove_lines(0, 0)", 3, 5))
    assert applied.execution.text == without(1)


def test_a_program_row_says_where_it_comes_from_and_what_was_found() -> None:
    applied = apply(verdict(), chunk(3, "remove_lines(4, 9)", 3, 5))
    row = applied.programs[1]
    assert (row["chunk_index"], row["line_start"], row["line_end"], row["generation_key"]) == (3, 3, 5, "key 3")
    operation = Operation(OpName.REMOVE_LINES, 4, 5)
    assert row["ops"] == [{name: getattr(operation, name) for name in Operation.__dataclass_fields__}]
    assert [finding["code"] for finding in row["diagnostics"]] == ["range_clipped"]
    assert row["status"] is Verdict.APPLIED_WITH_NOTES


def test_a_program_of_errors_is_discarded_and_the_others_are_not() -> None:
    applied = apply(
        verdict(), chunk(0, "nonsense()\nrubbish()\nremove_lines(0, 0)", 0, 2), chunk(1, "remove_lines(4, 4)", 3, 5)
    )
    assert applied.execution.text == without(4)
    assert [program["status"] for program in applied.programs] == [Verdict.APPLIED, Verdict.DISCARDED, Verdict.APPLIED]


@pytest.mark.parametrize(
    ("config", "status"),
    [
        ({}, DocumentStatus.BLANKED_SHORT),
        ({"min_words": 6}, DocumentStatus.EDITED),
        ({"min_word_ratio": 0.5}, DocumentStatus.BLANKED_RATIO),
    ],
)
def test_the_gates_are_those_of_the_recipe(config: dict[str, Any], status: DocumentStatus) -> None:
    assert apply(verdict(), chunk(0, "remove_lines(1, 5)"), **config).execution.status is status


def test_the_limit_of_errors_is_that_of_the_recipe() -> None:
    errors = chunk(0, "nonsense()\nrubbish()\nremove_lines(0, 0)")
    assert apply(verdict(), errors, max_errors=3).execution.text == without(0)


@pytest.mark.parametrize(
    ("answers", "stage"),
    [
        ([verdict(None, error_code=ReasonCode.PROMPT_TOO_LONG, error_message="too long")], "doc"),
        ([verdict(), chunk(0, None, error_code=ReasonCode.PROMPT_TOO_LONG, error_message="too long")], "chunk"),
        (
            [
                verdict(),
                chunk(0, "keep_chunk()", 0, 2),
                chunk(1, None, 3, 5, error_code=ReasonCode.PROMPT_TOO_LONG, error_message="too long"),
            ],
            "chunk",
        ),
    ],
    ids=["doc", "chunk", "one of two chunks"],
)
@pytest.mark.parametrize("semantics", ["strict", "reference"])
def test_a_document_with_an_answer_that_failed_is_quarantined(
    answers: list[dict[str, Any]], stage: str, semantics: str
) -> None:
    applied = apply(*answers, semantics=semantics)
    assert applied.execution.status is DocumentStatus.QUARANTINED
    assert (applied.stage, applied.reason, applied.message) == (stage, "prompt_too_long", "too long")
    assert (applied.execution.text, applied.programs) == ("", ())


@pytest.mark.parametrize("text", ["", " \n\t"])
@pytest.mark.parametrize("semantics", ["strict", "reference"])
def test_a_text_without_words_is_blanked(text: str, semantics: str) -> None:
    applied = apply(text=text, semantics=semantics)
    assert applied.execution.status is DocumentStatus.BLANKED_SHORT
    assert (applied.execution.text, applied.drop_probability, list(applied.programs)) == ("", None, [])


@pytest.mark.parametrize(
    "outputs",
    [
        ["keep_chunk()", "keep_chunk()"],
        ["remove_lines(line_start=1, line_end=1)", "remove_lines(line_start=4, line_end=4)"],
        [" remove_lines(line_start=0, line_end=4) ", "keep_chunk()"],
        ["remove_lines(line_start=0, line_end=2)", "keep_chunk()"],
        ["remove_lines(line_start=4, line_end=4)", 'normalize(source_str="holds", target_str="has")'],
        ["remove_lines(line_start=1, line_end=99", "remove_lines(x)"],
        ["remove_lines(line_start=7, line_end=9)\nremove_lines(line_start=0, line_end=0)", "nonsense"],
        ['normalize(source_str="a, b, c", target_str="")', "remove_lines(all=True)"],
    ],
    ids=str,
)
@pytest.mark.parametrize(("ratio", "errors"), [(0.05, 2), (0.5, 1)])
def test_reference_semantics_are_those_of_the_released_executor(outputs: list[str], ratio: float, errors: int) -> None:
    chunks = [chunk(index, output, 3 * index, 3 * index + 2) for index, output in enumerate(outputs)]
    applied = apply(verdict(), *chunks, semantics="reference", min_word_ratio=ratio, max_errors=errors)
    joined = "\n".join(output.strip(" ") for output in outputs)
    assert applied.execution.text == execute_reference(PAGE, joined, threshold_2=1 - ratio, error_op=errors)
    assert len(applied.programs) == 3


def test_reference_semantics_let_a_program_reach_beyond_its_chunk() -> None:
    answers = (verdict(), chunk(0, "remove_lines(line_start=5, line_end=5)", 0, 2), chunk(1, "keep_chunk()", 3, 5))
    assert apply(*answers, semantics="reference").execution.text == without(5)
    assert apply(*answers, semantics="strict").execution.text == PAGE


def rows_of(*documents: tuple[str, list[dict[str, Any]] | None]) -> list[dict[str, Any]]:
    """What Spark gets for (text, answers), batch in and batch out."""
    answers = pa.list_(pa.struct(list(to_batch([], ANSWER).schema)))
    schema = pa.schema(
        [("doc_id", pa.string()), ("content_sha256", pa.string()), ("text", pa.string()), ("answers", answers)]
    )
    columns = {
        "doc_id": [f"d{number}" for number in range(len(documents))],
        "content_sha256": ["sha"] * len(documents),
        "text": [text for text, _ in documents],
        "answers": [answers for _, answers in documents],
    }
    batch = pa.RecordBatch.from_pydict(columns, schema=schema)
    return [row for out in Apply(ApplyConfig(drop_threshold=0.5))(iter([batch])) for row in out.to_pylist()]


def test_a_batch_has_one_row_for_each_document_in_order() -> None:
    rows = rows_of((PAGE, [verdict(0.9)]), ("", None), (PAGE, [verdict(), chunk(0, "remove_lines(0, 1)")]))
    assert [(row["doc_id"], row["status"]) for row in rows] == [
        ("d0", "dropped_doc"),
        ("d1", "blanked_short"),
        ("d2", "edited"),
    ]
    assert all(list(row) == APPLIED.names for row in rows)


def test_a_row_carries_removed_spans_and_replacements_with_what_made_them() -> None:
    (row,) = rows_of((PAGE, [verdict(), chunk(0, 'remove_lines(0, 1)\nnormalize("holds", "has")')]))
    assert row["removed"] == [{"line_start": 0, "line_end": 1, "chunk_index": 0, "op_index": 0}]
    assert row["normalized"] == [
        {"chunk_index": 0, "op_index": 1, "source_str": "holds", "target_str": "has", "n_hits": 4}
    ]
    assert (row["words_before"], row["words_after"]) == (42, 28)


def test_only_a_quarantined_row_has_a_reason_and_a_short_snippet() -> None:
    failed = verdict(None, error_code="request_timeout", error_message="late")
    bad, good = rows_of(("x" * 300, [failed]), (PAGE, [verdict()]))
    assert (bad["stage"], bad["reason"], bad["message"], bad["snippet"]) == (
        "doc",
        "request_timeout",
        "late",
        "x" * 200,
    )
    assert [good[name] for name in ("stage", "reason", "message", "snippet")] == [None] * 4


def test_an_empty_batch_is_an_empty_batch() -> None:
    assert rows_of() == []
