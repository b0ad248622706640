from __future__ import annotations

import pytest

from prox_spark.annotation import QUESTIONS, Question, StoredAnswer, draft_chunk
from prox_spark.annotation.answers import read_program
from prox_spark.annotation.questions import Example
from prox_spark.programs import print_program

pytestmark = pytest.mark.unit

EXAMPLES = [(question, example) for question in QUESTIONS for example in question.examples]
any_question = pytest.mark.parametrize("question", QUESTIONS, ids=lambda question: question.name)
any_mode = pytest.mark.parametrize("constrained", [True, False])


@any_question
@any_mode
def test_a_question_is_a_chat_in_turns_that_ends_with_the_page(question: Question, constrained: bool) -> None:
    messages = question.build_messages(constrained)
    assert [m["role"] for m in messages] == ["user", "assistant"] * (len(messages) // 2) + ["user"]
    assert [m["content"].count("{text}") for m in messages] == [0] * (len(messages) - 1) + [1]


@any_question
def test_a_question_says_how_to_answer_and_the_modes_differ(question: Question) -> None:
    first, other = question.build_messages(True)[0]["content"], question.build_messages(False)[0]["content"]
    assert question.instruction in first and question.instruction in other and first != other


@any_mode
@pytest.mark.parametrize(("question", "example"), EXAMPLES)
def test_the_answer_of_an_example_reads_as_its_program(question: Question, example: Example, constrained: bool) -> None:
    answers = [m["content"] for m in question.build_messages(constrained) if m["role"] == "assistant"]
    answer = answers[question.examples.index(example)]
    program = read_program(answer, range(len(example.lines)))
    assert (program.ops, program.diagnostics) == (example.ops, ())


@pytest.mark.parametrize(("question", "example"), EXAMPLES)
def test_the_program_of_an_example_is_a_good_label(question: Question, example: Example) -> None:
    text, lines = "\n".join(example.lines), range(len(example.lines))
    draft = draft_chunk(
        text, lines, {question.name: StoredAnswer(print_program(example.ops))}, [question.name], max_removed_share=0.9
    )
    assert draft.reason is None, draft.message
    # Nothing that the example shows is dropped as without effect.
    assert set(draft.ops or ()) == {op for op in example.ops if op.op != "keep_chunk"}


def test_questions_have_stages_of_their_own_names() -> None:
    assert [question.stage for question in QUESTIONS] == [
        "annotate_edu", "annotate_format", "annotate_navigation", "annotate_litter", "annotate_footer",
    ]  # fmt: skip
