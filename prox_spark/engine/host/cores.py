"""Which cores of a host an executor's engines are bound to, so that two executors do not fight over the same ones."""

from __future__ import annotations

import itertools
import json
import math
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import psutil

from prox_spark.engine.host.executor import Owner, locate_owner_directory
from prox_spark.locks import lock

_CGROUPS = Path("/sys/fs/cgroup")
_OWN_CGROUPS = Path("/proc/self/cgroup")
_NO_BINDING = "nobind"


def build_cpu_binding(owner: Owner, given: str | None) -> dict[str, str]:
    """Environment variables by which vLLM binds its threads to cores.

    Args:
        owner: the executor.
        given: cores by the recipe, or `nobind`; None leaves it to us.

    Returns:
        The cores. Under a CPU quota that is smaller than the host none are named: the kernel does not say which cores other
        containers use, so that all would take the first. Then, and by `nobind`, the number of threads is set.
    """
    n_host, n_quota = len(os.sched_getaffinity(0)), read_quota_cores()
    if given != _NO_BINDING and (given or n_quota >= n_host):
        return {"VLLM_CPU_OMP_THREADS_BIND": given or format_cores(claim_cores(owner))}
    # Rounded down: threads that wait for each other at every step are all as slow as the one that is held back.
    n_threads = max(1, math.floor(min(n_quota, n_host, _granted(owner) or n_host)))
    return {"VLLM_CPU_OMP_THREADS_BIND": _NO_BINDING, "OMP_NUM_THREADS": str(n_threads)}


def build_openmp_binding(cores: str) -> dict[str, str]:
    """Environment variables that confine a process, and what it starts, to cores, with an OpenMP thread for each.

    The cores are one place for all threads: GNU's OpenMP binds the main thread to the first, and children would inherit that.

    Args:
        cores: as vLLM reads them: `0-1`, `0,2,4`; `nobind` confines nothing.
    """
    if cores == _NO_BINDING:
        return {}
    parts = (part.partition("-") for part in cores.split(","))
    numbers = [core for first, _, last in parts for core in range(int(first), int(last or first) + 1)]
    places = ",".join(map(str, numbers))
    return {"OMP_NUM_THREADS": str(len(numbers)), "OMP_PLACES": f"{{{places}}}", "OMP_PROC_BIND": "true"}


def read_quota_cores() -> float:
    """CPU time that the cgroups of this process may use, in cores; infinite without a limit."""
    try:
        lines = _OWN_CGROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return math.inf
    quotas = [math.inf]
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if not controllers:  # version 2
            quotas += [_ratio(*text.split()) for text in _read_up(_CGROUPS, path, "cpu.max")]
        elif "cpu" in controllers.split(","):
            values = (_read_up(_CGROUPS / "cpu", path, f"cpu.cfs_{name}_us") for name in ("quota", "period"))
            quotas += itertools.starmap(_ratio, zip(*values, strict=False))
    return min(quotas)


def _read_up(mount: Path, path: str, name: str) -> Iterator[str]:
    """A file of a cgroup and those above it, where they are there: in a container the mount may begin at its own."""
    inner = mount / path.lstrip("/")
    for folder in (inner, *inner.parents)[: len(inner.relative_to(mount).parts) + 1]:
        try:
            yield (folder / name).read_text(encoding="utf-8")
        except OSError:
            continue


def _ratio(quota: str, period: str) -> float:
    return math.inf if quota.strip() in ("max", "-1") else int(quota) / int(period)


def claim_cores(owner: Owner) -> list[int]:
    """The cores of an executor, the same ones for as long as it lives.

    Args:
        owner: the executor. Its command line says how many cores it has under every cluster manager; where it does not (local
            mode, a platform with a backend of its own) the executor has the host to itself.

    Returns:
        Core numbers in order: as many as the executor has, out of those that no other executor of this user has claimed. On a
        host that promises more cores than it has, those with the fewest claims.
    """
    cores = sorted(os.sched_getaffinity(0))
    n_cores = _granted(owner)
    if n_cores is None or n_cores >= len(cores):
        return cores
    directory = locate_owner_directory(owner)
    # One for each world of process ids: containers that share the directory can't tell whether another's executor lives.
    path = directory.with_name(f"cores-{directory.name.rpartition('-')[2]}.json")
    with path.open("a+") as file:
        lock(file)
        file.seek(0)
        claims = _standing(file.read())
        if owner not in claims:
            n_claims = Counter(core for claimed in claims.values() for core in claimed)
            claims[owner] = sorted(sorted(cores, key=lambda core: (n_claims[core], core))[:n_cores])
            file.truncate(0)
            json.dump([[claimer.pid, claimer.started, claimed] for claimer, claimed in claims.items()], file)
    return claims[owner]


def format_cores(cores: Sequence[int]) -> str:
    """Cores as vLLM reads them: `0-1`, `0,2,4`."""
    if len(cores) > 1 and list(cores) == list(range(cores[0], cores[-1] + 1)):
        return f"{cores[0]}-{cores[-1]}"
    return ",".join(map(str, cores))


def _granted(owner: Owner) -> int | None:
    try:
        words = psutil.Process(owner.pid).cmdline()
    except psutil.Error:
        return None
    # CoarseGrainedExecutorBackend and its kin of YARN and Kubernetes. A driver's `--cores` is an argument of the job.
    if not any(word.endswith("ExecutorBackend") for word in words):
        return None
    values = (value for word, value in itertools.pairwise(words) if word == "--cores" and value.isdigit())
    return next(map(int, values), None)


def _standing(text: str) -> dict[Owner, list[int]]:
    """Claims of executors that are alive; a file that was cut off in writing holds none."""
    try:
        claims = {Owner(pid, started): cores for pid, started, cores in json.loads(text)}
    except ValueError:
        return {}
    return {owner: cores for owner, cores in claims.items() if owner.is_alive()}
