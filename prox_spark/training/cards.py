"""The card of a refiner that was trained: what serves it, and what a reader wants to know."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from pydantic import ValidationError

from prox_spark.errors import RecipeError
from prox_spark.refiners import Refiner, RefinerCard
from prox_spark.training.recipe import AdaptRecipe, LabelSource

if TYPE_CHECKING:
    from prox_spark.training.data import TrainingData


def adapted_card(recipe: AdaptRecipe, start: Refiner) -> RefinerCard:
    """The card of the start with the changes of the recipe.

    Raises:
        RecipeError: the changes make no valid card.
    """
    return _changed(recipe, start, recipe.card, "card")


def training_card(recipe: AdaptRecipe, start: Refiner) -> RefinerCard:
    """The card that examples are made by: that of the result with the changes for training.

    Raises:
        RecipeError: as for `adapted_card`.
    """
    return _changed(recipe, start, _merged(recipe.card, recipe.training_card), "training_card")


def source_card(card: RefinerCard, source: LabelSource) -> RefinerCard:
    """The card that the examples of one source are made by.

    Args:
        card: as `training_card` returns it.
        source: says what is other in its examples.

    Raises:
        RecipeError: the changes make no valid card, or add a stage that the result does not serve.
    """
    field = f"card of {source.path}"
    changed = _validated(_merged(card.model_dump(exclude_none=True), source.card), field)
    added = [stage for stage in source.stages if getattr(changed.tasks, stage) and not getattr(card.tasks, stage)]
    if added:
        raise RecipeError(
            f"`{field}` of the recipe adds the stage {added[0]}, which the result does not serve: put it into `card`"
        )
    return changed


def _changed(recipe: AdaptRecipe, start: Refiner, changes: Mapping[str, Any], field: str) -> RefinerCard:
    given = start.card.model_dump(exclude_none=True) | {"teaches": False}
    if not (given.get("tasks") or changes.get("tasks")):
        raise RecipeError(
            f"{start.card.name} has no prompts of a refiner: set card.tasks, see a refiner.yaml that has them"
        )
    if recipe.lora is None:
        given["base"] = {"path": "."}
    elif start.card.base.path:
        given["base"]["path"] = str(start.base_source)  # it stays where it is
    own = {
        "name": recipe.name,
        "description": recipe.description,
        "licence": recipe.licence or start.card.licence,
        "adapter": None if recipe.lora is None else ".",
    }
    return _validated(_merged(given, changes) | own, field)


def _validated(fields: Mapping[str, Any], field: str) -> RefinerCard:
    try:
        return RefinerCard.model_validate(fields)
    except ValidationError as error:
        raise RecipeError(f"`{field}` of the recipe makes no card of a refiner: {error}") from error


def _merged(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    both = dict(old)
    for key, value in new.items():
        inner = both.get(key)
        both[key] = _merged(inner, value) if isinstance(inner, Mapping) and isinstance(value, Mapping) else value
    return both


def write_cards(
    recipe: AdaptRecipe,
    card: RefinerCard,
    start: Refiner,
    data: TrainingData,
    trained: str,
    made_of: str,
    metrics: Mapping[str, float],
    directory: Path,
) -> None:
    """Writes refiner.yaml for machines, README.md for people, training.json to make it again.

    Args:
        recipe: what was asked for.
        card: of the result, whose weights are in the directory.
        start: what it was made from.
        data: what it learnt.
        trained: which weights, in words.
        made_of: fingerprint of recipe, card, start and data.
        metrics: on the validation examples.
        directory: of the result.
    """
    fields = card.model_dump(exclude_none=True, exclude_defaults=True) | {
        "tasks": card.tasks.model_dump(exclude_none=True)
    }
    (directory / "refiner.yaml").write_text(
        yaml.safe_dump(fields, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    told = {
        "recipe": recipe.redacted(),
        "card": card.model_dump(mode="json", exclude_none=True),
        "fingerprints": {
            "made_of": made_of,
            "start": start.model_fingerprint,
            "data": data.fingerprint,
            "result": Refiner(card, directory, str(directory)).model_fingerprint,
        },
        "packages": {name: version(name) for name in ("torch", "transformers", "peft")},
        "examples_available": data.n_available,
        "examples_seen": data.n_seen,
        "tokens": data.n_tokens,
        "validation": dict(metrics),
    }
    (directory / "training.json").write_text(json.dumps(told, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    (directory / "README.md").write_text(_readme(recipe, card, start, data, trained, metrics), encoding="utf-8")


def _readme(
    recipe: AdaptRecipe,
    card: RefinerCard,
    start: Refiner,
    data: TrainingData,
    trained: str,
    metrics: Mapping[str, float],
) -> str:
    optimiser = recipe.optimiser
    going_on = f", going on from the adapter of {start.card.name}" if recipe.start.adapter else ""
    seen = "\n".join(f"| {name} | {data.n_seen.get(name, 0):,} | {n:,} |" for name, n in data.n_available.items())
    measured = "\n".join(f"| {name} | {value:.4f} |" for name, value in metrics.items())
    measured = f"\n## Validation\n\n| measure | value |\n|---|---|\n{measured}\n" if measured else ""
    attribution = f"\n## Attribution\n\n{recipe.attribution.strip()}\n" if recipe.attribution.strip() else ""
    return f"""# {recipe.name}

{recipe.description or "A refiner made by `prox-spark adapt`."}

| | |
|---|---|
| base | that of {start.card.name} ({start.card.licence}){going_on} |
| trained | {trained}; {optimiser.steps:,} steps of {optimiser.tokens_per_step * optimiser.accumulate:,} tokens, learning rate {optimiser.learning_rate:g}, cosine |
| tokens | {data.n_tokens:,} |
| licence | {card.licence} |

| examples | seen (with repetitions) | available |
|---|---|---|
{seen}
{measured}{attribution}
Everything that decides the result is in training.json.
"""
