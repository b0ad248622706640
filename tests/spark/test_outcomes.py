"""What becomes of documents, by the answers to their prompts: one Spark job for all cases of a recipe."""

from __future__ import annotations

from typing import Any

import pytest
from made_answers import Answers, answer, chunk, run, verdict

from prox_spark.errors import ReasonCode
from prox_spark.pipeline.asking.stored_answers import NO_GENERATION
from prox_spark.programs import execute_reference
from prox_spark.udfs.parse import DOC_STAGE

pytestmark = pytest.mark.spark

LINES = [f"line {number} holds enough words to stay" for number in range(6)]
PAGE = "\n".join(LINES)


def failed(index: int, reason: str = str(ReasonCode.PROMPT_TOO_LONG)) -> dict[str, Any]:
    return answer(index, None, 0, 5, error_code=reason, error_message="too long")


def without(*numbers: int) -> str:
    return "\n".join(line for number, line in enumerate(LINES) if number not in numbers)


ERRORS = "nonsense()\nrubbish()\nremove_lines(0, 0)"
STRICT: dict[str, tuple[str, Answers]] = {
    "at the threshold": (PAGE, [verdict(0.5), chunk(0, "remove_lines(0, 2)")]),
    "below the threshold": (PAGE, [verdict(0.4999), chunk(0, "keep_chunk()")]),
    "dropped, chunks never asked": (PAGE, [verdict(0.9), failed(0, NO_GENERATION)]),
    "no chunks": (PAGE, [verdict()]),
    "two chunks": (
        PAGE,
        [
            chunk(1, 'remove_lines(4, 4)\nnormalize("5 holds", "5 has")', 3, 5),
            verdict(),
            chunk(0, "remove_lines(1, 1)", 0, 2),
        ],
    ),
    "lines of another chunk": (
        PAGE,
        [verdict(), chunk(0, "remove_lines(1, 1)", 0, 2), chunk(1, "remove_lines(0, 0)", 3, 5)],
    ),
    "clipped": (PAGE, [verdict(), chunk(3, "remove_lines(4, 9)", 3, 5)]),
    "discarded": (PAGE, [verdict(), chunk(0, ERRORS, 0, 2), chunk(1, "remove_lines(4, 4)", 3, 5)]),
    "all discarded": (PAGE, [verdict(), chunk(0, ERRORS)]),
    "short": (PAGE, [verdict(), chunk(0, "remove_lines(1, 5)")]),
    "doc failed": (PAGE, [{**failed(DOC_STAGE), "line_start": None}]),
    "one chunk failed": (PAGE, [verdict(), chunk(0, "keep_chunk()", 0, 2), failed(1)]),
    "no generation": (PAGE, [verdict(), failed(0, NO_GENERATION)]),
    "empty": ("", []),
    "blank": (" \n\t", []),
    "dropped in words": (PAGE, [answer(DOC_STAGE, "```\ndrop_doc()\n```", None, None)]),
    "kept in words": (PAGE, [answer(DOC_STAGE, "keep_doc()", None, None), chunk(0, "remove_lines(0, 0)")]),
    "said neither": (PAGE, [answer(DOC_STAGE, "I would not drop_doc() this", None, None)]),
}
REFERENCE = [
    ["keep_chunk()", "keep_chunk()"],
    ["remove_lines(line_start=1, line_end=1)", "remove_lines(line_start=4, line_end=4)"],
    [" remove_lines(line_start=0, line_end=4) ", "keep_chunk()"],
    ["remove_lines(line_start=5, line_end=5)", "keep_chunk()"],
    ["remove_lines(line_start=4, line_end=4)", 'normalize(source_str="holds", target_str="has")'],
    ["remove_lines(line_start=1, line_end=99", "remove_lines(x)"],
    ["remove_lines(line_start=7, line_end=9)\nremove_lines(line_start=0, line_end=0)", "nonsense"],
    ['normalize(source_str="a, b, c", target_str="")', "remove_lines(all=True)"],
]


@pytest.fixture(scope="module")
def strict(spark: Any) -> dict[str, dict[str, Any]]:
    return run(spark, STRICT)


@pytest.mark.parametrize(
    ("case", "status", "text"),
    [
        ("at the threshold", "dropped_doc", ""),
        ("below the threshold", "kept_unchanged", PAGE),
        ("dropped, chunks never asked", "dropped_doc", ""),
        ("no chunks", "kept_unchanged", PAGE),
        ("two chunks", "edited", without(1, 4).replace("5 holds", "5 has")),
        ("lines of another chunk", "edited", without(1)),
        ("clipped", "edited", without(4, 5)),
        ("discarded", "edited", without(4)),
        ("all discarded", "program_discarded", PAGE),
        ("short", "blanked_short", ""),
        ("doc failed", "quarantined", ""),
        ("one chunk failed", "quarantined", ""),
        ("no generation", "quarantined", ""),
        ("empty", "blanked_short", ""),
        ("blank", "blanked_short", ""),
        ("dropped in words", "dropped_doc", ""),
        ("kept in words", "edited", without(0)),
        ("said neither", "kept_unchanged", PAGE),
    ],
)
def test_a_document_has_the_status_and_text_that_its_answers_make(
    strict: dict[str, dict[str, Any]], case: str, status: str, text: str
) -> None:
    assert (strict[case]["status"], strict[case]["text"]) == (status, text)


def test_a_dropped_document_keeps_its_probability_and_one_program(strict: dict[str, dict[str, Any]]) -> None:
    row = strict["at the threshold"]
    assert (row["drop_probability"], row["words_before"], row["words_after"], row["removed"]) == (0.5, 42, 0, [])
    [program] = row["programs"]
    assert (program["chunk_index"], program["ops"][0]["op"]) == (DOC_STAGE, "drop_doc")


def test_programs_stand_in_order_with_what_was_found(strict: dict[str, dict[str, Any]]) -> None:
    assert [program["chunk_index"] for program in strict["two chunks"]["programs"]] == [DOC_STAGE, 0, 1]
    assert [program["status"] for program in strict["discarded"]["programs"]] == ["applied", "discarded", "applied"]
    row = strict["clipped"]["programs"][1]
    assert (row["chunk_index"], row["line_start"], row["line_end"], row["generation_key"]) == (3, 3, 5, "key 3")
    assert (row["ops"][0]["line_start"], row["ops"][0]["line_end"], row["status"]) == (4, 5, "applied_with_notes")
    assert [finding["code"] for finding in row["diagnostics"]] == ["range_clipped"]
    assert strict["empty"]["programs"] == []


def test_lineage_names_what_removed_and_replaced(strict: dict[str, dict[str, Any]]) -> None:
    row = strict["two chunks"]
    assert row["removed"] == [
        {"line_start": 1, "line_end": 1, "chunk_index": 0, "op_index": 0},
        {"line_start": 4, "line_end": 4, "chunk_index": 1, "op_index": 0},
    ]
    [done] = row["normalized"]
    assert (done["chunk_index"], done["op_index"], done["source_str"], done["n_hits"]) == (1, 1, "5 holds", 1)
    assert (row["words_before"], row["words_after"]) == (42, 28)


def test_only_a_quarantined_document_has_a_reason(strict: dict[str, dict[str, Any]]) -> None:
    found = {name: row["failure"] for name, row in strict.items() if row["failure"]}
    assert found == {
        "doc failed": {"stage": "doc", "reason": "prompt_too_long", "message": "too long"},
        "one chunk failed": {"stage": "chunk", "reason": "prompt_too_long", "message": "too long"},
        "no generation": {"stage": "chunk", "reason": NO_GENERATION, "message": "too long"},
    }
    assert strict["one chunk failed"]["programs"] is None


@pytest.mark.parametrize(("ratio", "errors"), [(0.05, 2), (0.5, 1)])
def test_reference_semantics_are_those_of_the_released_executor(spark: Any, ratio: float, errors: int) -> None:
    cases = {
        str(outputs): (PAGE, [verdict(), *(chunk(i, text, 3 * i, 3 * i + 2) for i, text in enumerate(outputs))])
        for outputs in REFERENCE
    }
    found = run(spark, cases, semantics="reference", min_word_ratio=ratio, max_errors=errors)
    for outputs in REFERENCE:
        joined = "\n".join(output.strip(" ") for output in outputs)
        expected = execute_reference(PAGE, joined, threshold_2=1 - ratio, error_op=errors)
        assert found[str(outputs)]["text"] == expected, outputs
        assert len(found[str(outputs)]["programs"]) == 3


def test_gates_are_those_of_the_recipe(spark: Any) -> None:
    cases = {"short": STRICT["short"], "discarded": STRICT["all discarded"]}
    found = run(spark, cases, min_words=6, max_errors=3)
    assert {name: row["text"] for name, row in found.items()} == {"short": LINES[0], "discarded": without(0)}
