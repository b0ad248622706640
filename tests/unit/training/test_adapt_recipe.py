from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from prox_spark.errors import RecipeError
from prox_spark.pipeline.labels import relative_to
from prox_spark.refiners import find
from prox_spark.training.adapt import choose_directory
from prox_spark.training.card_changes import make_result_card, make_training_card
from prox_spark.training.recipe import AdaptRecipe

pytestmark = pytest.mark.unit

LEAST: dict[str, Any] = {"name": "mine", "labels": [{"path": "labels.jsonl"}]}


def recipe(**fields: Any) -> AdaptRecipe:
    return AdaptRecipe.parse(LEAST | fields)


def test_null_for_the_adapter_trains_all_weights() -> None:
    assert recipe(lora=None).lora is None
    assert recipe(optimiser=None).optimiser.steps == 500, "an empty section is one of defaults"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"lora": None, "start": {"adapter": True}}, "set one of them"),
        ({"checkpoints": {"average": 2}}, "checkpoints.validation"),
        ({"start": {"share": 0.5}}, "start.adapter"),
        ({"labels": []}, "labels"),
        ({"name": "a/b"}, "name"),
        ({"steps": 3}, "steps"),
    ],
)
def test_recipe_that_contradicts_itself_is_refused_with_where_to_look(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message) as raised:
        recipe(**fields)
    assert "prox-spark adapt --fields" in str(raised.value)


@pytest.mark.parametrize("override", ["optimiser", "=1"])
def test_an_override_that_is_no_assignment_is_refused_with_an_example_of_this_recipe(override: str) -> None:
    with pytest.raises(RecipeError, match=f"such as {re.escape(AdaptRecipe.example)}"):
        AdaptRecipe.load(beneath=LEAST, overrides=[override])
    assert AdaptRecipe.load(beneath=LEAST, overrides=[AdaptRecipe.example]) != recipe()


def test_an_unknown_field_is_answered_with_the_nearest_known_one() -> None:
    with pytest.raises(
        RecipeError, match=r"optimiser\.lerning_rate: no such field; did you mean optimiser\.learning_rate\?"
    ):
        AdaptRecipe.load(beneath=LEAST, overrides=["optimiser.lerning_rate=1"])
    with pytest.raises(RecipeError, match=r"labels\.0\.shares: no such field; did you mean labels\.share\?"):
        recipe(labels=[{"path": "a", "shares": 2}])
    changes = {"tasks": {"chunk": {"max_line_token": 96}}}
    with pytest.raises(RecipeError, match=r"`card` of the recipe .*\n.* did you mean tasks\.chunk\.max_line_tokens\?"):
        make_result_card(recipe(card=changes), find("web-135m"))


def test_the_reference_is_itself_a_recipe_but_for_what_only_the_user_knows() -> None:
    fields = yaml.safe_load(AdaptRecipe.reference())
    assert fields["name"] is None and fields["labels"][0]["path"] is None
    fields["name"], fields["labels"][0]["path"] = "mine", "labels.jsonl"
    assert AdaptRecipe.parse(fields) == recipe()


def test_the_recipe_that_ships_is_one() -> None:
    made = AdaptRecipe.load(Path(__file__).parents[3] / "conf" / "adapt" / "web-135m.yaml")
    card = make_result_card(made, find("web-135m"))
    assert card.tasks == find("web-135m").card.tasks and card.adapter == "."
    with pytest.raises(RecipeError, match="--output"):
        choose_directory(made)


def test_examples_may_be_made_by_another_card_than_the_result_has() -> None:
    tasks = {"tasks": {"chunk": {"max_chunk_tokens": 99}}}
    both = recipe(card={"tasks": {"doc": {"drop_threshold": 0.4}}}, training_card=tasks)
    start = find("web-135m")
    made, taught_by = make_result_card(both, start), make_training_card(both, start)
    assert made.task("chunk") == start.card.task("chunk")
    assert taught_by.task("chunk").model_dump() == made.task("chunk").model_dump() | {"max_chunk_tokens": 99}
    assert taught_by.task("doc") == made.task("doc") != start.card.task("doc")


def test_changes_that_make_no_card_are_refused_by_the_name_of_their_section() -> None:
    none = {"tasks": {"chunk": {"max_chunk_tokens": 0}}}
    with pytest.raises(RecipeError, match="`card` of the recipe makes no card"):
        make_result_card(recipe(card=none), find("web-135m"))
    with pytest.raises(RecipeError, match="`training_card` of the recipe makes no card"):
        make_training_card(recipe(training_card=none), find("web-135m"))


def test_card_of_the_result_is_that_of_the_start_with_the_changes() -> None:
    start = find("web-135m")
    card = make_result_card(recipe(card={"tasks": {"doc": {"drop_threshold": 0.4}}}), start)
    assert (card.name, card.base, card.licence, card.adapter) == ("mine", start.card.base, "Apache-2.0", ".")
    assert card.task("doc").model_dump() == start.card.task("doc").model_dump() | {"drop_threshold": 0.4}
    whole = make_result_card(recipe(lora=None, licence="MIT"), start)
    assert (whole.base.path, whole.adapter, whole.licence) == (".", None, "MIT")


@pytest.mark.parametrize(
    ("card", "message"), [({"context_tokens": 1}, "context_tokens"), ({"base": {"hub": "a/b"}}, "exactly one")]
)
def test_card_that_can_not_be_is_refused(card: dict[str, Any], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        make_result_card(recipe(card=card), find("web-135m"))


def test_start_without_prompts_needs_some() -> None:
    with pytest.raises(RecipeError, match=r"set card\.tasks"):
        make_result_card(recipe(), find("smollm2-135m-instruct"))


def test_only_relative_paths_start_at_the_given_place() -> None:
    placed = relative_to("s3://bucket/labels/")
    assert placed("a/train.jsonl.gz") == "s3://bucket/labels/a/train.jsonl.gz"
    assert placed("labels#mine") == "s3://bucket/labels/labels#mine"
    for whole in ("/data/a.jsonl", "s3://other/labels", "main.default.labels", "main.default.labels#mine"):
        assert placed(whole) == whole
    made = recipe(checkpoints={"validation": ["b.jsonl"]}).with_places(relative_to("/data"))
    assert made.places == ["/data/labels.jsonl", "/data/b.jsonl"]
