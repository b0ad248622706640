from __future__ import annotations

import pytest
from tiny_tokenizer import bytes_json, words_json
from weightless import make_weightless_card

from prox_spark.errors import LabelError, RecipeError
from prox_spark.labels import Label
from prox_spark.programs import Operation, OpName
from prox_spark.refiners import RefinerCard
from prox_spark.training.data import TrainingData
from prox_spark.training.recipe import AdaptRecipe

pytestmark = pytest.mark.unit

TASKS = {
    "doc": {"template": "plain", "max_text_tokens": 40},
    "chunk": {"template": "plain", "max_chunk_tokens": 200, "max_answer_tokens": 60},
}
CARD = RefinerCard.model_validate(make_weightless_card(context_tokens=512, tasks=TASKS))


def remove(start: int, end: int) -> Operation:
    return Operation(OpName.REMOVE_LINES, start, end)


NOTHING, ALL, FIRST = (), (remove(0, 2),), (remove(0, 0),)
REPLACED = (Operation(OpName.NORMALIZE, source_str="line", target_str=""),)


def data(uniform: float, *programs: tuple[Operation, ...], tokenizer: str = "") -> TrainingData:
    labels = [Label(f"{n}", "s", "Home\nA line.\nAnother.", keep=True, ops=ops) for n, ops in enumerate(programs * 40)]
    recipe = AdaptRecipe.model_validate({"name": "mine", "labels": [{"path": "a", "uniform": uniform}]})
    return TrainingData.of(recipe, {"a": labels}, CARD, CARD, tokenizer or bytes_json(), end_id=2)


# The second has no token for a line's break.
@pytest.mark.parametrize("tokenizer", [bytes_json(), words_json()], ids=["bytes", "words"])
def test_chunks_of_one_kind_of_line_are_thinned_out_and_nothing_else(tokenizer: str) -> None:
    programs = (NOTHING, ALL, FIRST, REPLACED)
    assert data(1, *programs, tokenizer=tokenizer).n_available == {"s doc": 160, "s chunk": 160}
    assert data(0, *programs, tokenizer=tokenizer).n_available == {"s doc": 160, "s chunk": 80}
    some = data(0.5, *programs, tokenizer=tokenizer).n_available
    assert some["s doc"] == 160 and 80 + 20 < some["s chunk"] < 160 - 20


def test_the_same_chunks_stay_each_time() -> None:
    assert data(0.5, NOTHING, FIRST).fingerprint == data(0.5, NOTHING, FIRST).fingerprint


def test_source_of_which_nothing_stays_is_refused_with_what_to_change() -> None:
    recipe = AdaptRecipe.model_validate({"name": "mine", "labels": [{"path": "a", "stages": ["chunk"], "uniform": 0}]})
    with pytest.raises(LabelError, match="`uniform`"):
        TrainingData.of(recipe, {"a": [Label("0", "s", "A line.", ops=())]}, CARD, CARD, bytes_json(), end_id=2)


def test_what_is_served_is_what_is_measured() -> None:
    labels = [Label("0", "s", "\n".join(f"Line {n} of a page." for n in range(40)), ops=(remove(0, 0),))]
    fields = {"name": "mine", "labels": [{"path": "a"}], "checkpoints": {"validation": ["a"]}}
    recipe = AdaptRecipe.model_validate(fields)
    small = RefinerCard.model_validate(
        make_weightless_card(context_tokens=512, tasks=TASKS | {"chunk": TASKS["chunk"] | {"max_chunk_tokens": 40}})
    )
    made, other = (
        TrainingData.of(recipe, {"a": labels}, taught_by, CARD, bytes_json(), end_id=2) for taught_by in (CARD, small)
    )
    assert made.n_available != other.n_available
    assert made.validation == other.validation


def test_source_may_be_cut_into_other_chunks_than_the_rest() -> None:
    small = {"tasks": {"chunk": {"max_chunk_tokens": 20}}}
    sources = [{"path": "a", "stages": ["chunk"]}, {"path": "a", "stages": ["chunk"], "card": small}]
    recipe = AdaptRecipe.model_validate({"name": "mine", "labels": sources})
    labels = [Label("0", "s", "Home\nA line of a page.\nAnother.", ops=FIRST)]
    made = TrainingData.of(recipe, {"a": labels}, CARD, CARD, bytes_json(), end_id=2)
    # All three lines at once, and the first two apart from the third.
    assert made.n_available == {"s chunk": 1 + 2}
    assert {len(example.line_ends) for batch in made.batches for example in batch} == {3, 2, 1}


def test_changes_of_a_source_that_make_no_card_are_refused_by_its_name() -> None:
    source = {"path": "a", "card": {"tasks": {"chunk": {"max_chunk_tokens": 0}}}}
    recipe = AdaptRecipe.model_validate({"name": "mine", "labels": [source]})
    with pytest.raises(RecipeError, match="card of a"):
        TrainingData.of(recipe, {"a": []}, CARD, CARD, bytes_json(), end_id=2)


def test_source_that_adds_a_stage_which_the_result_does_not_serve_is_refused() -> None:
    chunk_only = CARD.model_copy(update={"tasks": CARD.tasks.model_copy(update={"doc": None})})
    recipe = AdaptRecipe.model_validate(
        {"name": "mine", "labels": [{"path": "a", "card": {"tasks": {"doc": TASKS["doc"]}}}]}
    )
    with pytest.raises(RecipeError, match="adds the stage doc"):
        TrainingData.of(recipe, {"a": []}, chunk_only, chunk_only, bytes_json(), end_id=2)
