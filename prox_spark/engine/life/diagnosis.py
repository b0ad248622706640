"""Advice from an engine's log.

The patterns match texts of vLLM 0.32.0 and torch 2.13.0. A test holds each pattern against a recorded line, and another
one looks for vLLM's sentences in the source of the vLLM that is installed, so that an upgrade that rewords them fails a
test. A text that no pattern knows costs only the advice: the message then holds the last exception of the log, or says
that there is none.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from prox_spark.engine.life.heartbeat import HANGS
from prox_spark.engine.spec import EngineSpec
from prox_spark.refiners.card import ChunkTask, DocTask

_GPU_MEMORY = re.compile(r"torch\.(?:cuda\.)?OutOfMemoryError|CUDA out of memory|CUDA error: out of memory")
_CPU_MEMORY = re.compile(
    r"DefaultCPUAllocator: (?:can't allocate|not enough) memory|Cannot allocate memory|std::bad_alloc|^MemoryError",
    re.M,
)
_KILLED = re.compile(r"Failed core proc\(s\): \{[^}]*: -9\b")
_GPU_TAKEN = re.compile(r"Free memory on device .{,80}on startup is less than")
_KV_TOO_SMALL = re.compile(r"No available memory for the cache blocks|is larger than the available KV cache")
_KV_NEEDED = re.compile(r"\((\d+(?:\.\d+)?) GiB KV cache is needed")
_KV_TOKENS = re.compile(r"KV cache size: (\d[\d,]*) tokens")
# Texts of a server that died of another error, which stands further above.
_SECONDARY = re.compile("Engine core initialization failed|EngineDeadError")
_EXCEPTION = re.compile(r"(?:^|\s)((?:[a-zA-Z_]\w*\.)*[A-Z]\w*(?:Error|Exception): .+)$")
# Exceptions about a setting, a model or an installation that can't work, which would come again. Others, such as
# RuntimeError, may pass: a device that is being reset raises them too.
_FINAL = re.compile(
    r"(?:\w+\.)*(?:Value|Type|Key|Attribute|NotImplemented|Import|ModuleNotFound|FileNotFound|Validation|Safetensor)Error: "
    r"|RuntimeError: Cannot find any model weights"
)
# The last line of argparse, and the exit status that it comes with.
_USAGE = re.compile(r": error: (.+)$", re.M)
_USAGE_STATUS = 2
# A GPU gains little from more sequences of a small refiner at once. A CPU is busy with a few.
_FULL_GPU_SEQS = 256
# Exit statuses after SIGKILL: of the engine as its supervisor reports it, and of the supervisor itself.
_KILLED_STATUSES = (137, -9)


@dataclass(frozen=True)
class Cause:
    """The cause of an engine's death and what to change.

    Attributes:
        text: a sentence or two.
        is_final: True if another start would end in the same way. Other causes may pass, such as memory that another
            program held.
    """

    text: str
    is_final: bool = False


def find_cause(log: str, status: int | None, spec: EngineSpec) -> Cause:
    """Find the cause of an engine's death.

    Args:
        log: log of the engine.
        status: exit status of its supervisor in a shell's notation (137: killed); None where it is unknown.
        spec: the engine.
    """
    config = spec.config
    fraction = f"engine.gpu_memory_fraction (now {config.gpu_memory_fraction:g})"
    kv_cache = f"engine.cpu_kv_cache_gib (now {config.cpu_kv_cache_gib:g})"
    memory = kv_cache if spec.device == "cpu" else fraction
    batch = "engine.max_num_seqs or engine.max_num_batched_tokens"
    if HANGS in log:
        return Cause(
            "it hung and was ended. Where a step of the engine may take longer than engine.hang_seconds (now "
            f"{config.hang_seconds}), as on a slow CPU, raise that or lower engine.max_num_batched_tokens."
        )
    if _GPU_TAKEN.search(log):
        return Cause(
            f"the GPU has less free memory than engine.gpu_memory_fraction asks for. Lower {fraction}; engines that share a GPU "
            "have to stay under 1 together, or set engine.side_by_side: false for one after the other."
        )
    if _KV_TOO_SMALL.search(log):
        needed = _KV_NEEDED.search(log)
        # vLLM rounds to two decimals.
        at_least = f" to {float(needed[1]) + 0.01:.2f} or more" if needed and spec.device == "cpu" else ""
        text = f"what is left for the KV cache holds not even one prompt of full length. Raise {memory}{at_least}."
        return Cause(text, is_final=spec.device == "cpu")
    if _GPU_MEMORY.search(log):
        return Cause(f"it ran out of GPU memory. Lower {fraction}, {batch}.")
    if _CPU_MEMORY.search(log):
        return Cause(f"it ran out of memory. Lower {kv_cache}, {batch}, or give the executor's host more memory.")
    if status in _KILLED_STATUSES or _KILLED.search(log):
        return Cause(
            f"it was killed (signal 9), as the kernel does when memory runs out. Lower {memory} or give the host more memory."
        )
    if status == _USAGE_STATUS and (refused := _USAGE.search(log)):
        return Cause(f"vLLM refused its arguments: {refused[1][:500]}. Check engine.extra_args.", is_final=True)
    found = [
        match[1] for line in log.splitlines() if not _SECONDARY.search(line) and (match := _EXCEPTION.search(line))
    ]
    if not found:
        return Cause("its log holds no error.")
    return Cause(f"{found[-1][:500]}.", is_final=bool(_FINAL.match(found[-1])))


def find_bottleneck(log: str, spec: EngineSpec) -> str | None:
    """Find what keeps a started engine from decoding as many prompts at once as it could; None where nothing does.

    Args:
        log: log of the engine until it was ready.
        spec: the engine.
    """
    n_seqs, window = spec.max_num_seqs, spec.window_size
    if window < n_seqs:
        return (
            f"a window of {window} requests can't fill an engine that decodes {n_seqs} at once: "
            f"set engine.max_num_seqs to {n_seqs} instead of giving it in engine.extra_args"
        )
    kv_tokens = _KV_TOKENS.search(log)
    if kv_tokens is None:
        return None
    n_fit = max(1, int(kv_tokens[1].replace(",", "")) // _count_longest_tokens(spec))
    # Most prompts are shorter than the card allows. Only with more than twice as many as fit do some surely queue.
    if n_seqs > 2 * n_fit:
        field = "engine.cpu_kv_cache_gib" if spec.device == "cpu" else "engine.gpu_memory_fraction"
        return (
            f"the KV cache ({kv_tokens[1]} tokens) holds {n_fit} prompts of full length, the others of the "
            f"{n_seqs} wait for it: set engine.max_num_seqs to {n_fit}, or raise {field}"
        )
    fuller = min(n_fit, _FULL_GPU_SEQS)
    if spec.device != "cpu" and n_seqs < fuller:
        return (
            f"the GPU's KV cache ({kv_tokens[1]} tokens) holds {n_fit} prompts of full length, and {n_seqs} are decoded at once: "
            f"set engine.max_num_seqs to {fuller}"
        )
    return None


def _count_longest_tokens(spec: EngineSpec) -> int:
    """Count the tokens of the longest prompt and answer that the card allows, without the template's own tokens.

    For a teacher, whose card names no tasks, that is its context.
    """
    tasks = spec.refiner.card.tasks
    return max(
        (_count_task_tokens(task) for task in (tasks.doc, tasks.chunk) if task),
        default=spec.refiner.card.context_tokens,
    )


def _count_task_tokens(task: DocTask | ChunkTask) -> int:
    if isinstance(task, DocTask):
        return task.max_text_tokens + 1
    return task.max_chunk_tokens + task.max_answer_tokens
