"""Binding of an executor's engines to cores, so that two executors of a host do not compete for the same ones."""

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
    """Return the environment variables by which vLLM binds its threads to cores.

    Args:
        owner: the executor.
        given: the recipe's cores, or `nobind`; None lets this function choose.

    Returns:
        The cores. Under a CPU quota smaller than the host, or with `nobind`, the variables set only the number of
        threads: the kernel does not say which cores other containers use, so all containers would bind to the first
        ones.
    """
    n_host, n_quota = len(os.sched_getaffinity(0)), read_quota_cores()
    if given != _NO_BINDING and (given or n_quota >= n_host):
        return {"VLLM_CPU_OMP_THREADS_BIND": given or format_cores(claim_cores(owner))}
    # Rounded down: the threads wait for each other at every step, so one that the quota throttles slows down all.
    n_threads = max(1, math.floor(min(n_quota, n_host, _read_granted_cores(owner) or n_host)))
    return {"VLLM_CPU_OMP_THREADS_BIND": _NO_BINDING, "OMP_NUM_THREADS": str(n_threads)}


def build_openmp_binding(cores: str) -> dict[str, str]:
    """Return environment variables that confine a process and its children to cores, with an OpenMP thread on each.

    The cores form one OpenMP place. With a place for each core, GNU's OpenMP would bind the main thread to the first
    place, and children would inherit that.

    Args:
        cores: in vLLM's notation: `0-1`, `0,2,4`; `nobind` confines nothing.
    """
    if cores == _NO_BINDING:
        return {}
    parts = (part.partition("-") for part in cores.split(","))
    numbers = [core for first, _, last in parts for core in range(int(first), int(last or first) + 1)]
    places = ",".join(map(str, numbers))
    return {"OMP_NUM_THREADS": str(len(numbers)), "OMP_PLACES": f"{{{places}}}", "OMP_PROC_BIND": "true"}


def read_quota_cores() -> float:
    """Return the CPU quota of this process's cgroups in cores; infinite without a limit."""
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
    """Yield a control file's contents for a cgroup and each existing ancestor.

    A container's mount may start at its own cgroup.
    """
    inner = mount / path.lstrip("/")
    for folder in (inner, *inner.parents)[: len(inner.relative_to(mount).parts) + 1]:
        try:
            yield (folder / name).read_text(encoding="utf-8")
        except OSError:
            continue


def _ratio(quota: str, period: str) -> float:
    return math.inf if quota.strip() in ("max", "-1") else int(quota) / int(period)


def claim_cores(owner: Owner) -> list[int]:
    """Claim cores for an executor and return them. An executor keeps its cores for as long as it lives.

    Args:
        owner: the executor. Under every cluster manager its command line states its number of cores. Where it states
            none (local mode, a platform with its own backend), the executor has the host to itself.

    Returns:
        Sorted core numbers, as many as the executor has, from those that no other executor of this user has claimed. On
        a host that promises more cores than it has, the cores with the fewest claims.
    """
    cores = sorted(os.sched_getaffinity(0))
    n_cores = _read_granted_cores(owner)
    if n_cores is None or n_cores >= len(cores):
        return cores
    directory = locate_owner_directory(owner)
    # One file for each pid namespace, because containers that share the directory can't tell whether another's executor
    # lives.
    path = directory.with_name(f"cores-{directory.name.rpartition('-')[2]}.json")
    with path.open("a+") as file:
        lock(file)
        file.seek(0)
        claims = _parse_claims(file.read())
        if owner not in claims:
            n_claims = Counter(core for claimed in claims.values() for core in claimed)
            claims[owner] = sorted(sorted(cores, key=lambda core: (n_claims[core], core))[:n_cores])
            file.truncate(0)
            json.dump([[claimer.pid, claimer.started, claimed] for claimer, claimed in claims.items()], file)
    return claims[owner]


def format_cores(cores: Sequence[int]) -> str:
    """Return cores in vLLM's notation: `0-1`, `0,2,4`."""
    if len(cores) > 1 and list(cores) == list(range(cores[0], cores[-1] + 1)):
        return f"{cores[0]}-{cores[-1]}"
    return ",".join(map(str, cores))


def _read_granted_cores(owner: Owner) -> int | None:
    """Return the number of cores on the command line of a Spark executor; None where there is none."""
    try:
        words = psutil.Process(owner.pid).cmdline()
    except psutil.Error:
        return None
    # CoarseGrainedExecutorBackend and its variants for YARN and Kubernetes. A driver's `--cores` is an argument of the
    # job.
    if not any(word.endswith("ExecutorBackend") for word in words):
        return None
    values = (value for word, value in itertools.pairwise(words) if word == "--cores" and value.isdigit())
    return next(map(int, values), None)


def _parse_claims(text: str) -> dict[Owner, list[int]]:
    """Return the claims of executors that are alive. A file that was cut off while written holds none."""
    try:
        claims = {Owner(pid, started): cores for pid, started, cores in json.loads(text)}
    except ValueError:
        return {}
    return {owner: cores for owner, cores in claims.items() if owner.is_alive()}
