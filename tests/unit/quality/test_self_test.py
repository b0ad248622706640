"""The prompt self-test on answers that are written here; no model gave them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from prox_spark.config import SelfTestConfig
from prox_spark.errors import SelfTestError
from prox_spark.prompts import Prompt
from prox_spark.quality.sample import PAGES
from prox_spark.quality.self_test import SampleAnswer, check, measure_gates
from prox_spark.refiners import find

pytestmark = pytest.mark.unit

CARD = find("web-135m").card
LIMITS = SelfTestConfig()


def answer_chunks(output: Callable[[str], str | None]) -> list[SampleAnswer]:
    return [
        SampleAnswer(page, Prompt("key", [1], 0, 0, page.count("\n")), "[doc]\n[000]text\n[/doc]\n", output(page))
        for page in PAGES
    ]


def answer_documents(*outputs: str | None) -> list[SampleAnswer]:
    return [SampleAnswer(page, Prompt("key", [1]), "…", output) for page, output in zip(PAGES, outputs, strict=True)]


def measure(answers: list[SampleAnswer]) -> dict[str, float]:
    return {gate.field: gate.value for gate in measure_gates(CARD, "chunk", answers, LIMITS)}


def remove_first_line(_: str) -> str:
    return "remove_lines(line_start=0, line_end=0)"


def test_programs_that_act_pass_and_their_figures_are_told() -> None:
    told = check(CARD, "chunk", answer_chunks(remove_first_line), LIMITS)
    assert "share of programs that parse 1.00" in told and "share that act 1.00" in told
    first = sum(len(page.split("\n")[0].split()) for page in PAGES)
    words = sum(len(page.split()) for page in PAGES)
    assert measure(answer_chunks(remove_first_line))["min_words_kept"] == pytest.approx(1 - first / words)


@pytest.mark.parametrize(
    ("output", "missed"),
    [
        ("", "min_parsed"),
        ("Sure! Here is a summary of the page.", "min_parsed"),
        ("[003]Share on Facebook", "min_parsed"),
        ("keep_chunk()", "min_acting"),
        ("remove_lines(line_start=400, line_end=401)", "min_parsed"),
        ("drop_doc()", "min_parsed"),
        ("normalize(source_str='not on any page', target_str='')", "min_acting"),
        ("remove_lines(all=True)", "min_words_kept"),
    ],
)
def test_answers_that_are_no_use_fail(output: str, missed: str) -> None:
    with pytest.raises(SelfTestError) as failed:
        check(CARD, "chunk", answer_chunks(lambda page: output), LIMITS)
    message = str(failed.value)
    assert f"({missed} = {getattr(LIMITS, missed):g}, missed)" in message
    # Figures, an example and a cure.
    assert repr(output) in message and repr("[doc]\n[000]text\n[/doc]\n") in message
    assert "tasks.chunk.template is 'plain'" in message and "self_test.enabled=false" in message


def test_an_error_is_an_answer_that_says_nothing() -> None:
    page = PAGES[0]
    answers = [SampleAnswer(page, Prompt("key", [], 0, 0, 3), "", None, error="prompt_too_long")]
    with pytest.raises(SelfTestError, match="answered by the error prompt_too_long"):
        check(CARD, "chunk", answers, LIMITS)


def test_some_pages_may_be_left_alone() -> None:
    found = measure(answer_chunks(lambda page: "keep_chunk()" if page is PAGES[0] else remove_first_line(page)))
    assert found["min_acting"] == pytest.approx((len(PAGES) - 1) / len(PAGES)) and found["min_parsed"] == 1.0


def test_verdicts_begin_with_one_of_the_two_answers() -> None:
    answers = answer_documents("drop_doc()", "keep_doc()\n", " drop_doc() and so on", "keep_doc()", "drop_doc(")
    assert check(CARD, "doc", answers, LIMITS) == "share of verdicts 0.80 (min_parsed = 0.8)"
    answers = answer_documents("drop_doc()", "keep_doc()", "\ndrop_doc()", "This page is worth keeping.", None)
    with pytest.raises(SelfTestError, match=r"share of verdicts 0\.40 \(min_parsed = 0\.8, missed\)"):
        check(CARD, "doc", answers, LIMITS)


def test_a_prompt_without_lines_is_none_of_the_chunk_stage() -> None:
    with pytest.raises(SelfTestError, match="the prompt key names no lines"):
        check(CARD, "chunk", answer_documents(*["keep_chunk()"] * len(PAGES)), LIMITS)


def test_limits_are_those_of_the_recipe() -> None:
    keeping = answer_chunks(lambda page: "keep_chunk()")
    assert check(CARD, "chunk", keeping, SelfTestConfig(min_acting=0, max_words_kept=1))
