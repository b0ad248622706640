"""The reference executor returns what the authors' released one returned, byte for byte."""

import gzip
import json
import time
from pathlib import Path
from typing import Any

import pytest

from prox_spark.programs import (
    DiagnosticCode,
    DocumentStatus,
    Normalization,
    Operation,
    OpName,
    ProgramStatus,
    RemovedSpan,
    execute_reference,
    read_reference,
    run_reference,
)
from prox_spark.programs.reference import MAX_ERRORS, MAX_NUMBER

pytestmark = pytest.mark.unit

OWN_VECTORS = Path(__file__).parents[2] / "data" / "reference" / "executor_vectors.jsonl.gz"
WORDS = "one two three four five six seven eight nine ten eleven twelve"
TEXT = "\n".join([WORDS, WORDS.upper(), "menu | login", WORDS])


def read_vectors(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def mismatches(vectors: list[dict[str, Any]]) -> list[int]:
    wrong = []
    for index, vector in enumerate(vectors):
        arguments = {name: value for name, value in vector.items() if name != "expected"}
        if execute_reference(**arguments) != vector["expected"]:
            wrong.append(index)
    return wrong


def test_all_recorded_results_are_reproduced() -> None:
    vectors = read_vectors(OWN_VECTORS)
    assert len(vectors) == 1_500
    assert mismatches(vectors) == []


@pytest.mark.shared
def test_all_shared_recorded_results_are_reproduced(shared_dir: Path) -> None:
    vectors = read_vectors(shared_dir / "reference" / "executor_vectors.jsonl.gz")
    assert len(vectors) == 2_000
    assert mismatches(vectors) == []


def test_answers_by_chunk_give_the_text_of_the_joined_answers() -> None:
    vectors = read_vectors(OWN_VECTORS)
    cut = 0
    for vector in vectors:
        arguments = {name: value for name, value in vector.items() if name not in ("expected", "program")}
        answers = vector["program"].strip(" ").split("\n")
        if all(answer == answer.strip(" ") for answer in answers):
            cut += len(answers) > 1
            assert run_reference(program=answers, **arguments).text == vector["expected"]
    assert cut > 500


@pytest.mark.parametrize(
    ("program", "gone"),
    [
        ("remove_lines(line_start=2, line_end=2)", [2]),
        ("remove_lines(line_start=2, line_end=23", [2]),
        ("remove_lines(line_start= 2 , line_end=0_2)", [2]),
        ("remove_lines(line_start=2, line_end=1)", []),
        ("remove_lines(2, 2)", []),
        ("  remove_lines(line_start=2, line_end=2)", [2]),
        ("keep_chunk()\n remove_lines(line_start=2, line_end=2)", []),
        ("remove_lines(line_start=-9, line_end=0)", [0]),
        ("remove_lines(line_start=2, line_end=999999999999999999999)", [2, 3]),
    ],
)
def test_ranges_are_read_as_the_original_does(program: str, gone: list[int]) -> None:
    lines = TEXT.split("\n")
    kept = [line for number, line in enumerate(lines) if number not in gone]
    assert execute_reference(TEXT, program, error_op=3) == "\n".join(kept)


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ('normalize(source_str="menu | ", target_str="")', TEXT.replace("menu | ", "")),
        ('normalize(source_str="menu | ")', TEXT.replace("menu | ", "")),
        ('normalize(source_str=" ")', TEXT),
        ('normalize(source_str=" ", target_str="_")', TEXT),
        ('normalize(source_str="one", target_str="1, 2")', TEXT),
        ('normalize(source_str="one", target_str="a=b")', TEXT.replace("one", "a")),
    ],
)
def test_strings_are_cut_as_the_original_does(program: str, expected: str) -> None:
    if program == 'normalize(source_str=" ")':
        # Without spaces every line is one word, too few to keep.
        expected = ""
    assert execute_reference(TEXT, program) == expected


@pytest.mark.parametrize("text", ["", " ", "\n\n", "\u00a0\t"])
def test_a_text_without_words_gives_an_empty_text(text: str) -> None:
    assert run_reference(text, "remove_lines(line_start=0, line_end=0)").status is DocumentStatus.BLANKED_SHORT
    assert execute_reference(text, "keep_chunk()") == ""


@pytest.mark.parametrize(
    ("text", "program", "status"),
    [
        (TEXT, "keep_chunk()", DocumentStatus.KEPT_UNCHANGED),
        (TEXT, "remove_lines(line_start=2, line_end=2)", DocumentStatus.EDITED),
        (TEXT, "remove_lines(all=True)", DocumentStatus.BLANKED_RATIO),
        (WORDS, 'normalize(source_str="one two ")', DocumentStatus.BLANKED_SHORT),
        (TEXT, "remove_lines(9)\nremove_lines(9)\nremove_lines(line_start=2, line_end=2)", "program_discarded"),
        # Errors discard the edits, but the text after the edits decides about blanking.
        (TEXT, "remove_lines(9)\nremove_lines(9)\nremove_lines(line_start=0, line_end=3)", "blanked_short"),
    ],
)
def test_the_status_says_what_became_of_the_document(text: str, program: str, status: str) -> None:
    assert run_reference(text, program).status == status


def test_exactly_five_percent_left_is_blanked_as_the_float_comparison_has_it() -> None:
    text = "\n".join(["w " * 380, "v " * 20])
    assert run_reference(text, "remove_lines(line_start=0, line_end=0)").status is DocumentStatus.BLANKED_RATIO
    longer = "\n".join(["w " * 379, "v " * 20])
    assert run_reference(longer, "remove_lines(line_start=0, line_end=0)").status is DocumentStatus.EDITED


def test_too_few_words_left_for_the_first_threshold_discards() -> None:
    execution = run_reference(TEXT, "remove_lines(line_start=0, line_end=1)", threshold_1=0.9)
    assert (execution.text, execution.status) == (TEXT, DocumentStatus.PROGRAM_DISCARDED)
    assert execution.removed == ()
    assert "less than 0.9 of the words" in (execution.chunk_outcomes[0].reason or "")


def test_just_enough_words_left_for_the_first_threshold_is_enough() -> None:
    text = "\n".join(["w " * 20, "v " * 20])
    assert execute_reference(text, "remove_lines(line_start=0, line_end=0)", threshold_1=0.5) == "v " * 20


def test_lineage_names_chunk_and_operation() -> None:
    answers = [
        "keep_chunk()\nremove_lines(line_start=2, line_end=2)",
        'normalize(source_str="one", target_str="1")\nnothing\nremove_lines(line_start=2, line_end=3)',
    ]
    execution = run_reference(TEXT, answers)
    assert execution.removed == (RemovedSpan(2, 2, 0, 1), RemovedSpan(3, 3, 1, 1))
    assert execution.normalized == (Normalization(1, 0, "one", "1", 2),)
    assert [(finding.chunk_index, finding.code) for finding in execution.diagnostics] == [
        (1, DiagnosticCode.IGNORED_LINE)
    ]
    assert [outcome.status for outcome in execution.chunk_outcomes] == [
        ProgramStatus.APPLIED,
        ProgramStatus.APPLIED_WITH_NOTES,
    ]
    assert (execution.words_before, execution.words_after) == (39, 24)


def test_errors_of_ranges_count_after_merging() -> None:
    adjacent = "remove_lines(line_start=8, line_end=9)\nremove_lines(line_start=10, line_end=11)"
    apart = "remove_lines(line_start=8, line_end=8)\nremove_lines(line_start=10, line_end=11)"
    assert run_reference(TEXT, adjacent).n_errors == 1
    assert run_reference(TEXT, apart).n_errors == 2


def test_reading_gives_operations_that_the_tables_can_hold() -> None:
    program = read_reference(f"remove_lines(line_start=1, line_end={'9' * 30})\nremove_lines(x)\nkeep_chunk()")
    assert program.ops == (Operation(OpName.REMOVE_LINES, 1, MAX_NUMBER), Operation(OpName.KEEP_CHUNK))
    assert [finding.code for finding in program.diagnostics] == [DiagnosticCode.MALFORMED_ARGUMENTS]


def test_a_range_of_any_size_costs_nothing() -> None:
    start = time.process_time()
    program = f"remove_lines(line_start=2, line_end=1000000000000)\nremove_lines(line_start=1, line_end={'9' * 4000})"
    assert execute_reference(TEXT, program, threshold_2=1.0) == WORDS
    assert time.process_time() - start < 1


def test_a_text_that_would_grow_without_bound_is_returned_unchanged() -> None:
    program = "\n".join(['normalize(source_str="e", target_str="eeeeeeeeee")'] * 50)
    execution = run_reference(TEXT, program)
    assert (execution.text, execution.status) == (TEXT, DocumentStatus.PROGRAM_DISCARDED)
    assert [finding.code for finding in execution.diagnostics] == [DiagnosticCode.TEXT_GROWTH]


def test_findings_are_kept_up_to_a_limit_and_count_all_the_same() -> None:
    program = "\n".join(["remove_lines(x", "remove_lines(y)", "nothing"] * 5_000)
    execution = run_reference(TEXT, program)
    assert execution.status is DocumentStatus.PROGRAM_DISCARDED
    assert len(execution.diagnostics) == MAX_ERRORS + 1
    assert execution.diagnostics[-1].detail == "5000 lines, the first: nothing"


def test_ranges_out_of_bounds_are_findings_up_to_a_limit() -> None:
    program = "\n".join(f"remove_lines(line_start={n}, line_end={n})" for n in range(10, 10_000, 2))
    assert run_reference(TEXT, program).n_errors == MAX_ERRORS


@pytest.mark.parametrize("call", ["remove_lines(x)", "remove_lines(line_start={n}, line_end={n})"])
def test_the_limit_of_findings_leaves_any_limit_of_errors_in_force(call: str) -> None:
    n_errors = 3 * MAX_ERRORS
    program = "\n".join(call.format(n=10 + 2 * number) for number in range(n_errors))
    assert run_reference(TEXT, program, error_op=n_errors).status is DocumentStatus.PROGRAM_DISCARDED
    assert run_reference(TEXT, program, error_op=n_errors + 1).status is DocumentStatus.KEPT_UNCHANGED
