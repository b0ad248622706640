"""The way of a released model: found by its hub id, out of the hub client's cache, served and asked in its own format."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from random_llama import COMMIT, RELEASED_SIZE, add_to_hub_cache, write_random_llama

from prox_spark.config import EngineConfig
from prox_spark.engine.life.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import RefinerError
from prox_spark.prompts import ChunkPrompts, Prompt, VerdictPrompts
from prox_spark.refiners import Stage, find
from prox_spark.refiners.build import build, built_path
from prox_spark.udfs.generate import Generate

pytestmark = pytest.mark.engine


def test_hub_model_is_served_from_its_snapshot_and_fingerprinted_by_its_commit(hub_cache: Path) -> None:
    refiner = find("gair-prox/web-chunk-refining-lm")
    assert built_path(refiner).name == COMMIT
    assert build(refiner) == built_path(refiner)
    again = find("gair-prox/web-chunk-refining-lm")
    assert refiner.model_fingerprint == again.model_fingerprint


def test_model_that_the_hub_does_not_give_is_named_with_what_to_do(hub_cache: Path) -> None:
    with pytest.raises(RefinerError, match=r"gair-prox/web-doc-refining-lm.*HF_TOKEN"):
        find("gair-prox/web-doc-refining-lm").base_source  # noqa: B018


def test_prompt_of_a_released_model_has_one_bos_and_its_chat_format(hub_cache: Path) -> None:
    refiner = find("gair-prox/web-chunk-refining-lm")
    tokenizer = (build(refiner) / "tokenizer.json").read_text()
    builder = ChunkPrompts(refiner.card, refiner.model_fingerprint, tokenizer)
    [prompt] = builder.build_prompts("First line.\nSecond line.")
    text = builder.tokenizer.decode(prompt.token_ids, skip_special_tokens=False)
    assert prompt.token_ids.count(builder.tokenizer.token_to_id("<s>")) == 1
    assert "[INST] <<SYS>>" in text and "[doc]\n[000]First line.\n[001]Second line.\n[/doc] [/INST]" in text


def test_hub_model_is_served_and_answers_every_chunk(hub_cache: Path) -> None:
    prompts, rows = answered("gair-prox/web-chunk-refining-lm", "chunk")
    assert {row["generation_key"] for row in rows} == {p.key for p in prompts}
    # Random weights write no program, but they write: up to the card's limit.
    assert all(row["error_code"] is None and 1 <= row["output_tokens"] <= 256 for row in rows)


@pytest.mark.long
def test_models_of_the_released_size_are_served_in_both_stages(empty_hub_cache: Path, tmp_path: Path) -> None:
    write_random_llama(tmp_path / "model", size=RELEASED_SIZE)
    stages: dict[str, Stage] = {"gair-prox/web-doc-refining-lm": "doc", "gair-prox/web-chunk-refining-lm": "chunk"}
    for name, stage in stages.items():
        add_to_hub_cache(empty_hub_cache, name, tmp_path / "model")
        prompts, rows = answered(name, stage)
        assert len(rows) == len(prompts) and all(row["error_code"] is None and row["output_tokens"] for row in rows)
        assert find(name).card.context_tokens == 2048


def answered(name: str, stage: Stage) -> tuple[list[Prompt], list[dict[str, Any]]]:
    """A page's prompts, and the rows that the UDF makes of them."""
    refiner = find(name)
    kind = VerdictPrompts if stage == "doc" else ChunkPrompts
    tokenizer = (build(refiner) / "tokenizer.json").read_text()
    builder: VerdictPrompts | ChunkPrompts = kind(refiner.card, refiner.model_fingerprint, tokenizer)
    config = EngineConfig(device="cpu", max_num_seqs=8, cpu_kv_cache_gib=0.5)
    prompts = builder.build_prompts("\n".join(f"Line {n} of a page." for n in range(40)))
    columns = {
        "generation_key": [p.key for p in prompts],
        "token_ids": pa.array([p.token_ids for p in prompts], pa.list_(pa.int32())),
    }
    batch = pa.RecordBatch.from_pydict(columns)
    spec = EngineSpec(refiner, config)
    try:
        [rows] = [out.to_pylist() for out in Generate(spec, builder.sampling)(iter([batch]))]
    finally:
        os.kill(connect(spec).pid, signal.SIGTERM)
    return prompts, rows
