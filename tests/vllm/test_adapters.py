"""Adapters served as they are: two refiners of one base on one engine, each with its own answers. Real vLLM."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest
from random_llama import TASKS, write_random_llama

from prox_spark.config import EngineConfig
from prox_spark.engine.host.executor import find_owner
from prox_spark.engine.life.resident import connect, find_running_engines
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import EngineStartError
from prox_spark.prompts import ChunkPrompts
from prox_spark.refiners import Refiner, find
from prox_spark.refiners.build import build, tokenizer_json
from prox_spark.udfs.generate import Generate

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
    write_random_llama(folder / "base")
    refiners = []
    for seed, (name, rank) in enumerate((("one", 8), ("other", 8), ("large", 16))):
        base = AutoModelForCausalLM.from_pretrained(folder / "base", dtype=torch.float32)
        torch.manual_seed(seed)
        # Not zero, as a fresh adapter is: it changes what the base says.
        adapter = get_peft_model(
            base, LoraConfig(r=rank, lora_alpha=64, target_modules="all-linear", init_lora_weights=False)
        )
        adapter.save_pretrained(folder / name, save_embedding_layers=False)
        card = {"name": name, "licence": "Apache-2.0", "base": {"path": "../base"}, "adapter": ".", "tasks": TASKS}
        card |= {"bos": "<s>", "context_tokens": 512}
        (folder / name / "refiner.yaml").write_text(json.dumps(card))
        refiners.append(find(str(folder / name)))
    return refiners


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What these tests build is nobody else's."""
    monkeypatch.setenv("PROX_SPARK_CACHE", str(tmp_path))


def answers(spec: EngineSpec) -> list[str]:
    """The texts for all chunks of a page, in order."""
    tokenizer = tokenizer_json(spec.served).read_text()
    builder = ChunkPrompts(spec.refiner.card, spec.refiner.model_fingerprint, tokenizer)
    prompts = builder.build_prompts(TEXT)
    columns = {
        "generation_key": [p.key for p in prompts],
        "token_ids": pa.array([p.token_ids for p in prompts], pa.list_(pa.int32())),
    }
    [rows] = [out.to_pylist() for out in Generate(spec, builder.sampling)(iter([pa.RecordBatch.from_pydict(columns)]))]
    found = {row["generation_key"]: row["output_text"] for row in rows if row["error_code"] is None}
    return [found[p.key] for p in prompts]


def test_two_adapters_share_an_engine_and_answer_as_their_merged_weights_do(adapters: list[Refiner]) -> None:
    one, other, large = [EngineSpec(refiner, CONFIG) for refiner in adapters]
    merged = EngineSpec(other.refiner, CONFIG.model_copy(update={"max_lora_rank": None}))
    build(merged.served)  # its tokenizer is wanted before its engine builds it
    try:
        beside = [answers(spec) for spec in (one, other)]
        assert connect(one).engine_id == connect(other).engine_id
        assert beside[0] != beside[1]
        assert beside[1] == answers(merged)
        with pytest.raises(EngineStartError, match=r"can't take the adapter of refiner large.*rank"):
            connect(large)
    finally:
        for engine in find_running_engines(find_owner()):
            os.kill(engine.pid, signal.SIGTERM)
