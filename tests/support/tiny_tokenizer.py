"""Two tokenizers of a few hundred tokens, trained on the spot: one cuts bytes as GPT-2 does, one cuts words as Llama does."""

from __future__ import annotations

from functools import cache

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

SPECIAL = ["<unk>", "<s>", "</s>", "<|im_start|>"]
SENTENCES = [
    "[doc]\n[000]The quick brown fox jumps over the lazy dog.\n[001]Subscribe to our newsletter!\n[/doc]\n",
    "keep_doc() drop_doc() keep_chunk() remove_lines(line_start=0, line_end=9)",
    "Home | About | Contact | Log in\nCopyright 2024, all rights reserved.",
    "=" * 64,
    "[INST] <<SYS>>\nYou are a helpful, respectful and honest assistant.\n<</SYS>>\n\n[/INST]",
]


@cache
def bytes_json() -> str:
    """Byte-level BPE as GPT-2 and SmolLM2 have it. Its post-processor adds a BOS when asked for special tokens."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=SPECIAL, initial_alphabet=alphabet, show_progress=False
    )
    return _trained(tokenizer, trainer)


@cache
def words_json() -> str:
    """BPE with byte fallback over the whole text, blanks written as ▁, as Llama 2 has it."""
    tokenizer = Tokenizer(models.BPE(byte_fallback=True, unk_token="<unk>", fuse_unk=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    )
    special = [*SPECIAL, *(f"<0x{byte:02X}>" for byte in range(256))]
    trainer = trainers.BpeTrainer(vocab_size=500, special_tokens=special, show_progress=False)
    return _trained(tokenizer, trainer)


def _trained(tokenizer: Tokenizer, trainer: trainers.Trainer) -> str:
    tokenizer.train_from_iterator(SENTENCES * 4, trainer)
    bos = tokenizer.token_to_id("<s>")
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", bos)])
    # As some tokenizer.json files come: a refiner's own limits must not be undercut.
    tokenizer.enable_truncation(8)
    tokenizer.enable_padding(length=8)
    return tokenizer.to_str()
