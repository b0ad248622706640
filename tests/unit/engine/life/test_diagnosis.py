"""Advice from a log's lines, which are vLLM's and torch's own, as their sources write them."""

from __future__ import annotations

import ast
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from weightless import make_weightless_card

from prox_spark.config import EngineConfig
from prox_spark.engine.life import diagnosis
from prox_spark.engine.life.diagnosis import Cause, find_bottleneck, find_cause
from prox_spark.engine.life.heartbeat import HANGS
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners import Refiner, RefinerCard

pytestmark = pytest.mark.unit
Make = Callable[..., EngineSpec]

# Lines of vLLM 0.32.0 and torch 2.13.0; figures are examples.
PREFIX = "(EngineCore pid=7) ERROR 11-24 18:00:00 [core.py:1141] "
_MORE = "See https://docs.vllm.ai/en/latest/configuration/conserving_memory/ for more details."
KV_TOO_SMALL = (
    "ValueError: To serve at least one request with the model's max seq len (2048), (0.05 GiB KV cache is needed, which is "
    "larger than the available KV cache memory (0.01 GiB). Based on the available memory, the estimated maximum model length "
    "is 400. Try increasing `gpu_memory_utilization` (which also controls CPU memory on the CPU backend) or decreasing "
    f"`max_model_len` when initializing the engine. {_MORE}"
)
NO_KV = (
    "ValueError: No available memory for the cache blocks. Try increasing `gpu_memory_utilization` when initializing the "
    f"engine (this flag also controls CPU memory reservation on the CPU backend, despite its name). {_MORE}"
)
GPU_TAKEN = (
    "ValueError: Free memory on device cuda:0 (20.1/79.1 GiB) on startup is less than desired GPU memory utilization "
    "(0.9, 71.2 GiB). Decrease GPU memory utilization or reduce GPU memory used by other processes."
)
GPU_MEMORY = (
    "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.10 GiB"
)
CUDA_MEMORY = "RuntimeError: CUDA error: out of memory"
CPU_MEMORY = (
    "RuntimeError: [enforce fail at alloc_cpu.cpp:124] err == 0. DefaultCPUAllocator: can't allocate memory: you tried "
    "to allocate 68719476736 bytes. Error code 12 (Cannot allocate memory)"
)
NO_WEIGHTS = "RuntimeError: Cannot find any model weights with `/models/none`"
USAGE = "-c: error: unrecognized arguments: --no-such-argument"
CORE_DIED = "vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue. See stack trace (above) for the root cause."
SERVER_ENDS = (
    "(APIServer pid=6) RuntimeError: Engine core initialization failed. See root cause above. Failed core proc(s): {}"
)


def write_kv_line(n_tokens: str, device: str = "GPU") -> str:
    return (
        f"INFO 11-24 18:00:00 [kv_cache_utils.py:2327] {device} KV cache size: {n_tokens} tokens, Maximum concurrency for "
        "2,048 tokens per request: 9.9x"
    )


RECORDED = [
    KV_TOO_SMALL,
    NO_KV,
    GPU_TAKEN,
    GPU_MEMORY,
    CUDA_MEMORY,
    CPU_MEMORY,
    NO_WEIGHTS,
    USAGE,
    CORE_DIED,
    SERVER_ENDS.format("{'EngineCore_DP0': -9}"),
    write_kv_line("45,590"),
]
# The sentences that the patterns look for, each with its file in vLLM.
SENTENCES = [
    ("v1/core/kv_cache_utils.py", "No available memory for the cache blocks"),
    ("v1/core/kv_cache_utils.py", r"\(\{\} GiB KV cache is needed, which is larger than the available KV cache memory"),
    ("v1/core/kv_cache_utils.py", r"%s KV cache size: %s tokens"),
    ("v1/worker/utils.py", r"Free memory on device \{\} \(\{\}/\{\} GiB\) on startup is less than"),
    ("v1/engine/utils.py", r"Engine core initialization failed\. .*Failed core proc\(s\): \{\}"),
    ("v1/engine/exceptions.py", "class EngineDeadError"),
    ("model_executor/model_loader/default_loader.py", "Cannot find any model weights"),
]


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
        (
            "cuda",
            GPU_TAKEN.replace(
                "desired GPU memory utilization", "the engine's budget after excluding external process's weights"
            ),
            "Lower engine.gpu_memory_fraction (now 0.9); engines that share a GPU",
        ),
        ("cuda", GPU_MEMORY, "ran out of GPU memory. Lower engine.gpu_memory_fraction (now 0.9)"),
        ("cuda", "torch.cuda.OutOfMemoryError: Allocation on device", "ran out of GPU memory. Lower"),
        ("cuda", "RuntimeError: CUDA out of memory. Tried to allocate 2.00 GiB", "ran out of GPU memory. Lower"),
        ("cuda", CUDA_MEMORY, "ran out of GPU memory. Lower"),
        ("cpu", CPU_MEMORY, "Lower engine.cpu_kv_cache_gib (now 1), engine.max_num_seqs"),
        (
            "cpu",
            "RuntimeError: DefaultCPUAllocator: not enough memory: you tried",
            "Lower engine.cpu_kv_cache_gib (now 1)",
        ),
        ("cpu", "OSError: [Errno 12] Cannot allocate memory", "Lower engine.cpu_kv_cache_gib (now 1)"),
        (
            "cpu",
            "terminate called after throwing an instance of 'std::bad_alloc'",
            "Lower engine.cpu_kv_cache_gib (now 1)",
        ),
    ],
)
def test_memory_that_is_short_names_the_field(make: Make, device: str, line: str, advice: str) -> None:
    log = "\n".join(["INFO starting", PREFIX + line, *["frame"] * 40, SERVER_ENDS.format("{}")])
    assert advice in find_cause(log, 1, make(device)).text


def test_the_cause_is_the_cores_exception_not_that_the_core_failed(make: Make) -> None:
    log = f"{PREFIX}ValueError: no such layer\n" + "frame\n" * 40 + SERVER_ENDS.format("{'EngineCore': 1}")
    assert find_cause(log, 1, make()).text == "ValueError: no such layer."


def test_a_memory_error_of_the_server_itself_names_the_field(make: Make) -> None:
    assert "Lower engine.cpu_kv_cache_gib (now 1)" in find_cause("frame\nMemoryError\n", 1, make()).text


@pytest.mark.parametrize(("status", "failed"), [(137, "{}"), (-9, "{}"), (1, "{'EngineCore_DP0': -9}")])
def test_a_kill_is_told_with_what_to_lower(make: Make, status: int, failed: str) -> None:
    found = find_cause(SERVER_ENDS.format(failed), status, make()).text
    assert "killed (signal 9)" in found and "Lower engine.cpu_kv_cache_gib (now 1)" in found


def test_an_engine_of_one_process_tells_its_own_exception(make: Make) -> None:
    log = 'Traceback (most recent call last):\n  File "server.py", line 60, in serve\nValueError: no such layer\n'
    assert find_cause(log, 1, make()).text == "ValueError: no such layer."


def test_a_core_that_died_while_it_ran_is_told_before_what_that_did_to_the_server(make: Make) -> None:
    log = f"{PREFIX}RuntimeError: CUDA error: device busy\n{CORE_DIED}\n"
    assert find_cause(log, 1, make("cuda")).text == "RuntimeError: CUDA error: device busy."
    assert "killed (signal 9)" in find_cause("Failed core proc(s): {'EngineCore': -9}\n", 1, make("cuda")).text


def test_a_log_without_an_error_is_said_to_have_none(make: Make) -> None:
    assert find_cause("INFO starting", 1, make()).text == "its log holds no error."


@pytest.mark.parametrize(
    ("line", "status", "is_final"),
    [
        ("ValueError: no such layer", 1, True),
        ("pydantic_core._pydantic_core.ValidationError: 1 validation error for ModelConfig", 1, True),
        ("TypeError: unhashable type: 'list'", 1, True),
        ("KeyError: 'model.layers.0.mlp'", 1, True),
        ("AttributeError: 'Config' object has no attribute 'rope'", 1, True),
        ("NotImplementedError: no kernel for this head size", 1, True),
        ("ImportError: libcudart.so.12: cannot open shared object file", 1, True),
        ("ModuleNotFoundError: No module named 'vllm'", 1, True),
        ("FileNotFoundError: [Errno 2] No such file or directory: 'config.json'", 1, True),
        ("safetensors_rust.SafetensorError: Error while deserializing header: header too large", 1, True),
        (NO_WEIGHTS, 1, True),
        (USAGE, 2, True),
        (USAGE, 1, False),
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
    log = f"usage: -c [-h]\n{USAGE}\n"
    assert find_cause(log, 2, make()).text == (
        "vLLM refused its arguments: unrecognized arguments: --no-such-argument. Check engine.extra_args."
    )


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
    found = find_bottleneck(f"INFO\n{write_kv_line(n_tokens)}\nINFO", make(**config))
    assert found is None if advice is None else re.search(advice, found or ""), found


PATTERNS = {name: value for name, value in vars(diagnosis).items() if isinstance(value, re.Pattern)}


@pytest.mark.parametrize("name", PATTERNS)
def test_every_pattern_matches_a_recorded_line(name: str) -> None:
    assert any(PATTERNS[name].search(line) for line in RECORDED)


@pytest.mark.parametrize(("file", "sentence"), SENTENCES)
def test_the_installed_vllm_still_writes_the_sentences_that_are_looked_for(file: str, sentence: str) -> None:
    """This reads vLLM's source, so that an upgrade that rewords a sentence fails here."""
    vllm = importlib.util.find_spec("vllm")
    if vllm is None or vllm.origin is None:
        pytest.skip("vLLM is not installed")
    source = (Path(vllm.origin).parent / file).read_text(encoding="utf-8")
    assert re.search(sentence, "\n".join([source, *write_sentences(source)]))


def write_sentences(source: str) -> Iterator[str]:
    """Yield each string of a module in one piece, with `{}` for the values that are filled in."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.JoinedStr):
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


@pytest.mark.parametrize(
    "log",
    [
        "",
        "\0\ufffd\n",
        "KV cache size: , tokens",
        "(1.2.3 GiB KV cache is needed",
        "Error:",
        "error: ",
        "Fehler: kein Speicher",
    ],
)
@pytest.mark.parametrize("status", [None, 0, 1, 2])
def test_a_text_that_no_pattern_knows_costs_only_the_advice(make: Make, log: str, status: int | None) -> None:
    assert find_cause(log, status, make()) == Cause("its log holds no error.")
    assert find_bottleneck(log, make()) is None


def test_an_exception_that_no_pattern_knows_is_told_as_it_is(make: Make) -> None:
    log = f"{PREFIX}acme.NewError: it was reworded\n{SERVER_ENDS.format('{}')}"
    assert find_cause(log, 1, make()) == Cause("acme.NewError: it was reworded.")


def test_too_little_memory_for_the_kv_cache_is_named_where_its_figure_is_not_understood(make: Make) -> None:
    log = "ValueError: 0,05 GiB are needed, which is larger than the available KV cache memory"
    assert find_cause(log, 1, make()).text.endswith("Raise engine.cpu_kv_cache_gib (now 1).")
