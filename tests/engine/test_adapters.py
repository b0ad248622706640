"""Adapters served as they are: two refiners of one base on one engine, each with its own answers. Real vLLM."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest
from tiny_llama import TASKS, write_tiny_llama

from prox_spark.config import EngineConfig
from prox_spark.engine.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError
from prox_spark.prompts import PromptBuilder
from prox_spark.refiners import Refiner, RefinerCard
from prox_spark.refiners.build import build, tokenizer_json
from udfs.generate import Generate

pytestmark = [pytest.mark.engine, pytest.mark.long]

TEXT = "\n".join(f"Line {n} of a page." for n in range(40))
CONFIG = EngineConfig(device="cpu", dtype="float32", max_num_seqs=8, cpu_kv_cache_gib=0.25, max_lora_rank=8)


@pytest.fixture(scope="module")
def adapters(tmp_path_factory: pytest.TempPathFactory) -> list[Refiner]:
    """Random adapters of one tiny random base; the last one has twice the rank of the others."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    folder = tmp_path_factory.mktemp("adapters")
    write_tiny_llama(folder / "base")
    refiners = []
    for seed, (name, rank) in enumerate((("one", 8), ("other", 8), ("large", 16))):
        base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
        torch.manual_seed(seed)
        # Not zero, as a fresh adapter is: it changes what the base says.
        adapter = get_peft_model(
            base, LoraConfig(r=rank, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
        )
        adapter.save_pretrained(folder / name, save_embedding_layers=False)
        card = {
            "name": name,
            "base": {"path": "base"},
            "adapter": name,
            "bos": "<s>",
            "context_tokens": 512,
            "tasks": TASKS,
        }
        refiners.append(Refiner(RefinerCard.model_validate(card | {"licence": "Apache-2.0"}), folder, name))
    return refiners


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Merged weights of these tests are nobody else's."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    yield


def answers(spec: EngineSpec) -> list[str]:
    """The texts for all chunks of a page, in order."""
    builder = PromptBuilder(
        spec.refiner.card, "chunk", spec.refiner.model_fingerprint, tokenizer_json(spec.refiner).read_text()
    )
    prompts = builder.prompts(TEXT)
    columns = {
        "generation_key": [p.key for p in prompts],
        "token_ids": pa.array([p.token_ids for p in prompts], pa.list_(pa.int32())),
    }
    [rows] = [out.to_pylist() for out in Generate(spec, builder.sampling)(iter([pa.RecordBatch.from_pydict(columns)]))]
    found = {row["generation_key"]: row["output_text"] for row in rows if row["error_code"] is None}
    return [found[p.key] for p in prompts]


def test_two_adapters_share_an_engine_and_answer_as_their_merged_weights_do(
    adapters: list[Refiner], cache: None
) -> None:
    *specs, large = [EngineSpec(refiner, CONFIG) for refiner in adapters]
    build(adapters[1])  # ahead: an executor would find it by a name
    merged = EngineSpec(adapters[1], CONFIG.model_copy(update={"max_lora_rank": None}))
    try:
        beside = [answers(spec) for spec in specs]
        assert connect(specs[0]).engine_id == connect(specs[1]).engine_id
        assert beside[0] != beside[1]
        assert beside[1] == answers(merged)
        with pytest.raises(
            EngineStartError, match=r"can't take the adapter of large.*rank.*Unset engine\.max_lora_rank"
        ):
            connect(large)
    finally:
        for spec in (specs[0], merged):
            os.kill(connect(spec).pid, signal.SIGTERM)
