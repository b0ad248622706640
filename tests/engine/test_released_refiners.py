"""The way of a released model: found by its hub id, out of the hub client's cache, served and asked in its own format."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pyarrow as pa
import pytest

from prox_spark.config import EngineConfig
from prox_spark.engine.resident import connect
from prox_spark.engine.spec import EngineSpec
from prox_spark.errors import RefinerError
from prox_spark.prompts import PromptBuilder
from prox_spark.refiners import find
from prox_spark.refiners.build import build, built_path
from udfs.generate import Generate

pytestmark = pytest.mark.engine

COMMIT = "0123456789abcdef0123456789abcdef01234567"


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
    builder = PromptBuilder(refiner.card, "chunk", refiner.model_fingerprint, tokenizer)
    [prompt] = builder.prompts("First line.\nSecond line.")
    text = builder.tokenizer.decode(prompt.token_ids, skip_special_tokens=False)
    assert prompt.token_ids.count(builder.tokenizer.token_to_id("<s>")) == 1
    assert "[INST] <<SYS>>" in text and "[doc]\n[000]First line.\n[001]Second line.\n[/doc] [/INST]" in text


def test_hub_model_is_served_and_answers_every_chunk(hub_cache: Path) -> None:
    refiner = find("gair-prox/web-chunk-refining-lm")
    builder = PromptBuilder(
        refiner.card, "chunk", refiner.model_fingerprint, (build(refiner) / "tokenizer.json").read_text()
    )
    config = EngineConfig(device="cpu", max_num_seqs=8, cpu_kv_cache_gib=0.25)
    prompts = builder.prompts("\n".join(f"Line {n} of a page." for n in range(40)))
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
    assert {row["generation_key"] for row in rows} == {p.key for p in prompts}
    # Random weights write no program, but they write: up to the card's limit.
    assert all(row["error_code"] is None and 1 <= row["output_tokens"] <= 256 for row in rows)
