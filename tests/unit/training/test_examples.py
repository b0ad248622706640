from __future__ import annotations

from typing import Any

import pytest
from tiny_tokenizer import bytes_json
from tokenizers import Tokenizer
from weightless import make_weightless_card

from prox_spark.chunking import Chunk
from prox_spark.labels import Label, estimate_verdict_doubt
from prox_spark.programs import Operation, OpName, print_program
from prox_spark.prompts import ChunkPrompts, VerdictPrompts
from prox_spark.refiners import RefinerCard, Stage
from prox_spark.training.examples import ChunkExamples, Example, VerdictExamples, restrict_program

pytestmark = pytest.mark.unit

END = 2
TOKENIZER = Tokenizer.from_str(bytes_json())


def prompts(stage: Stage, **chunk: Any) -> Any:
    tasks = {
        "doc": {"template": "plain", "max_text_tokens": 12},
        "chunk": {"template": "plain", "max_chunk_tokens": 60, "max_answer_tokens": 20} | chunk,
    }
    card = RefinerCard.model_validate(make_weightless_card(context_tokens=512, tasks=tasks))
    return (VerdictPrompts if stage == "doc" else ChunkPrompts)(card, "", bytes_json())


def examples(stage: Stage, *labels: Label, **chunk: Any) -> list[Example]:
    builder = VerdictExamples if stage == "doc" else ChunkExamples
    return list(builder(prompts(stage, **chunk), END).build_examples(labels))


def answer(example: Example) -> str:
    assert example.answer_ids[-1] == END and END not in example.answer_ids[:-1]
    return TOKENIZER.decode(list(example.answer_ids[:-1]))


def remove(start: int, end: int) -> Operation:
    return Operation(OpName.REMOVE_LINES, start, end)


def replace(source: str, target: str = "") -> Operation:
    return Operation(OpName.NORMALIZE, source_str=source, target_str=target)


PAGE = "Home | About\nThe quick brown fox jumps.\nOver the lazy dog it goes.\nSubscribe!\nAll rights reserved."


@pytest.mark.parametrize(("keep", "word"), [(True, "keep_doc()"), (False, "drop_doc()")])
def test_verdict_is_learnt_on_the_prompt_of_inference(keep: bool, word: str) -> None:
    (example,) = examples("doc", Label("a", "s", PAGE, keep=keep))
    (prompt,) = prompts("doc").build_prompts(PAGE)
    assert (example.prompt_ids, answer(example), example.keep) == (prompt.token_ids, word, keep)


def test_verdict_near_the_rubrics_border_is_learnt_as_a_doubtful_one() -> None:
    labels = [
        Label("border", "s", PAGE, keep=True, edu=2, format=4),
        Label("clear", "s", PAGE, keep=False, edu=0, format=0),
        Label("judged otherwise than by the rubric", "s", PAGE, keep=False, edu=2, format=4),
        Label("by a person", "s", PAGE, keep=False),
    ]
    found = list(VerdictExamples(prompts("doc"), END, score_noise=0.4).build_examples(labels))
    assert [example.doubt for example in found] == [pytest.approx(estimate_verdict_doubt(2, 4, 0.4)), 0, 0, 0]
    keep, drop = prompts("doc").verdict_token_ids
    assert [(example.answer_ids[0], example.other_id) for example in found] == [(keep, drop)] + [(drop, keep)] * 3
    assert [example.doubt for example in examples("doc", *labels)] == [0, 0, 0, 0], "unless a recipe asks for it"


def test_every_chunk_is_learnt_on_the_prompt_of_inference_with_its_part_of_the_program() -> None:
    label = Label("a", "s", PAGE, ops=(remove(0, 0), remove(3, 4)))
    found = examples("chunk", label, max_chunk_tokens=30)
    asked = prompts("chunk", max_chunk_tokens=30).build_prompts(PAGE)
    assert [example.prompt_ids for example in found] == [prompt.token_ids for prompt in asked]
    assert len(found) > 1
    said = [answer(example) for example in found]
    for text, prompt in zip(said, asked, strict=True):
        lines = range(prompt.line_start or 0, (prompt.line_end or 0) + 1)
        gone = {number for op in (0, 3, 4) for number in [op] if number in lines}
        assert (text == "keep_chunk()") is not bool(gone)
    assert "remove_lines(line_start=0, line_end=0)" in said[0]


def test_label_says_nothing_for_the_stage_it_has_no_answer_for() -> None:
    assert examples("doc", Label("a", "s", PAGE, ops=())) == []
    assert examples("chunk", Label("a", "s", PAGE, keep=True)) == []
    assert examples("chunk", Label("a", "s", " \n ", ops=())) == []


def test_part_of_a_document_is_shown_with_the_documents_line_numbers() -> None:
    (example,) = examples("chunk", Label("a", "s", "Menu\nText", first_line=41, ops=(remove(41, 41),)))
    assert "[041]Menu\n[042]Text" in TOKENIZER.decode(list(example.prompt_ids))
    assert answer(example) == "remove_lines(line_start=41, line_end=41)"


def test_line_ends_are_the_breaks_behind_the_lines_and_flagged_by_what_goes() -> None:
    (example,) = examples("chunk", Label("a", "s", "Menu\nText\n\nFooter", ops=(remove(0, 0), remove(3, 3))))
    heads = [TOKENIZER.decode(list(example.prompt_ids[: end + 1])) for end in example.line_ends]
    assert [head.rpartition("[00")[2] for head in heads] == ["0]Menu\n", "1]Text\n", "2]\n", "3]Footer\n"]
    assert example.line_removed == [True, False, False, True]


def test_lines_can_not_be_told_by_tokens_where_breaks_are_no_tokens_of_their_own() -> None:
    template = "{text} =>"  # nothing behind the last line says where it ends
    (example,) = examples("chunk", Label("a", "s", "Menu\nText", ops=()), template=template)
    assert (example.line_ends, example.line_removed) == ((), ())


CHUNK = Chunk(1, 10, 12, "[010]Read more »\n[011]Text with litter\n[012]End", 20)


@pytest.mark.parametrize(
    ("ops", "program"),
    [
        ([], "keep_chunk()"),
        ([remove(0, 9), remove(13, 20)], "keep_chunk()"),
        ([remove(5, 10)], "remove_lines(line_start=10, line_end=10)"),
        ([remove(12, 99)], "remove_lines(line_start=12, line_end=12)"),
        ([replace(" litter")], 'normalize(source_str=" litter", target_str="")'),
        ([replace("elsewhere")], "keep_chunk()"),
        ([replace("Read more »"), remove(10, 10)], "remove_lines(line_start=10, line_end=10)"),
        ([replace("011")], "keep_chunk()"),
    ],
)
def test_program_of_a_chunk_is_what_it_can_see(ops: list[Operation], program: str) -> None:
    assert print_program(restrict_program(ops, CHUNK)) == program


def test_program_that_inference_would_cut_loses_its_last_operations() -> None:
    label = Label("a", "s", "\n".join("abcdef"), ops=tuple(remove(n, n) for n in (0, 2, 4)))
    (whole,) = examples("chunk", label, max_answer_tokens=200)
    (cut,) = examples("chunk", label, max_answer_tokens=len(whole.answer_ids) - 1)
    assert answer(whole).count("remove_lines") == 3
    assert answer(cut) == answer(whole).rpartition("\n")[0]
