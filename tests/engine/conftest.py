"""Refiners for engine tests: tiny random Llamas in the shape of the released models, laid out as the hub's client caches them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"


TASKS = {
    "doc": {"template": "llama2-chat", "max_text_tokens": 100},
    "chunk": {
        "template": "llama2-chat-doc",
        "max_chunk_tokens": 300,
        "max_line_tokens": 100,
        "max_answer_tokens": 12,
    },
}


def write_tiny_llama(directory: Path, seed: int = 0) -> None:
    """A Llama of the released refiners' family: their context and tokenizer kind, random weights, scaled down 100 ×."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    # Byte fallback, metaspace, <s> as BOS: a sentencepiece Llama 2 tokenizer as the tokenizers library writes it.
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first", split=False)
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    special = ["<unk>", "<s>", "</s>", *(f"<0x{byte:02X}>" for byte in range(256))]
    corpus = [
        "keep_doc() drop_doc() remove_lines(line_start=0, line_end=12)",
        "[doc]\n[000]A page of text.\n[/doc] [INST]",
    ] * 5
    tokenizer.train_from_iterator(
        corpus, trainers.BpeTrainer(vocab_size=600, special_tokens=special, show_progress=False)
    )
    # The trainer knows fixed tokens only as special ones; the bytes must not be skipped when an answer becomes text.
    data = json.loads(tokenizer.to_str())
    data["added_tokens"] = data["added_tokens"][:3]
    tokenizer = Tokenizer.from_str(json.dumps(data))
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=128,
        intermediate_size=256,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=2048,
        bos_token_id=1,
        eos_token_id=2,
        tie_word_embeddings=False,
    )
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    fast.save_pretrained(directory)


@pytest.fixture(scope="session")
def tiny_llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the weights and the tokenizer of a tiny random Llama."""
    directory = tmp_path_factory.mktemp("tiny-llama")
    write_tiny_llama(directory)
    return directory


@pytest.fixture
def hub_cache(tiny_llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A hub cache that holds a tiny Llama under the name of a released refiner, with the network off."""
    import huggingface_hub.constants as constants

    repository = tmp_path / "hub" / "models--gair-prox--web-chunk-refining-lm"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / COMMIT).symlink_to(tiny_llama)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    yield tmp_path / "hub"


def write_card(directory: Path, *stages: str) -> str:
    """Makes a refiner of a tiny Llama. Returns its name for recipes."""
    tasks = {stage: TASKS[stage] for stage in stages}
    card = {
        "name": f"tiny-random-{'-'.join(stages)}",
        "licence": "Apache-2.0",
        "base": {"path": "."},
        "bos": "<s>",
        "context_tokens": 512,
        "tasks": tasks,
    }
    (directory / "refiner.yaml").write_text(json.dumps(card))
    return str(directory)


@pytest.fixture(scope="session")
def tiny_refiner(tiny_llama: Path) -> str:
    """A refiner directory for both stages around the tiny Llama."""
    return write_card(tiny_llama, "doc", "chunk")


@pytest.fixture(scope="session")
def tiny_refiners(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """By stage, refiners that are different models and serve that stage only."""
    names = {}
    for seed, stage in enumerate(("doc", "chunk")):
        folder = tmp_path_factory.mktemp(f"tiny-{stage}")
        write_tiny_llama(folder, seed)
        names[stage] = write_card(folder, stage)
    return names
