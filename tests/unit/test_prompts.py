from __future__ import annotations

import pickle
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_tokenizer import bytes_json, words_json
from tokenizers import Tokenizer

from prox_spark.chunking import number_line
from prox_spark.errors import ReasonCode, RefinerError
from prox_spark.programs.grammar import PROGRAM_GRAMMAR
from prox_spark.prompts import ChunkPrompts, Prompt, VerdictPrompts
from prox_spark.refiners import RefinerCard, Stage, find

pytestmark = pytest.mark.unit

TOKENIZERS = {"bytes": bytes_json, "words": words_json}
DOC = {"template": "plain", "max_text_tokens": 12}
CHUNK = {"template": "plain", "max_chunk_tokens": 32, "max_line_tokens": 16, "max_answer_tokens": 20}
PAGE = "The quick brown fox\njumps over the lazy dog.\n\nSubscribe to our newsletter!\nAll rights reserved."


def builder(
    stage: Stage = "chunk",
    tokenizer: str = "bytes",
    doc: dict[str, Any] | None = None,
    chunk: dict[str, Any] | None = None,
    model: str = "weights",
    grammar: str | None = None,
    packing: str = "strict",
    **card: Any,
) -> Any:
    tasks = {"doc": DOC | (doc or {}), "chunk": CHUNK | (chunk or {})}
    fields = {"name": "tiny", "licence": "MIT", "base": {"path": "."}, "context_tokens": 512, "tasks": tasks}
    made = RefinerCard.model_validate(fields | card)
    if stage == "doc":
        return VerdictPrompts(made, model, TOKENIZERS[tokenizer]())
    return ChunkPrompts(made, model, TOKENIZERS[tokenizer](), grammar, packing)


def spelt(prompt: Prompt, tokenizer: str = "bytes") -> str:
    """The text of a prompt, special tokens included."""
    return Tokenizer.from_str(TOKENIZERS[tokenizer]()).decode(prompt.token_ids, skip_special_tokens=False)


def lines_of(prompts: list[Prompt]) -> list[int]:
    spans = [(prompt.line_start, prompt.line_end) for prompt in prompts]
    return [line for start, end in spans if start is not None and end is not None for line in range(start, end + 1)]


def text_between(prompt: str) -> str:
    assert prompt.startswith("[doc]\n") and prompt.endswith("\n[/doc]\n")
    return prompt.removeprefix("[doc]\n").removesuffix("\n[/doc]\n")


def test_a_short_text_is_one_whole_verdict_prompt() -> None:
    (prompt,) = builder("doc").build_prompts("The lazy dog.")
    assert spelt(prompt) == "[doc]\nThe lazy dog.\n[/doc]\n"
    assert (prompt.chunk_index, prompt.line_start, prompt.line_end, prompt.skip_reason) == (None,) * 4


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("n_repeats", [1, 40])
def test_a_verdict_prompt_holds_the_first_tokens_of_a_long_text_and_no_more(tokenizer: str, n_repeats: int) -> None:
    build = builder("doc", tokenizer)
    text = PAGE * n_repeats
    (prompt,) = build.build_prompts(text)
    head = text_between(spelt(prompt, tokenizer))
    assert text.startswith(head) and len(head) < len(text)
    assert len(build.tokenizer.encode(head, add_special_tokens=False).ids) == DOC["max_text_tokens"]


def test_a_text_of_long_tokens_is_cut_by_tokens_not_by_characters() -> None:
    """A rule of signs has many characters to a token: the cut's first look at the text is too short for it."""
    build = builder("doc", doc={"max_text_tokens": 2})
    text = "=" * 256
    assert len(build.tokenizer.encode(text, add_special_tokens=False).ids) == 4
    (prompt,) = build.build_prompts(text)
    assert text_between(spelt(prompt)) == "=" * 128


def test_a_cut_keeps_a_character_of_several_tokens_whole() -> None:
    (prompt,) = builder("doc", doc={"max_text_tokens": 5}).build_prompts("😀" * 9)
    assert text_between(spelt(prompt)) == "😀😀"


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("stage", ["doc", "chunk"])
def test_a_prompt_has_one_bos_where_the_card_names_one(tokenizer: str, stage: Stage) -> None:
    build = builder(stage, tokenizer, bos="<s>")
    bos = build.tokenizer.token_to_id("<s>")
    for prompt in build.build_prompts(PAGE * 3):
        assert prompt.token_ids[0] == bos and prompt.token_ids.count(bos) == 1


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("stage", ["doc", "chunk"])
def test_a_prompt_has_no_bos_where_the_card_names_none(tokenizer: str, stage: Stage) -> None:
    build = builder(stage, tokenizer)
    prompts = build.build_prompts(PAGE * 3)
    assert prompts
    assert all(build.tokenizer.token_to_id("<s>") not in prompt.token_ids for prompt in prompts)


def test_a_bos_that_the_tokenizer_lacks_is_an_error() -> None:
    with pytest.raises(RefinerError, match="its card says bos '<bos>', its tokenizer has no such token"):
        builder(bos="<bos>").build_prompts(PAGE)


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
@pytest.mark.parametrize("special", ["<s>", "</s>", "<|im_start|>"])
@pytest.mark.parametrize("stage", ["doc", "chunk"])
def test_a_page_that_spells_a_special_token_gets_its_letters(tokenizer: str, special: str, stage: Stage) -> None:
    build = builder(stage, tokenizer)
    (prompt,) = build.build_prompts(special)
    assert build.tokenizer.token_to_id(special) not in prompt.token_ids
    assert special in spelt(prompt, tokenizer)


def test_a_page_that_spells_the_placeholder_is_put_in_as_it_is() -> None:
    (prompt,) = builder("doc").build_prompts("{text} dog")
    assert spelt(prompt) == "[doc]\n{text} dog\n[/doc]\n"


@pytest.mark.parametrize("text", ["", " ", "\n\n", " \t\r\n\u2003\u00a0"])
@pytest.mark.parametrize("stage", ["doc", "chunk"])
def test_a_text_without_words_has_no_prompts(stage: Stage, text: str) -> None:
    assert builder(stage).build_prompts(text) == []


def test_a_chunk_prompt_holds_its_lines_numbered_over_the_document() -> None:
    prompts = builder().build_prompts(PAGE)
    numbered = [number_line(number, line) for number, line in enumerate(PAGE.split("\n"))]
    assert len(prompts) > 1
    for index, prompt in enumerate(prompts):
        assert prompt.chunk_index == index
        assert prompt.line_start is not None and prompt.line_end is not None
        assert text_between(spelt(prompt)) == "\n".join(numbered[prompt.line_start : prompt.line_end + 1])


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.text("ab dogé😀\r\t[]<s>", max_size=60), min_size=1, max_size=30).filter(
        lambda lines: " ".join(lines).split()
    ),
    tokenizer=st.sampled_from(sorted(TOKENIZERS)),
    packing=st.sampled_from(["strict", "reference"]),
    max_line_tokens=st.sampled_from([None, 8, 16]),
)
def test_the_chunks_of_a_text_hold_every_line_exactly_once(
    lines: list[str], tokenizer: str, packing: str, max_line_tokens: int | None
) -> None:
    build = builder(tokenizer=tokenizer, packing=packing, chunk={"max_line_tokens": max_line_tokens})
    prompts = build.build_prompts("\n".join(lines))
    assert lines_of(prompts) == list(range(len(lines)))
    assert [prompt.chunk_index for prompt in prompts] == list(range(len(prompts)))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text("ab dog", max_size=80), min_size=1, max_size=20))
def test_no_chunk_is_over_its_budget_where_long_lines_are_cut(lines: list[str]) -> None:
    chunks = builder().pack_chunks("\n".join(lines))
    assert max(chunk.n_tokens for chunk in chunks) <= CHUNK["max_chunk_tokens"]


@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_a_line_over_its_limit_is_cut_in_the_prompt_and_its_neighbours_are_not(tokenizer: str) -> None:
    build = builder(tokenizer=tokenizer, chunk={"max_chunk_tokens": 400})
    text = "\n".join(["The fox", "lazy dog " * 50, "the end"])
    (prompt,) = build.build_prompts(text)
    first, long, last = text_between(spelt(prompt, tokenizer)).split("\n")
    assert (first, last) == ("[000]The fox", "[002]the end")
    assert number_line(1, "lazy dog " * 50).startswith(long)
    assert len(build.tokenizer.encode(long, add_special_tokens=False).ids) == CHUNK["max_line_tokens"]
    assert lines_of([prompt]) == [0, 1, 2]


@pytest.mark.parametrize(("packing", "limit"), [("reference", 16), ("strict", None)])
def test_a_line_over_the_budget_is_a_whole_chunk_of_its_own_where_nothing_is_cut(
    packing: str, limit: int | None
) -> None:
    build = builder(packing=packing, chunk={"max_line_tokens": limit})
    text = "\n".join(["The fox", "lazy dog " * 30, "the end"])
    prompts = build.build_prompts(text)
    assert [(prompt.line_start, prompt.line_end) for prompt in prompts] == [(0, 0), (1, 1), (2, 2)]
    assert text_between(spelt(prompts[1])) == number_line(1, "lazy dog " * 30)


@pytest.mark.parametrize(("spare", "n_chunks"), [(1, 2), (2, 1)])
def test_reference_packing_counts_the_bos_of_every_line_as_the_authors_do(spare: int, n_chunks: int) -> None:
    n_tokens = len(builder().tokenizer.encode("[000]dog", add_special_tokens=False).ids)
    build = builder(packing="reference", chunk={"max_chunk_tokens": 2 * n_tokens + spare})
    assert len(build.build_prompts("dog\ndog")) == n_chunks


@pytest.mark.parametrize("stage", ["doc", "chunk"])
def test_a_prompt_over_the_context_is_skipped_with_a_key_and_without_tokens(stage: Stage) -> None:
    build = builder(stage, doc={"max_text_tokens": 60}, chunk={"max_line_tokens": None}, context_tokens=40)
    (prompt,) = build.build_prompts("lazy dog " * 30)
    assert (prompt.skip_reason, prompt.token_ids) == (ReasonCode.PROMPT_TOO_LONG, [])
    assert len(prompt.key) == 64


@pytest.mark.parametrize(("stage", "answer_tokens"), [("doc", 1), ("chunk", CHUNK["max_answer_tokens"])])
@pytest.mark.parametrize(("spare", "is_sent"), [(0, True), (-1, False)])
def test_prompt_and_answer_together_fill_the_context(
    stage: Stage, answer_tokens: int, spare: int, is_sent: bool
) -> None:
    text = "The lazy dog."  # one line: several would be cut into smaller chunks
    (prompt,) = builder(stage, context_tokens=64).build_prompts(text)
    context = len(prompt.token_ids) + answer_tokens + spare
    (again,) = builder(stage, context_tokens=context).build_prompts(text)
    assert (again.skip_reason is None) is is_sent


def test_lines_that_fit_the_context_exactly_stay_one_chunk() -> None:
    text = "The lazy dog.\n" * 2
    (prompt,) = builder("chunk", context_tokens=64).build_prompts(text)
    exact = len(prompt.token_ids) + CHUNK["max_answer_tokens"]
    assert len(builder("chunk", context_tokens=exact).build_prompts(text)) == 1
    assert len(builder("chunk", context_tokens=exact - 1).build_prompts(text)) == 2


def test_a_page_of_short_lines_fits_the_context_of_a_released_refiner() -> None:
    card = find("gair-prox/web-chunk-refining-lm").card
    build = ChunkPrompts(card, "weights", bytes_json())
    prompts = build.build_prompts("\n".join(["a", ""] * 400))
    assert [prompt.skip_reason for prompt in prompts] == [None] * len(prompts)


def test_prompts_of_one_document_that_are_too_long_have_keys_of_their_own() -> None:
    build = builder(chunk={"max_line_tokens": None}, context_tokens=40)
    prompts = build.build_prompts("\n".join(["lazy dog " * 30, "quick fox " * 30]))
    assert len({prompt.key for prompt in prompts}) == 2


@pytest.mark.parametrize(
    "changed",
    [
        {"model": "other weights"},
        {"chunk": {"template": "llama2-chat-doc"}},
        {"chunk": {"max_answer_tokens": 21}},
        {"chunk": {"max_chunk_tokens": 33}},
        {"chunk": {"max_line_tokens": 17}},
        {"bos": "<s>"},
        {"context_tokens": 513},
        {"grammar": PROGRAM_GRAMMAR},
        {"packing": "reference"},
        {"tokenizer": "words"},
        {"stage": "doc"},
    ],
    ids=str,
)
def test_a_key_differs_by_all_that_decides_an_answer(changed: dict[str, Any]) -> None:
    assert builder(**changed).build_prompts("The fox")[0].key != builder().build_prompts("The fox")[0].key


@pytest.mark.parametrize(
    "changed",
    [{"name": "other"}, {"description": "other"}, {"doc": {"max_text_tokens": 3}}, {"doc": {"keep": "keep_chunk()"}}],
    ids=str,
)
def test_a_key_does_not_differ_by_what_decides_no_answer(changed: dict[str, Any]) -> None:
    assert builder(**changed).build_prompts("The fox")[0].key == builder().build_prompts("The fox")[0].key


@pytest.mark.parametrize("changed", [{"doc": {"max_text_tokens": 13}}, {"doc": {"drop": "remove_lines()"}}], ids=str)
def test_a_verdict_key_differs_by_its_own_limits_and_words(changed: dict[str, Any]) -> None:
    assert builder("doc", **changed).build_prompts("The fox")[0].key != builder("doc").build_prompts("The fox")[0].key


def test_texts_that_differ_have_different_keys() -> None:
    build = builder()
    keys = [prompt.key for text in ("fox", "Fox", "fox ", "fox\n") for prompt in build.build_prompts(text)]
    assert len(set(keys)) == 4


def test_equal_prompts_of_two_documents_share_a_key() -> None:
    build = builder(chunk={"max_chunk_tokens": 20})
    one = build.build_prompts("The fox\n" + "lazy dog " * 20)
    other = build.build_prompts("The fox\n" + "brown fox " * 20)
    assert one[0].key == other[0].key and one[1].key != other[1].key


def test_texts_that_are_cut_to_the_same_prompt_share_a_verdict_key() -> None:
    keys = {builder("doc").build_prompts("lazy dog " * 30 + ending)[0].key for ending in ("fox", "newsletter")}
    assert len(keys) == 1


def test_the_answers_of_a_verdict_are_told_apart_by_their_first_tokens() -> None:
    build = builder("doc")
    keep, drop = (build.tokenizer.id_to_token(token) for token in build.verdict_token_ids)
    assert "keep_doc()".startswith(keep) and "drop_doc()".startswith(drop)


def test_answers_that_begin_with_the_same_token_are_an_error() -> None:
    with pytest.raises(
        RefinerError, match=r"the answers 'keep_doc\(\)' and 'keep_doc\(no\)' begin with the same token"
    ):
        _ = builder("doc", doc={"drop": "keep_doc(no)"}).verdict_token_ids


def test_a_verdict_is_one_greedy_token_out_of_two_with_both_probabilities() -> None:
    build = builder("doc")
    ids = list(build.verdict_token_ids)
    parameters = build.request_parameters
    assert (parameters["temperature"], parameters["max_tokens"]) == (0, 1)
    assert parameters["allowed_token_ids"] == parameters["logprob_token_ids"] == ids


def test_a_program_is_decoded_greedily_up_to_the_limit_of_the_card() -> None:
    assert builder().request_parameters == {"temperature": 0, "max_tokens": CHUNK["max_answer_tokens"]}


def test_a_grammar_travels_with_the_request() -> None:
    assert builder(grammar="root ::= x").request_parameters["structured_outputs"] == {"grammar": "root ::= x"}


def test_a_builder_that_travelled_builds_the_same_prompts() -> None:
    build = builder()
    expected = build.build_prompts(PAGE)
    assert pickle.loads(pickle.dumps(build)).build_prompts(PAGE) == expected


# Texts that a tokenizer which looks for pairs from each place takes minutes for: a run without a break is one word to it.
ENDLESS = {
    "underscores": "_" * 400_000,
    "base64": "QmFzZTY0IHJ1bnMgYXJlIG9uZSB3b3Jk" * 12_000,
    "blanks": " " * 400_000,
    "letter": "a" * 900_000,
    "ideographs": "鹭" * 300_000,
    "emoji": "👩\u200d👩\u200d👧\u200d👦" * 20_000,
    "marks": "e" + "\u0301" * 100_000,
    "lines": "a line" + "\n" * 50_000,
}


@pytest.mark.parametrize("run", ENDLESS)
@pytest.mark.parametrize("tokenizer", TOKENIZERS)
def test_endless_runs_take_no_quadratic_time(tokenizer: str, run: str) -> None:
    started = time.process_time()
    for stage in ("doc", "chunk"):
        prompts = builder(stage, tokenizer).build_prompts(f"A word before, {ENDLESS[run]} and one behind")
        assert prompts and not any(prompt.skip_reason for prompt in prompts)
    assert time.process_time() - started < 10


def test_endless_runs_take_the_shipped_tokenizer_no_quadratic_time(smollm2_tokenizer: Any) -> None:
    card = builder().card
    for kind in (VerdictPrompts, ChunkPrompts):
        shipped = kind(card, "weights", smollm2_tokenizer.backend_tokenizer.to_str())
        for text in ENDLESS.values():
            started = time.process_time()
            assert shipped.build_prompts(f"A word before, {text} and one behind")
            assert time.process_time() - started < 10
