"""What is part of a generation's key and of a recipe's fingerprint, and what is not. Models of a few bytes; nothing is computed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from tiny_tokenizer import bytes_json

from prox_spark.config import EngineConfig, Recipe
from prox_spark.pipeline.stages import RefinerStages

pytestmark = pytest.mark.unit

ENGINE = {
    "device": "cpu",
    "dtype": "float32",
    "max_num_seqs": 7,
    "max_num_batched_tokens": 512,
    "window_factor": 2.0,
    "gpu_memory_fraction": 0.5,
    "cpu_kv_cache_gib": 2.0,
    "cpu_cores": "0-1",
    "compile": True,
    "start_seconds": 5,
    "request_seconds": 5,
    "max_restarts": 0,
    "extra_args": ["--seed", "1"],
}
PAGE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("refiner")
    (folder / "config.json").write_text("{}", encoding="utf-8")
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "tokenizer.json").write_text(bytes_json(), encoding="utf-8")
    tasks = {
        "doc": {"template": "plain", "max_text_tokens": 32},
        "chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_tokens": 16},
    }
    card = {"name": "tiny", "licence": "MIT", "base": {"path": "."}, "context_tokens": 256, "tasks": tasks}
    (folder / "refiner.yaml").write_text(yaml.safe_dump(card), encoding="utf-8")
    return str(Path(folder))


def prints(refiner: str, **sections: Any) -> tuple[str, str, str]:
    """Keys of a verdict and of a chunk, and the fingerprint of the recipe."""
    recipe = Recipe.parse({"refiners": {"doc": refiner, "chunk": refiner}, **sections})
    stages = RefinerStages.of(recipe)
    keys = (stage.builder.prompts(PAGE)[0].key for stage in (stages.doc, stages.chunk))
    return (*keys, stages.fingerprint(recipe))


def test_every_engine_setting_is_tried_with_another_value() -> None:
    assert set(ENGINE) == set(EngineConfig.model_fields)
    assert not [name for name, value in EngineConfig().model_dump().items() if ENGINE[name] == value]


@pytest.mark.parametrize("name", ENGINE)
def test_an_engine_setting_is_part_of_no_fingerprint(name: str, refiner: str) -> None:
    assert prints(refiner, engine={name: ENGINE[name]}) == prints(refiner)


@pytest.mark.parametrize(
    "sections",
    [
        {"name": "other"},
        {"waves": {"documents": 3}},
        {"spark": {"master": "local[1]"}},
        {"lake": {"root": "elsewhere"}},
        {"input": {"paths": ["a.jsonl"]}},
    ],
    ids=str,
)
def test_names_places_and_sizes_are_part_of_no_fingerprint(sections: dict[str, Any], refiner: str) -> None:
    assert prints(refiner, **sections) == prints(refiner)


@pytest.mark.parametrize(
    "apply",
    [{"semantics": "reference"}, {"drop_threshold": 0.6}, {"min_word_ratio": 0.1}, {"min_words": 5}, {"max_errors": 3}],
    ids=str,
)
def test_a_threshold_is_part_of_the_recipe_and_of_no_generation(apply: dict[str, Any], refiner: str) -> None:
    *keys, recipe = prints(refiner, apply=apply)
    *keys_before, recipe_before = prints(refiner)
    assert keys == keys_before and recipe != recipe_before


@pytest.mark.parametrize("generation", [{"grammar": True}, {"packing": "reference"}], ids=str)
def test_a_setting_of_the_chunk_stage_changes_its_keys_alone(generation: dict[str, Any], refiner: str) -> None:
    doc, chunk, recipe = prints(refiner, generation=generation)
    doc_before, chunk_before, recipe_before = prints(refiner)
    assert (doc == doc_before, chunk == chunk_before, recipe == recipe_before) == (True, False, False)
