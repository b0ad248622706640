"""Arithmetic of a model, and the peak speed of a device."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Load:
    """The requests of an engine.

    Attributes:
        prompts: number of requests.
        prompt_tokens, output_tokens: tokens of all requests.
        cached_tokens: prompt tokens taken from the prefix cache.
        squares: sum of the squares of the prompts' lengths.
    """

    prompts: int
    prompt_tokens: int
    output_tokens: int
    cached_tokens: int
    squares: int

    def __add__(self, other: Load) -> Load:
        return Load(*(getattr(self, name) + getattr(other, name) for name in self.__dataclass_fields__))

    def operations(self, size: Mapping[str, int]) -> float:
        """Count the floating-point operations of a Llama: two per weight and token, and attention to earlier tokens.

        Only the last token of a prompt and each answer token but the last use the output layer.

        Args:
            size: size of the model, as in `random_llama`.
        """
        width, layers = size["hidden_size"], size["num_hidden_layers"]
        shared = size["num_key_value_heads"] / size["num_attention_heads"]
        weights = layers * (width * width * (2 + 2 * shared) + 3 * width * size["intermediate_size"])
        later = max(0, self.output_tokens - self.prompts)  # the first token of an answer comes with its prompt
        tokens = self.prompt_tokens - self.cached_tokens + later
        head = self.output_tokens * width * size["vocab_size"]
        # A token at place t has t products with keys and t with values: half of the square, since none looks ahead.
        looked_at = self.squares / 2 + later * (self.prompt_tokens / max(1, self.prompts))
        return 2 * (tokens * weights + head) + 4 * layers * width * looked_at


def measured_peak(device: str, side: int = 8192) -> float:
    """Measure the operations per second of a bfloat16 product of random square matrices: the best of ten rounds.

    Args:
        device: cuda or cpu.
        side: rows of the matrices.
    """
    import torch

    a, b = (torch.randn(side, side, device=device, dtype=torch.bfloat16) for _ in range(2))
    n_products = 10 if device == "cuda" else 1
    best = 0.0
    for _ in range(10):
        if device == "cuda":
            torch.cuda.synchronize()
        begun = time.perf_counter()
        for _ in range(n_products):
            torch.matmul(a, b)
        if device == "cuda":
            torch.cuda.synchronize()
        best = max(best, n_products * 2 * side**3 / (time.perf_counter() - begun))
    del a, b
    if device == "cuda":
        torch.cuda.empty_cache()
    return best
