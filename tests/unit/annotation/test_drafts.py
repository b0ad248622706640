from __future__ import annotations

import pytest

from prox_spark.annotation import Draft, Rejection, StoredAnswer, draft_chunk, draft_document
from prox_spark.annotation.drafts import combine_programs
from prox_spark.programs import Operation, OpName, execute, parse, print_program

pytestmark = pytest.mark.unit

LINES = (
    "Home | Log in",
    "A bridge[1] of stone over the river.",
    "It is old [1].",
    "http://x.example/1",
    "(c) The site",
)
TEXT = "\n".join(LINES)
KEEP = "keep_chunk()"
NAMES = ("navigation", "litter", "footer")


def draft(*programs: str | None, text: str = TEXT, lines: range = range(5), max_removed_share: float = 0.9) -> Draft:
    answers = {name: StoredAnswer(program, error="refused") for name, program in zip(NAMES, programs, strict=True)}
    return draft_chunk(text, lines, answers, NAMES, max_removed_share)


def remove(first: int, last: int) -> str:
    return print_program([Operation(OpName.REMOVE_LINES, first, last)])


@pytest.mark.parametrize(
    ("edu", "form", "keep"),
    [("3", "0", True), ("2", "4", True), ("2", "3", False), ("1", "5", False), ("5", "5", True)],
)
def test_a_document_is_kept_by_the_rubric(edu: str, form: str, keep: bool) -> None:
    drafted = draft_document(TEXT, {"edu": StoredAnswer(edu), "format": StoredAnswer(form)})
    assert (drafted.keep, drafted.edu, drafted.format, drafted.reason) == (keep, int(edu), int(form), None)
    assert (drafted.text, drafted.ops) == (TEXT, None)


def test_a_document_with_a_score_that_is_none_is_rejected_with_the_answer() -> None:
    drafted = draft_document(TEXT, {"edu": StoredAnswer("2"), "format": StoredAnswer("lovely")})
    assert (drafted.keep, drafted.edu, drafted.reason) == (None, 2, Rejection.NO_SCORE)
    assert drafted.message == "format: 'lovely'"


@pytest.mark.parametrize(
    ("answers", "message"),
    [
        ({"edu": StoredAnswer("2")}, "format: it was not asked"),
        ({"edu": StoredAnswer(None, "400: too long"), "format": StoredAnswer("1")}, "edu: 400: too long"),
    ],
)
def test_a_document_without_an_answer_is_rejected_with_the_error(
    answers: dict[str, StoredAnswer], message: str
) -> None:
    drafted = draft_document(TEXT, answers)
    assert (drafted.reason, drafted.message) == (Rejection.NO_ANSWER, message)


def test_an_answer_that_was_cut_is_no_label_whatever_it_says_so_far() -> None:
    cut = StoredAnswer("points 1 and 2 hold, but the score", is_cut=True)
    drafted = draft_document(TEXT, {"edu": cut, "format": StoredAnswer("4")})
    assert (drafted.keep, drafted.reason) == (None, Rejection.CUT) and "edu" in (drafted.message or "")
    answers = {name: StoredAnswer(KEEP) for name in NAMES} | {"footer": StoredAnswer(remove(0, 1), is_cut=True)}
    chunk = draft_chunk(TEXT, range(5), answers, NAMES, 0.9)
    assert (chunk.ops, chunk.reason) == (None, Rejection.CUT)


def test_the_programs_of_a_chunk_become_one() -> None:
    litter = 'remove_lines(line_start=3, line_end=3)\nnormalize(source_str="[1]", target_str="")'
    drafted = draft(remove(0, 0), litter, remove(4, 4))
    assert drafted.reason is None and drafted.text == TEXT and drafted.first_line == 0
    assert print_program(drafted.ops or ()) == (
        'remove_lines(line_start=0, line_end=0)\nremove_lines(line_start=3, line_end=4)\nnormalize(source_str="[1]", target_str="")'
    )


def test_a_chunk_in_which_nothing_is_to_be_done_is_a_label_too() -> None:
    assert draft(KEEP, KEEP, KEEP).ops == ()


def test_a_chunk_knows_its_lines_by_their_numbers_in_the_document() -> None:
    drafted = draft(KEEP, KEEP, remove(4, 4), lines=range(2, 5))
    assert (drafted.first_line, drafted.text) == (2, "\n".join(LINES[2:]))
    assert print_program(drafted.ops or ()) == remove(4, 4)


def test_overlapping_removals_are_one() -> None:
    ops = combine_programs([parse(remove(0, 2)), parse(remove(1, 3)), parse(KEEP)], LINES, 0)
    assert print_program(ops) == remove(0, 3)


def test_remove_all_is_every_line_of_the_chunk() -> None:
    ops = combine_programs([parse("remove_lines(all=True)", range(7, 10))], LINES[:3], 7)
    assert print_program(ops) == remove(7, 9)


@pytest.mark.parametrize(
    "call",
    [
        'normalize(source_str="Log in", target_str="")',  # in a removed line only
        'normalize(source_str="nowhere", target_str="")',
        'normalize(source_str="a", target_str="")',
        'normalize(source_str="bridge", target_str="bridge")',
    ],
)
def test_a_replacement_without_effect_is_left_out(call: str) -> None:
    assert print_program(draft(remove(0, 0), call, KEEP).ops or ()) == remove(0, 0)


def test_a_replacement_that_an_earlier_one_made_vain_is_left_out() -> None:
    first, second = 'normalize(source_str=" [1]", target_str="")', 'normalize(source_str="old [1]", target_str="new")'
    assert print_program(draft(KEEP, f"{first}\n{second}", KEEP).ops or ()) == first


def test_the_one_program_does_what_the_executor_finds_nothing_against() -> None:
    drafted = draft(remove(0, 0), 'normalize(source_str="[1]", target_str="")', remove(4, 4))
    done = execute(TEXT, print_program(drafted.ops or ()))
    assert not done.diagnostics and "[1]" not in done.text and "Home" not in done.text


@pytest.mark.parametrize(
    ("answer", "code"),
    [
        ("The menu should go.", "stray_text"),
        ("", "it is empty"),
        ("drop_doc()", "drop_doc()"),
        ("delete(3)", "unknown_operation"),
        (remove(7, 9), "range_outside"),
        (remove(3, 9), "range_clipped"),
        ("remove_lines(line_start=3, line", "truncated_tail"),
        ("\n".join([remove(3, 3)] * 40), "repeated_operation"),
    ],
)
def test_a_program_with_a_finding_is_rejected_and_named(answer: str, code: str) -> None:
    drafted = draft(KEEP, KEEP, answer)
    assert (drafted.reason, drafted.ops, drafted.text) == (Rejection.BAD_PROGRAM, None, TEXT)
    assert drafted.message and drafted.message.startswith(f"footer: {code}")


def test_keep_beside_edits_is_clear_enough() -> None:
    assert print_program(draft(f"{KEEP}\n{remove(0, 0)}", KEEP, KEEP).ops or ()) == remove(0, 0)


def test_programs_that_the_executor_refuses_are_rejected() -> None:
    drafted = draft('normalize(source_str="stone", target_str="a\\nb")', KEEP, KEEP)
    assert (drafted.reason, drafted.ops) == (Rejection.NOT_APPLICABLE, None)
    assert drafted.message and drafted.message.startswith("line_break")


@pytest.mark.parametrize(
    ("max_removed_share", "reason"), [(0.79, Rejection.REMOVES_TOO_MUCH), (0.81, None), (1.0, None)]
)
def test_the_share_of_removed_words_has_a_limit(max_removed_share: float, reason: Rejection | None) -> None:
    text = "\n".join(["one two three four five six seven eight", "nine ten"])
    assert (
        draft(remove(0, 0), KEEP, KEEP, text=text, lines=range(2), max_removed_share=max_removed_share).reason is reason
    )


def test_a_chunk_may_go_as_a_whole_where_all_may_be_removed() -> None:
    assert print_program(draft(remove(0, 4), KEEP, KEEP, max_removed_share=1.0).ops or ()) == remove(0, 4)


def test_a_chunk_with_an_unanswered_question_is_rejected() -> None:
    drafted = draft(KEEP, None, KEEP)
    assert (drafted.reason, drafted.message) == (Rejection.NO_ANSWER, "litter: refused")
