"""What is part of a generation's key and of a recipe's fingerprint, and what is not. Models of a few bytes; nothing is computed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from tiny_tokenizer import bytes_json
from weightless import write_weightless

from prox_spark.config import EngineConfig, Recipe
from prox_spark.errors import RecipeError
from prox_spark.fingerprint import fingerprint
from prox_spark.pipeline.asking.stages import RefinerStages

pytestmark = pytest.mark.unit

ENGINE = {
    "device": "cpu",
    "dtype": "float32",
    "max_num_seqs": 7,
    "max_num_batched_tokens": 512,
    "window_factor": 2.0,
    "max_crashing_prompts": 1,
    "endpoint": "https://llm.example.org/v1",
    "endpoint_model": "other",
    "endpoint_key_variable": "LLM_KEY",
    "endpoint_tries": 2,
    "gpu_memory_fraction": 0.5,
    "cpu_kv_cache_gib": 2.0,
    "cpu_cores": "0-1",
    "compile": True,
    "start_seconds": 5,
    "hang_seconds": 60,
    "request_seconds": 5,
    "max_restarts": 0,
    "side_by_side": False,
    "quantization": "fp8",
    "max_lora_rank": 16,
    "tensor_parallel_size": 2,
    "prefix_caching": True,
    "idle_seconds": 60,
    "extra_args": ["--seed", "1"],
}
PAGE = "The quick brown fox jumps over the lazy dog."


@pytest.fixture(scope="module")
def refiner(tmp_path_factory: pytest.TempPathFactory) -> str:
    return make_refiner(tmp_path_factory.mktemp("refiner"))


def make_refiner(folder: Path, drop_threshold: float = 0.8, **card: Any) -> str:
    (folder / "tokenizer.json").write_text(bytes_json(), encoding="utf-8")
    tasks = {
        "doc": {"template": "plain", "max_text_tokens": 32, "drop_threshold": drop_threshold},
        "chunk": {"template": "plain", "max_chunk_tokens": 64, "max_answer_tokens": 16},
    }
    return write_weightless(folder, context_tokens=256, tasks=tasks, **card)


def prints(refiner: str, **sections: Any) -> tuple[str, str, str]:
    """Keys of a verdict and of a chunk, and the fingerprint of the recipe."""
    recipe = recipe_with(refiner, **sections)
    stages = RefinerStages.of(recipe)
    keys = (stage.builder.build_prompts(PAGE)[0].key for stage in (stages.doc, stages.chunk))
    return (*keys, stages.settle(recipe).fingerprint)


def recipe_with(refiner: str, **sections: Any) -> Recipe:
    return Recipe.parse({"refiners": {"doc": refiner, "chunk": refiner}, **sections})


def completed(refiner: str, **sections: Any) -> Recipe:
    recipe = recipe_with(refiner, **sections)
    return RefinerStages.of(recipe).settle(recipe).recipe


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
        {"self_test": {"enabled": False}},
    ],
    ids=str,
)
def test_names_places_sizes_and_the_self_test_are_part_of_no_fingerprint(
    sections: dict[str, Any], refiner: str
) -> None:
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


def test_a_threshold_of_the_card_is_one_of_the_recipe(refiner: str, tmp_path: Path) -> None:
    """It is about what is done with an answer: other fingerprint of the recipe, same keys."""
    *keys, recipe = prints(make_refiner(tmp_path, drop_threshold=0.7))
    *keys_before, recipe_before = prints(refiner)
    assert keys == keys_before and recipe != recipe_before


def test_the_same_threshold_by_card_and_by_recipe_is_one_fingerprint(refiner: str) -> None:
    assert prints(refiner, apply={"drop_threshold": 0.8}) == prints(refiner)


@pytest.mark.parametrize(
    ("apply", "generation", "threshold", "below"),
    [
        ({}, {}, 0.8, 0.8),
        ({"drop_threshold": 0.6}, {}, 0.6, 0.6),
        ({"drop_threshold": 0}, {}, 0, 0),
        ({}, {"chunk_below": 0.9}, 0.8, 0.9),
        ({"drop_threshold": 0.6}, {"chunk_below": 0.6}, 0.6, 0.6),
    ],
    ids=str,
)
def test_a_threshold_that_the_recipe_leaves_open_is_that_of_the_card(
    apply: dict[str, Any], generation: dict[str, Any], threshold: float, below: float, refiner: str
) -> None:
    recipe = completed(refiner, apply=apply, generation=generation)
    assert (recipe.apply.drop_threshold, recipe.generation.chunk_below) == (threshold, below)


def test_documents_that_are_kept_must_have_chunk_programs(refiner: str) -> None:
    with pytest.raises(RecipeError, match=r"generation\.chunk_below = 0\.7 is under the drop threshold 0\.8"):
        completed(refiner, generation={"chunk_below": 0.7})


def test_an_endpoint_takes_the_tokenizer_of_a_hub_model_and_not_its_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the hub has is here; only what is asked for counts."""
    folder = Path(make_refiner(tmp_path, base={"hub": "a/b"}))
    asked: list[str] = []

    def download(_: str, __: str, patterns: Sequence[str] = ("*.safetensors",)) -> Path:
        asked.extend(patterns)
        return folder

    monkeypatch.setattr("prox_spark.refiners.registry._download", download)
    before = prints(str(folder), engine={"endpoint": "https://llm.example.org/v1"})
    assert "*.json" in asked and "*.safetensors" not in asked
    assert prints(str(folder)) == before and "*.safetensors" in asked


def test_one_name_for_two_models_at_an_endpoint_is_an_error_and_a_name_for_each_is_none(
    refiner: str, tmp_path: Path
) -> None:
    other = make_refiner(tmp_path)
    refiners = {"doc": refiner, "chunk": other}

    def stages(**engine: Any) -> RefinerStages:
        engine = {"endpoint": "https://llm.example.org/v1", **engine}
        return RefinerStages.of(Recipe.parse({"refiners": refiners, "engine": engine}))

    assert stages(endpoint_model="one")  # the same weights under two cards
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(
        RecipeError, match=r"engine\.endpoint_model = 'one' .* are two: set it to \{doc: NAME, chunk: NAME\}"
    ):
        stages(endpoint_model="one")
    assert stages() and stages(endpoint_model={"doc": "one", "chunk": "two"})


def test_a_refiner_that_is_not_asked_is_not_built(refiner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr("prox_spark.pipeline.asking.stages.build", built.append)
    quiet, asking = (RefinerStages.of(recipe_with(refiner), asks) for asks in (False, True))
    assert len(built) == 2, "both stages of the one that asks"
    assert quiet.settle(recipe_with(refiner)).fingerprint == asking.settle(recipe_with(refiner)).fingerprint


def test_answers_in_a_models_own_words_are_other_generations_and_are_held_to_nothing(refiner: str) -> None:
    stages = RefinerStages.of(recipe_with(refiner, generation={"grammar": True}))
    doc, chunk = stages.doc.in_its_own_words(), stages.chunk.in_its_own_words()
    assert doc.generate.verdict_tokens is None and stages.doc.generate.verdict_tokens is not None
    for held, free in ((stages.doc, doc), (stages.chunk, chunk)):
        (of_held,), (of_free,) = held.builder.build_prompts(PAGE), free.builder.build_prompts(PAGE)
        assert of_held.token_ids == of_free.token_ids and of_held.key != of_free.key
        assert set(free.builder.request_parameters) == {"temperature", "max_tokens"}
        assert free.generate.parameters == free.builder.sampling
    # Where nothing holds the chunk stage, its answers are those of a run.
    plain = RefinerStages.of(recipe_with(refiner)).chunk
    assert plain.in_its_own_words().builder.build_prompts(PAGE) == plain.builder.build_prompts(PAGE)


def test_the_self_test_asks_an_endpoint_for_the_model_of_its_own_stage(refiner: str) -> None:
    engine = {"endpoint": "https://llm.example.org/v1", "endpoint_model": {"doc": "one", "chunk": "two"}}
    stages = RefinerStages.of(recipe_with(refiner, engine=engine))
    for stage, model in ((stages.doc, "one"), (stages.chunk, "two")):
        for asked in (stage, stage.in_its_own_words()):
            assert asked.generate.endpoint and asked.generate.endpoint.model == model


def test_what_strict_counted_by_white_space_alone_is_of_another_recipe(refiner: str) -> None:
    def before(semantics: str) -> tuple[str, str]:
        recipe = completed(refiner, apply={"semantics": semantics})
        stages = RefinerStages.of(recipe)
        prints_of_stages = [
            (stage.builder.model_fingerprint, stage.builder.prompt_fingerprint, stage.builder.sampling)
            for stage in (stages.doc, stages.chunk)
        ]
        return fingerprint(prints_of_stages, recipe.apply.model_dump()), stages.settle(recipe).fingerprint

    strict, strict_now = before("strict")
    reference, reference_now = before("reference")
    assert strict != strict_now and reference == reference_now
