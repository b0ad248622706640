"""From a log's lines to advice. The lines are vLLM's and torch's own, as their sources write them."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from weightless import make_weightless_card

from prox_spark.config import EngineConfig
from prox_spark.engine.life.diagnosis import find_bottleneck, find_cause
from prox_spark.engine.life.heartbeat import HANGS
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import Refiner, RefinerCard

pytestmark = pytest.mark.unit
Make = Callable[..., EngineSpec]

PREFIX = "(EngineCore pid=7) ERROR 11-24 18:00:00 [core.py:1141] "
KV_TOO_SMALL = (
    "ValueError: To serve at least one request with the model's max seq len (2048), (0.05 GiB KV cache is needed, which is "
    "larger than the available KV cache memory (0.01 GiB). Based on the available memory, the estimated maximum model length "
    "is 400. Try increasing `gpu_memory_utilization`"
)
NO_KV = (
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing"
)
GPU_TAKEN = (
    "ValueError: Free memory on device cuda:0 (20.1/79.1 GiB) on startup is less than desired GPU memory utilization "
    "(0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
)
GPU_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"
)
CPU_MEMORY = (
    "RuntimeError: [enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried"
)
SERVER_ENDS = (
    "(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)


@pytest.fixture
def make(tmp_path: Path) -> Make:
    def make(device: str = "cpu", **config: Any) -> EngineSpec:
        tasks = {
            "doc": {"template": "plain", "max_text_tokens": 50},
            "chunk": {"template": "plain", "max_chunk_tokens": 600, "max_answer_tokens": 200},
        }
        card = RefinerCard.model_validate(make_weightless_card(context_tokens=2048, tasks=tasks))
        refiner = Refiner(card, tmp_path, "tiny")
        return EngineSpec(refiner, EngineConfig(device=device, **config))  # type: ignore[arg-type]

    return make


@pytest.mark.parametrize(
    ("device", "line", "advice"),
    [
        ("cpu", KV_TOO_SMALL, "Raise engine.cpu_kv_cache_gib (now 1) to 0.06 or more"),
        ("cuda", KV_TOO_SMALL, "Raise engine.gpu_memory_fraction (now 0.9)."),
        ("cuda", NO_KV, "Raise engine.gpu_memory_fraction (now 0.9)."),
        ("cuda", GPU_TAKEN, "Lower engine.gpu_memory_fraction (now 0.9); engines that share a GPU"),
        ("cuda", GPU_MEMORY, "ran out of GPU memory. Lower engine.gpu_memory_fraction (now 0.9)"),
        ("cpu", CPU_MEMORY, "Lower engine.cpu_kv_cache_gib (now 1), engine.max_num_seqs"),
        ("cpu", "OSError: [Errno 12] Cannot allocate memory", "Lower engine.cpu_kv_cache_gib (now 1)"),
    ],
)
def test_memory_that_is_short_names_the_field(make: Make, device: str, line: str, advice: str) -> None:
    log = "\n".join(["INFO starting", PREFIX + line, *["frame"] * 40, SERVER_ENDS.format("{}")])
    assert advice in find_cause(log, 1, make(device)).text


def test_the_cause_is_the_cores_exception_not_that_the_core_failed(make: Make) -> None:
    log = f"{PREFIX}ValueError: no such layer\n" + "frame\n" * 40 + SERVER_ENDS.format("{'EngineCore': 1}")
    assert find_cause(log, 1, make()).text == "ValueError: no such layer."


@pytest.mark.parametrize(("status", "failed"), [(137, "{}"), (-9, "{}"), (1, "{'EngineCore_DP0': -9}")])
def test_a_kill_is_told_with_what_to_lower(make: Make, status: int, failed: str) -> None:
    found = find_cause(SERVER_ENDS.format(failed), status, make()).text
    assert "killed (signal 9)" in found and "Lower engine.cpu_kv_cache_gib (now 1)" in found


def test_an_engine_of_one_process_tells_its_own_exception(make: Make) -> None:
    log = 'Traceback (most recent call last):\n  File "server.py", line 60, in serve\nValueError: no such layer\n'
    assert find_cause(log, 1, make()).text == "ValueError: no such layer."


def test_a_core_that_died_while_it_ran_is_told_before_what_that_did_to_the_server(make: Make) -> None:
    log = f"{PREFIX}RuntimeError: CUDA error: device busy\nvllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue\n"
    assert find_cause(log, 1, make("cuda")).text == "RuntimeError: CUDA error: device busy."
    assert "killed (signal 9)" in find_cause("Failed core proc(s): {'EngineCore': -9}\n", 1, make("cuda")).text


def test_a_log_without_an_error_is_said_to_have_none(make: Make) -> None:
    assert find_cause("INFO starting", 1, make()).text == "its log holds no error."


@pytest.mark.parametrize(
    ("line", "status", "is_final"),
    [
        ("ValueError: no such layer", 1, True),
        ("pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig", 1, True),
        ("RuntimeError: Cannot find any model weights with `/models/none`", 1, True),
        ("-c: error: unrecognized arguments: --no-such-argument", 2, True),
        (KV_TOO_SMALL, 1, True),
        ("RuntimeError: CUDA error: device busy", 1, False),
        (GPU_TAKEN, 1, False),
        (GPU_MEMORY, 1, False),
        ("", 137, False),
        ("", 1, False),
    ],
)
def test_what_would_happen_again_is_told_from_what_may_pass(make: Make, line: str, status: int, is_final: bool) -> None:
    assert find_cause(f"INFO starting\n{line}\n", status, make()).is_final is is_final


def test_an_engine_that_was_ended_for_hanging_names_the_field(make: Make) -> None:
    found = find_cause(f"INFO at work\n{HANGS}: prompts waited\n", None, make(hang_seconds=20))
    assert "engine.hang_seconds (now 20" in found.text and not found.is_final


def test_an_argument_that_vllm_does_not_know_names_the_field(make: Make) -> None:
    log = "usage: -c [-h]\n-c: error: unrecognized arguments: --no-such-argument\n"
    assert find_cause(log, 2, make()).text == (
        "vLLM refused its arguments: unrecognized arguments: --no-such-argument. Check engine.extra_args."
    )


def kv_line(n_tokens: str) -> str:
    return f"INFO [kv_cache_utils.py:2327] GPU KV cache size: {n_tokens} tokens, Maximum concurrency for 2,048 tokens per request: 9.9x"


@pytest.mark.parametrize(
    ("config", "n_tokens", "advice"),
    [
        ({"max_num_seqs": 64}, "25,600", None),
        ({"max_num_seqs": 64}, "24,800", "holds 31 prompts of full length, .* set engine.max_num_seqs to 31"),
        ({"max_num_seqs": 256}, "45,590", "set engine.max_num_seqs to 56, or raise engine.cpu_kv_cache_gib"),
        ({"max_num_seqs": 8, "extra_args": ["--max-num-seqs", "32"]}, "45,590", r"window of 9 .*max_num_seqs to 32"),
        ({"max_num_seqs": 8, "extra_args": ["--max-num-seqs=9"]}, "45,590", None),
        (
            {"device": "cuda"},
            "1,000,000",
            "holds 1250 prompts of full length, and 64 are .* set engine.max_num_seqs to 256",
        ),
        ({"device": "cuda"}, "80,000", "holds 100 prompts of full length, .* set engine.max_num_seqs to 100"),
        ({"device": "cuda"}, "51,200", None),
        ({"device": "cuda", "max_num_seqs": 256}, "1,000,000", None),
        ({"device": "cpu"}, "1,000,000", None),
    ],
)
def test_a_start_warns_of_what_keeps_the_engine_from_being_full(
    make: Make, config: dict[str, Any], n_tokens: str, advice: str | None
) -> None:
    found = find_bottleneck(f"INFO\n{kv_line(n_tokens)}\nINFO", make(**config))
    assert found is None if advice is None else re.search(advice, found or ""), found
