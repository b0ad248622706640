"""Cards with the changes of a recipe: of the result, of its training examples, of one source of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from prox_spark.config.mistakes import describe_errors
from prox_spark.errors import RecipeError
from prox_spark.refiners import Refiner, RefinerCard
from prox_spark.refiners.registry import CARDS
from prox_spark.training.recipe import AdaptRecipe, LabelSource


def make_result_card(recipe: AdaptRecipe, start: Refiner) -> RefinerCard:
    """Make the card of the result: that of the start with the changes in `card`.

    Raises:
        RecipeError: the changes make no valid card.
    """
    return _change(recipe, start, recipe.card, "card")


def make_training_card(recipe: AdaptRecipe, start: Refiner) -> RefinerCard:
    """Make the card of the training examples: that of the result with the changes in `training_card`.

    Raises:
        RecipeError: the changes make no valid card.
    """
    return _change(recipe, start, _merge(recipe.card, recipe.training_card), "training_card")


def make_source_card(card: RefinerCard, source: LabelSource) -> RefinerCard:
    """Make the card of the examples of one source.

    Args:
        card: the training card.
        source: its `card` has the changes.

    Raises:
        RecipeError: the changes make no valid card, or add a stage that the result does not serve.
    """
    field = f"card of {source.path}"
    changed = _validate(_merge(card.model_dump(exclude_none=True), source.card), field)
    added = [stage for stage in source.stages if getattr(changed.tasks, stage) and not getattr(card.tasks, stage)]
    if added:
        raise RecipeError(
            f"`{field}` of the recipe adds the stage {added[0]}, which the result does not serve: put it into `card`"
        )
    return changed


def _change(recipe: AdaptRecipe, start: Refiner, changes: Mapping[str, Any], field: str) -> RefinerCard:
    given = start.card.model_dump(exclude_none=True) | {"teaches": False}
    if not (given.get("tasks") or changes.get("tasks")):
        raise RecipeError(
            f"{start.card.name} has no prompts of a refiner: set card.tasks, as in {CARDS / 'web-135m' / 'refiner.yaml'}"
        )
    if recipe.lora is None:
        given["base"] = {"path": "."}
    elif start.card.base.path:
        given["base"]["path"] = str(start.base_source)  # the base is not copied
    own = {
        "name": recipe.name,
        "description": recipe.description,
        "licence": recipe.licence or start.card.licence,
        "adapter": None if recipe.lora is None else ".",
    }
    return _validate(_merge(given, changes) | own, field)


def _validate(fields: Mapping[str, Any], field: str) -> RefinerCard:
    try:
        return RefinerCard.model_validate(fields)
    except ValidationError as error:
        raise RecipeError(
            f"`{field}` of the recipe makes no card of a refiner:\n{describe_errors(RefinerCard, error, 'card')}"
        ) from error


def _merge(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for key, value in new.items():
        inner = both.get(key)
        both[key] = _merge(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return both
