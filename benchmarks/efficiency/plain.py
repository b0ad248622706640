"""Plain `LLM.generate`: one call with all prompts, the baseline of the other ways."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from efficiency.cases import Case, n_tokens, sampling
from prox_spark.engine.host.cores import build_openmp_binding
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners.build import build


def engine(spec: EngineSpec, cores: str | None = None, kv_share: float = 1.0) -> Any:
    """Start vLLM in this process, on a CPU with scheduler and model, with the settings of the server's command line.

    Args:
        spec: specification of the server.
        cores: cores to bind on a CPU; None: those of the spec.
        kv_share: share of the spec's KV cache, below 1 if several engines share a machine.
    """
    os.environ.pop("OMP_NUM_THREADS", None)  # Spark sets it in its workers, the server has its own
    os.environ.update(spec.build_environment() | {"VLLM_LOGGING_LEVEL": "ERROR"})
    if cores:
        os.environ.update(build_openmp_binding(cores))
    from vllm import LLM
    from vllm.engine.arg_utils import EngineArgs
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    command = spec.build_command(build(spec.refiner), Path("socket"))
    arguments, _ = EngineArgs.add_cli_args(FlexibleArgumentParser()).parse_known_args(command[3:])
    settings = EngineArgs.from_cli_args(arguments)
    if settings.kv_cache_memory_bytes:
        settings.kv_cache_memory_bytes = int(settings.kv_cache_memory_bytes * kv_share)
    settings.gpu_memory_utilization *= kv_share
    settings.disable_log_stats = True  # LLM's own default
    return LLM.from_engine_args(settings)


def measure(cases: Sequence[Case]) -> dict[str, float]:
    """Measure the tokens per second of each case with one engine for all."""
    llm = engine(cases[0].generate.spec)
    rates = {}
    for case in cases:
        parameters = sampling(case.request)
        llm.generate([{"prompt_token_ids": case.warm_up}], parameters, use_tqdm=False)
        prompts = [{"prompt_token_ids": prompt} for prompt in case.prompts]
        begun = time.monotonic()
        outputs = llm.generate(prompts, parameters, use_tqdm=False)
        rates[case.name] = n_tokens(outputs) / (time.monotonic() - begun)
    llm.llm_engine.engine_core.shutdown()  # on a GPU this process could not end before its children
    return rates
