"""How the models are served: the `engine` section of a recipe."""

from __future__ import annotations

import re
from typing import Literal

from pydantic import Field, field_validator

from prox_spark.config.file import Section


class EngineConfig(Section):
    """The vLLM engine on each executor. None of it is part of a fingerprint."""

    device: Literal["auto", "cuda", "cpu"] = Field(
        "auto", description="`auto` takes cuda where vLLM for CUDA is installed and a GPU is there."
    )
    dtype: Literal["auto", "bfloat16", "float16", "float32"] = Field(
        "auto",
        description="`auto` on CPU: bfloat16 where the CPU has avx512_bf16 or amx_bf16, else float32 (bfloat16 without these is 5 × slower). On CUDA: the model's own.",
    )
    max_num_seqs: int = Field(
        64,
        ge=1,
        description="Sequences the engine decodes at once. More fills a GPU (256 is usual for small refiners); past the KV cache they only queue. "
        "Rule of thumb: KV tokens ÷ (prompt + answer tokens).",
    )
    max_num_batched_tokens: int | None = Field(
        None,
        ge=16,
        description="Tokens of one engine step. Unset: what vLLM's `LLM` class takes, 4,096 on a CPU, 8,192 or 16,384 on a GPU.",
    )
    window_factor: float = Field(
        1.1,
        ge=1,
        description="Requests in flight per executor = this × max_num_seqs, shared by its task slots. Below 1 the engine would starve; far above 1 they only wait inside it.",
    )
    gpu_memory_fraction: float = Field(
        0.9,
        gt=0,
        lt=1,
        description="Share of the GPU's memory for weights and KV cache of one engine. Lower it when the start fails for memory. "
        "Two refiners side by side have an engine each (but see max_lora_rank): 0.45 or less where both are on one GPU.",
    )
    side_by_side: bool = Field(
        True,
        description="Two different refiners: an engine each on an executor, at the same time. On GPUs both work at once, on different waves, if "
        "Spark schedules the GPUs or `device` is `cuda`; on a CPU they would have the same cores, and work in turn. `false` has one engine after the "
        "other, each with all the memory: for refiners that don't fit together. It costs a start per stage and wave, so take "
        "waves.documents as large as you can. One refiner for both stages has one engine anyway.",
    )
    quantization: str | None = Field(
        None,
        description="vLLM's --quantization, such as fp8 (Hopper and later: half the memory, faster) or bitsandbytes. Unset: as the "
        "weights are stored. It changes answers a little and is no part of a fingerprint: choose before the first run.",
    )
    max_lora_rank: Literal[8, 16, 32, 64, 128, 256] | None = Field(
        None,
        description="Serve LoRA adapters as they are, up to this rank, beside their base: a document and a chunk refiner that are adapters of one "
        "base, with the same context_tokens, then share an engine and its memory. For GPUs; on CPU it has a sixteenth of the speed. Unset: "
        "adapters are merged into their base, which is fastest, and costs an engine for each. Answers differ a little from those "
        "of merged weights, and no fingerprint knows it: choose before the first run.",
    )
    tensor_parallel_size: int = Field(
        1,
        ge=1,
        description="GPUs that share one model, for refiners too large for one GPU. A small refiner is faster as one engine per GPU: leave it at 1.",
    )
    prefix_caching: bool | None = Field(
        None,
        description="Keep the KV cache of a common beginning of prompts. Unset: vLLM's choice (on). Refiner prompts share their template "
        "only; `false` saves the bookkeeping where that is short.",
    )
    cpu_kv_cache_gib: float = Field(
        1.0,
        gt=0,
        description="KV cache on CPU in GiB. SmolLM2-135M needs 23 KiB a token in bfloat16: 1 GiB holds 45,000 tokens.",
    )
    cpu_cores: str | None = Field(
        None,
        pattern=r"^(nobind|\d+(-\d+)?([,|]\d+(-\d+)?)*)$",
        description="Cores bound to the engine on CPU, such as 0-7. Unset: on a cluster as many as the executor has (`spark.executor.cores`), none of them another executor's of this user; in local mode all; under a CPU quota (cgroup) smaller than the host none, with as many threads as it is worth. `nobind` binds to none.",
    )
    compile: bool | None = Field(
        None,
        description="Compile the model at start (torch.compile, CUDA graphs). Unset: on CUDA only. On CPU the start takes 48 s "
        "more (two cores) for 8 % of throughput: worth it for runs of an hour.",
    )
    start_seconds: float = Field(
        300,
        gt=0,
        description="Deadline for the engine to become ready. A first start of a large model over a network file system needs more.",
    )
    request_seconds: float = Field(
        600,
        gt=0,
        description="Deadline of one request, waiting inside the engine included. Past it the row is an error, request_timeout, as is one "
        "that the server failed (5xx): its message says which. The next run asks again.",
    )
    hang_seconds: float | None = Field(
        300,
        gt=0,
        description="An engine that prompts wait for and that has counted no token for so long hangs: it is ended and counts as dead. Must be longer "
        "than any step of the engine (on CUDA vLLM's own limit of a step is 300 s); on CPU a step may take max_num_batched_tokens ÷ tokens per second. "
        "Heeded from the engine's next start on. Unset: such an engine is never noticed, and its requests run out of time.",
    )
    max_restarts: int = Field(
        3,
        ge=0,
        description="Times a run starts a dead engine again on an executor, after 1, 2, 4 … s, before its task fails. Finding a prompt that crashes it "
        "takes three deaths, which then no longer count: below 2 it is not found and fails the run, and 3 leave one death to chance.",
    )
    idle_seconds: float | None = Field(
        None,
        gt=0,
        description="End an engine that nobody has asked anything for so long; the next prompt starts it again. Unset: it lives as "
        "long as its executor. For long CPU stages on GPUs that others wait for.",
    )
    max_crashing_prompts: int = Field(
        10,
        ge=0,
        description="Prompts of a run that may crash the engine of an executor; each costs up to three starts and goes to quarantine as "
        "engine_crash. One more fails the task: so many are a fault of the engine.",
    )
    endpoint: str | None = Field(
        None,
        pattern=r"^https?://[^/\s]+",
        description="URL of an OpenAI-compatible server up to and with /v1, such as https://llm.example.org/v1; its /completions is asked, with "
        "prompts as token ids. Executors start no engine then: max_num_seqs and window_factor say how many requests each has in "
        "flight, all other fields but request_seconds and these do nothing. The document stage needs vLLM behind it (allowed_token_ids, "
        "logprob_token_ids), and so does generation.grammar; the chunk stage takes any server that accepts token ids.",
    )
    endpoint_model: str | dict[Literal["doc", "chunk"], str] | None = Field(
        None,
        description="Name of the model at the endpoint; where the two refiners are different models, of both: {doc: NAME, chunk: NAME}. "
        "Unset: the name of the stage's refiner.",
    )
    endpoint_key_variable: str | None = Field(
        None,
        pattern=r"^[A-Z_][A-Z0-9_]*$",
        description="Environment variable on the executors that holds the endpoint's key, in capitals, such as LLM_TOKEN (set it by "
        "spark.executorEnv.LLM_TOKEN or the platform's secrets; Spark hides settings whose names hold `token`). The key itself has no place in a recipe. Unset: no key.",
    )
    endpoint_tries: int = Field(
        8,
        ge=1,
        description="Times a request is sent while the endpoint is busy (429), fails (5xx) or can't be reached, before the task fails. The waits "
        "between double from half a second to a minute, or are what the endpoint asks for (Retry-After).",
    )
    extra_args: list[str] = Field(
        default_factory=list,
        description="Further arguments of vLLM's engine as `vllm serve` takes them, such as --seed 1. They win over the fields.",
    )

    def endpoint_model_of(self, stage: Literal["doc", "chunk"]) -> str | None:
        """Name of a stage's model at the endpoint; None where that of the refiner holds."""
        return self.endpoint_model.get(stage) if isinstance(self.endpoint_model, dict) else self.endpoint_model

    @field_validator("cpu_cores", mode="before")
    @classmethod
    def _one_core(cls, cores: object) -> object:
        return str(cores) if type(cores) is int else cores  # YAML reads a single core as a number

    @field_validator("cpu_cores")
    @classmethod
    def _rising(cls, cores: str | None) -> str | None:
        for first, last in re.findall(r"(\d+)-(\d+)", cores or ""):
            if int(first) > int(last):
                raise ValueError(f"{first}-{last} holds no core; write {last}-{first}")
        return cores
