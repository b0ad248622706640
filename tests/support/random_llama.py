"""Random Llamas in the shape of the released refiners, tiny unless their size is asked for, with cards for the tiny ones."""

from __future__ import annotations

import json
from pathlib import Path

# Of the snapshot in a hub cache.
COMMIT = "0123456789abcdef0123456789abcdef01234567"
TINY_SIZE = {
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_key_value_heads": 2,
}
# Layers, width and vocabulary are those of the released models (ProX, 0.3 B); heads and the width between are assumed.
RELEASED_SIZE = {
    "vocab_size": 32_000,
    "hidden_size": 1280,
    "intermediate_size": 2048,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "num_key_value_heads": 16,
}

TASKS = {
    "doc": {"template": "llama2-chat", "max_text_tokens": 100},
    "chunk": {
        "template": "llama2-chat-doc",
        "max_chunk_tokens": 300,
        "max_line_tokens": 100,
        "max_answer_tokens": 12,
    },
}


def write_random_llama(directory: Path, seed: int = 0, size: dict[str, int] = TINY_SIZE) -> None:
    """A Llama of the released refiners' family: their context and tokenizer kind, random weights.

    Args:
        directory: of the files.
        seed: of the weights.
        size: of the layers, and of the vocabulary where that is larger than the tokenizer's; the default makes 1 % of theirs.
    """
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
    fixed = {"max_position_embeddings": 2048, "bos_token_id": 1, "eos_token_id": 2, "tie_word_embeddings": False}
    config = LlamaConfig(**{"vocab_size": len(fast), **size, **fixed})
    LlamaForCausalLM(config).to(torch.bfloat16).save_pretrained(directory)
    fast.save_pretrained(directory)


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


def add_to_hub_cache(cache: Path, name: str, model: Path) -> None:
    """Lays a model out as the hub's client has it after a download."""
    repository = cache / f"models--{name.replace('/', '--')}"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(COMMIT)
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / COMMIT).symlink_to(model)
