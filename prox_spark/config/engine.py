"""Serving of the models: the `engine` section of a recipe."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from prox_spark.config.file import Section


class EngineConfig(Section):
    """The vLLM engine on each executor. No field of it is part of a fingerprint."""

    device: Literal["auto", "cuda", "cpu"] = Field(
        "auto",
        description="Where the engine computes. `auto`: cuda if vLLM for CUDA is installed and a GPU is present, else cpu.",
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="Number format of weights and activations. `auto` on CPU: bfloat16 if the CPU has avx512_bf16 or amx_bf16, else float32 "
        "(bfloat16 without these is 5 × slower). `auto` on CUDA: the model's own format.",
    )
    max_num_seqs: int = Field(
        64,
        ge=1,
        description="Sequences that the engine decodes at once. More of them use a GPU better (256 is usual for small refiners), but those that "
        "do not fit the KV cache only queue. Rule of thumb: KV cache tokens ÷ (prompt + answer tokens).",
    )
    max_num_batched_tokens: int | None = Field(
        None,
        ge=16,
        description="Tokens of one engine step. Unset: the default of vLLM's `LLM` class, 4,096 on a CPU and 8,192 or 16,384 on a GPU.",
    )
    window_factor: float = Field(
        1.1,
        ge=1,
        description="Requests in flight per executor, as a multiple of max_num_seqs; its task slots share them. Below 1 the engine would starve; "
        "far above 1 requests only wait inside it.",
    )
    gpu_memory_fraction: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Share of the GPU's memory for the weights and KV cache of one engine. Lower it if the engine fails to start for lack of memory. "
        "Two refiners side by side have an engine each (but see max_lora_rank): set 0.45 or less if both are on one GPU.",
    )
    side_by_side: bool = Field(
        True,
        description="Run the engines of two different refiners at the same time on each executor. On GPUs both work at once, on different waves, if "
        "Spark schedules the GPUs or `device` is `cuda`; on a CPU they share the cores and work in turn. Set `false` for refiners that "
        "don't fit into memory together: one engine then runs after the other, each with all the memory. That costs an engine start per "
        "stage and wave, so make waves.documents as large as you can. One refiner for both stages has one engine in any case.",
    )
    quantization: str | None = Field(
        None,
        description="vLLM's --quantization, such as fp8 (Hopper and later: half the memory, faster) or bitsandbytes. Unset: weights are used as "
        "they are stored. It changes answers a little but no fingerprint, so choose it before the first run.",
    )
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] | None = Field(
        None,
        description="Highest rank of LoRA adapters that are served unmerged, beside their base. A document and a chunk refiner that are adapters of "
        "the same base, with the same context_tokens, then share an engine and its memory. For GPUs only: on CPU it runs at a sixteenth of "
        "the speed. Unset: each adapter is merged into its base, which is fastest but needs an engine per adapter. Unmerged adapters "
        "answer a little differently without a change of fingerprint, so choose before the first run.",
    )
    tensor_parallel_size: int = Field(
        1,
        ge=1,
        description="GPUs that share one model, for refiners too large for one GPU. Leave it at 1 for small refiners: one engine per GPU is faster.",
    )
    prefix_caching: bool | None = Field(
        None,
        description="Reuse the KV cache of prompts that begin alike. Unset: vLLM's default (on). Prompts of a refiner share only their template, "
        "so `false` saves the bookkeeping if that is short.",
    )
    cpu_kv_cache_gib: float = Field(
        1.0,
        gt=0,
        description="Size of the KV cache on CPU, in GiB. SmolLM2-135M needs 23 KiB a token in bfloat16: 1 GiB holds 45,000 tokens.",
    )
    cpu_cores: str | None = Field(
        None,
        pattern=r"^(nobind|\d+(-\d+)?([,|]\d+(-\d+)?)*)$",
        description="Cores that the engine is bound to on CPU, such as 0-7, or `nobind` for no binding. Unset: on a cluster as many as the executor "
        "has (`spark.executor.cores`), none of them taken by another executor of this user; in local mode all; under a CPU quota (cgroup) "
        "smaller than the host no binding, and as many threads as the quota allows.",
    )
    compile: bool | None = Field(
        None,
        description="Compile the model at start (torch.compile, CUDA graphs). Unset: on CUDA only. On CPU the start takes 48 s longer (two cores) "
        "for 8 % more throughput: worth it for runs of an hour.",
    )
    start_seconds: float = Field(
        300,
        gt=0,
        description="Time that an engine has to become ready. The first start of a large model over a network file system needs more.",
    )
    request_seconds: float = Field(
        600,
        gt=0,
        description="Time limit of one request, including its wait inside the engine. A row over the limit is an error with the code "
        "request_timeout, as is one that the server failed (5xx); the message says which. The next run asks again.",
    )
    hang_seconds: float | None = Field(
        300,
        gt=0,
        description="An engine that has prompts waiting and produces no token for this long is considered hung: it is ended and counts as dead. Set "
        "it longer than any step of the engine (on CUDA vLLM's own limit of a step is 300 s; on CPU a step may take max_num_batched_tokens ÷ "
        "tokens per second). A change takes effect at the engine's next start. Unset: a hung engine is not detected, and its requests "
        "time out.",
    )
    max_restarts: int = Field(
        3,
        ge=0,
        description="Restarts of a dead engine on an executor in a run, after 1, 2, 4 … s, before the task fails. Finding a prompt that crashes "
        "the engine takes three deaths, which then no longer count. Below 2 such a prompt is not found and fails the run; 3 allows for one "
        "more death by chance.",
    )
    idle_seconds: float | None = Field(
        None,
        gt=0,
        description="End an engine that has had no request for this long; the next prompt starts it again. Set it to free GPUs for others during "
        "long CPU stages. Unset: an engine lives as long as its executor.",
    )
    max_crashing_prompts: int = Field(
        10,
        ge=0,
        description="Prompts of a run that may crash the engine of an executor. Each costs up to three starts and goes to quarantine as "
        "engine_crash. One more fails the task, because so many crashes are a fault of the engine.",
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+",
        description="URL of an OpenAI-compatible server, including /v1, such as https://llm.example.org/v1. Its /completions receives prompts as "
        "token ids, and executors start no engines. max_num_seqs and window_factor then set how many requests each executor has in flight; "
        "of the other fields only request_seconds and those that begin with endpoint_ have an effect. The document stage needs vLLM behind "
        "the endpoint (allowed_token_ids, logprob_token_ids), as does generation.grammar; the chunk stage works with any server that "
        "accepts token ids.",
    )
    endpoint_model: str | dict[Literal["doc", "chunk"], str] | None = Field(
        None,
        description="Name of the model at the endpoint, or {doc: NAME, chunk: NAME} if the two refiners are different models. Unset: the name of "
        "the stage's refiner.",
    )
    endpoint_key_variable: str | None = Field(
        None,
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="Environment variable on the executors that holds the endpoint's key, in capitals, such as LLM_TOKEN. Set it by "
        "spark.executorEnv.LLM_TOKEN or the platform's secrets (Spark hides settings whose names contain `token`); never write the key "
        "itself into a recipe. Unset: no key.",
    )
    endpoint_tries: int = Field(
        8,
        ge=1,
        description="Times that a request is sent to an endpoint that is busy (429), fails (5xx) or can't be reached, before the task fails. The waits "
        "in between double from half a second to a minute, unless the endpoint asks for others (Retry-After).",
    )
    extra_args: list[str] = Field(
        default_factory=list,
        description="Further arguments of vLLM's engine, as for `vllm serve`, such as [--seed, '1']. They win over the fields above.",
    )

    def endpoint_model_of(self, stage: Literal["doc", "chunk"]) -> str | None:
        """Return the name of a stage's model at the endpoint; None if it is the refiner's name."""
        return self.endpoint_model.get(stage) if isinstance(self.endpoint_model, dict) else self.endpoint_model

    @field_validator("cpu_cores", mode="before")
    @classmethod
    def _read_single_core(cls, cores: object) -> object:
        return str(cores) if type(cores) is int else cores  # YAML reads a single core as a number

    @field_validator("cpu_cores")
    @classmethod
    def _check_ranges(cls, cores: str | None) -> str | None:
        for first, last in re.findall(r"(\d+)-(\d+)", cores or ""):
            if int(first) > int(last):
                raise ValueError(f"{first}-{last} holds no core; write {last}-{first}")
        return cores
