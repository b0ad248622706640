"""The files about a trained refiner: refiner.yaml for serving, README.md for people, training.json to repeat it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import yaml

from prox_spark.refiners import Refiner, RefinerCard
from prox_spark.training.data import TrainingData
from prox_spark.training.recipe import AdaptRecipe

if TYPE_CHECKING:
    from huggingface_hub import ModelCardData

README = "README.md"
_TEMPLATE = """---
{{ card_data }}
---

# {{ recipe.name }}

{{ recipe.description or "A refiner made by `prox-spark adapt`." }}

| | |
|---|---|
| base | that of {{ start.name }} ({{ start.licence }})
{%- if recipe.start.adapter %}, going on from the adapter of {{ start.name }}{% endif %} |
| trained | {{ trained }}; {{ "{:,}".format(recipe.optimiser.steps) }} steps of {{ tokens_per_step }} tokens, learning rate {{ "{:g}".format(recipe.optimiser.learning_rate) }}, cosine |
| tokens | {{ "{:,}".format(data.n_tokens) }} |
| licence | {{ card.licence }} |

| examples | seen (with repetitions) | available |
|---|---|---|
{%- for name, n in data.n_available.items() %}
| {{ name }} | {{ "{:,}".format(data.n_seen.get(name, 0)) }} | {{ "{:,}".format(n) }} |
{%- endfor %}
{% if figures %}
## Validation

| measure | value |
|---|---|
{%- for name, value in figures.items() %}
| {{ name }} | {{ "{:.4f}".format(value) }} |
{%- endfor %}
{% endif %}
{%- if recipe.attribution.strip() %}
## Attribution

{{ recipe.attribution.strip() }}
{% endif %}
Everything that decides the result is in training.json.

"""


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
    """Write refiner.yaml, README.md and training.json.

    Args:
        recipe: the recipe of the training.
        card: card of the result, whose weights are in the directory.
        start: the refiner that training started from.
        data: the training data.
        trained: which weights were trained, in words.
        made_of: fingerprint of recipe, card, start and data.
        metrics: figures on the validation examples; empty without any.
        directory: of the result. The head of a README.md in it, such as peft writes, is kept.
    """
    fields = card.model_dump(exclude_none=True, exclude_defaults=True) | {
        "tasks": card.tasks.model_dump(exclude_none=True)
    }
    (directory / "refiner.yaml").write_text(
        yaml.safe_dump(fields, sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    report = {
        "recipe": recipe.redact(),
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
    (directory / "training.json").write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    write_readme(recipe, card, start, data, trained, metrics, directory / README)


def write_readme(
    recipe: AdaptRecipe,
    card: RefinerCard,
    start: Refiner,
    data: TrainingData,
    trained: str,
    metrics: Mapping[str, float],
    path: Path,
) -> None:
    """Write the model card, with a head that the hub reads. For the arguments see `write_cards`."""
    from huggingface_hub import ModelCard, ModelCardData

    head = ModelCard.load(path).data if path.exists() else ModelCardData()
    _fill_head(head, card, start, metrics)
    optimiser = recipe.optimiser
    ModelCard.from_template(
        head,
        template_str=_TEMPLATE,
        recipe=recipe,
        card=card,
        start=start.card,
        data=data,
        trained=trained,
        tokens_per_step=f"{optimiser.tokens_per_step * optimiser.accumulate:,}",
        figures=metrics,
    ).save(path)


def _fill_head(head: ModelCardData, card: RefinerCard, start: Refiner, metrics: Mapping[str, float]) -> None:
    hub_id = start.card.base.hub
    # In place of the local path that peft takes for the name of the base.
    head.base_model = hub_id
    tags = [tag for tag in head.tags or [] if not tag.startswith("base_model:")]
    if hub_id and card.adapter:
        tags.append(f"base_model:adapter:{hub_id}")
    head.tags = sorted({*tags, "prox", "data-refinement"})
    head.library_name = "peft" if card.adapter else "transformers"
    head.pipeline_tag = "text-generation"
    # The hub knows licences by their SPDX identifiers in small letters; an expression of several has no identifier.
    is_single = re.fullmatch(r"[\w.-]+", card.licence)
    head.license = card.licence.lower() if is_single else "other"
    head.license_name = None if is_single else card.licence
    measures = {"loss": "loss", "auc": "roc_auc"}
    head.metrics = [
        hub_name for ours, hub_name in measures.items() if any(name.endswith(ours) for name in metrics)
    ] or None
